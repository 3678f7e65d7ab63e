//! Clients that mean harm, or that are broken, written by hand: what the server does to each, and that another client,
//! from another address, is served meanwhile.

use std::time::Duration;

use edge::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::bank_under_test::Bank;
use crate::connections::{PATIENCE, Running, ask, rest};
use crate::raw_http2::{self as raw, Fate, Raw, frame};

/// A bank whose server does not wait long for what is missing, so that each attack ends.
async fn bank() -> Bank {
    Bank::with(Limits { header_read: Duration::from_secs(3), ..Limits::default() }).await
}

/// That another client is served.
async fn others_are_served(running: &Running, attack: &str) {
    let mut other = running.connect_http1_from([127, 0, 0, 2]).await.unwrap();
    let answer = ask(&mut other, "/health/ready").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "meanwhile, during {attack}: {answer}");
}

// ---- HTTP/1.1 ----

/// The statuses of all answers in what was read.
fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.match_indices("HTTP/1.1 ").chain(answers.match_indices("HTTP/1.0 "));
    let mut found: Vec<_> = lines.map(|(at, _)| (at, answers[at + 9..at + 12].parse().unwrap())).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, status)| status).collect()
}

/// Sends each piece of bytes on a connection of its own, reads until the server closes, and looks at all statuses. `GET
/// /v1/me` hides in many: if it were understood as a request it would show as 401.
async fn check(cases: &[(&str, &str, &[u16])]) {
    let bank = bank().await;
    let running = Running::bank(&bank, b"http/1.1").await;
    for (attack, bytes, expected) in cases {
        let mut stream = running.connect().await.unwrap();
        // The server may close before all is sent; that is its right.
        let _ = timeout(PATIENCE, stream.write_all(bytes.as_bytes())).await.expect("what is sent is taken or cut");
        others_are_served(&running, attack).await;
        let answers = rest(&mut stream).await;
        assert_eq!(statuses(&answers), *expected, "{attack}: {answers}");
    }
    running.stop().await;
}

