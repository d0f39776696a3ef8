//! The lab itself, without elver: hosts, links, services and captures over plain routing.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use elver_lab::capture::Capture;
use elver_lab::client::Conversation;
use elver_lab::decode::Decoded;
use elver_lab::service::Service;
use elver_lab::wait::until_true;
use elver_lab::{Error, Host, Lab};

const LIMIT: Duration = Duration::from_secs(30);

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 2, 0, 2), 3306);

/// A client and a server with a router between them.
struct Routed {
    lab: Lab,
    client: Host,
    router: Host,
    server: Host,
}

impl Routed {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name).expect("a lab");
        let host = |name| lab.host(name).expect("a host");
        let (client, router, server) = (host("client"), host("router"), host("server"));
        lab.link((&client, "eth0"), (&router, "eth0"))
            .expect("a link");
        lab.link((&router, "eth1"), (&server, "eth0"))
            .expect("a link");
        let address = |host: &Host, interface, address| {
            host.add_address(interface, address).expect("an address");
        };
        address(&client, "eth0", "10.1.0.2/24");
        address(&router, "eth0", "10.1.0.1/24");
        address(&router, "eth1", "10.2.0.1/24");
        address(&server, "eth0", "10.2.0.2/24");
        client
            .add_default_route(Ipv4Addr::new(10, 1, 0, 1))
            .expect("a route");
        server
            .add_default_route(Ipv4Addr::new(10, 2, 0, 1))
            .expect("a route");
        router
            .set_sysctl("net/ipv4/ip_forward", "1")
            .expect("forwarding");
        Self {
            lab,
            client,
            router,
            server,
        }
    }

    fn serve(&self) -> Service {
        Service::start(&self.server, "rs2", SERVER).expect("a service")
    }

    fn connect(&self) -> Result<Conversation, Error> {
        Conversation::open(&self.client, SERVER, LIMIT)
    }
}

fn namespaces_of(prefix: &str) -> Vec<String> {
    let output = Command::new("ip")
        .args(["netns", "list"])
        .output()
        .expect("ip runs");
    let listing = String::from_utf8(output.stdout).expect("names are text");
    listing
        .lines()
        .filter(|line| line.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

/// Whether a process runs; one that has ended and whose parent has not noticed does not.
fn runs(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().expect("a state").starts_with(" Z"))
}

#[test]
fn a_service_says_who_it_is_and_whom_it_sees() {
    let network = Routed::new("greeting");
    let service = network.serve();
    let mut conversation = network.connect().expect("a connection");
    assert_eq!(conversation.greeting().name, "rs2");
    assert_eq!(conversation.greeting().at, SERVER.into());
    assert_eq!(
        conversation.greeting().sees,
        conversation.local_address().expect("an address")
    );
    conversation.echo("hello").expect("an echo");
    assert_eq!(service.accepted(), 1);
}

#[test]
fn bulk_data_passes_in_both_directions() {
    let network = Routed::new("bulk");
    let _service = network.serve();
    let mut conversation = network.connect().expect("a connection");
    conversation.upload(20_000_003).expect("an upload");
    conversation.download(20_000_003).expect("a download");
    conversation.echo("still here").expect("an echo after both");
}

#[test]
fn a_stopped_service_refuses_and_a_started_one_answers() {
    let network = Routed::new("stopped");
    let service = network.serve();
    let mut conversation = network.connect().expect("a connection");
    drop(service);
    assert!(matches!(
        conversation.echo("anyone?"),
        Err(Error::System { .. })
    ));
    // A test beside this one may just have forked: until its child runs a program of its own, it
    // holds the listener as well.
    let is_refused = || {
        Ok(matches!(
            network.connect(),
            Err(Error::System { source, .. })
                if source.kind() == std::io::ErrorKind::ConnectionRefused
        ))
    };
    until_true("a refusal", LIMIT, is_refused, String::new).expect("a refusal");
    let _service = network.serve();
    network.connect().expect("a connection to the new service");
}

#[test]
fn a_capture_sees_both_directions_of_a_connection() {
    let network = Routed::new("capture");
    let _service = network.serve();
    let capture = Capture::start(&network.router, "eth1").expect("a capture");
    let conversation = network.connect().expect("a connection");
    let client = conversation.local_address().expect("an address");
    let frames = capture.finish();
    let syn = frames
        .iter()
        .find(|frame| matches!(frame.decode(), Decoded::Tcp(tcp) if tcp.syn && !tcp.ack))
        .expect("a SYN");
    assert!(syn.outgoing, "{syn}");
    let Decoded::Tcp(tcp) = syn.decode() else {
        panic!("{syn}")
    };
    assert_eq!((tcp.source, tcp.destination), (client, SERVER.into()));
    let answer = frames
        .iter()
        .find(|frame| matches!(frame.decode(), Decoded::Tcp(tcp) if tcp.syn && tcp.ack))
        .expect("a SYN-ACK");
    assert!(!answer.outgoing, "{answer}");
    assert!(answer.time >= syn.time);
}

#[test]
fn a_switch_connects_three_hosts() {
    let lab = Lab::new("switched").expect("a lab");
    let hosts: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|name| lab.host(name).expect("a host"))
        .collect();
    let ends: Vec<_> = hosts.iter().map(|host| (host, "eth0")).collect();
    lab.segment("switch", &ends).expect("a segment");
    for (number, host) in (1..).zip(&hosts) {
        host.add_address("eth0", &format!("10.3.0.{number}/24"))
            .expect("an address");
    }
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 3, 0, 3), 80);
    let _service = Service::start(&hosts[2], "three", address).expect("a service");
    for host in &hosts[..2] {
        let conversation = Conversation::open(host, address, LIMIT).expect("a connection");
        assert_eq!(conversation.greeting().name, "three");
    }
}

