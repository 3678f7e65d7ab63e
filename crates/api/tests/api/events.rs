//! The stream of events: who is told what, from where, and that nothing is left out or told twice.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use api::Limits;
use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::http::{Request, Response};
use axum::routing::get;
use bank::{AccessCommand, Body, Caller, Command, CustomerId, Origin, PaymentCommand, Right};
use engine::{Outcome, Submission};
use http_body_util::BodyExt;
use hyper::body::Frame;
use ledger::{Currency, Money};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::bank_under_test::{Answer, Bank, Call, SESSION_MS};
use crate::conformance::{self, DESCRIPTION};
use crate::connections::{PATIENCE, Running};
use crate::schema::mistakes;

/// One event as it was told.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    event: String,
    id: String,
    data: Value,
}

/// A client's side of a stream.
struct Listening {
    body: HttpBody,
    arrived: String,
    /// The last id that was sent, which is what a browser would connect anew with.
    last_id: String,
    /// How many signs of life there were.
    heartbeats: usize,
    /// What the stream said of its beginning and of its end.
    opened: Value,
    closed: Value,
    /// How long it is to be left alone before the client comes back, as it was told last.
    retry_ms: u64,
    /// Whether it broke off.
    cut: bool,
}

impl Listening {
    async fn open(bank: &Bank, call: Call) -> Result<Self, Answer> {
        let response = bank.router.clone().oneshot(call.request()).await.unwrap();
        if response.status() != 200 {
            let refused = Answer::of(response).await;
            conformance::check(&call, &refused);
            return Err(refused);
        }
        let head = Answer { status: 200, headers: response.headers().clone(), body: Vec::new() };
        conformance::check(&call, &head);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut listening = Self {
            body: response.into_body(),
            arrived: String::new(),
            last_id: String::new(),
            heartbeats: 0,
            opened: Value::Null,
            closed: Value::Null,
            retry_ms: 0,
            cut: false,
        };
        let first = listening.block().await.expect("a first block");
        assert!(first.event == "stream.opened" && listening.retry_ms >= 1_000, "{first:?}");
        Ok(listening)
    }

    async fn now(bank: &Bank, who: &str) -> Self {
        Self::open(bank, Call::new("GET", "/v1/events").by(bank, who)).await.ok().expect("a stream")
    }

    async fn after(bank: &Bank, who: &str, id: &str) -> Self {
        let call = Call::new("GET", "/v1/events").by(bank, who).header("last-event-id", id);
        Self::open(bank, call).await.ok().expect("a stream")
    }

    async fn from_beginning(bank: &Bank, who: &str) -> Self {
        let call = Call::new("GET", "/v1/events?after=beginning").by(bank, who);
        Self::open(bank, call).await.ok().expect("a stream")
    }

    /// The next block, which is an event whatever it tells of; none when the stream has ended.
    async fn block(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.arrived.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.arrived = rest;
                return Some(self.understood(&block));
            }
            match timeout(PATIENCE, self.body.frame()).await.expect("something comes in time")? {
                Ok(frame) => self.arrived += std::str::from_utf8(&frame.into_data().unwrap()).unwrap(),
                Err(_) => {
                    self.cut = true;
                    return None;
                }
            }
        }
    }

    /// A block as the clients understand it that are strictest: a name, data that is described, and at last the id.
    fn understood(&mut self, block: &str) -> Told {
        let mut fields = block.split('\n').map(|line| line.split_once(": ").expect("a field and its value"));
        let mut field = fields.next().expect("a first field");
        if field.0 == "retry" {
            self.retry_ms = field.1.parse().unwrap();
            field = fields.next().expect("a block of more than retry");
        }
        let (event, data, id) = (field, fields.next(), fields.next());
        let (Some(("data", data)), Some(("id", id))) = (data, id) else { panic!("no event: {block}") };
        assert!(event.0 == "event" && fields.next().is_none() && id.len() == 32, "{block}");
        let data: Value = serde_json::from_str(data).unwrap();
        let wrong = mistakes(&DESCRIPTION, &described()[event.1], &data);
        assert!(wrong.is_empty(), "The description says something else of {}:\n{data}\n{wrong:#?}", event.1);
        self.last_id = id.to_owned();
        match event.1 {
            "stream.opened" => self.opened = data.clone(),
            "stream.closed" => self.closed = data.clone(),
            "heartbeat" => self.heartbeats += 1,
            _ => assert_eq!(self.closed, Value::Null, "nothing comes after the last"),
        }
        Told { event: event.1.to_owned(), id: id.to_owned(), data }
    }

    /// The next event of the bank.
    async fn next(&mut self) -> Option<Told> {
        loop {
            let told = self.block().await?;
            if !["stream.opened", "heartbeat", "stream.closed"].contains(&told.event.as_str()) {
                return Some(told);
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut told = Vec::new();
        while told.len() < count {
            told.push(self.next().await.expect("the stream goes on"));
        }
        told
    }

    /// All events up to one that everybody with a right on Ada's account is told of.
    async fn until_frozen(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let next = self.next().await.expect("the stream goes on");
            if next.event == "account.status-set" && next.data["status"] == "frozen" {
                return told;
            }
            told.push(next);
        }
    }

    /// All events up to the first of a name.
    async fn until(&mut self, name: &str) -> Vec<Told> {
        let mut told = Vec::new();
        while told.last().is_none_or(|last: &Told| last.event != name) {
            told.push(self.next().await.expect("the stream goes on"));
        }
        told
    }

    /// That the stream has ended for a reason, and has told nothing more. It is whole, but where its client is to come
    /// back. Gives the id that it ended with.
    async fn ends(mut self, reason: &str) -> String {
        let more = self.next().await;
        assert!(more.is_none(), "{more:?}");
        assert_eq!(self.closed["reason"], json!(reason));
        assert_eq!(self.cut, ["stopping", "unavailable"].contains(&reason));
        self.last_id
    }
}

