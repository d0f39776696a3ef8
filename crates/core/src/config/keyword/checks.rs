//! Health checks.

use super::Argument::{Address, Choice, Optional, Port, Rest, Word};
use super::{
    BlockKind, INTERFACE, Keyword, LONGEST, NAME, OPTIONAL_BOOLEAN, UNSIGNED, acted, dropped, idle,
    number, seconds,
};

/// The ways that the packets of a check can take.
pub(super) const CHECK_PATH: super::Argument = Choice(&["direct", "forwarding"]);

/// The keywords of a check that connects, with its own after them.
macro_rules! connecting {
    ($state:ident; $($own:expr),* $(,)?) => {
        &[
            $state("connect_ip", &[Address]),
            $state("connect_port", &[Port]),
            $state("connect_timeout", &[seconds(1, LONGEST)]),
            $state("retry", &[number(0, UNSIGNED)]),
            $state("delay_before_retry", &[seconds(0, LONGEST)]),
            $state("warmup", &[seconds(0, LONGEST)]),
            $state("delay_loop", &[seconds(1, LONGEST)]),
            $state("bindto", &[Address]),
            $state("bind_port", &[Port]),
            $state("bind_if", &[INTERFACE]),
            $state("fwmark", &[number(0, UNSIGNED)]),
            $state("alpha", &[OPTIONAL_BOOLEAN]),
            $state("log_all_failures", &[OPTIONAL_BOOLEAN]),
            $($own,)*
        ]
    };
}

/// `TCP_CHECK`.
pub(super) const TCP_CHECK: &[Keyword] = connecting![acted;
    acted("check_path", &[CHECK_PATH]),
    dropped(
        "nb_get_retry",
        "TCP_CHECK never had it",
        "write `retry` if a failed check is to be repeated that often; nb_get_retry was the name of `retry` in HTTP_GET and SSL_GET only, and old versions of keepalived skipped it here without a word",
    ),
];

/// `HTTP_GET` and `SSL_GET`.
pub(super) const HTTP_GET: &[Keyword] = connecting![acted;
    acted("check_path", &[CHECK_PATH]),
    acted("nb_get_retry", &[number(0, UNSIGNED)]).use_instead("retry"),
    acted("url", &[]).opens(BlockKind::Url),
    acted("virtualhost", &[NAME]).complains_if_missing(),
    acted("http_protocol", &[Choice(&["1.0", "1.1", "1.0C", "1.0c"])]).complains_if_missing(),
    acted("enable_sni", &[OPTIONAL_BOOLEAN]),
    acted("sni_name", &[NAME]),
    acted("fast_recovery", &[OPTIONAL_BOOLEAN]),
    acted("tls_compliant", &[OPTIONAL_BOOLEAN]),
];

/// `url`.
pub(super) const URL: &[Keyword] = &[
    acted("path", &[Word("a path")]),
    acted("digest", &[Word("an MD5 digest")]),
    acted("status_code", &[Rest("CODE or FROM-TO …")]),
    acted("virtualhost", &[NAME]).complains_if_missing(),
    acted("regex", &[Rest("a regular expression")]),
    acted("regex_no_match", &[]),
    acted("regex_options", &[Rest("options")]),
    idle(
        "regex_stack",
        &[number(0, UNSIGNED), number(0, UNSIGNED)],
        "the stack of an expression grows as it has to",
    )
    .complains_if_missing(),
    acted("regex_min_offset", &[number(0, UNSIGNED)]).complains_if_missing(),
    acted("regex_max_offset", &[number(0, UNSIGNED)]).complains_if_missing(),
    acted("tls_compliant", &[OPTIONAL_BOOLEAN]),
];

/// `SMTP_CHECK`.
pub(super) const SMTP_CHECK: &[Keyword] = connecting![acted;
    acted("check_path", &[CHECK_PATH]),
    acted("helo_name", &[NAME]).complains_if_missing(),
    acted("host", &[]).opens(BlockKind::SmtpHost),
];

/// `host` in `SMTP_CHECK`.
pub(super) const SMTP_HOST: &[Keyword] = connecting![acted;
    acted("check_path", &[CHECK_PATH]),
];

/// `DNS_CHECK`.
pub(super) const DNS_CHECK: &[Keyword] = connecting![acted;
    acted("check_path", &[CHECK_PATH]),
    acted("type", &[Word("a record type")]),
    acted("name", &[NAME]),
];

/// `MISC_CHECK`.
pub(super) const MISC_CHECK: &[Keyword] = &[
    acted("misc_path", &[Rest("a command")]),
    acted("misc_timeout", &[number(0, UNSIGNED)]),
    acted("misc_dynamic", &[]),
    acted("user", &[Word("a user"), Optional(&Word("a group"))]),
    acted("retry", &[number(0, UNSIGNED)]),
    acted("delay_before_retry", &[seconds(0, LONGEST)]),
    acted("warmup", &[seconds(0, LONGEST)]),
    acted("delay_loop", &[seconds(1, LONGEST)]),
    acted("alpha", &[OPTIONAL_BOOLEAN]),
    acted("log_all_failures", &[OPTIONAL_BOOLEAN]),
];

/// `BFD_CHECK`.
pub(super) const BFD_CHECK: &[Keyword] =
    &[acted("name", &[NAME]), acted("alpha", &[OPTIONAL_BOOLEAN])];

/// `PING_CHECK`.
pub(super) const PING_CHECK: &[Keyword] = connecting![acted;];

/// `UDP_CHECK`.
pub(super) const UDP_CHECK: &[Keyword] = connecting![acted;
    acted("check_path", &[CHECK_PATH]),
    acted("payload", &[Rest("hexadecimal octets")]),
    acted("require_reply", &[Rest("[hexadecimal octets]")]),
    acted("min_reply_length", &[number(0, 65535)]),
    acted("max_reply_length", &[number(0, 65535)]),
];

/// `FILE_CHECK`.
pub(super) const FILE_CHECK: &[Keyword] = &[
    acted("track_file", &[NAME]),
    acted(
        "weight",
        &[
            number(-(i32::MAX as i64), i32::MAX as i64),
            Optional(&Choice(&["reverse", "noreverse"])),
        ],
    )
    .complains_if_missing(),
];
