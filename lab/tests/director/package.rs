//! The package in a Debian of its own: it takes the place of keepalived and ipvsadm, is
//! upgraded under the traffic of many connections, goes, and leaves keepalived its place.
//!
//! That Debian is a folder, made once by debootstrap and kept in `target/debian-root`; each
//! test writes over it, not into it. Its programs run in the network of a director of the
//! site, whose real servers and client are outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use elver_lab::Output;
use elver_lab::nat::SERVICE;
use elver_lab::traffic::Traffic;
use elver_lab::wait::{self, Look};

use crate::configuration::Configuration;
use crate::site::{LIMIT, Site, elver, holds_addresses};

/// What the package is to take the place of, from Debian's archive.
const REPLACED: [&str; 2] = ["keepalived", "ipvsadm"];

/// Runs a command line of this machine, and gives back what it prints.
fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output();
    let output = output.expect("a shell");
    assert!(
        output.status.success(),
        "{line}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The folder `target`.
fn target() -> PathBuf {
    let mut folder = elver();
    assert!(folder.pop() && folder.pop());
    folder
}

/// The Debian with keepalived and ipvsadm, and their packages in `/packages`.
fn debian() -> PathBuf {
    let folder = target().join("debian-root");
    let root = folder.join("root");
    if !root.exists() {
        let new = folder.join("new");
        let _ = std::fs::remove_dir_all(&new);
        std::fs::create_dir_all(&new).expect("a folder");
        let [new, root] = [&new, &root].map(|path| path.display().to_string());
        let packages = REPLACED.join(" ");
        sh(&format!(
            "debootstrap --variant=minbase --include=init-system-helpers,iproute2,passwd,{} \
             bookworm {new} >&2
             mkdir {new}/packages
             cd {new}/packages
             apt-get download {packages}
             mv {new} {root}",
            REPLACED.join(",")
        ));
    }
    root
}

/// Makes a package of the program under test, of this version.
fn package(version: &str, folder: &Path) -> PathBuf {
    let program = elver();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = folder.join(format!("elver_{version}.deb"));
    sh(&format!(
        "cd {}
         tools/package-files {}
         cargo deb --no-build --quiet --fast --profile dev -p elver --deb-version {version} -o {}",
        workspace.display(),
        program.display(),
        path.display()
    ));
    path
}

/// A Debian on a director of the site; gone when dropped.
struct Machine<'s> {
    site: &'s Site,
    root: PathBuf,
}

