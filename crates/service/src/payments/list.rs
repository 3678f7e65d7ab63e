//! Payments in a list: of all accounts that the caller may see, or of one, the newest first.

use bank::{PaymentEvent, Purpose, State, TokenHash, What};
use engine::{HistoryError, Listed, MAX_MERGED, Recorded, Wanted};
use ledger::{AccountId, Cause, Currency, Leg, Money, Posting, Timestamp};

use super::view::{Parties, PaymentState, PaymentView, Undoing};
use crate::access::SignedIn;
use crate::fault::{Fault, FaultKind};
use crate::ids::is_id;
use crate::names::seen_account;
use crate::payments::view::people_seen;
use crate::service::Service;

/// Page of a list of payments, as it is asked for.
#[derive(Debug, Clone)]
pub struct PaymentSearch {
    /// The place of [`Service::payment_place`] from which to go on; none for the first page.
    pub before: Option<u64>,
    /// The most payments of the page.
    pub limit: usize,
    /// Conditions that a payment must meet.
    pub filter: PaymentFilter,
}

/// Conditions that a payment must meet to be in the list; of one of several movements, by one of them.
#[derive(Debug, Clone)]
pub struct PaymentFilter {
    /// Booked at this moment or later.
    pub from: Option<Timestamp>,
    /// Booked before this moment.
    pub until: Option<Timestamp>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// Minimum amount, in minor units.
    pub min_minor: i64,
    /// Maximum amount, in minor units.
    pub max_minor: i64,
    /// For this purpose.
    pub purpose: Option<Purpose>,
    /// In this state.
    pub state: Option<PaymentState>,
    /// Part of the text, in small letters.
    pub text: Option<String>,
}

/// A page of payments.
#[derive(Debug, Clone)]
pub struct PaymentPage {
    /// The newest first.
    pub payments: Vec<PaymentView>,
    /// Cursor of the next page; none where there is none.
    pub next: Option<String>,
}

impl PaymentFilter {
    /// Judges an event for a caller, `accounts` being those that a payment must be from or to.
    fn judge(
        &self,
        service: &Service,
        who: &SignedIn,
        accounts: &[AccountId],
        recorded: &Recorded,
    ) -> Result<Wanted, HistoryError> {
        let What::Payments(event) = &recorded.event.what else { return Ok(Wanted::No) };
        let Some((posting, purpose, said)) = event.as_posting() else { return Ok(Wanted::No) };
        // An event's time never runs backwards, and nothing is booked ahead of it; but what was brought in from another
        // bank is booked long before, so only the event's time tells that nothing older is wanted.
        if self.from.is_some_and(|from| recorded.at < from) {
            return Ok(Wanted::NothingOlder);
        }
        let booked_at = posting.booked_at();
        let in_time =
            self.from.is_none_or(|from| booked_at >= from) && self.until.is_none_or(|until| booked_at < until);
        let of_purpose = self.purpose.is_none_or(|wanted| wanted == purpose);
        if !in_time || !of_purpose || !posting.legs().iter().any(|booked| self.is_leg(accounts, &booked.leg)) {
            return Ok(Wanted::No);
        }
        if !self.is_in_state(service, recorded.number, posting)? {
            return Ok(Wanted::No);
        }
        let Some(wanted) = &self.text else { return Ok(Wanted::Yes) };
        let said = match posting.cause() {
            Cause::Capture { hold, .. } => service.engine().said_with(hold)?,
            Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => said,
        };
        if said.text.is_none() {
            return Ok(Wanted::No);
        }
        let people = service.engine().peek(|state| people_seen(state, who, &bank::accounts_of(posting)))?;
        let found =
            service.engine().open_said(&said, &people)?.text.is_some_and(|text| text.to_lowercase().contains(wanted));
        Ok(if found { Wanted::Yes } else { Wanted::No })
    }

    /// Returns `true` if a payment is in the state that is wanted by now.
    fn is_in_state(&self, service: &Service, event: u64, posting: &Posting) -> Result<bool, HistoryError> {
        let Some(wanted) = self.state else { return Ok(true) };
        let state = service.engine().peek(|state| Undoing::of(state, event).state(posting))?;
        Ok(state == wanted)
    }

    fn is_leg(&self, accounts: &[AccountId], leg: &Leg) -> bool {
        let Money { minor, currency } = leg.amount;
        self.currency.is_none_or(|wanted| wanted == currency)
            && (self.min_minor..=self.max_minor).contains(&minor)
            && accounts.iter().all(|account| leg.debit == *account || leg.credit == *account)
    }
}

