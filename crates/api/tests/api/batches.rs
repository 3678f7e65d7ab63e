//! Batches of payments, each by itself and all or none.

use std::collections::BTreeSet;
use std::time::Duration;

use api::Limits;
use axum::body::{Body, Bytes};
use axum::http::Request;
use http_body_util::{BodyExt, Channel};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::bank_under_test::{Answer, Bank, Call};

const LINES: &str = "application/x-ndjson";

fn line(bank: &Bank, amount: &str) -> Value {
    json!({"from": bank.ada, "to": bank.bo, "amount": amount, "currency": "EUR"})
}

fn lines(lines: impl IntoIterator<Item = Value>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

async fn send(bank: &Bank, who: &str, key: &str, query: &str, body: &str) -> Answer {
    let call = Call::new("POST", &format!("/v1/batches{query}")).by(bank, who).key(key);
    bank.send(call.header("content-type", LINES).body(body)).await
}

fn told(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each line's status, or its problem where it has one.
fn outcomes(answer: &Answer) -> Vec<String> {
    let lines = told(answer).into_iter().filter(|line| line["line"].is_number());
    let outcome = |line: Value| match line["problem"]["type"].as_str() {
        Some(kind) => kind.replace("/problems/", ""),
        None => line["status"].to_string(),
    };
    lines.map(outcome).collect()
}

async fn posted(bank: &Bank, iban: &str) -> String {
    bank.get("operator", &format!("/v1/accounts/{iban}/balance")).await.json()["posted"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_line_is_a_payment_of_its_own() {
    let bank = Bank::new().await;
    let with = |field: &str, value: Value| {
        let mut line = line(&bank, "1.00");
        line[field] = value;
        line.to_string()
    };
    let mut noted = line(&bank, "1.00");
    noted["text"] = json!("Salary");
    noted["metadata"] = json!({"run": "11"});
    noted["end_to_end_id"] = json!("SALARY-11");
    let good = line(&bank, "1.00").to_string();
    let body = [
        good.clone(),
        with("amount", json!("1000.00")),
        "not json".into(),
        String::new(),
        with("amount", json!("1.001")),
        with("to", json!(bank.unopened())),
        with("to", json!("AT00")),
        with("from", json!(bank.bo)),
        with("more", json!([])),
        "[]".into(),
        noted.to_string(),
        good,
    ]
    .join("\n");
    let answer = send(&bank, "ada", "payday", "", &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, LINES), "{}", answer.text());
    let expected = [
        "201",
        "insufficient-funds",
        "invalid-line",
        "amount-too-precise",
        "unknown-account",
        "invalid-iban",
        "no-right",
        "invalid-line",
        "invalid-line",
        "201",
        "201",
    ];
    assert_eq!(outcomes(&answer), expected, "{}", answer.text());
    let all = told(&answer);
    assert_eq!(all.last(), Some(&json!({"lines": 11, "accepted": 3, "refused": 8})));
    assert_eq!(
        all.iter().take(11).map(|line| line["line"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=11).collect::<Vec<_>>()
    );
    assert_eq!(all[3]["problem"]["errors"][0]["field"], "amount");
    assert_eq!(all[1]["problem"]["available"]["amount"], "99.00");
    assert_eq!(posted(&bank, &bank.ada).await, "97.00");
    let shown = bank.get("ada", &format!("/v1/payments/{}", all[9]["payment"].as_str().unwrap())).await.json();
    assert_eq!((&shown["text"], &shown["metadata"]), (&json!("Salary"), &json!({"run": "11"})));
    assert_eq!(shown["end_to_end_id"], "SALARY-11");

    // Sent again it does nothing more, and tells the same; what is longer is carried out from there on.
    let again = send(&bank, "ada", "payday", "", &body).await;
    assert_eq!(outcomes(&again), expected);
    assert!(told(&again).iter().take(11).all(|line| line["replayed"] == true), "{}", again.text());
    let longer = format!("{body}\n{}", line(&bank, "2.00"));
    assert_eq!(outcomes(&send(&bank, "ada", "payday", "", &longer).await).last().map(String::as_str), Some("201"));
    assert_eq!(posted(&bank, &bank.ada).await, "95.00");
    // What is wrong is told in full again.
    assert_eq!(told(&again)[3]["problem"], all[3]["problem"]);
    // A line that is another one is told so.
    let other = body.replace("1000.00", "2.00");
    assert_eq!(outcomes(&send(&bank, "ada", "payday", "", &other).await)[1], "key-reused");

    // Asked for by its key alone it tells the same.
    let asked = bank.get("ada", "/v1/batches/payday").await;
    assert_eq!(outcomes(&asked), [&expected[..], &["201"]].concat());
    assert_eq!(told(&asked).last(), Some(&json!({"lines": 12, "accepted": 4, "refused": 8})));
    for who in ["bo", "operator"] {
        assert_eq!(bank.get(who, "/v1/batches/payday").await.slug(), "unknown-batch", "{who}");
    }
}

/// Whatever is sent under a batch's key, nobody is paid twice: what contradicts a place lets nothing new be done after it.
#[tokio::test]
async fn a_batchs_key_stands_for_its_lines_in_their_order() {
    const SAME: &str = "201 again";
    let bank = Bank::new().await;
    let batch = |cents: &[u32]| lines(cents.iter().map(|cents| line(&bank, &format!("0.{cents:02}"))));
    let brief = |answer: &Answer| {
        let replayed = told(answer).into_iter().map(|line| line["replayed"] == true);
        let each = outcomes(answer).into_iter().zip(replayed);
        each.map(|(outcome, again)| if again { format!("{outcome} again") } else { outcome }).collect::<Vec<_>>()
    };
    let (reused, changed) = ("key-reused", "batch-changed");
    let first: &[u32] = &[1, 2, 3];
    assert_eq!(brief(&send(&bank, "ada", "payday", "", &batch(first)).await), ["201"; 3]);
    let mut left = "99.94".to_owned();
    for (sent, expected) in [
        (&[1, 2, 3][..], &[SAME, SAME, SAME][..]),
        // A line on top: the last was paid at its place before.
        (&[9, 1, 2, 3], &[reused, reused, reused, changed]),
        // Left out at the top, put in, changed, in another order, shorter.
        (&[2, 3], &[reused, reused]),
        (&[1, 9, 2, 3], &[SAME, reused, reused, changed]),
        (&[1, 9, 3, 4], &[SAME, reused, SAME, changed]),
        (&[2, 1, 3, 4, 5], &[reused, reused, SAME, changed, changed]),
        (&[1, 2], &[SAME, SAME]),
        (&[9], &[reused]),
        // Going on at the end.
        (&[1, 2, 3, 4], &[SAME, SAME, SAME, "201"]),
        (&[1, 2, 3, 4, 4], &[SAME, SAME, SAME, SAME, "201"]),
    ] {
        let answer = send(&bank, "ada", "payday", "", &batch(sent)).await;
        assert_eq!(brief(&answer), expected, "{sent:?}");
        if expected.contains(&"201") {
            left = if left == "99.94" { "99.90".into() } else { "99.86".into() };
        }
        assert_eq!(posted(&bank, &bank.ada).await, left, "{sent:?}");
        let refused = told(&answer).into_iter().find(|line| line["problem"]["type"] == "/problems/batch-changed");
        assert!(refused.is_none_or(|line| line["status"] == 409));
    }
    // A line that was refused has its place, too; and one that could not be read.
    let odd = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (one, two) = (line(&bank, "0.01").to_string(), line(&bank, "0.02").to_string());
    let sent = send(&bank, "ada", "odd", "", &odd(&["oops", &one])).await;
    assert_eq!(brief(&sent), ["invalid-line", "201"]);
    let mended = send(&bank, "ada", "odd", "", &odd(&[&two, &one, &two])).await;
    assert_eq!(brief(&mended), [reused, SAME, changed]);
    // Spaced differently it is the same, a refused line, too.
    let foreign = line(&bank, "0.01").to_string().replace(&bank.bo, "DE89370400440532013000");
    assert_eq!(brief(&send(&bank, "ada", "spaced", "", &odd(&[&foreign, &one])).await), ["other-bank", "201"]);
    let spaced = odd(&[&foreign.replace(',', " , "), &one.replace(':', " : ")]);
    assert_eq!(brief(&send(&bank, "ada", "spaced", "", &spaced).await), ["other-bank again", SAME]);
    assert_eq!(posted(&bank, &bank.ada).await, "99.84");
}

/// A contradiction in one of many lines is known before those behind it are begun, however they arrive.
#[tokio::test]
async fn a_long_batch_with_a_line_on_top_pays_nobody_twice() {
    let bank = Bank::new().await;
    bank.deposit(&bank.ada, "100.00").await;
    let of = |number: usize| {
        let mut line = line(&bank, "0.01");
        line["text"] = json!(format!("Salary {number}"));
        line
    };
    let first = lines((0..3_000).map(of));
    let answer = send(&bank, "ada", "long", "", &first).await;
    assert_eq!(told(&answer).last(), Some(&json!({"lines": 3_000, "accepted": 3_000, "refused": 0})));
    assert_eq!(posted(&bank, &bank.ada).await, "170.00");
    let on_top = format!("{}{first}", lines([of(9_999)]));
    let answer = send(&bank, "ada", "long", "", &on_top).await;
    assert_eq!(told(&answer).last(), Some(&json!({"lines": 3_001, "accepted": 0, "refused": 3_001})));
    assert_eq!(outcomes(&answer)[3_000], "batch-changed");
    assert_eq!(posted(&bank, &bank.ada).await, "170.00");
}

/// Two sendings of a key take turns, and one that is cut off leaves nothing undecided behind.
#[tokio::test]
async fn sendings_of_one_key_take_turns() {
    let bank = Bank::new().await;
    let (mut sender, answer) = begun(&bank, "ada", "turns").await;
    sender.send_data(lines([line(&bank, "1.00"), line(&bank, "2.00")]).into()).await.unwrap();
    let on_top = lines(["9.00", "1.00", "2.00"].map(|amount| line(&bank, amount)));
    let waiting = send(&bank, "ada", "turns", "", &on_top);
    let cut_off = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop((sender, answer));
    };
    let (told, ()) = tokio::join!(waiting, cut_off);
    assert_eq!(outcomes(&told), ["key-reused", "key-reused", "batch-changed"], "{}", told.text());
    assert_eq!(posted(&bank, &bank.ada).await, "97.00");
    // One that goes on and on is not waited for.
    let (sender, answer) = begun(&bank, "ada", "endless").await;
    let refused = send(&bank, "ada", "endless", "", &lines([line(&bank, "1.00")])).await;
    assert_eq!((refused.slug().as_str(), refused.header("retry-after")), ("too-many-batches", "1"));
    drop((sender, answer));
    assert_eq!(outcomes(&send(&bank, "ada", "endless", "", &lines([line(&bank, "1.00")])).await), ["201"]);
}

/// What is wrong with a line of a batch that is all or none is remembered of all of them.
#[tokio::test]
async fn all_or_none_remembers_why_it_was_none() {
    let bank = Bank::new().await;
    let batch = |amounts: &[&str]| lines(amounts.iter().map(|amount| line(&bank, amount)));
    let foreign = batch(&["1.00", "1.00"]).replacen(&bank.bo, "DE89370400440532013000", 1);
    for (key, body, slug) in [
        ("precise", batch(&["1.00", "1.005"]), "amount-too-precise"),
        ("foreign", foreign, "other-bank"),
        ("many", batch(&vec!["0.01"; 1_001]), "too-many-payments"),
        ("none", String::new(), "no-legs"),
    ] {
        let first = send(&bank, "ada", key, "?atomic=true", &body).await;
        assert_eq!((first.slug().as_str(), first.header("idempotency-replayed")), (slug, ""), "{}", first.text());
        let again = send(&bank, "ada", key, "?atomic=true", &body).await;
        assert_eq!((again.json(), again.header("idempotency-replayed")), (first.json(), "true"), "{key}");
        assert_eq!(send(&bank, "ada", key, "?atomic=true", &batch(&["1.00"])).await.slug(), "key-reused", "{key}");
        assert_eq!(send(&bank, "ada", key, "", &batch(&["1.00"])).await.slug(), "key-reused", "{key}");
        assert_eq!(bank.get("ada", &format!("/v1/batches/{key}")).await.slug(), slug);
    }
    // What is not a line of JSON is not remembered.
    assert_eq!(send(&bank, "ada", "oops", "?atomic=true", "oops").await.slug(), "malformed-json");
    for (key, bad) in [("cut", "{"), ("list", "[]"), ("long", &"x".repeat(40_000))] {
        let third = format!("{}{bad}\n", batch(&["1.00", "1.00"]));
        let told = send(&bank, "ada", key, "?atomic=true", &third).await;
        assert_eq!(told.json()["errors"][0]["field"], "line 3", "{}", told.text());
    }
    assert_eq!(send(&bank, "ada", "oops", "?atomic=true", &batch(&["1.00"])).await.status, 200);
    assert_eq!(posted(&bank, &bank.ada).await, "99.00");
}

#[tokio::test]
async fn a_key_is_for_one_sort_of_request() {
    let bank = Bank::new().await;
    let one = lines([line(&bank, "1.00")]);
    assert_eq!(send(&bank, "ada", "each", "", &one).await.status, 200);
    assert_eq!(send(&bank, "ada", "each", "?atomic=true", &one).await.slug(), "key-reused");
    assert_eq!(send(&bank, "ada", "all", "?atomic=true", &one).await.status, 200);
    assert_eq!(send(&bank, "ada", "all", "", &one).await.slug(), "key-reused");
    let payment = Call::new("POST", "/v1/payments").by(&bank, "ada").key("single").json(&line(&bank, "1.00"));
    assert_eq!(bank.send(payment).await.status, 201);
    for mode in ["", "?atomic=true"] {
        assert_eq!(send(&bank, "ada", "single", mode, &one).await.slug(), "key-reused");
    }
    // And the other way round: no single request has a batch's key.
    let single = |key: &str, path: &str| Call::new("POST", path).by(&bank, "ada").key(key);
    for key in ["each", "all"] {
        let mut held = line(&bank, "1.00");
        held["expires_at"] = json!("2027-01-01T00:00:00Z");
        for call in [single(key, "/v1/payments").json(&line(&bank, "1.00")), single(key, "/v1/holds").json(&held)] {
            assert_eq!(bank.send(call).await.slug(), "key-reused");
        }
    }
    assert_eq!(outcomes(&send(&bank, "ada", "each", "", &one).await), ["201"], "the batch is told again");
    assert_eq!(posted(&bank, &bank.ada).await, "97.00");
    // Others have keys of their own.
    assert_eq!(send(&bank, "bo", "single", "", &one).await.status, 200);
}

#[tokio::test]
async fn all_or_none() {
    let bank = Bank::new().await;
    let batch = |amounts: &[&str]| lines(amounts.iter().map(|amount| line(&bank, amount)));
    let too_much = batch(&["60.00", "40.00", "0.01"]);
    let refused = send(&bank, "ada", "all", "?atomic=true", &too_much).await;
    assert_eq!((refused.status, refused.slug().as_str()), (422, "insufficient-funds"), "{}", refused.text());
    assert_eq!(refused.json()["errors"][0]["field"], "line 3");
    assert_eq!(posted(&bank, &bank.ada).await, "100.00");
    for answer in [send(&bank, "ada", "all", "?atomic=true", &too_much).await, bank.get("ada", "/v1/batches/all").await]
    {
        assert_eq!((answer.json(), answer.header("idempotency-replayed")), (refused.json(), "true"));
    }
    assert_eq!(send(&bank, "ada", "all", "?atomic=true", &batch(&["1.00"])).await.slug(), "key-reused");

    let made = send(&bank, "ada", "made", "?atomic=true", &batch(&["60.00", "40.00"])).await;
    assert_eq!(told(&made).last(), Some(&json!({"lines": 2, "accepted": 2, "refused": 0})), "{}", made.text());
    assert_eq!(posted(&bank, &bank.ada).await, "0.00");
    let ids: BTreeSet<String> = told(&made).iter().take(2).map(|line| line["payment"].to_string()).collect();
    assert_eq!(ids.len(), 2);
    let shown = bank.get("bo", &format!("/v1/payments/{}", told(&made)[1]["payment"].as_str().unwrap())).await;
    assert_eq!(shown.json()["amount"], "40.00");
    for answer in [
        send(&bank, "ada", "made", "?atomic=true", &batch(&["60.00", "40.00"])).await,
        bank.get("ada", "/v1/batches/made").await,
    ] {
        assert!(told(&answer)[..2].iter().all(|line| line["replayed"] == true), "{}", answer.text());
        assert_eq!(told(&answer)[0]["payment"], told(&made)[0]["payment"]);
    }
    assert_eq!(posted(&bank, &bank.ada).await, "0.00");

    // What is wrong names its line; nothing is made.
    let mut wrong = line(&bank, "1.00");
    wrong["to"] = json!(bank.unopened());
    for (body, slug, field) in [
        (format!("{}oops\n", batch(&["1.00"])), "malformed-json", "line 2"),
        (format!("{}{}", batch(&["1.00", "1.00"]), lines([wrong])), "unknown-account", "line 3.to"),
        (batch(&["1.00", "1.005"]), "amount-too-precise", "line 2.amount"),
        (batch(&vec!["1.00"; 1_001]), "too-many-payments", ""),
        (String::new(), "no-legs", ""),
    ] {
        let answer = send(&bank, "ada", &bank.fresh_key(), "?atomic=true", &body).await;
        assert_eq!(answer.slug(), slug, "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["field"].as_str().unwrap_or_default(), field, "{}", answer.text());
    }
    bank.deposit(&bank.ada, "10.00").await;
    let most = send(&bank, "ada", "most", "?atomic=true", &batch(&vec!["0.01"; 1_000])).await;
    assert_eq!(told(&most).last(), Some(&json!({"lines": 1_000, "accepted": 1_000, "refused": 0})), "{}", most.text());
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole() {
    let bank = Bank::new().await;
    let body = lines([line(&bank, "1.00")]);
    for (who, slug) in [("operator", "not-allowed"), ("auditor", "not-allowed")] {
        assert_eq!(send(&bank, who, "one", "", &body).await.slug(), slug, "{who}");
    }
    assert_eq!(outcomes(&send(&bank, "reader", "one", "", &body).await), ["read-only-right"]);
    assert_eq!(send(&bank, "ada", "one", "?dry_run=true", &body).await.slug(), "no-dry-run");
    let json = Call::new("POST", "/v1/batches").by(&bank, "ada").key("one").json(&line(&bank, "1.00"));
    assert_eq!(bank.send(json).await.slug(), "unsupported-media-type");
    let keyless = Call::new("POST", "/v1/batches").by(&bank, "ada").header("content-type", LINES).body(&body);
    assert_eq!(bank.send(keyless).await.slug(), "idempotency-key-missing");
    assert_eq!(told(&send(&bank, "ada", "none", "", "").await), [json!({"lines": 0, "accepted": 0, "refused": 0})]);
    assert_eq!(bank.get("ada", "/v1/batches/none").await.slug(), "unknown-batch");
}

/// A line of just as many bytes as there may be is read, one more is refused; and so with lines.
#[tokio::test]
async fn lines_have_their_limits() {
    const MAX_LINE_BYTES: usize = 32 * 1024;
    const MAX_LINES: usize = 100_000;
    let bank = Bank::new().await;
    let fill = |bytes: usize| {
        let line = line(&bank, "0.01").to_string();
        let missing = bytes - line.len();
        line.replacen('{', &format!("{{{}", " ".repeat(missing)), 1)
    };
    let (most, more) = (fill(MAX_LINE_BYTES), fill(MAX_LINE_BYTES + 1));
    assert_eq!((most.len(), more.len()), (MAX_LINE_BYTES, MAX_LINE_BYTES + 1));
    let answer = send(&bank, "ada", "bytes", "", &format!("{most}\n{more}\n{most}")).await;
    assert_eq!(outcomes(&answer), ["201", "invalid-line", "201"], "{}", answer.text());
    // A line without an end is not read for ever; what came before it stands.
    let endless = send(&bank, "ada", "endless", "", &format!("{most}\n{}", "x".repeat(1 << 20))).await;
    assert_eq!(outcomes(&endless), ["201", "body-too-large"], "{}", endless.text());
    assert!(told(&endless).last().unwrap()["lines"].is_null(), "it broke off");

    // Lines that can't be read are the quickest to refuse.
    let answer = send(&bank, "ada", "lines", "", &"x\n".repeat(MAX_LINES)).await;
    assert_eq!(told(&answer).last(), Some(&json!({"lines": MAX_LINES, "accepted": 0, "refused": MAX_LINES})));
    let answer = send(&bank, "ada", "lines", "", &"x\n".repeat(MAX_LINES + 1)).await;
    let last = told(&answer).pop().unwrap();
    assert_eq!((&last["line"], &last["problem"]["type"]), (&json!(MAX_LINES + 1), &json!("/problems/batch-too-long")));
    let asked = bank.get("ada", "/v1/batches/lines").await;
    assert_eq!(told(&asked).last(), Some(&json!({"lines": MAX_LINES, "accepted": 0, "refused": MAX_LINES})));
}

/// A batch whose lines are sent one by one, its answer still to be read.
async fn begun(
    bank: &Bank,
    who: &str,
    key: &str,
) -> (http_body_util::channel::Sender<Bytes>, axum::response::Response) {
    let (sender, body) = Channel::<Bytes>::new(1);
    let request = Request::post("/v1/batches")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", bank.token(who)))
        .header("idempotency-key", key)
        .header("content-type", LINES)
        .body(Body::new(body))
        .unwrap();
    (sender, bank.router.clone().oneshot(request).await.unwrap())
}

#[tokio::test]
async fn outcomes_are_told_while_lines_are_still_sent() {
    let bank = Bank::new().await;
    let (mut sender, answer) = begun(&bank, "ada", "slowly").await;
    let mut body = answer.into_body();
    for number in 1..=3 {
        sender.send_data(lines([line(&bank, "1.00")]).into()).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let told: Value = serde_json::from_slice(&frame).unwrap();
        assert_eq!((&told["line"], &told["status"]), (&json!(number), &json!(201)));
    }
    // Half a line, and then nobody: what was whole is done, and can be asked for.
    sender.send_data(Bytes::from_static(b"{\"from\":")).await.unwrap();
    drop(body);
    drop(sender);
    assert_eq!(outcomes(&bank.get("ada", "/v1/batches/slowly").await)[..3], ["201", "201", "201"]);
    assert_eq!(posted(&bank, &bank.ada).await, "97.00");
    let again = send(&bank, "ada", "slowly", "", &lines(["1.00"; 5].map(|amount| line(&bank, amount)))).await;
    assert_eq!(told(&again).iter().filter(|line| line["replayed"] == true && line["status"] == 201).count(), 3);
}

/// A client that doesn't take its answer is not read from any further.
#[tokio::test]
async fn what_is_not_taken_holds_the_reading_back() {
    let limits = edge::Limits { request: Duration::from_millis(300), ..edge::Limits::default() };
    let bank = Bank::with(limits).await;
    let (mut sender, answer) = begun(&bank, "ada", "untaken").await;
    let chunk = Bytes::from("x\n".repeat(512));
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(5), sender.send_data(chunk.clone()))
        .await
        .is_ok_and(|sent| sent.is_ok())
    {
        sent += 512;
        assert!(sent < 50_000, "the reading goes on and on");
    }
    drop(answer);
    let known = told(&bank.get("ada", "/v1/batches/untaken").await).last().unwrap()["lines"].as_u64().unwrap();
    assert!(known <= sent, "{known} of {sent}");
}

#[tokio::test]
async fn so_many_batches_at_once_and_no_more() {
    let limits = Limits { batches: 3, batches_per_user: 2, ..Limits::default() };
    let bank = Bank::with(limits).await;
    let body = lines([line(&bank, "1.00")]);
    let mut open = vec![begun(&bank, "ada", "1").await, begun(&bank, "ada", "2").await];
    assert_eq!(open[1].1.status(), 200);
    let refused = send(&bank, "ada", "3", "", &body).await;
    assert_eq!(
        (refused.status, refused.slug().as_str(), refused.header("retry-after")),
        (429, "too-many-batches", "1")
    );
    open.push(begun(&bank, "bo", "1").await);
    assert_eq!(open[2].1.status(), 200);
    assert_eq!(send(&bank, "stranger", "1", "", &body).await.slug(), "too-many-batches");
    drop(open);
    for _ in 0..500 {
        if send(&bank, "ada", "3", "", &body).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no batch makes room when it is done");
}

/// Where a line is left undecided nothing after it is paid, however soon all is well again: the lines may come again as
/// others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_paid_after_a_line_that_is_left_undecided() {
    let mut broken_off = 0;
    for _ in 0..40 {
        let bank = Bank::new().await;
        let (mut sender, answer) = begun(&bank, "ada", "payday").await;
        sender.send_data(lines((0..8_000).map(|_| line(&bank, "0.01"))).into()).await.unwrap();
        drop(sender);
        let (mut body, mut told, mut jumps) = (answer.into_body(), Vec::new(), 0);
        // The rest waits until it is read, so that each jump comes in the middle; at the last, sessions are still open.
        while let Some(frame) = body.frame().await {
            told.extend(frame.unwrap().into_data().unwrap());
            if jumps < 8 {
                bank.jump_ms(61_000);
                let confirm = Call::new("POST", "/v1/clock/confirm").by(&bank, "operator");
                assert_eq!(bank.send(confirm).await.status, 204);
                jumps += 1;
            }
        }
        let told = String::from_utf8(told).unwrap();
        let paid = told.lines().filter(|line| line.contains("\"status\":201")).count();
        let stopped = told.lines().nth(paid).unwrap();
        let left = 10_000 - paid;
        assert_eq!(posted(&bank, &bank.ada).await, format!("{}.{:02}", left / 100, left % 100), "{stopped}");
        if paid < 8_000 {
            assert!(stopped.contains("/problems/clock-jumped") && told.lines().count() == paid + 1, "{stopped}");
            broken_off += 1;
        }
        if broken_off == 4 {
            return;
        }
    }
    panic!("the clock jumped in the middle of {broken_off} batches only");
}

/// Empty lines are no lines, wherever they stand and however they arrive.
#[tokio::test]
async fn empty_lines_are_passed_over() {
    let bank = Bank::new().await;
    let good = format!("{}\n", line(&bank, "1.00"));
    for (key, frames, paid) in [
        ("none", vec!["\n".to_owned()], 0),
        ("nothing", vec![], 0),
        ("at-the-end", vec![good.clone(), "  ".to_owned()], 1),
        ("between", vec![good.clone(), "\n".to_owned(), " \r\n\n".to_owned(), good.clone()], 2),
        ("many", vec!["\n".repeat(100_001), good.clone()], 1),
    ] {
        let (mut sender, answer) = begun(&bank, "ada", key).await;
        let sending = async {
            for frame in frames {
                sender.send_data(frame.into()).await.unwrap();
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(Answer::of(answer), sending);
        let end = json!({"lines": paid, "accepted": paid, "refused": 0});
        assert_eq!(told(&answer).last(), Some(&end), "{key}: {}", answer.text());
    }
}
