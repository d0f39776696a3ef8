//! `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore`.
//!
//! Lists are read from the pinned maps, with or without a director that runs; changes are
//! asked of the running director through its control socket.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::hash::Hash;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use elver_core::api::{Request, Response};
use elver_core::ipvsadm::{self, Names, Session, Table, Unavailable};
use elver_core::service::{
    ConnectionState, Edit, EditError, Protocol, ServiceState, SyncDaemon, Timeouts,
};
use elver_sys::names;

use crate::conversation::Conversation;

/// The name under which the program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// `ipvsadm`.
    Ipvsadm,
    /// `ipvsadm-save`.
    Save,
    /// `ipvsadm-restore`.
    Restore,
}

impl Program {
    /// The program of the first word of a command line, with or without a directory.
    pub(crate) fn from_path(path: &OsStr) -> Option<Program> {
        match Path::new(path).file_name()?.to_str()? {
            "ipvsadm" => Some(Program::Ipvsadm),
            "ipvsadm-save" => Some(Program::Save),
            "ipvsadm-restore" => Some(Program::Restore),
            _ => None,
        }
    }
}

/// What ipvsadm reads of the data plane.
pub(crate) trait Reader {
    /// Every service, with its destinations newest first.
    fn services(&self) -> Vec<ServiceState>;
    /// Every connection.
    fn connections(&self) -> Box<dyn Iterator<Item = ConnectionState> + '_>;
    /// The timeouts of connections.
    fn timeouts(&self) -> Timeouts;
    /// The sync daemons that run.
    fn sync_daemons(&self) -> Vec<SyncDaemon>;
}

/// The instance that ipvsadm works on.
pub(crate) struct Instance<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Where its director listens.
    pub(crate) control_socket: PathBuf,
    /// Opens its pinned maps; the error is in words.
    pub(crate) open: &'a dyn Fn() -> Result<Box<dyn Reader>, String>,
}

/// Runs a program with its arguments on an instance.
pub(crate) fn main(program: Program, arguments: &[OsString], instance: Instance<'_>) -> ExitCode {
    let words: Vec<String> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let mut table = DirectorTable {
        instance,
        patience: Duration::from_secs(5),
        reader: None,
        control: None,
    };
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut session = Session {
        program: "ipvsadm",
        privileged: rustix::process::geteuid().is_root(),
        table: &mut table,
        names: &SystemNames::default(),
        input: &mut io::stdin().lock(),
        output: &mut output,
        errors: &mut io::stderr().lock(),
    };
    let status = match program {
        Program::Ipvsadm => ipvsadm::run(&words, &mut session),
        Program::Save => ipvsadm::save(&words, &mut session),
        Program::Restore => ipvsadm::restore(&mut session),
    };
    match status.and_then(|status| output.flush().map(|()| status)) {
        Ok(status) => ExitCode::from(status),
        // Whoever read the list has seen enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ipvsadm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The table of an instance: maps to read from, a director to ask for changes. Each is opened
/// when it is first needed.
struct DirectorTable<'a> {
    instance: Instance<'a>,
    /// How long a change may take.
    patience: Duration,
    reader: Option<Box<dyn Reader>>,
    control: Option<Conversation>,
}

impl DirectorTable<'_> {
    fn reader(&mut self) -> Result<&dyn Reader, Unavailable> {
        if self.reader.is_none() {
            let opened = (self.instance.open)().map_err(|error| Unavailable {
                reason: format!(
                    "instance {} has no data plane in this kernel ({error})",
                    self.instance.name
                ),
                remedy: START.to_owned(),
            })?;
            self.reader = Some(opened);
        }
        Ok(self.reader.as_deref().expect("it has just been opened"))
    }

    fn ask(&mut self, edits: &[Edit]) -> Result<Response, Unavailable> {
        // What it has read will not be so any more.
        self.reader = None;
        let deadline = Instant::now() + self.patience;
        let asked = (|| {
            let mut control = match self.control.take() {
                Some(control) => control,
                None => Conversation::connect(&self.instance.control_socket, deadline)?,
            };
            let response = control.ask(&Request::Edit(edits.to_vec()), deadline)?;
            // One that has failed has lost its place in the conversation.
            self.control = Some(control);
            Ok(response)
        })();
        asked.map_err(|error: io::Error| self.no_director(&error))
    }

    fn no_director(&self, error: &io::Error) -> Unavailable {
        let name = self.instance.name;
        let socket = self.instance.control_socket.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Unavailable {
                reason: format!(
                    "the director of instance {name} is not running, so nothing can be changed"
                ),
                remedy: START.to_owned(),
            },
            io::ErrorKind::TimedOut => Unavailable {
                reason: format!(
                    "the director of instance {name} has not answered for {} s at {socket}",
                    self.patience.as_secs()
                ),
                remedy: "The change may still be made; see its log, and restart it if it hangs."
                    .to_owned(),
            },
            _ => Unavailable {
                reason: format!("the director of instance {name} at {socket}: {error}"),
                remedy: "See its log.".to_owned(),
            },
        }
    }
}

