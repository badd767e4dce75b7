//! The 29 languages of the contract.

/// A language code of the contract; regional variants are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language(&'static str);

impl Language {
    /// English: the default, and what an unknown code falls back to.
    pub const ENGLISH: Self = Self("en");

    /// Every code, in the contract's order.
    pub const CODES: [&'static str; 29] = [
        "en", "es", "fr", "it", "de", "pt", "nl", "hi", "ja", "ko", "zh", "sv", "no", "da", "fi",
        "pl", "ru", "tr", "ar", "el", "he", "cs", "uk", "ro", "hu", "id", "ms", "th", "vi",
    ];

    /// The language of that code, matched exactly and case-sensitively as the original did.
    pub fn parse(code: &str) -> Option<Self> {
        Self::CODES.into_iter().find(|known| *known == code).map(Self)
    }

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}
