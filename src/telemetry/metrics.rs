//! Every instrument in one place, and the Prometheus text that they add up to.

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider, UpDownCounter},
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Encoder, Registry, TextEncoder};

/// All instruments of one replica. Cheap to clone; labels are of low cardinality, never ids.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    // Dropping the provider would silence its instruments.
    _provider: SdkMeterProvider,
    /// Live sessions that are open, by `provider`.
    pub live_sessions: UpDownCounter<i64>,
    /// Live sessions that ended, by `provider` and `outcome`.
    pub live_sessions_ended: Counter<u64>,
    /// Sockets that are connected, by `door`.
    pub sockets: UpDownCounter<i64>,
    /// Refused or cut connections, by `door` and `reason`.
    pub sockets_refused: Counter<u64>,
    /// Audio chunks accepted, by `door`.
    pub audio_chunks: Counter<u64>,
    /// Audio bytes accepted, by `door`.
    pub audio_bytes: Counter<u64>,
    /// Audio chunks that were not taken, by `reason`.
    pub audio_dropped: Counter<u64>,
    /// Transcripts delivered to a client's queue, by `kind` (`interim`, `final`).
    pub transcripts: Counter<u64>,
    /// Events that a slow reader did not get, by `kind` and `reason`.
    pub events_dropped: Counter<u64>,
    /// Connections to providers, by `provider` and `outcome`.
    pub upstream_connects: Counter<u64>,
    /// Connections that broke in mid-stream, by `provider` and `class`.
    pub upstream_failures: Counter<u64>,
    /// Sessions' connections that went to another provider, by `from`, `to` and `outcome` (`attempted`,
    /// `succeeded`).
    pub provider_failovers: Counter<u64>,
    /// Providers that this replica leaves alone for a while, by `provider`.
    pub provider_breaker_open: UpDownCounter<i64>,
    /// Attempts to connect that were not made, by `provider` and `reason` (`breaker`, `budget`,
    /// `refused`).
    pub provider_attempts_held: Counter<u64>,
    /// Calls of providers over REST, by `provider`, `operation` and `outcome` (`ok`, or an error's
    /// class).
    pub provider_calls: Counter<u64>,
    /// Calls of providers that were made again, by `provider` and `class` of the failure before.
    pub provider_repeats: Counter<u64>,
    /// Milliseconds that calls of providers took, all attempts together, by `provider` and
    /// `operation`.
    pub provider_call_ms: Histogram<f64>,
    /// Milliseconds from a chunk's arrival to the final that covers it, by `provider`.
    pub final_latency_ms: Histogram<f64>,
    /// Milliseconds from a chunk's arrival to the write upstream, in traced sessions, by `provider`.
    pub send_latency_ms: Histogram<f64>,
    /// Verifications, by `type` and `outcome`.
    pub authentications: Counter<u64>,
    /// JWKS fetches, by `outcome`.
    pub jwks_fetches: Counter<u64>,
    /// Copies of the tenant's keys that were read from Redis, by `outcome`.
    pub jwks_copies: Counter<u64>,
    /// Revocations of credentials, by `outcome` (`announced`, `unannounced`).
    pub revocations: Counter<u64>,
    /// Sockets whose credential was looked at again, by `outcome`.
    pub rechecks: Counter<u64>,
    /// Checks of a limit, by `action`, `outcome` and `source` (`redis`, or `share` while it is away).
    pub limit_checks: Counter<u64>,
    /// Leases of live sessions, by `outcome` and `source`.
    pub leases: Counter<u64>,
    /// Slots of providers that were asked for, by `provider`, `outcome` and `source`.
    pub upstream_slots: Counter<u64>,
    /// Slots that sessions of this replica hold, by `provider`.
    pub upstream_slots_held: UpDownCounter<i64>,
    /// Sessions of this replica that wait for a slot, by `provider`.
    pub upstream_slots_waiting: UpDownCounter<i64>,
    /// Milliseconds that sessions waited for a slot, by `provider` and `outcome`.
    pub upstream_slot_wait_ms: Histogram<f64>,
    /// Requests that the edge turned away, by `reason`.
    pub edge_refused: Counter<u64>,
    /// Passwords hashed, compared or refused for want of room, by `outcome`.
    pub password_hashes: Counter<u64>,
    /// Of single acts over REST.
    pub acts: ActMetrics,
    /// Usage rows, by `outcome` (`inserted`, `duplicate`, `retried`, `deferred`, `lost`).
    pub usage_rows: Counter<u64>,
    /// Usage checkpoints waiting to be written.
    pub usage_pending: UpDownCounter<i64>,
    /// Sessions that were to be gone on with, by `outcome` (`resumed`, or the code of an error).
    pub resumes: Counter<u64>,
    /// Sessions that were given up since nobody came back to them.
    pub sessions_abandoned: Counter<u64>,
    /// Sessions that a drain sent elsewhere, by `step` (`told`, `stayed`).
    pub migrations: Counter<u64>,
    /// Audio without a transcript, in milliseconds, by `reason`.
    pub audio_lost_ms: Counter<u64>,
    /// Finals on their way into a room, by `outcome`.
    pub room_finals: Counter<u64>,
    /// What was found in rooms and no replica wrote, by `what` (`owner`, `final`, `repeated`, `interim`).
    pub room_forgeries: Counter<u64>,
    /// Viewers of rooms on this replica.
    pub room_viewers: UpDownCounter<i64>,
    /// Rooms that were to be watched, by `outcome` (`joined`, `recovered`, `epoch_gone`, `trimmed`, or the
    /// code of an error).
    pub room_joins: Counter<u64>,
    /// Viewers that watch no more, by `reason` (`left`, `slow`, `behind`, `foreign`, `revoked`,
    /// `expired`).
    pub room_viewers_ended: Counter<u64>,
    /// Positions from which a reader or a viewer went on, by `outcome`.
    pub room_recoveries: Counter<u64>,
    /// Usage that went beside Postgres, by `outcome` (`waiting` in Redis, `full`, `drained`,
    /// `parked`, `scratched`, `unscratched`, `restored`).
    pub usage_fallback: Counter<u64>,
    /// Seconds of audio whose usage is neither in Postgres nor in Redis while it should be.
    pub usage_at_risk_seconds: UpDownCounter<i64>,
    /// Parts of kept transcripts, by `outcome` (`stored`, `duplicate`, `deleted`, `retried`, `full`,
    /// `refused`, `late`).
    pub transcript_rows: Counter<u64>,
    /// Parts of transcripts waiting to be written.
    pub transcript_rows_pending: UpDownCounter<i64>,
    /// Requests of sessions that other replicas hold, by `outcome`.
    pub relayed_requests: Counter<u64>,
    /// Requests that the port for replicas turned away, by `reason`.
    pub relay_refused: Counter<u64>,
    /// HTTP requests, by `method`, `route` and `status`.
    pub http_requests: Counter<u64>,
    /// Partial decodes of the embedded engine that were out of date before they began.
    pub partials_dropped: Counter<u64>,
}

