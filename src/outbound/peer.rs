//! The one way to call a provider over REST.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Answer, Barred, Call, ErrorClass, Gate, Opened, ProviderError, Ticket,
    answer::{self, late, lost},
    retry::{self, Attempts, Failed, Reached},
};
use crate::{
    model::Clock,
    telemetry::{Metrics, Tracer, metrics::label, spans::Outgoing},
};

const CONNECT: Duration = Duration::from_secs(5);
/// Who had less than this to answer is not blamed for being late.
const FAIR: Duration = Duration::from_millis(500);
/// What is read of an answer that tells of an error.
const ERROR_BYTES: usize = 64 * 1024;

/// Turns an answer that is no success into an error in the provider's own terms.
pub type Judge = fn(StatusCode, &HeaderMap, &[u8]) -> ProviderError;

/// The connections of this replica to whoever it calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    http: reqwest::Client,
    metrics: Metrics,
    tracer: Option<Tracer>,
}

/// One provider. Cheap to clone; clones share what they know of it.
#[derive(Clone, Debug)]
pub struct Peer {
    name: &'static str,
    base: Arc<str>,
    http: reqwest::Client,
    gate: Arc<Gate>,
    metrics: Metrics,
    tracer: Option<Tracer>,
}

impl Outbound {
    /// No connection is made yet.
    pub fn new(metrics: &Metrics) -> Result<Self, reqwest::Error> {
        let none = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(none).connect_timeout(CONNECT).build()?;
        Ok(Self { http, metrics: metrics.clone(), tracer: None })
    }

    /// With a span for the share of calls that is traced, where spans go anywhere.
    pub fn traced(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// The provider of that name at that address, to which paths of calls are added.
    pub fn peer(&self, name: &'static str, base: &str) -> Peer {
        let gate = Arc::new(Gate::new(name, self.metrics.clone()));
        let (http, metrics) = (self.http.clone(), self.metrics.clone());
        Peer { name, base: base.into(), http, gate, metrics, tracer: self.tracer.clone() }
    }
}

impl Peer {
    /// Its name in metrics.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A whole answer, or why there is none after as many attempts as are allowed in the time.
    pub async fn send(&self, call: &Call, judge: Judge) -> Result<Answer, ProviderError> {
        let (call, span) = self.begin(call);
        let until = Instant::now() + call.total;
        self.counted((&call, span), async {
            let mut opened = self.attempts(&call, judge, until).await?;
            let status = opened.response.status();
            let headers = std::mem::take(opened.response.headers_mut());
            let body = timeout_at(until, answer::read(&mut opened.response, call.most_bytes)).await;
            match body.unwrap_or_else(|_| Err(late("no whole answer in time"))) {
                Ok(body) => {
                    opened.ticket.answered();
                    Ok(Answer { status, headers, body })
                }
                Err(error) => {
                    opened.ticket.failed(&error);
                    Err(error)
                }
            }
        })
        .await
    }

    /// An answer whose body still comes, which the total time does not bound.
    pub async fn open(&self, call: &Call, judge: Judge) -> Result<Opened, ProviderError> {
        let (call, span) = self.begin(call);
        let made = self.attempts(&call, judge, Instant::now() + call.total);
        self.counted((&call, span), made).await
    }

    /// The call as it is made: one that is traced says so.
    fn begin<'a>(&self, call: &'a Call) -> (Cow<'a, Call>, Option<Outgoing>) {
        let tracer = self.tracer.as_ref().filter(|tracer| tracer.samples());
        let Some(tracer) = tracer else { return (Cow::Borrowed(call), None) };
        let span =
            tracer.outgoing(vec![label("provider", self.name), label("operation", call.operation)]);
        let traceparent = HeaderName::from_static("traceparent");
        (Cow::Owned(call.clone().header(traceparent, &span.traceparent())), Some(span))
    }

