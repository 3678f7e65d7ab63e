//! Meanings: what a write asks for, and the form of it that its key stands for.
//!
//! Keys never expire, so the form is for ever. It is made of what is meant, not of how it was written: `1.0` and `1.00` are
//! one amount, and a default is the same whether it was sent or left out. It is CBOR: the version, the operation's number,
//! and a map of the fields that say something, by rising numbers. So a field that a later version adds changes nothing
//! for requests without it.
//!
//! * Numbers of operations and fields are never changed or used again. A new field takes the next number, and is left out
//!   where it is absent or says what its absence says. That default is the one of the version that brought the field.
//! * What can't be read as a value (an amount `abc`, whose refusal is remembered) is a text, where values are none.
//! * Nothing here looks at a table that grows, such as currencies, countries or the bank's own accounts.
//!
//! Version 0, JSON as the front had it until 0.1.0, is that front's ([`OlderForm`]).

use std::collections::BTreeMap;
use std::convert::Infallible;

use bank::{Right, Role};
use ledger::{Kind, Status, Timestamp, ValueDate};
use minicbor::data::Tag;
use minicbor::{Encoder, encode};
use smallvec::SmallVec;

/// The version of the form, its first byte. JSON and the names of methods never begin with it.
const VERSION: u8 = 1;

/// Room for an ordinary form, in bytes, so that it is not moved while it grows.
const ORDINARY_BYTES: usize = 256;

