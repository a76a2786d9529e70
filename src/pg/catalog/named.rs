//! What is neither copied nor compared, each by name: what belongs to the server, what a superuser must own, and what
//! holds secrets.

use postgres::GenericClient;

use super::{
    rights::{is_predefined, is_providers},
    user_objects::{FIRST_OWN, USERS, is_column_option, is_relation_option, without_schema},
};

/// All of it.
pub(super) fn named(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = [SECRETS.to_owned(), of_database(), owners(), bookkeeping(), changed()].join(" UNION ALL ");
    let mut named: Vec<String> =
        client.query(&format!("{sql} ORDER BY 1"), &[])?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    named.extend(rights(client, Change::Granted, &rights_beside("acl", "initial"))?);
    named.extend(rights(client, Change::Revoked, &rights_beside("initial", "acl"))?);
    let sql = "SELECT pg_catalog.to_regclass('pg_catalog.pg_parameter_acl') IS NOT NULL";
    // From version 15 on.
    if client.query_one(sql, &[])?.try_get(0)? {
        named.extend(rights(client, Change::Granted, GRANTS_ON_PARAMETERS)?);
    }
    Ok(named)
}

/// Names only: connections and passwords are not read. A mapping whose options the login may see is copied with them; for
/// one whose options are hidden, only a superuser can tell whether it has any.
const SECRETS: &str = "SELECT 'subscription ' || s.subname FROM pg_catalog.pg_subscription s WHERE s.subdbid = \
    (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
    UNION ALL SELECT 'password of the mapping of ' || m.usename || ' on the foreign server ' || m.srvname \
    FROM pg_catalog.pg_user_mappings m WHERE m.umoptions IS NULL \
    AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)";

/// The restored database has the mark of its run as its comment, and a limit would hinder its verification.
fn of_database() -> String {
    let this = "FROM pg_catalog.pg_database d WHERE d.datname = current_database()";
    format!(
        "SELECT 'connection limit ' || d.datconnlimit || ' of the database, which stands in schema.dump' {this} \
         AND d.datconnlimit >= 0 \
         UNION ALL SELECT 'that the database is a template' {this} AND d.datistemplate \
         UNION ALL SELECT 'comment on the database, which stands in schema.dump' {this} \
         AND pg_catalog.shobj_description(d.oid, 'pg_database') IS NOT NULL"
    )
}

/// Only a superuser may own these, and their creator on the target does; the same holds for members of extensions.
fn owners() -> String {
    let owner = |role: &str| format!("SELECT 'owner ' || pg_catalog.pg_get_userbyid(o.{role})");
    // The role that ran CREATE EXTENSION owns what it creates, or the server's first superuser does.
    let member = |catalog: &str, role: &str| {
        format!(
            "{} || ' of ' || i.type || ' ' || i.identity || ', which belongs to extension ' || x.extname \
             FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_depend e ON e.objid = o.oid AND e.deptype = 'e' \
             AND e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
             JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid AND o.{role} NOT IN (x.extowner, 10), \
             LATERAL pg_catalog.pg_identify_object(e.classid, e.objid, 0) i",
            owner(role)
        )
    };
    let members = [member("pg_proc", "proowner"), member("pg_class", "relowner"), member("pg_namespace", "nspowner")];
    let members = members.join(" UNION ALL ");
    format!(
        "{} || ' of extension ' || o.extname FROM pg_catalog.pg_extension o WHERE o.extowner <> 10 \
         UNION ALL {} || ' of foreign-data wrapper ' || o.fdwname FROM pg_catalog.pg_foreign_data_wrapper o \
         WHERE o.fdwowner <> 10 AND {} \
         UNION ALL {} || ' of event trigger ' || o.evtname FROM pg_catalog.pg_event_trigger o WHERE {} \
         UNION ALL {} || ' of publication ' || o.pubname FROM pg_catalog.pg_publication o \
         WHERE o.puballtables AND {} UNION ALL {members}",
        owner("extowner"),
        owner("fdwowner"),
        without_schema("pg_foreign_data_wrapper"),
        owner("evtowner"),
        without_schema("pg_event_trigger"),
        owner("pubowner"),
        without_schema("pg_publication")
    )
}

