//! `[ipvs]`: the settings of `/proc/sys/net/ipv4/vs`, by their names, with their ranges and
//! defaults (`Documentation/networking/ipvs-sysctl.rst` of the kernel).

use std::collections::BTreeMap;
use std::time::Duration;

use elver_packet::table::settings::behaviour;
use serde::{Deserialize, Serialize, Serializer};

use crate::data_plane::{Behaviour, Defence, When};

/// A number from 0 to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
struct Number<const DEFAULT: i64, const MOST: i64>(i64);

impl<const DEFAULT: i64, const MOST: i64> TryFrom<i64> for Number<DEFAULT, MOST> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        if (0..=MOST).contains(&number) {
            Ok(Number(number))
        } else if MOST == 1 {
            Err(format!("{number} is neither 0 (off) nor 1 (on)"))
        } else {
            Err(format!("{number} is not from 0 to {MOST}"))
        }
    }
}

impl<const DEFAULT: i64, const MOST: i64> Serialize for Number<DEFAULT, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<const DEFAULT: i64, const MOST: i64> Default for Number<DEFAULT, MOST> {
    fn default() -> Self {
        Number(DEFAULT)
    }
}

impl<const DEFAULT: i64, const MOST: i64> Number<DEFAULT, MOST> {
    fn is_on(self) -> bool {
        self.0 != 0
    }

    /// The value, if it is not the default.
    fn changed(self) -> Option<String> {
        (self.0 != DEFAULT).then(|| self.0.to_string())
    }
}

impl Number<0, 3> {
    /// As which defence: 1 and 2, between which the kernel changes by itself, are the same.
    fn when(self) -> When {
        match self.0 {
            0 => When::Never,
            1 | 2 => When::MemoryIsShort,
            _ => When::Always,
        }
    }
}

/// Off (0) or on (1).
type Switch<const DEFAULT: i64> = Number<DEFAULT, 1>;
/// A number that the kernel keeps in an `int`.
type Count<const DEFAULT: i64> = Number<DEFAULT, { i32::MAX as i64 }>;

/// `sync_ports`: a power of two, up to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64")]
struct SyncPorts(i64);

impl TryFrom<i64> for SyncPorts {
    type Error = String;

    fn try_from(number: i64) -> Result<SyncPorts, String> {
        match number {
            1 | 2 | 4 | 8 | 16 | 32 | 64 => Ok(SyncPorts(number)),
            _ => Err(format!("{number} is no power of two from 1 to 64")),
        }
    }
}

/// `sync_threshold`: two numbers, the packets and the period, which is not the smaller one
/// unless it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct SyncThreshold([u32; 2]);

impl Serialize for SyncThreshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [packets, period] = self.0;
        serializer.collect_str(&format_args!("{packets} {period}"))
    }
}

impl TryFrom<String> for SyncThreshold {
    type Error = String;

    fn try_from(text: String) -> Result<SyncThreshold, String> {
        let numbers: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[packets, period]) if period == 0 || period >= packets => {
                Ok(SyncThreshold([packets, period]))
            }
            _ => Err(format!(
                "`{text}` is not PACKETS PERIOD, as in \"3 50\", where the period is the larger one or 0"
            )),
        }
    }
}

/// What the file says of IPVS's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Ipvs {
    am_droprate: Count<10>,
    amemthresh: Count<1024>,
    backup_only: Switch<0>,
    cache_bypass: Switch<0>,
    conn_reuse_mode: Number<1, 3>,
    conntrack: Switch<0>,
    drop_entry: Number<0, 3>,
    drop_packet: Number<0, 3>,
    expire_nodest_conn: Switch<0>,
    expire_quiescent_template: Switch<0>,
    ignore_tunneled: Switch<0>,
    lblc_expiration: Count<86400>,
    lblcr_expiration: Count<86400>,
    nat_icmp_send: Switch<0>,
    pmtu_disc: Switch<1>,
    run_estimation: Switch<1>,
    schedule_icmp: Switch<0>,
    secure_tcp: Number<0, 3>,
    sloppy_sctp: Switch<0>,
    sloppy_tcp: Switch<0>,
    snat_reroute: Switch<1>,
    sync_persist_mode: Switch<0>,
    sync_ports: SyncPorts,
    /// The kernel's default depends on its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_qlen_max: Option<Count<0>>,
    sync_refresh_period: Count<0>,
    sync_retries: Number<0, 3>,
    sync_sock_size: Count<0>,
    sync_threshold: SyncThreshold,
    sync_version: Switch<1>,
}

