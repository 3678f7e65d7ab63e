//! Commands to the bank, and the facts that go with them.

use ledger::{
    AccountId, Currency, HoldId, Kind, Leg, Money, Overdraft, Posting, PostingId, Status, Timestamp, ValueDate,
};
use smallvec::SmallVec;

use crate::access::{AddressHash, NameIndex};
use crate::{CustomerId, Numbering, Purpose, Refusal, Request, Right, Role, Sealed, TokenHash, UserId};

/// A request to the bank. Personal fields are sealed and names resolved to ids before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The one who asks.
    pub caller: Caller,
    /// The idempotency key and the fingerprint of what was sent under it. Without one, nothing is remembered of a
    /// refusal, and a retry is another request.
    pub request: Option<Request>,
    /// The request itself.
    pub body: Body,
}

/// The one who asks: a user, and the session that proves it. Without a session it is Kassa itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The session, looked at again when the command is decided.
    pub session: Option<TokenHash>,
}

impl Caller {
    /// Kassa itself.
    pub const SYSTEM: Self = Self { user: UserId::SYSTEM, session: None };
}

/// Inputs that a pure function can't have by itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time, as the journal tells it: it never runs backwards.
    pub now: Timestamp,
    /// The past posting that the command names, looked up in the journal.
    pub past: Option<&'a PastPosting>,
    /// The event that was the first outcome of the command's idempotency key, looked up in the index of the past, if
    /// it is older than what the state remembers.
    pub earlier: Option<u64>,
}

/// A posting of any age, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPosting {
    /// Its id.
    pub id: PostingId,
    /// The posting.
    pub posting: Posting,
}

/// The most payments made all or none: a firm's payday, and a millisecond of the one thread that decides.
pub const MAX_PAYMENTS_AT_ONCE: usize = 1_000;

