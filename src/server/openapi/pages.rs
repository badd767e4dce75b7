//! Pages and health.

use super::operation::{Answer, NOTHING, Operation};
use crate::model::ErrorKind::NotFound;

/// What each does.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/",
        id: "root",
        summary: "What is here",
        answers: &[Answer {
            status: 200,
            description: "Name, version and paths",
            bodies: &[("application/json", "Root")],
            headers: &[],
        }],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/health",
        id: "health",
        summary: "Whether the process can answer",
        answers: &[Answer {
            status: 200,
            description: "It can",
            bodies: &[("application/json", "Health")],
            headers: &[],
        }],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/ready",
        id: "ready",
        summary: "Whether new sessions are welcome",
        answers: &[
            Answer {
                status: 200,
                description: "They are: ready, or degraded with a dependency away",
                bodies: &[("application/json", "Ready")],
                headers: &[],
            },
            Answer {
                status: 503,
                description: "They are not: draining, at the session limit, too much usage waiting, or the schema not seen yet",
                bodies: &[("application/json", "Ready")],
                headers: &[],
            },
        ],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/docs",
        id: "reference",
        summary: "This reference, for people",
        answers: &[Answer {
            status: 200,
            description: "HTML",
            bodies: &[("text/html", "Text")],
            headers: &[],
        }],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/openapi.json",
        id: "openapi",
        summary: "This reference, for programs",
        answers: &[Answer {
            status: 200,
            description: "OpenAPI",
            bodies: &[("application/json", "Object")],
            headers: &[],
        }],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/app",
        id: "page_redirect",
        summary: "Redirect to the page",
        answers: &[Answer { status: 308, description: "To /app/", bodies: &[], headers: &[] }],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/app/",
        id: "page",
        summary: "The live transcription page",
        answers: &[Answer {
            status: 200,
            description: "HTML",
            bodies: &[("text/html", "Text")],
            headers: &[],
        }],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/app/{*path}",
        id: "page_file",
        summary: "A file of the page",
        parameters: &["Path"],
        answers: &[Answer { status: 200, description: "The file", bodies: &[], headers: &[] }],
        errors: &[NotFound],
        ..NOTHING
    },
];
