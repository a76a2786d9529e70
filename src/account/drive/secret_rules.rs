//! What secrets look like: walkaway's own rule set, in three kinds of rules. Tokens with a vendor's prefix; files
//! whose format has a field for a password; names of settings that hold one. Precision before completeness: what is
//! found deserves a look, but what is not found is not proven to be absent.
//!
//! The prefixes and lengths are from the vendors' own documentation. A value that refers to a secret stored elsewhere
//! (`env:`, `file:`, `${…}`, a path, an ARN) does not count.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::playbook::secret_in;

/// The rule set's name, for the evidence.
pub(super) const RULE_SET: &str = "walkaway rules 2";

/// A token: its prefix, the least number of characters that follow, which ones besides letters and digits, and its name.
type Token = (&'static str, usize, &'static str, &'static str);

const TOKENS: [Token; 72] = [
    ("ghp_", 30, "", "a GitHub token"),
    ("gho_", 30, "", "a GitHub token"),
    ("ghu_", 30, "", "a GitHub token"),
    ("ghs_", 30, "", "a GitHub token"),
    ("ghr_", 30, "", "a GitHub token"),
    ("github_pat_", 30, "_", "a GitHub token"),
    ("npm_", 36, "", "an npm token"),
    ("glpat-", 20, "_-.", "a GitLab token"),
    ("gldt-", 20, "_-.", "a GitLab token"),
    ("glrt-", 20, "_-.", "a GitLab token"),
    ("glptt-", 20, "_-.", "a GitLab token"),
    ("glcbt-", 20, "_-.", "a GitLab token"),
    ("glsoat-", 20, "_-.", "a GitLab token"),
    ("ATBB", 28, "", "a Bitbucket token"),
    ("ATATT3", 60, "_-=", "an Atlassian token"),
    ("xoxb-", 20, "-", "a Slack token"),
    ("xoxp-", 20, "-", "a Slack token"),
    ("xoxa-", 20, "-", "a Slack token"),
    ("xoxr-", 20, "-", "a Slack token"),
    ("xoxs-", 20, "-", "a Slack token"),
    ("xoxe-", 20, "-", "a Slack token"),
    ("xapp-", 20, "-", "a Slack token"),
    ("hooks.slack.com/services/", 30, "/", "a Slack webhook"),
    ("sk_live_", 16, "", "a Stripe key"),
    ("sk_test_", 16, "", "a Stripe key"),
    ("rk_live_", 16, "", "a Stripe key"),
    ("rk_test_", 16, "", "a Stripe key"),
    ("whsec_", 24, "", "a webhook secret"),
    ("AIza", 35, "_-", "a Google API key"),
    ("GOCSPX-", 24, "_-", "a Google OAuth secret"),
    ("ya29.", 30, "_-", "a Google access token"),
    ("SG.", 40, "_-.", "a SendGrid key"),
    ("pypi-", 50, "_-", "a PyPI token"),
    ("rubygems_", 40, "", "a RubyGems key"),
    ("dckr_pat_", 20, "_-", "a Docker token"),
    ("dckr_oat_", 20, "_-", "a Docker token"),
    ("dop_v1_", 60, "", "a DigitalOcean token"),
    ("doo_v1_", 60, "", "a DigitalOcean token"),
    ("dor_v1_", 60, "", "a DigitalOcean token"),
    ("hf_", 30, "", "a Hugging Face token"),
    ("sk-ant-", 30, "_-", "an Anthropic key"),
    ("sk-proj-", 30, "_-", "an OpenAI key"),
    ("sk-svcacct-", 30, "_-", "an OpenAI key"),
    ("hvs.", 24, "_-", "a Vault token"),
    ("hvb.", 24, "_-", "a Vault token"),
    ("hvr.", 24, "_-", "a Vault token"),
    ("AGE-SECRET-KEY-1", 50, "", "an age key"),
    ("shpat_", 30, "", "a Shopify token"),
    ("shpca_", 30, "", "a Shopify token"),
    ("shppa_", 30, "", "a Shopify token"),
    ("shpss_", 30, "", "a Shopify token"),
    ("sq0atp-", 20, "_-", "a Square token"),
    ("sq0csp-", 20, "_-", "a Square secret"),
    ("AccountKey=", 60, "+/=", "an Azure storage key"),
    ("SharedAccessKey=", 40, "+/=", "an Azure access key"),
    ("dapi", 32, "", "a Databricks token"),
    ("NRAK-", 24, "", "a New Relic key"),
    ("glc_", 32, "+/=", "a Grafana token"),
    ("glsa_", 32, "_", "a Grafana token"),
    ("lin_api_", 32, "", "a Linear key"),
    ("PMAK-", 40, "-", "a Postman key"),
    ("dp.pt.", 40, "", "a Doppler token"),
    ("pscale_tkn_", 32, "_-.=", "a PlanetScale token"),
    ("pscale_pw_", 32, "_-.=", "a PlanetScale password"),
    ("pul-", 40, "", "a Pulumi token"),
    ("AKCp", 60, "", "an Artifactory key"),
    ("sbp_", 40, "", "a Supabase token"),
    ("nfp_", 36, "", "a Netlify token"),
    ("fo1_", 40, "_-", "a Fly.io token"),
    ("FlyV1 fm", 60, "_-+/=,", "a Fly.io token"),
    ("tskey-", 20, "-", "a Tailscale key"),
    ("oy2", 43, "", "a NuGet key"),
];

/// Parts of the names of settings whose value is a secret, in lower case without `-` and `_`.
const SECRET_NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "clientkeydata",
    "accountkey",
    "authtoken",
    "credential",
    "signingkey",
    "encryptionkey",
    "connectionstring",
];
/// Suffixes of names that describe a secret and do not hold one.
const ABOUT_SECRETS: [&str; 28] = [
    "accesskeyid",
    "age",
    "algorithm",
    "arn",
    "count",
    "days",
    "enabled",
    "endpoint",
    "env",
    "expiry",
    "field",
    "file",
    "format",
    "header",
    "id",
    "length",
    "location",
    "name",
    "path",
    "policy",
    "prefix",
    "ref",
    "required",
    "ttl",
    "type",
    "uri",
    "url",
    "version",
];
/// Prefixes of values that refer to a secret stored elsewhere.
const REFERENCES: [&str; 15] =
    ["%", "<", "{", "[", "/", "./", "../", "~", "env:", "file:", "arn:", "vault:", "op:", "http:", "https:"];
