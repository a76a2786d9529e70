//! Definitions that the server considers dangerous: operator classes and families, parsers and templates of text
//! search, access methods, foreign-data wrappers, transforms, casts, shells of types, support functions.
//!
//! The statement is the archive's own, and single: its first keywords decide its kind, and none of these kinds runs
//! code. What it created is checked in the same transaction, and rolled back if it combines parts that were not written for
//! each other: a function that takes a value of one type for another's reads, and writes, this machine's memory. A wrapper's
//! validator would run, so its statement is put together here. Nothing is let through, either, that changes what a statement
//! means which speaks of the server's own types and operators alone: the statements of `elevated` do, and would run the
//! source's code with their rights. For the same reason they make text by `concat`, which calls no cast. Source: PostgreSQL's
//! `opclasscmds.c`, `foreigncmds.c`, `functioncmds.c`, which ask for a superuser; `make_row_comparison_op` of `parse_expr.c`,
//! which takes an operator for what any family says that it is.

use postgres::Transaction;

use super::SuperuserSession;
use crate::{
    pg::{
        PgError,
        catalog::special::{SuperuserObjects, Support, Wrapper},
        error::{connection_lost, reason},
        name::{literal, quoted},
        sqlstate::INSUFFICIENT_PRIVILEGE,
        wire::WireError,
    },
    restore::{
        refused::{RefusedStatement, SchemaName, unsafe_to_make},
        script::{Entry, Second},
    },
};

/// Creates what the restricted owner is refused, as the cluster's superuser.
pub struct Definitions<'a> {
    elevated: SuperuserSession,
    special: &'a SuperuserObjects,
}

/// A kind of statement.
struct Kind {
    /// Its name in the archive.
    entry: &'static str,
    /// The beginning of its statements.
    begins: &'static [&'static str],
    /// The query for what makes it dangerous, one reason a row; `NEW(o)` selects rows that the statement created.
    dangers: &'static str,
    /// The created objects that have an owner.
    owned: Option<&'static str>,
}

