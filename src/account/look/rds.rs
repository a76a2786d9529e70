//! Databases, clusters, snapshots and exports of one region.

use std::collections::BTreeMap;

use aws_sdk_rds::{
    Client,
    types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot, ExportTask, Tag},
};
use futures_util::{StreamExt as _, stream};

use super::{
    failure::Failure,
    request::Look,
    settings,
    tap::{RawBody, all_read, ask},
};
use crate::{
    account::{
        inventory::{Fact, Item, ItemKind, NONE, fact},
        reply::Reply,
    },
    aws::{
        paging::Paging,
        xml::{self, Element},
    },
};

/// The most that a page holds (Amazon RDS API reference).
const PAGE_RECORDS: i32 = 100;
const CONCURRENCY: usize = 8;
const GIB: u64 = 1 << 30;

/// Lists page after page; what was listed before a refusal stays. Each list by its operation, twice, its field, its element,
/// the kind of its items, and how one is read.
macro_rules! every_page {
    ($look:expr, $client:expr, $region:expr;
     $($operation:ident, $call:literal, $list:ident, $element:literal, $kind:literal, $item:ident;)*) => {$(
        let mut marker = None::<String>;
        let mut paging = Paging::new();
        for page in 1.. {
            let call = concat!("rds ", $call);
            let request = $client.$operation().max_records(PAGE_RECORDS).set_marker(marker.take());
            let (answer, raw) = match ask!(request) {
                Ok(answered) => answered,
                Err(failure) => {
                    $look.refused(call, Some($region), None, &failure, concat!("rds:", $call), &[$kind]);
                    break;
                }
            };
            $look.answered(call, Some($region), page, raw.digest());
            let items: Vec<Item> = answer.$list().iter().filter_map(|one| $item(one, $region)).collect();
            let whole = items.len() == answer.$list().len();
            $look.take_items(call, $region, $element, &raw, (items, whole), &[$kind]);
            match paging.next(answer.marker()) {
                Ok(Some(next)) => marker = Some(next),
                Ok(None) => break,
                Err(endless) => {
                    $look.refused(call, Some($region), None, &Failure::not_understood(endless), "", &[$kind]);
                    break;
                }
            }
        }
    )*};
}

