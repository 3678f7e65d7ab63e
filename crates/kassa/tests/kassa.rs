//! The real binary, as its users meet it: files on disk, processes that are killed, and curl on the other end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

#[path = "kassa/bench.rs"]
mod bench;
#[path = "kassa/erasure.rs"]
mod erasure;
#[path = "kassa/export.rs"]
mod export;
#[path = "kassa/guide.rs"]
mod guide;
#[path = "kassa/import.rs"]
mod import;
#[path = "kassa/import_books.rs"]
mod import_books;
#[path = "kassa/making.rs"]
mod making;
#[path = "kassa/numbers.rs"]
mod numbers;
#[path = "kassa/old_banks.rs"]
mod old_banks;
#[path = "kassa/operate.rs"]
mod operate;
#[path = "kassa/running.rs"]
mod running;

/// A command of the binary under test, away from the environment's settings.
fn kassa(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kassa"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["KASSA_MASTER_KEY", "KASSA_MASTER_KEY_FILE", "KASSA_LISTEN", "KASSA_DATA", "KASSA_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end with `input` on standard input.
fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    // A program that refuses before it reads closes its input; that is its right.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

fn succeeds(arguments: &[&str], input: &str) -> String {
    let output = run(&mut kassa(arguments), input);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kassa {arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs what must fail, and gives what it says.
fn fails(arguments: &[&str], input: &str) -> String {
    let output = run(&mut kassa(arguments), input);
    assert!(!output.status.success(), "kassa {arguments:?} should have failed");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(told.starts_with("kassa: ") && !told.contains("panicked"), "kassa {arguments:?} says: {told}");
    told
}

/// A bank's folder, and another for what belongs beside it.
struct Folder {
    _temporary: tempfile::TempDir,
    data: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a folder for the test");
        let data = temporary.path().join("bank");
        Self { _temporary: temporary, data }
    }

    fn data(&self) -> &str {
        self.data.to_str().expect("a plain path")
    }

    fn key(&self) -> PathBuf {
        self.data.with_extension("key")
    }

    fn init(&self, country: &str, bank_code: &str, currency: &str) {
        let flags = ["init", "--data", self.data(), "--country", country, "--bank-code", bank_code];
        succeeds(&[&flags[..], &["--currency", currency, "--name", "Test Bank"]].concat(), "operator-password\n");
    }
}

/// An idempotency key that no other request has.
fn fresh_key() -> String {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), KEYS.fetch_add(1, Ordering::Relaxed))
}

/// A server under test; killed when it goes out of use.
struct Server {
    child: Child,
    url: String,
    authority: PathBuf,
    /// What it printed before it was ready.
    words: String,
}

impl Server {
    fn start(command: &str, data: &Path, last_words: &str) -> Self {
        let data_flag = data.to_str().expect("a plain path");
        Self::from(&mut kassa(&[command, "--data", data_flag, "--set", "listen=127.0.0.1:0"]), data, last_words)
    }

    fn from(command: &mut Command, data: &Path, last_words: &str) -> Self {
        Self::logging_to(Stdio::inherit(), command, data, last_words)
    }

    fn logging_to(log: Stdio, command: &mut Command, data: &Path, last_words: &str) -> Self {
        let mut child = command.stderr(log).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut words = String::new();
        while !words.lines().last().is_some_and(|line| line.contains(last_words)) {
            match lines.next() {
                Some(line) => words = format!("{words}{}\n", line.expect("text")),
                None => panic!("the server ended early, saying: {words}"),
            }
        }
        // What comes later is let through, so that the server never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let url = words.split_once("https://").map(|(_, rest)| rest.split([' ', '\n']).next().unwrap_or(""));
        let url = format!("https://{}", url.expect("it says where it is"));
        Self { child, url, authority: data.join("tls/ca.pem"), words }
    }

    fn serve(data: &Path) -> Self {
        Self::start("serve", data, "is open at")
    }

    /// Asks by curl, and gives status and body.
    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let (status, text) = self.ask_text(method, path, token, body, "application/json");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn ask_text(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
        accept: &str,
    ) -> (u16, String) {
        self.ask_under(&fresh_key(), method, path, token, body, accept)
    }

    fn ask_under(
        &self,
        key: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
        accept: &str,
    ) -> (u16, String) {
        let answer = self.try_ask_under(key, method, path, token, body, accept);
        answer.unwrap_or_else(|| panic!("{method} {path} got no answer"))
    }

