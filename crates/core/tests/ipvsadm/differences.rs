//! Where elver's ipvsadm is not the real one, and why, is written in `elver_core::ipvsadm`;
//! what it does there is here.

use elver_core::ipvsadm::{Table, Unavailable};
use elver_core::service::{ConnectionState, Edit, EditError, ServiceState, SyncDaemon, Timeouts};

use super::*;

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

fn refusal(machine: &mut Machine, command: &str) -> (String, u8) {
    let outcome = machine.run_program(ipvsadm::run, &words(command), "");
    (outcome.errors, outcome.status)
}

#[test]
fn a_list_of_no_flags_does_not_crash() {
    let mut machine = Machine::default();
    let (errors, status) = refusal(&mut machine, "-A -t 10.0.0.1:80 -b ,,");
    assert_eq!(
        (errors.as_str(), status),
        ("invalid scheduler flag `,,'\n", 2)
    );
}

#[test]
fn no_scheduler_is_no_scheduler() {
    let mut machine = Machine::default();
    let (errors, status) = refusal(&mut machine, "-A -t 10.0.0.1:80 -s none");
    let expected = "Scheduler or persistence engine not found\n";
    assert_eq!((errors.as_str(), status), (expected, 255));
}

#[test]
fn a_restore_that_fails_tells_the_line() {
    let mut machine = Machine::default();
    machine.run(&words("-A -t 10.0.0.9:80"));
    let rules = "\
# made by hand
-A -t 10.0.0.1:80 -s rr

-A -t 10.0.0.1:80 -s wrr
-a -t 10.0.0.1:80 -r 10.0.1.1 --foo
-a -t 10.0.0.1:80 -r 10.0.1.2
-a -t 10.0.0.1:80
-a -t 10.0.0.1:80 -r 10.0.1.3
";
    let restore: Program = |_, session| ipvsadm::restore(session);
    let outcome = machine.run_program(restore, &[], rules);
    assert_eq!(outcome.status, 2);
    assert_eq!(
        outcome.errors,
        "\
Service already exists
ipvsadm-restore: in line 4: -A -t 10.0.0.1:80 -s wrr
--foo: unknown option
ipvsadm-restore: in line 5: -a -t 10.0.0.1:80 -r 10.0.1.1 --foo
You need to supply the 'real-server' option for the 'add-server' command
ipvsadm-restore: in line 7: -a -t 10.0.0.1:80
"
    );
    // What was there before is gone, and what is wrong in its words ends the restore.
    assert_eq!(
        machine.run(&words("-S -n")),
        "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -g -w 1\n"
    );
}

/// A table that cannot be reached.
struct Nowhere;

fn unavailable() -> Unavailable {
    Unavailable {
        reason: "nothing is there".to_owned(),
        remedy: "Make it.".to_owned(),
    }
}

impl Table for Nowhere {
    fn services(&mut self) -> Result<Vec<ServiceState>, Unavailable> {
        Err(unavailable())
    }

    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = ConnectionState> + '_>, Unavailable> {
        Err(unavailable())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Unavailable> {
        Err(unavailable())
    }

    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Unavailable> {
        Err(unavailable())
    }

    fn edit(&mut self, _: &[Edit]) -> Result<Vec<Option<EditError>>, Unavailable> {
        Err(unavailable())
    }
}

#[test]
fn a_table_that_cannot_be_reached_is_told_once() {
    let run = |line: &str, input: &str| {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut session = Session {
            program: "ipvsadm",
            privileged: true,
            table: &mut Nowhere,
            names: &Debian,
            input: &mut input.as_bytes(),
            output: &mut output,
            errors: &mut errors,
        };
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let status = ipvsadm::run(&words, &mut session).expect("writing to memory");
        assert!(output.is_empty() || status == 0, "{line}");
        (status, String::from_utf8(errors).expect("text"))
    };
    let expected = "Can't initialize ipvs: nothing is there\nMake it.\n";
    for line in [
        "",
        "-L",
        "-L -t 10.0.0.1:80",
        "-L -c",
        "-L --timeout",
        "-L --daemon",
        "-S",
        "-A -t 10.0.0.1:80",
        "-A -t 10.0.0.1:80 -s nosuch",
        "-C",
    ] {
        assert_eq!(run(line, ""), (2, expected.to_owned()), "{line}");
    }
    assert_eq!(run("-R", "-C\n-C\n"), (2, expected.to_owned()));
    for line in ["-h", "-v"] {
        assert_eq!(run(line, ""), (0, String::new()), "{line}");
    }
    assert_eq!(run("-L -C", ""), (2, "invalid option `-C'\n".to_owned()));
}
