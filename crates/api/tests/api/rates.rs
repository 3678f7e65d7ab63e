//! How fast requests may come. The rates here give their burst and then nothing for an hour, so that no test depends on
//! how fast it runs; the passing of time is tried in the edge's own tests, with a time that is handed in.

use axum::http::Request;
use edge::{Limits, Rate};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::bank_under_test::{Bank, Call, PASSWORD};
use crate::connections::{Running, ask, rest};

/// So many, and no more in the time of a test.
const fn only(burst: u32) -> Rate {
    Rate { requests: 1, seconds: 3_600, burst }
}

fn sign_in(name: &str, password: &str) -> Call {
    Call::new("POST", "/v1/sign-in").json(&json!({"name": name, "password": password}))
}

#[tokio::test]
async fn a_user_has_a_rate_of_their_own() {
    let bank = Bank::with(Limits { requests_of_user: only(3), ..Limits::default() }).await;
    for remaining in [2, 1, 0] {
        let answer = bank.get("ada", "/v1/me").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=10800");
        let (left, whole_in) = answer.header("ratelimit").split_once(";t=").unwrap();
        assert_eq!(left, format!("\"user\";r={remaining}"));
        assert!((1..=10_800).contains(&whole_in.parse::<u64>().unwrap()), "{whole_in}");
    }
    // A refused payment is not carried out; its body isn't even looked at.
    let refused = bank.pay("ada", "1.00", "").await;
    assert_eq!((refused.status, refused.slug().as_str()), (429, "rate-limited"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=3_600).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), format!("\"user\";r=0;t={wait}"));
    assert_eq!(refused.header("ratelimit-policy"), "\"user\";q=3;w=10800");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    // Others are served, and so is who brings no token or one that nobody has: no user is known then.
    assert_eq!(bank.get("bo", "/v1/me").await.status, 200);
    for _ in 0..4 {
        assert_eq!(bank.send(Call::new("GET", "/")).await.status, 200);
        let unknown = Call::new("GET", "/v1/me").header("authorization", "Bearer nonsense");
        assert_eq!(bank.send(unknown).await.slug(), "not-signed-in");
    }
    let posted = bank.get("bo", &format!("/v1/accounts/{}/balance", bank.bo)).await;
    assert_eq!(posted.json()["posted"], "0.00");
    let metrics = bank.send(Call::new("GET", "/metrics").by(&bank, "ada")).await;
    assert!(metrics.text().contains("kassa_refused_by_rate_total{rate=\"user\"} 1"), "{}", metrics.text());
}

#[tokio::test]
async fn two_sessions_of_a_user_are_one_user() {
    let bank = Bank::with(Limits { requests_of_user: only(2), ..Limits::default() }).await;
    let other = bank.send(sign_in("ada", PASSWORD)).await.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {other}");
    let by_other = || Call::new("GET", "/v1/me").header("authorization", &bearer);
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    assert_eq!(bank.send(by_other()).await.status, 200);
    assert_eq!(bank.get("ada", "/v1/me").await.slug(), "rate-limited");
    assert_eq!(bank.send(by_other()).await.slug(), "rate-limited");
}

