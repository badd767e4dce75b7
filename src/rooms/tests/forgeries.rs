//! Whoever writes to Redis takes words away, and neither makes any up nor sees another's.

use super::*;
use crate::model::ErrorKind;

const OTHER: &str = "user:8";
const META: &str = "test:{room:meeting-1}:meta";
const HISTORY: &str = "test:{room:meeting-1}:history";

/// A room in which somebody has spoken and somebody watches, and Redis in a stranger's hands.
struct Scene {
    server: process::Redis,
    here: Replica,
    session: SessionId,
    publisher: Publisher,
    viewer: Viewer,
}

async fn scene() -> Scene {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim);
    let mut viewer = here.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    publish(&mut publisher, session, 1..=4).await;
    assert_eq!(numbers(&mut viewer, 4).await, [1, 2, 3, 4]);
    Scene { server, here, session, publisher, viewer }
}

impl Scene {
    /// What stands in a history: each entry as its id, session, n, body, account and seal.
    fn entries(&self, history: &str) -> Vec<[String; 6]> {
        let told = self.server.command(&["XRANGE", history, "-", "+"]).unwrap();
        // Each text follows its length.
        let lines: Vec<&str> = told.split("\r\n").collect();
        let texts = lines.windows(2).filter(|pair| pair[0].starts_with('$'));
        let words: Vec<&str> = texts.map(|pair| pair[1]).collect();
        let entry = |words: &[&str]| [0, 2, 4, 6, 8, 10].map(|at| words[at].to_owned());
        words.chunks_exact(11).map(entry).collect()
    }

    fn add(&self, id: &str, entry: &[String; 6]) {
        let [_, session, n, body, account, seal] = entry.each_ref().map(String::as_str);
        let fields = ["s", session, "n", n, "f", body, "a", account, "m", seal];
        let command = [["XADD", HISTORY, id].as_slice(), &fields].concat();
        let added = self.server.command(&command).unwrap();
        assert!(added.starts_with('$'), "{added}");
    }

    /// The id of what comes after the last entry.
    fn next_id(&self) -> String {
        let last: Position = self.entries(HISTORY).last().unwrap()[0].parse().unwrap();
        Position { offset: last.offset + 1, ..last }.to_string()
    }

    fn rebuild(&self, entries: &[[String; 6]]) {
        let epoch = entries.iter().map(|entry| entry[0].parse::<Position>().unwrap().epoch).max();
        self.server.command(&["DEL", HISTORY]).unwrap();
        for (at, entry) in entries.iter().enumerate() {
            self.add(&format!("{}-{}", epoch.unwrap(), at + 1), entry);
        }
    }

    /// Resumes after the first final; what follows, up to the first hole.
    async fn after_first(&self) -> (Vec<u64>, Option<Reason>) {
        let position = self.entries(HISTORY)[0][0].parse().unwrap();
        let last = Some(Label { session: self.session, n: 1 });
        let mut cursor = Cursor { position, last };
        let mut numbers = Vec::new();
        loop {
            let read = self.here.rooms.history().read_after(&room(), &cursor, 100).await;
            match read.unwrap().1 {
                Read::Recovered { finals, cursor: next, more, .. } => {
                    numbers.extend(finals.iter().map(|it| it.text.label.n));
                    cursor = next;
                    if !more {
                        return (numbers, None);
                    }
                }
                Read::NotRecovered { reason, .. } => return (numbers, Some(reason)),
            }
        }
    }

    fn forgeries(&self, what: &str) -> u64 {
        let rendered = self.here.rooms.metrics.render().unwrap();
        let is = |line: &&str| {
            line.starts_with("room_forgeries_total") && line.contains(&format!("what=\"{what}\""))
        };
        rendered
            .lines()
            .find(is)
            .map_or(0, |line| line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap())
    }
}

