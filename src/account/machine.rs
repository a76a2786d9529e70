//! Whether a machine is in a cloud, judged by what it reports about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::finding::{Finding, FindingKind as Kind};

/// What a machine reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The firmware's strings: `sys_vendor`, `product_name`, `bios_vendor`, `chassis_asset_tag`, …
    pub firmware: BTreeMap<String, String>,
    /// The hypervisor below, if the kernel names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<String>,
    /// The identifier that a Xen hypervisor gave this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypervisor_id: Option<String>,
    /// The data source of cloud-init, in its own notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_source: Option<String>,
    /// Traces of cloud-init and of providers' agents on the disk.
    pub traces: Vec<String>,
    /// The result of the request to the metadata service; none if it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_service: Option<String>,
    /// Sources that could not be read.
    pub unreadable: Vec<String>,
}

/// The name for no response of the metadata service.
pub const SILENT: &str = "no answer";

/// Firmware strings that only clouds have, with the cloud's name, in lower case.
const CLOUDS: [(&str, &str); 39] = [
    ("amazon", "AWS"),
    ("google compute engine", "Google Cloud"),
    ("google cloud", "Google Cloud"),
    ("7783-7084-3265-9085-8269-3286-77", "Azure"),
    ("oraclecloud", "Oracle Cloud"),
    ("digitalocean", "DigitalOcean"),
    ("alibaba cloud", "Alibaba Cloud"),
    ("tencent cloud", "Tencent Cloud"),
    ("huaweicloud", "Huawei Cloud"),
    ("huawei cloud", "Huawei Cloud"),
    ("opentelekomcloud", "Open Telekom Cloud"),
    ("openstack", "OpenStack"),
    ("rdo compute", "OpenStack"),
    ("cloudstack", "CloudStack"),
    ("ovh", "OVH"),
    ("hetzner", "Hetzner"),
    ("scaleway", "Scaleway"),
    ("upcloud", "UpCloud"),
    ("vultr", "Vultr"),
    ("linode", "Linode"),
    ("akamai", "Linode"),
    ("exoscale", "Exoscale"),
    ("outscale", "Outscale"),
    ("ionos", "IONOS"),
    ("profitbricks", "IONOS"),
    ("stackit", "STACKIT"),
    ("gridscale", "gridscale"),
    ("yandex", "Yandex Cloud"),
    ("ibm cloud", "IBM Cloud"),
    ("ibmcloud", "IBM Cloud"),
    ("ibm:cloud", "IBM Cloud"),
    ("brightbox", "Brightbox"),
    ("leaseweb", "Leaseweb"),
    ("contabo", "Contabo"),
    ("kamatera", "Kamatera"),
    ("netcup", "netcup"),
    ("equinix", "Equinix Metal"),
    ("packet, inc", "Equinix Metal"),
    ("joyent", "Triton"),
];
/// Firmware vendors of any virtual machine, private or in a cloud, in lower case.
const VIRTUAL: [&str; 13] = [
    "qemu",
    "kvm",
    "vmware",
    "xen",
    "innotek",
    "virtualbox",
    "virtual machine",
    "bochs",
    "red hat",
    "parallels",
    "nutanix",
    "bhyve",
    "domu",
];
/// Hardware vendors whose name a private machine has, even below a hypervisor that passes it on, in lower case.
const MAKERS: [&str; 23] = [
    "acer",
    "apple",
    "asrock",
    "asus",
    "cisco",
    "dell",
    "framework",
    "fujitsu",
    "gigabyte",
    "hewlett",
    "hpe",
    "hp",
    "ibm",
    "inspur",
    "intel",
    "lenovo",
    "micro-star",
    "quanta",
    "supermicro",
    "super micro",
    "system76",
    "tyan",
    "wiwynn",
];
/// Data sources of cloud-init on private machines (cloud-init documentation, "Data sources").
const OWN_SOURCES: [&str; 11] =
    ["", "nocloud", "none", "fallback", "unknown", "lxd", "maas", "ovf", "vmware", "wsl", "configdrive"];

/// The kind of a machine according to its firmware.
enum Build {
    Hardware,
    Virtual,
    Unknown,
}

/// What was concluded, and from which signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conclusion {
    /// None where nothing conclusive could be read.
    pub in_cloud: Option<bool>,
    /// What it is based on.
    pub signs: Vec<String>,
}

impl Machine {
    /// Whether this is a machine in a cloud. Firmware, hypervisor, metadata service and cloud-init's data source decide when
    /// they name one. Traces of agents decide nothing: cloud-init and the agents of providers run on private machines.
    pub fn conclusion(&self) -> Conclusion {
        let decisive = self.clouds();
        if !decisive.is_empty() {
            return Conclusion { in_cloud: Some(true), signs: decisive };
        }
        let mut signs: Vec<_> = ["sys_vendor", "product_name"]
            .iter()
            .filter_map(|name| Some(format!("firmware: {name} = {}", self.firmware.get(*name)?)))
            .collect();
        signs.extend(self.hypervisor.as_ref().map(|hypervisor| format!("hypervisor: {hypervisor}")));
        signs.extend(self.metadata_service.as_ref().map(|answer| format!("metadata service: {answer}")));
        signs.extend(self.traces.iter().map(|trace| format!("trace, which decides nothing: {trace}")));
        let asked_in_vain = self.metadata_service.as_deref() == Some(SILENT);
        let in_cloud = match self.build() {
            Build::Hardware => Some(false),
            // Every large cloud answers there; where one does not, its firmware names it.
            Build::Virtual if asked_in_vain && self.traces.is_empty() => Some(false),
            Build::Virtual | Build::Unknown => None,
        };
        if in_cloud.is_none() {
            signs.push(
                "nothing here tells a cloud from a virtual machine of one's own (target.ask_metadata_service may)"
                    .to_owned(),
            );
        }
        Conclusion { in_cloud, signs }
    }

