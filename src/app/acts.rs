//! What a replica does over REST in single acts: recordings and texts, and whom it asks for them.

use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;

use crate::{
    config::{Config, ProvidersConfig},
    idempotency::Idempotency,
    live::LiveService,
    media::Files,
    outbound::Outbound,
    postgres::Database,
    providers::{
        Lineup, assemblyai,
        chat::{Chat, Dialect},
        deepgram,
        google::{Account, Edition, Translation},
        make::Webhook,
        openai,
        transcriber::{Transcriber, Transcribers},
        translator::{Translator, Translators},
    },
    redis::Redis,
    transcription::{self, Recordings, duplicates::Duplicates},
    translation::{Forwarding, Translations},
};

/// The longest recording: what AssemblyAI takes.
const LONGEST_RECORDING: Duration = Duration::from_secs(10 * 3600);

/// Both, with connections of their own.
pub(super) fn build(
    config: &Config,
    live: &LiveService,
    (database, redis): (&Database, &Redis),
) -> anyhow::Result<(Recordings, Translations)> {
    let outbound = Outbound::new(&live.metrics).context("calls cannot be made")?;
    let outbound = outbound.traced(live.tracer.clone());
    let idempotency = Idempotency::new(database.clone(), live.metrics.clone());
    let translations = translations(config, live, &idempotency, &outbound);
    let duplicates = Duplicates::new(
        config.recorded.duplicates,
        redis.clone(),
        live.secrets.clone(),
        live.metrics.clone(),
    );
    let recordings = recordings(config, live, (&translations, duplicates), &outbound);
    Ok((recordings, translations))
}

/// Who transcribes recordings.
fn transcribers(config: &Config, lineup: &Lineup, outbound: &Outbound) -> Transcribers {
    let absent =
        |name, variable: &str| Transcriber::Absent(name, format!("{variable} is not set").into());
    let providers = &config.providers;
    let deepgram = config.deepgram.clone().map(|deepgram| {
        Transcriber::Deepgram(deepgram::recorded::Recorded::new(deepgram, outbound))
    });
    let openai = providers.openai_api_key.clone().map(|key| {
        let (model, base) = (&providers.openai_transcription_model, &providers.openai_base_url);
        Transcriber::OpenAi(openai::transcription::Recorded::new(key, model, base, outbound))
    });
    let assemblyai = providers.assemblyai_api_key.clone().map(|key| {
        let base = &providers.assemblyai_base_url;
        Transcriber::AssemblyAi(assemblyai::recorded::Recorded::new(key, base, outbound))
    });
    Transcribers::new(vec![
        deepgram.unwrap_or_else(|| absent("deepgram", "DEEPGRAM_API_KEY")),
        openai.unwrap_or_else(|| absent("whisper", "OPENAI_API_KEY")),
        assemblyai.unwrap_or_else(|| absent("assemblyai", "ASSEMBLYAI_API_KEY")),
        lineup.embedded(),
    ])
}

/// Recordings are decoded on as many cores as there are, less one for whoever speaks.
fn recordings(
    config: &Config,
    live: &LiveService,
    (translations, duplicates): (&Translations, Duplicates),
    outbound: &Outbound,
) -> Recordings {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let files = Files::new("ffmpeg", cores.saturating_sub(1).max(1), LONGEST_RECORDING);
    let ground = transcription::Ground {
        limits: live.limits.clone(),
        transcribers: transcribers(config, &live.lineup, outbound),
        files,
        translations: translations.clone(),
        usage: live.usage.clone(),
        idempotency: translations.idempotency.clone(),
        duplicates,
        shutdown: live.shutdown.clone(),
    };
    Recordings::new(ground, config.recorded.clone())
}

/// Who translates texts, and who receives them.
fn translations(
    config: &Config,
    live: &LiveService,
    idempotency: &Idempotency,
    outbound: &Outbound,
) -> Translations {
    let providers = &config.providers;
    let (secret, shutdown) = (&providers.make_webhook_secret, live.shutdown.clone());
    let webhook = |url: &Option<SecretString>| {
        url.as_ref().map(|url| Webhook::new(url, secret.clone(), outbound))
    };
    let (usual, dev) =
        (webhook(&providers.make_webhook_url), webhook(&providers.make_webhook_dev_url));
    Translations {
        translators: translators(providers, outbound),
        forwarding: Forwarding::new(usual, dev, live.metrics.clone(), shutdown.clone()),
        usage: live.usage.clone(),
        idempotency: idempotency.clone(),
        shutdown,
        total: providers.translation_time,
    }
}

fn translators(config: &ProvidersConfig, outbound: &Outbound) -> Translators {
    let absent = |name, why: &str| Translator::Absent(name, why.into());
    let openai = config.openai_api_key.clone().map(|key| {
        let (model, base) = (&config.openai_model, &config.openai_base_url);
        Translator::OpenAi(Chat::new(Dialect::OpenAi, key, model, base, outbound))
    });
    let deepseek = config.deepseek_api_key.clone().map(|key| {
        let (model, base) = (&config.deepseek_model, &config.deepseek_base_url);
        Translator::DeepSeek(Chat::new(Dialect::DeepSeek, key, model, base, outbound))
    });
    Translators {
        openai: openai.unwrap_or_else(|| absent("openai", "OPENAI_API_KEY is not set")),
        deepseek: deepseek.unwrap_or_else(|| absent("deepseek", "DEEPSEEK_API_KEY is not set")),
        google: google(config, outbound)
            .unwrap_or_else(|| absent("google", "Google Cloud credentials not configured")),
    }
}

/// Google, where its file can be read; that it cannot was told with the configuration.
fn google(config: &ProvidersConfig, outbound: &Outbound) -> Option<Translator> {
    let path = config.google_credentials.as_deref()?;
    let told = |why| tracing::warn!("GOOGLE_APPLICATION_CREDENTIALS cannot be used: {why}");
    let account = Account::read(path, outbound).map_err(told).ok()?;
    let edition = if config.google_translate_v3 { Edition::V3 } else { Edition::V2 };
    let base = &config.google_translate_base_url;
    Some(Translator::Google(Box::new(Translation::new(edition, account, base, outbound))))
}
