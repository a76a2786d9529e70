//! Pages of objects and of versions. Every number, flag, marker and echo by which a page describes itself is compared
//! with its content and with the request: a page that is incomplete or contradicts itself is an error.
//!
//! | stated | compared with |
//! |---|---|
//! | `Name`, `Prefix`, `Delimiter`, `EncodingType` | the request |
//! | `ContinuationToken`, `StartAfter`, `KeyMarker`, `VersionIdMarker` | where the request starts |
//! | `KeyCount`, `MaxKeys` | the number of entries |
//! | `CommonPrefixes` | there are none: no grouping was requested |
//! | `IsTruncated` | `NextContinuationToken`, `NextKeyMarker` |
//!
//! Source: Amazon S3 API reference, `ListObjectsV2` and `ListObjectVersions`, "Response Elements". The order of keys is
//! not checked: several servers list by directory.

use std::collections::HashMap;

use aws_sdk_s3::{Client, operation::list_objects_v2::ListObjectsV2Error, types::EncodingType};

use super::{
    encoding::decoded_form,
    entry::{DELETE_MARKER, Entries, VERSION, flag},
    response::{RawBody, Unread},
    xml::{self, Element},
};
use crate::transfer::object::{ListPage, ObjectEntry};

/// The request.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub bucket: &'a str,
    /// Empty for all keys.
    pub prefix: &'a str,
    /// Where the page starts.
    pub from: &'a PageStart,
}

/// Where a page starts. In [`ListPage::next`] it is text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageStart {
    /// At the first key.
    #[default]
    Beginning,
    /// At the server's token. `behind` is the last key so far, if all of them were in order: should the server
    /// forget its token, the same place is to be found by that.
    Token { token: String, end: End, behind: Option<String> },
    /// After this key.
    After(String),
    /// After this version, or after all versions of the key where none is named.
    Marker { key: String, version: Option<String>, end: End },
}

/// What the previous page stated about the end of the listing, for servers that leave `IsTruncated` out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// That it is not the last one.
    Flagged,
    /// Where the next one starts, without the flag: this server's last page has neither.
    Unflagged,
    /// Nothing. It was the last one if the next is empty.
    Unstated,
}

impl PageStart {
    /// Reads what [`ListPage::next`] holds.
    pub fn parse(token: Option<&str>) -> Self {
        let Some((kind, rest)) = token.and_then(|token| token.split_at_checked(2)) else { return PageStart::Beginning };
        let end = match kind.as_bytes()[1] {
            b'f' => End::Flagged,
            b'u' => End::Unflagged,
            _ => End::Unstated,
        };
        match kind.as_bytes()[0] {
            b'k' => PageStart::After(rest.to_owned()),
            b'v' => {
                // A version's id has no line end; a key may have one.
                let (version, key) = rest.split_once('\n').unwrap_or(("", rest));
                let version = Some(version.to_owned()).filter(|version| !version.is_empty());
                PageStart::Marker { key: key.to_owned(), version, end }
            }
            _ => {
                let lengths = rest.split_once(' ').and_then(|(length, both)| Some((length.parse().ok()?, both)));
                let (token, key) =
                    lengths.and_then(|(length, both)| both.split_at_checked(length)).unwrap_or((rest, ""));
                let behind = Some(key.to_owned()).filter(|key| !key.is_empty());
                PageStart::Token { token: token.to_owned(), end, behind }
            }
        }
    }

    fn text(&self) -> Option<String> {
        let letter = |end: &End| match end {
            End::Flagged => 'f',
            End::Unflagged => 'u',
            End::Unstated => 'n',
        };
        match self {
            PageStart::Beginning => None,
            PageStart::Token { token, end, behind } => {
                Some(format!("t{}{} {token}{}", letter(end), token.len(), behind.as_deref().unwrap_or_default()))
            }
            PageStart::After(key) => Some(format!("kn{key}")),
            PageStart::Marker { key, version, end } => {
                Some(format!("v{}{}\n{key}", letter(end), version.as_deref().unwrap_or_default()))
            }
        }
    }

    /// Whether a page that starts here may be the last one although it does not state that.
    fn may_end_unstated(&self, is_empty: bool) -> bool {
        match self {
            PageStart::Beginning | PageStart::After(_) => is_empty,
            PageStart::Token { end, .. } | PageStart::Marker { end, .. } => match end {
                End::Flagged => false,
                End::Unflagged => true,
                End::Unstated => is_empty,
            },
        }
    }
}

/// Requests a page of objects.
///
/// # Errors
/// There is no response, or it is not an answer to this request.
pub(crate) async fn ask_for_objects(
    client: &Client,
    asked: Question<'_>,
) -> Result<ListPage, Unread<ListObjectsV2Error>> {
    let prefix = Some(asked.prefix.to_owned()).filter(|prefix| !prefix.is_empty());
    let request = client.list_objects_v2().bucket(asked.bucket).set_prefix(prefix).encoding_type(EncodingType::Url);
    let request = match asked.from {
        PageStart::Token { token, .. } => request.continuation_token(token),
        PageStart::After(key) => request.start_after(key),
        PageStart::Beginning | PageStart::Marker { .. } => request,
    };
    let raw = RawBody::default();
    let response = request.customize().interceptor(raw.clone()).send().await;
    let page = raw.read(response, |body| objects(body, asked))?;
    Ok(ListPage { answered: raw.date(), ..page })
}