/// What to do where nothing runs.
const START: &str = "Start the director with `elver run' (or `systemctl start elver'); ELVER_INSTANCE names another instance.";

impl Table for DirectorTable<'_> {
    fn services(&mut self) -> Result<Vec<ServiceState>, Unavailable> {
        Ok(self.reader()?.services())
    }

    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = ConnectionState> + '_>, Unavailable> {
        Ok(self.reader()?.connections())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Unavailable> {
        Ok(self.reader()?.timeouts())
    }

    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Unavailable> {
        Ok(self.reader()?.sync_daemons())
    }

    fn edit(&mut self, edits: &[Edit]) -> Result<Vec<Option<EditError>>, Unavailable> {
        let words = match self.ask(edits)? {
            Response::Edited(outcomes) if outcomes.len() == edits.len() => return Ok(outcomes),
            Response::Failed(words) => words,
            other => format!("an answer to another question: {other:?}"),
        };
        Ok(vec![Some(EditError::System(words)); edits.len()])
    }
}

/// The names of this machine. Each is looked up once, as long as there are not too many.
#[derive(Default)]
struct SystemNames {
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
    services: RefCell<HashMap<(u16, Protocol), Option<String>>>,
}

/// Names that are kept; a list of a million connections takes no more memory than this many.
const KEPT_NAMES: usize = 1 << 16;

impl Names for SystemNames {
    fn host_to_address(&self, name: &str) -> Option<Ipv4Addr> {
        names::ipv4_address_of_host(name)
    }

    fn address_to_host(&self, address: IpAddr) -> Option<String> {
        remembered(&self.hosts, address, names::host_of_address)
    }

    fn service_to_port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        names::port_of_service(name, services_name(protocol))
    }

    fn port_to_service(&self, port: u16, protocol: Protocol) -> Option<String> {
        remembered(&self.services, (port, protocol), |(port, protocol)| {
            names::service_of_port(port, services_name(protocol))
        })
    }
}

fn remembered<K: Copy + Eq + Hash>(
    known: &RefCell<HashMap<K, Option<String>>>,
    key: K,
    look_up: impl FnOnce(K) -> Option<String>,
) -> Option<String> {
    let mut known = known.borrow_mut();
    if known.len() >= KEPT_NAMES {
        known.clear();
    }
    known.entry(key).or_insert_with(|| look_up(key)).clone()
}

