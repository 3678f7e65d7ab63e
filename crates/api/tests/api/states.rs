//! Tests of holds and payments: their states, what was captured and refunded of them, and what led to what.

use std::path::Path;

use serde_json::{Value, json};

use crate::bank_under_test::{Answer, Bank, Call};
use crate::conformance::DESCRIPTION;

async fn post(bank: &Bank, who: &str, path: &str, body: &Value) -> Value {
    let answer = asked(bank, who, path, body).await;
    assert!([200, 201].contains(&answer.status), "{who} {path}: {}", answer.text());
    answer.json()
}

async fn asked(bank: &Bank, who: &str, path: &str, body: &Value) -> Answer {
    let call = Call::new("POST", path).by(bank, who).key(&bank.fresh_key());
    bank.send(if body.is_null() { call } else { call.json(body) }).await
}

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn in_days(bank: &Bank, days: i64) -> String {
    let now: jiff::Timestamp = bank.moment().parse().unwrap();
    jiff::Timestamp::from_millisecond(now.as_millisecond() + days * 86_400_000).unwrap().to_string()
}

/// Places a hold of 10.00 from Ada to Bo, and gives its address.
async fn place(bank: &Bank) -> String {
    let hold = json!({
        "from": bank.ada, "to": bank.bo, "amount": "10.00", "currency": "EUR", "text": "Deposit for a car",
        "metadata": { "order": "roof-77123" }, "expires_at": in_days(bank, 7),
    });
    let placed = post(bank, "ada", "/v1/holds", &hold).await;
    assert_eq!(
        (&placed["state"], &placed["captured"], &placed["remaining"], &placed["closed_at"], &placed["captures"]),
        (&json!("authorised"), &json!("0.00"), &json!("10.00"), &Value::Null, &json!([]))
    );
    assert_eq!(placed["placed_at"], placed_at(bank));
    format!("/v1/holds/{}", placed["id"].as_str().unwrap())
}

/// The bank's time as it is shown.
fn placed_at(bank: &Bank) -> Value {
    json!(format!("{:.3}", bank.moment().parse::<jiff::Timestamp>().unwrap()))
}

async fn capture(bank: &Bank, hold: &str, amount: &str, last: bool) -> String {
    let body = json!({"amount": amount, "currency": "EUR", "last": last});
    let taken = post(bank, "bo", &format!("{hold}/captures"), &body).await;
    assert_eq!((&taken["state"], &taken["text"]), (&json!("booked"), &json!("Deposit for a car")));
    assert_eq!(format!("/v1/holds/{}", taken["hold"].as_str().unwrap()), hold);
    taken["id"].as_str().unwrap().to_owned()
}

/// State, amounts captured and remaining, and captures; and whether it tells when it was closed, as it must.
async fn told(bank: &Bank, hold: &str) -> Value {
    let told = bank.get("bo", hold).await.json();
    assert_eq!(told["closed_at"].is_null(), told["status"] == "open", "{told}");
    json!([told["state"], told["captured"], told["remaining"], told["captures"]])
}

