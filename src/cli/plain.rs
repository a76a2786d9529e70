//! The monitor for logs and pipes: a line with a time stamp for each notable fact, now and then one on progress.

use std::sync::Mutex;

use jiff::Timestamp;

use super::{
    console::{Screen, lock},
    pace::{Pace, Throttle},
    story::{Story, bytes_extent, has_no_extent, percent, phase_word, so_far},
    style::{Style, speed, stamp, time_left},
};
use crate::{
    clock::{self, Stopwatch},
    domain::{
        event::{Event, Monitor, Phase, Progress},
        finding::printable,
    },
    evidence::result::WaiverResult,
};

/// A line on progress is written at most this often for each asset.
const PROGRESS_EVERY_MS: u64 = 30_000;

/// Lines on stderr.
pub(super) struct Plain {
    screen: Screen,
    watch: Stopwatch,
    heard: Mutex<Heard>,
}

struct Heard {
    story: Story,
    throttle: Throttle,
    paces: Vec<(String, Phase, Pace)>,
}

impl Plain {
    pub(super) fn new(screen: Screen, style: Style, waivers: Vec<WaiverResult>) -> Self {
        let story = Story::new(style, waivers);
        let heard = Heard { story, throttle: Throttle::patient(PROGRESS_EVERY_MS), paces: Vec::new() };
        Plain { screen, watch: Stopwatch::start(), heard: Mutex::new(heard) }
    }

    fn progress_at(&self, at: Timestamp, now_ms: u64, progress: &Progress) {
        let line = lock(&self.heard).progress(now_ms, progress);
        if let Some(line) = line {
            self.screen.line(&format!("{}  {line}", stamp(at)));
        }
    }
}

impl Monitor for Plain {
    fn fact(&self, at: Timestamp, event: &Event) {
        let lines = lock(&self.heard).fact(at, event);
        let stamped: Vec<String> = lines.iter().map(|line| format!("{}  {line}", stamp(at))).collect();
        self.screen.lines(&stamped);
    }

    fn progress(&self, progress: &Progress) {
        self.progress_at(clock::now(), self.watch.elapsed_ms(), progress);
    }
}

impl Heard {
    fn fact(&mut self, at: Timestamp, event: &Event) -> Vec<String> {
        self.story.hear(at, event);
        let mut lines = self.story.alarms(event);
        lines.extend(self.story.news(at, event));
        lines
    }

    fn progress(&mut self, now_ms: u64, progress: &Progress) -> Option<String> {
        let passes = self.throttle.passes(&progress.asset, now_ms);
        let pace = self.pace(progress);
        pace.note(now_ms, progress.bytes);
        let (ahead, elapsed_ms) = passes.then(|| (ahead(pace, progress), pace.elapsed_ms(now_ms)))?;
        if has_no_extent(progress) {
            let asset = printable(&progress.asset);
            let phase = phase_word(progress.phase);
            return Some(format!("{asset}: {phase}, {}", so_far(elapsed_ms)));
        }
        let done = format!("{} {} %", phase_word(progress.phase), percent(progress));
        let parts = [done, bytes_extent(progress), self.story.items_extent(progress), ahead];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Some(format!("{}: {}", printable(&progress.asset), parts.join(", ")))
    }

    fn pace(&mut self, progress: &Progress) -> &mut Pace {
        let known = self.paces.iter().position(|(asset, ..)| *asset == progress.asset);
        let place = known.unwrap_or(self.paces.len());
        if known.is_none() {
            self.paces.push((progress.asset.clone(), progress.phase, Pace::default()));
        }
        let (_, phase, pace) = &mut self.paces[place];
        if *phase != progress.phase {
            (*phase, *pace) = (progress.phase, Pace::default());
        }
        pace
    }
}

/// Rate and time left, where there are any.
pub(super) fn ahead(pace: &Pace, progress: &Progress) -> String {
    let rest = progress.bytes_total.saturating_sub(progress.bytes);
    let left = pace.left_ms(rest).filter(|_| rest > 0).map(|ms| format!("{} left", time_left(ms)));
    let parts = [pace.per_s().map(speed), left];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{console::tests::Captured, sample},
        domain::event::AssetKind,
    };

    #[test]
    fn facts_and_rare_progress_become_stamped_lines() {
        let captured = Captured::default();
        let plain = Plain::new(Screen::to(captured.clone(), false), Style::default(), Vec::new());
        let epoch = Timestamp::UNIX_EPOCH;
        plain.fact(epoch, &Event::AssetStarted { asset: "files".into(), kind: AssetKind::S3 });
        for s in 0..=45 {
            let progress = Progress {
                asset: "files".into(),
                phase: Phase::Transfer,
                items: s,
                items_total: 60,
                bytes: s << 20,
                bytes_total: 60 << 20,
            };
            plain.progress_at(epoch, s * 1000, &progress);
        }
        assert_eq!(
            captured.text(),
            "1970-01-01T00:00:00Z  files: started (bucket)\n\
             1970-01-01T00:00:00Z  files: transfer 50 %, 30 MiB / 60 MiB, 30 / 60 objects, 1.0 MiB/s, 30 s left\n"
        );
    }

    #[test]
    fn a_rebuild_tells_the_time_that_went_by_and_nothing_that_is_not_known() {
        let captured = Captured::default();
        let plain = Plain::new(Screen::to(captured.clone(), false), Style::default(), Vec::new());
        [5_000, 36_000].iter().for_each(|now_ms| plain.progress_at(Timestamp::UNIX_EPOCH, *now_ms, &sample::rebuild()));
        assert_eq!(captured.text(), "1970-01-01T00:00:00Z  shop: rebuild, 31 s so far\n");
    }
}
