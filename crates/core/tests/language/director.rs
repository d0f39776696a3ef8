//! What a file says of the director itself, and how it is named when nothing comes of it.

use std::time::Duration;

use elver_core::config::Severity;
use elver_core::config::model::{DumpFiles, FlushOnStop, Global};

use super::*;

fn global(lines: &str) -> Global {
    let loaded = loaded(&format!("global_defs {{\n{lines}\n}}\n"));
    let summary = summary(&loaded);
    loaded.configuration.expect(&summary).global
}

#[test]
fn scripts_at_the_start_and_the_end_have_ten_seconds_and_the_usual_user() {
    let global = global(
        "startup_script \"/bin/begin now\"\nshutdown_script /bin/end root\n\
         shutdown_script_timeout 3\nscript_user nobody",
    );
    let (startup, shutdown) = (global.startup.unwrap(), global.shutdown.unwrap());
    assert_eq!(startup.script.command, ["/bin/begin", "now"]);
    assert_eq!(startup.script.user.unwrap().name, "nobody");
    assert_eq!(startup.timeout, Duration::from_secs(10));
    assert_eq!(shutdown.script.user.unwrap().name, "root");
    assert_eq!(shutdown.timeout, Duration::from_secs(3));
}

#[test]
fn a_mask_of_permissions_is_a_number_of_c_or_names() {
    for (words, mask) in [
        ("077", 0o77),
        ("63", 0o77),
        ("0x3f", 0o77),
        ("IRWXG|IRWXO", 0o77),
        ("IRWXG | IWOTH", 0o72),
    ] {
        assert_eq!(
            global(&format!("umask {words}")).umask,
            Some(mask),
            "{words}"
        );
    }
    for words in ["01000", "IRWX", "0o7"] {
        let loaded = loaded(&format!("global_defs {{\numask {words}\n}}\n"));
        assert!(loaded.configuration.is_none(), "{words}");
    }
}

#[test]
fn the_table_is_flushed_only_where_the_file_says_so() {
    assert_eq!(global("router_id a").flush_on_stop, FlushOnStop::No);
    let flushed = global("lvs_flush\nlvs_flush_on_stop");
    assert!(flushed.flush);
    assert_eq!(flushed.flush_on_stop, FlushOnStop::Everything);
    let flushed = global("lvs_flush_onstop VS");
    assert_eq!(flushed.flush_on_stop, FlushOnStop::ConfiguredServices);
}

#[test]
fn files_of_dumps_are_where_keepalived_has_them_or_where_the_file_says() {
    let usual = DumpFiles::default();
    assert_eq!(usual.data, "/tmp/keepalived.data");
    let files = global("json_dump_file /run/elver.json").dump_files;
    assert_eq!(files.json, "/run/elver.json");
    assert_eq!(files.statistics, usual.statistics);
}

#[test]
fn static_addresses_without_an_interface_are_on_the_default_one() {
    let interface = |text: &str| {
        let configuration = loaded(text).configuration.expect("it loads");
        configuration.statics.addresses[0].interface.clone()
    };
    let addresses = "static_ipaddress {\n192.0.2.1/24\n}\n";
    assert_eq!(interface(addresses).as_deref(), Some("eth0"));
    let named = format!("{addresses}global_defs {{\ndefault_interface eth7\n}}\n");
    assert_eq!(interface(&named).as_deref(), Some("eth7"));
}

#[test]
fn devices_of_virtual_routers_begin_as_the_file_says() {
    let text = |prefix: &str| {
        format!(
            "global_defs {{\nvmac_prefix {prefix}\n}}\nvrrp_instance A {{\ninterface eth0\n\
             virtual_router_id 51\nuse_vmac\nvirtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        )
    };
    let configuration = loaded(&text("up")).configuration.expect("it loads");
    let device = configuration.instances[0].virtual_mac.clone().unwrap();
    assert_eq!(device.interface, "up.51");
    let configuration = loaded(&text("thirteenchars")).configuration;
    let device = configuration.expect("it loads").instances[0]
        .virtual_mac
        .clone();
    assert_eq!(device.unwrap().interface, "thirteenchar.51");
}

#[test]
fn an_instance_may_be_told_to_have_no_address() {
    let text = |line: &str| {
        format!("vrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\nversion 3\n{line}\n}}\n")
    };
    assert!(loaded(&text("")).configuration.is_none());
    assert!(
        loaded(&text("no_virtual_ipaddress"))
            .configuration
            .is_some()
    );
}

#[test]
fn the_password_of_a_key_is_in_no_dump() {
    let text = "SSL {\ncertificate /a.pem\nkey /a.key\npassword verysecret\nca /ca.pem\n}\n";
    let configuration = loaded(text).configuration.expect("it loads");
    let certificate = configuration.client_certificate.clone().unwrap();
    assert_eq!(certificate.password.as_deref(), Some("verysecret"));
    assert_eq!(certificate.authorities.as_deref(), Some("/ca.pem"));
    assert!(!format!("{configuration:?}").contains("verysecret"));
    let dump = elver_core::config::dump(&configuration, elver_core::config::Secrets::Hidden);
    assert!(
        dump.contains("key /a.key") && !dump.contains("verysecret"),
        "{dump}"
    );
    let alone = summary(&loaded("SSL {\ncertificate /a.pem\n}\n"));
    assert!(alone.contains("this certificate has no key"), "{alone}");
}

#[test]
fn what_has_nothing_to_change_is_a_note_with_its_reason() {
    let loaded = loaded("global_defs {\nvrrp_iptables INPUT\nrouter_id a\n}\n");
    let finding = loaded.diagnostics.first().expect("a finding");
    assert_eq!(finding.severity, Severity::Note);
    let summary = summary(&loaded);
    assert!(
        summary.contains("`vrrp_iptables` has nothing to change in elver"),
        "{summary}"
    );
}
