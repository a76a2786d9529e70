//! What this version does not copy or prove, as far as it concerns the assets of a run.

use crate::{
    domain::{event::AssetKind, proof::Tier},
    evidence::result::AssetResult,
};

/// Which runs a statement is about.
#[derive(Clone, Copy)]
enum Concerns {
    /// Buckets, and files of an export.
    Objects,
    /// Buckets of which a sample was copied.
    Samples,
    /// Databases.
    Databases,
    /// Databases that were read from an export.
    Exports,
    /// Every run.
    All,
}

impl Concerns {
    fn is(self, assets: &[AssetResult]) -> bool {
        assets.iter().any(|asset| match self {
            Concerns::Objects => asset.kind == AssetKind::S3 || asset.export().is_some(),
            Concerns::Samples => asset.tier == Tier::Sample,
            Concerns::Databases => asset.kind == AssetKind::Postgres,
            Concerns::Exports => asset.export().is_some(),
            Concerns::All => false,
        }) || matches!(self, Concerns::All)
    }
}

const STATEMENTS: &[(Concerns, &str)] = &[
    (
        Concerns::Objects,
        "objects: storage class, encryption, locks, replication, access control lists and the bucket's configuration are recorded, not restored; `classes` in each bucket's numbers counts what is carried, recorded, lost and unreadable",
    ),
    (
        Concerns::Objects,
        "objects: earlier versions and delete markers are carried only where the playbook says `versions: all`; what changed at the provider after the opening listing is named in changes.ndjson; it is carried only where it changed before it was read",
    ),
    (
        Concerns::Objects,
        "objects: those that no checksum of the provider confirmed rest on TLS and on SHA-256 from the stream to the restored copy",
    ),
    (Concerns::Samples, "objects: of a sample, nothing is proven about the objects that it does not take"),
    (
        Concerns::Databases,
        "databases: passwords of roles, tablespaces, subscriptions, secrets of foreign servers that the login may not see, grants on the server's own objects and on members of extensions are not carried",
    ),
    (
        Concerns::Databases,
        "databases: on a server of the user's, roles, owners and grants are carried only where the playbook says so, and settings of the database not at all",
    ),
    (
        Concerns::Databases,
        "databases: rows of foreign tables are not carried; where there are any, the asset cannot pass",
    ),
    (Concerns::Databases, "databases: versions of extensions and collations may differ, and are named where they do"),
    (
        Concerns::Databases,
        "databases: rows of materialized views are computed again on the target; where they differ from those of the source, the asset cannot pass",
    ),
    (
        Concerns::Exports,
        "databases: of an export, rows only; what was decoded from the provider's files is what was restored; that the files hold what the snapshot held is the provider's statement",
    ),
    (
        Concerns::All,
        "time: all times come from the clock of the machine that ran the drill; time-stamps of an authority, if any, lie beside the signatures in sig/",
    ),
    (
        Concerns::All,
        "authenticity: whose keys signed is stated by an allowed_signers file from outside the bundle; where sig/ holds no signature, keep the digest of the bundle elsewhere",
    ),
];
const ACCOUNT_NOT_SEEN: &str = "coverage: only the assets of the playbook were looked at, not the account around them";
const ACCOUNT_SEEN: &str = "coverage: general purpose buckets, databases and snapshots of the RDS interface (all engines, \
                            Aurora, DocumentDB and Neptune) were looked for, these two in the playbook's regions only; not \
                            looked at, and so neither there nor absent here: directory, table and vector buckets, access \
                            points (multi-region and Object Lambda, too), automated backups of deleted databases, RDS in \
                            other regions, and every other service, such as DynamoDB, EFS, FSx, EBS, Redshift, ElastiCache, \
                            MemoryDB, OpenSearch, Glacier vaults and AWS Backup";

/// The statements about a run of these assets, and about what the inspection of the account left out.
pub(crate) fn statements(assets: &[AssetResult], account_seen: bool) -> Vec<String> {
    let about = STATEMENTS.iter().filter(|(concerns, _)| concerns.is(assets)).map(|(_, text)| *text);
    let account = if account_seen { ACCOUNT_SEEN } else { ACCOUNT_NOT_SEEN };
    about.chain([account]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::parse_result;

    #[test]
    fn a_run_is_told_what_concerns_its_assets() {
        let json = include_bytes!("../../tests/evidence/frozen/v2/data/result.json");
        let mut assets = parse_result(json).expect("a result").assets;
        let begins = |assets: &[AssetResult], word: &str| {
            statements(assets, true).iter().filter(|text| text.starts_with(word)).count()
        };
        assert_eq!([begins(&assets, "objects: "), begins(&assets, "databases: of an export")], [3, 0]);
        assets.retain(|asset| asset.kind == AssetKind::Postgres);
        assert!(begins(&assets, "objects: ") == 0 && begins(&assets, "databases: ") > 4);
        assert_eq!(["time: ", "authenticity: ", "coverage: "].map(|word| begins(&[], word)), [1, 1, 1]);
        assert_eq!(statements(&[], false).len(), 3);
        let seen = statements(&[], true).pop().unwrap_or_default();
        for kind in
            ["directory, table and vector buckets", "access points", "Object Lambda", "EFS", "DynamoDB", "deleted"]
        {
            assert!(seen.contains(kind), "{kind} is neither looked at nor named: {seen}");
        }
    }
}