/// The request itself, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The bank itself, once, as its first event.
    Found {
        /// Its name.
        name: String,
        /// Scheme of its account numbers.
        numbering: Numbering,
    },
    /// A request that names something that does not exist, or the caller may not name: found out before the rest could
    /// be made a command. It is refused with that reason, so that it is remembered like any other refusal.
    Unresolved(Refusal),
    /// A new customer.
    AddCustomer {
        /// The customer's name, sealed under the customer's new key.
        name: Sealed,
    },
    /// A new user.
    AddUser {
        /// The blind index of the name to sign in with.
        name_index: NameIndex,
        /// The name to sign in with.
        name: Sealed,
        /// The password's hash, in the PHC string format.
        password: Sealed,
        /// Role of the user at the bank.
        role: Role,
        /// Customer for whom the user acts; with the role of a customer, and only then.
        customer: Option<CustomerId>,
    },
    /// Another password for a user, whose sessions end. Only Kassa itself may ask: whoever does holds the master key.
    SetPassword {
        /// The user.
        user: UserId,
        /// The password's hash, in the PHC string format.
        password: Sealed,
    },
    /// A session for a user whose password was right.
    SignIn {
        /// The user.
        user: UserId,
        /// The hash of the new token.
        token: TokenHash,
        /// Time of its expiry.
        expires_at: Timestamp,
        /// Address that the sign-in came from, where that is known.
        from: Option<AddressHash>,
    },
    /// The end of a session.
    SignOut {
        /// The hash of its token.
        token: TokenHash,
    },
    /// A wrong password.
    SignInFailed {
        /// The user who was named.
        user: UserId,
    },
    /// A new account.
    OpenAccount(OpenAccount),
    /// A right for a customer on an account, in place of the one there was.
    Grant {
        /// The customer.
        customer: CustomerId,
        /// The account.
        account: AccountId,
        /// The right.
        right: Right,
    },
    /// The end of a customer's right on an account.
    Revoke {
        /// The customer.
        customer: CustomerId,
        /// The account.
        account: AccountId,
    },
    /// Another name for an account.
    Rename {
        /// The account.
        account: AccountId,
        /// The name; none takes it away.
        name: Option<Sealed>,
    },
    /// Another status for an account.
    SetStatus {
        /// The account.
        account: AccountId,
        /// The status.
        status: Status,
    },
    /// Another overdraft for an account.
    SetOverdraft {
        /// The account.
        account: AccountId,
        /// The overdraft.
        overdraft: Overdraft,
    },
    /// A payment.
    Pay(Pay),
    /// Several payments, at most [`MAX_PAYMENTS_AT_ONCE`], each seeing what those before it do: all or none.
    PayAll(Vec<Pay>),
    /// Cash brought to the desk.
    Deposit {
        /// The account credited.
        account: AccountId,
        /// Amount paid in.
        amount: Money,
        /// The text on the statement.
        text: Option<Sealed>,
    },
    /// Cash taken from the desk.
    Withdraw {
        /// The account debited.
        account: AccountId,
        /// Amount paid out.
        amount: Money,
        /// The text on the statement.
        text: Option<Sealed>,
    },
    /// A booking of the bank's own, for a reason: between its own accounts, or between a customer's account and the
    /// bank's income or expenses.
    Book {
        /// Account debited, account credited, and amount.
        leg: Leg,
        /// The reason, which is the text on the statement.
        reason: Sealed,
    },
    /// Money reserved.
    PlaceHold {
        /// From whom, to whom, how much.
        leg: Leg,
        /// Time until which it is reserved.
        expires_at: Timestamp,
        /// The text on the statement.
        text: Option<Sealed>,
        /// The payer's own notes, which the payee doesn't see.
        metadata: Option<Sealed>,
    },
    /// More time for reserved money.
    Extend {
        /// The hold.
        hold: HoldId,
        /// New time until which it is reserved.
        expires_at: Timestamp,
    },
    /// Reserved money taken.
    Capture {
        /// The hold.
        hold: HoldId,
        /// Amount to capture.
        amount: Money,
        /// `true` if the rest is let go.
        last: bool,
    },
    /// Reserved money let go.
    Void {
        /// The hold.
        hold: HoldId,
    },
    /// Reserved money let go because its time is over.
    Expire {
        /// The hold.
        hold: HoldId,
    },
    /// A payment given back, in part or whole. The posting comes with the facts.
    Refund {
        /// The posting.
        of: PostingId,
        /// Index of the leg, from 0.
        leg: u32,
        /// Amount to refund.
        amount: Money,
        /// The text on the statement.
        text: Option<Sealed>,
    },
    /// A posting undone exactly. The posting comes with the facts.
    Reverse {
        /// The posting.
        of: PostingId,
        /// The text on the statement.
        text: Option<Sealed>,
    },
}

/// Properties of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAccount {
    /// Its number within the bank; the next free one where none is given.
    pub number: Option<u64>,
    /// Its currency.
    pub currency: Currency,
    /// Its side of the trial balance.
    pub kind: Kind,
    /// Limit of its available balance below zero.
    pub overdraft: Overdraft,
    /// Its name.
    pub name: Option<Sealed>,
    /// Customer who gets the right of an owner.
    pub owner: Option<CustomerId>,
    /// `true` if deposits and withdrawals at the desk in its currency are booked against it. One account per currency.
    pub cash: bool,
    /// Time of its opening in another system; none where it is opened now. Only Kassa itself may say.
    pub opened_at: Option<Timestamp>,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pay {
    /// The legs, taking effect in order, all or none.
    pub legs: SmallVec<[Leg; 1]>,
    /// Its purpose.
    pub purpose: Purpose,
    /// The text on the statement.
    pub text: Option<Sealed>,
    /// The payer's own notes, which the payee doesn't see.
    pub metadata: Option<Sealed>,
    /// Day from which it counts for interest; the day of booking where none is given.
    pub value_date: Option<ValueDate>,
    /// Time of its booking in another system; none where it is booked now. Only Kassa itself may say.
    pub booked_at: Option<Timestamp>,
}
