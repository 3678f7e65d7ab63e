//! From a failing seed to the few commands that bring the fault about.
//!
//! The seed is run again, now remembering each command; that shows, too, that the failure replays. Then chunks of the
//! commands are left out, ever smaller ones, for as long as a fault of the same kind remains (Zeller and Hildebrandt,
//! "Simplifying and Isolating Failure-Inducing Input", 2002). A command names holds, payments and accounts by numbers
//! that the bank gave them, and these are others when commands before it are missing; so each name is translated to the
//! number that the same thing got this time. What was left out is called by a number that nothing has, and the command
//! is refused.

use std::collections::HashMap;
use std::fmt;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Command, CustomerId, HoldCommand,
    PaymentCommand, SystemCommand, UserId, What,
};
use ledger::{AccountId, HoldId, Leg, PostingId, Timestamp};

use crate::run::Act;
use crate::watched::Fault;
use crate::{Decide, Failure, Observed, Plan, Simulation, Watched};

/// A failure had again, and what is needed to bring it about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The failure as the seed gives it when it is run again.
    pub replayed: Failure,
    /// Number of acts that led to it.
    pub acts: usize,
    /// The few that are enough, with their names as the bank gives them when nothing else is asked.
    pub few: Vec<Act>,
    /// The fault that they lead to: of the same kind.
    pub fault: Fault,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} of {} acts are enough:", self.few.len(), self.acts)?;
        for (place, act) in (1..).zip(&self.few) {
            writeln!(out, "{place:>4}  {act:?}")?;
        }
        write!(out, "      {}", self.fault.what)
    }
}

/// Has a failing plan fail again, and looks for few commands that are enough for it. None where it doesn't fail.
#[must_use]
pub fn shrink(plan: Plan) -> Option<Shrunk> {
    let mut simulation = Simulation::recording(plan);
    let failed = (0..plan.steps).find_map(|_| simulation.step().err());
    let replayed = failed.or_else(|| simulation.compare().err())?;
    let acts = simulation.into_recorded();
    let told = tell(plan.decide, &acts);
    let all: Vec<usize> = (0..acts.len()).collect();
    let still_fails = |places: &[usize]| {
        let fault = play(plan.decide, &told, places).1?;
        (fault.rule == replayed.fault.rule).then_some(fault)
    };
    still_fails(&all)?;
    let few = fewest(all, |places| still_fails(places).is_some());
    let (few, fault) = play(plan.decide, &told, &few);
    Some(Shrunk { replayed, acts: acts.len(), few, fault: fault? })
}

/// Leaves out chunks, from half of all down to single ones, until no single one can be left out any more.
fn fewest(mut places: Vec<usize>, fails: impl Fn(&[usize]) -> bool) -> Vec<usize> {
    let mut chunk = places.len().div_ceil(2);
    while chunk > 0 {
        let before = places.len();
        let mut start = 0;
        while start < places.len() {
            let end = places.len().min(start + chunk);
            let without = [&places[..start], &places[end..]].concat();
            if fails(&without) {
                places = without;
            } else {
                start = end;
            }
        }
        // With single ones gone, others may have become needless.
        let again = chunk == 1 && places.len() < before;
        chunk = if again { 1 } else { chunk / 2 };
    }
    places
}

/// An act, and what the bank called the things that it made when it was first done.
struct Told<'a> {
    act: &'a Act,
    first_event: u64,
    made: Made,
}

/// The numbers of what an answer brought.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    events: u64,
    account: Option<AccountId>,
    customer: Option<CustomerId>,
    user: Option<UserId>,
}

impl Made {
    fn by(observed: &Observed) -> Self {
        let mut made = Self { events: u64::try_from(observed.events().len()).unwrap_or(0), ..Self::default() };
        for event in observed.events() {
            match &event.what {
                What::Access(event) => made.learn_access(event),
                What::Accounts(event) => made.learn_account(event),
                // These are called by the numbers of their events.
                What::System(_) | What::Payments(_) | What::Holds(_) => {}
            }
        }
        made
    }

    fn learn_access(&mut self, event: &AccessEvent) {
        match event {
            AccessEvent::CustomerAdded { id, .. } => self.customer = Some(*id),
            AccessEvent::UserAdded { id, .. } => self.user = Some(*id),
            AccessEvent::PasswordSet { .. }
            | AccessEvent::KeyDestroyed { .. }
            | AccessEvent::SessionOpened { .. }
            | AccessEvent::SessionClosed { .. }
            | AccessEvent::SignInFailed { .. }
            | AccessEvent::RightGranted { .. }
            | AccessEvent::RightRevoked { .. } => {}
        }
    }

    fn learn_account(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::AccountOpened { id, .. } => self.account = Some(*id),
            AccountEvent::AccountRenamed { .. }
            | AccountEvent::StatusSet { .. }
            | AccountEvent::OverdraftSet { .. } => {}
        }
    }
}

/// Does all acts once, for the names of what they make.
fn tell(decide: Decide, acts: &[Act]) -> Vec<Told<'_>> {
    let mut bank = Watched::new(decide);
    let done = acts.iter().map(|act| {
        let first_event = bank.state().last_event() + 1;
        // The last one fails, and makes nothing.
        let made = match act {
            Act::Ask(at, command) => bank.ask(*at, command.clone()).map(|observed| Made::by(&observed)),
            Act::Restart(how) => bank.restart(*how).map(|()| Made::default()),
            Act::Compare => bank.compare().map(|()| Made::default()),
        };
        Told { act, first_event, made: made.unwrap_or_default() }
    });
    done.collect()
}

