//! RDS's description of an instance or a cluster and its snapshots.

use aws_sdk_rds::{
    Client,
    primitives::{DateTime, DateTimeFormat},
    types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot, Tag},
};

use super::{
    place::{Endpoint, Place, no_endpoint},
    timeouts::{Refusal, Timeouts, every_page, retried},
};
use crate::transfer::error::SourceError;

/// An instance or a cluster as RDS describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RdsFacts {
    /// The identifier.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// `available`, `creating`, …
    pub status: String,
    /// `postgres` or `aurora-postgresql`.
    pub engine: String,
    /// The engine's version.
    pub engine_version: String,
    /// The class of the instance; none for a cluster.
    pub class: String,
    /// Gibibytes allocated; 0 for Aurora, which allocates on demand.
    pub storage_gib: u64,
    /// Whether the storage is encrypted.
    pub encrypted: bool,
    /// The key that encrypts it.
    pub kms_key: Option<String>,
    /// The CA that signed the server's certificate.
    pub ca: Option<String>,
    /// The parameter groups.
    pub parameter_groups: Vec<String>,
    /// Days that automated backups are kept.
    pub retention_days: u64,
    /// Whether IAM may log in.
    pub iam: bool,
    /// Whether it has a stand-by in another zone.
    pub multi_az: bool,
    /// Whether it has a public address.
    pub public: bool,
    /// Read replicas, or the members of a cluster.
    pub replicas: Vec<String>,
    /// Its endpoint.
    pub endpoint: Option<Endpoint>,
    /// Snapshots that are available, newest first.
    pub snapshots: Vec<SnapshotFacts>,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// The identifier.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// When it was taken, RFC 3339.
    pub created: String,
    /// Whether it is an automated snapshot.
    pub automated: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Gibibytes of its instance's storage; 0 where the provider does not state it.
    pub storage_gib: u64,
}

impl RdsFacts {
    /// The newest automated snapshot.
    pub fn newest_automated(&self) -> Option<&SnapshotFacts> {
        self.snapshots.iter().find(|snapshot| snapshot.automated)
    }

    /// Its endpoint.
    ///
    /// # Errors
    /// It has no endpoint, as while it is being created.
    pub fn reached_at(&self) -> Result<Endpoint, SourceError> {
        self.endpoint.clone().ok_or_else(|| no_endpoint(&format!("RDS {}", self.id), &self.status))
    }
}

pub(super) async fn instance(client: &Client, timeouts: &Timeouts, id: &str) -> Result<RdsFacts, SourceError> {
    let what = Place::Instance(id.to_owned()).what();
    let described = retried(timeouts, || instance_alone(client, id)).await;
    let mut facts = described.map_err(|refusal| refusal.about(&what))?;
    check_engine(&what, &facts.engine)?;
    facts.snapshots = instance_snapshots(client, timeouts, id).await?;
    Ok(with_known_sizes(facts))
}

/// An instance without its snapshots.
pub(super) async fn instance_alone(client: &Client, id: &str) -> Result<RdsFacts, Refusal> {
    let what = Place::Instance(id.to_owned()).what();
    let answer = client.describe_db_instances().db_instance_identifier(id).send().await;
    let answer = answer.map_err(|refused| Refusal::of(&what, refused))?;
    let instance = answer.db_instances().iter().find(|one| one.db_instance_identifier() == Some(id));
    instance.map(of_instance).ok_or(Refusal::Absent)
}

pub(super) async fn cluster(client: &Client, timeouts: &Timeouts, id: &str) -> Result<RdsFacts, SourceError> {
    let what = &Place::Cluster(id.to_owned()).what();
    let described = retried(timeouts, || async move {
        let answer = client.describe_db_clusters().db_cluster_identifier(id).send().await;
        let answer = answer.map_err(|refused| Refusal::of(what, refused))?;
        let cluster = answer.db_clusters().iter().find(|one| one.db_cluster_identifier() == Some(id));
        cluster.map(of_cluster).ok_or(Refusal::Absent)
    });
    let mut facts = described.await.map_err(|refusal| refusal.about(what))?;
    check_engine(what, &facts.engine)?;
    facts.snapshots = cluster_snapshots(client, timeouts, id).await?;
    Ok(with_known_sizes(facts))
}

/// Aurora allocates storage on demand. What RDS calls allocated there, 0 or 1, is not a size.
fn with_known_sizes(mut facts: RdsFacts) -> RdsFacts {
    if facts.engine.starts_with("aurora") {
        facts.storage_gib = 0;
        facts.snapshots.iter_mut().for_each(|snapshot| snapshot.storage_gib = 0);
    }
    facts
}

