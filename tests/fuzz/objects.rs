//! The readers of what object stores answer, and of the archives that objects lie in.

use std::{collections::BTreeSet, fs, io::Read as _};

use tempfile::TempDir;
use walkaway::{
    aws::{
        listing::{self, PageStart, Question},
        xml,
    },
    domain::digest::Sha256Digest,
    interrupt::Interrupt,
    transfer::{
        listing::Course,
        meter::Meter,
        object::{ListPage, ObjectEntry},
        properties::{Item, Properties},
        receipt::{Confirmation, ObjectReceipt, Within},
    },
    verify::objects::ReadBack,
};

use super::mutate::run;

const OBJECTS: &str = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>\
    <IsTruncated>true</IsTruncated><NextContinuationToken>t2</NextContinuationToken>\
    <Contents><Key>p/a%20b</Key><LastModified>2024-05-06T07:08:09.000Z</LastModified><ETag>&quot;25f9&quot;</ETag>\
    <Size>9</Size><StorageClass>STANDARD</StorageClass></Contents>\
    <Contents><Key>p/c</Key><LastModified>Mon, 06 May 2024 07:08:09 GMT</LastModified><ETag>W/\"1\"</ETag><Size>0</Size>\
    </Contents></ListBucketResult>";
const LAST: &str = "<s3:ListBucketResult xmlns:s3=\"x\"><s3:IsTruncated>false</s3:IsTruncated>\
    <s3:Contents><s3:Key><![CDATA[p/k]]></s3:Key><s3:Size>1</s3:Size></s3:Contents></s3:ListBucketResult>";
const VERSIONS: &str = "<ListVersionsResult><Name>b</Name><KeyMarker></KeyMarker><IsTruncated>true</IsTruncated>\
    <NextKeyMarker>p/b</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker><EncodingType>url</EncodingType>\
    <Version><Key>p/a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest><Size>1</Size>\
    <LastModified>2024-05-06T07:08:09Z</LastModified><ETag>\"2\"</ETag></Version>\
    <DeleteMarker><Key>p/b</Key><VersionId>1</VersionId><IsLatest>true</IsLatest></DeleteMarker></ListVersionsResult>";
const TAGS: &str = "<?xml version=\"1.0\"?><Tagging><TagSet><Tag><Key>a &amp; b</Key><Value>1&#x2e;</Value></Tag>\
    <Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>";

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// What holds for every page that is taken for an answer.
fn hold(page: &ListPage, from: &PageStart) {
    assert!(page.entries.iter().all(|entry| entry.key.starts_with("p/") && !entry.key.is_empty()));
    assert!(page.entries.iter().all(|entry| entry.size <= 10_000 * (5 << 30)));
    let next = PageStart::parse(page.next.as_deref());
    assert_eq!(page.next.is_none(), next == PageStart::Beginning, "where the next page begins survives as text");
    if let PageStart::After(key) = from {
        assert!(page.entries.iter().all(|entry| entry.key > *key), "nothing comes again");
    }
    // A listing that does not lead on is noticed when it comes to the same place.
    let mut course = Course::default();
    if course.check(page).is_ok() {
        course.take(page);
        assert!(course.check(page).is_err() || page.next.is_none() && page.entries.is_empty() && page.odd.is_empty());
    }
}

fn starts() -> [PageStart; 4] {
    let token = |behind: Option<&str>| PageStart::Token {
        token: "t1".into(),
        end: listing::End::Unflagged,
        behind: behind.map(str::to_owned),
    };
    [PageStart::Beginning, token(None), token(Some("p/a")), PageStart::After("p/a".into())]
}

#[test]
fn listings() {
    run("listing", bytes(&[OBJECTS, LAST]), |input| {
        let answers =
            starts().map(|from| match listing::objects(input, Question { bucket: "b", prefix: "p/", from: &from }) {
                Ok(page) => {
                    hold(&page, &from);
                    format!("{} {} {}", page.entries.len().min(3), page.odd.len().min(3), page.next.is_some())
                }
                Err(reason) => reason,
            });
        answers.join(" | ")
    });
}

