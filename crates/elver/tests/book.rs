//! Every command of the book, run in a network like the one that the book draws. Needs root.
//!
//! In a chapter, a block `conf` or `toml` whose first line is a comment with a path is that file
//! on the director. A block `console` has commands behind prompts (`director# `, `client$ ` and so
//! on), and below each what it prints: these lines have to be there in this order, among others,
//! where `…` stands for anything. Commands are asked again until it is so, as a person would.
//! What a chapter takes for granted is in its comments, in such blocks.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use support::{eventually, sh};

/// The hosts of the book, each a pair of namespaces; gone when dropped.
struct Network {
    folder: PathBuf,
    hosts: Vec<Host>,
}

struct Host {
    name: &'static str,
    keeper: Child,
}

const HOSTS: [&str; 6] = ["client", "router", "director", "director2", "web1", "web2"];
/// For whatever the book shows to come true.
const PATIENCE: Duration = Duration::from_secs(60);

impl Network {
    fn new(chapter: &str) -> Network {
        let folder =
            std::env::temp_dir().join(format!("elver-book-{chapter}-{}", std::process::id()));
        let bin = folder.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for name in [
            "elver",
            "keepalived",
            "genhash",
            "ipvsadm",
            "ipvsadm-save",
            "ipvsadm-restore",
        ] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_elver"), bin.join(name)).unwrap();
        }
        // What a real server serves: its own name.
        sh(&format!(
            "cat >{path} <<'END'
#!/bin/sh
python3 - \"$HOST\" <<'PYTHON' >/dev/null 2>&1 &
import http.server, sys
class Name(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (sys.argv[1] + '\\n').encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(('', 80), Name).serve_forever()
PYTHON
echo $! >/run/web.pid
END
chmod +x {path}",
            path = bin.join("web-server").display()
        ));
        let hosts = HOSTS.map(|name| Host::new(name, &folder)).into();
        let network = Network { folder, hosts };
        network.cable();
        network
    }

    /// Joins the hosts: the segment is a bridge in the router.
    fn cable(&self) {
        self.sh(
            "router",
            "ip link add front type bridge; ip link set front up; sysctl -qw net.ipv4.ip_forward=1",
        );
        for (host, address) in [
            ("client", "198.51.100.9/24"),
            ("director", "192.0.2.2/24"),
            ("director2", "192.0.2.3/24"),
            ("web1", "192.0.2.11/24"),
            ("web2", "192.0.2.12/24"),
        ] {
            let other = self.host(host).keeper.id();
            self.sh(
                "router",
                &format!("ip link add {host} type veth peer name eth0 netns {other}; ip link set {host} up"),
            );
            if host == "client" {
                self.sh("router", "ip addr add 198.51.100.1/24 dev client");
            } else {
                self.sh("router", &format!("ip link set {host} master front"));
            }
            let gateway = if host == "client" {
                "198.51.100.1"
            } else {
                "192.0.2.1"
            };
            self.sh(
                host,
                &format!("ip addr add {address} dev eth0; ip link set eth0 up"),
            );
            if host == "client" {
                self.sh("router", "ip addr add 192.0.2.1/24 dev front");
            }
            self.sh(host, &format!("ip route add default via {gateway}"));
        }
        for web in ["web1", "web2"] {
            self.sh(web, "web-server");
        }
    }

    fn host(&self, name: &str) -> &Host {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.unwrap_or_else(|| panic!("the book has no host {name}"))
    }