#[tokio::test]
async fn all_together_have_a_rate_and_watchers_none() {
    let bank = Bank::with(Limits { requests: only(2), ..Limits::default() }).await;
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    assert_eq!(bank.send(Call::new("GET", "/")).await.status, 200);
    for call in [Call::new("GET", "/v1/me").by(&bank, "bo"), Call::new("GET", "/"), Call::new("GET", "/nothing")] {
        let refused = bank.send(call).await;
        assert_eq!((refused.status, refused.slug().as_str()), (503, "busy"));
        assert_eq!(refused.header("retry-after"), "1");
    }
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(bank.send(Call::new("GET", path)).await.status, 200, "{path}");
    }
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    // Who is not signed in has three quarters of it; the last of these has found that used up.
    for (rate, count) in [("all", 2), ("strangers", 1)] {
        let line = format!("kassa_refused_by_rate_total{{rate=\"{rate}\"}} {count}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn who_is_refused_takes_nothing_from_the_others() {
    let limits = Limits { requests_of_user: only(1), requests: only(2), ..Limits::default() };
    let bank = Bank::with(limits).await;
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    for _ in 0..5 {
        assert_eq!(bank.get("ada", "/v1/me").await.slug(), "rate-limited");
    }
    assert_eq!(bank.get("bo", "/v1/me").await.status, 200);
    assert_eq!(bank.get("sig", "/v1/me").await.slug(), "busy");
}

#[tokio::test]
async fn an_address_has_a_rate_whatever_the_connection() {
    let bank = Bank::with(Limits { requests_of_address: only(2), ..Limits::default() }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    for remaining in [1, 0] {
        let answer = ask(&mut running.connect().await.unwrap(), "/").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("ratelimit-policy: \"address\";q=2;w=7200\r\n"), "{answer}");
        assert!(answer.contains(&format!("ratelimit: \"address\";r={remaining};t=")), "{answer}");
    }
    for path in ["/", "/nothing", "/health/live"] {
        let answer = ask(&mut running.connect().await.unwrap(), path).await;
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        assert!(answer.contains("retry-after: ") && answer.contains("/problems/rate-limited"), "{answer}");
    }
    let other = ask(&mut running.connect_from([127, 0, 0, 2]).await.unwrap(), "/").await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
    assert!(other.contains("ratelimit: \"address\";r=1;"), "{other}");
    running.stop().await;
}

#[tokio::test]
async fn http2_counts_as_well() {
    let bank = Bank::with(Limits { requests_of_address: only(1), ..Limits::default() }).await;
    let running = Running::bank(&bank, b"h2").await;
    let (mut client, connection) = h2::client::handshake(running.connect().await.unwrap()).await.unwrap();
    let driving = tokio::spawn(connection);
    for status in [200, 429] {
        let request = Request::get("https://localhost/").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), status);
    }
    drop(client);
    running.stop().await;
    driving.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_refused_need_not_send_the_body() {
    let bank = Bank::with(Limits { requests_of_address: only(1), ..Limits::default() }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    ask(&mut running.connect().await.unwrap(), "/").await;
    let mut stream = running.connect().await.unwrap();
    let head = "POST /v1/payments HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 10000\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    running.stop().await;
}

/// Whether anybody has a name is not told by how often one may try it.
#[tokio::test]
async fn passwords_of_a_name_are_tried_seldom() {
    let bank = Bank::with(Limits { sign_ins_of_name: only(2), ..Limits::default() }).await;
    let mut told = Vec::new();
    for name in ["ada", "nobody"] {
        for _ in 0..2 {
            assert_eq!(bank.send(sign_in(name, "a wrong password")).await.slug(), "wrong-credentials");
        }
        let refused = bank.send(sign_in(name, PASSWORD)).await;
        assert_eq!((refused.status, refused.slug().as_str()), (429, "rate-limited"));
        assert_eq!(refused.header("ratelimit-policy"), "\"sign-ins-of-name\";q=2;w=7200");
        told.push(refused.text());
        // However it is written, it is the same name.
        assert_eq!(bank.send(sign_in(&format!(" {} ", name.to_uppercase()), PASSWORD)).await.status, 429);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(bank.send(sign_in("somebody else", PASSWORD)).await.slug(), "wrong-credentials");
    // Who is signed in already is not concerned.
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    assert!(metrics.contains("kassa_refused_by_rate_total{rate=\"sign-ins-of-name\"} 4"), "{metrics}");
}

#[tokio::test]
async fn sign_ins_of_an_address_are_refused_before_their_body_is_read() {
    let bank = Bank::with(Limits { sign_ins_of_address: only(1), ..Limits::default() }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let mut first = running.connect().await.unwrap();
    let body = json!({"name": "nobody", "password": "a wrong password"}).to_string();
    let head = |length: usize| {
        format!(
            "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    first.write_all(format!("{}{body}", head(body.len())).as_bytes()).await.unwrap();
    assert!(rest(&mut first).await.contains("/problems/wrong-credentials"));
    let mut second = running.connect().await.unwrap();
    second.write_all(head(10_000).as_bytes()).await.unwrap();
    let answer = rest(&mut second).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\"sign-ins-of-address\";r=0"), "{answer}");
    let mut other = running.connect_from([127, 0, 0, 2]).await.unwrap();
    other.write_all(format!("{}{body}", head(body.len())).as_bytes()).await.unwrap();
    assert!(rest(&mut other).await.contains("/problems/wrong-credentials"));
    running.stop().await;
}

#[tokio::test]
async fn without_a_rate_there_is_no_limit_and_no_header() {
    let limits = Limits { requests_of_user: Rate::NONE, requests: Rate::NONE, ..Limits::default() };
    let bank = Bank::with(limits).await;
    for _ in 0..100 {
        let answer = bank.get("ada", "/v1/me").await;
        assert_eq!((answer.status, answer.header("ratelimit"), answer.header("ratelimit-policy")), (200, "", ""));
    }
}
