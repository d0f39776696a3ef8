//! The command lines of keepalived and genhash, held against the real ones, and what the
//! daemon does by keepalived's options. Needs root.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use support::{eventually, sh, terminate};

/// What a program has printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Printed {
    command.stdin(std::process::Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    Printed {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// A folder with links to elver by the names that it goes by, gone when dropped.
struct Links {
    folder: PathBuf,
}

impl Links {
    fn new(test: &str) -> Links {
        let folder = std::env::temp_dir().join(format!("elver-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["keepalived", "genhash"] {
            symlink(env!("CARGO_BIN_EXE_elver"), folder.join(name)).unwrap();
        }
        Links { folder }
    }

    fn ours(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn real(name: &str) -> &'static Path {
    let path = match name {
        "keepalived" => "/usr/sbin/keepalived",
        _ => "/usr/bin/genhash",
    };
    assert!(
        Path::new(path).exists(),
        "the real {name} is not installed: run tools/set-up"
    );
    Path::new(path)
}

/// Lines of which both say the same, to the letter, with the same exit code.
#[test]
fn options_are_refused_as_keepalived_refuses_them() {
    let links = Links::new("refused");
    for line in [
        "-Z",
        "--bogus",
        "--dont",
        "--v",
        "-f",
        "-i",
        "--signum=BOGUS",
        "--signum=data",
        "--signum=STOP",
        "--signum=RELOAD",
        "--signum=DATA",
        "--signum=STATS",
        "--signum=STATS_CLEAR",
        "--signum=JSON",
        "--signum JSON",
        "-n --signum=JSON",
    ] {
        let words = line.split_whitespace();
        let theirs = run(Command::new(real("keepalived")).args(words.clone()));
        let ours = run(Command::new(links.ours("keepalived")).args(words));
        assert_eq!(ours, theirs, "keepalived {line}");
    }
}

/// What keepalived complains of before it goes on.
#[test]
fn complaints_about_options_are_keepalives() {
    let links = Links::new("complaints");
    let file = links.folder.join("empty.conf");
    std::fs::write(&file, "# nothing\n").unwrap();
    for line in ["-S 9 -t", "-S local8 -t", "-t extra", "-u zz -t"] {
        let lines = |program: &Path| {
            let words = line.split_whitespace();
            let printed = run(Command::new(program).arg("-f").arg(&file).args(words));
            let lines = printed.err.lines().chain(printed.out.lines());
            lines
                .map(|line| line.trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        let theirs = lines(real("keepalived"));
        let complaint = theirs.first().expect("it complains");
        let ours = lines(&links.ours("keepalived"));
        assert!(
            // The real one ends not every line.
            ours.iter()
                .any(|line| !line.is_empty() && complaint.starts_with(line)),
            "keepalived {line}: {ours:?}, and the real one {complaint}"
        );
    }
}

/// The options of a help text, by letter and word, and what follows them.
fn options_of(help: &str) -> BTreeMap<String, String> {
    let lines = help
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"));
    lines
        .map(|line| {
            let option = line.trim_start();
            let (spelling, rest) = match option.find(['=', '[', ' ']) {
                Some(at) if option.starts_with("--") => option.split_at(at),
                _ => {
                    let at = option[4..].find(['=', '[', ' ']).map(|at| at + 4);
                    option.split_at(at.unwrap_or(option.len()))
                }
            };
            let value = rest.split_whitespace().next().unwrap_or_default();
            let takes = match value.as_bytes().first() {
                Some(b'=') => "a value",
                Some(b'[') => "perhaps a value",
                _ => "",
            };
            (spelling.to_owned(), takes.to_owned())
        })
        .collect()
}

#[test]
fn the_help_has_every_option_of_keepalived() {
    let links = Links::new("help");
    let theirs = run(Command::new(real("keepalived")).arg("-h"));
    let ours = run(Command::new(links.ours("keepalived")).arg("-h"));
    assert_eq!((ours.code, &ours.out), (theirs.code, &theirs.out));
    let known = options_of(&ours.err);
    let wanted = options_of(&theirs.err);
    assert!(wanted.len() > 30, "{wanted:?}");
    for (option, value) in wanted {
        let value = match option.as_str() {
            // keepalived's own text leaves the sign of its value out,
            "-i, --config-id" => "a value",
            // and says of this one that it has a default.
            "-M, --core-dump-pattern" => "perhaps a value",
            _ => &value,
        };
        assert_eq!(
            known.get(&option).map(String::as_str),
            Some(value),
            "{option}"
        );
    }
}

#[test]
fn the_version_begins_as_scripts_expect() {
    let links = Links::new("version");
    let theirs = run(Command::new(real("keepalived")).arg("--version"));
    let ours = run(Command::new(links.ours("keepalived")).arg("--version"));
    assert_eq!((ours.code, &ours.out), (theirs.code, &theirs.out));
    let word = |text: &str| {
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(word(&ours.err), word(&theirs.err));
}

/// Answers a number of requests, each with the same page, and gives the requests back.
fn serve(page: &'static [u8], requests: usize) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for _ in 0..requests {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut octet = [0; 1];
            while !request.ends_with(b"\r\n\r\n") && client.read(&mut octet).unwrap() == 1 {
                request.push(octet[0]);
            }
            heard.push(String::from_utf8(request).unwrap());
            client.write_all(page).unwrap();
        }
        heard
    });
    (port, served)
}

#[test]
fn genhash_asks_and_prints_as_the_real_one() {
    let links = Links::new("genhash");
    let page = b"HTTP/1.0 200 OK\r\nServer: test\r\n\r\nabc\ndef \x01\xff ghi jkl mno";
    for line in [
        "-u /x",
        "-u /x -P 1.1",
        "-u /x -P 1.0c",
        "-u /x -V example.org",
        "-u /x -V example.org --protocol 1.1",
        "-u /x -v",
        "--url /x --verbose",
    ] {
        let (port, served) = serve(page, 2);
        let ask = |program: &Path| {
            let printed = run(Command::new(program)
                .args(["-s", "127.0.0.1", "-p", &port.to_string()])
                .args(line.split_whitespace()));
            let timing = |line: &&str| !line.starts_with("Global response time");
            Printed {
                out: printed
                    .out
                    .lines()
                    .filter(timing)
                    .collect::<Vec<_>>()
                    .join("\n"),
                ..printed
            }
        };
        let theirs = ask(real("genhash"));
        let ours = ask(&links.ours("genhash"));
        assert_eq!(ours.out, theirs.out, "genhash {line}");
        assert_eq!(ours.code, theirs.code, "genhash {line}");
        let heard = served.join().unwrap();
        assert_eq!(heard[1], heard[0], "genhash {line}");
    }
}

#[test]
fn genhash_hashes_a_page_by_tls() {
    let links = Links::new("tls");
    let folder = &links.folder;
    std::fs::write(folder.join("page"), "hello\n").unwrap();
    sh(&format!(
        "cd {} && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 2 \
         -subj /CN=test 2>&1",
        folder.display()
    ));
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &port.to_string()])
        .args(["-cert", "certificate", "-key", "key", "-WWW"])
        .current_dir(folder)
        .spawn()
        .unwrap();
    eventually("the server listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let ask = |program: &Path| {
        run(Command::new(program).args([
            "-S",
            "-s",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-u",
            "/page",
        ]))
    };
    let theirs = ask(real("genhash"));
    let ours = ask(&links.ours("genhash"));
    terminate(&mut server);
    assert_eq!(ours, theirs);
    assert_eq!(ours.out, "b1946ac92492d2347c6235b4d2611184\n");
}

#[test]
fn genhash_fails_where_nobody_answers() {
    let links = Links::new("nobody");
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let printed = run(Command::new(links.ours("genhash")).args([
        "-s",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-u",
        "/",
    ]));
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
    assert!(
        printed.err.starts_with("Connection failed"),
        "{}",
        printed.err
    );
    for line in ["", "-Z", "-s x -p 1 -u /", "-s 127.0.0.1 -p 0 -u /", "-h"] {
        let words = line.split_whitespace();
        let theirs = run(Command::new(real("genhash")).args(words.clone()));
        let ours = run(Command::new(links.ours("genhash")).args(words));
        assert_eq!(ours.code, theirs.code, "genhash {line}");
        let has_usage = |printed: &Printed| printed.err.contains("COMMAND [OPTIONS]\nCommands:");
        assert_eq!(has_usage(&ours), has_usage(&theirs), "genhash {line}");
    }
}

/// A host of its own: network, `/run`, `/tmp` and `/dev`, with a syslog that the test reads.
struct Host {
    links: Links,
    /// Holds the namespaces open.
    keeper: Child,
    syslog: UnixDatagram,
}

const CONFIGURATION: &str = "
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    version 3
    virtual_ipaddress {
        10.9.0.1
    }
}
virtual_server 10.9.0.1 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.0.1 81 {
    }
}
";

