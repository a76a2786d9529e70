//! 2,000 buckets and 500 snapshots behind scripted answers, page by page, with one call in five throttled.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use serde_json::{Value, json};

use crate::account::world::World;

const BUCKETS: usize = 2_000;
const BUCKETS_A_PAGE: usize = 300;
const SNAPSHOTS: usize = 500;
const SNAPSHOTS_A_PAGE: usize = 70;
/// A process that holds the inventory and no more than some answers at a time.
const RESIDENT_KIB_MAX: u64 = 200 * 1024;

/// Counts what matters about the questions.
#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    throttled: AtomicUsize,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
}

struct Request {
    path: String,
    query: String,
    body: String,
    json: bool,
}

impl Request {
    fn parameter(&self, name: &str) -> Option<String> {
        let text = if self.body.is_empty() { &self.query } else { &self.body };
        let pairs = text.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, ""))));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }
}

fn serve(counts: &Arc<Counts>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::clone(counts);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&counts);
            thread::spawn(move || converse(stream, &counts));
        }
    });
    format!("http://{address}")
}

fn converse(stream: TcpStream, counts: &Counts) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let now = counts.under_way.fetch_add(1, SeqCst) + 1;
        counts.under_way_max.fetch_max(now, SeqCst);
        let number = counts.requests.fetch_add(1, SeqCst);
        let (status, body) = if number % 5 == 3 {
            counts.throttled.fetch_add(1, SeqCst);
            throttled(&request)
        } else {
            answer(&request)
        };
        counts.under_way.fetch_sub(1, SeqCst);
        let kind = if request.json { "application/x-amz-json-1.0" } else { "application/xml" };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut length = 0;
    let mut json = false;
    let mut operation = String::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        let (name, value) = header.trim_end().split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-amz-target" => {
                json = true;
                value.trim().rsplit('.').next()?.clone_into(&mut operation);
            }
            "" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let body = if json { format!("{operation} {body}") } else { body };
    Some(Request { path: path.to_owned(), query: query.to_owned(), body, json })
}

