//! Whether a machine is one in a cloud, judged by what it says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, FindingKind as Kind};

/// What a machine says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The firmware's words: `sys_vendor`, `product_name`, `bios_vendor`, `chassis_asset_tag`, …
    pub firmware: BTreeMap<String, String>,
    /// The hypervisor below, if the kernel names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<String>,
    /// Traces of cloud-init and of providers' agents on the disk.
    pub traces: Vec<String>,
    /// What became of the question to the metadata service; none if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_service: Option<String>,
    /// Sources that could not be read.
    pub unreadable: Vec<String>,
}

/// What the metadata service's silence is called.
pub const SILENT: &str = "no answer";

/// Words of firmwares that only clouds have, and whose they are. KVM, VMware or Hyper-V alone say nothing.
const CLOUDS: [(&str, &str); 13] = [
    ("amazon ec2", "AWS"),
    ("google compute engine", "Google Cloud"),
    ("google cloud", "Google Cloud"),
    ("7783-7084-3265-9085-8269-3286-77", "Azure"),
    ("oraclecloud.com", "Oracle Cloud"),
    ("digitalocean", "DigitalOcean"),
    ("alibaba cloud", "Alibaba Cloud"),
    ("tencent cloud", "Tencent Cloud"),
    ("hetzner", "Hetzner"),
    ("scaleway", "Scaleway"),
    ("vultr", "Vultr"),
    ("linode", "Linode"),
    ("exoscale", "Exoscale"),
];

/// What was concluded, and from which signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conclusion {
    /// None where nothing could be read that would tell.
    pub in_cloud: Option<bool>,
    /// What it rests on.
    pub signs: Vec<String>,
}

impl Machine {
    /// Whether this is a machine in a cloud.
    pub fn conclusion(&self) -> Conclusion {
        let mut signs = Vec::new();
        for (name, text) in &self.firmware {
            let lower = text.to_lowercase();
            let cloud = CLOUDS.iter().find(|(word, _)| lower.contains(word));
            signs.extend(cloud.map(|(_, cloud)| format!("{cloud}: firmware says {name} = {text}")));
        }
        signs.extend(self.traces.iter().map(|trace| format!("trace: {trace}")));
        let asked = self.metadata_service.as_ref().filter(|answer| *answer != SILENT);
        signs.extend(asked.map(|answer| format!("the metadata service answered: {answer}")));
        if !signs.is_empty() {
            return Conclusion { in_cloud: Some(true), signs };
        }
        if self.firmware.is_empty() {
            let signs = vec!["the firmware says nothing, and no other sign is there".to_owned()];
            return Conclusion { in_cloud: None, signs };
        }
        let told = |name: &str| self.firmware.get(name).cloned();
        let signs = [told("sys_vendor"), told("product_name")].into_iter().flatten().collect();
        Conclusion { in_cloud: Some(false), signs }
    }

    /// What it means where the playbook requires a machine that is in no cloud.
    pub fn findings(&self, host: &str) -> Vec<Finding> {
        let conclusion = self.conclusion();
        let kind = match conclusion.in_cloud {
            Some(false) => return Vec::new(),
            Some(true) => Kind::TargetInCloud,
            None => Kind::TargetUnknown,
        };
        vec![Finding::of_run(kind, host, conclusion.signs.join("; "))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(vendor: &str) -> Machine {
        Machine { firmware: [("sys_vendor".to_owned(), vendor.to_owned())].into(), ..Machine::default() }
    }

    fn kinds(machine: &Machine) -> Vec<Kind> {
        machine.findings("vault").iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn firmware_traces_and_the_metadata_service_give_a_cloud_away() {
        assert!(kinds(&machine("Dell Inc.")).is_empty());
        assert_eq!(kinds(&machine("Amazon EC2")), [Kind::TargetInCloud]);
        let traced = Machine { traces: vec!["/run/cloud-init".into()], ..machine("QEMU") };
        assert_eq!(kinds(&traced), [Kind::TargetInCloud]);
        let asked = |answer: &str| Machine { metadata_service: Some(answer.into()), ..machine("QEMU") };
        assert_eq!(kinds(&asked("HTTP 401")), [Kind::TargetInCloud]);
        assert!(kinds(&asked(SILENT)).is_empty());
    }

    #[test]
    fn a_machine_that_says_nothing_is_not_taken_for_a_local_one() {
        assert_eq!(kinds(&Machine::default()), [Kind::TargetUnknown]);
    }
}
