//! How far a transcript is from what was said.

/// Words in lower case without punctuation.
pub fn normalize(text: &str) -> Vec<String> {
    let word = |word: &str| {
        word.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    text.split(|c: char| c.is_whitespace() || c == '-')
        .map(word)
        .filter(|word| !word.is_empty())
        .collect()
}

/// Insertions, deletions and substitutions for each word that was said; 0 is perfect.
pub fn word_error_rate(said: &str, heard: &str) -> f64 {
    let (said, heard) = (normalize(said), normalize(heard));
    if said.is_empty() {
        return if heard.is_empty() { 0.0 } else { 1.0 };
    }
    distance(&said, &heard) as f64 / said.len() as f64
}

fn distance(said: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, wanted) in said.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, got) in heard.iter().enumerate() {
            let substituted = diagonal + usize::from(wanted != got);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[heard.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert!(word_error_rate("And so, my fellow", "and so my Fellow.") < f64::EPSILON);
        assert!((word_error_rate("one two three four", "one too three") - 0.5).abs() < 1e-9);
        assert!((word_error_rate("one", "") - 1.0).abs() < 1e-9);
    }
}
