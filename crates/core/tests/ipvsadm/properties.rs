//! What holds for every command line.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Words that mean something to ipvsadm, and some that do not quite.
const WORDS: &[&str] = &[
    "-A",
    "-E",
    "-D",
    "-C",
    "-R",
    "-S",
    "-a",
    "-e",
    "-d",
    "-L",
    "-l",
    "-Z",
    "-h",
    "-v",
    "--set",
    "--start-daemon",
    "--stop-daemon",
    "master",
    "backup",
    "-t",
    "-u",
    "-f",
    "-6",
    "-s",
    "-p",
    "-M",
    "-r",
    "-m",
    "-g",
    "-i",
    "-w",
    "-x",
    "-y",
    "-c",
    "-n",
    "-X",
    "-o",
    "-b",
    "--sctp-service",
    "--pe",
    "--stats",
    "--rate",
    "--exact",
    "--timeout",
    "--daemon",
    "--thresholds",
    "--persistent-conn",
    "--tun-info",
    "--tun-type",
    "--tun-port",
    "--tun-csum",
    "--nosort",
    "--sort",
    "--syncid",
    "--mcast-interface",
    "--mcast-group",
    "--mcast-port",
    "--mcast-ttl",
    "--sync-maxlen",
    "--",
    "-",
    "--=",
    "-=",
    "---",
    "--list=",
    "-p=",
    "-Ln",
    "-Lnc",
    "-At",
    "-pé",
    "10.0.0.1:80",
    "10.0.0.1",
    "[2001:db8::1]:80",
    "2001:db8::1",
    "[]:1",
    "[",
    "]:",
    ":",
    "0",
    "1",
    "7",
    "80",
    "-1",
    "4294967295",
    "99999999999999999999",
    "rr",
    "sh",
    "mh",
    "sh-port",
    "flag-1",
    ",",
    "sip",
    "gue",
    "gre",
    "ipip",
    "lo",
    "255.255.255.0",
    "255.0.255.0",
    "64",
    "128",
    "",
    " ",
    "é",
    "224.0.0.81",
    "ff02::51",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => select(WORDS).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// A command line that begins as most do, so that it gets somewhere.
fn command_line() -> impl Strategy<Value = Vec<String>> {
    vec(word(), 0..12)
}

/// A rule that a table may take.
fn rule() -> impl Strategy<Value = Vec<String>> {
    let service = select(
        &[
            "-t 10.0.0.1:80",
            "-t 200.0.0.1:443",
            "-u 10.0.0.1:53",
            "--sctp-service 10.0.0.2:9",
            "-t [2001:db8::1]:80",
            "-f 7",
            "-f 7 -6",
            "-t 10.0.0.3 -p",
        ][..],
    );
    let settings = select(
        &[
            "",
            "-s rr",
            "-s sh -b sh-port",
            "-s mh -b flag-1",
            "-b flag-3",
            "-p 60",
            "--pe sip",
            "-s fo -p 9",
            "-s nq --pe sip -p 3",
        ][..],
    );
    let server = select(
        &[
            "-r 10.0.1.1",
            "-r 10.0.1.2:8080 -m",
            "-r 200.0.1.1 -i",
            "-r [2001:db8::2]:80",
            "-r 10.0.1.3 -i --tun-type gue --tun-port 5 --tun-csum",
            "-r [2001:db8::3]:80 -i --tun-type gre",
            "-r 10.0.1.4 -m -w 0",
        ][..],
    );
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    prop_oneof![
        (service.clone(), settings).prop_map(move |(a, b)| words(format!("-A {a} {b}"))),
        (service, server).prop_map(move |(a, b)| words(format!("-a {} {b}", a.replace("-p", "")))),
    ]
}

proptest! {
    #[test]
    fn any_command_line_ends_well(lines in vec(command_line(), 1..6), input in any::<String>()) {
        let mut machine = Machine::default();
        for words in &lines {
            let outcome = machine.run_program(ipvsadm::run, words, &input);
            prop_assert!([0, 1, 2, 255].contains(&outcome.status), "{words:?}");
            if outcome.status != 0 {
                prop_assert_ne!(&outcome.errors, "", "{:?}", words);
            } else if !words.iter().any(|word| word.contains(['R', 'r'])) {
                // The status of a restore is that of its last line, whatever went before.
                prop_assert_eq!(&outcome.errors, "", "{:?}", words);
            }
        }
    }

    #[test]
    fn any_input_can_be_restored(input in any::<String>()) {
        let mut machine = Machine::default();
        let restore: Program = |_, session| ipvsadm::restore(session);
        let outcome = machine.run_program(restore, &[], &input);
        prop_assert_eq!(outcome.status == 0, outcome.errors.is_empty());
    }

    #[test]
    fn what_is_saved_makes_the_same_table_again(rules in vec(rule(), 0..40)) {
        let mut machine = Machine::default();
        for words in &rules {
            machine.run(words);
        }
        let numeric = ["-n".to_owned()];
        let saved = machine.run_program(ipvsadm::save, &numeric, "").output;
        let mut other = Machine::default();
        let restore: Program = |_, session| ipvsadm::restore(session);
        let outcome = other.run_program(restore, &[], &saved);
        prop_assert_eq!(outcome.errors, "");
        prop_assert_eq!(other.run_program(ipvsadm::save, &numeric, "").output, saved);
        let list = ["-L".to_owned(), "-n".to_owned(), "--tun-info".to_owned()];
        prop_assert_eq!(other.run(&list), machine.run(&list));
    }
}
