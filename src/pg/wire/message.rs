//! The few server messages that are parsed, and its errors.

use std::{fmt, time::Duration};

use crate::pg::{
    error::{self, PgError, Unreached},
    sqlstate::{self, Concern},
};

/// What went wrong on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The server refused.
    Server {
        /// `ERROR` or `FATAL`, not translated.
        severity: String,
        /// SQLSTATE.
        code: String,
        /// The primary message, as far as it can't hold a value; never the detail, which may show a row.
        message: String,
    },
    /// The connection broke or could not be made.
    Lost(String),
    /// The login can't authenticate, however often it is tried.
    Login(String),
    /// TLS refused the server, or the server TLS.
    Tls(String),
    /// Nothing was transferred for this long.
    Stalled(Duration),
}

impl WireError {
    /// What it is about.
    pub fn concern(&self) -> Concern {
        match self {
            WireError::Server { severity, code, .. } => sqlstate::concern(severity, code),
            WireError::Lost(_) | WireError::Stalled(_) => Concern::Session,
            WireError::Login(_) | WireError::Tls(_) => Concern::Login,
        }
    }

    /// Whether the server or the connection failed, rather than one statement.
    pub fn connection_lost(&self) -> bool {
        self.concern() == Concern::Session
    }

    /// Whether nothing more succeeds at that server: it is gone, its disk is full, or it no longer accepts the login.
    pub fn ends_all(&self) -> bool {
        matches!(self.concern(), Concern::Session | Concern::Room | Concern::Login)
    }

    /// SQLSTATE, where the server refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            WireError::Server { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Why no connection could be made because of it.
    pub(in crate::pg) fn unreached(&self) -> Unreached {
        match self {
            WireError::Server { severity, code, .. } => Unreached::of_server(severity, code),
            WireError::Login(_) => Unreached::Password,
            WireError::Tls(_) => Unreached::Tls,
            WireError::Lost(_) | WireError::Stalled(_) => Unreached::Way,
        }
    }

    /// Whether the server ended the session with it.
    pub(super) fn is_fatal(&self) -> bool {
        !matches!(self, WireError::Server { severity, .. } if severity == "ERROR")
    }

    /// The same, with its purpose.
    pub fn during(self, what: impl Into<String>) -> PgError {
        let code = self.code().map(str::to_owned);
        PgError::Statement { what: what.into(), reason: self.to_string(), code, concern: self.concern() }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Server { severity, code, message } => f.write_str(&error::words(severity, code, message)),
            WireError::Lost(reason) | WireError::Login(reason) | WireError::Tls(reason) => f.write_str(reason),
            WireError::Stalled(stall) => write!(f, "nothing moved for {} s", stall.as_secs()),
        }
    }
}

/// Reads an ErrorResponse.
pub(super) fn server_error(body: &[u8]) -> WireError {
    let field = |wanted: u8| {
        let mut fields = body.split(|byte| *byte == 0);
        let found = fields.find(|field| field.first() == Some(&wanted));
        String::from_utf8_lossy(found.and_then(|field| field.get(1..)).unwrap_or_default()).into_owned()
    };
    // V is the severity without translation; servers before 9.6 don't send it.
    let severity = [b'V', b'S'].map(field).into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let code = field(b'C');
    let message = field(b'M');
    let is_internal = !field(b'q').is_empty();
    let message = error::shown(&code, &field(b'R'), is_internal, &message).to_owned();
    WireError::Server { severity, code, message }
}

/// The number at the end of a CommandComplete such as `COPY 42`.
pub(in crate::pg) fn command_rows(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?.trim_end_matches('\0');
    text.strip_prefix("COPY ")?.parse().ok()
}

/// The values of a DataRow.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    pub(super) fn row(self) -> Result<Vec<Option<String>>, WireError> {
        self.values().ok_or_else(|| WireError::Lost("a row of the server makes no sense".to_owned()))
    }

    fn values(mut self) -> Option<Vec<Option<String>>> {
        let count = u16::from_be_bytes(self.next::<2>()?);
        (0..count).map(|_| self.value()).collect()
    }

    fn value(&mut self) -> Option<Option<String>> {
        let length = i32::from_be_bytes(self.next::<4>()?);
        let Ok(length) = usize::try_from(length) else { return Some(None) };
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(String::from_utf8_lossy(value).into_owned()))
    }

    fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_code_and_message_and_drops_the_detail() {
        let error = server_error(b"SFEHLER\0VERROR\0C53100\0Mdisk full\0Dthe row\0\0");
        assert_eq!(error.to_string(), "ERROR: disk full (SQLSTATE 53100)");
        assert!(error.concern() == Concern::Room && !error.is_fatal());
        let quoted = server_error(b"VERROR\0C22P02\0Minvalid input: \"secret\"\0\0");
        assert!(!quoted.to_string().contains("secret") && !quoted.connection_lost());
        for (fields, shows) in [
            ("C23514\0Rexec_stmt_raise", false),
            ("C23514\0RExecConstraints", true),
            ("CP0001", false),
            ("CP0004\0Rexec_stmt_assert", false),
            ("C38000\0Rplperl_call_perl_func", false),
            ("C40001\0RPLy_elog_impl", false),
            ("C23505\0Rpgfdw_report_error", false),
            ("C42601\0Rscanner_yyerror\0qselect secret", false),
            ("C42601\0Rscanner_yyerror", true),
            ("C42P01\0qselect from secret", true),
        ] {
            let error = server_error(format!("VERROR\0{fields}\0Msecret\0Dsecret\0\0").as_bytes());
            assert_eq!(error.to_string().contains("secret"), shows, "{fields}");
        }
    }

    #[test]
    fn rows_and_tags_are_read_and_torn_ones_are_not() {
        let row = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff";
        assert_eq!(Fields(row).row(), Ok(vec![Some("ab".to_owned()), None]));
        assert!(Fields(&row[..6]).row().is_err());
        assert_eq!(command_rows(b"COPY 42\0"), Some(42));
        assert_eq!(command_rows(b"SELECT 42\0"), None);
    }
}
