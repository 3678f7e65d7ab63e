//! Every limit on what a client sends, from both sides: what is just allowed, and what is just refused. Those of texts,
//! keys and pages stand with the requests that have them, those of connections with the connections, those of how often
//! one may ask with the rates.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use edge::Limits;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::bank_under_test::{Bank, Call};
use crate::connections::{PATIENCE, Running, ask, rest};
use crate::raw_http2::{self as raw, Fate, Raw, frame};

/// Connections that serve any router. Whoever sends nothing is not waited for, so that each test ends.
fn quick() -> Limits {
    Limits { header_read: Duration::from_secs(2), ..Limits::default() }
}

#[tokio::test]
async fn the_body() {
    let bank = Bank::new().await;
    let most = bank.edge.limits.body_bytes;
    let name = json!({"name": "Cy"}).to_string();
    let body = |bytes: usize| format!("{name}{}", " ".repeat(bytes - name.len()));
    let send = |bytes: usize| {
        let call = Call::new("POST", "/v1/customers").by(&bank, "operator").key(&bank.fresh_key());
        bank.send(call.header("content-type", "application/json").body(&body(bytes)))
    };
    let allowed = send(most).await;
    assert_eq!(allowed.status, 201, "{}", allowed.text());
    let refused = send(most + 1).await;
    assert_eq!((refused.status, refused.slug().as_str()), (413, "body-too-large"));
    assert!(refused.json()["detail"].as_str().unwrap().contains(&format!("at most {most} bytes")));
}

