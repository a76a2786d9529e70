//! Before the transfer: the caller, what is in the account, which buckets the patterns select, and whether the
//! preconditions hold. Makes no call that the playbook did not ask for.

use jiff::civil::Date;
use tokio::task::spawn_blocking;

use super::{
    after::write_look,
    facts::{Held, IdentityCheck, Selected, write},
    question::{asks_for_a_look, wanted},
    secrets::{Scan, Suspect, scan},
};
use crate::{
    account::{
        coverage::has_tags,
        identity::{Answer, Identity, Session, mfa, role_name},
        inventory::{Inventory, ItemKind},
        look,
        reply::Why,
    },
    asset::clients,
    clock,
    domain::{
        event::Event,
        finding::{Finding, FindingKind, Waives},
    },
    playbook::{AwsSpec, BucketName, Playbook, Precondition, Selection, SelectorKind, Waiver},
    provider::aws::Aws,
    record::{
        error::{EngineError, Obstacle},
        layout::Layout,
    },
};

/// What was found before the transfer.
#[derive(Debug, Default)]
pub(crate) struct Before {
    pub inventory: Option<Inventory>,
    pub identity: Option<IdentityCheck>,
    pub secrets: Option<Vec<Suspect>>,
    pub selected: Vec<Selected>,
    pub obstacles: Vec<Obstacle>,
}

impl Waives for (&Waiver, bool) {
    fn pattern(&self) -> &str {
        self.0.finding.as_str()
    }

    fn expired(&self) -> bool {
        self.1
    }
}

/// Inspects the account, and makes the playbook's selections.
pub(crate) async fn prepare(playbook: Playbook, folder: &std::path::Path) -> Result<(Playbook, Before), EngineError> {
    let mut before = Before::default();
    let preconditions = playbook.account().preconditions.clone();
    if let Some(spec) = playbook.provider().filter(|_| asks_for_a_look(&playbook) || !preconditions.is_empty()) {
        let aws = clients::aws(spec).await;
        let identity =
            if preconditions.iter().any(|one| is_about_identity(*one)) { Some(identify(&aws).await) } else { None };
        if asks_for_a_look(&playbook) {
            let account = account_number(spec, &aws, identity.as_ref()).await;
            let wanted = wanted(&playbook, spec, &aws.region());
            before.inventory = Some(look::look(&aws, account.as_deref(), wanted, clock::now().to_string()).await);
        }
        if let Some(Ok(identity)) = &identity {
            before.identity = Some(IdentityCheck { identity: Some(identity.clone()), preconditions: Vec::new() });
        }
        before.identity_preconditions(&preconditions, identity.as_ref());
    }
    if preconditions.contains(&Precondition::LocalNoSecrets) {
        let folder = folder.to_owned();
        let own = [playbook.target().path.clone(), playbook.evidence_path().to_owned()];
        let found = spawn_blocking(move || scan(&folder, &own)).await;
        before.secret_precondition(found.map_err(|error| EngineError::Internal(error.to_string()))?);
    }
    before.hold_against_waivers(&playbook, 0);
    let playbook = before.select(playbook);
    Ok((playbook, before))
}

fn is_about_identity(precondition: Precondition) -> bool {
    matches!(precondition, Precondition::IdentityMfa | Precondition::IdentityShortLived)
}

/// The account's number: the playbook's, or the caller's.
async fn account_number(spec: &AwsSpec, aws: &Aws, identity: Option<&Result<Identity, String>>) -> Option<String> {
    if let Some(account) = &spec.account {
        return Some(account.to_string());
    }
    if let Some(Ok(identity)) = identity {
        return Some(identity.account.clone());
    }
    // A server under an address of its own rarely identifies callers.
    if spec.endpoints.s3.is_some() && spec.endpoints.sts.is_none() {
        return None;
    }
    aws.caller().await.ok().map(|caller| caller.account)
}

/// The caller, and the kind of its session.
async fn identify(aws: &Aws) -> Result<Identity, String> {
    let caller = aws.caller().await.map_err(|error| error.to_string())?;
    let keys = aws.session().await?;
    let session = Session::of(&caller.arn, keys.temporary);
    let trust = match role_name(&caller.arn).filter(|_| session == Session::Role) {
        Some(role) => Some(look::trust_policy(aws, role).await),
        None => None,
    };
    let mfa = mfa(session, trust.as_ref());
    let account = caller.account;
    let arn = caller.arn;
    Ok(Identity { account, arn, session, short_lived: keys.temporary, expires: keys.expires, mfa })
}

