//! Roles, memberships, owners, grants and default privileges: who may do what in a database.
//!
//! Grants are read as they work: where an object has no list of its own, the server's default stands for it. Roles that
//! the server brings along (`pg_…`) are taken for granted. Passwords can't be read by anybody but a superuser, and
//! nothing here tries to.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{GenericClient, Row};

use super::user_objects::{FIRST_OWN, USERS, not_of_extension};
use crate::pg::error::PgError;

pub mod compared;

/// Everything about rights in one database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Roles that this database has to do with, and those that they belong to or that belong to them.
    pub roles: BTreeMap<String, Role>,
    /// Who belongs to which role.
    pub memberships: BTreeSet<Membership>,
    /// Owners and grants of every object.
    pub objects: BTreeMap<Object, Held>,
    /// What future objects get.
    pub defaults: BTreeMap<Defaults, BTreeSet<Grant>>,
    /// Memberships that somebody gave to the server's own roles, which belong to the server as a whole.
    pub of_predefined: BTreeSet<Membership>,
}

/// What a role may do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Gets the rights of the roles that it belongs to without asking.
    pub inherits: bool,
    /// May log in.
    pub logs_in: bool,
    /// May make databases.
    pub makes_databases: bool,
    /// May make roles.
    pub makes_roles: bool,
    /// Reads past row level security.
    pub bypasses_rls: bool,
    /// May do everything; not carried.
    pub superuser: bool,
    /// May replicate; not carried.
    pub replicates: bool,
    /// Connections at once; −1 is any number.
    pub connections_max: i32,
    /// When its password ends.
    pub valid_until: Option<String>,
    /// What is said about it.
    pub comment: Option<String>,
}

/// One role's place in another, with what all its grants give together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// The role that is belonged to.
    pub role: String,
    /// Who belongs to it.
    pub member: String,
    /// Whether the member may let others in.
    pub admin: bool,
    /// Whether the member has the role's rights without asking: before version 16, what the member itself says.
    pub inherits: bool,
    /// Whether the member may act as the role (SET ROLE): before version 16, every member may.
    pub sets: bool,
}

/// An object as `pg_identify_object` names it: `("table", "public.orders")`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// The kind, in the server's words.
    pub kind: String,
    /// The name, quoted where needed.
    pub identity: String,
}

impl Object {
    /// Whether its owner on the target is not the source's: the database is its restorer's, and only superusers own wrappers.
    pub fn owner_is_given(&self) -> bool {
        ["database", "foreign-data wrapper"].contains(&self.kind.as_str())
    }
}

/// Whose an object is and who else may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The owner.
    pub owner: String,
    /// Whether the owner follows from another object's, as that of a serial column's sequence does.
    pub follows: bool,
    /// What is granted, the owner's own rights included.
    pub grants: BTreeSet<Grant>,
}

/// One right that somebody gave to somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Whether the grantee may pass it on; those who may come first, so that what hangs on them can follow.
    pub fixed: bool,
    /// Who gave it.
    pub grantor: String,
    /// Who has it; none is everybody.
    pub grantee: Option<String>,
    /// `SELECT`, `USAGE`, …
    pub privilege: String,
    /// Only this column.
    pub column: Option<String>,
}

/// Whose future objects, of which kind, in which schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defaults {
    /// Who makes the objects.
    pub role: String,
    /// The schema; none is every schema.
    pub schema: Option<String>,
    /// `r`, `S`, `f`, `T` or `n` (PostgreSQL documentation, `pg_default_acl`).
    pub kind: String,
}

/// Roles that a provider brings along and that exist nowhere else.
const PROVIDERS: [&str; 4] = ["rds", "azure", "cloudsql", "alloydb"];

/// Predefined roles that give nothing beyond databases and statistics (PostgreSQL documentation, "Predefined Roles").
/// Those that are not listed, and those of versions to come, may read and write the server's files, run programs as the
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
/// The predefined roles that initdb makes members of others, and of which.
const OF_INITDB: (&str, [&str; 3]) =
    ("pg_monitor", ["pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"]);

