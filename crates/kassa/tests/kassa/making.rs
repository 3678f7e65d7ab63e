//! Making a bank, and making it again: `init` and `demo` in folders that hold a bank already, settings that are kept, and
//! those who run the bank, added and given passwords from outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bank::{AccessCommand, AccountCommand, Body, Caller, Numbering, OpenAccount, Origin, SystemCommand};
use engine::{Engine, Field, NewSubject, Options, Outcome, Submission, SystemClock};
use journal::MasterKey;
use ledger::{Currency, Kind, Overdraft};
use serde_json::{Value, json};

use super::{Folder, Server, fails, kassa, run, small_source, succeeds, verified};

const PASSWORD: &str = "operator-password";

/// The command that a message prints between backticks, with these words in it.
fn printed(told: &str, words: &str) -> String {
    let command = told.split('`').find(|part| part.contains(words));
    command.unwrap_or_else(|| panic!("no command with {words} in: {told}")).to_owned()
}

/// Runs a printed command as somebody pastes it.
fn paste(command: &str, input: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["-c", command]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run(&mut bash, input);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// The events and the digest of a bank, to see that nothing was done to it.
fn as_it_is(folder: &Folder) -> (Value, Value) {
    let report = verified(folder.data());
    (report["events"].clone(), report["digest"].clone())
}

/// A bank that an import founded: Imported, in Czechia, with customers and nobody who runs it.
fn imported() -> Folder {
    let folder = Folder::new();
    let source = folder.data.with_file_name("source");
    small_source(&source, "id,account,date,amount,balance\n1,11,2020-01-02,100.00,100.00\n");
    let map = source.join("map.toml");
    let founding = "\n[bank]\nname = \"Imported\"\ncountry = \"CZ\"\nbank_code = \"0800\"\n";
    fs::write(&map, fs::read_to_string(&map).expect("the map") + founding).expect("the map");
    let (map, source) = (map.to_str().expect("a plain path"), source.to_str().expect("a plain path"));
    succeeds(&["import", "--data", folder.data(), "--map", map, source], "");
    folder
}

/// A bank made as far as some steps, each under the key of its name, as a making does that is broken off then.
fn made_as_far_as(steps: Vec<(&str, Body, Option<NewSubject>)>) -> Folder {
    let folder = Folder::new();
    let master = MasterKey::generate();
    master.write_new_file(&folder.key()).expect("a key");
    let engine = Engine::create(&folder.data, &master, Arc::new(SystemClock)).expect("made");
    for (step, body, subject) in steps {
        let key = format!("making the bank: {step}");
        let request = Some(engine.request(bank::UserId::SYSTEM, key.as_bytes(), b""));
        let command = bank::Command { origin: Origin::default(), caller: Caller::SYSTEM, request, body };
        let outcome =
            engine.submit_blocking(Submission { command, subject, past: None, rivals: None }).expect("it is open");
        assert!(matches!(outcome, Outcome::Accepted(_)), "{step}: {outcome:?}");
    }
    engine.stop();
    folder
}

fn found(name: &str, country: &str, bank_code: &str) -> Body {
    Body::System(SystemCommand::Found {
        name: name.to_owned(),
        numbering: Numbering::new(country, bank_code).expect("a form"),
        time_zone: None,
    })
}

fn cash(code: &str) -> Body {
    Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
        number: None,
        currency: Currency::from_code(code).expect("a currency"),
        kind: Kind::Asset,
        overdraft: Overdraft::Unlimited,
        name: None,
        owner: None,
        cash: true,
        opened_at: None,
    }))
}

/// A new customer, by one step.
fn customer(step: &str) -> (&str, Body, Option<NewSubject>) {
    let subject = NewSubject::generate();
    (
        step,
        Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, "Alice Adler") }),
        Some(subject),
    )
}

#[test]
fn without_a_bank_a_command_is_printed_that_makes_one() {
    let folder = Folder::new();
    let data = folder.data.with_file_name("Anna's bank");
    let name = data.to_str().expect("a plain path");
    for command in ["serve", "verify", "export"] {
        let format: &[&str] = if command == "export" { &["--format", "csv"] } else { &[] };
        let told = fails(&[&[command, "--data", name], format].concat(), "");
        assert!(printed(&told, " init ").contains("--country"), "{told}");
    }
    let init = printed(&fails(&["serve", "--data", name], ""), " init ");
    let told = paste(&init, "operator-password\n");
    let (_, serve) = told.split_once("Serve it with: ").expect("how to serve it");
    assert!(serve.contains(" serve --data ") && serve.contains("s bank'"), "{told}");
    drop(Server::serve(&data));
}

