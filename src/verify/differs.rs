//! Where two definitions of a catalog object diverge, as text.
//!
//! Only definitions that consist of names, types and numbers are shown. Code, comments, settings and options can hold
//! anything, including secrets: of those the position is shown, and digests by which they can be found.

use crate::domain::digest::Sha256Digest;

/// Classes whose definitions are shown.
const SHOWN: [&str; 22] = [
    "aggregate",
    "base type",
    "cast",
    "collation",
    "column storage",
    "conversion",
    "default privilege",
    "event trigger",
    "extension",
    "grant",
    "index",
    "membership",
    "operator",
    "operator class",
    "operator family",
    "owner",
    "publication",
    "relation",
    "role",
    "schema",
    "sequence",
    "statistics",
];
/// Classes that are shown unless one of the definitions contains a literal.
const SHOWN_WITHOUT_LITERALS: [&str; 4] = ["column", "constraint", "trigger", "type"];
/// Characters of each definition that are shown, and how many of them before they diverge.
const SHOWN_MAX: usize = 80;
const BEFORE: usize = 24;

/// What differs.
pub(super) fn described(class: &str, source: &str, target: &str) -> String {
    let literals = [source, target].iter().any(|definition| definition.contains('\''));
    if SHOWN.contains(&class) && !(class == "index" && literals) || SHOWN_WITHOUT_LITERALS.contains(&class) && !literals
    {
        return shown(source, target);
    }
    let line = 1 + source.lines().zip(target.lines()).take_while(|(one, other)| one == other).count();
    let lines = source.lines().count().max(target.lines().count());
    let place = if lines > 1 { format!("they part in line {line}; ") } else { String::new() };
    let source = Sha256Digest::of(source);
    let target = Sha256Digest::of(target);
    format!("{place}SHA-256 of its definition is {source} at the source, {target} here")
}

fn shown(source: &str, target: &str) -> String {
    let (source, target): (Vec<char>, Vec<char>) = (source.chars().collect(), target.chars().collect());
    let same = source.iter().zip(&target).take_while(|(one, other)| one == other).count();
    // From the beginning of a word on, with some context before it.
    let word = source[..same].iter().rposition(|c| *c == ' ').map_or(0, |space| space + 1);
    let from = match source.len().max(target.len()) {
        0..=SHOWN_MAX => 0,
        _ => {
            let from = word.saturating_sub(BEFORE);
            source[from..word].iter().position(|c| *c == ' ').map_or(from, |space| from + space + 1)
        }
    };
    format!("{} at the source, {} here", excerpt(&source, from), excerpt(&target, from))
}

fn excerpt(definition: &[char], from: usize) -> String {
    if definition.is_empty() {
        return "nothing".to_owned();
    }
    let rest = &definition[from.min(definition.len())..];
    let text: String = rest.iter().take(SHOWN_MAX).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if rest.len() > SHOWN_MAX { "…" } else { "" };
    format!("“{before}{}{after}”", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_shown_and_code_is_not() {
        let of = |class: &str, source: &str, target: &str| described(class, source, target);
        assert_eq!(of("owner", "app", "walkaway"), "“app” at the source, “walkaway” here");
        assert_eq!(of("grant", "", " with grant option"), "nothing at the source, “with grant option” here");
        let body = |line: &str| format!("CREATE FUNCTION f()\nAS 'begin\n{line}\nend'");
        let told = of("function", &body("secret"), &body("other"));
        assert!(told.starts_with("they part in line 3; SHA-256") && !told.contains("secret"), "{told}");
        assert!(!of("column", "1 text f 'secret'::text", "1 text f").contains("secret"));
        assert_eq!(of("column", "1 integer f", "1 bigint f"), "“1 integer f” at the source, “1 bigint f” here");
    }

    #[test]
    fn a_long_definition_is_shown_where_it_parts() {
        let columns = |last: &str| format!("CREATE INDEX i ON t USING btree ({}{last})", "column_é, ".repeat(20));
        let told = described("index", &columns("a"), &columns("b"));
        assert_eq!(told, "“…column_é, column_é, a)” at the source, “…column_é, column_é, b)” here");
    }
}
