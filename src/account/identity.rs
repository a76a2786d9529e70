//! The caller: the kind of its session, whether it expires, and whether a second factor opened it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The caller, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
    /// What kind of session it is.
    pub session: Session,
    /// Whether the credentials end by themselves.
    pub short_lived: bool,
    /// When they end, if they say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether a second factor opened the session.
    pub mfa: Answer,
}

/// What kind of session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Session {
    /// The root user of the account.
    Root,
    /// A user with a key that does not end.
    UserWithKey,
    /// A user with a session token.
    UserSession,
    /// A role that IAM Identity Center gives.
    Sso,
    /// A role.
    Role,
    /// A federated user.
    Federated,
    /// Something else.
    Other,
}

impl Session {
    /// Reads an ARN (IAM User Guide, "IAM identifiers").
    pub fn of(arn: &str, temporary: bool) -> Self {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let kind = resource.split('/').next().unwrap_or_default();
        match kind {
            "root" => Session::Root,
            "user" if temporary => Session::UserSession,
            "user" => Session::UserWithKey,
            "assumed-role" if resource.contains("/AWSReservedSSO_") => Session::Sso,
            "assumed-role" => Session::Role,
            "federated-user" => Session::Federated,
            _ => Session::Other,
        }
    }

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Session::Root => "root user",
            Session::UserWithKey => "user with a long-lived key",
            Session::UserSession => "user with a session token",
            Session::Sso => "single sign-on role",
            Session::Role => "role",
            Session::Federated => "federated user",
            Session::Other => "unknown",
        }
    }
}

/// The name of the role behind an assumed role's ARN.
pub fn role_name(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    resource.strip_prefix("assumed-role/")?.split('/').next()
}

/// Yes, no, or unknown; and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// None where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    /// Why.
    pub because: String,
}

impl Answer {
    /// An answer with its reason.
    pub fn new(holds: Option<bool>, because: impl Into<String>) -> Self {
        Answer { holds, because: because.into() }
    }
}

/// Whether a second factor opened the session. `trust` is the role's trust policy, or why it could not be read.
pub fn mfa(session: Session, trust: Option<&Result<String, String>>) -> Answer {
    match (session, trust) {
        (Session::UserWithKey, _) => Answer::new(Some(false), "a long-lived key asks for no second factor"),
        (Session::Root, _) => Answer::new(Some(false), "nothing about the root user's session says so"),
        (Session::Role, Some(Ok(policy))) => match requires_mfa(policy) {
            Some(true) => Answer::new(Some(true), "the role's trust policy requires it"),
            Some(false) => Answer::new(Some(false), "the role's trust policy does not require it"),
            None => Answer::new(None, "the role's trust policy is not understood"),
        },
        (Session::Role, Some(Err(reason))) => {
            Answer::new(None, format!("the role's trust policy could not be read: {reason}"))
        }
        (Session::Sso, _) => Answer::new(None, "single sign-on decides on it outside the account"),
        _ => Answer::new(None, "the session does not say"),
    }
}

/// Whether every principal of a trust policy needs a second factor (IAM User Guide, "MFA-protected API access").
/// None for what is not a policy.
pub fn requires_mfa(policy: &str) -> Option<bool> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let statements = match policy.get("Statement")? {
        Value::Array(statements) => statements.clone(),
        one => vec![one.clone()],
    };
    let allows: Vec<_> = statements.iter().filter(|statement| statement["Effect"] == "Allow").collect();
    Some(!allows.is_empty() && allows.iter().all(|statement| has_mfa_condition(statement)))
}

fn has_mfa_condition(statement: &Value) -> bool {
    // BoolIfExists allows sessions without the key, so it proves nothing.
    let value = &statement["Condition"]["Bool"]["aws:MultiFactorAuthPresent"];
    match value {
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Bool(yes) => *yes,
        Value::Array(values) => values.iter().all(|v| v == "true" || *v == Value::Bool(true)) && !values.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_tell_the_kind_of_session() {
        for (arn, temporary, expected) in [
            ("arn:aws:iam::123456789012:root", false, Session::Root),
            ("arn:aws:iam::123456789012:user/ops/bob", false, Session::UserWithKey),
            ("arn:aws:iam::123456789012:user/bob", true, Session::UserSession),
            ("arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Audit_1a2b/bob", true, Session::Sso),
            ("arn:aws:sts::123456789012:assumed-role/exit-drill/me", true, Session::Role),
            ("arn:aws:sts::123456789012:federated-user/bob", true, Session::Federated),
            ("", false, Session::Other),
        ] {
            assert_eq!(Session::of(arn, temporary), expected, "{arn}");
        }
        assert_eq!(role_name("arn:aws:sts::123456789012:assumed-role/exit-drill/me"), Some("exit-drill"));
        assert_eq!(role_name("arn:aws:iam::123456789012:user/bob"), None);
    }

    #[test]
    fn every_way_into_a_role_needs_the_second_factor() {
        let with = r#"{"Effect":"Allow","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}"#;
        let without = r#"{"Effect":"Allow"}"#;
        let if_exists = r#"{"Effect":"Allow","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}}"#;
        let policy = |statements: &str| format!("{{\"Statement\":[{statements}]}}");
        assert_eq!(requires_mfa(&policy(with)), Some(true));
        assert_eq!(requires_mfa(&policy(&format!("{with},{without}"))), Some(false));
        assert_eq!(requires_mfa(&policy(if_exists)), Some(false));
        assert_eq!(requires_mfa(&policy("")), Some(false));
        assert_eq!(requires_mfa("no"), None);
    }

    #[test]
    fn what_nobody_can_tell_is_not_held() {
        assert_eq!(mfa(Session::Sso, None).holds, None);
        assert_eq!(mfa(Session::Role, Some(&Err("denied".into()))).holds, None);
        assert_eq!(mfa(Session::UserWithKey, None).holds, Some(false));
    }
}
