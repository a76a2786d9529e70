//! From text to a tree of nodes, each with its line and column.
//!
//! Reads the event stream of the parser inside serde-saphyr instead of its serde interface: only the events tell a
//! tag, an anchor or a second document from the plain value, and all duplicate keys can be named at once.
//! Anchors, aliases, merge keys, tags and directives are refused: a playbook means what it shows.
//! Leaves out what the keys mean (`decode`) and what the values may be (`validate`).

use serde_saphyr::granit_parser::{self, Parser};

use super::problem::{Problem, Problems};
use super::tree::{Builder, Node};

/// The largest playbook that is read, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Reads one YAML document. `None` when no tree could be made; the reason is then among `problems`.
pub(super) fn parse(text: &str, problems: &Problems) -> Option<Node> {
    if text.len() > TEXT_BYTES_MAX {
        problems.add(too_large());
        return None;
    }
    let mut builder = Builder::new(text, problems);
    for step in Parser::new_from_str_with_options(text, options()) {
        match step {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => return builder.syntax(&error),
        }
    }
    builder.finish()
}

/// The problem of a file beyond [`TEXT_BYTES_MAX`].
pub(super) fn too_large() -> Problem {
    Problem::of_file("is larger than 1 MiB, which no playbook needs to be").hint("check that this is the right file")
}

fn options() -> granit_parser::Options {
    granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scalar::Kind;
    use super::super::tree::{Entry, Mark, Value};
    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        let problems = Problems::default();
        parse(text, &problems);
        let found = problems.into_sorted();
        found.iter().map(|problem| problem.to_string()).collect()
    }

    fn entries(text: &str) -> Vec<Entry> {
        let problems = Problems::default();
        let root = parse(text, &problems).unwrap();
        assert!(problems.is_empty(), "{:?}", problems.into_sorted());
        match root.value {
            Value::Mapping(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nodes_know_their_lines_and_columns() {
        let found = entries("a: 1\nbé: [x, {c: \"2\"}]\nd:\n");
        assert_eq!(found[1].mark, Mark { line: 2, column: 1 });
        let Value::Sequence(items) = &found[1].value.value else { panic!() };
        assert_eq!(items[1].mark, Mark { line: 2, column: 9 });
        assert_eq!(found[2].value.mark.line, 3);
    }

    #[test]
    fn quotes_decide_between_text_and_number() {
        let kinds: Vec<Kind> = entries("a: 12\nb: \"12\"\nc: |\n  12\nd: '~'\n")
            .into_iter()
            .filter_map(|entry| match entry.value.value {
                Value::Scalar { kind, .. } => Some(kind),
                _ => None,
            })
            .collect();
        assert_eq!(kinds, [Kind::Integer, Kind::Text, Kind::Text, Kind::Text]);
    }

    #[test]
    fn every_duplicate_is_named() {
        let found = problems_of("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n");
        assert_eq!(found.len(), 3);
        assert!(found[1].starts_with("3:11: b.c: is given twice; the first time on line 3"));
    }

    #[test]
    fn anchors_aliases_merges_and_tags_are_refused_with_their_place() {
        let found = problems_of("a: &x {b: 1}\nc: *x\nd: {<<: *x}\ne: !!str 1\nf: *none\n");
        let places: Vec<&str> = found.iter().filter_map(|p| p.split(": ").next()).collect();
        assert_eq!(places, ["1:4", "2:4", "3:5", "3:9", "4:10", "5:4"]);
        assert!(found[0].contains("a: the anchor `&x`"), "{}", found[0]);
    }

    #[test]
    fn depth_size_documents_and_directives_are_limited() {
        assert!(problems_of(&format!("{}{}", "[".repeat(40), "]".repeat(40)))[0].contains("deeper than 32"));
        assert!(problems_of(&" ".repeat(TEXT_BYTES_MAX + 1))[0].contains("1 MiB"));
        assert!(problems_of("a: 1\n---\nb: 2\n")[0].starts_with("2:1: a second YAML document"));
        assert!(problems_of("%YAML 1.1\n---\na: 1\n")[0].contains("is not YAML"));
        assert!(problems_of("# nothing\n")[0].contains("is empty"));
    }
}