/// The name of a protocol in /etc/services.
fn services_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A path in a folder of the test's own, which goes with it.
    struct SocketPath(PathBuf);

    impl SocketPath {
        fn new() -> SocketPath {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("elver-ipvsadm-{}-{number}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder).expect("a folder for a socket");
            SocketPath(folder.join("control"))
        }
    }

    impl Drop for SocketPath {
        fn drop(&mut self) {
            let folder = self.0.parent().expect("the folder");
            std::fs::remove_dir_all(folder).expect("the folder goes");
        }
    }

    struct Empty;

    impl Reader for Empty {
        fn services(&self) -> Vec<ServiceState> {
            Vec::new()
        }
        fn connections(&self) -> Box<dyn Iterator<Item = ConnectionState> + '_> {
            Box::new(std::iter::empty())
        }
        fn timeouts(&self) -> Timeouts {
            Timeouts::default()
        }
        fn sync_daemons(&self) -> Vec<SyncDaemon> {
            Vec::new()
        }
    }

    /// Runs ipvsadm; gives the exit status, the output and the errors.
    fn run(socket: &Path, patience: Duration, line: &str, input: &str) -> (u8, String, String) {
        let mut table = DirectorTable {
            instance: Instance {
                name: "default",
                control_socket: socket.to_owned(),
                open: &|| Ok(Box::new(Empty)),
            },
            patience,
            reader: None,
            control: None,
        };
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut session = Session {
            program: "ipvsadm",
            privileged: true,
            table: &mut table,
            names: &SystemNames::default(),
            input: &mut input.as_bytes(),
            output: &mut output,
            errors: &mut errors,
        };
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let status = ipvsadm::run(&words, &mut session).expect("writing to memory");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (status, text(output), text(errors))
    }

    /// Long enough for a director that answers, however busy the machine is.
    const LONG: Duration = Duration::from_secs(60);
    /// For one that does not.
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn rules_are_asked_of_the_director_over_one_connection() {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path.0).expect("a socket");
        let director = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a connection");
            let requests = BufReader::new(socket.try_clone().expect("a second handle"));
            let mut seen = Vec::new();
            for line in requests.lines() {
                let Ok(Request::Edit(edits)) = serde_json::from_str(&line.expect("a line")) else {
                    panic!("not edits");
                };
                let outcome = |edit: &Edit| match edit {
                    Edit::RemoveService { .. } => Some(EditError::NoSuchService),
                    _ => None,
                };
                let response = match edits.contains(&Edit::Flush) {
                    true => Response::Failed("elver is stopping".to_owned()),
                    false => Response::Edited(edits.iter().map(outcome).collect()),
                };
                seen.push(edits.len());
                // An answer in two pieces is one answer.
                let mut answer = serde_json::to_vec(&response).expect("JSON");
                answer.push(b'\n');
                let (first, second) = answer.split_at(3);
                socket.write_all(first).expect("the first piece");
                socket.write_all(second).expect("the second piece");
            }
            seen
        });
        // A list between them waits for those before it, and those after it for the list.
        let rules = "-A -t 10.0.0.1:80\n-D -t 10.0.0.2:80\n-L\n-C\n-A -t 10.0.0.3:80\n-L\n\
                     -A -t 10.0.0.3:80\n";
        let (status, _, errors) = run(&path.0, LONG, "-R", rules);
        assert_eq!(status, 0, "the last rule was taken");
        assert_eq!(
            errors,
            "No such service\n\
             the data plane cannot be changed: elver is stopping\n\
             the data plane cannot be changed: elver is stopping\n"
        );
        assert_eq!(director.join().expect("the director"), [2, 2, 1]);
    }

    #[test]
    fn lists_need_no_director() {
        let path = SocketPath::new();
        let (status, output, errors) = run(&path.0, LONG, "-L --timeout", "");
        assert_eq!((status, errors.as_str()), (0, ""));
        assert_eq!(output, "Timeout (tcp tcpfin udp): 900 120 300\n");
    }

    #[test]
    fn a_change_without_a_director_says_how_to_start_it() {
        let path = SocketPath::new();
        let (status, _, errors) = run(&path.0, LONG, "-A -t 10.0.0.1:80", "");
        assert_eq!(status, 2);
        assert!(
            errors.contains("director of instance default is not running"),
            "{errors}"
        );
        assert!(errors.contains("elver run"), "{errors}");
        // A socket that a dead director has left is no better.
        drop(UnixListener::bind(&path.0).expect("a socket"));
        assert_eq!(run(&path.0, LONG, "-A -t 10.0.0.1:80", "").2, errors);
    }

    #[test]
    fn a_restore_ends_where_there_is_no_director() {
        let path = SocketPath::new();
        let (status, _, errors) = run(&path.0, LONG, "-R", "-C\n-C\n-C\n");
        assert_eq!(status, 2);
        assert_eq!(errors.matches("is not running").count(), 1, "{errors}");
    }

    #[test]
    fn a_director_that_hangs_is_not_waited_for() {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path.0).expect("a socket");
        let (status, _, errors) = run(&path.0, SHORT, "-C", "");
        assert_eq!(status, 2);
        assert!(errors.contains("has not answered"), "{errors}");
        drop(listener);
    }

    #[test]
    fn a_director_whose_queue_is_full_is_not_waited_for() {
        let path = SocketPath::new();
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a socket");
        let address = socket2::SockAddr::unix(&path.0).expect("an address");
        listener.bind(&address).expect("its address");
        listener.listen(0).expect("a queue of one");
        let _queued = UnixStream::connect(&path.0).expect("room for one");
        let (status, _, errors) = run(&path.0, SHORT, "-C", "");
        assert_eq!(status, 2);
        assert!(errors.contains("has not answered"), "{errors}");
    }

    #[test]
    fn a_director_that_hangs_up_is_an_error() {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path.0).expect("a socket");
        let director = std::thread::spawn(move || drop(listener.accept().expect("a connection")));
        let (status, _, errors) = run(&path.0, LONG, "-C", "");
        director.join().expect("the director");
        assert_eq!(status, 2);
        assert!(errors.starts_with("Can't initialize ipvs: "), "{errors}");
    }

    #[test]
    fn programs_are_known_by_their_names() {
        for (path, program) in [
            ("ipvsadm", Some(Program::Ipvsadm)),
            ("/usr/sbin/ipvsadm-save", Some(Program::Save)),
            ("./ipvsadm-restore", Some(Program::Restore)),
            ("elver", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Program::from_path(OsStr::new(path)), program, "{path}");
        }
    }
}
