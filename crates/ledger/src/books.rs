//! The ledger itself: the accounts and open holds, the questions asked of them, and the booking of the answers.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::{
    Account, AccountId, BookedLeg, Cause, Currency, Entry, Hold, HoldId, Kind, Leg, Money, Overdraft, PageKey,
    PagedMap, Pages, Posting, PostingId, Refusal, Status, Timestamp, ValueDate,
};

/// The most legs a posting can have. A split among payees or a payment with its fees needs a handful; the bound keeps
/// one posting well within one journal frame.
pub const MAX_LEGS: usize = 100;

/// Open holds and undone postings are in one page if their events are in the same range of this length: a billion events
/// make a quarter of a million pages at most.
const EVENTS_PER_PAGE: u64 = 4_096;

/// Legs in order. Nearly every posting has one, which is kept without an allocation.
pub type Legs = SmallVec<[BookedLeg; 1]>;

/// The accounts, the open holds, and what has been undone of past postings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    accounts: Pages<Account>,
    holds: PagedMap<HoldId, Hold>,
    undone: PagedMap<PostingId, Undone>,
}

impl PageKey for HoldId {
    fn page(&self) -> u64 {
        self.event().div_euclid(EVENTS_PER_PAGE)
    }
}

impl PageKey for PostingId {
    fn page(&self) -> u64 {
        self.event().div_euclid(EVENTS_PER_PAGE)
    }
}

/// Part of a past posting that has been undone. Only postings with something undone are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undone {
    /// All of it, by a reversal.
    Reversed,
    /// The sum refunded of each leg, in minor units.
    Refunded(BTreeMap<u32, i64>),
}

/// One kind's part of a trial balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrialRow {
    /// The number of accounts, closed ones included.
    pub accounts: u64,
    /// The sum of the balances that are debits, in minor units.
    pub debit_minor: i128,
    /// The sum of the balances that are credits, in minor units.
    pub credit_minor: i128,
}

/// For each currency, the balances by kind of account. Debits equal credits in each currency: that is the first law.
pub type TrialBalance = BTreeMap<Currency, BTreeMap<Kind, TrialRow>>;

/// Accounts as they would be after some legs, kept aside while postings are being considered.
struct Draft<'a> {
    ledger: &'a Ledger,
    touched: SmallVec<[(AccountId, Account); 2]>,
}

impl Draft<'_> {
    fn account(&mut self, id: AccountId) -> Result<&mut Account, Refusal> {
        let place = match self.touched.iter().position(|(touched, _)| *touched == id) {
            Some(place) => place,
            None => {
                self.touched.push((id, *self.ledger.account(id).ok_or(Refusal::UnknownAccount)?));
                self.touched.len().saturating_sub(1)
            }
        };
        Ok(&mut self.touched[place].1)
    }

    /// Drafts the next posting, seeing what those before it would do.
    fn post(
        &mut self,
        legs: &[Leg],
        booked_at: Timestamp,
        value_date: ValueDate,
        cause: Cause,
    ) -> Result<Posting, Refusal> {
        if legs.is_empty() {
            return Err(Refusal::NoLegs);
        }
        if legs.len() > MAX_LEGS {
            return Err(Refusal::TooManyLegs);
        }
        for leg in legs {
            let (debit, credit) = self.ledger.check_leg(leg)?;
            if booked_at < debit.last_booked_at || booked_at < credit.last_booked_at {
                return Err(Refusal::BookedBackwards);
            }
        }
        let mut booked = Legs::new();
        for leg in legs {
            let debited = self.account(leg.debit)?;
            if !matches!(cause, Cause::Capture { .. }) {
                debited.available_after(leg.amount.minor)?;
            }
            let debit = debited.entry_after(debited.posted_minor.checked_sub(leg.amount.minor))?;
            let credited = self.account(leg.credit)?;
            let credit = credited.entry_after(credited.posted_minor.checked_add(leg.amount.minor))?;
            booked.push(BookedLeg { leg: *leg, debit, credit });
        }
        Ok(Posting { legs: booked, booked_at, value_date, cause })
    }

    /// Records in the draft that a posting of this id was the last of its accounts.
    fn number(&mut self, posting: &Posting, id: PostingId) -> Result<(), Refusal> {
        for booked in &posting.legs {
            self.account(booked.leg.debit)?.last_posting = Some(id);
            self.account(booked.leg.credit)?.last_posting = Some(id);
        }
        Ok(())
    }
}

