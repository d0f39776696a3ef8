//! `include_check`.

use elver_core::config::Verdict;

use super::*;

fn verdict(files: &[(&str, &str)]) -> Verdict {
    loaded_from(files).keepalived()
}

#[test]
fn what_include_insists_on_can_be_said_for_all() {
    let insists = |check: &str, include: &str| {
        let text = format!("global_defs {{\n{check}\n}}\n{include}\n");
        verdict(&[("a.conf", &text), ("b.conf", "")]) == Verdict::NoConfiguration
    };
    assert!(!insists("", "include nothing.conf"));
    assert!(insists("include_check match", "include nothing.conf"));
    assert!(insists("include_check", "include nothing.conf"));
    assert!(insists("include_check", "include nothing/*.conf"));
    assert!(!insists("include_check match", "include nothing/*.conf"));
    assert!(insists(
        "include_check wildcard_match",
        "include nothing/*.conf"
    ));
    assert!(!insists(
        "include_check wildcard_match",
        "include nothing.conf"
    ));
    assert!(insists("include_check brace_match", "include {b,c}.conf"));
    assert!(!insists("include_check match", "include {b,c}.conf"));
    assert!(!insists("include_check brace_match", "include b.conf"));
}

#[test]
fn an_included_file_cannot_change_what_the_including_one_insists_on() {
    let strict = "global_defs {\ninclude_check match\n}\n";
    let files = |first: &str| {
        let first = format!("{first}include b.conf\ninclude nothing.conf\n");
        verdict(&[("a.conf", &first), ("b.conf", strict)])
    };
    assert_eq!(files(""), Verdict::Accepts);
    assert_eq!(files(strict), Verdict::NoConfiguration);
}

#[test]
fn checks_are_added_and_taken_away() {
    let insists = |words: &str| {
        let text = format!(
            "global_defs {{\ninclude_check readable match\ninclude_check {words}\n}}\n\
             include nothing.conf\n"
        );
        verdict(&[("a.conf", &text)]) == Verdict::NoConfiguration
    };
    assert!(insists("+wildcard_match"));
    assert!(!insists("-match"));
    assert!(!insists("-match +wildcard_match"));
}
