//! An S3 server that misbehaves as scripted: one bucket in memory, spoken to in plain HTTP/1.1, signatures not looked at.
//!
//! The script is asked at every GET of an object what becomes of the answer. Leaves out all that a copying client does
//! not ask for.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use md5::{Digest as _, Md5};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use walkaway::transfer::objects::RANGE_BYTES;

/// One GET of an object.
#[derive(Clone, Debug)]
pub struct Asked {
    pub key: String,
    /// The first byte that is asked for.
    pub first: usize,
    /// Which of the object's ranges that is in.
    pub range_number: u64,
    /// How often this range has been asked for, this time included.
    pub attempt: u32,
    /// Over all keys.
    pub number: u32,
}

/// What becomes of one answer.
#[derive(Clone, Debug)]
pub enum Act {
    Serve,
    /// This status with this code in an error document.
    Refuse(u16, &'static str),
    /// So many bytes of the body, then the end of the connection.
    Cut(usize),
    /// So many bytes of the body, then a reset.
    Reset(usize),
    /// One byte is another one.
    Flip(usize),
    /// So many bytes more than there are, announced.
    Surplus(usize),
    /// An error document with the status of a success.
    ErrorWithStatus200,
    /// In pieces of so many bytes with pauses between them.
    Slow(usize),
    /// From now on the object has other bytes.
    Replace(&'static [u8]),
    /// The server is gone for so long, and nobody is answered.
    Vanish(Duration),
}

/// A document, or a status with the code of an error document.
pub type Answer = Result<&'static str, (u16, &'static str)>;

/// What the provider says beside the bytes. Whatever isn't named here is not configured.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// More headers of an object's answers, each line with its end.
    pub headers: HashMap<&'static str, &'static str>,
    /// Sizes that the listing claims in place of the real ones.
    pub sizes: HashMap<&'static str, u64>,
    /// Answers to questions such as `?acl`: key (empty for the bucket), question, and the document or an error.
    pub answers: HashMap<(&'static str, &'static str), Answer>,
}

type Script = Box<dyn Fn(&Asked) -> Act + Send + Sync>;

/// A running server; it ends with the process.
pub struct Provider {
    pub endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    script: Script,
    beside: Beside,
    /// Until then nobody is answered.
    away: Mutex<Option<Instant>>,
    asked: Mutex<Vec<Asked>>,
    attempts: Mutex<HashMap<(String, u64), u32>>,
}

impl Provider {
    /// Serves the bucket `files` with these objects.
    pub fn start(objects: &[(&str, Vec<u8>)], script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        Provider::describing(objects, Beside::default(), script)
    }

    /// The same, with something to say beside the bytes.
    pub fn describing(
        objects: &[(&str, Vec<u8>)],
        beside: Beside,
        script: impl Fn(&Asked) -> Act + Send + Sync + 'static,
    ) -> Self {
        let objects = objects.iter().map(|(key, bytes)| ((*key).to_owned(), bytes.clone())).collect();
        let shared = Arc::new(Shared {
            objects: Mutex::new(objects),
            script: Box::new(script),
            beside,
            away: Mutex::default(),
            asked: Mutex::default(),
            attempts: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { serving.serve(TcpListener::from_std(listener).unwrap()).await });
        });
        Provider { endpoint, shared }
    }

    /// Every GET of an object so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

struct Request {
    method: String,
    target: String,
    range: Option<(usize, usize)>,
    if_match: Option<String>,
}

