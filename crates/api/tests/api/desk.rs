//! The desk of those who run the bank: finding a customer and their accounts, and booking what nobody ordered.

use bank::{AccessCommand, Body, Caller, Command, Origin};
use engine::{Field, NewSubject, Submission};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bank_under_test::{Answer, Bank, Call};
use crate::check;

/// The names that a list of customers has, and its cursor.
fn page(answer: &Answer) -> (Vec<String>, Value) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = answer.json();
    let customers = page["customers"].as_array().unwrap().iter();
    (customers.map(|one| one["name"].as_str().unwrap().to_owned()).collect(), page["next_cursor"].clone())
}

#[tokio::test]
async fn a_customer_is_found() {
    let bank = Bank::new().await;
    let find = |query: String| {
        let bank = &bank;
        async move { page(&bank.get("operator", &format!("/v1/customers?{query}")).await) }
    };
    let (ada, unopened) = (bank.ada.clone(), bank.unopened());
    for (query, expected) in [
        (String::new(), &["Ada", "Bo", "Stranger", "Sig", "Reader"][..]),
        ("name=ad".into(), &["Ada", "Reader"]),
        ("name=%20EAD%20".into(), &["Reader"]),
        ("name=nobody".into(), &[]),
        ("user=bo".into(), &["Bo"]),
        ("user=BO".into(), &["Bo"]),
        // A user who acts for nobody, a part of a name, and a name that nobody has.
        ("user=operator".into(), &[]),
        ("user=b".into(), &[]),
        (format!("iban={ada}"), &["Ada", "Sig", "Reader"]),
        (format!("iban={ada}&name=a"), &["Ada", "Reader"]),
        (format!("iban={ada}&user=sig"), &["Sig"]),
        (format!("iban={ada}&user=bo"), &[]),
    ] {
        assert_eq!(
            find(query.clone()).await,
            (expected.iter().map(|name| name.to_string()).collect(), Value::Null),
            "{query}"
        );
    }
    // Page by page, with and without a search.
    for (query, expected) in
        [("limit=2", &["Ada", "Bo", "Stranger", "Sig", "Reader"][..]), ("name=r&limit=1", &["Stranger", "Reader"])]
    {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let (names, next) = find(format!("{query}{cursor}")).await;
            found.extend(names);
            let Some(next) = next.as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, expected, "{query}");
    }
    let everything = || "/v1/customers?name=a".to_owned();
    for (who, path, status, slug) in [
        ("auditor", everything(), 200, ""),
        ("ada", everything(), 403, "not-allowed"),
        ("operator", format!("/v1/customers?iban={unopened}"), 404, "unknown-account"),
        ("operator", "/v1/customers?iban=AT00".into(), 422, "invalid-iban"),
        ("operator", "/v1/customers?name=".into(), 400, "invalid-request"),
        ("operator", format!("/v1/customers?name={}", "x".repeat(141)), 400, "invalid-request"),
        ("operator", "/v1/customers?nam=a".into(), 400, "invalid-request"),
    ] {
        let answer = bank.get(who, &path).await;
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug), "{who} {path}: {}", answer.text());
    }
}

/// Names are under seal, so that of a large bank some are looked through at a time.
#[tokio::test]
async fn a_search_goes_on_where_it_stopped() {
    let bank = Bank::new().await;
    let mut adding = JoinSet::new();
    for number in 6..=2_005 {
        let engine = bank.engine.clone();
        adding.spawn(async move {
            let subject = NewSubject::generate();
            let name = if number == 6 { "the first" } else { "somebody" };
            let body = Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, name) });
            let command = Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body };
            engine.submit(Submission { command, subject: Some(subject), past: None, rivals: None }).await.unwrap();
        });
    }
    adding.join_all().await;
    // The name looked for is one of the first 2,000, or one after them.
    let sought = bank.get("operator", "/v1/customers?name=Nobody+is+called+so").await;
    assert_eq!(page(&sought), (Vec::new(), json!("2000")));
    let rest = bank.get("operator", "/v1/customers?name=Nobody+is+called+so&cursor=2000").await;
    assert_eq!(page(&rest), (Vec::new(), Value::Null));
    let (found, _) = page(&bank.get("operator", "/v1/customers?name=some&limit=500&cursor=2000").await);
    assert!(found.len() >= 4 && found.iter().all(|name| name == "somebody"), "{found:?}");
}

