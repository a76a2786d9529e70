//! What the document's fields are made of: [`Checked`] may fail on its own, so that one mistake never hides the next;
//! [`Written`] takes any scalar.
//!
//! Leaves out the recording of the failure: the decoder does that when it returns a `Checked`. Serde's own traits
//! have neither places nor a second attempt, so the two sides agree on a newtype name and on a sequence of four.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::problem::{Located, Place, Problem, Problems};

/// The newtype name by which the decoder detects a request for a place: line, column, path, value.
pub(super) const MARKER: &str = "__walkaway_checked";

/// A field of the document, wherever decoding it led.
#[derive(Debug, Clone, Default)]
pub(super) enum Checked<T> {
    /// The key is not there. Whether that is an error is decided by the reader of the field.
    #[default]
    Missing,
    /// A value exists and is wrong; the problem is recorded.
    Bad,
    Good(Located<T>),
}

/// A list, of which each item may fail on its own, too.
pub(super) type List<T> = Checked<Vec<Checked<T>>>;

impl<T> Checked<T> {
    /// The value, if there is a good one.
    pub(super) fn optional(&self) -> Option<&Located<T>> {
        match self {
            Self::Good(located) => Some(located),
            Self::Missing | Self::Bad => None,
        }
    }

    /// The value of a key that must be there; records a problem at `parent` when it is not.
    pub(super) fn required(&self, name: &str, parent: &Place, problems: &Problems) -> Option<&Located<T>> {
        if matches!(self, Self::Missing) {
            problems.add(Problem::at(parent, format!("the key `{name}` is missing")));
        }
        self.optional()
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Requesting an option turns serde's "missing field" error into a value.
        deserializer.deserialize_option(CheckedVisitor(PhantomData))
    }
}

struct CheckedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for CheckedVisitor<T> {
    type Value = Checked<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its place")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Checked::Missing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_newtype_struct(MARKER, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let place = Place {
            line: access.next_element()?.unwrap_or_default(),
            column: access.next_element()?.unwrap_or_default(),
            path: access.next_element()?.unwrap_or_default(),
        };
        Ok(match access.next_element()? {
            Some(value) => Checked::Good(Located { value, place }),
            None => Checked::Bad,
        })
    }
}

/// The schema has no places: it is the schema of the value.
impl<T: JsonSchema> JsonSchema for Checked<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A scalar as written, also when YAML parses it as a number.
///
/// For quantities and dates, where a forgotten unit should be called that and not a wrong type.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Written(pub String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl Visitor<'_> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written(text.to_owned()))
    }
}