const OPERATORS: &[&str] = &["CREATE OPERATOR CLASS ", "CREATE OPERATOR FAMILY ", "ALTER OPERATOR FAMILY "];
/// B-trees and hashes pass values to functions by their types, if the functions are declared for them. Other access
/// methods pass pointers of their own, so a class of theirs has to equal an existing one, with all that its
/// family holds, which a dump puts there before.
const OPERATORS_DANGERS: &str = "\
    SELECT 'it belongs to a family that came with the server' FROM pg_catalog.pg_opclass o \
    WHERE NEW(o) AND o.opcfamily < 16384 \
    UNION ALL SELECT 'it is the default of a type that came with the server' FROM pg_catalog.pg_opclass o \
    WHERE NEW(o) AND o.opcdefault AND o.opcintype < 16384 \
    UNION ALL SELECT concat('operator ', p.oid::pg_catalog.regoperator, ' is none of its types') FROM pg_catalog.pg_amop o \
    JOIN pg_catalog.pg_operator p ON p.oid = o.amopopr \
    WHERE NEW(o) AND (o.amopfamily < 16384 OR o.amoplefttype <> p.oprleft OR o.amoprighttype <> p.oprright) \
    UNION ALL SELECT concat('operator ', o.amopopr::oid::pg_catalog.regoperator, ', which came with the server, has another place in \
    it than in the server''s own') FROM pg_catalog.pg_amop o WHERE NEW(o) AND o.amopmethod IN (403, 405) \
    AND o.amopopr < 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_amop k WHERE k.amopfamily < 16384 \
    AND k.amopmethod = o.amopmethod AND k.amopopr = o.amopopr AND k.amoppurpose = o.amoppurpose \
    AND k.amopstrategy = o.amopstrategy) \
    UNION ALL SELECT concat('operator ', a.amopopr::oid::pg_catalog.regoperator, ', which came with the server, would run ', \
    p.amproc::oid::pg_catalog.regprocedure) FROM pg_catalog.pg_amop a JOIN pg_catalog.pg_amproc p \
    ON p.amprocfamily = a.amopfamily AND p.amproclefttype IN (a.amoplefttype, a.amoprighttype) \
    WHERE (NEW(a) OR NEW(p)) AND a.amopmethod IN (403, 405) AND a.amopopr < 16384 AND p.amproc::oid >= 16384 \
    UNION ALL SELECT concat('function ', p.oid::pg_catalog.regprocedure, ' was not written for its types') \
    FROM pg_catalog.pg_amproc o JOIN pg_catalog.pg_opfamily f ON f.oid = o.amprocfamily \
    JOIN pg_catalog.pg_proc p ON p.oid = o.amproc::oid \
    WHERE NEW(o) AND (f.oid < 16384 OR f.opfmethod IN (403, 405) AND concat(p.proargtypes) <> \
    CASE f.opfmethod::int8 * 10 + o.amprocnum WHEN 4031 THEN concat_ws(' ', o.amproclefttype, o.amprocrighttype) \
    WHEN 4033 THEN concat_ws(' ', o.amproclefttype, o.amproclefttype, o.amprocrighttype, 16, 16) WHEN 4034 THEN '26' \
    WHEN 4051 THEN concat(o.amproclefttype) WHEN 4052 THEN concat_ws(' ', o.amproclefttype, 20) ELSE '' END \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_amproc k JOIN pg_catalog.pg_opfamily kf ON kf.oid = k.amprocfamily \
    WHERE NOT NEW(k) AND kf.opfmethod = f.opfmethod AND k.amproc::oid = o.amproc::oid AND k.amprocnum = o.amprocnum \
    AND k.amproclefttype = o.amproclefttype AND k.amprocrighttype = o.amprocrighttype)) \
    UNION ALL SELECT 'no other class of access method ' || m.amname || ' has the same functions and operators' \
    FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod \
    WHERE NEW(o) AND m.oid NOT IN (403, 405) AND NOT EXISTS (SELECT FROM pg_catalog.pg_opclass k WHERE NOT NEW(k) \
    AND k.opcmethod = o.opcmethod AND k.opcintype = o.opcintype AND k.opckeytype = o.opckeytype \
    AND (SELECT string_agg(concat(p.amprocnum, ' ', p.amproc::oid), ',' ORDER BY p.amprocnum) FROM pg_catalog.pg_amproc p \
    WHERE p.amprocfamily = k.opcfamily AND p.amproclefttype = k.opcintype AND p.amprocrighttype = k.opcintype) \
    = (SELECT string_agg(concat(p.amprocnum, ' ', p.amproc::oid), ',' ORDER BY p.amprocnum) FROM pg_catalog.pg_amproc p \
    WHERE p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype) \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_amop n WHERE n.amopfamily = o.opcfamily \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_amop a WHERE a.amopfamily = k.opcfamily \
    AND a.amopstrategy = n.amopstrategy AND a.amoppurpose = n.amoppurpose \
    AND a.amoplefttype = n.amoplefttype AND a.amoprighttype = n.amoprighttype))) \
    UNION ALL SELECT 'it adds to a class of access method ' || m.amname FROM pg_catalog.pg_opfamily f \
    JOIN pg_catalog.pg_am m ON m.oid = f.opfmethod AND m.oid NOT IN (403, 405) \
    WHERE EXISTS (SELECT FROM pg_catalog.pg_opclass o WHERE NOT NEW(o) AND o.opcfamily = f.oid) \
    AND (EXISTS (SELECT FROM pg_catalog.pg_amop o WHERE NEW(o) AND o.amopfamily = f.oid) \
    OR EXISTS (SELECT FROM pg_catalog.pg_amproc o WHERE NEW(o) AND o.amprocfamily = f.oid))";
const OPERATORS_OWNED: &str = "\
    SELECT i.type, i.identity FROM (SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass::oid AS class, o.oid \
    FROM pg_catalog.pg_opclass o WHERE NEW(o) UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass::oid, o.oid \
    FROM pg_catalog.pg_opfamily o WHERE NEW(o)) s, LATERAL pg_catalog.pg_identify_object(s.class, s.oid, 0) i";

