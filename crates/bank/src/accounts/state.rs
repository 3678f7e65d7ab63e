//! State of accounts, beside their money.

use ledger::Account;
use smallvec::{SmallVec, smallvec};

use crate::record::Record;
use crate::state::must_be;
use crate::{AccountEvent, CustomerId, Right, Sealed, State};

/// Facts about an account beside its money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its number within the bank.
    pub number: u64,
    /// Its name.
    pub name: Option<Sealed>,
    /// Customers with a right on it, each with that right, in the order in which the rights were granted.
    pub rights: SmallVec<[(CustomerId, Right); 1]>,
}

impl State {
    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_account(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::AccountOpened { number, currency, kind, overdraft, opened_at, name, owner, cash, .. } => {
                let id = self.ledger.apply_account(Account::new(*currency, *kind, *overdraft, *opened_at));
                self.numbers.insert(*number, id);
                self.infos.push(AccountInfo { number: *number, name: name.clone(), rights: smallvec![] });
                if *cash {
                    self.cash.insert(*currency, id);
                }
                if let Some(owner) = owner {
                    self.set_right(*owner, id, Right::Owner);
                }
            }
            AccountEvent::StatusSet { account, status } => self.ledger.apply_status(*account, *status),
            AccountEvent::OverdraftSet { account, overdraft } => self.ledger.apply_overdraft(*account, *overdraft),
            AccountEvent::AccountRenamed { account, name } => {
                if let Some(info) = usize::try_from(account.0).ok().and_then(|place| self.infos.get_mut(place)) {
                    info.name = name.clone();
                }
            }
        }
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_account(&self, event: &AccountEvent) -> Result<(), String> {
        match event {
            AccountEvent::AccountRenamed { account, .. } => must_be(self.account_info(*account).is_some(), || {
                format!("account {} is renamed and was not opened", account.0)
            }),
            AccountEvent::StatusSet { account, status } => {
                self.ledger.set_status(*account, *status).map_err(|refusal| refusal.to_string())
            }
            AccountEvent::OverdraftSet { account, overdraft } => {
                self.ledger.set_overdraft(*account, *overdraft).map_err(|refusal| refusal.to_string())
            }
            AccountEvent::AccountOpened { id, .. } => {
                must_be(*id == self.ledger.next_account(), || format!("account {} is opened out of order", id.0))
            }
        }
    }
}

pub(crate) fn account_record((account, info): (&Account, &AccountInfo)) -> Record {
    Record::Account { account: *account, number: info.number, name: info.name.clone(), rights: info.rights.to_vec() }
}
