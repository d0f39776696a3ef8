//! Frames as they may come, and worse.

use elver_packet::wire::protocol;

/// Random numbers that a seed repeats (S. Vigna's splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A frame, and the firewall mark that it has.
pub(crate) struct Arriving {
    pub(crate) octets: Vec<u8>,
    pub(crate) mark: u32,
}

impl Arriving {
    /// The acknowledgment with which a client's connection comes about, if this may open one:
    /// of IPv4 without options and TCP.
    pub(crate) fn acknowledgment(&self) -> Option<Arriving> {
        const FLAGS: usize = 14 + 20 + 13;
        let is_tcp = self.octets[12..15] == [0x08, 0x00, 0x45] && self.octets[23] == protocol::TCP;
        if !is_tcp || self.octets.get(FLAGS) != Some(&0x02) {
            return None;
        }
        let mut octets = self.octets.clone();
        octets[FLAGS] = 0x10;
        Some(Arriving {
            octets,
            mark: self.mark,
        })
    }
}

/// A frame as it may come from one side, or something worse.
pub(crate) fn frame(random: &mut Random, side: u8) -> Arriving {
    if random.once_in(50) {
        let octets = (0..15 + random.below(120)).map(|_| random.next() as u8);
        return Arriving {
            octets: octets.collect(),
            mark: 0,
        };
    }
    let v6 = random.once_in(3);
    let transport = random.one_of(&[protocol::TCP, protocol::TCP, protocol::UDP, protocol::SCTP]);
    let mark = if side == 1 && random.once_in(6) {
        random.one_of(&[7, 9, 11, 13])
    } else {
        0
    };
    let client_port = random.one_of(&[20, 1000, 1000]) + random.below(24) as u16;
    let (sender, receiver, ports) = if side == 1 {
        let sender = (1, random.one_of(&[2, 3, 4, 5]));
        let receiver = if mark != 0 && !random.once_in(4) {
            // Of what a mark is on, only what is this host's own is held.
            1
        } else {
            random.one_of(&[0x64, 0x64, 0x65, 0x65, 0x66, 0x67, 0x68])
        };
        let port = random.one_of(&[80, 80, 80, 443]);
        (sender, (1, receiver), [client_port, port])
    } else {
        let sender = (2, random.one_of(&[11, 12, 13, 14]));
        let receiver = (1, random.one_of(&[2, 3, 4, 5]));
        let port = random.one_of(&[80, 8080, 443]);
        (sender, receiver, [port, client_port])
    };
    let (first, mut behind) = (transport, transport_octets(random, transport, ports));
    let (first, extensions) = if v6 && random.once_in(8) {
        extensions(random, first)
    } else {
        (first, Vec::new())
    };
    behind.splice(0..0, extensions);
    let mut frame = vec![2, 0, 0, 0, side, 1, 2, 0, 0, 0, side, 9];
    let time_to_live = random.one_of(&[64, 64, 64, 64, 64, 255, 2, 1, 0]);
    if v6 {
        let label = random.next() as u8;
        frame.extend([0x86, 0xdd, 0x60 | random.below(16) as u8, label, 0, 0]);
        frame.extend((behind.len() as u16).to_be_bytes());
        frame.extend([first, time_to_live]);
        for (network, host) in [sender, receiver] {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[0xfd, 0, 0, network]);
            address[14..].copy_from_slice(&digits(host).to_be_bytes());
            frame.extend(address);
        }
    } else {
        let fragment = if random.once_in(25) {
            random.next() as u16
        } else {
            random.one_of(&[0, 0x4000])
        };
        let options = if random.once_in(12) {
            4 * (1 + random.below(10)) as usize
        } else {
            0
        };
        frame.extend([0x08, 0x00, 0x45 + (options / 4) as u8, random.next() as u8]);
        frame.extend((20 + options as u16 + behind.len() as u16).to_be_bytes());
        frame.extend((random.next() as u16).to_be_bytes());
        frame.extend(fragment.to_be_bytes());
        frame.extend([time_to_live, first]);
        let any = random.next() as u16;
        frame.extend(random.one_of(&[0, 0xffff, 0xfeff, any]).to_be_bytes());
        for (network, host) in [sender, receiver] {
            frame.extend([10, network, 0, host]);
        }
        frame.extend(vec![1; options]);
    }
    frame.extend(behind);
    match random.below(40) {
        // The kernel takes no test frame that ends within its network header.
        0 => {
            let least = if v6 { 54 } else { 34 };
            frame.truncate(least + random.below((frame.len() - least) as u64) as usize);
        }
        1 => {
            let at = random.below(frame.len().min(80) as u64) as usize;
            frame[at] = random.next() as u8;
        }
        2 => frame.extend([0xee; 6]),
        _ => {}
    }
    Arriving {
        octets: frame,
        mark,
    }
}

