//! The exit plan as a document, made from the playbook that is run: what DORA and ISO 27001 ask of an exit plan, and the
//! steps by hand with stock commands, for use without walkaway.
//!
//! The commands are run in the tests against the stand-ins. They are simpler than walkaway: they copy ordinary keys and
//! ordinary tables, and each step states what it leaves out.

use jiff::Timestamp;

use super::{
    document::{Block, markdown},
    pdf::{Attached, Paper, PdfError, pdf},
};
use crate::{
    domain::digest::Sha256Digest,
    evidence::result::RunResult,
    playbook::{
        Asset, AssetKind, BucketSpec, Contract, DatabaseSpec, ExitPlan, Line, Period, Playbook, PostgresTarget, Server,
    },
    words::{count, duration, size},
};

/// The plan, ready to be written.
pub struct Plan<'a> {
    title: &'a str,
    playbook: &'a str,
    digest: Sha256Digest,
    last: Option<&'a RunResult>,
    blocks: Vec<Block>,
}

/// The plan of a playbook whose text is `text`. `last` is the last run's result, where there is one: its times and sizes
/// are beside the steps.
pub fn plan<'a>(playbook: &'a Playbook, text: &'a str, last: Option<&'a RunResult>) -> Plan<'a> {
    let title = playbook.title().unwrap_or(playbook.id().as_str());
    let digest = Sha256Digest::of(text);
    Plan { title, playbook: text, digest, last, blocks: blocks(playbook, title, digest, last) }
}

impl Plan<'_> {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        markdown(&self.blocks)
    }

    /// As PDF/A-3a and PDF/UA-1, with the playbook and the Markdown attached: to copy commands. `made` is the time.
    ///
    /// # Errors
    /// When no pages can be rendered.
    pub fn pdf(&self, made: Timestamp) -> Result<Vec<u8>, PdfError> {
        let tested = |run: &RunResult| format!("last run {}: {}", run.run, run.verdict_words());
        let markdown = self.markdown();
        let yaml = self.playbook.as_bytes();
        let text = markdown.as_bytes();
        let paper = Paper {
            title: format!("Exit plan: {}", self.title),
            header: [format!("Exit plan: {}", self.title), self.last.map_or_else(|| "never tested".to_owned(), tested)],
            footer: vec![format!("playbook.yaml SHA-256 {}", self.digest)],
            date: made,
            attached: vec![
                Attached::new("playbook.yaml", "application/yaml", "The playbook that this plan is made of", yaml),
                Attached::new("exit-plan.md", "text/markdown", "This plan, with its commands to the letter", text),
            ],
        };
        pdf(&self.blocks, &paper)
    }
}

fn blocks(playbook: &Playbook, title: &str, digest: Sha256Digest, last: Option<&RunResult>) -> Vec<Block> {
    let mut blocks = vec![
        Block::heading(1, format!("Exit plan: {title}")),
        Block::facts(&[
            ("Playbook", format!("{}, version of the file: SHA-256 {digest}", playbook.id())),
            ("Next review", or_missing(playbook.plan().next_review)),
        ]),
        approval(playbook.plan()),
        Block::text(
            "This document is made from the playbook that the drills run, so plan and drill cannot drift apart. What the \
             playbook does not say is marked as missing.",
        ),
    ];
    blocks.extend(provider(playbook));
    blocks.extend(purpose(playbook.plan()));
    blocks.extend(inventory(playbook, last));
    blocks.extend(steps(playbook, last));
    blocks.extend(schedule(playbook, last));
    blocks.extend(closing(playbook, last));
    blocks
}

/// Who approves this version; on paper by hand, of a bundle by signature.
fn approval(plan: &ExitPlan) -> Block {
    let row =
        |role: &str, person: Option<&Line>| vec![role.to_owned(), or_missing(person), String::new(), String::new()];
    Block::plain_table(
        &["Approval of this version", "Name", "Date", "Signature"],
        vec![row("Accountable", plan.roles.accountable.as_ref()), row("Reviewer", plan.roles.reviewer.as_ref())],
    )
}

