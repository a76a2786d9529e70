//! The contract of `ObjectSource`.

use std::{
    collections::BTreeSet,
    env,
    net::Ipv4Addr,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use walkaway::{
    provider::{
        aws::{Aws, AwsSettings},
        s3::S3Source,
    },
    transfer::{
        checksum::StreamDigest,
        error::SourceError,
        object::{ByteRange, ObjectEntry, ObjectSource},
        receipt::Confirmation,
    },
};

use crate::{
    contract_objects::{
        keys::{oddities, oddities_of_paths, oddities_of_xml},
        lean,
    },
    support::memory::MemorySource,
    support::{self, ACCESS_KEY, REGION, SECRET_KEY, block_on},
};

/// A provider that the cases fill.
trait Provider {
    /// An empty bucket of this name.
    fn bucket(&self, name: &str) -> Box<dyn Bucket + '_>;

    /// So many objects need more than one page.
    fn more_than_a_page(&self) -> usize;

    /// Keys beyond letters and digits, as far as this provider keeps them.
    fn awkward_keys(&self) -> Vec<String>;
}

/// A bucket, from both sides.
trait Bucket {
    fn source(&self) -> &dyn ObjectSource;

    fn put(&self, objects: &[(&str, &[u8])]);

    fn remove(&self, key: &str);
}

type Case = (&'static str, fn(&dyn Provider));

const SOURCE_CASES: [Case; 8] = [
    ("empty", an_empty_bucket_lists_nothing),
    ("pages", a_listing_of_several_pages_has_every_key_once),
    ("awkward", awkward_keys_arrive_as_they_are),
    ("bytes", open_returns_the_exact_bytes),
    ("ranges", ranges_return_exact_ranges),
    ("missing", a_missing_object_is_an_error_of_its_own),
    ("replaced", a_replaced_object_is_never_read),
    ("words", a_stated_checksum_is_confirmed_by_the_bytes),
];

fn an_empty_bucket_lists_nothing(provider: &dyn Provider) {
    let bucket = provider.bucket("empty");
    let page = block_on(bucket.source().list(None)).unwrap();
    assert_eq!((page.entries.len(), page.next), (0, None));
}

fn a_listing_of_several_pages_has_every_key_once(provider: &dyn Provider) {
    let bucket = provider.bucket("pages");
    let keys: Vec<_> = (0..provider.more_than_a_page()).map(|number| format!("d{}/{number:05}", number % 3)).collect();
    let objects: Vec<_> = keys.iter().map(|key| (key.as_str(), &b"1"[..])).collect();
    bucket.put(&objects);
    let (entries, pages) = listed(bucket.source());
    assert!(pages > 1, "everything on one page");
    assert!(entries.iter().all(|entry| entry.size == 1));
    assert_same_keys(&entries, &keys);
}

fn awkward_keys_arrive_as_they_are(provider: &dyn Provider) {
    let bucket = provider.bucket("awkward");
    let keys = provider.awkward_keys();
    let objects: Vec<_> = keys.iter().map(|key| (key.as_str(), key.as_bytes())).collect();
    bucket.put(&objects);
    let (entries, _) = listed(bucket.source());
    assert_same_keys(&entries, &keys);
    for entry in &entries {
        let bytes = read(bucket.source(), entry, None).unwrap_or_else(|error| panic!("{:?}: {error}", entry.key));
        assert_eq!(bytes, entry.key.as_bytes(), "the body of {:?}", entry.key);
    }
}

fn open_returns_the_exact_bytes(provider: &dyn Provider) {
    let bucket = provider.bucket("bytes");
    let bodies = [sample(0), sample(1), sample(300_000)];
    bucket.put(&[("0", &bodies[0]), ("1", &bodies[1]), ("2", &bodies[2])]);
    for (entry, body) in listed(bucket.source()).0.iter().zip(&bodies) {
        assert_eq!(entry.size, body.len() as u64);
        assert_eq!(block_on(bucket.source().open(entry, None)).unwrap().length, Some(entry.size));
        assert!(read(bucket.source(), entry, None).unwrap() == *body, "{} bytes differ", body.len());
    }
}

fn ranges_return_exact_ranges(provider: &dyn Provider) {
    let bucket = provider.bucket("ranges");
    let body = sample(100_001);
    bucket.put(&[("k", &body)]);
    check_ranges(bucket.source(), &body);
}

fn a_missing_object_is_an_error_of_its_own(provider: &dyn Provider) {
    let bucket = provider.bucket("missing");
    bucket.put(&[("k", b"here")]);
    let entry = only_entry(bucket.source());
    bucket.remove("k");
    for error in errors(bucket.source(), &entry) {
        assert!(matches!(error, SourceError::Changed { .. } | SourceError::NotFound { .. }), "{error:?}");
    }
}

fn a_replaced_object_is_never_read(provider: &dyn Provider) {
    let bucket = provider.bucket("replaced");
    bucket.put(&[("k", b"before")]);
    let entry = only_entry(bucket.source());
    bucket.put(&[("k", b"after.")]);
    for error in errors(bucket.source(), &entry) {
        assert!(matches!(error, SourceError::Changed { .. }), "{error:?}");
    }
    assert_eq!(read(bucket.source(), &only_entry(bucket.source()), None).unwrap(), b"after.");
}

/// All of these providers keep the MD5 of an object that was put in one piece, so there is one.
fn a_stated_checksum_is_confirmed_by_the_bytes(provider: &dyn Provider) {
    let bucket = provider.bucket("words");
    bucket.put(&[("0", b""), ("1", &sample(70_000))]);
    for entry in listed(bucket.source()).0 {
        check_checksums(bucket.source(), &entry, true);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Each implementation

#[test]
fn memory_source() {
    check_source(&MemoryProvider);
}

#[test]
fn s3_source_on_the_lean_server() {
    with_credentials("contract_objects::sources::s3_source_on_the_lean_server", || check_source(&LeanProvider));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn s3_source_on_seaweedfs() {
    with_credentials("contract_objects::sources::s3_source_on_seaweedfs", || {
        let server = support::weed();
        check_source(&ServerProvider { endpoint: server.endpoint(), awkward_keys: oddities() });
        check_beyond_the_trait(server.endpoint());
    });
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn s3_source_on_moto() {
    with_credentials("contract_objects::sources::s3_source_on_moto", || {
        let server = support::moto();
        let awkward_keys = [oddities(), oddities_of_paths()].concat();
        check_source(&ServerProvider { endpoint: server.endpoint(), awkward_keys });
        check_beyond_the_trait(server.endpoint());
    });
}

/// Runs every case, and then names all that failed.
fn check_source(provider: &dyn Provider) {
    let fails = |(_, case): &&Case| catch_unwind(AssertUnwindSafe(|| case(provider))).is_err();
    let failed: Vec<_> = SOURCE_CASES.iter().filter(fails).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "these cases failed: {failed:?}");
}

/// What only S3 has: objects in parts, prefixes, and buckets that are not there.
fn check_beyond_the_trait(endpoint: &str) {
    let parts = [sample(5 << 20), sample(1_000)];
    support::put_in_parts(endpoint, "contract-parts", "folder/k", &parts);
    support::fill_bucket(endpoint, "contract-parts", &[("beside", b"1")]);
    let source = s3_source(endpoint, "contract-parts", Some("folder/"));
    check_ranges(&source, &parts.concat());
    check_checksums(&source, &only_entry(&source), false);
    let nowhere = s3_source(endpoint, "contract-nowhere", None);
    let error = block_on(nowhere.list(None)).unwrap_err();
    assert!(matches!(error, SourceError::NotFound { .. }), "{error:?}");
}

struct MemoryProvider;

impl Provider for MemoryProvider {
    fn bucket(&self, _: &str) -> Box<dyn Bucket> {
        Box::new(MemorySource::new(7))
    }

    fn more_than_a_page(&self) -> usize {
        22
    }

    fn awkward_keys(&self) -> Vec<String> {
        [oddities(), oddities_of_paths(), oddities_of_xml()].concat()
    }
}

impl Bucket for MemorySource {
    fn source(&self) -> &dyn ObjectSource {
        self
    }

    fn put(&self, objects: &[(&str, &[u8])]) {
        objects.iter().for_each(|(key, bytes)| MemorySource::put(self, key, bytes.to_vec()));
    }

    fn remove(&self, key: &str) {
        MemorySource::remove(self, key);
    }
}

struct LeanProvider;

struct LeanBucket(Arc<lean::Bucket>, S3Source);

impl Provider for LeanProvider {
    fn bucket(&self, name: &str) -> Box<dyn Bucket> {
        let bucket = lean::Bucket::new(name, []);
        let listener = block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::clone(&bucket);
        block_on(async { drop(tokio::spawn(lean::serve(listener, served))) });
        Box::new(LeanBucket(bucket, s3_source(&endpoint, name, None)))
    }

    fn more_than_a_page(&self) -> usize {
        2_100
    }

    fn awkward_keys(&self) -> Vec<String> {
        MemoryProvider.awkward_keys()
    }
}

impl Bucket for LeanBucket {
    fn source(&self) -> &dyn ObjectSource {
        &self.1
    }

    fn put(&self, objects: &[(&str, &[u8])]) {
        objects.iter().for_each(|(key, bytes)| self.0.put(key, lean::Content::of(bytes.to_vec())));
    }

    fn remove(&self, key: &str) {
        self.0.remove(key);
    }
}

struct ServerProvider<'a> {
    endpoint: &'a str,
    awkward_keys: Vec<String>,
}

struct ServerBucket<'a> {
    endpoint: &'a str,
    name: String,
    source: S3Source,
}

impl Provider for ServerProvider<'_> {
    fn bucket(&self, name: &str) -> Box<dyn Bucket + '_> {
        let name = format!("contract-{name}");
        support::fill_bucket::<&str, &[u8]>(self.endpoint, &name, &[]);
        let source = s3_source(self.endpoint, &name, None);
        Box::new(ServerBucket { endpoint: self.endpoint, name, source })
    }

    fn more_than_a_page(&self) -> usize {
        1_010
    }

    fn awkward_keys(&self) -> Vec<String> {
        self.awkward_keys.clone()
    }
}

impl Bucket for ServerBucket<'_> {
    fn source(&self) -> &dyn ObjectSource {
        &self.source
    }

    fn put(&self, objects: &[(&str, &[u8])]) {
        support::fill_bucket(self.endpoint, &self.name, objects);
    }

    fn remove(&self, key: &str) {
        let client = support::client(self.endpoint);
        block_on(client.delete_object().bucket(&self.name).key(key).send()).unwrap();
    }
}

