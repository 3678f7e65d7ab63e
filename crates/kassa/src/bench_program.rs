//! `kassa bench`: what the benches need of this program, which is what they measure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bench::{Bench, Program, ToServe};

use edge::local_certificate;

use crate::bank_folder::{BankFolder, Open};
use crate::config::Config;
use crate::failure::Failure;
use crate::log::Log;
use crate::output::Output;
use crate::{log, serve};

/// A bench has no settings that would ask for another form of the log.
const OUTPUT: Output = Output { log: Log::Text };

const PROGRAM: Program = Program {
    line: |line| OUTPUT.line(line).map_err(Into::into),
    bar: |what, total| OUTPUT.bar(what, total),
    hash_password: |password| Ok(service::password::hash_new(password).map_err(Failure::from)?),
    certificate: |folder, settings| certificate(folder, settings).map_err(Into::into),
    serve: |bank| serve_bank(bank).map_err(Into::into),
    allow_many_files: edge::allow_many_files,
    asked_to_end: || Box::pin(serve::asked_to_end()),
};

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    Ok(bench::run(bench, &PROGRAM)?)
}

/// The environment may speak of another bank, which is no matter here.
fn config(folder: &Path, settings: &[String]) -> Result<Config, Failure> {
    Config::read(folder, settings, &BTreeMap::new())
}

fn certificate(folder: &Path, settings: &[String]) -> Result<PathBuf, Failure> {
    local_certificate::make_where_missing(folder, &config(folder, settings)?.edge)?;
    Ok(local_certificate::authority(folder))
}

fn serve_bank(ToServe { folder, master, settings, more }: ToServe) -> Result<(), Failure> {
    let signals = serve::Signals::heed()?;
    let config = config(&folder, &settings)?;
    let log = log::start(&config.log);
    let open = Open { data: folder.clone(), set: Vec::new(), accept_loss: false };
    let folder = BankFolder { folder, config, master, log, set: settings };
    let engine = folder.open(&open, &OUTPUT)?;
    serve::serve(engine, &folder, more, &OUTPUT, signals, |_| String::new())
}
