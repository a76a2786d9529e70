//! Roles, memberships, owners, grants and default privileges: who may do what in a database.
//!
//! Grants are read as they take effect: an object without an access list gets the server's default. Roles that
//! the server has built in (`pg_…`) are assumed to exist. Passwords can be read only by a superuser, and
//! nothing here tries to.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{GenericClient, Row};

use super::user_objects::{FIRST_OWN, USERS, not_of_extension};
use crate::pg::error::PgError;

pub mod compared;

/// Everything about rights in one database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Roles that this database refers to, and those that they are members of or that are members of them.
    pub roles: BTreeMap<String, Role>,
    /// Memberships of roles.
    pub memberships: BTreeSet<Membership>,
    /// Owners and grants of every object.
    pub objects: BTreeMap<Object, Held>,
    /// Default privileges.
    pub defaults: BTreeMap<Defaults, BTreeSet<Grant>>,
    /// Memberships that were granted to the server's own roles, which belong to the server as a whole.
    pub of_predefined: BTreeSet<Membership>,
}

/// The attributes of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Inherits the rights of the roles that it is a member of.
    pub inherits: bool,
    /// May log in.
    pub logs_in: bool,
    /// May create databases.
    pub makes_databases: bool,
    /// May create roles.
    pub makes_roles: bool,
    /// Bypasses row level security.
    pub bypasses_rls: bool,
    /// Superuser; not copied.
    pub superuser: bool,
    /// May replicate; not copied.
    pub replicates: bool,
    /// Limit of connections; −1 is none.
    pub connections_max: i32,
    /// When its password ends.
    pub valid_until: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// One role's membership in another, with the options of all its grants combined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// The role.
    pub role: String,
    /// Its member.
    pub member: String,
    /// Whether the member may grant membership.
    pub admin: bool,
    /// Whether the member inherits the role's rights: before version 16, an attribute of the member.
    pub inherits: bool,
    /// Whether the member may act as the role (SET ROLE): before version 16, every member may.
    pub sets: bool,
}

/// An object as named by `pg_identify_object`: `("table", "public.orders")`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// The kind, as named by the server.
    pub kind: String,
    /// The name, quoted where needed.
    pub identity: String,
}

impl Object {
    /// Whether its owner on the target is not the source's: the restorer owns the database, and only superusers own wrappers.
    pub fn owner_is_given(&self) -> bool {
        ["database", "foreign-data wrapper"].contains(&self.kind.as_str())
    }
}

/// The owner of an object and its grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The owner.
    pub owner: String,
    /// Whether the owner follows from another object's, as that of a serial column's sequence does.
    pub follows: bool,
    /// What is granted, including the owner's own rights.
    pub grants: BTreeSet<Grant>,
}

/// One granted right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Whether the grantee may grant it on; such grants come first, so that dependent ones can follow.
    pub fixed: bool,
    /// The grantor.
    pub grantor: String,
    /// The grantee; none is PUBLIC.
    pub grantee: Option<String>,
    /// `SELECT`, `USAGE`, …
    pub privilege: String,
    /// The column, if it is limited to one.
    pub column: Option<String>,
}

/// Default privileges of one role, for one kind of object, in one schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defaults {
    /// The creator of the objects.
    pub role: String,
    /// The schema; none is every schema.
    pub schema: Option<String>,
    /// `r`, `S`, `f`, `T` or `n` (PostgreSQL documentation, `pg_default_acl`).
    pub kind: String,
}

/// Roles that only this provider has.
const PROVIDERS: [&str; 4] = ["rds", "azure", "cloudsql", "alloydb"];

/// Predefined roles that grant nothing beyond databases and statistics (PostgreSQL documentation, "Predefined Roles").
/// Those that are not listed, and those of future versions, may read and write the server's files, run programs as the
/// server's user, or make the server connect to others.
const HARMLESS: [&str; 12] = [
    "pg_checkpoint",
    "pg_database_owner",
    "pg_maintain",
    "pg_monitor",
    "pg_read_all_data",
    "pg_read_all_settings",
    "pg_read_all_stats",
    "pg_signal_autovacuum_worker",
    "pg_signal_backend",
    "pg_stat_scan_tables",
    "pg_use_reserved_connections",
    "pg_write_all_data",
];
/// The memberships between predefined roles that initdb creates.
const OF_INITDB: (&str, [&str; 3]) =
    ("pg_monitor", ["pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"]);

