//! Health checks, and the timing that they inherit.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::diagnostic::Report;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{Check, TcpCheck};
use crate::config::source::Span;

// The defaults of keepalived.conf(5).
const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 1;
const DELAY_BEFORE_RETRY: Duration = Duration::from_secs(1);

/// Timing of checks: each level takes from the one above what it does not say itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timing {
    delay_loop: Option<Duration>,
    connect_timeout: Option<Duration>,
    retries: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
}

impl Timing {
    /// Whether the directive was one of timing, and is taken in.
    pub(super) fn take(&mut self, directive: &Directive<'_>) -> bool {
        match directive.keyword.name {
            "delay_loop" => self.delay_loop = directive.time(),
            "connect_timeout" => self.connect_timeout = directive.time(),
            "retry" => self.retries = directive.number().and_then(|n| u32::try_from(n).ok()),
            "delay_before_retry" => self.delay_before_retry = directive.time(),
            "warmup" => self.warmup = directive.time(),
            _ => return false,
        }
        true
    }

    pub(super) fn or(self, outer: Timing) -> Timing {
        Timing {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retries: self.retries.or(outer.retries),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
        }
    }
}

/// A `TCP_CHECK` as the file has it.
pub(super) struct ReadTcpCheck {
    span: Span,
    connect_ip: Option<IpAddr>,
    connect_port: Option<u16>,
    timing: Timing,
}

/// A `TCP_CHECK`.
pub(super) fn tcp_check(context: &mut Context<'_>, block: &Directive<'_>) -> ReadTcpCheck {
    let mut check = ReadTcpCheck {
        span: block.name().span,
        connect_ip: None,
        connect_port: None,
        timing: Timing::default(),
    };
    for directive in context.directives(BlockKind::TcpCheck, block.statements()) {
        if check.timing.take(&directive) {
            continue;
        }
        match directive.keyword.name {
            "connect_ip" => check.connect_ip = directive.address(),
            "connect_port" => check.connect_port = directive.port(),
            _ => {}
        }
    }
    check
}

impl ReadTcpCheck {
    /// With everything that it inherits.
    pub(super) fn finish(&self, server: SocketAddr, outer: Timing, report: &mut Report) -> Check {
        let timing = self.timing.or(outer);
        let interval = timing.delay_loop.unwrap_or(DELAY_LOOP);
        let connect_to = SocketAddr::new(
            self.connect_ip.unwrap_or(server.ip()),
            self.connect_port.unwrap_or(server.port()),
        );
        if connect_to.port() == 0 {
            report
                .error(
                    self.span,
                    "this check does not know which port to connect to",
                )
                .help("add `connect_port N`, or a port to the real server");
        }
        Check::Tcp(TcpCheck {
            connect_to,
            connect_timeout: timing.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            interval,
            retries: timing.retries.unwrap_or(RETRIES),
            delay_before_retry: timing.delay_before_retry.unwrap_or(DELAY_BEFORE_RETRY),
            warmup: timing.warmup.unwrap_or(interval),
        })
    }
}
