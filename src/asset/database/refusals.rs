//! What the target refused is reported once, with the reason: what is missing because of it is not a separate finding.

use crate::{
    domain::finding::{Finding, FindingKind},
    pg::name::quoted,
    restore::{database::RefusedStatement, refused::SchemaName},
};

/// What a class of operators belongs to.
const FAMILY: &str = "operator family ";
/// The most dependent objects that are named with one finding.
const NAMED_MAX: usize = 30;

/// Adds to the finding of each refused statement what is missing because of it.
pub(super) fn tell_once(findings: &mut Vec<Finding>, refused: &[RefusedStatement]) {
    for RefusedStatement { object, named, .. } in refused {
        let Some(name) = named else { continue };
        let is_told = |finding: &Finding| finding.kind == FindingKind::SchemaStatement && finding.subject == *object;
        let Some(told) = findings.iter().position(is_told) else { continue };
        // The shell of a type belongs to the type.
        let is_type = |other: &RefusedStatement| {
            other.named.as_ref().is_some_and(|other| other.kind == "TYPE" && other.path == name.path)
        };
        if object.starts_with("SHELL TYPE ") && refused.iter().any(is_type) {
            findings.remove(told);
            continue;
        }
        let index = index_of(object, name);
        let mut missing = Vec::new();
        let mut told = findings.remove(told);
        findings.retain(|finding| {
            let follows = follows(finding, name) || index.as_ref().is_some_and(|index| follows(finding, index));
            if follows {
                missing.push(finding.subject.clone());
            }
            !follows
        });
        if !missing.is_empty() {
            let more = missing.len().saturating_sub(NAMED_MAX);
            missing.truncate(NAMED_MAX);
            let and_more = if more > 0 { format!(" and {more} more of it") } else { String::new() };
            told.detail = format!("{}; so the target is without {}{and_more}", told.detail, missing.join(", "));
        }
        findings.push(told);
    }
}

/// The index of a constraint has its name, and is in the table's schema.
fn index_of(object: &str, constraint: &SchemaName) -> Option<SchemaName> {
    let (table, name) = constraint.path.rsplit_once('.').filter(|_| object.starts_with("CONSTRAINT "))?;
    let (schema, _) = table.split_once('.')?;
    Some(SchemaName { kind: "INDEX".to_owned(), path: format!("{schema}.{name}"), arguments: None })
}

/// Whether a finding of the comparison is about the object, or something that depends on it.
fn follows(finding: &Finding, name: &SchemaName) -> bool {
    let is_of_comparison = match finding.kind {
        FindingKind::CatalogMissing => true,
        // A function may exist without a part of it, and a family without its class.
        FindingKind::CatalogDiffers => name.arguments.is_some() || finding.subject.starts_with(FAMILY),
        _ => false,
    };
    is_of_comparison && spellings(&name.path).iter().any(|path| mentions(&finding.subject, path, name))
}

/// As spelled in the catalog, and as the server identifies it.
fn spellings(path: &str) -> Vec<String> {
    match path.split_once('.') {
        Some((schema, name)) => {
            let both = |part: &str| [part.to_owned(), quoted(part)];
            both(schema).iter().flat_map(|schema| both(name).map(|name| format!("{schema}.{name}"))).collect()
        }
        None => vec![path.to_owned(), quoted(path)],
    }
}

/// Whether the name stands there as a whole, with its arguments if it has some; a name that lies in no schema, behind its
/// kind, since anything else may have it, too.
fn mentions(subject: &str, path: &str, name: &SchemaName) -> bool {
    let SchemaName { kind, arguments, .. } = name;
    let before = if name.path.contains('.') { " ".to_owned() } else { format!(" {} ", class(kind)) };
    subject.match_indices(path).any(|(at, _)| {
        let rest = &subject[at + path.len()..];
        let is_whole = match (rest.chars().next(), arguments) {
            (Some('('), Some(arguments)) => same_arguments(arguments, &rest[1..]),
            (Some('.' | ' ' | ',') | None, None) => true,
            _ => false,
        };
        is_whole && format!(" {}", &subject[..at]).ends_with(&before)
    })
}

/// The catalog's word for a kind of the archive's.
fn class(kind: &str) -> String {
    match kind {
        "FOREIGN DATA WRAPPER" => "foreign-data wrapper".to_owned(),
        "PROCEDURAL LANGUAGE" => "language".to_owned(),
        _ => kind.to_lowercase(),
    }
}

