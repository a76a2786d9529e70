//! Single objects: every request is pinned to the state that was listed or that an earlier response had, and every
//! response is checked to be about that state. Not every server honours `If-Match`, `Range` and `versionId`.

use std::{borrow::Cow, sync::atomic::Ordering::Relaxed};

use aws_sdk_s3::{
    primitives::{DateTime, DateTimeFormat},
    types::Grant,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED},
};

use super::{
    S3Source,
    checksum::{self, Offer},
    parts, properties,
};
use crate::{
    aws::{
        error,
        transport::{Body, HeadersLeftOut, Method, Request, Response},
    },
    transfer::{
        error::SourceError,
        object::{
            ByteRange, Described, ObjectBody, ObjectEntry, Pin, ProviderChecksum, StatedChecksums, same_entity_tag,
        },
        properties::{Item, Properties},
    },
};

pub(super) const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

impl S3Source {
    pub(super) async fn get(&self, entry: &ObjectEntry, range: Option<ByteRange>) -> Result<ObjectBody, SourceError> {
        let mut request = self.request(Method::Get, entry);
        match range {
            Some(range) => request.headers.push(("range", format!("bytes={}-{}", range.first, range.last))),
            None => request.headers.push(checksums_wanted()),
        }
        let answer = self.answered(request, entry, range).await?;
        let described = match range {
            None => self.described(entry, &answer, Method::Get).await?,
            Some(_) => {
                let pin = pin(entry, &answer.headers);
                Described { checksum: Err("a range".to_owned()), properties: Properties::default(), pin }
            }
        };
        let Described { checksum, properties, pin } = described;
        Ok(ObjectBody {
            checksum,
            properties,
            pin,
            length: text(&answer.headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            pieces: pieces(answer.body, entry.key.clone()),
        })
    }

    /// A server without HEAD is asked for the first byte: that response has the same headers.
    pub(super) async fn head(&self, entry: &ObjectEntry) -> Result<Described, SourceError> {
        let mut request = self.request(Method::Head, entry);
        request.headers.push(checksums_wanted());
        let answer = match self.answered(request, entry, None).await {
            Err(SourceError::Permanent { .. }) if entry.size > 0 => {
                let mut request = self.request(Method::Get, entry);
                request.headers.push(("range", "bytes=0-0".to_owned()));
                request.headers.push(checksums_wanted());
                self.answered(request, entry, Some(ByteRange { first: 0, last: 0 })).await?
            }
            answer => answer?,
        };
        self.described(entry, &answer, Method::Head).await
    }

    /// A request about the state that was listed, or that an earlier response was about.
    fn request<'a>(&self, method: Method, entry: &'a ObjectEntry) -> Request<'a> {
        let tag = entry.etag.as_ref().or(entry.pin.etag.as_ref()).filter(|tag| is_strong(tag));
        let held = tag.filter(|_| !self.fails_if_match.load(Relaxed)).map(|tag| ("if-match", format!("\"{tag}\"")));
        let version_id = entry.version_id.as_deref().or(entry.pin.version_id.as_deref());
        let headers = held.into_iter().collect();
        Request { method, key: &entry.key, version_id, question: None, headers, accept_gzip: entry.pin.packed }
    }

    /// Sends a request and checks the response. Some servers fail every `If-Match`: what is refused for it is requested
    /// without, and then the response's own entity tag decides.
    async fn answered(
        &self,
        mut request: Request<'_>,
        entry: &ObjectEntry,
        range: Option<ByteRange>,
    ) -> Result<Response, SourceError> {
        let about_object = |error| of_listed(entry, error);
        let answer = match self.transport.send(&request).await {
            Err(SourceError::Changed { .. }) if request.headers.iter().any(|(name, _)| *name == "if-match") => {
                request.headers.retain(|(name, _)| *name != "if-match");
                let answer = self.transport.send(&request).await.map_err(about_object)?;
                check_answer(entry, range, &answer)?;
                self.fails_if_match.store(true, Relaxed);
                return Ok(answer);
            }
            answer => answer.map_err(about_object)?,
        };
        check_answer(entry, range, &answer)?;
        Ok(answer)
    }

    /// Checksum and properties from the headers of a response; queries more only where they state that there is more.
    async fn described(
        &self,
        entry: &ObjectEntry,
        answer: &Response,
        method: Method,
    ) -> Result<Described, SourceError> {
        let headers = &answer.headers;
        let pin = pin(entry, headers);
        let pinned = entry.pinned(pin.clone());
        let checksum = self.stated(&pinned, answer, method).await?;
        let values = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let (mut properties, tags) = properties::of_headers(values);
        if answer.left_out == HeadersLeftOut::Some {
            let reason = "the answer has headers that are no valid HTTP".to_owned();
            properties.unreadable.insert(Item::Metadata, reason);
        }
        self.tags(&pinned, tags, &mut properties).await?;
        if self.acls {
            self.read_acl(&pinned, &mut properties).await?;
        }
        Ok(Described { checksum, properties, pin })
    }

    /// The response's checksums. One without an entity tag is about the listed object only if the bytes have the listed
    /// MD5, too.
    async fn stated(
        &self,
        entry: &ObjectEntry,
        answer: &Response,
        method: Method,
    ) -> Result<StatedChecksums, SourceError> {
        let has_whole = method == Method::Get && answer.status == StatusCode::OK;
        // What is not text can't be decoded.
        let values = |name: &str| match name {
            // It is about the body that comes with it.
            "content-md5" if !has_whole => Vec::new(),
            name => answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect(),
        };
        let listed = entry.etag.as_deref().filter(|tag| is_md5(tag) && !answer.headers.contains_key(ETAG));
        let mut offers = checksum::of_headers(values);
        if let Some(listed) = listed.and_then(checksum::of_md5) {
            offers = Ok(offers.unwrap_or_default().into_iter().chain([listed]).collect());
        }
        let offers = match offers {
            Ok(offers) => offers,
            Err(reason) => return Ok(Err(reason.to_owned())),
        };
        let version = version_of(entry);
        let asking =
            parts::Asking { client: &self.client, bucket: &self.bucket, entry, version, questions: &self.parts };
        let mut checksums = Vec::new();
        let mut missing = Vec::new();
        for offer in offers {
            match offer {
                Offer::Whole(checksum) => checksums.push(checksum),
                Offer::OfParts { kind, value, count } => match asking.parts(count).await? {
                    Ok(parts) => checksums.push(ProviderChecksum { kind, value, parts }),
                    Err(reason) => missing.push(format!("{}: {reason}", kind.words())),
                },
            }
        }
        Ok(if checksums.is_empty() { Err(missing.join("; ")) } else { Ok(checksums) })
    }

    async fn read_acl(&self, entry: &ObjectEntry, properties: &mut Properties) -> Result<(), SourceError> {
        let request = self.client.get_object_acl().bucket(&self.bucket).key(&entry.key);
        let request = request.set_version_id(version_of(entry));
        let asking = async { request.send().await.map_err(|error| error::of("access control list", error)) };
        let read = self.grants.ask("access control list", asking).await?.map_err(|error| error.to_string());
        match read.and_then(|answer| answer.grants().iter().map(grant).collect::<Result<Vec<_>, _>>()) {
            Ok(grants) => properties.acl = grants,
            Err(reason) => drop(properties.unreadable.insert(Item::Acl, reason)),
        }
        Ok(())
    }
}

