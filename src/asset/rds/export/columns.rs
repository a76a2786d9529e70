//! The columns of a table's files, compared with the export's list and with each other.

use super::{folders::ExportedFile, lists::ListedColumn};
use crate::provider::parquet_rows::{ParquetColumn, ParquetShape};

/// How the columns of two descriptions of one table differ; none if they do not. `differs` compares two of one name.
pub(super) fn difference<A, B>(
    expected: &[A],
    found: &[B],
    expected_name: fn(&A) -> &str,
    found_name: fn(&B) -> &str,
    differs: impl Fn(&A, &B) -> Option<String>,
) -> Option<String> {
    let of_found = |name: &str| found.iter().find(|column| found_name(column) == name);
    let of_expected = |name: &str| expected.iter().any(|column| expected_name(column) == name);
    let mut details = Vec::new();
    for column in expected {
        let name = expected_name(column);
        match of_found(name) {
            None => details.push(format!("the column {name} is missing")),
            Some(found) => details.extend(differs(column, found).map(|how| format!("the column {name} is {how}"))),
        }
    }
    let more = found.iter().map(found_name).filter(|name| !of_expected(name));
    details.extend(more.map(|name| format!("the column {name} is one too many")));
    let in_order = expected.iter().map(expected_name).eq(found.iter().map(found_name));
    if details.is_empty() && !in_order {
        details.push("the columns are in another order, or one is there twice".to_owned());
    }
    (!details.is_empty()).then(|| details.join("; "))
}

/// How the files of a table differ from the list's description. A list without columns is not compared.
pub(super) fn from_list(listed: &[ListedColumn], found: &[ParquetColumn]) -> Option<String> {
    if listed.is_empty() {
        return None;
    }
    difference(
        listed,
        found,
        |column| &column.name,
        |column| &column.name,
        |listed, found| {
            let how = || format!("{} in the files, and {} by the list", found.sql_type, listed.exported);
            (!listed.holds(found)).then(how)
        },
    )
}

/// How a part differs from the first.
pub(super) fn from_first(first: &[ParquetColumn], part: &[ParquetColumn]) -> Option<String> {
    difference(
        first,
        part,
        |column| &column.name,
        |column| &column.name,
        |first, part| {
            let how = || format!("{}, and {} in the first part", part.sql_type, first.sql_type);
            (first != part).then(how)
        },
    )
}

/// Pairs of parts with rows and identical bytes.
pub(super) fn twins<'a>(
    files: &'a [ExportedFile],
    shapes: &[ParquetShape],
) -> Vec<(&'a ExportedFile, &'a ExportedFile)> {
    let mut with_rows: Vec<_> =
        files.iter().zip(shapes).filter(|(_, shape)| shape.rows > 0).map(|(file, _)| file).collect();
    with_rows.sort_by_key(|file| file.sha256);
    with_rows.windows(2).filter(|pair| pair[0].sha256 == pair[1].sha256).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(expected: &[(&str, i32)], found: &[(&str, i32)]) -> Option<String> {
        difference(
            expected,
            found,
            |one| one.0,
            |one| one.0,
            |one, other| (one.1 != other.1).then(|| format!("{} and not {}", other.1, one.1)),
        )
    }

    #[test]
    fn every_way_to_differ_is_named() {
        let two = [("a", 1), ("b", 2)];
        assert_eq!(compared(&two, &two), None);
        let cases: [(&[(&str, i32)], &str); 5] = [
            (&[("a", 1)], "the column b is missing"),
            (&[("a", 1), ("b", 2), ("c", 3)], "the column c is one too many"),
            (&[("b", 2), ("a", 1)], "the columns are in another order, or one is there twice"),
            (&[("a", 1), ("b", 2), ("b", 2)], "the columns are in another order, or one is there twice"),
            (&[("a", 1), ("B", 2)], "the column b is missing; the column B is one too many"),
        ];
        for (found, expected) in cases {
            assert_eq!(compared(&two, found).as_deref(), Some(expected));
        }
        assert_eq!(compared(&two, &[("a", 7), ("b", 2)]).as_deref(), Some("the column a is 7 and not 1"));
    }
}