#[tokio::test]
async fn a_hold_tells_its_state_for_ever() {
    let mut bank = Bank::new().await;
    let mut expected = Vec::new();
    let open = place(&bank).await;
    expected.push((open.clone(), json!(["authorised", "0.00", "10.00", []])));
    let partly = place(&bank).await;
    let first = capture(&bank, &partly, "2.50", false).await;
    expected.push((partly.clone(), json!(["partly-captured", "2.50", "7.50", [first]])));
    let whole = place(&bank).await;
    let (one, two) = (capture(&bank, &whole, "4.00", false).await, capture(&bank, &whole, "6.00", false).await);
    expected.push((whole, json!(["captured", "10.00", "0.00", [one, two]])));
    let rest_let_go = place(&bank).await;
    let (one, two) =
        (capture(&bank, &rest_let_go, "4.00", false).await, capture(&bank, &rest_let_go, "1.00", true).await);
    expected.push((rest_let_go, json!(["captured", "5.00", "0.00", [one, two]])));
    let untouched = place(&bank).await;
    post(&bank, "bo", &format!("{untouched}/void"), &Value::Null).await;
    expected.push((untouched, json!(["voided", "0.00", "0.00", []])));
    let partly_voided = place(&bank).await;
    let one = capture(&bank, &partly_voided, "3.00", false).await;
    let voided = post(&bank, "bo", &format!("{partly_voided}/void"), &Value::Null).await;
    assert_eq!(
        (&voided["state"], &voided["captured"], &voided["captures"]),
        (&json!("voided"), &json!("3.00"), &json!([one]))
    );
    assert_eq!(voided["closed_at"], placed_at(&bank));
    expected.push((partly_voided, json!(["voided", "3.00", "0.00", [one]])));
    for (hold, told_now) in &expected {
        assert_eq!(told(&bank, hold).await, *told_now, "{hold}");
    }
    // The state is the same after a restart, without the checkpoint, and with an index made again from the journal.
    let remove = |data: &Path, name: &str| {
        for file in std::fs::read_dir(data).unwrap().flatten() {
            if file.file_name().to_string_lossy().starts_with(name) {
                let path = file.path();
                if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
            }
        }
    };
    for lost in ["nothing", "checkpoint", "history"] {
        bank.restart(|data| remove(data, lost));
        for (hold, told_now) in &expected {
            assert_eq!(told(&bank, hold).await, *told_now, "{hold}, without {lost}");
        }
    }
    // And those still open end by their time.
    bank.let_time_pass_ms(8 * 86_400_000);
    for who in ["ada", "bo"] {
        bank.sign_in_again(who).await;
    }
    assert_eq!(told(&bank, &open).await, json!(["expired", "0.00", "0.00", []]));
    assert_eq!(told(&bank, &partly).await, json!(["expired", "2.50", "0.00", [first]]));
}

#[tokio::test]
async fn the_payee_sees_holds_towards_them_without_the_payers_notes() {
    let bank = Bank::new().await;
    let (first, second) = (place(&bank).await, place(&bank).await);
    capture(&bank, &second, "1.00", false).await;
    let list = async |who: &str, iban: &str, query: &str| {
        let listed = bank.get(who, &format!("/v1/accounts/{iban}/holds{query}")).await;
        assert_eq!(listed.status, 200, "{}", listed.text());
        let holds = listed.json()["holds"].as_array().unwrap().clone();
        let shown = holds.iter().map(|hold| {
            let notes = hold["metadata"]["order"] == "roof-77123";
            (format!("/v1/holds/{}", hold["id"].as_str().unwrap()), hold["role"].as_str().unwrap().to_owned(), notes)
        });
        shown.collect::<Vec<_>>()
    };
    let of = |holds: &[&String], role: &str, notes: bool| {
        holds.iter().map(|hold| ((*hold).clone(), role.to_owned(), notes)).collect::<Vec<_>>()
    };
    for (who, iban, query, expected) in [
        ("ada", &bank.ada, "", of(&[&first, &second], "payer", true)),
        ("ada", &bank.ada, "?role=payee", of(&[], "payee", true)),
        ("bo", &bank.bo, "", of(&[], "payer", false)),
        ("bo", &bank.bo, "?role=payee", of(&[&first, &second], "payee", false)),
        ("bo", &bank.bo, "?role=any", of(&[&first, &second], "payee", false)),
        ("bo", &bank.bo, "?role=payee&state=authorised", of(&[&first], "payee", false)),
        ("bo", &bank.bo, "?role=payee&state=partly-captured", of(&[&second], "payee", false)),
        ("auditor", &bank.bo, "?role=payee&limit=1", of(&[&first], "payee", true)),
    ] {
        assert_eq!(list(who, iban, query).await, expected, "{who} {query}");
    }
    assert_eq!(bank.get("stranger", &format!("/v1/accounts/{}/holds?role=payee", bank.bo)).await.slug(), "no-right");
    assert_eq!(bank.get("bo", &format!("/v1/accounts/{}/holds?state=voided", bank.bo)).await.status, 400);
}

/// State, amount refunded, and what undid it.
async fn undone(bank: &Bank, payment: &str) -> Value {
    let told = bank.get("ada", &format!("/v1/payments/{payment}")).await.json();
    json!([told["state"], told["refunded"], told.get("undone_by").cloned().unwrap_or(json!([]))])
}