#[tokio::test]
async fn the_accounts_of_a_customer() {
    let bank = Bank::new().await;
    let second = bank.open_account("operator", &json!({"currency": "EUR", "owner": 1})).await;
    let listed = |answer: &Answer| -> Vec<(String, String)> {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let accounts = page["accounts"].as_array().unwrap().iter();
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        accounts.map(|one| (text(one, "iban"), text(one, "right"))).collect()
    };
    let owned = |iban: &String| (iban.clone(), "owner".to_owned());
    for who in ["operator", "auditor", "ada"] {
        let answer = bank.get(who, "/v1/customers/1/accounts").await;
        assert_eq!(listed(&answer), [owned(&bank.ada), owned(&second)], "{who}");
    }
    // With the right that this customer has.
    let answer = bank.get("operator", "/v1/customers/4/accounts").await;
    assert_eq!(listed(&answer), [(bank.ada.clone(), "signatory".to_owned())]);
    assert_eq!(listed(&bank.get("operator", "/v1/customers/3/accounts").await), []);
    let first = bank.get("operator", "/v1/customers/1/accounts?limit=1").await;
    assert_eq!(listed(&first), [owned(&bank.ada)]);
    let next = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let rest = bank.get("operator", &format!("/v1/customers/1/accounts?limit=1&cursor={next}")).await;
    assert_eq!((listed(&rest), rest.json()["next_cursor"].clone()), (vec![owned(&second)], Value::Null));
    for (who, id, status, slug) in [
        ("bo", "1", 403, "not-allowed"),
        ("bo", "99", 403, "not-allowed"),
        ("operator", "99", 404, "unknown-customer"),
        ("operator", "0", 404, "unknown-customer"),
        ("operator", "x", 404, "unknown-customer"),
    ] {
        let answer = bank.get(who, &format!("/v1/customers/{id}/accounts")).await;
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug), "{who} {id}");
    }
}

#[tokio::test]
async fn accounts_of_a_kind() {
    let bank = Bank::new().await;
    let fees = bank.open_account("operator", &json!({"currency": "EUR", "kind": "income"})).await;
    let listed = |answer: &Answer| -> Vec<String> {
        let page = answer.json();
        let accounts = page["accounts"].as_array().unwrap_or_else(|| panic!("{}", answer.text())).iter();
        accounts.map(|one| one["iban"].as_str().unwrap().to_owned()).collect()
    };
    let all = listed(&bank.get("operator", "/v1/accounts").await);
    for (who, query, expected) in [
        ("operator", "kind=income", vec![fees.clone()]),
        ("auditor", "kind=liability", vec![bank.ada.clone(), bank.bo.clone()]),
        ("operator", "kind=asset", vec![all[0].clone()]),
        ("operator", "kind=expense", vec![]),
        ("ada", "kind=income", vec![]),
        ("ada", "kind=liability", vec![bank.ada.clone()]),
    ] {
        assert_eq!(listed(&bank.get(who, &format!("/v1/accounts?{query}")).await), expected, "{who} {query}");
    }
    let first = bank.get("operator", "/v1/accounts?kind=liability&limit=1").await;
    let next = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = bank.get("operator", &format!("/v1/accounts?kind=liability&limit=1&cursor={next}")).await;
    assert_eq!([listed(&first), listed(&second)].concat(), [bank.ada.clone(), bank.bo.clone()]);
    assert_eq!(bank.get("operator", "/v1/accounts?kind=money").await.slug(), "invalid-request");
}

