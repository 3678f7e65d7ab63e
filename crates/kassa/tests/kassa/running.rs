//! A server while it runs: told to read its settings again, losing its terminal, and what it writes as a log for machines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Folder, Server, fresh_key, kassa, preload, run, succeeds};

/// A file that a server logs to.
struct LogFile(PathBuf);

impl LogFile {
    fn beside(folder: &Folder) -> Self {
        Self(folder.data.with_extension("log"))
    }

    fn open(&self) -> File {
        File::options().create(true).append(true).open(&self.0).expect("a file")
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("the log")
    }

    /// Waits for a line with these words that comes after so many bytes, and gives what came since.
    fn wait_for(&self, words: &str, after: usize) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            let since = text.get(after..).unwrap_or_default();
            let whole = &since[..since.rfind('\n').map_or(0, |end| end + 1)];
            if whole.lines().any(|line| line.contains(words)) {
                return whole.to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no {words} in: {since}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a server is met with by somebody who trusts this authority alone.
fn status_for(server: &Server, authority: &Path) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]).arg(authority);
    let output = curl.arg(format!("{}/health/live", server.url)).output().expect("curl runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_new_certificate_is_served_and_who_is_connected_stays() {
    let (folder, other) = (Folder::new(), Folder::new());
    folder.init("AT", "99999", "EUR");
    other.init("AT", "99999", "EUR");
    let (own_tls, other_tls) = (folder.data.join("tls"), other.data.join("tls"));
    let (old_authority, new_authority) = (folder.data.with_extension("old-ca"), other_tls.join("ca.pem"));
    fs::copy(own_tls.join("ca.pem"), &old_authority).expect("a copy");
    let old_key = fs::read(own_tls.join("server.key")).expect("the key");
    let log = LogFile::beside(&folder);
    let mut command = kassa(&["serve", "--data", folder.data(), "--set", "listen=127.0.0.1:0"]);
    let mut server = Server::logging_to(log.open().into(), &mut command, &folder.data, "is open at");
    let operator = server.sign_in("operator", "operator-password");
    let (_, opened) = server.ask("POST", "/v1/accounts", Some(&operator), Some(&json!({ "currency": "EUR" })));
    let iban = opened["iban"].as_str().expect("an IBAN").to_owned();

    // Somebody listens, from before the change until after it.
    let stream = folder.data.with_extension("stream");
    let mut curl = Command::new("curl");
    curl.args(["-sSN", "--max-time", "60", "-H", &format!("Authorization: Bearer {operator}"), "--cacert"]);
    curl.arg(&old_authority).arg(format!("{}/v1/events", server.url)).stdout(File::create(&stream).expect("a file"));
    let mut listener = curl.spawn().expect("curl runs");
    let heard = |words: &str| {
        let begun = Instant::now();
        while !fs::read_to_string(&stream).is_ok_and(|heard| heard.contains(words)) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{words} was not heard");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    heard("id:");

    let hang_up = |server: &Server, expected: &str| {
        let before = log.text().len();
        server.send("-HUP");
        log.wait_for(expected, before)
    };
    for file in ["server.pem", "server.key"] {
        fs::copy(other_tls.join(file), own_tls.join(file)).expect("a copy");
    }
    assert_eq!(status_for(&server, &old_authority).as_deref(), Some("200"), "nothing changes by itself");
    let told = hang_up(&server, "read again");
    assert!(told.contains("INFO") && !told.contains("started again"), "{told}");
    assert_eq!(status_for(&server, &new_authority).as_deref(), Some("200"));
    assert_eq!(status_for(&server, &old_authority), None, "the old one is gone");
    server.authority = new_authority.clone();
    let deposit = json!({ "account": iban, "amount": "12.34", "currency": "EUR" });
    assert_eq!(server.ask("POST", "/v1/deposits", Some(&operator), Some(&deposit)).0, 201);
    heard("12.34");

    // What can't be used changes nothing, and is told as an error.
    let key = fs::read(own_tls.join("server.key")).expect("the key");
    let settings = folder.data.join("kassa.toml");
    let written = fs::read_to_string(&settings).expect("the settings");
    for (file, broken, whole) in [
        (own_tls.join("server.key"), &old_key[..], &key[..]),
        (own_tls.join("server.key"), b"no key", &key[..]),
        (settings.clone(), b"log_level = \"loud\"", written.as_bytes()),
    ] {
        fs::write(&file, broken).expect("a file");
        let told = hang_up(&server, "all stays as it was");
        assert!(told.contains("ERROR"), "{told}");
        assert_eq!(status_for(&server, &new_authority).as_deref(), Some("200"), "{told}");
        fs::write(&file, whole).expect("a file");
    }
    let certificate = fs::read(own_tls.join("server.pem")).expect("the certificate");
    fs::remove_file(own_tls.join("server.pem")).expect("removed");
    assert!(hang_up(&server, "all stays as it was").contains("server.pem"));
    fs::write(own_tls.join("server.pem"), certificate).expect("a file");

    // How much is logged changes at once, and what waits for a start is named.
    fs::write(&settings, "log_level = \"debug\"\nsession_minutes = 7\nlisten = \"127.0.0.1:1\"\n").expect("a file");
    let told = hang_up(&server, "read again");
    assert!(told.contains("WARN") && told.contains("session_minutes") && !told.contains("log_level"), "{told}");
    assert!(!told.contains("listen"), "the flag goes before the file, and has not changed: {told}");
    let before = log.text().len();
    assert_eq!(status_for(&server, &old_authority), None);
    assert!(log.wait_for("handshake failed", before).contains("DEBUG"));

    assert_eq!(server.get("/v1/me", &operator)["role"], "operator", "the session is still open");
    listener.kill().expect("it was running");
    listener.wait().expect("it is gone");
    assert!(server.interrupt());
}

#[test]
fn a_server_whose_terminal_is_closed_ends_in_order() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let script = "import os, pty, sys\n\
                  pid, terminal = pty.fork()\n\
                  if pid == 0: os.execv(sys.argv[1], sys.argv[1:])\n\
                  said = b''\n\
                  while b'is open at' not in said: said += os.read(terminal, 4096)\n\
                  os.close(terminal)\n\
                  sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)\n";
    let mut python = Command::new("timeout");
    python.args(["60", "python3", "-c", script, env!("CARGO_BIN_EXE_kassa"), "serve", "--data", folder.data()]);
    let output = python.args(["--set", "listen=127.0.0.1:0"]).output().expect("python3 runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Each line as an object with a time, a level and a message.
fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(object[field].is_string(), "{field} is missing in: {line}");
        }
        let timestamp = object["timestamp"].as_str().expect("a text");
        assert!(timestamp.len() == "2026-01-01T00:00:00.000000Z".len() && timestamp.ends_with('Z'), "{timestamp}");
        object
    });
    lines.collect()
}