/// Placeholder values.
const PLACEHOLDERS: [&str; 12] =
    ["null", "none", "true", "false", "yes", "no", "required", "optional", "example", "redacted", "todo", "undefined"];
const VALUE_CHARS_MIN: usize = 6;
/// The shortest hash of a password, that of crypt(3).
const HASH_CHARS_MIN: usize = 13;
/// Words of a sentence about a secret, as opposed to a passphrase.
const OF_SENTENCES: [&str; 14] =
    ["a", "for", "from", "is", "key", "of", "password", "passphrase", "secret", "see", "the", "to", "token", "your"];

/// The kind of secret that a line looks like, if any. `is_settings`: the file holds settings, so that names count.
pub(super) fn in_line(line: &str, is_settings: bool) -> Option<&'static str> {
    secret_in(line)
        .or_else(|| token_in(line))
        .or_else(|| (line.contains("PuTTY-User-Key-File-")).then_some("a private key"))
        .or_else(|| has_jwt(line).then_some("a JSON web token"))
        .or_else(|| aws_secret(line))
        .or_else(|| curl_login(line).then_some("a login for curl"))
        .or_else(|| if is_settings { setting(line) } else { None })
}

/// The kind of secret that a line of a file of this name holds by the format of such files.
pub(super) fn in_format(file: &str, line: &str) -> Option<&'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    match file {
        ".pgpass" | "pgpass.conf" => pgpass(line).then_some("a password of PostgreSQL"),
        ".netrc" | "_netrc" => netrc(line).then_some("a password of a host"),
        ".npmrc" | ".yarnrc" | ".yarnrc.yml" => npmrc(line).then_some("a password of a package registry"),
        "config.json" | ".dockercfg" | ".dockerconfigjson" => {
            docker(line).then_some("a password of a container registry")
        }
        ".htpasswd" | "htpasswd" => {
            line.split_once(':').is_some_and(|(_, hash)| hash.len() >= HASH_CHARS_MIN).then_some("a hashed password")
        }
        _ if file.starts_with("Dockerfile") || file.starts_with("Containerfile") => {
            docker_variable(line).then_some("a secret in a variable of an image")
        }
        ".vault-token" => (line.len() > 16).then_some("a Vault token"),
        _ => None,
    }
}

