//! The parts of `VERIFY.md` that are the same in every bundle: a stock command for each claim that the bundle makes.

/// What is needed, and where the programs come from.
pub(super) const NEEDED: &str = r#"
Needed: a POSIX shell, coreutils, python3 (standard library only); `jq`, `bagit.py`, `ssh-keygen`, `openssl`, `zstd` and
`psql` where named. Every block begins in the directory of this file:

```sh
BUNDLE=$(pwd)
```

No program of this bundle is run. `TOOLS` is a directory outside of it with two short Python programs from walkaway's
repository (`scripts/verify.py`, `src/evidence/table_digest.py`), or printed by `walkaway verify --print-script > verify.py`
and `walkaway verify --print-script=table-digest > table_digest.py`; read them first. `python3 -I` takes no module from the
directory that it runs in. This checks the bundle independently of walkaway, as the beginning of verify.py describes, and
compares table_digest.py with the copy in the bundle:

```sh
test -z "${TOOLS:-}" || python3 -I "$TOOLS"/verify.py "$BUNDLE" \
  ${ALLOWED_SIGNERS:+--allowed-signers "$ALLOWED_SIGNERS"} ${TSA_CA:+--tsa-ca "$TSA_CA"}
test -z "${TOOLS:-}" || test ! -e data/table_digest.py || cmp "$TOOLS"/table_digest.py data/table_digest.py
```
"#;

/// The files.
pub(super) const BAG: &str = r#"
## The bundle is unchanged

```sh
sha256sum --strict -c tagmanifest-sha256.txt
sha256sum --strict -c manifest-sha256.txt
bagit.py --validate .
```

The digest of the whole bundle is `sha256sum tagmanifest-sha256.txt`. Nothing in the bag protects that number: the
signatures over that file do, or a copy that is kept elsewhere.
"#;

/// Signatures and time-stamps.
pub(super) const SIGNATURES: &str = r#"
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

Whose key that is, is stated by a file from outside the bundle: `ALLOWED_SIGNERS`, in the form that ssh-keygen(1) describes;
`WHO` and `REVIEWER` are the names that it gives to the signers. The reviewer must be another person than the operator.

```sh
test -z "${ALLOWED_SIGNERS:-}" || ssh-keygen -Y verify -f "$ALLOWED_SIGNERS" -I "$WHO" \
  -n walkaway-operator -s sig/operator.sig < tagmanifest-sha256.txt
test -z "${ALLOWED_SIGNERS:-}" || test ! -e sig/reviewer.sig || ssh-keygen -Y verify -f "$ALLOWED_SIGNERS" -I "$REVIEWER" \
  -n walkaway-reviewer -s sig/reviewer.sig < tagmanifest-sha256.txt
```

Beside a signature lies the same key's statement for tools that read in-toto statements in DSSE envelopes (`.dsse.json`):
its subject is the tag manifest, its predicate the outcome of the run. `PUBLIC_KEY` holds the signer's key in PEM, from
outside the bundle: `ssh-keygen -e -m PKCS8 -f KEY.pub` for ECDSA and RSA, and for Ed25519
`(printf '\060\052\060\005\006\003\053\145\160\003\041\000'; cut -d' ' -f2 KEY.pub | base64 -d | tail -c 32) | openssl pkey -pubin -inform DER`.
With cosign: `cosign verify-blob-attestation --key PUBLIC_KEY --signature sig/operator.sig.dsse.json --type
https://walkaway.example/attestation/exit-drill/v1 tagmanifest-sha256.txt`. With openssl (ECDSA and RSA: `openssl dgst -sha256`,
`-sha384` for P-384, `-sha512` for P-521 and RSA, `-verify "$PUBLIC_KEY" -signature "$WORK"/sig "$WORK"/signed`):

```sh
test -z "${PUBLIC_KEY:-}" || (
  WORK=$(mktemp -d)
  jq -r .payload sig/operator.sig.dsse.json | base64 -d > "$WORK"/payload
  jq -r '.signatures[0].sig' sig/operator.sig.dsse.json | base64 -d > "$WORK"/sig
  { printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$WORK"/payload)"; cat "$WORK"/payload; } > "$WORK"/signed
  openssl pkeyutl -verify -pubin -inkey "$PUBLIC_KEY" -rawin -in "$WORK"/signed -sigfile "$WORK"/sig
  jq -r '"\(.subject[0].digest.sha256)  tagmanifest-sha256.txt"' "$WORK"/payload | sha256sum --strict -c
  rm -r "$WORK"
)
```

