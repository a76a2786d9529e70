//! From the document to a [`Playbook`]: every rule that goes beyond keys and types.
//!
//! Nothing stops at the first mistake: each part yields what it can, records what it cannot, and the caller decides by
//! the recorded problems. So a default that stands in for a bad value never reaches anyone.
//! Leaves out the clock (an exclusion may be in the past) and the provider (a bucket may not exist).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::civil::Date;

use super::checked::Checked;
use super::document::{Asset, Document, Exclusion as ExclusionEntry, Layout, Precondition, Previous, S3};
use super::model::{EvidenceSpec, Exclusion, Playbook, TargetSpec, Thresholds};
use super::path::{path_in, plain};
use super::problem::{Located, Place, Problem, Problems, Wrong, shown};
use super::reference::{Environment, Reference};

mod account;
mod assets;
mod databases;
mod places;
mod plan;
mod rds;
mod rds_export;

/// The version of the format that this reads.
const VERSION: u64 = 1;
/// The default folder of the evidence.
const EVIDENCE_DEFAULT: &str = "evidence/";
/// The minimum length of a secret of pseudonyms.
const PSEUDONYM_SECRET_CHARS_MIN: usize = 32;

/// What validation needs besides the document.
pub(super) struct Validator<'a> {
    /// The folder that relative paths start at.
    pub folder: &'a Path,
    /// The targets of references.
    pub environment: &'a dyn Environment,
    pub problems: &'a Problems,
}

