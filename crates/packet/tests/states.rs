//! The state tables, cell by cell, against what the kernel's have: `tcp_states` for
//! `secure_tcp` 0 and 3 in `net/netfilter/ipvs/ip_vs_proto_tcp.c`, `sctp_states` in
//! `ip_vs_proto_sctp.c`. Rows are who sent what, columns the state in which it comes.

use elver_packet::flow::sctp::{self, Chunk, SctpState};
use elver_packet::flow::tcp::{self, TcpState};
use elver_packet::flow::{self, Side};
use elver_packet::table::destination::Activity;
use elver_packet::wire::protocol;

const TCP: &str = "
    dir     event NO ES SS SR FW TW CL CW LA LI SA
    IN      syn   SR ES ES SR SR SR SR SR SR SR SR
    IN      fin   CL CW SS TW TW TW CL CW LA LI TW
    IN      ack   ES ES SS ES FW TW CL CW CL LI ES
    IN      rst   CL CL CL SR CL CL CL CL LA LI SR
    OUT     syn   SS ES SS SR SS SS SS SS SS LI SR
    OUT     fin   TW FW SS TW FW TW CL TW LA LI TW
    OUT     ack   ES ES SS ES FW TW CL CW LA ES ES
    OUT     rst   CL CL SS CL CL TW CL CL CL CL CL
    IN-ONLY syn   SR ES ES SR SR SR SR SR SR SR SR
    IN-ONLY fin   CL FW SS TW FW TW CL CW LA LI TW
    IN-ONLY ack   ES ES SS ES FW TW CL CW CL LI ES
    IN-ONLY rst   CL CL CL SR CL CL CL CL LA LI CL
";

/// `tcp_states_dos`.
const SECURE_TCP: &str = "
    dir     event NO ES SS SR FW TW CL CW LA LI SA
    IN      syn   SR ES ES SR SR SR SR SR SR SR SA
    IN      fin   CL CW SS TW TW TW CL CW LA LI SA
    IN      ack   ES ES SS SR FW TW CL CW CL LI SA
    IN      rst   CL CL CL SR CL CL CL CL LA LI CL
    OUT     syn   SS ES SS SA SS SS SS SS SS LI SA
    OUT     fin   TW FW SS TW FW TW CL TW LA LI TW
    OUT     ack   ES ES SS ES FW TW CL CW LA ES ES
    OUT     rst   CL CL SS CL CL TW CL CL CL CL CL
    IN-ONLY syn   SA ES ES SR SA SA SA SA SA SA SA
    IN-ONLY fin   CL FW SS TW FW TW CL CW LA LI TW
    IN-ONLY ack   ES ES SS ES FW TW CL CW CL LI ES
    IN-ONLY rst   CL CL CL SR CL CL CL CL LA LI CL
";

const SCTP: &str = "
    dir     event             NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    IN      data              ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    IN      init              I1 IN IN CS CR CW CO CE ES SS SR SA IN IN
    IN      init_ack          CW CW CW CS CR CO CO CE ES SS SR SA RJ CL
    IN      cookie_echo       CR IN IN CR CR CW CO CE ES SS SR SA RJ CL
    IN      cookie_ack        ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL
    IN      shutdown          SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
    IN      shutdown_ack      CL IN IN CS CR CW CO CE ES CL SR CL RJ CL
    IN      shutdown_complete CL CL CL CS CR CW CO CE ES SS SR CL RJ CL
    IN      error             CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL
    IN      abort             CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
    OUT     data              ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    OUT     init              CW CW CW CW CW CW CW CW ES CW CW CW CW CW
    OUT     init_ack          CS CS CS CS CR CW CO CE ES SS SR SA RJ CL
    OUT     cookie_echo       CE CE CE CE CE CE CE CE ES SS SR SA RJ CL
    OUT     cookie_ack        ES ES ES ES ES ES ES ES ES SS SR SA RJ CL
    OUT     shutdown          SS SS SS SS SS SS SS SS SS SS SR SA RJ CL
    OUT     shutdown_ack      SA SA SA SA SA CW CO CE ES SA SA SA RJ CL
    OUT     shutdown_complete CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    OUT     error             CL CL CL CL CL CW CO CE ES SS SR SA RJ CL
    OUT     abort             CL RJ CL CL CL CL CL CL CL CL CL CL CL CL
    IN-ONLY data              ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL
    IN-ONLY init              I1 IN IN IN IN IN CO CE ES SS SR SA IN IN
    IN-ONLY init_ack          CE CE CE CE CE CE CO CE ES SS SR SA RJ CL
    IN-ONLY cookie_echo       ES ES ES ES ES ES CO CE ES SS SR SA RJ CL
    IN-ONLY cookie_ack        ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL
    IN-ONLY shutdown          SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
    IN-ONLY shutdown_ack      CL IN IN CS CR CW CO CE CL CL SR CL RJ CL
    IN-ONLY shutdown_complete CL CL CL CL CL CW CO CE ES SS CL CL RJ CL
    IN-ONLY error             CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    IN-ONLY abort             CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
";

/// Letters, name in `ipvsadm -Lc`, seconds, and whether it counts as active.
const TCP_STATES: [(&str, &str, u32, bool); 11] = [
    ("NO", "NONE", 2, false),
    ("ES", "ESTABLISHED", 900, true),
    ("SS", "SYN_SENT", 120, true),
    ("SR", "SYN_RECV", 60, true),
    ("FW", "FIN_WAIT", 120, false),
    ("TW", "TIME_WAIT", 120, false),
    ("CL", "CLOSE", 10, false),
    ("CW", "CLOSE_WAIT", 60, false),
    ("LA", "LAST_ACK", 30, false),
    ("LI", "LISTEN", 120, false),
    ("SA", "SYNACK", 120, true),
];