/// A making that was broken off is finished with account numbers of the same form only.
#[test]
fn a_making_is_finished_in_the_form_in_which_it_was_begun() {
    let folder = made_as_far_as(vec![("found", found("My Bank", "US", "123456780"), None)]);
    let init = ["init", "--data", folder.data(), "--country", "US", "--bank-code", "123456780"];
    for other in [&["--account-digits", "12"][..], &["--own-numbers", "luhn"]] {
        let told = fails(&[&init[..], other].concat(), "operator-password\n");
        assert!(told.contains("was broken off") && told.contains("form of account numbers"), "{told}");
    }
    succeeds(&[&init[..], &["--account-digits", "10"]].concat(), "operator-password\n");
}

#[test]
fn init_keeps_the_settings_that_it_was_given() {
    let folder = Folder::new();
    let init = ["init", "--data", folder.data(), "--country", "XX", "--bank-code", "1"];
    let told = fails(&[&init[..], &["--set", "listen=x", "--set", "colour=red", "--set", "burst"]].concat(), "");
    for part in ["XX", "listen must be", "colour", "NAME=VALUE"] {
        assert!(told.contains(part), "all mistakes together, and {part} is not in: {told}");
    }
    let beside = fs::read_dir(folder.data.parent().expect("a folder")).expect("a folder").count();
    assert_eq!(beside, 0, "nothing was made");

    let key = "master_key_file=../keys of banks.key";
    let init = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--set", key];
    succeeds(
        &[&init[..], &["--set", "listen=127.0.0.1:0", "--set", "session_minutes=7"]].concat(),
        "operator-password\n",
    );
    assert!(!folder.key().exists() && folder.data.with_file_name("keys of banks.key").exists());
    let written = fs::read_to_string(folder.data.join("kassa.toml")).expect("the settings");
    for line in ["listen = \"127.0.0.1:0\"", "session_minutes = 7", "# burst = 20000"] {
        assert!(written.lines().any(|written| written == line), "{line} is not in: {written}");
    }
    // With no flag at all.
    let server = Server::from(&mut kassa(&["serve", "--data", folder.data()]), &folder.data, "is open at");
    let (status, told) =
        server.ask("POST", "/v1/sign-in", None, Some(&json!({ "name": "operator", "password": PASSWORD })));
    assert_eq!(status, 200, "{told}");
    drop(server);

    // A demo bank keeps where its key lies, too, and takes other settings for this once.
    let demo = Folder::new();
    let flags = ["demo", "--data", demo.data(), "--set", "listen=127.0.0.1:0"];
    let first = [&flags[..], &["--set", key]].concat();
    assert!(Server::from(&mut kassa(&first), &demo.data, "/v1/payments").interrupt());
    assert!(Server::from(&mut kassa(&flags), &demo.data, "/v1/payments").interrupt());
    let written = fs::read_to_string(demo.data.join("kassa.toml")).expect("the settings");
    assert!(written.contains("\n# listen = "), "{written}");
}

#[test]
fn init_names_the_bank_that_is_there_and_changes_nothing() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let before = as_it_is(&folder);
    let other = ["init", "--data", folder.data(), "--country", "CZ", "--bank-code", "0800", "--name", "Other"];
    let own = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--name", "Test Bank"];
    let server = Server::serve(&folder.data);
    for flags in [&other[..], &own[..]] {
        let told = fails(flags, "operator-password\n");
        assert!(told.contains("already: Test Bank (AT 99999)"), "beside a running server: {told}");
    }
    assert!(server.interrupt());
    let served = as_it_is(&folder);
    assert_ne!(served, before, "the server's start is an event");
    for flags in [&other[..], &own[..]] {
        // No password is asked for.
        let told = fails(flags, "");
        assert!(told.contains("already: Test Bank (AT 99999)") && told.contains("Nothing was changed"), "{told}");
        assert!(printed(&told, " serve ").contains(folder.data()), "{told}");
    }
    assert_eq!(as_it_is(&folder), served);

    let folder = imported();
    let before = as_it_is(&folder);
    let told =
        fails(&["init", "--data", folder.data(), "--country", "CZ", "--bank-code", "0800", "--name", "Imported"], "");
    assert!(told.contains("already: Imported (CZ 0800)"), "{told}");
    assert_eq!(as_it_is(&folder), before);
    // The command that adds somebody who runs it is the one that is printed.
    let add = printed(&told, " operator add NAME ").replace("NAME", "olga");
    assert!(paste(&add, "olgas-password\n").contains("olga is an operator of Imported"));
    let server = Server::serve(&folder.data);
    let token = server.sign_in("olga", "olgas-password");
    assert_eq!(server.get("/v1/me", &token)["role"], "operator");
}

