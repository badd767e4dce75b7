//! Recordings.

use super::operation::{Answer, NOTHING, Operation, Words};
use crate::model::ErrorKind::{
    self, DependencyUnavailable, IdempotencyInProgress, IdempotencyKeyReused, Internal,
    InvalidRequest, Overloaded, PayloadTooLarge, ProviderRejected, ProviderUnavailable,
    QuotaExceeded, RequestTimeout, ShuttingDown, Timeout, UnsupportedLanguage,
};

const HEARD: &[Answer] = &[Answer {
    status: 200,
    description: "What was heard, in the form that was asked for",
    bodies: &[
        ("application/json", "Transcription"),
        ("text/plain", "Text"),
        ("application/x-subrip", "Text"),
        ("text/vtt", "Text"),
    ],
    headers: &[],
}];
const BILLED: &[ErrorKind] = &[
    InvalidRequest,
    UnsupportedLanguage,
    RequestTimeout,
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

/// What each does.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/transcriptions/deepgram",
        id: "transcriptions_deepgram",
        summary: "Transcribe a recording with Deepgram",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "RecordingForm")],
        answers: HEARD,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/transcriptions/whisper",
        id: "transcriptions_whisper",
        summary: "Transcribe a recording with OpenAI",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "RecordingForm")],
        answers: HEARD,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/transcriptions/assemblyai",
        id: "transcriptions_assemblyai",
        summary: "Transcribe a recording with AssemblyAI",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "RecordingForm")],
        answers: HEARD,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/transcriptions/local",
        id: "transcriptions_local",
        summary: "Transcribe a recording with the embedded engine",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "RecordingForm")],
        answers: HEARD,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/transcriptions/auto",
        id: "transcriptions_auto",
        summary: "Transcribe a recording with whoever can",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "RecordingForm")],
        answers: HEARD,
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/transcriptions/transcribe-and-translate",
        id: "transcribe_and_translate",
        summary: "Transcribe a recording and translate what was heard",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "TranslatedRecordingForm")],
        answers: &[Answer {
            status: 200,
            description: "The translation",
            bodies: &[("application/json", "TranslatedRecording")],
            headers: &[],
        }],
        errors: BILLED,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/v1/audio/transcriptions",
        id: "openai_transcriptions",
        summary: "Transcribe a recording, as clients of OpenAI ask",
        parameters: &["IdempotencyKey"],
        takes: &[("multipart/form-data", "OpenAiRecordingForm")],
        answers: &[Answer {
            status: 200,
            description: "What was heard, as OpenAI writes it",
            bodies: &[
                ("application/json", "OpenAiText"),
                ("text/plain", "Text"),
                ("application/x-subrip", "Text"),
                ("text/vtt", "Text"),
                ("text/event-stream", "ServerSentEvent"),
            ],
            headers: &[],
        }],
        errors: BILLED,
        words: Words::OpenAi,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/v1/listen",
        id: "deepgram_listen",
        summary: "Transcribe a recording, as clients of Deepgram ask",
        description: "Deepgram's parameters, in the query, go on to it as they are, but for callback. A JSON body names the audio by its address.",
        parameters: &["IdempotencyKey", "Model", "Language"],
        takes: &[("application/json", "AudioAddress"), ("*/*", "Bytes")],
        answers: &[Answer {
            status: 200,
            description: "What was heard, as Deepgram writes it",
            bodies: &[("application/json", "DeepgramAnswer")],
            headers: &[],
        }],
        errors: BILLED,
        words: Words::Deepgram,
        ..NOTHING
    },
];
