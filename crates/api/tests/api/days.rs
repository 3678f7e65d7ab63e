//! The bank's days: what is booked around midnight, in a zone, at changes of the clocks and of the zone itself.

use serde_json::{Value, json};

use crate::bank_under_test::{Bank, Call, Limits};
use crate::check;

fn ms(moment: &str) -> i64 {
    moment.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// A bank of Vienna in the morning of a day.
async fn vienna(day: &str) -> Bank {
    Bank::founded(Limits::default(), Some("Europe/Vienna"), ms(&format!("{day}T10:00:00Z"))).await
}

/// Lets time pass until a moment.
async fn until(bank: &mut Bank, moment: &str) {
    bank.let_time_pass_ms(ms(moment) - ms(&bank.moment()));
    for who in ["ada", "operator"] {
        bank.sign_in_again(who).await;
    }
}

/// Ada pays 1.00, 2.00 and so on at these moments.
async fn pay_at(bank: &mut Bank, moments: &[&str]) {
    for (euros, moment) in (1..).zip(moments) {
        until(bank, moment).await;
        let paid = bank.pay("ada", &format!("{euros}.00"), "").await;
        assert_eq!(paid.status, 201, "{}", paid.text());
    }
}

/// One column of the entries of a list.
fn column(list: &Value, name: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
}

async fn statement(bank: &Bank, from: &str, to: &str) -> Value {
    bank.get("ada", &format!("/v1/accounts/{}/statement?from={from}&to={to}", bank.ada)).await.json()
}

/// Checks that some days have the payments of these amounts, in statements, entries and lists, and each value date.
async fn days_have(bank: &Bank, rows: &[(&str, &str, &[&str])]) {
    for (from, to, expected) in rows {
        let days = format!("from={from}&to={to}");
        let told = statement(bank, from, to).await;
        assert_eq!(column(&told["entries"], "amount"), *expected, "{days}");
        let dates = column(&told["entries"], "value_date");
        assert!(dates.iter().all(|date| *from <= date.as_str() && date.as_str() <= *to), "{days}: {dates:?}");
        let entries = bank.get("ada", &format!("/v1/accounts/{}/entries?{days}", bank.ada)).await.json();
        let mut amounts = column(&entries["entries"], "amount");
        amounts.reverse();
        assert_eq!(amounts, *expected, "{days}, entries");
        let listed = bank.get("ada", &format!("/v1/payments?{days}")).await.json();
        assert_eq!(listed["payments"].as_array().unwrap().len(), expected.len(), "{days}, payments");
        let csv = bank.get("ada", &format!("/v1/accounts/{}/statement.csv?{days}", bank.ada)).await.text();
        assert_eq!(csv.lines().filter(|line| line.starts_with("entry,")).count(), expected.len(), "{days}, CSV");
    }
}

#[tokio::test]
async fn a_payment_half_an_hour_after_midnight_is_of_the_new_month() {
    let mut bank = vienna("2026-10-20").await;
    let moments = [
        "2026-10-24T21:59:59.999Z", // 23:59:59.999 on the 24th
        "2026-10-24T22:00:00Z",     // 00:00 on the 25th, which has 25 hours
        "2026-10-25T22:59:59.999Z",
        "2026-10-25T23:00:00Z", // 00:00 on the 26th
        "2026-10-31T22:59:59.999Z",
        "2026-10-31T23:30:00Z", // 00:30 on 1 November
    ];
    pay_at(&mut bank, &moments).await;
    let days = bank.get("ada", "/v1/time-zones").await.json();
    assert_eq!((&days["today"], &days["time_zone"]), (&json!("2026-11-01"), &json!("Europe/Vienna")));
    days_have(
        &bank,
        &[
            ("2026-10-24", "2026-10-24", &["-1.00"]),
            ("2026-10-25", "2026-10-25", &["-2.00", "-3.00"]),
            ("2026-10-26", "2026-10-26", &["-4.00"]),
            ("2026-10-01", "2026-10-31", &["100.00", "-1.00", "-2.00", "-3.00", "-4.00", "-5.00"]),
            ("2026-11-01", "2026-11-30", &["-6.00"]),
        ],
    )
    .await;
    let november = statement(&bank, "2026-11-01", "2026-11-30").await;
    assert_eq!(column(&november["entries"], "value_date"), ["2026-11-01"]);
    assert_eq!((&november["opening_balance"], &november["closing_balance"]), (&json!("85.00"), &json!("79.00")));

    let series = |days: &str| format!("/v1/accounts/{}/balances?{days}", bank.ada);
    let daily = bank.get("ada", &series("from=2026-10-24&to=2026-10-26")).await.json();
    assert_eq!(column(&daily["balances"], "balance"), ["99.00", "94.00", "90.00"]);
    let monthly = bank.get("ada", &series("from=2026-10-01&to=2026-11-01&every=month")).await.json();
    assert_eq!(column(&monthly["balances"], "balance"), ["85.00", "79.00"], "today is in November");
    let ahead = bank.get("ada", &series("from=2026-10-24&to=2026-11-02")).await;
    assert_eq!(ahead.slug(), "period-ahead");
    // A dry run tells the same day.
    let body = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR"});
    let dry = bank.send(Call::new("POST", "/v1/payments/dry-run").by(&bank, "ada").json(&body)).await;
    assert_eq!(dry.json()["value_date"], "2026-11-01", "{}", dry.text());
}

#[tokio::test]
async fn a_day_of_23_hours_has_what_was_booked_in_it() {
    let mut bank = vienna("2027-03-20").await;
    let moments =
        ["2027-03-27T22:59:59.999Z", "2027-03-27T23:00:00Z", "2027-03-28T21:59:59.999Z", "2027-03-28T22:00:00Z"];
    pay_at(&mut bank, &moments).await;
    days_have(
        &bank,
        &[
            ("2027-03-27", "2027-03-27", &["-1.00"]),
            ("2027-03-28", "2027-03-28", &["-2.00", "-3.00"]),
            ("2027-03-29", "2027-03-29", &["-4.00"]),
        ],
    )
    .await;
}

/// A bank that moves east, and then west: the hours that both zones have are on one statement, and none is left out.
#[tokio::test]
async fn the_days_of_a_bank_that_moves_have_each_payment_once() {
    let mut bank = vienna("2026-11-20").await;
    let set = |from: &str, time_zone: &str| json!({"from": from, "time_zone": time_zone});
    for body in [set("2026-11-23", "Asia/Tokyo"), set("2026-11-26", "America/New_York")] {
        check(&bank, &[("operator", "POST", "/v1/time-zones", body, 200, "")]).await;
    }
    let moments = [
        "2026-11-22T14:59:59.999Z", // 15:59 in Vienna, the last moment of the 22nd
        "2026-11-22T15:00:00Z",     // midnight in Tokyo
        "2026-11-22T23:00:00Z",     // and in Vienna, where the 23rd would have begun now
        "2026-11-25T14:59:59.999Z",
        "2026-11-25T15:00:00Z", // the 26th has begun in Tokyo, and waits for New York
        "2026-11-26T04:59:59.999Z",
        "2026-11-26T05:00:00Z",
    ];
    pay_at(&mut bank, &moments).await;
    days_have(
        &bank,
        &[
            ("2026-11-22", "2026-11-22", &["-1.00"]),
            ("2026-11-23", "2026-11-23", &["-2.00", "-3.00"]),
            ("2026-11-24", "2026-11-24", &[]),
            ("2026-11-25", "2026-11-25", &["-4.00", "-5.00", "-6.00"]),
            ("2026-11-26", "2026-11-26", &["-7.00"]),
        ],
    )
    .await;
    let mut closing = json!("0.00");
    let mut entries = Vec::new();
    for day in 20..=30 {
        let day = format!("2026-11-{day}");
        let told = statement(&bank, &day, &day).await;
        assert_eq!(told["opening_balance"], closing, "{day}");
        closing = told["closing_balance"].clone();
        assert!(column(&told["entries"], "value_date").iter().all(|date| *date == day), "{told}");
        entries.extend(told["entries"].as_array().unwrap().clone());
    }
    let all = statement(&bank, "2026-11-20", "2026-11-30").await;
    assert_eq!((&Value::Array(entries), &closing), (&all["entries"], &all["closing_balance"]));
}

#[tokio::test]
async fn a_time_zone_is_set_for_days_to_come() {
    let bank = Bank::new().await;
    let zones = bank.get("ada", "/v1/time-zones").await.json();
    let utc = json!({"from": null, "time_zone": "UTC"});
    assert_eq!(zones, json!({"today": "2026-11-21", "time_zone": "UTC", "zones": [utc]}));
    let set = |from: &str, time_zone: &str| json!({"from": from, "time_zone": time_zone});
    let at = "/v1/time-zones";
    check(
        &bank,
        &[
            ("ada", "POST", at, set("2026-12-01", "Europe/Vienna"), 403, "not-allowed"),
            ("auditor", "POST", at, set("2026-12-01", "Europe/Vienna"), 403, "not-allowed"),
            ("operator", "POST", at, set("2026-11-20", "Europe/Vienna"), 422, "day-has-begun"),
            ("operator", "POST", at, set("2026-11-21", "Europe/Vienna"), 422, "day-has-begun"),
            // It is 20:54, and in Tokyo tomorrow.
            ("operator", "POST", at, set("2026-11-22", "Asia/Tokyo"), 422, "day-has-begun"),
            ("operator", "POST", at, set("2026-12-01", "Europe/Atlantis"), 422, "unknown-time-zone"),
            ("operator", "POST", at, set("2026-12-01", ""), 422, "unknown-time-zone"),
            ("operator", "POST", at, set("2026-12-01", "+01:00"), 422, "unknown-time-zone"),
            ("operator", "POST", at, set("2026-12-01", "utc"), 409, "same-time-zone"),
            ("operator", "POST", at, set("tomorrow", "Europe/Vienna"), 400, "invalid-request"),
            ("operator", "POST", at, json!({"time_zone": "Europe/Vienna"}), 400, "invalid-request"),
        ],
    )
    .await;
    assert_eq!(bank.get("ada", at).await.json(), zones, "nothing was changed");

    let call = || {
        let call = Call::new("POST", at).by(&bank, "operator").key("move");
        call.json(&set("2026-12-01", "europe/vienna"))
    };
    let vienna = json!({"from": "2026-12-01", "time_zone": "Europe/Vienna"});
    for replayed in [None, Some("true")] {
        let answer = bank.send(call()).await;
        assert_eq!((answer.status, answer.json()), (200, vienna.clone()), "{}", answer.text());
        assert_eq!(replayed.is_some(), answer.headers.contains_key("idempotency-replayed"));
    }
    let now = bank.get("reader", at).await.json();
    assert_eq!(now, json!({"today": "2026-11-21", "time_zone": "UTC", "zones": [utc, vienna]}));
}
