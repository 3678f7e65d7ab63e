//! The customers' commands, and what comes of them later: captures of what was held, refunds, corrections, and what is
//! sent a second time because the answer was lost.

use std::collections::BTreeMap;

use bank::{
    Body, Caller, Command, Decision, HoldCommand, HoldEvent, Pay, PaymentCommand, PaymentEvent, Request, Right, UserId,
    What,
};
use ledger::{AccountId, HoldId, Leg, Money, PostingId};
use smallvec::{SmallVec, smallvec};

use super::calendar::{Calendar, Day, STEPS_PER_DAY};
use super::desk::{Desk, Expected, Lesson, Question};
use super::people::{FEES, People, drawn};
use super::{Order, Stopped};
use crate::{Observed, Random};

/// An account with regular payments has so many in a year, at most: salary and rent each month, and a fee each quarter.
const REGULAR_PAYMENTS: u64 = 28;

/// Duration of a card's hold.
const HOLD_MS: i64 = 7 * 86_400_000;

/// Number of steps after an answer before anything follows from it: nobody captures what was held a moment ago.
const SOONEST: u64 = 2;

/// Account keeping, a quarter, in minor units.
const FEE: i64 = 450;

/// Fee of an instant payment, in minor units.
const INSTANT_FEE: i64 = 20;

pub(super) struct Traffic {
    random: Random,
    /// Source of what is drawn when answers come. They come at other moments than questions are made.
    afterwards: Random,
    seed: u64,
    step: u64,
    /// The accounts below this one have regular payments.
    regulars: u32,
    /// Number of payments that are not regular.
    free: u64,
    free_made: u64,
    made: u64,
    keys: u64,
    due: BTreeMap<u64, Vec<Due>>,
}

/// Something to be done at a later step.
enum Due {
    Capture {
        hold: HoldId,
        amount: Money,
        last: bool,
        payee: u32,
    },
    Void {
        hold: HoldId,
        payee: u32,
    },
    Refund {
        of: PostingId,
        amount: Money,
        payee: u32,
    },
    Reverse {
        of: PostingId,
    },
    SendAgain(Box<Observed>),
    /// A key again, for something else.
    ReuseKey(Box<Command>),
}

impl Traffic {
    pub(super) fn new(order: &Order, people: &People, calendar: &Calendar) -> Self {
        let regulars = u64::from(order.accounts).min(order.payments / REGULAR_PAYMENTS);
        let mut traffic = Self {
            random: Random::new(order.seed),
            afterwards: Random::new(order.seed ^ 0x4146_5445_5257_4152),
            seed: order.seed,
            step: 0,
            regulars: u32::try_from(regulars).unwrap_or(u32::MAX),
            free: 0,
            free_made: 0,
            made: 0,
            keys: 0,
            due: BTreeMap::new(),
        };
        let days = calendar.days().flat_map(|day| (0..STEPS_PER_DAY).map(move |part| (day, part)));
        let regular: u64 = days.map(|(day, part)| traffic.regular(people, day, part).count() as u64).sum();
        traffic.free = order.payments.saturating_sub(regular);
        traffic
    }

    /// Returns the number of payments asked for.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// All that is asked within a part of a day.
    pub(super) fn step(
        &mut self,
        desk: &mut Desk,
        people: &mut People,
        calendar: &Calendar,
        day: &Day,
        part: u32,
    ) -> Result<(), Stopped> {
        self.step += 1;
        self.learn(desk, people);
        for due in self.due.remove(&self.step).unwrap_or_default() {
            self.do_due(desk, people, due)?;
        }
        let regular: Vec<Regular> = self.regular(people, day, part).collect();
        for regular in regular {
            self.made += 1;
            self.pay_regularly(desk, people, regular)?;
        }
        let until = calendar.made_by(self.free, day, part);
        while self.free_made < until {
            self.free_made += 1;
            self.made += 1;
            self.pay_freely(desk, people)?;
        }
        Ok(())
    }

    // ---- Regular payments ----

