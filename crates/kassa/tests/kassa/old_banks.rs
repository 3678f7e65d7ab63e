//! Banks made by released versions: each opens, verifies, and means what it meant, for ever.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::{Folder, Server, fails, succeeds};

/// A bank as a released version left it.
struct Kept {
    version: &'static str,
    name: &'static str,
    /// The hash of its journal's last frame.
    head: &'static str,
    /// The digest of its state.
    digest: &'static str,
}

const BANKS: &[Kept] = &[
    Kept {
        version: "0.1.0",
        name: "demo",
        head: "2fc39618db7a4f04da1939729edde2838b4ac23a3a9670ce77a42f96b563bf27",
        digest: "81478fa32102ac7ae66f1a333e1e356f98605f3d7c43ddbde62f605248b7a8b2",
    },
    Kept {
        version: "0.1.0",
        name: "belgium",
        head: "dd1ba94ff963b04014062b04a976118149269475e476af1e1f67b045e5d76913",
        digest: "0fb99331730042d952413159c8fe732ab1200ed15db74e7f71f01e57ec7fce7c",
    },
];

/// A copy of a kept bank to work with, with the file modes that a repository doesn't keep.
pub(super) fn copied(version: &str, name: &str) -> Folder {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/banks").join(version);
    let folder = Folder::new();
    copy_all(&kept.join(name), &folder.data);
    fs::copy(kept.join(name).with_extension("key"), folder.key()).expect("the key is copied");
    for secret in [folder.key(), folder.data.join("tls/server.key")] {
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).expect("the mode is set");
    }
    folder
}

pub(super) fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the kept bank") {
        let entry = entry.expect("a file of the kept bank");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the file is copied");
        }
    }
}

/// What `kassa verify` finds, with what it says of the state.
fn verified(folder: &Folder) -> Value {
    serde_json::from_str(&succeeds(&["verify", "--data", folder.data(), "--json"], "")).expect("JSON")
}

/// Pays under a key.
fn under(server: &Server, key: &str, token: &str, payment: &Value) -> (u16, Value) {
    let (status, told) = server.ask_under(key, "POST", "/v1/payments", Some(token), Some(payment), "application/json");
    (status, serde_json::from_str(&told).expect("JSON"))
}

/// The balance that is booked.
fn posted(server: &Server, iban: &str, token: &str) -> String {
    let balance = server.get(&format!("/v1/accounts/{iban}/balance"), token);
    balance["posted"].as_str().expect("an amount").to_owned()
}

#[test]
fn banks_of_released_versions_verify_as_they_did() {
    for bank in BANKS {
        let found = verified(&copied(bank.version, bank.name));
        assert_eq!(found["ok"], true, "{} of {}: {found}", bank.name, bank.version);
        assert_eq!(found["head"], bank.head, "{} of {}", bank.name, bank.version);
        assert_eq!(found["digest"], bank.digest, "{} of {}", bank.name, bank.version);
    }
}

#[test]
fn banks_of_released_versions_open_without_what_is_derived() {
    for bank in BANKS {
        let folder = copied(bank.version, bank.name);
        fs::remove_file(folder.data.join("checkpoint.db")).expect("the checkpoint goes");
        let found = verified(&folder);
        assert_eq!((&found["ok"], &found["digest"]), (&json!(true), &json!(bank.digest)), "{}", bank.name);
        drop(Server::serve(&folder.data));
    }
}