#[tokio::test]
async fn an_owner_who_was_written_or_copied_from_elsewhere_is_nobody() {
    let mut scene = scene().await;
    let (server, rooms) = (&scene.server, &scene.here.rooms);
    let theirs: RoomName = "theirs".parse().unwrap();
    rooms.history().claim(&theirs, OTHER, session(), 0).await.unwrap();
    let forgeries: [&[&str]; 4] = [
        &["HSET", META, "owner", OTHER],
        &["HSET", META, "owner", "00.\"user:8\"", "account", OTHER],
        &["COPY", "test:{room:theirs}:meta", META, "REPLACE"],
        &["HSET", META, "owner", "x."],
    ];
    for (at, forgery) in forgeries.iter().enumerate() {
        server.command(forgery).unwrap();
        let before = scene.forgeries("owner");
        assert!(!rooms.is_owned(&room(), OTHER).await.unwrap(), "{forgery:?}");
        assert!(rooms.look(&room(), OTHER).await.unwrap().is_none());
        let (owner, read) =
            rooms.history().read_after(&room(), &Cursor::default(), 9).await.unwrap();
        assert!(
            owner.is_none() && matches!(read, Read::Recovered { finals, .. } if finals.is_empty())
        );
        assert!(scene.forgeries("owner") > before, "{at}");
    }
    // Whoever spoke goes on, and the room is theirs again.
    publish(&mut scene.publisher, scene.session, 5..=5).await;
    assert_eq!(numbers(&mut scene.viewer, 1).await, [5]);
    assert!(scene.here.rooms.is_owned(&room(), ACCOUNT).await.unwrap());
    let stranger = scene.here.rooms.history().claim(&room(), OTHER, session(), 0).await;
    assert_eq!(stranger.unwrap_err().kind, ErrorKind::Forbidden);
    // A stranger who makes its owner nobody may have the name, as after a loss, and not a word.
    scene.server.command(&["HSET", META, "owner", "nobody"]).unwrap();
    scene.here.rooms.history().claim(&room(), OTHER, session(), 0).await.unwrap();
    assert!(scene.entries(HISTORY).is_empty());
    assert_eq!(next(&mut scene.viewer).await, Update::Foreign);
}

#[tokio::test]
async fn an_owner_of_another_time_sees_nothing_of_what_others_said() {
    let mut scene = scene().await;
    let rooms = scene.here.rooms.clone();
    // The name was theirs once, and they kept what Redis held then.
    scene.server.command(&["RENAME", META, "test:{room:meeting-1}:kept"]).unwrap();
    rooms.history().claim(&room(), OTHER, session(), 0).await.unwrap();
    scene.server.command(&["RENAME", META, "test:{room:meeting-1}:old"]).unwrap();
    scene.server.command(&["RENAME", "test:{room:meeting-1}:kept", META]).unwrap();
    publish(&mut scene.publisher, scene.session, 5..=6).await;
    scene.server.command(&["COPY", "test:{room:meeting-1}:old", META, "REPLACE"]).unwrap();
    assert!(!scene.entries(HISTORY).is_empty());
    let mut viewer = rooms.join(&room(), OTHER, Start::After(Cursor::default()));
    match viewer.begin(50).await {
        Ok(Settled::Afresh { finals, .. }) => assert!(finals.is_empty(), "{finals:?}"),
        Ok(Settled::Resumed(_)) => panic!("there is nothing to go on from"),
        Err(error) => assert_eq!(error.kind, ErrorKind::Forbidden),
    }
    let seen = rooms.history().read_end(&room(), 50).await.unwrap();
    assert!(seen.finals.is_empty() && scene.forgeries("final") > 0, "{seen:?}");
    rooms.history().claim(&room(), OTHER, session(), 0).await.expect("the name alone");
    let seen = rooms.history().read_after(&room(), &Cursor::default(), 50).await.unwrap().1;
    let (Read::Recovered { finals, .. } | Read::NotRecovered { rest: finals, .. }) = seen;
    assert!(finals.is_empty(), "{finals:?}");
}

#[tokio::test]
async fn a_final_that_no_replica_wrote_there_is_not_shown_and_leaves_a_hole_that_is_told() {
    let mut scene = scene().await;
    let elsewhere: RoomName = "elsewhere".parse().unwrap();
    let claimed = scene.here.rooms.history().claim(&elsewhere, ACCOUNT, scene.session, 0).await;
    let mut there = scene.here.rooms.publisher(claimed.unwrap().0);
    publish(&mut there, scene.session, 1..=9).await;
    let genuine = scene.entries(HISTORY)[3].clone();
    let replace = |field: usize, with: &str| {
        let mut forged = genuine.clone();
        with.clone_into(&mut forged[field]);
        forged
    };
    let forged = [
        replace(1, &session().to_string()),
        replace(2, "5"),
        replace(3, "words of mine"),
        replace(4, OTHER),
        replace(5, ""),
        replace(1, "garbage"),
        scene.entries("test:{room:elsewhere}:history")[4].clone(),
    ];
    for (n, forged) in (5..).zip(&forged) {
        let before = scene.forgeries("final");
        scene.add(&scene.next_id(), forged);
        let last = scene.entries(HISTORY).pop().unwrap()[0].clone();
        publish_wake(&scene, &last);
        assert_eq!(next(&mut scene.viewer).await, Update::Gap(Reason::Trimmed), "{forged:?}");
        assert!(scene.forgeries("final") > before);
        assert_eq!(scene.after_first().await, (upwards(2..=4), Some(Reason::Trimmed)));
        let end = scene.here.rooms.history().read_end(&room(), 50).await.unwrap();
        assert_eq!((end.finals.len(), end.cursor.position.to_string()), (0, last));
        publish(&mut scene.publisher, scene.session, [n]).await;
        assert_eq!(numbers(&mut scene.viewer, 1).await, [n]);
    }
    let replica = replica(&scene.server).await;
    let mut late = replica.rooms.join(&room(), ACCOUNT, Start::Now);
    let Settled::Afresh { finals, .. } = late.begin(50).await.unwrap() else { panic!("it is new") };
    assert_eq!(finals.iter().map(|it| it.text.label.n).collect::<Vec<_>>(), [11]);
    let history = scene.here.rooms.history();
    let said = history.read_session((&room(), ACCOUNT), scene.session, 0, None).await.unwrap();
    assert_eq!(said.finals.iter().map(|it| it.text.label.n).collect::<Vec<_>>(), upwards(1..=11));
    assert!(said.finals.iter().all(|it| it.text.body == format!("words of {}", it.text.label.n)));
}

