//! The control socket: both ends of it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use elver_core::api::{Request, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::conversation::Conversation;
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
    // The process of somebody outside of a container has no number inside.
    match socket.peer_cred() {
        Ok(peer) if peer.uid() == 0 => {}
        Ok(peer) => {
            let (user, process) = (peer.uid(), peer.pid().unwrap_or(0));
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

/// Asks the running director of `instance`, and waits for its answer, but not for ever.
pub(crate) fn ask(instance: &Instance, request: &Request) -> Result<Response, Failure> {
    let patience = match request {
        // Everything is looked at, and scripts are checked.
        Request::Reload | Request::Difference(_) => Duration::from_secs(60),
        Request::Edit(_)
        | Request::Adopt(_)
        | Request::Upgrade
        | Request::Status
        | Request::Drain { .. }
        | Request::Undrain(_) => Duration::from_secs(5),
    };
    let deadline = Instant::now() + patience;
    let mut conversation =
        Conversation::connect(&instance.control_socket(), deadline).map_err(|error| {
            Failure::NotRunning {
                instance: instance.clone(),
                error,
            }
        })?;
    conversation.ask(request, deadline).map_err(|error| {
        if error.kind() == io::ErrorKind::TimedOut {
            let seconds = patience.as_secs();
            return Failure::Refused(format!(
                "the director of instance {instance} has not answered for {seconds} s; see its \
                 log, and restart it if it hangs"
            ));
        }
        Failure::system("talking to the running director")(error)
    })
}
