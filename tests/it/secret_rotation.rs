//! Secrets that are changed: what the one before made still holds while it is configured, and ends
//! at once when it is left out, in either direction.

use serde_json::{Value, json};

use crate::harness::{Setup, TestApp, doors};

const OLD: &str = "the secret of last quarter, 32 characters";
const NEW: &str = "the secret of this quarter, 32 characters";

/// What a replica signed: a login, a session and a ticket.
struct Made {
    access: String,
    session: String,
    ticket: String,
}

async fn post(app: &TestApp, path: &str, bearer: Option<&str>, body: Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{}{path}", app.url())).json(&body);
    let request = match bearer {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Made {
    async fn by(app: &TestApp, who: &str) -> Self {
        let account =
            json!({ "email": format!("{who}@example.com"), "password": "canary-password-1" });
        let (status, login) = post(app, "/auth/register", None, account).await;
        assert_eq!(status, 201, "{login}");
        let access = text(&login["access_token"]);
        let (status, ticket) = post(app, "/auth/stream-ticket", Some(&access), json!({})).await;
        assert_eq!(status, 201, "{ticket}");
        let name = json!({ "username": who });
        let (status, session) = post(app, "/mobile-auth/login", None, name).await;
        assert_eq!(status, 200, "{session}");
        Self { access, session: text(&session["auth_token"]), ticket: text(&ticket["ticket"]) }
    }

    async fn assert_held(&self, app: &TestApp) {
        assert_eq!(profile(app, &self.access).await, 200);
        doors::websocket(&app.url(), &self.session).await.expect("the session holds");
        self.redeem(app).await.expect("the ticket holds");
    }

    async fn assert_ended(&self, app: &TestApp) {
        assert_eq!(profile(app, &self.access).await, 401);
        doors::websocket(&app.url(), &self.session).await.expect_err("the session ended");
        self.redeem(app).await.expect_err("the ticket ended");
    }

    async fn redeem(&self, app: &TestApp) -> anyhow::Result<()> {
        let url = format!("{}/audio-stream?ticket={}", app.url(), self.ticket);
        testkit::raw_ws::RawSocket::connect(&url, &[]).await.map(drop)
    }
}

async fn profile(app: &TestApp, token: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{}/auth/profile", app.url()));
    request.bearer_auth(token).send().await.expect("an answer").status().as_u16()
}

/// Replicas of one service, each with its own idea of the secrets: (current, previous).
async fn replicas(secrets: &[(&str, &str)]) -> Vec<TestApp> {
    let base = Setup::new().with("ALLOW_INSECURE_SESSION_AUTH", "true");
    let (shared, _deepgram) = base.variables().await;
    let mut apps = Vec::new();
    for (current, previous) in secrets {
        let mut setup = Setup::on(&shared["DATABASE_URL"], &shared["REDIS_URL"]);
        for (name, value) in &shared {
            setup = setup.with(name, value);
        }
        for name in ["SECRET_KEY", "JWT_SECRET_KEY"] {
            setup = setup.with(name, *current).with(&format!("{name}_PREVIOUS"), *previous);
        }
        apps.push(setup.start().await);
    }
    apps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_keeps_everybody_until_the_old_one_is_left_out() {
    let apps = replicas(&[(OLD, ""), (NEW, OLD), (NEW, "")]).await;
    Made::by(&apps[0], "ada").await.assert_held(&apps[1]).await;
    Made::by(&apps[1], "bob").await.assert_held(&apps[2]).await;
    Made::by(&apps[0], "eve").await.assert_ended(&apps[2]).await;
}

/// A roll-out that is taken back: replicas of both kinds serve at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_can_be_taken_back() {
    let apps = replicas(&[(NEW, OLD), (OLD, NEW), (OLD, "")]).await;
    Made::by(&apps[0], "ada").await.assert_held(&apps[1]).await;
    Made::by(&apps[1], "bob").await.assert_held(&apps[0]).await;
    Made::by(&apps[0], "eve").await.assert_ended(&apps[2]).await;
}
