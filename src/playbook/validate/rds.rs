//! Databases on RDS and Aurora.
//!
//! Leaves out whether instance, snapshot, groups and keys exist: that is found when the provider is queried.

use super::Validator;
use crate::playbook::{
    checked::{Checked, Written},
    document::{Rds, RdsMethod, RdsSnapshot, Tag, Via},
    names::{Line, RdsId},
    path::path_in,
    problem::{Located, Place, Problem},
    quantity::Period,
    rds::{
        ExportFrom, ExportSpec, ExportedSnapshot, RdsLogin, RdsMethodSpec, RdsPlace, RdsSpec, SnapshotSpec, ViaSpec,
    },
};

const AVAILABLE_WITHIN: &str = "2h";

impl Validator<'_> {
    pub(super) fn rds(&self, entry: &Located<Rds>) -> Option<RdsSpec> {
        let Located { value: rds, place } = entry;
        let server = self.rds_place(rds, place);
        let database = self.required_text(&rds.database, "database", place);
        let word = rds.method.optional().map_or_else(RdsMethod::default, |method| method.value);
        let login = if word == RdsMethod::Export
            && rds.user.is_missing()
            && rds.password.is_missing()
            && rds.iam.is_missing()
        {
            Some(None)
        } else {
            self.rds_login(rds, place).map(Some)
        };
        let via = rds.via.optional().and_then(|via| self.via(via));
        let ca = rds.ca.optional().and_then(|ca| self.accept(&ca.place, path_in(self.folder, &ca.value)));
        let method = self.rds_method(rds, place, word);
        if let Some(cluster) = rds.cluster.optional().filter(|_| word == RdsMethod::Snapshot) {
            let problem = Problem::at(&cluster.place, "clusters are read live or from an export only");
            self.problems.add(problem.hint("write `method: live`, with a `replica` to spare the writer"));
        }
        if let (Some(cluster), Some(RdsMethodSpec::Export(ExportSpec { from: ExportFrom::New(new), .. }))) =
            (rds.cluster.optional(), &method)
            && new.take == ExportedSnapshot::New
        {
            let problem = Problem::at(&cluster.place, "no snapshot of a cluster is made");
            self.problems.add(problem.hint("write `take: newest`, or name a `snapshot`"));
        }
        self.rds_unknown_keys(rds, word);
        Some(RdsSpec { place: server?, database: database?, login: login?, ca, via, method: method? })
    }

    fn rds_place(&self, rds: &Rds, place: &Place) -> Option<RdsPlace> {
        if rds.instance.is_missing() == rds.cluster.is_missing() {
            let problem = Problem::at(place, "needs exactly one of `instance` and `cluster`");
            self.problems.add(problem.hint("write the identifier that the provider's console shows"));
            return None;
        }
        let instance = self.optional_text(&rds.instance).map(RdsPlace::Instance);
        instance.or_else(|| self.optional_text(&rds.cluster).map(RdsPlace::Cluster))
    }

    fn rds_login(&self, rds: &Rds, place: &Place) -> Option<RdsLogin> {
        let user: Option<Line> = self.required_text(&rds.user, "user", place);
        let iam = rds.iam.optional().is_some_and(|iam| iam.value);
        if iam != rds.password.is_missing() && !matches!(rds.iam, Checked::Bad) {
            let problem = Problem::at(place, "needs exactly one of `password` and `iam: true`");
            self.problems.add(problem.hint("write password: \"env:NAME\", or iam: true for tokens of IAM"));
        }
        let password = rds.password.optional().map(|password| self.reference(password));
        if let (true, Some(user)) = (iam, rds.user.optional())
            && !user.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        {
            let problem = Problem::at(&user.place, "can't stand in a token of IAM");
            self.problems.add(problem.hint("use a role whose name has letters, digits, `_`, `-` and `.` only"));
        }
        let password = match password {
            Some(reference) => Some(reference?),
            None => None,
        };
        Some(RdsLogin { user: user?, password })
    }

    fn via(&self, entry: &Located<Via>) -> Option<ViaSpec> {
        let host = self.required_text(&entry.value.host, "host", &entry.place);
        let port = entry.value.port.required("port", &entry.place, self.problems)?;
        let number = u16::try_from(port.value).ok().filter(|number| *number > 0);
        if number.is_none() {
            let problem = Problem::at(&port.place, format!("{} is no port", port.value));
            self.problems.add(problem.hint("write a number from 1 to 65535"));
        }
        Some(ViaSpec { host: host?, port: number? })
    }

    fn rds_method(&self, rds: &Rds, place: &Place, word: RdsMethod) -> Option<RdsMethodSpec> {
        match word {
            RdsMethod::Live => {
                let replica: Option<RdsId> = self.optional_text(&rds.replica);
                Some(RdsMethodSpec::Live { replica })
            }
            RdsMethod::Snapshot => {
                if rds.snapshot.is_missing() {
                    let hint = "say class, subnet_group, security_groups, parameter_group, per_hour and cost_ceiling";
                    self.needed("snapshot", "`method` is `snapshot`", place, hint);
                }
                self.snapshot(rds.snapshot.optional()?).map(RdsMethodSpec::Snapshot)
            }
            RdsMethod::Export => {
                if rds.export.is_missing() {
                    let hint = "name a `task`; or `bucket` and `folder`; or bucket, role, key, per_gb and cost_ceiling";
                    self.needed("export", "`method` is `export`", place, hint);
                }
                self.export(rds.export.optional()?).map(RdsMethodSpec::Export)
            }
        }
    }

    /// Keys of another method would be ignored, so they are errors.
    fn rds_unknown_keys(&self, rds: &Rds, word: RdsMethod) {
        let stranger = |place: Option<&Place>, own: RdsMethod, goes_with: &str| {
            if let Some(place) = place.filter(|_| word != own) {
                let problem = Problem::at(place, format!("goes with `method: {goes_with}` only"));
                self.problems.add(problem.hint("remove the key, or change `method`"));
            }
        };
        stranger(rds.replica.optional().map(|replica| &replica.place), RdsMethod::Live, "live");
        stranger(rds.snapshot.optional().map(|snapshot| &snapshot.place), RdsMethod::Snapshot, "snapshot");
        stranger(rds.export.optional().map(|export| &export.place), RdsMethod::Export, "export");
    }

    fn snapshot(&self, entry: &Located<RdsSnapshot>) -> Option<SnapshotSpec> {
        let Located { value: snapshot, place } = entry;
        let class = self.required_text(&snapshot.class, "class", place);
        let subnet_group = self.required_text(&snapshot.subnet_group, "subnet_group", place);
        let groups = snapshot.security_groups.required("security_groups", place, self.problems);
        if let Some(list) = groups.filter(|list| list.value.is_empty()) {
            let problem = Problem::at(&list.place, "names no security group");
            self.problems.add(problem.hint("name at least one; the default group may admit no one, or everyone"));
        }
        let security_groups: Vec<Line> = self
            .items(&snapshot.security_groups)
            .filter_map(|group| self.accept(&group.place, group.value.parse()))
            .collect();
        let parameter_group = self.required_text(&snapshot.parameter_group, "parameter_group", place);
        let per_hour = self.money(&snapshot.per_hour, "per_hour", place);
        let cost_ceiling = self.money(&snapshot.cost_ceiling, "cost_ceiling", place);
        if let (Some(per_hour), Some(ceiling)) = (&per_hour, &cost_ceiling)
            && per_hour.currency() != ceiling.currency()
        {
            let problem = Problem::at(place, "names two currencies");
            self.problems.add(problem.hint("write `per_hour` and `cost_ceiling` in the same one"));
        }
        let available_within = self.period(&snapshot.available_within, AVAILABLE_WITHIN);
        Some(SnapshotSpec {
            take: snapshot.take.optional().map_or_else(Default::default, |take| take.value),
            class: class?,
            subnet_group: subnet_group?,
            security_groups,
            parameter_group: parameter_group?,
            tags: self.items(&snapshot.tags).filter_map(|tag| self.tag(tag)).collect(),
            per_hour: per_hour?,
            cost_ceiling: cost_ceiling?,
            available_within: available_within?,
        })
    }

    fn tag(&self, entry: &Located<Tag>) -> Option<(String, String)> {
        let key: Option<Line> = self.required_text(&entry.value.key, "key", &entry.place);
        let value = entry.value.value.required("value", &entry.place, self.problems);
        let key = key?.to_string();
        if ["walkaway:", "aws:"].iter().any(|reserved| key.starts_with(reserved)) {
            self.problems.add(Problem::at(&entry.place, "is a tag that others set").hint("choose another key"));
        }
        Some((key, value?.value.clone()))
    }

    pub(super) fn money(
        &self,
        field: &Checked<Written>,
        name: &str,
        place: &Place,
    ) -> Option<crate::playbook::quantity::Money> {
        let Located { value: Written(text), place } = field.required(name, place, self.problems)?;
        self.accept(place, text.parse())
    }

    pub(super) fn period(&self, field: &Checked<Written>, default: &str) -> Option<Period> {
        match field.optional() {
            Some(Located { value: Written(text), place }) => self.accept(place, text.parse()),
            None => default.parse().ok(),
        }
    }
}
