//! The bank's customers: who they are, which accounts they have, who may use which, and their sessions.
//!
//! Everything about an account or a customer is worked out from its number, so that a few bytes for each are kept.
//! Customers are numbered from 1, as the bank does, and accounts from 0, the bank's own left out.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use bank::{
    AccessCommand, AccountCommand, Body, Caller, CustomerId, Numbering, OpenAccount, PaymentCommand, Right, Role,
    Sealed, SystemCommand, TokenHash, UserId,
};
use engine::{Field, NewSubject};
use ledger::{AccountId, Currency, Kind, Money, Overdraft, Timestamp};

use super::Stopped;
use super::desk::{Desk, Question};
use crate::Random;

/// The first user, with whom the bank can be run when the year is over.
pub(super) const OPERATOR: UserId = UserId(1);

/// Name that the operator signs in with. It is no secret; the bank holds nothing of worth.
const OPERATOR_NAME: &str = "operator";
const OPERATOR_PASSWORD: &str = "operator-year-password";

/// The bank's own accounts are opened first.
const BANKS_OWN: u32 = 3;

/// Account that fees go to.
pub(super) const FEES: AccountId = AccountId(2);

/// Every so manieth customer is a firm: a shop, a landlord and an employer.
const CUSTOMERS_PER_FIRM: u32 = 50;

/// Duration of a session; then its owner signs in again.
const SESSION_MS: i64 = 90 * 86_400_000;

/// Overdraft of a firm's account, in minor units.
const FIRM_OVERDRAFT: u64 = 2_000_000_000;

const FIRST_NAMES: [&str; 12] =
    ["Anna", "Bela", "Clara", "David", "Eva", "Farid", "Greta", "Hugo", "Ilse", "Jakob", "Kateryna", "Leo"];
const LAST_NAMES: [&str; 12] =
    ["Adler", "Berger", "Czerny", "Dvorak", "Eder", "Fuchs", "Gruber", "Huber", "Ivanova", "Jovanovic", "Kaya", "Lang"];

pub(super) struct People {
    accounts: u32,
    customers: u32,
    random: Random,
    /// Each customer's key for texts, by number less one.
    subjects: Vec<NewSubject>,
    sessions: Vec<Option<Session>>,
}

#[derive(Clone, Copy)]
struct Session {
    token: TokenHash,
    expires_at: Timestamp,
}

impl People {
    pub(super) fn new(accounts: u32, seed: u64) -> Self {
        let customers = Self::customers_of(accounts);
        let count = customers as usize;
        let subjects = std::iter::repeat_with(NewSubject::generate).take(count).collect();
        Self { accounts, customers, random: Random::new(!seed), subjects, sessions: vec![None; count] }
    }

    /// Three customers in four have one account, and some of them a second.
    pub(super) fn customers_of(accounts: u32) -> u32 {
        accounts - accounts / 4
    }

    pub(super) fn customers(&self) -> u32 {
        self.customers
    }

    pub(super) fn accounts(&self) -> u32 {
        self.accounts
    }

    // ---- Who has what ----

    pub(super) fn firms(&self) -> u32 {
        self.customers / CUSTOMERS_PER_FIRM
    }

    /// The first account of a firm; the first firm is 0.
    pub(super) fn account_of_firm(&self, firm: u32) -> u32 {
        (firm + 1) * CUSTOMERS_PER_FIRM - 1
    }

    pub(super) fn is_firm(customer: u32) -> bool {
        customer.is_multiple_of(CUSTOMERS_PER_FIRM)
    }

    pub(super) fn is_private(&self, account: u32) -> bool {
        !Self::is_firm(self.owner(account))
    }

    pub(super) fn is_second(&self, account: u32) -> bool {
        account >= self.customers
    }

    pub(super) fn owner(&self, account: u32) -> u32 {
        if !self.is_second(account) {
            return account + 1;
        }
        let customer = 1 + (account - self.customers) * 3;
        if Self::is_firm(customer) { customer - 1 } else { customer }
    }

