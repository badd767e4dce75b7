//! What workers do when a task breaks, with the real models.

use std::{path::PathBuf, sync::mpsc};

use tokio::sync::oneshot;

use super::{
    engine::{Engine, LocalConfig},
    jobs::{self, answered},
    pool::{Pool, Urgency},
    recogniser::Recognition,
    vad::{FRAME_SAMPLES, VadMemory},
};
use crate::{lifecycle::Shutdown, providers::ErrorClass, telemetry::Metrics};

fn engine(workers: usize, max_streams: usize) -> Engine {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".dev/speech-model");
    let model_dir = std::env::var_os("ASR_MODEL_DIR").map_or_else(default, PathBuf::from);
    assert!(
        model_dir.join("encoder_model.ort").is_file(),
        "there is no speech model in {}: run scripts/speech-model first",
        model_dir.display()
    );
    let config = LocalConfig { model_dir, workers, max_streams };
    Engine::load(&config, Metrics::new().unwrap(), Shutdown::default()).unwrap()
}

fn silence(pool: &Pool) -> jobs::Answer<jobs::Listened> {
    jobs::listen(pool, VadMemory::default(), vec![0.0; FRAME_SAMPLES]).unwrap()
}

#[tokio::test]
async fn a_task_that_panics_ends_only_its_own_stream() {
    let engine = engine(1, 4);
    let pool = engine.pool();
    let (reply, mut answer) = oneshot::channel::<Result<Recognition, String>>();
    pool.submit(
        Urgency::Final,
        Box::new(move |_| {
            let _reply = reply;
            panic!("a fault in a decode");
        }),
    );
    let error = answered(Some(&mut answer)).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Unavailable, "decode_panicked"));
    let listened = answered(Some(&mut silence(pool))).await.unwrap();
    assert!(listened.probabilities[0] < 0.5);
}

#[tokio::test]
async fn a_full_lane_refuses_and_the_urgent_goes_first() {
    let engine = engine(1, 2);
    let pool = engine.pool();
    let (release, blocked) = mpsc::channel::<()>();
    let (begun, running) = mpsc::channel();
    pool.submit(
        Urgency::Final,
        Box::new(move |_| {
            begun.send(()).unwrap();
            blocked.recv().unwrap();
        }),
    );
    running.recv().unwrap();
    let (order, done) = mpsc::channel();
    for (urgency, taken) in [
        (Urgency::Partial, true),
        (Urgency::Final, true),
        (Urgency::Listen, true),
        (Urgency::Listen, true),
        (Urgency::Listen, false),
    ] {
        let order = order.clone();
        let task = Box::new(move |_: &mut _| order.send(urgency).unwrap());
        assert_eq!(pool.submit(urgency, task), taken, "{urgency:?}");
    }
    release.send(()).unwrap();
    drop(order);
    let order: Vec<_> = done.iter().collect();
    assert_eq!(order, [Urgency::Listen, Urgency::Listen, Urgency::Final, Urgency::Partial]);
}

#[test]
fn a_model_that_does_not_load_is_an_error_not_a_panic() {
    let error = Pool::start(2, 1, || Err("no such model".to_owned())).err().unwrap();
    assert_eq!(error, "no such model");
    let died = Pool::start(1, 1, || panic!("a fault in a loader")).err().unwrap();
    assert!(died.contains("died"), "{died}");
}

#[tokio::test]
async fn a_newer_partial_takes_the_place_of_one_that_waits() {
    let engine = engine(1, 2);
    let pool = engine.pool();
    let (release, blocked) = mpsc::channel::<()>();
    pool.submit(Urgency::Final, Box::new(move |_| blocked.recv().unwrap()));
    let mut partials = jobs::Partials::default();
    let span = super::words::Span::silence(0, 1);
    let replaced: Vec<_> =
        (0..3).map(|_| partials.offer(pool, span, vec![0.0; 4000]).unwrap()).collect();
    // The first may have begun before the worker was blocked, but only one waits.
    assert!(replaced[2]);
    assert!(partials.withdraw());
    assert!(!partials.withdraw());
    release.send(()).unwrap();
}
