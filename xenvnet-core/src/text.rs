//! Help with typing mistakes.

/// The known word that a mistyped one was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    // A third of the letters wrong is a typo; more is another word.
    (distance * 3 <= best.len().max(3)).then_some(best)
}

/// The number of letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_recognised_and_other_words_are_not() {
        let known = ["bridge", "bridgeip", "brnet"];
        assert_eq!(nearest("brige", &known), Some("bridge"));
        assert_eq!(nearest("BRIDGE", &known), None);
        assert_eq!(nearest("bridgip", &known), Some("bridgeip"));
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("vlan", &known), None);
    }
}
