//! `HTTP_GET` and `SSL_GET`.

use super::text;
use crate::config::directive::{Context, Directive};
use crate::config::keyword::BlockKind;
use crate::config::model::{HttpProbe, HttpVersion, Regex, Tls, Url};

// What keepalived takes without being told.
const PATH: &str = "/";
const STATUS_CODES: (u16, u16) = (200, 299);

/// A check of which nothing has been read yet.
pub(super) fn unread(tls: bool) -> HttpProbe {
    HttpProbe {
        version: HttpVersion::Http10,
        tls: tls.then_some(Tls {
            enable_sni: false,
            sni_name: None,
            compliant: false,
        }),
        fast_recovery: false,
        urls: Vec::new(),
    }
}

/// Takes a directive of the block in.
pub(super) fn take(context: &mut Context<'_>, probe: &mut HttpProbe, directive: &Directive<'_>) {
    match directive.keyword.name {
        "url" => {
            let url = url(context, directive);
            probe.urls.push(url);
        }
        "http_protocol" => {
            probe.version = match directive.choice() {
                Some("1.1") => HttpVersion::Http11,
                Some("1.0C" | "1.0c") => HttpVersion::Http10Close,
                _ => HttpVersion::Http10,
            };
        }
        "fast_recovery" => probe.fast_recovery = directive.boolean(),
        "enable_sni" | "sni_name" | "tls_compliant" => {
            match (&mut probe.tls, directive.keyword.name) {
                (Some(tls), "enable_sni") => tls.enable_sni = directive.boolean(),
                (Some(tls), "tls_compliant") => tls.compliant = directive.boolean(),
                (Some(tls), _) => tls.sni_name = directive.word(0).map(text),
                (None, name) => {
                    context
                        .report
                        .warning(
                            directive.name().span,
                            format!("`{name}` is for SSL_GET: ignored"),
                        )
                        .help("HTTP_GET does not speak TLS: take the line away");
                }
            }
        }
        _ => {}
    }
}

/// Gives every page its host.
pub(super) fn inherit(probe: &mut HttpProbe, virtual_host: Option<&str>) {
    for url in &mut probe.urls {
        if url.virtual_host.is_none() {
            url.virtual_host = virtual_host.map(str::to_owned);
        }
    }
}

fn url(context: &mut Context<'_>, block: &Directive<'_>) -> Url {
    let mut url = Url {
        path: PATH.to_owned(),
        virtual_host: None,
        status_codes: Vec::new(),
        digest: None,
        regex: None,
        tls_compliant: None,
    };
    let mut regex = Regex {
        pattern: String::new(),
        must_not_match: false,
        options: Default::default(),
        least_offset: 0,
        offset_limit: None,
    };
    let mut pattern = None;
    for directive in context.directives(BlockKind::Url, block.statements()) {
        let offset = || directive.number().and_then(|n| usize::try_from(n).ok());
        match directive.keyword.name {
            "path" => url.path = directive.word(0).map_or(PATH.to_owned(), text),
            "virtualhost" => url.virtual_host = directive.word(0).map(text),
            "status_code" => status_codes(context, &mut url, &directive),
            "digest" => url.digest = digest(context, &directive),
            "regex" => {
                let words: Vec<String> = directive.rest(0).iter().map(text).collect();
                pattern = Some((words.join(" "), directive.argument_span(0)));
            }
            "tls_compliant" => url.tls_compliant = Some(directive.boolean()),
            "regex_no_match" => regex.must_not_match = true,
            "regex_options" => regex_options(context, &mut regex, &directive),
            "regex_min_offset" => regex.least_offset = offset().unwrap_or(0),
            "regex_max_offset" => regex.offset_limit = offset(),
            _ => {}
        }
    }
    if url.status_codes.is_empty() {
        url.status_codes.push(STATUS_CODES);
    }
    if let Some((pattern, span)) = pattern {
        regex.pattern = pattern;
        match regex.compile() {
            Ok(_) => url.regex = Some(regex),
            Err(why) => {
                context
                    .report
                    .error(span, format!("this is no regular expression: {why}"))
                    .help("write one as Perl reads it, in double quotes");
            }
        }
    }
    url
}

fn status_codes(context: &mut Context<'_>, url: &mut Url, directive: &Directive<'_>) {
    for word in directive.rest(0) {
        let (from, to) = word
            .text
            .split_once('-')
            .unwrap_or((&word.text, &word.text));
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        match (code(from), code(to)) {
            (Some(from), Some(to)) if from <= to => url.status_codes.push((from, to)),
            _ => {
                context
                    .report
                    .error(
                        word.span,
                        format!("`{}` is no status code and no range of them", word.text),
                    )
                    .help("write codes from 100 to 599, or ranges like 200-299");
            }
        }
    }
}

fn digest(context: &mut Context<'_>, directive: &Directive<'_>) -> Option<[u8; 16]> {
    let word = directive.word(0)?;
    let number = u128::from_str_radix(&word.text, 16)
        .ok()
        .filter(|_| word.text.len() == 32 && word.text.bytes().all(|b| b.is_ascii_hexdigit()));
    if number.is_none() {
        context
            .report
            .error(word.span, format!("`{}` is no MD5 digest", word.text))
            .help("write its 32 hexadecimal digits, as `md5sum` prints them for the page's body");
    }
    number.map(u128::to_be_bytes)
}

fn regex_options(context: &mut Context<'_>, regex: &mut Regex, directive: &Directive<'_>) {
    for word in directive.rest(0) {
        let options = &mut regex.options;
        match &*word.text {
            "anchored" => options.anchored = true,
            "caseless" => options.caseless = true,
            "dotall" => options.dot_matches_newline = true,
            "extended" => options.extended = true,
            "multiline" => options.multiline = true,
            other => {
                context
                    .report
                    .advice(
                        word.span,
                        format!("the option `{other}` is not acted on yet"),
                    )
                    .label("the expression is matched without it")
                    .help("anchored, caseless, dotall, extended and multiline are");
            }
        }
    }
}
