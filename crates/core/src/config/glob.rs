//! File name patterns of `include`: `*`, `?`, `[…]` and `{a,b}`, as glob(7) has them.

/// More alternatives than this are not tried.
const MOST_ALTERNATIVES: usize = 1024;

/// Every path that a pattern stands for, each alternative's matches in alphabetical order.
/// A path that is no pattern stands for itself, whether it exists or not.
pub(crate) fn matches(pattern: &str, list: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut alternatives = Vec::new();
    expand_braces(pattern, &mut alternatives);
    let mut found = Vec::new();
    for alternative in alternatives {
        found.extend(paths(&alternative, list));
    }
    found
}

fn expand_braces(pattern: &str, alternatives: &mut Vec<String>) {
    if alternatives.len() >= MOST_ALTERNATIVES {
        return;
    }
    let bytes = pattern.as_bytes();
    let Some(open) = pattern.find('{') else {
        alternatives.push(pattern.to_owned());
        return;
    };
    let mut depth = 0usize;
    let mut commas = vec![open];
    let mut close = None;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    close = Some(at);
                    break;
                }
            }
            b',' if depth == 1 => commas.push(at),
            _ => {}
        }
    }
    let Some(close) = close else {
        alternatives.push(pattern.to_owned());
        return;
    };
    commas.push(close);
    for bounds in commas.windows(2) {
        let alternative = &pattern[bounds[0] + 1..bounds[1]];
        let whole = format!("{}{alternative}{}", &pattern[..open], &pattern[close + 1..]);
        expand_braces(&whole, alternatives);
    }
}

fn paths(pattern: &str, list: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut found = vec![if pattern.starts_with('/') {
        "/".to_owned()
    } else {
        String::new()
    }];
    for component in pattern.split('/').filter(|c| !c.is_empty()) {
        if component.contains(['*', '?', '[']) {
            found = found
                .iter()
                .flat_map(|directory| {
                    let mut names = list(if directory.is_empty() { "." } else { directory });
                    names.retain(|name| {
                        (!name.starts_with('.') || component.starts_with('.'))
                            && name_matches(component.as_bytes(), name.as_bytes())
                    });
                    names.sort_unstable();
                    names.into_iter().map(|name| join(directory, &name))
                })
                .collect();
        } else {
            for path in &mut found {
                *path = join(path, component);
            }
        }
    }
    found
}

/// A name in a directory; the empty directory is the current one.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() || name.starts_with('/') {
        name.to_owned()
    } else if directory.ends_with('/') {
        format!("{directory}{name}")
    } else {
        format!("{directory}/{name}")
    }
}

/// Whether a name fits a pattern of `*`, `?` and `[…]`, in time proportional to both lengths' product.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match single(&pattern[p..], name[n]) {
            Some(used) => {
                p += used;
                n += 1;
            }
            None if pattern.get(p) == Some(&b'*') => {
                star = Some((p, n));
                p += 1;
            }
            None => match &mut star {
                Some((star_p, star_n)) => {
                    *star_n += 1;
                    p = *star_p + 1;
                    n = *star_n;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How much of the pattern takes this byte; nothing where it does not.
fn single(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'*' => None,
        b'?' => Some(1),
        b'[' => {
            let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
            let first = 1 + usize::from(negated);
            let close = (first + 1..pattern.len()).find(|at| pattern[*at] == b']');
            let Some(close) = close else {
                return (byte == b'[').then_some(1);
            };
            let set = &pattern[first..close];
            let mut inside = false;
            let mut at = 0;
            while at < set.len() {
                if at + 2 < set.len() && set[at + 1] == b'-' {
                    inside |= (set[at]..=set[at + 2]).contains(&byte);
                    at += 3;
                } else {
                    inside |= set[at] == byte;
                    at += 1;
                }
            }
            (inside != negated).then_some(close + 1)
        }
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        other => (other == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Vec<String> {
        let names: &[&str] = match path {
            "/etc/keepalived/conf.d" => &["b.conf", "a.conf", ".hidden.conf", "c.conf.bak"],
            "/etc/keepalived" => &["conf.d", "other"],
            _ => &[],
        };
        names.iter().map(|name| name.to_string()).collect()
    }

    fn found(pattern: &str) -> Vec<String> {
        matches(pattern, &directory)
    }

    #[test]
    fn wildcards_give_names_in_order_without_hidden_ones() {
        assert_eq!(
            found("/etc/keepalived/conf.d/*.conf"),
            [
                "/etc/keepalived/conf.d/a.conf",
                "/etc/keepalived/conf.d/b.conf"
            ]
        );
        assert_eq!(
            found("/etc/keepalived/c*/[ac].conf*"),
            [
                "/etc/keepalived/conf.d/a.conf",
                "/etc/keepalived/conf.d/c.conf.bak"
            ]
        );
        assert_eq!(
            found("/etc/keepalived/conf.d/?[!a]conf"),
            [
                "/etc/keepalived/conf.d/a.conf",
                "/etc/keepalived/conf.d/b.conf"
            ]
        );
    }

    #[test]
    fn braces_give_alternatives_in_their_order() {
        assert_eq!(found("x{b,a{1,2},}"), ["xb", "xa1", "xa2", "x"]);
        assert_eq!(found("{open"), ["{open"]);
        assert_eq!(found("/plain"), ["/plain"]);
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!name_matches(b"*a*a*a*a*a*a*a*a*b", &[b'a'; 4096]));
        assert!(found(&"{a,b}".repeat(40)).len() <= MOST_ALTERNATIVES);
    }
}