/// Whether what follows a parenthesis in the catalog's words, with or without names and modes, are arguments of these types.
fn same_arguments(types: &str, rest: &str) -> bool {
    let found = parts(rest);
    let found: Vec<_> = found.iter().filter(|argument| !argument.starts_with("OUT ")).collect();
    let types = parts(types);
    let is_of = |argument: &str, of: &str| argument.eq_ignore_ascii_case(of) || argument.ends_with(&format!(" {of}"));
    found.len() == types.len() && found.iter().zip(&types).all(|(argument, of)| is_of(argument, of))
}

/// The parts between commas up to the first parenthesis that closes, without the schema of built-in types.
fn parts(arguments: &str) -> Vec<String> {
    let mut is_quoted = false;
    let end = arguments.find(|c: char| {
        is_quoted ^= c == '"';
        c == ')' && !is_quoted
    });
    let arguments = &arguments[..end.unwrap_or(arguments.len())];
    // The variadic argument of a hypothetical-set aggregate is one, which the catalog's words have twice.
    let arguments = arguments.replace(r#" ORDER BY VARIADIC "any""#, "").replace(" ORDER BY ", ", ");
    let arguments = arguments.replace("pg_catalog.", "");
    is_quoted = false;
    let split = arguments.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    split.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_with_a_refused_object_is_told_with_it() {
        let find = |kind, subject: &str| Finding::of("a", kind, subject, "why");
        let refused = |kind: &str, of: &str, path: &str, arguments: Option<&str>| RefusedStatement {
            object: format!("{kind} {of}"),
            reason: "why".to_owned(),
            named: Some(SchemaName {
                kind: kind.to_owned(),
                path: path.to_owned(),
                arguments: arguments.map(str::to_owned),
            }),
        };
        let statements = [
            refused("SHELL TYPE", "shade o", "s.shade", None),
            refused("TYPE", "shade o", "s.shade", None),
            refused("FUNCTION", "f(integer) o", "s.f", Some("integer, oid")),
            refused("CONSTRAINT", "t t_pkey o", "s.t.t_pkey", None),
            refused("FOREIGN DATA WRAPPER", "away o", "away", None),
        ];
        let mut findings: Vec<_> =
            statements.iter().map(|one| find(FindingKind::SchemaStatement, &one.object)).collect();
        let missing = FindingKind::CatalogMissing;
        let differs = FindingKind::CatalogDiffers;
        findings.extend([
            find(missing, "base type s.shade"),
            find(missing, "owner type s.shade"),
            find(missing, "grant EXECUTE on function s.f(integer,pg_catalog.oid) to x"),
            find(differs, "function s.f(n integer, OUT integer, \"a,(\" oid)"),
            find(differs, "function s.f(n integer)"),
            find(missing, "owner function s.f(bigint,pg_catalog.oid)"),
            find(missing, "function s.shade(integer)"),
            find(missing, "base type s.shade2"),
            find(differs, "owner type s.shade"),
            find(missing, "constraint s.t.t_pkey"),
            find(missing, "index s.t_pkey"),
            find(missing, "foreign-data wrapper away"),
            find(missing, "grant USAGE on foreign-data wrapper away to x"),
            find(missing, "foreign server away"),
            find(missing, "dependence on extension table s.t on away"),
        ]);
        tell_once(&mut findings, &statements);
        let told: Vec<_> = findings.iter().map(|one| (one.subject.as_str(), one.detail.as_str())).collect();
        let expected = [
            ("function s.f(n integer)", "why"),
            ("owner function s.f(bigint,pg_catalog.oid)", "why"),
            ("function s.shade(integer)", "why"),
            ("base type s.shade2", "why"),
            ("owner type s.shade", "why"),
            ("foreign server away", "why"),
            ("dependence on extension table s.t on away", "why"),
            ("TYPE shade o", "why; so the target is without base type s.shade, owner type s.shade"),
            (
                "FUNCTION f(integer) o",
                "why; so the target is without grant EXECUTE on function s.f(integer,pg_catalog.oid) to x, function \
                 s.f(n integer, OUT integer, \"a,(\" oid)",
            ),
            ("CONSTRAINT t t_pkey o", "why; so the target is without constraint s.t.t_pkey, index s.t_pkey"),
            (
                "FOREIGN DATA WRAPPER away o",
                "why; so the target is without foreign-data wrapper away, grant USAGE on foreign-data wrapper away to x",
            ),
        ];
        assert_eq!(told, expected);
    }
}