/// One pass over the beginnings of words, because most of the text holds no secret.
fn token_in(line: &str) -> Option<&'static str> {
    let bytes = line.as_bytes();
    let is_of_word = |at: usize| bytes[at].is_ascii_alphanumeric();
    let begins = |at: &usize| is_of_word(*at) && (*at == 0 || !is_of_word(at - 1));
    let mut words = (0..bytes.len()).filter(begins).map(|at| &bytes[at..]);
    words.find_map(|word| TOKENS.iter().find(|token| is_token(word, token))).map(|token| token.3)
}

fn is_token(word: &[u8], (prefix, least, besides, _): &Token) -> bool {
    word.strip_prefix(prefix.as_bytes()).is_some_and(|rest| {
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || besides.as_bytes().contains(b)).count();
        length >= *least && rest[..length].iter().any(u8::is_ascii_digit)
    })
}

/// Three parts of base64url, of which two are JSON objects (RFC 7519).
fn has_jwt(line: &str) -> bool {
    line.match_indices("eyJ").any(|(at, _)| {
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || b"-_.=".contains(b);
        let text = &line[at..at + line[at..].bytes().take_while(is_part).count()];
        let parts: Vec<_> = text.split('.').collect();
        parts.len() == 3 && parts[1].starts_with("eyJ") && parts.iter().all(|part| part.len() >= 16)
    })
}

/// `…secret… = 40 characters`, as in the SDK's files and most others.
fn aws_secret(line: &str) -> Option<&'static str> {
    let (name, value) = line.split_once(['=', ':'])?;
    let value = value.trim().trim_matches(['"', '\'', ',']);
    let fits = value.len() == 40 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    (fits && name.to_ascii_lowercase().contains("secret")).then_some("an AWS secret access key")
}

/// `name = value`, `name: value`, `"name": "value"`, `<name>value</name>`, where the name shows what the value is.
fn setting(line: &str) -> Option<&'static str> {
    let is_secret = |(name, value): (&str, &str)| is_named(name) && is_value(value);
    let mut pairs = line.split([',', '{', '}']).filter_map(|part| part.split_once([':', '=']));
    // A quoted value may hold the characters that separate pairs.
    let quoted = || line.split_once([':', '=']).filter(|(_, value)| quoted(value).is_some());
    let found = pairs.any(is_secret) || quoted().is_some_and(is_secret) || elements(line).any(is_secret);
    found.then_some("a secret in a setting")
}

/// Elements of XML that start and end on the line, with their text.
fn elements(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('<').zip(line.split('<').skip(1)).filter_map(|(open, close)| {
        let (tag, text) = open.split_once('>')?;
        let name = tag.split_whitespace().next()?;
        (close.strip_prefix('/')?.split('>').next()? == name).then_some((name, text))
    })
}

/// Whether the name of a setting shows that its value is a secret. The last word before the sign: `export API_KEY=…`,
/// `- token: …`.
fn is_named(name: &str) -> bool {
    let word = name.split_whitespace().next_back().unwrap_or_default();
    let plain = word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let is_secret = plain == "pass" || SECRET_NAMES.iter().any(|secret| plain.contains(secret));
    is_secret && !ABOUT_SECRETS.iter().any(|end| plain.ends_with(end))
}

/// The content of the quotes, if a value is quoted.
fn quoted(value: &str) -> Option<&str> {
    let value = value.trim().trim_end_matches([',', ';']).trim_end();
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote));
    inner('"').or_else(|| inner('\''))
}

