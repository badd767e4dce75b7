//! The pieces of one session as one client heard them.

use std::collections::BTreeMap;

use super::{Kind, Piece};

/// The pieces of one session, and what was odd about how they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// What counts, by number.
    pub pieces: BTreeMap<u64, Piece>,
    /// What was taken back by a resume: its numbers are given again.
    pub voided: Vec<Piece>,
    /// How often a piece came that was known already, as it was known.
    pub repeated: u64,
    /// Pieces that came again with other content: as it was first, and as it was then.
    pub changed: Vec<(Piece, Piece)>,
    /// Numbers that came after greater ones.
    pub late: Vec<u64>,
}

impl Track {
    /// Takes in a piece.
    pub fn hear(&mut self, piece: Piece) {
        match self.pieces.get(&piece.n) {
            Some(known) if *known == piece => self.repeated += 1,
            Some(known) => self.changed.push((known.clone(), piece)),
            None => {
                if self.last_n() > piece.n {
                    self.late.push(piece.n);
                }
                self.pieces.insert(piece.n, piece);
            }
        }
    }

    /// Takes back what has a greater number.
    pub fn void_after(&mut self, n: u64) {
        self.voided.extend(self.pieces.split_off(&(n + 1)).into_values());
    }

    /// The greatest number, 0 for none.
    pub fn last_n(&self) -> u64 {
        self.pieces.last_key_value().map_or(0, |(n, _)| *n)
    }

    /// Where the last piece ends, in milliseconds.
    pub fn end_ms(&self) -> u64 {
        self.pieces.values().map(|piece| piece.to_ms).max().unwrap_or(0)
    }

    /// Whether the end was heard.
    pub fn is_ended(&self) -> bool {
        self.pieces.values().any(|piece| matches!(piece.kind, Kind::Ended(_)))
    }

    /// What counts, and what was taken back, for people.
    pub fn tell(&self) -> String {
        let voided = self.voided.iter().map(|piece| format!("    taken back: {piece}\n"));
        let told = self.pieces.values().map(|piece| format!("    {piece}\n"));
        told.chain(voided).collect()
    }

    /// The words of all finals, in the order of their numbers.
    pub fn words(&self) -> impl Iterator<Item = &super::Word> {
        self.pieces.values().flat_map(Piece::words)
    }
}