impl Metrics {
    /// Makes the instruments of one replica; fails only if the registry refuses its exporter.
    pub fn new() -> anyhow::Result<Self> {
        let registry = Registry::new();
        let exporter =
            opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(Resource::builder().with_service_name("audio-transcription-api").build())
            .build();
        let meter = provider.meter("audio_transcription_api");
        Ok(Self::with(&meter, registry, provider))
    }

    fn with(meter: &Meter, registry: Registry, provider: SdkMeterProvider) -> Self {
        let make = Instruments(meter);
        Self {
            live_sessions: make.gauge("live_sessions"),
            live_sessions_ended: make.counter("live_sessions_ended"),
            sockets: make.gauge("sockets"),
            sockets_refused: make.counter("sockets_refused"),
            audio_chunks: make.counter("audio_chunks"),
            audio_bytes: make.counter("audio_bytes"),
            audio_dropped: make.counter("audio_dropped"),
            transcripts: make.counter("transcripts"),
            events_dropped: make.counter("events_dropped"),
            upstream_connects: make.counter("upstream_connects"),
            upstream_failures: make.counter("upstream_failures"),
            provider_failovers: make.counter("provider_failovers"),
            provider_breaker_open: make.gauge("provider_breaker_open"),
            provider_attempts_held: make.counter("provider_attempts_held"),
            provider_calls: make.counter("provider_calls"),
            provider_repeats: make.counter("provider_repeats"),
            provider_call_ms: make.milliseconds("provider_call_ms"),
            final_latency_ms: make.milliseconds("final_latency_ms"),
            send_latency_ms: make.milliseconds("send_latency_ms"),
            authentications: make.counter("authentications"),
            jwks_fetches: make.counter("jwks_fetches"),
            jwks_copies: make.counter("jwks_copies"),
            revocations: make.counter("revocations"),
            rechecks: make.counter("rechecks"),
            limit_checks: make.counter("limit_checks"),
            leases: make.counter("leases"),
            upstream_slots: make.counter("upstream_slots"),
            upstream_slots_held: make.gauge("upstream_slots_held"),
            upstream_slots_waiting: make.gauge("upstream_slots_waiting"),
            upstream_slot_wait_ms: make.milliseconds("upstream_slot_wait_ms"),
            edge_refused: make.counter("edge_refused"),
            password_hashes: make.counter("password_hashes"),
            acts: ActMetrics::with(&make),
            usage_rows: make.counter("usage_rows"),
            usage_pending: make.gauge("usage_pending"),
            resumes: make.counter("resumes"),
            sessions_abandoned: make.counter("sessions_abandoned"),
            migrations: make.counter("migrations"),
            audio_lost_ms: make.counter("audio_lost_ms"),
            room_finals: make.counter("room_finals"),
            room_forgeries: make.counter("room_forgeries"),
            room_viewers: make.gauge("room_viewers"),
            room_joins: make.counter("room_joins"),
            room_viewers_ended: make.counter("room_viewers_ended"),
            room_recoveries: make.counter("room_recoveries"),
            usage_fallback: make.counter("usage_fallback"),
            usage_at_risk_seconds: make.gauge("usage_at_risk_seconds"),
            transcript_rows: make.counter("transcript_rows"),
            transcript_rows_pending: make.gauge("transcript_rows_pending"),
            relayed_requests: make.counter("relayed_requests"),
            relay_refused: make.counter("relay_refused"),
            http_requests: make.counter("http_requests"),
            partials_dropped: make.counter("partials_dropped"),
            registry,
            _provider: provider,
        }
    }

