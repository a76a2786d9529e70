//! Figures as inline SVG. Colors are classes of the page around them; every figure has a text alternative, and its
//! numbers are in a table beside it.

use std::fmt::Write as _;

use super::{
    phrases::{span, term},
    scope::{Fate, Scope},
    table::class,
    view::{View, in_scope},
    xml::escape,
};
use crate::{
    domain::{finding::Verdict, proof::Tier},
    words::{count, duration, percent, size, thousands},
};

const WIDTH: f64 = 720.0;

fn open(height: f64, label: &str) -> String {
    let label = escape(label);
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>")
}

fn text(out: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(words));
}

/// A piece of the coverage bar: its class, its label, its bytes.
type Piece = (String, String, u64);

/// The outcome of the bytes, as one bar: those of the whole account where it was inspected, otherwise those that were
/// copied, with the unknown beside them.
pub(super) fn coverage(view: &View) -> String {
    let (pieces, beside) = match view.scope() {
        Some(scope) => {
            let unknown = scope.unknown();
            let beside = (unknown > 0).then(|| format!("{} of unknown size", thousands(unknown)));
            (account_pieces(&scope), beside)
        }
        None => (carried_pieces(view), Some("account: unknown".to_owned())),
    };
    let words: Vec<_> = pieces.iter().map(|(_, words, _)| words.clone()).chain(beside.clone()).collect();
    let whole = if view.result.coverage.is_some() { "Bytes of the account" } else { "Bytes carried" };
    let mut out = open(34.0 + 24.0 * words.len() as f64 + 20.0, &format!("{whole}: {}", words.join(", ")));
    let room = if beside.is_some() { WIDTH - 70.0 } else { WIDTH };
    let total = pieces.iter().map(|(.., bytes)| *bytes).fold(0, u64::saturating_add).max(1);
    let mut x = 0.0;
    for (class, _, bytes) in &pieces {
        let width = *bytes as f64 / total as f64 * room;
        let _ = write!(out, "<rect x=\"{x:.1}\" y=\"6\" width=\"{width:.1}\" height=\"30\" class=\"{class}\"/>");
        x += width;
    }
    if beside.is_some() {
        let left = room + 8.0;
        let _ = write!(out, "<rect x=\"{left:.1}\" y=\"6\" width=\"60\" height=\"30\" class=\"v-unknown\"/>");
    }
    // Labels beside a bar overlap where pieces are small: they are below it, each with its mark.
    let classes = pieces.iter().map(|(class, ..)| class.as_str()).chain(beside.as_ref().map(|_| "v-unknown"));
    for (index, (class, words)) in classes.zip(&words).enumerate() {
        let y = 48.0 + 24.0 * index as f64;
        let _ = write!(out, "<rect x=\"2\" y=\"{y:.1}\" width=\"14\" height=\"14\" class=\"{class}\"/>");
        text(&mut out, [26.0, y + 12.0], "start", words);
    }
    out + "</svg>"
}

fn account_pieces(scope: &Scope) -> Vec<Piece> {
    let piece = |fate: Fate| (fate.class().to_owned(), scope.words(fate), scope.amount(fate).bytes);
    Fate::ALL.into_iter().filter(|fate| scope.has(*fate)).map(piece).collect()
}

/// The assets by outcome; what their samples left out is not tested.
fn carried_pieces(view: &View) -> Vec<Piece> {
    let all = view.sum(in_scope);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut add = |class: String, name: &str, bytes: u64| match pieces.iter_mut().find(|(_, known, _)| known == name) {
        Some((.., sum)) => *sum = sum.saturating_add(bytes),
        None => pieces.push((class, name.to_owned(), bytes)),
    };
    for asset in view.assets() {
        match (asset.verdict, asset.tier) {
            (Verdict::Pass, Tier::Sample) => add(Fate::Part.class().to_owned(), &asset.verdict_words(), asset.bytes),
            (verdict, _) => add(format!("v-{}", class(&verdict.to_string())), &asset.verdict_words(), asset.bytes),
        }
    }
    if let left @ 1.. = all.saturating_sub(view.sum(|asset| asset.bytes)) {
        add(Fate::Untested.class().to_owned(), "NOT TESTED, left by the sample", left);
    }
    let words =
        |(class, name, bytes): Piece| (class, format!("{name} {} ({})", size(bytes), percent(bytes, all)), bytes);
    pieces.into_iter().map(words).collect()
}