Beside each signature lies a time-stamp of an authority (`.tsr`), or a text that states why there is none (`.time.txt`): then the
time is the signing machine's own. `TSA_CA` holds the authority's root certificate, from outside the bundle. The time must lie
after the end of the run:

```sh
test -z "${TSA_CA:-}" || for stamp in sig/*.tsr; do
  openssl ts -verify -data "${stamp%.tsr}" -in "$stamp" -CAfile "$TSA_CA"
  openssl ts -reply -in "$stamp" -text | grep 'Time stamp:'
done
```
"#;

/// The chain of the journal.
pub(super) const JOURNAL: &str = r#"
## The journal is unbroken

Each line of the journal names the SHA-256 of the line before.

```sh
python3 -I - <<'END'
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

/// The claims of the result beyond what was copied.
pub(super) const CLAIMS: &str = r#"
## What the result says follows from what lies beside it

The verdict from the findings; the second line may be better than the first only where `.waivers` names who answers for a
finding, and until when:

```sh
jq -r '[.findings[], .assets[].findings[]] | map(.severity) | if any(. == "fail") then "FAIL" elif any(. == "not_run") then "NOT RUN" else "PASS" end' data/result.json
jq -r '.verdict' data/result.json
```

The result from the journal: verdict and number of findings as the journal ends, and as the result has them.

```sh
tail -n 1 data/journal.ndjson | jq -r '"\(.verdict) \(.findings)"'
jq -r '"\(.verdict) \([.findings[], .assets[].findings[]] + [.assets[].filed.kinds[]? | range(.total - .shown)] | length)"' data/result.json
```

What each asset came to, as the journal has it and as the result has it:

```sh
jq -c 'select(.event == "asset_done") | [.asset, .verdict]' data/journal.ndjson
jq -c '.assets[] | [.id, .verdict]' data/result.json
```

Totals of a bucket from its receipts (delete markers are no objects), beside those of the result:

```sh
for list in data/assets/*/objects.ndjson; do
  test -e "$list" || continue
  jq -n '[inputs | select(.version.delete_marker | not) | .size] | [length, add // 0]' "$list"
done
jq -c '.assets[] | [.id, .items, .bytes]' data/result.json
```

The playbook that was run, the inventory that the coverage was counted over, and of each database `restored.csv`: catalog,
sequences, grants, owners and settings as they were proven, one digest each, which `walkaway verify --restored` compares with
the database again. These are the files that the result names:

```sh
jq -r '"\(.playbook.sha256)  data/playbook.yaml", (.coverage // empty | "\(.inventory_sha256)  data/inventory.json"), (.assets[] | select(.database.restored_sha256) | "\(.database.restored_sha256)  data/assets/\(.id)/restored.csv")' data/result.json | sha256sum --strict -c
```

The files that support each control:

```sh
jq -r '.controls[].supported_by | to_entries[] | "\(.value)  \(.key)"' data/controls.json | sha256sum --strict -c
```

Coverage by what became of each thing of the account, from the list and from the result:

```sh
python3 -I - <<'END'
import collections, csv, os
if os.path.exists("data/coverage.csv"):
    print(dict(collections.Counter(line["status"] for line in csv.DictReader(open("data/coverage.csv", newline="", encoding="utf-8")))))
END
jq -c '.coverage.totals // empty | map_values(.assets? // .)' data/result.json
```

The time to exit: units, objects or rows, and bytes that were measured, from the journal and from the result. Percentiles
come from a bootstrap that `walkaway verify` repeats.

```sh
jq -n -c '[inputs | select(.event == "unit_done")] | [length, (map(.items) | add // 0), (map(.bytes) | add // 0)]' data/journal.ndjson
jq -c '.exit_time.classes[]? | [.kind, .units, .measured_items, .measured_bytes]' data/result.json
```

The reports name the result that they were made of; `walkaway report` makes them again, byte for byte. The schema holds:

```sh
jq -r '.["assessment-results"].results[0].props[] | select(.name == "result-sha256").value' data/oscal-assessment-results.json
sha256sum data/result.json
jq -e '.type == "object"' data/result.schema.json
```

With `check-jsonschema` at hand: `check-jsonschema --schemafile data/result.schema.json data/result.json`.
"#;