fn said(objects: &[Value], level: &str, words: &str) -> bool {
    objects.iter().any(|line| line["level"] == level && line["message"].as_str().is_some_and(|it| it.contains(words)))
}

#[test]
fn every_line_of_a_log_for_machines_is_an_object() {
    let folder = Folder::new();
    let init = ["init", "--data", folder.data(), "--country", "AT", "--bank-code", "99999", "--name", "Test Bank"];
    succeeds(&[&init[..], &["--set", "log=json", "--set", "listen=127.0.0.1:0"]].concat(), "operator-password\n");
    let log = LogFile::beside(&folder);
    // Both of its outputs, as a container's log has them.
    let mut command = kassa(&["serve", "--data", folder.data(), "--set", "log_level=debug"]);
    let mut server = command.stdout(log.open()).stderr(log.open()).spawn().expect("the server starts");
    let open = log.wait_for("is open at", 0);
    let authority = open.split_once("https://").and_then(|(_, rest)| rest.split_once(' ')).expect("an address").0;
    // A client that speaks no TLS.
    let _ = Command::new("curl").args(["-sS", "--max-time", "5", &format!("http://{authority}/")]).output();
    log.wait_for("handshake failed", 0);
    // A second server has nothing to say but why not.
    let second = run(&mut kassa(&["serve", "--data", folder.data()]), "");
    let told = objects(&String::from_utf8(second.stderr).expect("text"));
    assert!(said(&told, "ERROR", "another Kassa") && second.stdout.is_empty(), "{told:?}");
    for signal in ["-HUP", "-TERM"] {
        let sent = Command::new("kill").args([signal, &server.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        log.wait_for(if signal == "-HUP" { "read again" } else { "closing" }, 0);
    }
    assert!(server.wait().expect("it ends").success());
    let told = objects(&log.text());
    assert!(said(&told, "INFO", "Test Bank is open at https://127.0.0.1:"), "{told:?}");

    // Starts that fail, before there is a log and after.
    let nowhere = folder.data.with_extension("nowhere");
    let nowhere = nowhere.to_str().expect("a plain path");
    for (flags, words) in [
        (&["serve", "--data", folder.data(), "--set", "listen=here", "--set", "colour=red"][..], "listen must be"),
        (&["serve", "--data", folder.data(), "--set", "listen=192.0.2.1:1"], "can't listen"),
        (&["serve", "--data", nowhere], "there is no bank in"),
        (&["serve", "--data", nowhere, "--colour"], "unexpected argument"),
        (&["demo", "--data", folder.data()], "did not make"),
        (&["verify", "--data", nowhere], "there is no bank in"),
    ] {
        let failed = run(kassa(flags).env("KASSA_LOG", "json"), "");
        assert!(!failed.status.success() && failed.stdout.is_empty(), "{flags:?}");
        let told = objects(&String::from_utf8(failed.stderr).expect("text"));
        assert!(said(&told, "ERROR", words), "{flags:?} says {told:?}");
    }

    let demo = Folder::new();
    let log = LogFile::beside(&demo);
    let mut command = kassa(&["demo", "--data", demo.data(), "--set", "log=json", "--set", "listen=127.0.0.1:0"]);
    let mut server = command.stdout(log.open()).stderr(log.open()).spawn().expect("the server starts");
    log.wait_for("alice-demo-password", 0);
    server.kill().expect("it was running");
    server.wait().expect("it is gone");
    assert!(said(&objects(&log.text()), "INFO", "Making a small demo bank"));
}

/// Takes the place of the C library's clock: once a file of a given name is there, it fails for each thread once, at which
/// Rust's own panics.
const FAILING_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static __thread int failed;
int clock_gettime(clockid_t id, struct timespec *to) {
    if (id == CLOCK_MONOTONIC && !failed && access(getenv("CLOCK_FAILS_WHEN"), F_OK) == 0) {
        failed = 1;
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_clock_gettime, id, to);
}
"#;

#[test]
fn a_panic_is_a_line_of_the_log_too() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let library = preload(&folder, FAILING_CLOCK);
    let (trigger, log) = (folder.data.with_extension("trigger"), LogFile::beside(&folder));
    let mut command = kassa(&["serve", "--data", folder.data(), "--set", "listen=127.0.0.1:0", "--set", "log=json"]);
    command.env("LD_PRELOAD", &library).env("CLOCK_FAILS_WHEN", &trigger);
    let mut server = command.stdout(log.open()).stderr(log.open()).spawn().expect("the server starts");
    let open = log.wait_for("is open at", 0);
    let authority = open.split_once("https://").and_then(|(_, rest)| rest.split_once(' ')).expect("an address").0;
    fs::write(&trigger, fresh_key()).expect("the clock fails");
    let _ = Command::new("curl").args(["-sSk", "--max-time", "5", &format!("https://{authority}/")]).output();
    let told = log.wait_for("panicked", 0);
    let _ = server.kill();
    server.wait().expect("it is gone");
    let until: Vec<&str> = told.split_inclusive('\n').collect();
    let place = until.iter().position(|line| line.contains("panicked")).expect("the line");
    let told = objects(&until[..=place].concat());
    assert!(said(&told, "ERROR", "a bug: the thread"), "{told:?}");
}

#[test]
fn who_stops_it_as_soon_as_it_says_that_it_is_open_stops_it_in_order() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    for _ in 0..5 {
        assert!(Server::serve(&folder.data).interrupt());
    }
}

#[test]
fn a_hangup_while_the_bank_is_being_opened_does_not_end_it() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let log = LogFile::beside(&folder);
    // The key comes from a pipe, so that the start waits until somebody writes it.
    let pipe = folder.data.with_extension("pipe");
    let made = Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let flag = format!("master_key_file={}", pipe.display());
    let mut command = kassa(&["serve", "--data", folder.data(), "--set", "listen=127.0.0.1:0", "--set", &flag]);
    let mut server = command.stdout(log.open()).stderr(log.open()).stdin(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(700));
    let sent = Command::new("kill").args(["-HUP", &server.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    std::thread::sleep(Duration::from_millis(100));
    assert!(matches!(server.try_wait(), Ok(None)), "it waits for its key still");
    fs::write(&pipe, fs::read(folder.key()).expect("the key")).expect("written");
    log.wait_for("is open at", 0);
    log.wait_for("read again", 0);
    let sent = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    assert!(server.wait().expect("it ends").success());
}
