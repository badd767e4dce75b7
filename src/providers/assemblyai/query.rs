//! The URL of a session: AssemblyAI takes every option as a query parameter.

use reqwest::Url;
use serde_json::json;

use super::{MAX_KEYTERM_CHARS, model};
use crate::{
    model::{Encoding, RawFormat},
    providers::{Endpointing, ProviderError, StreamOptions, socket},
};

/// Silence in milliseconds after which it may end a turn that it believes to be over, unless told
/// otherwise.
const DEFAULT_MIN_TURN_SILENCE_MS: u32 = 400;

/// The address of a session below `base`; hints that it does not know are left out.
pub(super) fn url(
    base: &str,
    options: &StreamOptions,
    raw: RawFormat,
) -> Result<Url, ProviderError> {
    let mut url = socket::address(base, "/v3/ws")?;
    let encoding = if raw.encoding == Encoding::Mulaw { "pcm_mulaw" } else { "pcm_s16le" };
    let mut query = url.query_pairs_mut();
    query.append_pair("speech_model", model::choose(options));
    query.append_pair("encoding", encoding);
    query.append_pair("sample_rate", &raw.sample_rate.to_string());
    query.append_pair("format_turns", if formatted(options) { "true" } else { "false" });
    if options.profanity_filter {
        query.append_pair("filter_profanity", "true");
    }
    if let Endpointing::AfterMs(ms) = options.endpointing {
        let least_ms = ms.min(DEFAULT_MIN_TURN_SILENCE_MS);
        query.append_pair("min_turn_silence", &least_ms.to_string());
        query.append_pair("max_turn_silence", &ms.to_string());
    }
    let fits = |term: &&String| term.chars().count() <= MAX_KEYTERM_CHARS;
    let terms: Vec<_> = options.keyterms.iter().filter(fits).collect();
    if !terms.is_empty() {
        query.append_pair("keyterms_prompt", &json!(terms).to_string());
    }
    drop(query);
    Ok(url)
}

/// Whether turns are to be written with capitals, punctuation and figures.
pub(super) fn formatted(options: &StreamOptions) -> bool {
    options.punctuate || options.smart_format
}
