//! What audio costs: list prices as data, in whole micro-dollars.

use crate::model::Micros;

/// A list price of transcription.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Who charges it.
    pub service: &'static str,
    /// How the models that it is for begin.
    pub model: &'static str,
    /// Whether it is for several languages in one stream.
    pub multilingual: bool,
    /// Micro-dollars a minute of one channel.
    pub micros_per_minute: u32,
    /// Where the figure is from, and when it was read.
    pub source: &'static str,
}

/// The version of the rates below, kept with each row that they priced.
pub const RATE_CARD: &str = "2026-10-07";

/// Micro-dollars a minute of one channel that Deepgram adds for telling speakers apart
/// (hail-hq/hail `costs/stt.json`, CC BY 4.0, 2026-05-05).
const DIARIZATION_MICROS_PER_MINUTE: u32 = 2_000;

const HAIL: &str = "hail-hq/hail costs/stt.json (CC BY 4.0), pay as you go, 2026-05-05";
const LIST: &str = "deepgram.com/pricing, streaming, pay as you go, 2025";
const EVANGELIST: &str = "api-evangelist harvest of deepgram.com/pricing, 2026-05";
/// 0.15 dollars an hour. AssemblyAI charges for the time that a session is open; what is billed here
/// is the audio in it. Key terms, at 0.04 dollars an hour, are not on the card.
const ASSEMBLYAI: &str = "api-evangelist harvest of assemblyai.com/pricing, 2026-10-07";

/// Streaming rates, the first that fits counts; the last Deepgram rate is for models that the card
/// does not know, and is that of the service's default model.
const RATES: [Rate; 11] = [
    deepgram("nova-3", true, 5_800, HAIL),
    deepgram("nova-3", false, 4_800, HAIL),
    deepgram("nova-2", false, 5_800, LIST),
    deepgram("nova", false, 5_800, LIST),
    deepgram("flux-general-multi", false, 7_800, EVANGELIST),
    deepgram("flux", false, 6_500, EVANGELIST),
    deepgram("enhanced", false, 16_500, LIST),
    deepgram("base", false, 14_500, LIST),
    deepgram("", false, 5_800, LIST),
    Rate {
        service: "assemblyai",
        model: "",
        multilingual: false,
        micros_per_minute: 2_500,
        source: ASSEMBLYAI,
    },
    Rate {
        service: "local",
        model: "",
        multilingual: false,
        micros_per_minute: 0,
        source: "the embedded engine costs nobody anything",
    },
];

/// Rates of recordings, the first that fits counts, as above.
const RECORDED: [Rate; 12] = [
    deepgram("nova-3", true, 5_200, HAIL),
    deepgram("nova-3", false, 4_300, HAIL),
    deepgram("nova", false, 4_300, LITELLM),
    deepgram("enhanced", false, 14_500, LITELLM),
    deepgram("base", false, 12_500, LITELLM),
    deepgram("", false, 4_300, LITELLM),
    whisper("gpt-4o-mini-transcribe", 3_000),
    whisper("gpt-transcribe", 4_500),
    whisper("", 6_000),
    Rate {
        service: "assemblyai",
        model: "universal-3",
        multilingual: false,
        micros_per_minute: 3_500,
        source: ASSEMBLYAI,
    },
    Rate {
        service: "assemblyai",
        model: "",
        multilingual: false,
        micros_per_minute: 2_500,
        source: ASSEMBLYAI,
    },
    Rate {
        service: "local",
        model: "",
        multilingual: false,
        micros_per_minute: 0,
        source: "the embedded engine costs nobody anything",
    },
];
const LITELLM: &str = "litellm 1.109.1 (PyPI, MIT), model_prices_and_context_window, 2026-11";

const fn whisper(model: &'static str, micros_per_minute: u32) -> Rate {
    Rate { service: "whisper", model, multilingual: false, micros_per_minute, source: LITELLM }
}

const fn deepgram(
    model: &'static str,
    multilingual: bool,
    micros_per_minute: u32,
    source: &'static str,
) -> Rate {
    Rate { service: "deepgram", model, multilingual, micros_per_minute, source }
}

/// The price of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    micros_per_minute: u64,
}