impl Before {
    fn identity_preconditions(&mut self, wanted: &[Precondition], identity: Option<&Result<Identity, String>>) {
        for precondition in wanted {
            let answer = match (precondition, identity) {
                (Precondition::LocalNoSecrets | Precondition::TargetFreeSpace, _) => continue,
                (Precondition::IdentityRights, _) => self.rights(),
                (_, None | Some(Err(_))) => {
                    let reason = identity.and_then(|identity| identity.as_ref().err().cloned()).unwrap_or_default();
                    Answer::new(None, format!("who asks could not be told: {reason}"))
                }
                (Precondition::IdentityMfa, Some(Ok(identity))) => identity.mfa.clone(),
                (Precondition::IdentityShortLived, Some(Ok(identity))) => {
                    Answer::new(Some(identity.short_lived), format!("{}: {}", identity.session.word(), identity.arn))
                }
            };
            self.hold(*precondition, answer);
        }
    }

    /// Every right that a call was denied for, at once. A call that failed otherwise shows nothing about rights.
    fn rights(&self) -> Answer {
        let Some(inventory) = &self.inventory else { return Answer::new(None, "nothing was asked") };
        let ended = |why: Why| inventory.unreadable.iter().filter(move |missing| missing.ending() == why);
        let refused = ended(Why::Refused).count();
        if refused > 0 {
            let mut rights: Vec<_> = ended(Why::Refused).filter_map(|missing| missing.right.as_deref()).collect();
            rights.sort_unstable();
            rights.dedup();
            return Answer::new(
                Some(false),
                format!("{refused} calls were refused, for want of {}", rights.join(", ")),
            );
        }
        let mut open: Vec<_> =
            ended(Why::Failed).chain(ended(Why::NotUnderstood)).map(|missing| missing.call.as_str()).collect();
        if !open.is_empty() {
            let calls = open.len();
            open.sort_unstable();
            open.dedup();
            return Answer::new(None, format!("{calls} calls had no answer that says so: {}", open.join(", ")));
        }
        if inventory.answers.is_empty() {
            return Answer::new(None, "no call was answered");
        }
        let not_asked: Vec<_> = ended(Why::NotAsked).map(|missing| missing.call.as_str()).collect();
        let besides =
            if not_asked.is_empty() { String::new() } else { format!("; not asked: {}", not_asked.join(", ")) };
        Answer::new(Some(true), format!("every call was answered, none was refused{besides}"))
    }

    fn secret_precondition(&mut self, scan: Scan) {
        let holds = match (scan.suspects.is_empty(), scan.passed_over.is_empty()) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        };
        self.hold(Precondition::LocalNoSecrets, Answer::new(holds, scan.in_words()));
        self.secrets = Some([scan.suspects, scan.passed_over, scan.left_out].concat());
    }

    fn hold(&mut self, precondition: Precondition, answer: Answer) {
        let held = Held { precondition: word(precondition), holds: answer.holds, because: answer.because };
        self.identity.get_or_insert_default().preconditions.push(held);
    }

    /// Whether the playbook requires free space at the target.
    pub(crate) fn requires_free_space(playbook: &Playbook) -> bool {
        playbook.account().preconditions.contains(&Precondition::TargetFreeSpace)
    }

    /// Takes the answer on the free space at the target.
    pub(crate) fn record_free_space(&mut self, playbook: &Playbook, answer: Answer) {
        let known = self.identity.as_ref().map_or(0, |check| check.preconditions.len());
        self.hold(Precondition::TargetFreeSpace, answer);
        self.hold_against_waivers(playbook, known);
    }

    /// A precondition from this one on that does not hold is an obstacle, unless it is waived: then it
    /// is a finding of the run.
    fn hold_against_waivers(&mut self, playbook: &Playbook, from: usize) {
        let today = clock::today();
        let waivers = playbook.account().waivers.iter().map(|waiver| (waiver, today > waiver.until));
        let waivers: Vec<_> = waivers.collect();
        for held in self.identity.iter().flat_map(|check| &check.preconditions).skip(from) {
            let Some(finding) = unmet(held) else { continue };
            if !waivers.iter().any(|waiver| waiver.waives(&finding)) {
                let hint = match held.precondition.as_str() {
                    "target.free_space" => "free up space at target.path, or waive it with a reason and a date",
                    "identity.rights" => {
                        "meet it, or waive it with a reason and a date; `walkaway plan --iam-policy` prints the rights"
                    }
                    _ => "meet it, or waive it with a reason and a date",
                };
                self.obstacles.push(Obstacle { what: finding.to_string(), hint: Some(hint.to_owned()) });
            }
        }
    }

    /// Selects buckets by the patterns. Excluded ones are left out; what could not be listed is an obstacle.
    fn select(&mut self, playbook: Playbook) -> Playbook {
        let Some(inventory) = &self.inventory else { return playbook };
        if let Some(missing) = inventory.unlisted("s3").next().filter(|_| !playbook.selections().is_empty()) {
            let what = format!("buckets cannot be chosen by pattern: {}: {}", missing.call, missing.reason);
            self.obstacles.push(Obstacle { what, hint: missing.right.clone().map(|right| format!("allow {right}")) });
            return playbook;
        }
        self.selected = chosen(&playbook, inventory, clock::today());
        let chosen: Vec<_> = self.selected.iter().map(|chosen| (chosen.id.clone(), chosen.buckets.clone())).collect();
        playbook.with_selected(&chosen)
    }

    /// Writes what was found before the run begins; returns what the journal is to record then.
    pub(crate) fn write(&self, layout: &Layout) -> Result<Option<Event>, EngineError> {
        let inventory = self.inventory.as_ref();
        let read =
            inventory.map(|inventory| write_look(&layout.inventory(), "inventory.json", inventory)).transpose()?;
        if let Some(identity) = &self.identity {
            write(&layout.check("identity"), identity)?;
        }
        if let Some(secrets) = &self.secrets {
            write(&layout.check("secrets"), secrets)?;
        }
        if !self.selected.is_empty() {
            write(&layout.selected(), &self.selected)?;
        }
        Ok(read)
    }
}

