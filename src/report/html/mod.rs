//! `report.html`: one self-contained file. No network, no fonts, no images; it reads without scripts, and those it has
//! only sort and filter tables.

use std::fmt::Write as _;

use super::{
    first_page::Answer,
    svg,
    table::{Cell, Table, class},
    tables::OWNERS,
    view::{
        CHECKLIST, CHECKLIST_DIGESTS, EXPORT_FILES, METHOD, NO_TERMS, NOT_PORTABLE, PARTICULARS, SUPPORTS, UNCOVERED,
        View,
    },
    xml::escape,
};
use crate::words::thousands;

const CSS: &str = include_str!("style.css");
const JS: &str = include_str!("script.js");

/// Titles and anchors of the ten parts, in their order.
const PARTS: [(&str, &str); 10] = [
    ("verdict", "Verdict"),
    ("coverage", "Coverage"),
    ("assets", "Assets"),
    ("exit", "Time to exit"),
    ("cost", "Cost"),
    ("findings", "Deviations, waivers, findings"),
    ("custody", "Chain of custody"),
    ("alternatives", "Alternatives"),
    ("trend", "Trend"),
    ("controls", "Controls and evidence"),
];

/// The page.
pub fn html(view: &View) -> String {
    let verdict = view.verdict_words();
    let run = escape(&view.result.run);
    let class = view.class();
    let margin = format!(
        "@page{{@top-left{{content:\"{verdict}\"}}@top-right{{content:\"{run}\"}}\
         @bottom-left{{content:\"result.json {}\"}}}}",
        view.result_sha256
    );
    let bodies = [
        first(view),
        coverage(view),
        assets(view),
        exit(view),
        cost(view),
        findings(view),
        custody(view),
        alternatives(view),
        trend(view),
        controls(view),
    ];
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\" class=\"{class}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{verdict}: {run}</title>\n<style>{CSS}{margin}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#verdict\">To the verdict</a>\n\
         <header><p class=\"mark\"><b>{verdict}</b> {run}</p></header>\n<nav aria-label=\"Parts of the report\"><ol>"
    );
    for (anchor, title) in PARTS {
        let _ = write!(page, "<li><a href=\"#{anchor}\">{title}</a></li>");
    }
    page.push_str("</ol></nav>\n<main>\n");
    for ((number, (anchor, title)), body) in (1..).zip(PARTS).zip(bodies) {
        let _ = write!(
            page,
            "<section id=\"{anchor}\" aria-labelledby=\"h-{anchor}\"><h2 id=\"h-{anchor}\"><span>{number}</span> {title}</h2>\n{body}</section>\n"
        );
    }
    let _ = write!(
        page,
        "</main>\n<footer><p>Made by walkaway {} from result.json, coverage.csv and controls.json; <code>walkaway report</code> makes it again. It \
         supports an audit and certifies nothing.</p></footer>\n<script>{JS}</script>\n</body>\n</html>\n",
        escape(&view.result.tool.version)
    );
    page
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

fn figure(svg: &str) -> String {
    if svg.is_empty() { String::new() } else { format!("<figure>{svg}</figure>\n") }
}

fn list<T: AsRef<str>>(facts: &[(T, String)]) -> String {
    let mut out = "<dl>".to_owned();
    for (name, value) in facts {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escape(name.as_ref()), escape(value));
    }
    out + "</dl>\n"
}

fn bullets(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
    format!("<ul>{items}</ul>\n")
}

fn table(caption: &str, table: &Table) -> String {
    if table.rows.is_empty() {
        return paragraph(&format!("{caption}: none."));
    }
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table{1}><caption>{0}</caption><thead><tr>",
        escape(caption),
        // These are laid out as records, like all on a phone.
        if table.is_wide() { " class=\"wide\"" } else { "" }
    );
    for (index, heading) in table.headings.iter().enumerate() {
        let class = if table.is_numeric(index) { " class=\"num\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(heading));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        out.push_str("<tr>");
        for (index, (cell, heading)) in row.iter().zip(&table.headings).enumerate() {
            out.push_str(&cell_of(index, cell, heading, table.is_numeric(index)));
        }
        out.push_str("</tr>");
    }
    out + "</tbody></table></div>\n"
}

/// On a phone each cell repeats its heading.
fn cell_of(index: usize, cell: &Cell, heading: &str, numeric: bool) -> String {
    let sort = cell.key.map(|key| format!(" data-sort=\"{key}\"")).unwrap_or_default();
    let long = match (numeric, cell.has_long_word()) {
        (true, _) => " class=\"num\"",
        (false, true) => " class=\"long\"",
        (false, false) => "",
    };
    let (tag, scope) = if index == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
    let text = escape(&cell.text);
    let text = if cell.verdict { format!("<b class=\"tag v-{}\">{text}</b>", class(&cell.text)) } else { text };
    format!("<{tag}{scope}{long}{sort} data-label=\"{}\">{text}</{tag}>", escape(heading))
}

