//! Tables, views, sequences and their parts: columns, indexes, constraints, triggers, rules, policies.
//!
//! What only newer servers have is read through `to_jsonb`, which lacks it on older ones.

use super::{
    class::Class,
    user_objects::{USERS, is_column_option, is_relation_option, not_of_extension, own},
};

const NAME: &str = "n.nspname || '.' || c.relname";

pub(super) fn classes() -> Vec<Class> {
    let of_relations = format!(
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND {USERS} AND {}",
        not_of_extension("pg_class", "c.oid")
    );
    let on = |oid: &str| format!("JOIN pg_catalog.pg_class c ON c.oid = {oid} {of_relations}");
    let mut classes = vec![
        ("schema", schema()),
        ("relation", relation(&of_relations)),
        ("column", column(&on("a.attrelid"))),
        ("column storage", column_storage(&on("a.attrelid"))),
        ("index", index(&on("i.indrelid"))),
        ("constraint", constraint(&on("o.conrelid"))),
        ("derived constraint", derived_constraint(&on("o.conrelid"))),
        ("system trigger", system_triggers()),
        ("view", view(&of_relations)),
        ("sequence", sequence(&on("s.seqrelid"))),
        ("foreign table", foreign_table(&on("f.ftrelid"))),
    ];
    classes.extend(attached(on));
    classes
}

/// Triggers, rules and policies.
fn attached(on: impl Fn(&str) -> String) -> Vec<Class> {
    vec![
        (
            "trigger",
            format!(
                "SELECT {NAME} || '.' || o.tgname, pg_catalog.pg_get_triggerdef(o.oid) || ' ' || o.tgenabled::text \
                 FROM pg_catalog.pg_trigger o {} AND NOT o.tgisinternal",
                on("o.tgrelid")
            ),
        ),
        (
            "rule",
            format!(
                "SELECT {NAME} || '.' || o.rulename, pg_catalog.pg_get_ruledef(o.oid) || ' ' || o.ev_enabled::text \
                 FROM pg_catalog.pg_rewrite o {} AND o.rulename <> '_RETURN'",
                on("o.ev_class")
            ),
        ),
        (
            "policy",
            format!(
                "SELECT {NAME} || '.' || o.polname, concat_ws(' ', o.polcmd, o.polpermissive, \
                 pg_catalog.pg_get_expr(o.polqual, o.polrelid), pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid)) \
                 FROM pg_catalog.pg_policy o {}",
                on("o.polrelid")
            ),
        ),
        (
            "statistics",
            format!(
                "SELECT n.nspname || '.' || o.stxname, pg_catalog.pg_get_statisticsobjdef(o.oid) || ' ' || \
                 coalesce(nullif(pg_catalog.to_jsonb(o) ->> 'stxstattarget', '-1'), '') \
                 FROM pg_catalog.pg_statistic_ext o {}",
                own("pg_statistic_ext", "stxnamespace")
            ),
        ),
    ]
}

fn schema() -> String {
    format!(
        "SELECT n.nspname::text, '' FROM pg_catalog.pg_namespace n WHERE {USERS} AND {}",
        not_of_extension("pg_namespace", "n.oid")
    )
}

/// The parents of a partition have no order; those of an inheriting table do.
fn relation(of_relations: &str) -> String {
    format!(
        "SELECT {NAME}, concat_ws(' ', c.relkind, c.relpersistence, pg_catalog.pg_get_partkeydef(c.oid), \
         pg_catalog.pg_get_expr(c.relpartbound, c.oid), c.relrowsecurity, c.relforcerowsecurity, \
         CASE WHEN c.relkind IN ('r', 'p') THEN c.relreplident END, \
         CASE WHEN c.relkind IN ('r', 'm') THEN (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid = c.relam) END, \
         CASE WHEN c.reloftype <> 0 THEN c.reloftype::pg_catalog.regtype::text END, \
         CASE WHEN c.relkind = 'm' THEN c.relispopulated END, \
         (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM unnest(c.reloptions) x (option) WHERE {own_option}), \
         (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM pg_catalog.pg_class t, \
         unnest(t.reloptions) x (option) WHERE t.oid = c.reltoastrelid AND {own_option}), \
         (SELECT string_agg(i.inhparent::pg_catalog.regclass::text, ',' ORDER BY i.inhseqno) \
         FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)) \
         FROM pg_catalog.pg_class c {of_relations} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')",
        own_option = is_relation_option("x.option")
    )
}

fn column(on_relation: &str) -> String {
    format!(
        "SELECT {NAME} || '.' || a.attname, concat_ws(' ', \
         row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), \
         pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, \
         CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END, \
         pg_catalog.pg_get_expr(d.adbin, d.adrelid)) FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum {on_relation} \
         AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')"
    )
}

