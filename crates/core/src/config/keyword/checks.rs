//! Health checks.

use super::Argument::{Address, Choice, Optional, Port, Rest, Word};
use super::{
    BlockKind, INTERFACE, Keyword, LONGEST, NAME, OPTIONAL_BOOLEAN, UNSIGNED, acted, dropped,
    known, number, seconds,
};

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
            known("bindto", &[Address]),
            known("bind_port", &[Port]),
            known("bind_if", &[INTERFACE]),
            known("fwmark", &[number(0, UNSIGNED)]),
            known("alpha", &[OPTIONAL_BOOLEAN]),
            known("log_all_failures", &[OPTIONAL_BOOLEAN]),
            $($own,)*
        ]
    };
}

/// `TCP_CHECK`.
pub(super) const TCP_CHECK: &[Keyword] = connecting![acted;
    dropped(
        "nb_get_retry",
        "TCP_CHECK never had it",
        "write `retry` if a failed check is to be repeated that often; nb_get_retry was the name of `retry` in HTTP_GET and SSL_GET only, and old versions of keepalived skipped it here without a word",
    ),
];

/// `HTTP_GET` and `SSL_GET`.
pub(super) const HTTP_GET: &[Keyword] = connecting![known;
    known("nb_get_retry", &[number(0, UNSIGNED)]).use_instead("retry"),
    known("url", &[]).opens(BlockKind::Url),
    known("virtualhost", &[NAME]),
    known("http_protocol", &[Choice(&["1.0", "1.1", "1.0C", "1.0c"])]),
    known("enable_sni", &[OPTIONAL_BOOLEAN]),
    known("sni_name", &[NAME]),
    known("fast_recovery", &[OPTIONAL_BOOLEAN]),
    known("tls_compliant", &[OPTIONAL_BOOLEAN]),
];

/// `url`.
pub(super) const URL: &[Keyword] = &[
    known("path", &[Word("a path")]),
    known("digest", &[Word("an MD5 digest")]),
    known("status_code", &[Rest("CODE or FROM-TO …")]),
    known("virtualhost", &[NAME]),
    known("regex", &[Rest("a regular expression")]),
    known("regex_no_match", &[]),
    known("regex_options", &[Rest("options")]),
    known("regex_stack", &[number(0, UNSIGNED), number(0, UNSIGNED)]),
    known("regex_min_offset", &[number(0, UNSIGNED)]),
    known("regex_max_offset", &[number(0, UNSIGNED)]),
    known("tls_compliant", &[OPTIONAL_BOOLEAN]),
];

/// `SMTP_CHECK`.
pub(super) const SMTP_CHECK: &[Keyword] = connecting![known;
    known("helo_name", &[NAME]),
    known("host", &[]).opens(BlockKind::SmtpHost),
];

/// `host` in `SMTP_CHECK`.
pub(super) const SMTP_HOST: &[Keyword] = connecting![known;];

/// `DNS_CHECK`.
pub(super) const DNS_CHECK: &[Keyword] = connecting![known;
    known("type", &[Word("a record type")]),
    known("name", &[NAME]),
];

/// `MISC_CHECK`.
pub(super) const MISC_CHECK: &[Keyword] = &[
    known("misc_path", &[Rest("a command")]),
    known("misc_timeout", &[number(0, UNSIGNED)]),
    known("misc_dynamic", &[]),
    known("user", &[Word("a user"), Optional(&Word("a group"))]),
    known("retry", &[number(0, UNSIGNED)]),
    known("delay_before_retry", &[seconds(0, LONGEST)]),
    known("warmup", &[seconds(0, LONGEST)]),
    known("delay_loop", &[seconds(1, LONGEST)]),
    known("alpha", &[OPTIONAL_BOOLEAN]),
    known("log_all_failures", &[OPTIONAL_BOOLEAN]),
];

/// `BFD_CHECK`.
pub(super) const BFD_CHECK: &[Keyword] =
    &[known("name", &[NAME]), known("alpha", &[OPTIONAL_BOOLEAN])];

/// `PING_CHECK`.
pub(super) const PING_CHECK: &[Keyword] = connecting![known;];

/// `UDP_CHECK`.
pub(super) const UDP_CHECK: &[Keyword] = connecting![known;
    known("payload", &[Rest("hexadecimal octets")]),
    known("require_reply", &[Rest("[hexadecimal octets]")]),
    known("min_reply_length", &[number(0, 65535)]),
    known("max_reply_length", &[number(0, 65535)]),
];

/// `FILE_CHECK`.
pub(super) const FILE_CHECK: &[Keyword] = &[
    known("track_file", &[NAME]),
    known(
        "weight",
        &[
            number(-(i32::MAX as i64), i32::MAX as i64),
            Optional(&Choice(&["reverse", "noreverse"])),
        ],
    ),
];