/// P50 and P90 against each term.
pub(super) fn exit_time(view: &View) -> String {
    let Some(time) = &view.result.exit_time else { return String::new() };
    let (Some(p50), Some(p90)) = (time.p50_ms, time.p90_ms) else { return String::new() };
    let longest = time.windows.iter().map(|window| window.limit_ms).chain([p90]).max().unwrap_or(1).max(1);
    let x = |ms: u64| 2.0 + ms as f64 / longest as f64 * (WIDTH - 4.0);
    // Names are above their bars, so that the figure shrinks with the page.
    let step = 38.0;
    let height = step * (2 + time.windows.len()) as f64 + 8.0;
    let mut out =
        open(height, &format!("Time to exit: likely {}, in one of ten exits {} or more", span(p50), span(p90)));
    for (y, label, ms, class) in [(0.0, "exit, likely", p50, "bar"), (step, "exit, one of ten", p90, "bar faint")] {
        let width = (x(ms) - 2.0).max(2.0);
        text(&mut out, [2.0, y + 16.0], "start", &format!("{label}: {}", span(ms)));
        let _ =
            write!(out, "<rect x=\"2\" y=\"{:.1}\" width=\"{width:.1}\" height=\"12\" class=\"{class}\"/>", y + 21.0);
    }
    for (index, window) in time.windows.iter().enumerate() {
        let y = step * (index + 2) as f64;
        let end = x(window.limit_ms);
        let class = if p90 <= window.limit_ms { "limit" } else { "limit missed" };
        text(&mut out, [2.0, y + 16.0], "start", &format!("{}: {}", term(&window.name), span(window.limit_ms)));
        let line = y + 27.0;
        let top = y + 21.0;
        let bottom = y + 33.0;
        let _ = write!(out, "<path d=\"M2 {line:.1}H{end:.1}M{end:.1} {top:.1}V{bottom:.1}\" class=\"{class}\"/>");
    }
    out + "</svg>"
}

/// Bytes over time.
pub(super) fn pace(view: &View) -> String {
    let points = &view.result.pace;
    let Some(last) = points.last().filter(|last| last.at_ms > 0 && last.bytes > 0) else { return String::new() };
    let x = |ms: u64| 95.0 + ms as f64 / last.at_ms as f64 * (WIDTH - 125.0);
    let y = |bytes: u64| 170.0 - bytes as f64 / last.bytes as f64 * 150.0;
    let label = format!("Bytes carried over time: {} in {}", size(last.bytes), duration(last.at_ms));
    let mut out = open(200.0, &label);
    let _ = write!(out, "<path d=\"M95 20V170H{:.1}\" class=\"axis\"/><path d=\"M95 170", WIDTH - 30.0);
    for point in points {
        let _ = write!(out, "L{:.1} {:.1}", x(point.at_ms), y(point.bytes));
    }
    out.push_str("\" class=\"line\"/>");
    text(&mut out, [87.0, 26.0], "end", &size(last.bytes));
    text(&mut out, [87.0, 174.0], "end", "0");
    text(&mut out, [95.0, 190.0], "start", "start");
    text(&mut out, [WIDTH - 30.0, 190.0], "end", &duration(last.at_ms));
    out + "</svg>"
}

/// Work and verdict of the last runs.
pub(super) fn trend(view: &View) -> String {
    let runs = view.trend();
    let longest_work = runs.iter().map(|run| run.duration_ms).max().unwrap_or_default();
    let longest_exit = runs.iter().filter_map(|run| run.exit_p90_ms).max().unwrap_or_default();
    let step = WIDTH / runs.len().max(1) as f64;
    let height = if runs.iter().any(|run| run.sampled) { 206.0 } else { 190.0 };
    let mut out = open(
        height,
        &format!(
            "The last {}: verdict, duration, and the P90 of the exit where projected",
            count(runs.len() as u64, "run", "runs")
        ),
    );
    // Many runs side by side leave no space for larger text.
    out = out.replacen("<svg ", "<svg class=\"dense\" ", 1);
    let legend = "left: duration of the drill; right: P90 of the exit, where projected; each to its own scale";
    text(&mut out, [8.0, 14.0], "start", legend);
    for (index, run) in runs.iter().enumerate() {
        let x = step * index as f64;
        let height = |ms: u64, longest: u64| (ms as f64 / longest.max(1) as f64 * 100.0).max(2.0);
        let work = height(run.duration_ms, longest_work);
        let verdict = run.verdict.to_string();
        let wide = (step * 0.3).min(40.0);
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{work:.1}\" class=\"v-{}\"/>",
            x + 8.0,
            130.0 - work,
            class(&run.verdict.words(run.sampled))
        );
        if let Some(p90) = run.exit_p90_ms.map(|ms| height(ms, longest_exit)) {
            let left = x + 12.0 + wide;
            let top = 130.0 - p90;
            let _ = write!(
                out,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{p90:.1}\" class=\"bar faint\"/>"
            );
        }
        text(&mut out, [x + 8.0, 148.0], "start", &verdict);
        text(&mut out, [x + 8.0, 164.0], "start", run.started.get(..10).unwrap_or_default());
        text(&mut out, [x + 8.0, 180.0], "start", &duration(run.duration_ms));
        // The words in full have no room beside those of the next run.
        if run.sampled {
            text(&mut out, [x + 8.0, 196.0], "start", "of a sample");
        }
    }
    out + "</svg>"
}