/// What the description says of the data of each event, by its name.
fn described() -> &'static Value {
    &DESCRIPTION["components"]["schemas"]["EventStream"]["x-events"]
}

fn names(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.event.as_str()).collect()
}

async fn write(bank: &Bank, who: &str, method: &str, path: &str, body: &Value) -> Value {
    let call = Call::new(method, path).by(bank, who).key(&bank.fresh_key()).json(body);
    let answer = bank.send(call).await;
    assert!(answer.status < 300, "{method} {path} {body}: {}", answer.text());
    answer.json()
}

async fn freeze(bank: &Bank) {
    let path = format!("/v1/accounts/{}/status", bank.ada);
    write(bank, "operator", "PUT", &path, &json!({"status": "frozen"})).await;
}

/// Whether every field of a REST answer is in the data, the same.
fn shows(data: &Value, answer: &Value) -> bool {
    answer.as_object().is_some_and(|fields| fields.iter().all(|(name, value)| data[name] == *value))
}

#[tokio::test]
async fn everybody_is_told_what_concerns_them() {
    let bank = Bank::new().await;
    let mut streams = BTreeMap::new();
    for who in ["ada", "bo", "reader", "sig", "operator", "auditor"] {
        streams.insert(who, Listening::now(&bank, who).await);
    }
    let stranger = Listening::now(&bank, "stranger").await;

    let paid = bank.pay("ada", "5.00", "For the <cake>\u{1f370}").await.json();
    let hold = json!({"from": bank.ada, "to": bank.bo, "amount": "8.00", "currency": "EUR",
                      "expires_at": "2027-01-01T00:00:00Z", "text": "Deposit"});
    let placed = write(&bank, "ada", "POST", "/v1/holds", &hold).await;
    let holds = format!("/v1/holds/{}", placed["id"].as_str().unwrap());
    let longer = json!({"expires_at": "2027-02-01T00:00:00Z"});
    let extended = write(&bank, "ada", "POST", &format!("{holds}/extension"), &longer).await;
    let part = json!({"amount": "3.00", "currency": "EUR"});
    let captured = write(&bank, "bo", "POST", &format!("{holds}/captures"), &part).await;
    let voided = write(&bank, "bo", "POST", &format!("{holds}/void"), &json!({})).await;
    let refunds = format!("/v1/payments/{}/refunds", paid["id"].as_str().unwrap());
    let refunded = write(&bank, "bo", "POST", &refunds, &json!({})).await;
    let account = format!("/v1/accounts/{}", bank.ada);
    let overdraft = json!({"overdraft": "50.00"});
    write(&bank, "operator", "PUT", &format!("{account}/overdraft"), &overdraft).await;
    write(&bank, "operator", "PUT", &format!("{account}/name"), &json!({"name": "Daily"})).await;
    let mut told = BTreeMap::from([("ada", streams.get_mut("ada").unwrap().take(8).await)]);
    let right = json!({"right": "signatory", "limit": "9.00"});
    let granted = write(&bank, "operator", "PUT", &format!("{account}/rights/2"), &right).await;
    let opened = json!({"currency": "EUR", "owner": 1, "name": "Savings"});
    let opened = write(&bank, "operator", "POST", "/v1/accounts", &opened).await;
    let customer = write(&bank, "operator", "POST", "/v1/customers", &json!({"name": "Cy"})).await;
    let user = json!({"name": "cy", "password": "twelve chars", "role": "customer", "customer": 6});
    let user = write(&bank, "operator", "POST", "/v1/users", &user).await;
    let zone = json!({"from": "2099-01-01", "time_zone": "Europe/Vienna"});
    let zone = write(&bank, "operator", "POST", "/v1/time-zones", &zone).await;
    freeze(&bank).await;

    for (who, stream) in &mut streams {
        let rest = stream.until_frozen().await;
        told.entry(who).or_default().extend(rest);
    }
    let hold = ["hold.placed", "hold.extended", "payment.booked", "hold.released"];
    let both = [&["payment.booked"], &hold[..], &["payment.booked"]].concat();
    let of_account = [&both[..], &["account.overdraft-set", "account.renamed", "right.granted"]].concat();
    let of_owner = [&of_account[..], &["account.opened"]].concat();
    let all = [&of_owner[..], &["customer.added", "user.added", "time-zone.set"]].concat();
    for (who, expected) in [
        ("ada", &of_owner),
        // Bo has a right on the account from then on, and is told of it; the overdraft before was not for him.
        ("bo", &[&both[..], &["right.granted"]].concat()),
        ("reader", &of_account),
        ("sig", &of_account),
        ("operator", &all),
        ("auditor", &all),
    ] {
        assert_eq!(&names(&told[who]), expected, "{who}");
    }

    let ada: Vec<&Value> = told["ada"].iter().map(|told| &told.data).collect();
    assert!(shows(ada[0], &paid) && ada[0]["text"] == "For the <cake>\u{1f370}", "{}", ada[0]);
    assert!(shows(ada[1], &placed) && ada[1]["text"] == "Deposit", "{}", ada[1]);
    let mut more_time = ada[2].clone();
    more_time.as_object_mut().unwrap().remove("at");
    assert!(shows(&extended, &more_time) && more_time["expires_at"] == "2027-02-01T00:00:00.000Z", "{}", ada[2]);
    assert!(shows(ada[3], &captured), "{}", ada[3]);
    assert_eq!((&ada[3]["hold"], &ada[3]["last"]), (&placed["id"], &json!(false)));
    assert!(shows(ada[4], &voided), "{}", ada[4]);
    assert_eq!((&ada[4]["reason"], &ada[4]["status"]), (&json!("voided"), &json!("closed")));
    assert!(shows(ada[5], &refunded), "{}", ada[5]);
    assert_eq!(ada[5]["undoes"], paid["id"]);
    assert_eq!((&ada[6]["iban"], &ada[6]["overdraft"]), (&json!(bank.ada), &json!("50.00")));
    assert_eq!((&ada[7]["iban"], &ada[7]["name"]), (&json!(bank.ada), &json!("Daily")));
    // Another's right: that there is one, and no more than that.
    assert_eq!((&ada[8]["iban"], &ada[8]["right"]), (&json!(bank.ada), &json!("signatory")));
    assert!(ada[8].get("customer").is_none() && ada[8].get("limit").is_none(), "{}", ada[8]);
    assert!(shows(ada[9], &opened) && ada[9]["right"] == "owner", "{}", ada[9]);
    assert!(shows(&told["bo"][6].data, &granted), "{}", told["bo"][6].data);
    let operator: Vec<&Value> = told["operator"].iter().map(|told| &told.data).collect();
    assert!(shows(operator[8], &granted), "{}", operator[8]);
    assert!(shows(operator[10], &customer) && operator[10]["name"] == "Cy", "{}", operator[10]);
    assert!(shows(operator[11], &user), "{}", operator[11]);
    assert!(!operator[11].to_string().contains("password"), "{}", operator[11]);
    assert!(shows(operator[12], &zone) && operator[12]["time_zone"] == "Europe/Vienna", "{}", operator[12]);
    // All that can happen, but for the freezing above and the one of `a_right_that_ends_ends_what_is_told`.
    let mut described: BTreeSet<&str> = described().as_object().unwrap().keys().map(String::as_str).collect();
    described.retain(|name| !names(&told["operator"]).contains(name));
    let of_streams = ["stream.opened", "heartbeat", "stream.closed"];
    assert_eq!(described, of_streams.into_iter().chain(["account.status-set", "right.revoked"]).collect());
    for told in told.values().flatten() {
        assert_eq!(told.data["at"], told.data.get("booked_at").unwrap_or(&ada[0]["booked_at"]).clone(), "{told:?}");
    }

    let mut stranger = stranger;
    let path = format!("{account}/rights/3");
    write(&bank, "operator", "PUT", &path, &json!({"right": "read-only"})).await;
    let first = stranger.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["customer"]), ("right.granted", &json!(3)), "nothing came before");
}