/// Makes the form in which versions before 0.2 remembered a request; none where they can't have known it.
pub type OlderForm = fn(&Meaning<'_>) -> Option<Vec<u8>>;

/// A write's meaning, its values as they were sent.
#[derive(Debug, Clone)]
pub enum Meaning<'a> {
    /// A payment.
    Pay {
        /// Its first movement.
        movement: Transfer<'a>,
        /// The others, in their order.
        more: Vec<Transfer<'a>>,
        /// Words that go with it.
        said: Said<'a>,
    },
    /// Cash brought to the desk.
    Deposit(Cash<'a>),
    /// Cash taken from the desk.
    Withdraw(Cash<'a>),
    /// A booking of the bank's own.
    Book {
        /// The movement.
        movement: Transfer<'a>,
        /// Reason for it.
        reason: &'a str,
    },
    /// A payment given back.
    Refund {
        /// The payment's id.
        payment: &'a str,
        /// Amount; all that is left where there is none.
        amount: Option<&'a str>,
        /// Currency of the amount.
        currency: Option<&'a str>,
        /// Number of the movement, from 0.
        movement: u32,
        /// The text on both statements.
        text: Option<&'a str>,
    },
    /// A payment undone.
    Reverse {
        /// The payment's id.
        payment: &'a str,
        /// The text on both statements.
        text: Option<&'a str>,
    },
    /// Money reserved.
    PlaceHold {
        /// The movement to come.
        movement: Transfer<'a>,
        /// Expiry.
        expires_at: Moment<'a>,
        /// Words that go with it.
        said: Said<'a>,
    },
    /// Reserved money taken.
    Capture {
        /// The hold's id.
        hold: &'a str,
        /// Amount; all that is left where there is none.
        amount: Option<&'a str>,
        /// Currency of the amount.
        currency: Option<&'a str>,
        /// `true` if the rest is let go.
        last: bool,
    },
    /// Reserved money let go.
    Void {
        /// The hold's id.
        hold: &'a str,
    },
    /// More time for a hold.
    ExtendHold {
        /// The hold's id.
        hold: &'a str,
        /// Expiry from now on.
        expires_at: Moment<'a>,
    },
    /// An account opened.
    OpenAccount(Opening<'a>),
    /// An account named.
    RenameAccount {
        /// The account's IBAN.
        account: &'a str,
        /// The name; none takes it away.
        name: Option<&'a str>,
    },
    /// An account's status set.
    SetStatus {
        /// The account's IBAN.
        account: &'a str,
        /// The status.
        status: Status,
    },
    /// An account's overdraft set.
    SetOverdraft {
        /// The account's IBAN.
        account: &'a str,
        /// An amount, or [`UNLIMITED`].
        overdraft: &'a str,
    },
    /// A right granted.
    Grant {
        /// The account's IBAN.
        account: &'a str,
        /// The customer's number.
        customer: &'a str,
        /// Kind of the right.
        right: RightKind,
        /// A signatory's limit.
        limit: Option<&'a str>,
    },
    /// A right taken away.
    Revoke {
        /// The account's IBAN.
        account: &'a str,
        /// The customer's number.
        customer: &'a str,
    },
    /// A customer added.
    AddCustomer {
        /// The name.
        name: &'a str,
    },
    /// A user added. The password takes no part, so that nothing is kept from which it could be guessed quickly.
    AddUser {
        /// The name to sign in with.
        name: &'a str,
        /// `true` if the password has a length that is allowed.
        password_fits: bool,
        /// Role.
        role: Role,
        /// The number of the customer for whom the user acts.
        customer: Option<u32>,
    },
    /// The bank's time zone set.
    SetTimeZone {
        /// Its first day, as it was sent.
        from: &'a str,
        /// The day as it was read; none where it is none.
        day: Option<ValueDate>,
        /// Name of the zone (IANA).
        time_zone: &'a str,
    },
    /// A payment of a batch.
    Line {
        /// The movement.
        movement: Transfer<'a>,
        /// Words that go with it.
        said: Said<'a>,
    },
    /// A line of a batch that could not be read, as it was sent.
    UnreadLine(&'a [u8]),
    /// A row of an import.
    Import(ImportRow<'a>),
}

/// A movement of money.
#[derive(Debug, Clone, Copy)]
pub struct Transfer<'a> {
    /// The IBAN of the account that pays.
    pub from: &'a str,
    /// The IBAN of the account that is paid.
    pub to: &'a str,
    /// Amount, a decimal number.
    pub amount: &'a str,
    /// Its currency (ISO 4217).
    pub currency: &'a str,
}

/// A payer's words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// The text on both statements.
    pub text: Option<&'a str>,
    /// The payer's own notes.
    pub metadata: Option<&'a BTreeMap<String, String>>,
    /// The payer's own id of a payment.
    pub end_to_end_id: Option<&'a str>,
}

/// Cash brought or taken.
#[derive(Debug, Clone, Copy)]
pub struct Cash<'a> {
    /// The account's IBAN.
    pub account: &'a str,
    /// Amount, a decimal number.
    pub amount: &'a str,
    /// Its currency (ISO 4217).
    pub currency: &'a str,
    /// The text on the statement.
    pub text: Option<&'a str>,
}

/// A moment as it was sent, and as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// As it was sent.
    pub text: &'a str,
    /// As it was read; none where it is none.
    pub at: Option<Timestamp>,
}

/// An account to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The currency (ISO 4217).
    pub currency: &'a str,
    /// Kind; a liability where there is none.
    pub kind: Option<Kind>,
    /// Name.
    pub name: Option<&'a str>,
    /// The number of the customer who owns it.
    pub owner: Option<u32>,
    /// An amount, or [`UNLIMITED`]; what its kind and its owner ask for where there is none.
    pub overdraft: Option<&'a str>,
    /// Its number within the bank; the next where there is none.
    pub number: Option<u64>,
    /// `true` if cash is booked against it.
    pub cash: Option<bool>,
}

/// Kind of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightKind {
    /// To see an account and to move its money.
    Owner,
    /// The same, up to a limit.
    Signatory,
    /// To see it.
    ReadOnly,
}

