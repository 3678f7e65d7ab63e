//! The part of a plan that is to be booked, given what the bank holds: the rows that are new, the balances that
//! accounts begin with, and the overdrafts that their history needs.
//!
//! All that can be wrong is found here, before anything is booked or founded: what the bank would refuse is a mistake
//! with its line. What is left of a [`Booking`] is carried out in the order in which it stands.

use std::collections::BTreeMap;
use std::path::Path;

use bank::{CustomerId, MAX_ACCOUNTS_PER_CUSTOMER, MAX_RIGHTS_PER_ACCOUNT, Right};
use engine::Calendar;
use jiff::civil::Date;
use ledger::{Account, AccountId, Currency, Kind, Money, Overdraft, Status, Timestamp, ValueDate};

use super::books::{Books, Earlier, Known, Moved, Was};
use super::content::Content;
use super::history::{self, Found, Held, History, Room, Row, RowState};
use super::plan::{self, ContraKind, Plan, PlannedAccount, PlannedPosting, PlannedRight};
use super::reconcile::{BREAK_HUNDREDTHS, minor};
use super::run::ImportUser;
use super::{Mistake, Mistakes};
use crate::failure::Failure;

/// Work to be done.
pub(super) struct Booking {
    /// Customers, one for each of the plan's.
    pub(super) customers: Vec<Target<CustomerId>>,
    /// Accounts, one for each of the plan's.
    pub(super) accounts: Vec<Target<AccountId>>,
    /// Rights, one for each of the plan's.
    pub(super) rights: Vec<Target<()>>,
    /// The plan's contra accounts, and that of opening balances where one is needed.
    pub(super) contras: Vec<Contra>,
    /// Postings in the order in which they are to be booked.
    pub(super) entries: Vec<Entry>,
    pub(super) rooms: Vec<AccountRoom>,
    pub(super) breaks: Vec<AccountBreak>,
    /// Users, one for each that is asked for.
    pub(super) users: Vec<Target<()>>,
}

impl Booking {
    /// Counts the plan's rows, contra accounts and users that are there from earlier runs.
    pub(super) fn already_there(&self, plan: &Plan) -> usize {
        let new = self.entries.iter().filter(|entry| entry.posting.is_some()).count();
        count(&self.customers)
            + count(&self.accounts)
            + count(&self.rights)
            + count(&self.users)
            + self.contras.iter().take(plan.contras.len()).filter(|contra| contra.target.there.is_some()).count()
            + (plan.postings.len() - new)
    }
}

fn count<T>(targets: &[Target<T>]) -> usize {
    targets.iter().filter(|target| target.there.is_some()).count()
}

/// Something of the plan, by its idempotency key.
pub(super) struct Target<T> {
    pub(super) key: String,
    /// Its counterpart in the bank, made in an earlier run.
    pub(super) there: Option<T>,
}

/// An account of the bank's own.
pub(super) struct Contra {
    pub(super) target: Target<AccountId>,
    pub(super) name: String,
    pub(super) currency: Currency,
    pub(super) kind: Kind,
}

/// A posting to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Its place among the plan's postings; none for an opening balance.
    pub(super) posting: Option<usize>,
    /// The line of the row, or of the row that tells the opening balance.
    pub(super) line: u64,
    /// Index into the plan's accounts.
    pub(super) account: usize,
    /// Index into the booking's contra accounts.
    pub(super) contra: usize,
    /// Change of the account's balance, in minor units; not zero.
    pub(super) change_minor: i64,
    /// The account's posted balance after it.
    pub(super) balance_minor: i64,
    /// The source's date.
    pub(super) date: Date,
    /// `true` if it is booked now, and the date is only its value date.
    pub(super) late: bool,
}

/// The room that one account's history needs.
pub(super) struct AccountRoom {
    /// Index into the plan's accounts.
    pub(super) account: usize,
    pub(super) room: Room,
    pub(super) steps: Steps,
    /// Reason why it is left with this limit; none if that is the limit it had.
    pub(super) reason: Option<String>,
}

/// A break in one account's history.
pub(super) struct AccountBreak {
    /// Index into the plan's accounts.
    pub(super) account: usize,
    pub(super) found: history::Break,
}

/// Orders for an import beside its files.
pub(super) struct Orders<'a> {
    /// The map's path.
    pub(super) map: &'a Path,
    pub(super) users: &'a [ImportUser],
    pub(super) accept_breaks: bool,
    /// The bank's days.
    pub(super) calendar: &'a Calendar,
}

/// The key under which something of a source is asked for.
pub(super) fn key(plan: &Plan, of: &str) -> String {
    format!("import {} {of}", plan.source_name)
}

/// A right as the bank has it.
pub(super) fn right(right: plan::Right) -> Right {
    match right {
        plan::Right::Owner => Right::Owner,
        plan::Right::Signatory { limit_minor } => {
            Right::Signatory { limit_minor: limit_minor.and_then(|limit| i64::try_from(limit).ok()) }
        }
        plan::Right::ReadOnly => Right::ReadOnly,
    }
}

