//! `kassa demo`: a small bank to try things out with, made where there is none, and served.

use std::path::{Path, PathBuf};

use axum::Router;
use bank::{Body, CustomerId, Numbering, OpenAccount, Role, What};
use engine::{Engine, Field, NewSubject};
use ledger::{AccountId, Currency, Kind, Money, Overdraft};

use crate::bank_folder::{self, NewBank, Open};
use crate::failure::Failure;
use crate::output::Output;
use crate::{serve, tls};

/// `kassa demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The demo bank's folder; made if it isn't there.
    #[arg(long, value_name = "DIR", default_value = "kassa-demo")]
    data: PathBuf,
    /// A setting, in place of what kassa.toml and the environment say.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Who may sign in: name, password, role. The passwords are no secret; a demo bank holds nothing of worth.
const USERS: [(&str, &str, Role); 4] = [
    ("alice", "alice-demo-password", Role::Customer),
    ("bob", "bob-demo-password", Role::Customer),
    ("operator", "operator-demo-password", Role::Operator),
    ("auditor", "auditor-demo-password", Role::Auditor),
];

pub(crate) fn run(demo: &Demo, output: &Output) -> Result<(), Failure> {
    let open = Open { data: demo.data.clone(), set: demo.set.clone(), accept_loss: false };
    if !demo.data.join("journal.db").exists() {
        output.line(format_args!("Making a small demo bank in {} …", demo.data.display()))?;
    }
    let (engine, config) = bank_folder::create(&open, &new_bank()?, output)?;
    // Each step is done once for ever, so a bank whose making was broken off is finished here.
    let (alice, bob) = match furnish(&engine) {
        Ok(accounts) => accounts,
        Err(failure) => {
            engine.stop();
            return Err(failure);
        }
    };
    serve::serve(engine, config, Router::new(), output, |address| welcome(&demo.data, address.port(), &alice, &bob))
}

fn new_bank() -> Result<NewBank<'static>, Failure> {
    let numbering = Numbering::new("AT", "99999").map_err(|error| Failure::new(error.to_string()))?;
    Ok(NewBank { name: "Demo Bank", numbering, currencies: const { &[] } })
}

/// Gives the demo bank its people and their money, and returns the IBANs of Alice's and Bob's accounts.
fn furnish(engine: &Engine) -> Result<(String, String), Failure> {
    let euro = Currency::from_code("EUR").expect("the euro is a currency of ISO 4217");
    bank_folder::found(engine, &NewBank { currencies: &[euro], ..new_bank()? })?;
    let alice = customer(engine, "alice", "Alice Adler")?;
    let bob = customer(engine, "bob", "Bob Berger")?;
    let accounts = [
        account(engine, alice, "Alice's current account", euro, 250_000)?,
        account(engine, alice, "Alice's savings", euro, 1_000_000)?,
        account(engine, bob, "Bob's current account", euro, 80_000)?,
    ];
    for (name, password, role) in USERS {
        if role != Role::Customer && !bank_folder::is_known(engine, name)? {
            bank_folder::add_staff(engine, name, password, role)?;
        }
    }
    let [alice, _, bob] = accounts;
    let iban = |account: AccountId| engine.peek(|state| state.iban(account).unwrap_or_default());
    Ok((iban(alice)?, iban(bob)?))
}

fn customer(engine: &Engine, user: &str, full_name: &str) -> Result<CustomerId, Failure> {
    let subject = NewSubject::generate();
    let body = Body::AddCustomer { name: subject.seal(Field::CustomerName, full_name) };
    let What::CustomerAdded { id, name } =
        bank_folder::carry_out_for(engine, &format!("customer {user}"), body, Some(subject))?
    else {
        return Err(Failure::new("the bank gave another answer than the demo expects".into()));
    };
    if !bank_folder::is_known(engine, user)? {
        let password = USERS.iter().find(|(name, ..)| *name == user).map_or("", |(_, password, _)| password);
        let seal = |field, text: &str| -> Result<bank::Sealed, Failure> {
            let sealed = engine.seal(name.subject, field, text)?;
            sealed.ok_or_else(|| Failure::new(format!("{user} was erased from the demo bank; make a new one")))
        };
        let body = Body::AddUser {
            name_index: engine.name_index(user),
            name: seal(Field::UserName, user)?,
            password: seal(Field::Password, &bank_folder::hash_password(password)?)?,
            role: Role::Customer,
            customer: Some(id),
        };
        bank_folder::carry_out(engine, &format!("user {user}"), body)?;
    }
    Ok(id)
}

fn account(
    engine: &Engine,
    owner: CustomerId,
    name: &str,
    currency: Currency,
    cents: i64,
) -> Result<AccountId, Failure> {
    let subject = engine.peek(|state| state.customer(owner).map(|customer| customer.name.subject))?;
    let sealed = match subject {
        Some(subject) => engine.seal(subject, Field::AccountName, name)?,
        None => None,
    };
    let open = OpenAccount {
        number: None,
        currency,
        kind: Kind::Liability,
        overdraft: Overdraft::Limited(0),
        name: sealed,
        owner: Some(owner),
        cash: false,
        opened_at: None,
    };
    let What::AccountOpened { id, .. } =
        bank_folder::carry_out(engine, &format!("account {name}"), Body::OpenAccount(open))?
    else {
        return Err(Failure::new("the bank gave another answer than the demo expects".into()));
    };
    let deposit = Body::Deposit { account: id, amount: Money { minor: cents, currency }, text: None };
    bank_folder::carry_out(engine, &format!("money for {name}"), deposit)?;
    Ok(id)
}

/// Where to go, who may sign in, and three lines that work as printed.
fn welcome(folder: &Path, port: u16, alice: &str, bob: &str) -> String {
    let authority = tls::authority(folder);
    let curl = format!("curl -sS --cacert {}", shell(&authority.display().to_string()));
    let url = format!("https://127.0.0.1:{port}");
    let users: String = USERS
        .iter()
        .map(|(name, password, role)| format!("  {name:<10} {password:<24} {}\n", role_name(*role)))
        .collect();
    format!(
        "{url}/ says what this is. Who may sign in, with which password, as what:\n\n{users}\n\
         Sign in as Alice, see her balance, pay Bob:\n\n\
         TOKEN=$({curl} {url}/v1/sign-in -H 'Content-Type: application/json' \
         -d '{{\"name\":\"alice\",\"password\":\"alice-demo-password\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')\n\
         {curl} {url}/v1/accounts/{alice}/balance -H \"Authorization: Bearer $TOKEN\"\n\
         {curl} {url}/v1/payments -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \
         -H \"Idempotency-Key: $(date +%s%N)\" \
         -d '{{\"from\":\"{alice}\",\"to\":\"{bob}\",\"amount\":\"25.00\",\"currency\":\"EUR\",\"text\":\"Lunch\"}}'\n"
    )
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Operator => "operator",
        Role::Auditor => "auditor",
    }
}

/// A word as a shell takes it literally.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
