//! The control socket: both ends of it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use elver_core::api::{Request, Response};
use elver_sys::process;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::instance::Instance;
use crate::message_stream::{self, Messages};

/// A request, and the way back for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) request: Request,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Response>,
}

/// Listens at `path`, for root alone. The caller holds the instance, so a socket that is
/// there already is nobody's.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Until then the directory, which is root's alone, keeps others out.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes connections for ever, and passes on what they ask.
pub(crate) async fn serve(listener: UnixListener, asked: mpsc::UnboundedSender<Asked>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(converse(socket, asked.clone()));
            }
            Err(error) => {
                // No descriptors, say; it passes, but not by trying at once.
                tracing::warn!("control socket: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(socket: UnixStream, asked: mpsc::UnboundedSender<Asked>) {
    match process::peer(&socket) {
        Ok((_, 0)) => {}
        Ok((process, user)) => {
            tracing::warn!("control socket: user {user} (process {process}) turned away");
            return;
        }
        Err(error) => {
            tracing::warn!("control socket: {error}");
            return;
        }
    }
    let (read, mut write) = socket.into_split();
    let mut requests = Messages::<Request>::new(read);
    loop {
        let response = match requests.next().await {
            Ok(Some(request)) => {
                let (answer, answered) = oneshot::channel();
                if asked.send(Asked { request, answer }).is_err() {
                    return;
                }
                match answered.await {
                    Ok(response) => response,
                    Err(_) => Response::Failed("elver is stopping".to_owned()),
                }
            }
            Ok(None) => return,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Response::Failed(format!("not a request: {error}"))
            }
            Err(_) => return,
        };
        if message_stream::send(&mut write, &response).await.is_err() {
            return;
        }
    }
}

/// Asks the running director of `instance`, and waits for its answer.
pub(crate) fn ask(instance: &Instance, request: &Request) -> Result<Response, Failure> {
    use std::io::{BufRead, BufReader, Write};
    let not_running = |error| Failure::NotRunning {
        instance: instance.clone(),
        error,
    };
    let conversation = Failure::system("talking to the running director");
    let path = instance.control_socket();
    let mut socket = std::os::unix::net::UnixStream::connect(path).map_err(not_running)?;
    let response = || -> io::Result<Response> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        socket.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(&socket).read_line(&mut answer)?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&answer)?)
    };
    let mut response = response;
    response().map_err(conversation)
}
