//! Share tokens: genuine, of their room, until they end or are taken back.

use super::*;
use crate::model::ErrorKind;

#[tokio::test]
async fn an_account_has_so_many_tokens_at_once() {
    let server = process::Redis::start().unwrap();
    let replica = replica(&server).await;
    let shares = replica.rooms.shares();
    let short = Duration::from_millis(1);
    shares.issue(&room(), ACCOUNT, short).await.unwrap();
    let ended = async || server.command(&["EXISTS", "test:shares:user:7"]).unwrap() == ":0\r\n";
    until("the short one to end", SOON, ended).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(shares.issue(&room(), ACCOUNT, LIFE).await.unwrap().1.id);
    }
    let refused = shares.issue(&room(), ACCOUNT, LIFE).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    assert!(shares.issue(&room(), "user:8", LIFE).await.is_ok(), "another's are its own");
    assert!(shares.revoke(&room(), ACCOUNT, ids[0]).await.unwrap());
    assert!(shares.issue(&room(), ACCOUNT, LIFE).await.is_ok(), "one was taken back");
    let life_ms: u128 =
        server.command(&["PTTL", "test:shares:user:7"]).unwrap()[1..].trim().parse().unwrap();
    assert!(life_ms > 0 && life_ms <= LIFE.as_millis());
}

#[tokio::test]
async fn a_token_opens_its_room_until_it_is_taken_back() {
    let mut server = process::Redis::start().unwrap();
    let (one, other) = (replica(&server).await, replica(&server).await);
    let shares = one.rooms.shares();
    let (token, share) = shares.issue(&room(), ACCOUNT, LIFE).await.unwrap();
    let verify = async |token: &secrecy::SecretString, room: &RoomName| {
        other.rooms.shares().verify_for(token, room).await.map_err(|error| error.kind)
    };
    assert_eq!(verify(&token, &room()).await, Ok(share.clone()));
    let elsewhere: RoomName = "meeting-2".parse().unwrap();
    assert_eq!(verify(&token, &elsewhere).await, Err(ErrorKind::Unauthenticated));
    let (ended, _) = shares.issue(&room(), ACCOUNT, Duration::ZERO).await.unwrap();
    assert_eq!(verify(&ended, &room()).await, Err(ErrorKind::Unauthenticated));
    for forged in ["", "e30", "not base64!", &"A".repeat(5000)] {
        assert_eq!(verify(&forged.into(), &room()).await, Err(ErrorKind::Unauthenticated));
    }
    let key = format!("test:share:{}", share.id);
    let life_ms: u128 = server.command(&["PTTL", &key]).unwrap()[1..].trim().parse().unwrap();
    assert!(life_ms > 0 && life_ms <= LIFE.as_millis());

    assert!(!shares.revoke(&elsewhere, ACCOUNT, share.id).await.unwrap(), "of another room");
    assert!(!shares.revoke(&room(), "user:8", share.id).await.unwrap(), "another account's");
    assert!(!shares.revoke(&room(), ACCOUNT, Uuid::new_v4()).await.unwrap(), "nobody's");
    assert!(verify(&token, &room()).await.is_ok());
    let mut heard = shares.revocations().subscribe();
    assert!(shares.revoke(&room(), ACCOUNT, share.id).await.unwrap());
    let told = heard.try_recv().unwrap();
    assert_eq!(told, crate::auth::Revoked::Share(share.id.to_string()));
    assert_eq!(verify(&token, &room()).await, Err(ErrorKind::Unauthenticated));

    let (token, _) = shares.issue(&room(), ACCOUNT, LIFE).await.unwrap();
    server.command(&["FLUSHALL"]).unwrap();
    assert_eq!(verify(&token, &room()).await, Err(ErrorKind::Unauthenticated), "never given back");
    server.kill().unwrap();
    assert_eq!(verify(&token, &room()).await, Err(ErrorKind::DependencyUnavailable));
}
