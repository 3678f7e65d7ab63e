//! `kassa verify`: the check of a whole bank, beside a running server too.

use serde::Serialize;

use crate::bank_folder::{BankFolder, Open};
use crate::failure::Failure;
use crate::output::Output;

/// `kassa verify`
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) bank: Open,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Report of what was checked and found.
#[derive(Debug, Serialize)]
struct Report {
    frames: u64,
    events: u64,
    postings: u64,
    head: String,
    digest: String,
    ok: bool,
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Problem {
    frame: u64,
    kind: String,
    detail: String,
}

/// Prints the report; true if the bank is in order.
pub(crate) fn run(verify: &Verify, output: &Output) -> Result<bool, Failure> {
    let folder = BankFolder::find(&verify.bank)?;
    let bar = output.spinner("events");
    let found = engine::verify(&folder.folder, &folder.master, &mut |event| bar.set_position(event));
    bar.finish_and_clear();
    let found = found?;
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let problems: Vec<Problem> = found
        .problems
        .into_iter()
        .map(|engine::Problem { frame, kind, detail }| Problem { frame, kind, detail })
        .collect();
    let report = Report {
        frames: found.frames,
        events: found.events,
        postings: found.postings,
        head: hex(found.head),
        digest: hex(found.digest),
        ok: problems.is_empty(),
        problems,
    };
    if verify.json {
        output.json(&report)?;
    } else {
        output.line(format_args!(
            "{} frames, {} events, {} postings; head {}, state {}",
            report.frames, report.events, report.postings, report.head, report.digest
        ))?;
        for Problem { frame, kind, detail } in &report.problems {
            output.line(format_args!("frame {frame}: {kind}: {detail}"))?;
        }
        output.line(if report.ok { "All is in order." } else { "Not in order: see above." })?;
    }
    Ok(report.ok)
}
