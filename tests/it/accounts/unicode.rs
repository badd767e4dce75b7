//! Whatever people type is an account or a fault of theirs, never one of ours.

use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use super::{Answer, call, setup};

/// Text of any kind: anything at all, or what nearly is an address or a password.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(any::<char>(), 0..400).prop_map(String::from_iter),
        ".{0,30}1a.{6,40}",
        "[a-z\u{130}\u{212a}\u{df}]{1,8}@[a-z0-9.]{1,8}\\.[a-z]{2,3}",
        Just("\0\u{feff}\u{202e}".to_owned()),
    ]
}

fn assert_no_fault_of_ours(answer: &Answer, body: &Value) {
    assert!(answer.status < 500, "{body} is answered {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_is_a_fault_of_ours() {
    let app = setup().start().await;
    let mut runner = TestRunner::default();
    let mut sample = || text().new_tree(&mut runner).expect("a sample").current();
    let mut accounts = 0;
    for n in 0..60 {
        let mut body = json!({ "email": sample(), "password": sample(), "first_name": sample(),
                               "last_name": sample(), "company": sample() });
        if n % 3 == 0 {
            // The rest of the way is gone only with an address.
            body["email"] = json!(format!("{n}@example.com"));
            body["password"] = json!(format!("{}a1aaaaaa", sample().trim()));
        }
        let answer = call(&app, "POST /auth/register", "", body.clone()).await;
        assert_no_fault_of_ours(&answer, &body);
        if answer.status == 201 {
            accounts += 1;
            let again = call(&app, "POST /auth/login", "", body.clone()).await;
            assert_eq!(again.status, 200, "{body} is answered {again:?}");
            assert_eq!(again.body["user"]["first_name"], body["first_name"]);
            let key = json!({ "name": sample() });
            let made = call(&app, "POST /auth/api-keys", again.text("access_token"), key.clone());
            assert_no_fault_of_ours(&made.await, &key);
        }
    }
    assert!(accounts > 0, "nobody got in");
    let body = json!({ "email": sample(), "password": sample() });
    assert_no_fault_of_ours(&call(&app, "POST /auth/login", "", body.clone()).await, &body);
}
