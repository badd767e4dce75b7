//! The fake tenant, seen by a verifier.

use super::*;

fn accepts(auth0: &Auth0, token: &str) -> bool {
    let keys = lock(&auth0.tenant.keys);
    token::verified_subject(token, std::slice::from_ref(&keys.current.public_der), &auth0.issuer())
        .is_some()
}

#[tokio::test]
async fn good_tokens_verify_and_forged_ones_do_not() {
    let auth0 = Auth0::start().await.unwrap();
    let claims = auth0.claims("auth0|1", "api");
    assert!(accepts(&auth0, &auth0.mint(&claims).unwrap()));
    assert!(accepts(&auth0, &auth0.mint(&claims.clone().with_audiences(&["api", "x"])).unwrap()));
    let bad = [
        claims.clone().forged(),
        claims.clone().signed_with(Algorithm::None),
        claims.clone().signed_with(Algorithm::Hs256WithPublicKey),
        claims.clone().expired_for(Duration::from_mins(10)),
        claims.clone().issued_by("http://elsewhere/"),
        claims.without("exp"),
    ];
    for claims in bad {
        assert!(!accepts(&auth0, &auth0.mint(&claims).unwrap()), "{claims:?}");
    }
}

#[tokio::test]
async fn rotation_publishes_the_next_key_beforehand() {
    let auth0 = Auth0::start().await.unwrap();
    let published = |auth0: &Auth0| {
        let set = auth0.tenant.key_set();
        let keys = set["keys"].as_array().cloned().unwrap_or_default();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let before = published(&auth0);
    let old = auth0.current_kid();
    auth0.rotate().unwrap();
    assert_ne!(auth0.current_kid(), old);
    assert!(before.contains(&auth0.current_kid()));
    assert!(published(&auth0).contains(&old));
    auth0.revoke();
    assert!(!published(&auth0).contains(&old));
}
