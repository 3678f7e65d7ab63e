//! Holds, refunds and reversals.

use serde_json::{Value, json};

use crate::bank_under_test::{Answer, Bank, Call};

async fn post(bank: &Bank, who: &str, path: &str, body: &Value) -> Answer {
    post_under(bank, who, &bank.fresh_key(), path, body).await
}

async fn post_under(bank: &Bank, who: &str, key: &str, path: &str, body: &Value) -> Answer {
    let call = Call::new("POST", path).by(bank, who).key(key);
    bank.send(if body.is_null() { call } else { call.json(body) }).await
}

fn hold(bank: &Bank, amount: &str) -> Value {
    json!({"from": bank.ada, "to": bank.bo, "amount": amount, "currency": "EUR",
           "expires_at": "2027-01-01T00:00:00Z", "text": "Deposit for a car"})
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("an id in {}", answer.text())).to_owned()
}

async fn balance(bank: &Bank) -> [String; 3] {
    let told = bank.get("ada", &format!("/v1/accounts/{}/balance", bank.ada)).await.json();
    ["posted", "held", "available"].map(|field| told[field].as_str().expect(field).to_owned())
}

#[tokio::test]
async fn a_hold_is_taken_in_parts_and_let_go() {
    let bank = Bank::new().await;
    let placed = post(&bank, "ada", "/v1/holds", &hold(&bank, "60.00")).await;
    assert_eq!(placed.status, 201, "{}", placed.text());
    let path = format!("/v1/holds/{}", id(&placed));
    assert_eq!(placed.header("location"), path);
    let told = placed.json();
    assert_eq!(
        (&told["status"], &told["remaining"], &told["text"]),
        (&json!("open"), &json!("60.00"), &json!("Deposit for a car"))
    );
    assert_eq!(balance(&bank).await, ["100.00", "60.00", "40.00"]);
    assert_eq!(bank.pay("ada", "40.01", "").await.slug(), "insufficient-funds");

    // Each party sees it, and nobody else.
    for (who, status) in
        [("ada", 200), ("bo", 200), ("reader", 200), ("operator", 200), ("auditor", 200), ("stranger", 403)]
    {
        assert_eq!(bank.get(who, &path).await.status, status, "{who}");
    }
    let listed = bank.get("ada", &format!("/v1/accounts/{}/holds", bank.ada)).await.json();
    assert_eq!((listed["holds"].as_array().map(Vec::len), &listed["holds"][0]["id"]), (Some(1), &told["id"]));

    // The payee takes it, not the payer.
    let captures = format!("{path}/captures");
    let part = json!({"amount": "25.00", "currency": "EUR"});
    assert_eq!(post(&bank, "ada", &captures, &part).await.slug(), "no-right");
    let taken = post_under(&bank, "bo", "part", &captures, &part).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!((&taken.json()["purpose"], &taken.json()["amount"]), (&json!("capture"), &json!("25.00")));
    assert_eq!(balance(&bank).await, ["75.00", "35.00", "40.00"]);
    let again = post_under(&bank, "bo", "part", &captures, &part).await;
    assert_eq!((again.status, again.json()), (201, taken.json()), "a retry takes nothing more");
    let much = post(&bank, "bo", &captures, &json!({"amount": "35.01", "currency": "EUR"})).await;
    assert_eq!((much.slug().as_str(), &much.json()["remaining"]["amount"]), ("capture-exceeds-hold", &json!("35.00")));

    // The rest is let go, once.
    let voided = post_under(&bank, "bo", "void", &format!("{path}/void"), &Value::Null).await;
    assert_eq!((voided.status, &voided.json()["status"]), (200, &json!("closed")), "{}", voided.text());
    let again = post_under(&bank, "bo", "void", &format!("{path}/void"), &Value::Null).await;
    assert_eq!((again.status, again.json()), (200, voided.json()));
    assert_eq!(balance(&bank).await, ["75.00", "0.00", "75.00"]);
    assert_eq!(post(&bank, "bo", &captures, &part).await.slug(), "hold-not-open");
    assert_eq!(post(&bank, "bo", &format!("{path}/void"), &Value::Null).await.slug(), "hold-not-open");
    assert_eq!(bank.get("ada", &path).await.json()["status"], "closed");
    let listed = bank.get("ada", &format!("/v1/accounts/{}/holds", bank.ada)).await.json();
    assert_eq!(listed["holds"], json!([]));
}

