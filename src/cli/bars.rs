//! The monitor for terminals: one line with a bar for each asset, findings above them as they come.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::{
    console::{Screen, lock},
    pace::{Pace, Throttle},
    plain::ahead,
    story::{Story, bytes_extent, has_no_extent, percent, phase_word, so_far},
    style::{Paint, Style},
};
use crate::{
    clock::Stopwatch,
    domain::{
        event::{Event, Monitor, Phase, Progress},
        finding::printable,
    },
    evidence::result::WaiverResult,
};

/// A bar takes a new value at most this often.
const REDRAW_MS: u64 = 100;
const BAR: &str = "{prefix}  {bar:14.cyan/dim}  {wide_msg}";
const BAR_WITHOUT_COLOR: &str = "{prefix}  {bar:14}  {wide_msg}";
/// Columns of the bar with the blanks around it.
const BAR_COLUMNS: usize = 18;
const NO_BAR: &str = "{prefix}  {wide_msg}";

/// Bars on stderr.
pub(super) struct Bars {
    screen: Screen,
    style: Style,
    watch: Stopwatch,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    story: Story,
    throttle: Throttle,
    lines: Vec<Line>,
}

/// An asset's line.
struct Line {
    asset: String,
    phase: Phase,
    pace: Pace,
    bar: ProgressBar,
}

impl Bars {
    pub(super) fn new(screen: Screen, style: Style, waivers: Vec<WaiverResult>) -> Self {
        let story = Story::new(style, waivers);
        let drawn = Drawn { story, throttle: Throttle::eager(REDRAW_MS), lines: Vec::new() };
        Bars { screen, style, watch: Stopwatch::start(), drawn: Mutex::new(drawn) }
    }
}

impl Monitor for Bars {
    fn fact(&self, at: Timestamp, event: &Event) {
        let mut drawn = lock(&self.drawn);
        drawn.story.hear(at, event);
        let alarms = drawn.story.alarms(event);
        self.screen.lines(&alarms);
        match event {
            Event::AssetStarted { asset, .. } => {
                drawn.line(self, asset);
            }
            Event::AssetDone { asset, verdict, sampled, .. } => {
                let done = drawn.story.done(at, asset, (*verdict, *sampled));
                drawn.line(self, asset).finish(&done);
            }
            Event::AssetStopped { asset, .. } => {
                drawn.line(self, asset).finish(&self.style.paint(Paint::Warn, "stopped"));
            }
            _ => {}
        }
    }

    fn progress(&self, progress: &Progress) {
        let now_ms = self.watch.elapsed_ms();
        let mut drawn = lock(&self.drawn);
        if drawn.throttle.passes(&progress.asset, now_ms) {
            let items = [drawn.story.items_extent(progress), drawn.story.items_done(progress)];
            let columns = self.screen.columns();
            drawn.line(self, &progress.asset).show(progress, now_ms, &items, columns);
        }
    }
}

impl Drawn {
    fn line(&mut self, bars: &Bars, asset: &str) -> &mut Line {
        if let Some(place) = self.lines.iter().position(|line| line.asset == asset) {
            return &mut self.lines[place];
        }
        let bar = bars.screen.add_bar();
        bar.set_style(look(if bars.style.color { BAR } else { BAR_WITHOUT_COLOR }));
        self.lines.push(Line { asset: asset.to_owned(), phase: Phase::Transfer, pace: Pace::default(), bar });
        self.align();
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }

    /// Pads all names to the widest.
    fn align(&self) {
        let width = self.lines.iter().map(|line| line.asset.chars().count()).max().unwrap_or(0);
        for line in &self.lines {
            line.bar.set_prefix(format!("{:<width$}", printable(&line.asset)));
        }
    }
}