impl Price {
    /// The price of a stream, all its billed channels together.
    pub fn of(service: &str, model: &str, language: &str, diarize: bool, channels: u16) -> Self {
        Self::by(&RATES, (service, model, language), diarize, channels)
    }

    /// The price of a recording.
    pub fn of_recording(service: &str, model: &str, language: &str, diarize: bool) -> Self {
        Self::by(&RECORDED, (service, model, language), diarize, 1)
    }

    fn by(
        rates: &[Rate],
        (service, model, language): (&str, &str, &str),
        diarize: bool,
        channels: u16,
    ) -> Self {
        let fits = |rate: &&Rate| {
            rate.service == service
                && model.starts_with(rate.model)
                && (!rate.multilingual || language == "multi")
        };
        let base = rates.iter().find(fits).map_or(0, |rate| rate.micros_per_minute);
        let speakers =
            if diarize && service == "deepgram" { DIARIZATION_MICROS_PER_MINUTE } else { 0 };
        Self { micros_per_minute: u64::from(base + speakers) * u64::from(channels.max(1)) }
    }

    /// The cost of the audio from `from_ms` to `until_ms` of a stream.
    ///
    /// It is the difference of two totals, so that however a stream is cut, the pieces add up to
    /// what the whole costs.
    pub fn between(self, from_ms: u64, until_ms: u64) -> Micros {
        Micros((self.total(until_ms) - self.total(from_ms.min(until_ms))).cast_signed())
    }

    fn total(self, until_ms: u64) -> u64 {
        let micros = u128::from(until_ms) * u128::from(self.micros_per_minute) / 60_000;
        u64::try_from(micros).unwrap_or(u64::MAX).min(i64::MAX.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_minute_costs_the_list_price() {
        let minute = |service, model, language, diarize, channels| {
            Price::of(service, model, language, diarize, channels).between(0, 60_000).0
        };
        assert_eq!(minute("deepgram", "nova-2", "en", false, 1), 5_800);
        assert_eq!(minute("deepgram", "nova-2-medical", "en", true, 1), 7_800);
        assert_eq!(minute("deepgram", "nova-3", "en", false, 2), 9_600);
        assert_eq!(minute("deepgram", "nova-3", "multi", false, 1), 5_800);
        assert_eq!(minute("deepgram", "tomorrow-1", "en", false, 1), 5_800);
        assert_eq!(minute("assemblyai", "universal-streaming-english", "en", true, 1), 2_500);
        assert_eq!(minute("assemblyai", "universal-streaming-multilingual", "fr", false, 1), 2_500);
        assert_eq!(minute("local", "zipformer", "en", true, 2), 0);
    }

    #[test]
    fn a_recorded_minute_costs_its_list_price() {
        let minute = |service, model, language, diarize| {
            Price::of_recording(service, model, language, diarize).between(0, 60_000).0
        };
        assert_eq!(minute("deepgram", "nova-2", "en", false), 4_300);
        assert_eq!(minute("deepgram", "nova-3", "multi", true), 7_200);
        assert_eq!(minute("whisper", "whisper-1", "en", false), 6_000);
        assert_eq!(minute("whisper", "gpt-transcribe", "en", false), 4_500);
        assert_eq!(minute("assemblyai", "universal-3-pro", "en", true), 3_500);
        assert_eq!(minute("local", "moonshine-tiny-en", "en", false), 0);
    }

    #[test]
    fn every_rate_names_its_source() {
        assert!(RATES.iter().chain(&RECORDED).all(|rate| !rate.source.is_empty()));
    }

    proptest! {
        #[test]
        fn any_tiling_costs_what_the_whole_costs(
            mut cuts in proptest::collection::vec(0_u64..100_000_000, 0..50),
            end in 0_u64..100_000_000,
            channels in 1_u16..9,
            diarize: bool,
        ) {
            let price = Price::of("deepgram", "nova-2", "en", diarize, channels);
            cuts.retain(|cut| *cut < end);
            cuts.extend([0, end]);
            cuts.sort_unstable();
            let sum: i64 = cuts.windows(2).map(|cut| price.between(cut[0], cut[1]).0).sum();
            prop_assert_eq!(sum, price.between(0, end).0);
        }
    }
}