/// Whether a role belongs to the server itself.
pub fn is_predefined(role: &str) -> bool {
    role.starts_with("pg_")
}

/// Whether a role belongs to the server itself, but its members reach nothing but databases and statistics.
pub fn is_harmless(role: &str) -> bool {
    HARMLESS.contains(&role)
}

/// Whether a role belongs to the provider's service and can't be copied elsewhere.
pub fn is_providers(role: &str) -> bool {
    let named = |prefix: &&str| role.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    role == "rdsadmin" || role == "rdsrepladmin" || role == "rdstopmgr" || PROVIDERS.iter().any(named)
}

/// Owners in every catalog, and their columns: catalog, owner, list of rights, kind for `acldefault`, condition.
const OWNED: [(&str, &str, &str, &str, &str); 7] = [
    ("pg_proc", "proowner", "proacl", "'f'", "pronamespace"),
    ("pg_type", "typowner", "typacl", "'T'", "typnamespace"),
    ("pg_namespace", "nspowner", "nspacl", "'n'", ""),
    ("pg_language", "lanowner", "lanacl", "'l'", ""),
    ("pg_foreign_data_wrapper", "fdwowner", "fdwacl", "'F'", ""),
    ("pg_foreign_server", "srvowner", "srvacl", "'S'", ""),
    ("pg_largeobject_metadata", "lomowner", "lomacl", "'L'", ""),
];
/// Objects with an owner but no access list.
const ONLY_OWNED: [(&str, &str, &str); 9] = [
    ("pg_operator", "oprowner", "oprnamespace"),
    ("pg_opclass", "opcowner", "opcnamespace"),
    ("pg_opfamily", "opfowner", "opfnamespace"),
    ("pg_collation", "collowner", "collnamespace"),
    ("pg_conversion", "conowner", "connamespace"),
    ("pg_ts_dict", "dictowner", "dictnamespace"),
    ("pg_ts_config", "cfgowner", "cfgnamespace"),
    ("pg_statistic_ext", "stxowner", "stxnamespace"),
    ("pg_publication", "pubowner", ""),
];

/// `objects (classid, objid, owner, acl, follows)`.
fn objects_sql() -> String {
    let regclass = |catalog: &str| format!("'pg_catalog.{catalog}'::pg_catalog.regclass");
    let relation = format!(
        "SELECT {class}::oid AS classid, o.oid AS objid, o.relowner AS owner, coalesce(o.relacl, pg_catalog.acldefault(\
         CASE WHEN o.relkind = 'S' THEN 's' ELSE 'r' END::\"char\", o.relowner)) AS acl, \
         EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = {class} AND d.objid = o.oid \
         AND d.refclassid = {class} AND d.deptype IN ('a', 'i') AND o.relkind = 'S') AS follows \
         FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace \
         WHERE o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND o.relpersistence <> 't' AND {USERS} AND {free}",
        class = regclass("pg_class"),
        free = not_of_extension("pg_class", "o.oid")
    );
    let with_rights = OWNED.iter().map(|(catalog, owner, acl, kind, namespace)| {
        let acl = format!("coalesce(o.{acl}, pg_catalog.acldefault({kind}, o.{owner}))");
        part(catalog, owner, &acl, namespace)
    });
    let only_owned =
        ONLY_OWNED.iter().map(|(catalog, owner, namespace)| part(catalog, owner, "NULL::aclitem[]", namespace));
    std::iter::once(relation).chain(with_rights).chain(only_owned).collect::<Vec<_>>().join(" UNION ALL ")
}