    /// Returns the other customer with a right on an account, and that right.
    pub(super) fn partner(&self, account: u32) -> Option<(u32, Right)> {
        if self.is_second(account) || !self.is_private(account) || !drawn(account, 1).is_multiple_of(20) {
            return None;
        }
        let partner = 1 + drawn(account, 2) % self.customers;
        if partner == self.owner(account) {
            return None;
        }
        let right = match drawn(account, 3) % 4 {
            0 | 1 => Right::Owner,
            2 => Right::Signatory { limit_minor: Some(10_000) },
            _ => Right::ReadOnly,
        };
        Some((partner, right))
    }

    pub(super) fn id(account: u32) -> AccountId {
        AccountId(BANKS_OWN + account)
    }

    /// The account of an id of the bank's.
    pub(super) fn account(id: AccountId) -> Option<u32> {
        id.0.checked_sub(BANKS_OWN)
    }

    /// Few accounts are kept in francs.
    pub(super) fn currency(&self, account: u32) -> Currency {
        if self.is_second(account) && account.is_multiple_of(8) { franc() } else { euro() }
    }

    pub(super) fn money(&self, account: u32, minor: i64) -> Money {
        Money { minor, currency: self.currency(account) }
    }

    fn user(customer: u32) -> UserId {
        UserId(customer + 1)
    }

    /// A text on a statement, sealed under the key of the customer whose payment it is.
    pub(super) fn text(&self, customer: u32, text: &str) -> Sealed {
        self.subjects[customer as usize - 1].seal(Field::Text, text)
    }

    /// A customer as the bank sees whoever acts for them, signed in again where the session is nearly over.
    pub(super) fn caller(&mut self, desk: &mut Desk, customer: u32) -> Result<Caller, Stopped> {
        let (user, now, place) = (Self::user(customer), desk.now(), customer as usize - 1);
        let session = match self.sessions[place] {
            Some(session) if session.expires_at > now => session,
            over => {
                if let Some(Session { token, .. }) = over {
                    desk.ask(Question::of_system(Body::Access(AccessCommand::SignOut { token })))?;
                }
                let fresh = Session { token: self.new_token(), expires_at: now.plus_ms(SESSION_MS) };
                let Session { token, expires_at } = fresh;
                desk.ask(Question::of_system(Body::Access(AccessCommand::SignIn {
                    user,
                    token,
                    expires_at,
                    from: None,
                })))?;
                self.sessions[place] = Some(fresh);
                fresh
            }
        };
        Ok(Caller { user, session: Some(session.token) })
    }

    /// Draws the hash that a token is kept as. Nobody bears the token.
    fn new_token(&mut self) -> TokenHash {
        let mut token = [0; 16];
        token[..8].copy_from_slice(&self.random.bits().to_le_bytes());
        token[8..].copy_from_slice(&self.random.bits().to_le_bytes());
        TokenHash(token)
    }

    // ---- How the bank is made ----

