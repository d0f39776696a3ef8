//! A Docker engine in a host, with everything that it has in the lab's own directory.
//!
//! It runs with a process and a mount namespace of its own, so that containers and mounts end
//! with it, however it ends. It makes no rule of netfilter and starts no proxy; nothing is
//! fetched from a registry: the one image is made of the machine's own static busybox.

use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::wait::{self, Look};
use crate::{Error, Host, Lab, Output, Program, Result};

/// How long the engine may take for anything on a busy machine.
const ENGINE_LIMIT: Duration = Duration::from_secs(120);

/// Where Debian's busybox-static has its program.
const BUSYBOX: &str = "/bin/busybox";

/// The name of the image, which has a shell and little else.
pub const IMAGE: &str = "elver-lab";

/// What a container of the image serves, in busybox's shell: the protocol of
/// [`crate::service`], without transfers that are named by their size.
///
/// Whom it talks to stands in the kernel's lists of sockets (proc_net_tcp), at the number of the
/// socket that it was given as its standard input: addresses there are in the byte order of
/// the machine, ports are not; a socket of IPv6 has that of IPv4 in its last word.
const SERVE: &str = r#"#!/bin/sh
socket=$(readlink /proc/self/fd/0)
socket=${socket#socket:\[}
set -- $(grep -h " ${socket%]} " /proc/net/tcp /proc/net/tcp6)
endpoint() {
    a=${1%:*}
    [ ${#a} = 8 ] || a=${a#????????????????????????}
    printf '%d.%d.%d.%d:%d' "0x${a:6:2}" "0x${a:4:2}" "0x${a:2:2}" "0x${a:0:2}" "0x${1#*:}"
}
echo "$(hostname) at $(endpoint "$2") sees $(endpoint "$3")"
while read -r command argument; do
    case "$command" in
    echo) echo "$argument" ;;
    mirror) exec cat ;;
    *) echo 'unknown command' ;;
    esac
done
"#;

/// A running engine; dropping it ends it with all of its containers.
#[derive(Debug)]
pub struct Engine {
    host: Host,
    folder: PathBuf,
    options: Vec<String>,
    program: Program,
}

/// The bridge of an engine: its name and the host's own address there, with the length of the
/// prefix.
pub const BRIDGE: (&str, &str) = ("docker0", "172.18.0.1/16");

/// Certificates of an engine that is reached from elsewhere, and of who may reach it, by one
/// authority.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
    address: Ipv4Addr,
}

impl Certificates {
    /// Makes them, for an engine at `address`.
    pub fn make(lab: &Lab, host: &Host, address: Ipv4Addr) -> Result<Self> {
        let folder = lab.directory().join("certificates");
        make(&folder)?;
        let script = format!(
            "set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                -subj /CN=authority -keyout ca-key.pem -out ca.pem
            signed() {{
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                    -subj \"/CN=$1\" -keyout \"$1-key.pem\" -out \"$1.csr\"
                printf '%s\\n' \"$2\" \"$3\" >\"$1.ext\"
                openssl x509 -req -in \"$1.csr\" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
                    -extfile \"$1.ext\" -out \"$1.pem\"
            }}
            signed engine subjectAltName=IP:{address} extendedKeyUsage=serverAuth
            signed director subjectAltName=DNS:director extendedKeyUsage=clientAuth"
        );
        let mut shell = host.command("sh")?;
        shell.arg("-c").arg(script).current_dir(&folder);
        host.output(shell, ENGINE_LIMIT)?.success()?;
        Ok(Self { folder, address })
    }

    /// A file of them: `ca.pem`, `director.pem` or `director-key.pem`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the engine is reached with them.
    pub fn engine(&self) -> String {
        format!("tcp://{}:2376", self.address)
    }

    fn options(&self) -> Vec<String> {
        let file = |option: &str, name: &str| format!("{option}={}", self.file(name).display());
        vec![
            format!("--host={}", self.engine()),
            "--tlsverify".to_owned(),
            file("--tlscacert", "ca.pem"),
            file("--tlscert", "engine.pem"),
            file("--tlskey", "engine-key.pem"),
        ]
    }
}

impl Engine {
    /// Starts an engine in `host`, with the lab's image; with certificates it is also reached
    /// from elsewhere.
    pub fn start(lab: &Lab, host: &Host, certificates: Option<&Certificates>) -> Result<Self> {
        let folder = lab.directory().join(format!("{}-docker", host.name()));
        make(&folder)?;
        let options = certificates.map(Certificates::options).unwrap_or_default();
        let group = host.namespace_name().to_owned();
        lab.on_farewell(move || remove_control_groups(&group))?;
        let program = launch(host, &folder, &options)?;
        let engine = Self {
            host: host.clone(),
            folder,
            options,
            program,
        };
        engine.is_ready()?;
        engine.import()?;
        Ok(engine)
    }