impl Look<'_> {
    /// Everything that RDS holds in a region. One list that is denied does not stop the others.
    pub(super) async fn databases(&mut self, region: &str) {
        let client = self.aws.rds_in(region, self.wanted.patient);
        let before = self.inventory.items.len();
        every_page! { self, client, region;
            describe_db_instances, "DescribeDBInstances", db_instances, "DBInstances", "rds", instance_item;
            describe_db_clusters, "DescribeDBClusters", db_clusters, "DBClusters", "rds", cluster_item;
            describe_db_snapshots, "DescribeDBSnapshots", db_snapshots, "DBSnapshots", "snapshot", snapshot_item;
            describe_db_cluster_snapshots, "DescribeDBClusterSnapshots", db_cluster_snapshots, "DBClusterSnapshots",
                "snapshot", cluster_snapshot_item;
            describe_export_tasks, "DescribeExportTasks", export_tasks, "ExportTasks", "export", export_item;
        }
        self.carried_are_listed(region);
        if self.wanted.public_access {
            self.shared_snapshots(&client, before).await;
        }
    }

    /// Whether the lists hold what the run copies; otherwise they are incomplete.
    fn carried_are_listed(&mut self, region: &str) {
        if region != self.aws.region() {
            return;
        }
        for name in self.wanted.carried_databases.clone() {
            let is_listed = self.inventory.items.iter().any(|item| {
                item.kind.selector() == "rds" && item.name == name && item.region.as_deref() == Some(region)
            });
            if !is_listed {
                let failure = Failure::not_understood(format!("the lists do not hold {name}, which the run carries"));
                self.refused("rds DescribeDBInstances", Some(region), Some(name.as_str()), &failure, "", &["rds"]);
            }
        }
    }

    /// Adds the items of a page. An item that could not be read makes the list incomplete.
    fn take_items(
        &mut self,
        call: &str,
        region: &str,
        list_name: &str,
        raw: &RawBody,
        (mut items, whole): (Vec<Item>, bool),
        kinds: &[&str],
    ) {
        let list = document(raw).ok().and_then(|root| root.find(list_name).cloned());
        let understood = match list {
            None => Err(Failure::not_understood("the answer holds no list")),
            Some(_) if !whole => Err(Failure::not_understood("something in the list has no identifier")),
            Some(list) => {
                let is_whole = all_read(&list, list_name, items.len()).map_err(Failure::not_understood);
                if is_whole.is_ok() && self.wanted.settings {
                    settings::of_described(&list, &mut items);
                }
                is_whole
            }
        };
        if let Err(failure) = understood {
            self.refused(call, Some(region), None, &failure, "", kinds);
        }
        self.inventory.items.extend(items);
    }

    /// The accounts that each manual snapshot is shared with; automated ones cannot be shared.
    async fn shared_snapshots(&mut self, client: &Client, from: usize) {
        let snapshots: Vec<(usize, ItemKind, String)> = (from..self.inventory.items.len())
            .filter_map(|at| {
                let item = &self.inventory.items[at];
                let is_snapshot = matches!(item.kind, ItemKind::Snapshot | ItemKind::ClusterSnapshot);
                let manual = item.known(fact::SNAPSHOT_TYPE).is_none_or(|kind| kind != "automated");
                (is_snapshot && manual).then(|| (at, item.kind, item.name.clone()))
            })
            .collect();
        let facts: Vec<(usize, Fact)> = stream::iter(snapshots)
            .map(|(at, kind, name)| async move { (at, shared_with(client, kind, &name).await) })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for (at, shared) in facts {
            if let (Some(operation), Some(failure)) = (&shared.operation, shared.failure()) {
                let item = &self.inventory.items[at];
                let region = item.region.clone();
                let name = item.name.clone();
                let call = format!("rds {operation}");
                let right = format!("rds:{operation}");
                self.refused(&call, region.as_deref(), Some(&name), &failure, &right, &[]);
            }
            self.inventory.items[at].facts.insert(fact::SHARED_WITH.into(), shared);
        }
    }
}

async fn shared_with(client: &Client, kind: ItemKind, name: &str) -> Fact {
    // The two operations have the same response under different names.
    macro_rules! shared_with {
        ($operation:literal, $request:expr, $result:ident, $identifier:ident, $attributes:ident, $list:literal) => {{
            let reply = Reply::of(ask!($request), &[]).read(|(answer, raw)| {
                let result = answer.$result().ok_or("the answer holds no attributes")?;
                is_about(result.$identifier(), name)?;
                let attributes = result.$attributes();
                let root = document(&raw)?;
                all_read(&root, $list, attributes.len())?;
                all_values_read(&root, attributes.iter().map(|attribute| attribute.attribute_values().len()).sum())?;
                let restore = attributes.iter().find(|attribute| attribute.attribute_name() == Some("restore"));
                Ok((accounts(restore.map(|attribute| attribute.attribute_values())), raw.digest()))
            });
            Fact::of($operation, reply)
        }};
    }
    if kind == ItemKind::Snapshot {
        shared_with!(
            "DescribeDBSnapshotAttributes",
            client.describe_db_snapshot_attributes().db_snapshot_identifier(name),
            db_snapshot_attributes_result,
            db_snapshot_identifier,
            db_snapshot_attributes,
            "DBSnapshotAttributes"
        )
    } else {
        shared_with!(
            "DescribeDBClusterSnapshotAttributes",
            client.describe_db_cluster_snapshot_attributes().db_cluster_snapshot_identifier(name),
            db_cluster_snapshot_attributes_result,
            db_cluster_snapshot_identifier,
            db_cluster_snapshot_attributes,
            "DBClusterSnapshotAttributes"
        )
    }
}

