//! The report as blocks: the same ten parts as the HTML page, for PDF.

use super::{
    document::{Block, Boxed},
    first_page::Answer,
    pdf::{Attached, Paper},
    svg,
    table::Table,
    tables::OWNERS,
    view::{
        CHECKLIST, CHECKLIST_DIGESTS, EXPORT_FILES, METHOD, NO_TERMS, NOT_PORTABLE, PARTICULARS, SUPPORTS, UNCOVERED,
        View,
    },
    xml::unescape,
};
use crate::{domain::finding::printable, words::thousands};

/// Rows of a table that are printed; the rest is in the attached result.
const ROWS_MAX: usize = 500;

/// Figures keep their classes; outside of the page they include their colors.
const COLORS: &str = "<style>text{fill:#000;font-family:'Libertinus Serif';font-size:14px}.v-pass{fill:#0b5a25}.v-fail{fill:#8e0d15}\
.v-not-run{fill:none;stroke:#6b4100;stroke-width:3;stroke-dasharray:6 4}.v-waived{fill:none;stroke:#4a2c86;stroke-width:3;stroke-dasharray:2 3}\
.v-sample{fill:#00408a;fill-opacity:.5}.v-unknown{fill:none;stroke:#444;stroke-dasharray:4 4}.c-tested{fill:#0b5a25}.c-part{fill:#0b5a25;fill-opacity:.5}.c-differs{fill:#8e0d15}\
.c-excluded{fill:#4a2c86;fill-opacity:.45}.c-untested{fill:none;stroke:#6b4100;stroke-width:3;stroke-dasharray:6 4}.c-unreadable{fill:none;stroke:#8e0d15;stroke-width:3;stroke-dasharray:2 3}.bar{fill:#00408a}.faint{fill-opacity:.55}.axis,.line,.limit{fill:none;stroke:#444}\
.line{stroke:#00408a;stroke-width:2}.limit{stroke:#0b5a25;stroke-width:2}.missed{stroke:#8e0d15;stroke-dasharray:6 3;stroke-width:3}</style>";

/// Header and footer of every page, and attachments.
pub(super) fn surroundings(view: &View, attached: Vec<Attached>) -> Paper {
    let result = view.result;
    let digest = view.bundle_digest.map_or_else(
        || "bundle digest: this copy lies in the bundle; walkaway report makes one that tells it".to_owned(),
        |digest| format!("bundle SHA-256 {digest}"),
    );
    Paper {
        title: view.title(),
        header: [view.verdict_words(), result.run.clone()],
        footer: vec![digest, format!("result.json SHA-256 {}", view.result_sha256)],
        date: result.ended.parse().unwrap_or_default(),
        attached,
    }
}

/// The report.
pub(super) fn report(view: &View) -> Vec<Block> {
    let result = view.result;
    let mut blocks = vec![
        Block::heading(1, format!("Exit drill {}", result.run)),
        Block::Banner { class: view.class(), verdict: view.verdict_words(), lines: vec![printable(&view.meaning())] },
        Block::Answers { answers: view.answers().into_iter().map(answer).collect() },
        Block::facts(&view.identification()),
        Block::heading(2, "What this does not prove"),
        Block::text(view.limits()),
        Block::List { items: result.not_proven.iter().map(|text| text.replace('`', "")).collect() },
        Block::heading(2, "2 Coverage"),
    ];
    blocks.extend(figure(svg::coverage(view)));
    blocks.extend(table("What was tested, left out, and not looked at", &view.coverage_table()));
    blocks.extend(table(UNCOVERED, &view.uncovered_table()));
    blocks.push(Block::heading(2, "3 Assets"));
    blocks.extend(table("Assets", &view.asset_table()));
    blocks.extend(list(EXPORT_FILES, view.export_files()));
    blocks.extend(list("Left out inside assets", view.left_out()));
    blocks.extend(list(PARTICULARS, view.particulars()));
    blocks.extend(list(NOT_PORTABLE, view.not_portable()));
    blocks.extend(exit(view));
    blocks.push(Block::heading(2, "5 Cost"));
    blocks.push(Block::facts(&view.cost_rows()));
    blocks.push(Block::List { items: view.cost_remarks().to_vec() });
    blocks.extend(findings(view));
    blocks.push(Block::heading(2, "7 Chain of custody"));
    blocks.push(Block::facts(&view.custody()));
    blocks.push(Block::heading(2, "8 Alternatives"));
    blocks.extend(table("Alternative providers", &view.alternative_table()));
    blocks.extend(list("Services", view.services()));
    blocks.extend(list("Triggers", result.plan.triggers.clone()));
    blocks.push(Block::heading(2, "9 Trend"));
    // A single run is in the table.
    blocks.extend(figure(svg::trend(view)).filter(|_| view.trend().len() > 1));
    blocks.extend(table("The last runs of this playbook", &view.trend_table()));
    blocks.extend(controls(view));
    blocks
}

