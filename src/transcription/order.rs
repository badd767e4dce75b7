//! A recording that has come, with what is to be done with it.

use super::{asked::Asked, scratch::Folder, translated::Plan, upload::Saved};
use crate::{
    auth::Caller,
    idempotency::{Fingerprint, Key, Named},
};

/// A recording, and what is to be done with it.
pub struct Order {
    /// How it is to be heard and told.
    pub asked: Asked,
    /// By whom; `auto` by whoever can.
    pub provider: &'static str,
    /// What follows.
    pub plan: Option<Plan>,
    /// The fields beside the file, in order.
    pub fields: Vec<(String, String)>,
    /// The file.
    pub saved: Saved,
    /// Where it is.
    pub folder: Folder,
}

impl Order {
    /// What was asked for under a name: the fields in order, and the file.
    pub fn named(&self, key: Key, endpoint: &'static str, caller: &Caller) -> Named {
        let print =
            |print: Fingerprint, (name, text): &(String, String)| print.with(name).with(text);
        let fields = self.fields.iter().fold(Fingerprint::new(), print);
        let fingerprint = fields.with(self.saved.digest.unwrap_or_default());
        Named { account: caller.principal.account(), endpoint, key, fingerprint }
    }
}