/// Whether as many accounts were read of all attributes as the response holds.
fn all_values_read(answer: &Element, read: usize) -> Result<(), String> {
    fn listed(element: &Element) -> usize {
        let own = if element.name == "AttributeValues" { element.children.len() } else { 0 };
        own + element.children.iter().map(listed).sum::<usize>()
    }
    let listed = listed(answer);
    if listed == read { Ok(()) } else { Err(format!("{read} of {listed} accounts could be read")) }
}

fn document(raw: &RawBody) -> Result<Element, String> {
    Ok(xml::parse(&raw.bytes().unwrap_or_default())?.root)
}

fn is_about(named: Option<&str>, asked: &str) -> Result<(), String> {
    match named {
        Some(named) if named == asked => Ok(()),
        Some(other) => Err(format!("the answer is about {other}")),
        None => Err("the answer does not say which snapshot it is about".to_owned()),
    }
}

/// The accounts that may restore a snapshot; `none` where the list is empty.
fn accounts(values: Option<&[String]>) -> String {
    let mut accounts = values.unwrap_or_default().to_vec();
    accounts.sort();
    if accounts.is_empty() { NONE.to_owned() } else { accounts.join(" ") }
}

/// Collects facts from a listing.
struct Facts(BTreeMap<String, Fact>);

impl Facts {
    fn new() -> Self {
        Facts(BTreeMap::new())
    }

    fn put(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), Fact::listed(value.to_string()));
        }
    }

    fn flag(&mut self, name: &str, value: Option<bool>) {
        self.put(name, value.map(|value| if value { "yes" } else { "no" }));
    }

    fn encryption(&mut self, on: Option<bool>, key: Option<&str>) {
        let value = on.map(|on| match (on, key) {
            (false, _) => "none".to_owned(),
            (true, None) => "yes".to_owned(),
            (true, Some(key)) => format!("yes {key}"),
        });
        self.put(fact::ENCRYPTION, value);
    }

    fn engine(&mut self, name: Option<&str>, version: Option<&str>) {
        self.put(fact::ENGINE, name.map(|name| format!("{name} {}", version.unwrap_or_default()).trim().to_owned()));
    }
}

fn tags(list: &[Tag]) -> Option<BTreeMap<String, String>> {
    let tag = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Some(list.iter().filter_map(tag).collect())
}

fn item(kind: ItemKind, name: &str, region: &str, gib: Option<i32>, facts: Facts) -> Item {
    let bytes = gib.and_then(|gib| u64::try_from(gib).ok()).map(|gib| gib * GIB);
    Item {
        bytes,
        bytes_from: bytes.map(|_| "allocated".to_owned()),
        facts: facts.0,
        ..Item::named(kind, name, Some(region.to_owned()))
    }
}

fn instance_item(one: &DbInstance, region: &str) -> Option<Item> {
    let mut facts = Facts::new();
    facts.engine(one.engine(), one.engine_version());
    facts.encryption(one.storage_encrypted(), one.kms_key_id());
    facts.flag(fact::PUBLIC, one.publicly_accessible());
    facts.flag(fact::DELETION_PROTECTION, one.deletion_protection());
    facts.put(fact::BACKUP_DAYS, one.backup_retention_period());
    facts.put(fact::CLUSTER, one.db_cluster_identifier().filter(|cluster| !cluster.is_empty()));
    facts.put(fact::CREATED, one.instance_create_time());
    let endpoint = one.endpoint().and_then(|e| Some(format!("{}:{}", e.address()?, e.port()?)));
    facts.put(fact::ENDPOINT, endpoint);
    facts.put(fact::RESOURCE, one.dbi_resource_id());
    let item = item(ItemKind::Instance, one.db_instance_identifier()?, region, one.allocated_storage(), facts);
    Some(Item { tags: tags(one.tag_list()), arn: one.db_instance_arn().map(str::to_owned), ..item })
}