    /// Salaries on the month's last day, rents on its first, fees on the first of each quarter.
    fn regular(&self, people: &People, day: &Day, part: u32) -> impl Iterator<Item = Regular> + use<> {
        let (firms, first_accounts) = (people.firms(), people.customers().min(self.regulars));
        let private = |account: &u32| !People::is_firm(account + 1);
        let firm_of = move |account: u32, question: u64| drawn(account, question) % firms;
        let salaried = (0..if day.ends_month && part == 1 { first_accounts } else { 0 })
            .filter(private)
            .filter(|account| account % 8 != 5)
            .map(move |account| Regular::Salary { account, firm: firm_of(account, 7) });
        let renting = (0..if day.of_month == 1 && part == 2 { first_accounts } else { 0 })
            .filter(private)
            .filter(|account| account % 5 < 2)
            .map(move |account| Regular::Rent { account, firm: firm_of(account, 8) });
        let quarter = day.of_month == 1 && day.month % 3 == 1 && part == 3;
        let charged = (0..if quarter { self.regulars } else { 0 }).map(|account| Regular::Fee { account });
        salaried.chain(renting).chain(charged)
    }

    fn pay_regularly(&mut self, desk: &mut Desk, people: &mut People, regular: Regular) -> Result<(), Stopped> {
        match regular {
            Regular::Salary { account, firm } => {
                let employer = people.account_of_firm(firm);
                let minor = 120_000 + i64::from(drawn(account, 9) % 180_000);
                let caller = people.caller(desk, people.owner(employer))?;
                let leg = leg(people, employer, People::id(account), minor);
                self.pay(desk, people, caller, smallvec![leg], Some("Salary"))
            }
            Regular::Rent { account, firm } => {
                let landlord = People::id(people.account_of_firm(firm));
                let minor = 55_000 + i64::from(drawn(account, 10) % 70_000);
                // A standing order, carried out by the bank.
                self.pay(desk, people, Caller::SYSTEM, smallvec![leg(people, account, landlord, minor)], Some("Rent"))
            }
            Regular::Fee { account } => {
                // Accounts in francs pay nothing, and the attempt is refused: nobody has thought of them.
                let leg = leg(people, account, FEES, FEE);
                self.pay(desk, people, Caller::SYSTEM, smallvec![leg], None)
            }
        }
    }

    // ---- Payments of every day ----

    fn pay_freely(&mut self, desk: &mut Desk, people: &mut People) -> Result<(), Stopped> {
        let account = self.private_account(people);
        match self.random.below(100) {
            0..=34 => self.pay_by_card(desk, people, account),
            35..=69 => {
                let minor = 500 + self.random.amount(14_000);
                let shop = self.shop(people);
                self.pay_to(desk, people, account, shop, minor, "Invoice")
            }
            70..=80 => {
                let (other, minor) = (self.private_account(people), 1_000 + self.random.amount(15_000));
                self.pay_to(desk, people, account, other, minor, "For the two of us")
            }
            81..=86 => self.save(desk, people),
            87..=92 => self.use_cash(desk, people, account),
            93..=95 => self.pay_instantly(desk, people, account),
            96 | 97 => self.pay_as_partner(desk, people, account),
            98 => self.pay_wrongly(desk, people, account),
            _ => {
                let (shop, minor) = (self.shop(people), 100_000 + self.random.amount(900_000));
                self.pay_to(desk, people, account, shop, minor, "A car, perhaps")
            }
        }
    }

    fn pay_to(
        &mut self,
        desk: &mut Desk,
        people: &mut People,
        from: u32,
        to: u32,
        minor: i64,
        text: &str,
    ) -> Result<(), Stopped> {
        let caller = people.caller(desk, people.owner(from))?;
        let text = self.random.once_in(4).then_some(text);
        self.pay(desk, people, caller, smallvec![leg(people, from, People::id(to), minor)], text)
    }