#[test]
fn version_listings() {
    let marker = PageStart::Marker { key: "p/a".into(), version: Some("2".into()), end: listing::End::Unstated };
    run("version_listing", bytes(&[VERSIONS]), |input| {
        let answers = [&PageStart::Beginning, &marker].map(|from| {
            match listing::versions(input, Question { bucket: "b", prefix: "p/", from }) {
                Ok(page) => {
                    hold(&page, from);
                    assert!(page.entries.iter().all(|entry| entry.version.is_some()));
                    format!("{} {} {}", page.entries.len().min(3), page.odd.len().min(3), page.next.is_some())
                }
                Err(reason) => reason,
            }
        });
        answers.join(" | ")
    });
}

/// Whatever else reads an answer, it was whole before: a document of which the end is missing is none.
#[test]
fn documents() {
    run("xml", bytes(&[TAGS, OBJECTS, VERSIONS]), |input| {
        let document = match xml::parse(input) {
            Ok(document) => document,
            Err(reason) => return reason,
        };
        assert!(!document.root.name.is_empty());
        let text = String::from_utf8_lossy(input);
        let trimmed = text.trim_end();
        for (cut, _) in trimmed.char_indices().rev().take(40) {
            let is_whole = xml::parse(&trimmed.as_bytes()[..cut]).is_ok();
            assert!(!is_whole || ends_with_a_remark(trimmed), "cut at {cut}");
        }
        let tags: Vec<_> = document.root.all("TagSet").flat_map(|set| set.all("Tag")).collect();
        format!("{} {} {}", document.root.name, tags.len().min(3), document.is_utf8)
    });
}

/// Behind the root there may stand comments, instructions and declarations, which nobody misses.
fn ends_with_a_remark(text: &str) -> bool {
    let last = text.rfind('<').map_or("", |at| &text[at..]);
    text.ends_with("-->") || text.ends_with("?>") || last.starts_with("<!") || last.starts_with("<?")
}

const BODY: &[u8] = b"the content of the one object";
const PLACE: &str = "tree/k";

fn receipt() -> ObjectReceipt {
    let entry =
        ObjectEntry { key: "k".into(), last_modified: Some("1970-01-01T00:00:09Z".into()), ..ObjectEntry::default() };
    let word = Confirmation::Unavailable("made up".into());
    let receipt = ObjectReceipt::new(entry, PLACE.into(), BODY.len() as u64, Sha256Digest::of(BODY), word);
    let properties = Properties { metadata: [("owner".into(), "finance".into())].into(), ..Properties::default() };
    let within = Some(Within::Archive { name: "unit.tar".into(), offset: 0 });
    ObjectReceipt { within, ..receipt.with_properties(properties, &[Item::LastModified, Item::Metadata]) }
}

fn archive(receipt: &ObjectReceipt) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(BODY.len() as u64);
    header.set_mtime(9);
    let records = [("key", serde_json::to_vec(&receipt.key)), ("properties", serde_json::to_vec(&receipt.properties))];
    let records = records.map(|(name, value)| (format!("SCHILY.xattr.user.walkaway.{name}"), value.unwrap()));
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice()))).unwrap();
    archive.append_data(&mut header, PLACE, BODY).unwrap();
    archive.into_inner().unwrap()
}

/// What a tar program extracts from an archive, up to where it gives up.
fn extracted(input: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut archive = tar::Archive::new(input);
    let mut members = Vec::new();
    for member in archive.entries().into_iter().flatten() {
        let Ok(mut member) = member else { break };
        let mut body = Vec::new();
        if (&mut member).take(1 << 20).read_to_end(&mut body).is_err() {
            break;
        }
        members.push((member.path_bytes().into_owned(), body));
    }
    members
}

/// An archive in which nothing is found is one from which a tar program gets this one object, and nothing else.
#[test]
fn archives() {
    let dir = TempDir::new().unwrap();
    let receipt = receipt();
    let good = archive(&receipt);
    let two = [&good[..good.len() - 1024], &good].concat();
    run("archive", [good, two], |input| {
        fs::write(dir.path().join("unit.tar"), input).unwrap();
        let meter = Meter::default();
        let interrupt = Interrupt::default();
        let reader = ReadBack { asset: "a", root: dir.path(), meter: &meter, interrupt: &interrupt, buckets: None };
        let compared = reader.compare([Ok(receipt.clone())].into_iter()).unwrap();
        let kinds: BTreeSet<_> = compared.findings.iter().map(|finding| format!("{:?}", finding.kind)).collect();
        if kinds.is_empty() {
            assert_eq!(extracted(input), [(PLACE.as_bytes().to_vec(), BODY.to_vec())]);
        }
        kinds.into_iter().collect::<Vec<_>>().join(" ")
    });
}
