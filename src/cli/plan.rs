//! `walkaway plan`: what a run would carry out, measured at the provider. Moves nothing.

use serde_json::json;

use super::{
    args::PlanArgs,
    console::Console,
    story::kind_word,
    style::{Style, count, duration, near, shell_word, size, thousands},
    table::{self, Cell, heading},
    work,
};
use crate::{
    engine::{self, EngineError, Survey, SurveyedAsset},
    event::AssetKind,
    exit_code::ExitCode,
    finding::printable,
    playbook::Playbook,
};

/// Plans.
pub(super) fn plan(console: &Console, args: &PlanArgs) -> Result<ExitCode, EngineError> {
    let path = &args.playbook.playbook;
    let playbook = Playbook::read(path)?.playbook;
    let survey = work::block_on(engine::survey(&playbook))??;
    if args.json.json {
        json_lines(console, &survey);
    } else {
        console.out.lines(&table::lines(console.options.stdout, &rows(&survey)));
        survey.assets.iter().for_each(|asset| console.out.lines(&objects(console.options.stdout, asset)));
        console.out.lines(&remarks(&survey));
        console.remark(&format!("\nnothing was moved; run it with: walkaway run {}", shell_word(path)));
    }
    Ok(ExitCode::Verified)
}

fn rows(survey: &Survey) -> Vec<Vec<Cell>> {
    let mut rows = vec![heading(["asset", "kind", "source", "holds", "bytes", "units"])];
    rows.extend(survey.assets.iter().map(row));
    rows
}

fn row(asset: &SurveyedAsset) -> Vec<Cell> {
    // Rows and bytes of a database are the server's estimates.
    let (holds, bytes) = match asset.kind {
        AssetKind::S3 => (count(asset.items, "object", "objects"), size(asset.bytes)),
        AssetKind::Postgres => {
            (format!("about {}", count(asset.items, "row", "rows")), format!("about {}", size(asset.bytes)))
        }
    };
    let [id, source] = [&asset.id, &asset.source].map(|text| printable(text));
    vec![
        id.into(),
        kind_word(asset.kind).into(),
        source.into(),
        holds.into(),
        bytes.into(),
        Cell::right(thousands(asset.units)),
    ]
}

/// Sizes, requests, time and cost of a bucket.
fn objects(style: Style, asset: &SurveyedAsset) -> Vec<String> {
    let Some(objects) = &asset.objects else { return Vec::new() };
    let mut rows = vec![heading(["objects of at least", "objects", "bytes"])];
    rows.extend(objects.sizes.iter().map(|class| {
        vec![size(class.bytes_from).into(), Cell::right(thousands(class.objects)), Cell::right(size(class.bytes))]
    }));
    let mut lines = vec![String::new(), format!("{}:", printable(&asset.id))];
    lines.extend(table::lines(style, &rows).into_iter().map(|line| format!("  {line}")));
    let (lists, gets) = (thousands(objects.list_requests), thousands(objects.get_requests));
    let (seconds, basis) = (duration(objects.expected_s.saturating_mul(1000)), &objects.expected_basis);
    let (egress, requests) = (objects.egress_usd, objects.requests_usd);
    lines.push(format!("  requests  {lists} that list or describe, {gets} that read"));
    lines.push(format!("  time      about {seconds}: {}", printable(basis)));
    lines.push(format!("  cost      {egress:.2} USD for the bytes, {requests:.2} USD for the requests"));
    lines.push(format!("            {}, as of {}", objects.prices_source, objects.prices_as_of));
    lines
}

fn remarks(survey: &Survey) -> Vec<String> {
    let remark = |asset: &SurveyedAsset, text: &String| format!("{}: {}", printable(&asset.id), printable(text));
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
    console.out.typed(
        "result",
        &json!({"restored_to": survey.restored_to.to_string_lossy(),
            "evidence": survey.evidence.to_string_lossy(),
            "exit_code": ExitCode::Verified.number(),
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_an_estimate() {
        let asset = |id: &str, kind, items| SurveyedAsset {
            id: id.into(),
            kind,
            source: "acme".into(),
            items,
            bytes: 2 << 20,
            units: 4,
            remarks: vec![],
            objects: None,
        };
        let assets = vec![asset("files", AssetKind::S3, 1), asset("shop", AssetKind::Postgres, 1200)];
        let survey = Survey { assets, restored_to: "/srv".into(), evidence: "evidence".into() };
        let lines = table::lines(Style::default(), &rows(&survey));
        assert_eq!(lines[1], "files  bucket    acme    1 object          2.0 MiB            4");
        assert_eq!(lines[2], "shop   database  acme    about 1,200 rows  about 2.0 MiB      4");
    }
}