const MISSING: &str = "MISSING: the playbook does not say";

fn or_missing(value: Option<impl ToString>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| value.to_string())
}

fn provider(playbook: &Playbook) -> Vec<Block> {
    let aws = playbook.provider();
    let account = playbook.account();
    let contract = account.contract.as_ref();
    let regions = aws.map(|aws| aws.regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    vec![
        Block::heading(2, "1. Provider and contract"),
        Block::facts(&[
            (
                "Provider",
                aws.map_or(
                    "none named: databases only",
                    |_| "Amazon Web Services, or a server that speaks its protocols",
                )
                .to_owned(),
            ),
            ("Account", or_missing(aws.and_then(|aws| aws.account.as_ref()))),
            ("Regions", or_missing(regions.filter(|regions| !regions.is_empty()))),
            ("Local target", playbook.target().path.display().to_string()),
            ("Contract", or_missing(contract.map(|contract| contract.file.display()))),
            ("Notice, transition, retrieval", or_missing(contract.map(terms))),
            ("Change reference", or_missing(account.change.as_ref())),
        ]),
    ]
}

fn terms(contract: &Contract) -> String {
    format!("{}, {}, {}", contract.notice, contract.transition, contract.retrieval)
}

/// The three ends that the RTS on exit plans asks for (Delegated Regulation (EU) 2024/1773, Article 10), and what each
/// means for the steps below.
fn scenarios(plan: &ExitPlan) -> Vec<Block> {
    let drilled = plan.scenario.map(|scenario| format!("{scenario:?}").to_lowercase());
    let row = |end: &str, provider: &str, steps: &str| vec![end.to_owned(), provider.to_owned(), steps.to_owned()];
    vec![
        Block::heading(3, "Scenarios"),
        Block::facts(&[("The drill stands for an exit that is", or_missing(drilled))]),
        Block::plain_table(
            &["The provider's service", "What still works there", "What is done"],
            vec![
                row(
                    "is interrupted for long",
                    "nothing can be read while it lasts",
                    "restore the last drill's copies: they are as old as that drill; carry out the rest as soon as it answers",
                ),
                row(
                    "is not delivered as agreed, or fails",
                    "data can be read, perhaps slowly",
                    "every step of part 6, the most critical services first",
                ),
                row(
                    "ends unexpectedly (contract, insolvency, law)",
                    "data can be read for the retrieval period at most",
                    "every step of part 6 within the retrieval period; give notice of deletion only after the proof",
                ),
            ],
        ),
    ]
}

/// How long it takes, against each term.
fn schedule(playbook: &Playbook, last: Option<&RunResult>) -> Vec<Block> {
    let time = last.and_then(|run| run.exit_time.as_ref());
    let [p50, p90] = [time.and_then(|time| time.p50_ms), time.and_then(|time| time.p90_ms)];
    let projected = |ms: Option<u64>| ms.map_or_else(|| "not projected".to_owned(), duration);
    let contract = playbook.account().contract.as_ref();
    let terms = [
        ("Recovery time objective", playbook.plan().objectives.rto),
        ("Notice", contract.map(|contract| contract.notice)),
        ("Transition", contract.map(|contract| contract.transition)),
        ("Retrieval", contract.map(|contract| contract.retrieval)),
    ];
    let row = |(name, term): (&str, Option<Period>)| {
        let fits = match (term, p90) {
            (None, _) => "not decided: the term is missing",
            (_, None) => "not decided: no drill has projected it",
            (Some(term), Some(p90)) if u128::from(p90) <= term.duration().as_millis() => "fits",
            _ => "DOES NOT FIT",
        };
        vec![name.to_owned(), or_missing(term), projected(p50), projected(p90), fits.to_owned()]
    };
    vec![
        Block::heading(2, "7. Schedule"),
        Block::plain_table(
            &["Term", "Length", "Whole exit, P50", "Whole exit, P90", "P90 within the term"],
            terms.into_iter().map(row).collect(),
        ),
    ]
}

fn purpose(plan: &ExitPlan) -> Vec<Block> {
    let mut blocks = vec![
        Block::heading(2, "2. Services, scenario, triggers"),
        Block::facts(&[
            ("Recovery time objective", or_missing(plan.objectives.rto)),
            ("Recovery point objective", or_missing(plan.objectives.rpo)),
        ]),
    ];
    let services: Vec<Vec<String>> = plan
        .services
        .iter()
        .map(|service| {
            let data: Vec<_> = service.data.iter().map(ToString::to_string).collect();
            vec![service.name.to_string(), service.criticality.to_string(), data.join(", ")]
        })
        .collect();
    blocks.extend(scenarios(plan));
    blocks.push(table_or_missing("Services", &["Service", "Criticality", "Depends on the assets"], services));
    let triggers: Vec<String> = plan.triggers.iter().map(ToString::to_string).collect();
    blocks.push(Block::heading(3, "Triggers"));
    blocks.push(if triggers.is_empty() { Block::text(MISSING) } else { Block::List { items: triggers } });
    blocks.push(Block::heading(2, "3. Roles"));
    blocks.push(Block::facts(&[
        ("Accountable", or_missing(plan.roles.accountable.as_ref())),
        ("Runs the exit", or_missing(plan.roles.operator.as_ref())),
        ("Reviews it", or_missing(plan.roles.reviewer.as_ref())),
    ]));
    blocks.push(Block::heading(2, "4. Alternatives"));
    let alternatives = plan.alternatives.iter().map(|alternative| {
        let maps: Vec<_> = alternative.maps.iter().map(|(from, to)| format!("{from} → {to}")).collect();
        let name = alternative.name.to_string();
        let country = alternative.country.to_string();
        vec![name, country, maps.join(", "), alternative.gap.to_string(), alternative.assessed.to_string()]
    });
    let headings = ["Name", "Owner's country", "Services", "Gap", "Assessed"];
    blocks.push(table_or_missing("Alternatives", &headings, alternatives.collect()));
    blocks
}

fn table_or_missing(what: &str, headings: &[&str], rows: Vec<Vec<String>>) -> Block {
    if rows.is_empty() { Block::text(format!("{what}: {MISSING}")) } else { Block::plain_table(headings, rows) }
}

fn inventory(playbook: &Playbook, last: Option<&RunResult>) -> Vec<Block> {
    let row = |asset: &Asset| {
        let measured = last.and_then(|run| run.assets.iter().find(|found| found.id == asset.id.as_str()));
        let by_hand = ByHand::of(playbook, asset);
        let found = measured.map_or_else(
            || "not measured".to_owned(),
            |found| format!("{}, {}", count(found.items, "item", "items"), size(found.bytes)),
        );
        vec![asset.id.to_string(), by_hand.kind.to_owned(), by_hand.source, by_hand.format.to_owned(), found]
    };
    let exclusion = |exclusion: &crate::playbook::Exclusion| {
        format!("{}: {}; {}, until {}", exclusion.selector, exclusion.reason, exclusion.owner, exclusion.until)
    };
    let excluded: Vec<String> = playbook.exclusions().iter().map(exclusion).collect();
    let mut blocks = vec![
        Block::heading(2, "5. What is carried out"),
        Block::plain_table(
            &["Asset", "Kind", "Source", "Format", "Last measured"],
            playbook.assets().iter().map(row).collect(),
        ),
    ];
    if !excluded.is_empty() {
        blocks.push(Block::heading(3, "Left out on purpose"));
        blocks.push(Block::List { items: excluded });
    }
    blocks
}

/// The variables that all commands use.
fn steps(playbook: &Playbook, last: Option<&RunResult>) -> Vec<Block> {
    let mut setup =
        format!("export EXIT_DIR={}\nmkdir -p \"$EXIT_DIR\"\n", quote(&playbook.target().path.display().to_string()));
    if let Some(aws) = playbook.provider() {
        aws.profile.iter().for_each(|profile| setup += &format!("export AWS_PROFILE={}\n", quote(profile.as_str())));
        aws.regions
            .first()
            .iter()
            .for_each(|region| setup += &format!("export AWS_REGION={}\n", quote(region.as_str())));
        aws.endpoints
            .s3
            .iter()
            .for_each(|url| setup += &format!("export AWS_ENDPOINT_URL_S3={}\n", quote(url.as_str())));
    }
    let mut blocks = vec![
        Block::heading(2, "6. The exit by hand, step by step"),
        Block::text(
            "With walkaway: `walkaway run PLAYBOOK`. Without it, on a machine that is in no cloud, with these programs; \
             every block in one shell (bash):",
        ),
        Block::List { items: tools(playbook) },
        Block::sh(setup),
    ];
    for (number, asset) in (1..).zip(playbook.assets()) {
        let measured = last.and_then(|run| run.assets.iter().find(|found| found.id == asset.id.as_str()));
        let took = measured.map_or_else(
            || "not measured yet".to_owned(),
            |found| {
                let timings = found.timings;
                duration(timings.transfer_ms.saturating_add(timings.rebuild_ms).saturating_add(timings.verify_ms))
            },
        );
        let by_hand = ByHand::of(playbook, asset);
        blocks.push(Block::heading(3, format!("6.{number} {}: {}", asset.id, by_hand.task)));
        blocks.push(Block::facts(&[("Duration by the last drill", took), ("Skill", by_hand.skill.to_owned())]));
        blocks.extend(by_hand.steps);
    }
    blocks
}

/// The programs that the steps call.
fn tools(playbook: &Playbook) -> Vec<String> {
    let mut tools = vec!["bash, sed, awk and GNU coreutils, findutils (sort, sha256sum, find, xargs)".to_owned()];
    let has = |buckets: bool| playbook.assets().iter().any(|asset| asset.kind.bucket().is_some() == buckets);
    if has(true) {
        tools.push("aws: AWS CLI, version 2".to_owned());
        tools.push("jq, version 1.6 or later".to_owned());
    }
    if has(false) {
        tools.push(
            "psql, pg_dump, pg_restore: of the source's major version or later, and not an older minor".to_owned(),
        );
    }
    tools
}

/// What this page says of an asset, by its kind.
struct ByHand {
    kind: &'static str,
    source: String,
    format: &'static str,
    task: &'static str,
    skill: &'static str,
    steps: Vec<Block>,
}

impl ByHand {
    fn of(playbook: &Playbook, asset: &Asset) -> Self {
        match &asset.kind {
            AssetKind::Objects(bucket) => Self {
                kind: "bucket",
                source: bucket_url(bucket),
                format: "files",
                task: "copy the bucket",
                skill: "AWS CLI",
                steps: bucket_steps(asset, bucket),
            },
            AssetKind::Database(spec) => Self {
                kind: "database",
                source: source_of(asset, spec).0,
                format: "PostgreSQL, COPY text",
                task: "dump and restore the database",
                skill: "PostgreSQL",
                steps: database_steps(playbook, asset, spec),
            },
        }
    }
}

fn bucket_url(bucket: &BucketSpec) -> String {
    format!("s3://{}/{}", bucket.bucket, bucket.prefix.as_deref().unwrap_or_default())
}

fn bucket_steps(asset: &Asset, bucket: &BucketSpec) -> Vec<Block> {
    let id = asset.id.as_str();
    let name = quote(bucket.bucket.as_str());
    let prefix = bucket.prefix.as_ref().map(|prefix| format!(" --prefix {}", quote(prefix))).unwrap_or_default();
    let url = quote(&bucket_url(bucket));
    vec![
        Block::text("What the provider holds, with size and entity tag:"),
        Block::sh(format!(
            "aws s3api list-objects-v2 --bucket {name}{prefix} --output json \\\n  --query 'Contents[].{{Key: Key, Size: Size, ETag: ETag}}' > \"$EXIT_DIR\"/{id}.listing.json\n\
             jq -r '\"\\(length) objects, \\(map(.Size) | add) bytes\"' \"$EXIT_DIR\"/{id}.listing.json"
        )),
        Block::text("The copy, and the digests of what came:"),
        Block::sh(format!(
            "aws s3 sync --no-progress --exact-timestamps {url} \"$EXIT_DIR\"/{id}\n\
             (cd \"$EXIT_DIR\"/{id} && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum) > \"$EXIT_DIR\"/{id}.sha256"
        )),
        Block::text("Compare number and bytes; both lines must be equal:"),
        Block::sh(format!(
            "jq -r '\"\\(length) \\(map(.Size) | add)\"' \"$EXIT_DIR\"/{id}.listing.json\n\
             find \"$EXIT_DIR\"/{id} -type f -printf '%s\\n' | awk '{{n += 1; b += $1}} END {{print n, b}}'"
        )),
        Block::text(
            "Entity tags of objects that were put in one part are MD5: compare them with md5sum. Left out: keys that a file \
             system cannot hold, earlier versions, tags, metadata, and the bucket's configuration; walkaway names those.",
        ),
    ]
}

fn database_steps(playbook: &Playbook, asset: &Asset, spec: &DatabaseSpec) -> Vec<Block> {
    let id = asset.id.as_str();
    let source = source_of(asset, spec).1;
    let excluded: String = spec
        .exclude_tables
        .iter()
        .map(|table| {
            format!(" --exclude-table-data={}", quote(&format!("{}.{}", table.name.schema(), table.name.table())))
        })
        .collect();
    // What is dumped without its rows differs intentionally.
    let left_out: String = spec
        .exclude_tables
        .iter()
        .map(|table| {
            let [schema, name] = [table.name.schema(), table.name.table()].map(shell_literal);
            format!("\n  and (schemaname, tablename) <> ({schema}, {name})")
        })
        .collect();
    let target = match &playbook.target().postgres {
        Some(PostgresTarget::Url { url, .. }) => format!("export EXIT_PG={}\n", reference(&url.to_string())),
        _ => "# EXIT_PG: a connection string of a local server on which you may create databases\n".to_owned(),
    };
    vec![
        Block::text("The dump, in a format that any PostgreSQL of this version or later restores:"),
        Block::sh(format!(
            "pg_dump --format=directory --jobs=2 --no-owner --no-privileges{excluded} \\\n  --file=\"$EXIT_DIR\"/{id}.dump --dbname={source}"
        )),
        Block::text("The restore, into a new database:"),
        Block::sh(format!(
            "{target}psql -XAtq \"$EXIT_PG\" -c 'create database \"{id}\"'\n\
             export EXIT_TARGET=$(printf '%s' \"$EXIT_PG\" | sed -E 's|^(postgres(ql)?://[^/]*)/[^?]*|\\1/{id}|')\n\
             pg_restore --exit-on-error --no-owner --no-privileges --jobs=2 --dbname=\"$EXIT_TARGET\" \"$EXIT_DIR\"/{id}.dump"
        )),
        Block::text("Compare each table's rows, sorted, on both sides; every line must end in `equal`:"),
        Block::sh(format!(
            "export PGOPTIONS='-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex'\n\
             psql -XAtq {source} -c \"select format('%I.%I', schemaname, tablename) from pg_tables\n  where schemaname not in ('pg_catalog', 'information_schema'){left_out} order by 1\" |\n\
             while read -r table; do\n  \
               here=$(psql -XAtq \"$EXIT_TARGET\" -c \"copy $table to stdout\" < /dev/null | LC_ALL=C sort | sha256sum)\n  \
               there=$(psql -XAtq {source} -c \"copy $table to stdout\" < /dev/null | LC_ALL=C sort | sha256sum)\n  \
               test \"$here\" = \"$there\" && echo \"$table equal\" || echo \"$table DIFFERS\"\n\
             done"
        )),
        Block::text(
            "Compare while nothing writes to the source: the two sides are read at different times. Left out: roles, grants, \
             tablespaces, settings of the database.",
        ),
    ]
}

fn closing(playbook: &Playbook, last: Option<&RunResult>) -> Vec<Block> {
    let time = last.and_then(|run| run.exit_time.as_ref());
    let projected = match time.map(|time| (time.p50_ms, time.p90_ms)) {
        Some((Some(p50), Some(p90))) => format!("P50 {}, P90 {}", duration(p50), duration(p90)),
        Some(_) => format!("refused: {}", time.map(|time| time.refused.join("; ")).unwrap_or_default()),
        None => "no run yet".to_owned(),
    };
    let cost = last.and_then(|run| run.cost.as_ref()).map_or_else(
        || "no run yet".to_owned(),
        |cost| {
            let amount = |millionths: Option<u64>| millionths.map_or("unknown".to_owned(), crate::words::dollars);
            let list = amount(cost.exit_usd_millionths);
            let waived = amount(cost.exit_waived_usd_millionths);
            format!("{list} at list price, {waived} where traffic is waived; prices of {}", cost.as_of)
        },
    );
    let tested = last
        .map_or_else(|| "NEVER".to_owned(), |run| format!("{}, {} ({})", run.started, run.verdict_words(), run.run));
    vec![
        Block::heading(2, "8. Success, time and cost"),
        Block::facts(&[
            ("Success", "every object and row in scope restored here and equal to the source, by comparison".to_owned()),
            ("Last tested", tested),
            ("Time to exit", projected),
            ("Cost of the traffic", cost),
            ("Evidence", playbook.evidence_path().display().to_string()),
        ]),
        Block::heading(2, "9. Assumptions"),
        Block::List {
            items: vec![
                "The provider still answers, and the credentials still work, for as long as the exit takes.".to_owned(),
                "The way to the provider carries what it carried in the last drill.".to_owned(),
                "The local target has room for everything in scope and its exports.".to_owned(),
            ],
        },
        Block::heading(2, "10. Communication and afterwards"),
        Block::Steps {
            items: vec![
                "Before the first step, inform the accountable person, the owners of the services above and, where required, the supervisory authority and the customers: what happens, when, and by whom.".to_owned(),
                "After the last step, inform the same people that the exit is complete, and give them the digest of the bundle.".to_owned(),
                "Demand deletion at the provider in writing, and its confirmation; keep both with the bundle. walkaway deletes nothing there.".to_owned(),
                "Keep the bundle, the signatures and this document for as long as the contract and the law ask.".to_owned(),
            ],
        },
    ]
}

/// A database's source in words, and its connection string as a word of a shell.
fn source_of(asset: &Asset, spec: &DatabaseSpec) -> (String, String) {
    match &spec.server {
        Server::Url { url } => (url.to_string(), reference(&url.to_string())),
        Server::Rds(_) => {
            let name = format!("{}_PG_URL", asset.id.as_str().to_uppercase().replace('-', "_"));
            (format!("Amazon RDS; {name} is its connection string, with sslmode=verify-full"), format!("\"${name}\""))
        }
    }
}

/// A reference of the playbook as a word of a shell.
fn reference(text: &str) -> String {
    match (text.strip_prefix("env:"), text.strip_prefix("file:")) {
        (Some(name), _) => format!("\"${name}\""),
        (_, Some(path)) => format!("\"$(cat {})\"", quote(path)),
        _ => quote(text),
    }
}

/// An SQL literal within a shell's double quotes.
fn shell_literal(text: &str) -> String {
    let mut out = "'".to_owned();
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '"' | '$' | '`' | '\\' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out + "'"
}

/// A word quoted for a shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