fn part(catalog: &str, owner: &str, acl: &str, namespace: &str) -> String {
    let is_own = match (catalog, namespace) {
        ("pg_namespace", _) => USERS.replace("n.nspname", "o.nspname"),
        ("pg_type", _) => format!(
            "{USERS} AND o.typtype IN ('b', 'c', 'd', 'e', 'r') AND NOT EXISTS (SELECT FROM pg_catalog.pg_class r \
             WHERE r.oid = o.typrelid AND r.relkind <> 'c') AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e \
             WHERE e.typarray = o.oid)"
        ),
        ("pg_operator", _) => format!("{USERS} AND o.oprcode <> 0"),
        // Their numbers are chosen freely.
        ("pg_largeobject_metadata", _) => "true".to_owned(),
        // A publication of all tables belongs to a superuser, also on the target.
        ("pg_publication", _) => "NOT o.puballtables".to_owned(),
        (_, "") => format!("o.oid >= {FIRST_OWN}"),
        _ => USERS.to_owned(),
    };
    let join = match namespace {
        "" => String::new(),
        namespace => format!("JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace}"),
    };
    let class = if catalog == "pg_largeobject_metadata" { "pg_largeobject" } else { catalog };
    let free = not_of_extension(class, "o.oid");
    format!(
        "SELECT 'pg_catalog.{class}'::pg_catalog.regclass::oid, o.oid, o.{owner}, {acl}, false \
         FROM pg_catalog.{catalog} o {join} WHERE {is_own} AND {free}"
    )
}

/// Reads the rights of one database. Everything here is readable by every role.
pub fn rights(client: &mut impl GenericClient) -> Result<Rights, PgError> {
    rights_with(client, &BTreeSet::new())
}

/// The same, with roles that the database refers to elsewhere, spelled as `regrole` prints them.
pub fn rights_with(client: &mut impl GenericClient, mentioned: &BTreeSet<String>) -> Result<Rights, PgError> {
    let all = everything(client)?;
    let mut named = named(client).map_err(failed)?;
    let is_mentioned = |role: &&String| mentioned.contains(*role) || mentioned.contains(&crate::pg::name::quoted(role));
    named.extend(all.roles.keys().filter(is_mentioned).cloned());
    let belongs: Vec<_> = all.memberships.iter().cloned().collect();
    let involved = involved(&all, &belongs, named);
    let roles = all.roles.into_iter().filter(|(name, _)| involved.contains(name)).collect();
    let memberships = all.memberships.into_iter().filter(|one| involved.contains(&one.member));
    let (of_predefined, memberships) = memberships.partition(|one| is_predefined(&one.member));
    Ok(Rights { roles, memberships, of_predefined, ..all })
}

/// The roles that values of type `regrole` in tables name: such a value can be restored only if its role exists. In a
/// transaction, which continues even if it fails.
pub fn roles_in_rows(client: &mut impl GenericClient) -> Result<BTreeSet<String>, PgError> {
    let sql = format!(
        "SELECT format('SELECT DISTINCT %I::text FROM ONLY %I.%I', a.attname, n.nspname, o.relname) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class o ON o.oid = a.attrelid AND o.relkind = 'r' \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace \
         WHERE a.atttypid = 'pg_catalog.regrole'::pg_catalog.regtype AND a.attnum > 0 AND NOT a.attisdropped AND {USERS}"
    );
    let mut roles = BTreeSet::new();
    for row in client.query(&sql, &[]).map_err(failed)? {
        let sql: String = row.try_get(0).map_err(failed)?;
        client.batch_execute("SAVEPOINT walkaway_roles").map_err(failed)?;
        match client.query(&sql, &[]) {
            Ok(rows) => {
                for row in rows {
                    roles.extend(row.try_get::<_, Option<String>>(0).map_err(failed)?);
                }
            }
            Err(error) if crate::pg::error::connection_lost(&error) => return Err(failed(error)),
            // The table can't be read, which the transfer reports.
            Err(_) => client.batch_execute("ROLLBACK TO SAVEPOINT walkaway_roles").map_err(failed)?,
        }
    }
    Ok(roles)
}

/// Every role of the server, and all memberships.
pub fn roles_and_memberships(
    client: &mut impl GenericClient,
) -> Result<(BTreeMap<String, Role>, BTreeSet<Membership>), PgError> {
    let roles = roles(client).map_err(failed)?;
    Ok((roles, memberships(client).map_err(failed)?.into_iter().collect()))
}