/// A row of an import, or something else that one asks for under a key. Numbers are the bank's own.
#[derive(Debug, Clone, Copy)]
pub enum ImportRow<'a> {
    /// A customer.
    Customer {
        /// The name.
        name: &'a str,
    },
    /// An account.
    Account {
        /// Its number within the bank.
        number: u64,
        /// Day of its opening.
        opened: ValueDate,
        /// Name.
        name: Option<&'a str>,
    },
    /// A right.
    Right {
        /// The customer's number.
        customer: u32,
        /// The account's id.
        account: u32,
        /// The right.
        right: Right,
    },
    /// An account of the bank's own.
    Contra {
        /// Its kind.
        kind: Kind,
    },
    /// A posting.
    Posting {
        /// The movement.
        moved: Moved,
        /// The text on the statement.
        text: Option<&'a str>,
        /// Rest that did not fit into the text.
        text_rest: &'a [Box<str>],
        /// The payer's own id.
        end_to_end_id: Option<&'a str>,
    },
    /// The balance that an account begins with.
    OpeningBalance(Moved),
    /// An overdraft.
    Overdraft {
        /// `true` if the account has it only because it ends below zero.
        is_owed: bool,
    },
    /// A user.
    User {
        /// The key of the customer for whom the user acts.
        customer_key: &'a str,
    },
}

/// A movement of an import.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// The id of the account debited.
    pub debit: u32,
    /// The id of the account credited.
    pub credit: u32,
    /// Amount, in minor units.
    pub minor: u64,
    /// The source's day.
    pub day: ValueDate,
}

/// Written form of an overdraft without end.
pub const UNLIMITED: &str = "unlimited";

/// Numbers of the fields. The next free one is 36.
mod field {
    pub(super) const FROM: u8 = 1;
    pub(super) const TO: u8 = 2;
    pub(super) const AMOUNT: u8 = 3;
    pub(super) const CURRENCY: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    pub(super) const METADATA: u8 = 6;
    pub(super) const END_TO_END_ID: u8 = 7;
    pub(super) const MORE: u8 = 8;
    pub(super) const ACCOUNT: u8 = 9;
    pub(super) const PAYMENT: u8 = 10;
    pub(super) const MOVEMENT: u8 = 11;
    pub(super) const HOLD: u8 = 12;
    pub(super) const EXPIRES_AT: u8 = 13;
    pub(super) const LAST: u8 = 14;
    pub(super) const KIND: u8 = 15;
    pub(super) const NAME: u8 = 16;
    pub(super) const OWNER: u8 = 17;
    pub(super) const OVERDRAFT: u8 = 18;
    pub(super) const NUMBER: u8 = 19;
    pub(super) const CASH: u8 = 20;
    pub(super) const STATUS: u8 = 21;
    pub(super) const CUSTOMER: u8 = 22;
    pub(super) const RIGHT: u8 = 23;
    pub(super) const LIMIT: u8 = 24;
    pub(super) const PASSWORD_FITS: u8 = 25;
    pub(super) const ROLE: u8 = 26;
    pub(super) const OPENED: u8 = 27;
    pub(super) const DEBIT: u8 = 28;
    pub(super) const CREDIT: u8 = 29;
    pub(super) const MINOR: u8 = 30;
    pub(super) const DAY: u8 = 31;
    pub(super) const TEXT_REST: u8 = 32;
    pub(super) const IS_OWED: u8 = 33;
    pub(super) const SENT: u8 = 34;
    pub(super) const TIME_ZONE: u8 = 35;
}

/// The number of payments all or none, which are written line by line. The next free one is 31.
const PAY_ALL: u8 = 21;

