//! `bfd_instance`, and what follows one.

use std::time::Duration;

use super::*;

fn session(lines: &str) -> String {
    format!("bfd_instance P {{\n neighbor_ip 10.0.0.2\n{lines}\n}}\n")
}

/// The verdicts are those of keepalived 2.2.7.
#[test]
fn a_session_is_judged_as_by_keepalived() {
    for (lines, exit_code, runs) in [
        ("", 0, true),
        ("min_rx 0", 5, false),
        ("min_rx 3.312", 0, true),
        ("min_rx 5000000", 5, false),
        ("min_rx 0.0005", 5, false),
        ("idle_tx 500", 5, false),
        ("idle_tx 20000", 0, true),
        ("multiplier 0", 5, false),
        ("multiplier 256", 5, false),
        ("ttl 0", 5, false),
        ("ttl 256", 5, false),
        ("max_hops -1", 0, true),
        ("max_hops 255", 0, true),
        ("ttl 10\nmax_hops 20", 5, true),
        ("source_ip fd00::1", 5, false),
        ("weight 10 reverse", 0, true),
        ("weight 300", 5, false),
        ("}\nbfd_instance P {\nneighbor_ip 10.0.0.3", 5, false),
        ("}\nbfd_instance Q {\nneighbor_ip 10.0.0.2", 5, false),
        ("}\nbfd_instance Q {\nmin_rx 10", 5, false),
        ("}\nbfd_instance Q {\nneighbor_ip x", 5, false),
        (
            "}\nbfd_instance ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF {\nneighbor_ip 10.0.0.3",
            5,
            true,
        ),
    ] {
        let loaded = loaded(&session(lines));
        let words = summary(&loaded);
        let verdict = loaded.diagnostics.iter().map(|each| each.keepalived).max();
        assert_eq!(
            verdict.map_or(0, |verdict| verdict.exit_code()),
            exit_code,
            "{lines}: {words}"
        );
        assert_eq!(loaded.configuration.is_some(), runs, "{lines}: {words}");
    }
}

#[test]
fn a_session_has_the_defaults_of_keepalived() {
    let text =
        session("") + "bfd_instance Q {\n neighbour_ip fd00::2\n min_rx 3.312\n checker\n}\n";
    let sessions = configuration(&text).trackers.sessions;
    let [four, six] = &sessions[..] else {
        panic!("{sessions:?}");
    };
    assert_eq!(four.min_rx, Duration::from_millis(10));
    assert_eq!(four.min_tx, Duration::from_millis(10));
    assert_eq!(four.idle_tx, Duration::from_secs(1));
    assert_eq!(
        (four.multiplier, four.hop_limit, four.max_hops),
        (5, 255, 0)
    );
    assert!(four.for_vrrp && four.for_checks && !four.passive && !four.multihop);
    assert_eq!(
        (six.hop_limit, six.min_rx),
        (64, Duration::from_micros(3312))
    );
    assert!(six.for_checks && !six.for_vrrp);
}

#[test]
fn only_what_a_session_is_for_can_follow_it() {
    let instance = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n track_bfd {\n P\n }\n virtual_ipaddress {\n 10.0.0.1\n }\n}\n";
    let check = "virtual_server 10.0.0.9 80 {\n lb_algo rr\n lb_kind NAT\n real_server 10.0.1.1 80 {\n BFD_CHECK {\n name P\n }\n }\n}\n";
    let says = |text: &str, words: &str| {
        let all = summary(&loaded(text));
        assert!(all.contains(words), "{text}: {all}");
    };
    says(
        &(session("checker") + instance),
        "there is no such bfd_instance",
    );
    says(&(session("vrrp") + check), "is for VRRP alone");
    says(check, "there is no bfd_instance `P`");
    let tracked = &configuration(&(session("weight -7") + instance)).instances[0].tracked;
    assert_eq!((tracked[0].weight, tracked[0].reverse), (-7, false));
    assert!(loaded(&(session("") + check)).configuration.is_some());
}
