//! People and programs about themselves.

use super::operation::{Answer, NOTHING, Operation, Words};
use crate::model::ErrorKind::{
    Conflict, DatabaseUnavailable, DependencyUnavailable, InvalidRequest, NotFound, Overloaded,
    PayloadTooLarge, ProviderUnavailable, ShuttingDown, Unauthenticated, UnsupportedMedia,
};

/// What each does.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/api/me",
        id: "api_me",
        summary: "Everything that the caller's Auth0 token says",
        answers: &[Answer {
            status: 200,
            description: "The claims",
            bodies: &[("application/json", "Me")],
            headers: &[],
        }],
        words: Words::Tenant,
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/api/userinfo",
        id: "api_userinfo",
        summary: "What Auth0 tells of the user behind the token",
        answers: &[Answer {
            status: 200,
            description: "Auth0's own answer, at most five minutes old",
            bodies: &[("application/json", "Object")],
            headers: &[],
        }],
        words: Words::Tenant,
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/api/protected/test",
        id: "api_protected_test",
        summary: "Whether an Auth0 token is good",
        answers: &[Answer {
            status: 200,
            description: "It is",
            bodies: &[("application/json", "ProtectedTest")],
            headers: &[],
        }],
        words: Words::Tenant,
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/auth/register",
        id: "auth_register",
        summary: "Make an account with a password, and its first API key",
        takes: &[("application/json", "Registration")],
        answers: &[Answer {
            status: 201,
            description: "Made; the key is shown once",
            bodies: &[("application/json", "Registered")],
            headers: &["Cache-Control"],
        }],
        errors: &[InvalidRequest, PayloadTooLarge, DatabaseUnavailable, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/auth/login",
        id: "auth_login",
        summary: "Tokens for an address and a password",
        takes: &[("application/json", "Login")],
        answers: &[Answer {
            status: 200,
            description: "Right",
            bodies: &[("application/json", "LoggedIn")],
            headers: &["Cache-Control"],
        }],
        errors: &[
            InvalidRequest,
            Unauthenticated,
            PayloadTooLarge,
            DatabaseUnavailable,
            DependencyUnavailable,
        ],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/auth/refresh",
        id: "auth_refresh",
        summary: "New tokens for a refresh token, which is good once; a second time ends the whole login",
        answers: &[
            Answer {
                status: 200,
                description: "Renewed",
                bodies: &[("application/json", "Issued")],
                headers: &["Cache-Control"],
            },
            Answer {
                status: 401,
                description: "A refusal in the words of the replaced service",
                bodies: &[("application/json", "Msg")],
                headers: &[],
            },
            Answer {
                status: 422,
                description: "A refusal in the words of the replaced service",
                bodies: &[("application/json", "Msg")],
                headers: &[],
            },
        ],
        errors: &[DatabaseUnavailable, DependencyUnavailable],
        credentials: &["refresh"],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/auth/logout",
        id: "auth_logout",
        summary: "Take back the token that is shown, on every replica",
        answers: &[
            Answer {
                status: 200,
                description: "Taken back",
                bodies: &[("application/json", "Msg")],
                headers: &[],
            },
            Answer {
                status: 401,
                description: "A refusal in the words of the replaced service",
                bodies: &[("application/json", "Msg")],
                headers: &[],
            },
            Answer {
                status: 422,
                description: "A refusal in the words of the replaced service",
                bodies: &[("application/json", "Msg")],
                headers: &[],
            },
        ],
        errors: &[DatabaseUnavailable, DependencyUnavailable],
        credentials: &["login", "refresh"],
        ..NOTHING
    },
    Operation {
        method: "get",
        path: "/auth/profile",
        id: "auth_profile",
        summary: "Who the caller is, and their active keys",
        answers: &[Answer {
            status: 200,
            description: "The caller",
            bodies: &[("application/json", "Profile")],
            headers: &[],
        }],
        errors: &[NotFound, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/auth/api-keys",
        id: "auth_api_keys_create",
        summary: "Make an API key",
        takes: &[("application/json", "WantedKey")],
        takes_nothing: true,
        answers: &[Answer {
            status: 201,
            description: "Made; shown once",
            bodies: &[("application/json", "MadeKey")],
            headers: &["Cache-Control"],
        }],
        errors: &[
            InvalidRequest,
            NotFound,
            Conflict,
            PayloadTooLarge,
            UnsupportedMedia,
            DependencyUnavailable,
        ],
        ..NOTHING
    },
    Operation {
        method: "delete",
        path: "/auth/api-keys/{id}",
        id: "auth_api_keys_delete",
        summary: "Take an API key back, on every replica",
        parameters: &["ApiKeyId"],
        answers: &[Answer {
            status: 200,
            description: "Taken back",
            bodies: &[("application/json", "Message")],
            headers: &[],
        }],
        errors: &[NotFound, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/auth/stream-ticket",
        id: "stream_ticket",
        summary: "A ticket that opens one socket, or the reason why none would open",
        answers: &[
            Answer {
                status: 201,
                description: "A ticket; not to be kept",
                bodies: &[("application/json", "Ticket")],
                headers: &[],
            },
            Answer {
                status: 400,
                description: "Not an accepted origin",
                bodies: &[],
                headers: &[],
            },
        ],
        errors: &[Overloaded, ProviderUnavailable, DependencyUnavailable, ShuttingDown],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/mobile-auth/login",
        id: "mobile_login",
        summary: "A login session without a password, for development",
        takes: &[("application/json", "MobileLogin")],
        answers: &[
            Answer {
                status: 200,
                description: "A session",
                bodies: &[("application/json", "LoginSession")],
                headers: &[],
            },
            Answer {
                status: 403,
                description: "Without ALLOW_INSECURE_SESSION_AUTH",
                bodies: &[],
                headers: &[],
            },
        ],
        errors: &[InvalidRequest, UnsupportedMedia, DatabaseUnavailable, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/mobile-auth/logout",
        id: "mobile_logout",
        summary: "Ends a login session and its streams",
        takes: &[("application/json", "SessionToken")],
        answers: &[
            Answer { status: 200, description: "Ended", bodies: &[], headers: &[] },
            Answer { status: 401, description: "No such session", bodies: &[], headers: &[] },
            Answer {
                status: 403,
                description: "Without ALLOW_INSECURE_SESSION_AUTH",
                bodies: &[],
                headers: &[],
            },
        ],
        errors: &[UnsupportedMedia, DatabaseUnavailable, DependencyUnavailable],
        ..NOTHING
    },
    Operation {
        method: "post",
        path: "/mobile-auth/verify",
        id: "mobile_verify",
        summary: "Whose login session that is",
        takes: &[("application/json", "SessionToken")],
        answers: &[
            Answer {
                status: 200,
                description: "valid, user_id and username",
                bodies: &[],
                headers: &[],
            },
            Answer { status: 401, description: "No such session", bodies: &[], headers: &[] },
            Answer {
                status: 403,
                description: "Without ALLOW_INSECURE_SESSION_AUTH",
                bodies: &[],
                headers: &[],
            },
        ],
        errors: &[UnsupportedMedia, DatabaseUnavailable, DependencyUnavailable],
        ..NOTHING
    },
];