/// A page of `ListObjectsV2`.
///
/// # Errors
/// Why it is not an answer to this request, without keys.
pub fn objects(body: &[u8], asked: Question<'_>) -> Result<ListPage, String> {
    let page = Page::read(body, &["ListBucketResult"], &["Contents"], asked)?;
    let (token, after) = match asked.from {
        PageStart::Token { token, .. } => (token.as_str(), ""),
        PageStart::After(key) => ("", key.as_str()),
        _ => ("", ""),
    };
    page.echoes("ContinuationToken", token)?;
    page.echoes("StartAfter", after)?;
    page.counts("KeyCount", |count, entries| count == entries)?;
    let mut listed = page.entries();
    listed.place = page.text("NextContinuationToken")?.map(str::to_owned);
    let next =
        listed.place.clone().map(|token| PageStart::Token { token, end: page.end(), behind: behind(asked, &listed) });
    if let PageStart::After(key) = asked.from
        && listed.entries.iter().any(|entry| entry.key <= *key)
    {
        return Err(BEGINS_ANEW.to_owned());
    }
    let last = listed.entries.last().map(|entry| PageStart::After(entry.key.clone()));
    listed.next = page.next(asked, next, last)?;
    Ok(listed)
}

/// A page of `ListObjectVersions`.
///
/// # Errors
/// Why it is not an answer to this request, without keys.
pub fn versions(body: &[u8], asked: Question<'_>) -> Result<ListPage, String> {
    let roots = ["ListVersionsResult", "ListObjectVersionsResult"];
    let page = Page::read(body, &roots, &[VERSION, DELETE_MARKER], asked)?;
    let (key, version) = match asked.from {
        PageStart::Marker { key, version, .. } => (key.as_str(), version.as_deref().unwrap_or_default()),
        _ => ("", ""),
    };
    page.echoes("KeyMarker", key)?;
    page.echoes("VersionIdMarker", version)?;
    let mut listed = page.entries();
    let begins_anew = |entry: &ObjectEntry| entry.key == key && entry.version_id.as_deref() == Some(version);
    if matches!(asked.from, PageStart::Marker { end: End::Unstated, .. }) && listed.entries.iter().any(begins_anew) {
        return Err(BEGINS_ANEW.to_owned());
    }
    let behind = |end| {
        let last = listed.entries.last()?;
        Some(PageStart::Marker { key: last.key.clone(), version: last.version_id.clone(), end })
    };
    let mut next = page.next_marker()?;
    if next
        .as_ref()
        .is_some_and(|next| page.rows().count() == listed.entries.len() && passes_over(next, &listed.entries))
    {
        next = behind(page.end());
    }
    listed.next = page.next(asked, next, behind(End::Unstated))?;
    listed.entries = grouped(listed.entries);
    Ok(listed)
}

/// The last key that came, including this page's, if all were in order.
fn behind(asked: Question<'_>, listed: &ListPage) -> Option<String> {
    let before = match asked.from {
        PageStart::Beginning => "",
        PageStart::After(key) | PageStart::Token { behind: Some(key), .. } => key.as_str(),
        PageStart::Token { behind: None, .. } | PageStart::Marker { .. } => return None,
    };
    let mut last = before;
    for entry in &listed.entries {
        if entry.key.as_str() <= last {
            return None;
        }
        last = &entry.key;
    }
    Some(last.to_owned()).filter(|last| !last.is_empty())
}

const BEGINS_ANEW: &str = "the page before does not state whether it is the last one, and this one begins anew";

/// Whether a document is an answer to a request for objects at all; its content is not checked.
///
/// # Errors
/// Why it is not.
pub fn is_listing(body: &[u8]) -> Result<(), String> {
    root(body, &["ListBucketResult"]).map(drop)
}

fn root(body: &[u8], roots: &[&str]) -> Result<xml::Document, String> {
    let document = xml::parse(body)?;
    let name = document.root.name.as_str();
    if roots.contains(&name) {
        return Ok(document);
    }
    match (name, document.root.text_of("Code")) {
        ("Error", Ok(Some(code))) => Err(format!("an error comes under the status of a success: {code}")),
        _ => Err("it is no listing".to_owned()),
    }
}

/// A page that answers the request and whose numbers are right.
struct Page<'a> {
    root: Element,
    rows: &'a [&'a str],
    is_utf8: bool,
    is_encoded: bool,
    prefix: &'a str,
    is_truncated: Option<bool>,
}

