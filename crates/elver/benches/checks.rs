//! What checks cost: TCP checks by the check process, beside a bare loop that makes and closes
//! the same connections without blocking, in the same run.
//!
//! For each number of checks, made once a second, of which 1 % are refused and 1 % hang: the
//! processor time per check, how late checks come, and the memory per check. All of it on
//! loopback. Writes a table, and `target/checks.json`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use elver_core::check::messages::{Assignment, Begin, ToChecks};
use elver_core::check::{CheckName, Health};
use elver_core::config::model::{Check, CheckPath, Connection, Probe, Timing};
use elver_core::service::{Protocol, ServiceKey};
use elver_sys::socket_passing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde_json::json;

const INTERVAL: Duration = Duration::from_secs(1);
/// So long each number of checks is measured, after a while to settle.
const MEASURED: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(4);
/// Numbers of checks, which are as many a second.
const STEPS: [usize; 3] = [1000, 4000, 8000];
/// Connections of the bare loop.
const BARE: usize = 20_000;

fn main() {
    elver_raise_descriptors();
    let server = Server::start();
    let mut rows = Vec::new();
    println!(
        "  checks/s   µs each   bare µs   ratio   late ms: 50 %    99 %     most   KiB each   missed"
    );
    for count in STEPS {
        rows.push(measure(&server, count));
    }
    let text = serde_json::to_string_pretty(&json!({ "checks": rows })).expect("JSON");
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/checks.json");
    std::fs::write(target, text).expect("a file");
}

fn elver_raise_descriptors() {
    elver_sys::process::raise_descriptor_limit().expect("descriptors");
}

/// Where connections are accepted, refused, and left hanging.
struct Server {
    port: u16,
    refused: u16,
    hanging: SocketAddr,
    /// When connections came, by the address that they came to.
    arrived: Arc<Mutex<BTreeMap<Ipv4Addr, Vec<Instant>>>>,
    _full: Vec<std::net::TcpStream>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        // The standard library's queue of 128 is too short for a burst.
        rustix::net::listen(&listener, 4096).expect("a queue");
        let port = listener.local_addr().expect("its address").port();
        let closed = TcpListener::bind("0.0.0.0:0").expect("a port");
        let refused = closed.local_addr().expect("its address").port();
        drop(closed);
        let arrived = Arc::new(Mutex::new(BTreeMap::<_, Vec<Instant>>::new()));
        let arrivals = arrived.clone();
        std::thread::spawn(move || {
            while let Ok((peer, _)) = listener.accept() {
                let now = Instant::now();
                if let Ok(SocketAddr::V4(to)) = peer.local_addr() {
                    let mut arrivals = arrivals.lock().expect("no panic");
                    arrivals.entry(*to.ip()).or_default().push(now);
                }
            }
        });
        let (hanging, full) = hanging();
        Server {
            port,
            refused,
            hanging,
            arrived,
            _full: full,
        }
    }

    /// Where the check with this number goes.
    fn target(&self, number: usize) -> SocketAddr {
        let [_, b, c, d] = (number as u32 + 256).to_be_bytes();
        let address = Ipv4Addr::new(127, b + 1, c, d);
        match number % 100 {
            0 => SocketAddrV4::new(address, self.refused).into(),
            1 => self.hanging,
            _ => SocketAddrV4::new(address, self.port).into(),
        }
    }
}

/// A listener whose queue is full, so that those who come hear nothing.
fn hanging() -> (SocketAddr, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    rustix::net::listen(&listener, 0).expect("a queue");
    let address = listener.local_addr().expect("its address");
    let mut full = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300))
    {
        full.push(stream);
    }
    std::mem::forget(listener);
    (address, full)
}

fn measure(server: &Server, count: usize) -> serde_json::Value {
    let (mut process, socket) = check_process();
    let idle = memory(&process);
    // News are taken, so that nobody waits for this side.
    let reader = BufReader::new(socket.try_clone().expect("a descriptor"));
    let news = std::thread::spawn(move || reader.lines().map_while(Result::ok).count());
    configure(&socket, server, count);
    std::thread::sleep(INTERVAL + SETTLE);
    server.arrived.lock().expect("no panic").clear();
    let (begun, before) = (Instant::now(), processor_time(&process));
    std::thread::sleep(MEASURED);
    let spent = processor_time(&process) - before;
    let wall = begun.elapsed();
    let arrived = std::mem::take(&mut *server.arrived.lock().expect("no panic"));
    let bare = bare_loop(server);
    let memory = (memory(&process).saturating_sub(idle)) as f64 / count as f64;
    socket.shutdown(Shutdown::Both).expect("it is open");
    process.wait().expect("it ends");
    news.join().expect("no panic");

    let seen: usize = arrived.values().map(Vec::len).sum();
    // Of those that are refused or hang nothing arrives.
    let made = seen as f64 * 100.0 / 98.0;
    let cost = spent.as_secs_f64() * 1e6 / made;
    let mut late: Vec<f64> = arrived
        .values()
        .flat_map(|times| times.windows(2))
        .map(|pair| (pair[1] - pair[0]).as_secs_f64() - INTERVAL.as_secs_f64())
        .map(|late| late.max(0.0) * 1e3)
        .collect();
    late.sort_by(f64::total_cmp);
    let percentile = |part: f64| late[((late.len() - 1) as f64 * part) as usize];
    let missed = late.iter().filter(|late| **late > 1000.0).count();
    let rate = made / wall.as_secs_f64();
    println!(
        "{rate:10.0} {cost:9.1} {bare:9.1} {:7.2} {:15.2} {:7.2} {:8.2} {memory:10.1} {missed:8}",
        cost / bare,
        percentile(0.5),
        percentile(0.99),
        percentile(1.0),
    );
    json!({
        "checks_per_second": rate,
        "microseconds_per_check": cost,
        "bare_microseconds": bare,
        "late_milliseconds": {
            "median": percentile(0.5), "p99": percentile(0.99), "most": percentile(1.0),
        },
        "kibibytes_per_check": memory,
        "missed": missed,
    })
}

