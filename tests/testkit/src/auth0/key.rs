//! RSA signing keys and their public form.

use std::fmt;

use anyhow::Context;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

/// An RSA-2048 key.
pub(crate) struct Key {
    /// Its id in tokens and in the set.
    pub(crate) kid: String,
    /// PKCS#8 as PEM.
    pub(crate) private_pem: String,
    /// PKCS#1.
    pub(crate) public_der: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).context("no RSA key")?;
        let private: Pkcs8V1Der<'_> = pair.as_der().context("no PKCS#8")?;
        let public = pair.public_key();
        Ok(Self {
            kid: Uuid::new_v4().simple().to_string(),
            private_pem: pem(private.as_ref()),
            public_der: public.as_ref().to_vec(),
            modulus: public.modulus().big_endian_without_leading_zero().to_vec(),
            exponent: public.exponent().big_endian_without_leading_zero().to_vec(),
        })
    }

    pub(crate) fn to_jwk(&self) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
        })
    }
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}
