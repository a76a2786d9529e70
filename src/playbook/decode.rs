//! A serde deserializer over the node tree that collects problems instead of stopping at the first.
//!
//! Unknown keys are recorded and skipped; a [`Checked`] field that cannot be decoded records its problem and becomes
//! `Bad`. Types are never converted: text is not a number and a number is not text.
//! Leaves out which values are valid (`validate`) and which keys are required (the reader of the field).

use std::fmt;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::checked::{Checked, MARKER};
use super::problem::{Problem, Problems, key_path, shown};
use super::scalar::Kind;
use super::suggest::{allowed, nearest_or_allowed};
use super::tree::{Entry, Node, Value};

/// Decodes the tree; everything wrong with it ends up in `problems`.
pub(super) fn decode<'de, T: Deserialize<'de>>(root: &'de Node, problems: &'de Problems) -> Checked<T> {
    let decoder = Decoder::new(root, String::new(), problems);
    Checked::deserialize(decoder).unwrap_or_else(|fault| {
        fault.record(root, "", problems);
        Checked::Bad
    })
}

/// Why a node could not be decoded; the nearest `Checked` around it knows its place.
#[derive(Debug)]
enum Fault {
    /// Already among the problems.
    Known,
    New {
        message: String,
        hint: Option<String>,
    },
}

impl Fault {
    fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        Self::New { message: message.into(), hint }
    }

    fn record(self, node: &Node, path: &str, problems: &Problems) {
        if let Self::New { message, hint } = self {
            let problem = Problem::at(&node.mark.place(path), message);
            problems.add(Problem { hint, ..problem });
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("already reported"),
            Self::New { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("`{}` is not allowed here", shown(variant));
        Self::new(message, Some(allowed("allowed values", expected)))
    }
}

/// One node being decoded into a Rust value.
struct Decoder<'a> {
    node: &'a Node,
    path: String,
    problems: &'a Problems,
}

impl<'a> Decoder<'a> {
    fn new(node: &'a Node, path: String, problems: &'a Problems) -> Self {
        Self { node, path, problems }
    }

    fn mismatch(&self, expected: &str, hint: Option<String>) -> Fault {
        let found = match &self.node.value {
            Value::Refused => return Fault::Known,
            Value::Scalar { kind: Kind::Null, .. } => return no_value(),
            Value::Scalar { text, kind } => scalar_name(text, *kind),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        };
        Fault::new(format!("expected {expected}, found {found}"), hint)
    }

    fn text(&self) -> Result<&'a str, Fault> {
        match &self.node.value {
            Value::Scalar { text, kind: Kind::Text | Kind::Merge } => Ok(text),
            Value::Scalar { text, .. } => Err(self.mismatch("text", Some(format!("quote it: \"{}\"", shown(text))))),
            _ => Err(self.mismatch("text", None)),
        }
    }

    fn integer(&self) -> Result<u64, Fault> {
        match &self.node.value {
            Value::Scalar { text, kind: Kind::Integer } => {
                text.parse().map_err(|_| self.mismatch("a whole number, zero or more, in decimal digits", None))
            }
            Value::Scalar { text, .. } if text.parse::<u64>().is_ok() => {
                Err(self.mismatch("a whole number", Some(format!("take the quotes away: {text}"))))
            }
            _ => Err(self.mismatch("a whole number", None)),
        }
    }

    fn boolean(&self) -> Result<bool, Fault> {
        match &self.node.value {
            Value::Scalar { kind: Kind::Bool(value), .. } => Ok(*value),
            _ => Err(self.mismatch("true or false", Some("write true or false, without quotes".into()))),
        }
    }

    fn entries(&self) -> Result<&'a [Entry], Fault> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            _ => Err(self.mismatch("a mapping (`key: value`)", None)),
        }
    }

    fn items(&self) -> Result<&'a [Node], Fault> {
        match &self.node.value {
            Value::Sequence(items) => Ok(items),
            _ => Err(self.mismatch("a list", Some("write it as [one, two], also when there is one".into()))),
        }
    }

    /// The entries with a known key; the others become problems.
    fn known_entries(&self, fields: &[&str]) -> Result<Vec<&'a Entry>, Fault> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.entries()?.iter().partition(|entry| fields.contains(&entry.key.as_str()));
        for entry in unknown {
            let place = entry.mark.place(key_path(&self.path, &entry.key));
            let hint = nearest_or_allowed("allowed keys", &entry.key, fields);
            self.problems.add(Problem::at(&place, "unknown key").hint(hint));
        }
        Ok(known)
    }
}

fn no_value() -> Fault {
    let hint = "write a value, or remove the key";
    Fault::new("has no value", Some(hint.into()))
}

fn scalar_name(text: &str, kind: Kind) -> String {
    match kind {
        Kind::Null => "nothing".to_owned(),
        Kind::Bool(value) => format!("the boolean {value}"),
        Kind::Integer | Kind::Float => format!("the number {}", shown(text)),
        Kind::Text | Kind::Merge => "text".to_owned(),
    }
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Scalar { text, kind } => match kind {
                Kind::Null => Err(no_value()),
                Kind::Bool(value) => visitor.visit_bool(*value),
                // Numbers are passed as written: a field of any type gets the text.
                Kind::Integer | Kind::Float | Kind::Text | Kind::Merge => visitor.visit_borrowed_str(text),
            },
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
            Value::Refused => Err(Fault::Known),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.integer()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        if name == MARKER {
            return visitor.visit_seq(PlacedValue::new(self));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let items = self.items()?;
        visitor.visit_seq(Items::new(items, self))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let entries = self.entries()?.iter().collect();
        visitor.visit_map(Entries::new(entries, self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries = self.known_entries(fields)?;
        visitor.visit_map(Entries::new(entries, self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Ok(text) = self.text() else {
            return Err(self.mismatch("a word", Some(allowed("allowed values", variants))));
        };
        visitor.visit_enum(StrDeserializer::new(text))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct identifier ignored_any
    }
}

/// What a `Checked` asks for: line, column, path, and the value, which is left out when it is bad.
struct PlacedValue<'a> {
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
    fn new(decoder: Decoder<'de>) -> Self {
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
struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    path: String,
    problems: &'a Problems,
}

impl<'a> Items<'a> {
    fn new(items: &'a [Node], decoder: Decoder<'a>) -> Self {
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
struct Entries<'a> {
    entries: std::vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
    path: String,
    problems: &'a Problems,
}

impl<'a> Entries<'a> {
    fn new(entries: Vec<&'a Entry>, decoder: Decoder<'a>) -> Self {
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
