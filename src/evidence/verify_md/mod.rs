//! Writes `VERIFY.md`: how to check this bundle, and the restored data, without walkaway.
//!
//! Every command names the paths of this run. It is written before the bag is sealed and does not contain the bag's
//! digest. Following it runs no program of the bundle, and no text of it reaches a shell unquoted.

mod stock;

use std::fmt::Write as _;

use super::{
    exports::EXPORTS_CSV,
    objects::{OBJECTS_NDJSON, OBJECTS_SHA256},
    result::{AssetResult, ObjectLayout, RunResult},
    tables::{EXPORTS_SHA256, TABLES_CSV},
};
use crate::{
    domain::{event::AssetKind, finding::printable},
    transfer::pseudonyms::MARK_OF,
    words::shell_quoted as quote,
};

/// The Python program that recomputes row digests. It is printed in `VERIFY.md`, and is in the bag as
/// `data/table_digest.py` to be compared with the one that is run.
pub const TABLE_DIGEST_PY: &str = include_str!("../table_digest.py");
/// The Python program that checks a whole bundle without walkaway.
pub const VERIFY_PY: &str = include_str!("../../../scripts/verify.py");

/// Access to a restored database by hand.
#[derive(Clone, Debug, Default)]
pub struct DatabaseAccess {
    /// The asset's id.
    pub asset: String,
    /// A command line that starts the server again, if walkaway started it.
    pub start: Option<String>,
    /// A command line that stops it.
    pub stop: Option<String>,
    /// Arguments for `psql` that name host, port and user, unquoted; never a password.
    pub psql: Vec<String>,
    /// The value of `PGOPTIONS` that pins the session settings.
    pub pgoptions: String,
}

/// The document. `objects_below` is the directory, relative to a bucket asset's own, that holds nothing but restored
/// objects; `.` if that is the asset's directory itself.
pub fn verify_md(result: &RunResult, databases: &[DatabaseAccess], objects_below: &str) -> String {
    let mut doc = intro(result);
    doc.extend([stock::NEEDED, stock::BAG, stock::SIGNATURES, stock::JOURNAL, stock::CLAIMS]);
    doc.push_str(&chain(result));
    let of_kind = |kind: AssetKind| result.assets.iter().filter(move |asset| asset.kind == kind);
    of_kind(AssetKind::S3).for_each(|asset| doc.push_str(&objects(result, asset, objects_below)));
    for asset in of_kind(AssetKind::Postgres) {
        let access = databases.iter().find(|access| access.asset == asset.id);
        doc.push_str(&tables(asset, access));
        doc.push_str(&exports(result, asset, access));
        if let Some(export) = asset.export() {
            doc.push_str(&objects(result, &export.files, objects_below));
        }
    }
    if of_kind(AssetKind::Postgres).next().is_some() {
        let _ = write!(doc, "\n## table_digest.py\n\n```python\n{TABLE_DIGEST_PY}```\n");
    }
    doc.push_str(&not_proven(result));
    doc
}

fn intro(result: &RunResult) -> String {
    format!(
        "# How to check this bundle without walkaway\n\nRun {}, playbook {}, ended {}, verdict {}.\n",
        printable(&result.run),
        printable(&result.playbook.id),
        printable(&result.ended),
        result.verdict_words()
    )
}

fn chain(result: &RunResult) -> String {
    let Some(before) = &result.chain.previous else {
        return "\n## The run before\n\nThis bundle names none.\n".to_owned();
    };
    let run = printable(&before.run);
    let path = quote(&format!("../{}", before.run));
    format!(
        "\n## The run before\n\nThis run continues {run}. If its bundle lies beside this one, this compares its digest:\n\n\
         ```sh\ntest ! -d {path} || test \"$(sha256sum < {path}/tagmanifest-sha256.txt)\" = '{}  -'\n```\n",
        before.bundle_digest
    )
}

/// Recomputes a bucket's content digest; the argument is `objects.ndjson`.
const CONTENT_PY: &str = r#"import hashlib, json, sys
digest = hashlib.sha256()
for line in open(sys.argv[1], "rb"):
    r = json.loads(line)
    key = json.dumps(r["key"], ensure_ascii=False)
    v = r.get("version")
    sha256 = "-" if v and v.get("delete_marker") else r["sha256"]
    version = " " + json.dumps(r.get("version_id", ""), ensure_ascii=False) if v else ""
    digest.update(f'{sha256} {r["size"]} {key}{version}\n'.encode())
print(digest.hexdigest())
"#;

/// Recomputes a database's content digest; the argument is `exports.csv`.
const ROOT_PY: &str = r#"import csv, hashlib, json, sys
csv.field_size_limit(2**30)
def sha256(data): return hashlib.sha256(data).digest()
def root(leaves):
    if len(leaves) < 2: return leaves[0] if leaves else sha256(b"")
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:]))
leaves = []
for r in csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8")):
    table = json.dumps(r["table"], ensure_ascii=False)
    leaves.append(sha256(b"\x00" + f'{r["sha256"]} {r["rows"]} {r["part"]} {table}\n'.encode()))
