//! The bank's state at one moment, and its change by an event. `apply` is the only way in: it decides nothing and can't
//! fail.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use ledger::{AccountId, Currency, Kind, Ledger, PageKey, PagedMap, Pages, Timestamp};

use crate::access::{Customer, NameIndex, Session, User};
use crate::accounts::AccountInfo;
use crate::due::DueQueue;
use crate::system::{Founding, ZoneFrom};
use crate::{CustomerId, Event, Numbering, Right, TokenHash, UserId, What};

/// The bank's state after some event.
///
/// Its growing parts are in copy-on-write pages, so that a snapshot ([`Cut`]) can be taken at any moment without
/// stopping.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) last_event: u64,
    pub(crate) time: Option<Timestamp>,
    pub(crate) founding: Option<Founding>,
    pub(crate) time_zones: Arc<[ZoneFrom]>,
    pub(crate) ledger: Ledger,
    pub(crate) infos: Pages<AccountInfo>,
    pub(crate) numbers: BTreeMap<u64, AccountId>,
    pub(crate) cash: BTreeMap<Currency, AccountId>,
    pub(crate) customers: Pages<Customer>,
    pub(crate) users: Pages<User>,
    pub(crate) user_names: BTreeMap<NameIndex, UserId>,
    pub(crate) sessions: PagedMap<TokenHash, Session>,
    /// What falls due: derived from the rest, and left out of a snapshot (cut).
    pub(crate) due: DueQueue,
    /// The newest of these; see [`Outcomes`].
    pub(crate) outcomes: Outcomes,
    /// Those that were set aside, to be written to the index of the past.
    pub(crate) outcomes_aside: Option<Arc<Outcomes>>,
    /// Outcomes up to this event are found elsewhere.
    pub(crate) outcomes_after: u64,
    /// Number of snapshots (cuts) taken.
    epoch: u32,
}

/// A snapshot of the state as it was at one event, to be written down while the bank goes on.
#[derive(Debug)]
pub struct Cut {
    pub(crate) state: State,
    epoch: u32,
}

impl Cut {
    /// The number of its last event.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.state.last_event
    }

    /// Returns the epoch that this snapshot ends: a page changed after the one before has this epoch or, if it was
    /// changed after this one too, a later one.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }
}

impl PageKey for TokenHash {
    /// The first twelve bits: some hundreds of sessions are in a page when a million are open.
    fn page(&self) -> u64 {
        u64::from(u16::from_be_bytes([self.0[0], self.0[1]])) >> 4
    }
}

/// The event that was the first outcome of each idempotency key: the newest of them, the older are in the engine's
/// index of the past. Derived from the events, kept out of the digest, and never iterated but to store it.
pub type Outcomes = HashMap<[u8; 16], u64, BuildHasherDefault<KeyHasher>>;

/// Number of outcomes that the state keeps before they are set aside: seven eighths of 2^20, as many as fill a table of
/// 26 MB that never has to grow.
pub const KEYS_AT_HAND: usize = 917_504;

/// Hashes an idempotency key, which is a keyed hash already, by taking its first bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // An array's length comes through here, and is the same for every key.
    fn write_usize(&mut self, _: usize) {}
}

impl State {
    // ---- Reading ----

