//! A blocking connection for bulk rows: PostgreSQL's protocol 3.0 as far as COPY and plain statements need it.
//!
//! The general client passes every row of a COPY through queues and futures; for millions of rows, that costs more
//! than hashing them. Here rows are read from the socket's buffer in place, and a silent server is detected, because
//! every read and write of a COPY has a limit (PostgreSQL documentation, "Frontend/Backend Protocol").

mod auth;
pub(super) mod connect;
pub(super) mod login;
mod message;
mod socket;

use std::time::Duration;

pub use message::WireError;

pub(super) use self::message::command_rows;
use self::{message::Fields, socket::Socket};
use super::{liveness::Waiting, session};
use crate::{clock::Stopwatch, interrupt::Interrupt};

/// Bytes requested from the socket at once.
const INPUT_BYTES: usize = 256 << 10;
/// A message other than a row is never longer; a stream that claims otherwise is broken.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How long a Terminate message may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Tag and length.
const HEADER_BYTES: usize = 5;

/// What ends the wait for a server.
#[derive(Clone, Debug, Default)]
pub struct WaitLimits {
    /// How long a COPY may stall; none waits forever.
    pub stall: Option<Duration>,
    /// Ends the wait at once.
    pub interrupt: Interrupt,
}

/// A connection whose session is pinned.
pub struct Wire {
    socket: Socket,
    input: Vec<u8>,
    start: usize,
    end: usize,
    wait_limits: WaitLimits,
    waiting: Option<Waiting>,
    /// A copy was abandoned in the middle: what the stream holds now is unusable.
    broken: bool,
    greeting: Greeting,
}

/// What a server reports of itself and of the session after a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Major version, 0 where the server doesn't report it.
    pub major: u32,
    /// The process that a cancel request would name; a pooler does not report the server's.
    pub process: Option<u32>,
    /// The database accepts any bytes as text.
    pub is_raw: bool,
}

/// A message's tag, and how many bytes of it are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub tag: u8,
    pub length: usize,
}

impl Wire {
    /// A connection before login.
    fn new(socket: Socket, wait_limits: WaitLimits) -> Self {
        let input = vec![0; INPUT_BYTES];
        let greeting = Greeting::default();
        Wire { socket, input, start: 0, end: 0, wait_limits, waiting: None, broken: false, greeting }
    }

    /// Pins the settings of the session, which has to be this connection's own.
    pub(super) fn pin(&mut self) -> Result<(), WireError> {
        self.execute(&session::statements())?;
        if self.greeting.is_raw {
            self.execute(session::PASS_RAW)?;
        }
        self.wait_limits.stall = None;
        Ok(())
    }

    /// The server's major version, 0 where it doesn't report it.
    pub fn major(&self) -> u32 {
        self.greeting.major
    }

    /// What the server reported at login.
    pub(super) fn greeting(&self) -> Greeting {
        self.greeting
    }

    /// Begins a transaction that only reads, with settings that end with it; a named snapshot is adopted.
    pub fn begin_reading(&mut self, snapshot: Option<&str>) -> Result<(), WireError> {
        self.execute(&session::begin_reading(self.greeting.major, self.greeting.is_raw, snapshot))?;
        self.wait_limits.stall = None;
        Ok(())
    }

    /// From now on, waits no longer than that.
    pub fn set_wait_limits(&mut self, wait_limits: WaitLimits) {
        self.wait_limits = wait_limits;
    }

