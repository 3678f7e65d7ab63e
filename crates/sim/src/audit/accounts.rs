//! Accounts in the auditor's books: balances, limits and statuses, compared one by one with the bank's.

use bank::{AccountCommand, AccountEvent, Body, Event, Right, State, What};
use ledger::{AccountId, Currency, Kind, Ledger, Overdraft, Status, Timestamp};
use smallvec::smallvec;

use super::access::{Objection, Objections, Who};
use super::moves::Moved;
use super::{Agreed, Auditor, Breach, Judged, Map, Named, only};

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) currency: u16,
    pub(super) kind: Kind,
    pub(super) balance: i128,
    pub(super) held: i128,
    /// `None` where there is no end to it.
    pub(super) overdraft: Option<i128>,
    pub(super) status: Status,
    pub(super) entries: u64,
    pub(super) last_posting: Option<u64>,
    /// The posting before that.
    pub(super) posting_before: Option<u64>,
    pub(super) last_booked_at: Timestamp,
}

pub(super) const FROZEN: [Status; 2] = [Status::FrozenForDebits, Status::Frozen];
const CLOSED: [Status; 1] = [Status::Closed];

impl Account {
    pub(super) fn available(&self) -> i128 {
        self.balance - self.held
    }

    pub(super) fn may_have(&self, available: i128) -> bool {
        self.overdraft.is_none_or(|limit| available >= -limit)
    }
}

impl Auditor {
    pub(super) fn known(&self, id: u32) -> Option<&Account> {
        self.accounts.get(usize::try_from(id).ok()?)
    }

    pub(super) fn account(&self, id: u32) -> Agreed<&Account> {
        self.known(id).ok_or_else(|| breach!("there is no account {id}"))
    }

    pub(super) fn account_mut(&mut self, id: u32) -> Agreed<&mut Account> {
        let place = usize::try_from(id).ok();
        place.and_then(|place| self.accounts.get_mut(place)).ok_or_else(|| breach!("there is no account {id}"))
    }

    pub(super) fn is(&self, account: u32, any_of: &[Status]) -> bool {
        self.known(account).is_some_and(|account| any_of.contains(&account.status))
    }

    /// All that speaks against a customer's changing an account.
    pub(super) fn objections_to_account(&self, customer: u32, command: &AccountCommand) -> Objections {
        match command {
            AccountCommand::Rename { account, .. } => match self.rights.get(&(customer, account.0)) {
                Some(Right::Owner) => Objections::new(),
                Some(Right::Signatory { .. } | Right::ReadOnly) => smallvec![Objection::NotOwner],
                None => smallvec![Objection::NoRight],
            },
            // Forbidden to them all.
            AccountCommand::OpenAccount(_) | AccountCommand::SetStatus { .. } | AccountCommand::SetOverdraft { .. } => {
                Objections::new()
            }
        }
    }

    // ---- Do the events fit the books? ----

    pub(super) fn book_account(&mut self, event: &AccountEvent) -> Agreed {
        match event {
            AccountEvent::AccountOpened { id, number, currency, kind, overdraft, owner, cash, .. } => {
                let next = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
                agree!(id.0 == next, "account {} was opened, and {next} is the next", id.0);
                self.book_number(*number, id.0)?;
                self.accounts.push(new_account(*currency, *kind, *overdraft));
                let taken = *cash && self.cash.insert(currency.numeric(), id.0).is_some();
                agree!(!taken, "{currency} has two cash accounts");
                owner.map_or(Ok(()), |owner| self.give_right(owner.0, id.0, Right::Owner))
            }
            AccountEvent::AccountRenamed { account, .. } => self.account_mut(account.0).map(|_| ()),
            AccountEvent::StatusSet { account, status } => self.book_status(account.0, *status),
            AccountEvent::OverdraftSet { account, overdraft } => {
                let has_a_limit = *overdraft != Overdraft::Unlimited || !self.is_a_customers(account.0);
                agree!(has_a_limit, "account {} is a customer's, and lost its limit", account.0);
                let account = self.account_mut(account.0)?;
                account.overdraft = limit(*overdraft);
                agree!(account.may_have(account.available()), "the overdraft was in use");
                agree!(account.status != Status::Closed, "a closed account was changed");
                Ok(())
            }
        }
    }

    /// A number is one account's, and has the digits that the bank was founded with.
    fn book_number(&mut self, number: u64, id: u32) -> Agreed {
        let fits = self.digits.is_none_or(|digits| number.to_string().len() <= usize::from(digits));
        agree!(number > 0 && fits, "account {id} has the number {number}, which the bank's numbers don't hold");
        let before = self.numbers.insert(number, id);
        agree!(before.is_none(), "account {id} has the number {number} of another account");
        Ok(())
    }

    /// Each account is found by its number as it is told.
    pub(super) fn compare_numbers(&self, state: &State) -> Agreed {
        for id in (0..self.accounts.len()).filter_map(|place| u32::try_from(place).ok()) {
            let told = state.iban(AccountId(id)).unwrap_or_default();
            let found = state.account_of_iban(&told);
            agree!(found == Ok(Some(AccountId(id))), "account {id} is told as {told}, by which {found:?} is found");
        }
        Ok(())
    }

