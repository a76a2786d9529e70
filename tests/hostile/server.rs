//! An S3 server that knows the truth and tells what its script makes of it: one bucket for each scenario, pages of
//! [`PAGE`] entries.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

use md5::{Digest as _, Md5};

/// Entries of a page.
pub const PAGE: usize = 20;

/// An object or version as it is.
#[derive(Clone, Debug)]
pub struct Object {
    pub key: String,
    /// Its key as the listing writes it, if that is not how it is encoded.
    pub listed: Option<&'static str>,
    pub version: Option<String>,
    pub is_latest: bool,
    pub is_marker: bool,
    pub body: Vec<u8>,
    /// The number of tags in the headers, and the document.
    pub tags: Option<(u32, &'static str)>,
}

impl Object {
    pub fn new(key: &str) -> Self {
        let body = format!("the content of {key}").into_bytes();
        let listed = None;
        let version = None;
        let tags = None;
        Object { key: key.to_owned(), listed, version, is_latest: true, is_marker: false, body, tags }
    }

    fn etag(&self) -> String {
        Md5::digest(&self.body).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn row(&self) -> String {
        let tag = match (&self.version, self.is_marker) {
            (None, _) => "Contents",
            (Some(_), false) => "Version",
            (Some(_), true) => "DeleteMarker",
        };
        let mut row = format!("<{tag}><Key>{}</Key>", self.listed.map_or_else(|| encoded(&self.key), str::to_owned));
        if let Some(version) = &self.version {
            write!(row, "<VersionId>{version}</VersionId><IsLatest>{}</IsLatest>", self.is_latest).unwrap();
        }
        row += "<LastModified>2024-05-06T07:08:09.000Z</LastModified>";
        if !self.is_marker {
            write!(row, "<ETag>&quot;{}&quot;</ETag><Size>{}</Size>", self.etag(), self.body.len()).unwrap();
        }
        row + &format!("</{tag}>")
    }
}

/// `encoding-type=url`.
pub fn encoded(key: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(byte);
    key.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What a page is asked for with.
pub struct Asked {
    /// The how manieth listing of the bucket this is: 1 is the opening one, 2 the closing one.
    pub round: u32,
    /// The how manieth time this page is asked for in the round.
    pub attempt: u32,
    /// The first entry.
    pub start: usize,
    /// It is the last page.
    pub is_last: bool,
    pub query: HashMap<String, String>,
}

/// A page before it is sent: the truth, until a script changes it.
#[derive(Clone, Debug)]
pub struct Page {
    root: &'static str,
    /// Elements before the entries.
    pub head: BTreeMap<&'static str, String>,
    pub rows: Vec<String>,
    /// The whole document, in place of the page.
    pub document: Option<String>,
    /// A namespace prefix of every element.
    pub namespace: &'static str,
    /// The end of what is sent, by the beginning of what is left out.
    pub cut_before: Option<&'static str>,
    /// HTTP/1.0 without a length: the end of the connection is the end of the answer.
    pub has_no_length: bool,
    /// Status and code of a refusal, in place of the page.
    pub refusal: Option<(u16, &'static str)>,
    pub status: u16,
}

impl Page {
    /// Refuses the question.
    pub fn refuse_if(&mut self, condition: bool) {
        if condition {
            self.refusal = Some((400, "InvalidArgument"));
        }
    }

    /// States something, in place of what is true.
    pub fn state(&mut self, name: &'static str, value: impl ToString) {
        self.head.insert(name, value.to_string());
    }

    /// Leaves out what is stated.
    pub fn withhold(&mut self, names: &[&str]) {
        self.head.retain(|name, _| !names.contains(name));
    }

    /// Claims to be the last page.
    pub fn end(&mut self) {
        self.withhold(&["NextContinuationToken", "NextKeyMarker", "NextVersionIdMarker"]);
        self.state("IsTruncated", false);
    }

    /// Changes a row, the first one that holds `of`.
    pub fn alter(&mut self, of: &str, from: &str, to: &str) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.contains(of)) {
            *row = row.replace(from, to);
        }
    }

    /// Cuts the last entry off, and everything behind it.
    pub fn cut(&mut self, is_cut: bool) {
        if is_cut {
            self.cut_before = Some(if self.root == "ListBucketResult" { "<Contents>" } else { "<Version>" });
        }
    }

    /// Names where the next page begins.
    pub fn next_if(&mut self, condition: bool, token: &str) {
        if condition {
            self.state("IsTruncated", true);
            self.state("NextContinuationToken", token);
        }
    }

    /// Another document comes in place of the page.
    pub fn replace_if(&mut self, condition: bool, document: &str) {
        if condition {
            self.document = Some(document.to_owned());
        }
    }

    fn text(&self) -> Vec<u8> {
        let head: String = self.head.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
        let page = format!("<{0}>{head}{1}</{0}>", self.root, self.rows.concat());
        let page = match self.namespace {
            "" => page,
            prefix => page
                .replace("</", "\u{1}")
                .replace('<', &format!("<{prefix}:"))
                .replace('\u{1}', &format!("</{prefix}:")),
        };
        let mut text = self.document.clone().unwrap_or_else(|| format!("<?xml version=\"1.0\"?>\n{page}"));
        if let Some(at) = self.cut_before.and_then(|cut| text.rfind(cut)) {
            text.truncate(at);
        }
        text.into_bytes()
    }
}

/// What a script does to a page.
pub type Script = fn(&Asked, &mut Page);

/// What a script does to a question for an object, and to the answer.
#[derive(Clone, Copy)]
pub struct Answers {
    /// Versions are not told apart: the first of the key is meant, and the answer does not say which it is.
    pub knows_no_version: bool,
    pub script: fn(&Object, &mut Reply),
    /// The same of the answers about tags; the how manieth question about any object's it is.
    pub tags: fn(u32, &mut Reply),
}

/// The truth.
pub const TRUE: Answers = Answers { knows_no_version: false, script: |_, _| {}, tags: |_, _| {} };

pub struct Bucket {
    pub truth: Vec<Object>,
    pub script: Script,
    pub answers: Answers,
    /// Rounds, and the attempts of each page in the current one.
    asked: Mutex<(u32, HashMap<usize, u32>)>,
    asked_for_tags: AtomicU32,
}

impl Bucket {
    pub fn new(truth: Vec<Object>, script: Script, answers: Answers) -> Self {
        Bucket { truth, script, answers, asked: Mutex::default(), asked_for_tags: AtomicU32::new(0) }
    }

