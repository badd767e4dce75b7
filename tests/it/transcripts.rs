//! Transcripts that a session asked to have kept: whole, its owner's alone, and gone when they say.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use testkit::{
    deepgram::{self, Script},
    numbered::NumberedAudio,
    process::Postgres,
};

use crate::{
    access_matrix::{self, AUDIENCE, GOOD_KEY},
    harness::{LONG, SOON, Setup, Speaker, TestApp, doors},
};

/// A Deepgram that hears numbered audio and gives a final every second.
fn numbered() -> deepgram::Config {
    deepgram::Config {
        longest_segment: Duration::from_secs(1),
        ..deepgram::Config::speaking(Script::numbered_audio())
    }
}

async fn ask(app: &TestApp, method: Method, path: &str, token: &str) -> Response {
    let request = reqwest::Client::new().request(method, format!("{}{path}", app.url()));
    request.bearer_auth(token).send().await.expect("an answer")
}

async fn get(app: &TestApp, path: &str) -> Value {
    let answer = ask(app, Method::GET, path, &app.token()).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.expect("JSON")
}

/// Waits until a session's transcript is whole.
async fn wait_until_complete(app: &TestApp, id: &str) -> Value {
    let path = format!("/sessions/{id}");
    let complete = async || {
        let answer = ask(app, Method::GET, &path, &app.token()).await;
        let session: Value = answer.json().await.expect("JSON");
        session["transcript"]["complete"] == true && session["ended_at"].is_string()
    };
    testkit::wait_until("a whole transcript", LONG, complete).await.expect("whole");
    get(app, &path).await
}

async fn start(speaker: &mut Speaker, options: Value) -> String {
    speaker.socket.send_json(&options).await.expect("sent");
    let started = speaker.hear_until(|message| message["type"] == "session_started").await;
    started["session_id"].as_str().expect("an id").to_owned()
}

fn stored() -> Value {
    json!({ "type": "start_streaming", "store": true })
}

/// Milliseconds of `hh:mm:ss` and a fraction.
fn moment(text: &str) -> u64 {
    let fields = text.split([':', ',', '.']).map(|part| part.parse::<u64>().expect("a number"));
    let [hours, minutes, seconds, ms] = fields.collect::<Vec<_>>()[..] else { panic!("{text}") };
    ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms
}

/// The words of subtitles, each with the times of its cue.
fn subtitled(text: &str) -> Vec<(String, u64, u64)> {
    let mut words = Vec::new();
    let mut time = (0, 0);
    for line in text.lines().filter(|line| !line.is_empty() && *line != "WEBVTT") {
        if let Some((from, until)) = line.split_once(" --> ") {
            time = (moment(from), moment(until));
        } else if line.starts_with('f') {
            let timed = |word: &str| (word.to_owned(), time.0, time.1);
            words.extend(line.split(' ').map(timed));
        }
    }
    words
}

/// Every format of a session of so many chunks holds every word once, at its time.
async fn assert_whole(app: &TestApp, id: &str, audio: NumberedAudio, chunks: u32) {
    let frames: Vec<u32> = (0..chunks * 5).collect();
    let word = |number: &u32| format!("f{:04}-{:04}-{number:08}", audio.tenant, audio.session);
    let expected: Vec<String> = frames.iter().map(word).collect();
    let json = get(app, &format!("/sessions/{id}/transcript.json")).await;
    assert_eq!(json["missing"], json!([]));
    let finals = json["finals"].as_array().expect("finals");
    let words = finals.iter().flat_map(|said| said["words"].as_array().expect("words"));
    for (at, (word, expected)) in words.clone().zip(&expected).enumerate() {
        let told = (word["word"].as_str(), word["start_ms"].as_u64());
        assert_eq!(told, (Some(expected.as_str()), Some(20 * at as u64)));
    }
    assert_eq!(words.count(), expected.len());
    let text = file(app, id, "txt", "text/plain; charset=utf-8").await;
    assert!(text.split_whitespace().eq(&expected), "{text}");
    for (ending, kind) in [("srt", "application/x-subrip"), ("vtt", "text/vtt")] {
        let text = file(app, id, ending, &format!("{kind}; charset=utf-8")).await;
        let words = subtitled(&text);
        assert!(words.iter().map(|(word, ..)| word).eq(&expected), "{text}");
        for (at, (word, from, until)) in words.iter().enumerate() {
            let start = 20 * at as u64;
            assert!(*from <= start && start + 20 <= *until, "{word} in {from}..{until}");
        }
    }
}