/// Built-in objects that were changed since: rows of initdb are older than the databases that it creates last. Where
/// a right was granted or revoked, that is named. After a transaction ID wraparound some are missed.
fn changed() -> String {
    let part = |catalog: &str, acl: &str| {
        let kept = match acl {
            "" => "true".to_owned(),
            acl => format!(
                "o.{acl} IS NOT DISTINCT FROM (SELECT b.initprivs FROM pg_catalog.pg_init_privs b \
                 WHERE b.classoid = o.tableoid AND b.objoid = o.oid AND b.objsubid = 0)"
            ),
        };
        format!(
            "SELECT o.tableoid AS class, o.oid AS object, '' AS what, o.xmin AS since FROM pg_catalog.{catalog} o \
             WHERE o.oid < {FIRST_OWN} AND {kept}"
        )
    };
    let mut parts: Vec<_> = [
        ("pg_proc", "proacl"),
        ("pg_type", "typacl"),
        ("pg_language", "lanacl"),
        ("pg_operator", ""),
        ("pg_opclass", ""),
        ("pg_opfamily", ""),
        ("pg_cast", ""),
        ("pg_conversion", ""),
        ("pg_am", ""),
        ("pg_ts_parser", ""),
        ("pg_ts_template", ""),
    ]
    .map(|(catalog, acl)| part(catalog, acl))
    .into();
    parts.push(format!(
        "SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, r.ev_class, '', r.xmin FROM pg_catalog.pg_rewrite r \
         WHERE r.ev_class < {FIRST_OWN}"
    ));
    // The comment on the schema public is copied.
    parts.push(format!(
        "SELECT d.classoid, d.objoid, 'comment on ', d.xmin FROM pg_catalog.pg_description d \
         WHERE d.objoid < {FIRST_OWN} AND d.objoid <> 'public'::pg_catalog.regnamespace \
         AND d.classoid <> 'pg_catalog.pg_largeobject'::pg_catalog.regclass"
    ));
    format!(
        "SELECT DISTINCT o.what || i.type || ' ' || i.identity || ', which came with the server and was changed since' \
         FROM ({}) o, LATERAL pg_catalog.pg_identify_object(o.class, o.object, 0) i WHERE i.identity IS NOT NULL \
         AND o.since::text::int8 > (SELECT min(d.xmin::text::int8) FROM pg_catalog.pg_database d \
         WHERE d.datname IN ('postgres', 'template0', 'template1') AND d.xmin::text::int8 > {FROZEN})",
        parts.join(" UNION ALL ")
    )
}

/// The last of the reserved transaction numbers (PostgreSQL sources, `FrozenTransactionId`).
const FROZEN: u32 = 2;

/// The server's own bookkeeping beside the options that users set.
fn bookkeeping() -> String {
    let of_users =
        format!("FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS}");
    let named = |of: &str| {
        format!(
            "SELECT DISTINCT 'option ' || split_part(x.option, '=', 1) || '{of}, which the server keeps for itself'"
        )
    };
    format!(
        "{} {of_users} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid, unnest(a.attoptions) x (option) \
         WHERE c.relkind NOT IN ('i', 'I') AND NOT ({}) \
         UNION ALL {} {of_users}, unnest(c.reloptions) x (option) WHERE NOT ({})",
        named(" of columns"),
        is_column_option("x.option"),
        named(" of relations"),
        is_relation_option("x.option")
    )
}

const GRANTS_ON_PARAMETERS: &str = "SELECT g.privilege_type || ' on parameter ' || p.parname, \
    CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee)::text END \
    FROM pg_catalog.pg_parameter_acl p, LATERAL pg_catalog.aclexplode(p.paracl) g \
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee WHERE r.rolsuper IS NOT TRUE ORDER BY 1, 2";