/// Does some of the acts, and gives them as they were done, and the first fault.
fn play(decide: Decide, told: &[Told<'_>], places: &[usize]) -> (Vec<Act>, Option<Fault>) {
    let mut bank = Watched::new(decide);
    let mut names = Names::default();
    let mut done = Vec::with_capacity(places.len());
    for told in places.iter().map(|place| &told[*place]) {
        let act = match told.act {
            Act::Ask(at, command) => Act::Ask(*at, names.command(command)),
            Act::Restart(_) | Act::Compare => told.act.clone(),
        };
        let fault = match &act {
            Act::Ask(at, command) => ask(&mut bank, &mut names, told, *at, command.clone()).err(),
            Act::Restart(how) => bank.restart(*how).err(),
            Act::Compare => bank.compare().err(),
        };
        done.push(act);
        if fault.is_some() {
            return (done, fault);
        }
    }
    (done, None)
}

fn ask(bank: &mut Watched, names: &mut Names, told: &Told<'_>, at: Timestamp, command: Command) -> Result<(), Fault> {
    let observed = bank.ask(at, command)?;
    names.learn(told, observed.first_event, Made::by(&observed));
    Ok(())
}

/// New numbers of the things that had another at first.
#[derive(Debug, Default)]
struct Names {
    events: HashMap<u64, u64>,
    accounts: HashMap<AccountId, AccountId>,
    customers: HashMap<CustomerId, CustomerId>,
    users: HashMap<UserId, UserId>,
}

impl Names {
    fn learn(&mut self, told: &Told<'_>, first_event: u64, made: Made) {
        for place in 0..told.made.events.min(made.events) {
            self.events.insert(told.first_event + place, first_event + place);
        }
        self.accounts.extend(told.made.account.zip(made.account));
        self.customers.extend(told.made.customer.zip(made.customer));
        self.users.extend(told.made.user.zip(made.user));
    }

    fn event(&self, number: u64) -> u64 {
        self.events.get(&number).copied().unwrap_or(u64::MAX)
    }

    fn hold(&self, hold: HoldId) -> HoldId {
        HoldId::new(self.event(hold.event())).unwrap_or(hold)
    }

    fn posting(&self, posting: PostingId) -> PostingId {
        PostingId::new(self.event(posting.event())).unwrap_or(posting)
    }

    fn account(&self, account: AccountId) -> AccountId {
        self.accounts.get(&account).copied().unwrap_or(AccountId(u32::MAX))
    }

    fn customer(&self, customer: CustomerId) -> CustomerId {
        self.customers.get(&customer).copied().unwrap_or(CustomerId(u32::MAX))
    }

    fn user(&self, user: UserId) -> UserId {
        if user == UserId::SYSTEM { user } else { self.users.get(&user).copied().unwrap_or(UserId(u32::MAX)) }
    }

    fn leg(&self, leg: Leg) -> Leg {
        Leg { debit: self.account(leg.debit), credit: self.account(leg.credit), ..leg }
    }

    fn command(&self, command: &Command) -> Command {
        let caller = Caller { user: self.user(command.caller.user), ..command.caller };
        Command { origin: command.origin, caller, request: command.request, body: self.body(command.body.clone()) }
    }

    fn body(&self, mut body: Body) -> Body {
        match &mut body {
            Body::System(command) => match command {
                SystemCommand::Found { .. } | SystemCommand::SetTimeZone { .. } | SystemCommand::Unresolved(_) => {}
            },
            Body::Access(command) => self.rename_access(command),
            Body::Accounts(command) => self.rename_account(command),
            Body::Payments(command) => self.rename_payment(command),
            Body::Holds(command) => self.rename_hold(command),
        }
        body
    }

    fn rename_access(&self, command: &mut AccessCommand) {
        match command {
            AccessCommand::AddCustomer { .. } | AccessCommand::SignOut { .. } => {}
            AccessCommand::AddUser { customer, .. } => *customer = customer.map(|customer| self.customer(customer)),
            AccessCommand::SetPassword { user, .. }
            | AccessCommand::SignIn { user, .. }
            | AccessCommand::SignInFailed { user } => *user = self.user(*user),
            AccessCommand::Grant { customer, account, .. } | AccessCommand::Revoke { customer, account } => {
                (*customer, *account) = (self.customer(*customer), self.account(*account));
            }
        }
    }

    fn rename_account(&self, command: &mut AccountCommand) {
        match command {
            AccountCommand::OpenAccount(open) => open.owner = open.owner.map(|owner| self.customer(owner)),
            AccountCommand::SetStatus { account, .. }
            | AccountCommand::SetOverdraft { account, .. }
            | AccountCommand::Rename { account, .. } => *account = self.account(*account),
        }
    }

    fn rename_payment(&self, command: &mut PaymentCommand) {
        match command {
            PaymentCommand::Deposit { account, .. } | PaymentCommand::Withdraw { account, .. } => {
                *account = self.account(*account);
            }
            PaymentCommand::Pay(pay) => pay.legs.iter_mut().for_each(|leg| *leg = self.leg(*leg)),
            PaymentCommand::PayAll(payments) => {
                let legs = payments.iter_mut().flat_map(|pay| &mut pay.legs);
                legs.for_each(|leg| *leg = self.leg(*leg));
            }
            PaymentCommand::Book { leg, .. } => *leg = self.leg(*leg),
            PaymentCommand::Refund { of, .. } | PaymentCommand::Reverse { of, .. } => *of = self.posting(*of),
        }
    }

    fn rename_hold(&self, command: &mut HoldCommand) {
        match command {
            HoldCommand::PlaceHold { leg, .. } => *leg = self.leg(*leg),
            HoldCommand::Capture { hold, .. }
            | HoldCommand::Void { hold }
            | HoldCommand::Expire { hold }
            | HoldCommand::Extend { hold, .. } => *hold = self.hold(*hold),
        }
    }
}
