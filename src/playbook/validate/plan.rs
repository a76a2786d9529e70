//! The plan: services that name assets, alternatives, roles, objectives.

use std::str::FromStr;

use super::{Validator, date};
use crate::playbook::{
    checked::{Checked, Written},
    document::{AlternativeEntry, Document, FollowUpEntry, PlanEntry, ServiceEntry},
    model::{Alternative, Asset, ExitLimit, ExitPlan, FollowUp, Objectives, Roles, Service},
    names::{AssetId, Line},
    problem::{Located, Problem, Wrong, shown},
};

impl Validator<'_> {
    pub(super) fn exit_plan(&self, file: &Document, assets: &[Asset]) -> ExitPlan {
        let roles = file.roles.optional().map(|entry| &entry.value);
        let objectives = file.objectives.optional().map(|entry| &entry.value);
        let plan = file.plan.optional().map(|entry| &entry.value);
        let parts = plan.map(|plan| self.plan_parts(plan, assets)).unwrap_or_default();
        ExitPlan {
            scenario: file.scenario.optional().map(|scenario| scenario.value),
            roles: Roles {
                accountable: roles.and_then(|roles| self.optional_text(&roles.accountable)),
                operator: roles.and_then(|roles| self.optional_text(&roles.operator)),
                reviewer: roles.and_then(|roles| self.optional_text(&roles.reviewer)),
            },
            controls: self.lines(&file.controls),
            objectives: Objectives {
                rto: objectives.and_then(|entry| self.written(&entry.rto)),
                rpo: objectives.and_then(|entry| self.written(&entry.rpo)),
            },
            ..parts
        }
    }

    fn plan_parts(&self, plan: &PlanEntry, assets: &[Asset]) -> ExitPlan {
        let review = plan.next_review.optional();
        ExitPlan {
            services: self.items(&plan.services).filter_map(|entry| self.service(entry, assets)).collect(),
            triggers: self.lines(&plan.triggers),
            alternatives: self.items(&plan.alternatives).filter_map(|entry| self.alternative(entry)).collect(),
            follow_up: self.items(&plan.follow_up).filter_map(|entry| self.follow_up(entry)).collect(),
            next_review: review.and_then(|written| self.accept(&written.place, date(&written.value.0))),
            every: self.written(&plan.every),
            ..ExitPlan::default()
        }
    }

    fn service(&self, entry: &Located<ServiceEntry>, assets: &[Asset]) -> Option<Service> {
        let Located { value, place } = entry;
        let name = self.required_text(&value.name, "name", place);
        let criticality = self.required_text(&value.criticality, "criticality", place);
        let data = self.items(&value.data).filter_map(|id| {
            let known: AssetId = self.accept(&id.place, id.value.parse())?;
            if !assets.is_empty() && !assets.iter().any(|asset| asset.id == known) {
                let problem = Problem::at(&id.place, format!("`{}` is no asset of this playbook", shown(&id.value)));
                self.problems.add(problem.hint("name the ids of the assets that the service needs"));
            }
            Some(known)
        });
        let data = data.collect();
        Some(Service { name: name?, criticality: criticality?, data })
    }

    fn alternative(&self, entry: &Located<AlternativeEntry>) -> Option<Alternative> {
        let Located { value, place } = entry;
        let name = self.required_text(&value.name, "name", place);
        let country: Option<Line> = self.required_text(&value.country, "country", place);
        if let Some(text) = value.country.optional().filter(|text| !is_country(&text.value)) {
            self.problems.add(Problem::at(&text.place, "is no country code").hint("write two letters, as in FR"));
        }
        let gap = self.required_text(&value.gap, "gap", place);
        let assessed = value.assessed.required("assessed", place, self.problems);
        let assessed = assessed.and_then(|written| self.accept(&written.place, date(&written.value.0)));
        let maps = value.maps.optional().into_iter().flat_map(|maps| &maps.value);
        let maps = maps.filter_map(|(from, to)| Some((from.clone(), self.optional_text(to)?))).collect();
        Some(Alternative { name: name?, country: country?, maps, gap: gap?, assessed: assessed? })
    }

    fn follow_up(&self, entry: &Located<FollowUpEntry>) -> Option<FollowUp> {
        let Located { value, place } = entry;
        let finding = self.required_text(&value.finding, "finding", place);
        let owner = self.required_text(&value.owner, "owner", place);
        let due = value.due.required("due", place, self.problems);
        let due = due.and_then(|written| self.accept(&written.place, date(&written.value.0)));
        Some(FollowUp { finding: finding?, owner: owner?, due: due? })
    }

    fn lines(&self, list: &Checked<Vec<Checked<String>>>) -> Vec<Line> {
        self.items(list).filter_map(|line| self.accept(&line.place, line.value.parse())).collect()
    }

    pub(super) fn written<T: FromStr<Err = Wrong>>(&self, field: &Checked<Written>) -> Option<T> {
        let Located { value: Written(text), place } = field.optional()?;
        self.accept(place, text.parse())
    }

    /// A bound on the time to exit; a term that it names has to exist.
    pub(super) fn exit_limit(&self, field: &Checked<Written>, file: &Document) -> Option<ExitLimit> {
        let limit = self.written(field)?;
        let rto = file.objectives.optional().is_some_and(|entry| !entry.value.rto.is_missing());
        if let (ExitLimit::Term(name), Some(written)) = (&limit, field.optional())
            && !(if name == "objectives.rto" { rto } else { file.has_contract() })
        {
            let problem = Problem::at(&written.place, format!("`{name}` is not in this playbook"));
            self.problems.add(problem.hint("add it, or write a period, as in `<= 30d`"));
        }
        Some(limit)
    }
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}