impl Host {
    fn new(test: &str) -> Host {
        let links = Links::new(test);
        let shown = links.folder.join("syslog");
        let syslog = UnixDatagram::bind(&shown).unwrap();
        std::fs::set_permissions(&shown, std::fs::Permissions::from_mode(0o666)).unwrap();
        std::fs::write(links.folder.join("keepalived.conf"), CONFIGURATION).unwrap();
        // The folder stays visible below /mnt, where the new /tmp does not hide it.
        let script = format!(
            "mount --bind {folder} /mnt
             mount -t tmpfs none /run
             mount -t tmpfs none /tmp
             mkdir /tmp/dev
             for node in null zero random urandom; do cp -a /dev/$node /tmp/dev; done
             mount --bind /tmp/dev /dev
             touch /dev/log
             ln -sf /mnt/syslog /dev/log
             ip link set lo up
             ip link add eth0 type veth peer name eth1
             ip addr add 10.9.0.2/24 dev eth0
             ip link set eth0 up
             ip link set eth1 up
             touch /mnt/ready
             exec sleep infinity",
            folder = links.folder.display()
        );
        let keeper = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-ec", &script])
            .spawn()
            .unwrap();
        let ready = links.folder.join("ready");
        eventually("the host is there", || ready.exists());
        Host {
            links,
            keeper,
            syslog,
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--net",
                "--mount",
                "--target",
                &self.keeper.id().to_string(),
            ])
            .arg(program)
            .env("ELVER_INSTANCE", format!("line-{}", self.keeper.id()));
        command
    }

    fn keepalived(&self, line: &str) -> Command {
        let mut command = self.command("/mnt/keepalived");
        command
            .args(["-f", "/mnt/keepalived.conf"])
            .args(line.split_whitespace());
        command
    }

    fn sh(&self, line: &str) -> String {
        let printed = run(self.command("sh").args(["-c", line]));
        assert_eq!(printed.code, Some(0), "{line}: {printed:?}");
        printed.out
    }

    /// The next line that syslog gets with these words; those before it are lost.
    fn hears(&self, words: &str) -> String {
        self.syslog
            .set_read_timeout(Some(support::PATIENCE))
            .unwrap();
        let mut heard = String::new();
        let mut octets = [0; 4096];
        loop {
            let length = self
                .syslog
                .recv(&mut octets)
                .unwrap_or_else(|error| panic!("{words}: {error}; heard{heard}"));
            let line = String::from_utf8_lossy(&octets[..length]).into_owned();
            if line.contains(words) {
                return line;
            }
            heard = format!("{heard}\n{line}");
        }
    }

    fn has_address(&self) -> bool {
        self.sh("ip -o addr show dev eth0").contains(" 10.9.0.1/")
    }

    /// The process of a pid file.
    fn process(&self, file: &str) -> String {
        self.sh(&format!("cat {file}")).trim().to_owned()
    }

    fn stop(&self, file: &str) {
        let process = self.process(file);
        self.sh(&format!("kill {process}"));
        eventually("it ends", || {
            !Path::new(&format!("/proc/{process}")).exists()
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What a test that failed has left running.
        for file in ["keepalived.pid", "other.pid"] {
            let _ = self
                .command("sh")
                .args(["-c", &format!("kill $(cat /run/{file}) 2>/dev/null")])
                .output();
        }
        let _ = self
            .command("/mnt/keepalived")
            .arg("--signum=STOP")
            .output();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = Command::new(env!("CARGO_BIN_EXE_elver"))
            .args([
                "unload",
                "--instance",
                &format!("line-{}", self.keeper.id()),
            ])
            .output();
    }
}

#[test]
fn the_daemon_lives_in_the_background_and_logs_by_keepaliveds_names() {
    let host = Host::new("daemon");
    let started = run(&mut host.keepalived("-D"));
    assert_eq!(
        started,
        Printed {
            code: Some(0),
            out: String::new(),
            err: String::new()
        }
    );
    let vrrp = host.process("/run/vrrp.pid");
    let line = host.hears("(VI_1) Entering MASTER STATE");
    assert!(
        line.starts_with("<30>") && line.contains(&format!(" Keepalived_vrrp[{vrrp}]: (VI_1)")),
        "{line}"
    );
    let parent = host.process("/run/keepalived.pid");
    assert_eq!(
        host.sh(&format!("cat /proc/{parent}/comm")).trim(),
        "keepalived",
        "pgrep finds it"
    );
    assert_eq!(
        host.sh(&format!("readlink /proc/{parent}/fd/0 /proc/{parent}/fd/2")),
        "/dev/null\n/dev/null\n"
    );

    // A second one does nothing, and is content, as keepalived is.
    let second = run(&mut host.keepalived(""));
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.err.contains("runs already"), "{second:?}");

    host.sh(&format!("kill -HUP {parent}"));
    let line = host.hears("Reload complete");
    assert!(line.contains(&format!(" Keepalived[{parent}]: ")), "{line}");
    // Whoever sends keepalived's vrrp process a signal gets the file.
    host.sh(&format!("kill -USR1 {vrrp}"));
    eventually("the data is there", || {
        host.sh("cat /tmp/keepalived.data 2>/dev/null || true")
            .contains("VRRP Instance = VI_1")
    });
    assert_eq!(host.process("/run/vrrp.pid"), vrrp, "it lives");

    host.stop("/run/keepalived.pid");
    host.hears("Stopped");
    assert!(!host.has_address());
    assert_eq!(host.sh("ls /run | grep pid || true"), "");
}