#[tokio::test]
async fn what_only_the_payer_sees_is_told_to_nobody_else() {
    let bank = Bank::new().await;
    let mut streams = BTreeMap::new();
    for who in ["ada", "reader", "operator", "auditor", "bo"] {
        streams.insert(who, Listening::now(&bank, who).await);
    }
    let notes = json!({"order": "2026-1171"});
    let mut order = json!({"from": bank.ada, "to": bank.bo, "amount": "3.00", "currency": "EUR", "metadata": notes});
    write(&bank, "ada", "POST", "/v1/payments", &order).await;
    order["expires_at"] = json!("2027-01-01T00:00:00Z");
    let placed = write(&bank, "ada", "POST", "/v1/holds", &order).await;
    let void = format!("/v1/holds/{}/void", placed["id"].as_str().unwrap());
    write(&bank, "bo", "POST", &void, &json!({})).await;
    for (who, stream) in &mut streams {
        let brought = stream.take(3).await;
        let past = Listening::from_beginning(&bank, who).await.until("hold.released").await;
        assert_eq!(past[past.len() - 3..], brought, "{who}");
        for told in &brought {
            assert_eq!(told.data.get("metadata"), Some(&notes).filter(|_| *who != "bo"), "{who}: {told:?}");
        }
    }
}

#[tokio::test]
async fn each_payment_of_many_is_told() {
    let bank = Bank::new().await;
    let mut bo = Listening::now(&bank, "bo").await;
    let movement = |amount: &str| json!({"from": bank.ada, "to": bank.bo, "amount": amount, "currency": "EUR"});
    let mut split = movement("1.00");
    split["more"] = json!([movement("2.00"), movement("3.00")]);
    let split = write(&bank, "ada", "POST", "/v1/payments", &split).await;
    let lines = format!("{}\n{}\n", movement("4.00"), movement("5.00"));
    let batch = Call::new("POST", "/v1/batches?atomic=true").by(&bank, "ada").key("all");
    let made = bank.send(batch.header("content-type", "application/x-ndjson").body(&lines)).await;
    assert_eq!(made.status, 200, "{}", made.text());
    bank.pay("ada", "6.00", "").await;

    let told = bo.take(4).await;
    assert_eq!(names(&told), ["payment.booked"; 4]);
    assert!(shows(&told[0].data, &split) && told[0].data["more"].as_array().unwrap().len() == 2, "{:?}", told[0]);
    let made: Vec<Value> = made.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&told[1].data["id"], &told[2].data["id"]], [&made[0]["payment"], &made[1]["payment"]]);
    let amounts: Vec<&Value> = told.iter().map(|told| &told.data["amount"]).collect();
    assert_eq!(amounts, ["1.00", "4.00", "5.00", "6.00"]);
    // From every place, also from between two payments that were made together.
    for (place, one) in told.iter().enumerate() {
        let rest = Listening::after(&bank, "bo", &one.id).await.take(told.len() - place - 1).await;
        assert_eq!(rest, told[place + 1..]);
    }
}

