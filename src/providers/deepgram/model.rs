//! Which Deepgram model can hear which language.
//!
//! Source: Deepgram's models and languages overview and its changelog; nova-3 learned Arabic in
//! 2026-01 and Hebrew in 2026-02, the two languages of the contract that nova-2 never had.
//! <https://developers.deepgram.com/docs/models-languages-overview>

use crate::model::Language;

/// Models that a client may ask for by name.
pub const MODELS: [&str; 15] = [
    "nova-2",
    "nova-2-general",
    "nova-2-meeting",
    "nova-2-phonecall",
    "nova-2-finance",
    "nova-2-conversationalai",
    "nova-2-voicemail",
    "nova-2-video",
    "nova-2-medical",
    "nova-2-drivethru",
    "nova-2-automotive",
    "nova-2-atc",
    "nova-3",
    "nova-3-general",
    "nova-3-medical",
];

const WITHOUT_NOVA_2: [&str; 2] = ["ar", "he"];
const WITHOUT_NOVA_3: [&str; 1] = ["th"];

/// Whether `model` can hear `language`.
///
/// The special-purpose models hear English only, apart from the general ones.
pub fn hears(model: &str, language: Language) -> bool {
    let code = language.as_str();
    match model {
        "nova-2" | "nova-2-general" => !WITHOUT_NOVA_2.contains(&code),
        "nova-3" | "nova-3-general" => !WITHOUT_NOVA_3.contains(&code),
        _ => code == "en",
    }
}

/// The model for a language: the wanted one where it can hear it, else one that can.
///
/// An `explicit` choice is left alone: options were validated against [`hears`] before.
pub fn choose(wanted: &str, language: Language, explicit: bool) -> &str {
    if explicit || hears(wanted, language) {
        return wanted;
    }
    if hears("nova-2", language) { "nova-2" } else { "nova-3" }
}

/// Whether the model takes `keyterm` (nova-3) rather than `keywords` (nova-2 and older).
pub fn takes_keyterm(model: &str) -> bool {
    model.starts_with("nova-3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_model_that_hears_it() {
        for code in Language::CODES {
            let language = Language::parse(code).expect("a code of the contract");
            for wanted in ["nova-2", "nova-3", "nova-2-medical"] {
                assert!(hears(choose(wanted, language, false), language), "{wanted} {code}");
            }
        }
    }

    #[test]
    fn arabic_and_hebrew_need_nova_3() {
        for code in ["ar", "he"] {
            let language = Language::parse(code).expect("a code of the contract");
            assert_eq!(choose("nova-2", language, false), "nova-3");
        }
        assert_eq!(choose("nova-2", Language::ENGLISH, false), "nova-2");
    }
}
