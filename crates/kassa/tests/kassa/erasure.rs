//! Keys that are destroyed: what is gone with them, what others keep, and that `kassa verify` tells a key that is missing from
//! one that was destroyed.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use bank::{
    AccessCommand, AccessEvent, Body, Caller, Category, CustomerId, Event, Origin, Right, SubjectId, UserId, What,
};
use engine::{Engine, Field, NewSubject, Options, Outcome, Submission, SystemClock};
use journal::{Journal, MasterKey, PlainFrame, SubjectKey};
use ledger::AccountId;
use serde_json::{Value, json};

use super::old_banks::{copied, copy_all};
use super::{Folder, Server, kassa, run, succeeds, verified};

/// Whose key it is, and of which category; all where there is none.
type Name = (SubjectId, Option<Category>);

fn journal_of(folder: &Folder) -> Journal {
    let master = MasterKey::read_file(&folder.key()).expect("the master key");
    Journal::open(&folder.data, &master, false).expect("opens")
}

/// Appends an event as the bank would, with keys.
fn append(journal: &mut Journal, what: What, keys: Vec<SubjectKey>) {
    let mut body = Vec::new();
    Event { by: UserId::SYSTEM, what, request: None, origin: None }.encode_to(&mut body);
    let frame = PlainFrame { first_event: journal.head().last_event + 1, count: 1, body };
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_millis();
    let run = journal.seal(i64::try_from(now).expect("a time"), vec![frame], keys);
    journal.append(&run).expect("appended");
}

/// Destroys keys, as the bank will once there is a command for it.
pub(super) fn erase(folder: &Folder, (subject, category): Name) {
    let mut journal = journal_of(folder);
    assert!(journal.destroy_subject_keys(subject.0, category.map(Category::number)).expect("written"), "it was there");
    append(&mut journal, destroyed((subject, category)), Vec::new());
    journal.close().expect("closed");
}

fn destroyed((subject, category): Name) -> What {
    What::Access(AccessEvent::KeyDestroyed { subject, category })
}

/// A demo bank. Alice and Carol own one account, Bob another, and both sides wrote to each other.
struct Town {
    folder: Folder,
    alices: String,
    bobs: String,
    /// Alice, Bob, Carol.
    people: [SubjectId; 3],
    /// Bob's payment.
    rent: String,
    hold: String,
}

impl Town {
    fn new() -> Self {
        let folder = Folder::new();
        assert!(Server::start("demo", &folder.data, "/v1/payments").interrupt());
        let (people, alices, bobs) = with_carol(&folder);
        let server = Server::serve(&folder.data);
        let (alice, bob) = (server.sign_in("alice", "alice-demo-password"), server.sign_in("bob", "bob-demo-password"));
        let asks = |token: &str, path: &str, body: Value| {
            let (status, told) = server.ask("POST", path, Some(token), Some(&body));
            assert_eq!(status, 201, "{told}");
            told["id"].as_str().expect("an id").to_owned()
        };
        let pay = |token: &str, from: &str, to: &str, text: &str, id: &str| {
            let body = json!({ "from": from, "to": to, "amount": "25.00", "currency": "EUR", "text": text,
                "end_to_end_id": id, "metadata": { "note": text } });
            asks(token, "/v1/payments", body)
        };
        let lunch = pay(&alice, &alices, &bobs, "Lunch", "E2E-lunch");
        let rent = pay(&bob, &bobs, &alices, "Rent", "E2E-rent");
        asks(&bob, &format!("/v1/payments/{lunch}/refunds"), json!({ "text": "Sorry" }));
        let hold = asks(
            &bob,
            "/v1/holds",
            json!({ "from": bobs, "to": alices, "amount": "1.00", "currency": "EUR", "text": "Deposit",
                "expires_at": jiff::Timestamp::now().checked_add(jiff::Span::new().hours(1)).expect("a time").to_string() }),
        );
        assert!(server.interrupt());
        Self { folder, alices, bobs, people, rent, hold }
    }

    fn copy(&self) -> Folder {
        let folder = Folder::new();
        copy_all(&self.folder.data, &folder.data);
        fs::copy(self.folder.key(), folder.key()).expect("the key is copied");
        folder
    }

