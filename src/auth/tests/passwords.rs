//! Passwords: hashes that others made, hashes that are not worth computing, and the line.

use std::time::Duration;

use futures_util::future::join_all;

use crate::{auth::passwords::Passwords, model::ErrorKind, telemetry::Metrics};

/// Made by Flask-Bcrypt 1.0 and by Python's bcrypt 5.0.
const FLASK: &str = "$2b$12$wcAmnxZAqYVnCcd3f4g96e2Sr2oQOBd2mt2j9mvnnJuuUi.8SPfla";
const UNICODE_2A: &str = "$2a$12$m/t2ZWVjy8UMdHP42BI9p.0yxn0j8jeybCEl.8qgppKUyhW9txLQC";
const OF_72_X: &str = "$2b$05$slh89UqYFQTOa3jrYJm.QOKHloBw2.KG/PMl0.uP9JjkmcloNg5i6";
const CHEAP: &str = "$2b$04$pQ937QMW.x5K6Ey2Yah6Mu9n.YaaW2LPg6iwVqBCnBe.94BVF66Ba";

async fn verify(passwords: &Passwords, password: &str, stored: &str) -> bool {
    passwords.verify(password.into(), Some(stored.to_owned())).await.unwrap()
}

fn counted(metrics: &Metrics, outcome: &str) -> u64 {
    let text = metrics.render().unwrap();
    let wanted = format!("outcome=\"{outcome}\"");
    let mut lines = text.lines().filter(|line| line.starts_with("password_hashes_total{"));
    let line = lines.find(|line| line.contains(&wanted));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn hashes_of_the_original_verify() {
    let passwords = Passwords::new(Metrics::new().unwrap());
    assert!(verify(&passwords, "correct horse 1", FLASK).await);
    assert!(!verify(&passwords, "correct horse 2", FLASK).await);
    assert!(verify(&passwords, "pässwörd 2 🎧", UNICODE_2A).await);
    assert!(verify(&passwords, "cheap one 3", CHEAP).await);
    assert!(verify(&passwords, "cheap one 3", &CHEAP.replace("$2b$", "$2y$")).await);
    // What follows 72 bytes is not seen, as in the original.
    for rest in ["", "1", "2", " and more"] {
        assert!(verify(&passwords, &format!("{}{rest}", "x".repeat(72)), OF_72_X).await);
    }
    assert!(!verify(&passwords, &"x".repeat(71), OF_72_X).await);
}

#[tokio::test]
async fn what_we_hash_verifies() {
    let passwords = Passwords::new(Metrics::new().unwrap());
    let hash = passwords.hash("correct horse 1".into()).await.unwrap();
    assert!(hash.starts_with("$2b$12$") && hash.len() == 60, "{hash}");
    assert!(verify(&passwords, "correct horse 1", &hash).await);
    assert!(!verify(&passwords, "", &hash).await);
}

/// The wrong password, no account, and a hash that would take hours all cost one hash.
#[tokio::test]
async fn nobody_is_told_apart_by_the_work() {
    let metrics = Metrics::new().unwrap();
    let passwords = Passwords::new(metrics.clone());
    assert!(!verify(&passwords, "wrong", FLASK).await);
    assert_eq!((counted(&metrics, "wrong"), counted(&metrics, "nobody")), (1, 0));
    assert!(!passwords.verify("any".into(), None).await.unwrap());
    let dear = CHEAP.replace("$04$", "$31$");
    let dearer = CHEAP.replace("$04$", "$16$");
    let unusable = [dear.as_str(), &dearer, "", "x", "$2x$04$", "pbkdf2:sha256:1$a$b"];
    for stored in unusable {
        assert!(!verify(&passwords, "cheap one 3", stored).await, "{stored}");
    }
    assert_eq!(counted(&metrics, "nobody"), 1 + unusable.len() as u64);
    assert_eq!((counted(&metrics, "wrong"), counted(&metrics, "right")), (1, 0));
}

#[tokio::test]
async fn more_than_the_line_holds_are_refused_at_once() {
    let metrics = Metrics::new().unwrap();
    let passwords = Passwords::new(metrics.clone());
    let cores = std::thread::available_parallelism().unwrap().get();
    let room = cores.saturating_sub(1).max(1) + 64;
    let tries = (0..room + 40).map(|_| passwords.verify("any".into(), Some(CHEAP.to_owned())));
    let answers = tokio::time::timeout(Duration::from_secs(30), join_all(tries)).await.unwrap();
    let (answered, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), refused.len()), (room, 40));
    let kinds = refused.into_iter().map(|refused| refused.unwrap_err().kind);
    assert!(kinds.into_iter().all(|kind| kind == ErrorKind::Overloaded));
    assert_eq!((counted(&metrics, "overloaded"), counted(&metrics, "wrong")), (40, room as u64));
    assert!(verify(&passwords, "cheap one 3", CHEAP).await, "there is room again");
}

/// A caller who hangs up gives the place in line back.
#[tokio::test]
async fn who_hangs_up_leaves_the_line() {
    let passwords = Passwords::new(Metrics::new().unwrap());
    for _ in 0..300 {
        let hung_up = passwords.verify("any".into(), Some(CHEAP.to_owned()));
        drop(tokio::time::timeout(Duration::ZERO, hung_up).await);
    }
    let free = async {
        while passwords.verify("cheap one 3".into(), Some(CHEAP.to_owned())).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.unwrap();
}
