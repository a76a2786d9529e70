//! `walkaway plan`: what a run would carry out, measured at the provider. Moves nothing.

use serde_json::json;

use super::{
    account,
    args::PlanArgs,
    console::Console,
    explain::pretty,
    style::{Style, count, duration, near, shell_word, size, thousands},
    table::{self, Cell, heading},
    work,
};
use crate::{
    asset::Measured,
    command::{self, Survey},
    domain::finding::printable,
    exit_code::ExitCode,
    playbook::Playbook,
    record::{EngineError, Obstacle},
    run::Plan,
};

/// Plans.
pub(super) fn plan(console: &Console, args: &PlanArgs) -> Result<ExitCode, EngineError> {
    let path = &args.playbook.playbook;
    let loaded = Playbook::read(path)?;
    if args.iam_policy {
        return pretty(console, &work::block_on_droppable(command::iam_policy(&loaded.playbook))?);
    }
    let survey = work::block_on_droppable(async { command::survey(Plan::of(loaded).await?).await })??;
    if args.json.json {
        json_lines(console, &survey);
    } else {
        console.out.lines(&table::lines(console.options.stdout, &rows(&survey)));
        survey.assets.iter().for_each(|asset| console.out.lines(&objects(console.options.stdout, asset)));
        console.out.lines(&remarks(&survey));
        console.out.lines(&around(console.options.stdout, &survey));
        console.remark(&format!("\nnothing was moved; run it with: walkaway run {}", shell_word(path)));
    }
    Ok(exit_code(&survey))
}

/// A run that could not start is not a success.
fn exit_code(survey: &Survey) -> ExitCode {
    if survey.obstacles.is_empty() { ExitCode::Verified } else { ExitCode::NotVerified }
}

/// How many untested resources, findings and calls are shown each.
const SHOWN_MAX: usize = 20;

/// The account around the assets, and obstacles.
fn around(style: Style, survey: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(found) = &survey.account {
        lines.push(String::new());
        lines.extend(account::coverage(style, &found.coverage, &found.regions, "a run would test"));
        lines.extend(some("not tested", found.not_tested.iter().map(|text| printable(text))));
        lines.extend(some("found", found.findings.iter().map(|finding| style.finding(finding))));
        lines.extend(some("unreadable", found.unreadable.iter().map(|text| printable(text))));
        lines.extend(some("missing rights", found.missing_rights.iter().cloned()));
    }
    let obstacle = |obstacle: &Obstacle| printable(&obstacle.what);
    lines.extend(some("a run would not begin", survey.obstacles.iter().map(obstacle)));
    lines
}

/// A heading with the first of its lines.
fn some(heading: &str, lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let count = lines.len();
    if count == 0 {
        return Vec::new();
    }
    let mut told = vec![String::new(), format!("{heading}:")];
    told.extend(lines.take(SHOWN_MAX).map(|line| format!("  {line}")));
    if count > SHOWN_MAX {
        told.push(format!("  … and {} more, see --json", thousands((count - SHOWN_MAX) as u64)));
    }
    told
}

fn rows(survey: &Survey) -> Vec<Vec<Cell>> {
    let mut rows = vec![heading(["asset", "kind", "source", "holds", "bytes", "units"])];
    rows.extend(survey.assets.iter().map(row));
    rows
}

fn row(asset: &Measured) -> Vec<Cell> {
    // Rows and bytes of a database are the server's estimates.
    let facts = asset.kind.facts();
    let (one, many) = facts.items;
    let about = if facts.is_estimated { "about " } else { "" };
    let holds = format!("{about}{}", count(asset.items, one, many));
    let bytes = format!("{about}{}", size(asset.bytes));
    let [id, source] = [&asset.id, &asset.source].map(|text| printable(text));
    vec![id.into(), facts.word.into(), source.into(), holds.into(), bytes.into(), Cell::right(thousands(asset.units))]
}

/// Sizes, requests, time and cost of a bucket.
fn objects(style: Style, asset: &Measured) -> Vec<String> {
    let Some(objects) = &asset.objects else { return Vec::new() };
    let mut rows = vec![heading(["objects of at least", "objects", "bytes"])];
    rows.extend(objects.sizes.iter().map(|class| {
        vec![size(class.bytes_from).into(), Cell::right(thousands(class.objects)), Cell::right(size(class.bytes))]
    }));
    let mut lines = vec![String::new(), format!("{}:", printable(&asset.id))];
    lines.extend(table::lines(style, &rows).into_iter().map(|line| format!("  {line}")));
    let lists = thousands(objects.list_requests);
    let gets = thousands(objects.get_requests);
    let seconds = duration(objects.expected_s.saturating_mul(1000));
    let basis = &objects.expected_basis;
    let egress = objects.egress_usd;
    let requests = objects.requests_usd;
    lines.push(format!("  requests  {lists} that list or describe, {gets} that read"));
    lines.push(format!("  time      about {seconds}: {}", printable(basis)));
    lines.push(format!("  cost      {egress:.2} USD for the bytes, {requests:.2} USD for the requests"));
    lines.push(format!("            {}, as of {}", objects.prices_source, objects.prices_as_of));
    lines.push("            (not compared with the provider's price list: check them)".to_owned());
    lines
}

fn remarks(survey: &Survey) -> Vec<String> {
    let remark = |asset: &Measured, text: &String| format!("{}: {}", printable(&asset.id), printable(text));
    let remarks = survey.assets.iter().flat_map(|asset| asset.remarks.iter().map(move |text| remark(asset, text)));
    let mut lines = vec![String::new()];
    lines.extend(remarks);
    lines.push(format!("restored to  {}", printable(&near(&survey.restored_to))));
    lines.push(format!("evidence in  {}", printable(&near(&survey.evidence))));
    lines
}

fn json_lines(console: &Console, survey: &Survey) {
    for asset in &survey.assets {
        console.out.typed("asset", asset);
    }
    if let Some(account) = &survey.account {
        console.out.typed("account", account);
    }
    for obstacle in &survey.obstacles {
        console.out.typed("obstacle", &json!({"what": obstacle.what, "hint": obstacle.hint}));
    }
    console.out.typed(
        "result",
        &json!({"restored_to": survey.restored_to.to_string_lossy(),
            "evidence": survey.evidence.to_string_lossy(),
            "exit_code": exit_code(survey).number(),
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::AssetKind;

    #[test]
    fn a_database_is_an_estimate() {
        let asset = |id: &str, kind, items| Measured {
            id: id.into(),
            kind,
            source: "acme".into(),
            items,
            bytes: 2 << 20,
            units: 4,
            remarks: vec![],
            size_unknown: false,
            objects: None,
        };
        let assets = vec![asset("files", AssetKind::S3, 1), asset("shop", AssetKind::Postgres, 1200)];
        let survey = Survey {
            assets,
            account: None,
            obstacles: vec![],
            restored_to: "/srv".into(),
            evidence: "evidence".into(),
        };
        let lines = table::lines(Style::default(), &rows(&survey));
        assert_eq!(lines[1], "files  bucket    acme    1 object          2.0 MiB            4");
        assert_eq!(lines[2], "shop   database  acme    about 1,200 rows  about 2.0 MiB      4");
    }
}
