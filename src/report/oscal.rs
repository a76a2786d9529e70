//! OSCAL assessment results, version 1.1.2 (NIST, pages.nist.gov/OSCAL): one observation for each asset, one finding for
//! each control that the playbook names.
//!
//! A control is `satisfied` as far as this drill goes only when the whole run passed and the bundle holds all of the control's
//! evidence by the checklist; everything else is `not-satisfied`.
//! Identifiers follow from the run, so that the same result gives the same file.

use serde_json::{Value, json};

use super::{phrases::kind, view::View};
use crate::{
    account::controls::{lacks, rows_of},
    domain::{
        digest::Sha256Digest,
        finding::{Severity, Verdict},
        proof::Tier,
    },
    evidence::result::{AssetResult, FiledKind},
};

const VERSION: &str = "1.1.2";
/// The default control where the playbook names none.
const NO_CONTROL: &str = "exit-drill";

/// The document, as pretty JSON.
pub fn oscal(view: &View) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&document(view)).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn document(view: &View) -> Value {
    let result = view.result;
    let controls = controls(view);
    let observations: Vec<Value> = result.assets.iter().map(|asset| observation(view, asset)).collect();
    let findings: Vec<Value> = controls.iter().map(|control| finding(view, control)).collect();
    let selections: Vec<Value> = controls.iter().map(|control| json!({"control-id": token(control)})).collect();
    let mut assessed = json!({
        "uuid": uuid(view, "result"),
        "title": format!("Exit drill {}: {}", result.run, view.verdict_words()),
        "description": format!("{} {} {}", view.headline(), view.meaning(), view.limits()),
        "start": result.started,
        "end": result.ended,
        "props": [prop("verdict", &result.verdict.to_string()), prop("result-sha256", &view.result_sha256.to_string())],
        "reviewed-controls": {"control-selections": [{"include-controls": selections}]},
        "findings": findings,
    });
    if !observations.is_empty() {
        assessed["observations"] = Value::Array(observations);
    }
    json!({"assessment-results": {
        "uuid": uuid(view, "document"),
        "metadata": {
            "title": format!("Exit drill {}", result.run),
            "last-modified": result.ended,
            "version": result.run,
            "oscal-version": VERSION,
            "remarks": "Made by walkaway from result.json alone. The evidence supports the controls; it is not a statement of compliance.",
        },
        "import-ap": {"href": "playbook.yaml", "remarks": "The playbook that was run stands for the assessment plan."},
        "results": [assessed],
    }})
}

fn controls(view: &View) -> Vec<String> {
    match view.result.plan.controls.as_slice() {
        [] => vec![NO_CONTROL.to_owned()],
        controls => controls.to_vec(),
    }
}

fn observation(view: &View, asset: &AssetResult) -> Value {
    let compared: Vec<_> = asset
        .checks
        .iter()
        .map(|check| {
            format!("{}: {} expected, {} compared, {} equal", check.name, check.expected, check.compared, check.equal)
        })
        .collect();
    let shown = asset.findings.iter().filter(|finding| finding.severity > Severity::Note).count() as u64;
    let filed = asset.filed.iter().flat_map(|filed| &filed.kinds).filter(|filed| filed.severity > Severity::Note);
    let weighing = filed.map(FiledKind::beyond).fold(shown, u64::saturating_add);
    json!({
        "uuid": uuid(view, &format!("observation {}", asset.id)),
        "title": format!("{} {}: {}", kind(asset.kind), asset.id, asset.verdict_words()),
        "description": format!(
            "Carried {} items, {} bytes from {}. Compared: {}. Findings that weigh: {weighing}.",
            asset.items, asset.bytes, asset.source, if compared.is_empty() { "nothing".to_owned() } else { compared.join("; ") }
        ),
        "methods": ["TEST"],
        "types": ["control-objective"],
        "props": [prop("verdict", &asset.verdict.to_string()), prop("content-sha256", &asset.content_sha256.to_string())],
        "relevant-evidence": [{"href": format!("assets/{}/", asset.id), "description": "Digests of everything that was carried."}],
        "collected": view.result.ended,
    })
}

fn finding(view: &View, control: &str) -> Value {
    let result = view.result;
    let lacking = lacking(view, control);
    // A sample is not the whole that a control requires.
    let satisfied = result.verdict == Verdict::Pass && result.tier == Tier::Full && lacking.is_empty();
    let state = if satisfied { "satisfied" } else { "not-satisfied" };
    let remarks = if lacking.is_empty() {
        "As far as this drill goes.".to_owned()
    } else {
        format!("As far as this drill goes. The bundle does not hold: {}.", lacking.join(", "))
    };
    let related: Vec<Value> = result
        .assets
        .iter()
        .map(|asset| json!({"observation-uuid": uuid(view, &format!("observation {}", asset.id))}))
        .collect();
    let mut finding = json!({
        "uuid": uuid(view, &format!("finding {control}")),
        "title": format!("{control}: {}", view.verdict_words()),
        "description": format!("{} {}", view.meaning(), view.limits()),
        "target": {
            "type": "objective-id",
            "target-id": token(control),
            "status": {"state": state, "remarks": remarks},
        },
    });
    if !related.is_empty() {
        finding["related-observations"] = Value::Array(related);
    }
    finding
}

/// What the bundle does not hold of a control's evidence, as files of it. The drill by itself requires only its verdict.
fn lacking(view: &View, control: &str) -> Vec<String> {
    match rows_of(control) {
        _ if control == NO_CONTROL => Vec::new(),
        Some(rows) => rows.iter().flat_map(|row| lacks(*row, view.checklist)).map(str::to_owned).collect(),
        None => vec!["a list of the evidence that this control asks for".to_owned()],
    }
}

fn prop(name: &str, value: &str) -> Value {
    json!({"name": name, "ns": "https://walkaway.example/ns/oscal", "value": value})
}

/// OSCAL tokens begin with a letter or `_` and hold letters, digits, `.`, `-` and `_`.
fn token(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { plain } else { format!("_{plain}") }
}

/// A UUID of version 5's form, of SHA-256 in place of SHA-1.
fn uuid(view: &View, what: &str) -> String {
    let mut bytes = Sha256Digest::of(format!("walkaway {} {} {what}", view.result.run, view.result_sha256)).0;
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_names_become_tokens() {
        assert_eq!(["ISO27001:A.5.23", "28.8", "a b"].map(token), ["ISO27001-A.5.23", "_28.8", "a-b"]);
    }
}