fn s3_source(endpoint: &str, bucket: &str, prefix: Option<&str>) -> S3Source {
    let settings = AwsSettings { s3_endpoint: Some(endpoint.to_owned()), ..AwsSettings::default() };
    S3Source::new(&block_on(Aws::load(settings)), bucket, prefix)
}

/// The SDK finds credentials in the environment, and a test can't safely change its own: the test runs itself once
/// more, in a process that begins with them.
fn with_credentials(test: &str, body: impl FnOnce()) {
    const MARK: &str = "WALKAWAY_TEST_HAS_CREDENTIALS";
    if env::var_os(MARK).is_some() {
        return body();
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).env(MARK, "1");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).env("AWS_REGION", REGION);
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = command.env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN").output().unwrap();
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && told[0].contains("1 passed"), "{}\n{}", told[0], told[1]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Tools

fn listed(source: &dyn ObjectSource) -> (Vec<ObjectEntry>, usize) {
    let mut entries = Vec::new();
    let mut pages = 0;
    let mut from = None;
    loop {
        let page = block_on(source.list(from.as_deref())).unwrap();
        entries.extend(page.entries);
        pages += 1;
        assert!(pages < 100, "the listing does not end");
        from = page.next;
        if from.is_none() {
            return (entries, pages);
        }
    }
}