/// A kind as the ledger has it.
pub(super) fn kind(kind: ContraKind) -> Kind {
    match kind {
        ContraKind::Asset => Kind::Asset,
        ContraKind::Liability => Kind::Liability,
        ContraKind::Equity => Kind::Equity,
        ContraKind::Income => Kind::Income,
        ContraKind::Expense => Kind::Expense,
    }
}

/// A civil date as a value date.
pub(super) fn value_date(date: Date) -> ValueDate {
    let days = date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days());
    ValueDate(days)
}

/// A value date as a civil date.
pub(super) fn date(day: ValueDate) -> Result<Date, Failure> {
    let span = jiff::Span::new().try_days(i64::from(day.0)).map_err(|error| Failure::new(error.to_string()))?;
    Date::constant(1970, 1, 1).checked_add(span).map_err(|error| Failure::new(error.to_string()))
}

/// Looks at what the bank holds, and says what is to be booked; or else everything that is in the way.
pub(super) fn book(plan: &Plan, books: &Books<'_>, orders: &Orders<'_>) -> Result<Result<Booking, Mistakes>, Failure> {
    let mut survey = Survey { plan, books, orders, mistakes: Vec::new() };
    let customers = survey.customers()?;
    let accounts = survey.accounts()?;
    let rights = survey.rights(&customers, &accounts)?;
    let users = survey.users(&customers)?;
    let generations = survey.contras()?;
    let postings = survey.postings(&accounts, &generations)?;
    let mut booking = Booking {
        customers,
        accounts,
        rights,
        contras: Vec::new(),
        entries: Vec::new(),
        rooms: Vec::new(),
        breaks: Vec::new(),
        users,
    };
    survey.histories(&postings, &mut booking)?;
    survey.choose_contras(generations, &mut booking)?;
    let mistakes = survey.mistakes;
    Ok(Mistakes::unless_none(booking, mistakes))
}

/// The look at the bank, and the mistakes found so far.
struct Survey<'s> {
    plan: &'s Plan,
    books: &'s Books<'s>,
    orders: &'s Orders<'s>,
    mistakes: Vec<Mistake>,
}

/// The accounts that a contra account's name has become, the oldest first, and the key of the next.
///
/// The ledger books no entry before an account's last. So where one has entries younger than what is to be booked, as
/// after an earlier import of other accounts' rows, another of the same sort stands beside it; and so where somebody
/// froze one, closed it or gave it a limit.
struct Generations {
    name: String,
    currency: Currency,
    kind: Kind,
    there: Vec<(String, AccountId, Account)>,
    next: String,
}

/// The name of an account by its place among those of its sort, from zero.
fn numbered(name: String, place: usize) -> String {
    if place == 0 { name } else { format!("{name} ({})", place + 1) }
}

/// Facts that are known of a row of the postings.
struct FoundPosting {
    key: String,
    /// Earlier booking, if there is one.
    booked: Option<BookedBefore>,
}

/// Outcome of a row in an earlier run.
#[derive(Clone, Copy)]
struct BookedBefore {
    /// Balance of the account after it.
    balance_minor: i64,
    /// The number of its event.
    event: u64,
}

