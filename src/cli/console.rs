//! The two streams: results on stdout, everything for the person on stderr. A closed stdout ends quietly; bars on
//! stderr move out of the way of every line.

use std::{
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::options::Options;

/// How often bars are drawn, at most.
const DRAWS_PER_S: u8 = 10;

type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

/// What every command writes to.
#[derive(Clone)]
pub(super) struct Console {
    pub options: Options,
    pub out: Out,
    pub screen: Screen,
}

impl Console {
    /// The console of this process.
    pub(super) fn new(options: Options) -> Self {
        Console { options, out: Out::to(io::stdout()), screen: Screen::to(io::stderr(), options.bars) }
    }

    /// A line on stdout that is left out with --quiet.
    pub(super) fn remark(&self, text: &str) {
        if !self.options.quiet {
            self.out.line(text);
        }
    }
}

/// Takes a lock even if it is poisoned: what is guarded here is only ever shown.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// stdout. Remembers the first error and writes nothing after it.
#[derive(Clone)]
pub(super) struct Out {
    sink: Sink,
    error: Arc<Mutex<Option<io::Error>>>,
}

impl Out {
    /// Writes to `sink`.
    pub(super) fn to(sink: impl Write + Send + 'static) -> Self {
        Out { sink: Arc::new(Mutex::new(Box::new(sink))), error: Arc::default() }
    }

    /// One line.
    pub(super) fn line(&self, text: &str) {
        self.bytes_line(text.as_bytes());
    }

    /// Several lines.
    pub(super) fn lines(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.line(line));
    }

    /// A path on a line of its own, byte for byte.
    pub(super) fn path(&self, path: &Path) {
        self.bytes_line(path.as_os_str().as_encoded_bytes());
    }

    /// A value as one line of JSON.
    pub(super) fn json(&self, value: &impl serde::Serialize) {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.bytes_line(&bytes),
            Err(error) => self.fail(io::Error::other(error)),
        }
    }

    /// An object as one line of JSON, its type first.
    pub(super) fn typed(&self, kind: &'static str, value: &impl serde::Serialize) {
        self.json(&Typed { kind, value });
    }

    fn bytes_line(&self, bytes: &[u8]) {
        let mut sink = lock(&self.sink);
        if lock(&self.error).is_none()
            && let Err(error) = sink.write_all(bytes).and_then(|()| sink.write_all(b"\n")).and_then(|()| sink.flush())
        {
            self.fail(error);
        }
    }

    fn fail(&self, error: io::Error) {
        lock(&self.error).get_or_insert(error);
    }

    /// The error, if any. A closed pipe is not an error.
    pub(super) fn error(&self) -> Option<String> {
        let error = lock(&self.error);
        error.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(ToString::to_string)
    }
}

#[derive(serde::Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

/// stderr, with or without bars. Errors in writing are ignored: there is nowhere left to report them.
#[derive(Clone)]
pub(super) struct Screen {
    sink: Sink,
    bars: Option<MultiProgress>,
    drawn: Arc<AtomicBool>,
}

impl Screen {
    /// Writes lines to `sink`; bars, if enabled, go to the process's stderr.
    pub(super) fn to(sink: impl Write + Send + 'static, bars: bool) -> Self {
        let target = || ProgressDrawTarget::stderr_with_hz(DRAWS_PER_S);
        let bars = bars.then(|| MultiProgress::with_draw_target(target()));
        Screen { sink: Arc::new(Mutex::new(Box::new(sink))), bars, drawn: Arc::default() }
    }

    /// One line.
    pub(super) fn line(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// Several lines.
    pub(super) fn lines(&self, lines: &[String]) {
        if !lines.is_empty() {
            self.line(&lines.join("\n"));
        }
    }

    /// Whole lines, while the bars are out of the way.
    pub(super) fn write(&self, bytes: &[u8]) {
        let write = || {
            let mut sink = lock(&self.sink);
            let _ = sink.write_all(bytes).and_then(|()| sink.flush());
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Adds a bar below the others; without bars, a hidden one.
    pub(super) fn add_bar(&self) -> ProgressBar {
        let Some(bars) = &self.bars else { return ProgressBar::hidden() };
        self.drawn.store(true, Ordering::Relaxed);
        bars.add(ProgressBar::new(0))
    }

    /// Columns of the terminal that the bars are on; without one, unlimited.
    pub(super) fn columns(&self) -> usize {
        let size = self.bars.as_ref().and_then(|_| ::console::Term::stderr().size_checked());
        size.map_or(usize::MAX, |(_, columns)| usize::from(columns))
    }

    /// Leaves the bars as they are; lines come after them from now on.
    pub(super) fn end_bars(&self) {
        if let Some(bars) = &self.bars {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        // The cursor is at the end of the last bar.
        if self.drawn.swap(false, Ordering::Relaxed) {
            self.line("");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A sink that a test can read.
    #[derive(Clone, Default)]
    pub(in crate::cli) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(in crate::cli) fn text(&self) -> String {
            String::from_utf8_lossy(&lock(&self.0)).into_owned()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_stdout_is_no_error_a_full_disk_is() {
        let (closed, full) =
            (Out::to(Refusing(io::ErrorKind::BrokenPipe)), Out::to(Refusing(io::ErrorKind::StorageFull)));
        closed.line("x");
        full.line("x");
        assert_eq!(closed.error(), None);
        assert!(full.error().is_some());
    }

    #[test]
    fn json_is_one_line_with_its_type_first() {
        let captured = Captured::default();
        Out::to(captured.clone()).typed("b", &serde_json::json!({"a": "x\ny"}));
        assert_eq!(captured.text(), "{\"type\":\"b\",\"a\":\"x\\ny\"}\n");
    }
}
