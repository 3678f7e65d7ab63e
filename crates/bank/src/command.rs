//! Commands to the bank, and the facts that go with them.

use ledger::{Posting, PostingId, Timestamp, ValueDate};

use crate::access::AccessCommand;
use crate::accounts::AccountCommand;
use crate::holds::HoldCommand;
use crate::payments::PaymentCommand;
use crate::system::SystemCommand;
use crate::{Origin, Request, TokenHash, UserId};

/// A request to the bank. Personal fields are sealed and names resolved to ids before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The one who asks.
    pub caller: Caller,
    /// Where it came from, for those who audit it. It decides nothing. Without a channel nothing of it is kept.
    pub origin: Origin,
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
    /// The bank's day of that time, in its time zone.
    pub today: ValueDate,
    /// The moment at which the first day of the time zone that the command names begins in it; none where it names none,
    /// or one that is not known by that name.
    pub zone_begins: Option<Timestamp>,
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

/// The request itself, by subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Something about the bank itself and its journal.
    System(SystemCommand),
    /// Something about customers, users, sessions and rights.
    Access(AccessCommand),
    /// Something about accounts, beside their money.
    Accounts(AccountCommand),
    /// Something about payments.
    Payments(PaymentCommand),
    /// Something about holds.
    Holds(HoldCommand),
}
