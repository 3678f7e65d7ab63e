//! The program that the benches are a part of, as far as they need it: its words on standard output, and what of it is
//! measured. It is handed in, so that the benches depend on neither the server nor the settings.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use axum::Router;
use indicatif::ProgressBar;
use journal::MasterKey;
use serde::Serialize;

use crate::failure::Failure;

/// Parts of the program that a bench calls. Copied into threads and tasks, so they are functions that hold nothing.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Prints a line on standard output.
    pub line: fn(&str) -> Result<(), Failure>,
    /// Makes a progress bar of a name and a total, shown on a terminal only.
    pub bar: fn(&'static str, u64) -> ProgressBar,
    /// Hashes a password as for service.
    pub hash_password: fn(&str) -> Result<String, Failure>,
    /// Makes the certificate of a bank's server where there is none, in the bank's folder under these settings
    /// (`name=value`). Gives the file with the certificate of its authority (PEM).
    pub certificate: fn(&Path, &[String]) -> Result<PathBuf, Failure>,
    /// Serves a bank as `kassa serve` does, until the process is told to end. Tells its address on standard output once
    /// it is open, after `https://`.
    pub serve: fn(ToServe) -> Result<(), Failure>,
    /// Asks the system for as many open files as it gives.
    pub allow_many_files: fn(),
    /// Waits until the process is told to stop, or loses its terminal.
    pub asked_to_end: fn() -> Asked,
}

/// Wait until the process is told to end.
pub type Asked = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A bank to be served, and how.
#[derive(Debug)]
pub struct ToServe {
    /// The bank's folder.
    pub folder: PathBuf,
    /// Its master key.
    pub master: MasterKey,
    /// The settings, as `name=value`. The others have their defaults, whatever the environment says.
    pub settings: Vec<String>,
    /// Routes that are served beside the bank's own.
    pub more: Router,
}

impl Program {
    /// Prints a line.
    pub(crate) fn line(&self, line: impl fmt::Display) -> Result<(), Failure> {
        (self.line)(&line.to_string())
    }

    /// Prints a value as one JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    /// Makes a progress bar.
    pub(crate) fn bar(&self, what: &'static str, total: u64) -> ProgressBar {
        (self.bar)(what, total)
    }
}
