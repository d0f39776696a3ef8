//! Namespaces, vrrp processes and real keepalived for the tests of VRRP. Needs root.
#![allow(dead_code, reason = "each file of tests needs its part of it")]

pub(crate) mod director;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use elver_core::config::model::{
    Authentication, OwnSettings, Pacing, RouterSettings, Statics, SyncGroup, Trackers,
    VirtualAddress, VrrpInstance, VrrpVersion,
};
use elver_core::vrrp::State;
use elver_core::vrrp::messages::{Command as Order, Notice, Notifying, Resume};

/// Longer than anything takes that the protocol does, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Runs a command and panics with its output if it fails.
pub(crate) fn sh(command: &str) -> String {
    let output = Command::new("sh").arg("-ec").arg(command).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "`{command}` failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Waits until a condition holds; panics with `what` if it does not.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two routers, joined by two links: `eth0` is 10.66.0.0/24, `eth1` is 10.77.0.0/24; the
/// routers are .1 and .2. Gone when dropped.
pub(crate) struct Network {
    pub(crate) routers: [String; 2],
    directory: PathBuf,
    /// Whether processes have a `/tmp` of their own, which [`left_in_tmp`] looks into.
    pub(crate) private_tmp: bool,
}

impl Network {
    pub(crate) fn new() -> Network {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("elver-vrrp-{}-{number}", std::process::id());
        let routers = [format!("{prefix}-a"), format!("{prefix}-b")];
        let directory = std::env::temp_dir().join(&prefix);
        std::fs::create_dir_all(&directory).unwrap();
        let network = Network {
            routers,
            directory,
            private_tmp: false,
        };
        let [a, b] = &network.routers;
        sh(&format!("ip netns add {a}; ip netns add {b}"));
        for (link, net) in [("eth0", 66), ("eth1", 77)] {
            sh(&format!(
                "ip -n {a} link add {link} type veth peer name {link} netns {b}"
            ));
            for (host, router) in [(1, a), (2, b)] {
                sh(&format!(
                    "ip -n {router} addr add 10.{net}.0.{host}/24 dev {link}
                     ip -n {router} addr add fe80::{host}/64 dev {link} nodad
                     ip -n {router} link set {link} up
                     ip -n {router} link set lo up"
                ));
            }
        }
        network
    }

    /// Whether an interface of a router has an address.
    pub(crate) fn has(&self, router: usize, interface: &str, address: &str) -> bool {
        let namespace = &self.routers[router];
        sh(&format!("ip -n {namespace} -o addr show dev {interface}"))
            .lines()
            .any(|line| line.contains(&format!(" {address}/")))
    }

    /// Waits until exactly this router holds an address.
    pub(crate) fn held_by(&self, router: usize, interface: &str, address: &str) {
        eventually(&format!("router {router} alone holds {address}"), || {
            self.has(router, interface, address) && !self.has(1 - router, interface, address)
        });
    }

    /// Captures what arrives at or leaves an interface.
    pub(crate) fn capture(&self, router: usize, interface: &str, filter: &str) -> Capture {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = self.directory.join(format!("{number}.pcap"));
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.routers[router]])
            .args(["tcpdump", "-U", "--immediate-mode", "-i", interface, "-w"])
            .arg(&file)
            .arg(filter)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // Its first line says that it listens.
        BufReader::new(child.stderr.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("listening"), "tcpdump: {line}");
        Capture { child, file }
    }

    /// A vrrp process of elver on a router.
    pub(crate) fn elver(&self, router: usize) -> Elver {
        Elver::start(self.inside(router))
    }

    /// The beginning of a command on a router.
    fn inside(&self, router: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.routers[router]]);
        if self.private_tmp {
            let mount = "mount -t tmpfs none /tmp; exec \"$@\"";
            command.args(["sh", "-ec", mount, "sh"]);
        }
        // Stays what it is, whatever is mounted over it.
        command.current_dir(&self.directory);
        command
    }

    /// A real keepalived on a router.
    pub(crate) fn keepalived(&self, router: usize, configuration: &str) -> Keepalived {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let relative = |name: &str| format!("{number}.{name}");
        let file = |name: &str| self.directory.join(relative(name));
        std::fs::write(file("conf"), configuration).unwrap();
        let log = std::fs::File::create(file("log")).unwrap();
        let child = self
            .inside(router)
            .args([
                "keepalived",
                "--dont-fork",
                "--vrrp",
                "--log-console",
                "--log-detail",
            ])
            .arg("-f")
            .arg(relative("conf"))
            .arg("-p")
            .arg(relative("pid"))
            .arg("-r")
            .arg(relative("vrrp-pid"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Keepalived {
            child,
            log: file("log"),
            vrrp_pid: file("vrrp-pid"),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for router in &self.routers {
            let _ = Command::new("ip").args(["netns", "del", router]).output();
        }
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Waits for a file that a process has left in its `/tmp`, as a whole.
pub(crate) fn left_in_tmp(process: u32, name: &str, whole: impl Fn(&str) -> bool) -> String {
    let path = format!("/proc/{process}/root/tmp/{name}");
    let mut text = String::new();
    eventually(&format!("{path} is written"), || {
        text = std::fs::read_to_string(&path).unwrap_or_default();
        whole(&text)
    });
    text
}

pub(crate) struct Capture {
    child: Child,
    file: PathBuf,
}

impl Capture {
    /// Ends the capture.
    pub(crate) fn stop(mut self) -> Capture {
        terminate(&mut self.child);
        self
    }

    /// What tshark makes of the packets: the fields of each.
    pub(crate) fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let mut command = Command::new("tshark");
        command
            .arg("-r")
            .arg(&self.file)
            .args(["-Y", filter, "-T", "fields"]);
        command.args(["-o", "ip.check_checksum:TRUE"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a process that we started to end, and waits for it.
pub(crate) fn terminate(child: &mut Child) {
    if child.try_wait().unwrap().is_none() {
        sh(&format!("kill -TERM {}", child.id()));
        child.wait().unwrap();
    }
}

pub(crate) struct Keepalived {
    child: Child,
    log: PathBuf,
    vrrp_pid: PathBuf,
}

impl Keepalived {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has a line with this text.
    pub(crate) fn says(&self, text: &str) {
        eventually(&format!("keepalived says `{text}`"), || {
            self.log().contains(text)
        });
    }

    /// Its first process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to its vrrp process.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(&self.vrrp_pid).unwrap();
        sh(&format!("kill -{signal} {}", pid.trim()));
    }

    pub(crate) fn stop(mut self) {
        terminate(&mut self.child);
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        terminate(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- keepalived\n{}", self.log());
        }
    }
}

/// A vrrp process with the test in the place of its director.
pub(crate) struct Elver {
    pub(crate) child: Child,
    channel: Option<UnixStream>,
    notices: Arc<(Mutex<Vec<Notice>>, Condvar)>,
}

impl Elver {
    fn start(mut inside: Command) -> Elver {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = inside
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "the_vrrp_process", "--ignored", "--nocapture"])
            .env("ELVER_VRRP_TEST", "stdin")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let notices = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (lines, told) = (
            BufReader::new(ours.try_clone().unwrap()),
            Arc::clone(&notices),
        );
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                told.0
                    .lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap());
                told.1.notify_all();
            }
        });
        Elver {
            child,
            channel: Some(ours),
            notices,
        }
    }

    pub(crate) fn order(&self, order: &Order) {
        let mut line = serde_json::to_string(order).unwrap();
        line.push('\n');
        self.channel
            .as_ref()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }

    pub(crate) fn configure(&self, instances: &[VrrpInstance], groups: &[SyncGroup]) {
        self.resume(instances, groups, Vec::new());
    }

    pub(crate) fn resume(
        &self,
        instances: &[VrrpInstance],
        groups: &[SyncGroup],
        resume: Vec<Resume>,
    ) {
        self.order(&Order::Configure {
            instances: instances.to_vec(),
            sync_groups: groups.to_vec(),
            statics: Statics::default(),
            trackers: Trackers::default(),
            pacing: Pacing::default(),
            not_before: Duration::ZERO,
            settings: RouterSettings::default(),
            own: OwnSettings::default(),
            notifying: Notifying::default(),
            resume,
        });
    }

    /// Everything told so far.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.0.lock().unwrap().clone()
    }

    /// Waits for a notice.
    pub(crate) fn tells(&self, what: &str, wanted: impl Fn(&Notice) -> bool) -> Notice {
        let (notices, changed) = &*self.notices;
        let mut notices = notices.lock().unwrap();
        let start = Instant::now();
        loop {
            if let Some(found) = notices.iter().find(|notice| wanted(notice)) {
                return found.clone();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain: {what}; told: {notices:#?}"
            );
            notices = changed
                .wait_timeout(notices, Duration::from_millis(100))
                .unwrap()
                .0;
        }
    }

    /// Waits until the last state told of an instance is this one.
    pub(crate) fn state(&self, name: &str, wanted: State) {
        eventually(&format!("{name} is {wanted}"), || {
            let notices = self.notices();
            let last = notices.iter().rev().find_map(|notice| match notice {
                Notice::StateChanged {
                    instance, state, ..
                } if instance == name => Some(*state),
                _ => None,
            });
            last == Some(wanted)
        });
    }

    /// As if the director had been killed.
    pub(crate) fn abandon(&mut self) {
        let channel = self.channel.take().unwrap();
        channel.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// The order to end; the process must obey and be content.
    pub(crate) fn shut_down(mut self) {
        self.order(&Order::Shutdown);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Elver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An instance as the tests want it: one second, password `secret12`.
pub(crate) fn instance(
    name: &str,
    interface: &str,
    vrid: u8,
    priority: u8,
    vip: &str,
) -> VrrpInstance {
    let address: std::net::IpAddr = vip.parse().unwrap();
    VrrpInstance {
        priority,
        authentication: Some(Authentication::Password(*b"secret12")),
        virtual_addresses: vec![VirtualAddress::new(
            address,
            if address.is_ipv4() { 32 } else { 128 },
        )],
        ..VrrpInstance::new(name, interface, vrid)
    }
}

/// The same in the language of keepalived.
pub(crate) fn keepalived_instance(instance: &VrrpInstance) -> String {
    let VrrpInstance {
        name,
        interface,
        virtual_router_id,
        priority,
        ..
    } = instance;
    let interval = instance.advertisement_interval.as_secs_f64();
    let version = match instance.version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    };
    let addresses: Vec<String> = instance
        .virtual_addresses
        .iter()
        .map(|a| a.address.to_string())
        .collect();
    let authentication = match &instance.authentication {
        None => String::new(),
        Some(Authentication::Password(secret) | Authentication::Header(secret)) => format!(
            "authentication {{\n auth_type {}\n auth_pass {}\n }}",
            match instance.authentication {
                Some(Authentication::Header(_)) => "AH",
                _ => "PASS",
            },
            String::from_utf8_lossy(secret)
        ),
    };
    let preempt = if instance.preempt { "" } else { "nopreempt" };
    format!(
        "vrrp_instance {name} {{
           state BACKUP
           interface {interface}
           virtual_router_id {virtual_router_id}
           priority {priority}
           version {version}
           advert_int {interval}
           {preempt}
           {authentication}
           virtual_ipaddress {{\n {}\n }}
         }}\n",
        addresses.join("\n ")
    )
}
