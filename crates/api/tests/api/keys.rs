//! Idempotency keys and early refusals: whatever is understood as a request is remembered under its key, whatever refused
//! it, for every write that takes a key.

use bank::{AccessCommand, AccessEvent, Body, Caller, Command, Origin, What};
use engine::{Field, NewSubject, Outcome, Submission};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::bank_under_test::{Answer, Bank, Call};

/// An account of another bank, and what is none.
const FOREIGN: &str = "DE89370400440532013000";
const MISTYPED: &str = "AT000000000000000000";

/// A request that is refused, and how.
struct Row {
    who: &'static str,
    method: &'static str,
    path: String,
    body: Value,
    slug: &'static str,
}

fn row(who: &'static str, call: &str, body: Value, slug: &'static str) -> Row {
    let (method, path) = call.split_once(' ').unwrap();
    let method = ["POST", "PUT", "DELETE"].into_iter().find(|known| *known == method).unwrap();
    Row { who, method, path: path.to_owned(), body, slug }
}

/// A body with one field changed.
fn with(body: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[field] = value.into();
    body
}

async fn send(bank: &Bank, row: &Row, key: &str, end: &str, body: &Value) -> Answer {
    let call = Call::new(row.method, &format!("{}{end}", row.path)).by(bank, row.who).key(key);
    bank.send(if body.is_null() { call } else { call.json(body) }).await
}