impl Meaning<'_> {
    /// Returns the form that its key stands for.
    #[must_use]
    pub fn form(&self) -> Vec<u8> {
        let mut form = Form::new();
        self.write(&mut form);
        form.bytes()
    }

    /// Number of what is to be done.
    fn operation(&self) -> u8 {
        match self {
            Self::Pay { .. } => 1,
            Self::Deposit(_) => 2,
            Self::Withdraw(_) => 3,
            Self::Book { .. } => 4,
            Self::Refund { .. } => 5,
            Self::Reverse { .. } => 6,
            Self::PlaceHold { .. } => 7,
            Self::Capture { .. } => 8,
            Self::Void { .. } => 9,
            Self::ExtendHold { .. } => 10,
            Self::OpenAccount(_) => 11,
            Self::RenameAccount { .. } => 12,
            Self::SetStatus { .. } => 13,
            Self::SetOverdraft { .. } => 14,
            Self::Grant { .. } => 15,
            Self::Revoke { .. } => 16,
            Self::AddCustomer { .. } => 17,
            Self::AddUser { .. } => 18,
            Self::Line { .. } => 19,
            Self::UnreadLine(_) => 20,
            Self::Import(ImportRow::Customer { .. }) => 22,
            Self::Import(ImportRow::Account { .. }) => 23,
            Self::Import(ImportRow::Right { .. }) => 24,
            Self::Import(ImportRow::Contra { .. }) => 25,
            Self::Import(ImportRow::Posting { .. }) => 26,
            Self::Import(ImportRow::OpeningBalance(_)) => 27,
            Self::Import(ImportRow::Overdraft { .. }) => 28,
            Self::Import(ImportRow::User { .. }) => 29,
            Self::SetTimeZone { .. } => 30,
        }
    }

    /// Writes its number and its fields, these by their numbers.
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn write(&self, form: &mut Form) {
        form.begin(self.operation());
        match self {
            Self::Pay { movement, more, said } => form.transfer(movement).said(said).more(more),
            Self::Deposit(cash) | Self::Withdraw(cash) => {
                form.sum(Some(cash.amount), Some(cash.currency)).text(field::TEXT, cash.text);
                form.iban(field::ACCOUNT, cash.account);
            }
            Self::Book { movement, reason } => {
                form.transfer(movement).text(field::TEXT, Some(reason));
            }
            Self::Refund { payment, amount, currency, movement, text } => {
                form.sum(*amount, *currency).text(field::TEXT, *text).plain(field::PAYMENT, Some(payment));
                form.number(field::MOVEMENT, Some(*movement).filter(|movement| *movement > 0));
            }
            Self::Reverse { payment, text } => {
                form.text(field::TEXT, *text).plain(field::PAYMENT, Some(payment));
            }
            Self::PlaceHold { movement, expires_at, said } => {
                form.transfer(movement).said(said).moment(expires_at);
            }
            Self::Capture { hold, amount, currency, last } => {
                form.sum(*amount, *currency).plain(field::HOLD, Some(hold)).flag(field::LAST, *last);
            }
            Self::Void { hold } => {
                form.plain(field::HOLD, Some(hold));
            }
            Self::ExtendHold { hold, expires_at } => {
                form.plain(field::HOLD, Some(hold)).moment(expires_at);
            }
            Self::OpenAccount(opening) => form.opening(opening),
            Self::RenameAccount { account, name } => {
                form.iban(field::ACCOUNT, account).text(field::NAME, *name);
            }
            Self::SetStatus { account, status } => {
                form.iban(field::ACCOUNT, account).number(field::STATUS, Some(status_number(*status)));
            }
            Self::SetOverdraft { account, overdraft } => {
                form.iban(field::ACCOUNT, account).overdraft(overdraft);
            }
            Self::Grant { account, customer, right, limit } => {
                form.iban(field::ACCOUNT, account).digits(field::CUSTOMER, customer);
                form.number(field::RIGHT, Some(right_number(*right))).decimal(field::LIMIT, *limit);
            }
            Self::Revoke { account, customer } => {
                form.iban(field::ACCOUNT, account).digits(field::CUSTOMER, customer);
            }
            Self::AddCustomer { name } => {
                form.text(field::NAME, Some(name));
            }
            Self::AddUser { name, password_fits, role, customer } => {
                form.text(field::NAME, Some(name)).number(field::CUSTOMER, *customer);
                form.value(field::PASSWORD_FITS, (!password_fits).then_some(false), |fits, out| out.bool(fits)?.ok());
                form.number(field::ROLE, Some(role_number(*role)));
            }
            Self::SetTimeZone { from, day, time_zone } => {
                match day {
                    Some(day) => form.day(field::DAY, *day),
                    None => form.plain(field::DAY, Some(from)),
                };
                // Capital and small letters are the same in its name.
                form.plain(field::TIME_ZONE, Some(&time_zone.to_ascii_lowercase()));
            }
            Self::Line { movement, said } => {
                form.transfer(movement).said(said);
            }
            Self::UnreadLine(sent) => {
                form.value(field::SENT, Some(*sent), |sent, out| out.bytes(sent)?.ok());
            }
            Self::Import(row) => form.import(row),
        }
        form.end();
    }
}

