//! Every route with every kind of credential, from the routes that the service itself lists.

use std::time::Duration;

use audio_transcription_api::server::{Access, Route};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use testkit::{
    auth0::{Algorithm, Auth0},
    speech::sha256_hex,
};

use crate::{
    harness::{Setup, TestApp},
    tidy::markdown,
};

pub const AUDIENCE: &str = "https://api.transcripts.io";
const STATIC_KEY: &str = "canary-key-of-the-operators";
pub const GOOD_KEY: &str = "usr_7_R29vZC1mb3ItdGVzdHMtb25seS0zMi1ieXRlcy1sb24";
pub const REVOKED_KEY: &str = "usr_7_UmV2b2tlZC1mb3ItdGVzdHMtb25seS0zMi1ieXRlcy0";
const EXPIRED_KEY: &str = "usr_7_RXhwaXJlZC1mb3ItdGVzdHMtb25seS0zMi1ieXRlcy0";
const DISABLED_KEY: &str = "usr_8_RGlzYWJsZWQtZm9yLXRlc3RzLW9ubHktMzItYnl0ZXM";

/// A service with two users, one of them disabled, and a tenant.
pub async fn start() -> (TestApp, Auth0) {
    let tenant = Auth0::start().await.expect("a tenant");
    let setup = Setup::new()
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE)
        .with("API_KEY", STATIC_KEY);
    let app = setup.start().await;
    let pool = app.running.app.database.pool();
    let users = "INSERT INTO users (id, email, plan, is_active) VALUES \
                 (7, 'ada@example.com', 'pro', true), (8, 'bob@example.com', 'free', false)";
    sqlx::query(users).execute(pool).await.expect("users");
    for (user, key, active, expired) in [
        (7, GOOD_KEY, true, false),
        (7, REVOKED_KEY, false, false),
        (7, EXPIRED_KEY, true, true),
        (8, DISABLED_KEY, true, false),
    ] {
        let insert = "INSERT INTO api_keys (user_id, name, key_hash, key_prefix, is_active, expires_at) \
                      VALUES ($1, 'a key', $2, 'usr_', $3, \
                      CASE WHEN $4 THEN timezone('utc', now()) - interval '1 s' END)";
        let insert = sqlx::query(insert).bind(user).bind(sha256_hex(key.as_bytes()));
        insert.bind(active).bind(expired).execute(pool).await.expect("a key");
    }
    (app, tenant)
}

/// Where a request carries what it shows.
#[derive(Clone, Debug)]
enum Shown {
    Nothing,
    Header(&'static str, String),
}

impl Shown {
    fn bearer(token: impl AsRef<str>) -> Self {
        Self::Header("authorization", format!("Bearer {}", token.as_ref()))
    }

    fn key(key: &str) -> Self {
        Self::Header("x-api-key", key.to_owned())
    }

    fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nothing => request,
            Self::Header(name, value) => request.header(*name, value),
        }
    }
}

/// Credentials that nobody may pass with, and what `/api/*` says of each.
fn bad(tenant: &Auth0, other: &Auth0) -> Vec<(&'static str, Shown, &'static str)> {
    let good = || tenant.claims("auth0|eve", AUDIENCE);
    let mint = |claims| Shown::bearer(tenant.mint(&claims).expect("a token"));
    let foreign = other.token("auth0|eve", AUDIENCE).expect("a token");
    vec![
        ("no credential", Shown::Nothing, "Authorization header is required"),
        ("a malformed token", Shown::bearer("garbage"), "Invalid token: Not enough segments"),
        ("an expired token", mint(good().expired_for(Duration::from_secs(1))), "Token has expired"),
        ("a wrong audience", mint(good().with("aud", "https://other.test")), "Invalid audience"),
        ("another tenant", Shown::bearer(foreign), "Token verification failed"),
        (
            "an unsigned token",
            mint(good().signed_with(Algorithm::None)),
            "Invalid token: The specified alg value is not allowed",
        ),
        ("a basic header", Shown::Header("authorization", "Basic YTpi".into()), BEARER_WANTED),
        ("an empty bearer", Shown::Header("authorization", "Bearer ".into()), "Token not found"),
        ("a revoked key", Shown::key(REVOKED_KEY), "Authorization header is required"),
        ("a revoked key as bearer", Shown::bearer(REVOKED_KEY), NO_SEGMENTS),
        ("an expired key", Shown::key(EXPIRED_KEY), "Authorization header is required"),
        ("a disabled user's key", Shown::key(DISABLED_KEY), "Authorization header is required"),
        ("an unknown key", Shown::key("usr_7_unknown"), "Authorization header is required"),
        (
            "a wrong static key",
            Shown::key("canary-key-guessed"),
            "Authorization header is required",
        ),
    ]
}

/// A session that nobody has had.
const SESSION: &str = "01930000-0000-7000-8000-000000000000";

const BEARER_WANTED: &str = "Authorization header must start with Bearer";
const NO_SEGMENTS: &str = "Invalid token: Not enough segments";

async fn ask(app: &TestApp, route: &Route, shown: &Shown) -> Response {
    let id = match route.path {
        path if path.starts_with("/sessions") => SESSION,
        // No room has that name: a stream of one would never end.
        path if path.starts_with("/rooms") => "no%20room",
        _ => "999",
    };
    let path = route.path.replace("{id}", id).replace("{*path}", "app.js");
    let path = path.replace("{file}", "transcript.srt").replace("{share}", SESSION);
    let url = format!("{}{path}", app.url());
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().expect("a client");
    let mut request = client.request(route.method.clone(), url);
    if route.method == Method::POST {
        request = request.header("content-type", "application/json").body("{}");
    }
    shown.on(request).send().await.expect("an answer")
}