const SCTP_STATES: [(&str, &str, u32, bool); 14] = [
    ("NO", "NONE", 2, false),
    ("I1", "INIT1", 4, false),
    ("IN", "INIT", 61, false),
    ("CS", "C-SENT", 61, false),
    ("CR", "C-REPLIED", 61, false),
    ("CW", "C-WAIT", 61, false),
    ("CO", "COOKIE", 61, false),
    ("CE", "C-ECHOED", 61, false),
    ("ES", "ESTABLISHED", 900, true),
    ("SS", "S-SENT", 61, false),
    ("SR", "S-RECEIVED", 61, false),
    ("SA", "S-ACK-SENT", 61, false),
    ("RJ", "REJECTED", 4, false),
    ("CL", "CLOSED", 61, false),
];

/// Flags of each TCP event, in every combination that counts as it: RST goes before SYN, FIN
/// and ACK, and other flags do not matter.
fn tcp_event(flags: u8) -> Option<&'static str> {
    match flags {
        _ if flags & 0x04 != 0 => Some("rst"),
        _ if flags & 0x02 != 0 => Some("syn"),
        _ if flags & 0x01 != 0 => Some("fin"),
        _ if flags & 0x10 != 0 => Some("ack"),
        _ => None,
    }
}

const SCTP_EVENTS: [&str; 10] = [
    "data",
    "init",
    "init_ack",
    "cookie_echo",
    "cookie_ack",
    "shutdown",
    "shutdown_ack",
    "shutdown_complete",
    "error",
    "abort",
];

/// Every cell: side, event, state before, state after.
fn cells(table: &str) -> Vec<(Side, &str, &str, &str)> {
    let mut lines = table.lines().filter(|line| !line.trim().is_empty());
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().skip(2).collect();
    let mut cells = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let side = match words.next().unwrap() {
            "IN" => Side::Client,
            "OUT" => Side::Server,
            "IN-ONLY" => Side::ClientOnly,
            other => panic!("no side {other}"),
        };
        let event = words.next().unwrap();
        let after: Vec<&str> = words.collect();
        assert_eq!(after.len(), columns.len(), "{line}");
        for (before, after) in columns.iter().zip(after) {
            cells.push((side, event, *before, after));
        }
    }
    cells
}

fn number(states: &[(&str, &str, u32, bool)], letters: &str) -> u8 {
    let found = states.iter().position(|(known, ..)| *known == letters);
    found.unwrap_or_else(|| panic!("no state {letters}")) as u8
}

#[test]
fn every_cell_of_the_tcp_tables() {
    for (table, is_secure) in [(TCP, false), (SECURE_TCP, true)] {
        let cells = cells(table);
        assert_eq!(cells.len(), 3 * 4 * TcpState::COUNT);
        for (side, event, before, after) in cells {
            for flags in (0..=255).filter(|flags| tcp_event(*flags) == Some(event)) {
                let state = TcpState(number(&TCP_STATES, before));
                let state = tcp::next(side, flags, state, is_secure, 0);
                let expected = number(&TCP_STATES, after);
                assert_eq!(
                    state.0, expected,
                    "{side:?} {event} ({flags:#04x}) in {before}, secure: {is_secure}"
                );
            }
        }
    }
}

#[test]
fn every_cell_of_the_sctp_tables() {
    let cells = cells(SCTP);
    assert_eq!(cells.len(), 3 * SCTP_EVENTS.len() * SctpState::COUNT);
    for (side, event, before, after) in cells {
        let row = SCTP_EVENTS.iter().position(|known| *known == event);
        let chunk = Chunk(row.unwrap() as u8);
        let state = sctp::next(side, chunk, SctpState(number(&SCTP_STATES, before)), 0);
        let expected = number(&SCTP_STATES, after);
        assert_eq!(state.0, expected, "{side:?} {event} in {before}");
    }
}

/// A segment with none of the four flags closes whatever there is.
#[test]
fn tcp_without_flags_closes() {
    for side in [Side::Client, Side::Server, Side::ClientOnly] {
        for flags in (0..=255).filter(|flags| tcp_event(*flags).is_none()) {
            for state in 0..TcpState::COUNT as u8 {
                for is_secure in [false, true] {
                    let state = tcp::next(side, flags, TcpState(state), is_secure, 0);
                    assert_eq!(state, TcpState::CLOSE);
                }
            }
        }
    }
}

#[test]
fn timeouts_names_and_activity() {
    let tcp = TCP_STATES.iter().zip(TcpState::TIMEOUT_SECONDS);
    let sctp = SCTP_STATES.iter().zip(SctpState::TIMEOUT_SECONDS);
    let all = (tcp.enumerate().map(|state| (protocol::TCP, state)))
        .chain(sctp.enumerate().map(|state| (protocol::SCTP, state)));
    for (protocol, (number, ((_, name, seconds, active), has))) in all {
        let number = number as u8;
        assert_eq!(flow::name(protocol, number), *name);
        assert_eq!(has, *seconds, "{name}");
        let is_active = flow::activity(protocol, number) == Activity::Active;
        assert_eq!(is_active, *active, "{name}");
    }
    assert_eq!(flow::name(protocol::UDP, 0), "UDP");
    assert_eq!(flow::activity(protocol::UDP, 0), Activity::Inactive);
}