/// Whether a role belongs to the server itself.
pub fn is_predefined(role: &str) -> bool {
    role.starts_with("pg_")
}

/// Whether a role belongs to the server itself, and its members still reach nothing but databases and statistics.
pub fn is_harmless(role: &str) -> bool {
    HARMLESS.contains(&role)
}

/// Whether a role belongs to the provider's service and can't be carried elsewhere.
pub fn is_providers(role: &str) -> bool {
    let named = |prefix: &&str| role.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    role == "rdsadmin" || role == "rdsrepladmin" || role == "rdstopmgr" || PROVIDERS.iter().any(named)
}

/// Owners of every catalog, and where they stand in it: catalog, owner, list of rights, kind for `acldefault`, condition.
const OWNED: [(&str, &str, &str, &str, &str); 7] = [
    ("pg_proc", "proowner", "proacl", "'f'", "pronamespace"),
    ("pg_type", "typowner", "typacl", "'T'", "typnamespace"),
    ("pg_namespace", "nspowner", "nspacl", "'n'", ""),
    ("pg_language", "lanowner", "lanacl", "'l'", ""),
    ("pg_foreign_data_wrapper", "fdwowner", "fdwacl", "'F'", ""),
    ("pg_foreign_server", "srvowner", "srvacl", "'S'", ""),
    ("pg_largeobject_metadata", "lomowner", "lomacl", "'L'", ""),
];
/// Objects that have an owner and no list of rights.
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
        // Their numbers are anybody's choice.
        ("pg_largeobject_metadata", _) => "true".to_owned(),
        // A publication of every table belongs to a superuser, and so does it on the target.
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

/// Reads what one database has to do with. Everything here is open to every role.
pub fn rights(client: &mut impl GenericClient) -> Result<Rights, PgError> {
    rights_with(client, &BTreeSet::new())
}

/// The same, with roles that the database mentions elsewhere, spelled as `regrole` spells them.
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

/// The roles that values of type `regrole` in tables name: such a value can be restored only where its role is. In a
/// transaction, which goes on whatever becomes of it.
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
            // The table can't be read, which the transfer says of it.
            Err(_) => client.batch_execute("ROLLBACK TO SAVEPOINT walkaway_roles").map_err(failed)?,
        }
    }
    Ok(roles)
}

/// Every role of the server, and who belongs to which.
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
            // Owners have it by themselves from version 17 on, and nobody knows of it before.
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

/// Without those that initdb made. Options that only newer servers have are read through `to_jsonb`.
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

/// Roles that this database mentions elsewhere: in policies, in user mappings and in settings of its own.
fn named(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE EXISTS (SELECT FROM pg_catalog.pg_policy p \
               WHERE r.oid = ANY (p.polroles)) OR EXISTS (SELECT FROM pg_catalog.pg_user_mappings m \
               WHERE m.umuser = r.oid) OR EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s \
               WHERE s.setrole = r.oid AND s.setdatabase = \
               (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))";
    client.query(sql, &[])?.iter().map(|row| row.try_get(0)).collect()
}

/// Whoever owns or is granted something, and everybody tied to them by membership.
fn involved(rights: &Rights, memberships: &[Membership], named: Vec<String>) -> BTreeSet<String> {
    let grants = rights.objects.values().flat_map(|held| &held.grants).chain(rights.defaults.values().flatten());
    let mut involved: BTreeSet<String> = named.into_iter().collect();
    involved.extend(grants.flat_map(|grant| [Some(grant.grantor.clone()), grant.grantee.clone()]).flatten());
    involved.extend(rights.objects.values().map(|held| held.owner.clone()));
    involved.extend(rights.defaults.keys().map(|defaults| defaults.role.clone()));
    loop {
        let tied = memberships.iter().filter(|one| involved.contains(&one.role) != involved.contains(&one.member));
        // A role of the server's own ties everybody to everybody; who is in it matters, who else is in it doesn't.
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
