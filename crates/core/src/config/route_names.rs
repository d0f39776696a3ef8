//! The names that the files of iproute2 give to routing tables, protocols and scopes.

use std::collections::BTreeMap;

use super::source::Source;

/// A file of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouteName {
    /// `rt_tables`.
    Table,
    /// `rt_protos`.
    Protocol,
    /// `rt_scopes`.
    Scope,
    /// `rt_realms`.
    Realm,
    /// `rt_dsfield`.
    TrafficClass,
    /// `group`, of interfaces.
    Group,
}

impl RouteName {
    fn file(self) -> &'static str {
        match self {
            RouteName::Table => "rt_tables",
            RouteName::Protocol => "rt_protos",
            RouteName::Scope => "rt_scopes",
            RouteName::Realm => "rt_realms",
            RouteName::TrafficClass => "rt_dsfield",
            RouteName::Group => "group",
        }
    }

    /// The names that everybody knows.
    fn usual(self) -> &'static [(&'static str, u32)] {
        match self {
            RouteName::Table => &[("default", 253), ("main", 254), ("local", 255)],
            RouteName::Protocol => &[
                ("kernel", 2),
                ("boot", 3),
                ("static", 4),
                ("ra", 9),
                ("zebra", 11),
                ("bird", 12),
                ("dhcp", 16),
                ("keepalived", 18),
                ("babel", 42),
                ("bgp", 186),
                ("isis", 187),
                ("ospf", 188),
                ("rip", 189),
                ("eigrp", 192),
            ],
            RouteName::Scope => &[
                ("global", 0),
                ("site", 200),
                ("link", 253),
                ("host", 254),
                ("nowhere", 255),
            ],
            RouteName::Realm => &[("cosmos", 0)],
            RouteName::TrafficClass | RouteName::Group => &[("default", 0)],
        }
    }
}

/// Looks names up in the files of this host, each of which is read once.
#[derive(Debug, Default)]
pub(crate) struct RouteNames {
    /// `iproute_etc_dir`: what the host's administrator has written.
    pub(crate) own: Option<String>,
    /// `iproute_usr_dir`: what has come with iproute2.
    pub(crate) packaged: Option<String>,
    read: BTreeMap<RouteName, BTreeMap<String, u32>>,
}

impl RouteNames {
    /// The number of a name, or of a number in decimals or, behind 0x, hexadecimals.
    pub(crate) fn number(
        &mut self,
        source: &dyn Source,
        kind: RouteName,
        word: &str,
    ) -> Option<u32> {
        let usual = kind.usual().iter().find(|(name, _)| *name == word);
        if let Some(number) = usual.map(|(_, number)| *number).or_else(|| number(word)) {
            return Some(number);
        }
        let (own, packaged) = (&self.own, &self.packaged);
        let names = self
            .read
            .entry(kind)
            .or_insert_with(|| names(source, kind.file(), own.as_deref(), packaged.as_deref()));
        names.get(word).copied()
    }

    /// Other folders count from here on.
    pub(crate) fn forget(&mut self) {
        self.read.clear();
    }
}

/// keepalived-2.2.7 and iproute2 look here.
const OWN: &str = "/etc/iproute2";
const PACKAGED: [&str; 2] = ["/usr/share/iproute2", "/usr/lib/iproute2"];

fn names(
    source: &dyn Source,
    file: &str,
    own: Option<&str>,
    packaged: Option<&str>,
) -> BTreeMap<String, u32> {
    let packaged = packaged.map_or(PACKAGED.to_vec(), |folder| vec![folder]);
    let mut names = BTreeMap::new();
    // What the administrator has written comes last, and holds.
    for folder in packaged.into_iter().chain([own.unwrap_or(OWN)]) {
        let path = format!("{folder}/{file}");
        let more = format!("{path}.d");
        let mut added = source.list(&more);
        added.retain(|name| name.ends_with(".conf"));
        added.sort();
        let added = added.into_iter().map(|name| format!("{more}/{name}"));
        for path in std::iter::once(path).chain(added) {
            // One that is not there has no names.
            let text = source.read(&path).unwrap_or_default();
            names.extend(String::from_utf8_lossy(&text).lines().filter_map(line));
        }
    }
    names
}

/// `NUMBER NAME`; what follows `#` is for people.
fn line(text: &str) -> Option<(String, u32)> {
    let text = text.split('#').next()?;
    let mut words = text.split_whitespace();
    let number = number(words.next()?)?;
    Some((words.next()?.to_owned(), number))
}

/// A number in decimals, or after 0x in hexadecimals.
pub(crate) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host;

    impl Source for Host {
        fn read(&self, path: &str) -> Result<Vec<u8>, String> {
            let text = match path {
                "/usr/share/iproute2/rt_tables" => "100 blue # not that one\n0x65\tred\n",
                "/etc/iproute2/rt_tables" => "# mine\n200 blue\nnonsense\n7\n",
                "/etc/iproute2/rt_tables.d/a.conf" => "300 green\n",
                "/etc/iproute2/rt_tables.d/a.txt" => "301 brown\n",
                "/own/rt_tables" => "400 blue\n",
                other => return Err(format!("no {other}")),
            };
            Ok(text.into())
        }

        fn list(&self, directory: &str) -> Vec<String> {
            match directory {
                "/etc/iproute2/rt_tables.d" => ["a.txt", "a.conf"].map(str::to_owned).to_vec(),
                _ => Vec::new(),
            }
        }
    }

    #[test]
    fn names_are_those_of_the_host() {
        let mut names = RouteNames::default();
        for (word, number) in [
            ("main", Some(254)),
            ("12", Some(12)),
            ("0x10", Some(16)),
            ("blue", Some(200)),
            ("red", Some(101)),
            ("green", Some(300)),
            ("brown", None),
            ("nonsense", None),
        ] {
            assert_eq!(
                names.number(&Host, RouteName::Table, word),
                number,
                "{word}"
            );
        }
        assert_eq!(names.number(&Host, RouteName::Scope, "link"), Some(253));
        assert_eq!(names.number(&Host, RouteName::Protocol, "blue"), None);
        names.own = Some("/own".to_owned());
        names.forget();
        assert_eq!(names.number(&Host, RouteName::Table, "blue"), Some(400));
        assert_eq!(names.number(&Host, RouteName::Table, "green"), None);
    }
}
