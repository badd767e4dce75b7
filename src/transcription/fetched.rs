//! Recordings that callers name by their addresses.

use tokio::time::{Instant, timeout_at};

use super::{
    Recordings,
    scratch::Folder,
    upload::{Bounds, Saved, Saving, too_large},
};
use crate::{
    model::{Error, ErrorKind},
    outbound::vetted::Refused,
};

impl Recordings {
    /// Fetches what is at that address into the folder.
    pub(super) async fn fetch(
        &self,
        url: &str,
        digest: bool,
        folder: &mut Folder,
    ) -> Result<Saved, Error> {
        let bounds = self.bounds(digest);
        let fetched = timeout_at(Instant::now() + bounds.total, self.copy(url, bounds, folder));
        fetched.await.map_err(|_| told(Refused::Slow))?
    }

    async fn copy(&self, url: &str, bounds: Bounds, folder: &mut Folder) -> Result<Saved, Error> {
        let mut coming = self.vetted.open(url).await.map_err(told)?;
        if coming.announced().is_some_and(|bytes| bytes > bounds.file_bytes) {
            return Err(too_large());
        }
        let mut saving = Saving::create(folder.path(), bounds.digest).await?;
        while let Some(piece) = coming.chunk().await.map_err(told)? {
            if saving.bytes() + piece.len() as u64 > bounds.file_bytes {
                return Err(too_large());
            }
            folder.grow(piece.len() as u64)?;
            saving.write(&piece).await?;
        }
        saving.finish().await
    }
}

fn told(refused: Refused) -> Error {
    let kind = match refused {
        Refused::Slow => ErrorKind::Timeout,
        _ => ErrorKind::InvalidRequest,
    };
    Error::new(kind, format!("the audio cannot be fetched: {refused}"))
}
