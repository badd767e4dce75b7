//! Real replicas as processes, on a Postgres and a Redis of their own, with a proxy on every way
//! between them and the world: whatever there is can be killed, cut off or slowed down.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use testkit::{
    auth0::Auth0,
    caller::Plan,
    deepgram::{self, Script, Simulator},
    oracle::{Row, Text},
    process::{Postgres, Redis, Signal, free_port},
    proxy::Proxy,
    seed::Dice,
    viewer::Watch,
};

use super::{LONG, Ledger, SOON, ServiceProcess, Setup};

const AUDIENCE: &str = "https://api.transcripts.io";

/// How a cluster is made.
pub struct Shape {
    pub replicas: usize,
    pub seed: u64,
    pub deepgram: deepgram::Config,
    /// Variables beyond the usual ones.
    pub variables: Vec<(&'static str, String)>,
}

impl Shape {
    /// So many replicas and a Deepgram that hears numbers and makes a final about every second; the
    /// seed decides how often exactly, so that finals end anywhere in a chunk.
    pub fn new(replicas: usize, seed: u64) -> Self {
        let segment_ms = 610 + Dice::new(seed).below(30) * 20;
        let deepgram = deepgram::Config {
            longest_segment: Duration::from_millis(segment_ms),
            interim_every: Duration::from_millis(250),
            ..deepgram::Config::speaking(Script::numbered_audio())
        };
        Self { replicas, seed, deepgram, variables: Vec::new() }
    }