/// An error about an object that was listed: its storage class is known, and that it existed.
fn of_listed(entry: &ObjectEntry, error: SourceError) -> SourceError {
    match error {
        SourceError::Archived { what, .. } => {
            SourceError::Archived { what, class: entry.storage_class.clone().unwrap_or_else(|| "unknown class".into()) }
        }
        // It was listed a moment ago.
        SourceError::NotFound { what } => SourceError::Changed { what },
        other => other,
    }
}

pub(super) fn version_of(entry: &ObjectEntry) -> Option<String> {
    entry.version_id.clone().or_else(|| entry.pin.version_id.clone())
}

/// The grants of an access list, one line each.
fn grant(grant: &Grant) -> Result<String, String> {
    let whom = grant.grantee().and_then(|whom| whom.uri().or(whom.id()).or(whom.email_address()));
    match (grant.permission(), whom) {
        (Some(permission), Some(whom)) => Ok(format!("{} {whom}", permission.as_str())),
        _ => Err("reading access control list: a grant does not say who may do what".to_owned()),
    }
}

fn checksums_wanted() -> (&'static str, String) {
    ("x-amz-checksum-mode", "ENABLED".to_owned())
}

/// A header, also where it is no text: then it is none that could be meant, and is told from one that is not there.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// The state of the object according to the response.
fn pin(entry: &ObjectEntry, headers: &HeaderMap) -> Pin {
    let kept = |name, before: &Option<String>| text(headers, name).map(Cow::into_owned).or_else(|| before.clone());
    Pin {
        etag: text(headers, ETAG).map(|tag| tag.trim_matches('"').to_owned()).or_else(|| entry.pin.etag.clone()),
        version_id: kept(VERSION_ID, &entry.pin.version_id),
        last_modified: kept(LAST_MODIFIED, &entry.pin.last_modified),
        packed: entry.pin.packed,
    }
}