fn is_value(value: &str) -> bool {
    let value = value.trim().trim_start_matches('=').trim();
    let in_quotes = quoted(value);
    let value = in_quotes.unwrap_or_else(|| value.trim_matches(['"', '\'', ';']));
    let lower = value.to_ascii_lowercase();
    let is_sentence = || lower.split_whitespace().any(|word| OF_SENTENCES.contains(&word));
    value.chars().count() >= VALUE_CHARS_MIN
        && (!value.contains(char::is_whitespace) || (in_quotes.is_some() && !is_sentence()))
        && !is_variable(value)
        && !REFERENCES.iter().any(|reference| lower.starts_with(reference))
        && !PLACEHOLDERS.contains(&lower.as_str())
        && value.chars().any(|c| c != '*' && c != 'x' && c != '.')
}

/// `${NAME}`, `$(command)`, `$NAME`, `$db_password`; not `$ecret1`, which is not a variable.
fn is_variable(value: &str) -> bool {
    let Some(name) = value.strip_prefix('$') else { return false };
    let is_identifier = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_known = name.bytes().all(|b| !b.is_ascii_lowercase()) || name.contains('_') || is_named(name);
    name.starts_with(['{', '(']) || (is_identifier && is_known)
}

/// `ENV NAME value` and `ARG NAME=value`; the other forms are settings like any other.
fn docker_variable(line: &str) -> bool {
    let mut words = line.splitn(3, char::is_whitespace);
    let is_variable = words.next().is_some_and(|word| word.eq_ignore_ascii_case("env"));
    let pair = words.next().zip(words.next());
    is_variable && pair.is_some_and(|(name, value)| !name.contains('=') && is_named(name) && is_value(value))
}

/// `curl -u user:password`, `curl --user=user:password`.
fn curl_login(line: &str) -> bool {
    let Some((_, arguments)) = line.split_once("curl") else { return false };
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let login = |at: usize| match words[at] {
        "-u" | "--user" => words.get(at + 1).copied(),
        word => word.strip_prefix("--user=").or_else(|| word.strip_prefix("-u")),
    };
    (0..words.len()).filter_map(login).any(|login| {
        let login = login.trim_matches(['"', '\'']);
        login.split_once(':').is_some_and(|(_, password)| {
            password.len() > 1 && !is_variable(password) && !password.starts_with(['<', '{', '%'])
        })
    })
}

/// `host:port:database:user:password`, with `\:` for a colon; what follows the fourth is the password, colons and all
/// (PostgreSQL documentation, "The Password File").
fn pgpass(line: &str) -> bool {
    line.replace("\\\\", "_")
        .replace("\\:", "_")
        .splitn(5, ':')
        .nth(4)
        .is_some_and(|password| !password.trim().is_empty())
}

/// The words of an entry may stand on lines of their own: what follows `password` is one.
fn netrc(line: &str) -> bool {
    line.split_whitespace().any(|word| word == "password")
}

fn npmrc(line: &str) -> bool {
    let keys = ["_authToken", "_password", "_auth", "npmAuthToken", "npmAuthIdent"];
    let value = keys.iter().find_map(|key| line.split_once(key)).map(|(_, value)| value);
    value.is_some_and(|value| {
        let value = value.trim_start_matches(['"', '\'', ' ', '\t', ':', '=']).trim_end_matches(['"', '\'', ' ']);
        value.len() >= VALUE_CHARS_MIN && !value.starts_with('$')
    })
}

