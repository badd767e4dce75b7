//! Names of models: what old ones stand for today, and when providers stop to serve which.

use chrono::{Days, NaiveDate};

use super::{
    reader::Reader,
    variables::{MODEL_ALIASES, MODEL_RETIREMENTS, Variable},
};

/// How long before a model is gone operators hear of it.
const NOTICE: Days = Days::new(60);

/// What is known of models' names.
#[derive(Clone, Debug, Default)]
pub struct Models {
    aliases: Vec<(String, String)>,
    retirements: Vec<(String, NaiveDate)>,
}

impl Models {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let alias = |(old, new): (&str, &str)| Some((old.to_owned(), new.to_owned()));
        let retirement = |(model, day): (&str, &str)| Some((model.to_owned(), day.parse().ok()?));
        let aliases = pairs(reader, &MODEL_ALIASES, "a comma-separated list of old=new", alias);
        let allowed = "a comma-separated list of model=YYYY-MM-DD";
        let retirements = pairs(reader, &MODEL_RETIREMENTS, allowed, retirement);
        Self { aliases, retirements }
    }

    /// The name that the provider knows today.
    pub fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        let alias = self.aliases.iter().find(|(old, _)| old == name);
        alias.map_or(name, |(_, new)| new)
    }

    /// What there is to say of a model, that the variable names, on that day.
    pub fn warning(&self, variable: &str, model: &str, today: NaiveDate) -> Option<String> {
        let (_, day) = self.retirements.iter().find(|(retired, _)| retired == model)?;
        if *day <= today {
            return Some(format!("{variable} names {model}, which was retired on {day}"));
        }
        let is_soon = today.checked_add_days(NOTICE).is_none_or(|horizon| *day <= horizon);
        is_soon.then(|| format!("{variable} names {model}, which will be retired on {day}"))
    }
}

/// The pairs of a list, as far as they are ones.
fn pairs<T>(
    reader: &mut Reader<'_>,
    variable: &Variable,
    allowed: &str,
    read: impl Fn((&str, &str)) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    for pair in reader.text(variable).split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let sides = pair.split_once('=').map(|(left, right)| (left.trim(), right.trim()));
        let sides = sides.filter(|(left, right)| !left.is_empty() && !right.is_empty());
        match sides.and_then(&read) {
            Some(pair) => found.push(pair),
            None => {
                reader.wrong(variable, allowed);
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};

    fn models(aliases: &str, retirements: &str) -> Models {
        let env = Env::from([("MODEL_ALIASES", aliases), ("MODEL_RETIREMENTS", retirements)]);
        Config::load(&env).unwrap().providers.models
    }

    #[test]
    fn an_old_name_stands_for_what_is_served_today() {
        let usual = Config::load(&Env::default()).unwrap().providers.models;
        assert_eq!(usual.resolve("deepseek-chat"), "deepseek-flash");
        assert_eq!(usual.resolve("whisper-1"), "whisper-1");
        let ring = models(" a = b ,b=a,", "");
        assert_eq!((ring.resolve("a"), ring.resolve("b")), ("b", "a"), "one step, never a ring");
    }

    #[test]
    fn a_configured_alias_is_asked_for_by_its_new_name() {
        let env = Env::from([
            ("OPENAI_MODEL", "gpt-4o-mini"),
            ("OPENAI_TRANSCRIPTION_MODEL", "whisper-1"),
            ("MODEL_ALIASES", "gpt-4o-mini=gpt-6-luna,whisper-1=gpt-transcribe"),
        ]);
        let providers = Config::load(&env).unwrap().providers;
        let named = (providers.openai_model, providers.openai_transcription_model);
        assert_eq!(named, ("gpt-6-luna".to_owned(), "gpt-transcribe".to_owned()));
    }

    #[test]
    fn a_retirement_is_told_two_months_before() {
        let models = models("", "m=2027-02-26");
        let on = |day: &str| models.warning("MODEL", "m", day.parse().unwrap());
        assert_eq!(on("2026-12-27"), None);
        let soon = "MODEL names m, which will be retired on 2027-02-26";
        assert_eq!(on("2026-12-28").as_deref(), Some(soon));
        let gone = "MODEL names m, which was retired on 2027-02-26";
        assert_eq!(on("2027-02-26").as_deref(), Some(gone));
        assert_eq!(models.warning("MODEL", "n", "2030-01-01".parse().unwrap()), None);
    }

    #[test]
    fn only_models_of_configured_accounts_are_told() {
        let day = "2027-01-01".parse().unwrap();
        let told = |env: Env| Config::load(&env).unwrap().providers.warnings(day);
        assert!(told(Env::default()).is_empty());
        let names = told(Env::from([("OPENAI_API_KEY", "sk-51f0c2")]));
        assert!(names[0].starts_with("OPENAI_MODEL names gpt-4o-mini"), "{names:?}");
        assert!(names[1].starts_with("OPENAI_TRANSCRIPTION_MODEL names whisper-1"), "{names:?}");
    }
}