#[tokio::test]
async fn the_rest_of_a_hold_is_taken_without_saying_how_much() {
    let bank = Bank::new().await;
    let path = format!("/v1/holds/{}/captures", id(&post(&bank, "ada", "/v1/holds", &hold(&bank, "60.00")).await));
    let first = post(&bank, "operator", &path, &json!({"amount": "10.00", "currency": "EUR"})).await;
    assert_eq!(first.status, 201, "an operator may take it, too: {}", first.text());
    let rest = post_under(&bank, "bo", "rest", &path, &json!({})).await;
    assert_eq!((rest.status, &rest.json()["amount"]), (201, &json!("50.00")), "{}", rest.text());
    let again = post_under(&bank, "bo", "rest", &path, &json!({})).await;
    assert_eq!((again.status, again.json()), (201, rest.json()), "though nothing is left by now");
    assert_eq!(balance(&bank).await, ["40.00", "0.00", "40.00"]);

    let path = format!("/v1/holds/{}/captures", id(&post(&bank, "ada", "/v1/holds", &hold(&bank, "40.00")).await));
    let last = json!({"amount": "1.00", "currency": "EUR", "last": true});
    assert_eq!(post(&bank, "bo", &path, &last).await.status, 201);
    assert_eq!(balance(&bank).await, ["39.00", "0.00", "39.00"], "the last one lets the rest go");
}

#[tokio::test]
async fn a_hold_is_over_when_its_time_is() {
    let bank = Bank::new().await;
    let mut short = hold(&bank, "60.00");
    short["expires_at"] = json!(bank.moment());
    assert_eq!(
        post(&bank, "ada", "/v1/holds", &short).await.slug(),
        "hold-expired",
        "it would be over before it began"
    );
    bank.let_time_pass_ms(5);
    let at = moment_after(&bank, 10_000);
    short["expires_at"] = json!(at);
    let path = format!("/v1/holds/{}", id(&post(&bank, "ada", "/v1/holds", &short).await));
    bank.let_time_pass_ms(20_000);
    assert_eq!(post(&bank, "bo", &format!("{path}/captures"), &json!({})).await.slug(), "hold-not-open");
    assert_eq!(bank.get("ada", &path).await.json()["status"], "closed");
    assert_eq!(balance(&bank).await, ["100.00", "0.00", "100.00"]);
}

/// The bank's time and some more, as RFC 3339.
fn moment_after(bank: &Bank, ms: i64) -> String {
    let now: jiff::Timestamp = bank.moment().parse().expect("a moment");
    jiff::Timestamp::from_millisecond(now.as_millisecond() + ms).expect("a moment").to_string()
}

#[tokio::test]
async fn a_payment_is_given_back_in_parts() {
    let bank = Bank::new().await;
    let payment = id(&bank.pay("ada", "30.00", "Shoes").await);
    let path = format!("/v1/payments/{payment}/refunds");
    let part = json!({"amount": "10.00", "currency": "EUR", "text": "Scratched"});
    // The one who was paid gives back; the payer can't take.
    assert_eq!(post(&bank, "ada", &path, &part).await.slug(), "no-right");
    let first = post_under(&bank, "bo", "first", &path, &part).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let told = first.json();
    assert_eq!(
        (&told["from"], &told["purpose"], &told["text"]),
        (&json!(bank.bo), &json!("refund"), &json!("Scratched"))
    );
    let again = post_under(&bank, "bo", "first", &path, &part).await;
    assert_eq!((again.status, again.json()), (201, told));
    let much = post(&bank, "bo", &path, &json!({"amount": "20.01", "currency": "EUR"})).await;
    assert_eq!(
        (much.slug().as_str(), &much.json()["remaining"]["amount"]),
        ("refund-exceeds-payment", &json!("20.00"))
    );
    let rest = post_under(&bank, "operator", "rest", &path, &json!({})).await;
    assert_eq!((rest.status, &rest.json()["amount"]), (201, &json!("20.00")), "{}", rest.text());
    let again = post_under(&bank, "operator", "rest", &path, &json!({})).await;
    assert_eq!((again.status, again.json()), (201, rest.json()), "though nothing is left by now");
    assert_eq!(post(&bank, "bo", &path, &json!({})).await.slug(), "refund-exceeds-payment");
    assert_eq!(balance(&bank).await, ["100.00", "0.00", "100.00"]);

    let refund = id(&rest);
    assert_eq!(
        post(&bank, "operator", &format!("/v1/payments/{refund}/refunds"), &json!({})).await.slug(),
        "not-undoable"
    );
    assert_eq!(
        post(&bank, "operator", &format!("/v1/payments/{payment}/reversal"), &json!({})).await.slug(),
        "already-refunded"
    );
    let entries = bank.get("ada", &format!("/v1/accounts/{}/entries?limit=1", bank.ada)).await.json();
    assert_eq!(entries["entries"][0]["undoes"], json!(payment));
}