#[tokio::test]
async fn the_address() {
    let bank = Bank::new().await;
    let most = bank.edge.limits.address_bytes;
    let ask = |bytes: usize| bank.send(Call::new("GET", &format!("/{}", "x".repeat(bytes - 1))));
    assert_eq!(ask(most).await.status, 404);
    let refused = ask(most + 1).await;
    assert_eq!((refused.status, refused.slug().as_str()), (414, "address-too-long"));
    assert!(refused.text().contains(&format!("at most {most} bytes")));
    let query = format!("/?{}", "x".repeat(most));
    assert_eq!(bank.send(Call::new("GET", &query)).await.status, 414);
    // The longest search that makes sense: every parameter, and a text of 140 characters of four bytes, each escaped.
    let text = "%F0%9F%92%B6".repeat(140);
    let days = "from=2026-01-01&to=2026-12-31&min_amount=1000000000000.00&max_amount=9000000000000.00";
    let longest = format!("{days}&counterparty={}&text={text}&limit=500&cursor=9999999999999999999", bank.bo);
    let answer = bank.get("ada", &format!("/v1/accounts/{}/entries?{longest}", bank.ada)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn the_number_of_header_fields() {
    let bank = Bank::new().await;
    let most = bank.edge.limits.headers;
    let ask = |fields: usize| {
        // The host is one of them.
        let call = Call::new("GET", "/health/live");
        bank.send((1..fields).fold(call, |call, number| call.header(&format!("x-{number}"), "")))
    };
    assert_eq!(ask(most).await.status, 200);
    let refused = ask(most + 1).await;
    assert_eq!((refused.status, refused.slug().as_str()), (431, "too-many-headers"));
    assert!(refused.text().contains(&format!("at most {most} header fields")));
}

/// What HTTP/1.1 and 2 count differs a little: bytes as they are sent, or names and values and 32 for each field.
#[tokio::test]
async fn the_size_of_the_header() {
    let bank = Bank::with(quick()).await;
    let most = usize::try_from(bank.edge.limits.header_bytes).unwrap();
    let running = Running::bank(&bank, b"http/1.1").await;
    for (bytes, status) in [(most - 100, 200), (most + 100, 431)] {
        let mut stream = running.connect().await.unwrap();
        let (start, end) = ("GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: ", "\r\n\r\n");
        let filler = "x".repeat(bytes - start.len() - end.len());
        stream.write_all(format!("{start}{filler}{end}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes}: {answer}");
    }
    running.stop().await;

    let running = Running::bank(&bank, b"h2").await;
    let mut client = Raw::open(&running).await;
    let ordinary = raw::request("GET", "/health/live");
    let counted: usize = ordinary.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() + 1 + 32;
    for (stream, bytes, status) in [(1, most - 1, 200), (3, most, 431)] {
        let filler = "x".repeat(bytes - counted);
        let block = raw::fields(&[&ordinary[..], &[("x", &filler)]].concat());
        let (first, second) = block.split_at(block.len() / 2);
        client.send(&frame(raw::HEADERS, raw::END_STREAM, stream, first)).await.unwrap();
        client.send(&frame(raw::CONTINUATION, raw::END_HEADERS, stream, second)).await.unwrap();
        assert_eq!(client.fate(stream).await, Fate::Answered(status), "{bytes}");
    }
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn requests_at_once_in_a_connection() {
    let go_on = Arc::new(Notify::new());
    let handler = {
        let go_on = Arc::clone(&go_on);
        get(async move || go_on.notified().await)
    };
    let router = Router::new().route("/wait", handler).route("/", get(|| async {}));
    let limits = Limits { streams: 3, ..Limits::default() };
    let running = Running::router_over(router, limits, b"h2").await;
    let mut client = Raw::open(&running).await;
    let all: Vec<u8> = [1, 3, 5, 7].into_iter().flat_map(|stream| raw::get(stream, "/wait")).collect();
    client.send(&all).await.unwrap();
    assert_eq!(client.fate(7).await, Fate::Reset(raw::REFUSED_STREAM));
    go_on.notify_waiters();
    let mut answered = Vec::new();
    while answered.len() < 3 {
        answered.push(client.until(raw::HEADERS, 0).await.stream);
        go_on.notify_waiters();
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5]);
    // Who was refused may come again when there is room.
    client.send(&raw::get(9, "/")).await.unwrap();
    assert_eq!(client.fate(9).await, Fate::Answered(200));
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn requests_taken_back() {
    let bank = Bank::with(Limits { streams_taken_back: 5, ..Limits::default() }).await;
    let running = Running::bank(&bank, b"h2").await;
    // In one piece, so that the server reads all before it looks at any.
    let taken_back = |count: u32| -> Vec<u8> {
        let one = |stream| [raw::get(stream, "/"), frame(raw::RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat();
        (0..count).flat_map(|number| one(2 * number + 1)).collect()
    };
    let mut client = Raw::open(&running).await;
    client.until(raw::SETTINGS, raw::ACK).await;
    client.send(&[taken_back(5), raw::get(101, "/health/live")].concat()).await.unwrap();
    assert_eq!(client.fate(101).await, Fate::Answered(200));
    drop(client);
    let mut client = Raw::open(&running).await;
    client.until(raw::SETTINGS, raw::ACK).await;
    client.send(&[taken_back(6), raw::get(101, "/health/live")].concat()).await.unwrap();
    assert_eq!(client.fate(101).await, Fate::GoneAway(raw::ENHANCE_YOUR_CALM));
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn streams_in_error() {
    let bank = Bank::with(Limits { streams_in_error: 3, ..Limits::default() }).await;
    let running = Running::bank(&bank, b"h2").await;
    let mut client = Raw::open(&running).await;
    let wrong = |stream| {
        let fields = raw::fields(&[&raw::request("GET", "/")[..], &[("connection", "close")]].concat());
        frame(raw::HEADERS, raw::END_HEADERS | raw::END_STREAM, stream, &fields)
    };
    for stream in [1, 3, 5] {
        client.send(&wrong(stream)).await.unwrap();
        assert_eq!(client.fate(stream).await, Fate::Reset(raw::PROTOCOL_ERROR));
    }
    client.send(&raw::get(7, "/health/live")).await.unwrap();
    assert_eq!(client.fate(7).await, Fate::Answered(200));
    client.send(&wrong(9)).await.unwrap();
    assert_eq!(client.fate(9).await, Fate::GoneAway(raw::ENHANCE_YOUR_CALM));
    drop(client);
    running.stop().await;
}

/// What a stream, and all streams of a connection together, may send before it is read.
#[tokio::test]
async fn the_window() {
    // It keeps the body, and never reads it.
    let handler = async |request: Request| {
        std::future::pending::<()>().await;
        drop(request);
    };
    let router = || Router::new().route("/", post(handler));
    for (streams, allowed) in [([1, 1], 65_535), ([1, 3], 65_535)] {
        let running = Running::router_over(router(), quick(), b"h2").await;
        let mut client = Raw::open(&running).await;
        for stream in [1, 3] {
            let head = raw::fields(&raw::request("POST", "/"));
            client.send(&frame(raw::HEADERS, raw::END_HEADERS, stream, &head)).await.unwrap();
        }
        let mut sent = 0;
        while sent < allowed {
            let piece = (allowed - sent).min(16_384);
            client.send(&frame(raw::DATA, 0, streams[0], &vec![b' '; piece])).await.unwrap();
            sent += piece;
        }
        // All that was allowed was taken.
        client.send(&frame(raw::PING, 0, 0, b"allowed?")).await.unwrap();
        client.until(raw::PING, raw::ACK).await;
        client.send(&frame(raw::DATA, 0, streams[1], b"x")).await.unwrap();
        let fate = client.fate(streams[1]).await;
        let expected = [Fate::GoneAway(raw::FLOW_CONTROL_ERROR), Fate::Reset(raw::FLOW_CONTROL_ERROR)];
        assert!(expected.contains(&fate), "{streams:?}: {fate:?}");
        drop(client);
        drop(running);
    }
}

/// A body of a byte now and then is cut, while others are served; one that comes in pieces but in time is taken.
#[tokio::test]
async fn the_time_of_a_body() {
    let bank = Bank::with(Limits { body_read: Duration::from_millis(700), ..Limits::default() }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let body = json!({"name": "nobody", "password": "a wrong password"}).to_string();
    let head = format!(
        "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut slow = running.connect().await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(slow);
    let drip = tokio::spawn(async move {
        // It ends when the server closes.
        while writing.write_all(b" ").await.is_ok() && writing.flush().await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut pieces = running.connect().await.unwrap();
    pieces.write_all(head.as_bytes()).await.unwrap();
    for piece in body.as_bytes().chunks(20) {
        pieces.write_all(piece).await.unwrap();
        pieces.flush().await.unwrap();
    }
    assert!(rest(&mut pieces).await.contains("/problems/wrong-credentials"));
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/body-too-slow"), "{answer}");
    assert!(answer.contains("it has 0.7 seconds"), "{answer}");
    drip.abort();
    running.stop().await;
}

#[tokio::test]
async fn the_time_of_a_request() {
    let bank = Bank::with(Limits { request: Duration::from_millis(700), ..Limits::default() }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    assert!(ask(&mut running.connect().await.unwrap(), "/health/ready").await.contains(" 200 OK"));
    // A body that never comes is within its own time, and the request is not.
    let mut stream = running.connect().await.unwrap();
    let head =
        "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("/problems/timed-out"), "{answer}");
    running.stop().await;
}

/// A connection without a request is asked to go; one whose request takes longer is not.
#[tokio::test]
async fn idle_connections() {
    let limits = Limits { idle: Duration::from_secs(1), ..quick() };
    // The server looks in steps; this ends between two of them.
    let lasts = limits.header_read + limits.idle * 3 / 2;
    let handler = get(async move || sleep(lasts).await);
    let running = Running::router_over(Router::new().route("/", handler), limits, b"h2").await;
    let (mut busy, mut silent) = (Raw::open(&running).await, Raw::open(&running).await);
    busy.send(&raw::get(1, "/")).await.unwrap();
    assert_eq!(busy.fate(1).await, Fate::Answered(200));
    assert_eq!(busy.end().await, Fate::GoneAway(raw::NO_ERROR));
    assert_eq!(silent.end().await, Fate::GoneAway(raw::NO_ERROR));
    running.stop().await;
}

/// An answer that its client doesn't take is dropped with its connection; one that is taken is whole.
#[tokio::test]
async fn an_answer_that_is_not_taken() {
    const LENGTH: usize = 64 << 20;
    let limits = Limits { idle: Duration::from_millis(200), request: Duration::from_millis(200), ..quick() };
    let handler = get(|| async { "x".repeat(LENGTH) });
    let running = Running::router(Router::new().route("/", handler), limits).await;
    assert!(ask(&mut running.connect().await.unwrap(), "/").await.len() > LENGTH);
    let mut lazy = running.connect().await.unwrap();
    lazy.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let closed = async {
        while running.open() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the connection is cut, though its answer was never taken");
    assert!(rest(&mut lazy).await.len() < LENGTH);
    running.stop().await;
}

/// No body has anything within anything, so depth is refused with the first field, however deep it goes.
#[tokio::test]
async fn the_depth_of_json() {
    let bank = Bank::new().await;
    let post = |body: &str| {
        let call = Call::new("POST", "/v1/customers").by(&bank, "operator").key(&bank.fresh_key());
        bank.send(call.header("content-type", "application/json").body(body))
    };
    assert_eq!(post(r#"{"name": "Cy"}"#).await.status, 201);
    for depth in [1, 127, 128, 8_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        assert_eq!(post(&format!(r#"{{"name": {open}{close}}}"#)).await.status, 400, "{depth}");
        assert_eq!(post(&format!("{open}{close}")).await.status, 400, "{depth}");
        assert_eq!(post(&format!(r#"{{"unknown": {open}{close}}}"#)).await.status, 400, "{depth}");
    }
}
