//! `lvs_timeouts`.

use std::time::Duration;

use crate::config::directive::{Context, Directive};
use crate::service::Timeouts;

/// The longest timeout: a month (`LVS_MAX_TIMEOUT` of keepalived).
const LONGEST: u64 = 86_400 * 31;

/// The timeouts that the directive sets; those that stay as they are are zero.
pub(super) fn timeouts(context: &mut Context<'_>, directive: &Directive<'_>) -> Timeouts {
    let mut timeouts = Timeouts {
        tcp: Duration::ZERO,
        tcp_fin: Duration::ZERO,
        udp: Duration::ZERO,
    };
    let words = directive.rest(0);
    if words.len() < 2 {
        context
            .report
            .warning(directive.name().span, "lvs_timeouts sets nothing")
            .help("write for example `lvs_timeouts tcp 7200 tcpfin 30 udp 60`, in seconds");
        return timeouts;
    }
    let mut words = words.iter();
    while let Some(name) = words.next() {
        let timeout = match &*name.text {
            "tcp" => &mut timeouts.tcp,
            "tcpfin" => &mut timeouts.tcp_fin,
            "udp" => &mut timeouts.udp,
            _ => {
                context
                    .report
                    .warning(name.span, format!("`{}` is no timeout: ignored", name.text))
                    .help("the timeouts are tcp, tcpfin and udp");
                continue;
            }
        };
        let Some(number) = words.next() else {
            context
                .report
                .warning(
                    name.span,
                    format!("`{}` without a time: ignored", name.text),
                )
                .help("write the number of seconds behind it");
            break;
        };
        match number.text.parse() {
            Ok(seconds) if seconds <= LONGEST => *timeout = Duration::from_secs(seconds),
            _ => {
                context
                    .report
                    .warning(
                        number.span,
                        format!("`{}` is no timeout: ignored", number.text),
                    )
                    .help(format!(
                        "write a whole number of seconds from 0 to {LONGEST}"
                    ));
            }
        }
    }
    timeouts
}
