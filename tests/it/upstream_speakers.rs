//! Speakers through a lost provider: a new connection knows nobody, and gives nobody's number away.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::deepgram::{Action, Config, Fault, Script, Word};

use crate::{
    harness::{LONG, Setup},
    oracle,
};

/// Two people who take turns, a word every half second.
fn dialogue() -> Script {
    let turn = |at: u32| {
        let start = f64::from(at) / 2.0;
        Word::new(&format!("word{at}"), start, start + 0.4).by(at / 4 % 2)
    };
    Script::words((0..40).map(turn).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_counts_on() {
    let app = Setup::new().deepgram(Config::speaking(dialogue())).start().await;
    app.deepgram().plan(vec![Fault::at_audio(Duration::from_secs(6), Action::Drop)]);
    let mut client = app.socketio().await;
    client.emit("start_streaming", &[json!({ "diarize": true })]).await.expect("sent");
    for _ in 0..100 {
        client.emit_binary("audio_chunk", &[&[0; 3200]]).await.expect("sent");
    }
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, LONG).await;
    let texts: Vec<_> = oracle::named(&heard, "transcription").collect();
    let resets = texts.iter().position(|text| text["speakers_reset"] == true).expect("a reset");
    let again = texts.iter().filter(|text| text["speakers_reset"] == true).count();
    assert_eq!(again, 1, "it is said once");
    let speakers = |text: &&Value| -> Vec<u64> {
        let words = text["words"].as_array().expect("words").iter();
        words.map(|word| word["speaker"].as_u64().expect("a speaker")).collect()
    };
    let before: Vec<_> = texts[..resets].iter().flat_map(speakers).collect();
    let after: Vec<_> = texts[resets..].iter().flat_map(speakers).collect();
    let last = before.iter().max().expect("somebody spoke before");
    assert!(after.iter().all(|speaker| speaker > last), "{before:?} then {after:?}");
}
