//! A directory that stands in for IAM: PostgreSQL asks it whether a password is good, and it takes only tokens of IAM
//! that are made for the right login, in time. What moto can't check, this does: a token is looked at by a server.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A running directory.
pub struct Directory {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tokens: Vec<String>,
    refuses: bool,
}

impl Directory {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let seen = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &seen);
            }
        });
        Directory { port, state }
    }

    /// The tokens that were shown, in order.
    pub fn tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().tokens.clone()
    }

    /// From now on takes every token for one that has ended.
    pub fn refuse(&self) {
        self.state.lock().unwrap().refuses = true;
    }
}

/// Answers bind requests of LDAP (RFC 4511, 4.2) until the connection ends.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    while let Some(message) = element(&mut stream)? {
        let (number, request) = first(&message);
        let number = number[number.len() - 1];
        if message[0] != 0x02 || request[0] != 0x60 {
            return Ok(());
        }
        let (_, body) = tagged(request);
        let (_, after_version) = first(body);
        let (_, credentials) = first(after_version);
        let token = String::from_utf8_lossy(tagged(credentials).1).into_owned();
        let mut state = state.lock().unwrap();
        let good = is_token(&token) && !state.refuses;
        state.tokens.push(token);
        let code = if good { 0 } else { 49 };
        stream.write_all(&[0x30, 0x0c, 0x02, 0x01, number, 0x61, 0x07, 0x0a, 0x01, code, 0x04, 0x00, 0x04, 0x00])?;
    }
    Ok(())
}

fn is_token(token: &str) -> bool {
    ["ledger-prod.", ":5432/?", "Action=connect", "DBUser=reader", "X-Amz-Signature=", "X-Amz-Expires=900", "rds-db"]
        .iter()
        .all(|part| token.contains(part))
}

/// The content of one whole element.
fn element(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = [0; 2];
    if stream.read_exact(&mut head).is_err() {
        return Ok(None);
    }
    let mut length = usize::from(head[1]);
    if length >= 0x80 {
        let mut digits = vec![0; length - 0x80];
        stream.read_exact(&mut digits)?;
        length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content)?;
    Ok(Some(content))
}

/// The content of the first element, and what follows it.
fn first(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = extent(bytes);
    (&bytes[head..head + length], &bytes[head + length..])
}

fn tagged(bytes: &[u8]) -> (u8, &[u8]) {
    (bytes[0], first(bytes).0)
}

/// How long an element's head and content are.
fn extent(bytes: &[u8]) -> (usize, usize) {
    let short = usize::from(bytes[1]);
    if short < 0x80 {
        return (2, short);
    }
    let digits = short - 0x80;
    (2 + digits, bytes[2..2 + digits].iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
}
