//! Texts.

use super::operation::{Answer, NOTHING, Operation};
use crate::model::ErrorKind::{
    self, DependencyUnavailable, IdempotencyInProgress, IdempotencyKeyReused, Internal,
    InvalidRequest, Overloaded, PayloadTooLarge, ProviderRejected, ProviderUnavailable,
    QuotaExceeded, ShuttingDown, Timeout, UnsupportedLanguage,
};

const BILLED: &[ErrorKind] = &[
    InvalidRequest,
    UnsupportedLanguage,
    IdempotencyInProgress,
    PayloadTooLarge,
    IdempotencyKeyReused,
    QuotaExceeded,
    Internal,
    ProviderRejected,
    Overloaded,
    ProviderUnavailable,
    DependencyUnavailable,
    ShuttingDown,
    Timeout,
];
const TRANSLATED: &[Answer] = &[Answer {
    status: 200,
    description: "The translation",
    bodies: &[("application/json", "Translation"), ("text/event-stream", "ServerSentEvent")],
    headers: &[],
}];

/// What each does.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/translations/openai",
        id: "translations_openai",
        summary: "Translate a text with OpenAI",
        parameters: &["IdempotencyKey"],
        takes: &[("application/json", "TranslationWish")],
        answers: TRANSLATED,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/translations/google",
        id: "translations_google",
        summary: "Translate a text with Google",
        parameters: &["IdempotencyKey"],
        takes: &[("application/json", "TranslationWish")],
        answers: TRANSLATED,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/translations/deepseek",
        id: "translations_deepseek",
        summary: "Translate a text with DeepSeek, and forward it",
        parameters: &["IdempotencyKey"],
        takes: &[
            ("application/x-www-form-urlencoded", "TranslationForm"),
            ("multipart/form-data", "TranslationForm"),
        ],
        answers: TRANSLATED,
        errors: BILLED,
        ..NOTHING
    },
];
