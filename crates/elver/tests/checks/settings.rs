//! What the file says of the director itself, seen from outside.

use elver_lab::wait::until_true;
use rustix::process::Signal;

use crate::site::{LIMIT, Site, virtual_server};

/// `global_defs` with lines of which LAB is the directory of the lab.
fn global(lines: &str) -> String {
    format!("global_defs {{\nscript_user root\n{lines}\n}}\n")
}

fn read(site: &Site, file: &str) -> String {
    std::fs::read_to_string(site.lab.directory().join(file)).unwrap_or_default()
}

#[test]
fn scripts_run_before_and_after_everything_with_the_mask_of_the_file() {
    let text = global(
        "umask IRWXG | IRWXO
        rs_init_notifies
        startup_script \"/bin/sh -c '(echo begin; umask) >>LAB/told'\"
        shutdown_script \"/bin/sh -c 'echo end >>LAB/told; exec sleep 1000'\"
        shutdown_script_timeout 1",
    ) + &virtual_server(80, "notify_up \"/bin/sh -c 'echo up >>LAB/told'\"");
    let site = Site::new("checks-start-end", &text);
    site.wait_for_lines("told", &["0077", "begin", "up"]);
    assert!(read(&site, "told").starts_with("begin\n"));
    site.director.signal(Signal::TERM).expect("it ends");
    let status = site.director.wait(LIMIT).expect("it ends in time");
    assert!(status.success(), "{}", site.director.log());
    site.wait_for_lines("told", &["0077", "begin", "end", "up"]);
    let log = site.director.log();
    assert!(
        log.contains("shutdown_script: not ended after 1 s"),
        "{log}"
    );
}

#[test]
fn dumps_go_where_the_file_says() {
    let text = "static_ipaddress {\n10.66.0.201/32\n}\n".to_owned()
        + &global(
            "default_interface eth0
            state_dump_file LAB/dump.data
            stats_dump_file LAB/dump.stats
            json_dump_file LAB/dump.json
            data_use_instance",
        );
    let site = Site::new("checks-dumps", &text);
    let held = || {
        Ok(site
            .host
            .ip(&["addr"])?
            .contains("10.66.0.201/32 scope global eth0"))
    };
    until_true("the address", LIMIT, held, || site.director.log()).expect("the address");
    let instance = site.host.namespace_name();
    let data = format!("dump.{instance}.data");
    for (signal, file) in [
        (Signal::USR1, data),
        (Signal::USR2, "dump.stats".to_owned()),
    ] {
        let path = site.lab.directory().join(&file);
        site.director.signal(signal).expect("it runs");
        let written = || Ok(path.exists());
        until_true(&file, LIMIT, written, || site.director.log()).expect("a file");
    }
}

#[test]
fn what_others_have_put_into_the_table_is_flushed_where_the_file_says_so() {
    let text = |flush: &str| global(flush) + &virtual_server(80, "") + &virtual_server(81, "");
    let site = Site::new("checks-flush", &text("router_id a"));
    let ipvsadm = |words: &str| {
        let arguments: Vec<&str> = words.split(' ').collect();
        let all = [&["ipvsadm"], &arguments[..]].concat();
        site.elver(&all).expect("ipvsadm")
    };
    ipvsadm("-A -t 10.66.0.100:99");
    ipvsadm("-a -t 10.66.0.100:80 -r 10.66.0.3:80 -m");
    // One that is killed leaves everything as it is.
    site.director.signal(Signal::KILL).expect("it dies");
    site.director.wait(LIMIT).expect("it is dead");

    // Those that it has started end a moment later, and keep others out until then.
    let started = std::cell::RefCell::new(None);
    let text = text("lvs_flush\nlvs_flush_on_stop");
    let runs = || {
        let mut program = started.borrow_mut();
        let next = program.get_or_insert_with(|| site.start_director("next", &text));
        if !next.is_running() {
            *program = None;
            return Ok(false);
        }
        Ok(next.log().contains("-director runs\n"))
    };
    until_true("the next", LIMIT, runs, String::new).expect("it runs");
    let next = started.into_inner().expect("it was started");
    assert_eq!(site.destinations(80), ["10.66.0.2:80 1"], "{}", next.log());
    assert_eq!(site.destinations(81), ["10.66.0.2:81 1"]);
    assert!(!ipvsadm("-Ln").contains(":99"), "{}", next.log());

    ipvsadm("-A -t 10.66.0.100:98");
    next.signal(Signal::TERM).expect("it ends");
    next.wait(LIMIT).expect("it ends in time");
    let log = next.log();
    assert!(log.contains("Removing every virtual service"), "{log}");
    assert!(!log.contains("what was made by hand stays"), "{log}");
}
