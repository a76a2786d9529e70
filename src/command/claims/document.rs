//! `VERIFY.md`: regenerated and compared, but for the words that only the machine of the run knew: where its PostgreSQL
//! was, and how a restored database is reached. Those must be single words of known commands: the
//! document is followed by people, command by command.

use super::Claims;
use crate::{
    domain::digest::Sha256Digest,
    evidence::{DatabaseAccess, verify_md},
    pg::session,
};

const DOCUMENT: &str = "VERIFY.md";

/// The words of a document that depend on the machine of the run.
#[derive(Clone, Copy)]
enum Left {
    /// A server is started, reached and stopped.
    Managed,
    /// A server is reached.
    Named,
    /// No server was known.
    Nothing,
}

impl Claims<'_> {
    pub(super) fn document(&mut self, found: &str) {
        let nonce = Sha256Digest::of(format!("{:?}", self.result)).to_string();
        let fits = [Left::Managed, Left::Named, Left::Nothing].iter().any(|left| self.fits(found, &nonce, *left));
        if !fits {
            self.unproven(DOCUMENT, "is not the document of this result");
        }
    }

    fn fits(&self, found: &str, nonce: &str, left: Left) -> bool {
        let word = |what: &str| format!("@{what}.{nonce}@");
        let of_server = |asset: &crate::evidence::result::AssetResult| {
            let encoding =
                asset.database.as_ref().and_then(|database| database.encoding.as_deref()).unwrap_or_default();
            DatabaseAccess {
                asset: asset.id.clone(),
                start: matches!(left, Left::Managed).then(|| word("start")),
                stop: matches!(left, Left::Managed).then(|| word("stop")),
                psql: if matches!(left, Left::Nothing) { Vec::new() } else { vec![word("psql")] },
                pgoptions: session::pgoptions(encoding),
            }
        };
        // Only those of databases are looked at.
        let accesses: Vec<_> = self.result.assets.iter().map(of_server).collect();
        follows(&verify_md(self.result, &accesses, "."), found, nonce)
    }
}

/// Whether a text is the expected one with words in the machine's places.
fn follows(expected: &str, found: &str, nonce: &str) -> bool {
    let mark = format!(".{nonce}@");
    let pieces = expected.split(mark.as_str());
    let mut rest = found;
    let mut open = None;
    for piece in pieces {
        let (text, next) = match piece.rsplit_once('@') {
            Some((text, what)) if ["start", "stop", "psql"].contains(&what) => (text, Some(what)),
            _ => (piece, None),
        };
        let after = match open {
            None => rest.strip_prefix(text),
            Some(what) => {
                let at = if next.is_none() && text.is_empty() { Some(rest.len()) } else { rest.find(text) };
                at.filter(|at| is_tame(what, &rest[..*at])).map(|at| &rest[at + text.len()..])
            }
        };
        let Some(after) = after else { return false };
        (rest, open) = (after, next);
    }
    rest.is_empty()
}

/// Whether a place has only the expected content.
fn is_tame(what: &str, text: &str) -> bool {
    let Some(words) = words(text) else { return false };
    match what {
        "psql" => words.chunks(2).all(|pair| {
            matches!(pair, [name, value] if ["-h", "-p", "-U", "-d"].contains(&&**name) && !value.starts_with('-'))
        }),
        "start" => words.iter().any(|word| word.ends_with("pg_ctl")) && words.last().is_some_and(|word| word == "start"),
        _ => words.iter().any(|word| word.ends_with("pg_ctl")) && words.iter().any(|word| word == "stop"),
    }
}

/// The words of one line as a shell reads them; none if it does more than that. Commands may be joined by `&&`.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\n' | '\r' => return None,
            '\'' => quoted = !quoted,
            _ if quoted => word.push(c),
            ' ' => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            _ if c.is_alphanumeric() || "_-./:=@,+&\\".contains(c) => word.push(c),
            _ => return None,
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    let single = |word: &String| word.contains('&') && word != "&&";
    (!quoted && !words.iter().any(single)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_stand_in_for_words() {
        let expected = "a\n@start.N@\npsql -X @psql.N@ -d x\n@stop.N@\nb";
        let of = |start: &str, psql: &str, stop: &str| format!("a\n{start}\npsql -X {psql} -d x\n{stop}\nb");
        let start = "install -d -m 700 /tmp/s && /usr/bin/pg_ctl -D '/a b' -o '-k /tmp/s' start";
        let stop = "/usr/bin/pg_ctl -D /a stop";
        assert!(follows(expected, &of(start, "-h /tmp/s -p 5432 -U postgres", stop), "N"));
        assert!(follows("a", "a", "N") && !follows("a", "ab", "N") && !follows("ab", "a", "N"));
        for psql in ["-h x; rm y", "-c '\\! id'", "-h $(id)", "-h x\nrm y", "-h `id`", "-h x | sh", "-h"] {
            assert!(!follows(expected, &of(start, psql, stop), "N"), "{psql}");
        }
        for start in ["rm x", "curl x | sh && pg_ctl start", "pg_ctl stop"] {
            assert!(!follows(expected, &of(start, "-h x", stop), "N"), "{start}");
        }
    }
}