    /// The texts on an account's lines of the CSV export, in order, where there are any.
    fn texts(&self, folder: &Folder, iban: &str) -> Vec<String> {
        let csv = succeeds(&["export", "--data", folder.data(), "--format", "csv", "--personal"], "");
        let mut lines = csv::Reader::from_reader(csv.as_bytes());
        let headers = lines.headers().expect("columns").clone();
        let records = lines.records().map(|record| record.expect("a line"));
        let own = records.filter(|record| &record[3] == iban);
        let place = |column: &str| headers.iter().position(|name| name == column).expect("a column");
        let [text, id] = ["text", "end_to_end_id"].map(place);
        own.map(|record| format!("{} {}", &record[text], &record[id]).trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect()
    }
}

/// Gives Alice's account another owner, Carol.
fn with_carol(folder: &Folder) -> ([SubjectId; 3], String, String) {
    let master = MasterKey::read_file(&folder.key()).expect("the master key");
    let clock = Arc::new(SystemClock);
    let engine = Engine::open(&folder.data, &master, Options::default(), clock, &mut |_| {}).expect("opens");
    let does = |body, subject| {
        let command = bank::Command { caller: Caller::SYSTEM, origin: Origin::default(), request: None, body };
        match engine.submit_blocking(Submission { command, subject, past: None, rivals: None }) {
            Ok(Outcome::Accepted(receipt)) => receipt.what,
            other => panic!("{other:?}"),
        }
    };
    let carol = NewSubject::generate();
    let name = carol.seal(Field::CustomerName, "Carol Cook");
    let What::Access(AccessEvent::CustomerAdded { id: customer, .. }) =
        does(Body::Access(AccessCommand::AddCustomer { name }), Some(carol.clone()))
    else {
        panic!("a customer")
    };
    let found = engine.peek(|state| {
        let customers = [1, 2].map(|id| state.customer(CustomerId(id)).expect("a customer"));
        let own = customers.map(|customer| customer.accounts[0]);
        let [alice, bob] = customers.map(|customer| customer.name.subject);
        (own, [alice, bob, carol.id()], own.map(|account: AccountId| state.iban(account).expect("an IBAN")))
    });
    let ([account, _], people, [alices, bobs]) = found.expect("the bank is open");
    does(Body::Access(AccessCommand::Grant { customer, account, right: Right::Owner }), None);
    engine.stop();
    (people, alices, bobs)
}

const LUNCH: &str = "Lunch E2E-lunch";
const RENT: &str = "Rent E2E-rent";
const ALL: &[&str] = &[LUNCH, RENT, "Sorry"];
const NOTHING: &[&str] = &[];

#[test]
fn each_side_keeps_its_texts_and_loses_them_with_its_own_keys() {
    let town = Town::new();
    let [alice, bob, carol] = town.people;
    let (all, texts, identity, contact) =
        (None, Some(Category::Texts), Some(Category::Identity), Some(Category::Contact));
    for (erased, on_alices, on_bobs) in [
        (vec![], ALL, ALL),
        // The payee's statement keeps what an erased payer wrote, and the payer's own shows nothing.
        (vec![(bob, all)], ALL, NOTHING),
        // One of two owners.
        (vec![(alice, all)], ALL, ALL),
        (vec![(carol, all)], ALL, ALL),
        (vec![(alice, all), (carol, all)], NOTHING, ALL),
        (vec![(alice, texts), (carol, all)], NOTHING, ALL),
        (vec![(bob, texts)], ALL, NOTHING),
        (vec![(bob, identity), (bob, contact)], ALL, ALL),
        (vec![(alice, all), (bob, texts), (carol, texts)], NOTHING, NOTHING),
    ] {
        let folder = town.copy();
        erased.iter().for_each(|name| erase(&folder, *name));
        assert_eq!(town.texts(&folder, &town.alices), on_alices, "{erased:?}");
        assert_eq!(town.texts(&folder, &town.bobs), on_bobs, "{erased:?}");
        verified(folder.data());
        let told = succeeds(&["export", "--data", folder.data(), "--format", "jsonl", "--personal"], "");
        let lost = |subject, category| erased.contains(&(subject, all)) || erased.contains(&(subject, category));
        for (subject, name) in [(alice, "Alice Adler"), (bob, "Bob Berger"), (carol, "Carol Cook")] {
            assert_eq!(told.contains(name), !lost(subject, identity), "{erased:?} {name}");
        }
        // The whole book shows what anybody can still read, and notes as long as their writer's key is there.
        let anybody = town.people.iter().any(|subject| !lost(*subject, texts));
        assert_eq!(told.contains(r#""text":"Rent""#) && told.contains(r#""text":"Deposit""#), anybody, "{erased:?}");
        assert_eq!(told.contains(r#"{\"note\":\"Rent\"}"#), !lost(bob, texts), "{erased:?}");
        assert_eq!(told.matches(r#""type":"key-destroyed""#).count(), erased.len(), "{told}");
    }
}

#[test]
fn the_interface_shows_each_side_its_own_copy() {
    let town = Town::new();
    let [_, bob, _] = town.people;
    for category in [None, Some(Category::Texts)] {
        let folder = town.copy();
        erase(&folder, (bob, category));
        let server = Server::serve(&folder.data);
        let alice = server.sign_in("alice", "alice-demo-password");
        let operator = server.sign_in("operator", "operator-demo-password");
        let rent = format!("/v1/payments/{}", town.rent);
        let hold = format!("/v1/holds/{}", town.hold);
        let shown = server.get(&rent, &alice);
        assert_eq!((&shown["text"], &shown["end_to_end_id"]), (&json!("Rent"), &json!("E2E-rent")), "{shown}");
        assert_eq!(server.get(&hold, &alice)["text"], "Deposit");
        assert_eq!(server.get(&rent, &operator)["text"], "Rent", "it is in the payee's books");
        let entries = |iban: &str, search: &str| {
            let entries = server.get(&format!("/v1/accounts/{iban}/entries{search}"), &operator)["entries"].clone();
            entries.as_array().expect("entries").iter().filter(|entry| entry["text"].is_string()).count()
        };
        assert_eq!((entries(&town.alices, ""), entries(&town.bobs, "")), (3, 0));
        assert_eq!((entries(&town.alices, "?text=rent"), entries(&town.bobs, "?text=rent")), (1, 0));
        let statement = |iban: &str| {
            let today = &jiff::Timestamp::now().to_string()[..10];
            let path = format!("/v1/accounts/{iban}/statement.csv?from=2026-01-01&to={today}");
            server.ask_text("GET", &path, Some(&operator), None, "text/csv").1
        };
        assert!(statement(&town.alices).contains("Rent") && statement(&town.alices).contains("E2E-rent"));
        assert!(!statement(&town.bobs).contains("Rent") && !statement(&town.bobs).contains("E2E-rent"));
        let told = told_to(&server, &alice);
        assert!(["Lunch", "Rent", "Sorry", "Deposit"].iter().all(|text| told.contains(text)), "{told}");
        if category.is_none() {
            let body = json!({ "name": "bob", "password": "bob-demo-password" });
            assert_eq!(server.ask("POST", "/v1/sign-in", None, Some(&body)).0, 401, "his password is gone, too");
            continue;
        }
        // Bob is still there, and writes and reads no texts.
        let bob = server.sign_in("bob", "bob-demo-password");
        let shown = server.get(&rent, &bob);
        assert!(shown["text"].is_null() && shown["end_to_end_id"].is_null() && shown["metadata"].is_null(), "{shown}");
        assert!(server.get(&hold, &bob)["text"].is_null());
        let found = |token: &str| server.get("/v1/payments?text=rent", token)["payments"].as_array().map(Vec::len);
        assert_eq!((found(&alice), found(&bob)), (Some(1), Some(0)));
        let told = told_to(&server, &bob);
        assert!(["Lunch", "Rent", "Sorry", "Deposit"].iter().all(|text| !told.contains(text)), "{told}");
        let mut order = json!({ "from": town.bobs, "to": town.alices, "amount": "1.00", "currency": "EUR" });
        assert_eq!(server.ask("POST", "/v1/payments", Some(&bob), Some(&order)).0, 201);
        order["text"] = json!("More");
        let (status, told) = server.ask("POST", "/v1/payments", Some(&bob), Some(&order));
        assert_eq!((status, &told["type"]), (422, &json!("/problems/person-erased")), "{told}");
        // Whoever pays him writes for themselves alone.
        let order =
            json!({ "from": town.alices, "to": town.bobs, "amount": "1.00", "currency": "EUR", "text": "Alms" });
        let (status, paid) = server.ask("POST", "/v1/payments", Some(&alice), Some(&order));
        assert_eq!((status, &paid["text"]), (201, &json!("Alms")), "{paid}");
        assert!(server.interrupt());
        verified(folder.data());
    }
}

/// All that a user's stream of events tells of the past.
fn told_to(server: &Server, token: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sSN", "--max-time", "3", "--cacert"]).arg(&server.authority);
    curl.args(["-H", &format!("Authorization: Bearer {token}")]);
    let output = curl.arg(format!("{}/v1/events?after=beginning", server.url)).output().expect("curl runs");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.matches("event: payment.booked").count() >= 3, "{told}");
    told
}

/// Findings of `kassa verify`, each as kind and detail. It never says what was written.
fn problems(folder: &Folder) -> Vec<(String, String)> {
    let output = run(&mut kassa(&["verify", "--data", folder.data(), "--json"]), "");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(["Lunch", "Rent", "Alice", "Bob", "alice"].iter().all(|word| !told.contains(word)), "{told}");
    let report: Value = serde_json::from_str(&told).expect("JSON");
    let found = report["problems"].as_array().expect("problems").iter();
    let found: Vec<_> = found
        .map(|it| (it["kind"].as_str().expect("a kind").into(), it["detail"].as_str().expect("words").into()))
        .collect();
    assert_eq!(output.status.code(), Some(i32::from(!found.is_empty())), "{told}");
    found
}

fn sql(folder: &Folder, statement: &str) {
    let journal = rusqlite::Connection::open(folder.data.join("journal.db")).expect("the journal");
    assert_ne!(journal.execute(statement, []).expect("done"), 0, "{statement}");
}

#[test]
fn verify_names_keys_that_are_missing_exchanged_or_damaged() {
    let town = Town::new();
    let [alice, bob, _] = town.people;
    let texts = Category::Texts;
    let row = |subject: SubjectId| format!("subject = {} AND category = {}", subject.0, texts.number());
    let check = |attack: &dyn Fn(&Folder), kind: &str, words: &[String]| {
        let folder = town.copy();
        attack(&folder);
        let found = problems(&folder);
        assert_eq!(found.len(), words.len(), "{kind}: {found:?}");
        for ((found_kind, detail), words) in found.iter().zip(words) {
            assert!(found_kind == kind && detail.contains(words), "{kind}, {words}: {found:?}");
        }
    };
    let of = |subject: SubjectId, words: &str| format!("the key of subject {} for {words}", subject.0);
    let missing = |subject| of(subject, "texts is missing, and no event says that it was destroyed");
    check(
        &|folder| sql(folder, &format!("DELETE FROM category_keys WHERE {}", row(bob))),
        "missing-subject-key",
        &[missing(bob)],
    );
    // The event of another's key, or of another category's, excuses nothing; nor does one for a key that is still there.
    check(
        &|folder| {
            sql(folder, &format!("DELETE FROM category_keys WHERE {}", row(bob)));
            erase(folder, (alice, Some(texts)));
            erase(folder, (bob, Some(Category::Contact)));
        },
        "missing-subject-key",
        &[missing(bob)],
    );
    check(
        &|folder| {
            let mut journal = journal_of(folder);
            append(&mut journal, destroyed((bob, Some(texts))), Vec::new());
            journal.close().expect("closed");
        },
        "destroyed-key-there",
        &[of(bob, "texts is there, and event")],
    );
    // Alice's key in the place of Bob's, as whoever has the master key could put it there; and as whoever has not.
    check(
        &|folder| {
            let mut journal = journal_of(folder);
            let key = journal.reader().expect("opens").subject_key(alice.0, texts.number()).expect("read");
            let key = key.expect("Alice's key").key;
            assert!(journal.destroy_subject_keys(bob.0, Some(texts.number())).expect("written"));
            let started = What::System(bank::SystemEvent::LeaderStarted { version: "0".into() });
            append(&mut journal, started, vec![SubjectKey { subject: bob.0, category: texts.number(), key }]);
            journal.close().expect("closed");
        },
        "wrong-subject-key",
        &[of(bob, "texts does not open what event")],
    );
    let others = format!(
        "UPDATE category_keys SET wrapped = (SELECT wrapped FROM category_keys WHERE {}) WHERE {}",
        row(alice),
        row(bob)
    );
    let damaged = format!("UPDATE category_keys SET wrapped = zeroblob(60) WHERE {}", row(bob));
    let moved = format!(
        "UPDATE category_keys SET wrapped = (SELECT wrapped FROM category_keys WHERE subject = {0} AND \
         category = 1) WHERE {1}",
        bob.0,
        row(bob)
    );
    for statement in [others, damaged, moved] {
        let words = format!("the key of subject {} for category 3 isn't wrapped by this master key", bob.0);
        check(&|folder| sql(folder, &statement), "bad-subject-key", &[words]);
    }
}

#[test]
fn verify_names_everybody_where_the_table_of_keys_is_gone() {
    let town = Town::new();
    let journal = rusqlite::Connection::open(town.folder.data.join("journal.db")).expect("the journal");
    journal.execute_batch("DROP TABLE category_keys").expect("done");
    drop(journal);
    let found = problems(&town.folder);
    assert!(found.iter().all(|(kind, _)| kind == "missing-subject-key"), "{found:?}");
    for (subject, categories) in town.people.iter().zip([["identity", "texts"]; 3]) {
        for category in categories {
            let words = format!("the key of subject {} for {category} is missing", subject.0);
            assert!(found.iter().any(|(_, detail)| detail.contains(&words)), "{words}: {found:?}");
        }
    }
    // A server makes the table anew and goes on with what is left; that doesn't hide it.
    assert!(Server::serve(&town.folder.data).interrupt());
    assert_eq!(problems(&town.folder).len(), found.len());
}

/// People of a bank that had one key for each keep it, and are erased as a whole.
#[test]
fn people_of_an_older_bank_keep_their_one_key() {
    let folder = copied("0.1.0", "demo");
    let server = Server::serve(&folder.data);
    let alice = server.sign_in("alice", "alice-demo-password");
    let order = json!({ "from": "AT049999900000000001", "to": "AT479999900000000003", "amount": "1.00",
        "currency": "EUR", "text": "Old keys" });
    assert_eq!(server.ask("POST", "/v1/payments", Some(&alice), Some(&order)).0, 201);
    assert!(server.interrupt());
    verified(folder.data());
    let count = |table: &str| {
        let journal = rusqlite::Connection::open(folder.data.join("journal.db")).expect("the journal");
        let statement = format!("SELECT count(*), coalesce(max(subject), 0) FROM {table}");
        journal.query_row(&statement, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).expect("a number")
    };
    assert_eq!(count("category_keys").0, 0);
    assert_ne!(count("subject_keys").0, 0);
    let payer = subject_of_first_customer(&folder);
    let told = || succeeds(&["export", "--data", folder.data(), "--format", "csv", "--personal"], "");
    assert_eq!(told().matches("Old keys").count(), 2);
    // A category of hers has no key of its own to be destroyed.
    let mut journal = journal_of(&folder);
    assert!(!journal.destroy_subject_keys(payer.0, Some(Category::Texts.number())).expect("written"));
    journal.close().expect("closed");
    let without = Folder::new();
    copy_all(&folder.data, &without.data);
    fs::copy(folder.key(), without.key()).expect("the key is copied");
    sql(&without, &format!("DELETE FROM subject_keys WHERE subject = {}", payer.0));
    let found = problems(&without);
    let words = format!("the key of subject {} is missing", payer.0);
    assert!(
        matches!(&found[..], [(kind, told)] if kind == "missing-subject-key" && told.contains(&words)),
        "{found:?}"
    );
    erase(&folder, (payer, None));
    verified(folder.data());
    let left = told();
    assert_eq!(left.matches("Old keys").count(), 1, "the payee's line has its copy: {left}");
}

fn subject_of_first_customer(folder: &Folder) -> SubjectId {
    let master = MasterKey::read_file(&folder.key()).expect("the master key");
    let clock = Arc::new(SystemClock);
    let engine = Engine::open(&folder.data, &master, Options::default(), clock, &mut |_| {}).expect("opens");
    let subject = engine.peek(|state| state.customer(CustomerId(1)).expect("a customer").name.subject);
    engine.stop();
    subject.expect("the bank is open")
}
