//! A provider in front of moto whose exports take their time, warn and fail, as those of moto never do.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What is said of every export from now on.
#[derive(Clone, Default)]
pub struct Word {
    /// In place of moto's `complete`.
    pub status: Option<&'static str>,
    pub percent: u32,
    pub warning: Option<String>,
    pub failure: Option<String>,
    /// Every export is forgotten, as RDS does after a while.
    pub forgotten: bool,
}

/// A running provider.
pub struct Provider {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    word: Word,
    actions: Vec<String>,
}

impl Provider {
    pub fn before(moto: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = moto.trim_start_matches("http://").to_owned();
        let state = Arc::<Mutex<State>>::default();
        let seen = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let upstream = upstream.clone();
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream, &upstream, &seen));
            }
        });
        Provider { port, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn say(&self, word: Word) {
        self.state.lock().unwrap().word = word;
    }

    /// How often something was asked.
    pub fn asked(&self, action: &str) -> usize {
        self.state.lock().unwrap().actions.iter().filter(|asked| *asked == action).count()
    }
}

fn serve(mut client: TcpStream, upstream: &str, state: &Mutex<State>) -> Option<()> {
    let (head, body) = message(&mut client)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let action = text.split('&').find_map(|part| part.strip_prefix("Action="))?.to_owned();
    state.lock().unwrap().actions.push(action.clone());
    let mut server = TcpStream::connect(upstream).unwrap();
    let lines = head.lines().filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    let head: String = lines.map(|line| format!("{line}\r\n")).collect();
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    server.write_all(&body).unwrap();
    let (head, body) = message(&mut server)?;
    let body = match action.as_str() {
        "DescribeExportTasks" => rewritten(&String::from_utf8_lossy(&body), &state.lock().unwrap().word).into_bytes(),
        _ => body,
    };
    let status = head.lines().next().unwrap_or_default();
    let answer =
        format!("{status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all(answer.as_bytes()).ok()?;
    client.write_all(&body).ok()
}

/// Head and body of one message.
fn message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn rewritten(answer: &str, word: &Word) -> String {
    if word.forgotten {
        return answer.replace("<ExportTaskIdentifier>", "<ExportTaskIdentifier>another-");
    }
    let Some(status) = word.status else { return answer.to_owned() };
    let mut more = format!("<Status>{status}</Status><PercentProgress>{}</PercentProgress>", word.percent);
    for (name, text) in [("WarningMessage", &word.warning), ("FailureCause", &word.failure)] {
        if let Some(text) = text {
            more += &format!("<{name}>{text}</{name}>");
        }
    }
    answer.replace("<Status>complete</Status>", &more)
}