    fn pay_by_card(&mut self, desk: &mut Desk, people: &mut People, account: u32) -> Result<(), Stopped> {
        let (shop, minor) = (self.shop(people), 200 + self.random.amount(9_000));
        let caller = people.caller(desk, people.owner(account))?;
        let leg = leg(people, account, People::id(shop), minor);
        let body = Body::Holds(HoldCommand::PlaceHold {
            leg,
            expires_at: desk.now().plus_ms(HOLD_MS),
            text: None,
            metadata: None,
        });
        let request = self.new_request(desk, caller.user, leg);
        desk.ask(Question { lesson: Some(Lesson::Card), ..Question::new(caller, Some(request), body) })
    }

    /// From one's current account to one's savings, and back again.
    fn save(&mut self, desk: &mut Desk, people: &mut People) -> Result<(), Stopped> {
        let seconds = people.accounts() - people.customers();
        let savings = people.customers() + self.below(seconds);
        let current = people.owner(savings) - 1;
        let (from, to) = if self.random.once_in(3) { (savings, current) } else { (current, savings) };
        let minor = 1_000 + self.random.amount(40_000);
        self.pay_to(desk, people, from, to, minor, "Savings")
    }

    /// At the machine, and now and then at the desk.
    fn use_cash(&mut self, desk: &mut Desk, people: &People, account: u32) -> Result<(), Stopped> {
        let amount = people.money(account, 1_000 * (1 + self.random.amount(30)));
        let id = People::id(account);
        let bring = self.random.once_in(4);
        let leg = Leg { debit: id, credit: id, amount };
        let request = self.new_request(desk, UserId::SYSTEM, leg);
        let body = if bring {
            Body::Payments(PaymentCommand::Deposit { account: id, amount, text: None })
        } else {
            Body::Payments(PaymentCommand::Withdraw { account: id, amount, text: None })
        };
        desk.ask(Question::new(Caller::SYSTEM, Some(request), body))
    }

    /// Two legs: the payment and its fee, both or neither.
    fn pay_instantly(&mut self, desk: &mut Desk, people: &mut People, account: u32) -> Result<(), Stopped> {
        let (shop, minor) = (self.shop(people), 1_000 + self.random.amount(20_000));
        let caller = people.caller(desk, people.owner(account))?;
        let legs = smallvec![leg(people, account, People::id(shop), minor), leg(people, account, FEES, INSTANT_FEE)];
        self.pay(desk, people, caller, legs, None)
    }

    /// Somebody else who may use the account; some only up to an amount, and some only to read.
    fn pay_as_partner(&mut self, desk: &mut Desk, people: &mut People, account: u32) -> Result<(), Stopped> {
        let joint = (account..people.customers()).take(200).find_map(|account| {
            let (partner, right) = people.partner(account)?;
            Some((account, partner, right))
        });
        let Some((account, partner, right)) = joint else { return self.pay_by_card(desk, people, account) };
        // Whoever may only read knows that, and seldom tries.
        if right == Right::ReadOnly && !self.random.once_in(20) {
            return self.pay_by_card(desk, people, account);
        }
        let (shop, minor) = (self.shop(people), 500 + self.random.amount(12_000));
        let caller = people.caller(desk, partner)?;
        self.pay(desk, people, caller, smallvec![leg(people, account, People::id(shop), minor)], None)
    }

    fn pay_wrongly(&mut self, desk: &mut Desk, people: &mut People, account: u32) -> Result<(), Stopped> {
        let right = leg(people, account, People::id(self.shop(people)), 500 + self.random.amount(9_000));
        let wrong = match self.random.below(5) {
            0 => Leg { credit: AccountId(u32::MAX), ..right },
            1 => Leg { credit: right.debit, ..right },
            2 => Leg { amount: Money { minor: 0, ..right.amount }, ..right },
            // Somebody else's.
            3 => Leg { debit: People::id(self.private_account(people)), ..right },
            // To the bank's cash.
            _ => Leg { credit: AccountId(0), ..right },
        };
        let caller = people.caller(desk, people.owner(account))?;
        self.pay(desk, people, caller, smallvec![wrong], None)
    }

    fn private_account(&mut self, people: &People) -> u32 {
        let account = self.below(people.customers());
        if people.is_private(account) { account } else { account - 1 }
    }