/// The accounts whose payments are looked through, none where it is all of the bank's; and those that a payment must be
/// from or to.
fn accounts(
    state: &State,
    who: &SignedIn,
    account: Option<&str>,
    counterparty: Option<&str>,
) -> Result<(Option<Vec<AccountId>>, Vec<AccountId>), Fault> {
    let account = account.map(|iban| seen_account(state, who, iban));
    let account = account.transpose().map_err(|fault| fault.in_field("account"))?;
    let other = counterparty.map(|iban| {
        // No payment is from or to an account that isn't there.
        Ok(state.account_of_iban(iban)?.unwrap_or(AccountId(u32::MAX)))
    });
    let other = other.transpose().map_err(|fault: Fault| fault.in_field("counterparty"))?;
    let must = account.into_iter().chain(other).collect();
    if let Some(account) = account {
        return Ok((Some(vec![account]), must));
    }
    if who.sees_all() {
        return Ok((None, must));
    }
    let customer = who.customer.and_then(|customer| state.customer(customer));
    let own = customer.map(|customer| customer.accounts.clone()).unwrap_or_default();
    if own.len() > MAX_MERGED {
        return Err(Fault::of(FaultKind::AccountNotNamed).in_field("account"));
    }
    Ok((Some(own), must))
}

impl Service {
    /// Finds the place of a cursor in a list of payments. Any id of the right form may be sent; that it is of no page is
    /// found out with the bank's key.
    ///
    /// # Errors
    ///
    /// Fails in the field `cursor` if it is none.
    pub fn payment_place(&self, cursor: &str) -> Result<u64, Fault> {
        if !is_id(cursor) {
            return Err(Fault::field("cursor", "this is not the cursor of a list of payments"));
        }
        self.payment_ids().event(cursor).ok_or_else(|| Fault::of(FaultKind::UnknownCursor).in_field("cursor"))
    }

    /// Lists payments from or to an account and a counterparty, by their IBANs; those of the accounts on which the
    /// caller's customer has a right, where no account is named. Operators and auditors see all. A page may hold fewer
    /// payments than asked for and still have a next one, since each looks at a bounded number of them. What is wrong
    /// with the search is told once the accounts were found.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not see the account, has more accounts than are looked through at once, or if the engine
    /// can't answer.
    pub async fn payments(
        &self,
        token: TokenHash,
        account: Option<&str>,
        counterparty: Option<&str>,
        search: impl FnOnce() -> Result<PaymentSearch, Fault>,
    ) -> Result<PaymentPage, Fault> {
        let (who, (all, must)) = self.prepare(token, |state, who| accounts(state, who, account, counterparty))?;
        let PaymentSearch { before, limit, filter } = search()?;
        let wanted = filter.state;
        let judge = {
            let service = self.clone();
            move |recorded: &Recorded| filter.judge(&service, &who, &must, recorded)
        };
        let Listed { postings, before } = self.engine().postings(all, before, limit, judge).await?;
        let (parties, until) = self
            .read(token, |state, who| {
                let parties = postings.iter().map(|recorded| match &recorded.event.what {
                    What::Payments(PaymentEvent::Posted { posting, .. }) => {
                        (Parties::of(state, who, &bank::accounts_of(posting)), Undoing::of(state, recorded.number))
                    }
                    What::Payments(PaymentEvent::PaidAll { .. })
                    | What::System(_)
                    | What::Access(_)
                    | What::Accounts(_)
                    | What::Holds(_) => (Parties::of(state, who, &[]), Undoing::default()),
                });
                Ok((parties.collect::<Vec<_>>(), state.last_event()))
            })
            .await?;
        let next = before.map(|event| self.payment_ids().id(event));
        // Opening their texts may read many keys, so it is done beside the other requests.
        let service = self.clone();
        let shown = tokio::task::spawn_blocking(move || {
            let each = postings.iter().zip(parties);
            let payments = each.map(|(it, (parties, undoing))| {
                let undoing = undoing.found(service.engine(), it.number, until)?;
                service.payment_view(it.number, &it.event.what, &parties, &undoing)
            });
            // Its state may be another since it was judged.
            let is_wanted = |payment: &PaymentView| wanted.is_none_or(|wanted| payment.booking.state == wanted);
            let payments = payments.filter_map(Result::transpose);
            payments.filter(|payment| payment.as_ref().map_or(true, is_wanted)).collect::<Result<Vec<_>, Fault>>()
        });
        let payments = shown.await.map_err(|error| Fault::failed(&error))??;
        Ok(PaymentPage { payments, next })
    }
}
