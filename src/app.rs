//! Every long-lived component of a replica, built once, in order.

mod acts;

use std::sync::Arc;

use anyhow::Context;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::Semaphore;

use crate::{
    accounts::{Accounts, Door},
    auth::{Authenticator, Backing, Secrets, Users},
    config::{Config, LiveProvider},
    fleet::Fleet,
    lifecycle::Shutdown,
    limits::{Leases, Limits, Line, Slots},
    live::{Lapses, LiveService, OpenSockets, Owners, audience::Links},
    model::Clock,
    postgres::Database,
    providers::{Lineup, Live, assemblyai::AssemblyAi, deepgram, deepgram::Deepgram},
    redis::Redis,
    relay::{self, Relay},
    rooms::{Ground, Rooms},
    telemetry::{Metrics, Tracer, export},
    transcription::Recordings,
    transcripts::{Transcripts, handlers::Library},
    translation::Translations,
    usage::{Fallback, Usage},
};

/// One replica. Two of them in one process do not know of each other.
pub struct App {
    /// What it was told.
    pub config: Config,
    /// Who stops it.
    pub shutdown: Shutdown,
    /// Where it counts.
    pub metrics: Metrics,
    /// Usage and billing.
    pub database: Database,
    /// What replicas share.
    pub redis: Redis,
    /// The replicas beside this one.
    pub fleet: Fleet,
    /// Requests of sessions that those hold.
    pub relay: Relay,
    /// Who verifies credentials.
    pub auth: Authenticator,
    /// Who counts what users do.
    pub limits: Limits,
    /// The routes of people about themselves.
    pub accounts: Accounts,
    /// What viewers see.
    pub rooms: Rooms,
    /// The routes of sessions that are over, and what was said in them.
    pub library: Library,
    /// Recorded audio.
    pub recordings: Recordings,
    /// Texts.
    pub translations: Translations,
    /// Real-time audio.
    pub live: LiveService,
    /// Where spans go, if anywhere.
    pub spans: Option<SdkTracerProvider>,
}

impl App {
    /// Builds the components; neither Postgres nor Redis need be there.
    ///
    /// `reached` is where other replicas reach this one, if they do.
    pub async fn build(
        config: Config,
        reached: Option<String>,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let (metrics, spans, tracer) = telemetry(&config)?;
        let (database, redis) = stores(&config, &shutdown)?;
        let backing = backing(&config, (&database, &redis, &metrics), &shutdown);
        let (secrets, users) = (backing.secrets.clone(), backing.users.clone());
        let transcripts = Transcripts::new(&backing, config.live.retention_days, Clock);
        let auth = authenticator(&config, backing)?;
        let rooms = rooms(&config, (&database, &redis), (&auth, &metrics), &secrets, &shutdown);
        let common = (&redis, &metrics, &shutdown);
        let (fleet, relay) = join(&config, &secrets, reached.as_deref(), common);
        let (limits, leases) = limits(&config, &fleet, common);
        let lineup = lineup(&config, &metrics, &shutdown).await?;
        let live = LiveService {
            auth: auth.clone(),
            limits: limits.clone(),
            live: lineup.first().clone(),
            lineup,
            usage: usage(&config, &database, (users, secrets.clone()), common),
            transcripts: transcripts.clone(),
            rooms: rooms.clone(),
            owners: Owners::start(fleet.id(), redis.clone(), &shutdown),
            lapses: Lapses::new(redis.clone()),
            secrets: secrets.clone(),
            drain: config.server.drain,
            metrics: metrics.clone(),
            tracer,
            clock: Clock,
            shutdown: shutdown.clone(),
            idle: config.live.idle,
            checkpoint: config.live.checkpoint,
            leases,
            links: Links::default(),
            sockets: OpenSockets::default(),
            upstream_slots: Slots::new(&lines(&config), &redis, &fleet, &metrics, &shutdown),
            slots: Arc::new(Semaphore::new(config.live.max_sessions)),
        };
        let (recordings, translations) = acts::build(&config, &live, (&database, &redis))?;
        Ok(Self {
            accounts: Accounts { auth: auth.clone(), limits: limits.clone(), door: door(&live) },
            recordings,
            translations,
            library: Library { auth: auth.clone(), transcripts },
            config,
            shutdown,
            metrics,
            database,
            redis,
            fleet,
            relay,
            auth,
            limits,
            rooms,
            live,
            spans,
        })
    }
}