/// What two servers in a row could take for different requests.
#[tokio::test]
async fn smuggling() {
    let post = "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let hidden = "GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let hidden_length = hidden.len();
    let with = |headers: &str, rest: &str| format!("{post}{headers}\r\n{rest}");
    check(&[
        // RFC 9112, 6.3: chunked goes before a length, and the connection is closed, so nothing follows.
        (
            "a length and chunks",
            &with("content-length: 5\r\ntransfer-encoding: chunked\r\n", &format!("0\r\n\r\n{hidden}")),
            &[400],
        ),
        (
            "chunks and a length",
            &with(
                &format!("transfer-encoding: chunked\r\ncontent-length: {hidden_length}\r\n"),
                &format!("0\r\n\r\n{hidden}"),
            ),
            &[400],
        ),
        ("two lengths", &with("content-length: 0\r\ncontent-length: 5\r\n", hidden), &[400]),
        ("a list of lengths", &with("content-length: 0, 5\r\n", hidden), &[400]),
        ("a length with a sign", &with("content-length: +0\r\n", hidden), &[400]),
        ("a negative length", &with("content-length: -1\r\n", hidden), &[400]),
        ("a length in hexadecimal", &with("content-length: 0x0\r\n", hidden), &[400]),
        ("a length beyond 64 bits", &with("content-length: 18446744073709551616\r\n", hidden), &[400]),
        ("an unknown coding", &with("transfer-encoding: xchunked\r\n", &format!("0\r\n\r\n{hidden}")), &[400]),
        (
            "a coding after chunked",
            &with("transfer-encoding: chunked, identity\r\n", &format!("0\r\n\r\n{hidden}")),
            &[400],
        ),
        (
            "two lines of codings",
            &with("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &format!("0\r\n\r\n{hidden}")),
            &[400],
        ),
        ("a space before the colon", &with("transfer-encoding : chunked\r\n", &format!("0\r\n\r\n{hidden}")), &[400]),
        (
            "a vertical tab before the coding",
            &with("transfer-encoding: \x0bchunked\r\n", &format!("0\r\n\r\n{hidden}")),
            &[400],
        ),
        (
            "chunks in HTTP/1.0",
            &format!("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
            &[400],
        ),
        // A coding is the same in any case, so this is an empty body, which is no JSON.
        ("capital letters", &with("Transfer-Encoding: CHUNKED\r\nconnection: close\r\n", "0\r\n\r\n"), &[400]),
        // A line may be folded only in messages about messages (RFC 9112, 5.2).
        ("a folded line", &with("x: a\r\n b\r\ncontent-length: 0\r\n", hidden), &[400]),
        ("a line that begins with a space", "GET / HTTP/1.1\r\n host: localhost\r\n\r\n", &[400]),
        ("a NUL in a header", "GET / HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n", &[400]),
        ("a CR in a header", "GET / HTTP/1.1\r\nhost: localhost\r\nx: a\rb\r\n\r\n", &[400]),
        ("a NUL in a name", "GET / HTTP/1.1\r\nhost: localhost\r\nx\0: a\r\n\r\n", &[400]),
        ("an empty name", "GET / HTTP/1.1\r\nhost: localhost\r\n: a\r\n\r\n", &[400]),
        ("a NUL in the target", "GET /\0 HTTP/1.1\r\nhost: localhost\r\n\r\n", &[400]),
        // A lone LF ends a line for whoever is lenient (RFC 9112, 2.2), and it is one request all the same.
        ("lines that end in LF", "GET /health/live HTTP/1.1\nhost: localhost\nconnection: close\n\n", &[200]),
    ])
    .await;
}

/// The body of a request that is refused before it is read is never taken for a request; what really follows it may be
/// served, or the connection is closed.
#[tokio::test]
async fn a_request_behind_a_refused_one() {
    let bank = bank().await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let hidden = "GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let next = "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for (refused, head, body) in [
        (401, "POST /v1/payments HTTP/1.1\r\nhost: localhost\r\n", hidden.to_owned()),
        (404, "POST /nothing HTTP/1.1\r\nhost: localhost\r\n", hidden.to_owned()),
        (400, "POST /v1/sign-in HTTP/1.1\r\n", hidden.to_owned()),
        (415, "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n", hidden.to_owned()),
        (
            413,
            "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n",
            hidden.repeat(2_000),
        ),
    ] {
        for body in [
            format!("content-length: {}\r\n\r\n{body}", body.len()),
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        ] {
            let mut stream = running.connect().await.unwrap();
            let _ = stream.write_all(format!("{head}{body}{next}").as_bytes()).await;
            others_are_served(&running, head).await;
            let statuses = statuses(&rest(&mut stream).await);
            assert!([&[refused][..], &[refused, 200]].contains(&&statuses[..]), "{head}: {statuses:?}");
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn chunks() {
    let head = "POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let with = |body: &str| format!("{head}{body}");
    let body = r#"{"name":"nobody","password":"a wrong password"}"#;
    let size = format!("{:x}", body.len());
    check(&[
        ("a body in one chunk", &with(&format!("{size}\r\n{body}\r\n0\r\n\r\n")), &[401]),
        ("a short extension", &with(&format!("{size};a=b\r\n{body}\r\n0\r\n\r\n")), &[401]),
        ("an endless extension", &with(&format!("{size};{}\r\n{body}\r\n0\r\n\r\n", "a".repeat(20_000))), &[400]),
        ("a size beyond 64 bits", &with(&format!("10000000000000000\r\n{body}\r\n0\r\n\r\n")), &[400]),
        ("the largest size", &with(&format!("ffffffffffffffff\r\n{body}{}", " ".repeat(80_000))), &[413]),
        ("a negative size", &with(&format!("-1\r\n{body}\r\n0\r\n\r\n")), &[400]),
        ("no size", &with(&format!("\r\n{body}\r\n0\r\n\r\n")), &[400]),
        ("a size that is wrong", &with(&format!("1\r\n{body}\r\n0\r\n\r\n")), &[400]),
        ("a line that ends in LF", &with(&format!("{size}\n{body}\r\n0\r\n\r\n")), &[400]),
        ("endless trailers", &with(&format!("{size}\r\n{body}\r\n0\r\n{}\r\n", "a: b\r\n".repeat(5_000))), &[400]),
        ("chunks of one byte that exceed a body", &with(&"1\r\n \r\n".repeat(66_000)), &[413]),
    ])
    .await;
}

/// RFC 9112, 3.2: a request without a host, or with more than one, is refused.
#[tokio::test]
async fn hosts() {
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    check(&[
        ("none", &get("/health/live", ""), &[400]),
        ("two", &get("/health/live", "host: localhost\r\nhost: elsewhere\r\n"), &[400]),
        ("the same twice", &get("/health/live", "host: localhost\r\nhost: localhost\r\n"), &[400]),
        ("an empty one", &get("/health/live", "host:\r\n"), &[400]),
        ("a list", &get("/health/live", "host: localhost, elsewhere\r\n"), &[400]),
        ("a user in it", &get("/health/live", "host: localhost@elsewhere\r\n"), &[400]),
        ("a path in it", &get("/health/live", "host: localhost/elsewhere\r\n"), &[400]),
        ("a port that is none", &get("/health/live", "host: localhost:port\r\n"), &[400]),
        ("another than the address's", &get("https://localhost/health/live", "host: elsewhere\r\n"), &[400]),
        ("none beside the address's", &get("https://localhost/health/live", ""), &[400]),
        ("the address's", &get("https://localhost/health/live", "host: LOCALHOST\r\n"), &[200]),
        ("with a port", &get("/health/live", "host: localhost:8443\r\n"), &[200]),
        ("an address", &get("/health/live", "host: [::1]:8443\r\n"), &[200]),
        ("none in HTTP/1.0", "GET /health/live HTTP/1.0\r\n\r\n", &[200]),
        ("two in HTTP/1.0", "GET /health/live HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", &[400]),
    ])
    .await;
}

#[tokio::test]
async fn other_versions_and_methods() {
    let close = "host: localhost\r\nconnection: close\r\n\r\n";
    check(&[
        ("HTTP/0.9", "GET /health/live\r\n\r\n", &[400]),
        ("HTTP/1.2", &format!("GET /health/live HTTP/1.2\r\n{close}"), &[400]),
        ("HTTP/3.0", &format!("GET /health/live HTTP/3.0\r\n{close}"), &[400]),
        ("no version", &format!("GET /health/live HTTP/\r\n{close}"), &[400]),
        // HTTP/2 is agreed on by TLS (ALPN) and in no other way: here it is a word of HTTP/1.1 that is not followed.
        ("an upgrade", &format!("GET /health/live HTTP/1.1\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\nconnection: upgrade, http2-settings\r\nhost: localhost\r\n\r\nGET /health/live HTTP/1.1\r\n{close}"), &[200, 200]),
        ("HTTP/2 where HTTP/1.1 was agreed on", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &[]),
        (
            "a tunnel",
            "CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\nconnection: close\r\n\r\n",
            &[404],
        ),
        ("a trace", &format!("TRACE / HTTP/1.1\r\n{close}"), &[405]),
        ("a method nobody knows", &format!("GE%T / HTTP/1.1\r\n{close}"), &[405]),
        ("a method that is none", &format!("GE(T / HTTP/1.1\r\n{close}"), &[400]),
        ("a target of the whole server", &format!("OPTIONS * HTTP/1.1\r\n{close}"), &[404]),
        ("a target that is none", &format!("GET health HTTP/1.1\r\n{close}"), &[400]),
        ("TLS within TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7f}", &[400]),
        ("a mail", "EHLO localhost\r\nMAIL FROM:<a@b>\r\n", &[400]),
    ])
    .await;
}

#[tokio::test]
async fn too_much() {
    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
    };
    check(&[
        ("a long header", &get("/", &format!("x: {}\r\n", "x".repeat(100_000))), &[431]),
        ("a header without end", &format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(100_000)), &[431]),
        ("1,000 fields", &get("/", &"x: y\r\n".repeat(1_000)), &[431]),
        ("100 fields", &get("/", &"x: y\r\n".repeat(98)), &[431]),
        ("60 fields", &get("/health/live", &"x: y\r\n".repeat(58)), &[200]),
        ("a long address", &get(&format!("/{}", "x".repeat(5_000)), ""), &[414]),
        ("an address longer than any header", &get(&format!("/{}", "x".repeat(70_000)), ""), &[431]),
        ("a method without end", &"X".repeat(100_000), &[431]),
        ("empty lines before a request", &format!("{}{}", "\r\n".repeat(1_000), get("/health/live", "")), &[200]),
        ("empty lines without end", &"\r\n".repeat(50_000), &[431]),
        (
            "a hundred requests at once",
            &[get("/health/live", "").replace("connection: close\r\n", "").repeat(99), get("/health/live", "")]
                .concat(),
            &[200; 100],
        ),
    ])
    .await;
}

/// Who is refused while an ordinary body is still to come gets to send it: a stream that is reset before, as it may be,
/// has some clients throw the refusal away.
#[tokio::test]
async fn an_unwanted_body_is_taken() {
    let bank = bank().await;
    let running = Running::bank(&bank, b"h2").await;
    let mut client = Raw::open(&running).await;
    let json = [("content-type", "application/json")];
    client.send(&post_with(1, "/v1/payments", &json)).await.unwrap();
    assert_eq!(client.fate(1).await, Fate::Answered(401));
    let rest = [frame(raw::DATA, raw::END_STREAM, 1, b"{}"), frame(raw::PING, 0, 0, &[7; 8])].concat();
    client.send(&rest).await.unwrap();
    loop {
        let frame = client.next().await.expect("the connection goes on");
        assert_ne!(frame.kind, raw::RST_STREAM, "{frame:?}");
        if (frame.kind, frame.payload.as_slice()) == (raw::PING, &[7; 8]) {
            break;
        }
    }
    drop(client);
    running.stop().await;
}

/// Whoever waits to be told to go on is told so if the body is wanted, and is answered at once if it is not.
#[tokio::test]
async fn a_body_that_waits_to_be_asked_for() {
    let bank = bank().await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let body = r#"{"name":"nobody","password":"a wrong password"}"#;
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
             expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut wanted = running.connect().await.unwrap();
    wanted.write_all(head("/v1/sign-in", body.len()).as_bytes()).await.unwrap();
    let mut told = [0; 25];
    timeout(PATIENCE, wanted.read_exact(&mut told)).await.unwrap().unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    wanted.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(statuses(&rest(&mut wanted).await), [401]);
    for (path, length, status) in
        [("/v1/payments", body.len(), 401), ("/nothing", body.len(), 404), ("/v1/sign-in", 3_000_000, 413)]
    {
        let mut refused = running.connect().await.unwrap();
        refused.write_all(head(path, length).as_bytes()).await.unwrap();
        assert_eq!(statuses(&rest(&mut refused).await), [status]);
    }
    running.stop().await;
}

// ---- HTTP/2 ----

/// Sends each piece of bytes on a connection of its own, behind the hello, and looks at what becomes of a stream.
async fn check_frames(cases: &[(&str, Vec<u8>, u32, &[Fate])]) {
    let bank = bank().await;
    let running = Running::bank(&bank, b"h2").await;
    for (attack, bytes, stream, expected) in cases {
        let mut client = Raw::open(&running).await;
        // The server may close before all is sent; that is its right.
        let _ = client.send(bytes).await;
        others_are_served(&running, attack).await;
        let fate = client.fate(*stream).await;
        assert!(expected.contains(&fate), "{attack}: {fate:?}");
    }
    running.stop().await;
}

/// A request with its fields, and without a body.
fn ask_with(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(raw::HEADERS, raw::END_HEADERS | raw::END_STREAM, stream, &raw::fields(fields))
}

/// An ordinary request with more fields, whose body is to come.
fn post_with(stream: u32, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let all = [&raw::request("POST", path)[..], fields].concat();
    frame(raw::HEADERS, raw::END_HEADERS, stream, &raw::fields(&all))
}

#[tokio::test]
async fn malformed_requests_of_http2() {
    let plain = raw::request("GET", "/health/live");
    let and = |more: &[(&'static str, &'static str)]| ask_with(1, &[&plain[..], more].concat());
    let without = |name: &str| {
        let kept: Vec<_> = plain.iter().copied().filter(|(kept, _)| *kept != name).collect();
        ask_with(1, &kept)
    };
    let json = ("content-type", "application/json");
    let malformed: &[Fate] = &[Fate::Reset(raw::PROTOCOL_ERROR)];
    check_frames(&[
        ("nothing wrong", and(&[]), 1, &[Fate::Answered(200)]),
        ("two methods", and(&[(":method", "POST")]), 1, malformed),
        ("a path after the fields", and(&[("x", "y"), (":path", "/")]), 1, malformed),
        (
            "a pseudo-field nobody knows",
            and(&[(":user", "ada")]),
            1,
            &[Fate::GoneAway(raw::PROTOCOL_ERROR), malformed[0]],
        ),
        ("an answer's field", and(&[(":status", "200")]), 1, malformed),
        ("no path", without(":path"), 1, malformed),
        ("no method", without(":method"), 1, malformed),
        ("no host", without(":authority"), 1, &[Fate::Answered(400)]),
        (
            "a host in Host alone",
            ask_with(1, &[&plain[..2], &plain[3..], &[("host", "localhost")]].concat()),
            1,
            &[Fate::Answered(200)],
        ),
        ("two hosts that differ", and(&[("host", "elsewhere")]), 1, &[Fate::Answered(400)]),
        ("two hosts that agree", and(&[("host", "localhost")]), 1, &[Fate::Answered(200)]),
        ("three hosts", and(&[("host", "localhost"), ("host", "localhost")]), 1, &[Fate::Answered(400)]),
        (
            "a name in capital letters",
            and(&[("Upper", "case")]),
            1,
            &[Fate::GoneAway(raw::PROTOCOL_ERROR), malformed[0]],
        ),
        ("a name with a space", and(&[("a b", "c")]), 1, &[Fate::GoneAway(raw::PROTOCOL_ERROR), malformed[0]]),
        (
            "a value with a line's end",
            and(&[("x", "a\r\nhost: b")]),
            1,
            &[Fate::GoneAway(raw::PROTOCOL_ERROR), malformed[0]],
        ),
        ("a value with NUL", and(&[("x", "a\0b")]), 1, &[Fate::GoneAway(raw::PROTOCOL_ERROR), malformed[0]]),
        ("connection", and(&[("connection", "close")]), 1, malformed),
        ("transfer-encoding", and(&[("transfer-encoding", "chunked")]), 1, malformed),
        ("keep-alive", and(&[("keep-alive", "timeout=5")]), 1, malformed),
        ("upgrade", and(&[("upgrade", "h2c")]), 1, malformed),
        ("te that is not trailers", and(&[("te", "gzip")]), 1, malformed),
        ("a length and no body", and(&[("content-length", "5")]), 1, malformed),
        (
            "more than the length",
            [post_with(1, "/v1/sign-in", &[json, ("content-length", "5")]), frame(raw::DATA, 0, 1, b"123456")].concat(),
            1,
            malformed,
        ),
        (
            "less than the length",
            [
                post_with(1, "/v1/sign-in", &[json, ("content-length", "5")]),
                frame(raw::DATA, raw::END_STREAM, 1, b"1234"),
            ]
            .concat(),
            1,
            malformed,
        ),
        (
            "two lengths",
            [
                post_with(1, "/v1/sign-in", &[json, ("content-length", "4"), ("content-length", "5")]),
                frame(raw::DATA, raw::END_STREAM, 1, b"1234"),
            ]
            .concat(),
            1,
            &[malformed[0], Fate::Answered(400)],
        ),
        (
            "a long address",
            ask_with(1, &[&raw::request("GET", &format!("/{}", "x".repeat(5_000)))[..], &[]].concat()),
            1,
            &[Fate::Answered(414)],
        ),
        (
            "a header that is too large",
            {
                let filler = "x".repeat(15_000);
                let block = raw::fields(&[&plain[..], &[("a", &filler), ("b", &filler)]].concat());
                [
                    frame(raw::HEADERS, raw::END_STREAM, 1, &block[..16_000]),
                    frame(raw::CONTINUATION, raw::END_HEADERS, 1, &block[16_000..]),
                ]
                .concat()
            },
            1,
            &[Fate::Answered(431)],
        ),
        // A field that goes into the table, and then nothing but its number there.
        (
            "a small header that unpacks to 40 MB",
            {
                let once = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000]].concat();
                let block = [&raw::fields(&plain)[..], &once, &[0xbe; 10_000]].concat();
                frame(raw::HEADERS, raw::END_HEADERS | raw::END_STREAM, 1, &block)
            },
            1,
            &[Fate::Answered(431), Fate::GoneAway(raw::ENHANCE_YOUR_CALM)],
        ),
        (
            "a header that isn't HPACK",
            frame(raw::HEADERS, raw::END_HEADERS | raw::END_STREAM, 1, &[0xff; 20]),
            1,
            // RFC 9113, 4.3, would have it called by another name; what matters is that it is an error of the connection,
            // since nothing after it can be understood.
            &[Fate::GoneAway(raw::COMPRESSION_ERROR), Fate::GoneAway(raw::PROTOCOL_ERROR)],
        ),
    ])
    .await;
}

#[tokio::test]
async fn frames_that_must_not_be() {
    let window = |stream: u32, by: u32| frame(raw::WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    let open = post_with(1, "/v1/sign-in", &[("content-type", "application/json")]);
    let gone = |reason| [Fate::GoneAway(reason)];
    // RFC 9113, 4.2, has a name for wrong sizes; the general one says less, and does the same.
    let wrong_size = [Fate::GoneAway(raw::FRAME_SIZE_ERROR), Fate::GoneAway(raw::PROTOCOL_ERROR)];
    check_frames(&[
        ("a window of nothing more", window(0, 0), 1, &gone(raw::PROTOCOL_ERROR)),
        (
            "a stream's window of nothing more",
            [open.clone(), window(1, 0)].concat(),
            1,
            &[Fate::Reset(raw::PROTOCOL_ERROR), Fate::GoneAway(raw::PROTOCOL_ERROR)],
        ),
        (
            "a window beyond 31 bits",
            [window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)].concat(),
            1,
            &gone(raw::FLOW_CONTROL_ERROR),
        ),
        (
            "a stream's window beyond 31 bits",
            [open.clone(), window(1, 0x7fff_ffff)].concat(),
            1,
            &[Fate::Reset(raw::FLOW_CONTROL_ERROR), Fate::GoneAway(raw::FLOW_CONTROL_ERROR)],
        ),
        (
            "an initial window beyond 31 bits",
            frame(raw::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            1,
            &[Fate::GoneAway(raw::FLOW_CONTROL_ERROR), Fate::GoneAway(raw::PROTOCOL_ERROR)],
        ),
        ("settings of five bytes", frame(raw::SETTINGS, 0, 0, &[0, 4, 0, 0, 0]), 1, &wrong_size),
        ("settings of a stream", frame(raw::SETTINGS, 0, 1, &[]), 1, &gone(raw::PROTOCOL_ERROR)),
        ("a ping of seven bytes", frame(raw::PING, 0, 0, &[0; 7]), 1, &wrong_size),
        ("a frame that is too large", frame(raw::DATA, 0, 1, &[0; 16_385]), 1, &wrong_size),
        ("data of no stream", frame(raw::DATA, 0, 0, b"x"), 1, &gone(raw::PROTOCOL_ERROR)),
        ("data of a stream that was never opened", frame(raw::DATA, 0, 1, b"x"), 1, &gone(raw::PROTOCOL_ERROR)),
        ("a stream of the server's number", raw::get(2, "/"), 2, &gone(raw::PROTOCOL_ERROR)),
        (
            "a stream that is older than the last",
            [raw::get(5, "/"), raw::get(3, "/")].concat(),
            3,
            &[Fate::GoneAway(raw::PROTOCOL_ERROR), Fate::GoneAway(5)],
        ),
        (
            "a continuation of nothing",
            frame(raw::CONTINUATION, raw::END_HEADERS, 1, &[]),
            1,
            &gone(raw::PROTOCOL_ERROR),
        ),
        (
            "another frame within a header",
            [frame(raw::HEADERS, 0, 1, &[]), frame(raw::PING, 0, 0, &[0; 8])].concat(),
            1,
            &gone(raw::PROTOCOL_ERROR),
        ),
        ("a push from the client", frame(5, raw::END_HEADERS, 1, &[0, 0, 0, 2]), 1, &gone(raw::PROTOCOL_ERROR)),
    ])
    .await;
}

/// A header in pieces without end (VU#421644).
#[tokio::test]
async fn a_flood_of_continuations() {
    let piece = |byte: u8| frame(raw::CONTINUATION, 0, 1, &[0, 1, byte, 1, b'y']);
    let flood = (0..10_000_u32).flat_map(|number| piece(b'a' + u8::try_from(number % 26).unwrap()));
    let header = frame(raw::HEADERS, raw::END_STREAM, 1, &raw::fields(&raw::request("GET", "/")));
    let empty = (0..10_000).flat_map(|_| frame(raw::CONTINUATION, 0, 1, &[]));
    let calm: &[Fate] = &[Fate::GoneAway(raw::ENHANCE_YOUR_CALM), Fate::Closed];
    check_frames(&[
        ("small pieces", header.iter().copied().chain(flood).collect(), 1, calm),
        ("empty pieces", header.iter().copied().chain(empty).collect(), 1, calm),
    ])
    .await;
}

/// Requests that are taken back at once (CVE-2023-44487), or that make the server take them back (CVE-2025-8671).
#[tokio::test]
async fn rapid_resets() {
    let bank = bank().await;
    let running = Running::bank(&bank, b"h2").await;
    let made_to_reset = |stream| {
        let open = post_with(stream, "/v1/sign-in", &[]);
        [open, frame(raw::WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())].concat()
    };
    let taken_back = |stream| [raw::get(stream, "/"), frame(raw::RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat();
    let flood = |one: fn(u32) -> Vec<u8>| -> Vec<u8> { (0..10_000).flat_map(|number| one(2 * number + 1)).collect() };
    for (attack, flood) in
        [("taken back by the client", flood(taken_back)), ("taken back by the server", flood(made_to_reset))]
    {
        let mut client = Raw::open(&running).await;
        client.until(raw::SETTINGS, raw::ACK).await;
        let _ = client.send(&flood).await;
        others_are_served(&running, attack).await;
        let end = client.end().await;
        assert!([Fate::GoneAway(raw::ENHANCE_YOUR_CALM), Fate::Closed].contains(&end), "{attack}: {end:?}");
    }
    running.stop().await;
}

/// Each of these has to be answered, which is cheap; the server reads on only when its answers were taken, so nothing
/// piles up in it.
#[tokio::test]
async fn floods_of_what_must_be_answered() {
    let bank = bank().await;
    let running = Running::bank(&bank, b"h2").await;
    for (attack, kind, payload) in
        [("pings", raw::PING, vec![0; 8]), ("settings", raw::SETTINGS, vec![0, 3, 0, 0, 0, 9])]
    {
        let mut client = Raw::open(&running).await;
        client.until(raw::SETTINGS, raw::ACK).await;
        let one = frame(kind, 0, 0, &payload);
        for _ in 0..100 {
            client.send(&one.repeat(10)).await.unwrap();
            for _ in 0..10 {
                client.until(kind, raw::ACK).await;
            }
        }
        others_are_served(&running, attack).await;
        client.send(&raw::get(1, "/health/live")).await.unwrap();
        assert_eq!(client.fate(1).await, Fate::Answered(200), "{attack}");
        // Who never takes the answers is not read any more once the lines to and fro are full.
        let mut deaf = Raw::open(&running).await;
        let (many, mut taken) = (one.repeat(10_000), 0);
        while let Ok(sent) = timeout(Duration::from_secs(1), deaf.send(&many)).await {
            sent.unwrap();
            taken += many.len();
            assert!(taken < 128 << 20, "{attack}: they are taken without end");
        }
        others_are_served(&running, attack).await;
    }
    drop(running);
}

#[tokio::test]
async fn floods_of_data() {
    let open = post_with(1, "/v1/sign-in", &[("content-type", "application/json")]);
    let flood = |payload: &[u8]| [open.clone(), frame(raw::DATA, 0, 1, payload).repeat(40_000)].concat();
    check_frames(&[
        ("empty data", flood(b""), u32::MAX, &[Fate::GoneAway(raw::ENHANCE_YOUR_CALM), Fate::Closed]),
        // The body is too large, as any other; or its frames are too many.
        (
            "data of one byte",
            flood(b" "),
            1,
            &[Fate::Answered(413), Fate::GoneAway(raw::ENHANCE_YOUR_CALM), Fate::Closed],
        ),
        (
            "padding alone",
            [open.clone(), frame(raw::DATA, 8, 1, &[255; 256]).repeat(1_000)].concat(),
            u32::MAX,
            &[Fate::GoneAway(raw::ENHANCE_YOUR_CALM), Fate::GoneAway(raw::FLOW_CONTROL_ERROR), Fate::Closed],
        ),
    ])
    .await;
}

/// More requests at once than are allowed are refused one by one; who goes on all the same is sent away.
#[tokio::test]
async fn a_flood_of_streams() {
    let bank = bank().await;
    let running = Running::bank(&bank, b"h2").await;
    let most = bank.edge.limits.streams;
    let open = |count: u32| -> Vec<u8> {
        let one = |number| post_with(2 * number + 1, "/v1/sign-in", &[("content-type", "application/json")]);
        (0..count).flat_map(one).collect()
    };
    let mut client = Raw::open(&running).await;
    client.send(&open(100)).await.unwrap();
    let refused = 2 * most + 1;
    assert_eq!(client.fate(refused).await, Fate::Reset(raw::REFUSED_STREAM));
    assert_eq!(client.fate(199).await, Fate::Reset(raw::REFUSED_STREAM));
    others_are_served(&running, "a hundred streams").await;
    client.send(&frame(raw::DATA, raw::END_STREAM, 1, b"{}")).await.unwrap();
    assert_eq!(client.fate(1).await, Fate::Answered(400));
    let mut client = Raw::open(&running).await;
    let _ = client.send(&open(10_000)).await;
    others_are_served(&running, "ten thousand streams").await;
    let end = client.end().await;
    assert!([Fate::GoneAway(raw::ENHANCE_YOUR_CALM), Fate::Closed].contains(&end), "{end:?}");
    drop(running);
}