async fn body(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A protected route refuses with the one text, and says how to do better.
async fn assert_refused(app: &TestApp, route: &Route, name: &str, shown: &Shown) {
    let response = ask(app, route, shown).await;
    assert!(response.headers().contains_key("www-authenticate"), "{name} at {route:?}");
    let (status, body) = body(response).await;
    // Doors for other services' clients have the text where those look for it.
    let text = body["error"].as_str().or_else(|| body["error"]["message"].as_str());
    let told = (status, text, body["code"].as_str());
    let wanted = (401, Some("Authentication required"), Some("unauthenticated"));
    assert_eq!(told, wanted, "{name} at {route:?}: {body}");
}

/// The contract's own words at `/api/*`.
async fn assert_told(app: &TestApp, route: &Route, name: &str, shown: &Shown, text: &str) {
    let (status, body) = body(ask(app, route, shown).await).await;
    let field = if text == "Authorization header is required" { "error" } else { "message" };
    assert_eq!((status, body[field].as_str()), (401, Some(text)), "{name} at {route:?}: {body}");
    if field == "message" {
        assert_eq!(body["error"], "authentication_failed", "{name} at {route:?}");
    }
}

/// Routes that look for a token of their own kind, with what each says to none at all.
const OWN: [(&str, u16, &str, &str); 5] = [
    ("/v1/listen", 426, "error", "this address speaks WebSocket: send an upgrade request"),
    ("/audio-stream", 426, "error", "this address speaks WebSocket: send an upgrade request"),
    ("/rooms/{id}/events", 401, "error", "No authentication token provided"),
    ("/auth/refresh", 401, "msg", "Missing Authorization Header"),
    ("/auth/logout", 401, "msg", "Missing Authorization Header"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_credential_passes_nowhere() {
    let (app, tenant) = start().await;
    let other = Auth0::start().await.expect("another tenant");
    for route in app.running.routes() {
        for (name, shown, text) in bad(&tenant, &other) {
            match route.access {
                Access::Any => assert_refused(&app, &route, name, &shown).await,
                Access::Tenant => assert_told(&app, &route, name, &shown, text).await,
                Access::Public | Access::Counted(_) => {
                    let (status, body) = body(ask(&app, &route, &shown).await).await;
                    assert_ne!(body["error"], "Authentication required", "{name} at {route:?}");
                    assert!(status < 500, "{name} at {route:?}: {status} {body}");
                }
                Access::Own(_) => {
                    let (status, body) = body(ask(&app, &route, &shown).await).await;
                    let known = OWN.iter().find(|own| own.0 == route.path);
                    let (_, expected, field, text) =
                        known.unwrap_or_else(|| panic!("say what {route:?} asks for"));
                    assert!((400..500).contains(&status), "{name} at {route:?}: {status}");
                    if matches!(shown, Shown::Nothing) {
                        assert_eq!((status, body[*field].as_str()), (*expected, Some(*text)));
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_credential_passes_where_it_should() {
    let (app, tenant) = start().await;
    let token = tenant.token("auth0|ada", AUDIENCE).expect("a token");
    let good = [
        ("a token of the tenant", Shown::bearer(&token)),
        ("a user's key", Shown::key(GOOD_KEY)),
        ("a user's key as bearer", Shown::bearer(GOOD_KEY)),
        ("the static key", Shown::key(STATIC_KEY)),
        ("the development token", Shown::bearer(app.token())),
    ];
    for route in app.running.routes() {
        for (name, shown) in &good {
            let (status, body) = body(ask(&app, &route, shown).await).await;
            let tenant_only = route.access == Access::Tenant && !name.contains("tenant");
            let passes = match route.access {
                // A provider may be missing: that is told to whom may ask.
                Access::Any if body["code"] == "provider_unavailable" => true,
                Access::Any | Access::Tenant => !matches!(status, 401 | 403) && status < 500,
                _ => status < 500,
            };
            assert_eq!(passes, !tenant_only, "{name} at {route:?}: {status} {body}");
        }
    }
}

/// A method that a path does not have asks nobody for anything, and neither does an unknown path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_the_same_for_everybody() {
    let (app, _tenant) = start().await;
    for shown in [Shown::Nothing, Shown::key(GOOD_KEY), Shown::key(REVOKED_KEY)] {
        let route = |method, path| Route { method, path, access: Access::Public };
        let unknown = ask(&app, &route(Method::GET, "/auth/unknown"), &shown).await;
        let (status, answer) = body(unknown).await;
        assert_eq!((status, answer["error"].as_str()), (404, Some("Endpoint not found")));
        let wrong = ask(&app, &route(Method::DELETE, "/health"), &shown).await;
        let text = "The method is not allowed for the requested URL.";
        let (status, answer) = body(wrong).await;
        assert_eq!((status, answer["error"].as_str()), (405, Some(text)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_list_is_the_documented_one() {
    let (app, _tenant) = start().await;
    let page = crate::tidy::source::read("docs/AUTHENTICATION.md");
    let documented = markdown::table(&page, "Public routes").into_iter().map(|row| row.join(" "));
    let listed = app.running.routes().into_iter().filter_map(|route| {
        let limit = match route.access {
            Access::Public => "no",
            Access::Counted(action) => action.name(),
            _ => return None,
        };
        Some(format!("{} {} {limit}", route.method, route.path))
    });
    let (mut documented, mut listed): (Vec<_>, Vec<_>) = (documented.collect(), listed.collect());
    documented.sort();
    listed.sort();
    assert_eq!(documented, listed, "correct the table of public routes in docs/AUTHENTICATION.md");
}
