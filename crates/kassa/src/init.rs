//! `kassa init`: a new bank in a folder of its own. In a folder that holds one already nothing is made, and that bank is
//! named; but a making that was broken off is finished by the same command.

use std::path::PathBuf;

use bank::{Numbering, NumbersAsked, OwnCheck, Refusal, Role, ZoneFrom};
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
    /// The bank's country, two capital letters (ISO 3166-1). Its account numbers are IBANs, or where the country has none,
    /// of the country's own form.
    #[arg(long, value_name = "CC")]
    country: String,
    /// The bank's code within its country's account numbers, with the branch's where they have one: in Austria five digits,
    /// e.g. 19043; in the United States its ABA routing number, nine digits, e.g. 123456780; in India its IFSC, e.g.
    /// KASA0000001. Where it is wrong, the message says what the country expects.
    #[arg(long, value_name = "CODE")]
    bank_code: String,
    /// The bank's time zone (IANA), by which its days, months and statements go.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_time_zone)]
    time_zone: String,
    /// The number of digits of an account, where the country leaves a choice, such as 4 to 17 in the United States; or of
    /// --own-numbers.
    #[arg(long, value_name = "NUMBER")]
    account_digits: Option<u32>,
    /// Account numbers of the bank's own form, in any country: the bank code (up to 12 capital letters and digits), the
    /// account's digits (10, or as --account-digits says) and check digits by this rule: mod97 (ISO 7064 MOD 97-10) or
    /// luhn, for a bank code of digits.
    #[arg(long, value_name = "RULE", value_parser = parse_own_check)]
    own_numbers: Option<OwnCheck>,
    /// A British bank's table of modulus checks, as Vocalink publishes it (valacdos): its account numbers then pass the check
    /// of its sort code, which is kept with the bank.
    #[arg(long, value_name = "FILE")]
    modulus_table: Option<PathBuf>,
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

fn parse_own_check(name: &str) -> Result<OwnCheck, String> {
    OwnCheck::from_name(name).ok_or_else(|| "it is neither mod97 nor luhn".to_owned())
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
    let asked = NumbersAsked { digits: init.account_digits, own: init.own_numbers };
    let numbering = Numbering::asked(&init.country, &init.bank_code, asked);
    let numbering = numbering.map_err(|mistake| mistake.to_string()).and_then(|numbering| checked(numbering, init));
    let config = Config::read(&init.data, &init.set, &variables());
    match (numbering, config) {
        (Ok(numbering), Ok(_)) => Ok(numbering),
        (Err(mistake), Ok(_)) => Err(Failure::new(mistake)),
        (Ok(_), Err(mistakes)) => Err(mistakes),
        (Err(mistake), Err(mistakes)) => Err(Failure::new(format!("{mistake}; and {mistakes}"))),
    }
}

/// Has the account numbers checked by the table that is named, if any is.
fn checked(numbering: Numbering, init: &Init) -> Result<Numbering, String> {
    let Some(file) = &init.modulus_table else { return Ok(numbering) };
    let table = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    numbering.checked_by(&table).map_err(|mistake| format!("{}: {mistake}", file.display()))
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
                "the making of {founded}{cash} in {folder} was broken off: give the same name, country, code, form \
                 of account numbers, time zone and currencies to finish it, or name another folder with --data"
            )))
        }
    }
}
