//! Two hosts, and a network between them that loses packets.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;

const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
];

fn instance(host: usize) -> BfdInstance {
    BfdInstance {
        name: format!("to {}", 1 - host),
        neighbor: ADDRESSES[1 - host],
        source: None,
        min_rx: Duration::from_millis(50),
        min_tx: Duration::from_millis(50),
        idle_tx: Duration::from_secs(1),
        multiplier: 3,
        passive: false,
        hop_limit: 255,
        max_hops: 0,
        multihop: false,
        for_vrrp: true,
        for_checks: true,
    }
}

struct Pair {
    hosts: [Sessions; 2],
    now: Instant,
    /// From which host nothing arrives.
    silent: [bool; 2],
    /// One in so many packets is lost.
    lost: u64,
    random: Random,
    /// When each host said what of its session.
    said: [Vec<(Instant, bool)>; 2],
    sent: [usize; 2],
}

impl Pair {
    fn new(seed: u64) -> Pair {
        Pair {
            hosts: [Sessions::new(seed), Sessions::new(seed + 1)],
            now: Instant::now(),
            silent: [false; 2],
            lost: 0,
            random: Random::new(seed + 2),
            said: [Vec::new(), Vec::new()],
            sent: [0; 2],
        }
    }

    fn configure(&mut self, host: usize, instances: Vec<BfdInstance>) {
        self.hosts[host].handle(self.now, Input::Configure(instances));
        self.deliver();
    }

    fn deliver(&mut self) {
        let mut again = true;
        while again {
            again = false;
            for host in 0..2 {
                while let Some(effect) = self.hosts[host].poll_effect() {
                    again = true;
                    match effect {
                        Effect::Changed { up, .. } => self.said[host].push((self.now, up)),
                        Effect::Entered { .. } => {}
                        Effect::Send { session, payload } => {
                            assert_eq!(session.neighbor, ADDRESSES[1 - host]);
                            self.sent[host] += 1;
                            let is_lost =
                                self.lost > 0 && self.random.number().is_multiple_of(self.lost);
                            if !self.silent[host] && !is_lost {
                                let received = Received {
                                    source: ADDRESSES[host],
                                    hop_limit: 255,
                                    is_multihop: false,
                                    payload: &payload,
                                };
                                let now = self.now;
                                self.hosts[1 - host].handle(now, Input::Received(received));
                            }
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.hosts.iter().filter_map(Sessions::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            for host in 0..2 {
                let now = self.now;
                self.hosts[host].handle_timeout(now);
            }
            self.deliver();
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|host| {
            self.hosts[host]
                .states()
                .next()
                .map_or(State::Down, |(_, state)| state)
        })
    }
}

fn up(seed: u64) -> Pair {
    let mut pair = Pair::new(seed);
    pair.configure(0, vec![instance(0)]);
    pair.run(Duration::from_millis(300));
    pair.configure(1, vec![instance(1)]);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.states(), [State::Up, State::Up]);
    pair
}

#[test]
fn both_come_up_and_send_at_the_agreed_rate() {
    for seed in 0..200 {
        let mut pair = up(seed);
        let before = pair.sent;
        pair.run(Duration::from_secs(10));
        for (host, before) in before.into_iter().enumerate() {
            let each = &pair.said[host];
            assert!(matches!(each[..], [(_, true)]), "{each:?}");
            // Every 37.5 to 50 ms.
            let sent = pair.sent[host] - before;
            assert!((200..=268).contains(&sent), "{sent}");
        }
    }
}

#[test]
fn a_side_that_falls_silent_is_missed_in_the_detection_time() {
    for seed in 0..200 {
        let mut pair = up(seed);
        pair.silent[1] = true;
        let start = pair.now;
        pair.run(Duration::from_secs(1));
        let Some((at, false)) = pair.said[0].last() else {
            panic!("{:?}", pair.said);
        };
        let took = *at - start;
        assert!(took <= Duration::from_millis(150), "{took:?}");
        // The other one, which still hears, learns of it at once.
        assert_eq!(pair.said[1].last(), Some(&(*at, false)));

        pair.silent[1] = false;
        pair.run(Duration::from_secs(4));
        assert_eq!(pair.states(), [State::Up, State::Up]);
    }
}

#[test]
fn a_side_that_stops_says_so() {
    let mut pair = up(1);
    let start = pair.now;
    pair.hosts[0].handle(start, Input::Shutdown);
    pair.deliver();
    assert_eq!(pair.said[1].last(), Some(&(start, false)));
}

#[test]
fn a_side_that_starts_anew_comes_up_again() {
    for seed in 0..100 {
        let mut pair = up(seed);
        pair.hosts[0] = Sessions::new(seed + 1000);
        pair.configure(0, vec![instance(0)]);
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.states(), [State::Up, State::Up], "seed {seed}");
    }
}

#[test]
fn a_reload_with_other_intervals_interrupts_nothing() {
    for seed in 0..100 {
        let mut pair = up(seed);
        for (host, milliseconds) in [(0, 400), (1, 10), (0, 50), (1, 1500)] {
            let interval = Duration::from_millis(milliseconds);
            let other = BfdInstance {
                min_rx: interval,
                min_tx: interval,
                ..instance(host)
            };
            pair.configure(host, vec![other]);
            pair.run(Duration::from_secs(6));
        }
        assert_eq!(pair.states(), [State::Up, State::Up]);
        assert_eq!(pair.said.map(|said| said.len()), [1, 1], "seed {seed}");
    }
}

#[test]
fn a_lossy_network_ends_up_well_once_it_loses_no_more() {
    for seed in 0..200 {
        let mut pair = Pair::new(seed);
        pair.lost = 2 + seed % 3;
        pair.configure(0, vec![instance(0)]);
        pair.configure(1, vec![instance(1)]);
        pair.run(Duration::from_secs(30));
        pair.lost = 0;
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.states(), [State::Up, State::Up], "seed {seed}");
        for said in &pair.said {
            let changes = said.windows(2).all(|two| two[0].1 != two[1].1);
            assert!(changes, "said twice: {said:?}");
        }
    }
}

#[test]
fn what_is_not_from_the_neighbour_moves_nothing() {
    let mut pair = up(3);
    let now = pair.now;
    let down = ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll: false,
        is_final: false,
        demand: false,
        multiplier: 3,
        my_discriminator: 5,
        your_discriminator: 0,
        desired_min_tx: Duration::from_secs(1),
        required_min_rx: Duration::from_secs(1),
    };
    let payload = down.to_octets();
    let good = Received {
        source: ADDRESSES[1],
        hop_limit: 255,
        is_multihop: false,
        payload: &payload,
    };
    let named = ControlPacket {
        your_discriminator: 1,
        ..down
    };
    let named = named.to_octets();
    for bad in [
        Received {
            source: [192, 0, 2, 3].into(),
            ..good
        },
        Received {
            hop_limit: 254,
            ..good
        },
        Received {
            is_multihop: true,
            ..good
        },
        Received {
            payload: &payload[..23],
            ..good
        },
        Received {
            payload: &named,
            ..good
        },
    ] {
        pair.hosts[0].handle(now, Input::Received(bad));
        assert_eq!(pair.hosts[0].poll_effect(), None, "{bad:?}");
    }
    pair.hosts[0].handle(now, Input::Received(good));
    assert!(pair.hosts[0].poll_effect().is_some());
}