fn check_engine(what: &str, engine: &str) -> Result<(), SourceError> {
    if ["postgres", "aurora-postgresql"].contains(&engine) {
        return Ok(());
    }
    let reason = format!("its engine is {engine}, and walkaway carries PostgreSQL only");
    Err(SourceError::Permanent { what: what.to_owned(), reason })
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn number(number: Option<i32>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

fn endpoint(host: Option<&str>, port: Option<i32>) -> Option<Endpoint> {
    Some(Endpoint { host: host?.to_owned(), port: u16::try_from(port?).ok()? })
}

fn of_instance(instance: &DbInstance) -> RdsFacts {
    let at = instance.endpoint();
    let groups = instance.db_parameter_groups().iter().filter_map(|group| group.db_parameter_group_name());
    RdsFacts {
        id: text(instance.db_instance_identifier()),
        arn: text(instance.db_instance_arn()),
        status: text(instance.db_instance_status()),
        engine: text(instance.engine()),
        engine_version: text(instance.engine_version()),
        class: text(instance.db_instance_class()),
        storage_gib: number(instance.allocated_storage()),
        encrypted: instance.storage_encrypted().unwrap_or_default(),
        kms_key: instance.kms_key_id().map(str::to_owned),
        ca: instance.ca_certificate_identifier().map(str::to_owned),
        parameter_groups: groups.map(str::to_owned).collect(),
        retention_days: number(instance.backup_retention_period()),
        iam: instance.iam_database_authentication_enabled().unwrap_or_default(),
        multi_az: instance.multi_az().unwrap_or_default(),
        public: instance.publicly_accessible().unwrap_or_default(),
        replicas: instance.read_replica_db_instance_identifiers().to_vec(),
        endpoint: at.and_then(|at| endpoint(at.address(), at.port())),
        snapshots: Vec::new(),
    }
}

fn of_cluster(cluster: &DbCluster) -> RdsFacts {
    let members = cluster.db_cluster_members().iter().filter_map(|member| member.db_instance_identifier());
    RdsFacts {
        id: text(cluster.db_cluster_identifier()),
        arn: text(cluster.db_cluster_arn()),
        status: text(cluster.status()),
        engine: text(cluster.engine()),
        engine_version: text(cluster.engine_version()),
        class: String::new(),
        storage_gib: number(cluster.allocated_storage()),
        encrypted: cluster.storage_encrypted().unwrap_or_default(),
        kms_key: cluster.kms_key_id().map(str::to_owned),
        ca: None,
        parameter_groups: cluster.db_cluster_parameter_group().map(str::to_owned).into_iter().collect(),
        retention_days: number(cluster.backup_retention_period()),
        iam: cluster.iam_database_authentication_enabled().unwrap_or_default(),
        multi_az: cluster.multi_az().unwrap_or_default(),
        public: cluster.publicly_accessible().unwrap_or_default(),
        replicas: members.map(str::to_owned).collect(),
        endpoint: endpoint(cluster.endpoint(), cluster.port()),
        snapshots: Vec::new(),
    }
}

async fn instance_snapshots(client: &Client, timeouts: &Timeouts, id: &str) -> Result<Vec<SnapshotFacts>, SourceError> {
    let what = &format!("the snapshots of RDS instance {id}");
    let found = every_page(what, timeouts, |marker| async move {
        let answer = client.describe_db_snapshots().db_instance_identifier(id).set_marker(marker).send().await;
        answer.map(|answer| (answer.db_snapshots, answer.marker)).map_err(|refused| Refusal::of(what, refused))
    });
    let found: Vec<DbSnapshot> = found.await?;
    let facts = |snapshot: &DbSnapshot| SnapshotFacts {
        id: text(snapshot.db_snapshot_identifier()),
        arn: text(snapshot.db_snapshot_arn()),
        created: stamp(snapshot.snapshot_create_time()),
        automated: snapshot.snapshot_type() == Some("automated"),
        encrypted: snapshot.encrypted().unwrap_or_default(),
        storage_gib: number(snapshot.allocated_storage()),
    };
    Ok(newest_first(found.iter().filter(|snapshot| snapshot.status() == Some("available")).map(facts)))
}

async fn cluster_snapshots(client: &Client, timeouts: &Timeouts, id: &str) -> Result<Vec<SnapshotFacts>, SourceError> {
    let what = &format!("the snapshots of RDS cluster {id}");
    let found = every_page(what, timeouts, |marker| async move {
        let answer = client.describe_db_cluster_snapshots().db_cluster_identifier(id).set_marker(marker).send().await;
        answer.map(|answer| (answer.db_cluster_snapshots, answer.marker)).map_err(|refused| Refusal::of(what, refused))
    });
    let found: Vec<DbClusterSnapshot> = found.await?;
    let facts = |snapshot: &DbClusterSnapshot| SnapshotFacts {
        id: text(snapshot.db_cluster_snapshot_identifier()),
        arn: text(snapshot.db_cluster_snapshot_arn()),
        created: stamp(snapshot.snapshot_create_time()),
        automated: snapshot.snapshot_type() == Some("automated"),
        encrypted: snapshot.storage_encrypted().unwrap_or_default(),
        storage_gib: number(snapshot.allocated_storage()),
    };
    Ok(newest_first(found.iter().filter(|snapshot| snapshot.status() == Some("available")).map(facts)))
}

fn newest_first(snapshots: impl Iterator<Item = SnapshotFacts>) -> Vec<SnapshotFacts> {
    let mut snapshots: Vec<_> = snapshots.collect();
    snapshots.sort_by(|one, other| other.created.cmp(&one.created));
    snapshots
}

fn stamp(time: Option<&DateTime>) -> String {
    time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok()).unwrap_or_default()
}

/// The value of a tag.
pub(super) fn tag<'t>(tags: &'t [Tag], key: &str) -> Option<&'t str> {
    tags.iter().find(|tag| tag.key() == Some(key)).and_then(Tag::value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_knows_how_large_anything_of_aurora_is() {
        let sizes = |engine: &str| {
            let snapshot = SnapshotFacts {
                id: "s".to_owned(),
                arn: "a".to_owned(),
                created: String::new(),
                automated: true,
                encrypted: true,
                storage_gib: 1,
            };
            let engine = engine.to_owned();
            let snapshots = vec![snapshot];
            let facts = with_known_sizes(RdsFacts { engine, storage_gib: 1, snapshots, ..RdsFacts::default() });
            [facts.storage_gib, facts.snapshots[0].storage_gib]
        };
        assert_eq!((sizes("aurora-postgresql"), sizes("postgres")), ([0, 0], [1, 1]));
    }
}
