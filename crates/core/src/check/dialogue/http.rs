//! `HTTP_GET` and `SSL_GET`: one page.
//!
//! The answer ends where its `Content-Length` says, or with the connection. The body is
//! taken as it comes on the wire, also where it is chunked, as keepalived does: digests
//! that were made for it hold.

use std::net::SocketAddr;

use md5::{Digest, Md5};

use super::{Turn, wrong};
use crate::check::{Failure, Outcome};
use crate::config::model::{HttpVersion, Regex, Url};

/// The most octets of a status line and headers.
const LONGEST_HEAD: usize = 64 * 1024;
/// The most octets of a body that a regular expression is matched against.
const LONGEST_SEARCHED: usize = 1024 * 1024;
/// The most octets of a body.
const LONGEST_BODY: u64 = 64 * 1024 * 1024;
/// How often a regular expression may go back on its steps.
const BACKTRACKS: usize = 1_000_000;

/// The request for one page and its answer.
pub(super) struct Http {
    url: Url,
    request: Option<Vec<u8>>,
    part: Part,
    outcome: Option<Outcome>,
}

/// The part of the answer that is being read.
enum Part {
    Head(Vec<u8>),
    Body(Body),
}

struct Body {
    status: u16,
    declared: Option<u64>,
    length: u64,
    digest: Option<Md5>,
    searched: Option<Vec<u8>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("url", &self.url)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(url: &Url, version: HttpVersion, to: SocketAddr) -> Http {
        let (minor, close) = match version {
            HttpVersion::Http10 => (0, ""),
            HttpVersion::Http10Close => (0, "Connection: close\r\n"),
            HttpVersion::Http11 => (1, "Connection: close\r\n"),
        };
        // An IPv6 address is in brackets (RFC 3986 section 3.2.2), as `SocketAddr` writes it.
        let host = url.virtual_host.clone().unwrap_or_else(|| to.to_string());
        let request = format!(
            "GET {} HTTP/1.{minor}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: {host}\r\n\r\n",
            url.path
        );
        Http {
            url: url.clone(),
            request: Some(request.into_bytes()),
            part: Part::Head(Vec::new()),
            outcome: None,
        }
    }