impl Line {
    fn show(&mut self, progress: &Progress, now_ms: u64, items: &[String; 2], columns: usize) {
        if self.phase != progress.phase {
            (self.phase, self.pace) = (progress.phase, Pace::default());
        }
        self.pace.note(now_ms, progress.bytes);
        let phase = phase_word(progress.phase);
        let percent = percent(progress);
        self.bar.set_length(100);
        self.bar.set_position(percent);
        if has_no_extent(progress) {
            let went_by = so_far(self.pace.elapsed_ms(now_ms));
            return self.bar.set_message(format!("{phase:<8}        {went_by}"));
        }
        let bytes = bytes_extent(progress);
        let ahead = ahead(&self.pace, progress);
        let room = columns.saturating_sub(self.bar.prefix().chars().count() + BAR_COLUMNS);
        self.bar.set_message(fitting(&format!("{phase:<8} {percent:>3} %"), &bytes, &ahead, items, room));
    }

    fn finish(&self, word: &str) {
        self.bar.set_style(look(NO_BAR));
        self.bar.abandon_with_message(word.to_owned());
    }
}

/// As much as fits. The most important comes first, and no word is cut.
fn fitting(done: &str, bytes: &str, ahead: &str, [of_all, so_many]: &[String; 2], room: usize) -> String {
    let forms = [
        format!("{done}  {bytes:<19}  {ahead:<21}  {of_all}"),
        format!("{done}  {bytes:<19}  {ahead:<21}  {so_many}"),
        format!("{done}  {bytes}  {ahead}  {so_many}"),
        format!("{done}  {bytes:<19}  {ahead}"),
        format!("{done}  {bytes}"),
    ];
    forms.into_iter().find(|form| form.chars().count() <= room).unwrap_or_else(|| done.to_owned())
}

/// A template that doesn't parse would be a bug in this file; the test below finds it.
fn look(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{console::tests::Captured, sample},
        domain::{digest::Sha256Digest, event::AssetKind, finding::Verdict},
    };

    #[test]
    fn the_templates_parse() {
        for template in [BAR, BAR_WITHOUT_COLOR, NO_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn a_line_has_whole_words_on_every_terminal() {
        let items = ["412,220 / 968,519 rows", "412,220 rows"].map(str::to_owned);
        let line = |columns: usize| {
            let room = columns - "shop".len() - BAR_COLUMNS;
            let line = fitting("transfer  25 %", "23 MiB / 91 MiB", "32 MiB/s, 3 s left", &items, room);
            assert!(line.chars().count() <= room, "{line}");
            line
        };
        assert!(line(120).ends_with("  412,220 / 968,519 rows"));
        assert!(line(100).ends_with("3 s left     412,220 rows"), "{}", line(100));
        assert_eq!(line(80), "transfer  25 %  23 MiB / 91 MiB      32 MiB/s, 3 s left");
        assert_eq!(line(40), "transfer  25 %");
    }

    #[test]
    fn a_rebuild_shows_the_time_that_went_by() {
        let bars = Bars::new(Screen::to(Captured::default(), false), Style::default(), Vec::new());
        let mut drawn = lock(&bars.drawn);
        let line = drawn.line(&bars, "shop");
        [1_000, 13_000].iter().for_each(|now_ms| line.show(&sample::rebuild(), *now_ms, &Default::default(), 100));
        assert_eq!(line.bar.message(), "rebuild         12 s so far");
    }

    #[test]
    fn a_line_shows_progress_and_ends_with_the_verdict() {
        let bars = Bars::new(Screen::to(Captured::default(), false), Style::default(), Vec::new());
        let epoch = Timestamp::UNIX_EPOCH;
        bars.fact(epoch, &Event::AssetStarted { asset: "files".into(), kind: AssetKind::S3 });
        let asset = "files".to_owned();
        bars.progress(&Progress {
            asset,
            phase: Phase::Verify,
            items: 1,
            items_total: 2,
            bytes: 1024,
            bytes_total: 2048,
        });
        let message = || lock(&bars.drawn).lines[0].bar.message();
        assert_eq!(message(), "verify    50 %  1.0 KiB / 2.0 KiB                           1 / 2 objects");
        let outcome_sha256 = Sha256Digest([0; 32]);
        bars.fact(
            epoch,
            &Event::AssetDone { asset: "files".into(), verdict: Verdict::Pass, outcome_sha256, sampled: false },
        );
        assert_eq!(message(), "PASS in 0 ms");
    }
}
