//! Accounts opened and changed, and what is learned of them.

use bank::{AccountCommand, AccountEvent, Body, Caller, OpenAccount, Role};
use ledger::{Kind, Overdraft, Status};

use super::{Known, MAX_OPEN_ACCOUNTS, Workload, account, euro, sealed, yen};

impl Workload {
    pub(super) fn learn_account(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::AccountOpened { id, cash: true, .. } => self.cash.push(*id),
            AccountEvent::AccountOpened { id, currency, owner, cash: false, .. } => {
                self.accounts.push(Known { id: *id, currency: *currency, owner: *owner });
            }
            AccountEvent::StatusSet { account, status } => {
                if *status == Status::Closed {
                    let gone = self.accounts.iter().position(|known| known.id == *account);
                    self.closed.extend(gone.map(|place| self.accounts.swap_remove(place)));
                }
            }
            AccountEvent::AccountRenamed { .. } | AccountEvent::OverdraftSet { .. } => {}
        }
    }

    pub(super) fn change_account(&mut self) -> (Caller, Body) {
        let account = self.account().id;
        if self.random.once_in(3) {
            // By an owner, or by any customer, some of whom have a lesser right.
            let caller =
                if self.random.once_in(2) { self.holder(account) } else { self.caller(|it| it.role == Role::Customer) };
            return (
                caller,
                Body::Accounts(AccountCommand::Rename {
                    account,
                    name: self.random.once_in(2).then(|| sealed("name")),
                }),
            );
        }
        let caller = self.operator();
        if self.random.once_in(3) {
            let overdraft = match self.random.below(8) {
                0 => Overdraft::Unlimited,
                1 | 2 => Overdraft::Limited(0),
                _ => Overdraft::Limited(self.random.below(5_000)),
            };
            return (caller, Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }));
        }
        let status = match self.random.below(40) {
            0 => Status::Frozen,
            1 | 2 => Status::FrozenForDebits,
            3..=12 => Status::Closed,
            _ => Status::Open,
        };
        (caller, Body::Accounts(AccountCommand::SetStatus { account, status }))
    }

    pub(super) fn open_account(&mut self) -> (Caller, Body) {
        if self.accounts.len() >= MAX_OPEN_ACCOUNTS {
            return self.change_account();
        }
        let owner = Some(self.customer(2));
        let currency = if self.random.once_in(3) { yen() } else { euro() };
        let number = self.random.once_in(4).then(|| 1 + self.random.below(200));
        // Deposits and loans; and what would be money without end, or the bank's own.
        let kind = match self.random.below(12) {
            0..=2 => Kind::Asset,
            3 => [Kind::Equity, Kind::Income, Kind::Expense][self.random.place(3)],
            _ => Kind::Liability,
        };
        let overdraft = match self.random.below(12) {
            0 => Overdraft::Unlimited,
            1..=6 => Overdraft::Limited(0),
            _ => Overdraft::Limited(1_000),
        };
        let open = OpenAccount { number, kind, overdraft, owner, ..account(currency) };
        (self.operator(), Body::Accounts(AccountCommand::OpenAccount(open)))
    }
}
