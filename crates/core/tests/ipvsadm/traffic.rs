//! Lists of a table that has traffic, against those of the real ipvsadm.
//!
//! `with_traffic.txt` has what `/proc/net/ip_vs_conn` held, and what ipvsadm printed of it and
//! of the services at the same moment: connections of TCP and UDP over both families,
//! persistence templates (of a mark too), one with the data of a persistence engine.

use std::cell::Cell;
use std::io::{self, Write};

use elver_core::ipvsadm::{Table, Unavailable, kernel_connections};
use elver_core::service::{
    ConnectionState, Edit, EditError, Rates, ServiceState, Statistics, SyncDaemon, Timeouts,
};

use super::*;

/// What came after `$ COMMAND`.
fn section(command: &str) -> &'static str {
    let text = include_str!("with_traffic.txt");
    let (_, after) = text
        .split_once(&format!("$ {command}\n"))
        .unwrap_or_else(|| panic!("no section for {command}"));
    after.split("$ ").next().expect("the section")
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').skip(1).map(str::to_owned).collect()
}

fn compare_lists(machine: &mut Machine, commands: &[&str]) {
    for command in commands {
        assert_eq!(machine.run(&words(command)), section(command), "{command}");
    }
}

#[test]
fn connections_are_listed_as_by_the_real_one() {
    let mut machine = Machine::default();
    let shown = section("cat /proc/net/ip_vs_conn");
    machine.table.connections = kernel_connections(shown).collect();
    assert_eq!(machine.table.connections.len(), 10);
    compare_lists(
        &mut machine,
        &[
            "ipvsadm -Lnc",
            "ipvsadm -Lc",
            "ipvsadm -Lnc --persistent-conn",
            "ipvsadm -Lc --persistent-conn",
        ],
    );
}

#[test]
fn services_with_traffic_are_listed_as_by_the_real_one() {
    let mut machine = Machine::default();
    // Service, destination, active and inactive connections, templates, packets and bytes in
    // both directions, bytes per second in both directions.
    type Row = (&'static str, &'static str, [u32; 3], [u64; 4], [u64; 2]);
    let rows: [Row; 6] = [
        (
            "-t 10.0.0.1:80 -s rr -p 100",
            "10.0.1.1:8080",
            [1, 0, 1],
            [2, 1, 112, 60],
            [8, 4],
        ),
        (
            "-t [2001:db8::1]:80 -s rr",
            "[2001:db8::2]:80",
            [1, 0, 0],
            [2, 1, 152, 80],
            [11, 6],
        ),
        (
            "-u 10.0.0.1:53 -s rr",
            "10.0.1.1",
            [0, 1, 0],
            [1, 1, 29, 57],
            [2, 4],
        ),
        (
            "-u 10.0.0.1:5060 -s rr -p 60 --pe sip",
            "10.0.1.1",
            [0, 1, 1],
            [1, 1, 70, 98],
            [5, 7],
        ),
        (
            "-f 7 -s rr -p 77",
            "10.0.1.1:8080",
            [0, 1, 1],
            [1, 1, 60, 40],
            [4, 3],
        ),
        (
            "-f 7 -6 -s rr -p 77",
            "[2001:db8::2]:80",
            [0, 1, 1],
            [1, 1, 80, 60],
            [6, 4],
        ),
    ];
    for (service, destination, [active, inactive, persistent], totals, bytes) in rows {
        machine.run(&words(&format!("ipvsadm -A {service}")));
        let key = service.split(" -s").next().expect("the service");
        machine.run(&words(&format!("ipvsadm -a {key} -r {destination} -m")));
        let statistics = Statistics {
            connections: 1,
            packets_in: totals[0],
            packets_out: totals[1],
            bytes_in: totals[2],
            bytes_out: totals[3],
        };
        let rates = Rates {
            bytes_in: bytes[0],
            bytes_out: bytes[1],
            ..Rates::default()
        };
        let service = machine.table.services.last_mut().expect("the new service");
        (service.statistics, service.rates) = (statistics, rates);
        let destination = &mut service.destinations[0];
        (destination.statistics, destination.rates) = (statistics, rates);
        (destination.active, destination.inactive) = (active, inactive);
        destination.persistent = persistent;
    }
    compare_lists(
        &mut machine,
        &[
            "ipvsadm -Ln",
            "ipvsadm -Ln --persistent-conn",
            "ipvsadm -Ln --stats",
            "ipvsadm -L --stats --exact",
            "ipvsadm -Ln --rate",
        ],
    );
}

