//! Keys and addresses of the providers behind the REST routes.

use std::time::Duration;

use chrono::NaiveDate;
use secrecy::SecretString;

use super::{
    models::Models,
    reader::Reader,
    variables::{
        ASSEMBLYAI_API_KEY, ASSEMBLYAI_BASE_URL, DEEPSEEK_API_KEY, DEEPSEEK_BASE_URL,
        DEEPSEEK_MODEL, GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_SHEETS_BASE_URL,
        GOOGLE_TRANSLATE_BASE_URL, GOOGLE_TRANSLATE_VERSION, MAKE_WEBHOOK_DEV_URL,
        MAKE_WEBHOOK_SECRET, MAKE_WEBHOOK_URL, OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL,
        OPENAI_TRANSCRIPTION_MODEL, TRANSLATION_SECONDS, Variable,
    },
};

/// Providers other than the live ones; one without a key is absent.
#[derive(Clone, Debug)]
pub struct ProvidersConfig {
    /// Old names of models, and when which are retired.
    pub models: Models,
    /// Key of the OpenAI account.
    pub openai_api_key: Option<SecretString>,
    /// OpenAI's model for translation.
    pub openai_model: String,
    /// OpenAI's model for recordings.
    pub openai_transcription_model: String,
    /// Where OpenAI is, with `/v1`.
    pub openai_base_url: String,
    /// Key of the AssemblyAI account.
    pub assemblyai_api_key: Option<SecretString>,
    /// Where AssemblyAI is.
    pub assemblyai_base_url: String,
    /// Key of the DeepSeek account.
    pub deepseek_api_key: Option<SecretString>,
    /// DeepSeek's model.
    pub deepseek_model: String,
    /// Where DeepSeek is.
    pub deepseek_base_url: String,
    /// File with the Google service account.
    pub google_credentials: Option<String>,
    /// Where Google Translate is.
    pub google_translate_base_url: String,
    /// Whether Google Translate is asked in its edition v3, not v2.
    pub google_translate_v3: bool,
    /// Where Google Sheets is.
    pub google_sheets_base_url: String,
    /// Webhook that receives translations; its path is a secret.
    pub make_webhook_url: Option<SecretString>,
    /// The same for translations marked as development.
    pub make_webhook_dev_url: Option<SecretString>,
    /// What signs their deliveries.
    pub make_webhook_secret: Option<SecretString>,
    /// How long a translation may take.
    pub translation_time: Duration,
}

impl ProvidersConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let models = Models::read(reader);
        let model = |reader: &Reader<'_>, variable: &Variable| {
            models.resolve(reader.text(variable)).to_owned()
        };
        Self {
            openai_api_key: reader.secret(&OPENAI_API_KEY),
            openai_model: model(reader, &OPENAI_MODEL),
            openai_transcription_model: model(reader, &OPENAI_TRANSCRIPTION_MODEL),
            openai_base_url: reader.url(&OPENAI_BASE_URL),
            assemblyai_api_key: reader.secret(&ASSEMBLYAI_API_KEY),
            assemblyai_base_url: reader.url(&ASSEMBLYAI_BASE_URL),
            deepseek_api_key: reader.secret(&DEEPSEEK_API_KEY),
            deepseek_model: model(reader, &DEEPSEEK_MODEL),
            deepseek_base_url: reader.url(&DEEPSEEK_BASE_URL),
            google_credentials: reader.set(&GOOGLE_APPLICATION_CREDENTIALS).map(str::to_owned),
            google_translate_base_url: reader.url(&GOOGLE_TRANSLATE_BASE_URL),
            google_translate_v3: is_v3(reader),
            google_sheets_base_url: reader.url(&GOOGLE_SHEETS_BASE_URL),
            make_webhook_url: secret_url(reader, &MAKE_WEBHOOK_URL),
            make_webhook_dev_url: secret_url(reader, &MAKE_WEBHOOK_DEV_URL),
            make_webhook_secret: reader.secret(&MAKE_WEBHOOK_SECRET),
            translation_time: Duration::from_secs(reader.number(&TRANSLATION_SECONDS, 1..=86_400)),
            models,
        }
    }

    /// What there is to say on that day of the models that are asked for.
    pub fn warnings(&self, today: NaiveDate) -> Vec<String> {
        let (openai, deepseek) = (&self.openai_api_key, &self.deepseek_api_key);
        let asked = [
            (&OPENAI_MODEL, &self.openai_model, openai),
            (&OPENAI_TRANSCRIPTION_MODEL, &self.openai_transcription_model, openai),
            (&DEEPSEEK_MODEL, &self.deepseek_model, deepseek),
        ];
        let asked = asked.into_iter().filter(|(_, _, key)| key.is_some());
        asked
            .filter_map(|(named, model, _)| self.models.warning(named.name, model, today))
            .collect()
    }
}

fn secret_url(reader: &mut Reader<'_>, variable: &Variable) -> Option<SecretString> {
    reader.optional_url(variable).map(SecretString::from)
}

fn is_v3(reader: &mut Reader<'_>) -> bool {
    match reader.text(&GOOGLE_TRANSLATE_VERSION).to_ascii_lowercase().as_str() {
        "v2" => false,
        "v3" => true,
        _ => {
            reader.wrong(&GOOGLE_TRANSLATE_VERSION, "v2 or v3");
            false
        }
    }
}
