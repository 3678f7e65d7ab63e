//! The guide's commands, run as printed, one after the other in one shell, and what it says is answered.

use std::process::Command;

use super::{Server, kassa};

/// A block of the guide: commands, and what they print if the guide says it.
pub(super) struct Step {
    pub(super) commands: String,
    pub(super) printed: Option<String>,
}

/// The guide's blocks of `sh`, each with the block of `json` or `text` that follows it.
pub(super) fn steps(guide: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "sh" => steps.push(Step { commands: block.join("\n"), printed: None }),
            "json" | "text" => {
                let step = steps.last_mut().expect("commands before what they print");
                assert!(step.printed.is_none(), "two answers to one block of commands: {line}");
                step.printed = Some(block.join("\n"));
            }
            // Not for this shell: it builds the program, starts the server, is for another machine, or is no command.
            "console" | "ini" | "toml" => {}
            other => panic!("a block of {other} is not known here"),
        }
    }
    steps
}

/// Whether a text is what the guide says, in which `…` stands for anything and space for nothing.
pub(super) fn is_as_said(said: &str, text: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    let (said, text) = (plain(said), plain(text));
    let mut parts = said.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn what_is_as_the_guide_says() {
    for (said, text, expected) in [
        ("{\"a\": 1}", "{\"a\":1}\n", true),
        ("{\"a\": 1}", "{\"a\":12}", false),
        ("{\"a\": …}", "{\"a\":12}", true),
        ("{\"a\": \"…\", \"b\": \"…\"}", "{\"a\":\"x\",\"b\":\"y\"}", true),
        ("{\"a\": \"…\", \"b\": 1}", "{\"a\":\"x\",\"b\":2}", false),
        ("{\"a\": \"…\"}", "{\"a\":\"x\",\"b\":2}", false),
        ("", "", true),
        ("", "x", false),
    ] {
        assert_eq!(is_as_said(said, text), expected, "{said} {text}");
    }
}

#[test]
fn the_guide_works_as_printed() {
    let guide = include_str!("../../../../docs/GUIDE.md");
    let steps = steps(guide);
    assert!(steps.len() > 10, "the guide has commands");
    let folder = tempfile::tempdir().expect("a folder for the test");
    let data = folder.path().join("kassa-demo");
    let mut command = kassa(&["demo", "--set", "listen=127.0.0.1:0"]);
    let server = Server::from(command.current_dir(folder.path()), &data, "/v1/payments");
    // The port that the guide prints may be taken by another server, so curl is told where that address is.
    let address = server.url.trim_start_matches("https://");
    std::fs::write(folder.path().join(".curlrc"), format!("connect-to = \"127.0.0.1:8443:{address}\"\n"))
        .expect("curl's settings");
    assert!(guide.contains("BANK=https://127.0.0.1:8443\n"), "the address that curl is told about");

    // One shell for all, as a reader has; a line between the steps tells what each printed.
    let script: Vec<&str> = steps.iter().map(|step| step.commands.as_str()).collect();
    let script = script.join(END_OF_STEP);
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path());
    let output = bash.env("HOME", folder.path()).env_remove("CURL_HOME").output().expect("bash runs");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{failed}");
    compare(&steps, &told);
}

/// What tells in the output where the next block of commands begins.
pub(super) const END_OF_STEP: &str = "\nprintf '\\n=== step ===\\n'\n";

/// Compares what each block of commands printed, each followed by a line that ends its step, with what is said of it.
pub(super) fn compare(steps: &[Step], told: &str) {
    let printed: Vec<&str> = told.split("=== step ===\n").collect();
    assert_eq!(printed.len(), steps.len(), "{told}");
    for (step, printed) in steps.iter().zip(printed) {
        let said = step.printed.as_deref().unwrap_or_default();
        assert!(is_as_said(said, printed), "{}\n\nIt is said:\n{said}\n\nIt printed:\n{printed}", step.commands);
    }
}