/// Objects of the server and of extensions with an access list: `parts (classid, objid, objsubid, schema, acl, given)`,
/// where `given` is the default without a list. `information_schema` is open to everybody, which no
/// catalog records as its initial state.
fn listed() -> String {
    let part = |catalog: &str, schema: &str, acl: &str, given: &str| {
        format!(
            "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::oid AS classid, o.oid AS objid, 0 AS objsubid, \
             {schema} AS schema, o.{acl} AS acl, {given} AS given FROM pg_catalog.{catalog} o WHERE o.{acl} IS NOT NULL"
        )
    };
    let given = |kind: &str, owner: &str| format!("pg_catalog.acldefault({kind}, o.{owner})");
    let opened = |given: String, schema: &str, owner: &str, right: &str| {
        format!(
            "CASE WHEN o.{schema} = 'information_schema'::pg_catalog.regnamespace \
             THEN {given} || pg_catalog.makeaclitem(0, o.{owner}, '{right}', false) ELSE {given} END"
        )
    };
    let relations = given("CASE WHEN o.relkind = 'S' THEN 's' ELSE 'r' END::\"char\"", "relowner");
    let relations = opened(relations, "relnamespace", "relowner", "SELECT");
    let schemas = opened(given("'n'", "nspowner"), "oid", "nspowner", "USAGE");
    let columns = "SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, a.attrelid, a.attnum::int4, c.relnamespace, \
                   a.attacl, NULL::aclitem[] FROM pg_catalog.pg_attribute a \
                   JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped";
    let parts = [
        part("pg_class", "o.relnamespace", "relacl", &relations),
        columns.to_owned(),
        part("pg_proc", "o.pronamespace", "proacl", &given("'f'", "proowner")),
        part("pg_type", "o.typnamespace", "typacl", &given("'T'", "typowner")),
        part("pg_namespace", "o.oid", "nspacl", &schemas),
        part("pg_language", "NULL", "lanacl", &given("'l'", "lanowner")),
        part("pg_foreign_data_wrapper", "NULL", "fdwacl", &given("'F'", "fdwowner")),
        part("pg_foreign_server", "NULL", "srvacl", &given("'S'", "srvowner")),
    ];
    parts.join(" UNION ALL ")
}

/// Rights on them that are in one list and not in the other: `acl` beyond `initial` was granted since their creation, the
/// reverse was revoked. The schema `public` is copied.
fn rights_beside(these: &str, others: &str) -> String {
    format!(
        "SELECT g.privilege_type || ' on ' || i.type || ' ' || i.identity, \
         CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee)::text END \
         FROM (SELECT p.*, coalesce(b.initprivs, p.given) AS initial, EXISTS (SELECT FROM pg_catalog.pg_depend e \
         WHERE e.classid = p.classid AND e.objid = p.objid AND e.deptype = 'e') AS of_extension FROM ({}) p \
         LEFT JOIN pg_catalog.pg_init_privs b ON b.classoid = p.classid AND b.objoid = p.objid \
         AND b.objsubid = p.objsubid) o \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.schema, \
         LATERAL pg_catalog.aclexplode(o.{these}) g \
         LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee, \
         LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, o.objsubid) i \
         WHERE r.rolsuper IS NOT TRUE AND (o.of_extension OR (o.objid < {FIRST_OWN} \
         AND n.nspname IS DISTINCT FROM 'public')) \
         AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(o.{others}) a \
         WHERE a.grantee = g.grantee AND a.privilege_type = g.privilege_type) ORDER BY 1, 2",
        listed()
    )
}

/// The change of a right.
#[derive(Clone, Copy)]
enum Change {
    Granted,
    Revoked,
}

/// Granted or revoked rights by role; roles of the server or the provider are left out.
fn rights(client: &mut impl GenericClient, change: Change, sql: &str) -> Result<Vec<String>, postgres::Error> {
    let (noun, preposition) = match change {
        Change::Granted => ("grant", "to"),
        Change::Revoked => ("revoke", "from"),
    };
    let mut named = Vec::new();
    for row in client.query(sql, &[])? {
        let (right, role): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        match role {
            None => named.push(format!("{noun} of {right} {preposition} everybody")),
            Some(role) if is_providers(&role) || is_predefined(&role) => {}
            Some(role) => named.push(format!("{noun} of {right} {preposition} role {role}")),
        }
    }
    Ok(named)
}