/// The same with every role of the server.
fn everything(client: &mut impl GenericClient) -> Result<Rights, PgError> {
    let (roles, memberships) = roles_and_memberships(client)?;
    let objects = held(client).map_err(failed)?;
    let defaults = defaults(client).map_err(failed)?;
    Ok(Rights { roles, memberships, objects, defaults, of_predefined: BTreeSet::new() })
}

fn failed(error: postgres::Error) -> PgError {
    PgError::statement("reading roles, owners and grants", &error)
}

fn held(client: &mut impl GenericClient) -> Result<BTreeMap<Object, Held>, postgres::Error> {
    let objects = objects_sql();
    let sql = format!(
        "SELECT i.type, i.identity, pg_catalog.pg_get_userbyid(o.owner)::text, o.follows FROM ({objects}) o, \
         LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i WHERE i.identity IS NOT NULL"
    );
    let mut held = BTreeMap::new();
    for row in client.query(&sql, &[])? {
        let grants = BTreeSet::new();
        held.insert(object(&row)?, Held { owner: row.try_get(2)?, follows: row.try_get(3)?, grants });
    }
    let of_columns = format!(
        "SELECT i.type, i.identity, a.attname::text, {GRANT} FROM ({objects}) o \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = o.objid \
         AND o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attacl IS NOT NULL AND NOT a.attisdropped, \
         LATERAL pg_catalog.aclexplode(a.attacl) g, \
         LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i"
    );
    let whole = format!(
        "SELECT i.type, i.identity, NULL::text, {GRANT} FROM ({objects}) o, \
         LATERAL pg_catalog.aclexplode(o.acl) g, LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i"
    );
    for sql in [whole, of_columns] {
        for row in client.query(&sql, &[])? {
            let grant = grant(&row, row.try_get(2)?)?;
            // Owners have it implicitly from version 17 on, and it does not exist before.
            let by_itself = |held: &Held| grant.privilege == "MAINTAIN" && grant.grantee.as_ref() == Some(&held.owner);
            match held.get_mut(&object(&row)?) {
                Some(held) if !by_itself(held) => drop(held.grants.insert(grant)),
                _ => {}
            }
        }
    }
    let database = database(client)?;
    held.insert(Object { kind: "database".to_owned(), identity: String::new() }, database);
    Ok(held)
}

/// Grantor, grantee, privilege, grantable, of an exploded list `g`, from the fourth column on.
const GRANT: &str = "pg_catalog.pg_get_userbyid(g.grantor)::text, \
                     CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee)::text END, \
                     g.privilege_type, g.is_grantable";

fn object(row: &Row) -> Result<Object, postgres::Error> {
    Ok(Object { kind: row.try_get(0)?, identity: row.try_get(1)? })
}

fn grant(row: &Row, column: Option<String>) -> Result<Grant, postgres::Error> {
    let passes_on: bool = row.try_get(6)?;
    Ok(Grant {
        fixed: !passes_on,
        grantor: row.try_get(3)?,
        grantee: row.try_get(4)?,
        privilege: row.try_get(5)?,
        column,
    })
}

fn database(client: &mut impl GenericClient) -> Result<Held, postgres::Error> {
    let owner = "SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database \
                 WHERE datname = current_database()";
    let mut held = Held { owner: client.query_one(owner, &[])?.try_get(0)?, ..Held::default() };
    let sql = format!(
        "SELECT NULL::text, NULL::text, NULL::text, {GRANT} FROM pg_catalog.pg_database d, LATERAL \
         pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) g \
         WHERE d.datname = current_database()"
    );
    for row in client.query(&sql, &[])? {
        held.grants.insert(grant(&row, None)?);
    }
    Ok(held)
}

fn defaults(client: &mut impl GenericClient) -> Result<BTreeMap<Defaults, BTreeSet<Grant>>, postgres::Error> {
    let sql = format!(
        "SELECT pg_catalog.pg_get_userbyid(d.defaclrole)::text, n.nspname::text, d.defaclobjtype::text, {GRANT} \
         FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace \
         LEFT JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) g ON true"
    );
    let mut defaults: BTreeMap<Defaults, BTreeSet<Grant>> = BTreeMap::new();
    for row in client.query(&sql, &[])? {
        let key = Defaults { role: row.try_get(0)?, schema: row.try_get(1)?, kind: row.try_get(2)? };
        let grants = defaults.entry(key).or_default();
        if row.try_get::<_, Option<String>>(5)?.is_some() {
            grants.insert(grant(&row, None)?);
        }
    }
    Ok(defaults)
}