    fn page(&self, name: &str, query: HashMap<String, String>) -> Page {
        let is_of_versions = query.contains_key("versions");
        let given = |name: &str| query.get(name).filter(|value| !value.is_empty()).cloned();
        let truth = &self.truth;
        let start = match (given("continuation-token"), given("start-after"), given("key-marker")) {
            (Some(token), ..) => token.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap(),
            (_, Some(after), _) => truth.iter().filter(|object| object.key <= after).count(),
            (.., Some(key)) => {
                let version = given("version-id-marker");
                let is_behind = |object: &&Object| {
                    object.key < key || object.key == key && (version.is_none() || object.version <= version)
                };
                truth.iter().filter(is_behind).count()
            }
            _ => 0,
        };
        let end = (start + PAGE).min(truth.len());
        let is_last = end == truth.len();
        let mut head = BTreeMap::from([("Name", name.to_owned()), ("MaxKeys", "1000".to_owned())]);
        head.insert("Prefix", query.get("prefix").cloned().unwrap_or_default());
        head.insert("EncodingType", "url".to_owned());
        head.insert("IsTruncated", (!is_last).to_string());
        if is_of_versions {
            head.insert("KeyMarker", given("key-marker").as_deref().map(encoded).unwrap_or_default());
            head.insert("VersionIdMarker", given("version-id-marker").unwrap_or_default());
        } else {
            head.insert("KeyCount", (end - start).to_string());
            head.extend(given("continuation-token").map(|token| ("ContinuationToken", token)));
        }
        if !is_last && is_of_versions {
            head.insert("NextKeyMarker", encoded(&truth[end - 1].key));
            head.insert("NextVersionIdMarker", truth[end - 1].version.clone().unwrap());
        } else if !is_last {
            head.insert("NextContinuationToken", format!("t{end}"));
        }
        let rows = truth[start..end].iter().map(Object::row).collect();
        let root = if is_of_versions { "ListVersionsResult" } else { "ListBucketResult" };
        let mut page = Page {
            root,
            head,
            rows,
            document: None,
            namespace: "",
            cut_before: None,
            has_no_length: false,
            refusal: None,
            status: 200,
        };
        // The question before a run is none of its listings.
        if !query.contains_key("max-keys") {
            let is_first = ["continuation-token", "start-after", "key-marker"].iter().all(|name| given(name).is_none());
            let mut asked = self.asked.lock().unwrap();
            // An attempt again is no new listing, unless the first page was left behind before.
            if is_first && (asked.0 == 0 || asked.1.len() > 1 || self.truth.len() <= PAGE) {
                *asked = (asked.0 + 1, HashMap::new());
            }
            let round = asked.0;
            let attempt = asked.1.entry(start).and_modify(|attempt| *attempt += 1).or_insert(1);
            (self.script)(&Asked { round, attempt: *attempt, start, is_last, query }, &mut page);
        }
        page
    }
}

pub struct Server {
    pub endpoint: String,
}

impl Server {
    /// Serves until the process ends.
    pub fn start(buckets: BTreeMap<String, Bucket>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let buckets = Arc::new(buckets);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let buckets = Arc::clone(&buckets);
                // A client that hangs up is no error of the server.
                thread::spawn(move || drop(converse(&buckets, stream)));
            }
        });
        Server { endpoint }
    }
}