impl Ledger {
    /// Returns an account's state.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.index())
    }

    /// All accounts in the order of their ids.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (AccountId, &Account)> {
        self.accounts.iter().enumerate().map(|(index, account)| (account_id(index), account))
    }

    /// The id that the next account to be opened gets.
    #[must_use]
    pub fn next_account(&self) -> AccountId {
        account_id(self.accounts.len())
    }

    /// An open hold.
    #[must_use]
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    /// All open holds in the order in which they were placed.
    pub fn holds(&self) -> impl Iterator<Item = (HoldId, &Hold)> {
        self.holds.iter().map(|(id, hold)| (*id, hold))
    }

    /// Iterates over the undone parts of past postings, by posting.
    pub fn undone(&self) -> impl Iterator<Item = (PostingId, &Undone)> {
        self.undone.iter().map(|(id, undone)| (*id, undone))
    }

    /// Returns the open holds in pages.
    #[must_use]
    pub fn hold_pages(&self) -> &PagedMap<HoldId, Hold> {
        &self.holds
    }

    /// Returns the undone parts of past postings, in pages.
    #[must_use]
    pub fn undone_pages(&self) -> &PagedMap<PostingId, Undone> {
        &self.undone
    }

    /// Returns the accounts in pages.
    #[must_use]
    pub fn account_pages(&self) -> &Pages<Account> {
        &self.accounts
    }

    /// Takes a snapshot (cut) of the ledger as it is now, for reading: its pages are shared copy-on-write. Begins a new
    /// epoch; see [`Pages`].
    #[must_use]
    pub fn cut(&mut self) -> Self {
        let Self { accounts, holds, undone, .. } = self;
        Self { accounts: accounts.cut(), holds: holds.cut(), undone: undone.cut() }
    }

    // ---- Questions: what would be booked, or why not. ----

    /// Drafts a posting of `legs`. They take effect in the order given and each must be allowed by itself, so that no
    /// entry ever shows a balance that is not.
    ///
    /// # Errors
    ///
    /// Refuses as [`Refusal`] lists, from `NoLegs` on.
    pub fn post(&self, legs: &[Leg], booked_at: Timestamp, value_date: ValueDate) -> Result<Posting, Refusal> {
        self.draft(legs, booked_at, value_date, Cause::Order)
    }

    /// Drafts several postings, all or none, each seeing what those before it do. They are to be booked by events that
    /// follow each other, the first being `first`.
    ///
    /// # Errors
    ///
    /// Refuses if [`Ledger::post`] would refuse one of them, and gives its place, from 0, with the reason.
    pub fn post_all<'a>(
        &self,
        payments: impl Iterator<Item = &'a [Leg]>,
        first: PostingId,
        booked_at: Timestamp,
        value_date: ValueDate,
    ) -> Result<Vec<Posting>, (usize, Refusal)> {
        let mut draft = Draft { ledger: self, touched: SmallVec::new() };
        let mut postings = Vec::new();
        for (legs, event) in payments.zip(first.event()..) {
            let place = postings.len();
            let posting = draft.post(legs, booked_at, value_date, Cause::Order).map_err(|refusal| (place, refusal))?;
            let id = PostingId::new(event).ok_or((place, Refusal::BalanceOutOfRange))?;
            draft.number(&posting, id).map_err(|refusal| (place, refusal))?;
            postings.push(posting);
        }
        Ok(postings)
    }

    /// Drafts a hold of the leg's amount on its debited account, in favour of its credited one, until `expires_at`.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::HoldExpired`] if the hold would be over before it began, and as a payment of that amount
    /// would.
    pub fn place_hold(&self, leg: Leg, now: Timestamp, expires_at: Timestamp) -> Result<Hold, Refusal> {
        if expires_at <= now {
            return Err(Refusal::HoldExpired);
        }
        let (debit, _) = self.check_leg(&leg)?;
        debit.available_after(leg.amount.minor)?;
        debit.held_minor.checked_add(leg.amount.minor).ok_or(Refusal::BalanceOutOfRange)?;
        let Leg { debit, credit, amount } = leg;
        Ok(Hold { debit, credit, amount, remaining_minor: amount.minor, expires_at })
    }

    /// Drafts a posting that takes `amount` of a hold to its payee; `last` lets the rest go. Held money is there, so
    /// this is never refused for lack of funds.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::HoldNotOpen`] or [`Refusal::HoldExpired`] if there is nothing to capture from, with
    /// [`Refusal::CaptureExceedsHold`] if `amount` is more than is still held, and as a payment otherwise would: a
    /// frozen or closed account refuses it.
    pub fn capture(
        &self,
        hold: HoldId,
        amount: Money,
        last: bool,
        now: Timestamp,
        value_date: ValueDate,
    ) -> Result<Posting, Refusal> {
        let held = self.holds.get(&hold).ok_or(Refusal::HoldNotOpen)?;
        if held.expires_at <= now {
            return Err(Refusal::HoldExpired);
        }
        let leg = Leg { debit: held.debit, credit: held.credit, amount };
        self.check_leg(&leg)?;
        if amount.minor > held.remaining_minor {
            let remaining = Money { minor: held.remaining_minor, currency: held.amount.currency };
            return Err(Refusal::CaptureExceedsHold { remaining });
        }
        self.draft(&[leg], now, value_date, Cause::Capture { hold, last })
    }

    /// Checks that a hold can be released by somebody entitled to it: always, while it is open, whatever the account's
    /// status and balance.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::HoldNotOpen`] if there is no such open hold.
    pub fn void(&self, hold: HoldId) -> Result<(), Refusal> {
        self.holds.get(&hold).map(|_| ()).ok_or(Refusal::HoldNotOpen)
    }

    /// Checks that a hold can be extended to `expires_at`. Its amount stays reserved, whatever the account's status and
    /// balance.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::HoldNotOpen`] or [`Refusal::HoldExpired`] if the hold is not open or its time is over,
    /// and with [`Refusal::HoldNotLonger`] if `expires_at` is no later than before.
    pub fn extend(&self, hold: HoldId, expires_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        let held = self.holds.get(&hold).ok_or(Refusal::HoldNotOpen)?;
        if held.expires_at <= now {
            return Err(Refusal::HoldExpired);
        }
        if expires_at <= held.expires_at { Err(Refusal::HoldNotLonger) } else { Ok(()) }
    }

    /// Checks that a hold's time is over at `now`.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::HoldNotOpen`] if there is no such open hold, and with [`Refusal::HoldNotExpired`] if its
    /// time is not over.
    pub fn expire(&self, hold: HoldId, now: Timestamp) -> Result<(), Refusal> {
        let held = self.holds.get(&hold).ok_or(Refusal::HoldNotOpen)?;
        if held.expires_at > now { Err(Refusal::HoldNotExpired) } else { Ok(()) }
    }

    /// Drafts a posting that gives back `amount` of leg `leg` of an earlier posting, `original`. All refunds of a leg
    /// together never exceed it.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::NotUndoable`] or [`Refusal::AlreadyReversed`] if `original` can't be refunded, with
    /// [`Refusal::NoSuchLeg`] if it has no such leg, with [`Refusal::RefundExceedsPayment`] if more than the rest of it
    /// were given back, and as a payment the other way would.
    pub fn refund(
        &self,
        of: PostingId,
        original: &Posting,
        leg: u32,
        amount: Money,
        booked_at: Timestamp,
        value_date: ValueDate,
    ) -> Result<Posting, Refusal> {
        let refunded = match self.undoable(of, original)? {
            Some(Undone::Refunded(legs)) => legs.get(&leg).copied().unwrap_or(0),
            _ => 0,
        };
        let place = usize::try_from(leg).map_err(|_| Refusal::NoSuchLeg)?;
        let paid = original.legs.get(place).ok_or(Refusal::NoSuchLeg)?.leg;
        let back = Leg { amount, ..paid.reversed() };
        self.check_leg(&back)?;
        let remaining = paid.amount.minor.saturating_sub(refunded);
        if amount.minor > remaining {
            let remaining = Money { minor: remaining, currency: paid.amount.currency };
            return Err(Refusal::RefundExceedsPayment { remaining });
        }
        self.draft(&[back], booked_at, value_date, Cause::Refund { of, leg })
    }

    /// Drafts a posting that undoes `original` exactly: its legs the other way, the last first. Once only, and not
    /// after a refund. A captured hold is not placed again.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::NotUndoable`], [`Refusal::AlreadyReversed`] or [`Refusal::AlreadyRefunded`] if
    /// `original` can't be undone exactly, and as a payment the other way would.
    pub fn reverse(
        &self,
        of: PostingId,
        original: &Posting,
        booked_at: Timestamp,
        value_date: ValueDate,
    ) -> Result<Posting, Refusal> {
        if self.undoable(of, original)?.is_some() {
            return Err(Refusal::AlreadyRefunded);
        }
        let legs: SmallVec<[Leg; 1]> = original.legs.iter().rev().map(|booked| booked.leg.reversed()).collect();
        self.draft(&legs, booked_at, value_date, Cause::Reversal { of })
    }

    /// Checks that an account's status can become `status`. A closed account stays closed; closing needs a posted
    /// balance of zero and no open holds.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`], [`Refusal::AccountNotEmpty`] or
    /// [`Refusal::HoldsOpen`].
    pub fn set_status(&self, id: AccountId, status: Status) -> Result<(), Refusal> {
        let account = self.account(id).ok_or(Refusal::UnknownAccount)?;
        if account.status == Status::Closed {
            return Err(Refusal::AccountClosed);
        }
        if status == Status::Closed && account.posted_minor != 0 {
            return Err(Refusal::AccountNotEmpty);
        }
        if status == Status::Closed && account.held_minor != 0 {
            return Err(Refusal::HoldsOpen);
        }
        Ok(())
    }

    /// Checks that an account's overdraft can become `overdraft`.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::UnknownAccount`] or [`Refusal::AccountClosed`], and with [`Refusal::OverdraftInUse`] if
    /// the overdraft is used further than the new limit.
    pub fn set_overdraft(&self, id: AccountId, overdraft: Overdraft) -> Result<(), Refusal> {
        let account = self.account(id).ok_or(Refusal::UnknownAccount)?;
        if account.status == Status::Closed {
            return Err(Refusal::AccountClosed);
        }
        let changed = Account { overdraft, ..*account };
        if changed.allows_available(changed.available_minor()) { Ok(()) } else { Err(Refusal::OverdraftInUse) }
    }

    // ---- Booking: what was agreed to takes effect. Nothing here decides. ----

    /// Opens an account and gives its id.
    pub fn apply_account(&mut self, account: Account) -> AccountId {
        let id = self.next_account();
        self.accounts.push(account);
        id
    }

    /// Sets an account's status.
    pub fn apply_status(&mut self, id: AccountId, status: Status) {
        self.accounts[id.index()].status = status;
    }

    /// Sets an account's overdraft.
    pub fn apply_overdraft(&mut self, id: AccountId, overdraft: Overdraft) {
        let account = &mut self.accounts[id.index()];
        account.overdraft = overdraft;
        assert!(account.allows_available(account.available_minor()), "law: available stays within the overdraft");
    }

    /// Books a posting.
    ///
    /// # Panics
    ///
    /// Panics if a law would be broken, which means a bug here or a journal of another bank: going on would make it
    /// worse.
    pub fn apply_posting(&mut self, id: PostingId, posting: &Posting) {
        if let Cause::Capture { hold, last } = posting.cause {
            for booked in &posting.legs {
                self.release(hold, booked.leg.amount.minor);
            }
            if last && let Some(held) = self.holds.get(&hold) {
                self.release(hold, held.remaining_minor);
            }
        }
        for BookedLeg { leg, debit, credit } in &posting.legs {
            let minor = leg.amount.minor;
            let account = &mut self.accounts[leg.debit.index()];
            assert_eq!(account.posted_minor.checked_sub(minor), Some(debit.balance_minor), "law: a debit is exact");
            account.book(id, debit, posting.booked_at);
            assert!(account.allows_available(account.available_minor()), "law: available stays within the overdraft");
            let account = &mut self.accounts[leg.credit.index()];
            assert_eq!(account.posted_minor.checked_add(minor), Some(credit.balance_minor), "law: a credit is exact");
            account.book(id, credit, posting.booked_at);
        }
        match posting.cause {
            Cause::Order | Cause::Capture { .. } => {}
            Cause::Reversal { of } => {
                self.undone.insert(of, Undone::Reversed);
            }
            Cause::Refund { of, leg } => {
                if !self.undone.contains_key(&of) {
                    self.undone.insert(of, Undone::Refunded(BTreeMap::new()));
                }
                let undone = self.undone.get_mut(&of);
                let Some(Undone::Refunded(legs)) = undone else { panic!("law: a reversed posting is not refunded") };
                let refunded = legs.entry(leg).or_insert(0);
                let minor: i64 = posting.legs.iter().map(|booked| booked.leg.amount.minor).sum();
                *refunded = refunded.checked_add(minor).expect("law: refunds stay within the payment");
            }
        }
    }

    /// Places a hold.
    pub fn apply_hold(&mut self, id: HoldId, hold: Hold) {
        let account = &mut self.accounts[hold.debit.index()];
        let held = account.held_minor.checked_add(hold.remaining_minor);
        account.held_minor = held.expect("law: held money can be counted");
        assert!(account.allows_available(account.available_minor()), "law: available stays within the overdraft");
        self.holds.insert(id, hold);
    }

    /// Gives a hold more time.
    pub fn apply_extension(&mut self, id: HoldId, expires_at: Timestamp) {
        let hold = self.holds.get_mut(&id).expect("law: only an open hold is extended");
        hold.expires_at = expires_at;
    }

    /// Lets all that remains of a hold go.
    pub fn apply_release(&mut self, id: HoldId) {
        let remaining = self.holds.get(&id).expect("law: only an open hold is released").remaining_minor;
        self.release(id, remaining);
    }

    /// Takes back what was undone of a posting from a stored state. Only for restoring one.
    pub fn restore_undone(&mut self, id: PostingId, undone: Undone) {
        self.undone.insert(id, undone);
    }

    /// Takes back an account as it was from a stored state, its held balance left to its holds. Only for restoring one.
    pub fn restore_account(&mut self, account: Account) {
        self.accounts.push(Account { held_minor: 0, ..account });
    }

    // ---- Checks ----

    /// Checks that a recorded posting fits the books as they are, for a checker that must not stop.
    ///
    /// # Errors
    ///
    /// Says in words why it doesn't: its cause does not hold, the ledger would have refused it, or its entries should
    /// read otherwise.
    pub fn check_posting(&self, posting: &Posting) -> Result<(), String> {
        let mut minors = posting.legs.iter().map(|booked| booked.leg.amount.minor);
        let minor = minors.try_fold(0, i64::checked_add);
        let cause_holds = match posting.cause {
            Cause::Order => true,
            Cause::Capture { hold, .. } => self.holds.get(&hold).is_some_and(|held| {
                let its_own = |leg: Leg| leg.debit == held.debit && leg.credit == held.credit;
                minor.is_some_and(|minor| minor <= held.remaining_minor)
                    && posting.legs.iter().all(|booked| its_own(booked.leg))
            }),
            // A forged one may give back more than can be counted.
            Cause::Refund { of, leg } => match self.undone.get(&of) {
                Some(Undone::Reversed) => false,
                Some(Undone::Refunded(legs)) => {
                    let before = legs.get(&leg).copied().unwrap_or(0);
                    minor.is_some_and(|minor| before.checked_add(minor).is_some())
                }
                None => minor.is_some(),
            },
            Cause::Reversal { of } => !self.undone.contains_key(&of),
        };
        if !cause_holds {
            return Err(format!("its cause, {:?}, does not hold", posting.cause));
        }
        let legs: SmallVec<[Leg; 1]> = posting.legs.iter().map(|booked| booked.leg).collect();
        let again = self.draft(&legs, posting.booked_at, posting.value_date, posting.cause);
        match again {
            Ok(again) if again == *posting => Ok(()),
            Ok(again) => Err(format!("its entries should read {:?} and read {:?}", again.legs, posting.legs)),
            Err(refusal) => Err(format!("it should have been refused: {refusal}")),
        }
    }

    /// Checks that a recorded hold fits the books as they are.
    ///
    /// # Errors
    ///
    /// Says in words why it doesn't: the ledger would have refused it, or placed another.
    pub fn check_hold(&self, hold: &Hold) -> Result<(), String> {
        let leg = Leg { debit: hold.debit, credit: hold.credit, amount: hold.amount };
        match self.place_hold(leg, Timestamp::MIN, hold.expires_at) {
            Ok(again) if again == *hold => Ok(()),
            Ok(again) => Err(format!("a hold should be {again:?} and is {hold:?}")),
            Err(refusal) => Err(format!("a hold should have been refused: {refusal}")),
        }
    }

    /// The balances by currency and kind.
    ///
    /// # Panics
    ///
    /// Panics if debits and credits of a currency differ.
    #[must_use]
    pub fn trial_balance(&self) -> TrialBalance {
        let mut balance = TrialBalance::new();
        for account in self.accounts.iter() {
            let rows = balance.entry(account.currency).or_default();
            let row = rows.entry(account.kind).or_default();
            row.accounts = row.accounts.saturating_add(1);
            let minor = i128::from(account.posted_minor);
            if minor < 0 {
                row.debit_minor = row.debit_minor.saturating_sub(minor);
            } else {
                row.credit_minor = row.credit_minor.saturating_add(minor);
            }
        }
        for (currency, rows) in &balance {
            let debits: i128 = rows.values().map(|row| row.debit_minor).sum();
            let credits: i128 = rows.values().map(|row| row.credit_minor).sum();
            assert_eq!(debits, credits, "law: {currency} sums to zero");
        }
        balance
    }

    /// Checks the laws, looking at every account and hold.
    ///
    /// # Errors
    ///
    /// Gives the first broken law in words.
    pub fn check_laws(&self) -> Result<(), String> {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut held: BTreeMap<AccountId, i64> = BTreeMap::new();
        for (_, hold) in self.holds.iter() {
            let sum = held.entry(hold.debit).or_insert(0);
            *sum = sum.saturating_add(hold.remaining_minor);
        }
        for (id, account) in self.accounts() {
            let sum = sums.entry(account.currency).or_insert(0);
            *sum = sum.saturating_add(i128::from(account.posted_minor));
            if account.held_minor != held.get(&id).copied().unwrap_or(0) {
                return Err(format!("account {}: the held balance is not the sum of its open holds", id.0));
            }
            if !account.allows_available(account.available_minor()) {
                return Err(format!("account {}: the available balance is below the overdraft limit", id.0));
            }
        }
        match sums.iter().find(|(_, sum)| **sum != 0) {
            Some((currency, sum)) => Err(format!("{currency} sums to {sum} minor units instead of zero")),
            None => Ok(()),
        }
    }

    // ---- Helpers ----

    /// Returns the part already undone of a posting, if the posting can still be undone further.
    fn undoable(&self, of: PostingId, original: &Posting) -> Result<Option<&Undone>, Refusal> {
        if matches!(original.cause, Cause::Refund { .. } | Cause::Reversal { .. }) {
            return Err(Refusal::NotUndoable);
        }
        match self.undone.get(&of) {
            Some(Undone::Reversed) => Err(Refusal::AlreadyReversed),
            undone => Ok(undone),
        }
    }

    /// The checks that any movement of money must pass, balances apart.
    fn check_leg(&self, leg: &Leg) -> Result<(&Account, &Account), Refusal> {
        if leg.amount.minor <= 0 {
            return Err(Refusal::AmountNotPositive);
        }
        let debit = self.account(leg.debit).ok_or(Refusal::UnknownAccount)?;
        let credit = self.account(leg.credit).ok_or(Refusal::UnknownAccount)?;
        if leg.debit == leg.credit {
            return Err(Refusal::SameAccount);
        }
        if debit.currency != leg.amount.currency || credit.currency != leg.amount.currency {
            return Err(Refusal::CurrencyMismatch);
        }
        if debit.status == Status::Closed || credit.status == Status::Closed {
            return Err(Refusal::AccountClosed);
        }
        debit.may_debit()?;
        credit.may_credit()?;
        Ok((debit, credit))
    }

    fn draft(
        &self,
        legs: &[Leg],
        booked_at: Timestamp,
        value_date: ValueDate,
        cause: Cause,
    ) -> Result<Posting, Refusal> {
        Draft { ledger: self, touched: SmallVec::new() }.post(legs, booked_at, value_date, cause)
    }

    fn release(&mut self, id: HoldId, minor: i64) {
        let hold = self.holds.get_mut(&id).expect("law: only an open hold is used");
        let account = &mut self.accounts[hold.debit.index()];
        account.held_minor = account.held_minor.checked_sub(minor).expect("law: held money is there");
        hold.remaining_minor = hold.remaining_minor.checked_sub(minor).expect("law: captures stay within the hold");
        assert!(hold.remaining_minor >= 0, "law: captures stay within the hold");
        if hold.remaining_minor == 0 {
            self.holds.remove(&id);
        }
    }
}

impl Account {
    /// Counts one more entry with this balance, and tells it.
    fn entry_after(&mut self, balance_minor: Option<i64>) -> Result<Entry, Refusal> {
        let balance_minor = balance_minor.ok_or(Refusal::BalanceOutOfRange)?;
        self.posted_minor = balance_minor;
        self.entries = self.entries.checked_add(1).ok_or(Refusal::BalanceOutOfRange)?;
        Ok(Entry { balance_minor, ordinal: self.entries, previous: self.last_posting })
    }

    fn book(&mut self, id: PostingId, entry: &Entry, booked_at: Timestamp) {
        assert_eq!(self.entries.checked_add(1), Some(entry.ordinal), "law: entries are numbered without a gap");
        assert!(booked_at >= self.last_booked_at, "law: booking times never run backwards");
        self.posted_minor = entry.balance_minor;
        self.entries = entry.ordinal;
        self.last_posting = Some(id);
        self.last_booked_at = booked_at;
    }
}

fn account_id(index: usize) -> AccountId {
    AccountId(u32::try_from(index).expect("an account is opened only while its id can be told"))
}
