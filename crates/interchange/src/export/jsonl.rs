//! Every event as a JSON object on a line of its own: its number, when it happened, the number of the user who asked for
//! it (0 is Kassa itself), its type, what the type tells, and the idempotency key as it is kept, a keyed hash.
//!
//! Values that guard a secret never leave: neither the hashes of passwords and of session tokens, nor the blind indexes
//! by which users are found.

use std::fmt::Write as _;
use std::io::Write;

use bank::{
    AccessEvent, AccountEvent, Category, HoldEvent, OwnCheck, PaymentEvent, Right, Role, Said, Sealed, State,
    SystemEvent, What,
};
use engine::{Field, Recorded};
use ledger::{AccountId, Cause, Currency, Entry, Money, Overdraft, Posting, ReleaseReason, Status};
use serde::Serialize;

use super::holds::{Acted, Holds};
use super::{Ended, Form, Personal, day, decimal, iban, kind_and_currency, kind_name, moment, purpose_name};

pub(super) struct Jsonl<'a> {
    out: &'a mut dyn Write,
    personal: &'a Personal,
    holds: Holds,
}

#[derive(Serialize)]
struct Line<'a> {
    event: u64,
    at: String,
    by: u32,
    #[serde(flatten)]
    told: Told<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// A personal field: not there where personal fields are left out, null where the person has been erased.
type Opened = Option<Option<String>>;

/// Content told of an event: each [`What`] under its name, in the words of the REST interface.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Told<'a> {
    Founded {
        name: &'a str,
        country: &'a str,
        bank_code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        time_zone: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        account_digits: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        own_numbers: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        modulus_check: Option<bool>,
    },
    TimeZoneSet {
        from: String,
        time_zone: &'a str,
    },
    LeaderStarted {
        version: &'a str,
    },
    CustomerAdded {
        id: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Opened,
    },
    UserAdded {
        id: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Opened,
        role: &'static str,
        customer: Option<u32>,
    },
    PasswordSet {
        user: u32,
    },
    KeyDestroyed {
        /// Text, because it may be larger than the numbers that all programs read.
        subject: String,
        category: Option<&'static str>,
    },
    SessionOpened {
        user: u32,
        expires_at: String,
    },
    SessionClosed {},
    SignInFailed {
        user: u32,
    },
    AccountOpened {
        iban: String,
        currency: &'static str,
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Opened,
        overdraft: String,
        opened_at: String,
        owner: Option<u32>,
        cash: bool,
    },
    RightGranted {
        iban: String,
        customer: u32,
        right: &'static str,
        limit: Option<String>,
    },
    RightRevoked {
        iban: String,
        customer: u32,
    },
    StatusSet {
        iban: String,
        status: &'static str,
    },
    OverdraftSet {
        iban: String,
        overdraft: String,
    },
    Posted {
        purpose: &'static str,
        booked_at: String,
        value_date: String,
        legs: Vec<Leg>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<Causes>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Opened,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Opened,
        #[serde(skip_serializing_if = "Option::is_none")]
        end_to_end_id: Opened,
    },
    PaidAll {
        payments: u32,
    },
    HoldPlaced {
        #[serde(flatten)]
        movement: Movement,
        expires_at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Opened,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Opened,
    },
    HoldExtended {
        hold: u64,
        expires_at: String,
    },
    HoldReleased {
        hold: u64,
        reason: &'static str,
        #[serde(flatten)]
        ended: Option<Ending>,
    },
    AccountRenamed {
        iban: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Opened,
    },
    Refused {
        refusal: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<u32>,
        #[serde(flatten)]
        amount: Option<Amount>,
    },
}

#[derive(Serialize)]
struct Amount {
    amount: String,
    currency: &'static str,
}

/// Money that goes, or is to go, from the debited account to the credited.
#[derive(Serialize)]
struct Movement {
    from: String,
    to: String,
    #[serde(flatten)]
    amount: Amount,
}

#[derive(Serialize)]
struct Leg {
    #[serde(flatten)]
    movement: Movement,
    from_entry: EntryOfLeg,
    to_entry: EntryOfLeg,
}

/// Effect of a leg on one of its accounts.
#[derive(Serialize)]
struct EntryOfLeg {
    number: u64,
    balance: String,
}

/// End of a hold that was let go.
#[derive(Serialize)]
struct Ending {
    captured: String,
    released: String,
    currency: &'static str,
}

impl Ending {
    fn of(acted: &Acted) -> Self {
        let Acted { captured, released, .. } = acted;
        Self { captured: captured.to_string(), released: released.to_string(), currency: captured.currency.code() }
    }
}

/// The event for which a posting was made.
#[derive(Serialize)]
#[serde(untagged)]
enum Causes {
    Capture { capture_of: u64, last: bool, hold_state: Option<&'static str> },
    Refund { refund_of: u64, leg: u32 },
    Reversal { reversal_of: u64 },
}

impl<'a> Jsonl<'a> {
    pub(super) fn begin(out: &'a mut dyn Write, personal: &'a Personal) -> Self {
        Self { out, personal, holds: Holds::default() }
    }

