//! PostgreSQL's own regression database: what its developers thought worth testing, left behind by their scripts.
//!
//! Restored as it is, then compared without walkaway: every entry of a plain `pg_dump` and an MD5 over every table's rows, at
//! the source and at the target. What differs has to be named by a finding, and what is named has to differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use postgres::Client;

use crate::support::{
    PgCluster,
    drill::{DATABASE, Drill, LEDGER, Managed, READER, Ran, stock},
    standin,
};

/// Scripts that need what is not there (a second server's files, a library in C) still leave most of what they make.
fn scripts(regress: &Path) -> Vec<String> {
    let schedule =
        fs::read_to_string(regress.join("parallel_schedule")).expect("the scripts are missing: scripts/setup --all");
    let lists = schedule.lines().filter_map(|line| line.strip_prefix("test: "));
    lists.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn fill(source: &PgCluster) {
    let regress = standin("python").parent().and_then(Path::parent).unwrap().join("regress");
    for script in scripts(&regress) {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--output=/dev/null", "--file"])
            .arg(regress.join("sql").join(&script).with_extension("sql"));
        psql.arg(source.url(DATABASE))
            .env("PG_ABS_SRCDIR", &regress)
            .env("PG_LIBDIR", "/nonexistent")
            .env("PG_DLSUFFIX", ".so");
        // As pg_regress sets them, so that the scripts make what they mean to make.
        psql.env("PGTZ", "PST8PDT")
            .env("PGDATESTYLE", "Postgres, MDY")
            .env("PGOPTIONS", "-c intervalstyle=postgres_verbose");
        let _ = psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    }
}

/// Each entry of a plain dump's schema by type and name, with its statements.
fn entries(pg_dump: &mut Command) -> BTreeMap<String, String> {
    let text = stock(pg_dump.args(["--schema-only", "--no-owner", "--no-privileges"]));
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut of = String::new();
    for line in text.lines() {
        if let Some(entry) = line.strip_prefix("-- Name: ") {
            let mut parts = entry.split("; ");
            let name = parts.next().unwrap_or_default();
            let kind = parts.next().and_then(|part| part.strip_prefix("Type: ")).unwrap_or_default();
            let schema = parts.next().and_then(|part| part.strip_prefix("Schema: ")).unwrap_or_default();
            of = format!("{kind} {schema}.{name}");
        } else if !line.starts_with("--") && !line.is_empty() {
            let statements = found.entry(of.clone()).or_default();
            statements.push_str(line);
            statements.push('\n');
        }
    }
    found
}

/// Rows and MD5 of every table and materialized view.
fn tables(client: &mut Client) -> BTreeMap<String, String> {
    client
        .batch_execute(
            "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 3; \
             set search_path = ''; set row_security = off",
        )
        .unwrap();
    let sql = "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relispopulated
               order by 1";
    let names: Vec<String> = client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    names
        .into_iter()
        .map(|name| {
            let sql = format!(
                "select count(*) || ' ' || coalesce(md5(string_agg(h, '' order by h)), '') \
                           from (select md5(t::text) as h from only {name} t) x"
            );
            let sum = client.query_one(&sql, &[]).map_or_else(|error| format!("{error}"), |row| row.get(0));
            (name, sum)
        })
        .collect()
}

fn differing(source: &BTreeMap<String, String>, target: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names = source.keys().chain(target.keys());
    names.filter(|name| source.get(*name) != target.get(*name)).cloned().collect()
}

/// What the run names: findings, and what it says cannot be carried.
fn named(ran: &Ran) -> Vec<String> {
    let findings = ran.findings();
    let texts =
        findings.as_array().unwrap().iter().map(|finding| format!("{} {}", finding["subject"], finding["detail"]));
    let not_portable =
        ran.asset(LEDGER)["database"]["not_portable"].as_array().unwrap().iter().map(ToString::to_string);
    texts.chain(not_portable).collect()
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test --all"]
fn long_every_difference_is_named_and_nothing_else() {
    let drill =
        Drill::new().database_on(PgCluster::start(), "template template0 lc_collate 'C' lc_ctype 'C'", "select 1");
    fill(drill.source());
    // Large objects of others are no login's to read but a superuser's.
    drill.source().execute("postgres", &format!("alter role {READER} superuser"));
    let ran = drill.run();
    let managed = Managed::start(&ran);
    let rows_at_source = tables(&mut drill.source().client(DATABASE));
    assert!(rows_at_source.len() > 400, "the regression database has only {} tables", rows_at_source.len());
    let rows = differing(&rows_at_source, &tables(&mut managed.admin()));
    let schema = differing(
        &entries(Command::new("pg_dump").arg(drill.source().url(DATABASE))),
        &entries(&mut managed.pg_dump()),
    );
    let named = named(&ran);
    let last = |name: &str| name.rsplit(['.', ' ']).next().unwrap_or_default().trim_matches('"').to_owned();
    let unnamed: Vec<_> =
        rows.iter().chain(&schema).filter(|name| !named.iter().any(|text| text.contains(&last(name)))).collect();
    eprintln!(
        "verdict {}, {} findings; rows of {rows:#?} and entries {schema:#?} differ",
        ran.result["verdict"],
        ran.findings().as_array().unwrap().len()
    );
    eprintln!("{named:#?}");
    assert!(unnamed.is_empty(), "these differ and no finding says so: {unnamed:#?}");
}