fn roles(client: &mut impl GenericClient) -> Result<BTreeMap<String, Role>, postgres::Error> {
    let sql = "SELECT rolname::text, rolinherit, rolcanlogin, rolcreatedb, rolcreaterole, rolbypassrls, rolsuper, \
               rolreplication, rolconnlimit, nullif(concat(rolvaliduntil), ''), \
               pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'";
    let role = |row: &Row| -> Result<(String, Role), postgres::Error> {
        let role = Role {
            inherits: row.try_get(1)?,
            logs_in: row.try_get(2)?,
            makes_databases: row.try_get(3)?,
            makes_roles: row.try_get(4)?,
            bypasses_rls: row.try_get(5)?,
            superuser: row.try_get(6)?,
            replicates: row.try_get(7)?,
            connections_max: row.try_get(8)?,
            valid_until: row.try_get(9)?,
            comment: row.try_get(10)?,
        };
        Ok((row.try_get(0)?, role))
    };
    client.query(sql, &[])?.iter().map(role).collect()
}

/// Without those that initdb created. Options that only newer servers have are read through `to_jsonb`.
fn memberships(client: &mut impl GenericClient) -> Result<Vec<Membership>, postgres::Error> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(m.roleid)::text, r.rolname::text, bool_or(m.admin_option), \
               bool_or(coalesce(pg_catalog.to_jsonb(m) ->> 'inherit_option' = 'true', r.rolinherit)), \
               bool_or(coalesce(pg_catalog.to_jsonb(m) ->> 'set_option' = 'true', true)) \
               FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member GROUP BY 1, 2";
    let membership = |row: &Row| {
        Ok(Membership {
            role: row.try_get(0)?,
            member: row.try_get(1)?,
            admin: row.try_get(2)?,
            inherits: row.try_get(3)?,
            sets: row.try_get(4)?,
        })
    };
    let (member, roles) = OF_INITDB;
    let by_initdb = |one: &Membership| one.member == member && roles.contains(&one.role.as_str());
    let all = client.query(sql, &[])?.iter().map(membership).collect::<Result<Vec<_>, postgres::Error>>()?;
    Ok(all.into_iter().filter(|one| !by_initdb(one)).collect())
}

/// Roles that this database refers to elsewhere: in policies, in user mappings and in settings of its own.
fn named(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE EXISTS (SELECT FROM pg_catalog.pg_policy p \
               WHERE r.oid = ANY (p.polroles)) OR EXISTS (SELECT FROM pg_catalog.pg_user_mappings m \
               WHERE m.umuser = r.oid) OR EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s \
               WHERE s.setrole = r.oid AND s.setdatabase = \
               (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))";
    client.query(sql, &[])?.iter().map(|row| row.try_get(0)).collect()
}

/// All owners and grantees, and all roles connected to them by membership.
fn involved(rights: &Rights, memberships: &[Membership], named: Vec<String>) -> BTreeSet<String> {
    let grants = rights.objects.values().flat_map(|held| &held.grants).chain(rights.defaults.values().flatten());
    let mut involved: BTreeSet<String> = named.into_iter().collect();
    involved.extend(grants.flat_map(|grant| [Some(grant.grantor.clone()), grant.grantee.clone()]).flatten());
    involved.extend(rights.objects.values().map(|held| held.owner.clone()));
    involved.extend(rights.defaults.keys().map(|defaults| defaults.role.clone()));
    loop {
        let tied = memberships.iter().filter(|one| involved.contains(&one.role) != involved.contains(&one.member));
        // A built-in role connects all of its members; only the membership matters, not the other members.
        let servers = |role: &str| is_predefined(role) || is_providers(role);
        let tied = tied.filter(|one| involved.contains(&one.member) || !servers(&one.role));
        let more: BTreeSet<_> = tied.flat_map(|one| [one.role.clone(), one.member.clone()]).collect();
        let before = involved.len();
        involved.extend(more);
        if involved.len() == before {
            return involved;
        }
    }
}
