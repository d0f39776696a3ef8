//! Rules of netfilter that keep packets to virtual addresses from who does not own them
//! (`no_accept`), made by nft(8).
//!
//! They are made before the vrrp process hears of an address, and stay until the director
//! stops, whatever becomes of its processes. What one that was killed has left is on record.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use elver_core::config::model::{Configuration, Nftables};
use elver_core::vrrp;

use crate::firewall;
use crate::instance::Instance;
use crate::record::Record;

/// What this director, or one before it, has told nft.
#[derive(Debug)]
pub(crate) struct Acceptance {
    /// The settings of tables that may be there.
    record: Record<Nftables>,
    /// The rules in force; none where not known.
    in_force: Option<String>,
}

impl Acceptance {
    pub(crate) fn of(instance: &Instance) -> Acceptance {
        Acceptance {
            record: Record::at(instance.nftables_record()),
            in_force: None,
        }
    }

    /// Makes the rules for this configuration, and takes those away that it has no more. What
    /// goes wrong is in the log: virtual addresses that accept more than they should are better
    /// than none.
    pub(crate) fn enforce(&mut self, configuration: &Configuration) {
        let nftables = &configuration.global.nftables;
        let Some(rules) = vrrp::refusal(&configuration.instances, nftables) else {
            self.end();
            return;
        };
        if self.in_force.as_ref() == Some(&rules) {
            return;
        }
        if let Err(error) = self.replace(nftables, &rules) {
            tracing::error!(
                "no_accept: packets to the virtual addresses are accepted, since nft cannot make \
                 the rules: {error}"
            );
        }
    }

    fn replace(&mut self, nftables: &Nftables, rules: &str) -> io::Result<()> {
        let mut left = self.record.read()?;
        left.retain(|before| before.table != nftables.table);
        let mut all = left.clone();
        all.push(nftables.clone());
        self.record.write(&all)?;
        let old: String = left.iter().map(vrrp::removal).collect();
        nft(&(old + rules))?;
        self.record.write(std::slice::from_ref(nftables))?;
        self.in_force = Some(rules.to_owned());
        Ok(())
    }

    /// Takes all rules away.
    pub(crate) fn end(&mut self) {
        self.in_force = None;
        let ended = self.record.read().and_then(|left| {
            if left.is_empty() {
                return Ok(());
            }
            nft(&left.iter().map(vrrp::removal).collect::<String>())?;
            self.record.remove()
        });
        if let Err(error) = ended {
            tracing::error!("no_accept: nft cannot take its rules away: {error}");
        }
    }
}

/// Has nft(8) carry out `commands`, all or none.
fn nft(commands: &str) -> io::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .env("PATH", firewall::PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other("there is no nft: install nftables"),
            _ => error,
        })?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(commands.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(words.trim().to_owned()))
}
