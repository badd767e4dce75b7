//! What every fault happens to: replicas, speakers, viewers, and the judge at the end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures_util::future::join_all;
use testkit::{
    caller::{Caller, Plan},
    history::{Session, Spoken, Viewed},
    oracle::{self, Allowed, Evidence, Rule, Violation},
    seed::Dice,
    viewer::Viewer,
};

use super::run;
use crate::harness::{Cluster, LONG, Shape};

/// How long usage may take to be written once a run is over.
const SETTLING: Duration = Duration::from_secs(25);

/// People at work on a cluster.
pub struct Scene {
    pub cluster: Cluster,
    pub dice: Dice,
    pub callers: Vec<Caller>,
    pub viewers: Vec<Viewer>,
    pub allowed: BTreeMap<(u16, u16), Allowed>,
    /// Sessions that others than speakers had, whose bill nobody judges.
    pub ignored: Vec<String>,
    /// Tenants whose sessions are stored.
    pub stores: Vec<u16>,
}

impl Scene {
    pub async fn new(shape: Shape) -> Self {
        let dice = Dice::new(shape.seed);
        let cluster = Cluster::start(shape).await;
        let (callers, viewers) = (Vec::new(), Vec::new());
        let (allowed, ignored, stores) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { cluster, dice, callers, viewers, allowed, ignored, stores }
    }

    /// Cuts clients off, each with that probability.
    pub fn cut_clients(&self, probability: f64) {
        for replica in &self.cluster.replicas {
            replica.door.cut_some(probability);
        }
    }

    /// Somebody begins to speak in the room of their tenant.
    pub async fn begin(&mut self, plan: Plan) {
        let room = room(plan.tenant);
        self.begin_alone(plan.in_room(&room)).await;
    }

    /// Somebody begins to speak, where nobody watches unless the plan says so.
    pub async fn begin_alone(&mut self, plan: Plan) {
        self.callers.push(Caller::start(plan).await);
    }

    /// So many tenants begin to speak at the first replica, one session each, and their rooms are
    /// watched; every other transcript is stored.
    pub async fn begin_many(&mut self, tenants: u16) {
        for tenant in 1..=tenants {
            if tenant % 2 == 0 {
                self.begin_stored([tenant]).await;
            } else {
                self.begin_unstored(tenant).await;
            }
        }
    }

    /// A tenant begins to speak whose transcript is not stored, and whose room is watched.
    pub async fn begin_unstored(&mut self, tenant: u16) {
        self.begin(self.cluster.plan(tenant, 1)).await;
        self.watch(tenant).await;
    }

    /// The same for tenants whose transcripts are all stored.
    pub async fn begin_stored(&mut self, tenants: impl IntoIterator<Item = u16>) {
        for tenant in tenants {
            let mut plan = self.cluster.plan(tenant, 1);
            plan.start["store"] = true.into();
            self.stores.push(tenant);
            self.begin(plan).await;
            self.watch(tenant).await;
        }
    }

    /// Somebody watches a tenant's room at each of the first two replicas.
    pub async fn watch(&mut self, tenant: u16) {
        for address in 0..self.cluster.replicas.len().min(2) {
            let name = format!("{tenant}-{address}");
            let watch = self.cluster.watch(tenant, &name, &room(tenant)).at(address);
            self.viewers.push(Viewer::start(watch).await);
        }
    }

