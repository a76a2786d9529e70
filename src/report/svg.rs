//! Figures as inline SVG. Colors are classes of the page around them; every figure says in words what it shows, and its
//! numbers stand in a table beside it.

use std::fmt::Write as _;

use super::{table::class, view::View, xml::escape};
use crate::words::{duration, size};

const WIDTH: f64 = 720.0;

fn open(height: f64, label: &str) -> String {
    let label = escape(label);
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>")
}

fn text(out: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(words));
}

/// What became of the bytes: one bar, and the unknown beside it.
pub(super) fn coverage(view: &View) -> String {
    let parts = view.coverage();
    let total = parts.iter().map(|(.., bytes)| *bytes).fold(0, u64::saturating_add).max(1);
    let room = WIDTH - 150.0;
    let words: Vec<_> = parts.iter().map(|(label, _, bytes)| format!("{label} {}", size(*bytes))).collect();
    let mut out =
        open(84.0, &format!("Bytes carried: {}; what else lies in the account stands in the table", words.join(", ")));
    let mut x = 0.0;
    for (label, class, bytes) in &parts {
        let width = *bytes as f64 / total as f64 * room;
        let _ = write!(out, "<rect x=\"{x:.1}\" y=\"10\" width=\"{width:.1}\" height=\"34\" class=\"v-{class}\"/>");
        if width > 70.0 {
            text(&mut out, [x + 4.0, 62.0], "start", &format!("{label} {}", size(*bytes)));
        }
        x += width;
    }
    let _ = write!(out, "<rect x=\"{:.1}\" y=\"10\" width=\"140\" height=\"34\" class=\"v-unknown\"/>", room + 10.0);
    text(&mut out, [room + 14.0, 62.0], "start", "the account: see the table");
    out + "</svg>"
}

/// P50 and P90 against each term.
pub(super) fn exit_time(view: &View) -> String {
    let Some(time) = &view.result.exit_time else { return String::new() };
    let (Some(p50), Some(p90)) = (time.p50_ms, time.p90_ms) else { return String::new() };
    let longest = time.windows.iter().map(|window| window.limit_ms).chain([p90]).max().unwrap_or(1).max(1);
    let x = |ms: u64| 150.0 + ms as f64 / longest as f64 * (WIDTH - 270.0);
    let height = 70.0 + 30.0 * time.windows.len() as f64;
    let mut out = open(height, &format!("Time to exit: P50 {}, P90 {}", duration(p50), duration(p90)));
    for (y, label, ms, class) in [(10.0, "exit, P50", p50, "bar"), (36.0, "exit, P90", p90, "bar faint")] {
        let width = (x(ms) - 150.0).max(2.0);
        text(&mut out, [142.0, y + 15.0], "end", label);
        let _ = write!(out, "<rect x=\"150\" y=\"{y}\" width=\"{width:.1}\" height=\"20\" class=\"{class}\"/>");
        text(&mut out, [158.0 + width, y + 15.0], "start", &duration(ms));
    }
    for (index, window) in time.windows.iter().enumerate() {
        let (y, end) = (66.0 + 30.0 * index as f64, x(window.limit_ms));
        let class = if window.p90_fits == Some(true) { "limit" } else { "limit missed" };
        text(&mut out, [142.0, y + 15.0], "end", &window.name);
        let _ =
            write!(out, "<path d=\"M150 {0:.1}H{end:.1}M{end:.1} 6V{1:.1}\" class=\"{class}\"/>", y + 10.0, y + 18.0);
        text(&mut out, [end + 8.0, y + 15.0], "start", &duration(window.limit_ms));
    }
    out + "</svg>"
}

/// Bytes over time.
pub(super) fn pace(view: &View) -> String {
    let points = &view.result.pace;
    let Some(last) = points.last().filter(|last| last.at_ms > 0 && last.bytes > 0) else { return String::new() };
    let (x, y) = (
        |ms: u64| 70.0 + ms as f64 / last.at_ms as f64 * (WIDTH - 100.0),
        |bytes: u64| 170.0 - bytes as f64 / last.bytes as f64 * 150.0,
    );
    let label = format!("Bytes carried over time: {} in {}", size(last.bytes), duration(last.at_ms));
    let mut out = open(200.0, &label);
    let _ = write!(out, "<path d=\"M70 20V170H{:.1}\" class=\"axis\"/><path d=\"M70 170", WIDTH - 30.0);
    for point in points {
        let _ = write!(out, "L{:.1} {:.1}", x(point.at_ms), y(point.bytes));
    }
    out.push_str("\" class=\"line\"/>");
    text(&mut out, [62.0, 26.0], "end", &size(last.bytes));
    text(&mut out, [62.0, 174.0], "end", "0");
    text(&mut out, [70.0, 190.0], "start", "start");
    text(&mut out, [WIDTH - 30.0, 190.0], "end", &duration(last.at_ms));
    out + "</svg>"
}

/// Work and verdict of the last runs.
pub(super) fn trend(view: &View) -> String {
    let runs = view.trend();
    let longest = runs.iter().map(|run| run.exit_p90_ms.unwrap_or(run.duration_ms)).max().unwrap_or(1).max(1);
    let step = WIDTH / runs.len().max(1) as f64;
    let mut out =
        open(190.0, &format!("The last {} runs: verdict, work, and the exit's P90 where projected", runs.len()));
    for (index, run) in runs.iter().enumerate() {
        let x = step * index as f64;
        let height = |ms: u64| (ms as f64 / longest as f64 * 110.0).max(2.0);
        let (work, verdict) = (height(run.duration_ms), run.verdict.to_string());
        let wide = (step * 0.3).min(40.0);
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{work:.1}\" class=\"v-{}\"/>",
            x + 8.0,
            130.0 - work,
            class(&verdict)
        );
        if let Some(p90) = run.exit_p90_ms.map(height) {
            let (left, top) = (x + 12.0 + wide, 130.0 - p90);
            let _ = write!(
                out,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{p90:.1}\" class=\"bar faint\"/>"
            );
        }
        text(&mut out, [x + 8.0, 148.0], "start", &verdict);
        text(&mut out, [x + 8.0, 164.0], "start", run.started.get(..10).unwrap_or_default());
        text(&mut out, [x + 8.0, 180.0], "start", &duration(run.duration_ms));
    }
    out + "</svg>"
}