    /// The signs that name a cloud.
    fn clouds(&self) -> Vec<String> {
        let mut signs = Vec::new();
        for (name, text) in &self.firmware {
            let lower = text.to_lowercase();
            let cloud = CLOUDS.iter().find(|(word, _)| lower.contains(word));
            signs.extend(cloud.map(|(_, cloud)| format!("firmware: {cloud}, {name} = {text}")));
        }
        // Amazon EC2 User Guide, "Detect whether a host is an EC2 instance".
        let is_ec2 = |id: &&String| id.to_lowercase().starts_with("ec2");
        signs.extend(
            self.hypervisor_id.iter().filter(is_ec2).map(|id| format!("hypervisor: AWS, its identifier is {id}")),
        );
        let source = self.cloud_source.iter().filter(|source| !OWN_SOURCES.contains(&source.to_lowercase().as_str()));
        signs.extend(source.map(|source| format!("cloud-init: its data source is {source}")));
        let answer = self.metadata_service.as_ref().filter(|answer| *answer != SILENT);
        signs.extend(answer.map(|answer| format!("metadata service: {answer}")));
        signs
    }

    fn build(&self) -> Build {
        let words = ["sys_vendor", "product_name", "bios_vendor"].iter().filter_map(|name| self.firmware.get(*name));
        let text = words.map(|word| word.to_lowercase()).collect::<Vec<_>>().join(" ");
        let vendor = self.firmware.get("sys_vendor").map(|vendor| vendor.to_lowercase()).unwrap_or_default();
        let has = |list: &[&str], text: &str| list.iter().any(|word| text.contains(word));
        match (text.is_empty(), self.hypervisor.is_some()) {
            (true, _) => Build::Unknown,
            (false, _) if has(&VIRTUAL, &text) => Build::Virtual,
            (false, true) if !has(&MAKERS, &vendor) => Build::Unknown,
            (false, _) => Build::Hardware,
        }
    }

    /// The finding where the playbook requires a machine outside of clouds.
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
    fn what_names_a_cloud_decides_and_traces_do_not() {
        let vm = |vendor: &str| Machine { hypervisor: Some("kvm".into()), ..machine(vendor) };
        for vendor in ["Amazon EC2", "OpenStack Foundation", "OVHcloud", "Hetzner", "UpCloud", "Alibaba Cloud"] {
            assert_eq!(kinds(&machine(vendor)), [Kind::TargetInCloud], "{vendor}");
        }
        let mut xen = vm("Xen");
        xen.hypervisor_id = Some("ec2e1916-9099-7caf-fd21-012345abcdef".into());
        assert_eq!(kinds(&xen), [Kind::TargetInCloud]);
        let mut old_xen = vm("Xen");
        old_xen.firmware.insert("bios_version".into(), "4.11.amazon".into());
        assert_eq!(kinds(&old_xen), [Kind::TargetInCloud]);
        let source = |source: &str| Machine { cloud_source: Some(source.into()), ..machine("Dell Inc.") };
        assert_eq!(kinds(&source("aws")), [Kind::TargetInCloud]);
        let traces = || vec!["/run/cloud-init".to_owned(), "/etc/cloud/cloud.cfg".to_owned()];
        assert!(kinds(&Machine { traces: traces(), ..source("nocloud") }).is_empty());
        assert!(kinds(&Machine { hypervisor: Some("kvm".into()), ..machine("Dell Inc.") }).is_empty());
        assert_eq!(kinds(&Machine { traces: traces(), ..vm("QEMU") }), [Kind::TargetUnknown]);
    }

    #[test]
    fn a_virtual_machine_is_told_by_the_metadata_service_only() {
        let asked = |answer: Option<&str>| Machine {
            metadata_service: answer.map(str::to_owned),
            hypervisor: Some("kvm".into()),
            ..machine("QEMU")
        };
        assert_eq!(kinds(&asked(Some("HTTP/1.1 401 Unauthorized"))), [Kind::TargetInCloud]);
        assert!(kinds(&asked(Some(SILENT))).is_empty());
        assert_eq!(kinds(&asked(None)), [Kind::TargetUnknown]);
        assert_eq!(
            kinds(&Machine { hypervisor: Some("kvm".into()), ..machine("Acme Compute") }),
            [Kind::TargetUnknown]
        );
    }

    #[test]
    fn a_machine_that_says_nothing_is_not_taken_for_a_local_one() {
        assert_eq!(kinds(&Machine::default()), [Kind::TargetUnknown]);
    }
}