async fn refund(bank: &Bank, payment: &str, amount: &str) -> String {
    let back = post(bank, "bo", &format!("/v1/payments/{payment}/refunds"), &eur(amount)).await;
    assert_eq!((&back["undoes"], &back["state"]), (&json!(payment), &json!("booked")));
    back["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_payment_tells_what_was_given_back_of_it() {
    let mut bank = Bank::new().await;
    let paid = async |amount: &str| bank.pay("ada", amount, "").await.json()["id"].as_str().unwrap().to_owned();
    let (stands, partly, whole, reversed) =
        (paid("1.00").await, paid("2.00").await, paid("3.00").await, paid("4.00").await);
    let hold = place(&bank).await;
    let captured = capture(&bank, &hold, "5.00", false).await;
    let part = refund(&bank, &partly, "0.50").await;
    let (one, two) = (refund(&bank, &whole, "1.00").await, refund(&bank, &whole, "2.00").await);
    let of_capture = refund(&bank, &captured, "5.00").await;
    let reversal = post(&bank, "operator", &format!("/v1/payments/{reversed}/reversal"), &json!({})).await;
    assert_eq!(reversal["undoes"], json!(reversed));
    // What can't be undone is not, and is told as before.
    for (payment, what, slug) in [
        (&part, "refunds", "not-undoable"),
        (&of_capture, "reversal", "not-undoable"),
        (&partly, "reversal", "already-refunded"),
        (&reversed, "refunds", "already-reversed"),
    ] {
        let path = format!("/v1/payments/{payment}/{what}");
        assert_eq!(asked(&bank, "operator", &path, &json!({})).await.slug(), slug);
    }
    let expected = [
        (&stands, json!(["booked", "0.00", []])),
        (&partly, json!(["partly-refunded", "0.50", [part]])),
        (&whole, json!(["refunded", "3.00", [one, two]])),
        (&captured, json!(["refunded", "5.00", [of_capture]])),
        (&reversed, json!(["reversed", "0.00", [reversal["id"]]])),
        (&part, json!(["booked", "0.00", []])),
    ];
    for lost in ["", "history"] {
        for (payment, told) in &expected {
            assert_eq!(undone(&bank, payment).await, *told, "without {lost}");
        }
        bank.restart(|data| drop(std::fs::remove_dir_all(data.join("history"))));
    }
    // The hold doesn't come back by a refund of its capture.
    assert_eq!(told(&bank, &hold).await, json!(["partly-captured", "5.00", "5.00", [captured]]));
    for (state, ids) in [
        ("partly-refunded", vec![&partly]),
        ("refunded", vec![&captured, &whole]),
        ("reversed", vec![&reversed]),
        ("booked&purpose=payment", vec![&stands]),
    ] {
        let listed = bank.get("ada", &format!("/v1/payments?state={state}")).await.json();
        let listed: Vec<_> = listed["payments"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
        assert_eq!(json!(listed), json!(ids), "{state}");
    }
    let found = bank.get("ada", "/v1/payments?text=car").await.json();
    assert_eq!(found["payments"][0]["id"], json!(captured), "the text of a capture is its hold's");
}

#[tokio::test]
async fn each_movement_tells_what_was_given_back_of_it() {
    let bank = Bank::new().await;
    let more = json!([{"from": bank.ada, "to": bank.bo, "amount": "2.00", "currency": "EUR"}]);
    let body = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR", "more": more});
    let payment = post(&bank, "ada", "/v1/payments", &body).await["id"].as_str().unwrap().to_owned();
    let refunds = format!("/v1/payments/{payment}/refunds");
    post(&bank, "bo", &refunds, &json!({"amount": "2.00", "currency": "EUR", "movement": 1})).await;
    let told = bank.get("ada", &format!("/v1/payments/{payment}")).await.json();
    assert_eq!(
        (&told["state"], &told["refunded"], &told["more"][0]["refunded"]),
        (&json!("partly-refunded"), &json!("0.00"), &json!("2.00"))
    );
    post(&bank, "bo", &refunds, &eur("1.00")).await;
    assert_eq!(bank.get("ada", &format!("/v1/payments/{payment}")).await.json()["state"], "refunded");
}

#[tokio::test]
async fn entries_tell_the_hold_its_text_and_the_state() {
    let bank = Bank::new().await;
    let hold = place(&bank).await;
    let captured = capture(&bank, &hold, "5.00", true).await;
    let back = refund(&bank, &captured, "1.00").await;
    let account = format!("/v1/accounts/{}", bank.bo);
    let entries = bank.get("bo", &format!("{account}/entries")).await.json();
    let [refunded, taken] = [&entries["entries"][0], &entries["entries"][1]];
    assert_eq!(
        (&refunded["payment"], &refunded["undoes"], &refunded["state"], &refunded["text"]),
        (&json!(back), &json!(captured), &json!("booked"), &Value::Null)
    );
    assert_eq!(
        (&taken["payment"], &taken["state"], &taken["text"]),
        (&json!(captured), &json!("partly-refunded"), &json!("Deposit for a car"))
    );
    assert_eq!(format!("/v1/holds/{}", taken["hold"].as_str().unwrap()), hold);
    let found = bank.get("bo", &format!("{account}/entries?text=CAR")).await.json();
    assert_eq!(found["entries"], json!([taken]), "by the hold's text");
    let day = &bank.moment()[..10];
    let csv = bank.get("bo", &format!("{account}/statement.csv?from={day}&to={day}")).await.text();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].ends_with(",hold,undoes"), "{csv}");
    let id = hold.rsplit('/').next().unwrap();
    assert!(lines[2].contains(",capture,Deposit for a car,") && lines[2].ends_with(&format!(",{id},")), "{csv}");
    assert!(lines[3].ends_with(&format!(",,{captured}")), "{csv}");
    let statement = bank.get("bo", &format!("{account}/statement?from={day}&to={day}")).await.json();
    assert_eq!(statement["entries"][0].get("state"), None, "a statement never changes");
}