impl Shared {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let shared = Arc::clone(&self);
            // A client that hangs up is no error of the server.
            tokio::spawn(async move { drop(shared.converse(stream).await) });
        }
    }

    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream).await? {
            if self.is_away() {
                stream.get_mut().set_zero_linger()?;
                break;
            }
            if !self.answer(&request, stream.get_mut()).await? {
                break;
            }
        }
        Ok(())
    }

    /// Answers; whether the connection goes on.
    async fn answer(&self, request: &Request, to: &mut TcpStream) -> io::Result<bool> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let key = path.strip_prefix("/files").unwrap().trim_start_matches('/').to_owned();
        if key.is_empty() && query.contains("list-type=2") {
            return send(to, "200 OK", "Content-Type: application/xml\r\n", self.listing().as_bytes()).await;
        }
        let question = query.split(['&', '=']).next().unwrap();
        if key.is_empty() || ["acl", "tagging"].contains(&question) {
            return match self.beside.answers.iter().find(|(asked, _)| **asked == (key.as_str(), question)) {
                Some((_, Ok(answer))) => {
                    send(to, "200 OK", "Content-Type: application/xml\r\n", answer.as_bytes()).await
                }
                Some((_, Err((status, code)))) => refuse(to, *status, code).await,
                None => refuse(to, 404, "NoSuchConfiguration").await,
            };
        }
        let act = if request.method == "GET" { self.act(&key, request) } else { Act::Serve };
        if let Act::Vanish(time) = act {
            *self.away.lock().unwrap() = Some(Instant::now() + time);
            return Ok(false);
        }
        if let Act::Replace(bytes) = act {
            self.objects.lock().unwrap().insert(key.clone(), bytes.to_vec());
        }
        let Some(body) = self.objects.lock().unwrap().get(&key).cloned() else {
            return refuse(to, 404, "NoSuchKey").await;
        };
        let etag = format!("\"{}\"", hex(&Md5::digest(&body)));
        if request.if_match.as_ref().is_some_and(|wanted| *wanted != etag) {
            return refuse(to, 412, "PreconditionFailed").await;
        }
        let (status, head, slice) = match request.range {
            None => ("200 OK", String::new(), body.as_slice()),
            Some((first, last)) => {
                let head = format!("Content-Range: bytes {first}-{last}/{}\r\n", body.len());
                ("206 Partial Content", head, &body[first..=last])
            }
        };
        let beside = self.beside.headers.get(key.as_str()).copied().unwrap_or_default();
        let head = format!("ETag: {etag}\r\n{beside}{head}");
        if request.method == "HEAD" {
            let head = format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n", slice.len());
            to.write_all(head.as_bytes()).await?;
            return Ok(true);
        }
        perform(act, to, status, &head, slice).await
    }

    fn is_away(&self) -> bool {
        self.away.lock().unwrap().is_some_and(|until| Instant::now() < until)
    }

    fn act(&self, key: &str, request: &Request) -> Act {
        let first = request.range.map_or(0, |(first, _)| first);
        let range_number = first as u64 / RANGE_BYTES;
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap();
            let times = attempts.entry((key.to_owned(), range_number)).or_default();
            *times += 1;
            *times
        };
        let mut all = self.asked.lock().unwrap();
        let asked = Asked { key: key.to_owned(), first, range_number, attempt, number: all.len() as u32 + 1 };
        all.push(asked.clone());
        (self.script)(&asked)
    }

    fn listing(&self) -> String {
        let mut xml = "<?xml version=\"1.0\"?><ListBucketResult><Name>files</Name><IsTruncated>false</IsTruncated>\
                       <EncodingType>url</EncodingType>"
            .to_owned();
        for (key, bytes) in self.objects.lock().unwrap().iter() {
            let etag = hex(&Md5::digest(bytes));
            let size = self.beside.sizes.get(key.as_str()).copied().unwrap_or(bytes.len() as u64);
            write!(
                xml,
                "<Contents><Key>{key}</Key><LastModified>2026-10-01T00:00:00.000Z</LastModified>\
                 <ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
            .unwrap();
        }
        xml + "</ListBucketResult>"
    }
}

async fn perform(act: Act, to: &mut TcpStream, status: &str, head: &str, body: &[u8]) -> io::Result<bool> {
    match act {
        Act::Serve | Act::Replace(_) | Act::Vanish(_) => send(to, status, head, body).await,
        Act::Refuse(status, code) => refuse(to, status, code).await,
        Act::ErrorWithStatus200 => send(to, "200 OK", "Content-Type: application/xml\r\n", &document("SlowDown")).await,
        Act::Flip(at) => {
            let mut wrong = body.to_vec();
            wrong[at % body.len()] ^= 1;
            send(to, status, head, &wrong).await
        }
        Act::Surplus(bytes) => send(to, status, head, &[body, &vec![0; bytes]].concat()).await,
        Act::Cut(after) | Act::Reset(after) => {
            send_head(to, status, head, body.len()).await?;
            to.write_all(&body[..after.min(body.len() - 1)]).await?;
            if matches!(act, Act::Reset(_)) {
                to.set_zero_linger()?;
            }
            Ok(false)
        }
        Act::Slow(step) => {
            send_head(to, status, head, body.len()).await?;
            for piece in body.chunks(step) {
                to.write_all(piece).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(true)
        }
    }
}

async fn send(to: &mut TcpStream, status: &str, head: &str, body: &[u8]) -> io::Result<bool> {
    send_head(to, status, head, body.len()).await?;
    to.write_all(body).await?;
    Ok(true)
}

async fn send_head(to: &mut TcpStream, status: &str, head: &str, length: usize) -> io::Result<()> {
    to.write_all(format!("HTTP/1.1 {status}\r\n{head}Content-Length: {length}\r\n\r\n").as_bytes()).await
}

async fn refuse(to: &mut TcpStream, status: u16, code: &str) -> io::Result<bool> {
    send(to, &format!("{status} Refused"), "Content-Type: application/xml\r\n", &document(code)).await
}

fn document(code: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>scripted</Message></Error>").into_bytes()
}

async fn read_request(from: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let method = words.next().unwrap();
    let target = words.next().unwrap();
    let mut request = Request { method, target, range: None, if_match: None };
    loop {
        let mut header = String::new();
        from.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { return Ok(Some(request)) };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(range(value)),
            "if-match" => request.if_match = Some(value.to_owned()),
            _ => {}
        }
    }
}

fn range(value: &str) -> (usize, usize) {
    let (first, last) = value.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