impl<'s> Machine<'s> {
    fn new(site: &'s Site) -> Machine<'s> {
        let folder = site.lab.directory().join("machine");
        std::fs::create_dir_all(&folder).expect("a folder");
        let root = folder.join("root");
        sh(&format!(
            "mount -t tmpfs none {folder}
             mkdir {folder}/upper {folder}/work {root}
             mount -t overlay -o lowerdir={debian},upperdir={folder}/upper,workdir={folder}/work \
                none {root}
             mount -t proc none {root}/proc
             mount --rbind /sys {root}/sys
             mount --make-rslave {root}/sys
             mount --bind /dev {root}/dev
             mount -t tmpfs none {root}/run",
            folder = folder.display(),
            root = root.display(),
            debian = debian().display(),
        ));
        Machine { site, root }
    }

    /// What a command line of this machine does.
    fn try_sh(&self, line: &str) -> Output {
        let host = &self.site.directors[0];
        let mut command = host.command("chroot").expect("a command");
        command
            .arg(&self.root)
            .args(["sh", "-c", line])
            .env("ELVER_INSTANCE", host.namespace_name())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        host.output(command, LIMIT).expect("it ends")
    }

    /// What one prints that has to succeed.
    fn sh(&self, line: &str) -> String {
        let output = self.try_sh(line);
        assert!(output.status.success(), "{line}: {}", output.stderr);
        output.stdout
    }

    fn has(&self, path: &str) -> bool {
        self.root
            .join(path.trim_start_matches('/'))
            .symlink_metadata()
            .is_ok()
    }

    fn install(&self, package: &Path) {
        let name = package.file_name().expect("a file").to_string_lossy();
        std::fs::copy(package, self.root.join("packages").join(&*name)).expect("a copy");
        self.sh(&format!("dpkg -i /packages/{name}"));
    }

    fn configure(&self, text: &str) {
        let path = self.root.join("etc/keepalived/keepalived.conf");
        std::fs::write(path, text).expect("a file");
    }

    fn wait_for_master(&self) {
        wait::until("the addresses", LIMIT, || {
            let held = holds_addresses(&self.site.directors[0]);
            Ok(match held {
                [true, true] => Look::Met(()),
                _ => Look::NotYet(format!("{held:?}")),
            })
        })
        .expect("the addresses");
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        let _ = self.try_sh("kill $(cat /run/keepalived.pid) && sleep 1");
        let _ = self.try_sh("/usr/sbin/elver unload");
        let root = self.root.display();
        let _ = Command::new("sh")
            .arg("-c")
            .arg(format!("umount -R -l {root}; umount -l {root}/.."))
            .output();
    }
}

#[test]
fn the_package_takes_keepaliveds_place_is_upgraded_and_leaves() {
    let site = Site::new("package", 1);
    let machine = Machine::new(&site);
    assert!(
        machine
            .sh("keepalived -v 2>&1")
            .contains("Alexandre Cassen")
    );
    machine.configure(&Configuration::new(&site.addresses()).text());
    machine.sh("echo 'DAEMON_ARGS=\"-g/var/log/ka.log\"' >/etc/default/keepalived");

    // In the place of both.
    let old = package("0.1.0-1", site.lab.directory());
    machine.install(&old);
    let version = machine.sh("keepalived -v 2>&1");
    assert!(version.contains("elver"), "{version}");
    assert!(machine.sh("ipvsadm --version").contains("ipvsadm v1.31"));
    let status =
        machine.sh("dpkg-query -W -f '${Package} ${db:Status-Status}\n' elver keepalived ipvsadm");
    assert_eq!(
        status,
        "elver installed\nipvsadm config-files\nkeepalived config-files\n"
    );
    for path in [
        "/usr/bin/genhash",
        "/usr/sbin/ipvsadm-restore",
        "/usr/share/man/man8/keepalived.8.gz",
        "/usr/share/man/man1/genhash.1.gz",
        "/usr/share/bash-completion/completions/ipvsadm",
        "/usr/lib/systemd/system/elver.service",
        "/usr/lib/systemd/system/ipvsadm.service",
        "/usr/lib/systemd/system/keepalived.service",
        "/usr/lib/tmpfiles.d/elver.conf",
        "/etc/default/keepalived",
        "/etc/keepalived/keepalived.conf",
    ] {
        assert!(machine.has(path), "{path}");
    }
    machine.sh("getent passwd elver");
    let enabled = "/etc/systemd/system/multi-user.target.wants/elver.service";
    assert!(machine.has(enabled), "the unit is enabled");

    // Upgraded under way.
    machine.sh(". /etc/default/keepalived; keepalived $DAEMON_ARGS");
    machine.wait_for_master();
    let traffic = Traffic::start(&site.client, SERVICE, 200, LIMIT).expect("the connections");
    traffic.flows_on(LIMIT).expect("data flows");
    let process = machine.sh("cat /run/keepalived.pid");
    let children = machine.sh("cat /run/vrrp.pid /run/checkers.pid");
    machine.install(&package("0.1.0-2", site.lab.directory()));
    assert_eq!(
        holds_addresses(&site.directors[0]),
        [true; 2],
        "{}",
        machine.sh("cat /var/log/ka.log /var/log/ka_vrrp.log")
    );
    traffic
        .flows_on(LIMIT)
        .expect("data flows after the upgrade");
    assert_eq!(machine.sh("cat /run/keepalived.pid"), process);
    assert_ne!(machine.sh("cat /run/vrrp.pid /run/checkers.pid"), children);
    let program = machine.sh(&format!("readlink /proc/{}/exe", process.trim()));
    assert_eq!(program, "/usr/sbin/elver\n", "the newer file");
    assert_eq!(
        machine
            .sh("pgrep -x keepalived || cat /proc/$(cat /run/keepalived.pid)/comm")
            .trim(),
        "keepalived"
    );
    traffic.finish().expect("every octet came back");

    // Removed: nothing of it runs or stays in the kernel, and the configuration stays.
    machine.sh("dpkg -r elver");
    assert!(!Path::new("/proc").join(process.trim()).exists());
    assert_eq!(holds_addresses(&site.directors[0]), [false; 2]);
    let pins = Path::new("/sys/fs/bpf/elver").join(site.directors[0].namespace_name());
    assert!(!pins.exists(), "pins are left");
    assert_eq!(machine.sh("ls /run/*.pid 2>/dev/null || true"), "");
    assert!(machine.has("/etc/keepalived/keepalived.conf"));
    machine.sh("mkdir -p /etc/elver; touch /etc/elver/elver.toml");
    machine.sh("dpkg -P elver");
    for path in ["/etc/elver", "/run/elver", enabled, "/usr/sbin/keepalived"] {
        assert!(!machine.has(path), "{path} is left");
    }
    assert!(!machine.try_sh("getent passwd elver").status.success());

    // And back.
    machine.sh("dpkg -i /packages/keepalived_*.deb /packages/ipvsadm_*.deb");
    assert!(
        machine
            .sh("keepalived -v 2>&1")
            .contains("Alexandre Cassen")
    );
    let daemon = machine.sh("cat /etc/default/keepalived");
    assert_eq!(
        daemon, "DAEMON_ARGS=\"-g/var/log/ka.log\"\n",
        "its options are what they were"
    );
    machine.sh("keepalived --vrrp");
    machine.wait_for_master();
    let process = machine.sh("cat /run/keepalived.pid");
    machine.sh(&format!("kill {process}"));
}
