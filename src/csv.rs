//! Comma-separated values as RFC 4180 quotes them, with `\n` as the line end; read and written.
//!
//! Not a crate's reader: those repair malformed input, and evidence is read exactly as written or not at all.

/// One record with its line end. A field is quoted only if it must be.
pub fn record<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = fields.into_iter().map(quote).collect();
    quoted.join(",") + "\n"
}

fn quote(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Every record of a text; none if a quote is unterminated or misplaced.
pub fn parse(text: &str) -> Option<Vec<Vec<String>>> {
    parse_by(text, ',')
}

fn parse_by(text: &str, separator: char) -> Option<Vec<Vec<String>>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (field, tail) = next_field(rest, separator)?;
        record.push(field);
        match tail.strip_prefix(separator) {
            Some(tail) => rest = tail,
            None => {
                rest = tail.strip_prefix('\n')?;
                records.push(std::mem::take(&mut record));
            }
        }
    }
    record.is_empty().then_some(records)
}

/// The records of a file written by another program: with `\r\n`, a byte order mark, or no last line end. Empty lines
/// are skipped.
pub fn parse_foreign(text: &str) -> Option<Vec<Vec<String>>> {
    parse_foreign_by(text, ',')
}

/// The same with another separator, as spreadsheets write it in other locales.
pub fn parse_foreign_by(text: &str, separator: char) -> Option<Vec<Vec<String>>> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let text = if text.ends_with('\n') || text.is_empty() { text } else { text + "\n" };
    let records = parse_by(&text, separator)?;
    Some(records.into_iter().filter(|record| record.iter().any(|field| !field.trim().is_empty())).collect())
}

/// The field at the start of a text, and what follows it: a separator or a line end.
fn next_field(text: &str, separator: char) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (field, tail) = text.split_at(text.find([separator, '\n'])?);
        return (!field.contains('"')).then(|| (field.to_owned(), tail));
    };
    let mut field = String::new();
    loop {
        let (piece, tail) = rest.split_once('"')?;
        field.push_str(piece);
        match tail.strip_prefix('"') {
            Some(tail) => {
                field.push('"');
                rest = tail;
            }
            None => return Some((field, tail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_only_where_they_are_needed() {
        assert_eq!(record(["a b", "c,d", "e\"f", ""]), "a b,\"c,d\",\"e\"\"f\",\n");
    }

    #[test]
    fn malformed_text_is_not_guessed_at() {
        for text in ["a,b", "\"a\n", "a\"b\n", "\"a\"b\n", "a,"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(""), Some(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("[a\",\n\r ü]{0,6}", 1..4), 0..4)) {
            let text: String = rows.iter().map(|row| record(row.iter().map(String::as_str))).collect();
            prop_assert_eq!(parse(&text), Some(rows));
        }
    }
}
