//! The two ends of the transfer: the provider and the target.
//!
//! Leaves out whether anyone answers there.

use super::Validator;
use crate::playbook::{
    checked::Checked,
    document::{Aws, Endpoints as EndpointsEntry, Provider as ProviderEntry, Target, TargetPostgres, TargetS3},
    model::{AwsSpec, Endpoints, PostgresTarget, Provider, S3TargetSpec, TargetSpec},
    names::{Endpoint, Region},
    path::path_in,
    problem::{Located, Place, Problem, Wrong},
};

impl Validator<'_> {
    pub(super) fn provider(&self, field: &Checked<ProviderEntry>) -> Option<Provider> {
        let provider = field.optional()?;
        let aws = provider.value.aws.required("aws", &provider.place, self.problems)?;
        Some(Provider { aws: self.aws(&aws.value) })
    }

    fn aws(&self, aws: &Aws) -> AwsSpec {
        let endpoints = aws.endpoints.optional();
        AwsSpec {
            account: self.optional_text(&aws.account),
            profile: self.optional_text(&aws.profile),
            regions: self.regions(aws),
            also_look_in: self
                .items(&aws.also_look_in)
                .filter_map(|region| self.accept(&region.place, region.value.parse()))
                .collect(),
            endpoints: endpoints.map_or_else(Endpoints::default, |entry| self.endpoints(&entry.value)),
        }
    }

    fn regions(&self, aws: &Aws) -> Vec<Region> {
        if let Some(list) = aws.regions.optional().filter(|list| list.value.is_empty()) {
            let problem = Problem::at(&list.place, "names no region");
            self.problems
                .add(problem.hint("name at least one, or remove the key to leave it to the AWS configuration"));
        }
        self.unique(self.items(&aws.regions), "the region");
        self.items(&aws.regions).filter_map(|region| self.accept(&region.place, region.value.parse())).collect()
    }

    fn endpoints(&self, entry: &EndpointsEntry) -> Endpoints {
        Endpoints {
            s3: self.endpoint(&entry.s3),
            sts: self.endpoint(&entry.sts),
            rds: self.endpoint(&entry.rds),
            iam: self.endpoint(&entry.iam),
            cloudwatch: self.endpoint(&entry.cloudwatch),
            s3control: self.endpoint(&entry.s3control),
        }
    }

    /// An address as written, or the one behind a reference. It is not a secret, so the resolved playbook shows it.
    pub(super) fn endpoint(&self, field: &Checked<String>) -> Option<Endpoint> {
        self.address(field.optional()?)
    }

    fn address(&self, text: &Located<String>) -> Option<Endpoint> {
        if !text.value.starts_with("env:") && !text.value.starts_with("file:") {
            return self.accept(&text.place, text.value.parse());
        }
        let address = self.reference(text)?.resolve(self.environment).ok()?;
        // An invalid address may be a misplaced secret: it is not repeated.
        let no_address = |_: Wrong| {
            let wrong = Wrong::new("what it leads to is not the address of a server");
            wrong.hint("http:// or https://, a host and a port if need be; no user, query or fragment")
        };
        self.accept(&text.place, address.expose().parse().map_err(no_address))
    }

    pub(super) fn target(&self, field: &Checked<Target>, parent: &Place) -> Option<TargetSpec> {
        let Located { value: target, place } = field.required("target", parent, self.problems)?;
        let postgres = target.postgres.optional().and_then(|postgres| self.target_postgres(postgres));
        let s3 = target.s3.optional().and_then(|s3| self.target_s3(s3));
        let path = target.path.required("path", place, self.problems)?;
        Some(TargetSpec { path: self.accept(&path.place, path_in(self.folder, &path.value))?, postgres, s3 })
    }

    fn target_s3(&self, entry: &Located<TargetS3>) -> Option<S3TargetSpec> {
        let Located { value: s3, place } = entry;
        let endpoint = s3.endpoint.required("endpoint", place, self.problems).and_then(|text| self.address(text));
        let profile = self.optional_text(&s3.profile);
        let region = self.optional_text(&s3.region);
        Some(S3TargetSpec { endpoint: endpoint?, profile, region })
    }

    fn target_postgres(&self, entry: &Located<TargetPostgres>) -> Option<PostgresTarget> {
        let Located { value: postgres, place } = entry;
        if postgres.managed.is_missing() == postgres.url.is_missing() {
            let problem = Problem::at(place, "needs exactly one of `managed` and `url`");
            self.problems.add(problem.hint("write {managed: true}, or {url: \"env:NAME\"} for a server of yours"));
            return None;
        }
        if let Some(managed) = postgres.managed.optional() {
            if let Some(Located { place, .. }) = postgres.trust_source.optional() {
                let problem = Problem::at(place, "`trust_source` has no meaning beside `managed`");
                self.problems.add(problem.hint("leave it out: there the source's code runs as a restricted role"));
            }
            return self.managed(managed);
        }
        let trust_source = postgres.trust_source.optional().is_some_and(|trusts| trusts.value);
        Some(PostgresTarget::Url { url: self.reference(postgres.url.optional()?)?, trust_source })
    }

    fn managed(&self, managed: &Located<bool>) -> Option<PostgresTarget> {
        if managed.value {
            return Some(PostgresTarget::Managed);
        }
        let problem = Problem::at(&managed.place, "`managed: false` names no server");
        self.problems.add(problem.hint("write {managed: true}, or {url: \"env:NAME\"} for a server of yours"));
        None
    }
}