#[test]
fn a_daemon_that_cannot_start_says_so_to_whoever_started_it() {
    let host = Host::new("cannot");
    let missing = run(host.command("/mnt/keepalived").args(["-f", "/mnt/nothing"]));
    assert_eq!(missing.code, Some(6), "{missing:?}");
    std::fs::write(
        host.links.folder.join("keepalived.conf"),
        CONFIGURATION.replace("eth0", "eth7"),
    )
    .unwrap();
    let interface = run(&mut host.keepalived(""));
    assert_eq!(interface.code, Some(10), "{interface:?}");
    assert!(interface.err.contains("eth7"), "{interface:?}");
    assert_eq!(host.sh("ls /run | grep -c pid || true"), "0\n");
}

#[test]
fn what_is_not_to_be_released_stays() {
    let host = Host::new("stays");
    let started = run(&mut host.keepalived("-V -I -p /run/other.pid"));
    assert_eq!(started.code, Some(0), "{started:?}");
    eventually("it is master", || host.has_address());
    host.stop("/run/other.pid");
    assert!(host.has_address());
    let services = host.sh(
        &format!("{} ipvsadm -Ln", "/proc/self/root/mnt/keepalived").replace(
            "/proc/self/root/mnt/keepalived",
            env!("CARGO_BIN_EXE_elver"),
        ),
    );
    assert!(services.contains("10.9.0.1:80"), "{services}");

    // The next one takes up what is there, and what is left goes with it.
    let started = run(&mut host.keepalived("-p /run/other.pid"));
    assert_eq!(started.code, Some(0), "{started:?}");
    host.hears("Entering MASTER STATE");
    host.stop("/run/other.pid");
    eventually("the address goes", || !host.has_address());
}