#[test]
fn programs_run_in_their_host_and_share_the_file_system() {
    let network = Routed::new("programs");
    let mut command = network.client.command("ip").expect("a command");
    command.args(["-oneline", "address", "show", "dev", "eth0"]);
    let output = network.client.output(command, LIMIT).expect("ip runs");
    assert!(
        output
            .success()
            .expect("ip succeeds")
            .contains("10.1.0.2/24")
    );

    let mut command = network.client.command("readlink").expect("a command");
    command.arg("/proc/self/ns/mnt");
    let output = network
        .client
        .output(command, LIMIT)
        .expect("readlink runs");
    let own = std::fs::read_link("/proc/self/ns/mnt").expect("a link");
    assert_eq!(
        output.success().expect("readlink succeeds").trim(),
        own.to_string_lossy()
    );
}

#[test]
fn a_program_that_takes_too_long_is_killed() {
    let lab = Lab::new("slow").expect("a lab");
    let host = lab.host("host").expect("a host");
    let mut command = host.command("sleep").expect("a command");
    command.arg("1000");
    let outcome = host.output(command, Duration::from_millis(100));
    assert!(matches!(outcome, Err(Error::Unmet { .. })), "{outcome:?}");
}

#[test]
fn a_dropped_lab_leaves_nothing() {
    let network = Routed::new("dropped");
    let (prefix, directory) = (
        network.lab.prefix().to_owned(),
        network.lab.directory().to_owned(),
    );
    let mut command = network.client.command("sleep").expect("a command");
    command.arg("1000");
    let program = network.client.start("sleep", command).expect("a program");
    let process = program.id().to_string();
    assert!(program.is_running() && runs(&process));
    assert_eq!(namespaces_of(&prefix).len(), 3);
    drop(network);
    assert_eq!(namespaces_of(&prefix), [""; 0]);
    assert!(!runs(&process) && !directory.exists());
}

#[test]
fn orphans_of_a_program_end_with_the_lab() {
    let network = Routed::new("orphans");
    let orphan = network.lab.directory().join("orphan");
    let mut command = network.client.command("sh").expect("a command");
    // The shell ends at once; the process it leaves behind ignores SIGTERM.
    command.arg("-c").arg(format!(
        "trap '' TERM; sleep 1000 >/dev/null 2>&1 & echo $! > {}",
        orphan.display()
    ));
    network.client.output(command, LIMIT).expect("a shell");
    let number = std::fs::read_to_string(&orphan).expect("the orphan's number");
    assert!(runs(number.trim()));
    drop(network);
    assert!(!runs(number.trim()));
}