#[tokio::test]
async fn a_payment_is_undone_once_by_an_operator() {
    let bank = Bank::new().await;
    let path = format!("/v1/payments/{}/reversal", id(&bank.pay("ada", "30.00", "").await));
    for who in ["ada", "bo", "auditor"] {
        assert_eq!(post(&bank, who, &path, &json!({})).await.slug(), "not-allowed", "{who}");
    }
    let undone = post_under(&bank, "operator", "undo", &path, &json!({"text": "Paid twice"})).await;
    assert_eq!((undone.status, &undone.json()["purpose"]), (201, &json!("reversal")), "{}", undone.text());
    let again = post_under(&bank, "operator", "undo", &path, &json!({"text": "Paid twice"})).await;
    assert_eq!((again.status, again.json()), (201, undone.json()));
    assert_eq!(post(&bank, "operator", &path, &json!({})).await.slug(), "already-reversed");
    assert_eq!(balance(&bank).await, ["100.00", "0.00", "100.00"]);
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let bank = Bank::new().await;
    let placed = post(&bank, "ada", "/v1/holds", &hold(&bank, "60.00")).await;
    let holds = format!("/v1/holds/{}", id(&placed));
    let payment = id(&bank.pay("ada", "1.00", "").await);
    let with = |field: &str, value: Value| {
        let mut body = hold(&bank, "1.00");
        body[field] = value;
        body
    };
    for (who, path, body, slug) in [
        ("ada", "/v1/holds".to_owned(), with("amount", json!("0.00")), "amount-not-positive"),
        ("ada", "/v1/holds".to_owned(), with("amount", json!("40.00")), "insufficient-funds"),
        ("ada", "/v1/holds".to_owned(), with("to", json!(bank.ada)), "same-account"),
        ("ada", "/v1/holds".to_owned(), with("to", json!(bank.unopened())), "unknown-account"),
        ("ada", "/v1/holds".to_owned(), with("expires_at", json!("tomorrow")), "invalid-request"),
        ("ada", "/v1/holds".to_owned(), with("more", json!(1)), "invalid-request"),
        ("stranger", "/v1/holds".to_owned(), hold(&bank, "1.00"), "no-right"),
        ("reader", "/v1/holds".to_owned(), hold(&bank, "1.00"), "read-only-right"),
        ("auditor", "/v1/holds".to_owned(), hold(&bank, "1.00"), "not-allowed"),
        ("bo", format!("{holds}/captures"), json!({"amount": "1.00"}), "amount-incomplete"),
        ("bo", format!("{holds}/captures"), json!({"currency": "EUR"}), "amount-incomplete"),
        ("bo", format!("{holds}/captures"), json!({"amount": "1.00", "currency": "USD"}), "currency-mismatch"),
        ("bo", "/v1/holds/nonsense/captures".to_owned(), json!({}), "unknown-hold"),
        // An id of a payment is none of a hold.
        ("bo", format!("/v1/holds/{payment}/captures"), json!({}), "unknown-hold"),
        ("bo", "/v1/payments/nonsense/refunds".to_owned(), json!({}), "unknown-payment"),
        ("bo", format!("/v1/payments/{payment}/refunds"), json!({"movement": 1}), "no-such-leg"),
        (
            "bo",
            format!("/v1/payments/{payment}/refunds"),
            json!({"amount": "1.00", "currency": "USD"}),
            "currency-mismatch",
        ),
        ("operator", format!("/v1/payments/{}/reversal", id(&placed)), json!({}), "unknown-payment"),
    ] {
        let answer = post(&bank, who, &path, &body).await;
        assert_eq!(answer.slug(), slug, "{who} {path} {body}: {}", answer.text());
    }
    assert_eq!(bank.get("ada", "/v1/holds/nonsense").await.slug(), "unknown-hold");
}

#[tokio::test]
async fn a_hold_gets_more_time_from_its_payer() {
    let bank = Bank::new().await;
    let mut short = hold(&bank, "60.00");
    short["expires_at"] = json!(moment_after(&bank, 10_000));
    let path = format!("/v1/holds/{}", id(&post(&bank, "ada", "/v1/holds", &short).await));
    let extension = format!("{path}/extension");
    let until = |ms| json!({"expires_at": moment_after(&bank, ms)});
    for (who, ms, slug) in [
        ("bo", 60_000, "no-right"),
        ("reader", 60_000, "read-only-right"),
        ("sig", 60_000, "above-signatory-limit"),
        ("auditor", 60_000, "not-allowed"),
        ("ada", 10_000, "hold-not-longer"),
        ("ada", 9_999, "hold-not-longer"),
    ] {
        assert_eq!(post(&bank, who, &extension, &until(ms)).await.slug(), slug, "{who}");
    }
    let (first, second) = (until(60_000), until(120_000));
    let extended = post_under(&bank, "ada", "more", &extension, &first).await;
    assert_eq!(extended.status, 200, "{}", extended.text());
    assert_eq!(bank.get("bo", &path).await.json(), extended.json());
    assert_eq!(post(&bank, "operator", &extension, &second).await.status, 200);
    let again = post_under(&bank, "ada", "more", &extension, &first).await;
    assert_eq!((again.status, again.json()), (200, extended.json()), "a retry tells the time that it asked for");
    bank.let_time_pass_ms(100_000);
    assert_eq!(post(&bank, "bo", &format!("{path}/captures"), &json!({})).await.status, 201);
    assert_eq!(post(&bank, "ada", &extension, &until(300_000)).await.slug(), "hold-not-open");
}