/// A row for each kind of early refusal of each write.
#[allow(clippy::too_many_lines, reason = "a table")]
async fn rows(bank: &Bank) -> Vec<Row> {
    let pay = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR", "text": "rent"});
    let hold = with(&pay, "expires_at", "2027-01-01T00:00:00Z");
    let payment = bank.pay("ada", "1.00", "").await.json()["id"].as_str().unwrap().to_owned();
    let held = Call::new("POST", "/v1/holds").by(bank, "ada").key(&bank.fresh_key()).json(&hold);
    let held = bank.send(held).await.json()["id"].as_str().unwrap().to_owned();
    let none = "0".repeat(32);
    let cash = json!({"account": bank.ada, "amount": "1.00", "currency": "EUR"});
    let account = json!({"currency": "EUR", "owner": 1});
    let long = "x".repeat(141);
    let pairs: Value =
        (0..21).map(|number| (format!("k{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let desk = bank.open_account("operator", &json!({"currency": "EUR", "kind": "asset"})).await;
    let user = json!({"name": "n", "password": "twelve chars", "role": "auditor"});
    let mut rows = Vec::new();
    for (field, value, slug) in [
        ("to", json!(FOREIGN), "other-bank"),
        ("to", json!(MISTYPED), "invalid-iban"),
        ("from", json!(bank.unopened()), "unknown-account"),
        ("currency", json!("eur"), "unknown-currency"),
        ("amount", json!("1,00"), "invalid-amount"),
        ("amount", json!("1.001"), "amount-too-precise"),
        ("amount", json!("0.00"), "amount-not-positive"),
        ("text", json!(long), "invalid-request"),
        ("text", json!(" "), "invalid-request"),
        ("metadata", pairs, "invalid-request"),
    ] {
        rows.push(row("ada", "POST /v1/payments", with(&pay, field, value.clone()), slug));
        rows.push(row("ada", "POST /v1/holds", with(&hold, field, value), slug));
    }
    let id = json!("x".repeat(36));
    rows.push(row("ada", "POST /v1/payments", with(&pay, "end_to_end_id", id), "invalid-request"));
    let booking = json!({"from": bank.ada, "to": bank.ada, "amount": "1.00", "currency": "EUR", "reason": "a reason"});
    for (field, value, slug) in [
        ("to", json!(FOREIGN), "other-bank"),
        ("from", json!(MISTYPED), "invalid-iban"),
        ("from", json!(bank.unopened()), "unknown-account"),
        ("currency", json!("eur"), "unknown-currency"),
        ("amount", json!("1,00"), "invalid-amount"),
        ("reason", json!(" "), "invalid-request"),
        ("to", json!(bank.bo), "between-customers"),
        ("to", json!(desk), "not-income-or-expense"),
    ] {
        rows.push(row("operator", "POST /v1/bookings", with(&booking, field, value), slug));
    }
    let more = json!([{"from": bank.ada, "to": FOREIGN, "amount": "1.00", "currency": "EUR"}]);
    rows.push(row("ada", "POST /v1/payments", with(&pay, "more", more), "other-bank"));
    rows.push(row("ada", "POST /v1/holds", with(&hold, "expires_at", "tomorrow"), "invalid-request"));
    rows.push(row("ada", "POST /v1/holds", with(&hold, "expires_at", "2020-01-01T00:00:00Z"), "hold-expired"));
    for path in ["POST /v1/deposits", "POST /v1/withdrawals"] {
        for (field, value, slug) in [
            ("account", FOREIGN, "other-bank"),
            ("account", MISTYPED, "invalid-iban"),
            ("currency", "EURO", "unknown-currency"),
            ("currency", "USD", "no-cash-account"),
            ("amount", "1.001", "amount-too-precise"),
            ("text", &long, "invalid-request"),
        ] {
            rows.push(row("operator", path, with(&cash, field, value), slug));
        }
    }
    for (from, time_zone, slug) in [
        ("tomorrow", "Europe/Vienna", "invalid-request"),
        ("2027-01-01", "Europe/Atlantis", "unknown-time-zone"),
        ("2026-01-01", "Europe/Vienna", "day-has-begun"),
        ("2027-01-01", "UTC", "same-time-zone"),
    ] {
        let body = json!({"from": from, "time_zone": time_zone});
        rows.push(row("operator", "POST /v1/time-zones", body, slug));
    }
    let of_payment = |what: &str| format!("POST /v1/payments/{payment}/{what}");
    let of_hold = |what: &str| format!("POST /v1/holds/{held}/{what}");
    let later = json!({"expires_at": "2027-02-01T00:00:00Z"});
    rows.extend([
        row("bo", &of_payment("refunds"), json!({"amount": "1.00"}), "amount-incomplete"),
        row("bo", &of_payment("refunds"), json!({"amount": "1.001", "currency": "EUR"}), "amount-too-precise"),
        row("bo", &of_payment("refunds"), json!({"text": long}), "invalid-request"),
        row("bo", &of_payment("refunds"), json!({"movement": 7}), "no-such-leg"),
        row("bo", &format!("POST /v1/payments/{none}/refunds"), json!({}), "unknown-payment"),
        row("operator", &of_payment("reversal"), json!({"text": long}), "invalid-request"),
        row("operator", &format!("POST /v1/payments/{none}/reversal"), json!({}), "unknown-payment"),
        row("bo", &of_hold("captures"), json!({"currency": "EUR"}), "amount-incomplete"),
        row("bo", &of_hold("captures"), json!({"amount": "x", "currency": "EUR"}), "invalid-amount"),
        row("bo", &format!("POST /v1/holds/{none}/captures"), json!({}), "unknown-hold"),
        row("bo", &format!("POST /v1/holds/{none}/void"), Value::Null, "unknown-hold"),
        row("ada", &of_hold("extension"), json!({"expires_at": "later"}), "invalid-request"),
        row("ada", &format!("POST /v1/holds/{none}/extension"), later, "unknown-hold"),
        row("operator", "POST /v1/customers", json!({"name": " "}), "invalid-request"),
        row("operator", "POST /v1/users", with(&user, "name", ""), "invalid-request"),
        row("operator", "POST /v1/users", with(&user, "password", "short"), "invalid-request"),
        row("operator", "POST /v1/users", with(&user, "customer", 99), "unknown-customer"),
        row("ada", "POST /v1/users", user, "not-allowed"),
        row("operator", "POST /v1/accounts", with(&account, "number", 0), "invalid-request"),
        row("operator", "POST /v1/accounts", with(&account, "currency", "XYZ"), "unknown-currency"),
        row("operator", "POST /v1/accounts", with(&account, "overdraft", "-1"), "invalid-amount"),
        row("operator", "POST /v1/accounts", with(&account, "overdraft", "0.001"), "amount-too-precise"),
        row("operator", "POST /v1/accounts", with(&account, "name", long.as_str()), "invalid-request"),
        row("operator", "POST /v1/accounts", with(&account, "owner", 99), "unknown-customer"),
        row("operator", "POST /v1/accounts", with(&account, "overdraft", "unlimited"), "overdraft-without-limit"),
        row("operator", "POST /v1/accounts", with(&account, "kind", "income"), "not-a-customers-account"),
    ]);
    let of = |iban: &str, what: &str| format!("PUT /v1/accounts/{iban}/{what}");
    let (ada, owner) = (bank.ada.as_str(), json!({"right": "owner"}));
    let signatory = |limit: &str| json!({"right": "signatory", "limit": limit});
    rows.extend([
        row("ada", &of(ada, "name"), json!({"name": long}), "invalid-request"),
        row("ada", &of(FOREIGN, "name"), json!({"name": "x"}), "other-bank"),
        row("operator", &of(MISTYPED, "status"), json!({"status": "open"}), "invalid-iban"),
        row("operator", &of(FOREIGN, "overdraft"), json!({"overdraft": "1"}), "other-bank"),
        row("operator", &of(ada, "overdraft"), json!({"overdraft": "1.001"}), "amount-too-precise"),
        row("operator", &of(ada, "overdraft"), json!({"overdraft": "-1"}), "invalid-amount"),
        row("operator", &of(ada, "overdraft"), json!({"overdraft": "unlimited"}), "overdraft-without-limit"),
        row("operator", &of(FOREIGN, "rights/2"), owner.clone(), "other-bank"),
        row("operator", &of(ada, "rights/x"), owner, "unknown-customer"),
        row("operator", &of(ada, "rights/2"), signatory("x"), "invalid-amount"),
        row("operator", &of(ada, "rights/2"), signatory("0"), "amount-not-positive"),
        row("operator", &of(ada, "rights/2"), json!({"right": "owner", "limit": "1"}), "limit-needs-signatory"),
        row("operator", &format!("DELETE /v1/accounts/{FOREIGN}/rights/2"), Value::Null, "other-bank"),
        row("operator", &format!("DELETE /v1/accounts/{ada}/rights/x"), Value::Null, "unknown-customer"),
    ]);
    rows
}

/// Another request of the same user, which would be carried out under a key of its own.
fn other(bank: &Bank, who: &str) -> (&'static str, &'static str, Value) {
    match who {
        "operator" => ("POST", "/v1/customers", json!({"name": "Cy"})),
        _ => {
            let amount = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR"});
            ("POST", "/v1/payments", amount)
        }
    }
}

#[tokio::test]
async fn whatever_refuses_a_request_it_is_remembered() {
    let bank = Bank::new().await;
    let rows = rows(&bank).await;
    for (number, row) in rows.iter().enumerate() {
        let told = format!("{} {} {} {}", row.who, row.method, row.path, row.body);
        let key = format!("row-{number}");
        let has_dry_run =
            ["/payments", "/holds", "/deposits", "/withdrawals", "/refunds", "/reversal", "/captures", "/bookings"]
                .iter()
                .any(|path| row.path.ends_with(path));
        if has_dry_run {
            // A dry run is told the same, and remembers nothing.
            for _ in 0..2 {
                let dry = send(&bank, row, &key, "/dry-run", &row.body).await;
                assert_eq!((dry.slug().as_str(), dry.header("idempotency-replayed")), (row.slug, ""), "{told}");
            }
        }
        let first = send(&bank, row, &key, "", &row.body).await;
        assert_eq!(
            (first.slug().as_str(), first.header("idempotency-replayed")),
            (row.slug, ""),
            "{told}: {}",
            first.text()
        );

        let (method, path, body) = other(&bank, row.who);
        let call = Call::new(method, path).by(&bank, row.who).key(&key).json(&body);
        let reused = bank.send(call).await;
        assert_eq!((reused.status, reused.slug().as_str()), (409, "key-reused"), "{told}");

        let again = send(&bank, row, &key, "", &row.body).await;
        assert_eq!((again.status, again.json()), (first.status, first.json()), "{told}");
        assert_eq!(again.header("idempotency-replayed"), "true", "{told}");
        if has_dry_run && !row.path.ends_with("/holds") && first.status != 400 {
            let found = bank.get(row.who, &format!("/v1/payments/by-key/{key}")).await;
            assert_eq!(found.slug(), row.slug, "who lost the answer finds it by its key: {told}");
        }
    }
}

/// The case as it was found: another payee and another amount under the key of a payment that was refused.
#[tokio::test]
async fn the_key_of_a_refused_payment_pays_nobody_else() {
    let bank = Bank::new().await;
    let pay = |to: &str, amount: &str| {
        let body = json!({"from": bank.ada, "to": to, "amount": amount, "currency": "EUR"});
        bank.send(Call::new("POST", "/v1/payments").by(&bank, "ada").key("rent").json(&body))
    };
    let refused = pay(FOREIGN, "10.00").await;
    assert_eq!((refused.status, refused.slug().as_str()), (422, "other-bank"));
    let other = pay(&bank.bo, "20.00").await;
    assert_eq!((other.status, other.slug().as_str()), (409, "key-reused"));
    let found = bank.get("ada", "/v1/payments/by-key/rent").await;
    assert_eq!((found.slug().as_str(), found.header("idempotency-replayed")), ("other-bank", "true"));
    let balance = bank.get("ada", &format!("/v1/accounts/{}/balance", bank.ada)).await.json();
    assert_eq!(balance["posted"], "100.00");
}

/// What the description says is not remembered: a key is free after it.
#[tokio::test]
async fn what_is_no_request_leaves_its_key_free() {
    let bank = Bank::new().await;
    let good = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR"});
    let json_type = "application/json";
    let call = |key: &str| Call::new("POST", "/v1/payments").by(&bank, "ada").key(key);
    for (key, bad, slug) in [
        ("json", call("json").header("content-type", json_type).body("{\"from\":"), "malformed-json"),
        ("field", call("field").json(&with(&good, "colour", "red")), "invalid-request"),
        ("type", call("type").json(&with(&good, "amount", 1)), "invalid-request"),
        ("missing", call("missing").json(&json!({"from": bank.ada})), "invalid-request"),
        ("media", call("media").header("content-type", "text/plain").body(&good.to_string()), "unsupported-media-type"),
        ("large", call("large").json(&with(&good, "text", "x".repeat(64 * 1024))), "body-too-large"),
        ("nobody", Call::new("POST", "/v1/payments").key("nobody").json(&good), "not-signed-in"),
    ] {
        assert_eq!(bank.send(bad).await.slug(), slug, "{key}");
        let paid = bank.send(call(key).json(&good)).await;
        assert_eq!(paid.status, 201, "{key}: {}", paid.text());
    }
    let said = bank.send(Call::new("GET", "/openapi.json")).await.json();
    let parameters = said["paths"]["/v1/payments"]["post"]["parameters"].as_array().unwrap().clone();
    let key = parameters.into_iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
    assert!(key["description"].as_str().unwrap().contains("not remembered"), "{key}");
}

/// A user's password takes no part in what a request is remembered as, but for a length that is refused.
#[tokio::test]
async fn a_better_password_is_another_request() {
    let bank = Bank::new().await;
    let add = |password: &str| {
        let body = json!({"name": "New", "password": password, "role": "auditor"});
        bank.send(Call::new("POST", "/v1/users").by(&bank, "operator").key("user").json(&body))
    };
    assert_eq!(add("short").await.slug(), "invalid-request");
    assert_eq!(add("also short").await.header("idempotency-replayed"), "true");
    assert_eq!(add("twelve chars").await.slug(), "key-reused");
}

/// What was carried out stays carried out under its key, though today's rules would refuse it before it is decided: the
/// outcome is told again, and nothing is done twice.
#[tokio::test]
async fn what_older_rules_allowed_is_told_again() {
    let bank = Bank::new().await;
    let user = bank.engine.peek(|state| state.user_named(bank.engine.name_index("operator"))).unwrap().unwrap();
    let operator = Caller { user, session: Some(bank.engine.token_hash(bank.token("operator"))) };
    let canonical = "POST /v1/customers\n{\"name\":\"\"}";
    let request = bank.engine.request(operator.user, b"of-older-rules", canonical.as_bytes());
    let subject = NewSubject::generate();
    let body = Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, "") });
    let command = Command { origin: Origin::default(), caller: operator, request: Some(request), body };
    let submission = Submission { command, subject: Some(subject), past: None, rivals: None };
    let Outcome::Accepted(receipt) = bank.engine.submit(submission).await.unwrap() else { panic!("refused") };
    let What::Access(AccessEvent::CustomerAdded { id, .. }) = receipt.what else { panic!("{:?}", receipt.what) };
    let ask = async |key: &str| {
        let call = Call::new("POST", "/v1/customers").by(&bank, "operator").key(key).json(&json!({"name": ""}));
        // Today's description has no such request, so it is not compared with it.
        Answer::of(bank.router.clone().oneshot(call.request()).await.unwrap()).await
    };
    let told = ask("of-older-rules").await;
    assert_eq!((told.status, told.header("idempotency-replayed")), (201, "true"), "{}", told.text());
    assert_eq!(told.json()["id"], json!(id.0));
    assert_eq!(ask("of-today").await.slug(), "invalid-request");
}