fn authenticator(config: &Config, backing: Backing) -> anyhow::Result<Authenticator> {
    Authenticator::new(&config.auth, config.environment, backing)
        .context("authentication could not be set up")
}

fn stores(config: &Config, shutdown: &Shutdown) -> anyhow::Result<(Database, Redis)> {
    let database = Database::new(&config.database).context("DATABASE_URL is unusable")?;
    let redis = Redis::connect(&config.redis, shutdown).context("REDIS_URL is unusable")?;
    Ok((database, redis))
}

fn telemetry(
    config: &Config,
) -> anyhow::Result<(Metrics, Option<SdkTracerProvider>, Option<Tracer>)> {
    let metrics = Metrics::new().context("metrics could not be set up")?;
    let spans = export::start(&config.telemetry).context("spans cannot be exported")?;
    let tracer = spans.as_ref().map(|spans| Tracer::new(spans, config.telemetry.sample_ratio));
    Ok((metrics, spans, tracer))
}

/// What verification stands on.
fn backing(
    config: &Config,
    (database, redis, metrics): (&Database, &Redis, &Metrics),
    shutdown: &Shutdown,
) -> Backing {
    let (current, previous) = (&config.auth.secret_key, &config.auth.secret_key_previous);
    Backing {
        database: database.clone(),
        redis: redis.clone(),
        secrets: Secrets::new(current.clone(), previous.clone()),
        users: Users::default(),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    }
}

/// The providers that have no more than so many connections.
fn lines(config: &Config) -> Vec<(&'static str, Line)> {
    let streams = config.deepgram_max_streams.and_then(|streams| u32::try_from(streams).ok());
    streams.map(|streams| (deepgram::PROVIDER, Line::of(streams))).into_iter().collect()
}

fn rooms(
    config: &Config,
    (database, redis): (&Database, &Redis),
    (auth, metrics): (&Authenticator, &Metrics),
    secrets: &Secrets,
    shutdown: &Shutdown,
) -> Rooms {
    let (database, redis, secrets) = (database.clone(), redis.clone(), secrets.clone());
    let (revocations, metrics) = (auth.revocations().clone(), metrics.clone());
    let ground = Ground { redis, database, secrets, revocations, metrics };
    Rooms::start(ground, config.rooms.history, shutdown)
}

fn usage(
    config: &Config,
    database: &Database,
    (users, secrets): (Users, Secrets),
    (redis, metrics, shutdown): (&Redis, &Metrics, &Shutdown),
) -> Usage {
    let fallback = fallback(config, redis, secrets);
    Usage::new(database.clone(), users, metrics.clone(), shutdown, Clock, fallback)
}

fn limits(
    config: &Config,
    fleet: &Fleet,
    (redis, metrics, shutdown): (&Redis, &Metrics, &Shutdown),
) -> (Limits, Leases) {
    let (counted, leased) = (config.limits.clone(), config.limits.clone());
    let limits = Limits::new(counted, redis.clone(), fleet.clone(), metrics.clone());
    let leases = Leases::new(leased, redis.clone(), fleet.clone(), metrics.clone(), shutdown);
    (limits, leases)
}

/// Joins the other replicas. Without `SECRET_KEY` they would have nothing to know each other by.
fn join(
    config: &Config,
    secrets: &Secrets,
    reached: Option<&str>,
    (redis, metrics, shutdown): (&Redis, &Metrics, &Shutdown),
) -> (Fleet, Relay) {
    let secrets = config.auth.secret_key.as_ref().map(|_| secrets.clone());
    let member = relay::introduce(secrets.as_ref(), reached);
    let fleet = Fleet::join_as(member, redis.clone(), shutdown);
    let (metrics, shutdown) = (metrics.clone(), shutdown.clone());
    let ground = relay::Ground { fleet: fleet.clone(), secrets, metrics, clock: Clock, shutdown };
    (fleet, Relay::new(ground))
}