impl Default for Ipvs {
    fn default() -> Ipvs {
        Ipvs {
            am_droprate: Number::default(),
            amemthresh: Number::default(),
            backup_only: Number::default(),
            cache_bypass: Number::default(),
            conn_reuse_mode: Number::default(),
            conntrack: Number::default(),
            drop_entry: Number::default(),
            drop_packet: Number::default(),
            expire_nodest_conn: Number::default(),
            expire_quiescent_template: Number::default(),
            ignore_tunneled: Number::default(),
            lblc_expiration: Number::default(),
            lblcr_expiration: Number::default(),
            nat_icmp_send: Number::default(),
            pmtu_disc: Number::default(),
            run_estimation: Number::default(),
            schedule_icmp: Number::default(),
            secure_tcp: Number::default(),
            sloppy_sctp: Number::default(),
            sloppy_tcp: Number::default(),
            snat_reroute: Number::default(),
            sync_persist_mode: Number::default(),
            sync_ports: SyncPorts(1),
            sync_qlen_max: None,
            sync_refresh_period: Number::default(),
            sync_retries: Number::default(),
            sync_sock_size: Number::default(),
            sync_threshold: SyncThreshold([3, 50]),
            sync_version: Number::default(),
        }
    }
}

/// A setting that says something else than the default, which nothing comes of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WithoutEffect {
    name: &'static str,
    value: String,
    /// What happens whatever the setting says.
    instead: &'static str,
}

impl std::fmt::Display for WithoutEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WithoutEffect {
            name,
            value,
            instead,
        } = self;
        write!(f, "[ipvs] {name} = {value} has no effect: {instead}")
    }
}

impl Ipvs {
    /// Every setting that has a value, as it is written.
    pub(super) fn values(&self) -> BTreeMap<String, String> {
        let table = toml::Table::try_from(self).unwrap_or_default();
        let values = table.into_iter();
        values
            .map(|(name, value)| (name, value.to_string()))
            .collect()
    }

    /// How packets are treated.
    pub(super) fn behaviour(&self) -> Behaviour {
        Behaviour {
            flags: self.flags(),
            locality_expirations: [self.lblc_expiration.0, self.lblcr_expiration.0]
                .map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
            backup_only: self.backup_only.is_on(),
            defence: Defence {
                drop_entry: self.drop_entry.when(),
                drop_packet: self.drop_packet.when(),
                secure_tcp: self.secure_tcp.when(),
                least_free_pages: self.amemthresh.0.unsigned_abs(),
                drop_rate: self.am_droprate.0.try_into().unwrap_or(u32::MAX),
            },
        }
    }

    fn flags(&self) -> u32 {
        let reuse = self.conn_reuse_mode.0;
        [
            (
                self.expire_nodest_conn.is_on(),
                behaviour::EXPIRE_NODEST_CONN,
            ),
            (
                self.expire_quiescent_template.is_on(),
                behaviour::EXPIRE_QUIESCENT_TEMPLATE,
            ),
            (self.sloppy_tcp.is_on(), behaviour::SLOPPY_TCP),
            (self.sloppy_sctp.is_on(), behaviour::SLOPPY_SCTP),
            (reuse != 0, behaviour::REUSE_ENDED),
            (reuse & 2 != 0, behaviour::REUSE_FIN_WAIT),
            (!self.pmtu_disc.is_on(), behaviour::NO_PMTU_DISC),
            (self.nat_icmp_send.is_on(), behaviour::NAT_ICMP_SEND),
            (self.schedule_icmp.is_on(), behaviour::SCHEDULE_ICMP),
        ]
        .into_iter()
        .filter_map(|(is_set, flag)| is_set.then_some(flag))
        .sum()
    }

