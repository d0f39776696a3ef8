//! Actions from a seed.

use std::fmt;
use std::net::SocketAddrV4;

use crate::random::Random;
use crate::side::{CLIENTS, PORTS, SERVERS, server};

/// Something that is done on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// ipvsadm with these words; `VIP` in them is the virtual address of the run.
    Command(Vec<String>),
    /// A client connects to a port of the VIP.
    Connect { client: usize, port: u16 },
    /// Client 0 connects to the first port of the VIP from each of these.
    ConnectFrom(Vec<SocketAddrV4>),
    /// A client closes the connection that is at this place of those open, counted around.
    Close(usize),
}

impl Action {
    /// ipvsadm with the words of a line.
    pub(crate) fn command(line: &str) -> Action {
        Action::Command(line.split_whitespace().map(str::to_owned).collect())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Command(words) => write!(f, "ipvsadm {}", words.join(" ")),
            Action::Connect { client, port } => write!(f, "client {client} connects to {port}"),
            Action::ConnectFrom(sources) => {
                write!(f, "client 0 connects from")?;
                sources.iter().try_for_each(|source| write!(f, " {source}"))
            }
            Action::Close(number) => write!(f, "connection {number} of those open closes"),
        }
    }
}

/// So many actions: they begin with a service that has servers, so that there is somebody to
/// answer, and then anything may come.
pub(crate) fn actions(random: &mut Random, count: usize) -> Vec<Action> {
    let mut actions = Vec::with_capacity(count);
    actions.push(Action::command(&format!(
        "-A -t VIP:{} {} {}",
        PORTS[0],
        scheduler(random),
        persistence(random)
    )));
    for number in 0..SERVERS {
        actions.push(Action::command(&format!(
            "-a -t VIP:{} -r {} -m",
            PORTS[0],
            server(number)
        )));
    }
    while actions.len() < count {
        let action = match random.below(20) {
            0..10 => Action::Connect {
                // The one that never hears an answer takes time, and is rarely asked.
                client: random.one_of(&[0, 0, 0, 0, 1, 1, 1, 1, CLIENTS - 1]),
                port: random.one_of(&[PORTS[0], PORTS[0], PORTS[0], PORTS[1]]),
            },
            10..13 => Action::Close(random.below(16)),
            _ => Action::command(&command(random)),
        };
        actions.push(action);
    }
    actions
}

fn persistence(random: &mut Random) -> &'static str {
    random.one_of(&["", "", "-p 600", "-p"])
}

/// Client ports differ from one side to the other, so none that looks at them.
fn scheduler(random: &mut Random) -> &'static str {
    random.one_of(&[
        "-s rr",
        "-s rr",
        "-s wrr",
        "-s wrr",
        "-s lc",
        "-s wlc",
        "",
        "-s lblc",
        "-s lblcr",
        "-s dh",
        "-s sh",
        "-s sh -b sh-fallback",
        "-s sed",
        "-s nq",
        "-s fo",
        "-s ovf",
        "-s mh",
        "-s mh -b mh-fallback",
    ])
}

fn command(random: &mut Random) -> String {
    let service = format!("-t VIP:{}", random.one_of(&PORTS));
    let server = server(random.below(usize::from(SERVERS)) as u8);
    let weight = random.one_of(&[
        "",
        "",
        "-w 0",
        "-w 1",
        "-w 2",
        "-w 3",
        "-w 7",
        "-x 2",
        "-w 4 -x 3 -y 1",
    ]);
    match random.below(20) {
        0..3 => format!("-A {service} {} {}", scheduler(random), persistence(random)),
        3..5 => format!("-E {service} {} {}", scheduler(random), persistence(random)),
        5 => format!("-D {service}"),
        6..12 => format!("-a {service} -r {server} -m {weight}"),
        12..16 => format!("-e {service} -r {server} -m {weight}"),
        16..19 => format!("-d {service} -r {server}"),
        _ => random
            .one_of(&["-C", "-Ln --persistent-conn", "-S", "-Ln --exact"])
            .to_owned(),
    }
}
