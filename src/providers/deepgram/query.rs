//! The URL of a stream: Deepgram takes every option as a query parameter.

use reqwest::Url;

use super::model;
use crate::{
    model::AudioFormat,
    providers::{Endpointing, ProviderError, StreamOptions, socket},
};

/// The live URL below `base`.
pub(super) fn url(base: &str, options: &StreamOptions, model: &str) -> Result<Url, ProviderError> {
    let mut url = socket::address(base, "/v1/listen")?;
    append(&mut url, options, model);
    Ok(url)
}

fn append(url: &mut Url, options: &StreamOptions, model: &str) {
    let mut query = url.query_pairs_mut();
    query.append_pair("model", model);
    query.append_pair("language", options.language.as_str());
    if let AudioFormat::Raw(raw) = options.format {
        query.append_pair("encoding", raw.encoding.as_str());
        query.append_pair("sample_rate", &raw.sample_rate.to_string());
        query.append_pair("channels", &raw.channels.to_string());
    }
    for (name, wanted) in [
        ("interim_results", options.interim_results),
        ("punctuate", options.punctuate),
        ("smart_format", options.smart_format),
    ] {
        query.append_pair(name, if wanted { "true" } else { "false" });
    }
    // What is off by default is only sent when it is on: fewer parameters, fewer refusals.
    for (name, wanted) in [
        ("diarize", options.diarize),
        ("multichannel", options.multichannel),
        ("numerals", options.numerals),
        ("profanity_filter", options.profanity_filter),
        ("vad_events", options.vad_events),
    ] {
        if wanted {
            query.append_pair(name, "true");
        }
    }
    match options.endpointing {
        Endpointing::Default => {}
        Endpointing::Off => drop(query.append_pair("endpointing", "false")),
        Endpointing::AfterMs(ms) => drop(query.append_pair("endpointing", &ms.to_string())),
    }
    if let Some(ms) = options.utterance_end_ms {
        query.append_pair("utterance_end_ms", &ms.to_string());
    }
    let name = if model::takes_keyterm(model) { "keyterm" } else { "keywords" };
    for term in &options.keyterms {
        query.append_pair(name, term);
    }
}
