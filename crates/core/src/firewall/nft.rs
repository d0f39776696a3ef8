//! What `nft -j list ruleset` prints (libnftables-json(5)).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Action, Chain, Condition, Conditions, Network, Rule, Table, network, networks_between,
    protocol_number,
};

/// The hooks that packets for this host meet before IPVS would.
const MET: [&str; 3] = ["ingress", "prerouting", "input"];

/// The family and the name of a table.
type TableName = (String, String);

/// The elements of the named sets of a table.
type Sets = BTreeMap<String, Vec<Value>>;

/// The tables of a printout. `texts` is what `nft -a list ruleset` prints, in which rules are
/// found as their author knows them.
///
/// # Errors
/// It is no such printout; the reason in words.
pub fn tables(json: &str, texts: &str) -> Result<Vec<Table>, String> {
    let printed: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let objects = printed["nftables"]
        .as_array()
        .ok_or("it has no list `nftables`")?;
    let texts = rule_texts(texts);
    let named = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let mut sets: BTreeMap<TableName, Sets> = BTreeMap::new();
    for set in named("set") {
        let elements = set["elem"].as_array().cloned().unwrap_or_default();
        let table = sets.entry(table_name(set)).or_default();
        table.insert(word(set, "name"), elements);
    }
    let mut chains: BTreeMap<TableName, BTreeMap<String, Chain>> = BTreeMap::new();
    for chain in named("chain") {
        let read = Chain {
            is_met: MET.contains(&&*word(chain, "hook")),
            drops: chain["policy"] == "drop",
            rules: Vec::new(),
        };
        let table = chains.entry(table_name(chain)).or_default();
        table.insert(word(chain, "name"), read);
    }
    for rule in named("rule") {
        let table = table_name(rule);
        let handle = rule["handle"].as_u64().unwrap_or_default();
        let text = texts.get(&(table.clone(), handle)).cloned();
        let mut read = Rule {
            text: text.unwrap_or_else(|| format!("the rule with handle {handle}")),
            ..Rule::default()
        };
        let no_sets = Sets::new();
        let sets = sets.get(&table).unwrap_or(&no_sets);
        for statement in rule["expr"].as_array().into_iter().flatten() {
            read_statement(&mut read, statement, sets);
        }
        let chains = chains.entry(table).or_default();
        chains
            .entry(word(rule, "chain"))
            .or_default()
            .rules
            .push(read);
    }
    Ok(chains
        .into_iter()
        .map(|((family, name), chains)| Table {
            name: format!("nft: table {family} {name}"),
            is_ipv4: match &*family {
                "ip" => Some(true),
                "ip6" => Some(false),
                _ => None,
            },
            chains,
        })
        .collect())
}