    fn try_ask_under(
        &self,
        key: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
        accept: &str,
    ) -> Option<(u16, String)> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "-X", method, "-w", "\n%{http_code}", "--cacert"]).arg(&self.authority);
        curl.args(["-H", &format!("Accept: {accept}"), "-H", &format!("Idempotency-Key: {key}")]);
        if let Some(token) = token {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        if let Some(body) = body {
            curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
        }
        let output = curl.arg(format!("{}{path}", self.url)).output().expect("curl runs");
        if !output.status.success() {
            return None;
        }
        let text = String::from_utf8(output.stdout).expect("text");
        let (body, status) = text.rsplit_once('\n').expect("a status at the end");
        Some((status.parse().expect("a number"), body.to_owned()))
    }

    /// Asks a server that may be gone: none where no answer came.
    fn try_ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Option<(u16, String)> {
        self.try_ask_under(&fresh_key(), method, path, token, body, "*/*")
    }

    fn sign_in(&self, name: &str, password: &str) -> String {
        let (status, answer) =
            self.ask("POST", "/v1/sign-in", None, Some(&json!({ "name": name, "password": password })));
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    fn get(&self, path: &str, token: &str) -> Value {
        let (status, answer) = self.ask("GET", path, Some(token), None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Ends it as a power cut would.
    fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is gone");
    }

    /// Says what Ctrl-C says.
    fn signal(&self) {
        self.send("-INT");
    }

    fn send(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Ends it as Ctrl-C does, and gives whether it ended in order.
    fn interrupt(mut self) -> bool {
        self.signal();
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn verified(data: &str) -> Value {
    let report: Value = serde_json::from_str(&succeeds(&["verify", "--data", data, "--json"], "")).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
    report
}

#[test]
fn a_second_signal_ends_it_at_once_also_while_it_closes() {
    let folder = Folder::new();
    let mut server = Server::start("demo", &folder.data, "/v1/payments");
    // While somebody else holds the journal's lock, it can't be closed in order: that is tried for seconds.
    let other = rusqlite::Connection::open(folder.data.join("journal.db")).expect("the journal");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    server.signal();
    while server.try_ask("GET", "/health/live", None, None).is_some() {}
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(matches!(server.child.try_wait(), Ok(None)), "it is closing");
    server.signal();
    assert_eq!(server.child.wait().expect("it ends").code(), Some(130));
}

#[test]
fn the_demo_works_as_printed_and_again() {
    let folder = Folder::new();
    let mut balances = Vec::new();
    for _ in 0..2 {
        let server = Server::start("demo", &folder.data, "/v1/payments");
        assert!(server.words.contains("alice-demo-password") && server.words.contains("auditor"), "{}", server.words);
        let from = server.words.find("TOKEN=").expect("three lines to try");
        let script = &server.words[from..];
        assert_eq!(script.trim().lines().count(), 3, "{script}");
        let output = Command::new("bash").args(["-euc", script]).output().expect("bash runs");
        let told = String::from_utf8(output.stdout).expect("text");
        let documents: Vec<Value> = serde_json::Deserializer::from_str(&told)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{error}: {told}"));
        let [balance, payment] = documents.as_slice() else { panic!("{told}") };
        balances.push(balance["available"].as_str().expect("an amount").to_owned());
        assert_eq!(payment["amount"], "25.00", "{told}");
        assert!(server.interrupt(), "Ctrl-C closes it in order");
    }
    assert_eq!(balances, ["2500.00", "2475.00"], "the second start finds the same bank");
    assert_eq!(verified(folder.data())["postings"], 5);
}

#[test]
fn the_description_of_the_interface_needs_no_bank() {
    let described: Value = serde_json::from_str(&succeeds(&["openapi"], "")).expect("JSON");
    assert!(
        described["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        described["openapi"]
    );
    assert_eq!(described["paths"]["/v1/payments"]["post"]["operationId"], "pay");
}

#[test]
fn what_stands_in_the_way_of_opening_is_told() {
    let folder = Folder::new();
    assert!(fails(&["serve", "--data", folder.data()], "").contains("kassa init"));
    let flags = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999"];
    assert!(fails(&flags, "").contains("password"), "no password");
    assert!(fails(&flags, "short\n").contains("password"), "too short a password");
    assert!(fails(&["init", "--data", folder.data(), "--country", "XX", "--bank-code", "1"], "x\n").contains("IBAN"));
    assert!(!folder.data.exists(), "nothing was made by what was refused");
    folder.init("AT", "99999", "EUR");
    assert!(fails(&flags, "operator-password\n").contains("already"));

    // A second server; the check runs beside the first.
    let server = Server::serve(&folder.data);
    assert!(fails(&["serve", "--data", folder.data()], "").contains("another"));
    verified(folder.data());
    // The port is taken.
    let other = Folder::new();
    other.init("AT", "99999", "EUR");
    let listen = format!("listen={}", server.url.trim_start_matches("https://"));
    assert!(fails(&["serve", "--data", other.data(), "--set", &listen], "").contains("in use"));
    drop(server);

    // The master key: wrong, readable by others, missing.
    let key = fs::read_to_string(folder.key()).expect("the key beside the folder");
    assert_eq!(fs::metadata(folder.key()).expect("the key").permissions().mode() & 0o777, 0o600);
    fs::write(folder.key(), "00".repeat(32)).expect("a wrong key");
    assert!(fails(&["verify", "--data", folder.data()], "").contains("master key"));
    fs::write(folder.key(), &key).expect("the right key");
    fs::set_permissions(folder.key(), fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(fails(&["serve", "--data", folder.data()], "").contains("chmod 600"));
    fs::remove_file(folder.key()).expect("no key");
    assert!(fails(&["serve", "--data", folder.data()], "").contains("master key"));
    // From the environment it is taken as well.
    let output = run(kassa(&["verify", "--data", folder.data()]).env("KASSA_MASTER_KEY", key.trim()), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let told = fails(&["verify", "--data", folder.data(), "--set", "listen=x", "--set", "colour=red"], "");
    assert!(told.contains("listen") && told.contains("colour"), "all mistakes at once: {told}");
    let output = run(kassa(&["verify", "--data", folder.data()]).env("KASSA_LISTN", "x"), "");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("KASSA_LISTN") && told.contains("KASSA_LISTEN"), "{told}");
}

/// A folder that may be read only, by a user who is bound by that: root is not.
#[test]
fn a_folder_that_may_only_be_read_can_be_checked_and_not_served() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let user_id = Command::new("id").arg("-u").output().expect("id runs").stdout;
    let mut program = Command::new(env!("CARGO_BIN_EXE_kassa"));
    if user_id.trim_ascii() == b"0" {
        let outside = folder.data.parent().expect("the test's folder");
        let copy = outside.join("kassa");
        fs::copy(env!("CARGO_BIN_EXE_kassa"), &copy).expect("a copy that anybody may run");
        fs::set_permissions(outside, fs::Permissions::from_mode(0o755)).expect("a mode");
        let owned = Command::new("chown").args(["-R", "65534"]).arg(&folder.data).arg(folder.key()).status();
        assert!(owned.expect("chown runs").success());
        program = Command::new("setpriv");
        program.args(["--reuid=65534", "--clear-groups"]).arg(copy);
    }
    let read_only = Command::new("chmod").args(["-R", "a-w"]).arg(&folder.data).status().expect("chmod runs");
    assert!(read_only.success());
    let ask = |command: &str| {
        let mut asked = Command::new(program.get_program());
        asked.args(program.get_args()).args([command, "--data", folder.data()]);
        run(asked.stdout(Stdio::piped()).stderr(Stdio::piped()), "")
    };
    let refused = ask("serve");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("access"), "{told}");
    let checked = ask("verify");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let writable = Command::new("chmod").args(["-R", "u+w"]).arg(&folder.data).status().expect("chmod runs");
    assert!(writable.success(), "so that the test's folder can be removed");
}

#[test]
fn a_making_that_was_broken_off_can_be_done_again() {
    let folder = Folder::new();
    fs::create_dir(&folder.data).expect("a folder");
    // Something stands where the certificate goes, so the making fails after the journal is there.
    fs::write(folder.data.join("tls"), "").expect("a file in the way");
    let flags = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999"];
    assert!(fails(&flags, "operator-password\n").contains("tls"));
    fs::remove_file(folder.data.join("tls")).expect("out of the way");
    succeeds(&flags, "operator-password\n");
    assert!(fails(&flags, "operator-password\n").contains("already"));
    let server = Server::serve(&folder.data);
    server.sign_in("operator", "operator-password");
}

#[test]
fn a_lost_tail_is_refused_until_accepted_once() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let (journal, old) = (folder.data.join("journal.db"), folder.data.with_extension("old"));
    fs::copy(&journal, &old).expect("a copy");
    let server = Server::serve(&folder.data);
    server.sign_in("operator", "operator-password");
    assert!(server.interrupt());
    fs::copy(&old, &journal).expect("the old copy in its place");
    for command in ["serve", "verify"] {
        let told = run(&mut kassa(&[command, "--data", folder.data()]), "");
        assert!(!told.status.success(), "{command} takes an old copy for the whole");
    }
    assert!(fails(&["serve", "--data", folder.data()], "").contains("--accept-loss"));
    // Accepted once, it is not asked again, however the server ends.
    let flags = ["serve", "--data", folder.data(), "--set", "listen=127.0.0.1:0", "--accept-loss"];
    let mut child = kassa(&flags).stderr(Stdio::inherit()).spawn().expect("the server starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("text");
    assert!(line.contains("is open at"), "{line}");
    child.kill().expect("it was running");
    child.wait().expect("it is gone");
    drop(Server::serve(&folder.data));
    verified(folder.data());
}

/// A small file system of its own, which can be filled. Only root may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: PathBuf) -> Option<Self> {
        fs::create_dir(&place).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(&place).output().ok()?;
        mounted.status.success().then_some(Self(place))
    }

    /// Takes all the room there is, but for `spare` bytes.
    fn fill(&self, spare: usize) {
        let mut filler = fs::File::create(self.0.join("filler")).expect("a file");
        let mut written: usize = 0;
        while filler.write_all(&[0; 4096]).is_ok() {
            written += 4096;
        }
        filler.set_len(u64::try_from(written.saturating_sub(spare)).expect("a size")).expect("room is given back");
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What can't be unmounted now goes with the machine.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_writing_and_not_the_reading() {
    let folder = Folder::new();
    let place = folder.data.with_file_name("disk");
    let Some(disk) = SmallDisk::mount(place.clone()) else {
        writeln!(std::io::stderr(), "SKIPPED: a file system of its own can't be mounted here").expect("standard error");
        return;
    };
    let bank = Folder { data: place.join("bank"), _temporary: tempfile::tempdir().expect("a folder") };
    bank.init("AT", "99999", "EUR");
    let server = Server::serve(&bank.data);
    let operator = server.sign_in("operator", "operator-password");
    let mut ibans = Vec::new();
    for _ in 0..2 {
        let (status, opened) = server.ask("POST", "/v1/accounts", Some(&operator), Some(&json!({ "currency": "EUR" })));
        assert_eq!(status, 201, "{opened}");
        ibans.push(opened["iban"].as_str().expect("an IBAN").to_owned());
    }
    disk.fill(200_000);
    let deposit = |number: u64| {
        let body = json!({ "account": ibans[0], "amount": "1.00", "currency": "EUR", "text": "x".repeat(140) });
        server.ask_under(&format!("fill-{number}"), "POST", "/v1/deposits", Some(&operator), Some(&body), "*/*")
    };
    let mut acknowledged = 0;
    let refused = (0..5_000).find_map(|number| match deposit(number) {
        (201, _) => {
            acknowledged += 1;
            None
        }
        refused => Some(refused),
    });
    let (status, told) = refused.expect("the disk is full before that");
    assert!(status == 503 && told.contains("/problems/disk-full"), "{status} {told}");
    // What was told is still true, and nothing else is.
    let balance = |server: &Server| {
        let told = server.get(&format!("/v1/accounts/{}/balance", ibans[0]), &operator)["posted"].clone();
        told.as_str().expect("an amount").to_owned()
    };
    assert_eq!(balance(&server), format!("{acknowledged}.00"));
    let (status, entries) =
        server.ask("GET", &format!("/v1/accounts/{}/entries?limit=1", ibans[0]), Some(&operator), None);
    assert!(status == 200 && entries["entries"][0]["balance"] == format!("{acknowledged}.00"), "{entries}");
    assert_eq!(server.ask("GET", "/health/live", None, None).0, 200);
    let (status, told) = server.ask("GET", "/health/ready", None, None);
    assert!(status == 503 && told["type"] == "/problems/disk-full", "{told}");
    assert_eq!(deposit(acknowledged).0, 503, "it stays so");
    assert!(server.interrupt());

    disk.make_room();
    let server = Server::serve(&bank.data);
    assert_eq!(balance(&server), format!("{acknowledged}.00"), "nothing that was acknowledged is lost");
    let body = json!({ "account": ibans[0], "amount": "1.00", "currency": "EUR", "text": "x".repeat(140) });
    let again = format!("fill-{acknowledged}");
    let (status, told) = server.ask_under(&again, "POST", "/v1/deposits", Some(&operator), Some(&body), "*/*");
    assert_eq!(status, 201, "what was not done can be asked for again: {told}");
    assert!(server.interrupt());
    assert_eq!(verified(bank.data())["postings"], acknowledged + 1);
}

/// Takes the place of the C library's syncs: from the n-th on, each fails as a dying disk's does.
const FAILING_SYNC: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
static int left = -1;
static int fails(void) {
    if (left < 0) left = atoi(getenv("SYNCS_BEFORE_FAILURE"));
    if (left == 0) { errno = EIO; return 1; }
    left--;
    return 0;
}
int fsync(int fd) { return fails() ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { return fails() ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
"#;

/// A library to be loaded before the C library, made beside the bank's folder.
fn preload(folder: &Folder, source: &str) -> PathBuf {
    let (file, library) = (folder.data.with_extension("c"), folder.data.with_extension("so"));
    fs::write(&file, source).expect("a file");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file).arg("-ldl").status();
    assert!(compiled.expect("cc runs").success());
    library
}

#[test]
fn after_a_failed_sync_the_server_ends_and_nothing_acknowledged_is_lost() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let library = preload(&folder, FAILING_SYNC);
    let server = Server::serve(&folder.data);
    let operator = server.sign_in("operator", "operator-password");
    let (_, opened) = server.ask("POST", "/v1/accounts", Some(&operator), Some(&json!({ "currency": "EUR" })));
    let iban = opened["iban"].as_str().expect("an IBAN").to_owned();
    assert!(server.interrupt());

    let mut acknowledged = 0;
    for syncs in [12, 25, 40] {
        let mut command = kassa(&["serve", "--data", folder.data(), "--set", "listen=127.0.0.1:0"]);
        command.env("LD_PRELOAD", &library).env("SYNCS_BEFORE_FAILURE", syncs.to_string());
        let mut server = Server::from(&mut command, &folder.data, "is open at");
        let body = json!({ "account": iban, "amount": "1.00", "currency": "EUR" });
        let refused =
            (0..100).find_map(|_| match server.try_ask("POST", "/v1/deposits", Some(&operator), Some(&body)) {
                Some((201, _)) => {
                    acknowledged += 1;
                    None
                }
                refused => Some(refused),
            });
        let refused = refused.expect("the disk fails before that");
        assert!(refused.as_ref().is_none_or(|(status, _)| *status == 503), "{refused:?}");
        assert!(!server.child.wait().expect("it ends by itself").success(), "and says that it failed");
    }
    let server = Server::serve(&folder.data);
    let told = server.get(&format!("/v1/accounts/{iban}/balance"), &operator)["posted"].clone();
    let euros: u64 = told.as_str().and_then(|told| told.strip_suffix(".00")?.parse().ok()).expect("whole euros");
    // The three that were refused may have come to be or not: a sync that failed tells neither.
    assert!((acknowledged..=acknowledged + 3).contains(&euros), "{acknowledged} acknowledged, {euros} there");
    assert!(acknowledged > 0);
    assert!(server.interrupt());
    verified(folder.data());
}

/// Takes the place of the C library's writes to regular files: once a file of a given name is there, each fails as on a
/// disk that the kernel has made read-only.
const READ_ONLY_DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static int refused(int fd) {
    struct stat of;
    if (access(getenv("READ_ONLY_WHEN"), F_OK) != 0) return 0;
    if (fstat(fd, &of) != 0 || !S_ISREG(of.st_mode)) return 0;
    errno = EROFS;
    return 1;
}
ssize_t pwrite(int fd, const void *from, size_t count, off_t at) {
    return refused(fd) ? -1 : ((ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(fd, from, count, at);
}
ssize_t pwrite64(int fd, const void *from, size_t count, off_t at) {
    return refused(fd) ? -1 : ((ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64"))(fd, from, count, at);
}
ssize_t write(int fd, const void *from, size_t count) {
    return refused(fd) ? -1 : ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, from, count);
}
int ftruncate(int fd, off_t size) {
    return refused(fd) ? -1 : ((int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate"))(fd, size);
}
int ftruncate64(int fd, off_t size) {
    return refused(fd) ? -1 : ((int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64"))(fd, size);
}
"#;

#[test]
fn a_disk_that_turns_read_only_stops_the_writing_and_not_the_reading() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let library = preload(&folder, READ_ONLY_DISK);
    let trigger = folder.data.with_extension("read-only");
    let mut command = kassa(&["serve", "--data", folder.data(), "--set", "listen=127.0.0.1:0"]);
    command.env("LD_PRELOAD", &library).env("READ_ONLY_WHEN", &trigger);
    let server = Server::from(&mut command, &folder.data, "is open at");
    let operator = server.sign_in("operator", "operator-password");
    let (_, opened) = server.ask("POST", "/v1/accounts", Some(&operator), Some(&json!({ "currency": "EUR" })));
    let iban = opened["iban"].as_str().expect("an IBAN").to_owned();
    let body = json!({ "account": iban, "amount": "1.00", "currency": "EUR" });
    let deposit =
        |server: &Server, key: &str| server.ask_under(key, "POST", "/v1/deposits", Some(&operator), Some(&body), "*/*");
    let balance = |server: &Server| server.get(&format!("/v1/accounts/{iban}/balance"), &operator)["posted"].clone();
    assert_eq!(deposit(&server, "one").0, 201);

    fs::write(&trigger, "").expect("the disk turns read-only");
    for _ in 0..3 {
        let (status, told) = deposit(&server, "two");
        assert!(status == 503 && told.contains("/problems/disk-read-only"), "{status} {told}");
        assert_eq!(balance(&server), "1.00");
    }
    assert_eq!(server.ask("GET", &format!("/v1/accounts/{iban}/entries"), Some(&operator), None).0, 200);
    let (status, told) = server.ask("GET", "/health/ready", None, None);
    assert!(status == 503 && told["type"] == "/problems/disk-read-only", "{told}");
    assert!(server.interrupt(), "it stops in order");

    let server = Server::serve(&folder.data);
    assert_eq!(balance(&server), "1.00", "nothing that was acknowledged is lost");
    assert_eq!(deposit(&server, "two").0, 201, "what was not done can be asked for again");
    assert_eq!(balance(&server), "2.00");
    assert!(server.interrupt());
    verified(folder.data());
}

#[test]
fn verify_finds_and_names_damage() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let path = folder.data.join("journal.db");
    let mut bytes = fs::read(&path).expect("the journal");
    // The founding event's frame is sealed, so the newest bytes before free space belong to some frame: flip bytes all
    // over, and expect one or the other to be noticed, in words.
    for place in (0..bytes.len()).step_by(997) {
        bytes[place] ^= 0x55;
    }
    fs::write(&path, &bytes).expect("a damaged journal");
    let output = run(&mut kassa(&["verify", "--data", folder.data(), "--json"]), "");
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

/// A small source: two customers, two accounts, and postings whose balances agree.
fn small_source(folder: &Path, postings: &str) {
    fs::create_dir_all(folder).expect("a folder");
    for (file, text) in [
        ("customers.csv", "id,name\n1,Anna Novák\n2,\"Petr, the second\"\n"),
        ("accounts.csv", "id,opened\n11,2020-01-01\n12,2020-01-01\n"),
        ("rights.csv", "id,customer,account,type\n1,1,11,O\n2,2,12,O\n3,2,11,S\n"),
        ("postings.csv", postings),
    ] {
        fs::write(folder.join(file), text).expect("a file");
    }
    let map = r#"
[source]
name = "small"
currency = "EUR"
encoding = "utf-8"
separator = ","
quote = '"'
date_format = "%Y-%m-%d"
decimal_separator = "."

[customers]
file = "customers.csv"
key = "id"
name = "{name}"

[accounts]
file = "accounts.csv"
key = "id"
number = "id"
opened = "opened"

[rights]
file = "rights.csv"
key = "id"
customer = "customer"
account = "account"
type = "type"
owner = ["O"]
signatory = ["S"]
read_only = []

[postings]
file = "postings.csv"
key = "id"
account = "account"
date = "date"
amount = "amount"
balance = "balance"

[[postings.contra]]
account = "Cash before"
kind = "asset"
"#;
    fs::write(folder.join("map.toml"), map).expect("the map");
}

const POSTINGS: &str = "id,account,date,amount,balance\n\
                        1,11,2020-01-02,100.00,100.00\n\
                        2,12,2020-01-02,50.00,50.00\n\
                        3,11,2020-02-01,-130.00,-30.00\n\
                        4,11,2020-02-03,40.00,10.00\n";

#[test]
fn an_import_can_be_broken_off_and_repeated() {
    let folder = Folder::new();
    folder.init("CZ", "0800", "EUR");
    let source = folder.data.with_file_name("source");
    small_source(&source, POSTINGS);
    let (map, files) = (source.join("map.toml"), source.to_str().expect("a plain path").to_owned());
    let flags = ["import", "--data", folder.data(), "--map", map.to_str().expect("a plain path"), &files, "--json"];
    let report = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };

    let first = report(&succeeds(&flags, ""));
    assert_eq!((&first["customers"], &first["accounts"], &first["rights"]), (&json!(2), &json!(2), &json!(3)));
    assert_eq!((&first["postings"], &first["account_days"]), (&json!(4), &json!(4)));
    assert_eq!((&first["agree_exact"], &first["largest_difference"]), (&json!(4), &json!("0.00")));
    assert_eq!(first["overdrafts"].as_array().map(Vec::len), Some(1), "{first}");
    assert_eq!(first["overdrafts"][0]["limit"], "30.00");
    let before = verified(folder.data());

    // Again: nothing changes but that the program was started.
    let second = report(&succeeds(&flags, ""));
    assert_eq!(second["already_there"], 2 + 2 + 3 + 1 + 4);
    assert_eq!(verified(folder.data())["postings"], before["postings"]);

    // One more row is taken; a row that says something else than before is not.
    small_source(&source, &format!("{POSTINGS}5,12,2020-03-01,1.00,51.30\n"));
    let with_break = report(&succeeds(&[&flags[..], &["--accept-breaks"]].concat(), ""));
    assert_eq!((&with_break["postings"], &with_break["largest_difference"]), (&json!(5), &json!("0.30")));
    assert_eq!((&with_break["agree_exact"], &with_break["agree_within_0_50"]), (&json!(4), &json!(5)));
    small_source(&source, &POSTINGS.replace("100.00,100.00", "100.01,100.01"));
    let told = fails(&flags, "");
    assert!(told.contains("postings.csv:2:") && told.contains("before"), "{told}");

    // Every mistake is named with its file and line, and nothing is done.
    small_source(&source, &POSTINGS.replace("-130.00", "-130.001").replace("2,12,2020-01-02", "2,99,2020-13-02"));
    let told = fails(&flags, "");
    for part in ["postings.csv:3:", "postings.csv:4:", "nothing was imported"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    let users = [&flags[..], &["--user", "client:1:anna"]].concat();
    small_source(&source, POSTINGS);
    assert!(fails(&users, "").contains("password"));
    succeeds(&users, "annas-password\n");
    succeeds(&users, "annas-password\n");
    let server = Server::serve(&folder.data);
    let token = server.sign_in("anna", "annas-password");
    assert_eq!(server.get("/v1/accounts", &token)["accounts"].as_array().map(Vec::len), Some(1));
}

/// A new bank has no cash in a currency that is withdrawn or that nobody holds; history in one comes in.
#[test]
fn currencies_that_are_no_longer_in_use() {
    let folder = Folder::new();
    for code in ["HRK", "ZWL", "CHE", "XAD"] {
        let flags = ["init", "--data", folder.data(), "--country", "HR", "--bank-code", "1001005", "--currency", code];
        let refused = run(&mut kassa(&flags), "operator-password\n");
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(code) && told.contains("withdrawn"), "{told}");
    }
    assert!(!folder.data.exists(), "nothing was made by what was refused");
    let source = folder.data.with_file_name("source");
    small_source(&source, POSTINGS);
    let map = source.join("map.toml");
    let bank = "[bank]\nname = \"Old\"\ncountry = \"HR\"\nbank_code = \"1001005\"\n";
    let text = fs::read_to_string(&map).expect("the map").replace("\"EUR\"", "\"HRK\"");
    fs::write(&map, format!("{bank}{text}")).expect("the map");
    let (map, files) = (map.to_str().expect("a plain path"), source.to_str().expect("a plain path"));
    succeeds(&["import", "--data", folder.data(), "--map", map, files], "");
    assert_eq!(verified(folder.data())["postings"], 4);
}

/// The real bank's data: from KASSA_BERKA, or beside the project.
fn berka() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/berka");
    let folder = std::env::var_os("KASSA_BERKA").map_or(beside, PathBuf::from);
    folder.join("trans.asc").exists().then_some(folder)
}

/// The sum of a statement's entries and its opening balance, in hundredths.
fn hundredths(amount: &Value) -> i64 {
    amount.as_str().expect("an amount").replace('.', "").parse().expect("digits")
}

#[test]
fn a_real_banks_data_comes_in_exactly() {
    let Some(source) = berka() else {
        // Past the test runner's capturing, so that nobody takes this for a pass.
        let words = "SKIPPED: the Berka data is neither in KASSA_BERKA nor beside the project; see examples/berka";
        writeln!(std::io::stderr(), "{words}").expect("standard error");
        return;
    };
    let folder = Folder::new();
    let map = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/berka/map.toml");
    let (map, source) = (map.to_str().expect("a plain path"), source.to_str().expect("a plain path").to_owned());
    // The source rounded interest to tenths, so that its balances don't follow from its rows.
    let told = fails(&["import", "--data", folder.data(), "--map", map, &source], "");
    assert!(
        told.contains("because of 1725 mistakes") && told.contains("--accept-breaks") && !folder.data.exists(),
        "{told}"
    );
    let flags = ["import", "--data", folder.data(), "--map", map, "--accept-breaks", &source, "--json"];
    // The map says what bank to found. A first try is killed somewhere on its way; the next goes on where it stopped.
    let mut first = kassa(&flags).spawn().expect("the import starts");
    std::thread::sleep(Duration::from_millis(700));
    // It may have ended by then, which is as good.
    let _ = first.kill();
    first.wait().expect("it is gone");
    // Customer 2 owns account 2; customer 1 owns account 1.
    let with_user = [&flags[..], &["--user", "client:2:anezka"]].concat();
    let report: Value = serde_json::from_str(&succeeds(&with_user, "anezka-password\n")).expect("JSON");
    for (name, expected) in [
        ("customers", 5_369),
        ("accounts", 4_500),
        ("rights", 5_369),
        ("postings", 49_102),
        ("account_days", 39_960),
        ("agree_exact", 23_634),
        ("agree_within_0_10", 37_313),
        ("agree_within_0_20", 39_569),
        ("agree_within_0_50", 39_911),
        ("agree_within_1_00", 39_932),
        ("agree_within_100_00", 39_936),
    ] {
        assert_eq!(report[name], expected, "{name}");
    }
    assert_eq!(report["largest_difference"], "332.20");
    let again: Value = serde_json::from_str(&succeeds(&flags, "")).expect("JSON");
    assert_eq!(again["already_there"], 5_369 + 4_500 + 5_369 + 49_102 + again["contra_accounts"].as_u64().unwrap_or(0));

    succeeds(&["operator", "add", "operator", "--data", folder.data()], "operator-password\n");
    let server = Server::serve(&folder.data);
    let operator = server.sign_in("operator", "operator-password");
    let trial = server.get("/v1/trial-balance", &operator);
    let liabilities = &trial["currencies"][0]["kinds"][1];
    assert_eq!(liabilities["kind"], "liability");
    // The customers' balances sum to 39,246,142.80; twelve card withdrawals of 27,200.00 in all are owed to the cards'
    // settlement, which is a liability as well.
    let owed = hundredths(&liabilities["credits"]) - hundredths(&liabilities["debits"]);
    assert_eq!(owed, 3_924_614_280 + 2_720_000, "{trial}");
    // A customer reads a month's statement and pays another customer.
    let token = server.sign_in("anezka", "anezka-password");
    let accounts = server.get("/v1/accounts", &token);
    let own = accounts["accounts"][0]["iban"].as_str().expect("an IBAN").to_owned();
    let other = "CZ3308000000000000000019".to_owned();
    let month = format!("/v1/accounts/{own}/statement?from=1993-03-01&to=1993-03-31");
    let statement = server.get(&month, &token);
    let entries = statement["entries"].as_array().expect("entries");
    assert!(!entries.is_empty());
    let moved: i64 = entries.iter().map(|entry| hundredths(&entry["amount"])).sum();
    assert_eq!(hundredths(&statement["opening_balance"]) + moved, hundredths(&statement["closing_balance"]));
    let (status, paid) = server.ask(
        "POST",
        "/v1/payments",
        Some(&token),
        Some(&json!({ "from": own, "to": other, "amount": "250.50", "currency": "CZK", "text": "Nájem" })),
    );
    assert_eq!(status, 201, "{paid}");
    let balances = |server: &Server, operator: &str| {
        [&own, &other].map(|iban| server.get(&format!("/v1/accounts/{iban}/balance"), operator)["posted"].clone())
    };
    let before = balances(&server, &operator);
    server.kill();

    let server = Server::serve(&folder.data);
    let operator = server.sign_in("operator", "operator-password");
    let token = server.sign_in("anezka", "anezka-password");
    assert_eq!(server.get(&month, &token), statement);
    assert_eq!(balances(&server, &operator), before);
    for iban in [&own, &other] {
        let today = server.get(&format!("/v1/accounts/{iban}/statement?from=2026-01-01&to=2100-01-01"), &operator);
        let entries = today["entries"].as_array().expect("entries");
        assert_eq!(entries.len(), 1, "the payment is there exactly once: {today}");
        assert_eq!(hundredths(&entries[0]["amount"]).abs(), 25_050);
        assert_eq!(entries[0]["text"], "Nájem");
    }
    let after = server.get("/v1/trial-balance", &operator);
    assert_eq!(after["currencies"], trial["currencies"], "a payment between customers moves nothing in the total");
    assert_eq!(verified(folder.data())["postings"], 49_103);
    let mut metrics = String::new();
    let (status, told) = server.ask_text("GET", "/metrics", None, None, "text/plain");
    metrics.push_str(&told);
    assert!(status == 200 && metrics.contains("kassa_"), "{metrics}");
    assert!(server.interrupt());
}

#[test]
fn the_commands_read_well() {
    let version = succeeds(&["version"], "");
    assert!(version.starts_with("kassa 0."), "{version}");
    let mut help = String::new();
    let mut child = kassa(&["--help"]).spawn().expect("starts");
    child.stdout.take().expect("output").read_to_string(&mut help).expect("text");
    assert!(child.wait().expect("ends").success());
    for command in ["demo", "init", "serve", "operator", "import", "export", "verify", "bench", "version"] {
        assert!(help.contains(command), "{command} in {help}");
    }
}
