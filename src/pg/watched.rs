//! The general client's connection, watched: the wait for its server ends when [`Waiting`] says so.
//!
//! The client accepts a custom stream only from its TLS connector. Without TLS, one that adds nothing is used.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::{BoxFuture, FutureExt as _};
use postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Interval, MissedTickBehavior, interval},
};

use super::liveness::{TICK, Waiting};
use crate::clock::Stopwatch;

/// A client is not polled between two statements: after this many ticks, the wait is a new one.
const TICKS_BETWEEN: u32 = 8;

/// Creates what `T` creates, watched.
#[derive(Clone)]
pub(super) struct Watching<T> {
    pub inner: T,
    pub waiting: Waiting,
}

impl<T: MakeTlsConnect<Socket>> MakeTlsConnect<Socket> for Watching<T>
where
    T::TlsConnect: Send + 'static,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type TlsConnect = Watching<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        let inner = self.inner.make_tls_connect(domain)?;
        Ok(Watching { inner, waiting: self.waiting.clone() })
    }
}

impl<T: TlsConnect<Socket>> TlsConnect<Socket> for Watching<T>
where
    T::Stream: Send + 'static,
    T::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type Error = T::Error;
    type Future = BoxFuture<'static, Result<Self::Stream, Self::Error>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let Watching { inner, waiting } = self;
        let connecting = inner.connect(stream);
        async move {
            let inner = connecting.await?;
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Ok(Watched { inner, waiting, ticks, since: Stopwatch::start(), polled: None })
        }
        .boxed()
    }
}

/// A connection whose waits end.
pub(super) struct Watched<S> {
    inner: S,
    waiting: Waiting,
    ticks: Interval,
    since: Stopwatch,
    polled: Option<Stopwatch>,
}

impl<S: Unpin> Watched<S> {
    /// What a call that has to wait returns.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.polled.as_ref().is_none_or(|polled| polled.elapsed() >= TICK * TICKS_BETWEEN) {
            self.since = Stopwatch::start();
        }
        self.polled = Some(Stopwatch::start());
        while self.ticks.poll_tick(context).is_ready() {}
        match self.waiting.given_up(self.since.elapsed()) {
            Some(why) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why.to_string()))),
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_read(context, into) {
            Poll::Ready(read) => {
                self.polled = None;
                Poll::Ready(read)
            }
            Poll::Pending => self.wait(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Adds nothing to a connection.
#[derive(Clone)]
pub(super) struct PlainConnector;

impl MakeTlsConnect<Socket> for PlainConnector {
    type Stream = Plain;
    type TlsConnect = PlainConnector;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<PlainConnector> {
        Ok(PlainConnector)
    }
}

impl TlsConnect<Socket> for PlainConnector {
    type Stream = Plain;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Plain>>;

    fn connect(self, stream: Socket) -> Self::Future {
        std::future::ready(Ok(Plain(stream)))
    }
}

/// A connection without TLS.
pub(super) struct Plain(Socket);

impl AsyncRead for Plain {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl TlsStream for Plain {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}
