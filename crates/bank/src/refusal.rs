//! Every reason for which the bank refuses, and its name for ever.

ledger::refusals! {
    /// Reason for refusing a command. The bank's own reasons stand in order of precedence and come before the ledger's, but
    /// that the accounts, holds and legs a command names are looked up before anybody's right on them is.
    pub enum Refusal {
        /// The caller's session is over, or never was.
        NotSignedIn = "not-signed-in", NotSignedIn,
            "the token is none of an open session; sign in again",
            "Sign in again and repeat the request with the new token.";
        /// The caller's role does not allow this.
        NotAllowed = "not-allowed", NotAllowed,
            "your role does not allow this",
            "Ask somebody whose role allows it.";
        /// The key was used before, for another request.
        KeyReused = "key-reused", Conflict,
            "this idempotency key was used for another request; use a new key for a new request",
            "Use a new key for a new request; repeat a request under its own key unchanged.";
        /// The bank was founded before.
        AlreadyFounded = "already-founded", Conflict,
            "the bank is already founded",
            "A data folder holds one bank.";
        /// Nothing can be done before the bank is founded.
        NotFounded = "not-founded", NotReady,
            "the bank is not founded yet",
            "Make the bank with `kassa init`.";
        /// There is no such customer.
        UnknownCustomer = "unknown-customer", NotFound,
            "there is no such customer",
            "Check the customer's number.";
        /// There is no such user.
        UnknownUser = "unknown-user", NotFound,
            "there is no such user",
            "Check the user's number.";
        /// There is no such payment.
        UnknownPayment = "unknown-payment", NotFound,
            "there is no such payment",
            "Check the payment's id.";
        /// There is no such hold, open or closed.
        UnknownHold = "unknown-hold", NotFound,
            "there is no such hold",
            "Check the hold's id.";
        /// Another user has the name.
        NameTaken = "name-taken", Conflict,
            "another user has this name",
            "Choose another name.";
        /// A user with the role of a customer acts for a customer, and no other user does.
        RoleAndCustomerDisagree = "role-and-customer-disagree", Unmet,
            "a user with the role customer acts for a customer, and other users for none",
            "Give a customer for the role customer, and none for other roles.";
        /// Another account has the number, or it makes no account number of the bank's form.
        NumberTaken = "number-taken", Conflict,
            "this account number is taken, or none that this bank's accounts can have",
            "Choose another number, or none to get the next free one.";
        /// The currency has a cash account already, or the account can't be one.
        CashAccountTaken = "cash-account-taken", Conflict,
            "a currency has one cash account, of the kind asset",
            "Use the cash account that there is.";
        /// The account is the bank's own, by its kind or as the desk's cash: no customer moves its money.
        NotACustomersAccount = "not-a-customers-account", Unmet,
            "this account can only be the bank's own: customers have liabilities, or loans, which are assets",
            "Open an account of the kind liability, or for a loan one of the kind asset, for the customer.";
        /// A customer could move money out of the account without end.
        OverdraftWithoutLimit = "overdraft-without-limit", Unmet,
            "an account whose money a customer may move has a limit to its overdraft",
            "Give the account an overdraft that is an amount; 0 where nothing is lent.";
        /// The currency has no cash account to book against.
        NoCashAccount = "no-cash-account", Unmet,
            "the bank has no cash account in this currency",
            "Open an account of kind asset as cash account of the currency.";
        /// The hold would end later than the bank allows. Found out before there is a command.
        HoldTooLong = "hold-too-long", Unmet,
            "a hold ends within the days from now that the bank allows",
            "Give an earlier end; the hold can be given more time later.";
        /// No more customers, users or accounts can be numbered.
        NumbersExhausted = "numbers-exhausted", Unmet,
            "no more can be numbered",
            "The bank is full.";
        /// An account or a customer has as many rights as there may be.
        TooManyRights = "too-many-rights", Unmet,
            "an account or a customer has as many rights as there may be",
            "Revoke a right that is no longer needed.";
        /// The caller has no right on the account.
        NoRight = "no-right", NotAllowed,
            "you have no right on this account",
            "Check the account's number, or ask its owner for a right.";
        /// The caller may see the account, and not move its money.
        ReadOnlyRight = "read-only-right", NotAllowed,
            "your right on this account is to read it",
            "Ask the owner, or somebody with a right to sign.";
        /// Only an owner may do this.
        OwnersOnly = "owners-only", NotAllowed,
            "only an owner of the account may do this",
            "Ask the owner, or the bank.";
        /// The amount is above what the caller may move in one payment.
        AboveSignatoryLimit {
            /// The limit.
            limit: Money,
        } = "above-signatory-limit", NotAllowed,
            "you may move at most {limit} from this account in one payment",
            "Pay less, or ask the owner.";
        /// Customers pay to customers' accounts.
        NotAPayee = "not-a-payee", Unmet,
            "this account can't be paid to",
            "Check the payee's account number.";
        /// The bank books nothing from one customer to another.
        BetweenCustomers = "between-customers", Unmet,
            "the bank books nothing from one customer's account to another's",
            "Reverse the payment that was wrong, or have the customer order a new one.";
        /// Between a customer and the bank only its income and expenses are booked.
        NotIncomeOrExpense = "not-income-or-expense", Unmet,
            "to and from a customer's account the bank books its own income and expenses only",
            "Give an account of the bank's of kind income or expense. Cash goes over the desk, and a payment that was wrong is reversed.";
        /// The booking time lies in the future.
        BookedAhead = "booked-ahead", Unmet,
            "the booking time lies in the future",
            "Wait until the time has come, or give a value date.";
        /// The name is no time zone's.
        UnknownTimeZone = "unknown-time-zone", Unmet,
            "there is no time zone of this name",
            "Give a time zone by its name in the IANA database, such as Europe/Vienna.";
        /// The day from which another time zone is to hold has begun, here or there.
        DayHasBegun = "day-has-begun", Unmet,
            "the day has begun already, in the bank's time zone or in the new one",
            "Give a later day: what is over stays as it is.";
        /// From that day on the bank has this time zone already.
        SameTimeZone = "same-time-zone", Conflict,
            "the bank has this time zone from that day on already",
            "Nothing needs to be done; for another day or zone give those.";
        /// The bank has as many time zones as there may be.
        TooManyTimeZones = "too-many-time-zones", Unmet,
            "a bank has at most 64 time zones, those of the past included",
            "Leave the time zone as it is, or plan fewer changes.";
        /// A field is not as it must be. This and the next eight are found out before there is a command, and so outside of
        /// the order.
        InvalidRequest = "invalid-request", Malformed,
            "the request is not as it must be",
            "Mend the fields that `errors` names; /openapi.json describes them.";
        /// The text sent as an account's number is none.
        InvalidIban = "invalid-iban", Unmet,
            "this is not a valid IBAN",
            "Check the account number for a typing error.";
        /// The account's number belongs to another bank.
        OtherBank = "other-bank", Unmet,
            "this IBAN belongs to another bank",
            "Give an account of this bank.";
        /// The text sent as an amount is none.
        InvalidAmount = "invalid-amount", Unmet,
            "an amount is written as digits with a point before the decimals, like 12.50",
            "Write the amount as a string of digits with a point before the decimals.";
        /// The amount has more decimals than its currency.
        AmountTooPrecise = "amount-too-precise", Unmet,
            "the amount has more decimals than its currency",
            "Give at most as many decimals as the currency has. Nothing is ever rounded.";
        /// There is no such currency.
        UnknownCurrency = "unknown-currency", Unmet,
            "there is no such currency",
            "Give the three capital letters of a currency (ISO 4217), such as EUR.";
        /// An amount without its currency, or a currency without an amount.
        AmountIncomplete = "amount-incomplete", Unmet,
            "an amount is given with its currency, and a currency with an amount",
            "Give both, or none for the whole.";
        /// A limit for a right that has none.
        LimitNeedsSignatory = "limit-needs-signatory", Unmet,
            "only a signatory has a limit",
            "Leave the limit out, or give the right of a signatory.";
        /// The person under whose key a text would be sealed has been erased.
        PersonErased = "person-erased", Unmet,
            "the person to whom this would belong has been erased",
            "Leave the text out, or use another customer.";
        /// A line of a batch is not a payment.
        InvalidLine = "invalid-line", Unmet,
            "this line of the batch can't be read as a payment",
            "Mend the line, and send it as a payment of its own or in another batch.";
        /// More payments than can be made all or none.
        TooManyPayments = "too-many-payments", Unmet,
            "at most 1000 payments can be made all or none",
            "Make several batches of it, or one that is not all or none.";
        /// New accounts are had in currencies that are in use.
        CurrencyNotInUse = "currency-not-in-use", Unmet,
            "this currency is withdrawn, or one that nobody holds in hand: no new account can be had in it",
            "Give the currency that took its place, such as EUR for HRK; history in it can be imported.";
    }
    others: {
        /// The ledger's reason.
        Ledger(ledger::Refusal),
    }
}