#[tokio::test]
async fn the_past_is_told_as_the_rights_are_now() {
    let bank = Bank::new().await;
    bank.pay("ada", "1.00", "").await;
    let mut ada = Listening::from_beginning(&bank, "ada").await;
    let all = ada.take(5).await;
    assert_eq!(
        names(&all),
        ["account.opened", "right.granted", "right.granted", "payment.booked", "payment.booked"],
        "the founding, the users and their sessions are not hers"
    );
    assert_eq!(all[3].data["purpose"], "deposit");
    // The rest of it, from every place.
    for (place, told) in all.iter().enumerate() {
        let rest = Listening::after(&bank, "ada", &told.id).await.take(all.len() - place - 1).await;
        assert_eq!(rest, all[place + 1..]);
    }
    let query = format!("/v1/events?after={}", all[3].id);
    let mut by_query = Listening::open(&bank, Call::new("GET", &query).by(&bank, "ada")).await.ok().unwrap();
    assert_eq!(by_query.next().await.as_ref(), all.last());
    // A browser that connects anew asks at the same address, and adds the header.
    let both = Call::new("GET", "/v1/events?after=beginning").by(&bank, "ada").header("last-event-id", &all[3].id);
    assert_eq!(Listening::open(&bank, both).await.ok().unwrap().next().await.as_ref(), all.last());

    let mut operator = Listening::from_beginning(&bank, "operator").await;
    let told = operator.take(7 + 5 + 3 + 4).await;
    for (name, count) in [("customer.added", 5), ("user.added", 7), ("account.opened", 3), ("payment.booked", 2)] {
        assert_eq!(told.iter().filter(|told| told.event == name).count(), count, "{name}");
    }
    let text = format!("{told:?}");
    for who in ["ada", "operator"] {
        assert!(!text.contains(bank.token(who)));
    }
    assert!(!text.contains("password") && !text.contains("argon2"), "{text}");
}