/// Form of payments all or none, which grows line by line.
pub(crate) struct AllForm(Form);

impl AllForm {
    pub(crate) fn new() -> Self {
        let mut form = Form::new();
        form.out.u8(PAY_ALL).and_then(Encoder::begin_array).expect(MEMORY);
        Self(form)
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, line: &Meaning<'_>) {
        line.write(&mut self.0);
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.end();
        self.0.bytes()
    }
}

/// A form being written.
struct Form {
    out: Encoder<Vec<u8>>,
}

type Written = Result<(), encode::Error<Infallible>>;

const MEMORY: &str = "memory takes what is written";

impl Form {
    fn new() -> Self {
        let mut out = Encoder::new(Vec::with_capacity(ORDINARY_BYTES));
        out.u8(VERSION).expect(MEMORY);
        Self { out }
    }

    fn bytes(self) -> Vec<u8> {
        self.out.into_writer()
    }

    fn begin(&mut self, operation: u8) {
        self.out.u8(operation).and_then(Encoder::begin_map).expect(MEMORY);
    }

    fn end(&mut self) {
        self.out.end().expect(MEMORY);
    }

    /// Writes a field, if there is one.
    fn value<T>(
        &mut self,
        field: u8,
        value: Option<T>,
        write: impl FnOnce(T, &mut Encoder<Vec<u8>>) -> Written,
    ) -> &mut Self {
        if let Some(value) = value {
            self.out.u8(field).expect(MEMORY);
            write(value, &mut self.out).expect(MEMORY);
        }
        self
    }

    // ---- Values ----

    /// A text that must be just so, such as an id.
    fn plain(&mut self, field: u8, text: Option<&str>) -> &mut Self {
        self.value(field, text, |text, out| out.str(text)?.ok())
    }

    /// A text that people write, in which the spaces around it say nothing.
    fn text(&mut self, field: u8, text: Option<&str>) -> &mut Self {
        self.plain(field, text.map(|text| text.trim_matches(' ')))
    }

    fn number(&mut self, field: u8, number: Option<impl Into<u64>>) -> &mut Self {
        self.value(field, number, |number, out| out.u64(number.into())?.ok())
    }

    fn flag(&mut self, field: u8, flag: bool) -> &mut Self {
        self.value(field, Some(flag).filter(|flag| *flag), |flag, out| out.bool(flag)?.ok())
    }

    fn day(&mut self, field: u8, day: ValueDate) -> &mut Self {
        self.value(field, Some(day), |day, out| out.i32(day.0)?.ok())
    }

    /// A number of digits alone; a text where it is none.
    fn digits(&mut self, field: u8, text: &str) -> &mut Self {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u32>().ok().filter(|_| is_number) {
            Some(number) => self.number(field, Some(number)),
            None => self.plain(field, Some(text)),
        }
    }

    /// A decimal number; a text where it is none.
    fn decimal(&mut self, field: u8, text: Option<&str>) -> &mut Self {
        let Some(text) = text else { return self };
        match decimal(text) {
            Some(number) => self.value(field, Some(number), |(mantissa, exponent), out| {
                out.tag(DECIMAL_FRACTION)?.array(2)?.i8(exponent)?.i64(mantissa)?.ok()
            }),
            None => self.plain(field, Some(text)),
        }
    }

