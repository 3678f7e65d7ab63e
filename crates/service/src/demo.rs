//! The people of the demo bank, their accounts and their money. Whatever Kassa can do has something here to try it out with.

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, CustomerId, OpenAccount, PaymentCommand, Role,
    Sealed, What,
};
use engine::{Engine, Field, NewSubject};
use ledger::{AccountId, Currency, Kind, Money, Overdraft};

use crate::founding::{self, DEMO_FIRST_CUSTOMER, StepError};
use crate::password;

/// Users who may sign in: name, password, role. The passwords are no secret; a demo bank holds nothing of worth.
pub const USERS: [(&str, &str, Role); 4] = [
    ("alice", "alice-demo-password", Role::Customer),
    ("bob", "bob-demo-password", Role::Customer),
    ("operator", "operator-demo-password", Role::Operator),
    ("auditor", "auditor-demo-password", Role::Auditor),
];

/// Gives the demo bank its people and their money, and returns the IBANs of Alice's and Bob's accounts. Each step is done once
/// for ever, so a bank whose making was broken off is finished here.
///
/// # Errors
///
/// Says which step was not done, and why.
pub fn furnish(engine: &Engine, euro: Currency) -> Result<(String, String), StepError> {
    let alice = customer(engine, DEMO_FIRST_CUSTOMER, "alice", "Alice Adler")?;
    let bob = customer(engine, "customer bob", "bob", "Bob Berger")?;
    let accounts = [
        account(engine, alice, "Alice's current account", euro, 250_000)?,
        account(engine, alice, "Alice's savings", euro, 1_000_000)?,
        account(engine, bob, "Bob's current account", euro, 80_000)?,
    ];
    for (name, password, role) in USERS {
        if role != Role::Customer && !founding::is_known(engine, name)? {
            founding::add_staff(engine, name, &password::hash(password)?, role)?;
        }
    }
    let [alice, _, bob] = accounts;
    let iban = |account: AccountId| engine.peek(|state| state.iban(account).unwrap_or_default());
    Ok((iban(alice)?, iban(bob)?))
}

fn customer(engine: &Engine, step: &str, user: &str, full_name: &str) -> Result<CustomerId, StepError> {
    let subject = NewSubject::generate();
    let body = Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, full_name) });
    let What::Access(AccessEvent::CustomerAdded { id, name }) =
        founding::carry_out_for(engine, step, body, Some(subject))?
    else {
        return Err(StepError::Unexpected);
    };
    if !founding::is_known(engine, user)? {
        let password = USERS.iter().find(|(name, ..)| *name == user).map_or("", |(_, password, _)| password);
        let seal = |field, text: &str| -> Result<Sealed, StepError> {
            let sealed = engine.seal(name.subject, field, text)?;
            sealed.ok_or_else(|| StepError::Erased { name: user.to_owned() })
        };
        let body = Body::Access(AccessCommand::AddUser {
            name_index: engine.name_index(user),
            name: seal(Field::UserName, user)?,
            password: seal(Field::Password, &password::hash(password)?)?,
            role: Role::Customer,
            customer: Some(id),
        });
        founding::carry_out(engine, &format!("user {user}"), body)?;
    }
    Ok(id)
}

fn account(
    engine: &Engine,
    owner: CustomerId,
    name: &str,
    currency: Currency,
    cents: i64,
) -> Result<AccountId, StepError> {
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
        founding::carry_out(engine, &format!("account {name}"), Body::Accounts(AccountCommand::OpenAccount(open)))?
    else {
        return Err(StepError::Unexpected);
    };
    let deposit =
        Body::Payments(PaymentCommand::Deposit { account: id, amount: Money { minor: cents, currency }, text: None });
    founding::carry_out(engine, &format!("money for {name}"), deposit)?;
    Ok(id)
}
