//! Long texts in pieces: cut between paragraphs and sentences, by tokens.

/// A part of a text, and the white space that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What is translated.
    pub text: &'a str,
    /// What stands between it and the next, as it is.
    pub gap: &'a str,
}

/// What ends a sentence.
const ENDS: [char; 8] = ['.', '!', '?', '…', '。', '！', '？', '।'];
/// Those after which no space is needed.
const WIDE: [char; 4] = ['。', '！', '？', '।'];

/// Tokens of a text, counted upward: what models of several makers need is less.
///
/// Latin letters come to three or more a token, other scripts to one or more; a digit, a mark or a
/// line's end is one at most.
pub fn tokens(text: &str) -> usize {
    let (letters, others) = text.chars().fold((0, 0), |(letters, others), c| match c {
        'a'..='z' | 'A'..='Z' | ' ' => (letters + 1, others),
        _ => (letters, others + 1),
    });
    usize::div_ceil(letters, 3) + others
}

/// Cuts a text into pieces of at most so many tokens: where a paragraph ends if that is not too
/// early, else where a sentence, a word, or a letter does. Put together again, text and gap, they
/// are the text without the white space around it.
pub fn cut(text: &str, most_tokens: usize) -> Vec<Piece<'_>> {
    let (mut pieces, mut left) = (Vec::new(), text.trim());
    while !left.is_empty() {
        let end = if tokens(left) <= most_tokens { left.len() } else { end(left, most_tokens) };
        let (piece, rest) = left.split_at(end);
        let text = piece.trim_end();
        let next = rest.trim_start();
        let gap = &left[text.len()..left.len() - next.len()];
        pieces.push(Piece { text, gap });
        left = next;
    }
    pieces
}

/// Where the first piece of a text ends that is too long for one.
fn end(text: &str, most_tokens: usize) -> usize {
    let reach = reach(text, most_tokens);
    let within = &text[..reach];
    let early = reach / 2;
    let after = |at: Option<usize>| at.filter(|at| *at > early);
    after(within.rfind("\n\n").map(|at| at + 2))
        .or_else(|| sentence(text, reach))
        .or_else(|| within.rfind(char::is_whitespace).filter(|at| *at > 0))
        .unwrap_or(reach)
}

/// The last end of a sentence before that place.
fn sentence(text: &str, reach: usize) -> Option<usize> {
    let mut found = None;
    for (at, c) in text[..reach].char_indices() {
        let after = at + c.len_utf8();
        let next = text[after..].chars().next();
        let ends = c == '\n'
            || (ENDS.contains(&c) && (WIDE.contains(&c) || next.is_none_or(char::is_whitespace)));
        if ends {
            found = Some(after);
        }
    }
    found
}

/// The longest start of a text that has at most so many tokens; a letter at least.
fn reach(text: &str, most_tokens: usize) -> usize {
    let (mut letters, mut others, mut end) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' | ' ' => letters += 1,
            _ => others += 1,
        }
        if end > 0 && usize::div_ceil(letters, 3) + others > most_tokens {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str, most: usize) -> Vec<&str> {
        cut(text, most).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn it_is_cut_between_sentences_and_sooner_between_paragraphs() {
        assert_eq!(texts(" One two. ", 100), ["One two."]);
        let text = "Dr. A. said 3.5 mg! Then he left. What now";
        assert_eq!(texts(text, 13), ["Dr. A. said 3.5 mg!", "Then he left. What now"]);
        assert_eq!(texts("aaa bbb.\n\nccc. ddd", 7), ["aaa bbb.", "ccc. ddd"]);
        assert_eq!(texts("我们。你们！他们", 4), ["我们。", "你们！", "他们"]);
    }

    #[test]
    fn what_has_no_sentences_is_cut_between_words_and_then_anywhere() {
        assert_eq!(texts("aaaa bbbb cccc", 4), ["aaaa bbbb", "cccc"]);
        assert_eq!(texts("1234567", 3), ["123", "456", "7"]);
        assert!(texts("  \n ", 3).is_empty());
    }

    #[test]
    fn tokens_are_counted_upward() {
        // By cl100k_base: 10, 8 and 9 tokens.
        assert!(tokens("The patient was given 5 mg of morphine.") >= 10);
        assert!(tokens("患者服用了五毫克") >= 8);
        assert!(tokens("{\"a\": [1, 2]}") >= 9);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_piece_is_too_large(
            text in "([a-c]{0,9}[.!?。]?[ \n]{0,3}|[0-9é中]{0,9}){0,40}",
            most in 1_usize..30,
        ) {
            let pieces = cut(&text, most);
            let again: String = pieces.iter().flat_map(|piece| [piece.text, piece.gap]).collect();
            prop_assert_eq!(again.trim_end(), text.trim());
            for piece in pieces {
                prop_assert!(!piece.text.is_empty() && tokens(piece.text) <= most, "{:?}", piece);
            }
        }
    }
}
