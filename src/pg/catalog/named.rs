//! What is neither carried nor compared, each by its name: what belongs to the server, what a superuser must own, and what
//! holds secrets.

use postgres::GenericClient;

use super::{FIRST_OWN, rights::is_providers, without_schema};

/// All of it.
pub(super) fn named(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = [SECRETS.to_owned(), of_database(), owners()].join(" UNION ALL ");
    let mut named: Vec<String> =
        client.query(&format!("{sql} ORDER BY 1"), &[])?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    named.extend(grants(client, &grants_beside())?);
    let sql = "SELECT pg_catalog.to_regclass('pg_catalog.pg_parameter_acl') IS NOT NULL";
    // From version 15 on.
    if client.query_one(sql, &[])?.try_get(0)? {
        named.extend(grants(client, GRANTS_ON_PARAMETERS)?);
    }
    Ok(named)
}

/// Names only: connections and passwords are not read. A mapping whose options the login may see is carried with them; of
/// one whose options are hidden from it nobody can tell whether it has any, except a superuser.
const SECRETS: &str = "SELECT 'subscription ' || s.subname FROM pg_catalog.pg_subscription s WHERE s.subdbid = \
    (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
    UNION ALL SELECT 'password of the mapping of ' || m.usename || ' on the foreign server ' || m.srvname \
    FROM pg_catalog.pg_user_mappings m WHERE m.umoptions IS NULL \
    AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)";

/// The restored database has the mark of its run for a comment, and a limit would stand in the way of its proof.
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

/// Only a superuser may own these; whoever makes them on the target does.
fn owners() -> String {
    let owner = |role: &str| format!("SELECT 'owner ' || pg_catalog.pg_get_userbyid(o.{role})");
    format!(
        "{} || ' of event trigger ' || o.evtname FROM pg_catalog.pg_event_trigger o WHERE {} \
         UNION ALL {} || ' of publication ' || o.pubname FROM pg_catalog.pg_publication o \
         WHERE o.puballtables AND {}",
        owner("evtowner"),
        without_schema("pg_event_trigger"),
        owner("pubowner"),
        without_schema("pg_publication")
    )
}

const GRANTS_ON_PARAMETERS: &str = "SELECT g.privilege_type || ' on parameter ' || p.parname, \
    CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee)::text END \
    FROM pg_catalog.pg_parameter_acl p, LATERAL pg_catalog.aclexplode(p.paracl) g \
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee WHERE r.rolsuper IS NOT TRUE ORDER BY 1, 2";

/// Rights on objects of the server and of extensions beyond those that they came with.
fn grants_beside() -> String {
    let part = |catalog: &str, schema: &str, acl: &str, given: &str| {
        format!(
            "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::oid AS classid, o.oid AS objid, {schema} AS schema, \
             o.{acl} AS acl, {given} AS given FROM pg_catalog.{catalog} o WHERE o.{acl} IS NOT NULL"
        )
    };
    let given = |kind: &str, owner: &str| format!("pg_catalog.acldefault({kind}, o.{owner})");
    let relations = given("CASE WHEN o.relkind = 'S' THEN 's' ELSE 'r' END::\"char\"", "relowner");
    let parts = [
        part("pg_class", "o.relnamespace", "relacl", &relations),
        part("pg_proc", "o.pronamespace", "proacl", &given("'f'", "proowner")),
        part("pg_type", "o.typnamespace", "typacl", &given("'T'", "typowner")),
        part("pg_namespace", "o.oid", "nspacl", &given("'n'", "nspowner")),
        part("pg_language", "NULL", "lanacl", &given("'l'", "lanowner")),
        part("pg_foreign_data_wrapper", "NULL", "fdwacl", &given("'F'", "fdwowner")),
        part("pg_foreign_server", "NULL", "srvacl", &given("'S'", "srvowner")),
    ];
    format!(
        "SELECT g.privilege_type || ' on ' || i.type || ' ' || i.identity, \
         CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee)::text END \
         FROM (SELECT p.*, EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = p.classid \
         AND e.objid = p.objid AND e.deptype = 'e') AS of_extension FROM ({}) p) o \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.schema \
         LEFT JOIN pg_catalog.pg_init_privs b ON b.classoid = o.classid AND b.objoid = o.objid AND b.objsubid = 0, \
         LATERAL pg_catalog.aclexplode(o.acl) g \
         LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee, \
         LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i \
         WHERE r.rolsuper IS NOT TRUE AND (o.of_extension OR (g.grantee <> 0 AND o.objid < {FIRST_OWN} \
         AND n.nspname IS DISTINCT FROM 'public')) \
         AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(b.initprivs, o.given)) a \
         WHERE a.grantee = g.grantee AND a.privilege_type = g.privilege_type) ORDER BY 1, 2",
        parts.join(" UNION ALL ")
    )
}

/// What is granted to whom; roles that the server or the provider brings along are left out.
fn grants(client: &mut impl GenericClient, sql: &str) -> Result<Vec<String>, postgres::Error> {
    let mut named = Vec::new();
    for row in client.query(sql, &[])? {
        let (right, role): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        match role {
            None => named.push(format!("grant of {right} to everybody")),
            Some(role) if is_providers(&role) || super::rights::is_predefined(&role) => {}
            Some(role) => named.push(format!("grant of {right} to role {role}")),
        }
    }
    Ok(named)
}