fn converse(buckets: &BTreeMap<String, Bucket>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut to = stream.try_clone()?;
    let mut from = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ').map(str::to_owned);
        let method = words.next().unwrap();
        let target = words.next().unwrap();
        let mut if_match = None;
        loop {
            let mut header = String::new();
            from.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("if-match") {
                if_match = Some(value.trim_matches('"').to_owned());
            }
        }
        let reply = reply(buckets, &target, if_match.as_deref());
        let (version, length) = match reply.has_no_length {
            true => ("1.0", "Connection: close\r\n".to_owned()),
            false => ("1.1", format!("Content-Length: {}\r\n", reply.body.len())),
        };
        let head = format!("HTTP/{version} {} -\r\n{}{length}\r\n", reply.status, reply.head);
        let body = if method == "HEAD" { &[][..] } else { &reply.body };
        to.write_all(&[head.as_bytes(), body].concat())?;
        if reply.has_no_length {
            return Ok(());
        }
    }
}

#[derive(Default)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    has_no_length: bool,
}

impl Reply {
    /// Adds a header to the answer about one object.
    pub fn say_of(&mut self, object: &Object, key: &str, header: &str) {
        if object.key == key {
            write!(self.head, "{header}\r\n").unwrap();
        }
    }

    /// Leaves a header out.
    pub fn leave_out(&mut self, name: &str) {
        self.head = self.head.split_inclusive('\n').filter(|line| !line.starts_with(name)).collect();
    }
}

const NO_TAGS: &str = "<Tagging><TagSet/></Tagging>";

fn refusal(status: u16, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>").into_bytes();
    Reply { status, body, ..Reply::default() }
}

fn document(body: impl Into<Vec<u8>>) -> Reply {
    Reply { status: 200, head: "Content-Type: application/xml\r\n".to_owned(), body: body.into(), has_no_length: false }
}

fn reply(buckets: &BTreeMap<String, Bucket>, target: &str, if_match: Option<&str>) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: HashMap<_, _> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let path = path.strip_prefix('/').unwrap();
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let Some(bucket) = buckets.get(name) else { return refusal(404, "NoSuchBucket") };
    if key.is_empty() && (query.contains_key("list-type") || query.contains_key("versions")) {
        let page = bucket.page(name, query);
        if let Some((status, code)) = page.refusal {
            return refusal(status, code);
        }
        return Reply { status: page.status, has_no_length: page.has_no_length, ..document(page.text()) };
    }
    if key.is_empty() {
        return refusal(501, "NotImplemented");
    }
    let key = decoded(key);
    let version = query.get("versionId").filter(|_| !bucket.answers.knows_no_version);
    let is_meant = |object: &&Object| object.key == key && (version.is_none() || object.version.as_ref() == version);
    let Some(object) = bucket.truth.iter().filter(|object| !object.is_marker).find(is_meant) else {
        return refusal(404, "NoSuchKey");
    };
    if query.contains_key("tagging") {
        let mut reply = document(object.tags.map_or(NO_TAGS, |(_, document)| document));
        (bucket.answers.tags)(bucket.asked_for_tags.fetch_add(1, Relaxed) + 1, &mut reply);
        return reply;
    }
    let etag = object.etag();
    if if_match.is_some_and(|wanted| wanted != etag) {
        return refusal(412, "PreconditionFailed");
    }
    let mut head = format!("ETag: \"{etag}\"\r\nLast-Modified: Mon, 06 May 2024 07:08:09 GMT\r\n");
    if let Some((count, _)) = object.tags {
        write!(head, "x-amz-tagging-count: {count}\r\n").unwrap();
    }
    let mut reply = Reply { status: 200, head, body: object.body.clone(), has_no_length: false };
    (bucket.answers.script)(object, &mut reply);
    reply
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            plain.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(plain).unwrap()
}