/// Only strong tags can be pinned to (RFC 9110, 13.1.1).
fn is_strong(tag: &str) -> bool {
    !tag.is_empty() && !tag.starts_with("W/") && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

/// A response about something else must not be accepted. Neither must an error with the status of a
/// success: it has no entity tag.
fn check_answer(entry: &ObjectEntry, range: Option<ByteRange>, answer: &Response) -> Result<(), SourceError> {
    let headers = &answer.headers;
    check_state(entry, headers)?;
    let Some(range) = range else {
        let part = headers.get_all(CONTENT_RANGE).iter().find(|range| !is_of_all(range, entry.size));
        let reason = match (answer.status, part) {
            (StatusCode::OK, None) => return Ok(()),
            (StatusCode::OK, Some(_)) => "the answer to a request for the whole object names a range of it".to_owned(),
            // Also 203, by which a proxy reports that it changed the content.
            (status, _) => format!("HTTP status {}: that is no answer with a whole object", status.as_u16()),
        };
        return Err(SourceError::Transient { what: entry.key.clone(), reason });
    };
    let mut ranges = headers.get_all(CONTENT_RANGE).iter();
    if ranges.next().is_some_and(|first| ranges.any(|other| other != first)) {
        let reason = "the server names two ranges that it answers with".to_owned();
        return Err(SourceError::Unranged { what: entry.key.clone(), reason });
    }
    let unranged = |reason: String| Err(SourceError::Unranged { what: entry.key.clone(), reason });
    let names_state = [ETAG, LAST_MODIFIED, VERSION_ID].into_iter().any(|name| headers.contains_key(name));
    if !names_state && !entry.etag.as_deref().is_some_and(is_md5) {
        return unranged("nothing in the answers says that ranges belong to one state".to_owned());
    }
    let wanted = format!("bytes {}-{}/", range.first, range.last);
    match text(headers, CONTENT_RANGE).as_deref() {
        _ if answer.status != StatusCode::PARTIAL_CONTENT => {
            unranged("the server answers with the whole object where a range was asked for".to_owned())
        }
        None => unranged("the server does not say which range it answers with".to_owned()),
        Some(range) => match range.strip_prefix(&wanted) {
            None => unranged(format!("the server answers with another range than the one asked for: {range}")),
            Some("*") => Ok(()),
            Some(total) if total.parse() == Ok(entry.size) => Ok(()),
            Some(total) => match total.parse() {
                Ok(served) => Err(SourceError::Size { what: entry.key.clone(), listed: entry.size, served }),
                Err(_) => unranged(format!("the server answers with a range that makes no sense: {range}")),
            },
        },
    }
}

/// Whether a range is all of an object of this many bytes.
fn is_of_all(range: &HeaderValue, size: u64) -> bool {
    size > 0 && range.as_bytes() == format!("bytes 0-{}/{size}", size - 1).as_bytes()
}

fn check_state(entry: &ObjectEntry, headers: &HeaderMap) -> Result<(), SourceError> {
    let what = || entry.key.clone();
    let changed = || Err(SourceError::Changed { what: what() });
    let mut tags = headers.get_all(ETAG).iter().map(|tag| String::from_utf8_lossy(tag.as_bytes()));
    let answered = tags.next();
    let another = tags.next();
    if let (Some(one), Some(other)) = (&answered, &another)
        && !same_entity_tag(one, other)
    {
        let reason = "the answer names two entity tags".to_owned();
        return Err(SourceError::Transient { what: what(), reason });
    }
    let listed = entry.etag.as_deref().filter(|tag| !tag.is_empty());
    match (listed.or(entry.pin.etag.as_deref()), answered) {
        (Some(known), Some(answered)) if !same_entity_tag(known, &answered) => return changed(),
        // The bytes themselves can prove that they are the listed ones, unless the listed tag is not an MD5.
        (Some(known), None) if !is_md5(known) || is_keyed(headers) => {
            let reason = "the answer names no entity tag, the listing does: nothing says that it is the object listed";
            return Err(SourceError::Transient { what: what(), reason: reason.to_owned() });
        }
        // A page of a proxy in between looks like this.
        (None, None) if !headers.contains_key(LAST_MODIFIED) => {
            let reason =
                "the answer names neither entity tag nor time of the last change: nothing says that it is an object";
            return Err(SourceError::Transient { what: what(), reason: reason.to_owned() });
        }
        _ => {}
    }
    let known = entry.version_id.as_deref().or(entry.pin.version_id.as_deref());
    if let (Some(known), Some(answered)) = (known, text(headers, VERSION_ID))
        && known != answered
    {
        return changed();
    }
    match (&entry.pin.last_modified, text(headers, LAST_MODIFIED)) {
        (Some(known), Some(answered)) if *known != answered => changed(),
        (None, Some(answered)) if listed.is_none() && !is_of_date(entry, &answered) => changed(),
        _ => Ok(()),
    }
}

/// Whether an object without a listed entity tag was last changed at the listed time, to the second; one may be
/// rounded differently. A date that can't be read contradicts nothing.
fn is_of_date(entry: &ObjectEntry, answered: &str) -> bool {
    let listed =
        entry.last_modified.as_deref().and_then(|time| DateTime::from_str(time, DateTimeFormat::DateTime).ok());
    let answered = DateTime::from_str(answered, DateTimeFormat::HttpDate).ok();
    listed.zip(answered).is_none_or(|(listed, answered)| listed.secs().abs_diff(answered.secs()) <= 1)
}

/// Whether the object's encryption makes its entity tag differ from the MD5 of its bytes.
fn is_keyed(headers: &HeaderMap) -> bool {
    let algorithm = headers.get("x-amz-server-side-encryption").and_then(|value| value.to_str().ok());
    headers.contains_key("x-amz-server-side-encryption-customer-algorithm")
        || algorithm.is_some_and(|algorithm| algorithm.starts_with("aws:kms"))
}

fn is_md5(tag: &str) -> bool {
    tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn pieces(body: Body, key: String) -> BoxStream<'static, Result<bytes::Bytes, SourceError>> {
    body.map_err(move |reason| SourceError::Transient { what: key.clone(), reason }).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "25f9e794323b453885f5181f1b624d0b";

    fn entry(etag: Option<&str>, pin: Pin) -> ObjectEntry {
        ObjectEntry { key: "k".into(), size: 9, etag: etag.map(str::to_owned), pin, ..ObjectEntry::default() }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn a_range_is_no_whole_object() {
        let is_whole = |range: &'static str| is_of_all(&HeaderValue::from_static(range), 17);
        assert!(is_whole("bytes 0-16/17"));
        assert!(["bytes 0-7/17", "bytes 0-16/34", "bytes 0-16/*", ""].iter().all(|range| !is_whole(range)));
    }

    fn verdict(entry: &ObjectEntry, lines: &[(&'static str, &'static str)]) -> &'static str {
        match check_state(entry, &headers(lines)) {
            Ok(()) => "same",
            Err(SourceError::Changed { .. }) => "changed",
            Err(_) => "no answer",
        }
    }

    #[test]
    fn entity_tags_are_compared_as_servers_write_them() {
        let listed = entry(Some(MD5), Pin::default());
        let upper = "\"25F9E794323B453885F5181F1B624D0B\"";
        for tag in ["\"25f9e794323b453885f5181f1b624d0b\"", "W/\"25f9e794323b453885f5181f1b624d0b\"", MD5, upper] {
            assert_eq!(verdict(&listed, &[("etag", tag)]), "same", "{tag}");
        }
        assert_eq!(verdict(&listed, &[("etag", "\"other\"")]), "changed");
        assert_eq!(verdict(&listed, &[("etag", MD5), ("etag", "\"other\"")]), "no answer");
        assert_eq!(verdict(&entry(Some("Opaque"), Pin::default()), &[("etag", "\"opaque\"")]), "changed");
        // Without a tag in the response only an MD5 in the listing can identify the bytes.
        assert_eq!(verdict(&listed, &[]), "same");
        assert_eq!(verdict(&entry(Some("opaque"), Pin::default()), &[]), "no answer");
        assert_eq!(verdict(&entry(Some(""), Pin::default()), &[("etag", MD5)]), "same");
        assert_eq!(verdict(&entry(None, Pin::default()), &[("content-type", "text/html")]), "no answer");
        assert_eq!(verdict(&entry(None, Pin::default()), &[("last-modified", "Mon")]), "same");
    }

    #[test]
    fn what_the_listing_did_not_pin_an_earlier_answer_does() {
        let first = [("etag", "\"a\""), ("x-amz-version-id", "v1"), ("last-modified", "Mon")];
        let pinned = entry(None, pin(&entry(None, Pin::default()), &headers(&first)));
        assert_eq!(verdict(&pinned, &first), "same");
        for other in [("etag", "\"b\""), ("x-amz-version-id", "v2"), ("last-modified", "Tue")] {
            let mut lines = first;
            *lines.iter_mut().find(|(name, _)| *name == other.0).expect("a line") = other;
            assert_eq!(verdict(&pinned, &lines), "changed", "{other:?}");
        }
    }

    #[test]
    fn another_version_than_the_one_asked_for_is_another_object() {
        let version = |id: &str| ObjectEntry { version_id: Some(id.to_owned()), ..entry(None, Pin::default()) };
        let answered = |id| [("last-modified", "Mon"), ("x-amz-version-id", id)];
        for (listed, answer, expected) in
            [("v1", "v1", "same"), ("v1", "v2", "changed"), ("null", "v1", "changed"), ("v1", "null", "changed")]
        {
            assert_eq!(verdict(&version(listed), &answered(answer)), expected, "{listed}, {answer}");
        }
        assert_eq!(verdict(&version("null"), &[("last-modified", "Mon")]), "same", "not every server says it");
    }

    #[test]
    fn without_a_listed_tag_the_date_has_to_be_the_listed_one() {
        let dated = |etag, date: &str| ObjectEntry { last_modified: Some(date.into()), ..entry(etag, Pin::default()) };
        let answered = [("etag", "\"a\""), ("last-modified", "Mon, 06 May 2024 07:08:09 GMT")];
        for (date, expected) in [
            ("2024-05-06T07:08:09.9Z", "same"),
            ("2024-05-06T07:08:10Z", "same"),
            ("2024-05-06T07:09:09Z", "changed"),
            ("yesterday", "same"),
        ] {
            assert_eq!(verdict(&dated(None, date), &answered), expected, "{date}");
            assert_eq!(verdict(&dated(Some("a"), date), &answered), "same", "the tag says it");
        }
    }

    #[test]
    fn an_md5_says_nothing_about_what_is_encrypted_with_a_key() {
        let listed = entry(Some(MD5), Pin::default());
        assert_eq!(verdict(&listed, &[("x-amz-server-side-encryption", "AES256")]), "same");
        assert_eq!(verdict(&listed, &[("x-amz-server-side-encryption", "aws:kms")]), "no answer");
        assert_eq!(verdict(&listed, &[("x-amz-server-side-encryption-customer-algorithm", "AES256")]), "no answer");
    }

    #[test]
    fn only_strong_tags_are_held_to() {
        assert!(is_strong(MD5) && !is_strong("W/\"a") && !is_strong("") && !is_strong("a b"));
    }
}