/// IPv6 hosts have their numbers in decimal digits.
fn digits(host: u8) -> u16 {
    match host {
        0x64.. => u16::from_be_bytes([1, host - 0x64]),
        _ => u16::from(host / 10 * 16 + host % 10),
    }
}

/// A transport header with ports, and what is behind it; checksums are any, since they are
/// brought up to date and never looked at.
fn transport_octets(random: &mut Random, transport: u8, ports: [u16; 2]) -> Vec<u8> {
    let payload = match random.below(12) {
        0 => 1320 + random.below(140) as usize,
        1 => random.below(64) as usize,
        _ => 0,
    };
    let any = random.next() as u16;
    let sum: u16 = random.one_of(&[0, 0xffff, 0xfffe, 1, any, any]);
    let mut octets: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    match transport {
        protocol::TCP => {
            let flags = random.one_of(&[
                0x02, 0x02, 0x02, 0x10, 0x10, 0x18, 0x11, 0x12, 0x04, 0x14, 0x06, 0x00,
            ]);
            octets.extend(random.next().to_be_bytes());
            octets.extend([0x50, flags, 0x20, 0]);
            octets.extend(sum.to_be_bytes());
            octets.extend([0, 0]);
        }
        protocol::UDP => {
            octets.extend((8 + payload as u16).to_be_bytes());
            octets.extend(sum.to_be_bytes());
        }
        _ => {
            octets.extend([1, 2, 3, 4]);
            let sum = random.next() as u32;
            octets.extend(random.one_of(&[0, sum, sum, sum]).to_be_bytes());
            let chunk = random.one_of(&[1, 1, 1, 2, 0, 3, 7, 8, 9, 10, 10, 11, 11, 14, 6, 99]);
            let length: u16 = random.one_of(&[4, 4, 4, 0, 3, 5, 300]);
            octets.extend([chunk, 0]);
            octets.extend(length.to_be_bytes());
            // What is bundled with it.
            octets.extend([random.one_of(&[6, 0, 6]), 0, 0, 4]);
        }
    }
    octets.extend((0..payload).map(|_| random.next() as u8));
    octets
}

/// Extension headers before what has this protocol number: the first one's number, and all.
fn extensions(random: &mut Random, last: u8) -> (u8, Vec<u8>) {
    let mut all = Vec::new();
    let mut next = last;
    for _ in 0..=random.below(9) {
        let kind = random.one_of(&[
            protocol::HOP_BY_HOP,
            protocol::ROUTING,
            protocol::DESTINATION_OPTIONS,
            protocol::DESTINATION_OPTIONS,
            protocol::AUTHENTICATION,
        ]);
        let kind = if random.once_in(30) {
            protocol::FRAGMENT
        } else {
            kind
        };
        let (units, octets) = match kind {
            protocol::FRAGMENT => (0, 8),
            protocol::AUTHENTICATION => (4, 24),
            _ => random.one_of(&[(0, 8), (0, 8), (1, 16), (4, 40)]),
        };
        let mut header = vec![0; octets];
        header[..2].copy_from_slice(&[next, units]);
        all.splice(0..0, header);
        next = kind;
    }
    (next, all)
}
