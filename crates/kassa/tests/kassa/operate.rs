//! The operator's handbook: its commands run as printed, one after the other in one shell, and its unit is one that systemd
//! takes.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::guide::{END_OF_STEP, compare, steps};

const HANDBOOK: &str = include_str!("../../../../docs/OPERATE.md");

#[test]
fn the_handbook_works_as_printed() {
    let steps = steps(HANDBOOK);
    assert!(steps.len() > 10, "the handbook has commands");
    let folder = tempfile::tempdir().expect("a folder for the test");
    // The port that the handbook prints may be taken, so the server gets another, and curl is told where that is. It is
    // free for a moment, which nobody else is likely to use.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    std::fs::write(folder.path().join(".curlrc"), format!("connect-to = \"127.0.0.1:8443:{address}\"\n"))
        .expect("curl's settings");
    assert!(HANDBOOK.contains("BANK=https://127.0.0.1:8443\n"), "the address that curl is told about");

    let script: Vec<&str> = steps.iter().map(|step| step.commands.as_str()).collect();
    // Where a command fails, the server that the handbook started must go, too.
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", script.join(END_OF_STEP));
    let program = Path::new(env!("CARGO_BIN_EXE_kassa")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("timeout");
    bash.args(["120", "bash", "-euo", "pipefail", "-c", &script]).current_dir(folder.path());
    for variable in ["KASSA_MASTER_KEY", "KASSA_MASTER_KEY_FILE", "KASSA_DATA", "KASSA_LOG", "CURL_HOME"] {
        bash.env_remove(variable);
    }
    bash.env("HOME", folder.path()).env("PATH", path).env("KASSA_LISTEN", address.to_string());
    let output = bash.stdin(Stdio::null()).output().expect("bash runs");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = std::fs::read_to_string(folder.path().join("bank.log")).unwrap_or_default();
    assert!(output.status.success(), "{told}\n{failed}\n{log}");
    compare(&steps, &told);
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

#[test]
fn systemd_takes_the_unit() {
    let (_, unit) = HANDBOOK.split_once("```ini\n").expect("a unit");
    let (unit, _) = unit.split_once("\n```").expect("its end");
    assert!(unit.contains("ExecStart=/usr/local/bin/kassa serve --data "), "{unit}");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        let words = "SKIPPED: systemd-analyze is not there, so nobody has looked at the unit of docs/OPERATE.md";
        writeln!(std::io::stderr(), "{words}").expect("standard error");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (file, program) = (folder.path().join("kassa.service"), env!("CARGO_BIN_EXE_kassa"));
    std::fs::write(&file, unit.replace("/usr/local/bin/kassa", program)).expect("a file");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output().expect("it runs");
    let told = String::from_utf8_lossy(&verified.stderr);
    // It warns of what it doesn't know and succeeds all the same.
    assert!(verified.status.success() && !told.contains("kassa.service"), "{told}");
    // From 0, shut off from everything, to 100: what is left is the network and what it is there for.
    let mut shut_off = Command::new("systemd-analyze");
    shut_off.args(["security", "--offline=true", "--threshold=20"]).arg(&file);
    let shut_off = shut_off.output().expect("it runs");
    assert!(shut_off.status.success(), "{}", String::from_utf8_lossy(&shut_off.stdout));
}
