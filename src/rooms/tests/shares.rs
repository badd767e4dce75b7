//! Share tokens: genuine, of their room, until they end or are taken back.

use super::*;
use crate::model::ErrorKind;

#[tokio::test]
async fn a_token_opens_its_room_until_it_is_taken_back() {
    let mut server = process::Redis::start().unwrap();
    let (one, other) = (replica(&server).await, replica(&server).await);
    let (token, share) = one.rooms.shares().issue(&room(), ACCOUNT, LIFE).unwrap();
    let verify = async |token: &secrecy::SecretString, room: &RoomName| {
        other.rooms.shares().verify(token, room).await.map_err(|error| error.kind)
    };
    assert_eq!(verify(&token, &room()).await, Ok(share.clone()));
    let elsewhere = "meeting-2".parse().unwrap();
    assert_eq!(verify(&token, &elsewhere).await, Err(ErrorKind::Unauthenticated));
    let (ended, _) = one.rooms.shares().issue(&room(), ACCOUNT, Duration::ZERO).unwrap();
    assert_eq!(verify(&ended, &room()).await, Err(ErrorKind::Unauthenticated));
    for forged in ["", "e30", "not base64!", &"A".repeat(5000)] {
        assert_eq!(verify(&forged.into(), &room()).await, Err(ErrorKind::Unauthenticated));
    }
    let mut heard = one.rooms.shares().revocations().subscribe();
    one.rooms.shares().revoke(&share).await.unwrap();
    let told = heard.try_recv().unwrap();
    assert_eq!(told, crate::auth::Revoked::Share(share.id.to_string()));
    assert_eq!(verify(&token, &room()).await, Err(ErrorKind::Unauthenticated));
    let key = format!("test:share:revoked:{}", share.id);
    let life_ms: u128 = server.command(&["PTTL", &key]).unwrap()[1..].trim().parse().unwrap();
    assert!(life_ms > 0 && life_ms <= LIFE.as_millis());
    server.kill().unwrap();
    assert_eq!(verify(&token, &room()).await, Err(ErrorKind::DependencyUnavailable));
}
