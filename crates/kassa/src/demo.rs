//! `kassa demo`: a small bank to try things out with, made where there is none, and served. Its people have published
//! passwords, so they are let into no bank but one that this command made.

use std::path::{Path, PathBuf};

use axum::Router;
use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, CustomerId, Numbering, OpenAccount, PaymentCommand,
    Role, What,
};
use engine::{Engine, Field, NewSubject};
use ledger::{AccountId, Currency, Kind, Money, Overdraft};

use crate::bank_folder::{
    self, BankFolder, Beginning, DEMO_FIRST_CUSTOMER, DEMO_FOUNDING, FoundedAs, NewBank, Open, in_shell, spelled,
};
use crate::failure::Failure;
use crate::output::Output;
use crate::{master_key, serve, tls};

/// `kassa demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The demo bank's folder; made if it isn't there.
    #[arg(long, value_name = "DIR", default_value = "kassa-demo")]
    pub(crate) data: PathBuf,
    /// A setting, in place of what kassa.toml and the environment say.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Users who may sign in: name, password, role. The passwords are no secret; a demo bank holds nothing of worth.
const USERS: [(&str, &str, Role); 4] = [
    ("alice", "alice-demo-password", Role::Customer),
    ("bob", "bob-demo-password", Role::Customer),
    ("operator", "operator-demo-password", Role::Operator),
    ("auditor", "auditor-demo-password", Role::Auditor),
];

pub(crate) fn run(demo: &Demo, output: &Output) -> Result<(), Failure> {
    let signals = serve::Signals::heed()?;
    let euro = Currency::from_code("EUR").expect("the euro is a currency of ISO 4217");
    let numbering = Numbering::new("AT", "99999").map_err(|error| Failure::new(error.to_string()))?;
    let new = NewBank { name: "Demo Bank", numbering, currencies: &[euro] };
    let open = Open { data: demo.data.clone(), set: demo.set.clone(), accept_loss: false };
    bank_folder::must_be_a_folder(&demo.data)?;
    if bank_folder::is_there(&demo.data) {
        must_be_a_demo(&BankFolder::find(&open)?.beginning(false)?, &new, &demo.data)?;
    } else {
        output.announce(format_args!("Making a small demo bank in {} …", demo.data.display()))?;
    }
    let kept = master_key::place_in(&demo.set);
    let (engine, folder) = bank_folder::create_by(DEMO_FOUNDING, &open, &new, &kept, output)?;
    // Each step is done once for ever, so a bank whose making was broken off is finished here.
    let (alice, bob) = match furnish(&engine, euro) {
        Ok(accounts) => accounts,
        Err(failure) => {
            engine.stop();
            return Err(failure);
        }
    };
    let users = match users(&engine) {
        Ok(users) => users,
        Err(failure) => {
            engine.stop();
            return Err(failure);
        }
    };
    let welcome = |address: std::net::SocketAddr| welcome(&demo.data, address.port(), &users, &alice, &bob);
    serve::serve(engine, &folder, Router::new(), output, signals, welcome)
}

/// Refuses every bank that this command did not make. One that version 0.1.0 had only begun to make has no mark, and
/// nobody and nothing is in it.
fn must_be_a_demo(beginning: &Beginning, new: &NewBank<'_>, data: &Path) -> Result<(), Failure> {
    let unmarked = || beginning.bare && beginning.founded.as_ref().is_none_or(|it| *it == FoundedAs::from(new));
    if beginning.demo || unmarked() {
        return Ok(());
    }
    let (folder, serve) = (data.display(), spelled(&["serve", "--data"], data));
    let founded = beginning.founded.as_ref().map_or_else(String::new, FoundedAs::to_string);
    Err(Failure::new(format!(
        "the bank in {folder} is {founded}, which `kassa demo` did not make. The demo's people have passwords that \
         everybody knows, so nothing was done. `{serve}` serves that bank; for a demo bank name another folder with --data"
    )))
}

/// Gives the demo bank its people and their money, and returns the IBANs of Alice's and Bob's accounts.
fn furnish(engine: &Engine, euro: Currency) -> Result<(String, String), Failure> {
    let alice = customer(engine, DEMO_FIRST_CUSTOMER, "alice", "Alice Adler")?;
    let bob = customer(engine, "customer bob", "bob", "Bob Berger")?;
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

fn customer(engine: &Engine, step: &str, user: &str, full_name: &str) -> Result<CustomerId, Failure> {
    let subject = NewSubject::generate();
    let body = Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, full_name) });
    let What::Access(AccessEvent::CustomerAdded { id, name }) =
        bank_folder::carry_out_for(engine, step, body, Some(subject))?
    else {
        return Err(Failure::new("the bank gave another answer than the demo expects".into()));
    };
    if !bank_folder::is_known(engine, user)? {
        let password = USERS.iter().find(|(name, ..)| *name == user).map_or("", |(_, password, _)| password);
        let seal = |field, text: &str| -> Result<bank::Sealed, Failure> {
            let sealed = engine.seal(name.subject, field, text)?;
            sealed.ok_or_else(|| Failure::new(format!("{user} was erased from the demo bank; make a new one")))
        };
        let body = Body::Access(AccessCommand::AddUser {
            name_index: engine.name_index(user),
            name: seal(Field::UserName, user)?,
            password: seal(Field::Password, &bank_folder::hash_password(password)?)?,
            role: Role::Customer,
            customer: Some(id),
        });
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
    let What::Accounts(AccountEvent::AccountOpened { id, .. }) =
        bank_folder::carry_out(engine, &format!("account {name}"), Body::Accounts(AccountCommand::OpenAccount(open)))?
    else {
        return Err(Failure::new("the bank gave another answer than the demo expects".into()));
    };
    let deposit =
        Body::Payments(PaymentCommand::Deposit { account: id, amount: Money { minor: cents, currency }, text: None });
    bank_folder::carry_out(engine, &format!("money for {name}"), deposit)?;
    Ok(id)
}

/// Says where to go, who may sign in, and three lines that work as printed.
fn welcome(folder: &Path, port: u16, users: &str, alice: &str, bob: &str) -> String {
    let authority = tls::authority(folder);
    let curl = format!("curl -sS --cacert {}", in_shell(&authority.display().to_string()));
    let url = format!("https://127.0.0.1:{port}");
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

/// Lists who may sign in with which password as what, a line each. A password that was set since is not told.
fn users(engine: &Engine) -> Result<String, Failure> {
    let mut lines = String::new();
    for (name, password, role) in USERS {
        let index = engine.name_index(name);
        let sealed = engine.peek(|state| Some(state.user(state.user_named(index)?)?.password.clone()))?;
        let hash = sealed.map(|sealed| engine.open_sealed(Field::Password, &sealed)).transpose()?.flatten();
        let is_told = hash.is_some_and(|hash| server::password::verify(password, &hash));
        let password = if is_told { password } else { "(another since)" };
        lines.push_str(&format!("  {name:<10} {password:<24} {}\n", role_name(role)));
    }
    Ok(lines)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Operator => "operator",
        Role::Auditor => "auditor",
    }
}