fn cluster_item(one: &DbCluster, region: &str) -> Option<Item> {
    let mut facts = Facts::new();
    facts.engine(one.engine(), one.engine_version());
    facts.encryption(one.storage_encrypted(), one.kms_key_id());
    facts.flag(fact::PUBLIC, one.publicly_accessible());
    facts.flag(fact::DELETION_PROTECTION, one.deletion_protection());
    facts.put(fact::BACKUP_DAYS, one.backup_retention_period());
    facts.put(fact::CREATED, one.cluster_create_time());
    facts.put(fact::ENDPOINT, one.endpoint().and_then(|host| Some(format!("{host}:{}", one.port()?))));
    // Aurora's storage grows automatically and is reported as 1 GiB: that is not a size.
    let aurora = one.engine().is_some_and(|engine| engine.starts_with("aurora"));
    let gib = one.allocated_storage().filter(|gib| !aurora && *gib > 1);
    facts.put(fact::RESOURCE, one.db_cluster_resource_id());
    let item = item(ItemKind::Cluster, one.db_cluster_identifier()?, region, gib, facts);
    Some(Item { tags: tags(one.tag_list()), arn: one.db_cluster_arn().map(str::to_owned), ..item })
}

fn snapshot_item(one: &DbSnapshot, region: &str) -> Option<Item> {
    let mut facts = Facts::new();
    facts.engine(one.engine(), one.engine_version());
    facts.encryption(one.encrypted(), one.kms_key_id());
    facts.put(fact::SNAPSHOT_TYPE, one.snapshot_type());
    facts.put(fact::SOURCE, one.db_instance_identifier());
    facts.put(fact::CREATED, one.snapshot_create_time());
    facts.put(fact::RESOURCE, one.dbi_resource_id());
    facts.put(fact::SOURCE_CREATED, one.instance_create_time());
    facts.put(fact::COPY_OF, one.source_db_snapshot_identifier().filter(|source| !source.is_empty()));
    let item = item(ItemKind::Snapshot, one.db_snapshot_identifier()?, region, one.allocated_storage(), facts);
    Some(Item { tags: tags(one.tag_list()), arn: one.db_snapshot_arn().map(str::to_owned), ..item })
}

fn cluster_snapshot_item(one: &DbClusterSnapshot, region: &str) -> Option<Item> {
    let mut facts = Facts::new();
    facts.engine(one.engine(), one.engine_version());
    facts.encryption(one.storage_encrypted(), one.kms_key_id());
    facts.put(fact::SNAPSHOT_TYPE, one.snapshot_type());
    facts.put(fact::SOURCE, one.db_cluster_identifier());
    facts.put(fact::CREATED, one.snapshot_create_time());
    let gib = one.allocated_storage().filter(|gib| *gib > 1);
    facts.put(fact::RESOURCE, one.db_cluster_resource_id());
    facts.put(fact::SOURCE_CREATED, one.cluster_create_time());
    facts.put(fact::COPY_OF, one.source_db_cluster_snapshot_arn().filter(|source| !source.is_empty()));
    let item = item(ItemKind::ClusterSnapshot, one.db_cluster_snapshot_identifier()?, region, gib, facts);
    Some(Item { tags: tags(one.tag_list()), arn: one.db_cluster_snapshot_arn().map(str::to_owned), ..item })
}

fn export_item(one: &ExportTask, region: &str) -> Option<Item> {
    let mut facts = Facts::new();
    facts.put(fact::STATUS, one.status());
    facts.put(fact::SOURCE, one.source_arn());
    facts.put(fact::CREATED, one.task_start_time());
    Some(item(ItemKind::Export, one.export_task_identifier()?, region, None, facts))
}