    /// The number of the last event applied; 0 before the first.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.last_event
    }

    /// The time of the last event applied.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Returns the name and numbering that the bank was founded with.
    #[must_use]
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The customers; number 1 comes first.
    #[must_use]
    pub fn customers(&self) -> &Pages<Customer> {
        &self.customers
    }

    /// The users; number 1 comes first.
    #[must_use]
    pub fn users(&self) -> &Pages<User> {
        &self.users
    }

    /// A customer.
    #[must_use]
    pub fn customer(&self, id: CustomerId) -> Option<&Customer> {
        self.customers.get(place(id.0)?)
    }

    /// A user.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(place(id.0)?)
    }

    /// The user who signs in with a name.
    #[must_use]
    pub fn user_named(&self, index: NameIndex) -> Option<UserId> {
        self.user_names.get(&index).copied()
    }

    /// Returns the facts about an account beside its money.
    #[must_use]
    pub fn account_info(&self, id: AccountId) -> Option<&AccountInfo> {
        self.infos.get(usize::try_from(id.0).ok()?)
    }

    /// The account of a number.
    #[must_use]
    pub fn account_numbered(&self, number: u64) -> Option<AccountId> {
        self.numbers.get(&number).copied()
    }

    /// Finds the account of an account number as it is shown and sent: an IBAN of this bank, or where it has none, a number
    /// of its form.
    ///
    /// # Errors
    ///
    /// Refuses with [`crate::IbanError`] if the text is not a valid number, or another bank's, or no bank has been
    /// founded.
    pub fn account_of_iban(&self, iban: &str) -> Result<Option<AccountId>, crate::IbanError> {
        let founding = self.founding.as_ref().ok_or(crate::IbanError::OtherBank)?;
        Ok(self.account_numbered(founding.numbering.number(iban)?))
    }

    /// An account's IBAN, or where the bank has none, its number in the form that takes its place.
    #[must_use]
    pub fn iban(&self, id: AccountId) -> Option<String> {
        Some(self.founding.as_ref()?.numbering.iban(self.account_info(id)?.number))
    }

    /// The number that the next account of a kind gets which is not given one: for customers' accounts the one after
    /// the largest of them; for the bank's own they count down from the largest that there is, so that the two never meet,
    /// and numbers brought from another bank find their places free. Where the largest is taken, the first gap; 0 where
    /// there is none.
    #[must_use]
    pub fn next_number(&self, kind: Kind) -> u64 {
        let Some(Founding { numbering, .. }) = &self.founding else { return 0 };
        let largest = numbering.largest();
        let middle = largest.div_euclid(2);
        let number = match kind {
            Kind::Liability => {
                let last = self.numbers.range(..=middle).next_back();
                let next = numbering.next_from(last.map_or(1, |(last, _)| last.saturating_add(1)));
                next.filter(|next| *next <= middle).or_else(|| self.first_gap(numbering)).or(next)
            }
            Kind::Asset | Kind::Equity | Kind::Income | Kind::Expense => {
                let last = self.numbers.range(middle.saturating_add(1)..).next();
                numbering.next_down_from(last.map_or(largest, |(last, _)| last.saturating_sub(1)))
            }
        };
        number.unwrap_or(0)
    }

    /// The smallest number that is not taken, below the largest that is.
    fn first_gap(&self, numbering: &Numbering) -> Option<u64> {
        let mut free = numbering.next_from(1)?;
        for taken in self.numbers.keys() {
            if *taken > free {
                return Some(free);
            }
            if *taken == free {
                free = numbering.next_from(free.saturating_add(1))?;
            }
        }
        None
    }

    /// The cash account of a currency.
    #[must_use]
    pub fn cash_account(&self, currency: Currency) -> Option<AccountId> {
        self.cash.get(&currency).copied()
    }

    /// Returns `true` if an account is the cash account of its currency.
    #[must_use]
    pub fn is_cash(&self, id: AccountId) -> bool {
        self.ledger.account(id).is_some_and(|account| self.cash_account(account.currency) == Some(id))
    }

    /// Returns `true` if a customer has a right to move the account's money.
    #[must_use]
    pub fn is_a_customers(&self, id: AccountId) -> bool {
        self.account_info(id).is_some_and(|info| info.rights.iter().any(|(_, right)| right.moves_money()))
    }

    /// A customer's right on an account.
    #[must_use]
    pub fn right(&self, customer: CustomerId, account: AccountId) -> Option<Right> {
        let rights = &self.account_info(account)?.rights;
        rights.iter().find(|(holder, _)| *holder == customer).map(|(_, right)| *right)
    }

    /// A session that is not over at `now`.
    #[must_use]
    pub fn session(&self, token: TokenHash, now: Timestamp) -> Option<&Session> {
        self.sessions.get(&token).filter(|session| session.expires_at > now)
    }

    /// Returns the number of sessions that are not closed; some may be over.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The event that was the first outcome of an idempotency key, if that is new enough to be remembered here.
    #[must_use]
    pub fn outcome_of(&self, key: &[u8; 16]) -> Option<u64> {
        let aside = || self.outcomes_aside.as_ref()?.get(key);
        self.outcomes.get(key).or_else(aside).copied()
    }

    /// The outcomes that are remembered and not set aside, in no order.
    #[must_use]
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    // ---- Changing ----

    /// Takes a snapshot (cut) of the state as it is now, in a moment, however large the bank: a pointer is copied for
    /// every page.
    pub fn cut(&mut self) -> Cut {
        let Self {
            last_event,
            time,
            founding,
            time_zones,
            ledger,
            infos,
            cash,
            customers,
            users,
            sessions,
            // A snapshot has no past, and these follow from the rest.
            numbers: _,
            user_names: _,
            due: _,
            outcomes: _,
            outcomes_aside: _,
            outcomes_after: _,
            epoch: _,
        } = self;
        let state = Self {
            last_event: *last_event,
            time: *time,
            founding: founding.clone(),
            time_zones: Arc::clone(time_zones),
            ledger: ledger.cut(),
            infos: infos.cut(),
            cash: cash.clone(),
            customers: customers.cut(),
            users: users.cut(),
            sessions: sessions.cut(),
            // The snapshot leaves out the past, and all that follows from these fields.
            ..Self::default()
        };
        let epoch = self.epoch;
        self.epoch = epoch.saturating_add(1);
        Cut { state, epoch }
    }

    /// Applies the event that follows the last one.
    ///
    /// # Panics
    ///
    /// Panics if `number` is not the next, or a law of the ledger would be broken: the journal is not this bank's, or
    /// there is a bug, and going on would make it worse.
    pub fn apply(&mut self, number: u64, at: Timestamp, event: &Event) {
        assert_eq!(Some(number), self.last_event.checked_add(1), "events are applied in order");
        self.last_event = number;
        self.time = Some(at);
        if let Some(request) = &event.request {
            self.restore_outcome(request.key, number);
        }
        match &event.what {
            What::System(event) => self.apply_system(event),
            What::Access(event) => self.apply_access(at, event),
            What::Accounts(event) => self.apply_account(event),
            What::Payments(event) => self.apply_payment(number, event),
            What::Holds(event) => self.apply_hold(number, event),
        }
    }

    /// From now on only outcomes of events after this one are remembered.
    pub fn remember_outcomes_after(&mut self, event: u64) {
        self.outcomes_after = event;
    }

    /// Takes as much memory for outcomes as they will need, so that none is moved later.
    pub fn reserve_outcomes(&mut self) {
        self.outcomes.reserve(KEYS_AT_HAND.saturating_sub(self.outcomes.len()));
    }

    /// Remembers the outcome of a key, unless it is found elsewhere. `apply` does it by itself; this is for restoring a
    /// stored state.
    pub fn restore_outcome(&mut self, key: [u8; 16], event: u64) {
        if event > self.outcomes_after {
            self.outcomes.insert(key, event);
        }
    }

    /// Sets aside the outcomes that are remembered, so that they can be written elsewhere. They are known here, too,
    /// until they are forgotten.
    pub fn set_outcomes_aside(&mut self) -> Arc<Outcomes> {
        let fresh = Outcomes::with_capacity_and_hasher(KEYS_AT_HAND, BuildHasherDefault::default());
        let aside = Arc::new(std::mem::replace(&mut self.outcomes, fresh));
        self.outcomes_aside = Some(Arc::clone(&aside));
        aside
    }

    /// Forgets the outcomes that were set aside, because they are found elsewhere now, and gives them back.
    pub fn forget_outcomes_aside(&mut self) -> Option<Arc<Outcomes>> {
        self.outcomes_aside.take()
    }

    /// Checks that an event from a journal fits this state, for a checker that must not stop.
    ///
    /// # Errors
    ///
    /// Says in words why the event doesn't fit.
    pub fn check(&self, number: u64, event: &Event) -> Result<(), String> {
        if Some(number) != self.last_event.checked_add(1) {
            return Err(format!("event {number} follows event {}", self.last_event));
        }
        match &event.what {
            What::System(event) => self.check_system(event),
            What::Access(event) => self.check_access(event),
            What::Accounts(event) => self.check_account(event),
            What::Payments(event) => self.check_payment(event),
            What::Holds(event) => self.check_hold(event),
        }
    }
}

pub(crate) fn must_be(so: bool, else_why: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(else_why()) }
}

/// Customers and users are numbered from 1.
pub(crate) fn place(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}
