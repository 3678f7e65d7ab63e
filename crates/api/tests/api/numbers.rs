//! Account numbers that are no IBANs: the same fields and addresses take and tell them, in every form.

use bank::{Numbering, NumbersAsked, OwnCheck};
use serde_json::{Value, json};

use crate::bank_under_test::{Bank, Call};

/// A bank of a country and bank code.
async fn of(country: &str, bank_code: &str) -> Bank {
    Bank::numbered(Numbering::new(country, bank_code).unwrap()).await
}

async fn pay(bank: &Bank, from: &str, to: &str) -> (u16, Value) {
    let body = json!({"from": from, "to": to, "amount": "1.00", "currency": "EUR"});
    let call = Call::new("POST", "/v1/payments").by(bank, "ada").key(&bank.fresh_key()).json(&body);
    let answer = bank.send(call).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn what_names_an_account_takes_and_tells_its_number() {
    let bank = of("US", "123456780").await;
    let (ada, bo) = ("123456780-0000000001", "123456780-0000000002");
    assert_eq!((bank.ada.as_str(), bank.bo.as_str()), (ada, bo));

    let (status, paid) = pay(&bank, "1234567800000000001", "123 456 780-0000 0000 02").await;
    assert_eq!((status, &paid["from"], &paid["to"]), (201, &json!(ada), &json!(bo)));
    let hold =
        json!({"from": ada, "to": bo, "amount": "2.00", "currency": "EUR", "expires_at": "2027-01-01T00:00:00Z"});
    let call = Call::new("POST", "/v1/holds").by(&bank, "ada").key(&bank.fresh_key()).json(&hold);
    assert_eq!(bank.send(call).await.json()["from"], ada);

    let account = bank.get("ada", &format!("/v1/accounts/{ada}")).await.json();
    assert_eq!((&account["iban"], &account["available"]), (&json!(ada), &json!("97.00")));
    assert_eq!(account["account_number"], json!({"routing_number": "123456780", "account": "0000000001"}));
    for typed in
        ["1234567800000000001", "123456780%200000000001", "123456780-0000-0000-01", "1%202-3456780000%200000001"]
    {
        for path in ["", "/balance", "/entries", "/holds", "/rights", "/balances?from=2026-11-20&to=2026-11-21"] {
            let answer = bank.get("operator", &format!("/v1/accounts/{typed}{path}")).await;
            assert_eq!(answer.status, 200, "{typed}{path}: {}", answer.text());
        }
    }
    let entries = bank.get("ada", &format!("/v1/accounts/{ada}/entries?counterparty=1234567800000000002")).await.json();
    assert_eq!((&entries["iban"], &entries["entries"][0]["counterparty"]), (&json!(ada), &json!(bo)));
    let found = bank.get("operator", "/v1/customers?iban=1234567800000000002").await.json();
    assert_eq!(found["customers"][0]["name"], "Bo");
    let listed = bank.get("ada", "/v1/accounts").await.json();
    assert_eq!(listed["accounts"][0]["account_number"]["account"], "0000000001");
    let days = "from=2026-11-20&to=2026-11-21";
    let csv = bank.get("ada", &format!("/v1/accounts/{ada}/statement.csv?{days}")).await;
    assert!(csv.header("content-disposition").contains("123456780-0000000001_2026-11-20"), "{:?}", csv.headers);
    assert!(csv.text().contains(bo), "{}", csv.text());

    let opened = bank.open_account("operator", &json!({"currency": "EUR", "owner": 1, "number": 4711})).await;
    assert_eq!(opened, "123456780-0000004711");
}

#[tokio::test]
async fn what_is_no_account_here_is_told_in_words_that_fit() {
    const INVALID: &str = "this is not a valid account number; check it for a typing error";
    const OTHER: &str = "this account number belongs to another bank";
    let bank = of("US", "123456780").await;
    for (to, slug, detail) in [
        ("123456780-000000001", "invalid-iban", INVALID),
        ("123456780-00000000001", "invalid-iban", INVALID),
        ("123456780--0000000001", "invalid-iban", INVALID),
        ("-123456780-0000000001", "invalid-iban", INVALID),
        ("123456780 -0000000001", "invalid-iban", INVALID),
        ("12345678\u{0660}-0000000001", "invalid-iban", INVALID),
        ("123456780-\u{ff10}000000001", "invalid-iban", INVALID),
        ("123456780-+000000001", "invalid-iban", INVALID),
        ("123456780-99999999999999999999999", "invalid-iban", INVALID),
        ("", "invalid-iban", INVALID),
        ("021000022-0000000001", "invalid-iban", INVALID),
        ("021000021-0000000001", "other-bank", OTHER),
        ("AT611904300234573201", "other-bank", OTHER),
        ("AT611904300234573202", "invalid-iban", INVALID),
        ("123456780-0000000777", "unknown-account", "there is no such account"),
    ] {
        let (status, told) = pay(&bank, &bank.ada, to).await;
        assert_eq!(told["type"], format!("/problems/{slug}"), "{to}: {told}");
        assert_eq!((told["detail"].as_str(), status >= 400), (Some(detail), true), "{to}");
    }
    // The texts of a bank with IBANs are what they were.
    let bank = of("AT", "99999").await;
    for (to, detail) in [
        ("AT04-9999900000000001", "this is not a valid IBAN; check it for a typing error"),
        ("021000021-0000000001", "this is not a valid IBAN; check it for a typing error"),
        ("DE89370400440532013000", "this IBAN belongs to another bank"),
    ] {
        let (_, told) = pay(&bank, &bank.ada, to).await;
        assert_eq!(told["detail"].as_str(), Some(detail), "{to}");
    }
}

#[tokio::test]
async fn the_parts_are_told_where_people_know_them() {
    let own = NumbersAsked { digits: Some(8), own: Some(OwnCheck::Mod97) };
    for (numbering, ada, parts) in [
        (
            Numbering::new("GB", "NWBK601613"),
            "GB53NWBK60161300000001",
            json!({"sort_code": "601613", "account": "00000001"}),
        ),
        (Numbering::new("NG", "044"), "044-0000000017", json!({"bank": "044", "account": "0000000017"})),
        (Numbering::new("MX", "999180"), "999180000000000015", json!({"clabe": "999180000000000015"})),
        (
            Numbering::new("NZ", "020001"),
            "02-0001-0000002-000",
            json!({"bank": "02", "branch": "0001", "account": "0000002", "suffix": "000"}),
        ),
        (Numbering::new("AT", "99999"), "AT049999900000000001", Value::Null),
        (Numbering::asked("BR", "KASSA01", own), "KASSA010000000187", Value::Null),
    ] {
        let bank = Bank::numbered(numbering.unwrap()).await;
        let account = bank.get("ada", &format!("/v1/accounts/{}", bank.ada)).await.json();
        assert_eq!((&account["iban"], &account["account_number"]), (&json!(ada), &parts));
        bank.deposit(&bank.ada, "5.00").await;
        let (status, paid) = pay(&bank, ada, &bank.bo).await;
        assert_eq!((status, &paid["to"]), (201, &json!(bank.bo)));
    }
}

/// A number that the country's check refuses is no account's, whoever asks for it.
#[tokio::test]
async fn numbers_that_fail_their_countrys_check_are_not_given() {
    let bank = of("NZ", "020001").await;
    let open = |number: u64| {
        let body = json!({"currency": "EUR", "owner": 1, "number": number});
        Call::new("POST", "/v1/accounts").by(&bank, "operator").key(&bank.fresh_key()).json(&body)
    };
    for number in [3_000, 10_000_000_000, 9_999_999_999_999] {
        let refused = bank.send(open(number)).await;
        assert_eq!((refused.status, refused.slug().as_str()), (409, "number-taken"), "{number}");
    }
    assert_eq!(bank.send(open(2_001)).await.json()["iban"], "02-0001-0000002-001");
}
