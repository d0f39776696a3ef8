//! The manual pages: those of elver from its command line, ipvsadm(8) and keepalived(8) from
//! their tables of options, elver-keepalived.conf(5) from the table of keywords; elver.toml(5) is written by
//! hand and held against what is read.

use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::command_line::CommandLine;
use crate::failure::Failure;
use crate::keepalived;

const ELVER_TOML: &str = include_str!("../../../docs/man/elver.toml.5");
const GENHASH: &str = include_str!("../../../docs/man/genhash.1");
const DIFFERENCES: &str = include_str!("../../../docs/differences.md");
const VERSION: &str = concat!("elver ", env!("CARGO_PKG_VERSION"));

/// Writes every page into a folder, each by the name that man(1) looks for.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    for (name, page) in pages() {
        let path = folder.join(name);
        std::fs::write(&path, page).map_err(Failure::system(path.display().to_string()))?;
    }
    Ok(())
}

/// The pages by the names of their files.
fn pages() -> Vec<(String, String)> {
    let mut pages = vec![
        ("ipvsadm.8".to_owned(), elver_core::ipvsadm::manual(VERSION)),
        ("elver.toml.5".to_owned(), ELVER_TOML.to_owned()),
        (
            "elver-keepalived.conf.5".to_owned(),
            elver_core::config::manual(VERSION, DIFFERENCES),
        ),
    ];
    for (other, page) in [
        ("ipvsadm-save.8", "man8/ipvsadm.8"),
        ("ipvsadm-restore.8", "man8/ipvsadm.8"),
        ("keepalived.conf.5", "man5/elver-keepalived.conf.5"),
    ] {
        pages.push((other.to_owned(), format!(".so {page}\n")));
    }
    pages.push(("genhash.1".to_owned(), GENHASH.to_owned()));
    pages.push(("keepalived.8".to_owned(), rendered(keepalived::command())));
    let mut elver = CommandLine::command();
    elver.build();
    add_commands(elver, &mut pages);
    pages
}

