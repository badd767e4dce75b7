//! Typed reads that collect every fault instead of stopping at the first.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use secrecy::SecretString;

use super::{env::Env, variables::Variable};

/// Everything that is wrong with a configuration; displays as one sentence.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub(super) missing: Vec<&'static str>,
    pub(super) wrong: Vec<String>,
}

impl Faults {
    /// A single fault.
    pub fn one(fault: impl Into<String>) -> Self {
        Self { missing: Vec::new(), wrong: vec![fault.into()] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.missing.is_empty() {
            write!(f, "Missing required environment variables: {}", self.missing.join(", "))?;
        }
        for (index, fault) in self.wrong.iter().enumerate() {
            let separator = if index == 0 && self.missing.is_empty() { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Reads variables; what it returns for a faulty one is never used, since the load then fails.
pub(super) struct Reader<'a> {
    env: &'a Env,
    /// What is wrong so far.
    pub(super) faults: Faults,
    /// What is allowed but should be said aloud.
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a Env) -> Self {
        Self { env, faults: Faults::default(), warnings: Vec::new() }
    }

    /// The value as it was set.
    pub(super) fn set(&self, variable: &Variable) -> Option<&'a str> {
        self.env.get(variable.name)
    }

    /// The value, or the default.
    pub(super) fn text(&self, variable: &Variable) -> &'a str {
        self.set(variable).unwrap_or(variable.default)
    }

    pub(super) fn secret(&self, variable: &Variable) -> Option<SecretString> {
        self.set(variable).map(SecretString::from)
    }

    /// Records a value that is not allowed. Never called for secrets with their value.
    pub(super) fn wrong(&mut self, variable: &Variable, allowed: &str) {
        self.faults.wrong.push(format!("{} must be {allowed}", variable.name));
    }

    /// A whole number within the range.
    pub(super) fn number<T>(&mut self, variable: &Variable, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Copy + fmt::Display,
    {
        let parsed = self.text(variable).parse().ok().filter(|number| range.contains(number));
        parsed.unwrap_or_else(|| {
            let kind = if variable.default.contains('.') { "number" } else { "whole number" };
            let allowed = format!("a {kind} from {} to {}", range.start(), range.end());
            self.wrong(variable, &allowed);
            *range.start()
        })
    }

    /// A number within the range, or nothing where the variable is unset.
    pub(super) fn optional_number<T>(
        &mut self,
        variable: &Variable,
        range: RangeInclusive<T>,
    ) -> Option<T>
    where
        T: FromStr + PartialOrd + Copy + fmt::Display,
    {
        self.set(variable).is_some().then(|| self.number(variable, range))
    }

    /// `true` or `false`, also written 1/0, yes/no, on/off.
    pub(super) fn flag(&mut self, variable: &Variable) -> bool {
        match self.text(variable).to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.wrong(variable, "true or false");
                false
            }
        }
    }

    /// One of the named values, in any case.
    pub(super) fn choice<T: Copy>(&mut self, variable: &Variable, choices: &[(&str, T)]) -> T {
        let text = self.text(variable);
        let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let Some((_, value)) = found else {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(variable, &format!("one of {}", names.join(", ")));
            return choices[0].1;
        };
        *value
    }

    /// An http or https address without its trailing slash.
    pub(super) fn url(&mut self, variable: &Variable) -> String {
        let text = self.text(variable).trim_end_matches('/');
        if !is_http(text) {
            self.wrong(variable, "an http:// or https:// address");
        }
        text.to_owned()
    }

    /// An http or https address, or nothing where the variable is unset.
    pub(super) fn optional_url(&mut self, variable: &Variable) -> Option<String> {
        self.set(variable).is_some().then(|| self.url(variable))
    }
}

fn is_http(text: &str) -> bool {
    reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