/// A check process, as the director starts one.
fn check_process() -> (Child, UnixStream) {
    let (here, there) = UnixStream::pair().expect("a socket");
    let process = Command::new(env!("CARGO_BIN_EXE_elver"))
        .args(["process", "check"])
        .stdin(Stdio::from(OwnedFd::from(there)))
        .spawn()
        .expect("it starts");
    let (ours, theirs) = socket_passing::pair().expect("a channel");
    socket_passing::give(&here, theirs.as_fd()).expect("it takes it");
    // No check needs help with its socket.
    std::mem::forget(ours);
    // Long enough to have settled.
    std::thread::sleep(Duration::from_millis(500));
    (process, here)
}

fn configure(mut socket: &UnixStream, server: &Server, count: usize) {
    let service = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: SocketAddr::from(([192, 0, 2, 1], 80)),
    };
    let assignments = (0..count).map(|number| Assignment {
        name: CheckName {
            service,
            real_server: server.target(number),
            // Those that hang are all in one place.
            number: (number / 100) as u16,
        },
        check: Check {
            connection: Connection {
                to: server.target(number),
                timeout: Duration::from_millis(900) + Duration::from_micros(number as u64),
                source: None,
                source_port: None,
                interface: None,
                mark: 0,
                path: CheckPath::Direct,
            },
            probe: Probe::Tcp,
            timing: Timing {
                interval: INTERVAL,
                retries: 1,
                delay_before_retry: INTERVAL,
                warmup: INTERVAL,
                alpha: false,
                log_all_failures: false,
            },
        },
        begin: Begin::Start(Health::Up),
    });
    let message = ToChecks::Configure(assignments.collect());
    let mut line = serde_json::to_vec(&message).expect("JSON");
    line.push(b'\n');
    socket.write_all(&line).expect("it listens");
}

/// Microseconds of processor time for a connection that is made and closed, by a loop that
/// does nothing else and does not block.
fn bare_loop(server: &Server) -> f64 {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let begun = thread_time();
            for number in 0..BARE {
                let target = SocketAddrV4::new(
                    Ipv4Addr::new(127, 0, (number / 250) as u8, (number % 250 + 1) as u8),
                    server.port,
                );
                let socket = rustix::net::socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
                    None,
                )
                .expect("a socket");
                match rustix::net::connect(&socket, &SocketAddr::from(target)) {
                    Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
                    Err(error) => panic!("{target}: {error}"),
                }
                let mut ready = [PollFd::new(&socket, PollFlags::OUT)];
                let limit = Timespec {
                    tv_sec: 5,
                    tv_nsec: 0,
                };
                poll(&mut ready, Some(&limit)).expect("an event");
                rustix::net::sockopt::socket_error(&socket)
                    .expect("its error")
                    .expect("a connection");
            }
            (thread_time() - begun).as_secs_f64() * 1e6 / BARE as f64
        });
        thread.join().expect("no panic")
    })
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The processor time of a process, in the kernel and out of it, in steps of 10 ms.
fn processor_time(process: &Child) -> Duration {
    let path = format!("/proc/{}/stat", process.id());
    let stat = std::fs::read_to_string(path).expect("it lives");
    let (_, rest) = stat.rsplit_once(')').expect("its name");
    let mut fields = rest.split_whitespace().skip(11);
    let mut field = || fields.next().and_then(|field| field.parse::<u64>().ok());
    // utime and stime of proc(5).
    let ticks = field().expect("utime") + field().expect("stime");
    Duration::from_millis(ticks * 10)
}

/// The memory of a process, in KiB.
fn memory(process: &Child) -> u64 {
    let path = format!("/proc/{}/status", process.id());
    let status = std::fs::read_to_string(path).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .expect("its size")
}
