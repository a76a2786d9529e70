//! Objects as listed, page by page.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One object, or one version of an object, as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectEntry {
    /// The key, as UTF-8 text, or a pseudonym for it.
    pub key: String,
    /// The key that the provider knows, where `key` is a pseudonym. It is never recorded.
    pub address: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// Version to read, where the listing names one.
    pub version_id: Option<String>,
    /// Its position among the versions of its key, in a listing of all versions.
    pub version: Option<VersionMark>,
    /// RFC 3339.
    pub last_modified: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
    /// A digest of the key as the listing writes it: two spellings that are read as one key may be two keys.
    pub spelling: u32,
    /// The state in an earlier answer about it, so that all that is read of it belongs to one state.
    pub pin: Pin,
}

/// The state of an object according to an answer, where the listing lacks it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// The version that was read.
    pub version_id: Option<String>,
    /// The time of the last change, as the answer writes it.
    pub last_modified: Option<String>,
    /// A server that decompresses stored data is asked not to.
    pub packed: bool,
}

impl ObjectEntry {
    /// The same entry, pinned to the state of an answer.
    #[must_use]
    pub fn pinned(&self, pin: Pin) -> Self {
        ObjectEntry { pin, ..self.clone() }
    }

    /// Whether this is a delete marker, which has no bytes.
    pub fn is_delete_marker(&self) -> bool {
        self.version.is_some_and(|mark| mark.delete_marker)
    }

    /// Whether this is a version that has been superseded.
    pub fn is_superseded(&self) -> bool {
        self.version.is_some_and(|mark| !mark.is_latest)
    }
}

/// Whether two entity tags are about the same object: weakness, quotes, and the case of hexadecimal digits aside
/// (RFC 9110, 8.8.3.2, weak comparison).
pub fn same_entity_tag(one: &str, other: &str) -> bool {
    let one = bare(one);
    let other = bare(other);
    let is_hex = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    one == other || is_hex(one) && one.eq_ignore_ascii_case(other)
}

fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Entries in the order of the provider.
    pub entries: Vec<ObjectEntry>,
    /// Entries that cannot be used as they are.
    pub odd: Vec<ProblemEntry>,
    /// Where the next page starts; none on the last page.
    pub next: Option<String>,
    /// The name of that place, if `next` holds more than it.
    pub place: Option<String>,
    /// When it was answered, by the provider's own clock.
    pub answered: Option<Timestamp>,
}

/// An entry of a listing that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemEntry {
    /// Its key as listed, or a pseudonym for it.
    pub key: String,
    /// What is wrong with it.
    pub odd: Odd,
}

/// What is wrong with an entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// It names nothing that could be requested; why, without its key.
    Unreadable(String),
    /// Its key does not begin with the requested prefix.
    Foreign,
    /// It is copied, but its time of last modification is unknown.
    Undated,
}

/// The position of a version among those of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct VersionMark {
    /// 0 for the newest, as listed when it was copied.
    pub order: u64,
    /// Whether a plain GET returns this one.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_marker: bool,
}