    /// Sets a variable.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }
}

/// A replica, and its door, which stays where it is when the replica is another.
pub struct Replica {
    pub door: Proxy,
    pub process: ServiceProcess,
    metrics_port: u16,
    /// What the processes before this one have said.
    logs: String,
}

/// Everything that a run needs.
pub struct Cluster {
    pub replicas: Vec<Replica>,
    pub redis: Redis,
    pub redis_way: Proxy,
    pub postgres: Postgres,
    pub postgres_way: Proxy,
    pub deepgram: Simulator,
    pub deepgram_way: Proxy,
    pub tenant: Auth0,
    pub database_url: String,
    seed: u64,
    variables: BTreeMap<String, String>,
    scratch: std::path::PathBuf,
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Cluster {
    /// Starts everything, and waits until every replica is ready.
    pub async fn start(shape: Shape) -> Self {
        let seed = shape.seed;
        let servers = tokio::task::spawn_blocking(|| (Postgres::start(), Redis::start()));
        let (postgres, redis) = servers.await.expect("started");
        let (postgres, redis) = (postgres.expect("postgres"), redis.expect("redis"));
        let database_url = postgres.create_database().expect("a database");
        let way = async |port| Proxy::seeded(loopback(port), seed).await.expect("a proxy");
        let (postgres_way, redis_way) = (way(postgres.port()).await, way(redis.port()).await);
        let deepgram = Simulator::start(shape.deepgram).await.expect("a simulator");
        let deepgram_way = way(deepgram.address().port()).await;
        let tenant = Auth0::start().await.expect("a tenant");
        let name = format!("chaos-{}", uuid::Uuid::new_v4().simple());
        let mut cluster = Self {
            replicas: Vec::new(),
            redis,
            redis_way,
            postgres,
            postgres_way,
            deepgram,
            deepgram_way,
            tenant,
            database_url,
            seed,
            variables: BTreeMap::new(),
            scratch: std::env::temp_dir().join(name),
        };
        cluster.variables = cluster.make_variables(&shape.variables).await;
        for _ in 0..shape.replicas {
            cluster.add_replica().await;
        }
        for replica in &cluster.replicas {
            replica.process.wait_for_status("/ready", 200, LONG).await;
        }
        cluster
    }

    async fn make_variables(&self, more: &[(&'static str, String)]) -> BTreeMap<String, String> {
        let postgres = self.database_url.replace(
            &format!("127.0.0.1:{}", self.postgres.port()),
            &self.postgres_way.address().to_string(),
        );
        let redis = format!("redis://{}/0", self.redis_way.address());
        let mut setup = Setup::on(&postgres, &redis)
            .with("DEEPGRAM_API_KEY", "test-deepgram-key")
            .with("DEEPGRAM_BASE_URL", self.deepgram_way.url())
            .with("AUTH0_ISSUER_URL", self.tenant.issuer())
            .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
            .with("AUTH0_AUDIENCE", AUDIENCE)
            .with("LIMIT_LIVE_SESSIONS", "unlimited")
            .with("LIMIT_SOCKET_OPENS", "unlimited")
            .with("LIMIT_OPEN_SOCKETS", "unlimited")
            .with("DRAIN_SECONDS", "10")
            .with("LOG_LEVEL", "DEBUG");
        for (name, value) in more {
            setup = setup.with(name, value);
        }
        setup.without_deepgram().variables().await.0
    }

    /// Starts another replica.
    pub async fn add_replica(&mut self) {
        let number = self.replicas.len();
        let (process, metrics_port) = self.spawn(number).await;
        let door = Proxy::seeded(loopback(process.port), self.seed ^ number as u64).await;
        let door = door.expect("a proxy");
        self.replicas.push(Replica { door, process, metrics_port, logs: String::new() });
    }

    async fn spawn(&self, number: usize) -> (ServiceProcess, u16) {
        let metrics_port = free_port().expect("a port");
        let mut variables = self.variables.clone();
        variables.insert("METRICS_PORT".into(), metrics_port.to_string());
        let scratch = self.scratch.join(number.to_string());
        variables.insert("USAGE_SCRATCH_DIR".into(), scratch.to_string_lossy().into_owned());
        (ServiceProcess::start(&variables).await, metrics_port)
    }

    /// Kills a replica with SIGKILL.
    pub fn kill(&mut self, replica: usize) {
        self.replicas[replica].process.guard.kill().expect("killed");
    }

    /// Sends a replica a signal.
    pub fn signal(&self, replica: usize, signal: Signal) {
        self.replicas[replica].process.guard.signal(signal).expect("told");
    }

    /// Puts another process behind a replica's door, in place of one that has ended.
    pub async fn revive(&mut self, replica: usize) {
        let (process, metrics_port) = self.spawn(replica).await;
        let place = &mut self.replicas[replica];
        place.logs += &place.process.log();
        place.door.set_target(loopback(process.port));
        (place.process, place.metrics_port) = (process, metrics_port);
        place.process.wait_for_status("/health", 200, SOON).await;
    }

    /// Puts another Postgres behind the way to it, under the same database's name.
    pub fn move_postgres(&mut self, other: Postgres) -> Postgres {
        let port = |server: &Postgres| format!("127.0.0.1:{}", server.port());
        self.database_url = self.database_url.replace(&port(&self.postgres), &port(&other));
        self.postgres_way.set_target(loopback(other.port()));
        self.postgres_way.cut_all();
        std::mem::replace(&mut self.postgres, other)
    }

    /// The words of every stored transcript, in order, by session; none while the database is away.
    pub async fn kept(&self) -> BTreeMap<String, Vec<String>> {
        let query = "SELECT t.session_id::text, w.said->>'word' FROM session_transcripts t \
                     LEFT JOIN session_finals f USING (session_id) \
                     LEFT JOIN LATERAL jsonb_array_elements(f.words) \
                     WITH ORDINALITY AS w (said, at) ON true ORDER BY 1, f.n, w.at";
        let rows: Result<Vec<(String, Option<String>)>, _> =
            Ledger(&self.database_url).rows(query).await;
        let mut kept = BTreeMap::<String, Vec<String>>::new();
        for (session, word) in rows.unwrap_or_default() {
            kept.entry(session).or_default().extend(word);
        }
        kept
    }

    /// How many transactions the database has seen.
    pub async fn transactions(&self) -> i64 {
        let query = "SELECT xact_commit + xact_rollback FROM pg_stat_database \
                     WHERE datname = current_database()";
        let rows: Result<Vec<(i64,)>, _> = Ledger(&self.database_url).rows(query).await;
        rows.ok().and_then(|rows| rows.first().map(|row| row.0)).unwrap_or(0)
    }

    /// The doors, in order.
    pub fn doors(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| replica.door.url()).collect()
    }

    /// A token of a tenant that holds for an hour.
    pub fn token(&self, tenant: u16) -> String {
        let claims = self.tenant.claims(&format!("auth0|tenant-{tenant}"), AUDIENCE);
        self.tenant.mint(&claims).expect("a token")
    }

    /// The same, for so many seconds.
    pub fn short_token(&self, tenant: u16, seconds: f64) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let end = now.expect("after 1970").as_secs_f64() + seconds;
        let claims = self.tenant.claims(&format!("auth0|tenant-{tenant}"), AUDIENCE);
        self.tenant.mint(&claims.with("exp", end)).expect("a token")
    }

    /// A faithful speaker of a tenant, who begins at the first replica.
    pub fn plan(&self, tenant: u16, session: u16) -> Plan {
        let mut plan = Plan::new(&self.doors(), &self.token(tenant), tenant, session);
        plan.seed = self.seed ^ (u64::from(tenant) << 32) ^ (u64::from(session) << 48);
        plan
    }

    /// Somebody of a tenant who watches a room, and begins at the first replica.
    pub fn watch(&self, tenant: u16, name: &str, room: &str) -> Watch {
        Watch::new(&self.doors(), &self.token(tenant), tenant, name, room)
    }

    /// What is billed, read past every proxy; none while the database is away.
    pub async fn billed(&self) -> Vec<Row> {
        let query = "SELECT session_id::text, range_start_ms, range_end_ms FROM usage_logs \
                     WHERE session_id IS NOT NULL ORDER BY id";
        let rows: Result<Vec<(String, i64, i64)>, _> = Ledger(&self.database_url).rows(query).await;
        let row = |(session, from, to): (String, i64, i64)| Row {
            session,
            from_ms: from.max(0).unsigned_abs(),
            to_ms: to.max(0).unsigned_abs(),
        };
        rows.unwrap_or_default().into_iter().map(row).collect()
    }

    /// What the replicas have logged, in which no transcript may be.
    pub fn logs(&self) -> Vec<Text> {
        let log = |(number, replica): (usize, &Replica)| Text {
            name: format!("log of replica {number}"),
            tenant: None,
            text: replica.logs.clone() + &replica.process.log(),
        };
        self.replicas.iter().enumerate().map(log).collect()
    }

    /// A metric of a replica, added up over labels that are not named; 0 where nothing answers.
    pub async fn metric(&self, replica: usize, name: &str, labels: &[&str]) -> f64 {
        let port = self.replicas[replica].metrics_port;
        let text = match reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let named = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let values = text.lines().filter(named);
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It is only there if a replica made it.
        drop(std::fs::remove_dir_all(&self.scratch));
    }
}
