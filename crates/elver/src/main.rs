//! elver.

mod ipvsadm;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::ipvsadm::{Instance, Program};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let own_name = words.next().unwrap_or_default();
    let mut arguments: Vec<OsString> = words.collect();
    let program = Program::from_path(&own_name).or_else(|| {
        let program = Program::from_path(arguments.first()?)?;
        arguments.remove(0);
        Some(program)
    });
    let Some(program) = program else {
        eprintln!("elver: the first word is ipvsadm, ipvsadm-save or ipvsadm-restore");
        return ExitCode::from(2);
    };
    let name = std::env::var("ELVER_INSTANCE").unwrap_or_else(|_| "default".to_owned());
    let instance = Instance {
        name: &name,
        control_socket: PathBuf::from(format!("/run/elver/{name}/control.sock")),
        open: &|| Err("this build has none".to_owned()),
    };
    ipvsadm::main(program, &arguments, instance)
}
