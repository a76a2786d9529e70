//! Our own parser of bucket policies: one text for all that mean the same, whether a policy is public, and which
//! other accounts it gives access. Servers other than AWS do not report whether a policy is public; AWS's statement is
//! compared with this reading.
//!
//! A policy is public when an Allow for everyone is bound by no condition on a fixed value (Amazon S3 User Guide, "The
//! meaning of public"), or when the networks that it is limited to are too large to belong to one owner. A condition that
//! does not limit to the bucket's own account gives others access. Deny statements are not evaluated here.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Map, Value};

/// The shortest prefixes that limit a request to a network (Amazon S3 User Guide, "The meaning of public").
const PREFIX_BITS_MIN: (u8, u8) = (8, 32);
/// Networks that are narrow one by one are public together if they hold a sixteenth of all IPv4 addresses, or as many of
/// IPv6 as 4,096 of the widest.
const ADDRESSES_MAX: (u128, u128) = (1 << 28, 1 << 108);
/// Condition keys that limit a request to a principal when their value is fixed, in lower case.
const BINDING_KEYS: [&str; 14] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceowner",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "aws:username",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];
const SOURCE_IP: &str = "aws:sourceip";
const BINDING_OPERATORS: [&str; 5] = ["stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"];

/// To whom a policy gives access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Why it is public, one line for each such statement.
    pub public: Vec<String>,
    /// Accounts, organizations, canonical users and networks that are not known to be the bucket's own account.
    pub others: BTreeSet<String>,
    /// It has a Deny, which may override what it allows.
    pub denies: bool,
    /// It allows everyone through an access point, whose own policy decides who that is.
    pub leaves_to_access_points: bool,
}

/// The policy's text with unordered parts sorted.
///
/// # Errors
/// Why it is not a policy.
pub fn canonical(text: &str) -> Result<String, String> {
    let policy: Value = serde_json::from_str(text).map_err(|error| format!("the policy is not JSON: {error}"))?;
    if statements(&policy).is_none() {
        return Err("the policy holds no statement".to_owned());
    }
    Ok(ordered(&policy).to_string())
}

/// Lists in policies are sets, and a set of one may be written without its brackets.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
            let set = |(name, value): (&String, &Value)| {
                let value = ordered(value);
                let is_one = !value.is_array() && !PLAIN.contains(&name.as_str());
                // The objects of a policy hold fields; only statements are a list of objects.
                let is_set = is_one && (!value.is_object() || name == "Statement");
                (name.clone(), if is_set { Value::Array(vec![value]) } else { value })
            };
            Value::Object(sorted.into_iter().map(set).collect::<Map<_, _>>())
        }
        Value::Array(values) => {
            let mut values: Vec<_> = values.iter().map(ordered).collect();
            values.sort_by_cached_key(Value::to_string);
            values.dedup();
            Value::Array(values)
        }
        other => other.clone(),
    }
}

/// Fields of a policy that hold one value.
const PLAIN: [&str; 4] = ["Version", "Id", "Sid", "Effect"];

fn statements(policy: &Value) -> Option<Vec<&Value>> {
    match policy.get("Statement")? {
        Value::Array(statements) => Some(statements.iter().collect()),
        one @ Value::Object(_) => Some(vec![one]),
        _ => None,
    }
}

/// Reads a policy; `own` is the bucket's account, if it is known.
///
/// # Errors
/// Why it is not a policy.
pub fn read(text: &str, own: Option<&str>) -> Result<Reading, String> {
    let policy: Value = serde_json::from_str(text).map_err(|error| format!("the policy is not JSON: {error}"))?;
    let statements = statements(&policy).ok_or("the policy holds no statement")?;
    let mut reading = Reading::default();
    let mut networks = Vec::new();
    for statement in statements {
        match statement["Effect"].as_str() {
            Some("Allow") => networks.extend(reading.allow(statement, own)),
            Some("Deny") => reading.denies = true,
            _ => return Err("a statement neither allows nor denies".to_owned()),
        }
    }
    if are_everybody(&networks) {
        let words =
            format!("it allows everybody in {} networks, which are together too many to be one's own", networks.len());
        reading.public.push(words);
    }
    Ok(reading)
}

