//! Pages as servers write them, and what each of them comes to.

use super::*;
use crate::transfer::object::{Odd, ProblemEntry};

fn question(from: &PageStart) -> Question<'_> {
    Question { bucket: "b", prefix: "", from }
}

/// A page of objects: what stands in its head, and its keys.
fn page(head: &str, keys: &[&str]) -> String {
    let entry = |key: &&str| {
        format!("<Contents><Key>{key}</Key><LastModified>2024-05-06T07:08:09Z</LastModified><Size>1</Size></Contents>")
    };
    let entries: String = keys.iter().map(entry).collect();
    format!("<?xml version=\"1.0\"?><ListBucketResult>{head}{entries}</ListBucketResult>")
}

fn listed(head: &str, keys: &[&str], from: &PageStart) -> Result<ListPage, String> {
    objects(page(head, keys).as_bytes(), question(from))
}

fn token(text: &str, end: End) -> PageStart {
    PageStart::Token { token: text.to_owned(), end, behind: None }
}

fn token_behind(text: &str, end: End, key: &str) -> PageStart {
    PageStart::Token { token: text.to_owned(), end, behind: Some(key.to_owned()) }
}

const BEGINNING: &PageStart = &PageStart::Beginning;
const LAST: &str = "<IsTruncated>false</IsTruncated>";

#[test]
fn a_page_that_states_everything_rightly_is_taken() {
    let head = "<Name>b</Name><Prefix></Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><Delimiter></Delimiter>\
                <EncodingType>url</EncodingType><ContinuationToken>t1</ContinuationToken><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>t2</NextContinuationToken>";
    let page = listed(head, &["a%20b", "c"], &token_behind("t1", End::Flagged, "a")).expect("an answer");
    let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!((keys, page.odd), (vec!["a b", "c"], vec![]));
    assert_eq!(PageStart::parse(page.next.as_deref()), token_behind("t2", End::Flagged, "c"));
    for start in [token("t1", End::Flagged), token_behind("t1", End::Flagged, "b")] {
        let page = listed(head, &["a%20b", "c"], &start).expect("an answer");
        assert_eq!(PageStart::parse(page.next.as_deref()), token("t2", End::Flagged), "not in order: {start:?}");
    }
}

#[test]
fn a_page_that_contradicts_itself_or_the_question_is_none() {
    for head in [
        "<Name>other</Name>",
        "<Prefix>p/</Prefix>",
        "<KeyCount>1</KeyCount>",
        "<KeyCount>3</KeyCount>",
        "<KeyCount>-2</KeyCount>",
        "<MaxKeys>1</MaxKeys>",
        "<MaxKeys>0</MaxKeys>",
        "<Delimiter>/</Delimiter>",
        "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>",
        "<EncodingType>base64</EncodingType>",
        "<ContinuationToken>t7</ContinuationToken>",
        "<StartAfter>a</StartAfter>",
        "<NextContinuationToken>t2</NextContinuationToken>",
        "<IsTruncated>true</IsTruncated>",
    ] {
        assert!(listed(&format!("{LAST}{head}"), &["a", "b"], BEGINNING).is_err(), "{head}");
    }
    for head in [
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>",
        "<IsTruncated>perhaps</IsTruncated>",
    ] {
        assert!(listed(head, &["a", "b"], BEGINNING).is_err(), "{head}");
    }
    listed(LAST, &["a", "b"], BEGINNING).expect("nothing else is stated");
}

#[test]
fn another_document_is_no_page() {
    let error = "<Error><Code>InternalError</Code><Message>m</Message></Error>";
    assert!(objects(error.as_bytes(), question(BEGINNING)).is_err_and(|reason| reason.contains("InternalError")));
    for other in ["", "<html/>", "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"] {
        assert!(objects(other.as_bytes(), question(BEGINNING)).is_err(), "{other}");
    }
    assert!(is_listing(b"<ListBucketResult/>").is_ok() && is_listing(b"<ListBucketResult>").is_err());
}