#[tokio::test]
async fn a_right_that_ends_ends_what_is_told() {
    let bank = Bank::new().await;
    let (mut reader, mut ada) = (Listening::now(&bank, "reader").await, Listening::now(&bank, "ada").await);
    bank.pay("ada", "1.00", "").await;
    assert_eq!(reader.next().await.unwrap().event, "payment.booked");
    bank.system(Body::Access(AccessCommand::Revoke { customer: CustomerId(5), account: ledger::AccountId(1) }).into())
        .await;
    bank.pay("ada", "2.00", "").await;
    let again = Body::Access(AccessCommand::Grant {
        customer: CustomerId(5),
        account: ledger::AccountId(1),
        right: Right::ReadOnly,
    });
    assert_eq!(reader.next().await.unwrap().event, "right.revoked");
    // All that happened was brought to another while there was no right.
    while ada.next().await.unwrap().data["amount"] != "2.00" {}
    // What is looked at while there is no right isn't told, whether it is brought or read from the journal.
    let mut from_beginning = Listening::from_beginning(&bank, "reader").await;
    assert_eq!(names(&from_beginning.take(2).await), ["right.granted", "right.revoked"]);
    let heartbeat = Listening::now(&bank, "reader").await.last_id;
    bank.system(again.into()).await;
    for stream in [&mut reader, &mut from_beginning] {
        let mut told = stream.next().await.unwrap();
        // Rights are looked at when an event is told, so what had not come to its turn is told after all.
        if told.event == "payment.booked" {
            told = stream.next().await.unwrap();
        }
        assert_eq!(told.event, "right.granted");
    }
    assert_eq!(Listening::after(&bank, "reader", &heartbeat).await.next().await.unwrap().event, "right.granted");
    bank.pay("ada", "3.00", "").await;
    assert_eq!(reader.next().await.unwrap().data["amount"], "3.00");
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_told_twice_at_the_seam() {
    const PAYMENTS: usize = 400;
    let bank = Arc::new(Bank::new().await);
    let start = Listening::now(&bank, "bo").await.last_id;
    let paying: Vec<_> = (0..4)
        .map(|_| {
            let bank = Arc::clone(&bank);
            tokio::spawn(async move {
                for _ in 0..PAYMENTS / 4 {
                    assert_eq!(bank.pay("ada", "0.01", "").await.status, 201);
                }
            })
        })
        .collect();
    // Some connect anew all the time, after one event, after many, and from the beginning.
    let listening = [("bo", 1), ("bo", 7), ("bo", PAYMENTS), ("operator", 3)].map(|(who, at_a_time)| {
        let (bank, mut last_id) = (Arc::clone(&bank), start.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < PAYMENTS {
                let mut stream = Listening::after(&bank, who, &last_id).await;
                for told in stream.take(at_a_time.min(PAYMENTS - seen.len())).await {
                    seen.push(told.data["id"].as_str().unwrap().to_owned());
                    last_id = told.id;
                }
            }
            seen
        })
    });
    for paying in paying {
        paying.await.unwrap();
    }
    let mut expected = Vec::new();
    let mut cursor = String::new();
    while expected.len() < PAYMENTS {
        let page = bank.get("bo", &format!("/v1/accounts/{}/entries?limit=500{cursor}", bank.bo)).await.json();
        expected
            .extend(page["entries"].as_array().unwrap().iter().map(|it| it["payment"].as_str().unwrap().to_owned()));
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    expected.reverse();
    for listening in listening {
        assert_eq!(listening.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_all_the_same() {
    const DEPOSITS: usize = 9_000;
    let bank = Bank::new().await;
    let (mut slow, mut all_seeing) = (Listening::now(&bank, "ada").await, Listening::now(&bank, "auditor").await);
    let amount = |minor| Money { minor, currency: Currency::from_code("EUR").unwrap() };
    let deposits: Vec<Submission> = (1..=DEPOSITS)
        .map(|minor| {
            let amount = amount(i64::try_from(minor).unwrap());
            let body = Body::Payments(PaymentCommand::Deposit { account: ledger::AccountId(1), amount, text: None });
            Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body }.into()
        })
        .collect();
    // More than is noted with a stream, and more than is kept of the newest for all.
    for batch in deposits.chunks(3_000) {
        let outcomes = bank.engine.submit_batch(batch.to_vec()).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Accepted(_)))));
    }
    // Waits until all of it was brought, while the two read nothing.
    let mut quick = Listening::now(&bank, "ada").await;
    bank.pay("ada", "0.01", "").await;
    while quick.next().await.unwrap().data["purpose"] != "payment" {}
    for stream in [&mut slow, &mut all_seeing] {
        for minor in 1..=DEPOSITS {
            let told = stream.next().await.unwrap();
            assert_eq!(told.data["amount"], json!(amount(i64::try_from(minor).unwrap()).to_string()));
        }
        assert_eq!(stream.next().await.unwrap().data["purpose"], "payment");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let bank = Bank::with(Limits { heartbeat: Duration::from_millis(100), ..Limits::default() }).await;
    let (signed_out, other) = (Listening::now(&bank, "ada").await, Listening::now(&bank, "bo").await);
    let mut waiting = Listening::from_beginning(&bank, "ada").await;
    waiting.next().await.unwrap();
    let out = bank.send(Call::new("POST", "/v1/sign-out").by(&bank, "ada")).await;
    assert_eq!(out.status, 204);
    // What happens afterwards is not told, nor what came before and was not told yet.
    signed_out.ends("session-over").await;
    let again = Call::new("GET", "/v1/events").by(&bank, "ada");
    assert_eq!(Listening::open(&bank, again).await.err().unwrap().slug(), "not-signed-in");
    bank.let_time_pass_ms(SESSION_MS);
    other.ends("session-over").await;
    while waiting.next().await.is_some() {}
    assert_eq!(waiting.closed["reason"], "session-over");
}

#[tokio::test]
async fn a_silent_stream_tells_its_place() {
    let bank = Bank::with(Limits { heartbeat: Duration::from_millis(20), ..Limits::default() }).await;
    let mut bo = Listening::now(&bank, "bo").await;
    let before = bo.last_id.clone();
    while bo.heartbeats < 2 {
        bo.block().await.unwrap();
    }
    assert_eq!(bo.last_id, before, "nothing happened");
    // What doesn't concern him moves him on, too, so that he need not read it in the journal.
    let mut operator = Listening::now(&bank, "operator").await;
    write(&bank, "operator", "POST", "/v1/customers", &json!({"name": "Cy"})).await;
    let told = operator.next().await.unwrap();
    while bo.last_id == before {
        bo.block().await.unwrap();
    }
    assert_eq!(bo.last_id, told.id);
    bank.pay("ada", "1.00", "").await;
    for id in [&before, &bo.last_id] {
        assert_eq!(Listening::after(&bank, "bo", id).await.next().await.unwrap().event, "payment.booked");
    }
}

#[tokio::test]
async fn made_up_positions_are_refused() {
    let bank = Bank::new().await;
    bank.pay("ada", "1.00", "").await;
    let payment = bank.get("ada", &format!("/v1/accounts/{}/entries", bank.ada)).await.json();
    let payment = payment["entries"][0]["payment"].as_str().unwrap().to_owned();
    for id in ["1", "Beginning", &"0".repeat(32), &payment, "\u{e9}"] {
        let header = Call::new("GET", "/v1/events").by(&bank, "ada").header("last-event-id", id);
        let query = Call::new("GET", &format!("/v1/events?after={}", id.replace('\u{e9}', "%C3%A9"))).by(&bank, "ada");
        for (call, field) in [(header, "Last-Event-ID"), (query, "after")] {
            let refused = Listening::open(&bank, call).await.err().unwrap();
            assert_eq!((refused.status, refused.slug().as_str()), (422, "unknown-position"), "{id}");
            assert_eq!(refused.json()["errors"][0]["field"], json!(field));
        }
    }
    let unknown = Call::new("GET", "/v1/events?before=1").by(&bank, "ada");
    assert_eq!(Listening::open(&bank, unknown).await.err().unwrap().slug(), "invalid-request");
    let nobody = Call::new("GET", "/v1/events");
    assert_eq!(Listening::open(&bank, nobody).await.err().unwrap().slug(), "not-signed-in");
}