#[test]
fn parts_are_left_out_and_nothing_is_respawned() {
    let host = Host::new("parts");
    let started = run(&mut host.keepalived("-C"));
    assert_eq!(started.code, Some(0), "{started:?}");
    let elver = env!("CARGO_BIN_EXE_elver");
    eventually("there is a service", || {
        host.sh(&format!("{elver} ipvsadm -Ln"))
            .contains("10.9.0.1:80")
    });
    assert_eq!(host.sh("ls /run/vrrp.pid 2>/dev/null || true"), "");
    host.stop("/run/keepalived.pid");

    let started = run(&mut host.keepalived("-P -R"));
    assert_eq!(started.code, Some(0), "{started:?}");
    eventually("it is master", || host.has_address());
    assert!(
        !host
            .sh(&format!("{elver} ipvsadm -Ln"))
            .contains("10.9.0.1:80")
    );
    let parent = host.process("/run/keepalived.pid");
    let vrrp = host.process("/run/vrrp.pid");
    host.sh(&format!("kill -9 {vrrp}"));
    eventually("the director ends as well", || {
        !Path::new(&format!("/proc/{parent}")).exists()
    });
    assert!(!host.has_address(), "it took the address away");
}

#[test]
fn logs_go_to_files_where_they_are_asked_to() {
    let host = Host::new("files");
    let started = run(&mut host.keepalived("-G -a -d -g/mnt/ka.log"));
    assert_eq!(started.code, Some(0), "{started:?}");
    let log =
        |name: &str| std::fs::read_to_string(host.links.folder.join(name)).unwrap_or_default();
    eventually("the vrrp process logs", || {
        log("ka_vrrp.log").contains(": (VI_1) Entering MASTER STATE\n")
    });
    eventually("addresses are reported", || {
        log("ka.log").contains("Netlink reflector reports IP 10.9.0.1 added to eth0")
    });
    assert!(
        log("ka.log").contains("virtual_router_id 51"),
        "{}",
        log("ka.log")
    );
    host.stop("/run/keepalived.pid");
    host.syslog.set_nonblocking(true).unwrap();
    let mut octets = [0; 256];
    assert!(host.syslog.recv(&mut octets).is_err(), "syslog got a line");
}