print(root(leaves).hex())
"#;

fn objects(result: &RunResult, asset: &AssetResult, below: &str) -> String {
    let title = format!("\n## Objects of {}\n\n", printable(&asset.id));
    if asset.items == 0 {
        return title + "None were carried.\n";
    }
    let id = quote(&asset.id);
    let directory = directory(result, asset);
    let below = quote(below);
    let compared = match asset.objects.as_ref().map(|objects| objects.layout).unwrap_or_default() {
        ObjectLayout::Tree => files(&id, &directory, &below),
        ObjectLayout::Tar => archives(&id, &directory),
        ObjectLayout::S3 => bucket(&id),
    };
    let pseudonyms = asset.pseudonyms().map(pseudonyms).unwrap_or_default();
    format!(
        "{title}{pseudonyms}{} objects, {} bytes. The digests were taken while the bytes came from the provider; this compares\n\
         them with what was restored, as it is now:\n\n{compared}\n\
         The content digest, which result.json has as {}:\n\n\
         ```sh\npython3 -I - \"$BUNDLE\"/data/assets/{id}/{OBJECTS_NDJSON} <<'END'\n{CONTENT_PY}END\n```\n",
        asset.items, asset.bytes, asset.content_sha256
    )
}

/// How to find an object with the secret.
fn pseudonyms(mark: &str) -> String {
    format!(
        "Keys go by pseudonyms, here and in the restored copy: HMAC-SHA-256 under a secret that is not in this bundle. With\n\
         `SECRET` and `KEY` set this prints the pseudonym of a key, and of the text `{MARK_OF}` it prints\n\
         {mark}, if the secret is the right one:\n\n\
         ```sh\ntest -z \"${{SECRET:-}}\" || printf %s \"${{KEY:-}}\" | openssl dgst -sha256 -hmac \"$SECRET\" -r | cut -c-64\n```\n\n\
         Beside the restored copy lies a file of keys and their pseudonyms (`.keys.ndjson`) for the owners of the data. Sizes,\n\
         digests, times, versions, tags and metadata of objects stand here as they are.\n\n"
    )
}

/// Objects restored as files.
fn files(id: &str, directory: &str, below: &str) -> String {
    format!(
        "```sh\ncd {directory} && sha256sum --quiet --strict -c \"$BUNDLE\"/data/assets/{id}/{OBJECTS_SHA256} && echo ok\n```\n\n\
         Files that no line names (prints nothing if there are none; needs bash):\n\n\
         ```bash\ncd {directory} && LC_ALL=C comm -13 \\\n\
         \x20 <(cut -c67- \"$BUNDLE\"/data/assets/{id}/{OBJECTS_SHA256} | sed 's|^\\./||' | LC_ALL=C sort) \\\n\
         \x20 <(find {below} ! -type d | sed 's|^\\./||' | LC_ALL=C sort)\n```\n"
    )
}

/// Objects restored as archives; extracted, they are files.
fn archives(id: &str, directory: &str) -> String {
    format!(
        "```sh\nEXTRACTED=$(mktemp -d)\nfor archive in {directory}/*.tar; do tar -xf \"$archive\" -C \"$EXTRACTED\"; done\n\
         cd \"$EXTRACTED\" && sha256sum --quiet --strict -c \"$BUNDLE\"/data/assets/{id}/{OBJECTS_SHA256} && echo ok\n\
         rm -r \"$EXTRACTED\"\n```\n\n\
         The pax records of each member hold key, version, headers, metadata and tags; GNU tar restores them as extended\n\
         attributes with `--xattrs --xattrs-include='user.*'`.\n"
    )
}

/// Reads every object of another server and compares it; the argument is `objects.ndjson`. Names are arguments of a program,
/// never text of a shell.
const BUCKET_PY: &str = r#"import hashlib, json, os, subprocess, sys
for line in open(sys.argv[1], "rb"):
    r = json.loads(line)
    at = (r.get("within") or {}).get("bucket")
    if not at: continue
    get = ["aws", "--endpoint-url", os.environ["ENDPOINT"], "s3", "cp", f's3://{at["name"]}/{at["key"]}', "-"]
    digest = hashlib.sha256()
    with subprocess.Popen(get, stdout=subprocess.PIPE) as copy:
        for piece in iter(lambda: copy.stdout.read(1 << 20), b""): digest.update(piece)
    if copy.returncode or digest.hexdigest() != r["sha256"]: sys.exit(f'DIFFERS or unreadable: {at["key"]!a}')
print("ok")
"#;

