//! English names of languages, as OpenAI's transcriptions tell them.
//!
//! Source: the languages of OpenAI's speech-to-text guide; codes are ISO 639-1.

const NAMES: [(&str, &str); 57] = [
    ("af", "afrikaans"),
    ("ar", "arabic"),
    ("az", "azerbaijani"),
    ("be", "belarusian"),
    ("bg", "bulgarian"),
    ("bs", "bosnian"),
    ("ca", "catalan"),
    ("cs", "czech"),
    ("cy", "welsh"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", "english"),
    ("es", "spanish"),
    ("et", "estonian"),
    ("fa", "persian"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("gl", "galician"),
    ("he", "hebrew"),
    ("hi", "hindi"),
    ("hr", "croatian"),
    ("hu", "hungarian"),
    ("hy", "armenian"),
    ("id", "indonesian"),
    ("is", "icelandic"),
    ("it", "italian"),
    ("ja", "japanese"),
    ("kk", "kazakh"),
    ("kn", "kannada"),
    ("ko", "korean"),
    ("lt", "lithuanian"),
    ("lv", "latvian"),
    ("mi", "maori"),
    ("mk", "macedonian"),
    ("mr", "marathi"),
    ("ms", "malay"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("no", "norwegian"),
    ("pl", "polish"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sk", "slovak"),
    ("sl", "slovenian"),
    ("sr", "serbian"),
    ("sv", "swedish"),
    ("sw", "swahili"),
    ("ta", "tamil"),
    ("th", "thai"),
    ("tl", "tagalog"),
    ("tr", "turkish"),
    ("uk", "ukrainian"),
    ("ur", "urdu"),
    ("vi", "vietnamese"),
    ("zh", "chinese"),
];

/// The name of a code such as `en` or `en-US`; what has none is its own.
pub fn language_name(code: &str) -> &str {
    let primary = code.split(['-', '_']).next().unwrap_or(code);
    NAMES.iter().find(|(known, _)| *known == primary).map_or(code, |(_, name)| name)
}

/// The code of a name in any case; what is a code already stays one.
pub fn language_code(name: &str) -> &str {
    let known = NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
    known.map_or(name, |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_code() {
        for (code, name) in NAMES {
            assert_eq!((language_name(code), language_code(name)), (name, code));
        }
        assert_eq!((language_name("en-GB"), language_name("xx")), ("english", "xx"));
        assert_eq!((language_code("English"), language_code("pt-BR")), ("en", "pt-BR"));
    }
}
