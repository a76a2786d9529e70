//! Writes `VERIFY.md`: how to check this very bundle, and the restored data, without walkaway.
//!
//! Every command names the paths of this run. It is written before the bag is sealed and knows nothing of the bag's
//! digest.

use std::fmt::Write as _;

use super::{
    exports::EXPORTS_CSV,
    objects::{OBJECTS_NDJSON, OBJECTS_SHA256},
    result::{AssetResult, ObjectLayout, RunResult},
    tables::{EXPORTS_SHA256, TABLES_CSV},
};
use crate::{event::AssetKind, finding::printable, transfer::pseudonyms::MARK_OF};

/// The Python program that recomputes row digests. It is printed in `VERIFY.md` and belongs into the bag as
/// `data/table_digest.py`.
pub const TABLE_DIGEST_PY: &str = include_str!("table_digest.py");

/// How a restored database is reached by hand.
#[derive(Clone, Debug, Default)]
pub struct DatabaseAccess {
    /// The asset's id.
    pub asset: String,
    /// A command line that starts the server again, if walkaway had started it.
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
    doc.push_str(BAG);
    doc.push_str(SIGNATURES);
    doc.push_str(JOURNAL);
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
        "# How to check this bundle without walkaway\n\n\
         Run {}, playbook {}, ended {}, verdict {}.\n\n\
         Needed: a POSIX shell, coreutils, python3 (standard library only); `jq`, `bagit.py`, `ssh-keygen`, `openssl` and\n\
         `psql` where named.\n\
         Every block begins in the directory of this file:\n\n```sh\nBUNDLE=$(pwd)\n```\n",
        printable(&result.run),
        printable(&result.playbook.id),
        printable(&result.ended),
        result.verdict
    )
}

const BAG: &str = r#"
## The bundle is unchanged

```sh
sha256sum --strict -c tagmanifest-sha256.txt
sha256sum --strict -c manifest-sha256.txt
bagit.py --validate .
```

The digest of the whole bundle is `sha256sum tagmanifest-sha256.txt`. Nothing in the bag protects that number: the
signatures over that file do, or a copy that is kept elsewhere.
"#;

const SIGNATURES: &str = r#"
## Who signed, and when

Signatures lie in `sig/`, outside of the bag, because they are made over its tag manifest. This prints the key of each, and
nothing if the bundle is not signed:

```sh
for signature in sig/operator.sig sig/reviewer*.sig; do
  test -e "$signature" || continue
  role=$(basename "$signature" .sig)
  ssh-keygen -Y check-novalidate -n "walkaway-${role%%-*}" -s "$signature" < tagmanifest-sha256.txt
done
```

Whose key that is, a file says that comes from somewhere else: `ALLOWED_SIGNERS`, in the form that ssh-keygen(1) describes;
`WHO` is the name that it gives to the signer. Who reviewed must not be who ran the drill.

```sh
test -z "${ALLOWED_SIGNERS:-}" || ssh-keygen -Y verify -f "$ALLOWED_SIGNERS" -I "$WHO" \
  -n walkaway-operator -s sig/operator.sig < tagmanifest-sha256.txt
```

Beside a signature lies the word of a time-stamp authority (`.tsr`), or the reason why there is none (`.time.txt`): then the
time is the signing machine's own. `TSA_CA` holds the authority's certificate, from somewhere else:

```sh
test -z "${TSA_CA:-}" || for stamp in sig/*.tsr; do
  openssl ts -verify -data "${stamp%.tsr}" -in "$stamp" -CAfile "$TSA_CA"
done
```
"#;

const JOURNAL: &str = r#"
## The journal is unbroken

Each line of the journal names the SHA-256 of the line before.

```sh
python3 - <<'END'
import hashlib, json
number, prev = 0, "0" * 64
for number, line in enumerate(open("data/journal.ndjson", "rb"), 1):
    assert json.loads(line)["prev"] == prev, f"line {number} does not continue the one before"
    prev = hashlib.sha256(line.rstrip(b"\n")).hexdigest()
print(number, prev)
END
jq -r '"\(.journal.lines) \(.journal.head)"' data/result.json
```

Both print the same number of lines and the same head.
"#;

fn chain(result: &RunResult) -> String {
    let Some(before) = &result.chain.previous else {
        return "\n## The run before\n\nThis bundle names none.\n".to_owned();
    };
    let (run, path) = (printable(&before.run), quote(&format!("../{}", before.run)));
    format!(
        "\n## The run before\n\nThis run continues {run}. If its bundle lies beside this one, this compares its digest:\n\n\
         ```sh\ntest ! -d {path} || echo {}\\ \\ {path}/tagmanifest-sha256.txt | sha256sum -c\n```\n",
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
    let (id, directory, below) = (quote(&asset.id), directory(result, asset), quote(below));
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
         ```sh\npython3 - \"$BUNDLE\"/data/assets/{id}/{OBJECTS_NDJSON} <<'END'\n{CONTENT_PY}END\n```\n",
        asset.items, asset.bytes, asset.content_sha256
    )
}

/// How whoever has the secret finds an object.
fn pseudonyms(mark: &str) -> String {
    format!(
        "Keys go by pseudonyms, here and in the restored copy: HMAC-SHA-256 under a secret that is not in this bundle. With\n\
         `SECRET` and `KEY` set this prints the pseudonym of a key, and of the text `{MARK_OF}` it prints\n\
         {mark}, if the secret is the right one:\n\n\
         ```sh\ntest -z \"${{SECRET:-}}\" || printf %s \"${{KEY:-}}\" | openssl dgst -sha256 -hmac \"$SECRET\" -r | cut -c-64\n```\n\n\
         Beside the restored copy lies a file of keys and their pseudonyms (`.keys.ndjson`) for those who own the data. Sizes,\n\
         digests, times, versions, tags and metadata of objects stand here as they are.\n\n"
    )
}

