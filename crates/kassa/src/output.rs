//! What the commands print: lines and figures on standard output, progress on standard error if that is a terminal.

use std::fmt;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// Where a command's words go.
pub(crate) struct Output;

impl Output {
    /// Prints a line.
    pub(crate) fn line(&self, line: impl fmt::Display) -> Result<(), Failure> {
        match writeln!(io::stdout().lock(), "{line}") {
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// Prints a value as one JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    /// A progress bar, shown on a terminal only.
    pub(crate) fn bar(&self, what: &'static str, total: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:>12} [{bar:30}] {human_pos}/{human_len} ({per_sec}, {eta})");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar
    }

    /// A count that grows, where nobody knows how far; shown on a terminal only.
    pub(crate) fn spinner(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} {human_pos} ({per_sec})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
    }
}
