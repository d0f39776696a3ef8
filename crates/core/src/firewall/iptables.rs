//! What `iptables-save` and `ip6tables-save` print (iptables-save(8)).

use std::collections::BTreeMap;

use super::{
    Action, Chain, Condition, Conditions, Rule, Table, network, networks_between, protocol_number,
};

/// The chains that packets for this host meet before IPVS would.
const MET: [&str; 2] = ["PREROUTING", "INPUT"];

/// The tables of a printout; `program` is the one that printed it. Lines that are not
/// understood are passed over.
pub fn tables(program: &str, is_ipv4: bool, text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table {
                name: format!("{program}: table {name}"),
                is_ipv4: Some(is_ipv4),
                chains: BTreeMap::new(),
            });
        }
        let Some(table) = tables.last_mut() else {
            continue;
        };
        if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let name = words.next().unwrap_or_default();
            let drops = words.next() == Some("DROP");
            let chain = Chain {
                is_met: MET.contains(&name),
                drops,
                rules: Vec::new(),
            };
            table.chains.insert(name.to_owned(), chain);
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let (name, rest) = rule.split_once(' ').unwrap_or((rule, ""));
            let chain = table.chains.entry(name.to_owned()).or_default();
            chain.rules.push(read_rule(line, &words(rest)));
        }
    }
    tables
}

/// The words of a line; what is between quotation marks is one, and a backslash takes a
/// character as it is.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            ' ' if !is_quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

fn read_rule(text: &str, words: &[String]) -> Rule {
    let mut rule = Rule {
        text: text.to_owned(),
        ..Rule::default()
    };
    let mut words = words.iter().map(String::as_str);
    let mut is_negated = false;
    // The target's own options come behind it.
    let mut target = None;
    while let Some(word) = words.next() {
        if word == "!" {
            is_negated = true;
            continue;
        }
        let Conditions {
            protocols,
            sources,
            destinations,
            ports,
            more,
        } = &mut rule.conditions;
        match (target, word) {
            (Some("MARK"), "--set-xmark" | "--set-mark") => {
                let value = words.next().and_then(mark);
                rule.actions = vec![Action::Mark(value)];
            }
            (Some(_), _) => {}
            (None, "-j" | "-g") => {
                let name = words.next().unwrap_or_default();
                target = Some(name);
                rule.actions = action(name, word == "-g").into_iter().collect();
            }
            (None, "-p") => add(protocols, is_negated, words.next().and_then(protocol), more),
            (None, "-s") => add(sources, is_negated, words.next().and_then(networks), more),
            (None, "-d") => add(
                destinations,
                is_negated,
                words.next().and_then(networks),
                more,
            ),
            (None, "--src-range") => add(sources, is_negated, words.next().and_then(range), more),
            (None, "--dst-range") => {
                add(destinations, is_negated, words.next().and_then(range), more)
            }
            (None, "--dport" | "--dports") => {
                add(ports, is_negated, words.next().and_then(port_list), more);
            }
            // These only announce others, or say nothing of packets.
            (None, "-m") => {
                let module = words.next().unwrap_or_default();
                *more |= ![
                    "tcp",
                    "udp",
                    "sctp",
                    "multiport",
                    "iprange",
                    "comment",
                    "mark",
                ]
                .contains(&module);
            }
            (None, "--comment" | "-c") => drop(words.next()),
            (None, _) => *more = true,
        }
        is_negated = false;
    }
    rule
}

fn add<T>(to: &mut Vec<Condition<T>>, is_negated: bool, values: Option<Vec<T>>, more: &mut bool) {
    match values {
        Some(any_of) => to.push(Condition { any_of, is_negated }),
        None => *more = true,
    }
}

fn action(target: &str, is_goto: bool) -> Option<Action> {
    match target {
        "ACCEPT" => Some(Action::Accept),
        "DROP" | "REJECT" | "TARPIT" => Some(Action::Drop),
        "RETURN" => Some(Action::Return),
        "MARK" | "CONNMARK" => Some(Action::Mark(None)),
        "DNAT" | "REDIRECT" | "TPROXY" | "NETMAP" => Some(Action::Redirect),
        // The names of the kernel's own targets are in capitals; the rest of them let packets
        // go on.
        other if other.chars().all(|letter| letter.is_ascii_uppercase()) => None,
        other if is_goto => Some(Action::Goto(other.to_owned())),
        other => Some(Action::Jump(other.to_owned())),
    }
}

fn protocol(word: &str) -> Option<Vec<u8>> {
    Some(vec![protocol_number(word)?])
}

fn networks(word: &str) -> Option<Vec<super::Network>> {
    word.split(',').map(network).collect()
}

fn range(word: &str) -> Option<Vec<super::Network>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(networks_between(first.parse().ok()?, last.parse().ok()?))
}

fn port_list(word: &str) -> Option<Vec<(u16, u16)>> {
    let range = |word: &str| {
        let (first, last) = word.split_once(':').unwrap_or((word, word));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    word.split(',').map(range).collect()
}

/// `VALUE/MASK`, of which all of the mask's bits are set: the mark.
fn mark(word: &str) -> Option<u32> {
    let (value, mask) = word.split_once('/').unwrap_or((word, "0xffffffff"));
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = (number(value)?, number(mask)?);
    // Only some of the bits are set: of a packet without a mark the others are 0.
    Some(value & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_quotation_marks_and_backslashes() {
        let line = r#"-m comment --comment "a \"b\" c" -j DROP"#;
        let expected = ["-m", "comment", "--comment", "a \"b\" c", "-j", "DROP"];
        assert_eq!(words(line), expected);
    }

    #[test]
    fn marks_have_masks() {
        assert_eq!(mark("0x5/0xffffffff"), Some(5));
        assert_eq!(mark("7"), Some(7));
        assert_eq!(mark("0x105/0xff"), Some(5));
        assert_eq!(mark("five"), None);
    }
}