const KINDS: [Kind; 8] = [
    Kind { entry: "OPERATOR CLASS", begins: OPERATORS, dangers: OPERATORS_DANGERS, owned: Some(OPERATORS_OWNED) },
    Kind { entry: "OPERATOR FAMILY", begins: OPERATORS, dangers: OPERATORS_DANGERS, owned: Some(OPERATORS_OWNED) },
    Kind {
        entry: "TEXT SEARCH PARSER",
        begins: &["CREATE TEXT SEARCH PARSER "],
        dangers: "SELECT 'no other parser has the same functions' FROM pg_catalog.pg_ts_parser o WHERE NEW(o) \
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_ts_parser k WHERE NOT NEW(k) AND (k.prsstart::oid, \
                  k.prstoken::oid, k.prsend::oid, k.prsheadline::oid, k.prslextype::oid) = (o.prsstart::oid, \
                  o.prstoken::oid, o.prsend::oid, o.prsheadline::oid, o.prslextype::oid))",
        owned: None,
    },
    Kind {
        entry: "TEXT SEARCH TEMPLATE",
        begins: &["CREATE TEXT SEARCH TEMPLATE "],
        dangers: "SELECT 'no other template has the same functions' FROM pg_catalog.pg_ts_template o WHERE NEW(o) \
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_ts_template k WHERE NOT NEW(k) \
                  AND (k.tmplinit::oid, k.tmpllexize::oid) = (o.tmplinit::oid, o.tmpllexize::oid))",
        owned: None,
    },
    Kind {
        entry: "ACCESS METHOD",
        begins: &["CREATE ACCESS METHOD "],
        dangers: "SELECT 'no other access method has the same handler' FROM pg_catalog.pg_am o WHERE NEW(o) \
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_am k WHERE NOT NEW(k) AND k.amtype = o.amtype \
                  AND k.amhandler::oid = o.amhandler::oid)",
        owned: None,
    },
    Kind {
        entry: "TRANSFORM",
        begins: &["CREATE TRANSFORM "],
        // These languages do not support transforms, and so call none.
        dangers: "SELECT 'its language calls functions that may not be written for the type' FROM pg_catalog.pg_transform o \
                  JOIN pg_catalog.pg_language l ON l.oid = o.trflang AND l.lanname NOT IN ('sql', 'plpgsql') WHERE NEW(o)",
        owned: None,
    },
    Kind {
        entry: "CAST",
        begins: &["CREATE CAST ("],
        // Three types of text are stored alike. Numbers are quoted, because the new cast is there already: so they are of
        // the type that they are compared with, and nothing is cast.
        dangers: "SELECT 'it takes the bytes of one type for those of another' FROM pg_catalog.pg_cast o \
                  WHERE NEW(o) AND o.castmethod = 'b' AND NOT (o.castsource IN ('25', '1042', '1043') \
                  AND o.casttarget IN ('25', '1042', '1043')) \
                  UNION ALL SELECT 'it calls a function of the database in statements that do not name it' \
                  FROM pg_catalog.pg_cast o WHERE NEW(o) AND o.castmethod = 'f' AND o.castcontext = 'i' \
                  AND o.castfunc >= '16384' \
                  UNION ALL SELECT 'it is between two types that came with the server, so statements of others would call \
                  its function' FROM pg_catalog.pg_cast o WHERE NEW(o) AND o.castmethod = 'f' \
                  AND o.castsource < '16384' AND o.casttarget < '16384'",
        owned: None,
    },
    Kind {
        entry: "TYPE",
        begins: &["CREATE TYPE "],
        dangers: "SELECT 'it is more than a shell' FROM pg_catalog.pg_type o WHERE NEW(o) AND o.typisdefined",
        owned: None,
    },
];
/// Comments on such objects, which only superusers own.
const COMMENTS: [&str; 6] =
    ["ACCESS METHOD", "CAST", "FOREIGN DATA WRAPPER", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "TRANSFORM"];

impl<'a> Definitions<'a> {
    /// With the source's objects of these kinds.
    pub fn new(elevated: SuperuserSession, special: &'a SuperuserObjects) -> Self {
        Definitions { elevated, special }
    }

