//! `kassa init`: a new bank in a folder of its own. In a folder that holds one already nothing is made, and that bank is
//! named; but a making that was broken off is finished by the same command.

use std::path::PathBuf;

use bank::{Numbering, Refusal, Role, ZoneFrom};
use engine::Calendar;
use ledger::Currency;

use crate::bank_folder::{self, BankFolder, Open, parse_name, spelled, variables};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;
use service::founding::{self, FoundedAs, NewBank};

/// `kassa init`
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The folder to make the bank in. The master key is written beside it, with the ending .key.
    #[arg(long, value_name = "DIR", default_value = "kassa-data", env = "KASSA_DATA")]
    pub(crate) data: PathBuf,
    /// A setting, in place of the default. It is written to the bank's kassa.toml.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// The bank's name.
    #[arg(long, default_value = "My Bank", value_parser = parse_name)]
    name: String,
    /// The bank's country, two letters (ISO 3166-1): the first part of its IBANs.
    #[arg(long, value_name = "CC")]
    country: String,
    /// The bank's code within its country: the second part of its IBANs.
    #[arg(long, value_name = "CODE")]
    bank_code: String,
    /// The bank's time zone (IANA), by which its days, months and statements go.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_time_zone)]
    time_zone: String,
    /// A currency in which there is a cash desk. May be given several times.
    #[arg(long = "currency", value_name = "CODE", value_parser = parse_currency)]
    currencies: Vec<Currency>,
    /// The name under which the first operator signs in. The password is read from standard input.
    #[arg(long, value_name = "NAME", default_value = "operator", value_parser = parse_name)]
    operator: String,
}

fn parse_time_zone(name: &str) -> Result<String, String> {
    Calendar::spelled(name).ok_or_else(|| "it is not a time zone of the IANA database such as Europe/Vienna".to_owned())
}

fn parse_currency(code: &str) -> Result<Currency, String> {
    let currency = Currency::from_code(code).ok_or("it is not a currency of ISO 4217 such as EUR")?;
    if currency.is_in_use() { Ok(currency) } else { Err(Refusal::CurrencyNotInUse.to_string()) }
}

pub(crate) fn run(init: &Init, output: &Output) -> Result<(), Failure> {
    bank_folder::must_be_a_folder(&init.data)?;
    // A bank of UTC says nothing, so that every version of Kassa makes and finishes the same.
    let time_zone = Some(init.time_zone.as_str()).filter(|zone| *zone != ZoneFrom::UTC);
    let new = NewBank { name: &init.name, numbering: numbering(init)?, time_zone, currencies: &init.currencies };
    let open = Open { data: init.data.clone(), set: init.set.clone(), accept_loss: false };
    if bank_folder::is_there(&init.data) {
        must_be_unfinished(&open, &new)?;
    }
    let password = bank_folder::read_password(&init.operator)?;
    let (engine, folder) = bank_folder::create_by("found", &open, &new, &init.set, output)?;
    let added = service::password::hash_new(&password)
        .map_err(Failure::from)
        .and_then(|hash| Ok(founding::add_staff(&engine, &init.operator, &hash, Role::Operator)?));
    engine.stop();
    added?;
    let key = match bank_folder::variable("KASSA_MASTER_KEY") {
        Some(_) => "the master key of the environment variable KASSA_MASTER_KEY".to_owned(),
        None => format!("its master key, {}, somewhere else", folder.config.master_key_file.display()),
    };
    output.line(format_args!(
        "{} is founded in {}. Its days are those of {}. Keep a copy of {key}: without it nothing in the folder can be read.\n\
         Serve it with: {}",
        FoundedAs::from(&new),
        init.data.display(),
        init.time_zone,
        spelled(&["serve", "--data"], &init.data)
    ))
}

/// Makes the numbering of the bank's accounts. Its mistakes are told together with those of the settings.
fn numbering(init: &Init) -> Result<Numbering, Failure> {
    let numbering = Numbering::new(&init.country, &init.bank_code);
    let config = Config::read(&init.data, &init.set, &variables());
    match (numbering, config) {
        (Ok(numbering), Ok(_)) => Ok(numbering),
        (Err(mistake), Ok(_)) => Err(Failure::new(mistake.to_string())),
        (Ok(_), Err(mistakes)) => Err(mistakes),
        (Err(mistake), Err(mistakes)) => Err(Failure::new(format!("{mistake}; and {mistakes}"))),
    }
}

/// Refuses where there is a bank already, naming it, unless it is one whose making with the same words was broken off.
fn must_be_unfinished(open: &Open, new: &NewBank<'_>) -> Result<(), Failure> {
    let folder = open.data.display();
    let beginning = BankFolder::find(open)
        .and_then(|found| found.beginning(false))
        .map_err(|failure| Failure::new(format!("{folder} holds a bank already, or a part of one: {failure}")))?;
    let Some(founded) = beginning.founded else { return Ok(()) };
    if beginning.demo {
        let demo = spelled(&["demo", "--data"], &open.data);
        return Err(Failure::new(format!(
            "there is a bank in {folder} already: {founded}, a demo bank. `{demo}` serves it; for a bank of your own \
             name another folder with --data"
        )));
    }
    if !beginning.bare {
        let (serve, add) =
            (spelled(&["serve", "--data"], &open.data), spelled(&["operator", "add", "NAME", "--data"], &open.data));
        return Err(Failure::new(format!(
            "there is a bank in {folder} already: {founded}. Nothing was changed. `{serve}` serves it, `{add}` adds \
             somebody who runs it; for another bank name another folder with --data"
        )));
    }
    let unasked = beginning.cash.iter().find(|currency| !new.currencies.contains(currency));
    match unasked {
        None if founded == FoundedAs::from(new) => Ok(()),
        unasked => {
            let cash = unasked.map(|currency| format!(" with a cash desk in {currency}")).unwrap_or_default();
            Err(Failure::new(format!(
                "the making of {founded}{cash} in {folder} was broken off: give the same name, country, code, time \
                 zone and currencies to finish it, or name another folder with --data"
            )))
        }
    }
}