impl Reading {
    /// Adds what a statement allows. Returns the networks, where it is limited by nothing else.
    fn allow(&mut self, statement: &Value, own: Option<&str>) -> Vec<String> {
        let name = statement["Sid"].as_str().map_or("a statement".to_owned(), |sid| format!("statement {sid}"));
        if statement.get("NotPrincipal").is_some() {
            self.public.push(format!("{name} allows everybody but a few"));
            return Vec::new();
        }
        let bound = bound_to(&statement["Condition"]);
        let mut everybody = false;
        let mut services = false;
        for principal in principals(&statement["Principal"]) {
            match principal {
                Principal::Everybody => everybody = true,
                Principal::Service => services = true,
                Principal::Account(account) if own == Some(account.as_str()) => {}
                Principal::Account(account) => {
                    self.others.insert(format!("account {account}"));
                }
                Principal::Other(other) => {
                    self.others.insert(other);
                }
            }
        }
        if services {
            // A service acts for the principals in the condition.
            self.others.extend(foreign(&bound, own));
        }
        if !everybody {
            return Vec::new();
        }
        // An access point limits nobody: its own policy decides on access.
        self.leaves_to_access_points |=
            !bound.is_empty() && bound.iter().all(|(key, _)| key.contains("dataaccesspoint"));
        if bound.is_empty() {
            let condition =
                if statement["Condition"].is_object() { ", on a condition that everybody meets" } else { "" };
            self.public.push(format!("{name} allows everybody{condition}"));
        }
        self.others.extend(foreign(&bound, own));
        if bound.iter().all(|(key, _)| key == SOURCE_IP) {
            bound.into_iter().flat_map(|(_, networks)| networks).collect()
        } else {
            Vec::new()
        }
    }
}

/// Principals in conditions that are not known to be the own account. All must hold: one that limits to it is enough.
fn foreign(bound: &[(String, Vec<String>)], own: Option<&str>) -> Vec<String> {
    let foreign: Vec<Vec<String>> = bound
        .iter()
        .map(|(key, values)| {
            let others = values.iter().map(|value| named(key, value));
            others.filter(|(kind, name)| !(*kind == "account" && own == Some(name.as_str()))).collect::<Vec<_>>()
        })
        .map(|others| others.into_iter().map(|(kind, name)| format!("{kind} {name}")).collect())
        .collect();
    if foreign.iter().any(Vec::is_empty) { Vec::new() } else { foreign.concat() }
}

enum Principal {
    Everybody,
    Service,
    Account(String),
    Other(String),
}

fn principals(principal: &Value) -> Vec<Principal> {
    match principal {
        // Alone, or in the list of the canonical text.
        Value::String(_) | Value::Array(_) if texts(principal).iter().any(|text| text == "*") => {
            vec![Principal::Everybody]
        }
        Value::Object(kinds) => kinds
            .iter()
            .flat_map(|(kind, names)| texts(names).into_iter().filter_map(move |name| principal_of(kind, &name)))
            .collect(),
        _ => Vec::new(),
    }
}

fn principal_of(kind: &str, name: &str) -> Option<Principal> {
    match kind {
        // Services of the provider act for accounts by rules of their own, where no condition names one.
        "Service" => Some(Principal::Service),
        _ if name == "*" => Some(Principal::Everybody),
        "AWS" => {
            let account = if name.starts_with("arn:") { name.split(':').nth(4) } else { Some(name) };
            let account = account.filter(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()));
            Some(
                account.map_or_else(
                    || Principal::Other(name.to_owned()),
                    |account| Principal::Account(account.to_owned()),
                ),
            )
        }
        "CanonicalUser" => Some(Principal::Other(format!("canonical user {name}"))),
        _ => Some(Principal::Other(name.to_owned())),
    }
}

