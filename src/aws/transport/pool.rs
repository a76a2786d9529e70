//! A pool of kept-alive HTTP/1.1 connections to one server, each driven by the task whose request is on it.
//!
//! A request and its connection are polled together: a connection that has a task of its own has to be woken for every
//! response and every piece, which for small objects costs more than the rest of the request.

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
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::{tls, words::causes};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Headers of one response. S3 stores 2 KB of user metadata, which makes several hundred; others store more.
const HEADERS_MAX: usize = 2_000;

/// Whether a response had headers that are not valid HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HeadersLeftOut {
    #[default]
    None,
    Some,
}

/// What failed before the head of a response arrived, as text.
#[derive(Debug)]
pub(super) struct ExchangeError {
    reason: String,
    pub kind: ExchangeErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExchangeErrorKind {
    /// No response arrived.
    Unreached,
    /// A response arrived, but is not HTTP.
    Unreadable,
    /// A response arrived, but has too many headers.
    TooLarge,
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl ExchangeError {
    fn of(failed: &(dyn std::error::Error + 'static)) -> Self {
        ExchangeError::unreached(causes(failed))
    }

    fn of_exchange(failed: &hyper::Error) -> Self {
        if failed.is_parse_too_large() {
            let reason = format!("the answer has more than {HEADERS_MAX} headers, or too long ones");
            return ExchangeError { reason, kind: ExchangeErrorKind::TooLarge };
        }
        let kind = if failed.is_parse() { ExchangeErrorKind::Unreadable } else { ExchangeErrorKind::Unreached };
        ExchangeError { reason: causes(failed), kind }
    }

    fn unreached(reason: String) -> Self {
        ExchangeError { reason, kind: ExchangeErrorKind::Unreached }
    }
}

/// The connections to one server; as many as there are requests at once.
pub(super) struct ConnectionPool {
    server: Uri,
    connector: HttpsConnector<HttpConnector>,
    idle: Mutex<Vec<PooledConnection>>,
}

/// A connection between its requests, or with one in progress.
struct PooledConnection {
    sender: SendRequest<Empty<Bytes>>,
    /// Moves the bytes of the request and of its response, as far as it is polled.
    driver: Pin<Box<Connection<Socket, Empty<Bytes>>>>,
    /// Invalid headers are dropped from its responses: it serves one request only.
    lenient: bool,
}

impl ConnectionPool {
    /// To the server of this address; connects when the first request is sent.
    pub(super) fn to(server: Uri) -> Result<Arc<Self>, String> {
        let secure = server.scheme_str() == Some("https");
        let config = if secure { tls::verified(None)? } else { tls::without_roots()? };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Ok(Arc::new(ConnectionPool { server, connector: connector.wrap_connector(tcp), idle: Mutex::default() }))
    }

    /// Sends a request and waits for the head of the answer. `request` is made once more if a kept connection turns out
    /// to be closed.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: impl Fn() -> Result<Request<Empty<Bytes>>, String>,
    ) -> Result<Response<PooledBody>, ExchangeError> {
        let answered = tokio::time::timeout(RESPONSE_TIMEOUT, self.exchange(request)).await;
        answered.map_err(|_| ExchangeError::unreached(format!("no answer within {} s", RESPONSE_TIMEOUT.as_secs())))?
    }

    async fn exchange(
        self: &Arc<Self>,
        request: impl Fn() -> Result<Request<Empty<Bytes>>, String>,
    ) -> Result<Response<PooledBody>, ExchangeError> {
        let request = || request().map_err(ExchangeError::unreached);
        if let Some(connection) = self.kept()
            && let Ok((connection, answer)) = connection.exchange(request()?).await
        {
            return Ok(self.answer(connection, answer));
        }
        let strict = self.connect(false).await?.exchange(request()?).await;
        let (connection, answer) = match strict {
            // Without its invalid headers the response may still be usable; what is missing of it is recorded.
            Err(ExchangeError { kind: ExchangeErrorKind::Unreadable, .. }) => {
                let (connection, mut answer) = self.connect(true).await?.exchange(request()?).await?;
                answer.extensions_mut().insert(HeadersLeftOut::Some);
                (connection, answer)
            }
            strict => strict?,
        };
        Ok(self.answer(connection, answer))
    }

    /// A kept connection that the server has not closed meanwhile, as far as that is known here.
    fn kept(&self) -> Option<PooledConnection> {
        let mut idle = self.idle();
        loop {
            let mut connection = idle.pop()?;
            if connection.is_open() {
                return Some(connection);
            }
        }
    }

    fn answer(
        self: &Arc<Self>,
        connection: Option<PooledConnection>,
        answer: Response<Incoming>,
    ) -> Response<PooledBody> {
        answer.map(|body| PooledBody { body, connection, pool: Arc::clone(self) })
    }

    async fn connect(&self, lenient: bool) -> Result<PooledConnection, ExchangeError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.connector.clone().call(self.server.clone())).await;
        let connected =
            connected.map_err(|_| ExchangeError::unreached(format!("no connection to {} in time", self.server)))?;
        let socket = connected.map_err(|failed| ExchangeError::of(failed.as_ref()))?;
        let mut builder = Builder::new();
        builder.max_headers(HEADERS_MAX).ignore_invalid_headers_in_responses(lenient);
        let (sender, driver) = builder.handshake(socket).await.map_err(|failed| ExchangeError::of(&failed))?;
        Ok(PooledConnection { sender, driver: Box::pin(driver), lenient })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PooledConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PooledConnection {
    /// The answer's head, and the connection unless it ended with it.
    async fn exchange(
        self,
        request: Request<Empty<Bytes>>,
    ) -> Result<(Option<Self>, Response<Incoming>), ExchangeError> {
        let PooledConnection { mut sender, driver, lenient } = self;
        let mut open = Some(driver);
        let answered = {
            let mut answer = std::pin::pin!(sender.send_request(request));
            let answered = std::future::poll_fn(|context| {
                if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                    return Poll::Ready(answered);
                }
                if open.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
                    // A closed connection answers nothing more. It releases a late request only when it
                    // is dropped.
                    open = None;
                }
                answer.as_mut().poll(context)
            });
            answered.await
        };
        let answer = answered.map_err(|failed| ExchangeError::of_exchange(&failed))?;
        Ok((open.map(|driver| PooledConnection { sender, driver, lenient }), answer))
    }

