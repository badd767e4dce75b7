//! Faults of the audio itself: cut anywhere, of the wrong kind, out of order, sent twice.

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use testkit::{numbered::NumberedAudio, raw_ws::RawSocket};

use super::{clients::unharmed, scene::talking};
use crate::{
    harness::{SOON, Shape, doors},
    oracle,
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(8, 1);
const CHUNKS: u32 = 20;

fn session(heard: &[Value]) -> anyhow::Result<String> {
    let id = heard.iter().find_map(|told| told["session_id"].as_str());
    Ok(id.context("no session")?.to_owned())
}

/// What is said until the session's end, or its error.
async fn to_the_end(socket: &mut RawSocket) -> Vec<Value> {
    let ends = |told: &Value| told["type"] == "streaming_stopped" || told["type"] == "error";
    oracle::listen_raw(socket, SOON, ends).await
}

/// F47: pieces of odd sizes with empty ones between them; options that cannot be; a container that
/// breaks off; a header where none belongs.
pub async fn strange(seed: u64) -> anyhow::Result<String> {
    let mut scene = talking(Shape::new(1, seed), 2).await?;
    let (url, token) = (scene.cluster.replicas[0].process.url(), scene.cluster.token(8));
    let (mut odd, _) = doors::websocket(&url, &token).await?;
    for piece in AUDIO.frames(0, CHUNKS * oracle::FRAMES_PER_CHUNK).chunks(777) {
        odd.send_binary(piece).await?;
        odd.send_binary([]).await?;
    }
    oracle::stop_raw(&mut odd).await;
    let heard = to_the_end(&mut odd).await;
    oracle::assert_whole(&heard, CHUNKS);
    scene.ignored.push(session(&heard)?);

    for options in [json!({ "encoding": "cassette" }), json!({ "sample_rate": 7 })] {
        let (mut socket, _) = doors::websocket(&url, &token).await?;
        let mut start = options.clone();
        start["type"] = "start_streaming".into();
        socket.send_json(&start).await?;
        let error = to_the_end(&mut socket).await.pop().unwrap_or_default();
        ensure!(error["option"].is_string(), "{options} is answered with {error}");
    }
    let webm = [b"\x1a\x45\xdf\xa3".as_slice(), &[0xA5; 9_000]].concat();
    let wav = [vec![0; 4_000], b"RIFF\x24\x00\x00\x00WAVEfmt ".to_vec(), vec![1; 3_001]].concat();
    for bytes in [webm, wav] {
        let (mut socket, _) = doors::websocket(&url, &token).await?;
        socket.send_binary(bytes).await?;
        oracle::stop_raw(&mut socket).await;
        let heard = to_the_end(&mut socket).await;
        // Some begin a session before it is found out; those are for nobody to judge.
        scene.ignored.extend(session(&heard).ok());
    }
    unharmed(scene).await
}

/// F48: numbered chunks that come again and out of order.
pub async fn out_of_order(seed: u64) -> anyhow::Result<String> {
    let mut scene = talking(Shape::new(1, seed), 2).await?;
    let url = scene.cluster.replicas[0].process.url();
    let (mut client, _) = doors::socketio(&url, &scene.cluster.token(8)).await?;
    let mut refused = 0;
    for number in 0..CHUNKS {
        // Each comes again with the one before it, and sometimes one that is ahead comes first.
        let ahead = (number % 5 == 1).then_some(number + 3);
        refused += u32::from(ahead.is_some());
        for seq in ahead.into_iter().chain([number, number, number.saturating_sub(1)]) {
            let audio = STANDARD.encode(oracle::chunk(AUDIO, seq));
            client.emit("audio_chunk", &[json!({ "audio_chunk": audio, "seq": seq })]).await?;
        }
    }
    oracle::stop(&mut client).await;
    let mut heard = oracle::until_stopped(&mut client, SOON).await;
    let errors: Vec<_> = oracle::named(&heard, "error").collect();
    ensure!(!errors.is_empty() && errors.len() <= refused as usize, "{errors:?}");
    ensure!(errors.iter().all(|error| error["code"] == "conflict"), "{errors:?}");
    scene.ignored.push(session(&heard)?);
    heard.retain(|told| told["type"] != "error");
    oracle::assert_whole(&heard, CHUNKS);
    unharmed(scene).await
}