fn only_entry(source: &dyn ObjectSource) -> ObjectEntry {
    let (mut entries, _) = listed(source);
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn read(source: &dyn ObjectSource, entry: &ObjectEntry, range: Option<ByteRange>) -> Result<Vec<u8>, SourceError> {
    block_on(async {
        let mut pieces = source.open(entry, range).await?.pieces;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    })
}

/// The errors of every way to read an object that isn't what was listed.
fn errors(source: &dyn ObjectSource, entry: &ObjectEntry) -> [SourceError; 3] {
    [
        read(source, entry, None).unwrap_err(),
        read(source, entry, Some(ByteRange { first: 0, last: 1 })).unwrap_err(),
        block_on(source.describe(entry)).err().unwrap(),
    ]
}

fn check_ranges(source: &dyn ObjectSource, body: &[u8]) {
    let entry = only_entry(source);
    let last = body.len() as u64 - 1;
    let middle = last / 2;
    for (first, last) in [(0, 0), (0, last), (1, last - 1), (middle, middle), (65_535, 65_536), (last, last)] {
        let range = ByteRange { first, last };
        let bytes = read(source, &entry, Some(range)).unwrap();
        assert!(bytes == body[first as usize..=last as usize], "{range:?} differs, {} bytes", bytes.len());
    }
}

fn check_checksums(source: &dyn ObjectSource, entry: &ObjectEntry, expected: bool) {
    let bytes = Bytes::from(read(source, entry, None).unwrap());
    let described = block_on(source.describe(entry)).unwrap().checksum;
    for stated in [described, block_on(source.open(entry, None)).unwrap().checksum] {
        let Ok(checksums) = stated else {
            assert!(!expected, "{}: {stated:?}", entry.key);
            continue;
        };
        let kind = checksums[0].kind;
        let mut digest = StreamDigest::new(Ok(checksums), None);
        digest.update(&bytes);
        let observed = digest.finish().expect("no thread failed");
        assert_eq!(observed.confirmation, Confirmation::Confirmed(kind));
    }
}

fn assert_same_keys(entries: &[ObjectEntry], expected: &[String]) {
    let found: BTreeSet<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let expected: BTreeSet<_> = expected.iter().map(String::as_str).collect();
    let missing = &expected - &found;
    let strange = &found - &expected;
    assert!(missing.is_empty() && strange.is_empty(), "missing {missing:?}, strange {strange:?}");
    assert_eq!(entries.len(), expected.len(), "a key was listed twice");
}

/// Bytes of which no two ranges are alike for long.
fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 251 + at) as u8).collect()
}