/// The finding of a precondition that does not hold.
pub(super) fn unmet(held: &Held) -> Option<Finding> {
    let because = match held.holds {
        Some(true) => return None,
        Some(false) => held.because.clone(),
        None => format!("could not be told: {}", held.because),
    };
    Some(Finding::of_run(FindingKind::PreconditionUnmet, &held.precondition, because))
}

/// The name in the playbook.
fn word(precondition: Precondition) -> String {
    match precondition {
        Precondition::IdentityMfa => "identity.mfa",
        Precondition::IdentityShortLived => "identity.short_lived",
        Precondition::IdentityRights => "identity.rights",
        Precondition::LocalNoSecrets => "local.no_secrets",
        Precondition::TargetFreeSpace => "target.free_space",
    }
    .to_owned()
}

/// What the patterns of a playbook select.
pub(crate) fn chosen(playbook: &Playbook, inventory: &Inventory, today: Date) -> Vec<Selected> {
    playbook.selections().iter().map(|selection| choose(playbook, selection, inventory, today)).collect()
}

fn choose(playbook: &Playbook, selection: &Selection, inventory: &Inventory, today: Date) -> Selected {
    let excluded = |name: &str, tags: Option<&std::collections::BTreeMap<String, String>>| {
        playbook.exclusions().iter().any(|exclusion| {
            !exclusion.expired(today)
                && exclusion.selector.matches(SelectorKind::S3, name)
                && has_tags(tags, &exclusion.tags)
        })
    };
    let mut buckets = Vec::new();
    let mut tags_unreadable = Vec::new();
    for item in inventory.of(ItemKind::Bucket).filter(|item| selection.selector.matches(SelectorKind::S3, &item.name)) {
        if excluded(&item.name, item.tags.as_ref()) {
            continue;
        }
        if !selection.tags.is_empty() && item.tags.is_none() {
            tags_unreadable.push(item.name.clone());
        } else if has_tags(item.tags.as_ref(), &selection.tags) {
            buckets.extend(item.name.parse::<BucketName>().ok());
        }
    }
    let tags: Vec<_> = selection.tags.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let pattern = format!("{}{}", selection.selector, tags.concat());
    Selected { id: selection.id.clone(), pattern, buckets, tags_unreadable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{inventory, reply::Failure},
        domain::digest::Sha256Digest,
    };

    #[test]
    fn rights_hold_only_where_every_call_was_answered() {
        let holds = |failures: &[Failure], answered: bool| {
            let mut inventory = Inventory::new(String::new(), vec![]);
            failures.iter().for_each(|failure| inventory.missed("s3 Get", None, None, failure, "s3:Get", &[]));
            let answer = inventory::Answer { call: "s3".into(), region: None, page: 1, sha256: Sha256Digest::of("") };
            inventory.answers.extend(answered.then_some(answer));
            Before { inventory: Some(inventory), ..Before::default() }.rights().holds
        };
        let refused = [Failure::answered(403, "AccessDenied", None), Failure::answered(403, "", None)];
        for failure in &refused {
            assert_eq!(holds(std::slice::from_ref(failure), true), Some(false));
        }
        for failure in [
            Failure::answered(500, "InternalFailure", None),
            Failure::answered(400, "ValidationError", None),
            Failure::answered(403, "ExpiredToken", None),
            Failure::not_understood("the answer has no content"),
            Failure::unanswered("no answer within 30 s"),
        ] {
            assert_eq!(holds(std::slice::from_ref(&failure), true), None, "{}", failure.reason);
            assert_eq!(holds(&[failure, refused[0].clone()], true), Some(false), "a refusal is known for sure");
        }
        assert_eq!((holds(&[], false), holds(&[], true)), (None, Some(true)));
        // A service without an address is not part of this account.
        assert_eq!(holds(&[Failure::not_asked("no endpoint is named for iam")], true), Some(true));
        assert_eq!(Before::default().rights().holds, None);
    }
}
