//! ipvsadm against transcripts of the real one.
//!
//! Each `transcripts/NNN-*.sh` was run by bash with ipvsadm 1.31 on Linux 6.1, and
//! `NNN-*.out` is what came of it. Here the same scripts drive elver's ipvsadm on a model of
//! the kernel's table, and every byte and exit status has to be the same.

mod differences;
mod model;
mod properties;
mod shell;
mod traffic;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use elver_core::ipvsadm::{self, Session};
use model::{Debian, KernelTable};
use shell::Recorder;

/// One machine, and the record of what ran on it.
#[derive(Default)]
struct Machine {
    table: KernelTable,
    unprivileged: bool,
    record: String,
}

/// What came of one command.
struct Outcome {
    output: String,
    errors: String,
    status: u8,
}

type Program = fn(&[String], &mut Session<'_>) -> std::io::Result<u8>;

impl Machine {
    fn run_program(&mut self, program: Program, words: &[String], input: &str) -> Outcome {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut session = Session {
            program: "ipvsadm",
            privileged: !self.unprivileged,
            table: &mut self.table,
            names: &Debian,
            input: &mut input.as_bytes(),
            output: &mut output,
            errors: &mut errors,
        };
        let status = program(words, &mut session).expect("writing to memory");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Outcome {
            output: text(output),
            errors: text(errors),
            status,
        }
    }

    /// Records an outcome as lib.sh does.
    fn record_outcome(&mut self, outcome: &Outcome, filter: &str) {
        for (stream, text) in [('1', &outcome.output), ('2', &outcome.errors)] {
            for line in text.split_terminator('\n') {
                let line = filtered(line, filter);
                self.record.push_str(&format!("{stream}|{line}\n"));
            }
        }
        self.record.push_str(&format!("rc={}\n", outcome.status));
    }
}

/// A line after `s/PATTERN/REPLACEMENT/`, where dots are all that is escaped.
fn filtered(line: &str, filter: &str) -> String {
    if filter.is_empty() {
        return line.to_owned();
    }
    let parts: Vec<&str> = filter.split('/').collect();
    let ["s", pattern, replacement, ""] = parts.as_slice() else {
        panic!("the tests do not know the filter {filter}");
    };
    line.replacen(&pattern.replace("\\.", "."), replacement, 1)
}

impl Recorder for Machine {
    fn record(&mut self, words: &[String], input: Option<&str>, filter: &str) {
        self.record.push_str("$ ipvsadm");
        for word in words {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,=@%+[]-".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                self.record.push_str(&format!(" {word}"));
            } else {
                self.record.push_str(&format!(" '{word}'"));
            }
        }
        if let Some(input) = input {
            self.record.push_str(" <<E\n");
            for line in input.split_terminator('\n') {
                self.record.push_str(&format!("0|{line}\n"));
            }
        } else {
            self.record.push('\n');
        }
        let outcome = self.run_program(ipvsadm::run, words, input.unwrap_or(""));
        self.record_outcome(&outcome, filter);
    }

    fn run(&mut self, words: &[String]) -> String {
        self.run_program(ipvsadm::run, words, "").output
    }

    fn drop_privileges(&mut self) {
        self.unprivileged = true;
    }
}

fn transcripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipvsadm/transcripts")
}

fn transcript(name: &str) -> String {
    let path = transcripts().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a script and compares the record.
fn replay(name: &str) {
    let mut machine = Machine::default();
    shell::run(&transcript(&format!("{name}.sh")), &mut machine);
    compare(name, &machine.record);
}

fn compare(name: &str, record: &str) {
    let expected = transcript(&format!("{name}.out"));
    let mut ours = record.lines();
    let mut command = "";
    for real in expected.lines() {
        if real.starts_with('$') {
            command = real;
        }
        let ours = ours.next();
        assert_eq!(ours, Some(real), "{name}, at {command}: left is elver's");
    }
    assert_eq!(ours.next(), None, "{name}: more than the real one prints");
    assert!(record.ends_with('\n') && expected.ends_with('\n'), "{name}");
}

macro_rules! replays {
    ($($test:ident = $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                replay($name);
            }
        )*

        /// The transcripts that a test of their own replays from their scripts.
        const REPLAYED: &[&str] = &[$($name),*];
    };
}