    /// Runs a command line on a host; its exit code, and all that it prints.
    fn run(&self, host: &str, line: &str) -> (String, String) {
        let folder = &self.folder;
        let output = Command::new("nsenter")
            .args([
                "--net",
                "--mount",
                "--target",
                &self.host(host).keeper.id().to_string(),
            ])
            .args(["sh", "-c", line])
            .env(
                "PATH",
                format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", folder.display()),
            )
            .env("HOST", host)
            .env("ELVER_INSTANCE", self.instance(host))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output
                .status
                .code()
                .map_or_else(String::new, |code| code.to_string()),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn instance(&self, host: &str) -> String {
        format!("book-{host}-{}", self.host(host).keeper.id())
    }

    fn sh(&self, host: &str, line: &str) {
        let (code, text) = self.run(host, line);
        assert_eq!(code, "0", "{host}: {line}: {text}");
    }

    /// Carries out a chapter.
    fn follow(&self, chapter: &str) {
        let path = docs().join(format!("{chapter}.md"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut commands = 0;
        for block in blocks(&text) {
            match block.kind {
                "console" => commands += self.converse(&block.lines),
                "conf" | "toml" => self.write(&block.lines),
                "text" | "ini" => {}
                other => panic!("{chapter}: a block of the kind `{other}`"),
            }
        }
        assert!(commands > 3, "{chapter} has {commands} commands");
    }

    /// Writes a file whose path is in its first line, perhaps of a host: `# HOST: PATH`.
    fn write(&self, lines: &[&str]) {
        let Some(first) = lines.first().and_then(|line| line.strip_prefix("# ")) else {
            return;
        };
        let (host, path) = first.split_once(": ").unwrap_or(("director", first));
        if path.starts_with('/') {
            let local = self.folder.join("file");
            std::fs::write(&local, lines.join("\n") + "\n").unwrap();
            self.sh(
                host,
                &format!("mkdir -p $(dirname {path}); cp {} {path}", local.display()),
            );
        }
    }

    /// Runs the commands of a block, and gives back how many there were.
    fn converse(&self, lines: &[&str]) -> usize {
        let mut commands: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for line in lines {
            let prompt = HOSTS.iter().find_map(|host| {
                let rest = line.strip_prefix(host)?;
                let command = rest.strip_prefix("# ").or(rest.strip_prefix("$ "))?;
                Some((*host, command))
            });
            match (prompt, commands.last_mut()) {
                (Some((host, command)), _) => commands.push((host, command, Vec::new())),
                (None, Some((_, _, shown))) => shown.push(line),
                (None, None) => panic!("`{line}` stands before a prompt"),
            }
        }
        for (host, command, shown) in &commands {
            let started = Instant::now();
            loop {
                let (code, text) = self.run(host, command);
                // The book says where a command fails.
                let code_shown = shown
                    .last()
                    .and_then(|last| last.strip_prefix("(exit code "));
                let code_shown = code_shown.map_or("0", |rest| rest.trim_end_matches(')'));
                if code == code_shown && is_shown(&text, shown) {
                    break;
                }
                assert!(
                    !shown.is_empty() && started.elapsed() < PATIENCE,
                    "{host}: {command}\nprints (exit code {code})\n{text}\nand the book has\n{}",
                    shown.join("\n")
                );
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        commands.len()
    }
}

impl Host {
    fn new(name: &'static str, folder: &Path) -> Host {
        let ready = folder.join(format!("{name}-is-ready"));
        let script = format!(
            "mount -t tmpfs none /run
             mkdir /run/upper /run/work
             mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work none /etc
             ip link set lo up
             touch {ready}
             exec sleep infinity",
            ready = ready.display()
        );
        let keeper = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-ec", &script])
            .spawn()
            .unwrap();
        eventually("the host is there", || ready.exists());
        Host { name, keeper }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in HOSTS {
            let _ = self.run(host, "kill $(cat /run/keepalived.pid) $(cat /run/web.pid)");
        }
        std::thread::sleep(Duration::from_secs(1));
        for host in ["director", "director2"] {
            let _ = self.run(host, "elver unload");
        }
        for host in &mut self.hosts {
            let _ = host.keeper.kill();
            let _ = host.keeper.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Whether the lines are there in this order, among others.
fn is_shown(text: &str, shown: &[&str]) -> bool {
    let mut lines = text.lines();
    shown
        .iter()
        .filter(|wanted| !wanted.trim().is_empty() && !wanted.starts_with("(exit "))
        .all(|wanted| lines.any(|line| is_like(line, wanted)))
}

/// Whether a line is this one, in which `…` stands for anything.
fn is_like(line: &str, wanted: &str) -> bool {
    let mut parts = wanted.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None | Some("") => last.is_some() || rest.is_empty(),
        Some(part) => line.ends_with(part),
    }
}

/// A fenced block of a chapter.
struct Block<'t> {
    kind: &'t str,
    lines: Vec<&'t str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => {
                open = Some(Block {
                    kind: kind.trim(),
                    lines: Vec::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn getting_started() {
    Network::new("start").follow("getting-started");
}

#[test]
fn topologies() {
    Network::new("topologies").follow("topologies");
}

#[test]
fn migrating() {
    Network::new("migrating").follow("migrating");
}

/// Commands that chapters only show: each by words of the test that runs it.
#[test]
fn what_is_only_shown_is_run_elsewhere() {
    const SHOWN: &[(&str, &str, &str, &str)] = &[
        (
            "docs/containers.md",
            "elver real-server -f keepalived.conf --director 172.17.42.111 --docker",
            "lab/src/docker.rs",
            "--docker",
        ),
        (
            "docs/containers.md",
            "docker run --label elver.vip=172.17.42.200:36000 --label elver.port=22 …",
            "lab/src/docker.rs",
            "elver.vip=172.17.42.200:36000",
        ),
        (
            "docs/labs.md",
            "elver lab -f /etc/keepalived/keepalived.conf --once",
            "lab/tests/rehearsal.rs",
            "\"--once\"",
        ),
        (
            "docs/getting-started.md",
            "apt install ./elver_0.1.0-1_amd64.deb",
            "lab/oracle/systemd/mod.rs",
            "dpkg -i /packages/elver.deb",
        ),
        (
            "docs/migrating.md",
            "apt install keepalived ipvsadm",
            "lab/oracle/systemd/mod.rs",
            "dpkg -i /packages/keepalived_*.deb /packages/ipvsadm_*.deb",
        ),
        (
            "docs/security.md",
            "apparmor_parser -r /etc/apparmor.d/elver",
            "lab/oracle/systemd/mod.rs",
            "apparmor_parser --replace --skip-cache {APPARMOR}",
        ),
        (
            "docs/security.md",
            "docker run --network host --cap-drop ALL",
            "lab/tests/docker/main.rs",
            "of_the_book()",
        ),
    ];
    let root = docs().join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    for (chapter, command, test, words) in SHOWN {
        assert!(read(chapter).contains(command), "{chapter}: {command}");
        assert!(read(test).contains(words), "{test}: {words}");
    }
    // There are no others.
    let followed = [
        "getting-started",
        "topologies",
        "operations",
        "troubleshooting",
        "migrating",
    ];
    for entry in std::fs::read_dir(docs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let chapter = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for block in blocks(&text) {
            let is_run = block.kind == "console" && followed.contains(&&*chapter);
            for line in block.lines.iter().filter(|_| !is_run) {
                let line = line
                    .split_once("# ")
                    .filter(|(prompt, _)| HOSTS.contains(prompt))
                    .map_or(*line, |(_, command)| command);
                let names = [
                    "elver ",
                    "docker run",
                    "apt ",
                    "apparmor_parser",
                    "keepalived ",
                    "ipvsadm ",
                ];
                let is_command = names.iter().any(|name| line.trim_start().starts_with(name));
                let is_drawing = line.contains("──");
                let is_known = is_drawing
                    || SHOWN.iter().any(|(_, command, ..)| line.contains(command))
                    || (chapter == "migrating" && line.contains("   # "));
                assert!(
                    !is_command || is_known,
                    "{chapter}: no test is named for: {line}"
                );
            }
        }
    }
}

#[test]
fn operations() {
    Network::new("operations").follow("operations");
}

#[test]
fn troubleshooting() {
    Network::new("troubleshooting").follow("troubleshooting");
}

#[test]
fn every_chapter_is_in_the_summary_and_every_link_leads_somewhere() {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let summary = read(&docs().join("SUMMARY.md"));
    for entry in std::fs::read_dir(docs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name} is no chapter"
        );
        for link in read(&path).split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => docs().join(file),
            };
            assert!(target.exists(), "{name}: {link} leads nowhere");
            assert!(
                anchor.is_empty() || anchors(&read(&target)).contains(anchor),
                "{name}: {link} leads to no heading"
            );
        }
    }
}

/// The names by which the headings of a chapter are linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn lines_are_compared_as_the_book_means_them() {
    assert!(is_like("web1", "web…"));
    assert!(is_like("web1", "web1"));
    assert!(!is_like("web12", "web1"));
    assert!(is_like("a b c", "a…c"));
    assert!(!is_like("a b c", "a…b"));
    assert!(is_shown("x\na\nb\n", &["x", "b"]));
    assert!(!is_shown("x\na\nb\n", &["b", "x"]));
}
