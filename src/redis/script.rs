//! Scripts and commands that may take longer than commands usually may.

use std::time::Duration;

use fred::{
    clients::{Client, WithOptions},
    error::Error,
    interfaces::{ClientLike, LuaInterface},
    types::{FromValue, Value, config::Options, scripts::Script},
};

use super::Redis;

impl Redis {
    /// A client whose commands may wait that long for their answer.
    pub fn patient(&self, deadline: Duration) -> WithOptions<Client> {
        self.client.with_options(&Options { timeout: Some(deadline), ..Options::default() })
    }

    /// Runs a script, which may wait that long for its answer, and loads it where it is not known.
    pub async fn run<R: FromValue>(
        &self,
        script: &Script,
        deadline: Duration,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, Error> {
        let client = self.patient(deadline);
        let sha = script.sha1();
        let first = client.evalsha(sha.clone(), keys.clone(), arguments.clone()).await;
        match first {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                script.load(&self.client).await?;
                client.evalsha(sha.clone(), keys, arguments).await
            }
            answer => answer,
        }
    }
}