fn first(view: &View) -> String {
    let words = view.verdict_words();
    format!(
        "<div class=\"banner v-{}\"><p class=\"verdict\">{words}</p><p class=\"headline\">{}</p></div>\n<div class=\"answers\">{}</div>\n{}<h3>What this does not prove</h3>\n{}{}",
        view.class(),
        escape(&view.meaning()),
        view.answers().iter().map(answer).collect::<String>(),
        list(&view.identification()),
        paragraph(&view.limits()),
        statements(&view.result.not_proven),
    )
}

/// One of the five answers: the question, the number, the sentence, the names.
fn answer(answer: &Answer) -> String {
    let items = if answer.items.is_empty() { String::new() } else { bullets(&answer.items) };
    let more = answer.more.map(|(more, part)| {
        let (anchor, title) = part.place();
        format!("<p>and {} more: <a href=\"#{anchor}\">{title}</a></p>", thousands(more))
    });
    format!(
        "<div class=\"answer{}\"><h3>{}</h3><p class=\"number\">{}</p><p>{}</p>{items}{}</div>\n",
        if answer.weighs { " weighs" } else { "" },
        answer.question,
        escape(&answer.number),
        code(&answer.sentence),
        more.unwrap_or_default()
    )
}

/// walkaway's own text, with names of keys and fields between backticks.
fn statements(items: &[String]) -> String {
    format!("<ul>{}</ul>\n", items.iter().map(|text| format!("<li>{}</li>", code(text))).collect::<String>())
}

fn code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

fn coverage(view: &View) -> String {
    figure(&svg::coverage(view))
        + &table("What was tested, left out, and not looked at", &view.coverage_table())
        + &table(UNCOVERED, &view.uncovered_table())
}

fn assets(view: &View) -> String {
    let listed = |title: &str, items: Vec<String>| {
        if items.is_empty() { String::new() } else { format!("<h3>{title}</h3>{}", bullets(&items)) }
    };
    table("Assets", &view.asset_table())
        + &listed(EXPORT_FILES, view.export_files())
        + &listed("Left out inside assets", view.left_out())
        + &listed(PARTICULARS, view.particulars())
        + &listed(NOT_PORTABLE, view.not_portable())
}

fn exit(view: &View) -> String {
    let refused = view.result.exit_time.as_ref().is_some_and(|time| !time.refused.is_empty());
    let sentence = if refused {
        format!("<p class=\"refused\">{}</p>\n", escape(&view.exit_sentence()))
    } else {
        paragraph(&view.exit_sentence())
    };
    let windows =
        if view.windows().is_empty() { paragraph(NO_TERMS) } else { table("Against the terms", &view.window_table()) };
    let pace = figure(&svg::pace(view));
    sentence
        + &figure(&svg::exit_time(view))
        + &windows
        + &table("What it rests on", &view.class_table())
        + &pace
        + &paragraph(METHOD)
}

fn cost(view: &View) -> String {
    list(&view.cost_rows()) + &bullets(view.cost_remarks())
}

fn findings(view: &View) -> String {
    let owners = if view.lacks_owners() { paragraph(OWNERS) } else { String::new() };
    let mut out = table("Findings of this run", &view.finding_table())
        + &owners
        + &table("Waivers", &view.waiver_table())
        + &table("Thresholds", &view.threshold_table());
    out += &match view.followed_up() {
        Some(followed) => table("Findings of the run before", &followed),
        None => paragraph("No run before is named, so nothing can be followed up."),
    };
    out
}

fn custody(view: &View) -> String {
    list(&view.custody())
        + "<p>Checked with stock tools alone by the commands of <code>VERIFY.md</code> in the bundle: <code>sha256sum</code>, \
           <code>bagit.py</code>, <code>ssh-keygen</code>, <code>openssl</code>, <code>jq</code>, <code>psql</code>, <code>python3</code>.</p>\n"
}

fn alternatives(view: &View) -> String {
    let plan = &view.result.plan;
    let triggers =
        if plan.triggers.is_empty() { String::new() } else { format!("<h3>Triggers</h3>{}", bullets(&plan.triggers)) };
    let services = view.services();
    let services = if services.is_empty() { String::new() } else { format!("<h3>Services</h3>{}", bullets(&services)) };
    table("Alternative providers", &view.alternative_table()) + &services + &triggers
}

fn trend(view: &View) -> String {
    // A single run is in the table.
    let runs = if view.trend().len() > 1 { figure(&svg::trend(view)) } else { String::new() };
    runs + &table("The last runs of this playbook", &view.trend_table())
}

fn controls(view: &View) -> String {
    let checklist = match view.checklist {
        [] => String::new(),
        _ => table(CHECKLIST, &view.checklist_table()) + &paragraph(CHECKLIST_DIGESTS),
    };
    let named = if view.result.plan.controls.is_empty() {
        paragraph("The playbook names no controls.")
    } else {
        format!("<h3>Controls</h3>{}", bullets(&view.result.plan.controls)) + &paragraph(SUPPORTS)
    };
    named + &table("Evidence", &view.evidence_table()) + &checklist
}
