//! Two directors' files beside each other.

use elver_core::config::compare;

use super::*;

const ONE: &str = "\
vrrp_instance VI {
    interface eth0
    virtual_router_id 51
    priority 100
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.0.2.10
    }
}
";

fn found(other: &str) -> Vec<String> {
    let found = compare(&configuration(ONE), &configuration(other), "other.conf");
    found.into_iter().map(|each| each.message).collect()
}

#[test]
fn a_pair_needs_different_priorities_and_the_same_of_everything_else() {
    assert_eq!(found(&ONE.replace("priority 100", "priority 90")), [""; 0]);
    assert_eq!(
        found(ONE),
        ["(VI) its priority is 100 in other.conf as well"]
    );
    let words = found(
        &ONE.replace("priority 100", "priority 90\nadvert_int 2")
            .replace("1111", "2222")
            .replace("192.0.2.10", "192.0.2.11"),
    );
    assert_eq!(
        words,
        [
            "(VI) other.conf has another password, or one of the two has none",
            "(VI) its advertisements come every 1s, in other.conf every 2s",
            "(VI) its virtual addresses are others in other.conf",
        ]
    );
    assert_eq!(
        found(&ONE.replace("virtual_router_id 51", "virtual_router_id 52")),
        ["(VI) other.conf has no instance with virtual_router_id 51"]
    );
}