#[tokio::test]
async fn the_newest_id_that_a_client_sends_counts() {
    let bank = Bank::new().await;
    let begun = Listening::now(&bank, "bo").await;
    assert_eq!(begun.opened["resumed"], false);
    bank.pay("ada", "1.00", "").await;
    bank.pay("ada", "2.00", "").await;
    let told = Listening::after(&bank, "bo", &begun.last_id).await.take(2).await;
    let (start, first) = (&begun.last_id, &told[0].id);
    let [list, tail] = [format!("{start}, {first}"), format!("beginning,{first} ,")];
    for headers in [
        vec![first.as_str()],
        vec![start, first],
        vec![start, first, ""],
        vec!["beginning", first],
        vec![&list],
        vec![&tail],
        vec![start, &list],
    ] {
        let call = Call::new("GET", "/v1/events?after=beginning").by(&bank, "bo");
        let call = headers.iter().fold(call, |call, id| call.header("last-event-id", id));
        let mut stream = Listening::open(&bank, call).await.ok().expect("a stream");
        assert_eq!((&stream.opened["resumed"], &stream.last_id), (&json!(true), first), "{headers:?}");
        assert_eq!(stream.next().await.as_ref(), told.last(), "{headers:?}");
    }
    // An empty header is none: where there is another position it counts, and else the stream begins now, and says so.
    for (path, empty, resumed) in [
        (format!("/v1/events?after={first}"), "", true),
        (format!("/v1/events?after={first}"), ",", true),
        ("/v1/events?after=".to_owned(), "", false),
    ] {
        let call = Call::new("GET", &path).by(&bank, "bo").header("last-event-id", empty);
        let stream = Listening::open(&bank, call).await.ok().expect("a stream");
        assert_eq!((&stream.opened["resumed"], stream.last_id == *first), (&json!(resumed), resumed), "{path}");
    }
    for wrong in ["?", "beginning,x", &format!("x,{first}"), &format!("{first};{first}")] {
        let call = Call::new("GET", "/v1/events").by(&bank, "bo").header("last-event-id", wrong);
        assert_eq!(Listening::open(&bank, call).await.err().unwrap().slug(), "unknown-position", "{wrong}");
    }
}

#[tokio::test]
async fn an_old_stream_yields_to_a_new_one_of_its_user() {
    let stream = |bank: &Bank, who: &str| Call::new("GET", "/v1/events").by(bank, who);
    let bank = Bank::with(Limits { event_streams_per_user: 2, event_streams: 4, ..Limits::default() }).await;
    let first = Listening::now(&bank, "ada").await;
    let mut second = Listening::now(&bank, "ada").await;
    let others = [Listening::now(&bank, "bo").await, Listening::now(&bank, "operator").await];
    // Nobody else's stream yields, and where there is no room for one more the oldest still makes some.
    let refused = Listening::open(&bank, stream(&bank, "reader")).await.err().unwrap();
    assert_eq!((refused.status, refused.slug().as_str(), refused.header("retry-after")), (503, "streams-full", "30"));
    let mut third = Listening::now(&bank, "ada").await;
    bank.pay("ada", "1.00", "").await;
    let place = first.ends("replaced").await;
    for stream in [&mut second, &mut third] {
        assert_eq!(stream.next().await.unwrap().data["amount"], "1.00");
    }
    // It takes up where it was, and the oldest of the others yields. What came before its end was told.
    let mut again = Listening::after(&bank, "ada", &place).await;
    assert_eq!(again.next().await.unwrap().data["amount"], "1.00");
    assert!(second.next().await.is_none() && second.retry_ms >= 60_000, "{}", second.retry_ms);
    assert_eq!((&second.closed["reason"], second.cut), (&json!("replaced"), false));
    drop(others);
    bank.pay("ada", "2.00", "").await;
    for mut stream in [third, again] {
        assert_eq!(stream.next().await.unwrap().data["amount"], "2.00");
    }
}

