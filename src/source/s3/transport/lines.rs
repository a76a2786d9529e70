//! Kept-alive HTTP/1.1 connections to one server, each driven by the task whose request is on it.
//!
//! A request and its connection are polled together: a connection that has a task of its own has to be woken for every
//! answer and every piece, which for small objects costs more than all the rest of the request.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::{source::s3::error, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;

/// What failed before the head of an answer was there, in words.
#[derive(Debug)]
pub(super) struct LineError(String);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LineError {
    fn of(failed: &(dyn std::error::Error + 'static)) -> Self {
        LineError(error::chain(failed))
    }
}

/// The connections to one server; as many as there are requests at once.
pub(super) struct Lines {
    server: Uri,
    connector: HttpsConnector<HttpConnector>,
    idle: Mutex<Vec<Line>>,
}

/// One connection.
struct Line {
    sender: SendRequest<Empty<Bytes>>,
    connection: Pin<Box<Connection<Socket, Empty<Bytes>>>>,
}

impl Lines {
    /// To the server of this address; connects when the first request is sent.
    pub fn to(server: Uri) -> Result<Arc<Self>, String> {
        let secure = server.scheme_str() == Some("https");
        let config = if secure { tls::verified(None)? } else { tls::without_roots()? };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Ok(Arc::new(Lines { server, connector: connector.wrap_connector(tcp), idle: Mutex::default() }))
    }

    /// Sends a request and waits for the head of the answer. `request` is made once more if a kept connection turns out
    /// to be closed.
    pub async fn send(
        self: &Arc<Self>,
        request: impl Fn() -> Result<Request<Empty<Bytes>>, String>,
    ) -> Result<Response<LineBody>, LineError> {
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        answered.map_err(|_| LineError(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))?
    }

    async fn exchange(
        self: &Arc<Self>,
        request: impl Fn() -> Result<Request<Empty<Bytes>>, String>,
    ) -> Result<Response<LineBody>, LineError> {
        if let Some(line) = self.kept()
            && let Ok((line, answer)) = line.exchange(request().map_err(LineError)?).await
        {
            return Ok(self.answer(line, answer));
        }
        let (line, answer) = self.connect().await?.exchange(request().map_err(LineError)?).await?;
        Ok(self.answer(line, answer))
    }

    /// A kept connection that the server has not closed meanwhile, as far as that is known here.
    fn kept(&self) -> Option<Line> {
        let mut idle = self.idle();
        loop {
            let mut line = idle.pop()?;
            if line.is_open() {
                return Some(line);
            }
        }
    }

    fn answer(self: &Arc<Self>, line: Option<Line>, answer: Response<Incoming>) -> Response<LineBody> {
        answer.map(|body| LineBody { body, line, lines: Arc::clone(self) })
    }

    async fn connect(&self) -> Result<Line, LineError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.connector.clone().call(self.server.clone())).await;
        let connected = connected.map_err(|_| LineError(format!("no connection to {} in time", self.server)))?;
        let socket = connected.map_err(|failed| LineError::of(failed.as_ref()))?;
        let (sender, connection) = http1::handshake(socket).await.map_err(|failed| LineError::of(&failed))?;
        Ok(Line { sender, connection: Box::pin(connection) })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The answer's head, and the connection unless it came to its end with it.
    async fn exchange(self, request: Request<Empty<Bytes>>) -> Result<(Option<Self>, Response<Incoming>), LineError> {
        let Line { mut sender, connection } = self;
        let mut open = Some(connection);
        let answered = {
            let mut answer = std::pin::pin!(sender.send_request(request));
            let answered = std::future::poll_fn(|context| {
                if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                    return Poll::Ready(answered);
                }
                if open.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
                    // A connection at its end answers nothing more. It lets go of a request that came too late only when it
                    // is dropped.
                    open = None;
                }
                answer.as_mut().poll(context)
            });
            answered.await
        };
        let answer = answered.map_err(|failed| LineError::of(&failed))?;
        Ok((open.map(|connection| Line { sender, connection }), answer))
    }

    /// Whether it can take another request. Nobody has to be woken: the next request drives the connection on.
    fn is_open(&mut self) -> bool {
        let open = self.connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        open && self.sender.is_ready()
    }
}

/// The body of an answer. Its connection is used again once all of it was read.
pub(in crate::source::s3) struct LineBody {
    body: Incoming,
    line: Option<Line>,
    lines: Arc<Lines>,
}