/// A socket by which a daemon tells a service manager how it stands.
fn service_manager(host: &Host) -> UnixDatagram {
    let path = host.links.folder.join("notify");
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    socket
}

/// Waits for a message with these words.
fn told(socket: &UnixDatagram, words: &str) -> String {
    let mut octets = [0; 1024];
    let mut heard = String::new();
    loop {
        let length = socket
            .recv(&mut octets)
            .unwrap_or_else(|error| panic!("{words}: {error}; told {heard}"));
        let message = String::from_utf8_lossy(&octets[..length]).into_owned();
        if message.contains(words) {
            return message;
        }
        heard = format!("{heard}\n{message}");
    }
}

#[test]
fn a_service_manager_is_told_how_the_daemon_stands() {
    let host = Host::new("notify");
    let socket = service_manager(&host);
    let mut daemon = host
        .keepalived("--dont-fork -G -l")
        .env("NOTIFY_SOCKET", "/mnt/notify")
        .env("WATCHDOG_USEC", "400000")
        .spawn()
        .unwrap();
    told(&socket, "READY=1");
    told(&socket, "WATCHDOG=1");
    let status = told(&socket, "STATUS=1 of 1 VRRP instances are master");
    assert!(status.contains("1 virtual services"), "{status}");
    sh(&format!("kill -HUP {}", daemon.id()));
    assert!(told(&socket, "RELOADING=1").contains("MONOTONIC_USEC="));
    told(&socket, "READY=1");
    told(&socket, "WATCHDOG=1");
    terminate(&mut daemon);
    told(&socket, "STOPPING=1");
}