/// The key of each condition that limits a request, and the values that it limits it to.
fn bound_to(conditions: &Value) -> Vec<(String, Vec<String>)> {
    let operators = conditions.as_object().into_iter().flatten();
    let conditions = operators.flat_map(|(operator, keys)| {
        keys.as_object()
            .into_iter()
            .flatten()
            .map(move |(key, values)| (operator.to_lowercase(), key.to_lowercase(), texts(values)))
    });
    let bound = conditions.filter(|(operator, key, values)| binds(operator, key, values));
    bound.map(|(_, key, values)| (key, values)).collect()
}

fn binds(operator: &str, key: &str, values: &[String]) -> bool {
    // Requests that lack the key satisfy a condition with one of these.
    if operator.ends_with("ifexists") || operator.starts_with("forallvalues:") || values.is_empty() {
        return false;
    }
    let operator = operator.strip_prefix("foranyvalue:").unwrap_or(operator);
    if key == SOURCE_IP {
        return operator == "ipaddress" && values.iter().all(|network| is_narrow(network));
    }
    BINDING_OPERATORS.contains(&operator)
        && BINDING_KEYS.contains(&key)
        && values.iter().all(|value| is_fixed(key, value))
}

/// Whether a value is specific. In an ARN the account is enough.
fn is_fixed(key: &str, value: &str) -> bool {
    let open = |text: &str| text.contains(['*', '?', '$']) || text.is_empty();
    if key.ends_with("arn") && value.starts_with("arn:") {
        return value.split(':').nth(4).is_some_and(|account| !open(account));
    }
    // A path within an organization begins with the organization, which is enough.
    if key.ends_with("orgpaths") {
        return value.split('/').next().is_some_and(|organization| !open(organization));
    }
    !open(value)
}