#[test]
fn a_demo_bank_of_an_earlier_version_goes_on() {
    let folder = copied("0.1.0", "demo");
    let server = Server::start("demo", &folder.data, "curl");
    let alice = server.sign_in("alice", "alice-demo-password");
    let payment = json!({
        "from": "AT049999900000000001", "to": "AT479999900000000003", "amount": "25.00", "currency": "EUR",
        "text": "Lunch",
    });
    // The key of a payment that 0.1.0 made: its first outcome, not another payment.
    let (status, told) = under(&server, "fixture-1", &alice, &payment);
    assert_eq!((status, &told["amount"]), (201, &json!("25.00")), "{told}");
    assert!(told["booked_at"].as_str().expect("a time").starts_with("2026-11-28T10:3"), "{told}");
    assert_eq!(posted(&server, "AT049999900000000001", &alice), "2726.00");
    // A refusal that 0.1.0 gave stands, too.
    let too_much = json!({
        "from": "AT049999900000000001", "to": "AT479999900000000003", "amount": "999999.00", "currency": "EUR",
    });
    let (status, told) = under(&server, "fixture-2", &alice, &too_much);
    assert_eq!((status, &told["type"]), (422, &json!("/problems/insufficient-funds")), "{told}");
    // Its days are still UTC's, and it can get a time zone.
    let days = server.get("/v1/time-zones", &alice);
    assert_eq!(days["zones"], json!([{ "from": null, "time_zone": "UTC" }]));
    // And it pays.
    let (status, _) = server.ask("POST", "/v1/payments", Some(&alice), Some(&payment));
    assert_eq!(status, 201);
    assert_eq!(posted(&server, "AT049999900000000001", &alice), "2701.00");
}

#[test]
fn a_bank_keeps_the_account_numbers_that_an_earlier_version_gave() {
    let folder = copied("0.1.0", "belgium");
    let server = Server::serve(&folder.data);
    let operator = server.sign_in("operator", "operator-demo-password");
    assert_eq!(posted(&server, "BE22539000000001", &operator), "70.00");
    let (status, opened) =
        server.ask("POST", "/v1/accounts", Some(&operator), Some(&json!({ "currency": "EUR", "owner": 1 })));
    assert_eq!((status, &opened["iban"]), (201, &json!("BE92539000000002")), "{opened}");
}

#[test]
fn an_import_goes_on_into_a_bank_that_an_earlier_version_founded() {
    let folder = copied("0.1.0", "belgium");
    let source = folder.data.with_file_name("source");
    fs::create_dir_all(&source).expect("a folder");
    let map = |country: &str, code: &str| {
        let map = format!(
            r#"
            [source]
            name = "later"
            currency = "EUR"
            encoding = "utf-8"
            separator = ","
            date_format = "%Y-%m-%d"
            decimal_separator = "."
            [bank]
            name = "Belgium"
            country = "{country}"
            bank_code = "{code}"
            [[customers]]
            key = "c"
            name = "Clara"
            [[accounts]]
            key = "main"
            number = 77
            opened = "2024-01-01"
            opening_balance = "10.00"
            owners = ["c"]
            [postings]
            file = "rows.csv"
            key = "key"
            account_template = "main"
            date = "date"
            amount = "amount"
            contra = [{{ account = "Other banks", kind = "asset" }}]
            "#
        );
        fs::write(source.join("map.toml"), map).expect("the map");
    };
    fs::write(source.join("rows.csv"), "key,date,amount\n1,2024-01-02,5.00\n").expect("the rows");
    let file = source.join("map.toml");
    let flags = ["import", "--data", folder.data(), "--map", file.to_str().expect("a plain path"), "--json"];
    map("BE", "539");
    let report: Value = serde_json::from_str(&succeeds(&flags, "")).expect("JSON");
    assert_eq!((&report["postings_booked"], &report["opening_balances"][0]["amount"]), (&json!(1), &json!("10.00")));
    assert_eq!(report["opening_balances"][0]["account"].as_str().map(|iban| &iban[4..]), Some("539000000077"));
    // A code that no bank has any more is another bank's where one is there, and a mistake where none is.
    map("BE", "53");
    let told = fails(&flags, "");
    assert!(told.contains("(BE 53), but") && told.contains("(BE 539)"), "{told}");
    let nowhere = folder.data.with_file_name("nowhere");
    let flags = [&flags[..2], &[nowhere.to_str().expect("a plain path")], &flags[3..]].concat();
    let told = fails(&flags, "");
    assert!(told.contains("map.toml:12: `bank_code`: country BE with bank code 53 makes no IBAN"), "{told}");
    assert!(!nowhere.exists());
}