/// The page of a command, and those of its subcommands.
fn add_commands(command: clap::Command, pages: &mut Vec<(String, String)>) {
    for subcommand in command.get_subcommands().filter(|each| !each.is_hide_set()) {
        // They take what ipvsadm(8) takes; `help` is a command of clap's own.
        if !subcommand.get_name().starts_with("ipvsadm") && subcommand.get_name() != "help" {
            add_commands(subcommand.clone(), pages);
        }
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let name = format!("{name}.8");
    pages.push((name, rendered(command)));
}

/// The page of a command in section 8.
fn rendered(command: clap::Command) -> String {
    let page = Man::new(command)
        .section("8")
        .source(VERSION)
        .manual("elver")
        .date("");
    let mut text = Vec::new();
    page.render(&mut text).expect("memory takes it");
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::settings::Settings;

    fn page(name: &str) -> String {
        let found = pages().into_iter().find(|(other, _)| other == name);
        let (_, page) = found.unwrap_or_else(|| panic!("no page {name}"));
        page.replace("\\-", "-")
    }

    #[test]
    fn every_command_has_its_page() {
        for (name, word) in [
            ("elver.8", "elver-run(8)"),
            ("elver-run.8", "--settings"),
            ("elver-check.8", "configuration file"),
            ("elver-ctl.8", "elver-ctl-metrics(8)"),
            ("elver-ctl-metrics.8", "Prometheus"),
            ("elver-lab-nat.8", "--once"),
            ("elver-lab.8", "--json"),
            ("ipvsadm-restore.8", "ipvsadm.8"),
            ("keepalived.8", "--dont-fork"),
            ("keepalived.conf.5", "elver-keepalived.conf.5"),
            ("genhash.1", "--use-virtualhost"),
        ] {
            assert!(page(name).contains(word), "{name}: {}", page(name));
        }
        assert!(page("elver.8").contains("Exit codes"));
    }

    /// Between these stands a file that elver.toml(5) shows.
    fn example(page: &str) -> String {
        let (_, rest) = page.split_once(".EX\n").expect("an example");
        let (example, _) = rest.split_once(".EE\n").expect("its end");
        example.to_owned()
    }

    #[test]
    fn the_page_of_elver_toml_shows_a_file_that_is_read() {
        let example = example(&page("elver.toml.5"));
        toml::from_str::<Settings>(&example).expect("it is understood");
    }

    /// What may stand in a table is what serde names when it meets something else.
    #[test]
    fn the_page_of_elver_toml_explains_every_key() {
        let page = page("elver.toml.5");
        for table in [
            "",
            "[tables]",
            "[ipvs]",
            "[access]",
            "[[mark]]\nmark = 1",
            "[access.services.\"fwmark 7\"]",
            "[real-server]",
            "[discovery]",
            "[discovery.docker]",
            "[[discovery.docker.hosts]]\nengine = \"unix:///s\"\naddress = \"192.0.2.7\"",
        ] {
            let error = toml::from_str::<Settings>(&format!("{table}\nnonsense = 1"))
                .expect_err("nonsense")
                .to_string();
            let (_, known) = error.split_once("expected").expect("what may stand there");
            let keys: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            assert!(!keys.is_empty(), "{error}");
            for key in keys {
                assert!(
                    page.contains(&format!("\\fB{key}\\fR"))
                        || page.contains(&format!(".B {key}\n"))
                        || page.contains(&format!(".BR {key} ")),
                    "{table}: {key} is not explained"
                );
            }
        }
    }

    /// The book has the same text as a chapter. Run this with `UPDATE_EXPECT=1` to write it anew.
    #[test]
    fn the_chapter_about_elver_toml_is_its_page() {
        expect_file!["../../../docs/elver-toml.md"].assert_eq(&chapter(ELVER_TOML));
    }

    /// A page as a chapter, as far as elver.toml(5) has macros of man(7).
    fn chapter(page: &str) -> String {
        let mut chapter =
            "# elver.toml\n\nThis is elver.toml(5), which is installed as well.\n".to_owned();
        let (mut is_name, mut is_term, mut indent) = (false, false, "");
        for line in page.lines() {
            let line = line.replace("\\-", "-");
            let (request, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let words: Vec<&str> = rest.split_whitespace().collect();
            let text = match (request, &words[..]) {
                (".TH", _) => continue,
                (".SH", _) => {
                    is_name = rest == "NAME";
                    indent = "";
                    if !is_name {
                        chapter += &format!("\n## {}\n\n", heading(&words));
                    }
                    continue;
                }
                _ if is_name => continue,
                (".PP", _) => {
                    indent = "";
                    "\n".to_owned()
                }
                (".TP", _) => {
                    is_term = true;
                    continue;
                }
                (".EX", _) => "```toml".to_owned(),
                (".EE", _) => "```".to_owned(),
                (".B", _) if is_term => {
                    (is_term, indent) = (false, "  ");
                    chapter += &format!("\n- `{rest}`\\\n");
                    continue;
                }
                (".B", _) => format!("`{rest}`"),
                (".I", _) => format!("`{rest}`"),
                (".BR", [bold, roman]) => format!("`{bold}`{roman}"),
                (".RB", [before, bold @ .., after]) => {
                    format!("{before}`{}`{after}", bold.join(" ").trim_matches('"'))
                }
                (request, _) if request.starts_with('.') => panic!("{request} is new here"),
                _ => line.replace("\\fB", "`").replace("\\fR", "`"),
            };
            chapter += &format!(
                "{}{text}\n",
                if text.trim().is_empty() { "" } else { indent }
            );
        }
        chapter
    }

    /// Words in capitals as a heading of the book has them.
    fn heading(words: &[&str]) -> String {
        let words = words.iter().enumerate().map(|(place, word)| match place {
            _ if *word == "IPVS" => (*word).to_owned(),
            0 => format!("{}{}", &word[..1], word[1..].to_lowercase()),
            _ => word.to_lowercase(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