impl Survey<'_> {
    fn refuse(&mut self, file: &str, line: u64, reason: impl Into<String>) {
        self.mistakes.push(Mistake { file: file.to_owned(), line: Some(line), reason: reason.into() });
    }

    fn said_something_else(&mut self, file: &str, line: u64) {
        let reason = "this row was imported before and said something else then; a row's content can't change under its \
                      key";
        self.refuse(file, line, reason);
    }

    /// Returns `true` if what was done under a key, by whatever version, is what is asked for now.
    fn is_same(&self, earlier: &Earlier, content: Content<'_>) -> bool {
        let is = |form: &[u8]| self.books.fingerprint(form) == Some(earlier.fingerprint);
        is(&content.form()) || is(content.form_of_version_0().as_bytes())
    }

    /// An amount of an account, by its place in the plan.
    fn money(&self, account: usize, minor: i128) -> String {
        let minor = i64::try_from(minor).unwrap_or(if minor < 0 { i64::MIN } else { i64::MAX });
        Money { minor, currency: self.plan.accounts[account].known_currency() }.to_string()
    }

    fn customers(&mut self) -> Result<Vec<Target<CustomerId>>, Failure> {
        let found = self.books.find(self.plan.customers.iter().map(|row| key(self.plan, &row.key)))?;
        let mut targets = Vec::with_capacity(found.len());
        for (row, Known { key, earlier }) in self.plan.customers.iter().zip(found) {
            let there = earlier.and_then(|earlier| earlier.was.customer());
            if earlier.is_some_and(|earlier| !self.is_same(&earlier, Content::Customer(&row.name))) {
                self.said_something_else(&self.plan.files.customers, row.line);
            }
            targets.push(Target { key, there });
        }
        Ok(targets)
    }

    fn accounts(&mut self) -> Result<Vec<Target<AccountId>>, Failure> {
        let found = self.books.find(self.plan.accounts.iter().map(|row| key(self.plan, &row.key)))?;
        let mut targets = Vec::with_capacity(found.len());
        for (row, Known { key, earlier }) in self.plan.accounts.iter().zip(found) {
            let there = earlier.and_then(|earlier| earlier.was.account());
            let file = &self.plan.files.accounts;
            if earlier.is_some_and(|earlier| !self.is_same(&earlier, Content::Account(row))) {
                self.said_something_else(file, row.line);
            } else if there.is_none() && self.books.look(|state| state.account_numbered(row.number).is_some())? {
                let reason = format!("the bank has an account of the number {} already, from elsewhere", row.number);
                self.refuse(file, row.line, reason);
            }
            targets.push(Target { key, there });
        }
        Ok(targets)
    }

    fn rights(
        &mut self,
        customers: &[Target<CustomerId>],
        accounts: &[Target<AccountId>],
    ) -> Result<Vec<Target<()>>, Failure> {
        let found = self.books.find(self.plan.rights.iter().map(|row| key(self.plan, &row.key)))?;
        let mut targets = Vec::with_capacity(found.len());
        let (mut of_customer, mut of_account) = (BTreeMap::new(), BTreeMap::new());
        for (row, Known { key, earlier }) in self.plan.rights.iter().zip(found) {
            let (customer, account) = (customers[row.customer].there, accounts[row.account].there);
            if let Some(earlier) = earlier {
                let content = customer.zip(account).map(|(customer, account)| Content::Right(row, customer, account));
                if content.is_none_or(|content| !self.is_same(&earlier, content)) {
                    self.said_something_else(&self.plan.files.rights, row.line);
                }
            } else {
                self.check_limit(row, account)?;
                let (accounts_had, rights_had) = self.books.look(|state| {
                    let customer = customer.and_then(|customer| state.customer(customer));
                    let account = account.and_then(|account| state.account_info(account));
                    (customer.map_or(0, |known| known.accounts.len()), account.map_or(0, |info| info.rights.len()))
                })?;
                let accounts_of_customer: &mut usize = of_customer.entry(row.customer).or_insert(accounts_had);
                let rights_of_account: &mut usize = of_account.entry(row.account).or_insert(rights_had);
                *accounts_of_customer += 1;
                *rights_of_account += 1;
                if *accounts_of_customer > MAX_ACCOUNTS_PER_CUSTOMER {
                    let reason = format!("a customer can have rights on {MAX_ACCOUNTS_PER_CUSTOMER} accounts at most");
                    self.refuse(&self.plan.files.rights, row.line, reason);
                }
                if *rights_of_account > MAX_RIGHTS_PER_ACCOUNT {
                    let reason = format!("{MAX_RIGHTS_PER_ACCOUNT} customers at most can have a right on an account");
                    self.refuse(&self.plan.files.rights, row.line, reason);
                }
            }
            targets.push(Target { key, there: earlier.map(drop) });
        }
        Ok(targets)
    }

    /// A customer's account must have a limit, so the bank would refuse the right on one that has none.
    fn check_limit(&mut self, row: &PlannedRight, account: Option<AccountId>) -> Result<(), Failure> {
        let known = self.books.look(|state| account.and_then(|id| state.ledger().account(id).copied()))?;
        let has_none = known.is_some_and(|known| known.overdraft == Overdraft::Unlimited);
        if has_none && right(row.right).moves_money() {
            let reason = "the account has no overdraft limit in the bank; set one before customers get rights on it";
            self.refuse(&self.plan.files.rights, row.line, reason);
        }
        Ok(())
    }

    fn users(&mut self, customers: &[Target<CustomerId>]) -> Result<Vec<Target<()>>, Failure> {
        let found = self.books.find(self.orders.users.iter().map(|user| key(self.plan, &user_key(user))))?;
        let mut targets = Vec::with_capacity(found.len());
        for (user, Known { key, earlier }) in self.orders.users.iter().zip(found) {
            self.check_not_erased(user, customers)?;
            let index = self.books.name_index(&user.name);
            let is_taken = self.books.look(|state| index.is_some_and(|index| state.user_named(index).is_some()))?;
            if earlier.map_or(is_taken, |earlier| !self.is_same(&earlier, Content::User(&user.customer_key))) {
                let reason = "somebody else signs in by this name already".to_owned();
                self.mistakes.push(Mistake { file: format!("--user {}", user.given), line: None, reason });
            }
            targets.push(Target { key, there: earlier.map(drop) });
        }
        Ok(targets)
    }

    /// Nobody can sign in for a person who was erased.
    fn check_not_erased(&mut self, user: &ImportUser, customers: &[Target<CustomerId>]) -> Result<(), Failure> {
        let place = self.plan.customers.iter().position(|row| *row.key == *user.customer_key);
        let there = place.and_then(|place| customers[place].there);
        let subject = self.books.look(|state| there.and_then(|id| Some(state.customer(id)?.name.subject)))?;
        if subject.map_or(Ok(false), |subject| self.books.is_erased(subject))? {
            let reason = "the customer was erased in the bank".to_owned();
            self.mistakes.push(Mistake { file: format!("--user {}", user.given), line: None, reason });
        }
        Ok(())
    }

    /// Finds what the plan's contra accounts have become, and last the accounts of opening balances, one for each
    /// currency.
    fn contras(&mut self) -> Result<Vec<Generations>, Failure> {
        let plan = self.plan;
        let mut all = Vec::with_capacity(plan.contras.len() + 1);
        for contra in &plan.contras {
            all.push(self.generations(&contra.name, plan::known_currency(&contra.currency), kind(contra.kind))?);
        }
        for currency in plan.currencies() {
            all.push(self.generations(&plan.opening_account, currency, Kind::Equity)?);
        }
        Ok(all)
    }

    fn generations(&mut self, name: &str, currency: Currency, kind: Kind) -> Result<Generations, Failure> {
        let mut there = Vec::new();
        // Those of the source's own currency are told apart by their names alone.
        let is_own = currency == self.plan.known_currency();
        let named = if is_own { name.to_owned() } else { format!("{name} in {}", currency.code()) };
        for number in 1_u64.. {
            let part = if number == 1 { format!("contra:{named}") } else { format!("contra:{named} ({number})") };
            let Some(Known { key, earlier }) = self.books.find([key(self.plan, &part)])?.pop() else { break };
            let Some(id) = earlier.and_then(|earlier| earlier.was.account()) else {
                return Ok(Generations { name: name.to_owned(), currency, kind, there, next: key });
            };
            let Some(account) = self.books.look(|state| state.ledger().account(id).copied())? else { break };
            there.push((key, id, account));
        }
        Err(Failure::new(format!("the contra account {name:?} can't be found in the bank's books")))
    }

    /// Finds what became of the postings before. One that said something else is a mistake.
    fn postings(
        &mut self,
        accounts: &[Target<AccountId>],
        contras: &[Generations],
    ) -> Result<Vec<FoundPosting>, Failure> {
        let found = self.books.find(self.plan.postings.iter().map(|row| key(self.plan, &row.key)))?;
        let mut postings = Vec::with_capacity(found.len());
        for (row, Known { key, earlier }) in self.plan.postings.iter().zip(found) {
            let booked = earlier.and_then(|earlier| {
                let Was::Posted(moved) = earlier.was else { return None };
                let account = accounts[row.account].there?;
                let is_contra = |id| contras[row.contra].there.iter().any(|(_, contra, _)| *contra == id);
                let balance = balance_of(row, account, is_contra, moved)?;
                let content = Content::Posting(moved.debit, moved.credit, row.amount_minor, row);
                let booked = BookedBefore { balance_minor: balance, event: earlier.event };
                self.is_same(&earlier, content).then_some(booked)
            });
            if earlier.is_some() && booked.is_none() {
                self.said_something_else(&self.plan.files.postings, row.line);
            }
            postings.push(FoundPosting { key, booked });
        }
        Ok(postings)
    }

    /// Account by account: what is to be booked, with what room, and what is in the way.
    fn histories(&mut self, postings: &[FoundPosting], booking: &mut Booking) -> Result<(), Failure> {
        let mut of_accounts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, row) in self.plan.postings.iter().enumerate() {
            of_accounts.entry(row.account).or_default().push(place);
        }
        let began = self.began(&booking.accounts)?;
        let openings = self.books.find(self.plan.accounts.iter().map(|row| opening_key(self.plan, row)))?;
        self.check_others(&of_accounts, &began, &booking.accounts)?;
        let mut late = Vec::new();
        for (account, places) in of_accounts {
            let there = booking.accounts[account].there;
            let known = self.books.look(|state| there.and_then(|id| state.ledger().account(id).copied()))?;
            let began = began.get(&account);
            let left = began.and_then(|began| began.left);
            let rows = places.iter().map(|place| self.row(*place, &postings[*place], known, left));
            let rows: Vec<Row> = rows.collect();
            self.check_status(account, &rows, known);
            let held = known.map(|known| Held {
                has_entries: known.entries > 0,
                posted: known.posted_minor.into(),
                on_hold: known.held_minor.into(),
            });
            let opening = &openings[account];
            let opened = there.zip(left).and_then(|(id, left)| left.opened(opening, id));
            let said = self.plan.accounts[account].opening_minor.map(i128::from);
            let history = History::of(&rows, held, opened, said);
            let booked = there.and_then(|id| began_with(opening, id));
            self.check_opening(account, held, booked);
            self.check_breaks(account, &history, booking);
            let is_told = said.or(booked).is_some();
            self.room(account, &history, held, known.zip(there), (began, is_told), booking)?;
            late.extend(self.entries(account, &rows, &history, postings, &opening.key, booking));
        }
        // Accounts' entries come together, and are booked by date; of a day in the order of the plan, an opening balance
        // first.
        booking.entries.sort_by_key(|entry| (entry.date, entry.posting.is_some(), entry.posting));
        late.sort_by_key(|entry| entry.posting);
        booking.entries.extend(late);
        Ok(())
    }

    fn row(&self, place: usize, found: &FoundPosting, account: Option<Account>, left: Option<Left>) -> Row {
        let row = &self.plan.postings[place];
        let booked_at = self.orders.calendar.start_of(value_date(row.date));
        let is_late = account.is_some_and(|account| booked_at < account.last_booked_at);
        Row {
            posting: place,
            line: row.line,
            change: row.change_minor().into(),
            balance: row.source_balance_minor.map(i128::from),
            state: match found.booked {
                Some(booked) => RowState::Booked(booked.balance_minor.into()),
                None if is_late => RowState::Late,
                None => RowState::New,
            },
            is_of_this_import: found.booked.is_none_or(|booked| left.is_some_and(|left| booked.event > left.since)),
        }
    }

    /// Rows that the bank would refuse for what the account is, or has.
    fn check_status(&mut self, place: usize, rows: &[Row], account: Option<Account>) {
        let Some(account) = account else { return };
        let currency = self.plan.accounts[place].known_currency();
        let file = &self.plan.files.postings;
        let mut new = rows.iter().filter(|row| !matches!(row.state, RowState::Booked(_))).peekable();
        if let Some(first) = new.peek().filter(|_| account.currency != currency) {
            let reason = format!("the account is kept in {} in the bank, not in {currency}", account.currency);
            self.refuse(file, first.line, reason);
            return;
        }
        for row in new {
            let in_the_way = match account.status {
                Status::Open => None,
                Status::FrozenForDebits => (row.change < 0).then_some("is frozen for debits"),
                Status::Frozen => Some("is frozen"),
                Status::Closed => Some("is closed"),
            };
            if let Some(in_the_way) = in_the_way {
                self.refuse(file, row.line, format!("the account {in_the_way} in the bank, so nothing can be booked"));
            }
            if row.state == RowState::Late && !self.plan.late_is_booked_now {
                self.refuse(file, row.line, self.why_late(row, account));
            }
        }
    }

    fn why_late(&self, row: &Row, account: Account) -> String {
        let newest = date(self.orders.calendar.day_of(account.last_booked_at))
            .map_or_else(|_| "a later day".to_owned(), |day| day.to_string());
        format!(
            "is dated {}, but the account has entries up to {newest} in the bank, and none can be booked before those; to \
             book such rows today, with their own date as value date, write late = \"book-now\" under [postings] in the \
             map",
            self.plan.postings[row.posting].date
        )
    }

    /// Checks that what the map says an account began with is what was booked, once it has begun.
    fn check_opening(&mut self, account: usize, held: Option<Held>, booked: Option<i128>) {
        let Some(said) = self.plan.accounts[account].opening_minor.map(i128::from) else { return };
        if !held.is_some_and(|held| held.has_entries) || said == booked.unwrap_or(0) {
            return;
        }
        let began = booked.map_or("nothing".to_owned(), |booked| self.money(account, booked));
        let reason = format!(
            "`opening_balance` is {}, but in the bank the account began with {began}, and no balance can be booked before \
             its entries; import all its rows into a new bank, or have an operator book the difference and leave \
             `opening_balance` as it was",
            self.money(account, said)
        );
        self.refuse(&self.plan.files.accounts, self.plan.accounts[account].line, reason);
    }

    fn check_breaks(&mut self, account: usize, history: &History, booking: &mut Booking) {
        for found in &history.breaks {
            if !self.orders.accept_breaks {
                let (found_money, expected) = (self.money(account, found.found), self.money(account, found.expected));
                let reason = format!(
                    "the source's balance is {found_money}, but what is before it and this row's amount make {expected}; \
                     --accept-breaks books the row as it is"
                );
                self.refuse(&self.plan.files.postings, found.line, reason);
            }
            booking.breaks.push(AccountBreak { account, found: *found });
        }
    }

    /// The next change of each account's overdraft, which an earlier import may have begun.
    fn began(&self, accounts: &[Target<AccountId>]) -> Result<BTreeMap<usize, Began>, Failure> {
        let mut all = BTreeMap::new();
        let there = accounts.iter().enumerate().filter_map(|(place, target)| Some((place, target.there?)));
        let mut asked: Vec<(usize, AccountId, Option<Ended>)> = there.map(|(place, id)| (place, id, None)).collect();
        for number in 1_u64.. {
            let find = |step: &str| {
                let rows = asked.iter().map(|(place, _, _)| &self.plan.accounts[*place]);
                self.books.find(rows.map(|row| overdraft_key(self.plan, step, row, number)))
            };
            let found = find(BEFORE)?.into_iter().zip(find(MEANWHILE)?).zip(find(AFTER)?);
            let mut next = Vec::new();
            for ((place, id, ended), ((before, meanwhile), after)) in asked.into_iter().zip(found) {
                let now = self.books.look(|state| state.ledger().account(id).map(|account| account.overdraft))?;
                match Began::of(&before, &meanwhile, &after, now) {
                    Some(began) => drop(all.insert(place, Began { ended, ..began })),
                    None => next.push((place, id, self.ended(&before, &after, ended))),
                }
            }
            if next.is_empty() {
                break;
            }
            asked = next;
        }
        Ok(all)
    }

    /// Tells how a change of an overdraft ended, after the one that ended before it.
    fn ended(&self, before: &Known, after: &Known, earlier: Option<Ended>) -> Option<Ended> {
        let Some(limit) = overdraft_of(after) else { return earlier };
        let is_owed = after.earlier.is_some_and(|after| self.is_same(&after, Content::Overdraft(true)));
        let kept = overdraft_of(before).unwrap_or(Overdraft::Limited(0));
        let lasting = match earlier {
            _ if !is_owed => limit,
            Some(earlier) => earlier.lasting_of(kept),
            None => kept,
        };
        Some(Ended { limit, lasting })
    }

    /// Accounts that were left with the room of their history, and have no rows in this import to end that with.
    fn check_others(
        &mut self,
        of_accounts: &BTreeMap<usize, Vec<usize>>,
        began: &BTreeMap<usize, Began>,
        accounts: &[Target<AccountId>],
    ) -> Result<(), Failure> {
        let left = began.iter().filter(|(place, began)| began.left.is_some() && !of_accounts.contains_key(place));
        for (place, _) in left {
            let there = accounts[*place].there;
            let known = self.books.look(|state| there.and_then(|id| state.ledger().account(id).copied()))?;
            if known.is_some_and(|known| known.status != Status::Closed) {
                self.refuse_broken_off(*place);
            }
        }
        Ok(())
    }

    fn refuse_broken_off(&mut self, account: usize) {
        let reason = "an earlier import of this account's rows was broken off; run it again with the same files first, or \
                      set the account's overdraft";
        self.refuse(&self.plan.files.accounts, self.plan.accounts[account].line, reason);
    }

    fn room(
        &mut self,
        account: usize,
        history: &History,
        held: Option<Held>,
        there: Option<(Account, AccountId)>,
        (began, is_told): (Option<&Began>, bool),
        booking: &mut Booking,
    ) -> Result<(), Failure> {
        if there.is_some_and(|(known, _)| known.status == Status::Closed) {
            return Ok(());
        }
        let now = match there {
            Some((known, id)) => history::limit_that_counts(&known, self.books.look(|state| state.is_a_customers(id))?),
            None => Overdraft::Limited(0),
        };
        let left = began.and_then(|began| began.left);
        let before = left.map_or(now, |left| left.before);
        let lasting = began.and_then(|began| began.ended).map_or(before, |ended| ended.lasting_of(before));
        let Some(room) = history::room(history, held, Found { before, lasting, now }) else { return Ok(()) };
        if room.is_owed && Overdraft::Limited(room.after) > before {
            self.check_shown(account, history, held, is_told);
        }
        if let (Some(left), Some(needed)) = (left, room.meanwhile)
            && left.meanwhile < Overdraft::Limited(needed)
        {
            self.refuse_broken_off(account);
            return Ok(());
        }
        let had_none = there.is_some_and(|(known, _)| known.overdraft == Overdraft::Unlimited);
        let reason = match Overdraft::Limited(room.after) {
            same if same == before && had_none => Some("a customer's account has a limit, and it had none".to_owned()),
            same if same == before => None,
            after if after < before => Some(self.why_less(account, before)),
            _ => Some(self.why_limit(account, history, held)),
        };
        let first = || Steps::of(self.plan, &self.plan.accounts[account]);
        let steps = began.map_or_else(first, |began| began.steps.clone());
        booking.rooms.push(AccountRoom { account, room, steps, reason });
        Ok(())
    }

    /// An account that ends below zero needs a limit of as much. It may have been lent that only if what it began with is
    /// told, and the source doesn't say that it ends higher: by more than rounding explains.
    fn check_shown(&mut self, account: usize, history: &History, held: Option<Held>, is_told: bool) {
        if history.closing >= 0 {
            return;
        }
        let row = &self.plan.accounts[account];
        let key = row.key.strip_prefix("accounts:").unwrap_or(&row.key);
        let short = format!(
            "the account {key:?} would end {} {} below zero",
            self.money(account, -history.closing),
            row.currency
        );
        let reason = match (history.beyond_source(), history.source_closing) {
            (Some(beyond), Some(source)) => {
                if beyond <= i128::from(minor(BREAK_HUNDREDTHS, row.decimals)) {
                    return;
                }
                format!(
                    "{short}, but by the source's own balances it ends with {}: nobody lent it the difference. Mend the \
                     file or the map, or give what the account began with as `opening_balance`; in a bank that has the \
                     account, an operator can give it an overdraft",
                    self.money(account, source)
                )
            }
            _ if is_told => return,
            _ if held.is_some_and(|held| held.has_entries) => format!(
                "{short}, and nothing tells that it was overdrawn: the source gives no balances, and the map didn't say \
                 what it began with. Give opening_balance = \"0.00\" if it truly began with nothing; if not, import all \
                 its rows into a new bank with the `opening_balance` that it had, or have an operator book that"
            ),
            _ => format!(
                "{short}, and nothing tells what it began with: the source gives no balances. Give the balance before its \
                 first row as opening_balance = \"…\" (with [accounts], the column that has it), or \"0.00\" if it truly \
                 began with nothing and is overdrawn"
            ),
        };
        self.refuse(&self.plan.files.accounts, row.line, reason);
    }

    fn why_less(&self, account: usize, before: Overdraft) -> String {
        let Overdraft::Limited(limit) = before else { return "it had none".to_owned() };
        let limit = self.money(account, limit.into());
        format!("an import gave it {limit} for what it was below zero, and it ends higher now")
    }

    fn why_limit(&self, account: usize, history: &History, held: Option<Held>) -> String {
        let (least, granted) = history.limits(held);
        match history.low {
            Some(low) if granted >= least => {
                let [source, both] = [low.source, low.balance].map(|balance| self.money(account, balance));
                let shown = match low.line {
                    Some(line) => format!("the source shows a balance of {source} on line {line}"),
                    None => format!("by the source's balances it began with {source}"),
                };
                if low.source == low.balance { shown } else { format!("{shown}, of which the books bear out {both}") }
            }
            _ => format!("it ends {} below zero, and nothing more can be spent", self.money(account, least)),
        }
    }

    /// Adds the account's entries to the booking, and gives the late ones.
    fn entries(
        &mut self,
        account: usize,
        rows: &[Row],
        history: &History,
        postings: &[FoundPosting],
        opening_key: &str,
        booking: &mut Booking,
    ) -> Vec<Entry> {
        let plan = self.plan;
        let currency = plan.accounts[account].known_currency();
        let of_currency = match currency == plan.known_currency() {
            true => 0,
            false => plan.currencies().iter().position(|other| *other == currency).unwrap_or_default(),
        };
        let opening = history.opening.zip(rows.first()).map(|(change, first)| {
            let date = plan.postings[first.posting].date;
            (opening_key.to_owned(), None, first.line, plan.contras.len() + of_currency, change, change, date, false)
        });
        let rows = history.entries.iter().map(|(place, balance)| {
            let row = &rows[*place];
            let planned = &plan.postings[row.posting];
            let (key, late) = (postings[row.posting].key.clone(), row.state == RowState::Late);
            (key, Some(row.posting), row.line, planned.contra, row.change, *balance, planned.date, late)
        });
        let mut late_entries = Vec::new();
        for (key, posting, line, contra, change, balance, date, late) in opening.into_iter().chain(rows) {
            let (Ok(change_minor), Ok(balance_minor)) = (i64::try_from(change), i64::try_from(balance)) else {
                self.refuse(&plan.files.postings, line, "the balance would be larger than can be held");
                break;
            };
            let entry = Entry { key, posting, line, account, contra, change_minor, balance_minor, date, late };
            if late { late_entries.push(entry) } else { booking.entries.push(entry) }
        }
        late_entries
    }

    /// Takes for each contra account the first of its name that the entries can be booked against.
    fn choose_contras(&mut self, all: Vec<Generations>, booking: &mut Booking) -> Result<(), Failure> {
        let mut left_out = Vec::new();
        for (place, generations) in all.into_iter().enumerate() {
            let entries = || booking.entries.iter().filter(|entry| entry.contra == place);
            if place >= self.plan.contras.len() && entries().next().is_none() {
                left_out.push(place);
                continue;
            }
            let first =
                entries().find(|entry| !entry.late).map(|entry| self.orders.calendar.start_of(value_date(entry.date)));
            let turnover: i128 = entries().map(|entry| i128::from(entry.change_minor).abs()).sum();
            let line = entries().next().map(|entry| entry.line);
            let Generations { name, currency, kind, there, next } = generations;
            let fitting = there.iter().position(|(_, _, account)| {
                let fits = first.is_none_or(|first| first >= account.last_booked_at);
                let is_as_opened = account.status == Status::Open && account.overdraft == Overdraft::Unlimited;
                fits && is_as_opened && account.currency == currency
            });
            // Where nothing is to be booked against it, no other is needed.
            let chosen = fitting.or_else(|| there.len().checked_sub(1).filter(|_| line.is_none()));
            let of_another_kind = there.iter().find(|(_, _, account)| account.kind != kind);
            if let (Some((_, _, account)), Some(line)) = (of_another_kind, line) {
                let [was, is] = [account.kind, kind].map(|kind| format!("{kind:?}").to_lowercase());
                let reason = format!("the contra account {name:?} is of the kind {was} in the bank, not {is}");
                self.refuse(&self.plan.files.postings, line, reason);
            }
            let posted = chosen.map_or(0, |chosen| there[chosen].2.posted_minor);
            if let Some(line) = line.filter(|_| i64::try_from(turnover + i128::from(posted).abs()).is_err()) {
                let reason = format!("the balance of the contra account {name:?} would be larger than can be held");
                self.refuse(&self.plan.files.postings, line, reason);
            }
            let name = numbered(name, chosen.unwrap_or(there.len()));
            let target = match chosen {
                Some(chosen) => Target { key: there[chosen].0.clone(), there: Some(there[chosen].1) },
                None => Target { key: next, there: None },
            };
            booking.contras.push(Contra { target, name, currency, kind });
        }
        for entry in &mut booking.entries {
            entry.contra -= left_out.iter().filter(|place| **place < entry.contra).count();
        }
        self.check_contra_names(booking);
        Ok(())
    }

    /// The account of opening balances must not be one that the map's rules mean as well.
    fn check_contra_names(&mut self, booking: &Booking) {
        let opening = booking.contras.get(self.plan.contras.len());
        let shared =
            self.plan.contras.iter().find(|contra| opening.is_some() && contra.name == self.plan.opening_account);
        if let Some(shared) = shared {
            let reason = format!(
                "opening balances are booked against {:?}, which a contra rule names as well; give them an account of \
                 their own by opening_account under [postings]",
                shared.name
            );
            self.mistakes.push(Mistake { file: self.orders.map.display().to_string(), line: None, reason });
        }
    }
}