#[tokio::test]
async fn finals_that_were_swapped_taken_out_or_repeated_leave_a_hole_that_is_told() {
    let scene = scene().await;
    let [one, two, three, four] = scene.entries(HISTORY).try_into().unwrap();
    let before = scene.forgeries("repeated");
    scene.rebuild(&[one.clone(), three.clone(), two.clone(), four.clone()]);
    assert_eq!(scene.after_first().await, (vec![], Some(Reason::Trimmed)));
    assert!(scene.forgeries("repeated") > before);
    scene.rebuild(&[one.clone(), two.clone(), four.clone()]);
    assert_eq!(scene.after_first().await, (vec![2], Some(Reason::Trimmed)));
    scene.rebuild(&[one.clone(), two.clone(), three.clone(), four.clone()]);
    assert_eq!(scene.after_first().await, (upwards(2..=4), None));
    scene.add(&scene.next_id(), &two);
    assert_eq!(scene.after_first().await, (upwards(2..=4), Some(Reason::Trimmed)));
    for taken in 1..3 {
        scene.rebuild(&[one.clone(), two.clone(), three.clone(), four.clone()]);
        let id = scene.entries(HISTORY)[taken][0].clone();
        scene.server.command(&["XDEL", HISTORY, &id]).unwrap();
        let seen = upwards(2..=taken as u64);
        assert_eq!(scene.after_first().await, (seen, Some(Reason::Trimmed)));
    }
    // A stranger's copy of what was seen last does not hide what followed it.
    let mut forged = two.clone();
    "others".clone_into(&mut forged[3]);
    scene.rebuild(&[one, two.clone(), three, four, forged]);
    let position = Position { epoch: 7, offset: 2 };
    let last = Some(Label { session: scene.session, n: 2 });
    let elsewhere = Cursor { position, last };
    let read = scene.here.rooms.history().read_after(&room(), &elsewhere, 9).await.unwrap().1;
    assert!(matches!(read, Read::NotRecovered { reason: Reason::EpochGone, .. }), "{read:?}");
}

#[tokio::test]
async fn an_interim_that_no_replica_said_is_not_shown() {
    let mut scene = scene().await;
    let channel = "test:{room:meeting-1}:channel";
    let say = |text: &str| scene.server.command(&["PUBLISH", channel, text]).unwrap();
    let session = scene.session;
    let fence = u64::MAX >> 12;
    for forged in [
        format!("I {fence} {ACCOUNT} {session} 5 words"),
        format!("I {fence} {ACCOUNT} {session} 5 AAAAAAAAAAAAAAAAAAAAAA words of mine"),
        format!("I {fence} {ACCOUNT} {session} 5"),
        "I garbage".to_owned(),
    ] {
        say(&forged);
    }
    let counted = async || scene.forgeries("interim") == 1;
    until("the forged interim to be counted", SOON, counted).await;
    scene.publisher.say(&text(session, 5)).await.unwrap();
    let update = tokio::time::timeout(SOON, scene.viewer.next()).await.expect("an update");
    let Some(Update::Interim(interim)) = update else { panic!("{update:?}") };
    assert_eq!(interim.body, "words of 5");
}

/// Says that a room has something new, as anybody can.
fn publish_wake(scene: &Scene, last: &str) {
    let channel = "test:{room:meeting-1}:channel";
    scene.server.command(&["PUBLISH", channel, &format!("F 1 {last}")]).unwrap();
}