impl Refusal {
    /// Gives every name, the ledger's after the bank's own, with what to do about it. Those that come with an amount are the
    /// last.
    pub fn names() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let all = || Self::ROWS.iter().chain(ledger::Refusal::ROWS);
        let has_amount = |slug: &str| Self::from_slug(slug, None).is_none();
        all().filter(move |(slug, _)| !has_amount(slug)).chain(all().filter(move |(slug, _)| has_amount(slug)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        let amount = ledger::Currency::from_code("EUR").map(|currency| ledger::Money { minor: 1, currency });
        let mut known = std::collections::HashSet::new();
        for (slug, meaning) in Refusal::names() {
            assert!(known.insert(slug), "{slug} is one refusal's");
            let refusal = Refusal::from_slug(slug, amount).expect(slug);
            assert_eq!(refusal.slug(), *slug);
            assert!(!meaning.is_empty());
            assert!(refusal.amount().is_none() || refusal.amount() == amount);
            let name = refusal.amount_name();
            assert_eq!(name.is_some(), refusal.amount().is_some());
            // Whoever adds another shows it: `Document` in `api/problem.rs`.
            assert!(name.is_none_or(|name| ["available", "limit", "remaining"].contains(&name)), "{name:?}");
        }
    }

    #[test]
    fn texts_say_the_numbers_that_hold() {
        assert!(Refusal::TooManyPayments.to_string().contains(&crate::MAX_PAYMENTS_AT_ONCE.to_string()));
        assert!(Refusal::TooManyTimeZones.to_string().contains(&crate::MAX_TIME_ZONES.to_string()));
        let legs = Refusal::from(ledger::Refusal::TooManyLegs);
        assert!(legs.to_string().contains(&ledger::MAX_LEGS.to_string()));
    }
}
