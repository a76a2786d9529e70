//! The result's digests in the journal: one for the whole of it, and one for each asset.
//!
//! A journal can't hold the digest of a file that holds the journal's head, so two members are left out: `journal`, and
//! `ended`, which is the time of the journal's last line. Everything else in `result.json` is bound by that line.
//! Anyone can compute it: `jq -cS 'del(.journal, .ended)' data/result.json`, its line end not counted, gives the bytes.

use std::{collections::BTreeMap, io};

use serde_json::Value;

use crate::domain::digest::Sha256Digest;

/// The members that are left out.
const UNBOUND: [&str; 2] = ["journal", "ended"];

/// SHA-256 of a result's text in canonical form: members sorted by name, no space, without the members that are not bound.
///
/// # Errors
/// When the text is not a JSON object.
pub fn bound_sha256(json: &[u8]) -> io::Result<Sha256Digest> {
    let Value::Object(mut members) = serde_json::from_slice(json)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    UNBOUND.iter().for_each(|name| drop(members.remove(*name)));
    let mut text = String::new();
    canonical(&Value::Object(members), &mut text);
    Ok(Sha256Digest::of(text))
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                canonical(&Value::from(name.as_str()), text);
                text.push(':');
                canonical(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                canonical(item, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

/// The digest that the journal has of each asset, in the result's order: of its entry as in the text, without
/// the white space between tokens. It is computed from the text, so that entries of older versions keep theirs.
pub(crate) fn outcomes(json: &[u8]) -> Vec<Sha256Digest> {
    let text = without_space(json);
    let Some(from) = member(&text, b"\"assets\":[") else { return Vec::new() };
    let mut outcomes = Vec::new();
    let mut depth = 0;
    let mut start = from;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                start = if depth == 0 { at } else { start };
                depth += 1;
            }
            b'}' | b']' if depth == 0 => break,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    outcomes.push(Sha256Digest::of(&text[start..=at]));
                }
            }
            _ => {}
        }
    }
    outcomes
}

/// The offset of the value of a member of the outermost object.
fn member(text: &[u8], name: &[u8]) -> Option<usize> {
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        if depth == 1 && !in_string && text[at..].starts_with(name) {
            return Some(at + name.len());
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    None
}

fn without_space(json: &[u8]) -> Vec<u8> {
    let mut in_string = false;
    let mut escaped = false;
    let kept = json.iter().copied().filter(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b' ' | b'\n' | b'\r' | b'\t' if !in_string => return false,
            _ => {}
        }
        true
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_space_do_not_count_and_everything_else_does() {
        let one =
            bound_sha256(br#"{"b": [1, {"d": "x y", "c": null}], "a": 2, "journal": 1, "ended": "x"}"#).expect("json");
        assert_eq!(one, Sha256Digest::of(r#"{"a":2,"b":[1,{"c":null,"d":"x y"}]}"#));
        assert!(bound_sha256(b"[]").is_err() && bound_sha256(b"{").is_err());
    }

    #[test]
    fn an_asset_is_bound_as_it_was_written() {
        let json = "{\"x\": {\"assets\": [{}]}, \"y\": \"\\\"assets\\\":[\",\n \"assets\": [ {\"a\": \"} \\\" {\"}, {\"b\": [1, 2]} ]}";
        assert_eq!(outcomes(json.as_bytes()), [r#"{"a":"} \" {"}"#, r#"{"b":[1,2]}"#].map(Sha256Digest::of));
        assert_eq!(outcomes(b"{}"), []);
    }

    #[test]
    fn frozen_assets_are_those_that_their_journals_had() {
        let json = include_bytes!("../../../tests/evidence/frozen/v1/data/result.json");
        let journal = include_str!("../../../tests/evidence/frozen/v1/data/journal.ndjson");
        let outcomes = outcomes(json);
        assert!(outcomes.len() == 2 && outcomes.iter().all(|outcome| journal.contains(&outcome.to_string())));
    }
}
