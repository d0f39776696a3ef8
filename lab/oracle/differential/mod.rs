//! The same commands and the same connections, through the kernel's IPVS and through elver:
//! what is said, who answers and what the tables show must be the same.

mod generate;
mod listing;
mod schedulers;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use elver_lab::client::Conversation;
use elver_lab::wait::{self, Look};

use self::generate::{Action, Random};
use self::listing::Connection;
use crate::side::{Balancer, CLIENTS, PORTS, SERVERS, Side, server, vip};
use crate::steps::Steps;

/// Generated runs, each of this many actions.
const RUNS: u64 = 4;
const ACTIONS: usize = 40;

/// How long packets may be under way that change the tables, on a machine that is not slow.
const SETTLED: Duration = Duration::from_secs(2);

/// Both sides, and what goes on in them.
struct Pair {
    kernel: Side,
    elver: Side,
    /// How many runs there were: each has a virtual address of its own, since connections
    /// and templates of earlier ones stay in the tables.
    runs: u8,
    vip: Ipv4Addr,
    /// The conversations that are open, with the kernel and with elver.
    open: Vec<[Conversation; 2]>,
    /// By the order in which they were opened: the clients' addresses in both sides.
    clients: Vec<[SocketAddr; 2]>,
}

/// The written and the generated runs.
pub(crate) fn steps(steps: &mut Steps, elver: &Path, seed: u64) {
    if !steps.wanted("same: ") {
        return;
    }
    let mut pair = Pair {
        kernel: Side::new("kernel", Balancer::Kernel),
        elver: Side::new("elver", Balancer::Elver(elver)),
        runs: 0,
        vip: vip(0),
        open: Vec::new(),
        clients: Vec::new(),
    };
    pair.elver.start(elver);
    let written = [
        ("same: what commands say", commands()),
        ("same: whom rr chooses", round_robin()),
        ("same: where persistent clients go", persistence()),
        ("same: what connections become", states()),
        ("same: where there is no real server", nobody()),
        (
            "same: what becomes of a real server's connections",
            removal(),
        ),
    ];
    for (name, actions) in written {
        steps.step(name, || pair.play(&actions));
    }
    for (name, actions) in schedulers::all() {
        let name = format!("same: whom {name} chooses");
        steps.step(&name, || pair.play(&actions));
    }
    for run in 0..RUNS {
        let seed = seed.wrapping_add(run);
        steps.step(&format!("same: generated, ORACLE_SEED={seed}"), || {
            pair.play(&generate::actions(&mut Random::new(seed), ACTIONS));
        });
    }
}

impl Pair {
    /// Does the same on both sides, from empty tables on, and compares after each action.
    fn play(&mut self, actions: &[Action]) {
        self.vip = vip(self.runs);
        self.runs += 1;
        self.open.clear();
        self.clients.clear();
        for side in [&self.kernel, &self.elver] {
            side.list(&["-C"]);
        }
        for (number, action) in actions.iter().enumerate() {
            println!("{number:3} {action}");
            self.act(action);
            self.compare();
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Command(words) => {
                let vip = self.vip.to_string();
                let words: Vec<String> =
                    words.iter().map(|word| word.replace("VIP", &vip)).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let kernel = self.kernel.ipvsadm(&words);
                let elver = self.elver.ipvsadm(&words);
                assert_eq!(kernel, elver, "the kernel (left) and elver differ");
            }
            Action::Connect { client, port } => {
                let service = SocketAddrV4::new(self.vip, *port);
                let kernel = self.kernel.connect(*client, service);
                let elver = self.elver.connect(*client, service);
                self.answered(kernel, elver);
            }
            Action::ConnectFrom(sources) => {
                let service = SocketAddrV4::new(self.vip, PORTS[0]);
                for source in sources {
                    let kernel = self.kernel.connect_from(*source, service);
                    let elver = self.elver.connect_from(*source, service);
                    self.answered(kernel, elver);
                }
            }
            Action::Close(number) => {
                if !self.open.is_empty() {
                    let number = number % self.open.len();
                    drop(self.open.remove(number));
                }
            }
        }
    }

    /// Compares what a client got on both sides.
    fn answered(
        &mut self,
        kernel: Result<Conversation, String>,
        elver: Result<Conversation, String>,
    ) {
        match (kernel, elver) {
            (Ok(kernel), Ok(elver)) => {
                let (by_kernel, by_elver) = (&kernel.greeting().name, &elver.greeting().name);
                println!("      {by_kernel}");
                assert_eq!(by_kernel, by_elver, "who answers: kernel (left), elver");
                let pair = [kernel, elver];
                self.clients.push(
                    pair.each_ref()
                        .map(|conversation| conversation.local_address().expect("an address")),
                );
                self.open.push(pair);
            }
            (kernel, elver) => {
                let kernel = kernel.map(|one| one.greeting().name.clone());
                let elver = elver.map(|one| one.greeting().name.clone());
                println!("      {kernel:?}");
                assert_eq!(kernel, elver, "what a client sees: kernel (left), elver");
            }
        }
    }