    fn book_status(&mut self, id: u32, status: Status) -> Agreed {
        let account = self.account_mut(id)?;
        agree!(account.status != Status::Closed, "account {id} was closed, and changed");
        let empty = account.balance == 0 && account.held == 0;
        agree!(status != Status::Closed || empty, "account {id} was closed with money in it");
        account.status = status;
        Ok(())
    }

    // ---- Is the reason of a refusal true? ----

    pub(super) fn is_cash_account_taken(&self, body: &Body) -> bool {
        let Body::Accounts(AccountCommand::OpenAccount(open)) = body else { return false };
        open.cash && (open.kind != Kind::Asset || self.cash.contains_key(&open.currency.numeric()))
    }

    pub(super) fn is_closed(&self, body: &Body, moves: &[Moved]) -> bool {
        match body {
            Body::Accounts(command) => match command {
                AccountCommand::SetStatus { account, .. } | AccountCommand::SetOverdraft { account, .. } => {
                    self.is(account.0, &CLOSED)
                }
                AccountCommand::OpenAccount(_) | AccountCommand::Rename { .. } => false,
            },
            Body::System(_) | Body::Access(_) | Body::Payments(_) | Body::Holds(_) => {
                moves.iter().any(|moved| self.is(moved.debit, &CLOSED) || self.is(moved.credit, &CLOSED))
            }
        }
    }

    pub(super) fn is_overdraft_in_use(&self, body: &Body) -> bool {
        let Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }) = body else { return false };
        let Some(account) = self.known(account.0) else { return false };
        limit(*overdraft).is_some_and(|limit| account.available() < -limit)
    }

    // ---- Do the books agree with the bank's? ----

    pub(super) fn compare_accounts(&self, theirs: &Ledger) -> Agreed {
        agree!(theirs.accounts().len() == self.accounts.len(), "the bank has other accounts");
        let mut sums: Map<u16, i128> = Map::default();
        for ((id, account), own) in theirs.accounts().zip(&self.accounts) {
            let theirs = (i128::from(account.posted_minor), i128::from(account.held_minor), account.entries);
            let ours = (own.balance, own.held, own.entries);
            agree!(theirs == ours, "account {}: balance, held and entries are {theirs:?}, should be {ours:?}", id.0);
            agree!(account.status == own.status, "account {} is {:?}", id.0, account.status);
            agree!(limit(account.overdraft) == own.overdraft, "account {} may go to {:?}", id.0, account.overdraft);
            *sums.entry(own.currency).or_insert(0) += own.balance;
        }
        for (currency, sum) in sums {
            agree!(sum == 0, "currency {currency} sums to {sum}");
        }
        Ok(())
    }
}

pub(super) fn is_account_forbidden(who: Who, command: &AccountCommand) -> bool {
    match command {
        AccountCommand::OpenAccount(open) if open.opened_at.is_some() => who != Who::System,
        AccountCommand::OpenAccount(_) | AccountCommand::SetStatus { .. } | AccountCommand::SetOverdraft { .. } => {
            matches!(who, Who::Auditor | Who::Customer(_))
        }
        AccountCommand::Rename { .. } => who == Who::Auditor,
    }
}

pub(super) fn is_account_answered(command: &AccountCommand, events: &[Event]) -> bool {
    use AccountEvent as E;
    let Some(What::Accounts(event)) = only(events) else { return false };
    match command {
        AccountCommand::OpenAccount(open) => {
            let E::AccountOpened { currency, kind, overdraft, owner, cash, .. } = event else { return false };
            (open.currency, open.kind, open.overdraft, open.owner, open.cash)
                == (*currency, *kind, *overdraft, *owner, *cash)
        }
        AccountCommand::Rename { account, name } => {
            matches!(event, E::AccountRenamed { account: a, name: n } if (a, n) == (account, name))
        }
        AccountCommand::SetStatus { account, status } => {
            matches!(event, E::StatusSet { account: a, status: s } if (a, s) == (account, status))
        }
        AccountCommand::SetOverdraft { account, overdraft } => {
            matches!(event, E::OverdraftSet { account: a, overdraft: o } if (a, o) == (account, overdraft))
        }
    }
}

pub(super) fn named_by_account(command: &AccountCommand) -> Named {
    match command {
        AccountCommand::OpenAccount(open) => Named { customer: open.owner.map(|owner| owner.0), ..Named::default() },
        AccountCommand::Rename { account, .. }
        | AccountCommand::SetStatus { account, .. }
        | AccountCommand::SetOverdraft { account, .. } => Named { changed: Some(account.0), ..Named::default() },
    }
}

pub(super) fn judge_number_taken(body: &Body) -> Judged {
    match body {
        Body::Accounts(AccountCommand::OpenAccount(_)) => {
            Judged::OnTrust("the bank chooses numbers, and its country's scheme says which is the largest")
        }
        Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Payments(_) | Body::Holds(_) => Judged::Is(false),
    }
}

fn new_account(currency: Currency, kind: Kind, overdraft: Overdraft) -> Account {
    Account {
        currency: currency.numeric(),
        kind,
        balance: 0,
        held: 0,
        overdraft: limit(overdraft),
        status: Status::Open,
        entries: 0,
        last_posting: None,
        posting_before: None,
        last_booked_at: Timestamp(i64::MIN),
    }
}

fn limit(overdraft: Overdraft) -> Option<i128> {
    match overdraft {
        Overdraft::Limited(limit) => Some(i128::from(limit)),
        Overdraft::Unlimited => None,
    }
}