    /// Whether it can take another request. No task has to be woken: the next request drives the connection.
    fn is_open(&mut self) -> bool {
        let open = self.driver.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        open && !self.lenient && self.sender.is_ready()
    }
}

/// The body of a response. Its connection is used again once all of it was read.
pub(crate) struct PooledBody {
    body: Incoming,
    connection: Option<PooledConnection>,
    pool: Arc<ConnectionPool>,
}

impl PooledBody {
    /// The next frame, the connection having been driven as far as it goes.
    fn drive(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        let body = Pin::new(&mut self.body);
        let Some(connection) = &mut self.connection else { return body.poll_frame(context) };
        if let Poll::Ready(frame) = body.poll_frame(context) {
            return Poll::Ready(frame);
        }
        if connection.driver.as_mut().poll(context).is_ready() {
            self.connection = None;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    /// Returns the connection, if it can take another request.
    fn end(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if connection.is_open() {
            self.pool.idle().push(connection);
        }
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }
}

impl Stream for PooledBody {
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
                    self.connection = None;
                    return Poll::Ready(Some(Err(causes(&failed))));
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
        pool: Arc<ConnectionPool>,
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
            let closed = Arc::new(AtomicUsize::new(0));
            let may_close = Arc::new(Semaphore::new(0));
            let counted = Arc::clone(&connections);
            let gone = Arc::clone(&closed);
            let permits = Arc::clone(&may_close);
            tokio::spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    counted.fetch_add(1, Relaxed);
                    let gone = Arc::clone(&gone);
                    let permits = Arc::clone(&permits);
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
            Server { pool: ConnectionPool::to(server).expect("a pool"), connections, closed, may_close }
        }

        async fn ask(&self, method: &'static str) -> Result<String, String> {
            let request = || Ok(Request::builder().method(method).uri("/k").body(Empty::new()).expect("a request"));
            let answer = self.pool.send(request).await.map_err(|failed| failed.to_string())?;
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
        drop(server.pool.send(request).await.expect("answered"));
        assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
        assert_eq!(server.connections(), 1);
        let request = || Ok(Request::get("/k").body(Empty::new()).expect("a request"));
        drop(server.pool.send(request).await.expect("answered"));
        assert_eq!(server.pool.idle().len(), 0, "a body that was not read would be taken for the next answer");
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
            assert_eq!((server.connections(), server.pool.idle().len()), (number, 1));
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
        let connection = server.pool.idle().pop().expect("the connection was kept");
        server.may_close.add_permits(1);
        while server.closed.load(Relaxed) < 1 {
            tokio::task::yield_now().await;
        }
        let request = Request::get("/k").body(Empty::new()).expect("a request");
        let answered = tokio::time::timeout(RESPONSE_TIMEOUT / 4, connection.exchange(request)).await;
        assert!(answered.expect("not waited for").is_err());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error_and_its_connection_is_gone() {
        let server = Server::answering(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"]).await;
        server.ask("GET").await.expect_err("two bytes are missing");
        assert_eq!(server.pool.idle().len(), 0);
    }

    #[tokio::test]
    async fn many_headers_are_read_and_too_many_are_named() {
        let headers = |count| (0..count).map(|number| format!("x-amz-meta-a{number}: 1\r\n")).collect::<String>();
        let answer = |count| &*format!("HTTP/1.1 200 OK\r\n{}content-length: 5\r\n\r\nhello", headers(count)).leak();
        let server = Server::answering(&*vec![answer(700)].leak()).await;
        assert_eq!(server.ask("GET").await.as_deref(), Ok("hello"));
        let server = Server::answering(&*vec![answer(HEADERS_MAX + 1)].leak()).await;
        let request = || Ok(Request::get("/k").body(Empty::new()).expect("a request"));
        let refused = server.pool.send(request).await.map(drop).expect_err("too many");
        assert_eq!(refused.kind, ExchangeErrorKind::TooLarge);
    }

    /// The bytes are worth more than a header that nobody can read; that there was one is not kept back.
    #[tokio::test]
    async fn a_header_that_is_no_http_is_left_out_and_said() {
        let odd = "HTTP/1.1 200 OK\r\nx-amz-meta-\u{e9}: v\r\ncontent-length: 5\r\n\r\nhello";
        let server = Server::answering(&*vec![odd].leak()).await;
        let request = || Ok(Request::get("/k").body(Empty::new()).expect("a request"));
        let answer = server.pool.send(request).await.expect("an answer");
        assert_eq!(answer.extensions().get(), Some(&HeadersLeftOut::Some));
        let pieces: Vec<Bytes> = answer.into_body().try_collect().await.expect("a body");
        assert_eq!(pieces.concat(), b"hello");
        assert_eq!(server.pool.idle().len(), 0, "such a connection is not used again");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_at_once_is_an_error() {
        let server = Server::answering(&[]).await;
        server.ask("GET").await.expect_err("nobody answers");
    }
}
