//! What a restored database holds beside its rows, as one digest for each thing, and whether it still does.

use std::collections::BTreeMap;

use postgres::Client;

use super::Comparison;
use crate::{
    digest::Sha256Digest,
    finding::{Finding, FindingKind},
    pg::{
        PgError,
        catalog::{self, SequenceState},
        large::{self, LargeObject},
    },
};

const SEQUENCE: &str = "sequence value";
const LARGE_OBJECT: &str = "large object";

/// Class and name of each thing, with the digest of what it is.
pub type State = BTreeMap<(String, String), Sha256Digest>;

/// Reads a database's sequences and catalog; its large objects too, unless they were read a moment ago.
pub fn state_of(client: &mut Client, large_objects: Option<&[LargeObject]>) -> Result<State, PgError> {
    let mut state = State::new();
    for (object, definition) in catalog::definitions(client)? {
        state.insert((object.class, object.name), Sha256Digest::of(definition));
    }
    for SequenceState { name, last_value, is_called } in catalog::sequences(client)? {
        let stands = Sha256Digest::of(format!("{last_value} {is_called}"));
        state.insert((SEQUENCE.to_owned(), name.to_string()), stands);
    }
    let read = match large_objects {
        Some(objects) => objects.to_vec(),
        None => {
            let numbers = large::list(client)?;
            numbers.into_iter().map(|oid| large::read(client, oid, |_, _| Ok(()))).collect::<Result<_, _>>()?
        }
    };
    state.extend(read.into_iter().map(|object| ((LARGE_OBJECT.to_owned(), object.oid.to_string()), object.sha256)));
    Ok(state)
}

/// Compares what a database holds with what it held when it was proven, both ways.
pub fn compare_state(asset: &str, proven: &State, found: &State) -> Vec<Comparison> {
    let kinds = |class: &str| match class {
        SEQUENCE => ("sequences", FindingKind::SequenceValue, FindingKind::SequenceValue),
        LARGE_OBJECT => ("large objects", FindingKind::LargeObject, FindingKind::LargeObject),
        _ => ("catalog", FindingKind::CatalogMissing, FindingKind::CatalogDiffers),
    };
    let mut comparisons = ["sequences", "large objects", "catalog"].map(Comparison::new);
    let place = |name: &str| ["sequences", "large objects", "catalog"].iter().position(|one| *one == name);
    for ((class, name), digest) in proven {
        let (check, missing, differs) = kinds(class);
        let finding = |kind, detail: &str| Some(Finding::of(asset, kind, format!("{class} {name}"), detail));
        let difference = match found.get(&(class.clone(), name.clone())) {
            None => finding(missing, "it was there when it was proven"),
            Some(now) if now != digest => finding(differs, "it is not what it was when it was proven"),
            Some(_) => None,
        };
        if let Some(place) = place(check) {
            comparisons[place].compared(difference);
        }
    }
    for (class, name) in found.keys().filter(|thing| !proven.contains_key(*thing)) {
        let detail = "it was not there when the database was proven";
        let new = Finding::of(asset, FindingKind::CatalogUnexpected, format!("{class} {name}"), detail);
        if let Some(place) = place(kinds(class).0) {
            comparisons[place].findings.push(new);
        }
    }
    comparisons.into_iter().filter(|one| one.check.expected > 0 || !one.findings.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_came_or_went_is_named() {
        let state = |things: &[(&str, &str, &str)]| -> State {
            let thing = |(class, name, what): &(&str, &str, &str)| {
                ((class.to_string(), name.to_string()), Sha256Digest::of(what))
            };
            things.iter().map(thing).collect()
        };
        let proven =
            state(&[("index", "a", "1"), ("index", "b", "1"), (SEQUENCE, "s", "1 t"), (LARGE_OBJECT, "7", "x")]);
        let found =
            state(&[("index", "a", "2"), ("index", "c", "1"), (SEQUENCE, "s", "2 t"), (LARGE_OBJECT, "7", "x")]);
        let findings: Vec<_> = compare_state("asset", &proven, &found)
            .into_iter()
            .flat_map(|comparison| comparison.findings)
            .map(|finding| (finding.kind, finding.subject))
            .collect();
        let expected = [
            (FindingKind::SequenceValue, "sequence value s"),
            (FindingKind::CatalogDiffers, "index a"),
            (FindingKind::CatalogMissing, "index b"),
            (FindingKind::CatalogUnexpected, "index c"),
        ];
        assert_eq!(findings, expected.map(|(kind, subject)| (kind, subject.to_owned())));
    }
}
