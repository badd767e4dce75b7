//! Query parameters of `/v1/listen` as clients write them.

use super::refusal::Refusal;

/// A query, in order and with repeated keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The last value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Every value of that name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every pair, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// A value that is there and not a language's way of writing "nothing".
    pub(crate) fn set(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !matches!(*value, "" | "None" | "null" | "undefined"))
    }

    /// `true`, `True`, `TRUE` or `1`; a word that is no boolean counts as set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let off = ["false", "0", "no"];
        self.set(name).is_some_and(|value| !off.iter().any(|word| value.eq_ignore_ascii_case(word)))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let fault = |_| Refusal::bad_query(&format!("{name}: invalid digit found in string"));
        self.set(name).map(|value| value.parse().map_err(fault)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_write_the_same_in_many_ways() {
        let query =
            Query::parse("keyterm=a+b&keyterm=c%20d&punctuate=True&model=None&diarize=false");
        assert_eq!(query.all("keyterm").collect::<Vec<_>>(), ["a b", "c d"]);
        assert!(query.flag("punctuate") && !query.flag("diarize") && !query.flag("absent"));
        assert_eq!(query.set("model"), None);
        assert!(Query::parse("channels=two").number("channels").is_err());
    }
}