/// Usage beside Postgres. Without `SECRET_KEY` no other process could read what is sealed.
fn fallback(config: &Config, redis: &Redis, secrets: Secrets) -> Option<Fallback> {
    config.auth.secret_key.as_ref()?;
    let folder = config.live.scratch.clone();
    Some(Fallback::new(redis.clone(), secrets, &config.redis.prefix, folder))
}

fn door(live: &LiveService) -> Door {
    let live = live.clone();
    Door(Arc::new(move || live.welcome()))
}

/// The first choice, and who goes on where that one fails.
async fn lineup(config: &Config, metrics: &Metrics, shutdown: &Shutdown) -> anyhow::Result<Lineup> {
    let mut others = Vec::new();
    for chosen in &config.live.fallbacks {
        let other = provider(*chosen, config, metrics, shutdown).await;
        others.push(other.context("LIVE_FALLBACKS names a provider that is not there")?);
    }
    let mut first = provider(config.live.provider, config, metrics, shutdown).await?;
    if matches!(first, Live::Absent(_)) && !others.is_empty() {
        first = others.remove(0);
    }
    Ok(Lineup::new(first, others, metrics))
}

/// The chosen one; by itself Deepgram where there is a key, else the embedded engine.
async fn provider(
    chosen: LiveProvider,
    config: &Config,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> anyhow::Result<Live> {
    let deepgram = config.deepgram.clone().map(|key| Deepgram::new(key, shutdown.clone()));
    let assemblyai = config.assemblyai.clone().map(|key| AssemblyAi::new(key, shutdown.clone()));
    match (chosen, deepgram) {
        (LiveProvider::Auto | LiveProvider::Deepgram, Some(deepgram)) => {
            Ok(Live::Deepgram(deepgram))
        }
        (LiveProvider::Deepgram, None) => anyhow::bail!("deepgram needs DEEPGRAM_API_KEY"),
        (LiveProvider::AssemblyAi, _) => {
            Ok(Live::AssemblyAi(assemblyai.context("assemblyai needs ASSEMBLYAI_API_KEY")?))
        }
        (LiveProvider::Local, _) => embedded(config, metrics, shutdown).await,
        (LiveProvider::Auto, None) => embedded(config, metrics, shutdown).await.or_else(|error| {
            let why = format!(
                "DEEPGRAM_API_KEY is not set, and the embedded engine is not there: {error:#}"
            );
            tracing::warn!("{why}");
            Ok(Live::Absent(why.into()))
        }),
    }
}

/// Loads the embedded engine; reading its model blocks for half a second.
#[cfg(feature = "local-speech")]
async fn embedded(config: &Config, metrics: &Metrics, shutdown: &Shutdown) -> anyhow::Result<Live> {
    use crate::providers::local::{Engine, LocalConfig};
    let mut local = LocalConfig::new(config.speech.model_dir.clone());
    local.workers = config.speech.workers.unwrap_or(local.workers);
    local.max_streams = config.speech.max_streams.unwrap_or(4 * local.workers);
    let (metrics, shutdown) = (metrics.clone(), shutdown.clone());
    let load = move || Engine::load(&local, metrics, shutdown);
    Ok(Live::Local(tokio::task::spawn_blocking(load).await??))
}

/// This build has no embedded engine.
#[cfg(not(feature = "local-speech"))]
#[expect(clippy::unused_async, reason = "the same shape as with the engine")]
async fn embedded(_: &Config, _: &Metrics, _: &Shutdown) -> anyhow::Result<Live> {
    anyhow::bail!("this build has no embedded engine (feature local-speech)")
}