#[test]
fn a_making_that_was_broken_off_is_finished_by_the_same_words_only() {
    let init = |folder: &Folder, name: &str, currency: &str| {
        let flags = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--name", name];
        run(&mut kassa(&[&flags[..], &["--currency", currency]].concat()), "operator-password\n")
    };
    let told = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for steps in [
        vec![],
        vec![("found", found("Own Bank", "AT", "99999"), None)],
        vec![("found", found("Own Bank", "AT", "99999"), None), ("cash EUR", cash("EUR"), None)],
    ] {
        let many = steps.len();
        let folder = made_as_far_as(steps);
        if many > 0 {
            let refused = told(&init(&folder, "Another Bank", "EUR"));
            assert!(
                refused.contains("the making of Own Bank (AT 99999)") && refused.contains("broken off"),
                "{refused}"
            );
        }
        if many > 1 {
            let refused = told(&init(&folder, "Own Bank", "JPY"));
            assert!(refused.contains("a cash desk in EUR"), "{refused}");
        }
        let finished = init(&folder, "Own Bank", "EUR");
        assert!(finished.status.success(), "{}", told(&finished));
        assert!(told(&init(&folder, "Own Bank", "EUR")).contains("already: Own Bank (AT 99999)"));
    }
}

#[test]
fn a_bank_is_founded_in_a_time_zone() {
    let folder = Folder::new();
    let init = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--time-zone"];
    let refused = run(&mut kassa(&[&init[..], &["Europe/Atlantis"]].concat()), "operator-password\n");
    let told = String::from_utf8(refused.stderr).expect("text");
    assert!(!refused.status.success());
    assert!(told.contains("it is not a time zone of the IANA database such as Europe/Vienna"), "{told}");
    assert!(!folder.data.exists(), "nothing was made");
    let told = succeeds(&[&init[..], &["europe/vienna"]].concat(), "operator-password\n");
    assert!(told.starts_with("My Bank (AT 99999, Europe/Vienna) is founded in "), "{told}");
    assert!(told.contains("Its days are those of Europe/Vienna."), "{told}");
    let server = Server::serve(&folder.data);
    let operator = server.sign_in("operator", "operator-password");
    let days = server.get("/v1/time-zones", &operator);
    assert_eq!(days["zones"], json!([{ "from": null, "time_zone": "Europe/Vienna" }]));
    drop(server);

    // Without a zone days are UTC's, and the founding says none: as all versions write it.
    let plain = Folder::new();
    let init = ["init", "--data", plain.data(), "--country", "AT", "--bank-code", "99999"];
    let told = succeeds(&init, "operator-password\n");
    assert!(told.starts_with("My Bank (AT 99999) is founded in ") && told.contains("those of UTC."), "{told}");
    let events = succeeds(&["export", "--data", plain.data(), "--format", "jsonl"], "");
    assert!(!events.contains("time_zone"), "{events}");
}

/// A making that was broken off is that of a bank with its time zone.
#[test]
fn another_time_zone_is_another_bank() {
    let folder = made_as_far_as(vec![("found", found("Own Bank", "AT", "99999"), None)]);
    let init = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--name", "Own Bank"];
    let told = fails(&[&init[..], &["--time-zone", "Europe/Vienna"]].concat(), "operator-password\n");
    assert!(told.contains("the making of Own Bank (AT 99999) in") && told.contains("broken off"), "{told}");
    assert!(succeeds(&init, "operator-password\n").contains("Own Bank (AT 99999) is founded"));
}

/// So is that of a bank whose account numbers are checked by a table.
#[test]
fn a_table_of_checks_makes_another_bank() {
    let folder = made_as_far_as(vec![("found", found("Own Bank", "GB", "KASA990042"), None)]);
    let table = folder.data.with_file_name("table.txt");
    fs::write(&table, "990000 990099 MOD11 0 0 0 0 0 0 8 7 6 5 4 3 2 1\n").expect("the table");
    let init = ["init", "--data", folder.data(), "--country", "GB", "--bank-code", "KASA990042", "--name", "Own Bank"];
    let with_table = [&init[..], &["--modulus-table", table.to_str().expect("a plain path")]].concat();
    let told = fails(&with_table, "operator-password\n");
    assert!(told.contains("the making of Own Bank (GB KASA990042) in") && told.contains("broken off"), "{told}");
    assert!(succeeds(&init, "operator-password\n").contains("Own Bank (GB KASA990042) is founded"));
}