    /// How many octets of what came it holds.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        match &self.part {
            Part::Head(head) => head.len(),
            Part::Body(body) => body.searched.as_ref().map_or(0, Vec::len),
        }
    }

    pub(super) fn turn(&mut self) -> Turn {
        match (&self.outcome, self.request.take()) {
            (Some(outcome), _) => Turn::Done(outcome.clone()),
            (None, Some(request)) => Turn::Send(request),
            (None, None) => Turn::Receive,
        }
    }

    pub(super) fn received(&mut self, octets: &[u8]) {
        if self.outcome.is_some() {
            return;
        }
        match &mut self.part {
            Part::Head(head) => {
                // The end may lie across two reads, or between them.
                let from = head.len().saturating_sub(3);
                let room = LONGEST_HEAD.saturating_sub(head.len());
                let (fits, _) = octets.split_at(octets.len().min(room));
                head.extend_from_slice(fits);
                let Some(end) = find(&head[from..], b"\r\n\r\n").map(|at| from + at + 4) else {
                    if head.len() >= LONGEST_HEAD {
                        self.outcome = Some(wrong(format!(
                            "the headers are longer than {} KiB",
                            LONGEST_HEAD / 1024
                        )));
                    }
                    return;
                };
                let rest = octets[octets.len().min(end - (head.len() - fits.len()))..].to_vec();
                head.truncate(end);
                match self.body(end) {
                    Ok(body) => self.part = Part::Body(body),
                    Err(outcome) => {
                        self.outcome = Some(outcome);
                        return;
                    }
                }
                self.body_received(&rest);
            }
            Part::Body(_) => self.body_received(octets),
        }
    }

    pub(super) fn ended(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(match &self.part {
            Part::Head(head) if head.is_empty() => {
                wrong("the connection was closed without an answer")
            }
            Part::Head(_) => wrong("the connection was closed within the headers"),
            Part::Body(_) => self.judge(),
        });
    }

    /// What the head says of the body; or the outcome, where the head decides.
    fn body(&self, end: usize) -> Result<Body, Outcome> {
        let Part::Head(head) = &self.part else {
            return Err(wrong("there are two heads"));
        };
        let text = String::from_utf8_lossy(&head[..end]);
        let mut lines = text.split("\r\n");
        let status = status(lines.next().unwrap_or_default())
            .ok_or_else(|| wrong("the answer does not begin with an HTTP status line"))?;
        let accepted = &self.url.status_codes;
        if !accepted
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status))
        {
            return Err(wrong(format!("{} has HTTP status {status}", self.url.path)));
        }
        let declared = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        Ok(Body {
            status,
            declared,
            length: 0,
            digest: self.url.digest.map(|_| Md5::new()),
            searched: self.url.regex.as_ref().map(|_| Vec::new()),
        })
    }

    fn body_received(&mut self, octets: &[u8]) {
        let Part::Body(body) = &mut self.part else {
            return;
        };
        let octets = match body.declared {
            Some(declared) => {
                let left = usize::try_from(declared.saturating_sub(body.length));
                &octets[..octets.len().min(left.unwrap_or(usize::MAX))]
            }
            None => octets,
        };
        body.length += octets.len() as u64;
        if let Some(digest) = &mut body.digest {
            digest.update(octets);
        }
        if let Some(searched) = &mut body.searched {
            let room = LONGEST_SEARCHED - searched.len();
            searched.extend_from_slice(&octets[..octets.len().min(room)]);
        }
        if body.length > LONGEST_BODY {
            self.outcome = Some(wrong(format!(
                "the page is larger than {} MiB",
                LONGEST_BODY / (1024 * 1024)
            )));
        } else if body
            .declared
            .is_some_and(|declared| body.length >= declared)
        {
            self.outcome = Some(self.judge());
        }
    }

    /// The outcome of a body that is complete.
    fn judge(&self) -> Outcome {
        let Part::Body(body) = &self.part else {
            return Outcome::Failed(Failure::TimedOut);
        };
        let path = &self.url.path;
        if let Some(declared) = body.declared
            && body.length < declared
        {
            return wrong(format!(
                "{path} ended after {} of {declared} octets",
                body.length
            ));
        }
        if let (Some(wanted), Some(digest)) = (self.url.digest, &body.digest) {
            let seen: [u8; 16] = digest.clone().finalize().into();
            if seen != wanted {
                return wrong(format!("{path} has MD5 digest {}", hexadecimal(&seen)));
            }
        }
        if let (Some(regex), Some(searched)) = (&self.url.regex, &body.searched) {
            match regex.matches(searched) {
                Ok(matches) if matches != regex.must_not_match => {}
                Ok(true) => return wrong(format!("{path} matches the regular expression")),
                Ok(false) => return wrong(format!("{path} does not match the regular expression")),
                Err(why) => return wrong(format!("{path}: {why}")),
            }
        }
        Outcome::Passed(format!("HTTP status {}", body.status))
    }
}

/// The code of a status line (RFC 9112 section 4: "HTTP-version SP status-code SP").
fn status(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    if !version.starts_with("HTTP/") {
        return None;
    }
    let code = rest.split(' ').next()?;
    (code.len() == 3).then(|| code.parse().ok())?
}

impl Regex {
    /// Whether it matches in `body`.
    ///
    /// Without UTF in PCRE's sense, as here, an octet is a character: that of Latin-1.
    /// Fails, with words, where the expression is none or takes too many steps.
    fn matches(&self, body: &[u8]) -> Result<bool, String> {
        let latin1 = |octets: &[u8]| octets.iter().map(|b| char::from(*b)).collect::<String>();
        let regex = self.compile()?;
        let text = latin1(body.get(self.least_offset..).unwrap_or_default());
        let limit = self
            .offset_limit
            .map(|limit| limit.saturating_sub(self.least_offset));
        let found = regex
            .find(&text)
            .map_err(|error| format!("the regular expression was given up: {error}"))?;
        Ok(found.is_some_and(|found| {
            limit.is_none_or(|limit| text[..found.start()].chars().count() < limit)
        }))
    }

    /// The expression, ready to search. Fails, with words, where it is none.
    pub fn compile(&self) -> Result<fancy_regex::Regex, String> {
        let options = self.options;
        let flags: String = [
            ('i', options.caseless),
            ('m', options.multiline),
            ('s', options.dot_matches_newline),
            ('x', options.extended),
        ]
        .into_iter()
        .filter_map(|(flag, on)| on.then_some(flag))
        .collect();
        let start = if options.anchored { "\\A" } else { "" };
        let set = if flags.is_empty() {
            String::new()
        } else {
            format!("(?{flags})")
        };
        // A comment at the end of an extended pattern ends with its line.
        let end = if options.extended { "\n" } else { "" };
        fancy_regex::RegexBuilder::new(&format!("{start}{set}(?:{}{end})", self.pattern))
            .backtrack_limit(BACKTRACKS)
            .build()
            .map_err(|error| error.to_string())
    }
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