/// Overdraft as an import left it.
#[derive(Clone, Copy)]
struct Ended {
    limit: Overdraft,
    /// The limit without what it gave only because the account ended below zero.
    lasting: Overdraft,
}

impl Ended {
    /// Returns what lasts of a limit. One that is another than this import left is somebody else's, and lasts.
    fn lasting_of(self, limit: Overdraft) -> Overdraft {
        if limit == self.limit { self.lasting } else { limit }
    }
}

/// A change of an account's overdraft, as far as it came.
struct Began {
    steps: Steps,
    /// End of the change before it.
    ended: Option<Ended>,
    /// Room of its history, if the account was left with that.
    left: Option<Left>,
}

/// State in which an import that was broken off left an account: with the room of its history.
#[derive(Clone, Copy)]
struct Left {
    /// The overdraft before that.
    before: Overdraft,
    /// The wider one, which is still there.
    meanwhile: Overdraft,
    /// The number of the event with which the change began.
    since: u64,
}

impl Began {
    /// None if the change is over: it was ended, or somebody else set the overdraft since, who is not to be overruled. It
    /// can't be taken up again then, because what was done under a key is never done again.
    fn of(before: &Known, meanwhile: &Known, after: &Known, now: Option<Overdraft>) -> Option<Self> {
        let [was, wider, ended] = [before, meanwhile, after].map(overdraft_of);
        if ended.is_some() || wider.or(was).is_some_and(|last| Some(last) != now) {
            return None;
        }
        let since = before.earlier.map(|earlier| earlier.event);
        let left = was.zip(wider).zip(since);
        let left = left.map(|((before, meanwhile), since)| Left { before, meanwhile, since });
        let [before, meanwhile, after] = [before, meanwhile, after].map(|known| known.key.clone());
        Some(Self { steps: Steps { before, meanwhile, after }, ended: None, left })
    }
}

