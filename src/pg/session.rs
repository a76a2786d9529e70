//! The session settings that make COPY text deterministic, on both sides and for whoever repeats the digest with psql.

/// Name and value of each pinned setting.
///
/// `row_security = off` turns silently filtered rows into an error; `synchronize_seqscans = off` makes every scan begin
/// at the first page; `array_nulls` and `xmloption` decide how rows are read in, `quote_all_identifiers` how definitions
/// are spelled. Source: PostgreSQL documentation, "Client Connection Defaults" and "COPY".
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

/// Time-outs that only newer servers know (14 and 17); an older one refuses to SET what it doesn't know.
const NEWER_TIMEOUTS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
                              WHERE name IN ('idle_session_timeout', 'transaction_timeout');";

/// The statements that pin a session.
pub fn statements() -> String {
    let pinned: String = PINNED.iter().map(|(name, value)| format!("SET {name} = '{value}';")).collect();
    pinned + NEWER_TIMEOUTS
}

/// The same as a value of `PGOPTIONS`, for psql.
pub fn pgoptions() -> String {
    PINNED.iter().map(|(name, value)| format!("-c {name}={value}")).collect::<Vec<_>>().join(" ")
}
