//! A schema's archive as pg_restore's script, run here entry by entry.
//!
//! pg_restore reports refusals as text; here every refusal has its code, a setting that an older target does
//! not know is not fatal, and a source's bookkeeping among a column's options is left out. The statements are
//! pg_restore's own. Source: PostgreSQL documentation, pg_restore, `--list` and `--file`.

use std::{borrow::Cow, path::Path};

use super::refused::{RefusedStatement, SchemaName, explained};
use crate::pg::{
    Address, PgError,
    catalog::COLUMN_OPTIONS,
    name::literal,
    sqlstate::INSUFFICIENT_PRIVILEGE,
    tools::Tools,
    wire::{Wire, WireError},
};

/// The beginning of a header of a verbose pg_restore.
const ENTRY: &str = "--\n-- TOC entry ";
/// The end of a header.
const HEADER_END: &str = "\n--\n";
/// The end of the script.
const END: &str = "--\n-- PostgreSQL database dump complete\n--\n";
/// The line before that, with the time.
const COMPLETED: &str = "\n-- Completed on ";
/// pg_restore's setting for the following tables, before the header of the first of them.
const ACCESS_METHOD: &str = "SET default_table_access_method = ";
/// SQLSTATE of a setting that the server doesn't know.
const UNDEFINED_OBJECT: &str = "42704";

/// A section of an archive (PostgreSQL documentation, pg_dump, `--section`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Everything that rows need.
    PreData,
    /// Indexes, constraints, triggers, rules, materialized views.
    PostData,
}

/// One section of an archive, to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// The settings that every session needs.
    pub settings: Vec<String>,
    /// The entries in their order.
    pub entries: Vec<Entry>,
}

/// The statements of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `TABLE`, `FK CONSTRAINT`, …
    pub kind: String,
    /// Kind, name and owner: `TABLE orders shop`.
    pub title: String,
    /// The qualified name of its object, if it is one in a schema.
    pub named: Option<SchemaName>,
    /// Settings for this entry and all that follow.
    before: String,
    /// Its statements.
    pub sql: String,
}

/// The outcome of an entry that the owner was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// It was created in another way.
    Made,
    /// It is not created otherwise; the owner's error is the reason.
    Left,
    /// It is not created, for another reason.
    Refused(String),
}

impl Entry {
    /// It was refused, for this reason.
    pub(super) fn refused(&self, reason: String) -> RefusedStatement {
        RefusedStatement { object: self.title.clone(), reason, named: self.named.clone() }
    }
}

impl Script {
    /// Gets the script of a section from pg_restore.
    pub(super) fn read(tools: &Tools, archive: &Path, section: Section) -> Result<Self, PgError> {
        let section = match section {
            Section::PreData => "--section=pre-data",
            Section::PostData => "--section=post-data",
        };
        let contents = output(tools, archive, &["--list", section])?;
        // Only when verbose does it number the entries.
        let options = ["--verbose", "--no-owner", "--no-privileges", "--no-tablespaces", section, "--file", "-"];
        Ok(parse(&contents, &output(tools, archive, &options)?))
    }

    /// A session that runs entries of this script.
    pub(super) fn session(&self, owner: &Address) -> Result<Wire, PgError> {
        let mut wire = owner.wire()?;
        for setting in &self.settings {
            match wire.execute(setting) {
                // A target older than the programs does not have every setting.
                Err(WireError::Server { code, .. }) if code == UNDEFINED_OBJECT => {}
                set => set.map_err(|error| error.during("preparing to restore the schema"))?,
            }
        }
        Ok(wire)
    }

    /// Runs every entry in its order; continues after a refused one and returns all of them. An unresolved name is
    /// retried with the search path of the source: a dump qualifies its own names, but not those in the bodies of
    /// functions that an index, a constraint or a view calls. `second` is called for what is refused, before anything that
    /// may need it.
    pub(super) fn run(
        &self,
        owner: &Address,
        search_path: &str,
        second: &mut dyn FnMut(&Entry, &WireError) -> Result<Second, PgError>,
    ) -> Result<Vec<RefusedStatement>, PgError> {
        let mut wire = self.session(owner)?;
        let mut refused = Vec::new();
        for entry in &self.entries {
            let Entry { title, before, sql, .. } = entry;
            for sql in [before, sql].into_iter().filter(|sql| !sql.is_empty()) {
                let ran = match query(&mut wire, sql) {
                    Err(refused) if is_unresolved(&refused) => query_in(&mut wire, search_path, sql, refused),
                    ran => ran,
                };
                match ran {
                    Ok(()) => {}
                    Err(error) if error.ends_all() => return Err(error.during(format!("restoring {title}"))),
                    Err(error) => match second(entry, &error)? {
                        Second::Made => {}
                        Second::Left => refused.push(entry.refused(explained(&entry.kind, &error))),
                        Second::Refused(reason) => refused.push(entry.refused(reason)),
                    },
                }
            }
        }
        Ok(refused)
    }
}