impl Left {
    /// The balance with which the account began, if it was booked in that import.
    fn opened(self, opening: &Known, account: AccountId) -> Option<i128> {
        opening.earlier.filter(|earlier| earlier.event > self.since)?;
        began_with(opening, account)
    }
}

/// The keys of the three steps of an account's overdraft.
#[derive(Clone)]
pub(super) struct Steps {
    /// Under which the limit is kept that it had.
    pub(super) before: String,
    pub(super) meanwhile: String,
    pub(super) after: String,
}

impl Steps {
    /// Returns the steps of an account's first change.
    fn of(plan: &Plan, row: &PlannedAccount) -> Self {
        let [before, meanwhile, after] = [BEFORE, MEANWHILE, AFTER].map(|step| overdraft_key(plan, step, row, 1));
        Self { before, meanwhile, after }
    }
}

const BEFORE: &str = "before";
const MEANWHILE: &str = "meanwhile";
const AFTER: &str = "after";

fn overdraft_key(plan: &Plan, step: &str, row: &PlannedAccount, number: u64) -> String {
    key(plan, &format!("overdraft {step} {number} {}", row.key))
}

fn opening_key(plan: &Plan, row: &PlannedAccount) -> String {
    key(plan, &format!("opening:{}", row.key))
}

/// The key of a user.
pub(super) fn user_key(user: &ImportUser) -> String {
    format!("user:{}", user.name)
}