#[tokio::test]
async fn captured_and_voided_at_once_a_hold_is_one_of_the_two() {
    let bank = Bank::new().await;
    for _ in 0..8 {
        let hold = place(&bank).await;
        let (captures, void) = (format!("{hold}/captures"), format!("{hold}/void"));
        let all = json!({"amount": "1.00", "currency": "EUR", "last": true});
        let (taken, voided) =
            tokio::join!(asked(&bank, "bo", &captures, &all), asked(&bank, "bo", &void, &Value::Null));
        let expected = match (taken.status, voided.status) {
            (201, 422) => json!(["captured", "1.00", "0.00", [taken.json()["id"]]]),
            (422, 200) => json!(["voided", "0.00", "0.00", []]),
            other => panic!("{other:?}: {} {}", taken.text(), voided.text()),
        };
        assert_eq!(told(&bank, &hold).await, expected);
    }
}

#[tokio::test]
async fn a_hold_ends_within_the_days_that_it_may() {
    let bank = Bank::new().await;
    let hold = |expires_at: String| json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR", "expires_at": expires_at});
    let far = asked(&bank, "ada", "/v1/holds", &hold(in_days(&bank, 401))).await;
    assert_eq!((far.status, far.slug().as_str()), (422, "hold-too-long"), "{}", far.text());
    let said = json!([{"field": "expires_at", "detail": "a hold ends within 400 days from now"}]);
    assert_eq!(far.json()["errors"], said);
    let placed = post(&bank, "ada", "/v1/holds", &hold(in_days(&bank, 400))).await;
    let extension = format!("/v1/holds/{}/extension", placed["id"].as_str().unwrap());
    let far = asked(&bank, "ada", &extension, &json!({"expires_at": in_days(&bank, 401)})).await;
    assert_eq!((far.status, &far.json()["errors"]), (422, &said));
    let shorter = Bank::with(api::Limits { hold_days: 7, ..api::Limits::default() }).await;
    let mut week = hold(in_days(&shorter, 8));
    (week["from"], week["to"]) = (json!(shorter.ada), json!(shorter.bo));
    let far = asked(&shorter, "ada", "/v1/holds", &week).await;
    assert_eq!(far.json()["errors"][0]["detail"], "a hold ends within 7 days from now");
}

