//! Builds indexes and constraints several at a time, before pg_restore does the rest of the schema in its order.
//!
//! This only goes ahead: whatever fails here is left for pg_restore, which tries it again at its place and whose word
//! counts. The statements are those that pg_restore itself would run.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use crate::pg::{Address, PgError, tools::Tools, wire::Wire};

/// What pg_restore writes before each entry when it is verbose.
const ENTRY: &str = "--\n-- TOC entry ";
/// How the script ends.
const END: &str = "--\n-- PostgreSQL database dump complete\n--\n";
/// Building a smaller index with several processes is not worth starting them.
const LARGE_BYTES: u64 = 128 << 20;

/// One statement of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Its number in the archive's table of contents.
    id: u32,
    sql: String,
}

/// Builds what can be built side by side. Returns a list of contents for pg_restore's `--use-list` with everything that
/// is still to be done.
pub(super) fn go_ahead(
    tools: &Tools,
    archive: &Path,
    owner: &Address,
    workers: usize,
) -> Result<NamedTempFile, PgError> {
    let contents = contents(tools, archive)?;
    let wanted: BTreeSet<u32> = contents.lines().filter(|line| is_independent(line)).filter_map(id_of).collect();
    let done = match wanted.is_empty() {
        true => BTreeSet::new(),
        false => build(tools, archive, owner, workers, &list(&contents, |id| wanted.contains(&id))?, &wanted)?,
    };
    list(&contents, |id| !done.contains(&id))
}

fn build(
    tools: &Tools,
    archive: &Path,
    owner: &Address,
    workers: usize,
    chosen: &NamedTempFile,
    wanted: &BTreeSet<u32>,
) -> Result<BTreeSet<u32>, PgError> {
    let script = script(tools, archive, chosen)?;
    let (preamble, mut entries) = parse(&script);
    if entries.iter().map(|entry| entry.id).collect::<BTreeSet<_>>() != *wanted || entries.len() != wanted.len() {
        return Ok(BTreeSet::new());
    }
    let sizes = sizes(owner, &entries)?;
    let large = sizes.iter().filter(|bytes| **bytes >= LARGE_BYTES).count();
    let mut by_size: Vec<_> = sizes.into_iter().zip(entries.drain(..)).collect();
    by_size.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let workers = workers.clamp(1, by_size.len().max(1));
    let helpers = processors() / large.clamp(1, workers) - 1;
    let preamble = format!("{preamble}\nSET max_parallel_maintenance_workers = {helpers};");
    let queue = Mutex::new(by_size.into_iter().map(|(_, entry)| entry));
    let done = Mutex::new(BTreeSet::new());
    let ends: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| work_off(owner, &preamble, &queue, &done))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(()))).collect()
    });
    ends.into_iter().collect::<Result<(), PgError>>()?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn work_off(
    owner: &Address,
    preamble: &str,
    queue: &Mutex<impl Iterator<Item = Entry>>,
    done: &Mutex<BTreeSet<u32>>,
) -> Result<(), PgError> {
    let mut wire: Option<Wire> = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(entry) = next else { return Ok(()) };
        let wire = match &mut wire {
            Some(wire) => wire,
            none => none.insert(connect(owner, preamble)?),
        };
        match wire.query(&entry.sql) {
            Ok(_) => {
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.id);
            }
            Err(error) if error.connection_lost() => return Err(error.during("building indexes")),
            Err(error) => tracing::debug!(%error, entry = entry.id, "left for pg_restore"),
        }
    }
}

fn connect(owner: &Address, preamble: &str) -> Result<Wire, PgError> {
    let mut wire = owner.wire()?;
    wire.query(preamble).map_err(|error| error.during("preparing to build indexes"))?;
    Ok(wire)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `3460; 1259 16420 INDEX public mixed_at owner`: an index or a constraint that rests on one. Each locks its own table
/// and nothing else, so that none can wait for another in a circle.
fn is_independent(line: &str) -> bool {
    let kind = line.split_once("; ").and_then(|(_, rest)| rest.splitn(3, ' ').nth(2)).unwrap_or_default();
    (kind.starts_with("INDEX ") && !kind.starts_with("INDEX ATTACH ")) || kind.starts_with("CONSTRAINT ")
}

fn id_of(line: &str) -> Option<u32> {
    line.split_once(';')?.0.parse().ok()
}

fn contents(tools: &Tools, archive: &Path) -> Result<String, PgError> {
    let mut command = tools.command("pg_restore", None)?;
    command.args(["--list", "--section=post-data"]).arg(archive);
    output(command)
}

fn script(tools: &Tools, archive: &Path, chosen: &NamedTempFile) -> Result<String, PgError> {
    let mut command = tools.command("pg_restore", None)?;
    command.args(["--verbose", "--no-owner", "--no-privileges", "--no-tablespaces", "--section=post-data"]);
    command.arg("--use-list").arg(chosen.path()).args(["--file", "-"]).arg(archive);
    output(command)
}

fn output(mut command: std::process::Command) -> Result<String, PgError> {
    let failed = |reason: String| PgError::Program { program: "pg_restore", reason };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join("; "))),
    }
}

