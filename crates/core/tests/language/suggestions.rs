//! What a diagnostic suggests, and where it points.

use elver_core::config::Diagnostic;

use super::*;

/// The diagnostic with these words, and its line and column.
fn found(text: &str, words: &str) -> (Diagnostic, (u32, u32)) {
    let loaded = loaded(text);
    let mut found = loaded.diagnostics.iter();
    let found = found.find(|each| each.message.contains(words));
    let found = found.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let place = found.place.as_ref().expect("a place");
    assert_eq!(place.file, PATH);
    (found.clone(), (place.line, place.column))
}

fn help(diagnostic: &Diagnostic) -> &str {
    diagnostic.help.as_deref().unwrap_or_default()
}

#[test]
fn a_misspelt_keyword_is_answered_with_the_nearest_one() {
    for (line, wrong, right) in [
        (
            "virtual_ruoter_id 5",
            "virtual_ruoter_id",
            "virtual_router_id",
        ),
        ("priorty 100", "priorty", "priority"),
        ("advertint 1", "advertint", "advert_int"),
        ("no_preempt", "no_preempt", "nopreempt"),
    ] {
        let text = format!("vrrp_instance A {{\n  interface eth0\n    {line}\n}}\n");
        let (diagnostic, place) = found(&text, wrong);
        assert_eq!(place, (3, 5), "{line}");
        assert!(help(&diagnostic).contains(right), "{diagnostic:?}");
    }
    let text = "vrrp_instance A {\n  xyzzy 1\n}\n";
    let (diagnostic, _) = found(text, "xyzzy");
    assert!(
        !help(&diagnostic).contains("did you mean"),
        "{diagnostic:?}"
    );
}

#[test]
fn a_keyword_in_the_wrong_block_is_sent_to_the_right_one() {
    for (text, word, place, block) in [
        (
            "vrrp_instance A {\n  router_id x\n}\n",
            "router_id",
            (2, 3),
            "global_defs",
        ),
        (
            "global_defs {\n  virtual_router_id 5\n}\n",
            "virtual_router_id",
            (2, 3),
            "vrrp_instance",
        ),
        (
            "virtual_server 192.0.2.1 80 {\n  TCP_CHECK {\n  }\n}\n",
            "TCP_CHECK",
            (2, 3),
            "real_server",
        ),
        (
            "real_server 192.0.2.1 80 {\n}\n",
            "real_server",
            (1, 1),
            "virtual_server",
        ),
    ] {
        let (diagnostic, at) = found(text, &format!("`{word}`"));
        assert_eq!(at, place, "{text}");
        let said = format!("{} {}", diagnostic.message, help(&diagnostic));
        assert!(said.contains(block), "{diagnostic:?}");
    }
}

#[test]
fn a_missing_brace_is_said_where_it_most_likely_is_missing() {
    // That of authentication, which the indentation shows.
    let text = "\
vrrp_instance A {
    interface eth0
    virtual_router_id 5
    authentication {
        auth_type PASS
        auth_pass 1234
    virtual_ipaddress {
        192.0.2.1
    }
}
";
    let loaded = loaded(text);
    let said = format!("{:#?}", loaded.diagnostics);
    let about = loaded
        .diagnostics
        .iter()
        .find(|each| help(each).contains("brace") || each.message.contains("`}`"));
    let about = about.unwrap_or_else(|| panic!("{said}"));
    let whole = format!("{} {} {:?}", about.message, help(about), about.related);
    assert!(whole.contains("authentication"), "{said}");

    let last = "vrrp_instance A {\n    interface eth0\n    virtual_router_id 5\n";
    let (diagnostic, _) = found(last, "`}` is missing: the file ends inside `vrrp_instance`");
    assert!(
        help(&diagnostic).contains("missing brace"),
        "{diagnostic:?}"
    );
}

#[test]
fn a_place_is_named_through_includes_and_underlined() {
    let files = Memory(BTreeMap::from([
        (PATH.to_owned(), b"include part.conf\n".to_vec()),
        (
            "part.conf".to_owned(),
            b"global_defs {\n   router_idd x\n}\n".to_vec(),
        ),
    ]));
    let loaded = load(&files, PATH);
    let place = loaded.diagnostics[0].place.as_ref().expect("a place");
    assert_eq!(
        (place.file.as_str(), place.line, place.column),
        ("part.conf", 2, 4)
    );
    let shown = elver_core::config::render(&loaded.diagnostics[0], false);
    assert!(shown.contains("part.conf:2:4"), "{shown}");
    assert!(shown.contains("router_idd x\n  |    ^^^^^^^^^^"), "{shown}");
}