/// Objects restored to another server; `aws` is needed, and `ENDPOINT`, the playbook's `target.s3`.
fn bucket(id: &str) -> String {
    format!(
        "```sh\ntest -z \"${{ENDPOINT:-}}\" || python3 -I - \"$BUNDLE\"/data/assets/{id}/{OBJECTS_NDJSON} <<'END'\n{BUCKET_PY}END\n```\n\n\
         reads every object with the AWS CLI from `ENDPOINT`, the address of the playbook's `target.s3`.\n"
    )
}

fn tables(asset: &AssetResult, access: Option<&DatabaseAccess>) -> String {
    let title = format!("\n## Tables of {}\n\n", printable(&asset.id));
    let (Some(access), Some(database)) = (access, &asset.database) else {
        return title + "The restored database can no longer be reached.\n";
    };
    let compare = format!("python3 -I \"${{TOOLS:?}}\"/table_digest.py data/assets/{}/{TABLES_CSV}", quote(&asset.id));
    let psql = psql(access, &database.target_database);
    let mut text = title + "Recomputes the digest of every restored table from `psql`'s output";
    text.push_str(" and compares it with what left the source:\n\n```sh\n");
    access.start.iter().for_each(|start| text.push_str(&format!("{start}\n")));
    text.push_str(&environment(access));
    text.push_str(&format!("{compare} -- {psql}\n```\n\n"));
    text.push_str("One table by itself, the first of the list; another number names another:\n\n");
    text.push_str(&format!("```sh\n{compare} 1 -- {psql}\n```\n"));
    if let Some(stop) = &access.stop {
        text.push_str(&format!("\nStop the server afterwards:\n\n```sh\n{stop}\n```\n"));
    }
    text
}

fn exports(result: &RunResult, asset: &AssetResult, access: Option<&DatabaseAccess>) -> String {
    let title = format!("\n## Exports of {}\n\n", printable(&asset.id));
    if asset.database.as_ref().is_none_or(|database| database.tables == 0) {
        return title + "None were carried.\n";
    }
    let id = quote(&asset.id);
    let directory = directory(result, asset);
    let settings = access.map(environment).unwrap_or_default();
    format!(
        "{title}```sh\ncd {directory} && sha256sum --quiet --strict -c \"$BUNDLE\"/data/assets/{id}/{EXPORTS_SHA256} && echo ok\n```\n\n\
         Each export is the text that COPY writes, compressed by zstd; {EXPORTS_CSV} says which part of which table it\n\
         is. Any PostgreSQL loads it; NUMBER is the table's place in {TABLES_CSV}, from whose quoted names the statement\n\
         is made:\n\n\
         ```sh\n{settings}LOAD=$(python3 -I \"${{TOOLS:?}}\"/table_digest.py data/assets/{id}/{TABLES_CSV} NUMBER)\n\
         cd {directory} && zstd -dcq EXPORT | psql -Xq -d DATABASE -c \"$LOAD\"\n```\n\n\
         The content digest, a Merkle tree hash (RFC 9162) over the exports, which result.json has as\n{}:\n\n\
         ```sh\npython3 -I - \"$BUNDLE\"/data/assets/{id}/{EXPORTS_CSV} <<'END'\n{ROOT_PY}END\n```\n",
        asset.content_sha256
    )
}

fn environment(access: &DatabaseAccess) -> String {
    format!("export PGCLIENTENCODING=UTF8 PGOPTIONS={}\n", quote(&access.pgoptions))
}

fn psql(access: &DatabaseAccess, database: &str) -> String {
    let arguments: Vec<_> = access.psql.iter().map(|argument| quote(argument)).collect();
    let all = ["psql -XAtq".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ");
    all + " -d " + &quote(&database_argument(database))
}

/// psql reads a name with `=` or with a URL scheme as a whole connection string, which could name another server.
fn database_argument(name: &str) -> String {
    if name.contains('=') || name.starts_with("postgres") && name.contains(':') {
        format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
    } else {
        name.to_owned()
    }
}

fn not_proven(result: &RunResult) -> String {
    let mut text = "\n## What is not proven\n\n".to_owned();
    for item in &result.not_proven {
        let _ = writeln!(text, "- {}", printable(item));
    }
    text
}

fn directory(result: &RunResult, asset: &AssetResult) -> String {
    quote(&format!("{}/{}", result.restored_to, asset.directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_argument_is_quoted() {
        let access = DatabaseAccess { psql: vec!["-h".into(), "/a b".into()], ..DatabaseAccess::default() };
        assert_eq!(psql(&access, "x"), "psql -XAtq -h '/a b' -d x");
    }

    #[test]
    fn a_database_name_is_no_connection_string() {
        let names = ["postgres", "postgres://evil/", r"host=e'\il"].map(database_argument);
        assert_eq!(names, ["postgres", "dbname='postgres://evil/'", r"dbname='host=e\'\\il'"]);
    }

    #[test]
    fn the_program_is_short_enough_to_read() {
        assert!(TABLE_DIGEST_PY.lines().count() <= 65 && VERIFY_PY.lines().count() <= 400);
        assert!(!TABLE_DIGEST_PY.contains("```"));
    }
}