fn answer(answer: Answer) -> Boxed {
    let more = answer.more.map(|(more, part)| format!("and {} more: {}", thousands(more), part.place().1));
    Boxed {
        title: answer.question.to_owned(),
        number: printable(&answer.number),
        text: printable(&answer.sentence.replace('`', "")),
        items: answer.items.iter().map(|item| printable(item)).chain(more).collect(),
        weighs: answer.weighs,
    }
}

fn exit(view: &View) -> Vec<Block> {
    let mut blocks = vec![Block::heading(2, "4 Time to exit")];
    let refused = view.result.exit_time.as_ref().is_some_and(|time| !time.refused.is_empty());
    let sentence = view.exit_sentence();
    blocks.push(if refused { Block::Warning { text: sentence } } else { Block::text(sentence) });
    blocks.extend(figure(svg::exit_time(view)));
    if view.windows().is_empty() {
        blocks.push(Block::text(NO_TERMS))
    } else {
        blocks.extend(table("Against the terms", &view.window_table()))
    }
    blocks.extend(table("What it rests on", &view.class_table()));
    blocks.extend(figure(svg::pace(view)));
    blocks.push(Block::text(METHOD));
    blocks
}

fn findings(view: &View) -> Vec<Block> {
    let mut blocks = vec![Block::heading(2, "6 Deviations, waivers, findings")];
    blocks.extend(table("Findings of this run", &view.finding_table()));
    if view.lacks_owners() {
        blocks.push(Block::text(OWNERS));
    }
    blocks.extend(table("Waivers", &view.waiver_table()));
    blocks.extend(table("Thresholds", &view.threshold_table()));
    match view.followed_up() {
        Some(followed) => blocks.extend(table("Findings of the run before", &followed)),
        None => blocks.push(Block::text("No run before is named, so nothing can be followed up.")),
    }
    blocks
}

fn controls(view: &View) -> Vec<Block> {
    let mut blocks = vec![Block::heading(2, "10 Controls and evidence")];
    if view.result.plan.controls.is_empty() {
        blocks.push(Block::text("The playbook names no controls."))
    } else {
        blocks.push(Block::text(format!("{}. {SUPPORTS}", view.result.plan.controls.join(", "))))
    }
    blocks.extend(table("Evidence", &view.evidence_table()));
    if !view.checklist.is_empty() {
        blocks.extend(table(CHECKLIST, &view.checklist_table()));
        blocks.push(Block::text(CHECKLIST_DIGESTS));
    }
    blocks
}

fn list(what: &str, items: Vec<String>) -> Vec<Block> {
    if items.is_empty() { Vec::new() } else { vec![Block::heading(3, what), Block::List { items }] }
}

fn figure(svg: String) -> Option<Block> {
    let (open, rest) = svg.split_once('>')?;
    let open = open.replace("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ");
    let title = rest.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let alt = unescape(title.map_or("", |(title, _)| title));
    Some(Block::Figure { svg: format!("{open}>{COLORS}{rest}"), alt })
}

fn table(what: &str, table: &Table) -> Vec<Block> {
    if table.rows.is_empty() {
        return vec![Block::text(format!("{what}: none."))];
    }
    let mut blocks = vec![Block::heading(3, what), Block::table(table, ROWS_MAX)];
    if let Some(more @ 1..) = table.rows.len().checked_sub(ROWS_MAX) {
        let text = format!("{more} more rows are not printed: the result.json that is attached has them.");
        blocks.push(Block::Warning { text });
    }
    blocks
}