/// A list of contents with the entries that are wanted.
fn list(contents: &str, wanted: impl Fn(u32) -> bool) -> Result<NamedTempFile, PgError> {
    let failed = |error: std::io::Error| PgError::Program { program: "pg_restore", reason: error.to_string() };
    let mut file = NamedTempFile::new().map_err(failed)?;
    for line in contents.lines().filter(|line| id_of(line).is_some_and(&wanted)) {
        writeln!(file, "{line}").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    Ok(file)
}

/// What stands before the first entry, and the entries.
fn parse(script: &str) -> (String, Vec<Entry>) {
    let script = script.split(END).next().unwrap_or_default();
    let mut pieces = script.split(ENTRY);
    // Newer versions begin with a command for psql.
    let settings = pieces.next().unwrap_or_default().lines().filter(|line| !line.starts_with('\\'));
    let preamble = settings.collect::<Vec<_>>().join("\n");
    let entry = |piece: &str| {
        let (header, sql) = piece.split_once("\n--\n")?;
        let id = header.split(' ').next()?.parse().ok()?;
        Some(Entry { id, sql: sql.to_owned() })
    };
    // A piece that is no entry makes the numbers disagree, and then nothing is done here.
    (preamble, pieces.filter_map(entry).collect())
}

/// The sizes of the tables that the entries are about; 0 where that can't be told.
fn sizes(owner: &Address, entries: &[Entry]) -> Result<Vec<u64>, PgError> {
    let tables: Vec<&str> = entries.iter().map(|entry| table_of(&entry.sql).unwrap_or_default()).collect();
    let sql = "SELECT coalesce(pg_catalog.pg_relation_size(pg_catalog.to_regclass(t)), 0) \
               FROM unnest($1::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n";
    let rows = owner.connect()?.query(sql, &[&tables]).unwrap_or_default();
    let mut sizes: Vec<_> =
        rows.iter().map(|row| row.try_get::<_, i64>(0).unwrap_or_default().unsigned_abs()).collect();
    sizes.resize(entries.len(), 0);
    Ok(sizes)
}

/// The table's name as the statement spells it.
fn table_of(sql: &str) -> Option<&str> {
    let rest = match sql.split_once("ALTER TABLE ") {
        Some((before, rest)) if !before.contains("CREATE ") => rest,
        _ => sql.split_once(" ON ")?.1,
    };
    let rest = rest.strip_prefix("ONLY ").unwrap_or(rest);
    // A quote inside a name is doubled, which opens and closes once more.
    let mut quoted = false;
    let end = rest.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_whitespace()
    });
    Some(&rest[..end.unwrap_or(rest.len())]).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET x = 0;\n\n\
        --\n-- TOC entry 3186 (class 2606 OID 16397)\n-- Name: t t_pkey; Type: CONSTRAINT; Schema: public; Owner: -\n--\n\n\
        ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);\n\n\n\
        --\n-- TOC entry 3187 (class 1259 OID 16399)\n-- Name: t_at; Type: INDEX; Schema: public; Owner: -\n--\n\n\
        CREATE INDEX t_at ON public.t USING btree (at);\n\n\n\
        --\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n";

    #[test]
    fn a_script_falls_into_its_entries() {
        let (preamble, entries) = parse(SCRIPT);
        assert!(preamble.contains("SET x = 0;") && !preamble.contains("restrict"));
        assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [3186, 3187]);
        assert_eq!(entries.iter().map(|entry| table_of(&entry.sql)).collect::<Vec<_>>(), [Some("public.t"); 2]);
        assert!(entries[1].sql.trim().starts_with("CREATE INDEX") && entries[1].sql.trim().ends_with(';'));
    }

    #[test]
    fn a_table_is_named_as_the_statement_spells_it() {
        for (sql, table) in [
            ("\nCREATE UNIQUE INDEX \"a b\" ON ONLY s.\"x \"\" y\" USING btree (id);", "s.\"x \"\" y\""),
            ("ALTER TABLE ONLY \"Größen\".\"zwei Maße\"\n    ADD CONSTRAINT k UNIQUE (a);", "\"Größen\".\"zwei Maße\""),
        ] {
            assert_eq!(table_of(sql), Some(table));
        }
    }

    #[test]
    fn only_what_locks_one_table_goes_ahead() {
        let goes = |kind: &str| is_independent(&format!("3460; 1259 16420 {kind} public x owner"));
        assert!(goes("INDEX") && goes("CONSTRAINT"));
        for kind in ["INDEX ATTACH", "FK CONSTRAINT", "CHECK CONSTRAINT", "TRIGGER", "MATERIALIZED VIEW DATA"] {
            assert!(!goes(kind), "{kind}");
        }
        assert!(!is_independent("; Archive created at"));
    }
}