/// Tries over all routes that what an address names and is not there is not found, and what a body names can't be processed.
#[tokio::test]
async fn what_is_unknown_is_told_by_where_it_was_named() {
    let bank = Bank::new().await;
    let (unopened, none) = (bank.unopened(), "0".repeat(32));
    let in_path = |path: &str, name: &str| match (name, path.split('/').nth(2).unwrap_or_default()) {
        ("iban", _) => Some(unopened.clone()),
        ("customer", _) | ("id", "customers") => Some("99".to_owned()),
        ("id", _) => Some(none.clone()),
        ("key", _) => Some("never-used".to_owned()),
        _ => None,
    };
    let mut looked_at = 0;
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") || !path.contains('{') {
            continue;
        }
        for (method, said) in item.as_object().unwrap() {
            let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let filled = names.fold(path.clone(), |filled, name| {
                let value = in_path(path, name).unwrap_or_else(|| panic!("{path}: what {name} is not there?"));
                filled.replace(&format!("{{{name}}}"), &value)
            });
            let parameters = said["parameters"].as_array().into_iter().flatten();
            let required = parameters.filter(|it| it["in"] == "query" && it["required"] == true);
            let query: Vec<_> = required
                .map(|it| format!("{}={}", it["name"].as_str().unwrap(), it["example"].as_str().unwrap()))
                .collect();
            let mut call =
                Call::new(&method.to_uppercase(), format!("{filled}?{}", query.join("&")).trim_end_matches('?'))
                    .by(&bank, "operator")
                    .key(&bank.fresh_key());
            if let Some(content) = said["requestBody"]["content"].as_object() {
                let example = content["application/json"]["example"].to_string();
                call = call.json(&serde_json::from_str(&example.replace("2099-12-31T12", "2026-12-21T20")).unwrap());
            }
            let answer = bank.send(call).await;
            assert_eq!(answer.status, 404, "{method} {filled}: {}", answer.text());
            assert!(answer.slug().starts_with("unknown-"), "{method} {filled}: {}", answer.text());
            looked_at += 1;
        }
    }
    assert!(looked_at >= 25, "{looked_at} routes name something");
    let money = |from: &str, to: &str| json!({"from": from, "to": to, "amount": "1.00", "currency": "EUR"});
    let with = |mut body: Value, field: &str, value: Value| {
        body[field] = value;
        body
    };
    let (ada, bo) = (bank.ada.as_str(), bank.bo.as_str());
    let cash = json!({"account": unopened, "amount": "1.00", "currency": "EUR"});
    let expires_at = json!(in_days(&bank, 1));
    let user = json!({"name": "x", "password": "a long password", "role": "customer", "customer": 99});
    for (who, path, body, slug) in [
        ("ada", "/v1/payments", money(ada, &unopened), "unknown-account"),
        ("ada", "/v1/payments", with(money(ada, bo), "more", json!([money(&unopened, bo)])), "unknown-account"),
        ("ada", "/v1/payments/dry-run", money(&unopened, bo), "unknown-account"),
        ("ada", "/v1/holds", with(money(ada, &unopened), "expires_at", expires_at.clone()), "unknown-account"),
        ("ada", "/v1/holds/dry-run", with(money(ada, &unopened), "expires_at", expires_at), "unknown-account"),
        ("operator", "/v1/deposits", cash.clone(), "unknown-account"),
        ("operator", "/v1/withdrawals", cash, "unknown-account"),
        ("operator", "/v1/bookings", with(money(ada, &unopened), "reason", json!("x")), "unknown-account"),
        ("operator", "/v1/accounts", json!({"currency": "EUR", "owner": 99}), "unknown-customer"),
        ("operator", "/v1/users", user, "unknown-customer"),
    ] {
        let key = bank.fresh_key();
        let ask = || bank.send(Call::new("POST", path).by(&bank, who).key(&key).json(&body));
        for replayed in ["", if path.ends_with("dry-run") { "" } else { "true" }] {
            let answer = if path.ends_with("dry-run") { asked(&bank, who, path, &body).await } else { ask().await };
            let found = (answer.status, answer.slug(), answer.header("idempotency-replayed").to_owned());
            assert_eq!(found, (422, slug.to_owned(), replayed.to_owned()), "{path} {body}");
        }
        if path == "/v1/payments" {
            let again = bank.get(who, &format!("/v1/payments/by-key/{key}")).await;
            assert_eq!((again.status, again.slug().as_str()), (422, slug));
        }
    }
    let line = Call::new("POST", "/v1/batches").by(&bank, "ada").key(&bank.fresh_key());
    let line = line.header("content-type", "application/x-ndjson").body(&format!("{}\n", money(ada, &unopened)));
    let told = bank.send(line).await.text();
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&first["status"], &first["problem"]["type"]), (&json!(422), &json!("/problems/unknown-account")));
}