async fn file(app: &TestApp, id: &str, ending: &str, kind: &str) -> String {
    let path = format!("/sessions/{id}/transcript.{ending}");
    let answer = ask(app, Method::GET, &path, &app.token()).await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), kind);
    assert_eq!(header("content-disposition"), format!("attachment; filename=\"{id}.{ending}\""));
    let tag = header("etag");
    let again = reqwest::Client::new().get(format!("{}{path}", app.url()));
    let again = again.bearer_auth(app.token()).header("if-none-match", &tag);
    let again = again.send().await.expect("an answer");
    assert_eq!(
        (again.status(), &again.headers()["etag"]),
        (StatusCode::NOT_MODIFIED, &answer.headers()["etag"])
    );
    answer.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_session_is_whole_in_every_format_through_both_doors() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let mut speaker = Speaker::new(app.websocket().await, 1);
    let raw = start(&mut speaker, stored()).await;
    speaker.say(40).await;
    speaker.finish().await;
    let session = wait_until_complete(&app, &raw).await;
    assert_eq!(session["transcript"]["outcome"], "finished");
    assert_eq!(session["audio_ms"], 4_000);
    assert_whole(&app, &raw, NumberedAudio::linear16(1, 1), 40).await;

    let mut client = app.socketio().await;
    client.emit("start_streaming", &[json!({ "store": "true" })]).await.expect("sent");
    let started = client.receive_event("session_started", SOON).await.expect("started").json();
    let audio = NumberedAudio::linear16(2, 7);
    for chunk in 0..25 {
        client.emit_binary("audio_chunk", &[&audio.frames(chunk * 5, 5)]).await.expect("sent");
    }
    client.emit("stop_streaming", &[json!({})]).await.expect("sent");
    client.receive_event("streaming_stopped", SOON).await.expect("stopped");
    let socketio = started["session_id"].as_str().expect("an id");
    wait_until_complete(&app, socketio).await;
    assert_whole(&app, socketio, audio, 25).await;
    assert_eq!(app.metric("transcript_rows_pending", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stored_that_was_not_asked_for() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let mut speaker = Speaker::new(app.websocket().await, 1);
    let id = start(&mut speaker, json!({ "type": "start_streaming" })).await;
    speaker.say(20).await;
    speaker.finish().await;
    speaker.hear_ack(2_000).await;
    let session = get(&app, &format!("/sessions/{id}")).await;
    assert_eq!((&session["transcript"], &session["audio_ms"]), (&Value::Null, &json!(2_000)));
    let path = format!("/sessions/{id}/transcript.txt");
    let answer = ask(&app, Method::GET, &path, &app.token()).await;
    assert_eq!(answer.status(), 404);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["code"], "not_found");
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM session_finals").await, 0);
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM session_transcripts").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_its_owners_alone_and_goes_when_they_say() {
    let (app, tenant) = access_matrix::start().await;
    let token = tenant.token("auth0|ada", AUDIENCE).expect("a token");
    let (socket, _) = doors::websocket(&app.url(), &token).await.expect("in");
    let mut speaker = Speaker::new(socket, 1);
    let id = start(&mut speaker, stored()).await;
    speaker.say(10).await;
    speaker.hear_until(|message| message["type"] == "transcription").await;
    speaker.stop().await;
    let paths = ["", "/transcript.json", "/transcript.txt", "/transcript.srt", "/transcript.vtt"];
    let paths = paths.map(|file| format!("/sessions/{id}{file}"));
    let there = async || ask(&app, Method::GET, &paths[1], &token).await.status() == 200;
    testkit::wait_until("the transcript", SOON, there).await.expect("there");
    for path in &paths {
        assert_eq!(ask(&app, Method::GET, path, &token).await.status(), 200, "{path}");
        assert_eq!(ask(&app, Method::GET, path, GOOD_KEY).await.status(), 404, "{path}");
    }
    let listed = ask(&app, Method::GET, "/sessions", GOOD_KEY).await;
    let listed: Value = listed.json().await.expect("JSON");
    assert_eq!(listed, json!({ "sessions": [], "next": null }));
    assert_eq!(ask(&app, Method::DELETE, &paths[0], GOOD_KEY).await.status(), 404);
    assert_eq!(ask(&app, Method::GET, &paths[1], &token).await.status(), 200);
    assert_eq!(ask(&app, Method::DELETE, &paths[0], &token).await.status(), 204);
    for path in &paths[1..] {
        assert_eq!(ask(&app, Method::GET, path, &token).await.status(), 404, "{path}");
    }
    let left = ask(&app, Method::GET, &paths[0], &token).await;
    let left: Value = left.json().await.expect("JSON");
    assert!(left["transcript"]["deleted_at"].is_string(), "{left}");
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM session_finals").await, 0);
    assert!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await > 0);
    for wrong in ["/sessions/7", "/sessions/7/transcript.srt"] {
        assert_eq!(ask(&app, Method::GET, wrong, &token).await.status(), 404, "{wrong}");
    }
    let unknown = format!("/sessions/{id}/transcript.doc");
    assert_eq!(ask(&app, Method::GET, &unknown, &token).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hold_every_session_once_the_newest_first() {
    let app = Setup::new().start().await;
    // The development token's row is made on first sight.
    assert_eq!(get(&app, "/sessions").await["sessions"], json!([]));
    let insert = "INSERT INTO live_sessions (id, user_id, provider, model, language, started_at)
                  SELECT gen_random_uuid(), u.id, 'deepgram', n::text, 'en',
                         timestamp '2030-01-01' + (n / 2) * interval '1 second'
                  FROM generate_series(1, 23) n, users u WHERE auth0_sub = 'development|dev-user'";
    sqlx::query(insert).execute(app.running.app.database.pool()).await.expect("sessions");
    let (mut seen, mut next) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = get(&app, &format!("/sessions?limit=5{next}")).await;
        let sessions = page["sessions"].as_array().expect("a list").clone();
        assert!(sessions.len() <= 5);
        seen.extend(sessions);
        let Some(id) = page["next"].as_str() else { break };
        next = format!("&before={id}");
    }
    let times: Vec<_> = seen.iter().map(|session| session["started_at"].to_string()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
    let mut models: Vec<_> = seen.iter().map(|session| session["model"].to_string()).collect();
    models.sort();
    models.dedup();
    assert_eq!((models.len(), seen.len()), (23, 23));
    for wrong in ["limit=0", "limit=101", "limit=x", "before=7"] {
        let path = format!("/sessions?{wrong}");
        let answer = ask(&app, Method::GET, &path, &app.token()).await;
        assert_eq!(answer.status(), 400, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transcript_is_whole_though_postgres_was_away() {
    let mut postgres = Postgres::start().expect("postgres");
    let url = postgres.create_database().expect("a database");
    let setup = Setup::on(&url, &crate::harness::redis_url()).deepgram(numbered());
    let app = setup.start().await;
    let mut speaker = Speaker::new(app.websocket().await, 1);
    let id = start(&mut speaker, stored()).await;
    speaker.say(20).await;
    speaker.hear_ack(1_000).await;
    postgres.kill().expect("killed");
    speaker.say(30).await;
    speaker.hear_until(|message| message["n"].as_u64() >= Some(4)).await;
    let waits = async || app.metric("transcript_rows_total", &["retried"]) > 0;
    testkit::wait_until("a write that fails", LONG, waits).await.expect("it failed");
    let path = format!("/sessions/{id}");
    assert_eq!(ask(&app, Method::GET, &path, &app.token()).await.status(), 503);
    speaker.say(10).await;
    speaker.finish().await;
    postgres.restart().expect("back");
    let answers = async || ask(&app, Method::GET, &path, &app.token()).await.status() == 200;
    testkit::wait_until("an answer", LONG, answers).await.expect("back");
    wait_until_complete(&app, &id).await;
    assert_whole(&app, &id, NumberedAudio::linear16(1, 1), 60).await;
    let lost = ["full", "refused", "late"].map(|why| app.metric("transcript_rows_total", &[why]));
    assert_eq!(lost, [0, 0, 0]);
}