impl<'a> Page<'a> {
    fn read(body: &[u8], roots: &[&str], rows: &'a [&'a str], asked: Question<'a>) -> Result<Self, String> {
        let document = root(body, roots)?;
        let mut page = Page {
            is_truncated: flag(&document.root, "IsTruncated")?,
            root: document.root,
            rows,
            is_utf8: document.is_utf8,
            is_encoded: false,
            prefix: asked.prefix,
        };
        page.is_encoded = match page.text("EncodingType")? {
            None => false,
            Some(kind) if kind.eq_ignore_ascii_case("url") => true,
            Some(_) => return Err("EncodingType is another than was asked for".to_owned()),
        };
        // Access points answer with the name of the bucket behind them.
        let is_bucket = !asked.bucket.contains(':') && !asked.bucket.ends_with("-s3alias");
        if is_bucket && page.text("Name")?.is_some_and(|name| name != asked.bucket) {
            return Err("Name is another bucket's".to_owned());
        }
        page.echoes("Prefix", asked.prefix)?;
        if page.text("Delimiter")?.is_some() || page.root.all("CommonPrefixes").next().is_some() {
            return Err("keys are rolled up into prefixes, which was not asked for".to_owned());
        }
        page.counts("MaxKeys", |most, entries| entries <= most && most > 0)?;
        Ok(page)
    }

    /// The text of an element of the page, unless it is empty.
    fn text(&self, name: &str) -> Result<Option<&str>, String> {
        Ok(self.root.text_of(name)?.filter(|text| !text.is_empty()))
    }

    /// What the page echoes equals the request. Not every server echoes, encodes, or omits what is
    /// empty.
    fn echoes(&self, name: &str, asked: &str) -> Result<(), String> {
        match self.text(name)? {
            Some(echo) if echo != asked && decoded_form(echo).as_deref() != Some(asked) => {
                Err(format!("{name} is another than was asked for"))
            }
            _ => Ok(()),
        }
    }

    /// A stated number matches the number of the page's entries.
    fn counts(&self, name: &str, fits: impl Fn(usize, usize) -> bool) -> Result<(), String> {
        let Some(stated) = self.text(name)? else { return Ok(()) };
        let rows = self.rows().count();
        match stated.trim().parse::<usize>() {
            Ok(number) if fits(number, rows) => Ok(()),
            Ok(number) => Err(format!("{name} is {number}, and it holds {rows} entries")),
            Err(_) => Err(format!("{name} is no number")),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Element> {
        self.root.children.iter().filter(|child| self.rows.contains(&child.name.as_str()))
    }

    fn entries(&self) -> ListPage {
        let reader = Entries { is_encoded: self.is_encoded, is_utf8: self.is_utf8, prefix: self.prefix };
        let mut page = ListPage::default();
        self.rows().for_each(|row| reader.add(row, &mut page));
        page
    }

    /// What this page states about the end, for the next page.
    fn end(&self) -> End {
        if self.is_truncated == Some(true) { End::Flagged } else { End::Unflagged }
    }

    fn next_marker(&self) -> Result<Option<PageStart>, String> {
        let Some(key) = self.text("NextKeyMarker")? else { return Ok(None) };
        let plain = if self.is_encoded { decoded_form(key) } else { Some(key.to_owned()) };
        let key = plain.ok_or("NextKeyMarker is not URL-encoded UTF-8")?;
        let version = self.text("NextVersionIdMarker")?.map(str::to_owned);
        Ok(Some(PageStart::Marker { key, version, end: self.end() }))
    }

    /// Where the next page starts: as `named` by the server, or after the `last` entry where it states nothing at all.
    fn next(
        &self,
        asked: Question<'_>,
        named: Option<PageStart>,
        last: Option<PageStart>,
    ) -> Result<Option<String>, String> {
        let is_empty = self.rows().next().is_none();
        match (self.is_truncated, named) {
            (Some(true), None) => Err("it is not the last one, and names no next one".to_owned()),
            (Some(false), Some(_)) => Err("it is the last one, and names a next one".to_owned()),
            (Some(false), None) => Ok(None),
            (_, Some(next)) => Ok(next.text()),
            (None, None) if asked.from.may_end_unstated(is_empty) => Ok(None),
            (None, None) if last.is_some() => Ok(last.and_then(|last| last.text())),
            (None, None) => Err("it does not state whether it is the last one".to_owned()),
        }
    }
}

/// Whether a marker leads past the last entry of its page, so that entries between would never be listed. Some servers
/// name the first version that is not on the page; continuing after the last one that is works for these too.
fn passes_over(marker: &PageStart, entries: &[ObjectEntry]) -> bool {
    let (Some(last), PageStart::Marker { key, version, .. }) = (entries.last(), marker) else { return false };
    let is_ordered = entries.iter().all(|entry| entry.key <= last.key);
    is_ordered && last.version_id.is_some() && (*key > last.key || *key == last.key && *version != last.version_id)
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

#[cfg(test)]
mod tests;