/// Objects that lie in files.
fn files(id: &str, directory: &str, below: &str) -> String {
    format!(
        "```sh\ncd {directory} && sha256sum --quiet --strict -c \"$BUNDLE\"/data/assets/{id}/{OBJECTS_SHA256} && echo ok\n```\n\n\
         Files that no line names (prints nothing if there are none; needs bash):\n\n\
         ```bash\ncd {directory} && LC_ALL=C comm -13 \\\n\
         \x20 <(cut -c67- \"$BUNDLE\"/data/assets/{id}/{OBJECTS_SHA256} | sed 's|^\\./||' | LC_ALL=C sort) \\\n\
         \x20 <(find {below} ! -type d | sed 's|^\\./||' | LC_ALL=C sort)\n```\n"
    )
}

/// Objects that lie in archives; extracted, they lie in files.
fn archives(id: &str, directory: &str) -> String {
    format!(
        "```sh\nEXTRACTED=$(mktemp -d)\nfor archive in {directory}/*.tar; do tar -xf \"$archive\" -C \"$EXTRACTED\"; done\n\
         cd \"$EXTRACTED\" && sha256sum --quiet --strict -c \"$BUNDLE\"/data/assets/{id}/{OBJECTS_SHA256} && echo ok\n\
         rm -r \"$EXTRACTED\"\n```\n\n\
         The pax records of each member hold key, version, headers, metadata and tags; GNU tar restores them as extended\n\
         attributes with `--xattrs --xattrs-include='user.*'`.\n"
    )
}

/// Objects that lie in another server; `aws` and `jq` are needed, and `--endpoint-url` of the playbook's `target.s3`.
fn bucket(id: &str) -> String {
    format!(
        "```sh\njq -r '.within.bucket | select(.) | [.name, .key] | @tsv' \"$BUNDLE\"/data/assets/{id}/{OBJECTS_NDJSON} | head\n```\n\n\
         names the bucket and the keys there. For each line, `aws --endpoint-url ENDPOINT s3 cp s3://BUCKET/KEY - | sha256sum`\n\
         prints the line's `sha256`.\n"
    )
}

fn tables(asset: &AssetResult, access: Option<&DatabaseAccess>) -> String {
    let title = format!("\n## Tables of {}\n\n", printable(&asset.id));
    let (Some(access), Some(database)) = (access, &asset.database) else {
        return title + "The restored database can't be reached any more.\n";
    };
    let id = quote(&asset.id);
    let psql = psql(access, &database.target_database);
    let key = database.row_key.0;
    let mut text = title + "Recomputes the digest of every restored table from `psql`'s output";
    text.push_str(" and compares it with what left the source:\n\n```sh\n");
    access.start.iter().for_each(|start| text.push_str(&format!("{start}\n")));
    text.push_str(&environment(access));
    text.push_str(&format!("python3 data/table_digest.py data/assets/{id}/{TABLES_CSV} -- {psql}\n```\n\n"));
    text.push_str("One table by itself; STATEMENT is its `copy_sql` in tables.csv, to the letter:\n\n");
    text.push_str(&format!("```sh\n{psql} -c 'STATEMENT' | python3 data/table_digest.py {key} 'STATEMENT'\n"));
    text.push_str("```\n");
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
    let (id, directory) = (quote(&asset.id), directory(result, asset));
    let settings = access.map(environment).unwrap_or_default();
    format!(
        "{title}```sh\ncd {directory} && sha256sum --quiet --strict -c \"$BUNDLE\"/data/assets/{id}/{EXPORTS_SHA256} && echo ok\n```\n\n\
         Each export is the text that COPY writes, compressed by zstd; {EXPORTS_CSV} says which part of which table it\n\
         is. Any PostgreSQL loads it with the table's `copy_sql` of tables.csv in which `TO STDOUT` is turned into\n\
         `FROM STDIN`:\n\n\
         ```sh\ncd {directory}\n{settings}zstd -dcq EXPORT | psql -Xq -d DATABASE -c 'COPY … FROM STDIN'\n```\n\n\
         The content digest, a Merkle tree hash (RFC 9162) over the exports, which result.json has as\n{}:\n\n\
         ```sh\npython3 - \"$BUNDLE\"/data/assets/{id}/{EXPORTS_CSV} <<'END'\n{ROOT_PY}END\n```\n",
        asset.content_sha256
    )
}

fn environment(access: &DatabaseAccess) -> String {
    format!("export PGCLIENTENCODING=UTF8 PGOPTIONS={}\n", quote(&access.pgoptions))
}

fn psql(access: &DatabaseAccess, database: &str) -> String {
    let arguments: Vec<_> = access.psql.iter().map(|argument| quote(argument)).collect();
    ["psql -XAtq".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ") + " -d " + &quote(database)
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

/// A word that a POSIX shell takes literally.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_literally() {
        assert_eq!(quote("/srv/exit"), "/srv/exit");
        assert_eq!(quote("it's $(here)"), r"'it'\''s $(here)'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_database_argument_is_quoted() {
        let access = DatabaseAccess { psql: vec!["-h".into(), "/a b".into()], ..DatabaseAccess::default() };
        assert_eq!(psql(&access, "x"), "psql -XAtq -h '/a b' -d x");
    }

    #[test]
    fn the_program_is_short_enough_to_read() {
        assert!(TABLE_DIGEST_PY.lines().count() <= 50);
        assert!(!TABLE_DIGEST_PY.contains("```"));
    }
}
