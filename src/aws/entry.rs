//! One object or version of a page. What is wrong with one entry concerns that entry alone.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use super::{encoding::decoded_form, xml::Element};
use crate::{
    domain::digest::Sha256Digest,
    transfer::{
        object::{ListPage, ObjectEntry, Odd, ProblemEntry},
        receipt::VersionMark,
    },
};

/// Amazon S3 accepts at most 10,000 parts of 5 GiB for an object. A larger size is not plausible.
const SIZE_MAX: u64 = 10_000 * (5 << 30);
/// The element of a delete marker.
pub(super) const DELETE_MARKER: &str = "DeleteMarker";
/// The element of a version.
pub(super) const VERSION: &str = "Version";

/// Reads the entries of one page.
pub(super) struct Entries<'a> {
    /// Keys are URL-encoded.
    pub is_encoded: bool,
    /// Every byte of the page was UTF-8.
    pub is_utf8: bool,
    /// The prefix of every key.
    pub prefix: &'a str,
}

impl Entries<'_> {
    /// Adds an entry to the page, or what is wrong with it.
    pub(super) fn add(&self, element: &Element, page: &mut ListPage) {
        let key = || element.all("Key").next().map_or(String::new(), |key| key.text.clone());
        match self.entry(element) {
            Err(reason) => page.odd.push(ProblemEntry { key: key(), odd: Odd::Unreadable(reason) }),
            Ok(entry) if !entry.key.starts_with(self.prefix) => {
                page.odd.push(ProblemEntry { key: entry.key, odd: Odd::Foreign });
            }
            Ok(entry) => {
                if entry.last_modified.is_none() {
                    page.odd.push(ProblemEntry { key: entry.key.clone(), odd: Odd::Undated });
                }
                page.entries.push(entry);
            }
        }
    }

    fn entry(&self, element: &Element) -> Result<ObjectEntry, String> {
        let text =
            |name: &str| Ok::<_, String>(element.text_of(name)?.filter(|text| !text.is_empty()).map(str::to_owned));
        let delete_marker = element.name == DELETE_MARKER;
        let version = match element.name.as_str() {
            VERSION | DELETE_MARKER => {
                let is_latest =
                    flag(element, "IsLatest")?.ok_or("it does not state whether it is the latest version")?;
                Some(VersionMark { order: 0, is_latest, delete_marker })
            }
            _ => None,
        };
        let key = self.key(element)?;
        Ok(ObjectEntry {
            spelling: Sha256Digest::of(element.text_of("Key")?.unwrap_or_default()).short() as u32,
            key,
            address: None,
            size: if delete_marker { 0 } else { size(element)? },
            etag: element.text_of("ETag")?.and_then(entity_tag),
            version_id: if version.is_some() { text("VersionId")? } else { None },
            version,
            last_modified: element.text_of("LastModified")?.and_then(time),
            storage_class: text("StorageClass")?,
            ..ObjectEntry::default()
        })
    }

    fn key(&self, element: &Element) -> Result<String, String> {
        let listed = element.text_of("Key")?.filter(|key| !key.is_empty()).ok_or("it has no key")?;
        if !self.is_utf8 && listed.contains('\u{fffd}') {
            return Err("its key is not UTF-8".to_owned());
        }
        if self.is_encoded {
            decoded_form(listed).ok_or_else(|| "its key is not URL-encoded UTF-8".to_owned())
        } else {
            Ok(listed.to_owned())
        }
    }
}

/// A flag of an element, if it has it (XML Schema Part 2, "boolean").
pub(crate) fn flag(element: &Element, name: &str) -> Result<Option<bool>, String> {
    match element.text_of(name)?.map(str::trim) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(format!("{name} is neither true nor false")),
    }
}

fn size(element: &Element) -> Result<u64, String> {
    let listed = element.text_of("Size")?.ok_or("it has no size")?.trim();
    let size = listed.parse::<u64>().ok().filter(|size| *size <= SIZE_MAX);
    size.ok_or_else(|| "its size is no number of bytes that an object can have".to_owned())
}

/// Without quotes and without the mark of a weak one: the bytes are compared either way.
fn entity_tag(listed: &str) -> Option<String> {
    let tag = listed.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
    Some(tag.to_owned()).filter(|tag| !tag.is_empty())
}

