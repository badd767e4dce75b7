//! What text costs: list prices of tokens and characters as data, in whole micro-dollars.

use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};

use crate::{model::Micros, providers::recorded::Tokens};

/// A list price of text.
#[derive(Clone, Copy, Debug)]
pub struct TextRate {
    /// Who charges it.
    pub service: &'static str,
    /// How the models that it is for begin.
    pub model: &'static str,
    /// Micro-dollars a million tokens: of the request, of those remembered, of the answer.
    pub tokens: [u32; 3],
    /// Micro-dollars a million characters.
    pub characters: u32,
    /// Whether it is double at DeepSeek's peak hours.
    pub peaks: bool,
    /// Where the figures are from, and when they were read.
    pub source: &'static str,
}

const LITELLM: &str = "litellm 1.109.1 (PyPI, MIT), model_prices_and_context_window, 2026-11";
const DEEPSEEK: &str = "api-docs.deepseek.com, pricing, after 2026-09-10";
const GOOGLE: &str = "cloud.google.com/translate/pricing, NMT beyond the free part, long-standing";

/// The first that fits counts; the last of a service is for models that the card does not know.
const RATES: [TextRate; 6] = [
    openai("gpt-4o-mini", [150_000, 75_000, 600_000]),
    openai("gpt-4o", [2_500_000, 1_250_000, 10_000_000]),
    openai("", [2_500_000, 1_250_000, 10_000_000]),
    deepseek("deepseek-v4-pro", [660_000, 22_000, 1_980_000]),
    deepseek("", [150_000, 3_000, 600_000]),
    TextRate {
        service: "google",
        model: "",
        tokens: [0; 3],
        characters: 20_000_000,
        peaks: false,
        source: GOOGLE,
    },
];

const fn openai(model: &'static str, tokens: [u32; 3]) -> TextRate {
    TextRate { service: "openai", model, tokens, characters: 0, peaks: false, source: LITELLM }
}

const fn deepseek(model: &'static str, tokens: [u32; 3]) -> TextRate {
    TextRate { service: "deepseek", model, tokens, characters: 0, peaks: true, source: DEEPSEEK }
}

/// The price of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextPrice {
    tokens: [u64; 3],
    characters: u64,
}

impl TextPrice {
    /// The price of that service's model at that time.
    pub fn of(service: &str, model: &str, at: DateTime<Utc>) -> Self {
        let fits = |rate: &&TextRate| rate.service == service && model.starts_with(rate.model);
        let Some(rate) = RATES.iter().find(fits) else {
            return Self { tokens: [0; 3], characters: 0 };
        };
        let factor = if rate.peaks && is_peak(at) { 2 } else { 1 };
        let times = |micros: u32| u64::from(micros) * factor;
        Self { tokens: rate.tokens.map(times), characters: times(rate.characters) }
    }

    /// The cost of those tokens and characters, parts of a micro-dollar counted as one.
    pub fn cost(self, tokens: Tokens, characters: u64) -> Micros {
        let [fresh, cached, output] = self.tokens;
        let counted = [
            (tokens.input.saturating_sub(tokens.cached), fresh),
            (tokens.cached.min(tokens.input), cached),
            (tokens.output, output),
            (characters, self.characters),
        ];
        let sum: u128 = counted.iter().map(|(n, rate)| u128::from(*n) * u128::from(*rate)).sum();
        let micros = sum.div_ceil(1_000_000).min(u128::from(i64::MAX.unsigned_abs()));
        Micros(u64::try_from(micros).unwrap_or(u64::MAX).cast_signed())
    }
}

/// Monday to Friday, 01 to 04 and 06 to 10 in UTC.
fn is_peak(at: DateTime<Utc>) -> bool {
    let is_weekend = matches!(at.weekday(), Weekday::Sat | Weekday::Sun);
    !is_weekend && matches!(at.hour(), 1..=3 | 6..=9)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(service: &str, model: &str, at: &str, tokens: [u64; 3], characters: u64) -> i64 {
        let [input, cached, output] = tokens;
        let price = TextPrice::of(service, model, at.parse().unwrap());
        price.cost(Tokens { input, cached, output }, characters).0
    }

    #[test]
    fn a_million_costs_the_list_price() {
        let quiet = "2026-11-23T12:00:00Z";
        let million = [1_000_000, 0, 1_000_000];
        assert_eq!(cost("openai", "gpt-4o-mini-2024-07-18", quiet, million, 0), 750_000);
        assert_eq!(cost("deepseek", "deepseek-flash", quiet, million, 0), 750_000);
        assert_eq!(cost("deepseek", "deepseek-flash", quiet, [1_000_000, 1_000_000, 0], 0), 3_000);
        assert_eq!(cost("google", "nmt", quiet, [0; 3], 1_000), 20_000);
        assert_eq!(cost("nobody", "x", quiet, million, 9), 0);
    }

    #[test]
    fn peak_hours_cost_double_on_working_days() {
        let at = |time: &str| cost("deepseek", "deepseek-flash", time, [1_000_000, 0, 0], 0);
        let (peak, quiet) = (300_000, 150_000);
        for (time, expected) in [
            ("2026-11-23T00:59:59Z", quiet),
            ("2026-11-23T01:00:00Z", peak),
            ("2026-11-23T04:00:00Z", quiet),
            ("2026-11-23T09:59:59Z", peak),
            ("2026-11-22T07:00:00Z", quiet),
        ] {
            assert_eq!(at(time), expected, "{time}");
        }
    }

    #[test]
    fn every_rate_names_its_source() {
        assert!(RATES.iter().all(|rate| !rate.source.is_empty()));
    }

    proptest! {
        #[test]
        fn more_never_costs_less(tokens: [u32; 3], more: [u16; 3], characters: u32) {
            let price = TextPrice::of("openai", "gpt-4o-mini", "2026-11-23T12:00:00Z".parse().unwrap());
            let of = |plus: [u16; 3]| {
                let [input, cached, output] =
                    std::array::from_fn(|at| u64::from(tokens[at]) + u64::from(plus[at]));
                let cached = cached.min(u64::from(tokens[0]));
                price.cost(Tokens { input, cached, output }, u64::from(characters)).0
            };
            prop_assert!(of([more[0], 0, more[2]]) >= of([0; 3]));
        }
    }
}
