//! The manual page elver-keepalived.conf(5): what becomes of the keywords of keepalived.conf.

use roff::{Roff, bold, roman};

use super::keyword::{BLOCKS, BlockKind, Keyword, State, keywords, opener};

/// The page in the format of man(7), of this version of elver. `differences` is the table of
/// `docs/differences.md`.
pub fn manual(version: &str, differences: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", ["ELVER-KEEPALIVED.CONF", "5", "", version, "elver"]);
    page.control("SH", ["NAME"]);
    page.text([roman(
        "elver-keepalived.conf - what elver does with keepalived.conf(5), and what it does \
         otherwise than keepalived and IPVS",
    )]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "elver reads keepalived.conf as keepalived does: keepalived.conf(5) explains the \
         keywords, and `elver check' what is wrong with a file. Below is every keyword that \
         does not have its full effect, by the block that it stands in, and then what differs \
         on purpose. A keyword that is not named here does what keepalived.conf(5) says.",
    )]);
    page.control("SH", ["KEYWORDS"]);
    for block in BLOCKS {
        let mut listed = keywords(*block)
            .iter()
            .filter_map(|keyword| Some((keyword, fate(keyword)?)))
            .peekable();
        if listed.peek().is_some() {
            page.control("SS", [title(*block)]);
        }
        for (keyword, fate) in listed {
            page.control("TP", []);
            page.text([bold(keyword.name)]);
            page.text([roman(fate)]);
        }
    }
    page.control("SH", ["DIFFERENCES ON PURPOSE"]);
    for [what, they, elver, why] in rows(differences) {
        page.control("TP", []);
        page.text([bold(what)]);
        page.text([roman(format!(
            "Elsewhere: {they}. With elver: {elver}. Why: {why}."
        ))]);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(
        "elver(8), elver.toml(5), ipvsadm(8), keepalived.conf(5)",
    )]);
    page.to_roff()
}

fn title(block: BlockKind) -> &'static str {
    match block {
        BlockKind::Outermost => "Outside of every block",
        other => opener(other),
    }
}

/// What becomes of a keyword that does not do all that it says.
fn fate(keyword: &Keyword) -> Option<String> {
    Some(match keyword.state {
        State::ActedOn => return None,
        State::NotActedOn => "Read, without an effect yet.".to_owned(),
        State::Missing(how) => format!("Read, without an effect yet: {how}."),
        State::NothingToDo(why) => format!("Has nothing to change: {why}."),
        State::Dropped { why, instead } => format!("Ignored: {why}. {instead}."),
    })
}

/// The rows of a table in Markdown, without its head.
fn rows(table: &str) -> impl Iterator<Item = [String; 4]> + '_ {
    let rows = table.lines().filter(|line| line.starts_with("| "));
    rows.skip(1).filter_map(|row| {
        let row = row.trim_start_matches("| ").trim_end_matches(" |");
        let cells: Vec<String> = row
            .split(" | ")
            .map(|cell| cell.trim().replace('`', ""))
            .collect();
        cells.try_into().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
| What | They | elver | Why |
|---|---|---|---|
| Stop | goes | `stays` | because |
";

    fn text() -> String {
        manual("elver 0", TABLE)
            .replace("\\fB", "")
            .replace("\\fR", "")
            .replace("\\-", "-")
    }

    #[test]
    fn keywords_without_effect_are_listed_and_no_others() {
        let text = text();
        for keyword in BLOCKS.iter().flat_map(|block| keywords(*block)) {
            let listed = text.contains(&format!(".TP\n{}\n", keyword.name));
            let everywhere = BLOCKS
                .iter()
                .flat_map(|block| keywords(*block))
                .filter(|other| other.name == keyword.name);
            let expected = everywhere.map(fate).any(|fate| fate.is_some());
            assert_eq!(listed, expected, "{}", keyword.name);
        }
    }

    #[test]
    fn the_table_of_differences_is_in_it() {
        let text = text();
        let row = ".TP\nStop\nElsewhere: goes. With elver: stays. Why: because.\n";
        assert!(text.contains(row), "{text}");
        assert!(!text.contains("What"), "{text}");
    }

    #[test]
    fn every_row_of_the_document_has_four_cells() {
        let document = include_str!("../../../../docs/differences.md");
        let lines = document.lines().filter(|line| line.starts_with("| "));
        assert_eq!(rows(document).count(), lines.count() - 1);
    }
}
