use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::model::{
    CheckPath, Connection, DnsProbe, HttpProbe, HttpVersion, Regex, RegexOptions, Timing, UdpProbe,
    UdpReply, Url,
};

fn check(probe: Probe) -> Check {
    Check {
        connection: Connection {
            to: "[2001:db8::1]:8080".parse().unwrap(),
            timeout: Duration::from_secs(5),
            source: None,
            source_port: None,
            interface: None,
            mark: 0,
            path: CheckPath::Direct,
        },
        probe,
        timing: Timing {
            interval: Duration::from_secs(6),
            retries: 1,
            delay_before_retry: Duration::from_secs(1),
            warmup: Duration::ZERO,
            alpha: false,
            log_all_failures: false,
        },
    }
}

fn url() -> Url {
    Url {
        path: "/health".to_owned(),
        virtual_host: None,
        status_codes: vec![(200, 299)],
        digest: None,
        regex: None,
        tls_compliant: None,
    }
}

fn http(url: Url) -> Probe {
    Probe::Http(HttpProbe {
        version: HttpVersion::Http10,
        tls: None,
        fast_recovery: false,
        urls: vec![url],
    })
}

/// What comes out when the peer sends these pieces and closes.
fn outcome_of(probe: Probe, pieces: &[&[u8]]) -> Outcome {
    let mut dialogue = Dialogue::new(&check(probe.clone()), 0, 0x1234_5678_9abc_def0);
    for piece in pieces {
        loop {
            match dialogue.turn() {
                Turn::Send(_) => {}
                Turn::Receive => break,
                Turn::Done(outcome) => return outcome,
            }
        }
        dialogue.received(piece);
    }
    dialogue.ended();
    match dialogue.turn() {
        Turn::Done(outcome) => outcome,
        _ => silence(&probe),
    }
}

fn words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Passed(words) => format!("passed: {words}"),
        Outcome::Failed(failure) => failure.to_string(),
        Outcome::NotRun(why) => panic!("not run: {why}"),
    }
}

#[test]
fn a_request_is_that_of_keepalived() {
    let mut dialogue = Dialogue::new(&check(http(url())), 0, 0);
    let wanted =
        "GET /health HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: [2001:db8::1]:8080\r\n\r\n";
    assert_eq!(dialogue.turn(), Turn::Send(wanted.as_bytes().to_vec()));
    assert_eq!(dialogue.turn(), Turn::Receive);
}

#[test]
fn pages_are_judged() {
    let page = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhello";
    // `printf hello | md5sum`
    let digest = *b"\x5d\x41\x40\x2a\xbc\x4b\x2a\x76\xb9\x71\x9d\x91\x10\x17\xc5\x92";
    let regex = |pattern: &str, must_not_match| {
        Some(Regex {
            pattern: pattern.to_owned(),
            must_not_match,
            options: RegexOptions::default(),
            least_offset: 0,
            offset_limit: None,
        })
    };
    let with = |change: &dyn Fn(&mut Url)| {
        let mut url = url();
        change(&mut url);
        words(outcome_of(http(url), &[page]))
    };
    let passed = "passed: HTTP status 200";
    assert_eq!(with(&|_| {}), passed);
    assert_eq!(with(&|u| u.digest = Some(digest)), passed);
    assert_eq!(
        with(&|u| u.digest = Some([0; 16])),
        "/health has MD5 digest 5d41402abc4b2a76b9719d911017c592"
    );
    assert_eq!(
        with(&|u| u.status_codes = vec![(300, 399), (404, 404)]),
        "/health has HTTP status 200"
    );
    assert_eq!(with(&|u| u.regex = regex("(?<=h)el+o$", false)), passed);
    assert_eq!(
        with(&|u| u.regex = regex("goodbye", false)),
        "/health does not match the regular expression"
    );
    assert_eq!(with(&|u| u.regex = regex("goodbye", true)), passed);
    assert_eq!(
        with(&|u| u.regex = regex("ell", true)),
        "/health matches the regular expression"
    );
    assert_eq!(
        with(&|u| {
            u.regex = regex("l", false);
            u.regex.as_mut().unwrap().least_offset = 4;
        }),
        "/health does not match the regular expression"
    );
    assert_eq!(
        with(&|u| {
            u.regex = regex("o", false);
            u.regex.as_mut().unwrap().offset_limit = Some(4);
        }),
        "/health does not match the regular expression"
    );
}