#[test]
fn the_demo_plants_nothing_in_a_bank_that_it_did_not_make() {
    let named_the_same = Folder::new();
    let init =
        ["init", "--data", named_the_same.data(), "--country", "AT", "--bank-code", "99999", "--currency", "EUR"];
    succeeds(&[&init[..], &["--name", "Demo Bank"]].concat(), "operator-password\n");
    let ordinary = Folder::new();
    ordinary.init("AT", "99999", "EUR");
    let half = made_as_far_as(vec![("found", found("Half a Bank", "AT", "99999"), None)]);
    let customers = made_as_far_as(vec![("found", found("Demo Bank", "AT", "99999"), None), customer("customer bob")]);
    for (folder, name) in [
        (&named_the_same, "Demo Bank (AT 99999)"),
        (&ordinary, "Test Bank (AT 99999)"),
        (&imported(), "Imported (CZ 0800)"),
        (&half, "Half a Bank (AT 99999)"),
        (&customers, "Demo Bank (AT 99999)"),
    ] {
        let before = as_it_is(folder);
        let told = fails(&["demo", "--data", folder.data(), "--set", "listen=127.0.0.1:0"], "");
        assert!(told.contains(name) && told.contains("did not make"), "{told}");
        assert!(printed(&told, " serve ").contains(folder.data()), "{told}");
        assert_eq!(as_it_is(folder), before, "nothing was done to {name}");
    }
}

/// The keys are those of version 0.1.0, which founded demo banks under the same key as all others.
#[test]
fn a_demo_bank_of_any_version_is_finished_and_served() {
    let old = || vec![("found", found("Demo Bank", "AT", "99999"), None)];
    let with_cash = || [old(), vec![("cash EUR", cash("EUR"), None)]].concat_steps();
    let new = vec![("found a demo bank", found("Demo Bank", "AT", "99999"), None)];
    for steps in [vec![], old(), with_cash(), [with_cash(), vec![customer("customer alice")]].concat_steps(), new] {
        let many = steps.len();
        let folder = made_as_far_as(steps);
        let server = Server::start("demo", &folder.data, "/v1/payments");
        let alice = server.sign_in("alice", "alice-demo-password");
        let accounts = server.get("/v1/accounts", &alice);
        assert_eq!(accounts["accounts"].as_array().map(Vec::len), Some(2), "after {many} steps: {accounts}");
        let operator = server.sign_in("operator", "operator-demo-password");
        assert_eq!(server.get("/v1/customers", &operator)["customers"].as_array().map(Vec::len), Some(2));
        assert!(server.interrupt());
        let init = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--name", "Demo Bank"];
        let told = fails(&init, "operator-password\n");
        assert!(told.contains("Demo Bank (AT 99999") && told.contains("), a demo bank"), "{told}");
    }
}

trait ConcatSteps<T> {
    fn concat_steps(self) -> Vec<T>;
}

impl<T, const N: usize> ConcatSteps<T> for [Vec<T>; N] {
    fn concat_steps(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn what_is_no_folder_is_told() {
    let folder = Folder::new();
    fs::write(&folder.data, "").expect("a file");
    let init = ["init", "--country", "AT", "--bank-code", "99999", "--data"];
    for path in [folder.data(), "/dev/null"] {
        for flags in [&["serve", "--data"][..], &["demo", "--data"], &["operator", "list", "--data"], &init] {
            let told = fails(&[flags, &[path]].concat(), "operator-password\n");
            assert!(told.contains("is no folder"), "{told}");
        }
    }
}

#[test]
fn where_no_folder_can_be_made_is_told() {
    let folder = Folder::new();
    let deep = folder.data.join("of several/banks");
    let init = ["init", "--country", "AT", "--bank-code", "99999", "--data"];
    succeeds(&[&init[..], &[deep.to_str().expect("a plain path")]].concat(), "operator-password\n");
    assert!(deep.join("journal.db").exists() && deep.with_extension("key").exists());
    let told = fails(&[&init[..], &["/proc/bank"]].concat(), "operator-password\n");
    assert!(told.contains("the folder /proc/bank can't be made"), "{told}");
}

/// A key from a manager of secrets, such as systemd's credentials, whose folder keeps others out.
#[test]
fn a_key_among_the_credentials_may_be_readable_by_a_group() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let credentials = folder.data.with_file_name("credentials");
    fs::create_dir(&credentials).expect("a folder");
    let key = credentials.join("master.key");
    fs::rename(folder.key(), &key).expect("moved");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).expect("a mode");
    let verify = |credentials: Option<&Path>| {
        let mut command = kassa(&["verify", "--data", folder.data()]);
        command.env("KASSA_MASTER_KEY_FILE", &key);
        command.env_remove("CREDENTIALS_DIRECTORY");
        command.envs(credentials.map(|folder| ("CREDENTIALS_DIRECTORY", folder)));
        run(&mut command, "")
    };
    let refused = verify(None);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("chmod 600"), "{told}");
    assert!(!verify(Some(&folder.data)).status.success(), "the folder is another");
    let taken = verify(Some(&credentials));
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
}

