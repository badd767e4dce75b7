//! Turns the model's token numbers into text.

/// The vocabulary, by token number.
#[derive(Debug)]
pub(super) struct Tokenizer {
    tokens: Vec<Vec<u8>>,
}

impl Tokenizer {
    /// Reads the vocabulary: per token one length byte (from 128 on, two), then its bytes.
    pub(super) fn parse(mut file: &[u8]) -> Result<Self, String> {
        let mut tokens = Vec::new();
        while let Some((&first, rest)) = file.split_first() {
            let (length, rest) = match (first, rest.split_first()) {
                (0..128, _) => (usize::from(first), rest),
                (_, Some((&second, rest))) => {
                    (usize::from(second) * 128 + usize::from(first) - 128, rest)
                }
                (_, None) => return Err("the tokenizer file is cut short".to_owned()),
            };
            if rest.len() < length {
                return Err("the tokenizer file is cut short".to_owned());
            }
            let (token, rest) = rest.split_at(length);
            tokens.push(token.to_vec());
            file = rest;
        }
        Ok(Self { tokens })
    }

    /// The text of `numbers`; marks such as `</s>` have none.
    pub(super) fn decode(&self, numbers: &[i64]) -> String {
        let mut bytes = Vec::new();
        for &number in numbers {
            let token = usize::try_from(number).ok().and_then(|at| self.tokens.get(at));
            match token.map(Vec::as_slice) {
                None | Some([b'<', .., b'>']) => {}
                Some(token) => bytes.extend_from_slice(token),
            }
        }
        // U+2581 stands for the space before a word.
        String::from_utf8_lossy(&bytes).replace('\u{2581}', " ").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_empty_and_long_tokens_are_told_apart() {
        let long = vec![b'x'; 130];
        let mut file = vec![0, 4];
        file.extend_from_slice("\u{2581}a".as_bytes());
        file.extend_from_slice(&[128 + 2, 1]);
        file.extend_from_slice(&long);
        let tokenizer = Tokenizer::parse(&file).unwrap();
        assert_eq!(tokenizer.tokens.len(), 3);
        assert_eq!(tokenizer.decode(&[1, 0, 1]), "a a");
        assert_eq!(tokenizer.decode(&[2]).len(), 130);
    }

    #[test]
    fn marks_and_numbers_out_of_range_have_no_text() {
        let mut file = vec![4];
        file.extend_from_slice(b"</s>");
        file.extend_from_slice(&[2, b'h', b'i']);
        let tokenizer = Tokenizer::parse(&file).unwrap();
        assert_eq!(tokenizer.decode(&[0, 1, -1, 99]), "hi");
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused() {
        assert!(Tokenizer::parse(&[5, b'a']).is_err());
        assert!(Tokenizer::parse(&[200]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(file: Vec<u8>, numbers: Vec<i64>) {
            if let Ok(tokenizer) = Tokenizer::parse(&file) {
                tokenizer.decode(&numbers);
            }
        }
    }
}