    /// Waits until every speaker's history fits.
    pub async fn until_all(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Spoken) -> bool,
    ) -> anyhow::Result<()> {
        let waits = self.callers.iter().map(|caller| caller.wait(what, deadline, &fits));
        join_all(waits).await.into_iter().collect()
    }

    /// Waits until every viewer's history fits.
    pub async fn until_all_watch(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Viewed) -> bool,
    ) -> anyhow::Result<()> {
        let waits = self.viewers.iter().map(|viewer| viewer.wait(what, deadline, &fits));
        join_all(waits).await.into_iter().collect()
    }

    /// Waits until every speaker has had that much audio acknowledged in the session at hand, and
    /// a moment of chance, so that whatever comes next comes anywhere in an utterance.
    pub async fn until_acked(&mut self, ms: u64) -> anyhow::Result<()> {
        let acked = |spoken: &Spoken| spoken.current().is_some_and(|one| one.acked_ms() >= ms);
        self.until_all("acknowledgements", LONG, acked).await?;
        lasts(self.dice.up_to(Duration::from_secs(1))).await;
        Ok(())
    }

    /// Waits until so much more audio than now is acknowledged of every speaker who keeps any.
    pub async fn until_more_acked(&self, more_ms: u64, deadline: Duration) -> anyhow::Result<()> {
        let waits = self.callers.iter().map(|caller| {
            let acked =
                |spoken: &Spoken| -> u64 { spoken.sessions.iter().map(Session::acked_ms).sum() };
            let goal = caller.read(acked) + more_ms;
            caller.wait("more acknowledgements", deadline, move |spoken| acked(spoken) >= goal)
        });
        join_all(waits).await.into_iter().collect()
    }

    /// Everybody claims their session through another replica.
    pub async fn all_move(&self, address: usize, deadline: Duration) -> anyhow::Result<()> {
        let moves = self.callers.iter().map(async |caller| {
            let turns = caller.read(Spoken::returns);
            caller.move_to(address).await;
            caller.wait("a move", deadline, |spoken| spoken.returns() > turns).await
        });
        join_all(moves).await.into_iter().collect()
    }

    /// Waits until every speaker hears so many more words than now.
    pub async fn until_words(&self, more: u64, deadline: Duration) -> anyhow::Result<()> {
        let waits = self.callers.iter().map(|caller| {
            let goal = caller.read(Spoken::heard_frames) + more;
            caller.wait("more words", deadline, move |spoken| spoken.heard_frames() >= goal)
        });
        join_all(waits).await.into_iter().collect()
    }

    /// The longest that a speaker heard no text after `moment`, which must not be over `limit`. A
    /// machine that is busy with other tests may take longer.
    pub fn silence_since(&self, moment: &Moment, limit: Duration) -> anyhow::Result<Duration> {
        let limit = if run::is_chosen() { limit } else { limit * 3 };
        let mut longest = Duration::ZERO;
        for (caller, at) in self.callers.iter().zip(&moment.0) {
            let silence = caller.read(|spoken| spoken.longest_silence(*at, limit * 2));
            ensure!(silence <= limit, "silent for {silence:?}: {}", caller.read(Spoken::story));
            longest = longest.max(silence);
        }
        Ok(longest)
    }

    /// Now, for each speaker.
    pub fn moment(&self) -> Moment {
        Moment(self.callers.iter().map(Caller::now).collect())
    }

    /// Everybody finishes; an error that names every promise that was not kept.
    pub async fn judge(&self) -> anyhow::Result<Evidence> {
        self.judge_with(Vec::new()).await
    }

    /// The same with what others than the callers lived through.
    pub async fn judge_with(&self, others: Vec<Spoken>) -> anyhow::Result<Evidence> {
        let finishing = self.callers.iter().map(|caller| caller.finish(LONG));
        let mut spoken = join_all(finishing).await;
        spoken.extend(others);
        let look = |viewers: &[Viewer]| viewers.iter().map(|one| one.read(Viewed::clone)).collect();
        let mut evidence = Evidence {
            spoken,
            texts: self.cluster.logs(),
            allowed: self.allowed.clone(),
            ..Evidence::default()
        };
        let until = Instant::now() + SETTLING;
        let violations = loop {
            evidence.billed = self.cluster.billed().await;
            evidence.billed.retain(|row| !self.ignored.contains(&row.session));
            evidence.viewed = look(&self.viewers);
            evidence.kept = self.kept(&evidence.spoken).await;
            let violations = oracle::check(&evidence);
            let late = [Rule::Bill, Rule::Viewers, Rule::Kept];
            let waits = violations.iter().any(|one| late.contains(&one.rule));
            if !waits || Instant::now() > until {
                break violations;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        if violations.is_empty() {
            nothing_missed(&evidence)?;
            self.none_stored_unasked(&evidence)?;
            return Ok(evidence);
        }
        anyhow::bail!("{} violations:\n{}", violations.len(), complaint(&violations, &evidence))
    }

    /// That nothing is stored of whom did not ask for it.
    fn none_stored_unasked(&self, evidence: &Evidence) -> anyhow::Result<()> {
        let silent = evidence.spoken.iter().filter(|one| !self.stores.contains(&one.tenant));
        let sessions = silent.flat_map(|one| &one.sessions);
        let stored = sessions.filter(|session| evidence.kept.contains_key(&session.id)).count();
        ensure!(stored == 0, "{stored} sessions are stored that did not ask for it");
        Ok(())
    }

    /// What is stored, and nothing for what should be and is not.
    async fn kept(&self, spoken: &[Spoken]) -> BTreeMap<String, Vec<String>> {
        let mut kept = self.cluster.kept().await;
        let stored = spoken.iter().filter(|one| self.stores.contains(&one.tenant));
        for session in stored.flat_map(|one| &one.sessions) {
            kept.entry(session.id.clone()).or_default();
        }
        kept
    }
}

/// The first of what is wrong, and the stories of those whom it concerns.
fn complaint(violations: &[Violation], evidence: &Evidence) -> String {
    const MOST: usize = 20;
    let said: Vec<_> = violations.iter().take(MOST).map(ToString::to_string).collect();
    let named = |who: &str| violations.iter().take(MOST).any(|one| one.who.starts_with(who));
    let speakers = evidence.spoken.iter().filter(|one| {
        let mine = |session: &Session| named(&session.id);
        named(&format!("speaker {}/{}", one.tenant, one.session)) || one.sessions.iter().any(mine)
    });
    let speakers = speakers.take(4).map(|one| one.story() + &one.pieces());
    let viewers = evidence.viewed.iter().filter(|one| named(&format!("viewer {}", one.name)));
    let stories: Vec<_> = speakers.chain(viewers.take(4).map(Viewed::story)).collect();
    format!("{}\n{}", said.join("\n"), stories.join("\n"))
}

/// The room of a tenant.
pub fn room(tenant: u16) -> String {
    format!("room-{tenant}")
}

/// That no viewer was told that something is missing.
fn nothing_missed(evidence: &Evidence) -> anyhow::Result<()> {
    let Some(missed) = evidence.viewed.iter().find(|viewed| viewed.unrecovered > 0) else {
        return Ok(());
    };
    let speakers = evidence.spoken.iter().filter(|one| one.tenant == missed.tenant);
    let stories = speakers.map(|one| one.story() + &one.pieces()).collect::<String>();
    anyhow::bail!("it missed something: {}{stories}", missed.story())
}

/// How long a fault lasts.
pub async fn lasts(time: Duration) {
    tokio::time::sleep(time).await;
}

/// People on so many replicas, each of another tenant, in mid-utterance.
pub async fn talking(shape: Shape, tenants: u16) -> anyhow::Result<Scene> {
    let mut scene = Scene::new(shape).await;
    scene.begin_many(tenants).await;
    scene.until_acked(2_000).await?;
    Ok(scene)
}

/// That nobody had to begin a session anew.
pub fn one_session_each(evidence: &Evidence) -> anyhow::Result<()> {
    let anew = evidence.spoken.iter().find(|spoken| spoken.sessions.len() != 1);
    anew.map_or(Ok(()), |spoken| Err(anyhow::anyhow!("it began anew: {}", spoken.story())))
}

/// One moment as each speaker's clock shows it.
pub struct Moment(pub Vec<Duration>);

/// What a run came to, for the table.
pub fn summary(evidence: &Evidence) -> String {
    let frames: u64 = evidence.spoken.iter().map(Spoken::heard_frames).sum();
    let returns: usize = evidence.spoken.iter().map(Spoken::returns).sum();
    let sessions: usize = evidence.spoken.iter().map(|spoken| spoken.sessions.len()).sum();
    let billed: u64 = evidence.billed.iter().map(|row| row.to_ms - row.from_ms).sum();
    let joins: u64 = evidence.viewed.iter().map(|viewed| viewed.joins).sum();
    let missed: u64 = evidence.viewed.iter().map(|viewed| viewed.unrecovered).sum();
    let viewers = evidence.viewed.len();
    format!(
        "{frames} words in {sessions} sessions, {returns} resumes, {billed} ms billed, \
         {viewers} viewers joined {joins} times ({missed} not recovered)"
    )
}