    fn tell<'b>(&self, state: &State, what: &'b What, acted: Option<&Acted>) -> Result<Told<'b>, Ended> {
        let open = |field, sealed: Option<&Sealed>| self.personal.open(field, sealed);
        Ok(match what {
            What::System(SystemEvent::Founded { name, country, bank_code, scheme: _, time_zone, digits, modulus }) => {
                let own = state.founding().and_then(|founding| founding.numbering.own_check());
                Told::Founded {
                    name,
                    country,
                    bank_code,
                    time_zone: time_zone.as_deref(),
                    account_digits: *digits,
                    own_numbers: own.map(OwnCheck::name),
                    modulus_check: modulus.as_ref().map(|_| true),
                }
            }
            What::System(SystemEvent::TimeZoneSet { from, time_zone }) => {
                Told::TimeZoneSet { from: day(*from), time_zone }
            }
            What::System(SystemEvent::LeaderStarted { version }) => Told::LeaderStarted { version },
            What::Access(AccessEvent::CustomerAdded { id, name }) => {
                Told::CustomerAdded { id: id.0, name: open(Field::CustomerName, Some(name))? }
            }
            What::Access(AccessEvent::UserAdded { id, name_index: _, name, password: _, role, customer }) => {
                Told::UserAdded {
                    id: id.0,
                    name: open(Field::UserName, Some(name))?,
                    role: role_name(*role),
                    customer: customer.map(|customer| customer.0),
                }
            }
            What::Access(AccessEvent::PasswordSet { user, password: _ }) => Told::PasswordSet { user: user.0 },
            What::Access(AccessEvent::KeyDestroyed { subject, category }) => {
                Told::KeyDestroyed { subject: subject.0.to_string(), category: category.map(category_name) }
            }
            What::Access(AccessEvent::SessionOpened { user, token: _, expires_at, from: _ }) => {
                Told::SessionOpened { user: user.0, expires_at: moment(*expires_at) }
            }
            What::Access(AccessEvent::SessionClosed { token: _ }) => Told::SessionClosed {},
            What::Access(AccessEvent::SignInFailed { user }) => Told::SignInFailed { user: user.0 },
            What::Accounts(AccountEvent::AccountOpened {
                id,
                number: _,
                currency,
                kind,
                overdraft,
                opened_at,
                name,
                owner,
                cash,
            }) => Told::AccountOpened {
                iban: iban(state, *id)?,
                currency: currency.code(),
                kind: kind_name(*kind),
                name: open(Field::AccountName, name.as_ref())?,
                overdraft: overdraft_text(*overdraft, *currency),
                opened_at: moment(*opened_at),
                owner: owner.map(|owner| owner.0),
                cash: *cash,
            },
            What::Access(AccessEvent::RightGranted { customer, account, right }) => {
                let (_, currency) = kind_and_currency(state, *account)?;
                let (right, limit_minor) = match right {
                    Right::Owner => ("owner", None),
                    Right::Signatory { limit_minor } => ("signatory", *limit_minor),
                    Right::ReadOnly => ("read-only", None),
                };
                let limit = limit_minor.map(|minor| Money { minor, currency }.to_string());
                Told::RightGranted { iban: iban(state, *account)?, customer: customer.0, right, limit }
            }
            What::Access(AccessEvent::RightRevoked { customer, account }) => {
                Told::RightRevoked { iban: iban(state, *account)?, customer: customer.0 }
            }
            What::Accounts(AccountEvent::StatusSet { account, status }) => {
                Told::StatusSet { iban: iban(state, *account)?, status: status_name(*status) }
            }
            What::Accounts(AccountEvent::OverdraftSet { account, overdraft }) => {
                let (_, currency) = kind_and_currency(state, *account)?;
                Told::OverdraftSet { iban: iban(state, *account)?, overdraft: overdraft_text(*overdraft, currency) }
            }
            What::Payments(event) => self.payment(state, event, acted)?,
            What::Holds(HoldEvent::HoldPlaced { hold, text, metadata, copies }) => {
                let said = Said { text: text.clone(), end_to_end_id: None, copies: copies.clone() };
                Told::HoldPlaced {
                    movement: movement(state, hold.debit, hold.credit, hold.amount)?,
                    expires_at: moment(hold.expires_at),
                    text: self.personal.said(&said, &[])?.map(|spoken| spoken.text),
                    metadata: open(Field::Metadata, metadata.as_ref())?,
                }
            }
            What::Holds(HoldEvent::HoldExtended { hold, expires_at }) => {
                Told::HoldExtended { hold: hold.event(), expires_at: moment(*expires_at) }
            }
            What::Accounts(AccountEvent::AccountRenamed { account, name }) => {
                Told::AccountRenamed { iban: iban(state, *account)?, name: open(Field::AccountName, name.as_ref())? }
            }
            What::Holds(HoldEvent::HoldReleased { hold, reason, released_minor: _ }) => {
                let reason = match reason {
                    ReleaseReason::Voided => "voided",
                    ReleaseReason::Expired => "expired",
                };
                Told::HoldReleased { hold: hold.event(), reason, ended: acted.map(Ending::of) }
            }
            What::System(SystemEvent::Refused { refusal, place }) => {
                Told::Refused { refusal: refusal.slug(), place: *place, amount: refusal.amount().map(amount) }
            }
        })
    }
}