#[test]
fn a_panic_takes_the_lab_down_and_keeps_its_records() {
    let told = std::thread::spawn(|| {
        let network = Routed::new("panicked");
        let _service = network.serve();
        let _capture = Capture::start(&network.router, "eth0").expect("a capture");
        network.connect().expect("a connection");
        std::panic::panic_any((
            network.lab.prefix().to_owned(),
            network.lab.directory().to_owned(),
        ))
    })
    .join()
    .expect_err("it panics");
    let (prefix, directory) = *told
        .downcast::<(String, std::path::PathBuf)>()
        .expect("what the thread told");
    assert_eq!(namespaces_of(&prefix), [""; 0]);
    assert!(!directory.exists());
    let records = directory.with_file_name(format!("{prefix}-records"));
    let pcap = records.join("router-eth0.pcap");
    let read = Command::new("tcpdump")
        .arg("-nr")
        .arg(&pcap)
        .output()
        .expect("tcpdump runs");
    let text = String::from_utf8(read.stdout).expect("text");
    assert!(text.contains("> 10.2.0.2.3306: Flags [S]"), "{text}");
    std::fs::remove_dir_all(&records).expect("the records go");
}

#[test]
fn two_labs_of_one_name_do_not_meet() {
    let _lab = Lab::new("twice").expect("a lab");
    assert!(matches!(Lab::new("twice"), Err(Error::NameTaken(name)) if name == "twice"));
}

/// What `killed_run` and the signal tests run in a process of its own: a lab that stays.
#[test]
#[ignore = "run by other tests, as a process of its own"]
fn stay() {
    let name = std::env::var("ELVER_LAB_STAY").expect("the name of the lab");
    let script = std::env::var("ELVER_LAB_SCRIPT").expect("what its program does");
    let network = Routed::new(&name);
    let mut command = network.client.command("sh").expect("a command");
    command.args(["-c", &script]);
    let program = network.client.start("shell", command).expect("a program");
    let ready = || Ok(program.log().contains("ready"));
    until_true("the shell", LIMIT, ready, || program.log()).expect("it says that it is");
    println!("standing {}", program.id());
    std::thread::sleep(Duration::from_secs(600));
}

/// Starts [`stay`] as a process; gives it back with the process number of its program.
fn start_stay(name: &str, script: &str) -> (std::process::Child, String) {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["stay", "--exact", "--ignored", "--nocapture"])
        .env("ELVER_LAB_STAY", name)
        .env("ELVER_LAB_SCRIPT", script)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let number = output
        .lines()
        .find_map(|line| {
            let line = line.expect("text");
            // The test harness writes its own words before it, on the same line.
            line.split_once("standing ")
                .map(|(_, number)| number.to_owned())
        })
        .expect("the lab stands");
    (child, number)
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let (mut child, program) = start_stay("killed", "trap '' TERM; echo ready; sleep 1000");
    let prefix = format!("elver-killed-{}", child.id());
    child.kill().expect("a kill");
    child.wait().expect("an end");
    assert_eq!(
        namespaces_of(&prefix).len(),
        3,
        "nothing could clean up after a kill"
    );
    assert!(runs(&program));

    let _other = Lab::new("killed-not").expect("a lab of another name");
    assert_eq!(
        namespaces_of(&prefix).len(),
        3,
        "another lab's leftovers are not its business"
    );

    let _next = Lab::new("killed").expect("the next lab of the name");
    assert_eq!(namespaces_of(&prefix), [""; 0]);
    assert!(!runs(&program));
    assert!(!std::env::temp_dir().join(&prefix).exists());
}

#[test]
fn a_signal_takes_the_lab_down_before_it_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    let (mut child, program) = start_stay("signalled", "echo ready; sleep 1000");
    let prefix = format!("elver-signalled-{}", child.id());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let status = child.wait().expect("an end");
    assert_eq!(status.signal(), Some(rustix::process::Signal::INT.as_raw()));
    assert_eq!(namespaces_of(&prefix), [""; 0]);
    assert!(!runs(&program));
    assert!(!std::env::temp_dir().join(&prefix).exists());
}
