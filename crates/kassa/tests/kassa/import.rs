//! Files as banks give them to their customers, by the suggested maps into a bank.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::guide::{is_as_said, steps};
use super::{Folder, Server, fails, kassa, run, succeeds, verified};

fn sample(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(file)
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A folder with a file and the map that is suggested for it, changed as said.
struct Import {
    folder: Folder,
    source: PathBuf,
    map: PathBuf,
    file: &'static str,
}

impl Import {
    fn of(file: &'static str, content: &[u8], changes: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let source = folder.data.with_file_name("source");
        fs::create_dir(&source).expect("a folder");
        fs::write(source.join(file), content).expect("the file");
        let mut text = succeeds(&["import", "--suggest", text_of(&source.join(file))], "");
        for (line, with) in changes {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
            text = text.replacen(line, with, 1);
        }
        let map = source.join("map.toml");
        fs::write(&map, text).expect("the map");
        Self { folder, source, map, file }
    }

    fn write(&self, content: &[u8]) {
        fs::write(self.source.join(self.file), content).expect("the file");
    }

    fn run(&self) -> Value {
        let flags = ["import", "--data", self.folder.data(), "--map", text_of(&self.map), "--json"];
        serde_json::from_str(&succeeds(&flags, "")).expect("JSON")
    }

    fn fails(&self) -> String {
        fails(&["import", "--data", self.folder.data(), "--map", text_of(&self.map)], "")
    }
}

#[test]
fn an_import_needs_a_map_or_suggests_one() {
    let bare = run(&mut kassa(&["import"]), "");
    assert!(String::from_utf8_lossy(&bare.stderr).contains("--map <FILE.toml>|--suggest <FILE>"));
    assert!(!bare.status.success());
    let unknown = fails(&["import", "--suggest", text_of(&sample("dkb.csv")), "--encoding", "klingon"], "");
    assert!(unknown.contains("\"klingon\" is not a known encoding"), "{unknown}");
}

#[test]
fn a_file_without_keys_is_taken_once_however_it_comes_again() {
    let content = fs::read_to_string(sample("barclays.csv")).expect("the sample");
    let import = Import::of("file.csv", content.as_bytes(), &[("# currency = \"EUR\"", "currency = \"GBP\"")]);
    import.folder.init("AT", "99999", "GBP");
    let first = import.run();
    assert_eq!((&first["postings"], &first["already_there"]), (&json!(4), &json!(0)));
    let booked = verified(import.folder.data())["postings"].clone();
    // A customer, an account, a right and a contra account are there as well.
    let others = 4;

    // Again, with a day's rows the other way round, and from the second day on.
    let lines: Vec<&str> = content.lines().collect();
    let turned = [lines[0], lines[4], lines[3], lines[2], lines[1]].join("\n");
    let window = [lines[0], lines[2], lines[4], lines[3]].join("\n");
    for (content, rows) in [(&content, 4), (&turned, 4), (&window, 3)] {
        import.write(content.as_bytes());
        assert_eq!(import.run()["already_there"], rows + others, "{content}");
        assert_eq!(verified(import.folder.data())["postings"], booked, "{content}");
    }
    // A second book on the same day is a new row, and so is one of another day.
    let more = format!("{turned}\n{}\n{}\n", lines[1], lines[1].replace("28/06", "29/06"));
    import.write(more.as_bytes());
    let report = import.run();
    assert_eq!((&report["postings"], &report["already_there"]), (&json!(6), &json!(4 + others)));
    assert_eq!(report["postings_booked"], 2);

    // What the key is made of may not stand for two things.
    let map = fs::read_to_string(&import.map).expect("the map");
    let narrow = map.replace("key_template = \"{Memo}\"", "key_template = \"{Subcategory}\"");
    assert_ne!(map, narrow);
    fs::write(&import.map, narrow).expect("the map");
    import.write(more.replacen("COFFEE", "TEA", 1).as_bytes());
    let told = import.fails();
    assert!(told.contains("which says something else") && told.contains("key_template"), "{told}");
}

#[test]
fn each_currency_has_its_account_or_its_rows_are_mistakes() {
    let content = fs::read(sample("revolut.csv")).expect("the sample");
    let import = Import::of("file.csv", &content, &[]);
    import.folder.init("AT", "99999", "EUR");
    let report = import.run();
    assert_eq!((&report["accounts"], &report["contra_accounts"]), (&json!(2), &json!(2)));
    assert_eq!(report["skipped"], json!({ "rows that are not booked": 2 }));
    assert_eq!((&report["account_days"], &report["agree_exact"]), (&json!(4), &json!(4)), "{report}");
    assert_eq!(import.run()["already_there"], 1 + 2 + 2 + 2 + 4);
    let server = Server::serve(&import.folder.data);
    let operator = server.sign_in("operator", "operator-password");
    let balances = ["EUR", "GBP"].map(|code| {
        let trial = server.get("/v1/trial-balance", &operator);
        let currencies = trial["currencies"].as_array().expect("currencies").clone();
        let found =
            currencies.into_iter().find(|currency| currency["currency"] == code).unwrap_or_else(|| panic!("{trial}"));
        let owed = &found["kinds"][1];
        assert_eq!(owed["kind"], "liability");
        super::hundredths(&owed["credits"]) - super::hundredths(&owed["debits"])
    });
    assert_eq!(balances, [10_000, 7_300]);
    drop(server);

    let map = fs::read_to_string(&import.map).expect("the map").replace("main {Currency}", "main EUR");
    fs::write(&import.map, map).expect("the map");
    let told = import.fails();
    assert!(
        told.contains("file.csv:5: column \"Currency\": \"GBP\" is not the account's currency, which is EUR"),
        "{told}"
    );
}

#[test]
fn long_texts_are_refused_cut_or_split() {
    let words = format!("{}end", "word ".repeat(40));
    let content = format!("Id;Date;Text;Amount EUR\nx1;2024-03-05;{words};-5,00\nx2;2024-03-06;short;100,00\n");
    let split = "long_text = \"split\"\n";
    let bank = "[bank]\nname = \"Trial\"\ncountry = \"AT\"\nbank_code = \"99999\"\n[[customers]]";
    let import = Import::of("file.csv", content.as_bytes(), &[(split, ""), ("[[customers]]", bank)]);
    let told = import.fails();
    assert!(told.contains("file.csv:2: ") && told.contains("longer than 140 characters"), "{told}");
    let map = fs::read_to_string(&import.map).expect("the map");

    fs::write(&import.map, map.replace("[postings]\n", "[postings]\nlong_text = \"cut\"\n")).expect("the map");
    assert_eq!(import.run()["skipped"], json!({ "ends of texts over 140 characters": 1 }));

    let import = Import::of("file.csv", content.as_bytes(), &[("[[customers]]", bank)]);
    let flags = ["import", "--data", import.folder.data(), "--map", text_of(&import.map)];
    succeeds(&[&flags[..], &["--user", "client:holder:anna"]].concat(), "annas-password\n");
    let server = Server::serve(&import.folder.data);
    let token = server.sign_in("anna", "annas-password");
    let accounts = server.get("/v1/accounts", &token);
    let iban = accounts["accounts"][0]["iban"].as_str().expect("an IBAN").to_owned();
    let entries = server.get(&format!("/v1/accounts/{iban}/entries"), &token);
    let id = entries["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .find(|entry| entry["amount"] == "-5.00")
        .and_then(|entry| entry["payment"].as_str())
        .unwrap_or_else(|| panic!("{entries}"));
    let payment = server.get(&format!("/v1/payments/{id}"), &token);
    let joined = format!(
        "{} {}",
        payment["text"].as_str().expect("a text"),
        payment["metadata"]["text_2"].as_str().unwrap_or_else(|| panic!("{payment}"))
    );
    assert_eq!(joined, words);
}

#[test]
fn an_account_of_the_map_says_what_it_began_with() {
    let content = "Id;Date;Text;Amount EUR\nx1;2024-03-05;rent;-500,00\nx2;2024-03-06;pay;100,00\n";
    let bank = "[bank]\nname = \"Trial\"\ncountry = \"AT\"\nbank_code = \"99999\"\n[[customers]]";
    let import = Import::of("file.csv", content.as_bytes(), &[("[[customers]]", bank)]);
    let told = import.fails();
    assert!(told.contains("map.toml:") && told.contains("would end 400.00 EUR below zero"), "{told}");
    let map = fs::read_to_string(&import.map).expect("the map");
    let begins_with = |balance: &str| {
        let with = format!("[[accounts]]\nopening_balance = {balance}");
        fs::write(&import.map, map.replace("[[accounts]]", &with)).expect("the map");
    };
    for (balance, mistake) in [
        ("\"650,00\"", "`opening_balance` \"650,00\" is not an amount such as 1234.56"),
        ("650", "`opening_balance` must be a text"),
    ] {
        begins_with(balance);
        let told = import.fails();
        assert!(told.contains(mistake), "{told}");
    }
    begins_with("\"650.00\"");
    let report = import.run();
    assert_eq!((&report["opening_balances"][0]["amount"], &report["overdrafts"]), (&json!("650.00"), &json!([])));
}

#[test]
fn the_guide_to_importing_works_as_printed() {
    let steps = steps(include_str!("../../../../docs/IMPORT.md"));
    assert!(steps.len() > 6, "the guide has commands");
    let folder = tempfile::tempdir().expect("a folder for the test");
    let program = Path::new(env!("CARGO_BIN_EXE_kassa")).parent().expect("its folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let script: Vec<&str> = steps.iter().map(|step| step.commands.as_str()).collect();
    let script = script.join("\nprintf '\\n=== step ===\\n'\n");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path()).env("PATH", path);
    for variable in ["KASSA_MASTER_KEY", "KASSA_MASTER_KEY_FILE", "KASSA_LISTEN", "KASSA_DATA"] {
        bash.env_remove(variable);
    }
    let output = bash.output().expect("bash runs");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{failed}");
    let printed: Vec<&str> = told.split("=== step ===\n").collect();
    assert_eq!(printed.len(), steps.len(), "{told}");
    for (step, printed) in steps.iter().zip(printed) {
        let said = step.printed.as_deref().unwrap_or_default();
        assert!(is_as_said(said, printed), "{}\n\nThe guide says:\n{said}\n\nIt printed:\n{printed}", step.commands);
    }
}
