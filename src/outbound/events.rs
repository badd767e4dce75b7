//! Server-sent events as they come from a provider: the data of each, and nothing else.

use std::collections::VecDeque;

use super::{Opened, ProviderError, answer::protocol};

/// Bytes of one event.
const MOST_BYTES: usize = 1024 * 1024;

/// The events of an answer (WHATWG HTML §9.2), as far as providers use them: comments, names and
/// ids are skipped, an event is what its `data` lines say.
#[derive(Debug)]
pub struct Events {
    opened: Opened,
    parser: Parser,
    ended: bool,
}

#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    data: String,
    ready: VecDeque<String>,
}

impl Events {
    /// Reads that answer.
    pub fn new(opened: Opened) -> Self {
        Self { opened, parser: Parser::default(), ended: false }
    }

    /// The next event; nothing at the end of the answer.
    pub async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.opened.chunk().await? {
                Some(piece) => self.parser.push(&piece)?,
                None => self.ended = true,
            }
        }
    }
}

impl Parser {
    fn push(&mut self, piece: &[u8]) -> Result<(), ProviderError> {
        for byte in piece {
            match byte {
                b'\n' => self.end_of_line(),
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.data.len() > MOST_BYTES {
                return Err(protocol("an event is too large"));
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            if !self.data.is_empty() {
                self.ready.push_back(std::mem::take(&mut self.data));
            }
            return;
        }
        let Some(data) = line.strip_prefix("data:") else { return };
        if !self.data.is_empty() {
            self.data.push('\n');
        }
        self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENT: &str = ": keep-alive\n\ndata: {\"a\":1}\r\n\r\nevent: x\nid: 7\ndata:one\ndata: two\n\n\n: keep-alive\ndata: [DONE]\n\n";

    proptest! {
        #[test]
        fn events_come_however_they_are_cut(cuts in proptest::collection::vec(1_usize..20, 1..200)) {
            let (mut parser, mut left) = (Parser::default(), SENT.as_bytes());
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, rest) = left.split_at(cut.min(left.len()));
                parser.push(piece).unwrap();
                left = rest;
            }
            let events: Vec<String> = parser.ready.into_iter().collect();
            prop_assert_eq!(events, ["{\"a\":1}", "one\ntwo", "[DONE]"]);
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut parser = Parser::default();
        let error = parser.push(&vec![b'x'; MOST_BYTES + 1]).unwrap_err();
        assert_eq!(error.code, "protocol");
    }
}
