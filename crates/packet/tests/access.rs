//! Who may use a virtual service.

mod support;

use elver_packet::frame::Verdict;
use elver_packet::reason::Reason;
use elver_packet::table::access::{Access, AccessKey, EVERY_SERVICE};
use elver_packet::table::settings::BEHAVIOUR_WORD;
use elver_packet::table::{Tables, Words};
use support::packet::segment;
use support::{Director, socket};

const VIPS: [&str; 2] = ["10.1.0.100:80", "10.1.0.101:80"];

impl Director {
    fn list(&mut self, service: u32, network: [u8; 4], length: u32, access: Access) {
        let settings = (&self.tables).settings().unwrap();
        let word = settings.load(BEHAVIOUR_WORD);
        settings.store(BEHAVIOUR_WORD, word | 1 << 32);
        let address = [u32::from_ne_bytes(network).into(), 0];
        let key = AccessKey {
            service,
            family: 4,
            address,
        };
        self.tables
            .access
            .lock()
            .unwrap()
            .push((key, length, access));
    }

    fn syn(&mut self, client: &str, vip: &str) -> (Verdict, u64) {
        let before = self.tables.reason(Reason::AccessDenied);
        let verdict = self.process(segment(client, vip, "S").octets()).verdict;
        (verdict, self.tables.reason(Reason::AccessDenied) - before)
    }
}

const LET_IN: (Verdict, u64) = (Verdict::Leave, 0);
const KEPT_OUT: (Verdict, u64) = (Verdict::Drop, 1);

fn director() -> Director {
    let mut director = Director::new(16);
    for vip in VIPS {
        director.add(socket(vip), None, &[socket("10.2.0.11:80")]);
    }
    director
}

#[test]
fn a_list_for_all_holds_for_every_service() {
    let mut director = director();
    director.list(EVERY_SERVICE, [10, 1, 0, 0], 24, Access::Denied);
    director.list(EVERY_SERVICE, [10, 1, 0, 3], 32, Access::Allowed);
    for vip in VIPS {
        assert_eq!(director.syn("10.1.0.2:1000", vip), KEPT_OUT);
        assert_eq!(director.syn("10.1.0.3:1000", vip), LET_IN);
        assert_eq!(director.syn("10.1.9.2:1000", vip), LET_IN);
    }
}

#[test]
fn a_list_of_a_service_comes_first() {
    let mut director = director();
    director.list(EVERY_SERVICE, [10, 1, 0, 2], 32, Access::Denied);
    director.list(0, [10, 1, 0, 0], 16, Access::Allowed);
    director.list(0, [0, 0, 0, 0], 0, Access::Denied);
    assert_eq!(director.syn("10.1.0.2:1000", VIPS[0]), LET_IN);
    assert_eq!(director.syn("10.2.0.9:1000", VIPS[0]), KEPT_OUT);
    assert_eq!(director.syn("10.1.0.2:1000", VIPS[1]), KEPT_OUT);
    assert_eq!(director.syn("10.2.0.9:1000", VIPS[1]), LET_IN);
}

#[test]
fn lists_are_asked_when_a_connection_opens() {
    let mut director = director();
    assert_eq!(director.syn("10.1.0.2:1000", VIPS[0]), LET_IN);
    director.list(EVERY_SERVICE, [0, 0, 0, 0], 0, Access::Denied);
    assert_eq!(director.syn("10.1.0.2:1000", VIPS[0]), LET_IN);
    assert_eq!(director.syn("10.1.0.2:1001", VIPS[0]), KEPT_OUT);
}