impl Validator<'_> {
    /// The playbook, to be used only if no problem was recorded.
    pub(super) fn playbook(&self, document: &Located<Document>) -> Option<Playbook> {
        let Located { value: file, place } = document;
        let version = self.version(file, place);
        let id = self.required_text(&file.id, "id", place);
        let title = self.optional_text(&file.title);
        let provider = self.provider(&file.provider);
        let target = self.target(&file.target, place);
        let (assets, selections) = self.assets(file, place);
        let account = self.account(file);
        let exclude = self.exclusions(file);
        let thresholds = self.thresholds(file);
        let evidence = self.evidence(file);
        let plan = self.exit_plan(file, &assets);
        self.needs(file, place);
        self.apart(file, target.as_ref(), evidence.as_ref());
        Some(Playbook {
            version: version?,
            id: id?,
            title,
            provider,
            target: target?,
            assets,
            selections,
            account,
            exclude,
            thresholds,
            evidence: evidence?,
            plan,
        })
    }

    fn version(&self, file: &Document, place: &Place) -> Option<u64> {
        let version = file.version.required("version", place, self.problems)?;
        if version.value != VERSION {
            let message = format!("version {} of the format is not known", version.value);
            let problem = Problem::at(&version.place, message);
            self.problems.add(problem.hint("this walkaway reads `version: 1`"));
        }
        Some(version.value)
    }

    /// A run creates a directory with its name in each of the two.
    fn apart(&self, file: &Document, target: Option<&TargetSpec>, evidence: Option<&EvidenceSpec>) {
        let (Some(target), Some(evidence), Some(written)) = (target, evidence, file.target.optional()) else { return };
        if plain(&target.path) != plain(&evidence.path) {
            return;
        }
        let own = file.evidence.optional().and_then(|evidence| evidence.value.path.optional());
        let place = own.or(written.value.path.optional()).map_or(&written.place, |path| &path.place);
        let problem = Problem::at(place, "`target.path` and `evidence.path` are the same directory");
        self.problems.add(problem.hint("keep the restored copy and the evidence apart, as in restored/ and evidence/"));
    }

    /// What the assets need elsewhere in the playbook; checked for every asset, whatever else is wrong with it.
    fn needs(&self, file: &Document, place: &Place) {
        let path_of = |wanted: fn(&Asset) -> bool| {
            let asset = self.items(&file.assets).find(|asset| wanted(&asset.value))?;
            Some(asset.place.path.clone())
        };
        if file.provider.is_missing() {
            let hint = "say where it is, as in provider: {aws: {profile: exit-drill}}";
            let bucket = path_of(|asset| !asset.s3.is_missing() || !asset.selector.is_missing())
                .map(|path| format!("`{path}` is a bucket"));
            let on_rds = path_of(|asset| !asset.rds.is_missing()).map(|path| format!("`{path}` is on RDS"));
            if let Some(because) = bucket.or(on_rds) {
                self.needed("provider", &because, place, hint);
            }
        }
        self.account_needs(file, place);
        let target = file.target.optional();
        if let Some(target) = target.filter(|target| target.value.s3.is_missing())
            && let Some(bucket) = self.bucket_into_s3(file)
        {
            let hint = "say where it is, as in s3: {endpoint: \"http://127.0.0.1:9000\"}";
            self.needed("s3", &format!("`{bucket}` has the layout s3"), &target.place, hint);
        }
        if let Some(target) = target.filter(|target| target.value.postgres.is_missing())
            && let Some(database) = path_of(|asset| !asset.postgres.is_missing() || !asset.rds.is_missing())
        {
            let hint = "write postgres: {managed: true}, or {url: \"env:NAME\"} for a server of yours";
            self.needed("postgres", &format!("`{database}` is a database"), &target.place, hint);
        }
    }

    /// The path of a bucket that is restored into an S3 server, by its own layout or by the default.
    fn bucket_into_s3(&self, file: &Document) -> Option<String> {
        let defaults = file.defaults.optional().and_then(|defaults| defaults.value.s3.optional());
        let default = defaults.and_then(|s3| s3.value.layout.optional()).map(|layout| layout.value);
        let into_s3 = |s3: &S3| s3.layout.optional().map(|layout| layout.value).or(default) == Some(Layout::S3);
        let mut buckets = self.items(&file.assets).filter_map(|asset| asset.value.s3.optional());
        buckets.find(|bucket| into_s3(&bucket.value)).map(|bucket| bucket.place.path.clone())
    }

    /// Checks of the account need an account.
    fn account_needs(&self, file: &Document, place: &Place) {
        let local = [Precondition::LocalNoSecrets, Precondition::TargetFreeSpace];
        let about_identity = self.items(&file.preconditions).any(|one| !local.contains(&one.value));
        let first = [
            Some("preconditions").filter(|_| about_identity),
            file.posture.optional().filter(|list| !list.value.is_empty()).map(|_| "posture"),
            file.postconditions.optional().filter(|list| !list.value.is_empty()).map(|_| "postconditions"),
            file.thresholds
                .optional()
                .filter(|t| !t.value.coverage_assets.is_missing() || !t.value.coverage_bytes.is_missing())
                .map(|_| "thresholds"),
        ];
        if let Some(key) = first.into_iter().flatten().next().filter(|_| file.provider.is_missing()) {
            let hint = "say which account, as in provider: {aws: {profile: exit-drill, regions: [eu-central-1]}}";
            self.needed("provider", &format!("`{key}` asks about an account"), place, hint);
        }
    }

    fn needed(&self, key: &str, because: &str, parent: &Place, hint: &str) {
        let message = format!("the key `{key}` is missing; {because}");
        self.problems.add(Problem::at(parent, message).hint(hint));
    }

    fn exclusions(&self, file: &Document) -> Vec<Exclusion> {
        self.items(&file.exclude).filter_map(|entry| self.exclusion(entry)).collect()
    }

    fn exclusion(&self, entry: &Located<ExclusionEntry>) -> Option<Exclusion> {
        let Located { value, place } = entry;
        let selector = self.required_text(&value.selector, "match", place);
        let tags = self.tags(&value.tags);
        let reason = self.required_text(&value.reason, "reason", place);
        let owner = self.required_text(&value.owner, "owner", place);
        let until = value.until.required("until", place, self.problems);
        let until = until.and_then(|written| self.accept(&written.place, date(&written.value.0)));
        Some(Exclusion { selector: selector?, tags, reason: reason?, owner: owner?, until: until? })
    }

    fn thresholds(&self, file: &Document) -> Thresholds {
        let Some(Located { value, .. }) = file.thresholds.optional() else { return Thresholds::default() };
        Thresholds {
            coverage_assets: self.written(&value.coverage_assets),
            coverage_bytes: self.written(&value.coverage_bytes),
            run_time: self.written(&value.run_time),
            time_to_exit_p50: self.exit_limit(&value.time_to_exit_p50, file),
            time_to_exit_p90: self.exit_limit(&value.time_to_exit_p90, file),
        }
    }

    fn evidence(&self, file: &Document) -> Option<EvidenceSpec> {
        let Some(evidence) = file.evidence.optional() else {
            let path = self.folder.join(EVIDENCE_DEFAULT);
            let previous = Previous::default();
            return Some(EvidenceSpec { path, sign: None, timestamp: None, pseudonyms: None, previous });
        };
        let path = evidence.value.path.required("path", &evidence.place, self.problems)?;
        let path = self.accept(&path.place, path_in(self.folder, &path.value))?;
        let sign = evidence.value.sign.optional().and_then(|key| self.key_path(key));
        let timestamp = self.endpoint(&evidence.value.timestamp);
        let pseudonyms = evidence.value.pseudonyms.optional().and_then(|secret| self.pseudonyms(secret));
        let previous = evidence.value.previous.optional().map(|previous| previous.value).unwrap_or_default();
        if let Some(stamp) = evidence.value.timestamp.optional().filter(|_| evidence.value.sign.is_missing()) {
            let problem = Problem::at(&stamp.place, "stamps signatures, and the key `sign` is missing");
            self.problems.add(problem.hint("name the operator's key, as in sign: ~/.ssh/id_ed25519"));
        }
        Some(EvidenceSpec { path, sign, timestamp, pseudonyms, previous })
    }

    /// Keys can be guessed, so a guessable secret hides nothing.
    fn pseudonyms(&self, text: &Located<String>) -> Option<Reference> {
        let reference = self.reference(text)?;
        let secret = reference.resolve(self.environment).ok()?;
        if secret.expose().chars().count() < PSEUDONYM_SECRET_CHARS_MIN {
            let message = format!("leads to a secret of fewer than {PSEUDONYM_SECRET_CHARS_MIN} characters");
            self.problems.add(Problem::at(&text.place, message).hint("make one with: openssl rand -hex 32"));
        }
        Some(reference)
    }

    /// The only path that supports `~/`: the location of a key differs between users.
    fn key_path(&self, key: &Located<String>) -> Option<PathBuf> {
        let home = self.environment.variable("HOME").map(PathBuf::from);
        match (key.value.strip_prefix("~/"), home) {
            (Some(inside), Some(home)) => self.accept(&key.place, path_in(&home, inside)),
            _ => self.accept(&key.place, path_in(self.folder, &key.value)),
        }
    }

    // Helpers shared by all parts.

    /// The good items of a list.
    fn items<'d, T>(&self, list: &'d Checked<Vec<Checked<T>>>) -> impl Iterator<Item = &'d Located<T>> + use<'d, T> {
        let items = list.optional().map_or(&[][..], |list| &list.value[..]);
        items.iter().filter_map(Checked::optional)
    }

    /// A value, or a problem at `place`.
    fn accept<T>(&self, place: &Place, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.problems.add(wrong.at(place))).ok()
    }

    fn required_text<T: FromStr<Err = Wrong>>(&self, field: &Checked<String>, name: &str, parent: &Place) -> Option<T> {
        let text = field.required(name, parent, self.problems)?;
        self.accept(&text.place, text.value.parse())
    }

    fn optional_text<T: FromStr<Err = Wrong>>(&self, field: &Checked<String>) -> Option<T> {
        let text = field.optional()?;
        self.accept(&text.place, text.value.parse())
    }

    /// A reference that resolves now. Its value is checked and dropped.
    fn reference(&self, text: &Located<String>) -> Option<Reference> {
        let reference = self.accept(&text.place, Reference::parse(&text.value, self.folder))?;
        if let Err(unresolved) = reference.resolve(self.environment) {
            let problem = Problem::at(&text.place, unresolved.to_string());
            self.problems.add(problem.hint(unresolved.hint()));
        }
        Some(reference)
    }

    /// Records every text that was there before.
    fn unique<'d>(&self, texts: impl Iterator<Item = &'d Located<String>>, what: &str) {
        let mut first_lines: HashMap<&str, usize> = HashMap::new();
        for text in texts {
            let Some(first) = first_lines.get(text.value.as_str()) else {
                first_lines.insert(&text.value, text.place.line);
                continue;
            };
            let message = format!("{what} `{}` was already given on line {first}", shown(&text.value));
            self.problems.add(Problem::at(&text.place, message));
        }
    }
}

fn date(text: &str) -> Result<Date, Wrong> {
    let shaped = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let read = text.parse().ok().filter(|_| shaped);
    read.ok_or_else(|| {
        Wrong::new(format!("`{}` is not a date", shown(text))).hint("write year-month-day, as in 2027-03-31")
    })
}