// ---- Those who run the bank ----

#[test]
fn a_lost_password_is_replaced_by_whoever_holds_the_master_key() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let data = ["--data", folder.data()];
    let set = [&["operator", "set-password", "Operator"][..], &data].concat();
    let server = Server::serve(&folder.data);
    let tokens = [server.sign_in("operator", PASSWORD), server.sign_in("operator", PASSWORD)];
    let customer = json!({ "name": "Clara" });
    assert_eq!(server.ask("POST", "/v1/customers", Some(&tokens[0]), Some(&customer)).0, 201);
    let user = json!({ "name": "clara", "password": "claras-password", "role": "customer", "customer": 1 });
    assert_eq!(server.ask("POST", "/v1/users", Some(&tokens[0]), Some(&user)).0, 201);
    // Beside a running server nothing is set, and who there is can be seen.
    let told = fails(&set, "another-password\n");
    assert!(told.contains("stop the server"), "{told}");
    let list = [&["operator", "list"][..], &data].concat();
    assert_eq!(succeeds(&list, ""), "operator is an operator, user 1.\n");
    assert!(server.interrupt());

    let unknown = fails(&[&["operator", "set-password", "nobody"][..], &data].concat(), "another-password\n");
    assert!(printed(&unknown, " operator list ").contains(folder.data()), "{unknown}");
    let customers = fails(&[&["operator", "set-password", "clara"][..], &data].concat(), "another-password\n");
    assert!(customers.contains("customer 1") && customers.contains("POST /v1/users"), "{customers}");
    assert!(fails(&set, "too short\n").contains("12 to 200"));
    assert!(fails(&set, "").contains("standard input"));
    let told = succeeds(&set, "another-password\n");
    assert!(told.contains("the 2 sessions that were open are ended"), "{told}");

    let again = fails(&[&["operator", "add", "OPERATOR"][..], &data].concat(), "yet-another-password\n");
    assert!(printed(&again, " set-password ").contains("OPERATOR"), "{again}");
    let added =
        succeeds(&[&["operator", "add", "ada", "--role", "auditor"][..], &data].concat(), "adas-own-password\n");
    assert_eq!(added, "ada is an auditor of Test Bank.\n");
    let listed: Value = serde_json::from_str(&succeeds(&[&list[..], &["--json"]].concat(), "")).expect("JSON");
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|one| (&one["name"], &one["role"])).collect();
    assert_eq!(names, [(&json!("operator"), &json!("operator")), (&json!("ada"), &json!("auditor"))]);

    let server = Server::serve(&folder.data);
    let old = json!({ "name": "operator", "password": PASSWORD });
    assert_eq!(server.ask("POST", "/v1/sign-in", None, Some(&old)).0, 401);
    for token in &tokens {
        assert_eq!(server.ask("GET", "/v1/me", Some(token), None).0, 401, "whoever was signed in is not any more");
    }
    let operator = server.sign_in("operator", "another-password");
    assert_eq!(server.ask("POST", "/v1/customers", Some(&operator), Some(&customer)).0, 201);
    let auditor = server.sign_in("ada", "adas-own-password");
    assert_eq!(server.ask("POST", "/v1/customers", Some(&auditor), Some(&customer)).0, 403);
    assert_eq!(server.ask("GET", "/v1/trial-balance", Some(&auditor), None).0, 200);
    server.sign_in("clara", "claras-password");
    assert!(server.interrupt());

    // It is in the books, by Kassa itself, and what it ended follows it.
    let events = succeeds(&[&["export", "--format", "jsonl"][..], &data].concat(), "");
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let place = events.iter().position(|event| event["type"] == "password-set").expect("the event");
    assert_eq!((&events[place]["user"], &events[place]["by"]), (&json!(1), &json!(0)), "{}", events[place]);
    let closed = events[place + 1..].iter().take_while(|event| event["type"] == "session-closed").count();
    assert_eq!(closed, 2);
    assert!(!events.iter().any(|event| event.to_string().contains("argon2")));
    let engine = Engine::open(
        &folder.data,
        &MasterKey::read_file(&folder.key()).expect("the key"),
        Options::default(),
        Arc::new(SystemClock),
        &mut |_| {},
    );
    engine.expect("it opens from its checkpoint, too").stop();
    verified(folder.data());
}