    /// Waits until both tables show the same: the last packets of a connection are under
    /// way when its ends have done with it.
    fn compare(&self) {
        wait::until("the tables of both to be the same", SETTLED, || {
            let kernel = (
                self.kernel.list(&["-Ln"]),
                self.kernel.list(&["-Sn"]),
                self.connections(&self.kernel, 0),
            );
            let elver = (
                self.elver.list(&["-Ln"]),
                self.elver.list(&["-Sn"]),
                self.connections(&self.elver, 1),
            );
            let same =
                kernel.0 == elver.0 && kernel.1 == elver.1 && listing::same(&kernel.2, &elver.2);
            Ok(if same {
                Look::Met(())
            } else {
                Look::NotYet(format!(
                    "the kernel:\n{}{}{}\nelver:\n{}{}{}",
                    kernel.0,
                    kernel.1,
                    listing::text(&kernel.2),
                    elver.0,
                    elver.1,
                    listing::text(&elver.2)
                ))
            })
        })
        .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The connections of this run.
    fn connections(&self, side: &Side, which: usize) -> Vec<Connection> {
        let name = |client: SocketAddr| {
            let number = self
                .clients
                .iter()
                .position(|addresses| addresses[which] == client)?;
            Some(format!("connection {number}"))
        };
        listing::connections(&side.list(&["-Lnc"]), self.vip, name)
    }
}

fn service(port: u16) -> String {
    format!("-t VIP:{port}")
}

fn add_service(port: u16, more: &str) -> Action {
    Action::command(&format!("-A {} -s rr {more}", service(port)))
}

fn add_server(port: u16, number: u8, more: &str) -> Action {
    Action::command(&format!(
        "-a {} -r {} -m {more}",
        service(port),
        server(number)
    ))
}

/// A service with every real server.
fn everything(more: &str) -> Vec<Action> {
    let mut actions = vec![add_service(PORTS[0], more)];
    actions.extend((0..SERVERS).map(|number| add_server(PORTS[0], number, "")));
    actions
}

fn connect(client: usize) -> Action {
    Action::Connect {
        client,
        port: PORTS[0],
    }
}

/// Commands that succeed and commands that do not.
fn commands() -> Vec<Action> {
    let (one, other) = (service(PORTS[0]), service(PORTS[1]));
    let (first, second) = (server(0), server(1));
    [
        format!("-A {one} -s rr"),
        format!("-A {one} -s rr"),
        format!("-a {one} -r {first} -m"),
        format!("-a {one} -r {first} -m -w 0"),
        format!("-a {other} -r {first} -m"),
        format!("-e {one} -r {second} -m"),
        format!("-e {one} -r {first} -m -w 0"),
        format!("-d {one} -r {second}"),
        format!("-d {other} -r {first}"),
        format!("-D {other}"),
        format!("-E {other} -s rr"),
        format!("-E {one} -s rr -p 60"),
        format!("-E {one} -s rr -p"),
        format!("-a {one} -r {second} -m -w -1"),
        format!("-a {one} -r {second} -m -w 65536"),
        format!("-a {one} -r {} -m", second.ip()),
        format!("-A {other}0000 -s rr"),
        "-A -t VIP -s rr".to_owned(),
        format!("-A {other} -s no-such-scheduler"),
        format!("-A {other} -s rr -p 0"),
        format!("-L {one} -n"),
        format!("-L {other} -n"),
        "-Ln --persistent-conn".to_owned(),
        "-Ln --thresholds".to_owned(),
        "-Ln --exact".to_owned(),
        "-L --timeout".to_owned(),
        "-L --nosuchoption".to_owned(),
        "-L -S".to_owned(),
        "-S".to_owned(),
        "-Z".to_owned(),
        format!("-d {one} -r {first}"),
        format!("-D {one}"),
        format!("-D {one}"),
        "-C".to_owned(),
        "-Ln".to_owned(),
    ]
    .iter()
    .map(|line| Action::command(line))
    .collect()
}

fn round_robin() -> Vec<Action> {
    let mut actions = everything("");
    actions.extend((0..7).map(|number| connect(number % 2)));
    // Weight 0 takes no new connections, and a server that comes back is the newest.
    actions.push(Action::command(&format!(
        "-e {} -r {} -m -w 0",
        service(PORTS[0]),
        server(1)
    )));
    actions.extend((0..4).map(|_| connect(0)));
    actions.push(Action::command(&format!(
        "-d {} -r {}",
        service(PORTS[0]),
        server(2)
    )));
    actions.extend((0..3).map(|_| connect(0)));
    actions.push(add_server(PORTS[0], 2, ""));
    actions.extend((0..4).map(|_| connect(1)));
    actions
}

fn persistence() -> Vec<Action> {
    let mut actions = everything("-p 600");
    for _ in 0..3 {
        actions.extend([connect(0), connect(1)]);
    }
    // A client stays with a server that takes no new ones.
    for number in 0..SERVERS {
        actions.push(Action::command(&format!(
            "-e {} -r {} -m -w 0",
            service(PORTS[0]),
            server(number)
        )));
        actions.extend([connect(0), connect(1)]);
    }
    actions
}

fn states() -> Vec<Action> {
    let mut actions = everything("");
    actions.extend([connect(0), connect(1), connect(CLIENTS - 1), connect(0)]);
    actions.extend([Action::Close(0), Action::Close(1), Action::Close(0)]);
    actions
}

fn nobody() -> Vec<Action> {
    let mut actions = vec![connect(0), add_service(PORTS[0], ""), connect(0)];
    actions.extend([add_server(PORTS[0], 0, "-w 0"), connect(0), connect(1)]);
    actions
}

fn removal() -> Vec<Action> {
    let mut actions = everything("");
    actions.extend((0..3).map(|_| connect(0)));
    actions.push(Action::command(&format!(
        "-d {} -r {}",
        service(PORTS[0]),
        server(1)
    )));
    actions.push(connect(0));
    actions.push(add_server(PORTS[0], 1, ""));
    actions.extend([connect(0), Action::Close(0)]);
    actions
}