fn is_narrow(network: &str) -> bool {
    let (address, bits) = network.split_once('/').map_or((network, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let least = if address.is_ipv4() { PREFIX_BITS_MIN.0 } else { PREFIX_BITS_MIN.1 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits >= least))
}

/// The kind of a condition's value, and its name.
fn named(key: &str, value: &str) -> (&'static str, String) {
    let kind = match key {
        "aws:principalaccount" | "aws:sourceaccount" | "aws:sourceowner" | "s3:dataaccesspointaccount" => "account",
        "aws:principalorgid" | "aws:sourceorgid" => "organization",
        "aws:principalorgpaths" => {
            return ("organization", value.split('/').next().unwrap_or_default().to_owned());
        }
        _ if key.ends_with("arn") => match value.split(':').nth(4) {
            Some(account) => return ("account", account.to_owned()),
            None => "whoever is",
        },
        SOURCE_IP => "whoever comes from network",
        "aws:sourcevpc" | "aws:sourcevpce" => "whoever comes through",
        _ => "whoever is",
    };
    (kind, value.to_owned())
}

/// Whether networks together hold more addresses than one owner has.
fn are_everybody(networks: &[String]) -> bool {
    let ranges = |of_v4: bool| {
        let ranges = networks.iter().filter_map(|network| range(network)).filter(|(is_v4, ..)| *is_v4 == of_v4);
        ranges.map(|(_, from, to)| (from, to)).collect()
    };
    addresses(ranges(true)) >= ADDRESSES_MAX.0 || addresses(ranges(false)) >= ADDRESSES_MAX.1
}

/// The first and the last address of a network, and whether they are of IPv4.
fn range(network: &str) -> Option<(bool, u128, u128)> {
    let (address, bits) = network.split_once('/').map_or((network, None), |(address, bits)| (address, Some(bits)));
    let (is_v4, first, width) = match address.parse().ok()? {
        IpAddr::V4(address) => (true, u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (false, u128::from(address), 128_u32),
    };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok()).filter(|bits| *bits <= width)?;
    let hosts = 1_u128.checked_shl(width - bits).map_or(u128::MAX, |size| size - 1);
    Some((is_v4, first & !hosts, first | hosts))
}

/// How many addresses ranges hold, each counted once.
fn addresses(mut ranges: Vec<(u128, u128)>) -> u128 {
    ranges.sort_unstable();
    let mut sum = 0_u128;
    let mut next = 0_u128;
    for (from, to) in ranges {
        if to >= next {
            sum = sum.saturating_add((to - from.max(next)).saturating_add(1));
            next = to.saturating_add(1);
        }
    }
    sum
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Bool(yes) => vec![yes.to_string()],
        Value::Number(number) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(rest: &str) -> Reading {
        let text = format!(
            "{{\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"*\",{rest}}}]}}"
        );
        read(&text, Some("111111111111")).unwrap()
    }

    #[test]
    fn conditions_bind_only_to_fixed_values() {
        for (condition, public) in [
            (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":["0.0.0.0/1","128.0.0.0/1"]}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, false),
            (r#"{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}"#, true),
            (r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, true),
            (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
            (r#"{"StringLike":{"aws:Referer":"https://acme.example/*"}}"#, true),
            (r#"{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#, false),
            (r#"{"StringLike":{"aws:PrincipalOrgID":"*"}}"#, true),
            (r#"{"ForAllValues:StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#, true),
            (r#"{"StringEquals":{"aws:sourcevpce":"vpce-1"},"Bool":{"aws:SecureTransport":true}}"#, false),
            (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}"#, false),
            (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/admin"}}"#, true),
            (r#"{"StringNotEquals":{"aws:PrincipalAccount":"222222222222"}}"#, true),
            ("{}", true),
        ] {
            for principal in [r#""*""#, r#"{"AWS":"*"}"#, r#"{"AWS":["arn:aws:iam::111111111111:root","*"]}"#] {
                let reading = allow(&format!("\"Principal\":{principal},\"Condition\":{condition}"));
                assert_eq!(!reading.public.is_empty(), public, "{principal} {condition}");
            }
        }
        assert_eq!(allow(r#""NotPrincipal":{"AWS":"arn:aws:iam::222222222222:root"}"#).public.len(), 1);
    }

    #[test]
    fn what_is_left_to_access_points_is_no_answer_to_who_is_let_in() {
        for (condition, left) in [
            (r#"{"StringEquals":{"s3:DataAccessPointAccount":"111111111111"}}"#, true),
            (r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:eu-central-1:111111111111:accesspoint/*"}}"#, true),
            (r#"{"StringEquals":{"s3:DataAccessPointAccount":"111111111111","aws:PrincipalOrgID":"o-abc"}}"#, false),
            (r#"{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#, false),
            ("{}", false),
        ] {
            let reading = allow(&format!("\"Principal\":\"*\",\"Condition\":{condition}"));
            assert_eq!(reading.leaves_to_access_points, left, "{condition}");
            assert_eq!(reading.public.is_empty(), condition != "{}", "{condition}");
        }
        let own = r#""Principal":{"AWS":"111111111111"},"Condition":{"StringEquals":{"s3:DataAccessPointAccount":"111111111111"}}"#;
        assert!(!allow(own).leaves_to_access_points);
    }

    #[test]
    fn other_accounts_are_named_and_the_own_one_is_not() {
        let names = r#"{"AWS":["111111111111","arn:aws:iam::222222222222:user/x","333333333333"],"Service":"logging.s3.amazonaws.com","CanonicalUser":"abc"}"#;
        let reading = allow(&format!("\"Principal\":{names}"));
        let others: Vec<_> = reading.others.iter().map(String::as_str).collect();
        assert_eq!(others, ["account 222222222222", "account 333333333333", "canonical user abc"]);
        assert!(reading.public.is_empty());
        let bound = allow(
            r#""Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":["111111111111","222222222222"]}}"#,
        );
        assert_eq!((bound.public.len(), bound.others.len()), (0, 1));
        let own = "111111111111";
        for (condition, others) in [
            (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::222222222222:role/*"}}"#, "account 222222222222"),
            (r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu-central-1:222222222222:t"}}"#, "account 222222222222"),
            (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}"#, ""),
            (r#"{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#, "organization o-abc"),
            (r#"{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-abc/r-1/ou-1/*"]}}"#, "organization o-abc"),
            (r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, "whoever comes from network 192.0.2.0/24"),
            (r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#, "whoever comes through vpce-1"),
            (
                r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"StringEquals":{"aws:PrincipalAccount":"111111111111"}}"#,
                "",
            ),
        ] {
            for principal in [r#""*""#, r#"{"AWS":"*"}"#] {
                let reading = allow(&format!("\"Principal\":{principal},\"Condition\":{condition}"));
                let found: Vec<_> = reading.others.into_iter().collect();
                assert_eq!((found.join(", "), reading.public.len()), (others.to_owned(), 0), "{condition}");
            }
        }
        let service = |account: &str| {
            let condition = format!(r#"{{"StringEquals":{{"aws:SourceAccount":"{account}"}}}}"#);
            allow(&format!(r#""Principal":{{"Service":"sns.amazonaws.com"}},"Condition":{condition}"#)).others.len()
        };
        assert_eq!((service(own), service("222222222222")), (0, 1));
    }

    #[test]
    fn networks_are_judged_together() {
        let with = |networks: &[String]| {
            let condition = serde_json::json!({"IpAddress": {"aws:SourceIp": networks}});
            allow(&format!("\"Principal\":\"*\",\"Condition\":{condition}")).public.len()
        };
        let eighths = |from: u32, to: u32| (from..to).map(|first| format!("{first}.0.0.0/8")).collect::<Vec<_>>();
        assert_eq!((with(&eighths(0, 256)), with(&eighths(1, 17)), with(&eighths(10, 12))), (1, 1, 0));
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "10.1.0.0/16"].map(str::to_owned);
        assert_eq!(with(&private), 0);
        assert_eq!(with(&vec!["10.0.0.0/8".to_owned(); 300]), 0, "one network, told many times");
        let wide =
            |count: u32| (0..count).map(|n| format!("2{:03x}:{:04x}::/32", n >> 16, n & 0xffff)).collect::<Vec<_>>();
        assert_eq!((with(&wide(4_096)), with(&wide(40))), (1, 0));
        // One statement for each.
        let statement = |network: String| {
            format!(
                r#"{{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*","Condition":{{"IpAddress":{{"aws:SourceIp":"{network}"}}}}}}"#
            )
        };
        let statements: Vec<_> = eighths(0, 256).into_iter().map(statement).collect();
        let reading = read(&format!("{{\"Statement\":[{}]}}", statements.join(",")), None).unwrap();
        assert_eq!(reading.public.len(), 1);
    }

    #[test]
    fn a_policy_is_read_the_same_from_its_canonical_text() {
        let text = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}}}"#;
        assert_eq!(read(text, None), read(&canonical(text).unwrap(), None));
        assert_eq!(read(text, None).unwrap().public.len(), 1);
    }

    #[test]
    fn policies_that_mean_the_same_have_one_text() {
        let one =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["a","b"]},"Action":"s3:*"}}"#;
        let other = r#"{ "Statement": [{"Action": ["s3:*"], "Principal": {"AWS": ["b","a"]}, "Effect": "Allow"}], "Version": "2012-10-17"}"#;
        assert_eq!(canonical(one), canonical(other));
        assert_ne!(canonical(one), canonical(&one.replace("s3:*", "s3:Get*")));
        for wrong in ["", "{}", "[]", "{\"Statement\":7}"] {
            assert!(canonical(wrong).is_err() && read(wrong, None).is_err(), "{wrong}");
        }
    }
}
