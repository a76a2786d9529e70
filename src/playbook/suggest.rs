//! Hints for unknown words: the nearest known one, or all of them.
//!
//! Leaves out the source of the known words.

/// At most this share of a word may be mistyped for another word to be meant.
const SIMILARITY_MIN: f64 = 0.6;

/// `did you mean …?` when a known word is near, otherwise the list of all known words.
pub(super) fn nearest_or_allowed(label: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => allowed(label, known),
    }
}

/// All known words, after a label such as `allowed keys`.
pub(super) fn allowed(label: &str, known: &[&str]) -> String {
    format!("{label}: {}", known.join(", "))
}

fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), *candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["bucket", "prefix", "layout"];
        let hint = |word| nearest_or_allowed("allowed keys", word, &known);
        assert_eq!(hint("buckt"), "did you mean `bucket`?");
        assert_eq!(hint("Bucket"), "did you mean `bucket`?");
        assert_eq!(hint("region"), "allowed keys: bucket, prefix, layout");
    }
}
