//! Whose request it is, and what follows: strangers who guess passwords lock nobody out of where they signed in before, and
//! clients behind a proxy have limits of their own, while nobody else gains anything by what they say of themselves.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::Request;
use axum::routing::get;
use edge::{ForwardedField, Guard, Limits, Proxies, Rate};
use serde_json::json;
use tower::ServiceExt;

use crate::bank_under_test::{Answer, Bank, Call, PASSWORD};
use crate::connections::{Running, ask};

const HOME: &str = "192.0.2.1";
const OFFICE: &str = "192.0.2.77";
const STRANGER: &str = "198.51.100.9";
const PROXY: &str = "10.0.0.1";

/// So many, and no more in the time of a test.
const fn only(burst: u32) -> Rate {
    Rate { requests: 1, seconds: 3_600, burst }
}

/// A bank where a name may be tried three times, from however many addresses.
fn three_of_a_name() -> Limits {
    let proxies = Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap()], field: ForwardedField::XForwardedFor };
    Limits { sign_ins_of_name: only(3), sign_ins_of_address: Rate::NONE, proxies, ..Limits::default() }
}

fn sign_in(name: &str, password: &str) -> Call {
    Call::new("POST", "/v1/sign-in").json(&json!({"name": name, "password": password}))
}

/// Guesses from an address until no more is let through, and gives how often it was.
async fn guess(bank: &Bank, from: &str, name: &str) -> usize {
    let mut guesses = 0;
    while bank.send_from(from, sign_in(name, "a wrong password")).await.status == 401 {
        guesses += 1;
    }
    guesses
}

fn seen(answer: &Answer) -> (u16, String) {
    (answer.status, answer.slug())
}

#[tokio::test]
async fn strangers_lock_nobody_out_of_where_they_are_known() {
    let bank = Bank::with(three_of_a_name()).await;
    assert_eq!(bank.send_from(HOME, sign_in("ada", PASSWORD)).await.status, 200);
    assert_eq!(guess(&bank, STRANGER, "ada").await, 2, "the owner's own first sign-in was one of three");
    // From elsewhere the owner shares what the strangers have used up; and who is signed in already stays so.
    let elsewhere = bank.send_from(OFFICE, sign_in("ada", PASSWORD)).await;
    assert_eq!(seen(&elsewhere), (429, "rate-limited".into()));
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    // From home they sign in at once, as often as a name may be tried.
    for left in [2, 1, 0] {
        let answer = bank.send_from(HOME, sign_in(" ADA", PASSWORD)).await;
        assert_eq!(answer.status, 200, "{left}: {}", answer.text());
    }
    let refused = bank.send_from(HOME, sign_in("ada", PASSWORD)).await;
    assert_eq!(refused.status, 429, "whoever is at the owner's address has no more than that");
    assert_eq!(refused.header("ratelimit-policy"), elsewhere.header("ratelimit-policy"));
}

