//! What has to hold of the tables whenever nobody is at work.

use std::collections::{HashMap, HashSet};

use elver_packet::table::connection::{self, Direction, Entry, STRIDE, control};
use elver_packet::table::destination::{self, Destination};
use elver_packet::table::{Tables, Words};

/// No two live entries of one key; every entry with its peer, where it has to have one; every
/// count that of what is in the table, and who is overloaded by it; and no busy ways but so
/// many that the test itself made busy.
pub fn assert_consistent<T: Tables>(tables: &T, lines: u32, destinations: u32, busy: u32) {
    let mut found_busy = 0;
    let mut keys = HashSet::new();
    let mut counted: HashMap<u32, (u32, u32, u64)> = HashMap::new();
    let mut children: HashMap<u32, u64> = HashMap::new();
    let live = |index: u32| control(tables, index).unwrap().is_live();
    for index in (0..lines).filter(|index| index % STRIDE != 0) {
        let control = control(tables, index).unwrap();
        found_busy += u32::from(control.is_busy());
        if !control.is_live() {
            continue;
        }
        let line = tables.connection(index).unwrap();
        let entry = Entry(line);
        // As laid out in `table::connection`: IPv4 has no addresses in words 2 to 4.
        let rest = if entry.family() == 4 {
            [0; 3]
        } else {
            [2, 3, 4].map(|word| line.load(word))
        };
        let key = (line.load(1), rest, line.load(5) & 0xffff_ffff_ffff);
        assert!(keys.insert(key), "two live entries of one key");
        assert_eq!(entry.life().generation, control.generation() as u16);
        let (id, generation) = entry.destination();
        let is_its = Destination(tables.destination(id).unwrap())
            .heading()
            .generation()
            == generation;
        if entry.is_template() {
            counted.entry(id).or_default().2 += u64::from(is_its);
            continue;
        }
        let peer = entry.peer();
        let one_packet = entry.life().flags & connection::flags::ONE_PACKET != 0;
        if entry.method() == destination::method::NAT && !one_packet {
            assert!(live(peer), "an entry without its peer");
            let peer_entry = Entry(tables.connection(peer).unwrap());
            assert_eq!(
                peer_entry.peer(),
                index,
                "peers that do not name each other"
            );
            assert_ne!(peer_entry.direction(), entry.direction());
        } else {
            assert_eq!(entry.direction(), Direction::Forward);
            assert_eq!(peer, 0, "a peer of an entry whose answers do not come here");
        }
        if entry.direction() == Direction::Forward {
            let count = counted.entry(id).or_default();
            let life = entry.life();
            match life.flags & connection::flags::INACTIVE {
                0 => count.0 += u32::from(is_its),
                _ => count.1 += u32::from(is_its),
            }
            if life.flags & connection::flags::CONTROLLED != 0 {
                let template = (line.load(7) >> 32) as u32;
                let template_generation = (line.load(6) >> 48) as u16;
                let life = Entry(tables.connection(template).unwrap()).life();
                *children.entry(template).or_default() +=
                    u64::from(life.generation == template_generation);
            }
        }
    }
    assert_eq!(found_busy, busy, "ways that nobody gave back");
    for index in (0..lines).filter(|index| index % STRIDE != 0 && live(*index)) {
        let entry = Entry(tables.connection(index).unwrap());
        if entry.is_template() {
            let held = children.remove(&index).unwrap_or_default();
            assert_eq!(entry.held_connections(), held, "a template that miscounts");
        }
    }
    for id in 0..destinations {
        let destination = Destination(tables.destination(id).unwrap());
        let (active, inactive, templates) = counted.remove(&id).unwrap_or_default();
        assert_eq!(
            destination.connections(),
            (active, inactive),
            "connections of destination {id}"
        );
        assert_eq!(
            u64::from(destination.templates()),
            templates,
            "templates of destination {id}"
        );
        let thresholds = destination.0.load(destination::THRESHOLDS_WORD);
        let (upper, lower) = (thresholds as u32, (thresholds >> 32) as u32);
        let lower = if lower == 0 { upper - upper / 4 } else { lower };
        let is_overloaded = destination.heading().flags() & destination::flags::OVERLOADED != 0;
        let connections = active + inactive;
        if upper != 0 && connections >= upper {
            assert!(is_overloaded, "{id} takes more than its threshold");
        }
        if connections < lower || upper == 0 {
            assert!(!is_overloaded, "{id} takes none, and nobody is there");
        }
    }
}