#[test]
fn large_numbers_are_abbreviated_unless_exact() {
    let mut machine = Machine::default();
    machine.run(&words("ipvsadm -A -t 10.0.0.1:80"));
    machine.run(&words("ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.1"));
    let service = &mut machine.table.services[0];
    service.statistics = Statistics {
        connections: 99_999_999,
        packets_in: 100_000_000,
        packets_out: 1_000_000_000,
        bytes_in: 100_000_000_000,
        bytes_out: 100_000_000_000_000,
    };
    service.destinations[0].statistics = Statistics {
        connections: 999_999_999,
        packets_in: 99_999_999_999,
        packets_out: 99_999_999_999_999,
        bytes_in: u64::MAX,
        bytes_out: 1999,
    };
    service.destinations[0].rates = Rates {
        connections: 123_456_789,
        packets_in: 1_234_567_890,
        packets_out: 3,
        bytes_in: 123_456_789,
        bytes_out: 1_234_567_890,
    };
    // The widths and limits are those of print_largenum in ipvsadm.c.
    assert_eq!(
        machine.run(&words("ipvsadm -Ln --stats -t 10.0.0.1:80")),
        "\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.1:80                  99999999  100000K    1000M     100G     100T
  -> 10.0.1.1:80                   999999K   99999M   99999G18446744T     1999
"
    );
    assert_eq!(
        machine.run(&words("ipvsadm -Ln --stats --exact -t 10.0.0.1:80")),
        "\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.1:80                  99999999 100000000 1000000000 100000000000 100000000000000
  -> 10.0.1.1:80                  999999999 99999999999 99999999999999 18446744073709551615     1999
"
    );
    // Of a destination's rates the first three are never abbreviated.
    assert_eq!(
        machine.run(&words("ipvsadm -Ln --rate -t 10.0.0.1:80")),
        "\
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  10.0.0.1:80                         0        0        0        0        0
  -> 10.0.1.1:80                  123456789 1234567890        3  123456K    1234M
"
    );
}

/// Connections that can only be had once the lines before them are written.
struct OneByOne<'a> {
    lines_written: &'a Cell<usize>,
    connection: ConnectionState,
}

impl Table for OneByOne<'_> {
    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = ConnectionState> + '_>, Unavailable> {
        let lines_of_title = 2;
        Ok(Box::new((0..1000).map(move |position| {
            assert_eq!(self.lines_written.get(), lines_of_title + position);
            self.connection.clone()
        })))
    }

    fn services(&mut self) -> Result<Vec<ServiceState>, Unavailable> {
        unreachable!("only connections are listed")
    }

    fn timeouts(&mut self) -> Result<Timeouts, Unavailable> {
        unreachable!("only connections are listed")
    }

    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Unavailable> {
        unreachable!("only connections are listed")
    }

    fn edit(&mut self, _: &[Edit]) -> Result<Vec<Option<EditError>>, Unavailable> {
        unreachable!("nothing is changed")
    }
}

struct LineCounter<'a>(&'a Cell<usize>);

impl Write for LineCounter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.0.set(self.0.get() + lines);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn connections_are_written_one_by_one() {
    let lines_written = Cell::new(0);
    let mut shown = kernel_connections(section("cat /proc/net/ip_vs_conn"));
    let mut table = OneByOne {
        lines_written: &lines_written,
        connection: shown.next().expect("a connection"),
    };
    let mut session = Session {
        program: "ipvsadm",
        privileged: true,
        table: &mut table,
        names: &Debian,
        input: &mut io::empty(),
        output: &mut LineCounter(&lines_written),
        errors: &mut io::sink(),
    };
    let status = ipvsadm::run(&words("ipvsadm -Lnc"), &mut session);
    assert_eq!(status.expect("writing to a counter"), 0);
    assert_eq!(lines_written.get(), 1002);
}
