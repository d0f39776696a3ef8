//! `docs/keywords.md` is written from the tables that the parser uses.

use std::fmt::Write;

use elver_core::config::keyword::{
    Argument, BLOCKS, BlockKind, Body, Keyword, State, keywords, opener,
};
use expect_test::expect_file;

/// Run this with `UPDATE_EXPECT=1` to write the table anew.
#[test]
fn the_table_of_keywords_is_that_of_the_parser() {
    expect_file!["../../../../docs/keywords.md"].assert_eq(&table());
}

#[test]
fn no_keyword_stands_twice_in_a_block() {
    for block in BLOCKS {
        let mut names: Vec<&str> = keywords(*block).iter().map(|each| each.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{block:?}");
    }
}

fn table() -> String {
    let mut text = String::from(
        "# Keywords of keepalived.conf\n\n\
         Every keyword of keepalived from 1.2 to 2.4, and elver's own `check_path`, `passive_check`, `passive_handshake` and `slow_start`, by the block \
         that it\nstands in. This file is written from the tables of the parser by a test, which fails when it is stale: \
         `UPDATE_EXPECT=1 cargo test -p\nelver-core --test language keywords`.\n\n\
         *Acted on*: elver does what it says. *Accepted*: known, and without effect so far; it \
         is named when\na file is read. *Missing*: the same, and what happens instead is said. \
         *Nothing to do*: what it\nis for does not arise in elver. *Dropped*: keepalived does not know it any more, or \
         never did.\n",
    );
    for block in BLOCKS {
        let title = match block {
            BlockKind::Outermost => "Outside of every block".to_owned(),
            block => format!("`{}`", opener(*block)),
        };
        let _ = write!(
            text,
            "\n## {title}\n\n| Keyword | Takes | State |\n|---|---|---|\n"
        );
        for keyword in keywords(*block) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} |",
                keyword.name,
                takes(keyword),
                state(keyword)
            );
        }
    }
    text
}

fn takes(keyword: &Keyword) -> String {
    let arguments = keyword.arguments.iter().map(|argument| match argument {
        Argument::Optional(argument) => format!("[{argument}]"),
        Argument::Rest(words) => format!("`{words}`"),
        argument => argument.to_string(),
    });
    let block = match keyword.body {
        Body::None => None,
        Body::Keywords(_) => Some("a block".to_owned()),
        Body::List => Some("a block of lines".to_owned()),
    };
    let all: Vec<String> = match keyword.state {
        State::Dropped { .. } => Vec::new(),
        _ => arguments.chain(block).collect(),
    };
    // A bar would end the cell.
    all.join(", ").replace('|', "\\|")
}

fn state(keyword: &Keyword) -> String {
    let state = match keyword.state {
        State::ActedOn => "acted on".to_owned(),
        State::NotActedOn => "accepted".to_owned(),
        State::Missing(instead) => format!("missing: {instead}"),
        State::NothingToDo(why) => format!("nothing to do: {why}"),
        State::Dropped { why, instead } => format!("dropped: {why}; {instead}"),
    };
    match keyword.deprecated {
        Some(name) => format!("{state}; old name of {name}"),
        None => state,
    }
}
