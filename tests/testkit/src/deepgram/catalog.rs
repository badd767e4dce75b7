//! Which models exist and which languages each of them takes.

/// Nova-3, as announced until 2026-03.
const NOVA_3: &str = "multi en en-US en-AU en-GB en-IN en-NZ es es-419 fr fr-CA pt pt-BR pt-PT de de-CH \
    nl nl-BE sv sv-SE da da-DK it tr no id bg cs fi hi hu ja ko ko-KR pl ru uk vi ca et el lv lt ms \
    ro sk be bn bs hr kn mk mr sr sl ta tl te he fa ur ar zh zh-CN zh-Hans zh-TW zh-Hant zh-HK th th-TH";
/// Nova-2 has neither Arabic nor Hebrew.
const NOVA_2: &str = "multi bg ca zh zh-CN zh-Hans zh-TW zh-Hant zh-HK cs da da-DK nl en en-US en-AU \
    en-GB en-NZ en-IN et fi nl-BE fr fr-CA de de-CH el hi hu id it ja ko ko-KR lv lt ms no pl pt \
    pt-BR pt-PT ro ru sk es es-419 sv sv-SE th th-TH tr uk vi";
const NOVA: &str = "en en-US en-AU en-GB en-IN en-NZ es es-419 hi-Latn";
const ENHANCED: &str = "en en-US da de es es-419 fr hi it ja ko nl no pl pt pt-BR pt-PT sv ta";
const BASE: &str = "en en-US en-AU en-GB en-IN en-NZ da de es es-419 fr fr-CA hi hi-Latn id it ja ko nl \
    no pl pt pt-BR pt-PT ru sv ta tr uk zh zh-CN zh-TW";
const ENGLISH: &str = "en en-US en-AU en-GB en-IN en-NZ";

const NOVA_2_KINDS: &str = "meeting phonecall finance conversationalai voicemail video medical \
    drivethru automotive atc";
const BASE_KINDS: &str = "general meeting phonecall finance conversationalai voicemail video";

/// A model that a request resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    /// As asked for, such as `nova-2-meeting`.
    pub(crate) name: String,
    /// The family, such as `nova-2`.
    pub(crate) arch: String,
    /// The use it was trained for, such as `general`.
    pub(crate) kind: String,
    languages: Option<&'static str>,
}

impl Model {
    /// The model of that name; a UUID is a custom model, anything else unknown is `None`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (arch, kind, languages) = family(&name)?;
        Some(Self { arch: arch.to_owned(), kind: kind.to_owned(), languages, name })
    }

    /// Whether it takes that language.
    pub(crate) fn speaks(&self, language: &str) -> bool {
        let same = |known: &str| known.eq_ignore_ascii_case(language);
        self.languages.is_none_or(|languages| languages.split_whitespace().any(same))
    }

    /// The name that answers carry, such as `2-general-nova`.
    pub(crate) fn display_name(&self) -> String {
        match self.arch.as_str() {
            "nova-3" => format!("{}-nova-3", self.kind),
            "nova-2" => format!("2-{}-nova", self.kind),
            arch => format!("{}-{arch}", self.kind),
        }
    }

    /// Whether key terms, not weighted keywords, bias it.
    pub(crate) fn takes_keyterms(&self) -> bool {
        self.arch == "nova-3"
    }

    /// Whether it only takes recorded audio.
    pub(crate) fn is_batch_only(&self) -> bool {
        self.arch == "whisper"
    }
}

fn family(name: &str) -> Option<(&'static str, &str, Option<&'static str>)> {
    let one_of = |kinds: &str, kind: &str| kinds.split_whitespace().any(|known| known == kind);
    let (arch, kind) = split(name);
    match (arch, kind) {
        ("nova-3", "general") => Some(("nova-3", "general", Some(NOVA_3))),
        ("nova-3", "medical") => Some(("nova-3", "medical", Some(ENGLISH))),
        ("nova-2", "general") => Some(("nova-2", "general", Some(NOVA_2))),
        ("nova-2", kind) if one_of(NOVA_2_KINDS, kind) => Some(("nova-2", kind, Some(ENGLISH))),
        ("nova", "general" | "phonecall" | "medical") => Some(("nova", kind, Some(NOVA))),
        ("enhanced", "general" | "meeting" | "phonecall" | "finance") => {
            Some(("enhanced", kind, Some(ENHANCED)))
        }
        ("base", kind) if one_of(BASE_KINDS, kind) => Some(("base", kind, Some(BASE))),
        ("whisper", "general" | "tiny" | "base" | "small" | "medium" | "large") => {
            Some(("whisper", kind, None))
        }
        _ if one_of(BASE_KINDS, name) => Some(("base", name, Some(BASE))),
        _ if uuid::Uuid::parse_str(name).is_ok() => Some(("custom", "custom", None)),
        _ => None,
    }
}

fn split(name: &str) -> (&'static str, &str) {
    for arch in ["nova-3", "nova-2", "nova", "enhanced", "base", "whisper"] {
        match name.strip_prefix(arch) {
            Some("") => return (arch, "general"),
            Some(rest) if rest.starts_with('-') => return (arch, &rest[1..]),
            _ => {}
        }
    }
    ("", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nova_2_lacks_arabic_and_hebrew_only() {
        let (nova_2, nova_3) = (Model::find("nova-2").unwrap(), Model::find("nova-3").unwrap());
        let codes = "en es fr it de pt nl hi ja ko zh sv no da fi pl ru tr ar el he cs uk ro hu id ms \
            th vi";
        let missing: Vec<_> =
            codes.split_whitespace().filter(|code| !nova_2.speaks(code)).collect();
        assert_eq!(missing, ["ar", "he"]);
        assert!(codes.split_whitespace().all(|code| nova_3.speaks(code)));
        assert!(!nova_2.speaks("xx") && !nova_3.speaks("xx"));
    }

    #[test]
    fn names_resolve() {
        let found = |name| Model::find(name).map(|model| (model.display_name(), model.arch));
        let pair = |name: &str, arch: &str| Some((name.to_owned(), arch.to_owned()));
        assert_eq!(found("nova-3"), pair("general-nova-3", "nova-3"));
        assert_eq!(found("nova-2-meeting"), pair("2-meeting-nova", "nova-2"));
        assert_eq!(found("phonecall"), pair("phonecall-base", "base"));
        assert_eq!(found("nova-4"), None);
        assert!(Model::find("whisper-large").unwrap().is_batch_only());
    }
}