/// RFC 3339, from RFC 3339 or HTTP's date format. A date without a zone is invalid: it could be any of 27
/// hours.
fn time(listed: &str) -> Option<String> {
    let forms = [DateTimeFormat::DateTimeWithOffset, DateTimeFormat::HttpDate];
    let time = forms.into_iter().find_map(|form| DateTime::from_str(listed.trim(), form).ok())?;
    time.fmt(DateTimeFormat::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::xml;

    fn read(entry: &str, is_encoded: bool) -> ListPage {
        let document = xml::parse(entry.as_bytes()).expect("whole");
        let mut page = ListPage::default();
        Entries { is_encoded, is_utf8: true, prefix: "" }.add(&document.root, &mut page);
        page
    }

    fn contents(fields: &str) -> ListPage {
        read(&format!("<Contents><LastModified>2024-05-06T07:08:09Z</LastModified>{fields}</Contents>"), true)
    }

    #[test]
    fn an_entry_that_names_nothing_costs_that_entry() {
        for fields in [
            "<Key></Key><Size>1</Size>",
            "<Size>1</Size>",
            "<Key>a</Key><Key>b</Key><Size>1</Size>",
            "<Key>100%.txt</Key><Size>1</Size>",
            "<Key>z%FF</Key><Size>1</Size>",
            "<Key>a</Key>",
            "<Key>a</Key><Size></Size>",
            "<Key>a</Key><Size>-1</Size>",
            "<Key>a</Key><Size>2.0</Size>",
            "<Key>a</Key><Size>9223372036854775807</Size>",
            "<Key>a</Key><Size>9223372036854775808</Size>",
            "<Key>a</Key><Size>1</Size><Size>2</Size>",
        ] {
            let page = contents(fields);
            assert!(page.entries.is_empty(), "{fields}");
            assert!(matches!(page.odd[..], [ProblemEntry { odd: Odd::Unreadable(_), .. }]), "{fields}");
        }
        let page = contents("<Key>a+%2B</Key><Size> 53687091200000 </Size>");
        assert_eq!((page.entries[0].key.as_str(), page.entries[0].size, page.odd.len()), ("a +", SIZE_MAX, 0));
    }

    #[test]
    fn dates_in_other_forms_cost_the_date_at_most() {
        let dated = |date: &str| {
            let entry = format!("<Contents><Key>a</Key><Size>1</Size><LastModified>{date}</LastModified></Contents>");
            let page = read(&entry, true);
            assert_eq!((page.entries.len(), page.odd.is_empty()), (1, page.entries[0].last_modified.is_some()));
            page.entries.into_iter().next().and_then(|entry| entry.last_modified).unwrap_or_default()
        };
        assert_eq!(dated("2024-08-26T18:20:55.123Z"), "2024-08-26T18:20:55.123Z");
        assert_eq!(dated("2024-08-26T20:20:55+02:00"), "2024-08-26T18:20:55Z");
        // Written to the microsecond.
        assert_eq!(dated("2024-08-26T18:20:55.123456789Z"), "2024-08-26T18:20:55.123456Z");
        assert_eq!(dated("Mon, 26 Aug 2024 18:20:55 GMT"), "2024-08-26T18:20:55Z");
        assert_eq!(dated("1960-02-03T04:05:06.789Z"), "1960-02-03T04:05:06.789Z");
        assert_eq!(dated("9999-12-31T23:59:59Z"), "9999-12-31T23:59:59Z");
        for none in ["", "yesterday", "2024-08-26T18:20:55.123", "1724696455", "0000-00-00T00:00:00Z"] {
            assert_eq!(dated(none), "", "{none}");
        }
    }

    #[test]
    fn entity_tags_are_bare() {
        for (listed, bare) in [("\"ab\"", Some("ab")), ("ab", Some("ab")), ("W/\"ab\"", Some("ab")), ("\"\"", None)] {
            assert_eq!(entity_tag(listed).as_deref(), bare);
        }
    }

    #[test]
    fn a_version_states_whether_it_is_the_latest() {
        let version = |latest: &str| read(&format!("<Version><Key>a</Key><Size>1</Size>{latest}</Version>"), true);
        let mark = |page: ListPage| page.entries[0].version.map(|mark| mark.is_latest);
        assert_eq!(mark(version("<IsLatest>true</IsLatest>")), Some(true));
        assert_eq!(mark(version("<IsLatest>false</IsLatest>")), Some(false));
        assert!(version("").entries.is_empty() && version("<IsLatest>x</IsLatest>").entries.is_empty());
    }
}
