//! `auth_hmac` blocks.

use std::time::Duration;

use elver_core::config::model::{TrailerAuthentication, TrailerMode};

use super::*;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";

fn file(lines: &str, more: &str) -> String {
    format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\npriority 100\n{more}\n\
         auth_hmac {{\n{lines}\n}}\nvirtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
    )
}

fn trailer(lines: &str) -> TrailerAuthentication {
    let configuration = configuration(&file(lines, ""));
    configuration.instances[0].trailer.clone().expect("one")
}

#[test]
fn keys_are_text_or_octets_or_in_a_file() {
    let hex = "00ff".repeat(16);
    let read = trailer(&format!("key 1 {KEY}\nkey 2 hex:{hex}\nactive_key 2"));
    let secrets: Vec<_> = read.keys.iter().map(|key| key.secret.clone()).collect();
    assert_eq!(secrets, [KEY.as_bytes().to_vec(), [0, 0xff].repeat(16)]);
    assert_eq!(read.active_key, 2);
    assert_eq!(
        read.window,
        Some(Duration::from_secs(5)),
        "three intervals, or 5 s"
    );
    assert_eq!(read.mode, TrailerMode::Enforce);

    let text = file(
        "key 1 file:/keys/one\nactive_key 1\nanti_replay monotonic",
        "",
    );
    let loaded = loaded_from(&[(PATH, &text), ("/keys/one", &format!("hex:{hex}\n"))]);
    let read = loaded.configuration.expect("it runs").instances[0]
        .trailer
        .clone();
    let read = read.expect("a trailer");
    assert_eq!(read.keys[0].secret, [0, 0xff].repeat(16));
    assert_eq!(read.window, None);
}

#[test]
fn what_cannot_be_used_is_said_and_left_out() {
    for (lines, words) in [
        (
            "key 1 short\nactive_key 1",
            "key 1 does not have 32 to 64 octets",
        ),
        (
            "key 1 hex:00f\nactive_key 1",
            "key 1 does not have 32 to 64 octets",
        ),
        (
            "key 1 file:/nowhere\nactive_key 1",
            "/nowhere cannot be read",
        ),
        ("mode permissive", "there is no key 0"),
    ] {
        let loaded = loaded(&file(lines, ""));
        let said = summary(&loaded);
        assert!(said.contains(words), "{said}");
        assert!(said.contains("auth_hmac is ignored"), "{said}");
        let configuration = loaded.configuration.expect("it runs");
        assert_eq!(configuration.instances[0].trailer, None);
    }
    let both = file(
        &format!("key 1 {KEY}\nactive_key 1"),
        "authentication {\nauth_type PASS\nauth_pass 1234\n}",
    );
    assert!(summary(&loaded(&both)).contains("takes the place of authentication"));
    assert_eq!(configuration(&both).instances[0].authentication, None);
}
