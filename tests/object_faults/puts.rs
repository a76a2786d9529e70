//! A server of the target that refuses, fails, is full or away: whether one object is to blame, or all of them would be.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use aws_sdk_s3::{Client, config::retry::RetryConfig};
use walkaway::{
    domain::digest::Sha256Digest,
    restore::s3::{S3Target, Server},
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink as _},
        properties::Properties,
        receipt::{Confirmation, ObjectReceipt},
        unit::{PlacedObject, UnitId},
    },
};

use crate::support::{TempDir, block_on, client};

/// The status and the code of an answer; 200 takes what is put.
type Answer = (u16, &'static str);
const TAKEN: Answer = (200, "");

/// What the server answers to an object that is put for the so-many-eth time, and to the beginning of an upload in parts.
struct Script {
    put: fn(&str, u32) -> Answer,
    begin: fn(u32) -> Answer,
}

/// What became of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Taken,
    /// The server refuses this one.
    Refused,
    /// The server fails over this one.
    Failed,
    /// Nothing more can be put.
    End,
}

fn serve(script: Script) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::new((script, AtomicU32::new(0), AtomicU32::new(0)));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || converse(stream.unwrap(), &shared));
        }
    });
    endpoint
}

fn converse(stream: TcpStream, (script, puts, begun): &(Script, AtomicU32, AtomicU32)) {
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let mut to = stream;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
        let mut words = line.split(' ').map(str::to_owned);
        let method = words.next().unwrap();
        let target = words.next().unwrap();
        let mut length = 0;
        loop {
            let mut header = String::new();
            from.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        from.read_exact(&mut vec![0; length]).unwrap();
        let path = target.split('?').next().unwrap();
        let key = path.trim_matches('/').split_once('/').map_or("", |(_, key)| key);
        let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        let upload = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        let answered: (Answer, &str) = match method.as_str() {
            "PUT" if !key.is_empty() => ((script.put)(key, puts.fetch_add(1, SeqCst) + 1), ""),
            "POST" => ((script.begin)(begun.fetch_add(1, SeqCst) + 1), upload),
            "GET" => (TAKEN, listing),
            _ => (TAKEN, ""),
        };
        let ((status, code), body) = answered;
        let error = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>scripted</Message></Error>");
        let body = if status == 200 { body } else { &error };
        let head = format!("HTTP/1.1 {status} Scripted\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n", body.len());
        if to.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// Puts these objects as one unit.
fn put(keys: &[&str], script: Script) -> Vec<Became> {
    let directory = TempDir::new();
    let config = client(&serve(script)).config().to_builder().retry_config(RetryConfig::disabled()).build();
    let server = Server::new(Client::from_conf(config), Duration::from_secs(20));
    let target = block_on(S3Target::open(server, "files".to_owned(), directory.join("staging"), true)).unwrap();
    let unit = target.begin(&UnitId::numbered(1)).unwrap();
    let mut receipts = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let entry = ObjectEntry { key: (*key).to_owned(), size: 3, ..ObjectEntry::default() };
        let object = PlacedObject { place: format!("tree/{key}"), entry };
        let mut pending = unit.create(index, Arriving { object: &object, properties: &Properties::default() }).unwrap();
        pending.write(b"abc").unwrap();
        pending.finish().unwrap();
        let word = Confirmation::Unavailable("test".to_owned());
        let PlacedObject { entry, place } = object;
        receipts.push((index, ObjectReceipt::new(entry, place, 3, Sha256Digest::of("abc"), word)));
    }
    let mut became = vec![Became::Taken; keys.len()];
    for (index, error) in unit.commit(&mut receipts).unwrap() {
        became[index] = match error {
            SinkError::Refused { .. } => Became::Refused,
            SinkError::Failed { .. } => Became::Failed,
            _ => Became::End,
        };
    }
    became
}

fn takes(_: u32) -> Answer {
    TAKEN
}

#[test]
fn one_odd_object_costs_itself_and_a_target_that_takes_nothing_ends_the_work() {
    use Became::{End, Failed, Refused, Taken};
    type Case = (&'static str, &'static [&'static str], Script, &'static [Became]);
    let cases: [Case; 10] = [
        ("one is denied", &["a"], Script { put: |_, _| (403, "AccessDenied"), begin: takes }, &[Refused]),
        (
            "all are denied, and others would not be",
            &["a", "b"],
            Script { put: |_, _| (403, "AccessDenied"), begin: takes },
            &[Refused, Refused],
        ),
        (
            "nothing may be put",
            &["a"],
            Script { put: |_, _| (403, "AccessDenied"), begin: |_| (403, "AccessDenied") },
            &[End],
        ),
        (
            "the path is not found",
            &["a", "b"],
            Script { put: |key, _| if key == "a" { (404, "") } else { TAKEN }, begin: takes },
            &[Refused, Taken],
        ),
        (
            "the bucket is gone",
            &["a", "b"],
            Script {
                put: |key, _| if key == "a" { (404, "NoSuchBucket") } else { TAKEN },
                begin: |_| (404, "NoSuchBucket"),
            },
            &[End, Taken],
        ),
        (
            "there is no room",
            &["a", "b"],
            Script { put: |key, _| if key == "a" { (403, "QuotaExceeded") } else { TAKEN }, begin: takes },
            &[End, Taken],
        ),
        ("a header is not known", &["a"], Script { put: |_, _| (501, "NotImplemented"), begin: takes }, &[Refused]),
        (
            "the bytes broke on the way",
            &["a"],
            Script { put: |_, time| if time == 1 { (400, "BadDigest") } else { TAKEN }, begin: takes },
            &[Taken],
        ),
        ("one always fails", &["a"], Script { put: |_, _| (500, "InternalError"), begin: takes }, &[Failed]),
        (
            "objects fail for a while",
            &["a"],
            Script {
                put: |_, time| if time <= 5 { (500, "InternalError") } else { TAKEN },
                begin: |time| if time <= 2 { (500, "InternalError") } else { TAKEN },
            },
            &[Taken],
        ),
    ];
    let run = |(what, keys, script, expected): Case| {
        thread::spawn(move || {
            let became = put(keys, script);
            (became != expected).then(|| format!("{what}: {became:?}"))
        })
    };
    let running: Vec<_> = cases.into_iter().map(run).collect();
    let wrong: Vec<_> = running.into_iter().filter_map(|case| case.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