    /// Founds the bank, and gives it its customers, their users, accounts and first money.
    pub(super) fn furnish(&mut self, desk: &mut Desk) -> Result<(), Stopped> {
        let numbering = Numbering::new("AT", "99999")?;
        let (name, time_zone) = ("Year Bank".into(), Some("Europe/Vienna".to_owned()));
        desk.ask(Question::of_system(Body::System(SystemCommand::Found { name, numbering, time_zone })))?;
        for (currency, name) in [(euro(), "Cash in euros"), (franc(), "Cash in francs")] {
            let name = Some(desk.engine().seal_as_bank(Field::AccountName, name));
            let open = OpenAccount { kind: Kind::Asset, overdraft: Overdraft::Unlimited, cash: true, ..open(currency) };
            desk.ask(Question::of_system(Body::Accounts(AccountCommand::OpenAccount(OpenAccount { name, ..open }))))?;
        }
        let name = Some(desk.engine().seal_as_bank(Field::AccountName, "Fees"));
        desk.ask(Question::of_system(Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
            kind: Kind::Income,
            name,
            ..open(euro())
        }))))?;
        add_operator(desk)?;
        for customer in 1..=self.customers {
            self.add_customer(desk, customer)?;
        }
        for account in 0..self.accounts {
            self.open_account(desk, account)?;
        }
        for account in 0..self.accounts {
            self.endow(desk, account)?;
        }
        Ok(())
    }

    fn add_customer(&self, desk: &mut Desk, customer: u32) -> Result<(), Stopped> {
        let subject = &self.subjects[customer as usize - 1];
        let full_name = full_name(customer, Self::is_firm(customer));
        let name = subject.seal(Field::CustomerName, &full_name);
        let added = Question::of_system(Body::Access(AccessCommand::AddCustomer { name }));
        desk.ask(Question { subject: Some(Box::new(subject.clone())), ..added })?;
        let user_name = format!("customer-{customer}");
        desk.ask(Question::of_system(Body::Access(AccessCommand::AddUser {
            name_index: desk.engine().name_index(&user_name),
            name: subject.seal(Field::UserName, &user_name),
            // Nobody signs in with it: a hash for each would take longer than the year.
            password: subject.seal(Field::Password, ""),
            role: Role::Customer,
            customer: Some(CustomerId(customer)),
        })))
    }

    fn open_account(&self, desk: &mut Desk, account: u32) -> Result<(), Stopped> {
        let owner = self.owner(account);
        let called = if self.is_second(account) { "Savings" } else { "Current account" };
        let overdraft = match (self.is_private(account), drawn(account, 4) % 4) {
            (false, _) => FIRM_OVERDRAFT,
            (true, 0) => 100_000,
            (true, _) => 0,
        };
        desk.ask(Question::of_system(Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
            overdraft: Overdraft::Limited(overdraft),
            name: Some(self.subjects[owner as usize - 1].seal(Field::AccountName, called)),
            owner: Some(CustomerId(owner)),
            ..open(self.currency(account))
        }))))?;
        let Some((partner, right)) = self.partner(account) else { return Ok(()) };
        let grant =
            Body::Access(AccessCommand::Grant { customer: CustomerId(partner), account: Self::id(account), right });
        desk.ask(Question::of_system(grant))
    }

    /// The money that an account begins with, brought to the desk.
    fn endow(&mut self, desk: &mut Desk, account: u32) -> Result<(), Stopped> {
        let minor = if self.is_private(account) { 5_000 + self.random.amount(300_000) } else { 5_000_000 };
        let amount = self.money(account, minor);
        desk.ask(Question::of_system(Body::Payments(PaymentCommand::Deposit {
            account: Self::id(account),
            amount,
            text: None,
        })))
    }
}

fn add_operator(desk: &mut Desk) -> Result<(), Stopped> {
    let subject = NewSubject::generate();
    let user = Body::Access(AccessCommand::AddUser {
        name_index: desk.engine().name_index(OPERATOR_NAME),
        name: subject.seal(Field::UserName, OPERATOR_NAME),
        password: subject.seal(Field::Password, &password_hash(OPERATOR_PASSWORD)?),
        role: Role::Operator,
        customer: None,
    });
    desk.ask(Question { subject: Some(Box::new(subject)), ..Question::of_system(user) })
}

/// A password's hash as the server makes it; its parameters are written in it.
fn password_hash(password: &str) -> Result<String, Stopped> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| error.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes()).map_err(|error| error.to_string())?.to_string())
}

fn full_name(customer: u32, firm: bool) -> String {
    let last = LAST_NAMES[drawn(customer, 5) as usize % LAST_NAMES.len()];
    if firm {
        return format!("{last} & Co. No. {customer}");
    }
    let first = FIRST_NAMES[drawn(customer, 6) as usize % FIRST_NAMES.len()];
    format!("{first} {last}")
}

/// A number that an account or customer has drawn for some question, the same every time.
pub(super) fn drawn(number: u32, question: u64) -> u32 {
    let bits = Random::new(u64::from(number) | (question << 32)).bits() >> 32;
    u32::try_from(bits).expect("32 bits are left")
}

fn open(currency: Currency) -> OpenAccount {
    OpenAccount {
        number: None,
        currency,
        kind: Kind::Liability,
        overdraft: Overdraft::Limited(0),
        name: None,
        owner: None,
        cash: false,
        opened_at: None,
    }
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("the euro is a currency of ISO 4217")
}

fn franc() -> Currency {
    Currency::from_code("CHF").expect("the Swiss franc is a currency of ISO 4217")
}
