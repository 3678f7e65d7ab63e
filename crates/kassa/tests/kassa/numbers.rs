//! A bank of each form of account numbers: founded by the command, paid in over HTTP; what is wrong with its making, in words.

use std::fs;

use serde_json::{Value, json};

use super::{Folder, Server, fails, succeeds, verified};

/// The flags of a bank, the number of its first account as it is told, the same as people type it, and the parts of it.
const BANKS: [(&[&str], &str, &str, &str); 16] = [
    (
        &["US", "123456780"],
        "123456780-0000000001",
        "1234567800000000001",
        r#"{"routing_number":"123456780","account":"0000000001"}"#,
    ),
    (&["US", "123456780", "--account-digits", "17"], "123456780-00000000000000001", "123456780 00000000000000001", ""),
    (
        &["CA", "99912345"],
        "999-12345-0000001",
        "99912345 0000001",
        r#"{"institution":"999","transit":"12345","account":"0000001"}"#,
    ),
    (&["AU", "987654"], "987654-000000001", "987-654 000000001", r#"{"bsb":"987654","account":"000000001"}"#),
    (&["NZ", "020001"], "02-0001-0000002-000", "02-0001-0000002-00", ""),
    (
        &["IN", "KASA0000001"],
        "KASA0000001-00000000001",
        "kasa0000001 00000000001",
        r#"{"ifsc":"KASA0000001","account":"00000000001"}"#,
    ),
    (
        &["SG", "9999001"],
        "9999-001-0000000001",
        "9999001-0000000001",
        r#"{"bank":"9999","branch":"001","account":"0000000001"}"#,
    ),
    (&["KE", "99001"], "99-001-0000000001", "99001 0000000001", ""),
    (&["NG", "50547"], "50547-0000000011", "50547 0000000011", r#"{"bank":"50547","account":"0000000011"}"#),
    (&["ZA", "999001"], "999001-0000000001", "999-001-0000000001", ""),
    (&["HK", "999001"], "999-001-000000001", "999001000000001", ""),
    (&["JP", "9999001"], "9999-001-0000001", "9999 001 0000001", ""),
    (&["MX", "999180"], "999180000000000015", "999 180 00000000001 5", r#"{"clabe":"999180000000000015"}"#),
    (&["AR", "99900018"], "9990001800000000000017", "99900018 00000000000017", r#"{"cbu":"9990001800000000000017"}"#),
    (&["BR", "KASSA01", "--own-numbers", "mod97"], "KASSA01000000000171", "kassa01 0000 0000 0171", "null"),
    (
        &["AT", "900001", "--own-numbers", "luhn", "--account-digits", "8"],
        "900001000000017",
        "900001-00000001-7",
        "null",
    ),
];

#[test]
fn a_bank_of_each_form_is_founded_and_pays() {
    for (flags, number, typed, parts) in BANKS {
        let folder = Folder::new();
        let init =
            ["init", "--data", folder.data(), "--currency", "EUR", "--country", flags[0], "--bank-code", flags[1]];
        succeeds(&[&init[..], &flags[2..]].concat(), "operator-password\n");
        let server = Server::serve(&folder.data);
        let operator = server.sign_in("operator", "operator-password");
        let asked = |path: &str, body: Value| {
            let (status, told) = server.ask("POST", path, Some(&operator), Some(&body));
            assert_eq!(status, 201, "{flags:?} {path}: {told}");
            told
        };
        asked("/v1/customers", json!({ "name": "Anna" }));
        asked("/v1/users", json!({ "name": "anna", "password": "annas-password", "role": "customer", "customer": 1 }));
        let opened = asked("/v1/accounts", json!({ "currency": "EUR", "owner": 1 }));
        assert_eq!(opened["iban"], number);
        if !parts.is_empty() {
            assert_eq!(opened["account_number"], serde_json::from_str::<Value>(parts).expect("JSON"), "{flags:?}");
        }
        let second = asked("/v1/accounts", json!({ "currency": "EUR", "owner": 1 }));
        asked("/v1/deposits", json!({ "account": typed, "amount": "10.00", "currency": "EUR" }));
        let anna = server.sign_in("anna", "annas-password");
        let payment = json!({ "from": typed, "to": second["iban"], "amount": "4.00", "currency": "EUR" });
        let (status, paid) = server.ask("POST", "/v1/payments", Some(&anna), Some(&payment));
        assert_eq!((status, &paid["from"], &paid["to"]), (201, &json!(number), &second["iban"]), "{flags:?}: {paid}");
        assert_eq!(server.get(&format!("/v1/accounts/{number}/balance"), &anna)["available"], "6.00");
        assert!(server.interrupt());
        assert_eq!(verified(folder.data())["ok"], true);
        // Its numbers are in every export.
        let told = succeeds(&["export", "--data", folder.data(), "--format", "hledger"], "");
        assert!(told.contains(&format!("liabilities:{number}")), "{told}");
        let told = succeeds(&["export", "--data", folder.data(), "--format", "jsonl"], "");
        let founded = told.lines().find(|line| line.contains("\"founded\"")).expect("a founding");
        assert!(founded.contains("\"account_digits\":"), "{founded}");
        assert_eq!(founded.contains("\"own_numbers\":"), flags.contains(&"--own-numbers"), "{founded}");
    }
}

#[test]
fn what_is_wrong_with_a_bank_to_be_is_told_with_what_the_country_expects() {
    for (flags, parts) in [
        (&["US", "12345"][..], &["ABA routing number: nine digits, e.g. 123456780"][..]),
        (&["US", "021000022"], &["check digit 1", "021000021", "nine digits"]),
        (&["IN", "HDFCO000123"], &["its IFSC", "a zero", "e.g. KASA0000001"]),
        (&["AT", "1"], &["makes no IBAN", "e.g. 19043"]),
        (&["BR", "341"], &["no form of account numbers for country BR", "--own-numbers mod97", " US "]),
        (&["us", "123456780"], &["country us", "two capital letters", " US "]),
        (&["US", "123456780", "--account-digits", "18"], &["4 to 17 digits", "not 18"]),
        (&["AT", "99999", "--account-digits", "10"], &["are IBANs", "--own-numbers"]),
        (&["BR", "kassa", "--own-numbers", "mod97"], &["1 to 12 capital letters and digits"]),
        (&["BR", "KASSA", "--own-numbers", "luhn"], &["1 to 12 digits"]),
    ] {
        let folder = Folder::new();
        let init = ["init", "--data", folder.data(), "--country", flags[0], "--bank-code", flags[1]];
        let told = fails(&[&init[..], &flags[2..]].concat(), "operator-password\n");
        for part in parts {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
        assert!(!folder.data.exists(), "nothing was made");
    }
}

/// The table is the operator's own; this one is invented.
#[test]
fn a_british_bank_is_checked_by_the_table_that_it_was_founded_with() {
    let table = "990000 990099 MOD11 0 0 0 0 0 0 8 7 6 5 4 3 2 1\n990200 990200 MOD11 0 0 0 0 0 0 8 7 6 5 4 3 2 1 5\n";
    let init = |folder: &Folder, flags: &[&str]| -> Vec<String> {
        let file = folder.data.with_file_name("table.txt");
        fs::write(&file, table).expect("the table");
        let file = file.to_str().expect("a plain path");
        let init = ["init", "--data", folder.data(), "--currency", "GBP", "--modulus-table", file];
        init.iter().chain(flags).map(|&flag| flag.to_owned()).collect()
    };
    let asked = |flags: &[String], by: &dyn Fn(&[&str], &str) -> String| {
        by(&flags.iter().map(String::as_str).collect::<Vec<_>>(), "operator-password\n")
    };
    let folder = Folder::new();
    asked(&init(&folder, &["--country", "GB", "--bank-code", "KASA990042"]), &succeeds);
    fs::remove_file(folder.data.with_file_name("table.txt")).expect("it is needed no more");
    let server = Server::serve(&folder.data);
    let operator = server.sign_in("operator", "operator-password");
    let open = |number: Option<u64>| {
        let body = json!({ "currency": "GBP", "number": number });
        server.ask("POST", "/v1/accounts", Some(&operator), Some(&body))
    };
    for (number, account) in [(None, "00000019"), (None, "00000027"), (Some(12_345_679), "12345679")] {
        let (status, opened) = open(number);
        assert_eq!(status, 201, "{opened}");
        assert_eq!(opened["account_number"], json!({ "sort_code": "990042", "account": account }));
        assert!(opened["iban"].as_str().is_some_and(|iban| iban.ends_with(&format!("KASA990042{account}"))));
    }
    let (status, refused) = open(Some(12_345_678));
    assert_eq!((status, &refused["type"]), (409, &json!("/problems/number-taken")));
    drop(server);

    for (flags, parts) in [
        (["--country", "GB", "--bank-code", "KASA990200"], &["990200", "exception 5", "not built in"][..]),
        (["--country", "GB", "--bank-code", "KASA123456"], &["no rule for the sort code 123456"]),
        (["--country", "AT", "--bank-code", "99999"], &["British banks alone"]),
    ] {
        let folder = Folder::new();
        let told = asked(&init(&folder, &flags), &fails);
        for part in ["table.txt: "].iter().chain(parts) {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
        assert!(!folder.data.exists(), "nothing was made");
    }
}

#[test]
fn an_import_founds_a_bank_without_ibans() {
    let map = |bank: &str, number: &str| {
        format!(
            r#"
            [source]
            name = "old"
            currency = "USD"
            encoding = "utf-8"
            separator = ","
            date_format = "%Y-%m-%d"
            decimal_separator = "."
            [bank]
            name = "Imported"
            {bank}
            [[customers]]
            key = "c"
            name = "Clara"
            [[accounts]]
            key = "main"
            number = {number}
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
        )
    };
    for (bank, number, expected) in [
        ("country = \"US\"\nbank_code = \"123456780\"\naccount_digits = 12", "12345678901", "123456780-012345678901"),
        ("country = \"NZ\"\nbank_code = \"010902\"", "68389000", "01-0902-0068389-000"),
        ("country = \"BR\"\nbank_code = \"900001\"\nown_numbers = \"luhn\"", "1", "90000100000000017"),
    ] {
        let folder = Folder::new();
        let source = folder.data.with_file_name("source");
        fs::create_dir_all(&source).expect("a folder");
        fs::write(source.join("map.toml"), map(bank, number)).expect("the map");
        fs::write(source.join("rows.csv"), "key,date,amount\n1,2024-01-02,5.00\n").expect("the rows");
        let file = source.join("map.toml");
        let flags = ["import", "--data", folder.data(), "--map", file.to_str().expect("a plain path"), "--json"];
        let report: Value = serde_json::from_str(&succeeds(&flags, "")).expect("JSON");
        assert_eq!(report["opening_balances"][0]["account"], expected);
    }
    for (bank, number, expected) in [
        ("country = \"US\"\nbank_code = \"123456781\"", "1", "with the check digit 0 it would be 123456780"),
        ("country = \"US\"\nbank_code = \"123456780\"\naccount_digits = 3", "1", "4 to 17 digits"),
        ("country = \"BR\"\nbank_code = \"1\"\nown_numbers = \"crc\"", "1", "must be mod97 or luhn"),
        (
            "country = \"NZ\"\nbank_code = \"010902\"",
            "68390000",
            "68390000 fails the check of NZ, as 01-0902-0068390-000",
        ),
        (
            "country = \"AU\"\nbank_code = \"987654\"",
            "1234567890",
            "more than this bank's account numbers have room for",
        ),
    ] {
        let folder = Folder::new();
        let source = folder.data.with_file_name("source");
        fs::create_dir_all(&source).expect("a folder");
        fs::write(source.join("map.toml"), map(bank, number)).expect("the map");
        fs::write(source.join("rows.csv"), "key,date,amount\n1,2024-01-02,5.00\n").expect("the rows");
        let file = source.join("map.toml");
        let told = fails(&["import", "--data", folder.data(), "--map", file.to_str().expect("a plain path")], "");
        assert!(told.contains("map.toml:") && told.contains(expected), "{told}");
        assert!(!folder.data.exists(), "nothing was made");
    }
}
