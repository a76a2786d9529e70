//! Before anything moves: who asks, what is in the account, which buckets the patterns choose, and whether the
//! preconditions hold. Makes no call that the playbook did not ask for.

use tokio::task::spawn_blocking;

use super::{
    after::write_look,
    facts::{Held, IdentityCheck, Selected, write},
    question::{asks_for_a_look, wanted},
    secrets::{Suspect, scan},
};
use crate::{
    account::{
        coverage::has_tags,
        identity::{Answer, Identity, Session, mfa, role_name},
        inventory::{Inventory, ItemKind},
    },
    clock,
    engine::{
        error::{EngineError, Obstacle},
        layout::Layout,
        preflight,
    },
    event::Event,
    finding::{Finding, FindingKind, Waives},
    playbook::{AwsSpec, BucketName, Playbook, Precondition, Selection, SelectorKind, Waiver},
    source::{account, aws::Aws},
};

/// What was found out before anything moved.
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

/// Looks, and makes the playbook's selections.
pub(crate) async fn prepare(playbook: Playbook, folder: &std::path::Path) -> Result<(Playbook, Before), EngineError> {
    let mut before = Before::default();
    let preconditions = playbook.account().preconditions.clone();
    if let Some(spec) = playbook.provider().filter(|_| asks_for_a_look(&playbook) || !preconditions.is_empty()) {
        let aws = preflight::aws(spec).await;
        let identity =
            if preconditions.iter().any(|one| is_about_identity(*one)) { Some(identify(&aws).await) } else { None };
        if asks_for_a_look(&playbook) {
            let account = account_number(spec, &aws, identity.as_ref()).await;
            let wanted = wanted(&playbook, spec, &aws.region());
            before.inventory = Some(account::look(&aws, account.as_deref(), wanted, clock::now().to_string()).await);
        }
        if let Some(Ok(identity)) = &identity {
            before.identity = Some(IdentityCheck { identity: Some(identity.clone()), preconditions: Vec::new() });
        }
        before.identity_preconditions(&preconditions, identity.as_ref());
    }
    if preconditions.contains(&Precondition::LocalNoSecrets) {
        let folder = folder.to_owned();
        let found = spawn_blocking(move || scan(&folder)).await;
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
    // A server under an address of its own rarely knows callers.
    if spec.endpoints.s3.is_some() && spec.endpoints.sts.is_none() {
        return None;
    }
    aws.caller().await.ok().map(|caller| caller.account)
}

/// Who asks, and what kind of session it is.
async fn identify(aws: &Aws) -> Result<Identity, String> {
    let caller = aws.caller().await.map_err(|error| error.to_string())?;
    let keys = aws.session().await?;
    let session = Session::of(&caller.arn, keys.temporary);
    let trust = match role_name(&caller.arn).filter(|_| session == Session::Role) {
        Some(role) => Some(account::trust_policy(aws, role).await),
        None => None,
    };
    let mfa = mfa(session, trust.as_ref());
    let (account, arn) = (caller.account, caller.arn);
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

    /// Every right that a call was refused for, at once.
    fn rights(&self) -> Answer {
        let Some(inventory) = &self.inventory else { return Answer::new(None, "nothing was asked") };
        let denied: Vec<_> = inventory.unreadable.iter().filter(|missing| missing.denied).collect();
        let mut rights: Vec<_> = denied.iter().filter_map(|missing| missing.right.as_deref()).collect();
        rights.sort_unstable();
        rights.dedup();
        match denied.len() {
            0 => Answer::new(Some(true), "no call was refused"),
            refused => {
                Answer::new(Some(false), format!("{refused} calls were refused, for want of {}", rights.join(", ")))
            }
        }
    }

    fn secret_precondition(&mut self, found: Vec<Suspect>) {
        let answer = match found.len() {
            0 => Answer::new(Some(true), "none was found"),
            _ => {
                let places: Vec<_> = found.iter().map(ToString::to_string).collect();
                Answer::new(Some(false), places.join("; "))
            }
        };
        self.secrets = Some(found);
        self.hold(Precondition::LocalNoSecrets, answer);
    }

    fn hold(&mut self, precondition: Precondition, answer: Answer) {
        let held = Held { precondition: word(precondition), holds: answer.holds, because: answer.because };
        self.identity.get_or_insert_default().preconditions.push(held);
    }

    /// Whether the playbook wants room at the target.
    pub fn wants_room(playbook: &Playbook) -> bool {
        playbook.account().preconditions.contains(&Precondition::TargetFreeSpace)
    }

    /// Takes the answer on the room at the target.
    pub fn take_room(&mut self, playbook: &Playbook, answer: Answer) {
        let known = self.identity.as_ref().map_or(0, |check| check.preconditions.len());
        self.hold(Precondition::TargetFreeSpace, answer);
        self.hold_against_waivers(playbook, known);
    }

    /// What does not hold, of the preconditions from this one on, is an obstacle, unless somebody answers for it: then it
    /// is a finding of the run.
    fn hold_against_waivers(&mut self, playbook: &Playbook, from: usize) {
        let today = clock::today();
        let waivers = playbook.account().waivers.iter().map(|waiver| (waiver, today > waiver.until));
        let waivers: Vec<_> = waivers.collect();
        for held in self.identity.iter().flat_map(|check| &check.preconditions).skip(from) {
            let Some(finding) = unmet(held) else { continue };
            if !waivers.iter().any(|waiver| waiver.waives(&finding)) {
                let hint = match held.precondition.as_str() {
                    "target.free_space" => "make room at target.path, or waive it with a reason and a date",
                    "identity.rights" => {
                        "meet it, or waive it with a reason and a date; `walkaway plan --iam-policy` prints the rights"
                    }
                    _ => "meet it, or waive it with a reason and a date",
                };
                self.obstacles.push(Obstacle { what: finding.to_string(), hint: Some(hint.to_owned()) });
            }
        }
    }

    /// Chooses buckets for the patterns. Excluded ones are left out; what could not be listed is an obstacle.
    fn select(&mut self, playbook: Playbook) -> Playbook {
        let Some(inventory) = &self.inventory else { return playbook };
        if let Some(missing) = inventory.unlisted("s3").next().filter(|_| !playbook.selections().is_empty()) {
            let what = format!("buckets cannot be chosen by pattern: {}: {}", missing.call, missing.reason);
            self.obstacles.push(Obstacle { what, hint: missing.right.clone().map(|right| format!("allow {right}")) });
            return playbook;
        }
        let selected = playbook.selections().iter().map(|selection| choose(&playbook, selection, inventory));
        self.selected = selected.collect();
        let chosen: Vec<_> = self.selected.iter().map(|chosen| (chosen.id.clone(), chosen.buckets.clone())).collect();
        playbook.with_selected(&chosen)
    }

    /// Writes down what was found, before the run begins; what the journal is to say of it once it has.
    pub fn write(&self, layout: &Layout) -> Result<Option<Event>, EngineError> {
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

/// The playbook's word.
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

fn choose(playbook: &Playbook, selection: &Selection, inventory: &Inventory) -> Selected {
    let today = clock::today();
    let excluded = |name: &str, tags: Option<&std::collections::BTreeMap<String, String>>| {
        playbook.exclusions().iter().any(|exclusion| {
            !exclusion.expired(today)
                && exclusion.selector.matches(SelectorKind::S3, name)
                && has_tags(tags, &exclusion.tags)
        })
    };
    let (mut buckets, mut tags_unreadable) = (Vec::new(), Vec::new());
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