#[test]
fn a_page_that_is_cut_anywhere_is_none() {
    let whole = page(LAST, &["a", "b", "c"]);
    for cut in 0..whole.len() {
        assert!(objects(&whole.as_bytes()[..cut], question(BEGINNING)).is_err(), "cut at {cut}");
    }
}

/// Some servers leave the flag out. That such a listing is at its end, another request has to show.
#[test]
fn a_listing_without_the_flag_ends_where_nothing_follows() {
    let next = |page: Result<ListPage, String>| PageStart::parse(page.expect("an answer").next.as_deref());
    let with_token = "<NextContinuationToken>t2</NextContinuationToken>";
    assert_eq!(next(listed(with_token, &["a"], BEGINNING)), token_behind("t2", End::Unflagged, "a"));
    assert_eq!(next(listed("", &["b"], &token("t2", End::Unflagged))), PageStart::Beginning);
    assert_eq!(next(listed("", &["a", "b"], BEGINNING)), PageStart::After("b".into()));
    assert_eq!(next(listed("", &["c"], &PageStart::After("b".into()))), PageStart::After("c".into()));
    assert_eq!(next(listed("", &[], &PageStart::After("c".into()))), PageStart::Beginning);
    assert_eq!(next(listed("", &[], BEGINNING)), PageStart::Beginning);
    assert!(listed("", &["a", "b"], &PageStart::After("b".into())).is_err(), "StartAfter is not heeded");
    assert!(listed("", &[], &token("t2", End::Flagged)).is_err(), "earlier pages had the flag");
}

#[test]
fn keys_outside_of_the_prefix_are_named() {
    let asked = Question { bucket: "b", prefix: "p/", from: BEGINNING };
    let page = objects(page(LAST, &["p/1", "q/1"]).as_bytes(), asked).expect("an answer");
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.odd, [ProblemEntry { key: "q/1".into(), odd: Odd::Foreign }]);
}

#[test]
fn bytes_that_are_no_utf8_cost_the_entries_that_have_them() {
    let page = page(LAST, &["a", "~x", "c\u{e9}"]).replace('~', "\u{1}");
    let body: Vec<u8> = page.bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let page = objects(&body, question(BEGINNING)).expect("an answer");
    assert_eq!((page.entries.len(), page.odd.len()), (2, 1));
}

#[test]
fn starts_survive_as_text() {
    let marker = |key: &str, version: Option<&str>, end| PageStart::Marker {
        key: key.to_owned(),
        version: version.map(str::to_owned),
        end,
    };
    for start in [
        token("", End::Flagged),
        token("f\nu", End::Unflagged),
        token_behind("7 é", End::Flagged, "3 é\n"),
        PageStart::After("é".into()),
        marker("a\nb", Some("v1"), End::Flagged),
        marker("a", None, End::Unstated),
        marker("é", None, End::Unflagged),
    ] {
        assert_eq!(PageStart::parse(start.text().as_deref()), start);
    }
    assert_eq!(PageStart::parse(PageStart::Beginning.text().as_deref()), PageStart::Beginning);
}

// ---------------------------------------------------------------------------------------------------------------------
// Versions

/// A page of versions: what stands in its head, and `key version` for each; `-` makes a delete marker of it.
fn version_page(head: &str, versions: &[&str]) -> String {
    let entry = |version: &&str| {
        let (key, id) = version.split_once(' ').expect("key and version");
        let (tag, id) = id.strip_prefix('-').map_or(("Version", id), |id| ("DeleteMarker", id));
        format!(
            "<s3:{tag} a='1'><s3:Key>{key}</s3:Key><s3:VersionId>{id}</s3:VersionId><s3:IsLatest>true</s3:IsLatest>\
             <s3:Size>1</s3:Size><s3:LastModified>2024-05-06T07:08:09Z</s3:LastModified></s3:{tag}>"
        )
    };
    let entries: String = versions.iter().map(entry).collect();
    format!("<s3:ListVersionsResult xmlns:s3='x'>{head}{entries}</s3:ListVersionsResult>")
}

fn listed_versions(head: &str, rows: &[&str], from: &PageStart) -> Result<ListPage, String> {
    versions(version_page(head, rows).as_bytes(), question(from))
}

