//! `kassa init`: a new bank in a folder of its own.

use std::path::PathBuf;

use bank::{Numbering, Refusal, Role};
use engine::Engine;
use ledger::Currency;

use crate::bank_folder::{self, NewBank, Open};
use crate::failure::Failure;
use crate::output::Output;

/// `kassa init`
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The folder to make the bank in. The master key is written beside it, with the ending .key.
    #[arg(long, value_name = "DIR", default_value = "kassa-data", env = "KASSA_DATA")]
    data: PathBuf,
    /// A setting, in place of the default.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The bank's name.
    #[arg(long, default_value = "My Bank", value_parser = parse_name)]
    name: String,
    /// The bank's country, two letters (ISO 3166-1): the first part of its IBANs.
    #[arg(long, value_name = "CC")]
    country: String,
    /// The bank's code within its country: the second part of its IBANs.
    #[arg(long, value_name = "CODE")]
    bank_code: String,
    /// A currency in which there is a cash desk. May be given several times.
    #[arg(long = "currency", value_name = "CODE", value_parser = parse_currency)]
    currencies: Vec<Currency>,
    /// The name under which the first operator signs in. The password is read from standard input.
    #[arg(long, value_name = "NAME", default_value = "operator", value_parser = parse_name)]
    operator: String,
}

fn parse_currency(code: &str) -> Result<Currency, String> {
    let currency = Currency::from_code(code).ok_or("it is not a currency of ISO 4217 such as EUR")?;
    if currency.is_in_use() { Ok(currency) } else { Err(Refusal::CurrencyNotInUse.to_string()) }
}

pub(crate) fn run(init: &Init, output: &Output) -> Result<(), Failure> {
    let numbering = Numbering::new(&init.country, &init.bank_code).map_err(|error| Failure::new(error.to_string()))?;
    let password = bank_folder::read_password(&init.operator)?;
    bank_folder::check_password(&password)?;
    let open = Open { data: init.data.clone(), set: init.set.clone(), accept_loss: false };
    let new = NewBank { name: &init.name, numbering, currencies: &init.currencies };
    let (engine, config) = bank_folder::create(&open, &new, output)?;
    let added = add_operator(&engine, init, &password);
    engine.stop();
    added?;
    let key = match bank_folder::variable("KASSA_MASTER_KEY") {
        Some(_) => "the master key of the environment variable KASSA_MASTER_KEY".to_owned(),
        None => format!("its master key, {}, somewhere else", config.master_key_file.display()),
    };
    output.line(format_args!(
        "{} is founded in {}. Keep a copy of {key}: without it nothing in the folder can be read.\n\
         Serve it with: kassa serve --data {1}",
        init.name,
        init.data.display()
    ))
}

/// The first operator. A bank that has one is whole, and not to be made again.
fn add_operator(engine: &Engine, init: &Init, password: &str) -> Result<(), Failure> {
    if engine.peek(|state| state.users().iter().any(|user| user.role == Role::Operator))? {
        return Err(Failure::new(format!(
            "there is a bank in {} already; `kassa serve --data {0}` serves it",
            init.data.display()
        )));
    }
    bank_folder::add_staff(engine, &init.operator, password, Role::Operator)
}

fn parse_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    let plain = !name.is_empty() && name.chars().count() <= 140 && !name.chars().any(server::is_control);
    if plain { Ok(name.to_owned()) } else { Err("a name has 1 to 140 characters on one line".into()) }
}
