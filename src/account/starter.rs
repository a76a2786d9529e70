//! A first playbook, made from what is in the account: it covers everything and excludes nothing.

use std::{collections::BTreeSet, fmt::Write as _};

use super::inventory::{Inventory, Item, ItemKind, fact};

/// The other settings of the playbook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The account's number, if it is known.
    pub account: Option<String>,
    /// The profile that was used.
    pub profile: Option<String>,
    /// The allowed regions.
    pub regions: Vec<String>,
    /// The folder that receives the data.
    pub target: String,
}

/// The text of the playbook.
pub(crate) fn playbook(inventory: &Inventory, setting: &Setting) -> String {
    let mut text = String::new();
    head(&mut text, inventory, setting);
    let databases = assets(&mut text, inventory);
    tail(&mut text, inventory, databases);
    text
}

fn head(text: &mut String, inventory: &Inventory, setting: &Setting) {
    line(text, format_args!("# Made by `walkaway init` from the account as it was at {}.", inventory.taken));
    line(
        text,
        format_args!("# It covers everything that was found there and excludes nothing. Check it with: walkaway check"),
    );
    line(text, format_args!("version: 1"));
    let id = setting.account.as_ref().map_or("exit-drill".to_owned(), |account| format!("exit-drill-{account}"));
    line(text, format_args!("id: {id}"));
    line(text, format_args!("\nprovider:\n  aws:"));
    if let Some(account) = &setting.account {
        line(text, format_args!("    account: \"{account}\"      # asserted before anything moves"));
    }
    if let Some(profile) = &setting.profile {
        line(text, format_args!("    profile: {}", quoted(profile)));
    }
    line(
        text,
        format_args!("    regions: [{}]   # the allowed ones; the first is the client's", setting.regions.join(", ")),
    );
    line(
        text,
        format_args!("\ntarget:\n  path: {}\n  non_cloud: recorded      # or required", quoted(&setting.target)),
    );
    if inventory.items.iter().any(is_postgres) {
        line(text, format_args!("  postgres: {{managed: true}}   # a disposable cluster on this machine"));
    }
}

/// Writes the assets; returns whether a database is among them.
fn assets(text: &mut String, inventory: &Inventory) -> bool {
    let mut ids = BTreeSet::new();
    let mut databases = false;
    line(text, format_args!("\nassets:"));
    let mut written = 0;
    for item in inventory.items.iter().filter(|item| item.holds_data(inventory)) {
        let size = item.bytes.map_or("size unknown".to_owned(), |bytes| format!("{bytes} bytes"));
        let region = item.region.as_deref().unwrap_or("unknown region");
        match item.kind {
            ItemKind::Bucket => {
                let id = id_for(&item.name, &mut ids);
                let about = format!("{region}, {size}");
                line(text, format_args!("  - id: {id}   # {about}\n    s3: {{bucket: {}}}", quoted(&item.name)));
                written += 1;
            }
            _ if is_postgres(item) => {
                let id = id_for(&item.name, &mut ids);
                let engine = item.known(fact::ENGINE).unwrap_or("?");
                let variable = format!("{}_URL", id.to_uppercase().replace('-', "_"));
                line(text, format_args!("  - id: {id}   # {} in {region}, {engine}, {size}", item.title()));
                line(
                    text,
                    format_args!(
                        "    postgres: {{url: \"env:{variable}\"}}   # a login that may read everything; one entry for each database"
                    ),
                );
                databases = true;
                written += 1;
            }
            _ => {
                let engine = item.known(fact::ENGINE).unwrap_or("unknown engine");
                line(
                    text,
                    format_args!("  # not carried by this version: {} in {region}, {engine}, {size}", item.title()),
                );
            }
        }
    }
    if written == 0 {
        line(text, format_args!("  []   # nothing was found that can be copied"));
    }
    databases
}

fn tail(text: &mut String, inventory: &Inventory, databases: bool) {
    for missing in &inventory.unreadable {
        let place = missing.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
        let reason: String = missing.reason.chars().filter(|c| !c.is_control()).collect();
        line(text, format_args!("# could not be read: {}{place}: {reason}", missing.call));
    }
    line(text, format_args!("\n# exclude:   # what the exit does not need, why, by whom, and until when"));
    line(
        text,
        format_args!("#   - {{match: \"s3:NAME-*\", reason: reproducible, owner: you@example.org, until: 2030-12-31}}"),
    );
    line(
        text,
        format_args!(
            "\nposture: [residency, encryption, public_access, orphan_snapshots, protection]   # and credentials"
        ),
    );
    line(text, format_args!("postconditions: [source_unchanged]"));
    let thresholds = if databases {
        "# Several databases of one instance are several assets; an instance counts as tested in part.\nthresholds: {coverage_bytes: \">= 60%\"}"
    } else {
        "thresholds: {coverage_assets: \">= 100%\", coverage_bytes: \">= 100%\"}"
    };
    line(text, format_args!("{thresholds}"));
    line(text, format_args!("evidence: {{path: evidence/}}"));
}

fn is_postgres(item: &Item) -> bool {
    item.kind.selector() == "rds"
        && item.known(fact::CLUSTER).is_none()
        && item.known(fact::ENGINE).is_some_and(|engine| engine.contains("postgres"))
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// An asset's id from a name, unique within the playbook.
fn id_for(name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' { c } else { '-' };
    let whole: String = name.to_lowercase().chars().map(plain).take(56).collect();
    let whole = whole.trim_matches('-').to_owned();
    let whole = if whole.is_empty() { "asset".to_owned() } else { whole };
    let mut id = whole.clone();
    for number in 2.. {
        if taken.insert(id.clone()) {
            break;
        }
        id = format!("{whole}-{number}");
    }
    id
}

/// Text quoted for YAML.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::inventory::Fact;

    #[test]
    fn everything_is_an_asset_or_named_in_a_comment() {
        let mut inventory = Inventory::new("2026-11-24T00:00:00Z".into(), vec!["eu-central-1".into()]);
        inventory.items.push(Item::named(ItemKind::Bucket, "a.b", Some("eu-central-1".into())));
        inventory.items.push(Item::named(ItemKind::Bucket, "a-b", None));
        for (name, engine) in [("ledger", "postgres 16.4"), ("legacy", "mysql 8.0")] {
            let mut item = Item::named(ItemKind::Instance, name, Some("eu-central-1".into()));
            item.facts.insert(fact::ENGINE.into(), Fact::listed(engine));
            inventory.items.push(item);
        }
        let setting =
            Setting { regions: vec!["eu-central-1".into()], target: "restored/".into(), ..Setting::default() };
        let text = playbook(&inventory, &setting);
        for wanted in ["id: a-b ", "id: a-b-2 ", "env:LEDGER_URL", "not carried by this version: instance legacy"] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
}
