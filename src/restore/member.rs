//! The headers of one member of an archive: pax records, then the ustar header (POSIX.1-2017, pax).

use jiff::Timestamp;
use tar::{EntryType, Header};

use crate::transfer::object::Arriving;

const BLOCK_BYTES: u64 = 512;
/// The most bytes of a name in a ustar header.
const NAME_BYTES_MAX: usize = 100;
/// Extended attributes with this prefix are supported by GNU tar and libarchive.
const ATTRIBUTE: &str = "SCHILY.xattr.user.walkaway.";

/// Bytes of a member's content padded to its last block.
pub(super) fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// Everything that precedes a member's content.
pub(super) fn headers(arriving: Arriving<'_>) -> Vec<u8> {
    let entry = &arriving.object.entry;
    let place = arriving.object.place.as_str();
    let mut records = Vec::new();
    if place.len() > NAME_BYTES_MAX || !place.is_ascii() {
        record(&mut records, "path", place);
    }
    attribute(&mut records, "key", &entry.key);
    if let Some(version) = &entry.version_id {
        attribute(&mut records, "version_id", version);
    }
    if !arriving.properties.is_empty() {
        attribute(&mut records, "properties", arriving.properties);
    }
    let modified = entry.last_modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let modified_s = modified.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(records.len() + 3 * BLOCK_BYTES as usize);
    bytes.extend_from_slice(ustar("walkaway.pax", EntryType::XHeader, records.len() as u64, 0).as_bytes());
    let filled = padded(records.len() as u64) as usize;
    records.resize(filled, 0);
    bytes.extend(records);
    bytes.extend_from_slice(ustar(place, EntryType::Regular, entry.size, modified_s).as_bytes());
    bytes
}

/// The name is cut where it is too long; the pax record has it whole.
fn ustar(name: &str, kind: EntryType, size: u64, modified_s: u64) -> Header {
    let mut header = Header::new_ustar();
    let name = &name.as_bytes()[..name.len().min(NAME_BYTES_MAX)];
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.name[..name.len()].copy_from_slice(name);
    }
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified_s);
    header.set_cksum();
    header
}

/// JSON, so that no text can break the record.
fn attribute(records: &mut Vec<u8>, name: &str, value: &(impl serde::Serialize + ?Sized)) {
    if let Ok(value) = serde_json::to_string(value) {
        record(records, &format!("{ATTRIBUTE}{name}"), &value);
    }
}

/// `<length> <name>=<value>\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, name: &str, value: &str) {
    let rest = name.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {name}={value}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself() {
        let mut records = Vec::new();
        record(&mut records, "path", "abc");
        assert_eq!(records, b"12 path=abc\n");
        for length in [80, 89, 90, 91, 989, 990] {
            records.clear();
            record(&mut records, "n", &"x".repeat(length));
            let text = String::from_utf8(records.clone()).expect("text");
            assert_eq!(text.split(' ').next().and_then(|number| number.parse().ok()), Some(text.len()));
        }
    }
}