impl LineBody {
    /// The next frame, the connection having been driven as far as it goes.
    fn drive(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        let body = Pin::new(&mut self.body);
        let Some(line) = &mut self.line else { return body.poll_frame(context) };
        if let Poll::Ready(frame) = body.poll_frame(context) {
            return Poll::Ready(frame);
        }
        if line.connection.as_mut().poll(context).is_ready() {
            self.line = None;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    /// Gives the connection back, if it can take another request.
    fn end(&mut self) {
        let Some(mut line) = self.line.take() else { return };
        if line.is_open() {
            self.lines.idle().push(line);
        }
    }
}

impl Drop for LineBody {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }
}

impl Stream for LineBody {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Poll::Ready(frame) = self.drive(context) else { return Poll::Pending };
            match frame {
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    if self.body.is_end_stream() {
                        self.end();
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Some(Err(failed)) => {
                    self.line = None;
                    return Poll::Ready(Some(Err(error::chain(&failed))));
                }
                None => {
                    self.end();
                    return Poll::Ready(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::Semaphore,
    };

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

    /// A server that gives these answers on each connection, one a request, and closes it then without a word.
    struct Server {
        lines: Arc<Lines>,
        connections: Arc<AtomicUsize>,
        closed: Arc<AtomicUsize>,
        may_close: Arc<Semaphore>,
    }

    impl Server {
        async fn answering(answers: &'static [&'static str]) -> Self {
            let server = Self::holding(answers).await;
            server.may_close.add_permits(Semaphore::MAX_PERMITS);
            server
        }

        /// The same, but a connection stays open after the last answer until it may be closed.
        async fn holding(answers: &'static [&'static str]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let connections = Arc::new(AtomicUsize::new(0));
            let (closed, may_close) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
            let (counted, gone, permits) = (Arc::clone(&connections), Arc::clone(&closed), Arc::clone(&may_close));
            tokio::spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    counted.fetch_add(1, Relaxed);
                    let (gone, permits) = (Arc::clone(&gone), Arc::clone(&permits));
                    tokio::spawn(async move {
                        for answer in answers {
                            let mut asked = Vec::new();
                            while !asked.ends_with(b"\r\n\r\n") {
                                asked.push(socket.read_u8().await.expect("a request"));
                            }
                            socket.write_all(answer.as_bytes()).await.expect("answered");
                        }
                        permits.acquire().await.expect("a permit").forget();
                        drop(socket);
                        gone.fetch_add(1, Relaxed);
                    });
                }
            });
            let server = format!("http://{address}").parse().expect("an address");
            Server { lines: Lines::to(server).expect("lines"), connections, closed, may_close }
        }

        async fn ask(&self, method: &'static str) -> Result<String, String> {
            let request = || Ok(Request::builder().method(method).uri("/k").body(Empty::new()).expect("a request"));
            let answer = self.lines.send(request).await.map_err(|failed| failed.to_string())?;
            let pieces: Vec<Bytes> = answer.into_body().try_collect().await?;
            Ok(String::from_utf8(pieces.concat()).expect("text"))
        }

        fn connections(&self) -> usize {
            self.connections.load(Relaxed)
        }
    }

    #[tokio::test]
    async fn a_connection_serves_one_request_after_the_other() {
        let server = Server::answering(&[WHOLE, WHOLE, WHOLE]).await;
        for _ in 0..3 {
            assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
        }
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn an_answer_whose_body_nobody_reads_gives_its_connection_back_if_it_has_none() {
        let server = Server::answering(&[HEAD, WHOLE, WHOLE]).await;
        let request = || Ok(Request::head("/k").body(Empty::new()).expect("a request"));
        drop(server.lines.send(request).await.expect("answered"));
        assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
        assert_eq!(server.connections(), 1);
        let request = || Ok(Request::get("/k").body(Empty::new()).expect("a request"));
        drop(server.lines.send(request).await.expect("answered"));
        assert_eq!(server.lines.idle().len(), 0, "a body that was not read would be taken for the next answer");
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_is_replaced() {
        let server = Server::answering(&[WHOLE]).await;
        for number in 1..=3 {
            assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
            assert_eq!(server.connections(), number);
        }
    }

    /// What was asked on such a connection is given back at once, and not waited for.
    #[tokio::test]
    async fn a_connection_that_is_closed_while_it_is_kept_is_replaced() {
        let server = Server::holding(&[WHOLE]).await;
        for number in 1..=3 {
            assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
            assert_eq!((server.connections(), server.lines.idle().len()), (number, 1));
            server.may_close.add_permits(1);
            while server.closed.load(Relaxed) < number {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whoever sees the end of a connection only together with its request is not left waiting for an answer.
    #[tokio::test]
    async fn a_request_on_a_connection_that_has_ended_is_an_error() {
        let server = Server::holding(&[WHOLE]).await;
        assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
        let line = server.lines.idle().pop().expect("the connection was kept");
        server.may_close.add_permits(1);
        while server.closed.load(Relaxed) < 1 {
            tokio::task::yield_now().await;
        }
        let request = Request::get("/k").body(Empty::new()).expect("a request");
        let answered = tokio::time::timeout(ANSWER_TIMEOUT / 4, line.exchange(request)).await;
        assert!(answered.expect("not waited for").is_err());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error_and_its_connection_is_gone() {
        let server = Server::answering(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"]).await;
        server.ask("GET").await.expect_err("two bytes are missing");
        assert_eq!(server.lines.idle().len(), 0);
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_at_once_is_an_error() {
        let server = Server::answering(&[]).await;
        server.ask("GET").await.expect_err("nobody answers");
    }
}
