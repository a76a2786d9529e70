//! The monitor of a run: programs get NDJSON, terminals bars, everything else lines, and --quiet
//! nothing.

use std::sync::Arc;

use super::{bars::Bars, console::Console, ndjson::Ndjson, plain::Plain};
use crate::{
    domain::event::{Monitor, Silent},
    evidence::result::WaiverResult,
};

/// The monitor for this console. Findings that a waiver accepts are shown as such.
pub(super) fn monitor(console: &Console, json: bool, waivers: Vec<WaiverResult>) -> Arc<dyn Monitor> {
    let screen = console.screen.clone();
    let style = console.options.stderr;
    match console.options {
        _ if json => Arc::new(Ndjson::new(console.out.clone())),
        options if options.quiet => Arc::new(Silent),
        options if options.bars => Arc::new(Bars::new(screen, style, waivers)),
        _ => Arc::new(Plain::new(screen, style, waivers)),
    }
}
