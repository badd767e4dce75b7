//! Live audio, rooms, and what was kept of them.

use super::operation::{Answer, NOTHING, Operation, Words};
use crate::model::ErrorKind::{
    Conflict, DatabaseUnavailable, DependencyUnavailable, Forbidden, Internal, InvalidRequest,
    NotFound, Overloaded, PayloadTooLarge, ProviderUnavailable, RateLimited, ShuttingDown, Timeout,
    Unauthenticated, UnsupportedLanguage, UnsupportedMedia,
};

/// What each does.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/audio-stream",
        id: "audio_stream",
        summary: "Upgrade to the raw WebSocket of live audio",
        parameters: &["Lang", "Ticket", "Upgrade"],
        answers: &[
            Answer {
                status: 101,
                description: "Switched; see asyncapi.yaml",
                bodies: &[],
                headers: &[],
            },
            Answer {
                status: 400,
                description: "Not an accepted origin",
                bodies: &[],
                headers: &[],
            },
            Answer {
                status: 426,
                description: "Not an upgrade to WebSocket version 13",
                bodies: &[],
                headers: &[],
            },
        ],
        errors: &[
            Unauthenticated,
            RateLimited,
            Internal,
            Overloaded,
            ProviderUnavailable,
            DatabaseUnavailable,
            DependencyUnavailable,
            ShuttingDown,
            Timeout,
        ],
        credentials: &["bearer", "api_key"],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/sessions",
        id: "sessions",
        summary: "The caller's live sessions, newest first",
        parameters: &["Limit", "Before"],
        answers: &[Answer {
            status: 200,
            description: "A page",
            bodies: &[("application/json", "Sessions")],
            headers: &[],
        }],
        errors: &[InvalidRequest, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/sessions/{id}",
        id: "session",
        summary: "One live session",
        parameters: &["SessionId"],
        answers: &[Answer {
            status: 200,
            description: "The session",
            bodies: &[("application/json", "Session")],
            headers: &[],
        }],
        errors: &[NotFound, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "delete",
        path: "/sessions/{id}",
        id: "session_delete",
        summary: "Delete what was said in a session; usage stays",
        parameters: &["SessionId"],
        answers: &[Answer {
            status: 204,
            description: "Gone, whether or not there was anything",
            bodies: &[],
            headers: &[],
        }],
        errors: &[NotFound, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/sessions/{id}/{file}",
        id: "session_transcript",
        summary: "What was said in a session that asked for `store`",
        parameters: &["SessionId", "File", "IfNoneMatch"],
        answers: &[
            Answer {
                status: 200,
                description: "The transcript, so far where the session still runs",
                bodies: &[
                    ("application/json", "Transcript"),
                    ("text/plain", "Text"),
                    ("application/x-subrip", "Text"),
                    ("text/vtt", "Text"),
                ],
                headers: &["ETag", "Content-Disposition", "Cache-Control"],
            },
            Answer { status: 304, description: "As the ETag says", bodies: &[], headers: &[] },
        ],
        errors: &[NotFound, Internal, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/rooms/{id}",
        id: "room",
        summary: "A room of the caller's as it is now",
        parameters: &["Room"],
        answers: &[Answer {
            status: 200,
            description: "The room",
            bodies: &[("application/json", "Room")],
            headers: &[],
        }],
        errors: &[InvalidRequest, Forbidden, NotFound, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/rooms/{id}/events",
        id: "room_events",
        summary: "A room as server-sent events: those of the raw WebSocket, see asyncapi.yaml",
        parameters: &["Room", "LastEventId", "Ticket"],
        answers: &[Answer {
            status: 200,
            description: "Events, each with its name and its message as data; finals with their position as id",
            bodies: &[("text/event-stream", "ServerSentEvent")],
            headers: &[],
        }],
        errors: &[
            InvalidRequest,
            Unauthenticated,
            Forbidden,
            RateLimited,
            Overloaded,
            ProviderUnavailable,
            DatabaseUnavailable,
            DependencyUnavailable,
            ShuttingDown,
        ],
        credentials: &["bearer", "api_key", "share", "share_in_query"],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/rooms/{id}/shares",
        id: "room_share",
        summary: "A token that lets its holder watch the room",
        parameters: &["Room"],
        takes: &[("application/json", "WantedShare")],
        takes_nothing: true,
        answers: &[Answer {
            status: 201,
            description: "The token; not to be kept",
            bodies: &[("application/json", "Share")],
            headers: &[],
        }],
        errors: &[
            InvalidRequest,
            Forbidden,
            Conflict,
            PayloadTooLarge,
            UnsupportedMedia,
            DependencyUnavailable,
        ],
        ..NOTHING
    },
    Operation {
        method: "delete",
        path: "/rooms/{id}/shares/{share}",
        id: "room_unshare",
        summary: "Take a share token back",
        parameters: &["Room", "ShareId"],
        answers: &[Answer {
            status: 204,
            description: "Taken back, on every replica",
            bodies: &[],
            headers: &[],
        }],
        errors: &[InvalidRequest, NotFound, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/v1/listen",
        id: "deepgram_listen_live",
        summary: "Upgrade to Deepgram's live protocol",
        description: "Deepgram's parameters, in the query; what cannot be met and would be missed is refused. The key may be offered as subprotocol too: token, KEY. What is said on the socket is Deepgram's own.",
        parameters: &["Model", "Language", "Upgrade"],
        answers: &[
            Answer {
                status: 101,
                description: "Switched; see asyncapi.yaml",
                bodies: &[],
                headers: &[],
            },
            Answer {
                status: 426,
                description: "Not an upgrade to WebSocket version 13",
                bodies: &[],
                headers: &[],
            },
        ],
        errors: &[
            InvalidRequest,
            UnsupportedLanguage,
            Unauthenticated,
            RateLimited,
            Internal,
            Overloaded,
            ProviderUnavailable,
            DatabaseUnavailable,
            DependencyUnavailable,
            ShuttingDown,
            Timeout,
        ],
        words: Words::Deepgram,
        credentials: &["bearer", "api_key"],
        ..NOTHING
    },
];