    /// From now on, gives up on a server that accepts no other connection either.
    pub(super) fn watch(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting);
    }

    /// Whether a copy was abandoned in the middle, so that nothing more can be queried.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Runs statements and returns the rows of the last that had any, as text. However long it takes: a server that
    /// counts or commits is silent for good reasons.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        let wait_limits = std::mem::take(&mut self.wait_limits.stall);
        let answer = self.ask(sql);
        self.wait_limits.stall = wait_limits;
        answer
    }

    /// Runs statements whose rows are ignored.
    pub fn execute(&mut self, sql: &str) -> Result<(), WireError> {
        self.ask(sql).map(drop)
    }

    /// The same as [`Wire::query`], with the time-out of the connection.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        self.send(b'Q', &[sql.as_bytes(), &[0]])?;
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let header = self.header()?;
            match header.tag {
                b'T' => rows.clear(),
                b'D' => {
                    let body = self.body(header)?;
                    rows.push(Fields(&body).row()?);
                    continue;
                }
                b'E' => {
                    let body = self.body(header)?;
                    refused.get_or_insert(message::server_error(&body));
                    continue;
                }
                b'Z' => {
                    self.skip(header)?;
                    return refused.map_or(Ok(rows), Err);
                }
                _ => {}
            }
            self.skip(header)?;
        }
    }

    /// Starts a COPY and waits until rows may flow; `expected` is the message that signals it.
    pub(super) fn start_copy(&mut self, sql: &str, expected: u8) -> Result<(), WireError> {
        self.send(b'Q', &[sql.as_bytes(), &[0]])?;
        loop {
            let header = self.header()?;
            match header.tag {
                tag if tag == expected => {
                    self.broken = true;
                    return self.skip(header);
                }
                b'E' => return Err(self.refusal(header)),
                b'Z' => return Err(WireError::Lost("the server did not start the copy".to_owned())),
                _ => self.skip(header)?,
            }
        }
    }

    /// The server's error, and then everything up to its readiness for the next statement.
    pub(super) fn refusal(&mut self, header: Header) -> WireError {
        let body = match self.body(header) {
            Ok(body) => message::server_error(&body),
            Err(lost) => return lost,
        };
        // A server that ends the session reports it and closes: then there is no readiness to wait for.
        self.broken = self.finish_statement(body.is_fatal()).is_err();
        body
    }

    fn finish_statement(&mut self, fatal: bool) -> Result<(), WireError> {
        if fatal {
            return Err(WireError::Lost("the session was ended".to_owned()));
        }
        loop {
            let header = self.header()?;
            self.skip(header)?;
            if header.tag == b'Z' {
                return Ok(());
            }
        }
    }

    /// Ends a copy into the server. Returns its count of accepted rows.
    pub(super) fn finish_copy_in(&mut self) -> Result<u64, WireError> {
        self.send(b'c', &[])?;
        let stall = std::mem::take(&mut self.wait_limits.stall);
        let finished = self.copy_result();
        self.wait_limits.stall = stall;
        finished
    }

    fn copy_result(&mut self) -> Result<u64, WireError> {
        let mut rows = None;
        loop {
            let header = self.header()?;
            match header.tag {
                b'C' => rows = command_rows(&self.body(header)?),
                b'E' => return Err(self.refusal(header)),
                b'Z' => {
                    self.skip(header)?;
                    self.broken = false;
                    return rows.ok_or_else(|| WireError::Lost("the server did not say what it took".to_owned()));
                }
                _ => self.skip(header)?,
            }
        }
    }

    /// The copy ended normally: the connection can be used again.
    pub(super) fn copy_ended(&mut self) {
        self.broken = false;
    }

    /// Whether the server has sent a message while receiving rows: then it has rejected them.
    pub(super) fn refused_early(&mut self) -> Result<(), WireError> {
        if self.start == self.end && !self.peek()? {
            return Ok(());
        }
        loop {
            let header = self.header()?;
            match header.tag {
                b'E' => return Err(self.refusal_of_rows(header)),
                _ => self.skip(header)?,
            }
            if self.start == self.end {
                return Ok(());
            }
        }
    }

    /// A server that ends a session sends the reason before it closes; that is more useful than the closing.
    pub(super) fn last_words(&mut self, error: WireError) -> WireError {
        if !matches!(error, WireError::Lost(_)) || self.wait_limits.interrupt.asked() {
            return error;
        }
        self.wait_limits.stall = Some(GOODBYE);
        loop {
            match self.header() {
                Ok(header) if header.tag == b'E' => return self.refusal_of_rows(header),
                Ok(header) => match self.skip(header) {
                    Ok(()) => {}
                    Err(_) => return error,
                },
                Err(_) => return error,
            }
        }
    }

    /// Readiness follows only after the end of the rows, which is never sent: the connection is abandoned.
    fn refusal_of_rows(&mut self, header: Header) -> WireError {
        match self.body(header) {
            Ok(body) => message::server_error(&body),
            Err(lost) => lost,
        }
    }

    /// Sends one message.
    pub(super) fn send(&mut self, tag: u8, parts: &[&[u8]]) -> Result<(), WireError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length + 4).map_err(|_| WireError::Lost("a message is too long".to_owned()))?;
        let mut head = [tag, 0, 0, 0, 0];
        head[1..].copy_from_slice(&length.to_be_bytes());
        self.write(&head, parts)
    }

    /// Writes everything, in as few calls as the parts allow.
    pub(super) fn write(&mut self, head: &[u8], parts: &[&[u8]]) -> Result<(), WireError> {
        let mut small = Vec::with_capacity(64);
        small.extend_from_slice(head);
        for part in parts {
            if part.len() > socket::VECTORED_BYTES_MIN {
                self.write_pair(&small, part)?;
                small.clear();
            } else {
                small.extend_from_slice(part)
            }
        }
        self.write_pair(&small, &[])
    }

    fn write_pair(&mut self, one: &[u8], other: &[u8]) -> Result<(), WireError> {
        let mut written = 0;
        let mut waiting = Stopwatch::start();
        while written < one.len() + other.len() {
            let rest = (&one[written.min(one.len())..], &other[written.saturating_sub(one.len())..]);
            match self.socket.write_some(rest.0, rest.1) {
                Ok(0) => return Err(WireError::Lost("the connection takes no more".to_owned())),
                Ok(some) => {
                    written += some;
                    waiting = Stopwatch::start();
                }
                Err(error) => self.still_waiting(&error, &waiting)?,
            }
        }
        Ok(())
    }

    /// The next message's tag and length.
    pub(super) fn header(&mut self) -> Result<Header, WireError> {
        while self.end - self.start < HEADER_BYTES {
            self.read_more()?;
        }
        let head = &self.input[self.start..self.start + HEADER_BYTES];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let tag = head[0];
        let length = length.checked_sub(4).ok_or_else(|| WireError::Lost("the stream makes no sense".to_owned()))?;
        if tag != b'd' && length > MESSAGE_BYTES_MAX {
            return Err(WireError::Lost("the stream makes no sense".to_owned()));
        }
        self.start += HEADER_BYTES;
        Ok(Header { tag, length })
    }

    /// The rest of a message.
    pub(super) fn body(&mut self, header: Header) -> Result<Vec<u8>, WireError> {
        let mut body = Vec::with_capacity(header.length.min(INPUT_BYTES));
        self.take(header.length, &mut body)?;
        Ok(body)
    }

    pub(super) fn skip(&mut self, header: Header) -> Result<(), WireError> {
        self.body(header).map(drop)
    }

    /// Appends the next `length` bytes of the stream.
    pub(super) fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), WireError> {
        let mut rest = length;
        while rest > 0 {
            if self.start == self.end {
                self.read_more()?;
            }
            let some = rest.min(self.end - self.start);
            into.extend_from_slice(&self.input[self.start..self.start + some]);
            self.start += some;
            rest -= some;
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<(), WireError> {
        self.make_room();
        let waiting = Stopwatch::start();
        loop {
            match self.socket.read_some(&mut self.input[self.end..]) {
                Ok(0) => return Err(WireError::Lost("the server closed the connection".to_owned())),
                Ok(some) => {
                    self.end += some;
                    return Ok(());
                }
                Err(error) => self.still_waiting(&error, &waiting)?,
            }
        }
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }

    /// Reads what has arrived already; false if nothing has.
    fn peek(&mut self) -> Result<bool, WireError> {
        self.make_room();
        match self.socket.read_if_ready(&mut self.input[self.end..]) {
            Ok(0) => Err(WireError::Lost("the server closed the connection".to_owned())),
            Ok(some) => {
                self.end += some;
                Ok(true)
            }
            Err(error) if socket::is_time_out(&error) => Ok(false),
            Err(error) => Err(WireError::Lost(error.to_string())),
        }
    }

    /// A time-out of the socket is only an occasion to check: whether to stop, or whether it has taken too long.
    fn still_waiting(&self, error: &std::io::Error, waiting: &Stopwatch) -> Result<(), WireError> {
        if !socket::is_time_out(error) {
            return Err(WireError::Lost(error.to_string()));
        }
        if self.wait_limits.interrupt.asked() {
            return Err(WireError::Lost("interrupted".to_owned()));
        }
        match self.wait_limits.stall {
            Some(stall) if waiting.elapsed() >= stall => return Err(WireError::Stalled(stall)),
            _ => {}
        }
        let given_up = self.waiting.as_ref().and_then(|server| server.given_up(waiting.elapsed()));
        given_up.map_or(Ok(()), |why| Err(WireError::Lost(why.to_string())))
    }
}

/// Sends Terminate where possible, so that the server logs no error.
impl Drop for Wire {
    fn drop(&mut self) {
        if !self.broken {
            self.wait_limits = WaitLimits { stall: Some(GOODBYE), ..WaitLimits::default() };
            let _ = self.send(b'X', &[]);
        }
    }
}
