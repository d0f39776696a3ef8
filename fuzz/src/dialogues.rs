//! What real servers answer to checks.

use std::sync::OnceLock;

use elver_core::check::dialogue::{Dialogue, Turn};
use elver_core::config::model::Check;
use elver_core::config::{Source, load};

/// A check of each kind that has a dialogue, with everything that it can ask for.
const CHECKS: &str = "\
virtual_server 192.0.2.100 80 {
    protocol TCP
    real_server 192.0.2.1 80 {
        HTTP_GET {
            url {
                path /
                digest 5d41402abc4b2a76b9719d911017c592
                status_code 200-299
            }
        }
        HTTP_GET {
            http_protocol 1.1
            url {
                path /health
                virtualhost www.example.org
                regex ^h(e|l)+o
                regex_options multiline dotall
                regex_min_offset 2
                regex_max_offset 4000
            }
        }
        SMTP_CHECK {
            helo_name director.example.org
        }
        DNS_CHECK {
            type SOA
            name example.org
        }
        UDP_CHECK {
            payload 0102
            require_reply 01x2
        }
        PING_CHECK {
        }
    }
    real_server 2001:db8::1 80 {
        PING_CHECK {
        }
    }
}
";

struct Text;

impl Source for Text {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Ok(CHECKS.into())
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn config_id(&self) -> Option<String> {
        None
    }
}

fn checks() -> &'static [Check] {
    static CHECKS: OnceLock<Vec<Check>> = OnceLock::new();
    CHECKS.get_or_init(|| {
        let loaded = load(&Text, "checks");
        let configuration = loaded.configuration.expect("a good file");
        let servers = configuration.virtual_servers.into_iter();
        let real_servers = servers.flat_map(|server| server.real_servers);
        real_servers.flat_map(|server| server.checks).collect()
    })
}

/// The first octet says which check it is; then come pieces with an octet for the length of each,
/// and with the last the peer has said all.
pub(crate) fn hold(octets: &[u8]) {
    /// No dialogue says more than this without an answer.
    const TURNS: usize = 8;
    let Some((which, mut rest)) = octets.split_first() else {
        return;
    };
    let checks = checks();
    let check = &checks[usize::from(*which) % checks.len()];
    let mut dialogue = Dialogue::new(check, 0, 0x1234_5678_9abc_def0);
    let settle = |dialogue: &mut Dialogue| {
        let said = (0..TURNS).find_map(|_| match dialogue.turn() {
            Turn::Send(_) => None,
            Turn::Receive => Some(false),
            Turn::Done(_) => Some(true),
        });
        said.expect("it does not speak without end")
    };
    while let Some((length, others)) = rest.split_first() {
        if settle(&mut dialogue) {
            return;
        }
        // Long ones as well: pages have thousands of octets.
        let length = match length {
            255 => others.len(),
            length => usize::from(*length),
        };
        let (piece, others) = others.split_at(length.min(others.len()));
        dialogue.received(piece);
        rest = others;
    }
    dialogue.ended();
    settle(&mut dialogue);
}
