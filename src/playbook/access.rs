//! How the decoder returns the content of a node: list items, mapping entries, and a value with its place.
//!
//! Leaves out the choice between them, which is the decoder's.

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer};

use super::decode::{Decoder, Fault};
use super::problem::{Problems, key_path};
use super::yaml::{Entry, Node};

/// What a `Checked` asks for: line, column, path, and the value, which is left out when it is bad.
pub(super) struct PlacedValue<'a> {
    decoder: Option<Decoder<'a>>,
    step: usize,
}

impl<'de> de::SeqAccess<'de> for PlacedValue<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(decoder) = &self.decoder else {
            return Ok(None);
        };
        self.step += 1;
        match self.step {
            1 => seed.deserialize((decoder.node.mark.line as u64).into_deserializer()).map(Some),
            2 => seed.deserialize((decoder.node.mark.column as u64).into_deserializer()).map(Some),
            3 => seed.deserialize(StringDeserializer::new(decoder.path.clone())).map(Some),
            _ => Ok(self.value(seed)),
        }
    }
}

impl<'de> PlacedValue<'de> {
    pub(super) fn new(decoder: Decoder<'de>) -> Self {
        Self { decoder: Some(decoder), step: 0 }
    }

    fn value<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Option<S::Value> {
        let decoder = self.decoder.take()?;
        let node = decoder.node;
        let path = decoder.path.clone();
        let problems = decoder.problems;
        match seed.deserialize(decoder) {
            Ok(value) => Some(value),
            Err(fault) => {
                fault.record(node, &path, problems);
                None
            }
        }
    }
}

/// The items of a list.
pub(super) struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    path: String,
    problems: &'a Problems,
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Node], decoder: Decoder<'a>) -> Self {
        Self { items: items.iter().enumerate(), path: decoder.path, problems: decoder.problems }
    }
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        let path = format!("{}[{index}]", self.path);
        seed.deserialize(Decoder::new(node, path, self.problems)).map(Some)
    }
}

/// The entries of a mapping.
pub(super) struct Entries<'a> {
    entries: std::vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
    path: String,
    problems: &'a Problems,
}

impl<'a> Entries<'a> {
    pub(super) fn new(entries: Vec<&'a Entry>, decoder: Decoder<'a>) -> Self {
        Self { entries: entries.into_iter(), value: None, path: decoder.path, problems: decoder.problems }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.value = self.entries.next();
        match self.value {
            Some(entry) => seed.deserialize(StrDeserializer::new(&entry.key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        // Serde asks for a value only after a key; without one there is nothing new to report.
        let entry = self.value.take().ok_or(Fault::Known)?;
        let path = key_path(&self.path, &entry.key);
        seed.deserialize(Decoder::new(&entry.value, path, self.problems))
    }
}