fn throttled(request: &Request) -> (&'static str, String) {
    if request.json {
        return ("400 Bad Request", json!({"__type": "ThrottlingException", "message": "Rate exceeded"}).to_string());
    }
    if request.body.is_empty() {
        return ("503 Slow Down", "<Error><Code>SlowDown</Code><Message>slow down</Message></Error>".to_owned());
    }
    let error = "<Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error>";
    ("400 Bad Request", format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
}

fn answer(request: &Request) -> (&'static str, String) {
    if request.json {
        return ("200 OK", metrics(request).to_string());
    }
    if let Some(action) = request.parameter("Action") {
        return ("200 OK", databases(&action, request));
    }
    if request.path == "/" {
        return ("200 OK", buckets(request));
    }
    let none = |code: &str| ("404 Not Found", format!("<Error><Code>{code}</Code><Message>none</Message></Error>"));
    if request.query.contains("encryption") {
        let rule = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
            </ApplyServerSideEncryptionByDefault></Rule>";
        return ("200 OK", format!("<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>"));
    }
    if request.query.contains("list-type=2") {
        let object = "<Contents><Key>one</Key><Size>3</Size><ETag>\"900150983cd24fb0d6963f7d28e17f72\"</ETag>\
            <LastModified>2026-11-24T00:00:00.000Z</LastModified></Contents>";
        let list = format!(
            "<ListBucketResult><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>{object}</ListBucketResult>"
        );
        return ("200 OK", list);
    }
    if request.query.split('&').any(|pair| pair.split('=').next() == Some("versioning")) {
        return ("200 OK", "<VersioningConfiguration/>".to_owned());
    }
    if request.path.ends_with("/one") {
        return ("200 OK", "abc".to_owned());
    }
    none("NoSuchThing")
}

fn name(number: usize) -> String {
    format!("bucket-{number:04}")
}

fn buckets(request: &Request) -> String {
    let from: usize = request.parameter("continuation-token").map_or(0, |token| token.parse().unwrap());
    let to = (from + BUCKETS_A_PAGE).min(BUCKETS);
    let mut text = "<ListAllMyBucketsResult><Buckets>".to_owned();
    for number in from..to {
        let name = name(number);
        write!(text, "<Bucket><Name>{name}</Name><BucketRegion>eu-central-1</BucketRegion></Bucket>").unwrap();
    }
    text += "</Buckets>";
    if to < BUCKETS {
        write!(text, "<ContinuationToken>{to}</ContinuationToken>").unwrap();
    }
    text + "</ListAllMyBucketsResult>"
}

fn databases(action: &str, request: &Request) -> String {
    let mut list = match action.strip_prefix("Describe") {
        Some(list @ ("DBInstances" | "DBClusters" | "DBClusterSnapshots" | "ExportTasks")) => format!("<{list}/>"),
        _ => String::new(),
    };
    if action == "DescribeDBSnapshots" {
        let from: usize = request.parameter("Marker").map_or(0, |marker| marker.parse().unwrap());
        let to = (from + SNAPSHOTS_A_PAGE).min(SNAPSHOTS);
        for number in from..to {
            let facts = "<DBInstanceIdentifier>gone</DBInstanceIdentifier><SnapshotType>manual</SnapshotType>\
                <Encrypted>true</Encrypted><AllocatedStorage>1</AllocatedStorage>";
            let id = format!("<DBSnapshotIdentifier>snap-{number:03}</DBSnapshotIdentifier>");
            write!(list, "<DBSnapshot>{id}{facts}</DBSnapshot>").unwrap();
        }
        list = format!("<DBSnapshots>{list}</DBSnapshots>");
        if to < SNAPSHOTS {
            write!(list, "<Marker>{to}</Marker>").unwrap();
        }
    }
    let metadata = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>";
    format!("<{action}Response><{action}Result>{list}</{action}Result>{metadata}</{action}Response>")
}

fn metrics(request: &Request) -> Value {
    let (operation, body) = request.body.split_once(' ').unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    if operation == "ListMetrics" {
        let metric = |number| {
            json!({"Namespace": "AWS/S3", "MetricName": body["MetricName"],
                "Dimensions": [{"Name": "BucketName", "Value": name(number)}, {"Name": "StorageType", "Value": "S"}]})
        };
        let from: usize = body["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let to = (from + 500).min(BUCKETS);
        let metrics: Vec<_> = (from..to).map(metric).collect();
        let token = (to < BUCKETS).then(|| to.to_string());
        return json!({"Metrics": metrics, "NextToken": token});
    }
    let queries = body["MetricDataQueries"].as_array().unwrap();
    assert!(queries.len() <= 500, "{} queries", queries.len());
    let series = queries
        .iter()
        .map(|query| json!({"Id": query["Id"], "Timestamps": [1_790_000_000, 1_789_000_000], "Values": [1000.0, 7.0]}));
    json!({"MetricDataResults": series.collect::<Vec<_>>()})
}

#[test]
fn a_large_account_is_read_whole_under_throttling_in_bounded_memory() {
    let counts = Arc::new(Counts::default());
    let world = World::at(&serve(&counts));
    fs::write(
        world.home.join("drill.yaml"),
        format!(
            "version: 1\nid: drill\nprovider: {{aws: {{regions: [eu-central-1]}}}}\n\
             target: {{path: restored/}}\nassets: [{{id: one, s3: {{bucket: {}}}}}]\n\
             posture: [residency, encryption, orphan_snapshots]\n",
            name(7)
        ),
    )
    .unwrap();
    let mut command = world.command(&["plan", "--json", "drill.yaml"]);
    command.env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let peak = watch(child.id());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}{told}", String::from_utf8_lossy(&output.stderr));
    let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let account = lines.into_iter().find(|line| line["coverage"].is_object()).unwrap();
    let coverage = &account["coverage"];
    // Every orphaned snapshot counts as data of its own.
    // CloudWatch calls the bucket larger than what would be carried; it never kept versions, so that yesterday it was.
    assert_eq!((&coverage["tested"]["assets"], &coverage["partly_tested"]["assets"]), (&json!(1), &json!(0)));
    assert_eq!(coverage["untested"]["assets"].as_u64().unwrap(), (BUCKETS - 1 + SNAPSHOTS) as u64);
    assert_eq!(coverage["of_unknown_size"], 0);
    assert_eq!(coverage["untested"]["bytes"].as_u64().unwrap(), ((BUCKETS - 1) * 1000 + (SNAPSHOTS << 30)) as u64);
    let findings = account["findings"].as_array().unwrap();
    let orphans: BTreeSet<_> = findings.iter().map(|finding| finding["subject"].as_str().unwrap()).collect();
    assert_eq!(orphans.len(), SNAPSHOTS, "each snapshot once");
    assert_eq!(account["unreadable"], json!([]));

    assert!(counts.throttled.load(SeqCst) > BUCKETS / 5, "{}", counts.throttled.load(SeqCst));
    assert!(counts.under_way_max.load(SeqCst) <= 32, "{} questions at a time", counts.under_way_max.load(SeqCst));
    let peak = peak.join().unwrap();
    assert!(peak > 0 && peak < RESIDENT_KIB_MAX, "{peak} KiB");
}

/// The most memory that a process held, in KiB, as far as the kernel told before it ended.
fn watch(pid: u32) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let mut peak = 0;
        while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            match line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()) {
                Some(now) => peak = peak.max(now),
                // A process that has ended and was not waited for has no memory.
                None => break,
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
        peak
    })
}
