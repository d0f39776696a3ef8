//! `docs/vrrp-clauses.md` and the code say the same about the clauses of VRRP.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where clauses are cited.
const CODE: [&str; 4] = [
    "crates/core/src/vrrp",
    "crates/core/src/config/lower",
    "crates/sys/src",
    "crates/elver/src/vrrp_process",
];

struct Row {
    id: String,
    state: String,
    place: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/vrrp-clauses.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, asked, state, place, _] = cells[..] else {
            return None;
        };
        if !is_id(id) {
            return None;
        }
        assert!(!asked.is_empty() && !place.is_empty(), "{line}");
        Some(Row {
            id: id.to_owned(),
            state: state.to_owned(),
            place: place.to_owned(),
        })
    });
    rows.collect()
}

/// `9568-6.4.2-a`.
fn is_id(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let [rfc, section, letter] = parts[..] else {
        return false;
    };
    ["9568", "3768"].contains(&rfc)
        && section
            .split('.')
            .all(|number| number.parse::<u8>().is_ok())
        && letter.len() == 1
}

fn ids_in(text: &str) -> BTreeSet<String> {
    let of_an_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.split(|c| !of_an_id(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| is_id(word))
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_clause_is_met_where_the_table_says_or_has_a_reason() {
    let rows = rows();
    assert!(rows.len() > 100, "{}", rows.len());
    let mut seen = BTreeSet::new();
    for Row { id, state, place } in &rows {
        assert!(seen.insert(id), "{id} stands there twice");
        match state.as_str() {
            "met" => {
                let code = std::fs::read_to_string(root().join(place));
                let code = code.unwrap_or_else(|error| panic!("{id}: {place}: {error}"));
                assert!(ids_in(&code).contains(id), "{place} does not cite {id}");
            }
            "not met" | "kernel" => assert!(place.contains(' '), "{id}: no reason"),
            other => panic!("{id}: {other}"),
        }
    }
}

#[test]
fn every_clause_that_is_cited_is_in_the_table() {
    let known: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    let mut files = Vec::new();
    for folder in CODE {
        sources(&root().join(folder), &mut files);
    }
    for file in files {
        let cited = ids_in(&std::fs::read_to_string(&file).unwrap());
        let unknown: Vec<_> = cited.difference(&known).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", file.display());
    }
}
