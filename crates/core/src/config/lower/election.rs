//! Settings of VRRP that an instance takes from `global_defs` where it is silent.

use std::time::Duration;

use crate::config::directive::{Context, Directive};
use crate::config::model::Announcements;

/// The settings as one level has them. In `global_defs` each has `vrrp_` before its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Election {
    garp_master_delay: Option<Duration>,
    garp_master_repeat: Option<u32>,
    garp_master_refresh: Option<Duration>,
    garp_master_refresh_repeat: Option<u32>,
    garp_lower_prio_delay: Option<Duration>,
    garp_lower_prio_repeat: Option<u32>,
    /// The time, and whether it is for all interfaces.
    garp_extra_if: Option<(Duration, bool)>,
    min_garp: Option<bool>,
    down_timer_adverts: Option<u32>,
    lower_prio_no_advert: Option<bool>,
    higher_prio_send_advert: Option<bool>,
    skip_check_adv_addr: Option<bool>,
    check_unicast_src: Option<bool>,
    v3_checksum_as_v2: Option<bool>,
    owner_ignore_adverts: Option<bool>,
    strict_mode: Option<bool>,
}

impl Election {
    /// Whether the directive was one of these settings, and is taken in.
    pub(super) fn take(&mut self, context: &mut Context<'_>, directive: &Directive<'_>) -> bool {
        let name = directive.keyword.name;
        let number = || directive.number().and_then(|n| u32::try_from(n).ok());
        let boolean = || Some(directive.boolean());
        match name.strip_prefix("vrrp_").unwrap_or(name) {
            "garp_master_delay" => self.garp_master_delay = directive.time(),
            "garp_master_repeat" => self.garp_master_repeat = number(),
            "garp_master_refresh" => self.garp_master_refresh = directive.time(),
            "garp_master_refresh_repeat" => self.garp_master_refresh_repeat = number(),
            "garp_lower_prio_delay" => self.garp_lower_prio_delay = directive.time(),
            "garp_lower_prio_repeat" => self.garp_lower_prio_repeat = number(),
            "garp_extra_if" | "vmac_garp_intvl" => self.garp_extra_if = extra(context, directive),
            "min_garp" => self.min_garp = boolean(),
            "down_timer_adverts" => self.down_timer_adverts = number(),
            "lower_prio_no_advert" => self.lower_prio_no_advert = boolean(),
            "higher_prio_send_advert" => self.higher_prio_send_advert = boolean(),
            "skip_check_adv_addr" => self.skip_check_adv_addr = boolean(),
            "check_unicast_src" => self.check_unicast_src = boolean(),
            "v3_checksum_as_v2" => self.v3_checksum_as_v2 = boolean(),
            "owner_ignore_adverts" => self.owner_ignore_adverts = boolean(),
            "strict" | "strict_mode" => self.strict_mode = boolean(),
            _ => return false,
        }
        true
    }

    /// What an instance says, or else `global_defs`.
    pub(super) fn or(self, global: &Election) -> Election {
        Election {
            garp_master_delay: self.garp_master_delay.or(global.garp_master_delay),
            garp_master_repeat: self.garp_master_repeat.or(global.garp_master_repeat),
            garp_master_refresh: self.garp_master_refresh.or(global.garp_master_refresh),
            garp_master_refresh_repeat: self
                .garp_master_refresh_repeat
                .or(global.garp_master_refresh_repeat),
            garp_lower_prio_delay: self.garp_lower_prio_delay.or(global.garp_lower_prio_delay),
            garp_lower_prio_repeat: self
                .garp_lower_prio_repeat
                .or(global.garp_lower_prio_repeat),
            garp_extra_if: self.garp_extra_if.or(global.garp_extra_if),
            min_garp: self.min_garp.or(global.min_garp),
            down_timer_adverts: self.down_timer_adverts.or(global.down_timer_adverts),
            lower_prio_no_advert: self.lower_prio_no_advert.or(global.lower_prio_no_advert),
            higher_prio_send_advert: self
                .higher_prio_send_advert
                .or(global.higher_prio_send_advert),
            skip_check_adv_addr: self.skip_check_adv_addr.or(global.skip_check_adv_addr),
            check_unicast_src: self.check_unicast_src.or(global.check_unicast_src),
            v3_checksum_as_v2: self.v3_checksum_as_v2.or(global.v3_checksum_as_v2),
            owner_ignore_adverts: self.owner_ignore_adverts.or(global.owner_ignore_adverts),
            strict_mode: self.strict_mode.or(global.strict_mode),
        }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict_mode.unwrap_or(false)
    }

