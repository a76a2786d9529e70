//! What copying a database on RDS would take, as far as is known without creating anything.

use super::{carry, export, preflight::rds_obstacle};
use crate::{
    asset::{
        database::asset::measured,
        measured::Measured,
        seam::{obstacle, stop_obstacle},
        stop::Stop,
    },
    domain::event::AssetKind,
    playbook::{DatabaseSpec, ExportFrom, ExportSpec, RdsMethodSpec, RdsSpec, SnapshotChoice},
    provider::{
        aws::Aws,
        rds::{Rds, RdsFacts},
    },
    record::error::Obstacle,
};

pub(super) async fn of(asset: &str, spec: &DatabaseSpec, rds: &RdsSpec, aws: &Aws) -> Result<Measured, Obstacle> {
    let client = Rds::new(aws);
    let stopped = |stop: Stop| stop_obstacle(asset, stop);
    let facts = client.describe(&carry::place(rds)).await.map_err(|error| rds_obstacle(asset, &error))?;
    let mut remarks = vec![format!("{} {} on RDS, {}", facts.engine, facts.engine_version, facts.class)];
    match &rds.method {
        RdsMethodSpec::Live { replica } => {
            let replica = replica.as_ref().map(ToString::to_string);
            let endpoint = carry::live_endpoint(&client, &facts, replica.as_deref()).await.map_err(stopped)?;
            let login = carry::login(rds).map_err(stopped)?;
            let address = client.address(&endpoint, &login).map_err(|error| obstacle(asset, &error, error.hint()))?;
            let measured = measured(asset, spec, address).await?;
            remarks.extend(measured.remarks);
            return Ok(Measured { remarks, ..measured });
        }
        RdsMethodSpec::Export(export) => remarks.extend(export_remarks(export, &facts).map_err(stopped)?),
        RdsMethodSpec::Snapshot(snapshot) => {
            remarks.push(match snapshot.take {
                SnapshotChoice::New => "a snapshot would be taken and removed again".to_owned(),
                SnapshotChoice::Newest => {
                    let (id, taken) = carry::newest(&facts).map_err(stopped)?;
                    format!("the snapshot {id} of {taken} would be restored")
                }
            });
            let class = &snapshot.class;
            let hour = &snapshot.per_hour;
            let ceiling = &snapshot.cost_ceiling;
            remarks.push(format!("a temporary {class} at {hour} an hour, at most {ceiling}; a run needs --confirm"));
        }
    }
    Ok(unmeasured(asset, rds, &facts, remarks))
}

/// A database whose rows can't be counted yet. Of a snapshot only the allocated storage is known, and of Aurora's not even
/// that.
fn unmeasured(asset: &str, spec: &RdsSpec, facts: &RdsFacts, remarks: Vec<String>) -> Measured {
    Measured {
        id: asset.to_owned(),
        kind: AssetKind::Postgres,
        source: spec.to_string(),
        items: 0,
        bytes: facts.storage_gib << 30,
        units: 0,
        remarks,
        size_unknown: true,
        objects: None,
    }
}

fn export_remarks(export: &ExportSpec, facts: &RdsFacts) -> Result<Vec<String>, Stop> {
    let mut remarks = match &export.from {
        ExportFrom::Task(id) => vec![format!("the export {id} would be read")],
        ExportFrom::Files { bucket, folder } => vec![format!("the files below s3://{bucket}/{folder} would be read")],
        ExportFrom::New(new) => {
            let gib = export::affordable_gib(facts, new)?;
            let bucket = &new.bucket;
            let per_gb = &new.per_gb;
            let cost = new.per_gb.times(gib);
            vec![
                format!("{gib} GiB would be exported to s3://{bucket}, at {per_gb} a gigabyte about {cost}"),
                format!("at most {}; a run needs --confirm, and the files stay in the bucket", new.cost_ceiling),
            ]
        }
    };
    remarks.push("an export is data only, and its verdict is never PASS".to_owned());
    Ok(remarks)
}
