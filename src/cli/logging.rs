//! The log: tracing to stderr, between the bars. It is for finding the cause of a failure; what a run found
//! is in its bundle.

use std::{env, io};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::console::{Console, Screen};

/// Starts the log. RUST_LOG decides the level, or else the number of `-v`.
pub(super) fn start(console: &Console) {
    let options = console.options;
    let filter =
        from_environment(&console.screen).unwrap_or_else(|| EnvFilter::new(level(options.quiet, options.verbose)));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(options.stderr.color);
    // A log that another part of this process has already started stays as it is.
    let _ = log.with_writer(Lines(console.screen.clone())).try_init();
}

fn from_environment(screen: &Screen) -> Option<EnvFilter> {
    let text = env::var("RUST_LOG").ok().filter(|text| !text.is_empty())?;
    let filter = EnvFilter::try_new(&text);
    filter.inspect_err(|error| screen.line(&format!("RUST_LOG is ignored: {error}"))).ok()
}

fn level(quiet: bool, verbose: u8) -> &'static str {
    match verbose {
        0 if quiet => "error",
        0 => "warn",
        1 => "warn,walkaway=info",
        2 => "info,walkaway=debug",
        // The SDK logs its requests, including keys of objects, which may be under pseudonyms.
        _ => "debug,walkaway=trace,aws_smithy_runtime=info,aws_smithy_runtime_api=info,aws_sdk_s3=info",
    }
}

/// Writes each record as a whole.
struct Lines(Screen);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Record;

    fn make_writer(&'a self) -> Record {
        Record { screen: self.0.clone(), bytes: Vec::new() }
    }
}

/// One record, written when it is complete.
struct Record {
    screen: Screen,
    bytes: Vec<u8>,
}

impl io::Write for Record {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.screen.write(&self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_filter() {
        for verbose in 0..5 {
            assert!(EnvFilter::try_new(level(false, verbose)).is_ok());
        }
        assert_eq!(level(true, 0), "error");
    }
}