    /// With what strict mode says instead. Neighbours are not told again after a lower
    /// priority was heard, unless the file asks for that.
    pub(super) fn strictly(self) -> Election {
        Election {
            garp_lower_prio_delay: self.garp_lower_prio_delay.or(Some(Duration::ZERO)),
            garp_lower_prio_repeat: self.garp_lower_prio_repeat.or(Some(0)),
            down_timer_adverts: None,
            lower_prio_no_advert: Some(true),
            higher_prio_send_advert: Some(false),
            ..self
        }
    }

    /// Settings of this level that strict mode overrides, by their keywords.
    pub(super) fn not_strict(&self) -> impl Iterator<Item = &'static str> {
        [
            (
                self.down_timer_adverts.is_some_and(|n| n != 3),
                "down_timer_adverts",
            ),
            (
                self.lower_prio_no_advert == Some(false),
                "lower_prio_no_advert off",
            ),
            (
                self.higher_prio_send_advert == Some(true),
                "higher_prio_send_advert",
            ),
        ]
        .into_iter()
        .filter_map(|(is_set, keyword)| is_set.then_some(keyword))
    }

    /// When neighbours are told where the addresses are.
    pub(super) fn announcements(&self) -> Announcements {
        let least = self.min_garp.unwrap_or(false);
        let usual = Announcements::default();
        let delay =
            self.garp_master_delay
                .unwrap_or(if least { Duration::ZERO } else { usual.delay });
        let repeat = self
            .garp_master_repeat
            .unwrap_or(if least { 1 } else { usual.repeat });
        Announcements {
            delay,
            repeat,
            refresh: self.garp_master_refresh.unwrap_or(usual.refresh),
            refresh_repeat: self
                .garp_master_refresh_repeat
                .unwrap_or(usual.refresh_repeat),
            lower_priority_delay: self.garp_lower_prio_delay.unwrap_or(delay),
            lower_priority_repeat: self.garp_lower_prio_repeat.unwrap_or(repeat),
            elsewhere: self.garp_extra_if.map_or(usual.elsewhere, |(time, _)| time),
            elsewhere_all: self.garp_extra_if.is_some_and(|(_, all)| all),
        }
    }

    pub(super) fn down_timer_advertisements(&self) -> u32 {
        self.down_timer_adverts.unwrap_or(3)
    }

    pub(super) fn answer_lower_priority(&self) -> bool {
        !self.lower_prio_no_advert.unwrap_or(false)
    }

    pub(super) fn advertise_before_yielding(&self) -> bool {
        self.higher_prio_send_advert.unwrap_or(false)
    }

    pub(super) fn trust_known_master(&self) -> bool {
        self.skip_check_adv_addr.unwrap_or(false)
    }

    pub(super) fn sums_message_alone(&self) -> bool {
        self.v3_checksum_as_v2.unwrap_or(false)
    }

    pub(super) fn deaf_as_owner(&self) -> bool {
        self.owner_ignore_adverts.unwrap_or(false)
    }

    /// Whether this level says so.
    pub(super) fn owner_ignores(&self) -> Option<bool> {
        self.owner_ignore_adverts
    }

    pub(super) fn check_unicast_source(&self) -> bool {
        self.check_unicast_src.unwrap_or(false)
    }
}

/// The longest time that `garp_extra_if` takes: a day, in seconds.
const DAY: u32 = 86_400;

/// `[all] SECONDS`.
fn extra(context: &mut Context<'_>, directive: &Directive<'_>) -> Option<(Duration, bool)> {
    let (mut time, mut all) = (None, false);
    for word in directive.rest(0) {
        match (&*word.text, word.text.parse()) {
            ("all", _) => all = true,
            (_, Ok(seconds @ 0..=DAY)) => time = Some(Duration::from_secs(u64::from(seconds))),
            (other, _) => {
                context
                    .report
                    .error(word.span, format!("`{other}` is no time up to a day"))
                    .help("write whole seconds, up to 86400");
                return None;
            }
        }
    }
    if time.is_none() {
        context
            .report
            .error(directive.name().span, "there is no time")
            .help("add it in seconds: a third of the time after which switches forget");
    }
    Some((time?, all))
}
