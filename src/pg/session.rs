//! The session settings that make COPY text deterministic, on both sides and for repeating the digest with psql.

use postgres::GenericClient;

use super::{
    error::{PgError, concern},
    sqlstate::Concern,
};

/// Name and value of each pinned setting.
///
/// `row_security = off` turns silently filtered rows into an error; `synchronize_seqscans = off` makes every scan begin
/// at the first page; `array_nulls` and `xmloption` decide how rows are read in, `quote_all_identifiers` how definitions
/// are printed. Source: PostgreSQL documentation, "Client Connection Defaults" and "COPY".
pub const PINNED: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("lc_monetary", "C"),
    ("array_nulls", "on"),
    ("xmloption", "content"),
    ("quote_all_identifiers", "off"),
    ("search_path", ""),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_read_only", "off"),
    ("synchronize_seqscans", "off"),
];

/// Time-outs that only newer servers know (14 and 17); an older one rejects a SET of them.
const NEWER_TIMEOUTS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
                              WHERE name IN ('idle_session_timeout', 'transaction_timeout');";

/// The statements that pin a session.
pub fn statements() -> String {
    let pinned: String = PINNED.iter().map(|(name, value)| format!("SET {name} = '{value}';")).collect();
    pinned + NEWER_TIMEOUTS
}

/// Detection of a lost client by the server: else a transaction, and its locks, would stay for hours
/// (PostgreSQL documentation, "TCP Settings"). Local sockets ignore it.
const NOTICE_OUR_END: &str =
    " SET LOCAL tcp_keepalives_idle = 60; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 6;";
/// The same for what the server sent and is not acknowledged.
const NOTICE_UNTAKEN: &str = " SET LOCAL tcp_user_timeout = 120000;";
const USER_TIMEOUT_MAJOR: u32 = 12;
/// Since this version there is a time-out of transactions.
const TRANSACTION_TIMEOUT_MAJOR: u32 = 17;

/// Begins a transaction that only reads. Every setting is local: it ends with the transaction, whoever uses the session
/// afterwards. Nothing here takes a snapshot, so that tables can be locked before; a named one is adopted.
pub fn begin_reading(major: u32, is_raw: bool, snapshot: Option<&str>) -> String {
    let encoding = if is_raw { RAW } else { "UTF8" };
    let mut sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;".to_owned();
    for (name, value) in PINNED {
        let value = if *name == "client_encoding" { encoding } else { value };
        sql.push_str(&format!(" SET LOCAL {name} = '{value}';"));
    }
    sql.push_str(NOTICE_OUR_END);
    if major >= USER_TIMEOUT_MAJOR {
        sql.push_str(NOTICE_UNTAKEN);
    }
    if major >= TRANSACTION_TIMEOUT_MAJOR {
        sql.push_str(" SET LOCAL transaction_timeout = 0;");
    }
    if let Some(snapshot) = snapshot {
        sql.push_str(&format!(" SET TRANSACTION SNAPSHOT '{}';", snapshot.replace('\'', "''")));
    }
    sql
}

/// A setting's value as this server prints it; unchanged, where the server rejects it. The session is not changed.
pub fn spelled(client: &mut impl GenericClient, name: &str, value: &str) -> Result<String, PgError> {
    // A local setting ends with the statement, which is a transaction of its own.
    match client.query_one("SELECT pg_catalog.set_config($1, $2, true)", &[&name, &value]) {
        Ok(row) => row.try_get(0).map_err(|error| PgError::statement(format!("spelling {name}"), &error)),
        Err(error) if concern(&error) != Concern::Statement => {
            Err(PgError::statement(format!("spelling {name}"), &error))
        }
        Err(_) => Ok(value.to_owned()),
    }
}

/// The same as a value of `PGOPTIONS`, for psql and a database of this encoding.
pub fn pgoptions(encoding: &str) -> String {
    let of_client = if encoding == RAW { RAW } else { "UTF8" };
    let value = |name: &str, value| if name == "client_encoding" { of_client } else { value };
    PINNED.iter().map(|(name, pinned)| format!("-c {name}={}", value(name, pinned))).collect::<Vec<_>>().join(" ")
}

/// The encoding of databases that accept any bytes as text. A client of any other encoding is refused what is invalid
/// in it (PostgreSQL documentation, "Character Set Support").
pub const RAW: &str = "SQL_ASCII";

/// Requests bytes unconverted, from a server whose databases accept any.
pub const PASS_RAW: &str = "SET client_encoding = 'SQL_ASCII'";

/// Encodings of which every character has one code there and one in UTF-8, so that what passes through UTF-8 comes back as
/// it was; an invalid byte is rejected by the server. East Asian ones have characters with two codes.
const CARRIED: [&str; 2] = ["UTF8", RAW];
const CARRIED_FAMILIES: [&str; 4] = ["LATIN", "ISO_8859_", "WIN", "KOI8"];

/// Why text of a database can't be copied byte for byte, if so.
pub fn encoding_refused(encoding: &str) -> Option<String> {
    let carried = CARRIED.contains(&encoding) || CARRIED_FAMILIES.iter().any(|family| encoding.starts_with(family));
    (!carried)
        .then(|| format!("text in the encoding {encoding} might not come back byte for byte, so it is not carried"))
}
