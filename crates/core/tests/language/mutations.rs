//! Files that were damaged: everything has an answer, and soon.

use super::*;

/// Marsaglia's xorshift, so that a failure comes again with its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

/// Pieces that mean something to the language.
const PIECES: &[&str] = &[
    "{",
    "}",
    "\n",
    "\"",
    "\\\n",
    "#",
    "!",
    "$A=",
    "$A",
    "${A}",
    "$B=$A $A\n",
    "~SEQ(A, 1, 99) ",
    "~LST(A, 1, 2) ",
    "@one ",
    "@^one ",
    "include keepalived.conf\n",
    "include *\n",
    "\0",
    "\u{fffd}",
    "virtual_server group G ",
    "192.0.2.1-255",
    "::/1",
    "fwmark 4294967295",
    "99999999999999999999",
    "0.0000001",
    "-1",
    "\\#",
    "${_RANDOM 1 9}",
    "real_server ",
    "é",
    "\u{feff}",
    "①{A}",
    "auth_pass ${A}b ",
    "$A=x y\\\n",
];

fn damage(text: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(40)).min(text.len());
        match random.below(5) {
            0 => {
                text.drain(at..end);
            }
            1 => {
                let part = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, part);
            }
            2 => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                text.splice(at..at, piece);
            }
            3 => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            _ => text.truncate(at.max(text.len() / 2)),
        }
    }
}

#[test]
fn a_damaged_file_has_an_answer() {
    let files = corpus::files();
    for seed in 1..=1500u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut text = files[random.below(files.len())].1.clone().into_bytes();
        damage(&mut text, &mut random);
        let loaded = loaded_bytes(&text);
        // A diagnostic that cannot be shown is none.
        for diagnostic in loaded.diagnostics.iter().take(3) {
            elver_core::config::render(diagnostic, false);
        }
        let runs = loaded.configuration.is_some();
        let errors = loaded
            .diagnostics
            .iter()
            .any(|each| each.severity == elver_core::config::Severity::Error);
        assert_ne!(
            runs,
            errors,
            "seed {seed}: {}",
            String::from_utf8_lossy(&text)
        );
    }
}

/// Every diagnostic as a terminal shows it.
fn shown(text: &str) -> String {
    let diagnostics = loaded(text).diagnostics;
    let shown = diagnostics.iter();
    shown
        .map(|diagnostic| elver_core::config::render(diagnostic, false) + "\n")
        .collect()
}

/// Underlining the first octet of a letter that has several.
#[test]
fn a_line_that_is_too_long_may_begin_with_any_letter() {
    for first in ["é", "\u{feff}", "①"] {
        let shown = shown(&format!("{first}{}\n", "x".repeat(20_000)));
        assert!(shown.contains("this line is too long"), "{shown}");
        let shown = self::shown(&format!("$A=$A $A $A {first}\n{first} $A\n"));
        assert!(shown.contains("this line is too long"), "{shown}");
    }
}

/// The words of one definition are all written where it is referred to, and so overlap.
#[test]
fn a_secret_of_several_words_from_a_definition_is_hidden_once() {
    let text = "$A=x y\nvrrp_instance V {\nauthentication {\nauth_pass ${A}z extra\n}\n}\n";
    let shown = shown(text);
    assert!(shown.contains("auth_pass <redacted>"), "{shown}");
    assert!(!shown.contains("${A}z"), "{shown}");
}

/// What each of these would do without a bound: a hundred million files, an hour of
/// definitions that refer to each other, a billion lines, a stack of blocks.
#[test]
fn what_multiplies_comes_to_an_end() {
    let layers = (1..8).map(|layer| {
        let text = format!("include {}.conf\n", layer + 1).repeat(100);
        (format!("{layer}.conf"), text.into_bytes())
    });
    let mut files: BTreeMap<String, Vec<u8>> = layers.collect();
    files.insert("8.conf".to_owned(), b"x\n".to_vec());
    let loaded = load(&Memory(files), "1.conf");
    assert_eq!(loaded.configuration, None);
    let words = summary(&loaded);
    assert!(words.contains("more than 10000 files"), "{words}");

    for (text, expected) in [
        (
            "$A=${B} ${B}\n$B=${A} ${A}\n${A}\n".repeat(1000),
            "the definitions take too long to put in",
        ),
        (
            "~SEQ(A, 1, 999999999) ~SEQ(B, 1, 99999999) x $A $B\n".to_owned(),
            "make more than 1000000 lines",
        ),
        (
            "vrrp_instance A {\n".to_owned() + &"x {\n".repeat(100_000),
            "a block is `keyword arguments {`",
        ),
        (
            format!("{}\n", "x ".repeat(1_000_000)),
            "this line is too long",
        ),
        ("include keepalived.conf\n".to_owned(), "includes itself"),
    ] {
        let loaded = self::loaded(&text);
        let start: String = text.chars().take(40).collect();
        assert_eq!(loaded.configuration, None, "{start}");
        let words = summary(&loaded);
        let few: String = words.chars().take(2000).collect();
        assert!(words.contains(expected), "{start}: {few}");
    }
}
