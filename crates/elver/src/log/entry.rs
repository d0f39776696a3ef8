//! An event of the log, and the forms in which it is written.

use std::fmt::{Debug, Write};

use elver_sys::local_time;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// An event, taken apart.
#[derive(Debug)]
pub(super) struct Entry {
    severity: u8,
    message: String,
    /// What stands beside the message, by name.
    fields: Vec<(&'static str, String)>,
}

impl Entry {
    /// Takes an event apart.
    pub(super) fn of(event: &Event<'_>) -> Entry {
        let mut entry = Entry {
            severity: severity(*event.metadata().level()),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut entry);
        entry
    }

    /// As the journal takes it (systemd.journal-fields(7), "Native Journal Protocol"): a line
    /// `NAME=value` for each field; a value of several lines has its length, 8 octets in little
    /// endian, between its name's line and itself.
    pub(super) fn for_journal(&self, identity: &str, facility: u8) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut put = |name: &str, value: &str| {
            octets.extend(name.as_bytes());
            if value.contains('\n') {
                octets.push(b'\n');
                octets.extend((value.len() as u64).to_le_bytes());
            } else {
                octets.push(b'=');
            }
            octets.extend(value.as_bytes());
            octets.push(b'\n');
        };
        put("MESSAGE", &self.message);
        put("PRIORITY", &self.severity.to_string());
        put("SYSLOG_IDENTIFIER", identity);
        put("SYSLOG_FACILITY", &facility.to_string());
        put("SYSLOG_PID", &std::process::id().to_string());
        for (name, value) in &self.fields {
            put(&name.to_ascii_uppercase(), value);
        }
        octets
    }

    /// As syslog takes it from syslog(3): `<PRI>Mmm dd hh:mm:ss IDENTITY[PID]: MESSAGE`.
    pub(super) fn for_syslog(&self, identity: &str, facility: u8) -> Vec<u8> {
        format!(
            "<{}>{} {identity}[{}]: {}",
            facility * 8 + self.severity,
            local_time::now().syslog(),
            std::process::id(),
            self.message
        )
        .into_bytes()
    }

    /// As keepalived writes it into a file of its own: `Www Mmm dd hh:mm:ss yyyy: MESSAGE`.
    pub(super) fn for_file(&self) -> Vec<u8> {
        format!("{}: {}\n", local_time::now().full(), self.message).into_bytes()
    }
}

impl Visit for Entry {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Memory takes it.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }
}

/// The severity of syslog(3).
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str) -> Entry {
        Entry {
            severity: 6,
            message: message.to_owned(),
            fields: vec![("state", "MASTER".to_owned())],
        }
    }

    #[test]
    fn the_journal_gets_the_words_and_the_fields() {
        let id = std::process::id();
        let octets = entry("(VI_1) Entering MASTER STATE").for_journal("Keepalived_vrrp", 3);
        assert_eq!(
            String::from_utf8(octets).unwrap(),
            format!(
                "MESSAGE=(VI_1) Entering MASTER STATE\nPRIORITY=6\n\
                 SYSLOG_IDENTIFIER=Keepalived_vrrp\nSYSLOG_FACILITY=3\nSYSLOG_PID={id}\n\
                 STATE=MASTER\n"
            )
        );
        let octets = entry("a\nb").for_journal("Keepalived", 3);
        assert!(octets.starts_with(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=6\n"));
    }

    #[test]
    fn syslog_gets_what_keepalived_sends_it() {
        let octets = entry("(VI_1) Entering MASTER STATE").for_syslog("Keepalived_vrrp", 3);
        let line = String::from_utf8(octets).unwrap();
        let words = format!(
            " Keepalived_vrrp[{}]: (VI_1) Entering MASTER STATE",
            std::process::id()
        );
        assert!(line.starts_with("<30>") && line.ends_with(&words), "{line}");
        assert_eq!(line.len(), "<30>Nov 23 04:45:03".len() + words.len());
    }
}
