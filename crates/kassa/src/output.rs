//! Output of the commands: lines and figures on standard output, progress on standard error if that is a terminal.

use std::fmt;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;
use crate::log::{self, Log};

/// Place that a command's words go to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// The form of the log, which decides where a server's own words go, and whether anything may stand beside it.
    pub(crate) log: Log,
}

impl Output {
    /// Says what a server has to say of itself: on standard output, or in the log where that is for machines.
    pub(crate) fn announce(&self, words: impl fmt::Display) -> Result<(), Failure> {
        match self.log {
            Log::Text => self.line(words),
            Log::Json => {
                log::line(tracing::Level::INFO, words.to_string().trim());
                Ok(())
            }
        }
    }

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

    /// Bars are for terminals, and stand on none that shows a log for machines.
    fn draw_target(&self) -> ProgressDrawTarget {
        match self.log {
            Log::Text => ProgressDrawTarget::stderr(),
            Log::Json => ProgressDrawTarget::hidden(),
        }
    }

    /// A progress bar, shown on a terminal only.
    pub(crate) fn bar(&self, what: &'static str, total: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), self.draw_target());
        let style = ProgressStyle::with_template("{msg:>12} [{bar:30}] {human_pos}/{human_len} ({per_sec}, {eta})");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar
    }

    /// A count that grows, where nobody knows how far; shown on a terminal only.
    pub(crate) fn spinner(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.draw_target());
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} {human_pos} ({per_sec})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
    }
}