/// The capabilities of the unit, as setpriv(1) has their names.
fn capabilities_of_the_unit() -> Vec<String> {
    let unit = include_str!("../../../packaging/systemd/elver.service");
    let lines = unit.lines();
    let words = lines.filter_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let words = words.flat_map(str::split_whitespace);
    words
        .map(|word| word.trim_start_matches("CAP_").to_lowercase())
        .collect()
}

/// What of these is nobody's to be had here: who tests may have been confined as well.
fn to_be_had(capabilities: &[String]) -> Vec<&String> {
    let ours = sh("setpriv --dump");
    let ours = ours
        .lines()
        .find_map(|line| line.strip_prefix("Capability bounding set: "));
    let ours: Vec<&str> = ours.expect("a bounding set").split(',').collect();
    capabilities
        .iter()
        .filter(|each| ours.contains(&each.as_str()))
        .collect()
}

#[test]
fn the_capabilities_of_the_unit_are_enough() {
    let host = Host::new("confined");
    let folder = &host.links.folder;
    // What needs more than the ordinary.
    let script = "vrrp_script check {\n script /bin/true\n interval 1\n}\n";
    let text = CONFIGURATION
        .replace(
            "virtual_router_id",
            "use_vmac\n no_accept\n track_script {\n check\n }\n virtual_router_id",
        )
        .replace("127.0.0.1 81 {", "127.0.0.1 81 {\n PING_CHECK {\n }");
    let text = format!(
        "global_defs {{\n script_user nobody\n vrrp_rt_priority 10\n vrrp_no_swap\n \
         notify_fifo /mnt/fifo nobody\n}}\n{script}{text}"
    );
    std::fs::write(folder.join("keepalived.conf"), text).unwrap();
    let capabilities = capabilities_of_the_unit();
    assert!(capabilities.len() > 5 && !capabilities.iter().any(|each| each == "sys_admin"));
    let bounding = to_be_had(&capabilities)
        .iter()
        .map(|each| format!(",+{each}"))
        .collect::<String>();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut daemon = host
        .command("setpriv")
        .arg(format!("--bounding-set=-all{bounding}"))
        .arg(format!("--inh-caps=-all{bounding}"))
        .args([
            "/mnt/keepalived",
            "-n",
            "-l",
            "-G",
            "-f",
            "/mnt/keepalived.conf",
        ])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(folder.join("log")).unwrap();
    eventually("it is master, and its real server is up", || {
        let held = host.sh("ip -o addr").contains(" 10.9.0.1/");
        let listed = host.sh(&format!(
            "{} ipvsadm -Ln || true",
            env!("CARGO_BIN_EXE_elver")
        ));
        (held && listed.contains("127.0.0.1:81")) || {
            assert!(daemon.try_wait().unwrap().is_none(), "{}", log());
            false
        }
    });
    terminate(&mut daemon);
    let log = log();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("ERROR") || line.contains("WARN"))
        .collect();
    assert_eq!(complaints, [""; 0], "{log}");
}

#[test]
fn the_units_and_the_profile_are_well_formed() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let unit = packaging.join("systemd/elver.service");
    let found = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=55"])
        .arg(&unit)
        .output()
        .unwrap();
    assert!(
        found.status.success(),
        "more exposed than 5.5: {}",
        String::from_utf8_lossy(&found.stdout)
    );
    sh(&format!(
        "apparmor_parser --skip-kernel-load --skip-cache {}",
        packaging.join("apparmor/elver").display()
    ));
}