    async fn counted<T>(
        &self,
        (call, span): (&Call, Option<Outgoing>),
        made: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let begun = Instant::now();
        let made = made.await;
        let outcome = made.as_ref().err().map_or("ok", |error| error.class.as_str());
        if let Some(span) = span {
            span.end(outcome);
        }
        let (provider, operation) =
            (label("provider", self.name), label("operation", call.operation));
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        self.metrics.provider_call_ms.record(ms, &[provider.clone(), operation.clone()]);
        self.metrics.provider_calls.add(1, &[provider, operation, label("outcome", outcome)]);
        made
    }

    /// The first answer that is a success, as soon as its head is there.
    async fn attempts(
        &self,
        call: &Call,
        judge: Judge,
        until: Instant,
    ) -> Result<Opened, ProviderError> {
        let mut attempts = Attempts::default();
        let mut failed: Option<ProviderError> = None;
        loop {
            let ticket = self.admit(failed.take())?;
            let error = match self.attempt(call, judge, (ticket, until)).await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let Some(wait) = attempts.next(&error, call.repeat) else { return Err(error.error) };
            if Instant::now() + wait >= until {
                return Err(error.error);
            }
            let labels = [label("provider", self.name), label("class", error.error.class.as_str())];
            self.metrics.provider_repeats.add(1, &labels);
            sleep(wait).await;
            failed = Some(error.error);
        }
    }

    /// The right to an attempt: to another one only if the budget has it, else the failure stands.
    fn admit(&self, before: Option<ProviderError>) -> Result<Ticket, ProviderError> {
        self.gate.admit(before.is_some(), Instant::now().into_std()).map_err(|barred| {
            match (barred, before) {
                (Barred::Refused(error), _) | (Barred::For(_), Some(error)) => error,
                (Barred::For(wait), None) => {
                    let detail = "it failed too often of late";
                    let error = ProviderError::new(ErrorClass::Unavailable, "left_alone", detail);
                    ProviderError { retry_after: Some(wait), ..error }
                }
            }
        })
    }

    async fn attempt(
        &self,
        call: &Call,
        judge: Judge,
        (mut ticket, until): (Ticket, Instant),
    ) -> Result<Opened, Failed> {
        let begun = Instant::now();
        let made = timeout_at(until, self.exchange(call, judge)).await;
        let (failed, is_telling) = match made {
            Ok(Ok(response)) => {
                ticket.opened();
                return Ok(Opened { response, left_bytes: call.most_bytes, ticket });
            }
            Ok(Err(failed)) => {
                let is_sent = failed.reached != Reached::Unsent;
                (failed, is_sent)
            }
            Err(_) => {
                let error = late("no answer in time");
                (Failed { error, reached: Reached::Unknown }, begun.elapsed() >= FAIR)
            }
        };
        if is_telling {
            ticket.failed(&failed.error);
        }
        Err(failed)
    }

    async fn exchange(&self, call: &Call, judge: Judge) -> Result<reqwest::Response, Failed> {
        let unsent = |error| Failed { error, reached: Reached::Unsent };
        let request = call.build(&self.http, &self.base).await.map_err(unsent)?;
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(call.redacted(refused(response, judge).await)),
            Err(error) => {
                let reached = if error.is_connect() { Reached::Nobody } else { Reached::Unknown };
                Err(Failed { error: lost(&error), reached })
            }
        }
    }
}

/// What an answer says that is no success.
async fn refused(mut response: reqwest::Response, judge: Judge) -> Failed {
    let (status, headers) = (response.status(), response.headers().clone());
    let reached = retry::reached(status, &headers);
    // Of a body that breaks or is too long the status is told.
    let body = answer::read(&mut response, ERROR_BYTES).await.unwrap_or_default();
    let mut error = judge(status, &headers, &body);
    error.retry_after = error.retry_after.or_else(|| retry::retry_after(&headers, Clock.now()));
    Failed { error, reached }
}
