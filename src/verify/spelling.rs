//! Two spellings of one expression: what PostgreSQL prints differently after a dump and restore.

/// Classes whose definitions are expressions that PostgreSQL prints from its parse tree.
const SPELLED: [&str; 9] = ["column", "constraint", "index", "policy", "rule", "statistics", "trigger", "type", "view"];
/// Casts between types of text, which a dump moves around.
const TEXT_CASTS: [&str; 4] = ["::character varying", "::bpchar", "::text", "::character"];

/// Whether two spellings of an expression differ only in what a dump and restore is known to change: casts to a type
/// of text, parentheses around a single name, literal or list of them, and those of an AND within an AND or of an OR within
/// an OR. Such parentheses never decide anything.
pub(super) fn same_but_for_spelling(class: &str, one: &str, other: &str) -> bool {
    SPELLED.contains(&class) && loosened(one) == loosened(other)
}

fn loosened(definition: &str) -> String {
    let mut text = flattened(&without_text_casts(definition));
    while let Some((open, close)) = redundant_pair(&text) {
        text.remove(close);
        text.remove(open);
    }
    text
}

fn without_text_casts(definition: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = definition;
    while let Some(first) = rest.chars().next() {
        if quote.is_none()
            && let Some(after) = after_text_cast(rest)
        {
            rest = after;
            continue;
        }
        quote = next_quote(quote, first);
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

fn after_text_cast(text: &str) -> Option<&str> {
    let after = TEXT_CASTS.iter().find_map(|cast| text.strip_prefix(cast))?;
    let after = match after.strip_prefix('(').and_then(|length| length.split_once(')')) {
        Some((length, after)) if length.bytes().all(|digit| digit.is_ascii_digit()) => after,
        _ => after,
    };
    let after = after.strip_prefix("[]").unwrap_or(after);
    (!after.starts_with(is_word)).then_some(after)
}

/// The open quote after this character; a doubled quote closes and opens again.
fn next_quote(quote: Option<char>, next: char) -> Option<char> {
    match (quote, next) {
        (None, '\'' | '"') => Some(next),
        (Some(open), next) if open == next => None,
        (quote, _) => quote,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The byte positions of a pair of parentheses that belong to no call and hold neither operator nor parenthesis.
fn redundant_pair(text: &str) -> Option<(usize, usize)> {
    let mut open = None;
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let was = quote;
        quote = next_quote(quote, c);
        match c {
            _ if was.is_some() || quote.is_some() => {}
            '(' => open = (!is_word(before) && before != '"').then_some(at),
            ')' => {
                if let Some(open) = open {
                    return Some((open, at));
                }
            }
            ',' | '.' | '[' | ']' => {}
            ' ' if before == ',' => {}
            c if is_word(c) => {}
            _ => open = None,
        }
        before = c;
    }
    None
}

/// A piece of an expression.
enum Piece {
    Plain(String),
    /// A literal or a quoted name, including quotes.
    Quoted(String),
    /// The content of parentheses.
    Group(Vec<Piece>),
}

/// The expression with one pair of parentheses around all that one connective joins: `((a AND b) AND c)` is `(a AND b AND c)`.
fn flattened(text: &str) -> String {
    let mut outer = Vec::new();
    let mut inner = Vec::new();
    let mut quote = None;
    for c in text.chars() {
        let was = quote;
        quote = next_quote(quote, c);
        let is_quoted = was.is_some() || quote.is_some();
        match (c, inner.last_mut()) {
            ('(', _) if !is_quoted => outer.push(std::mem::take(&mut inner)),
            (')', _) if !is_quoted => {
                // What has no beginning is not an expression, and is kept unchanged.
                let Some(mut around) = outer.pop() else { return text.to_owned() };
                around.push(Piece::Group(spliced(inner)));
                inner = around;
            }
            (c, Some(Piece::Quoted(text))) if is_quoted => text.push(c),
            (c, Some(Piece::Plain(text))) if !is_quoted => text.push(c),
            (c, _) if is_quoted => inner.push(Piece::Quoted(c.to_string())),
            (c, _) => inner.push(Piece::Plain(c.to_string())),
        }
    }
    if outer.is_empty() { written(&spliced(inner)) } else { text.to_owned() }
}

/// Removes the parentheses of parts that are joined by the same connective as the whole.
fn spliced(pieces: Vec<Piece>) -> Vec<Piece> {
    let Some(connective) = connective(&pieces) else { return pieces };
    let count = pieces.len();
    let begins = |at: usize| at == 0 || matches!(&pieces[at - 1], Piece::Plain(text) if text.ends_with(connective));
    let ends =
        |at: usize| at + 1 == count || matches!(&pieces[at + 1], Piece::Plain(text) if text.starts_with(connective));
    let same = |piece: &Piece| matches!(piece, Piece::Group(inner) if self::connective(inner) == Some(connective));
    let is_part: Vec<_> = (0..count).map(|at| same(&pieces[at]) && begins(at) && ends(at)).collect();
    let parts = pieces.into_iter().zip(is_part);
    parts
        .flat_map(|(piece, is_part)| match piece {
            Piece::Group(inner) if is_part => inner,
            piece => vec![piece],
        })
        .collect()
}

/// The connective of an expression, if there is only one.
fn connective(pieces: &[Piece]) -> Option<&'static str> {
    let has =
        |connective: &str| pieces.iter().any(|piece| matches!(piece, Piece::Plain(text) if text.contains(connective)));
    match (has(AND), has(OR)) {
        (true, false) => Some(AND),
        (false, true) => Some(OR),
        _ => None,
    }
}

const AND: &str = " AND ";
const OR: &str = " OR ";

fn written(pieces: &[Piece]) -> String {
    let write = |piece: &Piece| match piece {
        Piece::Plain(text) | Piece::Quoted(text) => text.clone(),
        Piece::Group(inner) => format!("({})", written(inner)),
    };
    pieces.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_same_connective_need_no_parentheses() {
        let equal = |one: &str, other: &str| same_but_for_spelling("constraint", one, other);
        let between = "CHECK ((((a >= 1) AND (a <= 5)) AND (f(b, '(x AND y) AND z') OR c)))";
        assert!(equal(between, "CHECK (((a >= 1) AND (a <= 5) AND (f(b, '(x AND y) AND z') OR c)))"));
        assert!(equal("((a OR (b OR c)) OR d)", "(a OR b OR c OR d)"));
        for (one, other) in [
            ("((a AND b) OR c)", "(a AND (b OR c))"),
            ("(a AND (NOT (b AND c)))", "(a AND (NOT b AND c))"),
            ("(a AND f(b AND c))", "(a AND f b AND c)"),
            ("((a AND b) = (c AND d))", "(a AND (b = c) AND d)"),
            ("((a AND 'x') AND b)", "(a AND 'y' AND b)"),
            ("((a AND b)::int AND c)", "(a AND b::int AND c)"),
        ] {
            assert!(!equal(one, other), "{one} is not {other}");
        }
        assert_eq!(flattened("(a AND (b"), "(a AND (b");
    }
}