#[tokio::test]
async fn what_is_known_survives_a_restart() {
    let mut bank = Bank::with(three_of_a_name()).await;
    assert_eq!(bank.send_from(HOME, sign_in("ada", PASSWORD)).await.status, 200);
    // A server that has counted nothing yet, over what the journal tells.
    let guard = Arc::new(Guard::new(bank.edge.limits.clone()));
    bank.router = api::router(&bank.settings, bank.engine.clone(), &guard, Router::new()).unwrap();
    assert_eq!(guess(&bank, STRANGER, "ada").await, 3);
    assert_eq!(bank.send_from(HOME, sign_in("ada", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn a_name_nobody_has_is_tried_as_often_and_told_the_same() {
    let bank = Bank::with(three_of_a_name()).await;
    assert_eq!(bank.send_from(HOME, sign_in("ada", PASSWORD)).await.status, 200);
    let mut told = Vec::new();
    for name in ["bo", "nobody"] {
        assert_eq!(guess(&bank, HOME, name).await, 3, "{name}");
        let refused = bank.send_from(STRANGER, sign_in(name, PASSWORD)).await;
        told.push((refused.status, refused.text(), refused.header("ratelimit-policy").to_owned()));
    }
    assert_eq!(told[0], told[1]);
    // A wrong password makes no address known.
    assert_eq!(bank.send_from(HOME, sign_in("bo", PASSWORD)).await.status, 429);
}

#[tokio::test]
async fn the_eight_addresses_used_last_are_known() {
    let limits = Limits { sign_ins_of_name: only(20), ..three_of_a_name() };
    let bank = Bank::with(limits).await;
    let address = |number: usize| format!("2001:db8:0:{number}::1");
    for number in 1..=9 {
        assert_eq!(bank.send_from(&address(number), sign_in("ada", PASSWORD)).await.status, 200);
    }
    assert_eq!(guess(&bank, STRANGER, "ada").await, 11);
    assert_eq!(bank.send_from(&address(1), sign_in("ada", PASSWORD)).await.status, 429, "the ninth took its place");
    assert_eq!(bank.send_from(&address(2), sign_in("ada", PASSWORD)).await.status, 200);
    // Of IPv6 the network counts.
    assert_eq!(bank.send_from("2001:db8:0:9:ffff::2", sign_in("ada", PASSWORD)).await.status, 200);
    assert_eq!(bank.send_from("2001:db8:0:a::1", sign_in("ada", PASSWORD)).await.status, 429);
    // Nothing about it is in clear, nor the same for two names.
    let name = |name: &str| bank.engine.name_index(name);
    let home = HOME.parse().unwrap();
    assert_ne!(bank.engine.address_hash(name("ada"), home), bank.engine.address_hash(name("bo"), home));
}

#[tokio::test]
async fn an_address_is_known_behind_a_proxy_and_nobody_can_claim_it() {
    let bank = Bank::with(three_of_a_name()).await;
    let by_proxy = |chain: &str| sign_in("ada", PASSWORD).header("x-forwarded-for", chain);
    assert_eq!(bank.send_from(PROXY, by_proxy(HOME)).await.status, 200);
    assert_eq!(guess(&bank, STRANGER, "ada").await, 2);
    for (peer, chain, status) in [
        (PROXY, STRANGER.to_owned(), 429),
        (PROXY, format!("{HOME}, {STRANGER}"), 429),
        (PROXY, format!("{HOME}, {STRANGER}, 10.0.0.2"), 429),
        (PROXY, format!("{HOME}, nonsense"), 429),
        (STRANGER, HOME.to_owned(), 429),
        (STRANGER, format!("{HOME}, {PROXY}"), 429),
        (PROXY, format!("{STRANGER}, {HOME}"), 200),
        (PROXY, format!("{HOME}, 10.0.0.2"), 200),
        (HOME, STRANGER.to_owned(), 200),
    ] {
        let answer = bank.send_from(peer, by_proxy(&chain)).await;
        assert_eq!(answer.status, status, "{chain} by {peer}: {}", answer.text());
    }
}

#[tokio::test]
async fn clients_behind_a_proxy_have_rates_of_their_own() {
    let bank = Bank::with(Limits { requests_of_address: only(2), ..three_of_a_name() }).await;
    let ask = |peer: &'static str, chain: &'static str| {
        let call = Call::new("GET", "/health/live").header("x-forwarded-for", chain);
        async { bank.send_from(peer, call).await.status }
    };
    for client in [HOME, OFFICE, "2001:db8::1"] {
        assert_eq!([ask(PROXY, client).await, ask(PROXY, client).await, ask(PROXY, client).await], [200, 200, 429]);
    }
    // The same network, by whichever proxy, and however it is written.
    assert_eq!(ask("10.0.0.2", "[2001:db8::2]:443").await, 429);
    // Whoever is not a proxy is counted as who they are, and takes nothing from whom they name.
    assert_eq!([ask(STRANGER, "203.0.113.1").await, ask(STRANGER, "203.0.113.2").await], [200, 200]);
    assert_eq!(ask(STRANGER, "203.0.113.3").await, 429);
    assert_eq!(ask(PROXY, "203.0.113.1").await, 200);
    // What can't be read is counted as the proxy's own.
    assert_eq!([ask(PROXY, "unknown").await, ask(PROXY, "x").await, ask(PROXY, "").await], [200, 200, 429]);
}

#[tokio::test]
async fn a_trusted_proxy_may_have_all_connections() {
    for (trusted, third_is_served) in [("127.0.0.1", true), ("127.0.0.2", false)] {
        let proxies = Proxies { trusted: vec![trusted.parse().unwrap()], ..Proxies::default() };
        let limits = Limits { connections_per_address: 2, connections: 3, proxies, ..Limits::default() };
        let running = Running::router(Router::new().route("/", get(|| async { "here" })), limits).await;
        let mut kept = vec![running.connect().await.unwrap(), running.connect().await.unwrap()];
        let third = running.connect().await;
        assert_eq!(third.is_ok(), third_is_served, "{trusted}");
        kept.extend(third);
        if third_is_served {
            assert!(running.connect().await.is_err(), "there is an end to all of them");
        }
        assert!(ask(&mut kept.pop().unwrap(), "/").await.ends_with("here"));
        running.stop().await;
    }
}

#[tokio::test]
async fn https_only_is_asked_for_under_a_name() {
    let bank = Bank::new().await;
    for (host, is_told) in [
        ("bank.example", true),
        ("bank.example:8443", true),
        ("BANK.example.", true),
        ("intranet", true),
        ("localhost.example", true),
        ("localhost", false),
        ("LocalHost:8443", false),
        ("localhost.", false),
        ("app.localhost:8443", false),
        ("127.0.0.1", false),
        ("127.0.0.1:8443", false),
        ("192.0.2.1:443", false),
        ("[::1]", false),
        ("[2001:db8::1]:8443", false),
        // Refused, and no reason to say it.
        ("a b", false),
    ] {
        let request = Request::get("/health/live").header("host", host).body(HttpBody::empty()).unwrap();
        let answer = Answer::of(bank.router.clone().oneshot(request).await.unwrap()).await;
        let expected = if is_told { "max-age=31536000" } else { "" };
        assert_eq!(answer.header("strict-transport-security"), expected, "{host}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{host}");
    }
    // In HTTP/2 the address names the host.
    for (address, is_told) in [("https://bank.example/health/live", true), ("https://localhost/health/live", false)] {
        let request = Request::get(address).version(axum::http::Version::HTTP_2).body(HttpBody::empty()).unwrap();
        let answer = Answer::of(bank.router.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.header("strict-transport-security").is_empty(), !is_told, "{address}");
    }
}
