//! What keeps a director from starting: one clear message, and an exit code of its own.

use std::collections::BTreeMap;
use std::path::Path;

use elver_lab::director::Director;
use elver_lab::{Host, Output};

use crate::configuration::Configuration;
use crate::peers::start_keepalived;
use crate::site::{LIMIT, Site, elver, holds_addresses, wait_for_addresses};

/// Runs a program for which the system call bpf(2) does not exist: a filter of system calls
/// (seccomp(2)) answers it with ENOSYS, as a kernel without it does.
const WITHOUT_BPF: &str = r#"
import ctypes, errno, os, platform, struct, sys
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOAD_NUMBER, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSE, ALLOW = 0x00050000, 0x7FFF0000
filter = b"".join(struct.pack("HBBI", *instruction) for instruction in [
    (LOAD_NUMBER, 0, 0, 0),
    (IF_EQUAL, 0, 1, number),
    (RETURN, 0, 0, REFUSE | errno.ENOSYS),
    (RETURN, 0, 0, ALLOW),
])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
libc = ctypes.CDLL(None, use_errno=True)
program = Program(4, filter)
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// Runs `elver run -f configuration` in `host`, which is to end by itself.
fn refusal(host: &Host, wrapper: &[&str], configuration: &Path) -> (i32, String) {
    let program = elver();
    let mut words: Vec<_> = wrapper.iter().map(Path::new).collect();
    words.push(&program);
    let mut command = host.command(words[0]).expect("a command");
    command.args(&words[1..]).arg("run").arg("-f");
    command
        .arg(configuration)
        .args(["--instance", host.namespace_name()]);
    code_and_message(host.output(command, LIMIT).expect("it ends"))
}

fn code_and_message(output: Output) -> (i32, String) {
    let code = output.status.code().expect("an exit, not a signal");
    (code, output.stderr)
}

#[test]
fn each_refusal_has_a_message_and_a_code() {
    let site = Site::new("refusals", 2);
    let host = &site.directors[0];
    let good = Configuration::new(&site.addresses());
    let mut codes = BTreeMap::new();
    let mut check = |what: &'static str, (code, message): (i32, String), named: &str| {
        assert_ne!(code, 0, "{what}: {message}");
        assert!(
            message.contains(named),
            "{what}: {named:?} is not named in {message:?}"
        );
        if let Some(other) = codes.insert(code, what) {
            panic!("{what} and {other} end with the same code {code}");
        }
        assert_eq!(
            holds_addresses(host),
            [false; 2],
            "{what}: nothing may have been started"
        );
    };

    let missing = site.lab.directory().join("missing.conf");
    check("no file", refusal(host, &[], &missing), "missing.conf");

    let meaningless = site.write(0, "this is not a configuration\n{{{\n");
    check(
        "no meaning",
        refusal(host, &[], &meaningless),
        "director1.conf",
    );

    let other_interface = site.write(0, &good.text().replace("eth0", "eth7"));
    check("no interface", refusal(host, &[], &other_interface), "eth7");

    let path = site.write(0, &good.text());
    let without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    check(
        "no permission",
        refusal(host, &without, &path),
        "CAP_NET_ADMIN",
    );

    let (code, message) = refusal(host, &["python3", "-c", WITHOUT_BPF], &path);
    assert_eq!(code, 12, "{message}");
    let named = "this kernel cannot run the data plane: ";
    check("no BPF", (code, message), named);

    let keepalived = start_keepalived(&site, 0, &good);
    wait_for_addresses(host, true);
    let (code, message) = refusal(host, &[], &path);
    drop(keepalived);
    wait_for_addresses(host, false);
    check("keepalived beside it", (code, message), "keepalived");

    let other = &site.directors[1];
    let first = Director::start(&site.lab, other, &elver(), &path).expect("a director");
    crate::site::wait_until_master(&first);
    let path = path.to_string_lossy();
    let second = first.command(&["run", "-f", &*path]).expect("it ends");
    check(
        "a second director",
        code_and_message(second),
        first.instance(),
    );
    first.check_running().expect("the first is not disturbed");
    assert_eq!(holds_addresses(other), [true; 2]);
}