    /// A firm's account; some firms are much better known than others.
    fn shop(&mut self, people: &People) -> u32 {
        let firm = self.below(people.firms()).min(self.below(people.firms()));
        people.account_of_firm(firm)
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.random.below(u64::from(end))).expect("it is below the end")
    }

    // ---- Sending ----

    fn pay(
        &mut self,
        desk: &mut Desk,
        people: &People,
        caller: Caller,
        legs: SmallVec<[Leg; 1]>,
        text: Option<&str>,
    ) -> Result<(), Stopped> {
        let request = self.new_request(desk, caller.user, legs[0]);
        let payer = People::account(legs[0].debit).map(|account| people.owner(account));
        let text = payer.zip(text).map(|(payer, text)| people.text(payer, text));
        let body = Body::Payments(PaymentCommand::Pay(Pay { text, ..Pay::of(legs) }));
        let question = Question::new(caller, Some(request), body);
        match self.random.below(4_000) {
            0..=11 => desk.ask(Question { lesson: Some(Lesson::GiveBack), ..question }),
            12 => desk.ask(Question { lesson: Some(Lesson::Undo), ..question }),
            13..=18 => desk.ask(Question { lesson: Some(Lesson::SendAgain), ..question }),
            // Pressed twice.
            19 | 20 => {
                let Command { caller, request, body, .. } = question.command.clone();
                desk.ask(question)?;
                desk.ask(Question { expected: Expected::SameAsBefore, ..Question::new(caller, request, body) })
            }
            _ => desk.ask(question),
        }
    }

    fn new_request(&mut self, desk: &Desk, user: UserId, leg: Leg) -> Request {
        self.keys += 1;
        let mut content = [0; 16];
        content[..4].copy_from_slice(&leg.debit.0.to_be_bytes());
        content[4..8].copy_from_slice(&leg.credit.0.to_be_bytes());
        content[8..].copy_from_slice(&leg.amount.minor.to_be_bytes());
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.seed.to_be_bytes());
        key[8..].copy_from_slice(&self.keys.to_be_bytes());
        desk.engine().request(user, &key, &content)
    }

    // ---- What follows from the answers ----

    fn learn(&mut self, desk: &mut Desk, people: &People) {
        for (lesson, observed) in desk.take_lessons() {
            match lesson {
                Lesson::Card => self.learn_card(people, &observed),
                Lesson::GiveBack => self.learn_refund(people, &observed),
                Lesson::Undo => self.learn_mistake(&observed),
                Lesson::SendAgain => self.learn_lost(observed),
            }
        }
    }

    fn later(&mut self, days: u64, due: Due) {
        let step = self.step + SOONEST + self.afterwards.below(days * u64::from(STEPS_PER_DAY));
        self.due.entry(step).or_default().push(due);
    }

    fn learn_card(&mut self, people: &People, observed: &Observed) {
        let [bank::Event { what: What::Holds(HoldEvent::HoldPlaced { hold: held, .. }), .. }] = observed.events()
        else {
            return;
        };
        let Some((hold, shop)) = HoldId::new(observed.first_event).zip(People::account(held.credit)) else { return };
        let payee = people.owner(shop);
        let part = Money { minor: 1 + self.afterwards.amount(held.amount.minor), ..held.amount };
        let capture = |amount, last| Due::Capture { hold, amount, last, payee };
        match self.afterwards.below(1_000) {
            0..=849 => self.later(4, capture(held.amount, true)),
            850..=899 => self.later(4, capture(part, true)),
            900..=929 => {
                self.later(2, capture(part, false));
                self.later(5, capture(part, true));
            }
            930..=969 => self.later(3, Due::Void { hold, payee }),
            // More than is held, and too late.
            970..=972 => self.later(2, capture(Money { minor: held.amount.minor + 1, ..part }, true)),
            973..=975 => {
                let step = self.step + 8 * u64::from(STEPS_PER_DAY);
                self.due.entry(step).or_default().push(capture(part, true));
            }
            _ => {}
        }
    }

    fn learn_refund(&mut self, people: &People, observed: &Observed) {
        let Some((of, leg)) = posted(observed) else { return };
        let Some(payee) = People::account(leg.credit).map(|account| people.owner(account)) else { return };
        let part = Money { minor: 1 + self.afterwards.amount(leg.amount.minor), ..leg.amount };
        let amount = if self.afterwards.once_in(2) { leg.amount } else { part };
        self.later(20, Due::Refund { of, amount, payee });
        if self.afterwards.once_in(5) {
            self.later(40, Due::Refund { of, amount: leg.amount, payee });
        }
        if self.afterwards.once_in(10) {
            self.later(40, Due::Reverse { of });
        }
    }

    fn learn_mistake(&mut self, observed: &Observed) {
        let Some((of, _)) = posted(observed) else { return };
        self.later(3, Due::Reverse { of });
        if self.afterwards.once_in(5) {
            self.later(6, Due::Reverse { of });
        }
    }

    fn learn_lost(&mut self, observed: Observed) {
        let due = if self.afterwards.once_in(4) {
            Due::ReuseKey(Box::new(observed.command))
        } else {
            Due::SendAgain(Box::new(observed))
        };
        let days = if self.afterwards.once_in(3) { 200 } else { 1 };
        self.later(days, due);
    }

    fn do_due(&mut self, desk: &mut Desk, people: &mut People, due: Due) -> Result<(), Stopped> {
        match due {
            Due::Capture { hold, amount, last, payee } => {
                let caller = people.caller(desk, payee)?;
                let request = self.new_request(desk, caller.user, Leg { debit: FEES, credit: FEES, amount });
                let lesson = self.random.once_in(400).then_some(Lesson::GiveBack);
                let capture = Body::Holds(HoldCommand::Capture { hold, amount, last });
                desk.ask(Question { lesson, ..Question::new(caller, Some(request), capture) })
            }
            Due::Void { hold, payee } => {
                let caller = people.caller(desk, payee)?;
                desk.ask(Question::new(caller, None, Body::Holds(HoldCommand::Void { hold })))
            }
            Due::Refund { of, amount, payee } => {
                let caller = people.caller(desk, payee)?;
                let request = self.new_request(desk, caller.user, Leg { debit: FEES, credit: FEES, amount });
                let refund = Body::Payments(PaymentCommand::Refund { of, leg: 0, amount, text: None });
                let past = desk.past(of)?;
                desk.ask(Question { past, ..Question::new(caller, Some(request), refund) })
            }
            Due::Reverse { of } => {
                let past = desk.past(of)?;
                desk.ask(Question {
                    past,
                    ..Question::of_system(Body::Payments(PaymentCommand::Reverse { of, text: None }))
                })
            }
            Due::SendAgain(first) => {
                let Command { caller, request, body, .. } = first.command.clone();
                desk.ask(Question { expected: Expected::Again(first), ..Question::new(caller, request, body) })
            }
            Due::ReuseKey(command) => {
                let Command { caller, request, body, .. } = *command;
                let other = request.map(|Request { key, fingerprint }| Request { key, fingerprint: !fingerprint });
                desk.ask(Question { expected: Expected::KeyReused, ..Question::new(caller, other, body) })
            }
        }
    }
}

/// A payment that is made again and again.
enum Regular {
    Salary { account: u32, firm: u32 },
    Rent { account: u32, firm: u32 },
    Fee { account: u32 },
}

fn leg(people: &People, from: u32, to: AccountId, minor: i64) -> Leg {
    Leg { debit: People::id(from), credit: to, amount: people.money(from, minor) }
}

/// The payment that an answer tells of, and its first leg.
fn posted(observed: &Observed) -> Option<(PostingId, Leg)> {
    let Decision::Accepted(events) = &observed.decision else { return None };
    let What::Payments(PaymentEvent::Posted { posting, .. }) = &events.first()?.what else { return None };
    PostingId::new(observed.first_event).zip(Some(posting.legs().first()?.leg))
}