/// `"auth": "base64 of user:password"`, or a token beside it.
fn docker(line: &str) -> bool {
    line.split(['{', '}', ',']).filter_map(|part| part.split_once(':')).any(|(name, value)| {
        let value = value.trim().trim_matches('"');
        let decoded = || BASE64_STANDARD.decode(value).is_ok_and(|plain| plain.contains(&b':') && plain.len() > 3);
        match name.trim().trim_matches('"') {
            "auth" => decoded(),
            "identitytoken" | "registrytoken" => value.len() >= VALUE_CHARS_MIN,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alphanumeric(length: usize) -> String {
        "a1B2c3D4e5".chars().cycle().take(length).collect()
    }

    #[test]
    fn every_token_is_found_by_its_prefix_and_length() {
        for (prefix, least, _, name) in TOKENS {
            let token = format!("{prefix}{}", alphanumeric(least));
            assert_eq!(token_in(&format!("x = \"{token}\"")), Some(name), "{prefix}");
            assert_eq!(token_in(&format!("x = \"{prefix}{}\"", alphanumeric(least - 1))), None, "{prefix}");
            assert_eq!(token_in(&format!("some{token}")), None, "{prefix} within a word");
        }
    }

    #[test]
    fn formats_have_a_place_for_a_password() {
        for (file, line, found) in [
            (".pgpass", "db.acme.example:5432:*:reader:hunter2", true),
            (".pgpass", "# db:5432:*:reader:hunter2", false),
            (".pgpass", "db:5432:*:reader:", false),
            (".pgpass", "db:5432:*:reader:hun:ter2", true),
            (".pgpass", r"db\:x:5432:*:reader:hunter2 # of the replica", true),
            (".netrc", "default login u password hunter2", true),
            (".netrc", "    password", true),
            (".npmrc", "_auth=dXNlcjpodW50ZXIyMQ==", true),
            (".npmrc", "//registry.acme.example/:_auth = \"dXNlcjpodW50ZXIyMQ==\"", true),
            (".npmrc", "_auth=${NPM_AUTH}", false),
            (".npmrc", "always-auth=true", false),
            (".htpasswd", "reader:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", true),
            (".htpasswd", "reader:rqXexS6ZhobKA", true),
            ("Dockerfile", "ENV DB_PASSWORD hunter2x", true),
            ("Dockerfile.prod", "env API_TOKEN abc123def", true),
            ("Dockerfile", "ENV DB_PASSWORD $PASSWORD", false),
            ("Dockerfile", "ENV DB_PASSWORD_FILE /run/secrets/db", false),
            ("Dockerfile", "RUN echo password hunter2x", false),
            (".netrc", "machine ftp.acme.example login u password hunter2", true),
            (".netrc", "machine ftp.acme.example login u", false),
            (".npmrc", "//registry.acme.example/:_authToken=abcdef-123", true),
            (".npmrc", "//registry.acme.example/:_authToken=${NPM_TOKEN}", false),
            ("config.json", r#""auth": "dXNlcjpodW50ZXIy""#, true),
            ("config.json", r#""auth": "bm8=""#, false),
            ("other", "db:5432:*:reader:hunter2", false),
        ] {
            assert_eq!(in_format(file, line).is_some(), found, "{file}: {line}");
        }
    }

    #[test]
    fn settings_are_secrets_by_their_names_unless_they_refer_to_one() {
        for line in [
            "password: hunter2",
            "  db_password = \"correct-horse\"",
            r#"{"user": "u", "client_secret": "abc123def"}"#,
            "export API_KEY=abc123def",
            "token: abcdefghij",
            "client-key-data: LS0tLS1CRUdJTg",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "      <password>hunter2x</password>",
            "passphrase: \"correct horse battery staple\"",
            "password: 'pa$$, {w0rd}'",
            "password: \"$ecret1\"",
            "pass = hjfEcF3Yx0Jyv_4cIyPFw",
            "curl -u reader:hunter2 https://acme.example",
            "curl -sS --user='reader:hunter2' https://acme.example",
        ] {
            assert!(in_line(line, true).is_some(), "{line}");
        }
        for line in [
            "password: env:DB_PASSWORD",
            "password: ${DB_PASSWORD}",
            "password_file: /run/secrets/db",
            "secret_name: acme-db-login",
            "token_url: tokens.acme.example",
            "token: null",
            "profile: exit-drill",
            "password: ********",
            "preconditions: [local.no_secrets]",
            "aws_access_key_id: see-the-vault",
            "<password>${env.DB_PASSWORD}</password>",
            "<password>{COQLCE6DU6GtcS5P=}</password>",
            "password: \"the password of the reader\"",
            "password: \"$db_password\"",
            "db_password: $PASSWORD",
            "token: $(cat /run/secrets/token)",
            "bypass = everything",
            "curl -u reader:$PASSWORD https://acme.example",
            "curl -u reader https://acme.example",
        ] {
            assert_eq!(in_line(line, true), None, "{line}");
        }
        assert_eq!(in_line("let token = next_token();", false), None);
        assert!(in_line("-----BEGIN OPENSSH PRIVATE KEY-----", false).is_some());
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
        assert!(in_line(jwt, false).is_some());
    }
}