    /// The letters and digits of an account number; a text where there is anything else.
    fn iban(&mut self, field: u8, text: &str) -> &mut Self {
        match compact(text) {
            Some(iban) => self.value(field, Some(iban), |iban, out| out.bytes(&iban)?.ok()),
            None => self.plain(field, Some(text)),
        }
    }

    fn moment(&mut self, moment: &Moment<'_>) -> &mut Self {
        match moment.at {
            Some(at) => self.value(field::EXPIRES_AT, Some(at), |at, out| out.i64(at.0)?.ok()),
            None => self.plain(field::EXPIRES_AT, Some(moment.text)),
        }
    }

    fn overdraft(&mut self, text: &str) -> &mut Self {
        if text == UNLIMITED { self.flag(field::OVERDRAFT, true) } else { self.decimal(field::OVERDRAFT, Some(text)) }
    }

    // ---- Groups of fields ----

    fn sum(&mut self, amount: Option<&str>, currency: Option<&str>) -> &mut Self {
        self.decimal(field::AMOUNT, amount).plain(field::CURRENCY, currency)
    }

    fn transfer(&mut self, Transfer { from, to, amount, currency }: &Transfer<'_>) -> &mut Self {
        self.iban(field::FROM, from).iban(field::TO, to).sum(Some(amount), Some(currency))
    }

    fn said(&mut self, Said { text, metadata, end_to_end_id }: &Said<'_>) -> &mut Self {
        let pairs = metadata.filter(|pairs| !pairs.is_empty());
        self.text(field::TEXT, *text);
        self.value(field::METADATA, pairs, |pairs, out| {
            out.map(pairs.len() as u64)?;
            pairs.iter().try_for_each(|(key, value)| out.str(key)?.str(value)?.ok())
        });
        self.text(field::END_TO_END_ID, *end_to_end_id)
    }