#[tokio::test]
async fn streams_that_have_yielded_and_do_not_go_are_not_without_end() {
    let bank = Bank::with(Limits { event_streams_per_user: 2, ..Limits::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(Listening::now(&bank, "ada").await);
    }
    // Two have yielded and take nothing, not even that they have.
    let again = Call::new("GET", "/v1/events").by(&bank, "ada");
    let refused = Listening::open(&bank, again).await.err().unwrap();
    assert_eq!((refused.status, refused.slug().as_str()), (429, "too-many-streams"));
    assert_eq!(refused.header("retry-after"), "30");
    Listening::now(&bank, "bo").await;
    streams.remove(0).ends("replaced").await;
    streams.push(Listening::now(&bank, "ada").await);
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    assert!(metrics.contains("kassa_event_streams 2\n"), "{metrics}");
    // One that leaves by itself makes room as ever, whether or not it has yielded.
    drop(streams);
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    assert!(metrics.contains("kassa_event_streams 0\n"), "{metrics}");
    let _both = [Listening::now(&bank, "ada").await, Listening::now(&bank, "ada").await];
}

#[tokio::test]
async fn a_stream_that_reads_the_past_yields_too() {
    let heartbeat = Duration::from_millis(20);
    let limits = Limits { event_readers: 0, event_streams_per_user: 1, heartbeat, ..Limits::default() };
    let bank = Bank::with(limits).await;
    let waiting = Listening::from_beginning(&bank, "ada").await;
    let place = waiting.last_id.clone();
    let newer = Listening::now(&bank, "ada").await;
    assert_eq!(waiting.ends("replaced").await, place, "it has come no further");
    drop(newer);
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let stream = |bank: &Bank, who: &str| Call::new("GET", "/v1/events").by(bank, who);
    let bank = Bank::with(Limits { event_streams: 4, ..Limits::default() }).await;
    let first = Listening::now(&bank, "ada").await;
    let second = Listening::now(&bank, "ada").await;
    let others = [Listening::now(&bank, "bo").await, Listening::now(&bank, "operator").await];
    let refused = Listening::open(&bank, stream(&bank, "reader")).await.err().unwrap();
    assert_eq!((refused.status, refused.slug().as_str()), (503, "streams-full"));
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    assert!(metrics.contains("kassa_event_streams 4\n"), "{metrics}");
    // Whoever leaves makes room.
    drop(first);
    let reader = Listening::now(&bank, "reader").await;
    assert!(Listening::open(&bank, stream(&bank, "ada")).await.is_err());
    drop((others, reader));
    let mut third = Listening::now(&bank, "ada").await;
    bank.pay("ada", "1.00", "").await;
    third.next().await.unwrap();
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    assert!(
        metrics.contains("kassa_event_streams 2\n") && !metrics.contains("kassa_events_sent_total 0\n"),
        "{metrics}"
    );
    drop(second);
}

#[tokio::test]
async fn the_past_is_read_by_turns() {
    let heartbeat = Duration::from_millis(20);
    // Where nobody may read, all who want the past wait, and are told that the server is there; the present is told.
    let bank = Bank::with(Limits { event_readers: 0, heartbeat, ..Limits::default() }).await;
    let mut present = Listening::now(&bank, "ada").await;
    let mut waiting = Listening::from_beginning(&bank, "ada").await;
    let beginning = waiting.last_id.clone();
    bank.pay("ada", "1.00", "").await;
    assert_eq!(present.next().await.unwrap().event, "payment.booked");
    for beats in 1..=3 {
        let block = waiting.block().await.unwrap();
        assert!(waiting.heartbeats == beats && block.event == "heartbeat", "{block:?}");
    }
    assert_eq!(waiting.last_id, beginning, "it has come no further");
    // Who waits when the session ends is let go.
    assert_eq!(bank.send(Call::new("POST", "/v1/sign-out").by(&bank, "ada")).await.status, 204);
    waiting.ends("session-over").await;

    // Where one may, each has a turn, also when others take nothing of what they were given.
    let bank = Bank::with(Limits { event_readers: 1, heartbeat, ..Limits::default() }).await;
    for _ in 0..20 {
        bank.pay("ada", "1.00", "").await;
    }
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(Listening::from_beginning(&bank, "ada").await);
    }
    let expected = streams[0].take(24).await;
    for stream in streams.iter_mut().rev().take(3) {
        assert_eq!(stream.take(24).await, expected);
    }
}

/// What a client of HTTP/1.1 asks.
fn ask(bank: &Bank, who: &str) -> String {
    format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n", bank.token(who))
}