#[test]
fn an_answer_may_come_octet_by_octet_and_ends_where_it_says() {
    let answer = b"HTTP/1.0 200 OK\r\ncontent-LENGTH: 2\r\n\r\nokmore";
    let octets: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(
        words(outcome_of(http(url()), &octets)),
        "passed: HTTP status 200"
    );
    assert_eq!(
        words(outcome_of(http(url()), &[&answer[..answer.len() - 5]])),
        "/health ended after 1 of 2 octets"
    );
}

#[test]
fn what_is_no_answer_fails_in_words() {
    let said = |answer: &[u8]| words(outcome_of(http(url()), &[answer]));
    assert_eq!(
        words(outcome_of(http(url()), &[])),
        "the connection was closed without an answer"
    );
    assert_eq!(
        said(b"HTTP/1.0 200 OK\r\n"),
        "the connection was closed within the headers"
    );
    assert_eq!(
        said(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        "the answer does not begin with an HTTP status line"
    );
    assert_eq!(said(&[b'a'; 70_000]), "the headers are longer than 64 KiB");
}

#[test]
fn a_regular_expression_that_explodes_is_given_up() {
    let mut url = url();
    url.regex = Some(Regex {
        pattern: r"(a|aa)+\1$".to_owned(),
        must_not_match: true,
        options: RegexOptions::default(),
        least_offset: 0,
        offset_limit: None,
    });
    let mut answer = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    answer.extend([b'a'; 400]);
    answer.push(b'!');
    let said = words(outcome_of(http(url), &[&answer]));
    assert!(said.contains("given up"), "{said}");
}

#[test]
fn a_mail_server_is_greeted_and_left() {
    let smtp = || Probe::Smtp {
        helo_name: "director".to_owned(),
    };
    let all: [&[u8]; 3] = [b"220-hello\r\n220 there\r\n", b"250 ok\r\n", b"221 bye\r\n"];
    assert_eq!(
        words(outcome_of(smtp(), &all)),
        "passed: the mail server answers"
    );
    assert_eq!(
        words(outcome_of(smtp(), &[b"554 no\r\n"])),
        "the greeting is `554`"
    );
    assert_eq!(
        words(outcome_of(smtp(), &[b"220 hello\r\n", b"502 no\r\n"])),
        "the reply to HELO is `502`"
    );
    assert_eq!(
        words(outcome_of(smtp(), &[b"220 hello\r\n"])),
        "the connection was closed before the reply to HELO"
    );
    assert_eq!(
        words(outcome_of(smtp(), &[&[b'2'; 3000]])),
        "the server sends a line longer than 2048 octets"
    );
    let endless = b"220-\r\n".repeat(101);
    assert_eq!(
        words(outcome_of(smtp(), &[&endless])),
        "a reply has more than 100 lines"
    );
}

#[test]
fn a_dns_answer_is_the_answer_to_the_question() {
    let dns = || {
        Probe::Dns(DnsProbe {
            name: "example.org.".to_owned(),
            record_type: 28,
        })
    };
    let mut dialogue = Dialogue::new(&check(dns()), 0, 0x1234_5678_9abc_def0);
    let Turn::Send(query) = dialogue.turn() else {
        panic!("a query comes first")
    };
    assert_eq!(
        query,
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x1c\x00\x01"
    );
    let answer = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut answer = query.clone();
        answer[2] |= 0x80;
        change(&mut answer);
        words(outcome_of(dns(), &[&answer]))
    };
    assert_eq!(answer(&|_| {}), "passed: answers");
    assert_eq!(answer(&|a| a[3] = 3), "the answer is NXDOMAIN");
    // None of these is an answer: the right one may still come, and does not.
    let timed_out = "connection timed out";
    assert_eq!(answer(&|a| a[0] = 0), timed_out, "another query's");
    assert_eq!(answer(&|a| a[2] = 1), timed_out, "a query");
    assert_eq!(answer(&|a| a[14] = b'z'), timed_out, "another question's");
    assert_eq!(answer(&|a| a.truncate(11)), timed_out, "cut short");
}