    /// Creates the object of an entry, if the owner may not and it is not dangerous.
    pub(in crate::restore) fn second(&mut self, entry: &Entry, error: &WireError) -> Result<Second, PgError> {
        if error.code() != Some(INSUFFICIENT_PRIVILEGE) {
            return Ok(Second::Left);
        }
        match (entry.kind.as_str(), &entry.named) {
            ("COMMENT", _) => self.comment(entry),
            ("FOREIGN DATA WRAPPER", Some(SchemaName { path, .. })) => {
                let special = self.special;
                match special.wrappers.iter().find(|wrapper| wrapper.name == *path) {
                    Some(wrapper) => self.wrapper(wrapper),
                    None => Ok(Second::Left),
                }
            }
            // A type that is more than a shell.
            ("TYPE", Some(SchemaName { path, .. })) if !self.special.shells.contains(path) => Ok(Second::Left),
            (kind, _) => match KINDS.iter().find(|one| one.entry == kind) {
                Some(kind) => self.define(kind, entry),
                None => Ok(Second::Left),
            },
        }
    }

    fn define(&mut self, kind: &Kind, entry: &Entry) -> Result<Second, PgError> {
        let owner = quoted(&self.elevated.owner);
        let mut transaction = self.elevated.client.transaction().map_err(failed)?;
        for statement in entry.sql.split(";\n").map(|part| part.trim().trim_end_matches(';')) {
            if statement.is_empty() {
                continue;
            }
            if !kind.begins.iter().any(|begin| statement.starts_with(begin)) {
                return Ok(Second::Refused(unsafe_to_make("its statement is of another kind")));
            }
            // One statement and no more: the text comes from the source.
            match transaction.execute(statement, &[]) {
                Ok(_) => {}
                Err(error) if connection_lost(&error) => return Err(failed(error)),
                Err(error) => return Ok(Second::Refused(reason(&error))),
            }
        }
        let dangers = rows(&mut transaction, kind.dangers)?;
        if let Some(danger) = dangers.first().and_then(|row| row.first()) {
            return Ok(Second::Refused(unsafe_to_make(danger)));
        }
        for made in kind.owned.map_or(Ok(Vec::new()), |sql| rows(&mut transaction, sql))? {
            let object = [made[0].to_uppercase(), made[1].clone()].join(" ");
            transaction.batch_execute(&format!("ALTER {object} OWNER TO {owner}")).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(Second::Made)
    }

    fn comment(&mut self, entry: &Entry) -> Result<Second, PgError> {
        let statement = entry.sql.trim().trim_end_matches(';');
        let about = statement.strip_prefix("COMMENT ON ").unwrap_or_default();
        if !COMMENTS.iter().any(|kind| about.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' '))) {
            return Ok(Second::Left);
        }
        // One statement and no more: the text comes from the source.
        match self.elevated.client.execute(statement, &[]) {
            Ok(_) => Ok(Second::Made),
            Err(error) if connection_lost(&error) => Err(failed(error)),
            Err(error) => Ok(Second::Refused(reason(&error))),
        }
    }

    /// A handler reads and writes what its validator lets users name, so both must be combined in another wrapper.
    fn wrapper(&mut self, wrapper: &Wrapper) -> Result<Second, PgError> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper k WHERE k.fdwhandler <> 0 \
                   AND k.fdwhandler = h.oid AND k.fdwvalidator = coalesce(v.oid, 0)), v.oid IS NOT NULL \
                   FROM (SELECT) s \
                   LEFT JOIN (SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                   WHERE n.nspname = $1::text AND p.proname = $2::text AND concat(p.proargtypes) = '') h ON true \
                   LEFT JOIN (SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                   WHERE n.nspname = $3::text AND p.proname = $4::text AND concat(p.proargtypes) = '1009 26' \
                   AND p.prolang IN (12, 13)) v ON true";
        let part = |function: &Option<(String, String)>| function.clone().unzip();
        let (handler_schema, handler) = part(&wrapper.handler);
        let (validator_schema, validator) = part(&wrapper.validator);
        let found = self.elevated.client.query_one(sql, &[&handler_schema, &handler, &validator_schema, &validator]);
        let found = found.map_err(failed)?;
        let is_twin: bool = found.try_get(0).map_err(failed)?;
        let is_of_machine: bool = found.try_get(1).map_err(failed)?;
        if wrapper.handler.is_some() && !is_twin {
            return Ok(Second::Refused(unsafe_to_make("no other wrapper here has the same handler and validator")));
        }
        if wrapper.validator.is_some() && !is_of_machine {
            return Ok(Second::Refused(unsafe_to_make("its validator is code of the database, or is not here")));
        }
        let function = |word: &str, function: &Option<(String, String)>| match function {
            Some((schema, name)) => format!(" {word} {}.{}", quoted(schema), quoted(name)),
            None => String::new(),
        };
        let options: Vec<_> =
            wrapper.options.iter().map(|(name, value)| format!("{} {}", quoted(name), literal(value))).collect();
        let options = if options.is_empty() { String::new() } else { format!(" OPTIONS ({})", options.join(", ")) };
        let name = quoted(&wrapper.name);
        let owner = quoted(&self.elevated.owner);
        let sql = format!(
            "CREATE FOREIGN DATA WRAPPER {name}{}{}{options}; GRANT USAGE ON FOREIGN DATA WRAPPER {name} TO {owner}",
            function("HANDLER", &wrapper.handler),
            function("VALIDATOR", &wrapper.validator)
        );
        Ok(self.elevated.refused(&sql)?.map_or(Second::Made, Second::Refused))
    }
}