replays! {
    list_empty = "001-list-empty";
    version_help = "002-version-help";
    no_command = "003-no-command";
    unknown_option = "004-unknown-option";
    option_missing_argument = "005-option-missing-argument";
    multiple_commands = "006-multiple-commands";
    add_tcp_default_scheduler = "008-add-tcp-default-scheduler";
    add_udp_sctp = "009-add-udp-sctp";
    option_spellings = "011-option-spellings";
    add_fwmark = "012-add-fwmark";
    fwmark_errors = "013-fwmark-errors";
    ipv6_address_forms = "015-ipv6-address-forms";
    service_names = "017-service-names";
    all_schedulers = "018-all-schedulers";
    duplicate_service = "020-duplicate-service";
    nonexistent_service = "021-nonexistent-service";
    duplicate_destination = "023-duplicate-destination";
    dest_port_with_dr_tun = "025-dest-port-with-dr-tun-is-silently-replaced";
    dest_weight = "026-dest-weight";
    dest_address_errors = "028-dest-address-errors";
    dest_mixed_family = "029-dest-mixed-family";
    persistent = "031-persistent";
    persistent_errors = "032-persistent-errors";
    ops = "034-ops";
    persistence_engine_sip = "035-persistence-engine-sip";
    sched_flags = "036-sched-flags";
    tunnel_types = "038-tunnel-types";
    forwarding_conflict = "040-forwarding-conflict";
    edit_service = "041-edit-service";
    delete_and_clear = "043-delete-and-clear";
    list_option_conflicts = "045-list-option-conflicts";
    list_one_service = "046-list-one-service";
    list_nosort_kernel_order = "048-list-nosort-kernel-order";
    timeouts = "050-timeouts";
    sync_daemon = "052-sync-daemon";
    sync_daemon_options = "053-sync-daemon-options";
    sync_daemon_errors = "054-sync-daemon-errors";
    save_format = "055-save-format";
    restore_errors_continue = "057-restore-errors-continue";
    restore_comments_and_empty = "059-restore-comments-and-empty";
    save_restore_roundtrip = "060-save-restore-roundtrip";
    zero = "061-zero";
    unexpected_arguments = "062-unexpected-arguments";
    not_root = "064-not-root";
    ftp_and_port_names = "065-ftp-and-port-names";
    every_option_with_every_command = "101-every-option-with-every-command";
    required_options = "102-required-options";
    multiple_options = "103-multiple-options";
    thresholds = "104-thresholds";
    scheduler_flags_errors = "105-scheduler-flags-errors";
    tunnel_errors = "106-tunnel-errors";
    set_errors = "107-set-errors";
    sort_order = "108-sort-order";
    long_addresses = "109-long-addresses";
    restore = "110-restore";
    popt = "111-popt";
    addresses = "112-addresses";
    netmask = "113-netmask";
    order_of_options = "114-order-of-options";
    zero_forms = "115-zero-forms";
    edit_server = "116-edit-server";
    lists_of_nothing = "117-lists-of-nothing";
    daemon_quirks = "118-daemon-quirks";
    any_virtual_address = "120-any-virtual-address";
    unknown_scheduler = "119-unknown-scheduler";
    generated_201 = "201-generated";
    generated_202 = "202-generated";
    words = "203-words";
}

/// The script of this one runs `ipvsadm-save` and `ipvsadm-restore`, step by step as here.
const SCRIPTS: &str = "067-scripts-save-restore";

#[test]
fn scripts_save_restore() {
    let mut machine = Machine::default();
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    machine.run(&words("-A -t 10.0.0.1:80 -s rr"));
    machine.run(&words("-a -t 10.0.0.1:80 -r 10.0.1.1 -m"));
    for command in [
        "ipvsadm-save -n",
        "ipvsadm-save",
        "ipvsadm-save -x",
        "ipvsadm-save --help",
    ] {
        machine.record.push_str(&format!("$ {command}\n"));
        let outcome = machine.run_program(ipvsadm::save, &words(command)[1..], "");
        machine.record_outcome(&outcome, "");
    }
    let saved = machine.run_program(ipvsadm::save, &words("-n"), "").output;
    machine.record.push_str("$ ipvsadm-restore < saved\n");
    let restore: Program = |_, session| ipvsadm::restore(session);
    let outcome = machine.run_program(restore, &[], &format!("# c\n{saved}"));
    machine.record_outcome(&outcome, "");
    machine.record(&words("-Ln"), None, "");
    compare(SCRIPTS, &machine.record);
}

#[test]
fn every_transcript_has_its_test() {
    let there: BTreeSet<String> = std::fs::read_dir(transcripts())
        .expect("the folder of transcripts")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .filter(|name: &String| name != "lib")
        .collect();
    let replayed: BTreeSet<String> = REPLAYED
        .iter()
        .chain([&SCRIPTS])
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(there, replayed);
}
