//! A whole director on a router of the tests.

use std::process::{Child, Command, Stdio};

use super::{Network, eventually, sh, terminate};

/// `elver run` on a router.
pub(crate) struct Director {
    child: Child,
    instance: String,
    log: std::path::PathBuf,
    namespace: String,
}

impl Director {
    pub(crate) fn start(network: &Network, router: usize, configuration: &str) -> Director {
        let namespace = network.routers[router].clone();
        let folder = std::env::temp_dir();
        let file = folder.join(format!("{namespace}.conf"));
        let log = folder.join(format!("{namespace}.log"));
        std::fs::write(&file, configuration).unwrap();
        let output = std::fs::File::create(&log).unwrap();
        let child = elver(&namespace)
            .arg("run")
            .arg("-f")
            .arg(&file)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let instance = namespace.clone();
        Director {
            child,
            instance,
            log,
            namespace,
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn says(&self, text: &str) {
        eventually(&format!("elver says `{text}`"), || {
            self.log().contains(text)
        });
    }

    /// Has it read another file.
    pub(crate) fn reload(&self, configuration: &str) {
        std::fs::write(self.log.with_extension("conf"), configuration).unwrap();
        sh(&format!("kill -HUP {}", self.child.id()));
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        terminate(&mut self.child);
    }

    /// What `elver unload` says.
    pub(crate) fn unload(&self) -> String {
        let output = elver(&self.namespace)
            .args(["unload", "--instance", &self.instance])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complaints}");
        said
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        terminate(&mut self.child);
        let _ = elver(&self.namespace)
            .args(["unload", "--instance", &self.instance])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if std::thread::panicking() {
            eprintln!("--- elver\n{}", self.log());
        } else {
            let _ = std::fs::remove_file(&self.log);
            let _ = std::fs::remove_file(self.log.with_extension("conf"));
        }
    }
}

/// The program in a namespace, with the file systems of this one.
fn elver(namespace: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg(env!("CARGO_BIN_EXE_elver"))
        .env("ELVER_INSTANCE", namespace);
    command
}