fn behind(key: &str, version: &str, end: End) -> PageStart {
    PageStart::Marker { key: key.to_owned(), version: Some(version.to_owned()), end }
}

#[test]
fn versions_and_delete_markers_keep_their_order_whatever_the_prefix() {
    let page = listed_versions(LAST, &["a 2", "a -1", "b 1"], BEGINNING).expect("an answer");
    let rows: Vec<_> = page.entries.iter().map(|entry| (entry.key.as_str(), entry.is_delete_marker())).collect();
    assert_eq!((rows, page.odd.len()), (vec![("a", false), ("a", true), ("b", false)], 0));
}

#[test]
fn a_page_of_versions_that_contradicts_itself_or_the_question_is_none() {
    let next = "<NextKeyMarker>b</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>";
    for head in [
        format!("{LAST}{next}"),
        "<IsTruncated>true</IsTruncated>".to_owned(),
        "<IsTruncated>true</IsTruncated><NextKeyMarker></NextKeyMarker>".to_owned(),
        format!("<IsTruncated>true</IsTruncated>{next}<NextKeyMarker>c</NextKeyMarker>"),
        format!("{LAST}<KeyMarker>a</KeyMarker>"),
        format!("{LAST}<VersionIdMarker>1</VersionIdMarker>"),
        format!("{LAST}<MaxKeys>1</MaxKeys>"),
    ] {
        assert!(listed_versions(&head, &["a 1", "b 1"], BEGINNING).is_err(), "{head}");
    }
    let whole = version_page(LAST, &["a 2", "a -1", "b 1"]);
    for cut in 0..whole.len() {
        assert!(versions(&whole.as_bytes()[..cut], question(BEGINNING)).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_marker_without_the_flag_leads_on() {
    let next = "<NextKeyMarker>b</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>";
    let page = listed_versions(next, &["a 1", "b 1"], BEGINNING).expect("an answer");
    assert_eq!(PageStart::parse(page.next.as_deref()), behind("b", "1", End::Unflagged));
    let page = listed_versions("", &["c 1"], &behind("b", "1", End::Unflagged)).expect("an answer");
    assert_eq!(page.next, None);
    let page = listed_versions("", &["a 1", "b 1"], BEGINNING).expect("an answer");
    assert_eq!(PageStart::parse(page.next.as_deref()), behind("b", "1", End::Unstated));
    assert!(listed_versions("", &["a 1", "b 1"], &behind("b", "1", End::Unstated)).is_err(), "it begins anew");
    assert_eq!(listed_versions("", &[], &behind("b", "1", End::Unstated)).map(|page| page.next), Ok(None));
}

/// A marker that leads past versions would lose them.
#[test]
fn a_listing_goes_on_behind_the_last_version_that_came() {
    for marker in [("b", "0"), ("c", "9")] {
        let head = format!(
            "<IsTruncated>true</IsTruncated><NextKeyMarker>{}</NextKeyMarker>\
             <NextVersionIdMarker>{}</NextVersionIdMarker>",
            marker.0, marker.1
        );
        let page = listed_versions(&head, &["a 1", "b 1"], BEGINNING).expect("an answer");
        assert_eq!(PageStart::parse(page.next.as_deref()), behind("b", "1", End::Flagged), "{marker:?}");
    }
}

#[test]
fn versions_that_are_listed_before_all_markers_are_put_in_order() {
    let entry = |key: &str, time: &str, is_latest| ObjectEntry {
        key: key.into(),
        last_modified: Some(time.into()),
        version: Some(crate::transfer::receipt::VersionMark { order: 0, is_latest, delete_marker: false }),
        ..ObjectEntry::default()
    };
    let listed = vec![entry("a", "1", false), entry("b", "1", true), entry("a", "2", false), entry("a", "3", true)];
    let times: Vec<_> =
        grouped(listed).into_iter().map(|entry| entry.key + &entry.last_modified.unwrap_or_default()).collect();
    assert_eq!(times, ["a3", "a2", "a1", "b1"]);
}