fn overdraft_of(known: &Known) -> Option<Overdraft> {
    known.earlier?.was.overdraft()
}

/// The balance with which an account began, if an import booked one.
fn began_with(opening: &Known, account: AccountId) -> Option<i128> {
    let Was::Posted(moved) = opening.earlier?.was else { return None };
    let is_debit = moved.debit == account;
    Some(if is_debit { moved.debit_balance_minor } else { moved.credit_balance_minor }.into())
}

/// The account's balance after a posting, if that is between it and a contra account and goes the row's way.
fn balance_of(
    row: &PlannedPosting,
    account: AccountId,
    is_contra: impl Fn(AccountId) -> bool,
    moved: Moved,
) -> Option<i64> {
    let (own, other, balance) = match row.direction {
        plan::Direction::Credit => (moved.credit, moved.debit, moved.credit_balance_minor),
        plan::Direction::Debit => (moved.debit, moved.credit, moved.debit_balance_minor),
    };
    (own == account && is_contra(other)).then_some(balance)
}

/// The first moment of the oldest entry, so that no account's history begins before it. Late entries count only where
/// there are no others: they are booked now, but their currency may be one that only history can be had in.
pub(super) fn first_moment(booking: &Booking, calendar: &Calendar) -> Option<Timestamp> {
    let oldest = |late: bool| {
        let entries = booking.entries.iter().filter(move |entry| entry.late == late);
        entries.map(|entry| calendar.start_of(value_date(entry.date))).min()
    };
    oldest(false).or_else(|| oldest(true))
}
