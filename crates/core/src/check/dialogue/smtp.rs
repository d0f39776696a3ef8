//! `SMTP_CHECK`: greeting, HELO, QUIT (RFC 5321 sections 3.1, 4.1.1.1 and 4.1.1.10).

use super::{Turn, wrong};
use crate::check::Outcome;

/// RFC 5321 section 4.5.3.1.5: "The maximum total length of a reply line including the
/// reply code and the <CRLF> is 512 octets." Many servers' are longer.
const LONGEST_LINE: usize = 2048;
/// The most lines of one reply.
const MOST_LINES: usize = 100;

/// A conversation with a mail server.
#[derive(Debug)]
pub(super) struct Smtp {
    helo_name: String,
    awaits: Awaits,
    line: Vec<u8>,
    lines: usize,
    send: Option<Vec<u8>>,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy)]
enum Awaits {
    Greeting,
    AnswerToHelo,
    AnswerToQuit,
}

impl Smtp {
    pub(super) fn new(helo_name: &str) -> Smtp {
        Smtp {
            helo_name: helo_name.to_owned(),
            awaits: Awaits::Greeting,
            line: Vec::new(),
            lines: 0,
            send: None,
            outcome: None,
        }
    }

    /// How many octets of what came it holds.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.line.len()
    }

    pub(super) fn turn(&mut self) -> Turn {
        match (&self.outcome, self.send.take()) {
            (Some(outcome), _) => Turn::Done(outcome.clone()),
            (None, Some(octets)) => Turn::Send(octets),
            (None, None) => Turn::Receive,
        }
    }

    pub(super) fn received(&mut self, octets: &[u8]) {
        for octet in octets {
            if self.outcome.is_some() {
                return;
            }
            if *octet == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.line_received(&line);
            } else if self.line.len() >= LONGEST_LINE {
                self.outcome = Some(wrong(format!(
                    "the server sends a line longer than {LONGEST_LINE} octets"
                )));
            } else {
                self.line.push(*octet);
            }
        }
    }

    pub(super) fn ended(&mut self) {
        let what = self.awaits.words();
        self.outcome
            .get_or_insert_with(|| wrong(format!("the connection was closed before {what}")));
    }

    fn line_received(&mut self, line: &[u8]) {
        self.lines += 1;
        if self.lines > MOST_LINES {
            self.outcome = Some(wrong(format!("a reply has more than {MOST_LINES} lines")));
            return;
        }
        // RFC 5321 section 4.2.1: a hyphen after the code of every line but the last.
        if line.get(3) == Some(&b'-') {
            return;
        }
        self.lines = 0;
        let wanted: &[u8] = match self.awaits {
            Awaits::Greeting => b"220",
            Awaits::AnswerToHelo => b"250",
            Awaits::AnswerToQuit => b"221",
        };
        if line.get(..3) != Some(wanted) {
            let code: String = String::from_utf8_lossy(line.get(..3).unwrap_or(line))
                .chars()
                .filter(|c| !c.is_control())
                .collect();
            let what = self.awaits.words();
            self.outcome = Some(wrong(format!("{what} is `{code}`")));
            return;
        }
        match self.awaits {
            Awaits::Greeting => {
                self.awaits = Awaits::AnswerToHelo;
                self.send = Some(format!("HELO {}\r\n", self.helo_name).into_bytes());
            }
            Awaits::AnswerToHelo => {
                self.awaits = Awaits::AnswerToQuit;
                self.send = Some(b"QUIT\r\n".to_vec());
            }
            Awaits::AnswerToQuit => {
                self.outcome = Some(Outcome::Passed("the mail server answers".to_owned()));
            }
        }
    }
}

impl Awaits {
    fn words(self) -> &'static str {
        match self {
            Awaits::Greeting => "the greeting",
            Awaits::AnswerToHelo => "the reply to HELO",
            Awaits::AnswerToQuit => "the reply to QUIT",
        }
    }
}