#[tokio::test]
async fn a_stream_outlives_the_limits_of_requests_and_ends_when_the_server_stops() {
    let moment = Duration::from_millis(100);
    let edge = edge::Limits { idle: moment, request: moment, header_read: moment, ..edge::Limits::default() };
    let bank = Bank::with((edge, Limits { heartbeat: moment / 5, ..Limits::default() })).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let mut stream = running.connect().await.unwrap();
    stream.write_all(ask(&bank, "ada").as_bytes()).await.unwrap();
    let (mut arrived, mut buffer) = (String::new(), [0; 1024]);
    // Fifty signs of life take ten times as long as the longest of the limits.
    while arrived.matches("event: heartbeat\n").count() < 50 {
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(length, 0, "the stream goes on");
        arrived += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    // The server stops in order long before the time for requests in flight is over. The stream says so, and breaks off,
    // because some clients would not come back after an answer that is whole.
    running.stop().await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("event: stream.closed\ndata: {") && rest.contains(r#""reason":"stopping"}"#), "{rest}");
    assert!(rest.ends_with("\n\n\r\n") && !rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
}

#[tokio::test]
async fn streams_over_http2_end_when_the_server_stops() {
    let moment = Duration::from_millis(100);
    let edge = edge::Limits { idle: moment, request: moment, header_read: moment, ..edge::Limits::default() };
    let bank = Bank::with((edge, Limits { heartbeat: moment / 5, ..Limits::default() })).await;
    let running = Running::bank(&bank, b"h2").await;
    let (mut client, connection) = h2::client::handshake(running.connect().await.unwrap()).await.unwrap();
    let driving = tokio::spawn(connection);
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let request = Request::get("https://localhost/v1/events")
            .header("authorization", format!("Bearer {}", bank.token("ada")))
            .body(())
            .unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        bodies.push(response.await.unwrap().into_body());
    }
    for body in &mut bodies {
        let mut arrived = 0;
        while arrived < 50 * "event: heartbeat\ndata: {}\nid: \n\n".len() * 3 {
            let data = timeout(PATIENCE, body.data()).await.unwrap().expect("the stream goes on").unwrap();
            arrived += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
    }
    running.stop().await;
    for body in &mut bodies {
        let mut arrived = String::new();
        while let Some(Ok(data)) = timeout(PATIENCE, body.data()).await.unwrap() {
            arrived += std::str::from_utf8(&data).unwrap();
        }
        assert!(arrived.contains(r#""reason":"stopping"}"#) && arrived.ends_with("\n\n"), "{arrived}");
    }
    drop(client);
    driving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_over_http2_breaks_off_when_its_client_is_to_come_back_and_ends_when_not() {
    for (stop, reason) in [(true, "stopping"), (false, "session-over")] {
        let bank = Bank::new().await;
        let running = Running::bank(&bank, b"h2").await;
        let (mut client, connection) = h2::client::handshake(running.connect().await.unwrap()).await.unwrap();
        let driving = tokio::spawn(connection);
        let request = Request::get("https://localhost/v1/events");
        let request = request.header("authorization", format!("Bearer {}", bank.token("ada"))).body(()).unwrap();
        let mut body = client.send_request(request, true).unwrap().0.await.unwrap().into_body();
        let opened = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
        assert!(opened.starts_with(b"retry: "), "{opened:?}");
        let ended = async {
            if stop {
                running.stop().await;
                return None;
            }
            assert_eq!(bank.send(Call::new("POST", "/v1/sign-out").by(&bank, "ada")).await.status, 204);
            Some(running)
        };
        let rest = async {
            let mut arrived = String::new();
            loop {
                match timeout(PATIENCE, body.data()).await.unwrap() {
                    Some(Ok(data)) => arrived += std::str::from_utf8(&data).unwrap(),
                    Some(Err(error)) => return (arrived, error.reason()),
                    None => return (arrived, None),
                }
            }
        };
        let (_running, (arrived, error)) = tokio::join!(ended, rest);
        assert!(arrived.contains(&format!(r#""reason":"{reason}"}}"#)) && arrived.ends_with("\n\n"), "{arrived}");
        assert_eq!(error, stop.then_some(h2::Reason::INTERNAL_ERROR), "{reason}");
        driving.abort();
    }
}

/// A body that never ends, and notes when it is thrown away.
struct Endless(Arc<AtomicBool>);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 4_096])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let moment = Duration::from_millis(100);
    let limits = edge::Limits { idle: moment, request: moment, header_read: moment, ..edge::Limits::default() };
    for endless in [false, true] {
        let thrown_away = Arc::new(AtomicBool::new(false));
        let body = Arc::clone(&thrown_away);
        let handler = get(move || async move {
            let mut answer = Response::new(HttpBody::new(Endless(body)));
            if endless {
                answer.extensions_mut().insert(edge::Endless);
            }
            answer
        });
        let running = Running::router(Router::new().route("/", handler), limits.clone()).await;
        let mut stream = running.connect().await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let cut = async {
            while !thrown_away.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, cut).await.expect("the client is cut");
        running.stop().await;
    }
}

#[tokio::test]
async fn who_leaves_makes_room_whatever_the_version_of_http() {
    let bank = Bank::with(Limits { event_streams: 1, ..Limits::default() }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let mut buffer = [0; 2_048];
    for version in ["1.1", "1.0", "1.1"] {
        let opened = async {
            loop {
                let mut stream = running.connect().await.unwrap();
                stream.write_all(ask(&bank, "ada").replace("1.1", version).as_bytes()).await.unwrap();
                let mut arrived = String::new();
                while !arrived.contains("\nid: ") && !arrived.contains("streams-full") {
                    let length = stream.read(&mut buffer).await.unwrap();
                    assert_ne!(length, 0, "{arrived}");
                    arrived += std::str::from_utf8(&buffer[..length]).unwrap();
                }
                if arrived.contains("200 OK") {
                    return (stream, arrived);
                }
            }
        };
        let (stream, arrived) = timeout(PATIENCE, opened).await.expect("there is room again");
        let chunked = arrived.contains("transfer-encoding: chunked");
        assert_eq!(chunked, version == "1.1", "{arrived}");
        assert_eq!(arrived.contains("\r\n\r\nretry: "), !chunked, "{arrived}");
        drop(stream);
    }
    // Of a stream, too, one can ask for the head alone; the connection goes on.
    let mut stream = running.connect().await.unwrap();
    let head = ask(&bank, "bo").replace("GET", "HEAD");
    for _ in 0..2 {
        stream.write_all(head.as_bytes()).await.unwrap();
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        let arrived = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(arrived.starts_with("HTTP/1.1 200 OK") && arrived.ends_with("\r\n\r\n"), "{arrived}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_stream_whose_session_ends_is_whole() {
    let bank = Bank::new().await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let mut stream = running.connect().await.unwrap();
    stream.write_all(ask(&bank, "ada").as_bytes()).await.unwrap();
    let (mut arrived, mut buffer) = (Vec::new(), [0; 2_048]);
    while !arrived.ends_with(b"\n\n\r\n") {
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(length, 0, "the stream goes on");
        arrived.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(bank.send(Call::new("POST", "/v1/sign-out").by(&bank, "ada")).await.status, 204);
    timeout(PATIENCE, stream.read_to_end(&mut arrived)).await.unwrap().unwrap();
    let arrived = String::from_utf8(arrived).unwrap();
    assert!(arrived.contains(r#""reason":"session-over"}"#) && arrived.ends_with("\n\n\r\n0\r\n\r\n"), "{arrived}");
    running.stop().await;
}
