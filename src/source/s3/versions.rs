//! The listing of all versions.
//!
//! An answer has versions and delete markers in one order; the SDK keeps them in two lists. How they were interleaved
//! is read off the answer itself.

use std::collections::HashMap;

use aws_sdk_s3::{
    Client,
    operation::list_object_versions::ListObjectVersionsOutput,
    primitives::{DateTime, DateTimeFormat},
    types::{DeleteMarkerEntry, EncodingType, ObjectVersion},
};

use super::{error, keys, raw::RawAnswer};
use crate::transfer::{
    error::SourceError,
    object::{ListPage, ObjectEntry},
    receipt::VersionMark,
};

/// One page of the versions of a bucket. The token of the next page holds the two markers.
pub async fn page(
    client: &Client,
    bucket: &str,
    prefix: Option<String>,
    from: Option<&str>,
) -> Result<ListPage, SourceError> {
    let what = format!("the listing of the versions of bucket {bucket}");
    let broken = |reason: String| SourceError::Permanent { what: what.clone(), reason };
    let (key, version) = from.map(markers).unwrap_or_default();
    let request = client.list_object_versions().bucket(bucket).encoding_type(EncodingType::Url).set_prefix(prefix);
    let request = request.set_key_marker(key).set_version_id_marker(version);
    let raw = RawAnswer::default();
    let answer = request.customize().interceptor(raw.clone()).send().await.map_err(|error| error::of(&what, error))?;
    let entries = interleaved(&answer, &raw.text()).map_err(broken)?;
    let next = match answer.is_truncated() {
        Some(true) => Some(next_token(&answer).map_err(broken)?),
        _ => None,
    };
    Ok(ListPage { entries, next })
}

/// A version's id has no line end; a key may have one.
fn markers(token: &str) -> (Option<String>, Option<String>) {
    let (version, key) = token.split_once('\n').unwrap_or(("", token));
    (Some(key.to_owned()), Some(version.to_owned()).filter(|version| !version.is_empty()))
}

fn next_token(answer: &ListObjectVersionsOutput) -> Result<String, String> {
    let key = answer.next_key_marker().ok_or("the page is cut off and names no next one")?;
    let key = if is_encoded(answer) { keys::decoded(key)? } else { key.to_owned() };
    Ok(format!("{}\n{key}", answer.next_version_id_marker().unwrap_or_default()))
}

fn is_encoded(answer: &ListObjectVersionsOutput) -> bool {
    answer.encoding_type() == Some(&EncodingType::Url)
}

fn interleaved(answer: &ListObjectVersionsOutput, raw: &str) -> Result<Vec<ObjectEntry>, String> {
    let (mut versions, mut markers) = (answer.versions().iter(), answer.delete_markers().iter());
    let mut entries = Vec::with_capacity(versions.len() + markers.len());
    let encoded = is_encoded(answer);
    for is_marker in order(raw) {
        entries.push(match is_marker {
            false => version(versions.next().ok_or("a version is missing from the page")?, encoded)?,
            true => marker(markers.next().ok_or("a delete marker is missing from the page")?, encoded)?,
        });
    }
    match (versions.next(), markers.next()) {
        (None, None) => Ok(grouped(entries)),
        _ => Err("the order of versions and delete markers is not known".to_owned()),
    }
}

/// A server that lists all versions before all delete markers, or the latest one behind others, says the order by time
/// only. Keys stay in the order in which they first come.
fn grouped(mut entries: Vec<ObjectEntry>) -> Vec<ObjectEntry> {
    let is_latest = |entry: &ObjectEntry| entry.version.is_some_and(|mark| mark.is_latest);
    let mut first = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        first.entry(entry.key.clone()).or_insert(at);
    }
    let pairs = || entries.windows(2).map(|pair| (&pair[0], &pair[1]));
    let runs = pairs().filter(|(one, next)| one.key != next.key).count() + 1;
    let late = pairs().any(|(one, next)| one.key == next.key && is_latest(next));
    if runs > first.len().max(1) || late {
        entries.sort_by(|a, b| {
            let newest_first = || is_latest(b).cmp(&is_latest(a)).then_with(|| b.last_modified.cmp(&a.last_modified));
            first[&a.key].cmp(&first[&b.key]).then_with(newest_first)
        });
    }
    entries
}

/// For each entry of an answer in its order, whether it is a delete marker.
fn order(raw: &str) -> impl Iterator<Item = bool> {
    raw.match_indices('<').filter_map(|(at, _)| match &raw[at + 1..] {
        tag if tag.starts_with("Version>") => Some(false),
        tag if tag.starts_with("DeleteMarker>") => Some(true),
        _ => None,
    })
}

fn version(version: &ObjectVersion, encoded: bool) -> Result<ObjectEntry, String> {
    let key = key(version.key(), encoded)?;
    let size = version.size().and_then(|size| u64::try_from(size).ok());
    Ok(ObjectEntry {
        size: size.ok_or_else(|| format!("the version of {key:?} has no size"))?,
        key,
        address: None,
        etag: version.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
        version_id: version.version_id().map(str::to_owned),
        version: Some(VersionMark { order: 0, is_latest: version.is_latest() == Some(true), delete_marker: false }),
        last_modified: time(version.last_modified()),
        storage_class: version.storage_class().map(|class| class.as_str().to_owned()),
    })
}

fn marker(marker: &DeleteMarkerEntry, encoded: bool) -> Result<ObjectEntry, String> {
    Ok(ObjectEntry {
        key: key(marker.key(), encoded)?,
        version_id: marker.version_id().map(str::to_owned),
        version: Some(VersionMark { order: 0, is_latest: marker.is_latest() == Some(true), delete_marker: true }),
        last_modified: time(marker.last_modified()),
        ..ObjectEntry::default()
    })
}

fn key(listed: Option<&str>, encoded: bool) -> Result<String, String> {
    let listed = listed.ok_or("an entry has no key")?;
    if encoded { keys::decoded(listed) } else { Ok(listed.to_owned()) }
}

fn time(time: Option<&DateTime>) -> Option<String> {
    time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_delete_markers_keep_their_order() {
        let raw = "<ListVersionsResult><Version><Key>a</Key></Version><DeleteMarker><Key>b</Key></DeleteMarker>\
                   <Version><VersionId>2</VersionId></Version></ListVersionsResult>";
        assert_eq!(order(raw).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn versions_that_are_listed_before_all_markers_are_put_in_order() {
        let entry = |key: &str, time: &str, is_latest| ObjectEntry {
            key: key.into(),
            last_modified: Some(time.into()),
            version: Some(VersionMark { order: 0, is_latest, delete_marker: false }),
            ..ObjectEntry::default()
        };
        let listed = vec![entry("a", "1", false), entry("b", "1", true), entry("a", "2", false), entry("a", "3", true)];
        let times: Vec<_> =
            grouped(listed).into_iter().map(|entry| entry.key + &entry.last_modified.unwrap_or_default()).collect();
        assert_eq!(times, ["a3", "a2", "a1", "b1"]);
    }

    #[test]
    fn a_token_holds_both_markers() {
        assert_eq!(markers("v1\na\nb"), (Some("a\nb".into()), Some("v1".into())));
        assert_eq!(markers("\na"), (Some("a".into()), None));
    }
}