/// Whether a name could not be resolved.
fn is_unresolved(error: &WireError) -> bool {
    error.code().is_some_and(|code| code.starts_with("42") && code != INSUFFICIENT_PRIVILEGE)
}

/// Runs a statement with these schemas as search path. It was refused before; that reason is kept if it is again.
fn query_in(wire: &mut Wire, search_path: &str, sql: &str, refused: WireError) -> Result<(), WireError> {
    let set = |path: &str| format!("SELECT pg_catalog.set_config('search_path', {}, false)", literal(path));
    wire.execute(&set(search_path))?;
    let again = query(wire, sql);
    if again.as_ref().is_err_and(WireError::ends_all) {
        return again;
    }
    wire.execute(&set(""))?;
    again.map_err(|_| refused)
}

/// A function whose LEAKPROOF mark, or whose support function, only a superuser may set is created without: other entries
/// need it, and the comparison reports the lack unless it is added later.
fn query(wire: &mut Wire, sql: &str) -> Result<(), WireError> {
    match (wire.query(sql), without_promise(sql)) {
        (Err(WireError::Server { code, .. }), Some(other)) if code == INSUFFICIENT_PRIVILEGE => {
            wire.query(&other).map(drop)
        }
        (answer, _) => answer.map(drop),
    }
}

const SUPPORT: &str = " SUPPORT ";
/// What may follow a support function's name.
const AFTER_SUPPORT: &str = " PARALLEL ";

/// The statement of a function without LEAKPROOF and SUPPORT, which are among the attributes before the body.
fn without_promise(sql: &str) -> Option<String> {
    let (head, rest) =
        sql.split_once("\n    LANGUAGE ").filter(|(head, _)| head.trim_start().starts_with("CREATE FUNCTION "))?;
    let (attributes, body) = rest.split_once('\n')?;
    let mut fewer = attributes.replacen(" LEAKPROOF", "", 1);
    if let Some((before, rest)) = fewer.split_once(SUPPORT) {
        let after = rest.find(AFTER_SUPPORT).map_or("", |at| &rest[at..]);
        fewer = format!("{before}{after}");
    }
    (fewer != attributes).then(|| format!("{head}\n    LANGUAGE {fewer}\n{body}"))
}

fn output(tools: &Tools, archive: &Path, options: &[&str]) -> Result<String, PgError> {
    let failed = |reason: String| PgError::Program { program: "pg_restore", reason };
    let mut command = tools.command("pg_restore", None)?;
    let output = command.args(options).arg(archive).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        String::from_utf8(output.stdout)
            .map_err(|_| failed("the schema holds names or definitions that are not UTF-8".to_owned()))
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join("; ")))
    }
}

/// Splits the script where the table of contents has an entry; a text that only looks like a header
/// is kept. An entry without statements is in the contents and not in the script.
fn parse(contents: &str, script: &str) -> Script {
    let script = script.rsplit_once(END).map_or(script, |(script, _)| script);
    let is_last = |(_, after): &(&str, &str)| !after.trim_end().contains('\n');
    let script = script.rsplit_once(COMPLETED).filter(is_last).map_or(script, |(script, _)| script);
    let mut starts = Vec::new();
    let mut from = 0;
    for (id, about) in contents.lines().filter_map(numbered) {
        if let Some(at) = script[from..].find(&format!("{ENTRY}{id} (")) {
            starts.push((from + at, about));
            from += at + ENTRY.len();
        }
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([script.len()]);
    let preamble = &script[..starts.first().map_or(script.len(), |(start, _)| *start)];
    let (preamble, mut before) = settings_at_end(preamble);
    let mut entries = Vec::new();
    for ((start, about), end) in starts.iter().zip(ends) {
        let Some((header, sql)) = script[*start + ENTRY.len()..end].split_once(HEADER_END) else { continue };
        let (sql, of_next) = settings_at_end(sql);
        let (kind, title, named) = titled(header, about, sql);
        let sql = without_bookkeeping(&kind, sql.trim_end()).into_owned();
        let before = std::mem::replace(&mut before, of_next).to_owned();
        entries.push(Entry { kind, title, named, before, sql });
    }
    let is_setting = |line: &&str| line.starts_with("SET ") || line.starts_with("SELECT ");
    Script { settings: preamble.lines().filter(is_setting).map(str::to_owned).collect(), entries }
}

/// `3460; 1259 16420 INDEX public mixed_at owner`: the number, and what follows the catalog's numbers.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (id, rest) = line.split_once("; ")?;
    Some((id.parse().ok()?, rest.splitn(3, ' ').nth(2)?))
}

