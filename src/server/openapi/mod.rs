//! The OpenAPI document, made from the table of routes and from what each is said to do.

mod accounts;
mod live;
mod operation;
mod pages;
mod recordings;
mod texts;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use axum::{extract::State, http::header, response::IntoResponse};
use serde_json::{Map, Value, json};

use self::operation::{Answer, Operation};
use super::routes::{Access, Route};
use crate::{
    model::ErrorKind::{self, DatabaseUnavailable, Internal, RateLimited, Unauthenticated},
    web::error::status,
};

/// Shapes of bodies, parameters and credentials.
const COMPONENTS: &str = include_str!("components.json");
const ABOUT: &str = "The HTTP routes that exist. Live audio over Socket.IO (/socket.io/, namespace \
                     /audio-stream) and over WebSockets is in asyncapi.yaml and PROTOCOL.md.";

/// The document of a running service, which is told once its routes are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Document(Arc<OnceLock<String>>);

impl Document {
    /// Tells it of these routes; what was told before stands.
    pub(super) fn tell(&self, routes: &[Route]) {
        self.0.get_or_init(|| document(routes).to_string());
    }
}

/// `GET /openapi.json`.
pub(super) async fn serve(State(document): State<Document>) -> impl IntoResponse {
    let told = document.0.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], told)
}

/// The document of a service with these routes. One that is not said to do anything is missing from
/// it, which the tests of `docs/openapi.json` notice.
pub fn document(routes: &[Route]) -> Value {
    let mut components: Value = serde_json::from_str(COMPONENTS).unwrap_or_default();
    let codes = ErrorKind::ALL.map(ErrorKind::code);
    components["schemas"]["Error"]["properties"]["code"] = json!({ "enum": codes });
    components["responses"] = failures(routes);
    let mut paths = Map::new();
    for (route, told) in routes.iter().filter_map(|route| Some((route, operation(route)?))) {
        let path = route.path.replace("{*", "{");
        paths.entry(path).or_insert_with(|| json!({}))[told.method] = describe(route, told);
    }
    paths.insert("/metrics".into(), metrics());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Audio Transcription API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "paths": paths,
        "components": components,
    })
}

const OPERATIONS: [&[Operation]; 5] = [
    pages::OPERATIONS,
    accounts::OPERATIONS,
    live::OPERATIONS,
    recordings::OPERATIONS,
    texts::OPERATIONS,
];

/// Methods and paths that are said to do something.
pub fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATIONS.into_iter().flatten().map(|told| (told.method, told.path))
}

fn operation(route: &Route) -> Option<&'static Operation> {
    let is_it = |told: &&Operation| {
        told.path == route.path && told.method.eq_ignore_ascii_case(route.method.as_str())
    };
    OPERATIONS.into_iter().flatten().find(is_it)
}

fn describe(route: &Route, told: &Operation) -> Value {
    let answers =
        told.answers.iter().map(|answer| (answer.status.to_string(), describe_answer(answer)));
    let failing = Failing::at(route.access, told);
    let failing =
        failing.map(|failing| (failing.status.to_string(), refer("responses", &failing.name())));
    let mut operation = json!({
        "summary": told.summary,
        "operationId": told.id,
        "security": security(route.access, told),
        "responses": answers.chain(failing).collect::<Map<_, _>>(),
    });
    if !told.description.is_empty() {
        operation["description"] = told.description.into();
    }
    if !told.parameters.is_empty() {
        operation["parameters"] =
            told.parameters.iter().map(|name| refer("parameters", name)).collect();
    }
    if !told.takes.is_empty() {
        operation["requestBody"] =
            json!({ "required": !told.takes_nothing, "content": content(told.takes) });
    }
    operation
}

fn refer(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn content(bodies: &[(&str, &str)]) -> Value {
    let described = bodies.iter().map(|(media, schema)| {
        ((*media).to_owned(), json!({ "schema": refer("schemas", schema) }))
    });
    Value::Object(described.collect())
}

fn describe_answer(answer: &Answer) -> Value {
    let mut described = json!({ "description": answer.description });
    if !answer.bodies.is_empty() {
        described["content"] = content(answer.bodies);
    }
    if !answer.headers.is_empty() {
        let headers = answer.headers.iter();
        let text = json!({ "schema": { "type": "string" } });
        let headers = headers.map(|name| ((*name).to_owned(), text.clone()));
        described["headers"] = Value::Object(headers.collect());
    }
    described
}

/// Which credentials are taken: any one of them.
fn security(access: Access, told: &Operation) -> Value {
    let schemes: &[&str] = match access {
        Access::Public | Access::Counted(_) => &[],
        Access::Own(_) => told.credentials,
        Access::Any => &["bearer", "api_key"],
        Access::Tenant => &["auth0"],
    };
    schemes.iter().map(|scheme| json!({ *scheme: [] })).collect()
}

/// What every caller of such a route may meet.
const fn common(access: Access) -> &'static [ErrorKind] {
    match access {
        Access::Public | Access::Own(None) => &[],
        Access::Counted(_) | Access::Own(Some(_)) => &[RateLimited],
        Access::Any => &[Unauthenticated, RateLimited, DatabaseUnavailable],
        Access::Tenant => &[Unauthenticated, RateLimited, Internal],
    }
}

/// Errors of one status at one route: their codes, and the schema of their body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failing {
    status: u16,
    codes: Vec<&'static str>,
    schema: &'static str,
}

impl Failing {
    /// Everything that may fail at a route, by status.
    fn at(access: Access, told: &Operation) -> impl Iterator<Item = Self> {
        let mut codes: BTreeMap<u16, Vec<_>> = BTreeMap::new();
        for kind in common(access).iter().chain(told.errors) {
            codes.entry(status(*kind).as_u16()).or_default().push(kind.code());
        }
        let words = told.words;
        codes.into_iter().map(move |(status, codes)| {
            let schema = words.schema(status);
            Self { status, codes, schema }
        })
    }

    /// The component's name.
    fn name(&self) -> String {
        format!("{}.{}", self.schema, self.codes.join("-or-"))
    }

    fn describe(&self) -> Value {
        let listed: Vec<_> = self.codes.iter().map(|code| format!("`{code}`")).collect();
        let shape = json!({ "allOf": [
            refer("schemas", self.schema),
            { "type": "object", "properties": { "code": { "enum": self.codes } } },
        ] });
        json!({
            "description": listed.join(" or "),
            "headers": {
                "x-request-id": { "schema": { "type": "string" } },
                "Retry-After": { "schema": { "type": "integer" } },
            },
            "content": { "application/json": { "schema": shape } },
        })
    }
}

/// Every error of every route, once.
fn failures(routes: &[Route]) -> Value {
    let told = routes.iter().filter_map(|route| Some((route.access, operation(route)?)));
    let all = told.flat_map(|(access, told)| Failing::at(access, told));
    Value::Object(all.map(|failing| (failing.name(), failing.describe())).collect())
}

/// It is on a port of its own, and no route of the service.
fn metrics() -> Value {
    json!({
        "servers": [{ "url": "http://127.0.0.1:9090", "description": "METRICS_PORT" }],
        "get": {
            "summary": "Metrics, on a port of their own",
            "operationId": "metrics",
            "security": [],
            "responses": { "200": {
                "description": "Prometheus text",
                "content": content(&[("text/plain", "Text")]),
            } },
        },
    })
}