    fn more(&mut self, more: &[Transfer<'_>]) {
        if more.is_empty() {
            return;
        }
        self.out.u8(field::MORE).and_then(|out| out.array(more.len() as u64)).expect(MEMORY);
        for movement in more {
            self.out.begin_map().expect(MEMORY);
            self.transfer(movement).end();
        }
    }

    /// An account's terms, without those that are what they would be anyway.
    fn opening(&mut self, opening: &Opening<'_>) {
        let Opening { currency, kind, name, owner, overdraft, number, cash } = *opening;
        let kind = kind.unwrap_or(Kind::Liability);
        let is_without_end = matches!(kind, Kind::Asset | Kind::Expense) && owner.is_none();
        let is_ordinary = |text: &&str| if is_without_end { *text == UNLIMITED } else { decimal(text) == Some((0, 0)) };
        self.plain(field::CURRENCY, Some(currency));
        self.number(field::KIND, Some(kind).filter(|kind| *kind != Kind::Liability).map(kind_number));
        self.text(field::NAME, name).number(field::OWNER, owner);
        if let Some(overdraft) = overdraft.filter(|text| !is_ordinary(text)) {
            self.overdraft(overdraft);
        }
        self.number(field::NUMBER, number).flag(field::CASH, cash == Some(true));
    }

    fn import(&mut self, row: &ImportRow<'_>) {
        match row {
            ImportRow::Customer { name } => {
                self.text(field::NAME, Some(name));
            }
            ImportRow::Account { number, opened, name } => {
                self.text(field::NAME, *name).number(field::NUMBER, Some(*number)).day(field::OPENED, *opened);
            }
            ImportRow::Right { customer, account, right } => {
                let (kind, limit_minor) = match right {
                    Right::Owner => (RightKind::Owner, None),
                    Right::Signatory { limit_minor } => (RightKind::Signatory, *limit_minor),
                    Right::ReadOnly => (RightKind::ReadOnly, None),
                };
                self.number(field::ACCOUNT, Some(*account)).number(field::CUSTOMER, Some(*customer));
                self.number(field::RIGHT, Some(right_number(kind)));
                self.value(field::MINOR, limit_minor, |minor, out| out.i64(minor)?.ok());
            }
            ImportRow::Contra { kind } => {
                self.number(field::KIND, Some(kind_number(*kind)));
            }
            ImportRow::Posting { moved, text, text_rest, end_to_end_id } => {
                self.text(field::TEXT, *text).text(field::END_TO_END_ID, *end_to_end_id).moved(moved);
                self.value(field::TEXT_REST, Some(text_rest).filter(|rest| !rest.is_empty()), |rest, out| {
                    out.array(rest.len() as u64)?;
                    rest.iter().try_for_each(|part| out.str(part)?.ok())
                });
            }
            ImportRow::OpeningBalance(moved) => self.moved(moved),
            ImportRow::Overdraft { is_owed } => {
                self.flag(field::IS_OWED, *is_owed);
            }
            ImportRow::User { customer_key } => {
                self.plain(field::CUSTOMER, Some(customer_key));
            }
        }
    }

    fn moved(&mut self, Moved { debit, credit, minor, day }: &Moved) {
        self.number(field::DEBIT, Some(*debit)).number(field::CREDIT, Some(*credit));
        self.number(field::MINOR, Some(*minor)).day(field::DAY, *day);
    }
}

/// CBOR's mark of a decimal number: an exponent of ten, and what it multiplies (RFC 8949, section 3.4.4).
const DECIMAL_FRACTION: Tag = Tag::new(4);

/// The longest text that is looked at as a number.
const MAX_DECIMAL: usize = 32;

/// The longest IBAN (ISO 13616).
const MAX_IBAN: usize = 34;

/// Reads a decimal number: the digits without zeros at the end of the fraction, and the exponent of ten that puts the
/// point back. As many decimals as are written are taken: which ones a currency has may change.
fn decimal(text: &str) -> Option<(i64, i8)> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || text.len() > MAX_DECIMAL || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut mantissa: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        mantissa = mantissa.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    let mantissa = if is_negative { mantissa } else { mantissa.checked_neg()? };
    Some((mantissa, -i8::try_from(fraction.len()).ok()?))
}

/// An account number in capital letters without the spaces and hyphens that people group it by: one between two characters, or
/// at the end, as the bank takes it.
fn compact(text: &str) -> Option<SmallVec<[u8; MAX_IBAN]>> {
    let mut iban = SmallVec::<[u8; MAX_IBAN]>::new();
    let is_apart = |byte: u8| matches!(byte, b' ' | b'-');
    let bytes = text.as_bytes();
    if bytes.first().is_none_or(|first| is_apart(*first))
        || bytes.windows(2).any(|pair| pair.iter().all(|byte| is_apart(*byte)))
    {
        return None;
    }
    for byte in text.bytes().filter(|byte| !is_apart(*byte)) {
        if !byte.is_ascii_alphanumeric() || iban.len() == MAX_IBAN {
            return None;
        }
        iban.push(byte.to_ascii_uppercase());
    }
    Some(iban)
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Asset => 0,
        Kind::Liability => 1,
        Kind::Income => 2,
        Kind::Expense => 3,
        Kind::Equity => 4,
    }
}

fn status_number(status: Status) -> u8 {
    match status {
        Status::Open => 0,
        Status::FrozenForDebits => 1,
        Status::Frozen => 2,
        Status::Closed => 3,
    }
}

fn right_number(right: RightKind) -> u8 {
    match right {
        RightKind::Owner => 0,
        RightKind::Signatory => 1,
        RightKind::ReadOnly => 2,
    }
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Customer => 0,
        Role::Operator => 1,
        Role::Auditor => 2,
    }
}