/// Splits off the setting for the following tables.
fn settings_at_end(sql: &str) -> (&str, &str) {
    let trimmed = sql.trim_end();
    let last = trimmed.rfind('\n').map_or(0, |at| at + 1);
    if trimmed[last..].starts_with(ACCESS_METHOD) { (&sql[..last], &trimmed[last..]) } else { (sql, "") }
}

/// The kind; kind, name and owner without the schema; and the object's schema.
fn titled(header: &str, about: &str, sql: &str) -> (String, String, Option<SchemaName>) {
    let name = header.lines().find(|line| line.starts_with("-- Name: ")).unwrap_or_default();
    let (rest, schema) =
        name.rsplit_once("; Owner: ").and_then(|(rest, _)| rest.rsplit_once("; Schema: ")).unwrap_or_default();
    let (name, kind) = rest.rsplit_once("; Type: ").unwrap_or_default();
    let named = named(kind, schema, name.strip_prefix("-- Name: ").unwrap_or_default(), sql);
    let title = about.strip_prefix(&format!("{kind} {schema} ")).map(|of| format!("{kind} {of}"));
    (kind.to_owned(), title.unwrap_or_else(|| about.to_owned()), named)
}

/// An object's qualified name from the contents: `f(integer)`, `orders to_customer` of a constraint, or `CAST (a AS b)`.
/// What an operator is between, only its statement says.
fn named(kind: &str, schema: &str, name: &str, sql: &str) -> Option<SchemaName> {
    const OF_TABLES: [&str; 7] =
        ["CHECK CONSTRAINT", "CONSTRAINT", "DEFAULT", "FK CONSTRAINT", "POLICY", "RULE", "TRIGGER"];
    let mut arguments = None;
    let name = match kind {
        "CAST" => name.strip_prefix("CAST (")?.strip_suffix(')')?.to_owned(),
        "TRANSFORM" => name.strip_prefix("TRANSFORM FOR ")?.replacen(" LANGUAGE ", " for ", 1),
        "OPERATOR" => {
            let operand = |word: &str| {
                let line = sql.lines().find_map(|line| line.trim_start().strip_prefix(word));
                line.map_or("none", |operand| operand.trim_end_matches(','))
            };
            arguments = Some(format!("{}, {}", operand("LEFTARG = "), operand("RIGHTARG = ")));
            name.to_owned()
        }
        "AGGREGATE" | "FUNCTION" | "PROCEDURE" => {
            let (name, rest) = name.split_once('(')?;
            let types = rest.strip_suffix(')')?;
            arguments = Some(if types == "*" { String::new() } else { types.to_owned() });
            name.to_owned()
        }
        _ if OF_TABLES.contains(&kind) => name.replacen(' ', ".", 1),
        _ if kind.is_empty() || kind == "COMMENT" => return None,
        _ => name.to_owned(),
    };
    let path = if matches!(schema, "" | "-") { name } else { format!("{schema}.{name}") };
    Some(SchemaName { kind: kind.to_owned(), path, arguments })
}

/// Options of columns that no server accepts are a source's bookkeeping, which programs of another release dump as if
/// they had been set.
fn without_bookkeeping<'a>(kind: &str, sql: &'a str) -> Cow<'a, str> {
    if !(kind.ends_with("TABLE") || kind.ends_with("VIEW")) || !sql.contains(SET_OPTIONS) {
        return sql.into();
    }
    sql.lines().filter_map(settable).collect::<Vec<_>>().join("\n").into()
}

const SET_OPTIONS: &str = " SET (";