#[test]
fn udp_replies_are_compared_under_their_mask() {
    let udp = |reply: Option<UdpReply>| {
        Probe::Udp(UdpProbe {
            payload: Some(vec![1, 2]),
            reply,
        })
    };
    let reply = || {
        Some(UdpReply {
            prefix: vec![(0xa0, 0xf0), (0x55, 0xff)],
            least_length: 1,
            greatest_length: 3,
        })
    };
    assert_eq!(words(outcome_of(udp(None), &[])), "passed: nobody refuses");
    assert_eq!(words(outcome_of(udp(reply()), &[])), "connection timed out");
    assert_eq!(
        words(outcome_of(udp(reply()), &[&[0xaf, 0x55]])),
        "passed: replies"
    );
    assert_eq!(
        words(outcome_of(udp(reply()), &[&[0xa0, 0x54]])),
        "octet 1 of the reply is 0x54"
    );
    assert_eq!(
        words(outcome_of(udp(reply()), &[&[0xa0, 0x55, 0, 0]])),
        "the reply has 4 octets, not 1 to 3"
    );
}

#[test]
fn an_echo_is_our_own() {
    let mut dialogue = Dialogue::new(&check(Probe::Ping), 0, 7);
    let Turn::Send(mut echo) = dialogue.turn() else {
        panic!("a request comes first")
    };
    assert_eq!(echo[0], 128);
    echo[0] = 129;
    let other: Vec<u8> = echo.iter().map(|octet| octet ^ 1).collect();
    dialogue.received(&other);
    assert_eq!(dialogue.turn(), Turn::Receive);
    // The kernel has filled in checksum and identifier.
    echo[2..6].copy_from_slice(&[1, 2, 3, 4]);
    dialogue.received(&echo);
    assert_eq!(
        dialogue.turn(),
        Turn::Done(Outcome::Passed("answers echo requests".to_owned()))
    );
}

fn any_probe() -> impl Strategy<Value = Probe> {
    let mut judged = url();
    judged.digest = Some([0; 16]);
    prop_oneof![
        Just(http(url())),
        Just(http(judged)),
        Just(Probe::Smtp {
            helo_name: "x".to_owned()
        }),
        Just(Probe::Ping),
        Just(Probe::Dns(DnsProbe {
            name: ".".to_owned(),
            record_type: 6
        })),
    ]
}

/// A probe with an exchange that it passes with, as what the peer sends.
fn exchanges() -> Vec<(Probe, Vec<u8>)> {
    let mut judged = url();
    // `printf hello | md5sum`
    judged.digest = Some(0x5d41_402a_bc4b_2a76_b971_9d91_1017_c592_u128.to_be_bytes());
    judged.regex = Some(Regex {
        pattern: "^h(el+)*o$".to_owned(),
        must_not_match: false,
        options: RegexOptions::default(),
        least_offset: 0,
        offset_limit: None,
    });
    let mut dns = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
    dns.extend_from_slice(b"\x07example\0\0\x06\0\x01");
    let reply = UdpReply {
        prefix: vec![(0x40, 0xf0), (0, 0)],
        least_length: 2,
        greatest_length: 9,
    };
    vec![
        (
            http(judged),
            b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        ),
        (
            Probe::Smtp {
                helo_name: "x".to_owned(),
            },
            b"220-well\r\n220 come\r\n250-x\r\n250 HELP\r\n221 bye\r\n".to_vec(),
        ),
        (
            Probe::Dns(DnsProbe {
                name: "example".to_owned(),
                record_type: 6,
            }),
            dns,
        ),
        (
            Probe::Udp(UdpProbe {
                payload: None,
                reply: Some(reply),
            }),
            b"Any".to_vec(),
        ),
    ]
}

/// A change of some octets.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize, usize),
    Insert(usize, Vec<u8>),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let word = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"99999999999999999999".to_vec()),
        Just(b"Content-Length: ".to_vec()),
        Just(b"HTTP/9.9 ".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(vec![0xff; 8]),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let at = any::<usize>;
    prop_oneof![
        (at(), 1u8..).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (at(), 1usize..20).prop_map(|(at, length)| Mutation::Cut(at, length)),
        (at(), 1usize..40, 1usize..3000)
            .prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        (at(), word).prop_map(|(at, word)| Mutation::Insert(at, word)),
    ]
}

