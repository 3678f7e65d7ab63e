//! What may be kept of an answer, and conditional requests.

use serde_json::json;

use crate::bank_under_test::{Answer, Bank, Call};

async fn again(bank: &Bank, who: &str, path: &str, tag: &str) -> Answer {
    bank.send(Call::new("GET", path).by(bank, who).header("if-none-match", tag)).await
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let mut bank = Bank::new().await;
    let paid = bank.pay("ada", "1.00", "").await;
    let of = |path: &str| format!("/v1/accounts/{}{path}", bank.ada);
    let (payment, balance) = (paid.header("location").to_owned(), of("/balance"));
    let days = "from=2026-11-21&to=2026-11-21";
    for (path, changes) in [
        (of(""), true),
        (balance.clone(), true),
        (of("/balance?at=2026-11-21T00:00:00Z"), false),
        (of("/entries"), true),
        (of(&format!("/statement?{days}")), true),
        (of(&format!("/statement.csv?{days}")), true),
        (of(&format!("/balances?{days}")), true),
        ("/v1/accounts".into(), true),
        ("/v1/payments".into(), true),
        ("/v1/me".into(), false),
        (payment.clone(), false),
    ] {
        let first = bank.get("ada", &path).await;
        let tag = first.header("etag").to_owned();
        assert!(first.status == 200 && tag.len() > 10, "{path}: {}", first.text());
        assert!(first.headers_of("vary").contains(&"Authorization".to_owned()), "{path}");
        let same = again(&bank, "ada", &path, &tag).await;
        assert_eq!((same.status, same.text().as_str(), same.header("etag")), (304, "", tag.as_str()), "{path}");
        assert_eq!(same.header("cache-control"), first.header("cache-control"), "{path}");
        assert_eq!(again(&bank, "ada", &path, "\"another\"").await.status, 200, "{path}");
        assert_eq!(bank.pay("ada", "1.00", "").await.status, 201);
        let now = again(&bank, "ada", &path, &tag).await;
        assert_eq!(now.status, if changes { 200 } else { 304 }, "{path}");
        // Whoever may not see it learns nothing from a tag.
        let stranger = again(&bank, "stranger", &path, &tag).await;
        assert!(stranger.status == 403 || stranger.status == 200, "{path}: {}", stranger.status);
        assert_ne!(stranger.header("etag"), tag, "{path}");
    }
    // A moment later the balance is of another moment, and the same.
    let tag = bank.get("ada", &balance).await.header("etag").to_owned();
    bank.let_time_pass_ms(5);
    assert_eq!(again(&bank, "ada", &balance, &tag).await.status, 304);

    // What is kept for long can't change; all else is asked for again; nothing is for a cache that others share.
    let long = "private, max-age=31536000, immutable";
    assert_eq!(bank.get("ada", &payment).await.header("cache-control"), "private, no-cache", "its state may change");
    assert_eq!(bank.get("ada", &balance).await.header("cache-control"), "private, no-cache");
    let statement = format!("/v1/accounts/{}/statement?{days}", bank.ada);
    assert_eq!(bank.get("ada", &statement).await.header("cache-control"), "private, no-cache", "the day is not over");
    bank.let_time_pass_ms(24 * 60 * 60_000);
    bank.sign_in_again("ada").await;
    assert_eq!(bank.get("ada", &statement).await.header("cache-control"), long);
}

#[tokio::test]
async fn refusals_and_writes_are_not_kept() {
    let bank = Bank::new().await;
    let none = bank.get("ada", "/v1/payments/nonsense").await;
    assert_eq!((none.header("etag"), none.header("cache-control")), ("", "no-store"));
    let paid = bank.pay("ada", "1.00", "").await;
    assert_eq!((paid.header("etag"), paid.header("cache-control")), ("", "no-store"));
    let star = Call::new("POST", "/v1/payments").by(&bank, "ada").key("star").header("if-none-match", "*");
    let body = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR"});
    assert_eq!(bank.send(star.json(&body)).await.status, 201, "it is carried out");
    let page = bank.send(Call::new("GET", "/openapi.json")).await;
    assert!(!page.header("etag").is_empty() && page.header("vary").is_empty());
}