/// The line with only the options that can be set; none if there are no such.
fn settable(line: &str) -> Option<Cow<'_, str>> {
    let options = line.strip_prefix("ALTER ").filter(|rest| rest.contains(" ALTER COLUMN "));
    let options = options.and_then(|rest| rest.strip_suffix(");")?.rsplit_once(SET_OPTIONS));
    let Some((_, options)) = options else { return Some(line.into()) };
    let is_known = |option: &&str| COLUMN_OPTIONS.contains(&option.split('=').next().unwrap_or_default());
    let known: Vec<_> = options.split(", ").filter(is_known).collect();
    let known = known.join(", ");
    match known.as_str() {
        "" => None,
        same if same == options => Some(line.into()),
        fewer => Some(line.replace(&format!("{SET_OPTIONS}{options});"), &format!("{SET_OPTIONS}{fewer});")).into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const CONTENTS: &str = ";\n; Archive created at 2026-11-30\n;\n\
        3186; 1259 16397 TABLE public t owner\n3187; 1259 16399 FUNCTION public f() owner\n\
        3190; 0 0 COMMENT - EXTENSION hstore \n3188; 1259 16400 TABLE s u owner\n";
    const SCRIPT: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n-- Dumped from\n\nSET x = 0;\n\
        SELECT pg_catalog.set_config('search_path', '', false);\n\nSET default_table_access_method = heap;\n\n\
        --\n-- TOC entry 3186 (class 1259 OID 16397)\n-- Name: t; Type: TABLE; Schema: public; Owner: -\n--\n\n\
        CREATE TABLE public.t (\n    a integer\n);\nALTER TABLE ONLY public.t ALTER COLUMN a SET (pg_attver=2);\n\
        ALTER TABLE ONLY public.t ALTER COLUMN b SET (pg_attver=2, n_distinct=5);\n\n\n\
        --\n-- TOC entry 3187 (class 1259 OID 16399)\n-- Dependencies: 1\n-- Name: f(); Type: FUNCTION; Schema: public; Owner: -\n--\n\n\
        CREATE FUNCTION public.f() AS '\n--\n-- TOC entry 9 (class 1 OID 2)\n-- Name: x\n--\nALTER COLUMN a SET (pg_attver=2);\n';\n\n\n\
        SET default_table_access_method = other;\n\n\
        --\n-- TOC entry 3188 (class 1259 OID 16400)\n-- Name: u; Type: TABLE; Schema: s; Owner: -\n--\n\n\
        CREATE TABLE s.u (\n);\n\n\n-- Completed on 2026\n\n\
        --\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n";

    #[test]
    fn a_script_falls_into_its_entries() {
        let script = parse(CONTENTS, SCRIPT);
        assert_eq!(script.settings, ["SET x = 0;", "SELECT pg_catalog.set_config('search_path', '', false);"]);
        let found: Vec<_> = script
            .entries
            .iter()
            .map(|entry| (entry.kind.as_str(), entry.title.as_str(), entry.before.as_str()))
            .collect();
        let method = |name| format!("{ACCESS_METHOD}{name};");
        let expected = [
            ("TABLE", "TABLE t owner", method("heap")),
            ("FUNCTION", "FUNCTION f() owner", String::new()),
            ("TABLE", "TABLE u owner", method("other")),
        ];
        assert_eq!(found, expected.each_ref().map(|(kind, title, before)| (*kind, *title, before.as_str())));
        assert!(script.entries[1].sql.contains("-- TOC entry 9 (") && script.entries[1].sql.contains("pg_attver"));
        assert!(script.entries[2].sql.trim_start().starts_with("CREATE TABLE s.u"));
    }

    #[test]
    fn a_function_can_be_made_without_its_promise() {
        let of = |attributes: &str| {
            format!(
                "\nCREATE FUNCTION s.f() RETURNS integer\n    LANGUAGE sql{attributes}\n    AS 'select 1 LEAKPROOF';"
            )
        };
        assert_eq!(without_promise(&of(" STABLE LEAKPROOF COST 7")), Some(of(" STABLE COST 7")));
        assert_eq!(without_promise(&of(" STABLE")), None);
        assert_eq!(without_promise("CREATE VIEW v AS SELECT 'x\n    LANGUAGE LEAKPROOF\n'"), None);
    }

    #[test]
    fn what_a_server_noted_among_a_columns_options_is_left_out() {
        let table = &parse(CONTENTS, SCRIPT).entries[0].sql;
        assert_eq!(
            table.trim_start(),
            "CREATE TABLE public.t (\n    a integer\n);\nALTER TABLE ONLY public.t ALTER COLUMN b SET (n_distinct=5);"
        );
    }
}
