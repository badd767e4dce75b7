//! One fetch of the tenant's key set over HTTP, bounded in time and size.

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;

use super::set::KeySet;
use crate::model::Clock;

/// How long one fetch may take.
pub(super) const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// The largest key set that is read.
const LARGEST_SET_BYTES: usize = 256 * 1024;

/// Fetches the set; fails if it holds no key that could be used.
pub(super) async fn fetch(http: &reqwest::Client, url: &str) -> anyhow::Result<KeySet> {
    let request = http.get(url).timeout(FETCH_DEADLINE);
    let mut response = request.send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        anyhow::ensure!(body.len() + piece.len() <= LARGEST_SET_BYTES, "key set is too large");
        body.extend_from_slice(&piece);
    }
    let published: JwkSet = serde_json::from_slice(&body)?;
    let now = Clock.now();
    let set = KeySet::new(published.keys, now, now);
    anyhow::ensure!(!set.is_empty(), "key set holds no RS256 key");
    Ok(set)
}