#[tokio::test]
async fn a_fee_is_booked_once_and_its_reason_shown() {
    let bank = Bank::new().await;
    let fees = bank.open_account("operator", &json!({"currency": "EUR", "kind": "income"})).await;
    let fee = json!({"from": bank.ada, "to": fees, "amount": "2.50", "currency": "EUR", "reason": " Account fee "});
    let key = bank.fresh_key();
    let book = |end: &str, key: &str, body: &Value| {
        let call = Call::new("POST", &format!("/v1/bookings{end}")).by(&bank, "operator").key(key).json(body);
        bank.send(call)
    };
    let dry = book("/dry-run", &key, &fee).await;
    assert_eq!((dry.status, dry.json()["purpose"].clone()), (200, json!("booking")), "{}", dry.text());
    let booked = book("", &key, &fee).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    assert_eq!((&booked.json()["purpose"], &booked.json()["text"]), (&json!("booking"), &json!("Account fee")));
    let again = book("", &key, &fee).await;
    assert_eq!((again.json(), again.header("idempotency-replayed")), (booked.json(), "true"));
    let mut other = fee.clone();
    other["reason"] = json!("Another");
    assert_eq!(book("", &key, &other).await.slug(), "key-reused");

    // The customer sees what was taken, and why: on the account, in the statement, and by the payment itself.
    let account = bank.get("ada", &format!("/v1/accounts/{}", bank.ada)).await;
    assert_eq!(account.json()["posted"], "97.50");
    let day = &booked.json()["booked_at"].as_str().unwrap()[..10].to_owned();
    for path in [
        format!("/v1/accounts/{}/entries", bank.ada),
        format!("/v1/accounts/{}/statement?from={day}&to={day}", bank.ada),
        format!("/v1/payments?account={}&purpose=booking", bank.ada),
        format!("/v1/payments/{}", booked.json()["id"].as_str().unwrap()),
    ] {
        let told = bank.get("ada", &path).await;
        let shown = told.text().contains("booking") && told.text().contains("Account fee");
        assert!(told.status == 200 && shown, "{path}: {}", told.text());
    }
    // And what was wrong is undone like anything else.
    let id = booked.json()["id"].as_str().unwrap().to_owned();
    let reversal = Call::new("POST", &format!("/v1/payments/{id}/reversal")).by(&bank, "operator");
    assert_eq!(bank.send(reversal.key(&bank.fresh_key()).json(&json!({}))).await.status, 201);
    let account = bank.get("ada", &format!("/v1/accounts/{}", bank.ada)).await;
    assert_eq!(account.json()["posted"], "100.00");
}

#[tokio::test]
async fn what_the_bank_may_not_book() {
    let bank = Bank::new().await;
    let open = |kind: &str| {
        let body = json!({"currency": "EUR", "kind": kind, "overdraft": "unlimited"});
        let bank = &bank;
        async move { bank.open_account("operator", &body).await }
    };
    let (fees, costs, desk) = (open("income").await, open("expense").await, open("asset").await);
    let mut of_reason = Vec::new();
    for reason in [json!(""), json!(" "), json!("x".repeat(141)), json!("a\nb"), json!(null)] {
        of_reason.push(json!({"from": costs, "to": fees, "amount": "1", "currency": "EUR", "reason": reason}));
    }
    of_reason.push(json!({"from": costs, "to": fees, "amount": "1", "currency": "EUR"}));
    let body = |from: &str, to: &str, amount: &str| json!({"from": from, "to": to, "amount": amount, "currency": "EUR", "reason": "a reason"});
    // Who may read the bank's results makes them no customer's.
    for own in [&fees, &costs] {
        let right = format!("/v1/accounts/{own}/rights/1");
        let call = Call::new("PUT", &right).by(&bank, "operator").key(&bank.fresh_key());
        assert_eq!(bank.send(call.json(&json!({"right": "read-only"}))).await.status, 200);
    }
    let (ada, bo, unopened) = (bank.ada.as_str(), bank.bo.as_str(), bank.unopened());
    let of = |who: &'static str, sent: Value, status: u16, slug: &'static str| {
        (who, "POST", "/v1/bookings", sent, status, slug)
    };
    let mut cases = vec![
        of("operator", body(&costs, &fees, "1"), 201, ""),
        of("operator", body(&desk, &fees, "1"), 201, ""),
        of("operator", body(&costs, ada, "1"), 201, ""),
        of("operator", body(ada, &fees, "101"), 201, ""),
        of("operator", body(bo, &fees, "0.01"), 422, "insufficient-funds"),
        of("operator", body(ada, bo, "1"), 422, "between-customers"),
        of("operator", body(ada, &desk, "1"), 422, "not-income-or-expense"),
        of("operator", body(&desk, ada, "1"), 422, "not-income-or-expense"),
        of("operator", body(&fees, &fees, "1"), 422, "same-account"),
        of("operator", body(&costs, &fees, "0"), 422, "amount-not-positive"),
        of("operator", body(&unopened, &fees, "1"), 422, "unknown-account"),
        of("auditor", body(&costs, &fees, "1"), 403, "not-allowed"),
        of("ada", body(ada, &fees, "1"), 403, "not-allowed"),
        // Whether there is such an account is not for everybody to know.
        of("ada", body(&unopened, &fees, "1"), 403, "not-allowed"),
    ];
    cases.extend(of_reason.into_iter().map(|sent| of("operator", sent, 400, "invalid-request")));
    check(&bank, &cases).await;
}
