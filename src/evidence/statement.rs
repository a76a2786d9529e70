//! The only form of statement that a list of tables may contain: `COPY "schema"."table" ("column", …) TO STDOUT`.
//!
//! An auditor passes these statements to psql, and a bundle is untrusted input: what is not a copy of just this table by
//! its quoted names (a query, a program, a file, a command of psql) is rejected here and in `table_digest.py`.

/// Whether a statement copies the table of this name, and does nothing else.
pub(crate) fn copies_out(table: &str, statement: &str) -> bool {
    table_of(statement).is_some_and(|name| name == table)
}

/// The name of the table, as spelled in `tables.csv`.
fn table_of(statement: &str) -> Option<String> {
    let mut rest = statement.strip_prefix("COPY ")?;
    let schema = identifier(&mut rest)?;
    rest = rest.strip_prefix('.')?;
    let table = identifier(&mut rest)?;
    if let Some(columns) = rest.strip_prefix(" (") {
        rest = columns;
        identifier(&mut rest)?;
        while let Some(more) = rest.strip_prefix(", ") {
            rest = more;
            identifier(&mut rest)?;
        }
        rest = rest.strip_prefix(')')?;
    }
    (rest == " TO STDOUT").then(|| format!("{}.{}", spelled(&schema), spelled(&table)))
}

/// The identifier in double quotes at the beginning, read.
fn identifier(rest: &mut &str) -> Option<String> {
    let mut name = String::new();
    let mut tail = rest.strip_prefix('"')?;
    loop {
        let (piece, after) = tail.split_once('"')?;
        name.push_str(piece);
        let Some(doubled) = after.strip_prefix('"') else {
            *rest = after;
            return (!name.is_empty() && !name.contains('\0')).then_some(name);
        };
        name.push('"');
        tail = doubled;
    }
}

/// A part of a name: quoted where a dot or a quote would make two names look alike.
fn spelled(part: &str) -> String {
    if part.contains(['.', '"']) { format!("\"{}\"", part.replace('"', "\"\"")) } else { part.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_of_a_table_by_its_quoted_names_is_the_one_form() {
        let good = [
            ("public.t", r#"COPY "public"."t" TO STDOUT"#),
            (
                "public.t",
                r#"COPY "public"."t" ("a", "b c", "d""e", "f\g
h") TO STDOUT"#,
            ),
            (r#"s."a""b""#, r#"COPY "s"."a""b" ("x") TO STDOUT"#),
            (r#""a.b".c"#, r#"COPY "a.b"."c" TO STDOUT"#),
            (r"\! id.$(id)`id`;", r#"COPY "\! id"."$(id)`id`;" ("-c") TO STDOUT"#),
        ];
        for (table, statement) in good {
            assert!(copies_out(table, statement), "{statement}");
        }
        let bad = [
            r"\! touch /tmp/x",
            "",
            r#"COPY "public"."t" TO PROGRAM 'id'"#,
            r#"COPY "public"."t" TO '/tmp/x'"#,
            r#"COPY "public"."t" FROM STDIN"#,
            r#"COPY (SELECT pg_read_file('/etc/passwd')) TO STDOUT"#,
            r#"COPY public.t TO STDOUT"#,
            r#"COPY "public"."t" (a) TO STDOUT"#,
            r#"COPY "public"."t" ("a") TO STDOUT; DROP TABLE x"#,
            r#"COPY "public"."t" ("a") TO STDOUT "#,
            r#" COPY "public"."t" TO STDOUT"#,
            r#"copy "public"."t" TO STDOUT"#,
            r#"COPY "public"."t" () TO STDOUT"#,
            r#"COPY "public"."t" ("a",) TO STDOUT"#,
            r#"COPY "public"."t" ("") TO STDOUT"#,
            r#"COPY "public"."" TO STDOUT"#,
            r#"COPY "public"."t" ("a) TO STDOUT"#,
            r#"COPY "public"."other" TO STDOUT"#,
            r#"COPY "t" TO STDOUT"#,
            "COPY \"public\".\"t\" (\"a\0\") TO STDOUT",
        ];
        for statement in bad {
            assert!(!copies_out("public.t", statement), "{statement}");
        }
    }
}
