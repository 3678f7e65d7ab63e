//! Every reason for which the bank refuses, and its name for ever.

use ledger::Money;

/// Reason for refusing a command. The bank's own reasons stand in order of precedence and come before the ledger's, but
/// that the accounts, holds and legs a command names are looked up before anybody's right on them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller's session is over, or never was.
    #[error("the token is none of an open session; sign in again")]
    NotSignedIn,
    /// The caller's role does not allow this.
    #[error("your role does not allow this")]
    NotAllowed,
    /// The key was used before, for another request.
    #[error("this idempotency key was used for another request; use a new key for a new request")]
    KeyReused,
    /// The bank was founded before.
    #[error("the bank is already founded")]
    AlreadyFounded,
    /// Nothing can be done before the bank is founded.
    #[error("the bank is not founded yet")]
    NotFounded,
    /// There is no such customer.
    #[error("there is no such customer")]
    UnknownCustomer,
    /// There is no such user.
    #[error("there is no such user")]
    UnknownUser,
    /// There is no such payment.
    #[error("there is no such payment")]
    UnknownPayment,
    /// Another user has the name.
    #[error("another user has this name")]
    NameTaken,
    /// A user with the role of a customer acts for a customer, and no other user does.
    #[error("a user with the role customer acts for a customer, and other users for none")]
    RoleAndCustomerDisagree,
    /// Another account has the number, or it is too large to have an IBAN.
    #[error("this account number is taken, or too large for an IBAN of this bank")]
    NumberTaken,
    /// The currency has a cash account already, or the account can't be one.
    #[error("a currency has one cash account, of the kind asset")]
    CashAccountTaken,
    /// The account is the bank's own, by its kind or as the desk's cash: no customer moves its money.
    #[error("this account can only be the bank's own: customers have liabilities, or loans, which are assets")]
    NotACustomersAccount,
    /// A customer could move money out of the account without end.
    #[error("an account whose money a customer may move has a limit to its overdraft")]
    OverdraftWithoutLimit,
    /// The currency has no cash account to book against.
    #[error("the bank has no cash account in this currency")]
    NoCashAccount,
    /// No more customers, users or accounts can be numbered.
    #[error("no more can be numbered")]
    NumbersExhausted,
    /// An account or a customer has as many rights as there may be.
    #[error("an account or a customer has as many rights as there may be")]
    TooManyRights,
    /// The caller has no right on the account.
    #[error("you have no right on this account")]
    NoRight,
    /// The caller may see the account, and not move its money.
    #[error("your right on this account is to read it")]
    ReadOnlyRight,
    /// Only an owner may do this.
    #[error("only an owner of the account may do this")]
    OwnersOnly,
    /// The amount is above what the caller may move in one payment.
    #[error("you may move at most {limit} from this account in one payment")]
    AboveSignatoryLimit {
        /// The limit.
        limit: Money,
    },
    /// Customers pay to customers' accounts.
    #[error("this account can't be paid to")]
    NotAPayee,
    /// The bank books nothing from one customer to another.
    #[error("the bank books nothing from one customer's account to another's")]
    BetweenCustomers,
    /// Between a customer and the bank only its income and expenses are booked.
    #[error("to and from a customer's account the bank books its own income and expenses only")]
    NotIncomeOrExpense,
    /// The booking time lies in the future.
    #[error("the booking time lies in the future")]
    BookedAhead,
    /// A field is not as it must be. This and the next eight are found out before there is a command, and so outside of
    /// the order.
    #[error("the request is not as it must be")]
    InvalidRequest,
    /// The text sent as an account's number is none.
    #[error("this is not a valid IBAN")]
    InvalidIban,
    /// The account's number belongs to another bank.
    #[error("this IBAN belongs to another bank")]
    OtherBank,
    /// The text sent as an amount is none.
    #[error("an amount is written as digits with a point before the decimals, like 12.50")]
    InvalidAmount,
    /// The amount has more decimals than its currency.
    #[error("the amount has more decimals than its currency")]
    AmountTooPrecise,
    /// There is no such currency.
    #[error("there is no such currency")]
    UnknownCurrency,
    /// An amount without its currency, or a currency without an amount.
    #[error("an amount is given with its currency, and a currency with an amount")]
    AmountIncomplete,
    /// A limit for a right that has none.
    #[error("only a signatory has a limit")]
    LimitNeedsSignatory,
    /// The person under whose key a text would be sealed has been erased.
    #[error("the person to whom this would belong has been erased")]
    PersonErased,
    /// A line of a batch is not a payment.
    #[error("this line of the batch can't be read as a payment")]
    InvalidLine,
    /// More payments than can be made all or none.
    #[error("at most {} payments can be made all or none", crate::MAX_PAYMENTS_AT_ONCE)]
    TooManyPayments,
    /// New accounts are had in currencies that are in use.
    #[error("this currency is withdrawn, or one that nobody holds in hand: no new account can be had in it")]
    CurrencyNotInUse,
    /// The ledger's reason.
    #[error(transparent)]
    Ledger(#[from] ledger::Refusal),
}