    /// Settings that were changed without an effect, by name.
    pub(super) fn without_effect(&self) -> Vec<WithoutEffect> {
        const NO_SYNC: &str = "connections are not synchronised yet";
        let SyncPorts(ports) = self.sync_ports;
        let SyncThreshold(threshold) = self.sync_threshold;
        [
            (
                "cache_bypass",
                self.cache_bypass.changed(),
                "a packet for which no real server can be chosen is answered as unreachable",
            ),
            (
                "conntrack",
                self.conntrack.changed(),
                "packets are forwarded in front of netfilter, whose conntrack never sees them",
            ),
            (
                "ignore_tunneled",
                self.ignore_tunneled.changed(),
                "packets in tunnels that arrive are always left to the stack",
            ),
            (
                "run_estimation",
                self.run_estimation.changed(),
                "rates are always estimated, which takes nothing from packets",
            ),
            (
                "snat_reroute",
                self.snat_reroute.changed(),
                "answers are always routed by the addresses with which they leave",
            ),
            (
                "sync_persist_mode",
                self.sync_persist_mode.changed(),
                NO_SYNC,
            ),
            (
                "sync_ports",
                (ports != 1).then(|| ports.to_string()),
                NO_SYNC,
            ),
            (
                "sync_qlen_max",
                self.sync_qlen_max.map(|Number(length)| length.to_string()),
                NO_SYNC,
            ),
            (
                "sync_refresh_period",
                self.sync_refresh_period.changed(),
                NO_SYNC,
            ),
            ("sync_retries", self.sync_retries.changed(), NO_SYNC),
            ("sync_sock_size", self.sync_sock_size.changed(), NO_SYNC),
            (
                "sync_threshold",
                (threshold != [3, 50]).then(|| format!("\"{} {}\"", threshold[0], threshold[1])),
                NO_SYNC,
            ),
            ("sync_version", self.sync_version.changed(), NO_SYNC),
        ]
        .into_iter()
        .filter_map(|(name, value, instead)| {
            value.map(|value| WithoutEffect {
                name,
                value,
                instead,
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every setting of `/proc/sys/net/ipv4/vs` on Linux 6.1, with what it says there.
    const OF_THE_KERNEL: &str = "am_droprate = 10\namemthresh = 1024\nbackup_only = 0\n\
        cache_bypass = 0\nconn_reuse_mode = 1\nconntrack = 0\ndrop_entry = 0\ndrop_packet = 0\n\
        expire_nodest_conn = 0\nexpire_quiescent_template = 0\nignore_tunneled = 0\n\
        lblc_expiration = 86400\nlblcr_expiration = 86400\nnat_icmp_send = 0\npmtu_disc = 1\n\
        run_estimation = 1\nschedule_icmp = 0\nsecure_tcp = 0\nsloppy_sctp = 0\nsloppy_tcp = 0\n\
        snat_reroute = 1\nsync_persist_mode = 0\nsync_ports = 1\nsync_refresh_period = 0\n\
        sync_retries = 0\nsync_sock_size = 0\nsync_threshold = \"3 50\"\nsync_version = 1\n";

    #[test]
    fn every_setting_of_the_kernel_has_its_default() {
        let read: Ipvs = toml::from_str(OF_THE_KERNEL).unwrap();
        assert_eq!(read, Ipvs::default());
        assert_eq!(read.without_effect(), []);
        let values = read.values().into_iter();
        let lines: String = values
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        assert_eq!(lines, OF_THE_KERNEL);
    }

    #[test]
    fn a_change_without_effect_is_named() {
        let acted_on = [
            "am_droprate",
            "amemthresh",
            "backup_only",
            "conn_reuse_mode",
            "drop_entry",
            "drop_packet",
            "expire_nodest_conn",
            "expire_quiescent_template",
            "lblc_expiration",
            "lblcr_expiration",
            "nat_icmp_send",
            "pmtu_disc",
            "schedule_icmp",
            "secure_tcp",
            "sloppy_sctp",
            "sloppy_tcp",
        ];
        let queue = "sync_qlen_max = 2";
        for line in OF_THE_KERNEL.lines().chain([queue]) {
            let (name, value) = line.split_once(" = ").unwrap();
            let changed = match value {
                "0" => "1",
                "\"3 50\"" => "\"0 10\"",
                "1" if name == "sync_ports" => "8",
                "1" => "0",
                _ => "7",
            };
            let read: Ipvs = toml::from_str(&format!("{name} = {changed}")).unwrap();
            let said: Vec<String> = (read.without_effect().iter())
                .map(WithoutEffect::to_string)
                .collect();
            if acted_on.contains(&name) {
                assert_eq!(said, [""; 0], "{name}");
                assert_ne!(read.behaviour(), Ipvs::default().behaviour(), "{name}");
            } else {
                let expected = format!("[ipvs] {name} = {changed} has no effect: ");
                assert_eq!(said.len(), 1, "{name}");
                assert!(said[0].starts_with(&expected), "{}", said[0]);
            }
        }
    }

    #[test]
    fn values_that_the_kernel_refuses_are_refused() {
        for (text, expected) in [
            ("drop_entry = 4", "4 is not from 0 to 3"),
            ("backup_only = 2", "2 is neither 0 (off) nor 1 (on)"),
            ("sync_ports = 3", "3 is no power of two"),
            ("sync_threshold = \"3\"", "`3` is not PACKETS PERIOD"),
            ("sync_threshold = \"50 3\"", "`50 3` is not PACKETS PERIOD"),
            ("am_droprate = -1", "-1 is not from 0 to"),
        ] {
            let error = toml::from_str::<Ipvs>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