/// A key stands for one thing, however close a batch and a single request come: both have looked before either is decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_and_a_single_request_race_for_a_key() {
    let bank = Bank::new().await;
    let payment = json!({"from": bank.ada, "to": bank.bo, "amount": "0.01", "currency": "EUR"});
    let mut paid = 0;
    for round in 0..120 {
        let key = format!("race-{round}");
        let single = Call::new("POST", "/v1/payments").by(&bank, "ada").key(&key).json(&payment);
        let path = if round % 2 == 0 { "/v1/batches" } else { "/v1/batches?atomic=true" };
        let batch = Call::new("POST", path).by(&bank, "ada").key(&key).header("content-type", "application/x-ndjson");
        let batch = batch.body(&format!("{payment}\n"));
        // By turns the one or the other comes a little later.
        let wait = move |turn: bool| async move {
            for _ in 0..if turn { round } else { 0 } {
                tokio::task::yield_now().await;
            }
        };
        let (router, request) = (bank.router.clone(), single.request());
        let single = tokio::spawn(async move {
            wait(round % 4 < 2).await;
            Answer::of(router.oneshot(request).await.unwrap()).await
        });
        let (router, request) = (bank.router.clone(), batch.request());
        let batch = tokio::spawn(async move {
            wait(round % 4 >= 2).await;
            Answer::of(router.oneshot(request).await.unwrap()).await
        });
        let (single, batch) = (single.await.unwrap(), batch.await.unwrap());
        let booked = (single.status == 201, batch.text().contains("\"accepted\":1"));
        assert!(booked.0 != booked.1, "{key}: {}\n{}", single.text(), batch.text());
        let refused = if booked.0 { batch.text() } else { single.text() };
        assert!(refused.contains("/problems/key-reused"), "{key}: {refused}");
        paid += 1;
    }
    let balance = bank.get("ada", &format!("/v1/accounts/{}/balance", bank.ada)).await.json();
    assert_eq!(balance["posted"], format!("{}.{:02}", (10_000 - paid) / 100, (10_000 - paid) % 100));
}