/// Ties each refusal to its name and back, in one table. A name never changes: journals and clients keep it.
macro_rules! slugs {
    ($($slug:literal = $refusal:pat => $make:expr, $meaning:literal;)+ with amount: $($amount_slug:literal = $amount_refusal:pat => $amount_make:expr, $amount_meaning:literal;)+) => {
        impl Refusal {
            /// The refusal's name: stable, in kebab case.
            #[must_use]
            pub fn slug(&self) -> &'static str {
                match self {
                    $($refusal => $slug,)+
                    $($amount_refusal => $amount_slug,)+
                }
            }

            /// The refusal of a name, with the amount that some carry.
            #[must_use]
            pub fn from_slug(slug: &str, amount: Option<Money>) -> Option<Self> {
                match slug {
                    $($slug => Some($make),)+
                    $($amount_slug => amount.map($amount_make),)+
                    _ => None,
                }
            }

            /// Every name, with what to do about it.
            pub const SLUGS: &'static [(&'static str, &'static str)] =
                &[$(($slug, $meaning),)+ $(($amount_slug, $amount_meaning),)+];
        }
    };
}

use Refusal as R;
use ledger::Refusal as L;

slugs! {
    "not-signed-in" = R::NotSignedIn => R::NotSignedIn, "Sign in again and repeat the request with the new token.";
    "not-allowed" = R::NotAllowed => R::NotAllowed, "Ask somebody whose role allows it.";
    "key-reused" = R::KeyReused => R::KeyReused, "Use a new key for a new request; repeat a request under its own key unchanged.";
    "already-founded" = R::AlreadyFounded => R::AlreadyFounded, "A data folder holds one bank.";
    "not-founded" = R::NotFounded => R::NotFounded, "Make the bank with `kassa init`.";
    "unknown-customer" = R::UnknownCustomer => R::UnknownCustomer, "Check the customer's number.";
    "unknown-user" = R::UnknownUser => R::UnknownUser, "Check the user's number.";
    "unknown-payment" = R::UnknownPayment => R::UnknownPayment, "Check the payment's id.";
    "name-taken" = R::NameTaken => R::NameTaken, "Choose another name.";
    "role-and-customer-disagree" = R::RoleAndCustomerDisagree => R::RoleAndCustomerDisagree, "Give a customer for the role customer, and none for other roles.";
    "number-taken" = R::NumberTaken => R::NumberTaken, "Choose another number, or none to get the next free one.";
    "cash-account-taken" = R::CashAccountTaken => R::CashAccountTaken, "Use the cash account that there is.";
    "not-a-customers-account" = R::NotACustomersAccount => R::NotACustomersAccount, "Open an account of the kind liability, or for a loan one of the kind asset, for the customer.";
    "overdraft-without-limit" = R::OverdraftWithoutLimit => R::OverdraftWithoutLimit, "Give the account an overdraft that is an amount; 0 where nothing is lent.";
    "no-cash-account" = R::NoCashAccount => R::NoCashAccount, "Open an account of kind asset as cash account of the currency.";
    "numbers-exhausted" = R::NumbersExhausted => R::NumbersExhausted, "The bank is full.";
    "too-many-rights" = R::TooManyRights => R::TooManyRights, "Revoke a right that is no longer needed.";
    "no-right" = R::NoRight => R::NoRight, "Check the account's number, or ask its owner for a right.";
    "read-only-right" = R::ReadOnlyRight => R::ReadOnlyRight, "Ask the owner, or somebody with a right to sign.";
    "owners-only" = R::OwnersOnly => R::OwnersOnly, "Ask the owner, or the bank.";
    "not-a-payee" = R::NotAPayee => R::NotAPayee, "Check the payee's account number.";
    "between-customers" = R::BetweenCustomers => R::BetweenCustomers, "Reverse the payment that was wrong, or have the customer order a new one.";
    "not-income-or-expense" = R::NotIncomeOrExpense => R::NotIncomeOrExpense, "Give an account of the bank's of kind income or expense. Cash goes over the desk, and a payment that was wrong is reversed.";
    "booked-ahead" = R::BookedAhead => R::BookedAhead, "Wait until the time has come, or give a value date.";
    "invalid-request" = R::InvalidRequest => R::InvalidRequest, "Mend the fields that `errors` names; /openapi.json describes them.";
    "invalid-iban" = R::InvalidIban => R::InvalidIban, "Check the account number for a typing error.";
    "other-bank" = R::OtherBank => R::OtherBank, "Give an account of this bank.";
    "invalid-amount" = R::InvalidAmount => R::InvalidAmount, "Write the amount as a string of digits with a point before the decimals.";
    "amount-too-precise" = R::AmountTooPrecise => R::AmountTooPrecise, "Give at most as many decimals as the currency has. Nothing is ever rounded.";
    "unknown-currency" = R::UnknownCurrency => R::UnknownCurrency, "Give the three capital letters of a currency (ISO 4217), such as EUR.";
    "amount-incomplete" = R::AmountIncomplete => R::AmountIncomplete, "Give both, or none for the whole.";
    "limit-needs-signatory" = R::LimitNeedsSignatory => R::LimitNeedsSignatory, "Leave the limit out, or give the right of a signatory.";
    "person-erased" = R::PersonErased => R::PersonErased, "Leave the text out, or use another customer.";
    "invalid-line" = R::InvalidLine => R::InvalidLine, "Mend the line, and send it as a payment of its own or in another batch.";
    "too-many-payments" = R::TooManyPayments => R::TooManyPayments, "Make several batches of it, or one that is not all or none.";
    "currency-not-in-use" = R::CurrencyNotInUse => R::CurrencyNotInUse, "Give the currency that took its place, such as EUR for HRK; history in it can be imported.";
    "hold-not-open" = R::Ledger(L::HoldNotOpen) => L::HoldNotOpen.into(), "The hold was used up, voided or expired, or never placed. Look it up.";
    "hold-expired" = R::Ledger(L::HoldExpired) => L::HoldExpired.into(), "Place a new hold.";
    "hold-not-expired" = R::Ledger(L::HoldNotExpired) => L::HoldNotExpired.into(), "Void the hold, or wait.";
    "hold-not-longer" = R::Ledger(L::HoldNotLonger) => L::HoldNotLonger.into(), "Give a later time; to end a hold earlier, void it.";
    "not-undoable" = R::Ledger(L::NotUndoable) => L::NotUndoable.into(), "Make a new payment instead.";
    "already-reversed" = R::Ledger(L::AlreadyReversed) => L::AlreadyReversed.into(), "Nothing is left to undo.";
    "already-refunded" = R::Ledger(L::AlreadyRefunded) => L::AlreadyRefunded.into(), "Refund the rest instead.";
    "no-such-leg" = R::Ledger(L::NoSuchLeg) => L::NoSuchLeg.into(), "Look the payment up; its legs are numbered from 0.";
    "no-legs" = R::Ledger(L::NoLegs) => L::NoLegs.into(), "Give at least one leg.";
    "too-many-legs" = R::Ledger(L::TooManyLegs) => L::TooManyLegs.into(), "Make several payments of it.";
    "amount-not-positive" = R::Ledger(L::AmountNotPositive) => L::AmountNotPositive.into(), "Give an amount of more than zero; to move money back, exchange the accounts.";
    "unknown-account" = R::Ledger(L::UnknownAccount) => L::UnknownAccount.into(), "Check the account number.";
    "same-account" = R::Ledger(L::SameAccount) => L::SameAccount.into(), "Give two different accounts.";
    "currency-mismatch" = R::Ledger(L::CurrencyMismatch) => L::CurrencyMismatch.into(), "Give the amount in the currency of both accounts.";
    "account-closed" = R::Ledger(L::AccountClosed) => L::AccountClosed.into(), "Use another account.";
    "account-frozen" = R::Ledger(L::AccountFrozen) => L::AccountFrozen.into(), "Ask the bank why the account is frozen.";
    "booked-backwards" = R::Ledger(L::BookedBackwards) => L::BookedBackwards.into(), "Give a value date in the past instead of a booking time.";
    "balance-out-of-range" = R::Ledger(L::BalanceOutOfRange) => L::BalanceOutOfRange.into(), "Split the money among several accounts.";
    "account-not-empty" = R::Ledger(L::AccountNotEmpty) => L::AccountNotEmpty.into(), "Bring the balance to zero first.";
    "holds-open" = R::Ledger(L::HoldsOpen) => L::HoldsOpen.into(), "Capture or void the holds first.";
    "overdraft-in-use" = R::Ledger(L::OverdraftInUse) => L::OverdraftInUse.into(), "Choose a limit that covers what is used.";
    with amount:
    "above-signatory-limit" = R::AboveSignatoryLimit { .. } => |limit| R::AboveSignatoryLimit { limit }, "Pay less, or ask the owner.";
    "capture-exceeds-hold" = R::Ledger(L::CaptureExceedsHold { .. }) => |remaining| L::CaptureExceedsHold { remaining }.into(), "Capture at most what remains.";
    "refund-exceeds-payment" = R::Ledger(L::RefundExceedsPayment { .. }) => |remaining| L::RefundExceedsPayment { remaining }.into(), "Refund at most what remains.";
    "insufficient-funds" = R::Ledger(L::InsufficientFunds { .. }) => |available| L::InsufficientFunds { available }.into(), "Pay less, or bring money in first.";
}

impl Refusal {
    /// The amount that goes with the refusal: a limit, what remains, or what is available.
    #[must_use]
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "few carry one, and a test makes each refusal again from its amount"
    )]
    pub fn amount(&self) -> Option<Money> {
        match self {
            Self::AboveSignatoryLimit { limit } => Some(*limit),
            Self::Ledger(L::CaptureExceedsHold { remaining } | L::RefundExceedsPayment { remaining }) => {
                Some(*remaining)
            }
            Self::Ledger(L::InsufficientFunds { available }) => Some(*available),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        let amount = ledger::Currency::from_code("EUR").map(|currency| Money { minor: 1, currency });
        for (slug, meaning) in Refusal::SLUGS {
            let refusal = Refusal::from_slug(slug, amount).expect(slug);
            assert_eq!(refusal.slug(), *slug);
            assert!(!meaning.is_empty());
            assert!(refusal.amount().is_none() || refusal.amount() == amount);
        }
    }
}