/// Storage, compression, statistics target and options, where they are not the default.
fn column_storage(on_relation: &str) -> String {
    format!(
        "SELECT {NAME} || '.' || a.attname, concat_ws(' ', a.attstorage, \
         coalesce(pg_catalog.to_jsonb(a) ->> 'attcompression', ''), \
         nullif(pg_catalog.to_jsonb(a) ->> 'attstattarget', '-1'), \
         (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM unnest(a.attoptions) x (option) WHERE {}), \
         (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM unnest(a.attfdwoptions) x (option))) \
         FROM pg_catalog.pg_attribute a {on_relation} \
         AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'f')",
        is_column_option("x.option")
    )
}

/// With the statistics targets of an index's expressions.
fn index(on_relation: &str) -> String {
    format!(
        "SELECT n.nspname || '.' || x.relname, concat_ws(' ', pg_catalog.pg_get_indexdef(i.indexrelid), 'valid', \
         i.indisvalid, CASE WHEN i.indisclustered THEN 'clustered' END, \
         CASE WHEN i.indisreplident THEN 'replica identity' END, \
         (SELECT string_agg(a.attnum || ':' || (pg_catalog.to_jsonb(a) ->> 'attstattarget'), ',' ORDER BY a.attnum) \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.oid \
         AND nullif(pg_catalog.to_jsonb(a) ->> 'attstattarget', '-1') IS NOT NULL), \
         (SELECT h.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.oid)) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid {on_relation}"
    )
}

fn constraint(on_relation: &str) -> String {
    format!(
        "SELECT {NAME} || '.' || o.conname, pg_catalog.pg_get_constraintdef(o.oid) || ' valid ' || o.convalidated \
         FROM pg_catalog.pg_constraint o {on_relation} AND o.contype <> 'n'"
    )
}

/// Parts of a foreign key to or from a partitioned table: the server creates and names them, each version in its
/// own way. Only their location is read.
fn derived_constraint(on_relation: &str) -> String {
    format!(
        "SELECT {NAME} || '.' || o.conname, {NAME} FROM pg_catalog.pg_constraint o {on_relation} \
         AND o.contype = 'f' AND o.conparentid <> 0"
    )
}

/// Constraints with triggers that do not fire as created, with the state of each: `DISABLE TRIGGER ALL` leaves that
/// behind, and no dump contains it.
pub fn system_triggers() -> String {
    format!(
        "SELECT s.title, string_agg(s.enabled, '' ORDER BY s.kind, s.function) FROM ({}) s GROUP BY 1 \
         HAVING bool_or(s.enabled <> 'O')",
        each_system_trigger()
    )
}

/// Every trigger that the server created for a constraint: `title` (the constraint and the table of the trigger, because
/// the names of triggers are numbers), `enabled`, `relation` and `name`, in the order of `kind` and `function`.
pub fn each_system_trigger() -> String {
    let of_users = format!(
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND {USERS} AND {}",
        not_of_extension("pg_class", "c.oid")
    );
    format!(
        "SELECT {NAME} || ' ' || pg_catalog.pg_get_constraintdef(o.oid) || ' on ' \
         || concat(t.tgrelid::pg_catalog.regclass) AS title, t.tgenabled::text AS enabled, \
         concat(t.tgrelid::pg_catalog.regclass) AS relation, t.tgname::text AS name, t.tgtype AS kind, \
         concat(t.tgfoid::pg_catalog.regproc) AS function FROM pg_catalog.pg_trigger t \
         JOIN pg_catalog.pg_constraint o ON o.oid = t.tgconstraint AND t.tgisinternal \
         JOIN pg_catalog.pg_class c ON c.oid = o.conrelid {of_users}"
    )
}

fn view(of_relations: &str) -> String {
    format!(
        "SELECT {NAME}, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c {of_relations} \
         AND c.relkind IN ('v', 'm')"
    )
}

/// With the column that owns a sequence.
fn sequence(on_relation: &str) -> String {
    format!(
        "SELECT {NAME}, concat_ws(' ', pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, \
         s.seqmin, s.seqmax, s.seqcache, s.seqcycle, \
         (SELECT k.deptype::text || ' ' || k.refobjid::pg_catalog.regclass::text || '.' || a.attname \
         FROM pg_catalog.pg_depend k \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = k.refobjid AND a.attnum = k.refobjsubid \
         WHERE k.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND k.objid = c.oid \
         AND k.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND k.deptype IN ('a', 'i') LIMIT 1)) \
         FROM pg_catalog.pg_sequence s {on_relation}"
    )
}

fn foreign_table(on_relation: &str) -> String {
    format!(
        "SELECT {NAME}, concat_ws(' ', v.srvname, \
         (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM unnest(f.ftoptions) x (option))) FROM pg_catalog.pg_foreign_table f \
         JOIN pg_catalog.pg_foreign_server v ON v.oid = f.ftserver {on_relation}"
    )
}
