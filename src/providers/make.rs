//! Webhooks of Make.com, which receive translations.
//!
//! Wire facts: <https://www.make.com/en/help/tools/webhooks>; the signature is that of
//! <https://www.standardwebhooks.com>.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use uuid::Uuid;

use super::{ErrorClass, ProviderError};
use crate::{
    model::Clock,
    outbound::{Call, Outbound, Peer, Repeat, class_of},
};

/// How long one delivery may take, as the contract has it.
const TOTAL: Duration = Duration::from_secs(30);
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// One webhook. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Webhook {
    peer: Peer,
    secret: Option<SecretString>,
}

impl Webhook {
    /// The webhook of that address, signed with that secret.
    pub fn new(url: &SecretString, secret: Option<SecretString>, outbound: &Outbound) -> Self {
        Self { peer: outbound.peer("make", url.expose_secret()), secret }
    }

    /// Delivers those fields once. `id` is the same each time that they are delivered again.
    pub async fn deliver(&self, id: Uuid, fields: &[(&str, &str)]) -> Result<(), ProviderError> {
        let call = self.call(id, fields)?;
        self.peer.send(&call, judge).await.map(|_| ())
    }

    fn call(&self, id: Uuid, fields: &[(&str, &str)]) -> Result<Call, ProviderError> {
        let named = HeaderName::from_static;
        let call = Call::post("deliver", "").form(fields).total(TOTAL).repeat(Repeat::Never);
        let call = call.most_bytes(MOST_ANSWER_BYTES).header(named("webhook-id"), &id.to_string());
        let Some(secret) = &self.secret else { return Ok(call) };
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let (body, at) = (body.finish(), Clock.now().timestamp().to_string());
        let signature = sign(secret, &format!("{id}.{at}.{body}"))?;
        let call = call.header(named("webhook-timestamp"), &at);
        Ok(call.header(named("webhook-signature"), &format!("v1,{signature}")))
    }
}

fn sign(secret: &SecretString, text: &str) -> Result<String, ProviderError> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let unusable = |_| ProviderError::new(ErrorClass::Credentials, "unsignable", "no such key");
    let mut mac = mac.map_err(unusable)?;
    mac.update(text.as_bytes());
    Ok(BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// A full queue is told as a bad request, and empties.
fn judge(status: StatusCode, _: &HeaderMap, body: &[u8]) -> ProviderError {
    let is_full = status == StatusCode::BAD_REQUEST && body.starts_with(b"Queue is full");
    let class = if is_full { ErrorClass::RateLimited } else { class_of(status) };
    let code = format!("http_{}", status.as_u16());
    ProviderError::new(class, code, format!("the webhook answers {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // standardwebhooks.com's own example, whose secret is this one in base64.
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_full_queue_empties() {
        let of = |status, body: &[u8]| {
            judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body).class
        };
        assert_eq!(of(400, b"Queue is full."), ErrorClass::RateLimited);
        assert_eq!(of(400, b"no"), ErrorClass::BadRequest);
        assert_eq!(of(410, b""), ErrorClass::BadRequest);
        assert_eq!(of(429, b""), ErrorClass::RateLimited);
    }
}