    /// The socket of its interface.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Kills the engine, and with it every container, and starts it again on the same data.
    pub fn restart(&mut self) -> Result<()> {
        self.program.signal(Signal::KILL)?;
        self.program.wait(ENGINE_LIMIT)?;
        for left in ["docker.pid", "docker.sock"] {
            let path = self.folder.join(left);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::system(format!("remove {}", path.display()))(error));
                }
                _ => {}
            }
        }
        self.program = launch(&self.host, &self.folder, &self.options)?;
        self.is_ready()
    }

    /// Runs `docker` with these arguments, and gives what it printed.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        self.ask(arguments)?.success()
    }

    fn ask(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.host.command("docker")?;
        command
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .args(arguments)
            .env("DOCKER_CONFIG", self.folder.join("client"));
        self.host.output(command, ENGINE_LIMIT)
    }

    /// Runs a container that serves on `port`, and is healthy once it does; its name is also
    /// that by which it greets. `options` are those of `docker run`, such as labels.
    pub fn run(&self, name: &str, port: u16, options: &[&str]) -> Result<()> {
        // A socket that listens on every address (0A, proc_net_tcp).
        let listens = format!("grep -q ' 0*:{port:04X} 0*:0000 0A ' /proc/net/tcp /proc/net/tcp6");
        let port = port.to_string();
        let health = ["--health-cmd", &listens, "--health-interval", "500ms"];
        let fixed = ["run", "--detach", "--name", name, "--hostname", name];
        let serve = [IMAGE, "nc", "-ll", "-p", &port, "-e", "/bin/serve"];
        self.docker(&[&fixed[..], &health, options, &serve].concat())
            .map(drop)
    }

    fn is_ready(&self) -> Result<()> {
        wait::until("the Docker engine", ENGINE_LIMIT, || {
            if !self.program.is_running() {
                return Err(Error::Unexpected {
                    expected: "dockerd to run".to_owned(),
                    seen: format!("it has ended, after saying:\n{}", self.program.log()),
                });
            }
            let output = self.ask(&["version"])?;
            Ok(if output.status.success() {
                Look::Met(())
            } else {
                Look::NotYet(format!("{}{}", output.stderr, self.program.log()))
            })
        })
    }

    /// Makes the image.
    fn import(&self) -> Result<()> {
        let root = self.folder.join("root");
        let programs = root.join("bin");
        make(&programs)?;
        let doing = || Error::system(format!("make the image in {}", root.display()));
        std::fs::copy(BUSYBOX, programs.join("busybox")).map_err(doing())?;
        for name in ["sh", "nc", "cat", "grep", "hostname", "readlink", "sleep"] {
            symlink("busybox", programs.join(name)).map_err(doing())?;
        }
        let serve = programs.join("serve");
        std::fs::write(&serve, SERVE).map_err(doing())?;
        let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&serve, may_run).map_err(doing())?;
        let archive = self.folder.join("image.tar");
        let mut tar = self.host.command("tar")?;
        tar.arg("-cf").arg(&archive).arg("-C").arg(&root).arg(".");
        self.host.output(tar, ENGINE_LIMIT)?.success()?;
        let archive = archive.display().to_string();
        self.docker(&["import", &archive, IMAGE]).map(drop)
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::system(format!("create {}", folder.display())))
}

fn launch(host: &Host, folder: &Path, options: &[String]) -> Result<Program> {
    let configuration = folder.join("daemon.json");
    std::fs::write(&configuration, "{}")
        .map_err(Error::system(format!("write {}", configuration.display())))?;
    let mut command = host.command("unshare")?;
    command.args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]);
    command.arg("dockerd");
    for (option, name) in [
        ("--data-root", "data"),
        ("--exec-root", "run"),
        ("--pidfile", "docker.pid"),
        ("--config-file", "daemon.json"),
    ] {
        command.arg(option).arg(folder.join(name));
    }
    let socket = format!("unix://{}", folder.join("docker.sock").display());
    command.args(["--host", &socket, "--bip", BRIDGE.1]);
    command.args([
        "--iptables=false",
        "--ip6tables=false",
        "--userland-proxy=false",
        // Slower than others, and works on every file system.
        "--storage-driver=vfs",
        "--exec-opt=native.cgroupdriver=cgroupfs",
    ]);
    command.arg(format!("--cgroup-parent=/{}", host.namespace_name()));
    command.args(options);
    // It is PID 1 of its namespace, where everything dies with it. Nothing is to be kept.
    host.start_ended_by("dockerd", command, Signal::KILL)
}

/// Removes the control groups of containers that were killed, of every hierarchy.
fn remove_control_groups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten();
    let hierarchies = hierarchies.map(|entry| entry.path());
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        let group = hierarchy.join(name);
        let children = std::fs::read_dir(&group).into_iter().flatten().flatten();
        for child in children.filter(|child| child.path().is_dir()) {
            // What is still in use stays, and is empty soon.
            let _ = std::fs::remove_dir(child.path());
        }
        let _ = std::fs::remove_dir(group);
    }
}
