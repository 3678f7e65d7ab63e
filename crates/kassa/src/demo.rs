//! `kassa demo`: a small bank to try things out with, made where there is none, and served. Its people have published
//! passwords, so they are let into no bank but one that this command made.

use std::path::{Path, PathBuf};

use axum::Router;
use bank::{Numbering, Role};
use edge::local_certificate;
use engine::{Engine, Field};
use ledger::Currency;
use service::demo::{USERS, furnish};
use service::founding::{Beginning, DEMO_FOUNDING, FoundedAs, NewBank};

use crate::bank_folder::{self, BankFolder, Open, in_shell, spelled};
use crate::failure::Failure;
use crate::output::Output;
use crate::{master_key, serve};

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

pub(crate) fn run(demo: &Demo, output: &Output) -> Result<(), Failure> {
    let signals = serve::Signals::heed()?;
    let euro = Currency::from_code("EUR").expect("the euro is a currency of ISO 4217");
    let numbering = Numbering::new("AT", "99999").map_err(|error| Failure::new(error.to_string()))?;
    let new = NewBank { name: "Demo Bank", numbering, time_zone: Some("Europe/Vienna"), currencies: &[euro] };
    let open = Open { data: demo.data.clone(), set: demo.set.clone(), accept_loss: false };
    bank_folder::must_be_a_folder(&demo.data)?;
    if bank_folder::is_there(&demo.data) {
        must_be_a_demo(&BankFolder::find(&open)?.beginning(false)?, &new, &demo.data)?;
    } else {
        output.announce(format_args!("Making a small demo bank in {} …", demo.data.display()))?;
    }
    let kept = master_key::place_in(&demo.set);
    let (engine, folder) = bank_folder::create_by(DEMO_FOUNDING, &open, &new, &kept, output)?;
    let (alice, bob) = match furnish(&engine, euro) {
        Ok(accounts) => accounts,
        Err(error) => {
            engine.stop();
            return Err(error.into());
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
    // Nor had it a time zone.
    let demo = FoundedAs { time_zone: None, ..FoundedAs::from(new) };
    let unmarked = || beginning.bare && beginning.founded.as_ref().is_none_or(|it| *it == demo);
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

/// Says where to go, who may sign in, and three lines that work as printed.
fn welcome(folder: &Path, port: u16, users: &str, alice: &str, bob: &str) -> String {
    let authority = local_certificate::authority(folder);
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
        let is_told = hash.is_some_and(|hash| service::password::verify(password, &hash));
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