impl SuperuserSession {
    /// Gives functions the support functions that they were restored without, see `restore::script`, where another function
    /// of the same arguments and result has the same one. Returns those that are left without.
    pub fn supports(&mut self, special: &SuperuserObjects) -> Result<Vec<RefusedStatement>, PgError> {
        let sql = "SELECT concat(p.oid::pg_catalog.regprocedure), nullif(concat(s.oid::pg_catalog.regproc), ''), \
                   EXISTS (SELECT FROM pg_catalog.pg_proc k WHERE k.prosupport = s.oid AND k.prokind = p.prokind \
                   AND k.proargtypes = p.proargtypes AND k.prorettype = p.prorettype AND k.proretset = p.proretset) \
                   FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                   LEFT JOIN (SELECT f.oid FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace fn \
                   ON fn.oid = f.pronamespace WHERE fn.nspname = $4::text AND f.proname = $5::text \
                   AND f.prolang IN (12, 13)) s ON true \
                   WHERE n.nspname = $1::text AND p.proname = $2::text \
                   AND pg_catalog.pg_get_function_identity_arguments(p.oid) = $3 AND p.prosupport = 0";
        let mut refused = Vec::new();
        for Support { routine, schema, name } in &special.supports {
            let about = &routine.arguments;
            let found =
                self.client.query(sql, &[&routine.schema, &routine.name, about, schema, name]).map_err(failed)?;
            for row in found {
                let function: String = row.try_get(0).map_err(failed)?;
                let support: Option<String> = row.try_get(1).map_err(failed)?;
                let is_safe: bool = row.try_get(2).map_err(failed)?;
                let reason = match support.filter(|_| is_safe) {
                    Some(support) => self.refused(&format!("ALTER ROUTINE {function} SUPPORT {support}"))?,
                    None => Some(unsafe_to_make("no other function of the same arguments and result has it")),
                };
                let path = format!("{}.{}", routine.schema, routine.name);
                let arguments = function.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
                let arguments = arguments.map(str::to_owned);
                let named = Some(SchemaName { kind: "FUNCTION".to_owned(), path, arguments });
                let object = format!("support function {schema}.{name} of {function}");
                refused.extend(reason.map(|reason| RefusedStatement { object, reason, named }));
            }
        }
        Ok(refused)
    }
}

/// All columns as text.
fn rows(transaction: &mut Transaction<'_>, sql: &str) -> Result<Vec<Vec<String>>, PgError> {
    let mut parts = sql.split("NEW(");
    let mut asked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (row, rest) = part.split_once(')').unwrap_or((part, ""));
        asked.push_str(&format!("({row}.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid){rest}"));
    }
    let found = transaction.query(&asked, &[]).map_err(failed)?;
    found.iter().map(|row| (0..row.len()).map(|at| row.try_get(at).map_err(failed)).collect()).collect()
}

fn failed(error: postgres::Error) -> PgError {
    PgError::statement("making what needs a superuser", &error)
}