fn mutated(mut octets: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let length = octets.len();
        let range = |at: usize, size: usize| {
            let at = at % (length + 1);
            at..length.min(at + size)
        };
        match mutation {
            Mutation::Flip(at, bits) if length > 0 => octets[at % length] ^= bits,
            Mutation::Flip(..) => {}
            Mutation::Cut(at, size) => drop(octets.drain(range(*at, *size))),
            Mutation::Repeat(at, size, times) => {
                let range = range(*at, *size);
                let repeated = octets[range.clone()].repeat(*times);
                octets.splice(range, repeated);
            }
            Mutation::Insert(at, word) => {
                let at = range(*at, 0).start;
                octets.splice(at..at, word.iter().copied());
            }
        }
    }
    octets
}

fn remembered(dialogue: &Dialogue) -> usize {
    match &dialogue.0 {
        Kind::Http(http) => http.remembered(),
        Kind::Smtp(smtp) => smtp.remembered(),
        Kind::Connected | Kind::Datagram(_) => 0,
    }
}

#[test]
fn the_exchanges_that_are_changed_pass_as_they_are() {
    for (probe, octets) in exchanges() {
        let outcome = outcome_of(probe, &[&octets]);
        assert!(matches!(outcome, Outcome::Passed(_)), "{outcome:?}");
    }
}

#[test]
fn what_is_remembered_of_a_peer_without_end_is_bounded() {
    let part = |octets: &[u8]| octets.repeat(64 * 1024 / octets.len());
    for (probe, first, rest) in [
        (0, &b""[..], part(b"x")),
        (0, b"HTTP/1.0 200 OK\r\n", part(b"X: y\r\n")),
        (0, b"HTTP/1.0 200 OK\r\n\r\n", part(b"hel")),
        (1, b"", part(b"220-")),
        (1, b"", part(b"220-more\r\n")),
    ] {
        let (probe, _) = exchanges().swap_remove(probe);
        let mut dialogue = Dialogue::new(&check(probe), 0, 7);
        dialogue.received(first);
        let mut most = 0;
        let mut parts = 0;
        while !matches!(dialogue.turn(), Turn::Done(_)) {
            dialogue.received(&rest);
            most = most.max(remembered(&dialogue));
            parts += 1;
            assert!(parts < 2000, "64 MiB are enough");
        }
        assert!(most <= 1024 * 1024, "{most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever becomes of an answer on its way: there is one verdict, however the octets are
    /// cut into pieces, in words that can stand in a log.
    #[test]
    fn changed_answers_get_one_verdict_in_words(
        which in 0usize..4,
        mutations in prop::collection::vec(mutation(), 1..6),
        cuts in prop::collection::vec(1usize..2000, 0..8),
    ) {
        let (probe, octets) = exchanges().swap_remove(which);
        let octets = mutated(octets, &mutations);
        let whole = outcome_of(probe.clone(), &[&octets]);
        if !matches!(probe, Probe::Dns(_) | Probe::Udp(_)) {
            let (mut pieces, mut rest) = (Vec::new(), &octets[..]);
            for cut in cuts {
                let (piece, left) = rest.split_at(cut.min(rest.len()));
                if !piece.is_empty() {
                    pieces.push(piece);
                }
                rest = left;
            }
            pieces.push(rest);
            prop_assert_eq!(outcome_of(probe, &pieces), whole.clone());
        }
        let words = words(whole);
        prop_assert!(words.len() < 200 && !words.chars().any(char::is_control), "{words:?}");
    }
}

proptest! {
    /// Octets that mean nothing never make a real server pass.
    #[test]
    fn garbage_never_passes(
        probe in any_probe(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let outcome = outcome_of(probe, &pieces);
        prop_assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }

    /// How an answer is cut into pieces changes nothing.
    #[test]
    fn pieces_do_not_matter(cuts in prop::collection::vec(1usize..40, 0..10), stop in 0usize..80) {
        let answer = b"HTTP/1.1 204 No Content\r\nContent-Length: 12\r\nX: y\r\n\r\nhello, world";
        let answer = &answer[..answer.len().min(stop)];
        let mut pieces = Vec::new();
        let mut rest = answer;
        for cut in cuts {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = left;
        }
        pieces.push(rest);
        prop_assert_eq!(outcome_of(http(url()), &pieces), outcome_of(http(url()), &[answer]));
    }
}
