//! What the target refused is reported once, with the reason: what is missing because of it is not a separate finding.

use crate::{
    finding::{Finding, FindingKind},
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
        let is_type =
            |other: &RefusedStatement| other.object.starts_with("TYPE ") && other.named.as_ref() == Some(name);
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
    Some(SchemaName { path: format!("{schema}.{name}"), has_arguments: false })
}

/// Whether a finding of the comparison is about the object, or something that depends on it.
fn follows(finding: &Finding, name: &SchemaName) -> bool {
    let is_of_comparison = match finding.kind {
        FindingKind::CatalogMissing => true,
        // A function may exist without a part of it, and a family without its class.
        FindingKind::CatalogDiffers => name.has_arguments || finding.subject.starts_with(FAMILY),
        _ => false,
    };
    is_of_comparison && spellings(&name.path).iter().any(|path| mentions(&finding.subject, path, name.has_arguments))
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

/// Whether the name occurs as a whole, with its arguments if it has some.
fn mentions(subject: &str, path: &str, has_arguments: bool) -> bool {
    subject.match_indices(path).any(|(at, _)| {
        let rest = &subject[at + path.len()..];
        let is_whole = match rest.chars().next() {
            Some('(') => has_arguments,
            Some('.' | ' ' | ',') | None => !has_arguments,
            Some(_) => false,
        };
        is_whole && subject[..at].ends_with(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_with_a_refused_object_is_told_with_it() {
        let find = |kind, subject: &str| Finding::of("a", kind, subject, "why");
        let refused = |object: &str, path: &str, has_arguments| RefusedStatement {
            object: object.to_owned(),
            reason: "why".to_owned(),
            named: Some(SchemaName { path: path.to_owned(), has_arguments }),
        };
        let statements = [
            refused("SHELL TYPE shade o", "s.shade", false),
            refused("TYPE shade o", "s.shade", false),
            refused("FUNCTION f(integer) o", "s.f", true),
            refused("CONSTRAINT t t_pkey o", "s.t.t_pkey", false),
        ];
        let mut findings: Vec<_> =
            statements.iter().map(|one| find(FindingKind::SchemaStatement, &one.object)).collect();
        let missing = FindingKind::CatalogMissing;
        let differs = FindingKind::CatalogDiffers;
        findings.extend([
            find(missing, "base type s.shade"),
            find(missing, "owner type s.shade"),
            find(missing, "grant EXECUTE on function s.f(integer) to x"),
            find(differs, "function s.f(n integer)"),
            find(missing, "function s.shade(integer)"),
            find(missing, "base type s.shade2"),
            find(differs, "owner type s.shade"),
            find(missing, "constraint s.t.t_pkey"),
            find(missing, "index s.t_pkey"),
        ]);
        tell_once(&mut findings, &statements);
        let told: Vec<_> = findings.iter().map(|one| (one.subject.as_str(), one.detail.as_str())).collect();
        let expected = [
            ("function s.shade(integer)", "why"),
            ("base type s.shade2", "why"),
            ("owner type s.shade", "why"),
            ("TYPE shade o", "why; so the target is without base type s.shade, owner type s.shade"),
            (
                "FUNCTION f(integer) o",
                "why; so the target is without grant EXECUTE on function s.f(integer) to x, function s.f(n integer)",
            ),
            ("CONSTRAINT t t_pkey o", "why; so the target is without constraint s.t.t_pkey, index s.t_pkey"),
        ];
        assert_eq!(told, expected);
    }
}