impl Jsonl<'_> {
    fn payment(&self, state: &State, event: &PaymentEvent, acted: Option<&Acted>) -> Result<Told<'static>, Ended> {
        Ok(match event {
            // What it says of the rest of a hold is told by the hold's state.
            PaymentEvent::Posted { posting, purpose, text, metadata, end_to_end_id, copies, released_minor: _ } => {
                let (text, end_to_end_id) = (text.as_deref().cloned(), end_to_end_id.as_deref().cloned());
                let said = Said { text, end_to_end_id, copies: copies.clone() };
                let (text, end_to_end_id) =
                    self.personal.said(&said, &[])?.map(|spoken| (spoken.text, spoken.end_to_end_id)).unzip();
                Told::Posted {
                    purpose: purpose_name(*purpose),
                    booked_at: moment(posting.booked_at()),
                    value_date: day(posting.value_date()),
                    legs: legs(state, posting)?,
                    cause: cause(posting.cause(), acted),
                    text,
                    metadata: self.personal.open(Field::Metadata, metadata.as_deref())?,
                    end_to_end_id,
                }
            }
            PaymentEvent::PaidAll { payments } => Told::PaidAll { payments: *payments },
        })
    }
}

impl Form for Jsonl<'_> {
    fn event(&mut self, state: &State, recorded: &Recorded) -> Result<(), Ended> {
        let acted = self.holds.follow(state, recorded);
        let event = &recorded.event;
        let line = Line {
            event: recorded.number,
            at: moment(recorded.at),
            by: event.by.0,
            told: self.tell(state, &event.what, acted.as_ref())?,
            key: event.request.map(|request| hex(&request.key)),
        };
        serde_json::to_writer(&mut *self.out, &line).map_err(std::io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn end(&mut self) -> Result<(), Ended> {
        Ok(self.out.flush()?)
    }
}

fn legs(state: &State, posting: &Posting) -> Result<Vec<Leg>, Ended> {
    let legs = posting.legs().iter().map(|booked| {
        let ledger::Leg { debit, credit, amount } = booked.leg;
        Ok(Leg {
            movement: movement(state, debit, credit, amount)?,
            from_entry: entry(state, debit, booked.debit)?,
            to_entry: entry(state, credit, booked.credit)?,
        })
    });
    legs.collect()
}

fn movement(state: &State, debit: AccountId, credit: AccountId, money: Money) -> Result<Movement, Ended> {
    Ok(Movement { from: iban(state, debit)?, to: iban(state, credit)?, amount: amount(money) })
}

fn amount(money: Money) -> Amount {
    Amount { amount: money.to_string(), currency: money.currency.code() }
}

/// The balance is shown as on a statement: credits less debits.
fn entry(state: &State, account: AccountId, entry: Entry) -> Result<EntryOfLeg, Ended> {
    let (_, currency) = kind_and_currency(state, account)?;
    Ok(EntryOfLeg { number: entry.ordinal, balance: decimal(i128::from(entry.balance_minor), currency) })
}

fn cause(cause: Cause, acted: Option<&Acted>) -> Option<Causes> {
    match cause {
        Cause::Order => None,
        Cause::Capture { hold, last } => {
            let hold_state = acted.map(|acted| acted.state);
            Some(Causes::Capture { capture_of: hold.event(), last, hold_state })
        }
        Cause::Refund { of, leg } => Some(Causes::Refund { refund_of: of.event(), leg }),
        Cause::Reversal { of } => Some(Causes::Reversal { reversal_of: of.event() }),
    }
}

fn overdraft_text(overdraft: Overdraft, currency: Currency) -> String {
    match overdraft {
        Overdraft::Unlimited => "unlimited".to_owned(),
        Overdraft::Limited(limit) => decimal(i128::from(limit), currency),
    }
}

fn category_name(category: Category) -> &'static str {
    match category {
        Category::Identity => "identity",
        Category::Contact => "contact",
        Category::Texts => "texts",
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Operator => "operator",
        Role::Auditor => "auditor",
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::FrozenForDebits => "frozen-for-debits",
        Status::Frozen => "frozen",
        Status::Closed => "closed",
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