    /// The Prometheus text exposition of everything counted so far.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// What is counted of single acts over REST.
#[derive(Clone, Debug)]
pub struct ActMetrics {
    /// Looks for recordings that were heard before, by outcome.
    pub duplicates: Counter<u64>,
    /// Acts that their callers named, by outcome.
    pub named: Counter<u64>,
    /// Deliveries to webhooks, by outcome.
    pub webhooks: Counter<u64>,
}

impl ActMetrics {
    fn with(make: &Instruments<'_>) -> Self {
        Self {
            duplicates: make.counter("duplicates"),
            named: make.counter("named_acts"),
            webhooks: make.counter("webhook_deliveries"),
        }
    }
}

/// Makes instruments of each kind.
struct Instruments<'a>(&'a Meter);

impl Instruments<'_> {
    fn counter(&self, name: &'static str) -> Counter<u64> {
        self.0.u64_counter(name).build()
    }

    fn gauge(&self, name: &'static str) -> UpDownCounter<i64> {
        self.0.i64_up_down_counter(name).build()
    }

    fn milliseconds(&self, name: &'static str) -> Histogram<f64> {
        let bounds = vec![1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2e3, 5e3, 1e4];
        self.0.f64_histogram(name).with_boundaries(bounds).build()
    }
}

/// A label of an instrument.
pub fn label(key: &'static str, value: impl Into<opentelemetry::Value>) -> KeyValue {
    KeyValue::new(key, value.into())
}
