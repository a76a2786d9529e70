//! Objects as a listing shows them, page by page.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One object, or one version of an object, as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectEntry {
    /// The key, as UTF-8 text, or a pseudonym for it.
    pub key: String,
    /// The key that the provider knows, where `key` is a pseudonym. It never gets into a record.
    pub address: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// Version to read, where the listing names one.
    pub version_id: Option<String>,
    /// Where it stands among the versions of its key, in a listing of all versions.
    pub version: Option<VersionMark>,
    /// RFC 3339.
    pub last_modified: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
    /// A digest of the key as the listing writes it: two spellings that are read as one key may be two keys.
    pub spelling: u32,
    /// What an earlier answer about it said, so that all that is read of it belongs to one state.
    pub pin: Pin,
}

/// What an answer says about the state of an object, where the listing does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// The version that was read.
    pub version_id: Option<String>,
    /// The time of the last change, as the answer writes it.
    pub last_modified: Option<String>,
    /// A server that unpacks what is stored packed is asked not to.
    pub packed: bool,
}

impl ObjectEntry {
    /// The same entry, held to the state that an answer was about.
    #[must_use]
    pub fn pinned(&self, pin: Pin) -> Self {
        ObjectEntry { pin, ..self.clone() }
    }

    /// Whether this is a delete marker, which has no bytes.
    pub fn is_delete_marker(&self) -> bool {
        self.version.is_some_and(|mark| mark.delete_marker)
    }

    /// Whether this is a version that another one has replaced.
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
    /// Entries that cannot be taken as they stand.
    pub odd: Vec<OddEntry>,
    /// Where the next page begins; none on the last page.
    pub next: Option<String>,
    /// The name of that place, if `next` holds more than it.
    pub place: Option<String>,
    /// When it was answered, by the provider's own clock.
    pub answered: Option<Timestamp>,
}

/// An entry of a listing that cannot be taken as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddEntry {
    /// Its key as listed, or a pseudonym for it.
    pub key: String,
    /// What is odd about it.
    pub odd: Odd,
}

/// What is odd about an entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// It names nothing that could be asked for; why, without its key.
    Unreadable(String),
    /// Its key does not begin with the prefix that was asked for.
    Foreign,
    /// It is carried, and when it was last modified is not known.
    Undated,
}

/// Where a version stands among those of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct VersionMark {
    /// 0 for the newest, as listed when it was carried.
    pub order: u64,
    /// Whether a plain GET answers with this one.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_marker: bool,
}