fn word(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

fn table_name(object: &Value) -> TableName {
    let name = match object.get("table") {
        Some(_) => word(object, "table"),
        None => word(object, "name"),
    };
    (word(object, "family"), name)
}

/// The text of each rule, by its table and handle. Lines end with `# handle N`; that of a
/// table begins with its family and name.
fn rule_texts(printed: &str) -> BTreeMap<(TableName, u64), String> {
    let mut texts = BTreeMap::new();
    let mut table = TableName::default();
    for line in printed.lines() {
        let Some((text, handle)) = line.rsplit_once(" # handle ") else {
            continue;
        };
        let mut words = text.split_whitespace();
        if let (Some("table"), Some(family), Some(name)) =
            (words.next(), words.next(), words.next())
        {
            table = (family.to_owned(), name.to_owned());
        } else if let Ok(handle) = handle.trim().parse() {
            texts.insert((table.clone(), handle), text.trim().to_owned());
        }
    }
    texts
}

fn read_statement(rule: &mut Rule, statement: &Value, sets: &Sets) {
    let Some((name, content)) = statement
        .as_object()
        .and_then(|object| object.iter().next())
    else {
        rule.conditions.more = true;
        return;
    };
    let target = || word(content, "target");
    match &**name {
        "match" => read_match(&mut rule.conditions, content, sets),
        "accept" => rule.actions.push(Action::Accept),
        "drop" | "reject" => rule.actions.push(Action::Drop),
        "return" => rule.actions.push(Action::Return),
        "jump" => rule.actions.push(Action::Jump(target())),
        "goto" => rule.actions.push(Action::Goto(target())),
        "dnat" | "redirect" | "tproxy" => rule.actions.push(Action::Redirect),
        "mangle" if content["key"]["meta"]["key"] == "mark" => {
            rule.actions.push(Action::Mark(mark(&content["value"])));
        }
        // A map of verdicts.
        "vmap" => {
            if content["data"].to_string().contains("\"drop\"") {
                rule.actions.push(Action::Decide);
            }
        }
        // A match or target of iptables in a table of nft's.
        "xt" => match (&*word(content, "type"), &*word(content, "name")) {
            ("target", "REJECT") => rule.actions.push(Action::Drop),
            ("target", "MARK" | "CONNMARK") => rule.actions.push(Action::Mark(None)),
            ("target", "DNAT" | "REDIRECT" | "TPROXY" | "NETMAP") => {
                rule.actions.push(Action::Redirect);
            }
            ("target", _) | ("match", "comment") => {}
            _ => rule.conditions.more = true,
        },
        // These let packets go on, whatever they do.
        "counter" | "log" | "mangle" | "notrack" | "comment" | "set" | "meter" => {}
        _ => rule.conditions.more = true,
    }
}

fn read_match(conditions: &mut Conditions, content: &Value, sets: &Sets) {
    let is_negated = match content["op"].as_str() {
        Some("==" | "in") => false,
        Some("!=") => true,
        _ => {
            conditions.more = true;
            return;
        }
    };
    let (left, right) = (&content["left"], &content["right"]);
    let payload = (
        &*word(&left["payload"], "protocol"),
        &*word(&left["payload"], "field"),
    );
    let is_known = match payload {
        ("ip" | "ip6", "saddr") => add(&mut conditions.sources, is_negated, right, sets, networks),
        ("ip" | "ip6", "daddr") => add(
            &mut conditions.destinations,
            is_negated,
            right,
            sets,
            networks,
        ),
        ("ip", "protocol") | ("ip6", "nexthdr") => add(
            &mut conditions.protocols,
            is_negated,
            right,
            sets,
            protocols,
        ),
        (protocol @ ("tcp" | "udp" | "sctp" | "th"), "dport") => {
            // That of a protocol's port implies the protocol.
            if let Some(number) = protocol_number(protocol) {
                conditions.protocols.push(Condition {
                    any_of: vec![number],
                    is_negated: false,
                });
            }
            add(&mut conditions.ports, is_negated, right, sets, ports)
        }
        _ if left["meta"]["key"] == "l4proto" => add(
            &mut conditions.protocols,
            is_negated,
            right,
            sets,
            protocols,
        ),
        _ => false,
    };
    conditions.more |= !is_known;
}

/// Adds a condition, if all its values are understood.
fn add<T>(
    to: &mut Vec<Condition<T>>,
    is_negated: bool,
    right: &Value,
    sets: &Sets,
    read: fn(&Value) -> Option<Vec<T>>,
) -> bool {
    let values: Option<Vec<Vec<T>>> = elements(right, sets).iter().map(read).collect();
    let Some(values) = values else {
        return false;
    };
    to.push(Condition {
        any_of: values.into_iter().flatten().collect(),
        is_negated,
    });
    true
}

/// The single values of the right side of a match.
fn elements(right: &Value, sets: &Sets) -> Vec<Value> {
    let named = right.as_str().and_then(|text| text.strip_prefix('@'));
    let list = match named {
        Some(name) => sets.get(name),
        None => right.as_array().or_else(|| right["set"].as_array()),
    };
    match list {
        None => vec![right.clone()],
        // An element with a time or a comment has its value inside.
        Some(list) => list
            .iter()
            .map(|element| match element["elem"].get("val") {
                Some(value) => value.clone(),
                None => element.clone(),
            })
            .collect(),
    }
}

fn networks(value: &Value) -> Option<Vec<Network>> {
    if let Some(text) = value.as_str() {
        return Some(vec![network(text)?]);
    }
    if let Some(prefix) = value.get("prefix") {
        let address = word(prefix, "addr");
        return Some(vec![network(&format!("{address}/{}", prefix["len"]))?]);
    }
    let [first, last] = range(value)?;
    let address = |value: &Value| value.as_str()?.parse().ok();
    Some(networks_between(address(first)?, address(last)?))
}

fn protocols(value: &Value) -> Option<Vec<u8>> {
    let number = match value.as_str() {
        Some(text) => protocol_number(text)?,
        None => value.as_u64()?.try_into().ok()?,
    };
    Some(vec![number])
}

fn ports(value: &Value) -> Option<Vec<(u16, u16)>> {
    let port = |value: &Value| value.as_u64()?.try_into().ok();
    match range(value) {
        Some([first, last]) => Some(vec![(port(first)?, port(last)?)]),
        None => port(value).map(|port| vec![(port, port)]),
    }
}

fn range(value: &Value) -> Option<[&Value; 2]> {
    match &value["range"].as_array()?[..] {
        [first, last] => Some([first, last]),
        _ => None,
    }
}

/// The mark that a packet without one gets, if the rule tells it: a number, or one that is
/// put into some bits, `{"|": [{"&": [{"meta": {"key": "mark"}}, MASK]}, MARK]}`.
fn mark(value: &Value) -> Option<u32> {
    let bits = value["|"].as_array().and_then(|sides| sides.last());
    bits.unwrap_or(value).as_u64()?.try_into().ok()
}
