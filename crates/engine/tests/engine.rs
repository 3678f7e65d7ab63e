//! The engine on real files: what it promises about answers, restarts, time, the past, and failure.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Category, Command, Copies, CustomerId,
    HoldCommand, HoldEvent, Numbering, OpenAccount, Origin, Pay, PaymentCommand, PaymentEvent, Plain, Purpose, Refusal,
    Right, Role, Said, Sealed, SubjectId, SystemCommand, SystemEvent, UserId, What,
};
use engine::{
    Clock, Deeds, Engine, Field, HistoryError, MAX_DEEDS, NewSubject, Options, Outcome, Receipt, Recorded, Spoken,
    Submission, Unavailable, Wanted, verify,
};
use journal::MasterKey;
use ledger::{AccountId, Currency, HoldId, Kind, Leg, Money, Overdraft, PostingId, Timestamp};
use tokio::task::JoinSet;

/// A clock that stands until a test moves it.
struct Hands {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicI64,
    /// Held by a test to keep the writer from going on.
    stopped: Mutex<()>,
}

impl Hands {
    /// Both times go on together, as they do on a machine in order.
    fn pass(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Only the wall clock is set.
    fn jump(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn wall_ms(&self) -> i64 {
        drop(self.stopped.lock());
        self.wall_ms.load(Ordering::SeqCst)
    }
    fn monotonic_ms(&self) -> i64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// A bank in a private folder, with a cash account, and two customers' accounts in EUR.
struct Bench {
    _folder: tempfile::TempDir,
    data: PathBuf,
    master: MasterKey,
    hands: Arc<Hands>,
    engine: Engine,
}

const CASH: AccountId = AccountId(0);
const ANNA: AccountId = AccountId(1);
const BEN: AccountId = AccountId(2);
const START_MS: i64 = 1_750_000_000_000;

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let data = folder.path().join("bank");
        let master = MasterKey::generate();
        let hands = Arc::new(Hands {
            wall_ms: AtomicI64::new(START_MS),
            monotonic_ms: AtomicI64::new(0),
            stopped: Mutex::new(()),
        });
        let engine = Engine::create(&data, &master, hands.clone()).expect("a new bank");
        let bench = Self { _folder: folder, data, master, hands, engine };
        let numbering = Numbering::new("AT", "99999").expect("a numbering");
        bench.accepted(Body::System(SystemCommand::Found { name: "Test Bank".into(), numbering, time_zone: None }));
        for (kind, cash) in [(Kind::Asset, true), (Kind::Liability, false), (Kind::Liability, false)] {
            let overdraft = if cash { Overdraft::Unlimited } else { Overdraft::Limited(0) };
            bench.open_account(kind, overdraft, cash);
        }
        bench
    }

    fn open_account(&self, kind: Kind, overdraft: Overdraft, cash: bool) -> AccountId {
        let (number, currency, name, owner, opened_at) = (None, euro(), None, None, None);
        let open = OpenAccount { number, currency, kind, overdraft, name, owner, cash, opened_at };
        match self.accepted(Body::Accounts(AccountCommand::OpenAccount(open))).what {
            What::Accounts(AccountEvent::AccountOpened { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    fn open(&self) -> AccountId {
        self.open_account(Kind::Liability, Overdraft::Limited(0), false)
    }

    fn submit(&self, submission: impl Into<Submission>) -> Result<Outcome, Unavailable> {
        self.engine.submit_blocking(submission)
    }

    fn accepted(&self, body: Body) -> Receipt {
        match self.submit(plain(body)) {
            Ok(Outcome::Accepted(receipt)) => receipt,
            other => panic!("expected to be accepted: {other:?}"),
        }
    }

    /// Moves cents from cash to Anna, or with a negative amount back.
    fn pay(&self, debit: AccountId, credit: AccountId, minor: i64) -> Receipt {
        self.accepted(payment(debit, credit, minor))
    }

    fn keyed(&self, key: &str, body: Body) -> Result<Outcome, Unavailable> {
        let request = self.engine.request(UserId::SYSTEM, key.as_bytes(), format!("{body:?}").as_bytes());
        self.submit(Command { origin: Origin::default(), caller: Caller::SYSTEM, request: Some(request), body })
    }

    fn posted(&self, account: AccountId) -> i64 {
        wait(self.engine.read(|state| state.ledger().account(account).map_or(0, |account| account.posted_minor)))
            .expect("the bank is open")
    }

    fn digest(&self) -> [u8; 32] {
        wait(self.engine.digest()).expect("the bank is open")
    }

    /// Stops the bank in order, has `meanwhile` happen to its folder, and opens it again.
    fn restart(self, meanwhile: impl FnOnce(&std::path::Path)) -> Self {
        self.engine.stop();
        let Self { _folder, data, master, hands, .. } = self;
        meanwhile(&data);
        let engine = Engine::open(&data, &master, Options::default(), hands.clone(), &mut |_| {}).expect("opens again");
        Self { _folder, data, master, hands, engine }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency")
}

fn plain(body: Body) -> Command {
    Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body }
}

fn payment(debit: AccountId, credit: AccountId, minor: i64) -> Body {
    let leg = Leg { debit, credit, amount: Money { minor, currency: euro() } };
    Body::Payments(PaymentCommand::Pay(Pay {
        legs: [leg].into(),
        purpose: Purpose::Payment,
        text: None,
        metadata: None,
        value_date: None,
        booked_at: None,
        end_to_end_id: None,
        copies: None,
    }))
}

#[test]
fn a_restart_finds_the_same_bank() {
    type Meanwhile = fn(&std::path::Path);
    let cases: [(&str, Meanwhile); 3] = [
        ("with its checkpoint", |_| {}),
        ("without it", |data| std::fs::remove_file(data.join("checkpoint.db")).expect("there is one")),
        ("with a damaged one", |data| {
            let path = data.join("checkpoint.db");
            let mut bytes = std::fs::read(&path).expect("there is one");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).expect("a damaged one");
        }),
    ];
    for (case, meanwhile) in cases {
        let bench = Bench::new();
        for cents in 1..=200 {
            bench.pay(CASH, ANNA, cents);
        }
        let hold = bench.accepted(Body::Holds(HoldCommand::PlaceHold {
            leg: Leg { debit: ANNA, credit: BEN, amount: Money { minor: 70, currency: euro() } },
            expires_at: Timestamp(START_MS + 3_600_000),
            text: None,
            metadata: None,
        }));
        assert_eq!(bench.keyed("a", payment(ANNA, BEN, 30)).map(is_accepted), Ok(true), "{case}");
        let before = bench.digest();
        let bench = bench.restart(meanwhile);
        // The start itself is an event, so compare what it leaves alone: a payment's effect, a hold, a key.
        assert_eq!(bench.posted(ANNA), (1..=200).sum::<i64>() - 30, "{case}");
        assert!(bench.engine.peek(|state| state.ledger().hold(HoldId::new(hold.event).unwrap()).is_some()).unwrap());
        let repeated = bench.keyed("a", payment(ANNA, BEN, 30));
        assert!(matches!(repeated, Ok(Outcome::Accepted(Receipt { repeated: true, .. }))), "{case}: {repeated:?}");
        assert_ne!(bench.digest(), before, "{case}: the start is an event");
        let entries = wait(bench.engine.entries(ANNA, None, 500)).expect("entries");
        assert_eq!(entries.len(), 201, "{case}");
        bench.engine.stop();
        let report = verify(&bench.data, &bench.master, &mut |_| {}).expect("can be checked");
        assert_eq!(report.problems, [], "{case}");
    }
}

fn refused(refusal: Refusal) -> Result<Outcome, Unavailable> {
    Ok(Outcome::Refused { refusal, place: None, repeated: false })
}

fn is_accepted(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Accepted(_))
}

#[test]
fn a_key_gives_its_first_outcome_for_ever() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    let Ok(Outcome::Accepted(first)) = bench.keyed("rent", payment(ANNA, BEN, 60)) else { panic!("accepted") };
    let too_much =
        Refusal::Ledger(ledger::Refusal::InsufficientFunds { available: Money { minor: 40, currency: euro() } });
    assert_eq!(bench.keyed("more", payment(ANNA, BEN, 60)), refused(too_much));
    bench.pay(CASH, ANNA, 1_000);
    let bench = bench.restart(|_| {});
    // Whatever has happened since: the same answer, and nothing moves.
    assert_eq!(bench.keyed("rent", payment(ANNA, BEN, 60)), Ok(Outcome::Accepted(Receipt { repeated: true, ..first })));
    let again = Outcome::Refused { refusal: too_much, place: None, repeated: true };
    assert_eq!(bench.keyed("more", payment(ANNA, BEN, 60)), Ok(again));
    assert_eq!(bench.keyed("rent", payment(ANNA, BEN, 61)), refused(Refusal::KeyReused));
    assert_eq!(bench.posted(BEN), 60);
    // Within one batch, too.
    let request = bench.engine.request(UserId::SYSTEM, b"twice", b"");
    let twice = Command {
        origin: Origin::default(),
        caller: Caller::SYSTEM,
        request: Some(request),
        body: payment(ANNA, BEN, 5),
    };
    let outcomes = wait(bench.engine.submit_batch(vec![twice.clone().into(), twice.into()])).expect("a batch");
    assert!(matches!(
        outcomes.as_slice(),
        [Ok(Outcome::Accepted(first)), Ok(Outcome::Accepted(second))]
            if !first.repeated && second.repeated && first.event == second.event
    ));
    assert_eq!(bench.posted(BEN), 65);
}

#[test]
fn the_past_can_be_read_from_any_point() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 1_000_000);
    let mut expected: Vec<(i64, i64, i64)> = vec![(START_MS, 1_000_000, 1_000_000)];
    for number in 1..=300_i64 {
        bench.hands.pass(1_000);
        let amount = if number % 3 == 0 { -number } else { number };
        let (debit, credit) = if amount < 0 { (ANNA, BEN) } else { (CASH, ANNA) };
        bench.pay(debit, credit, amount.abs());
        let balance = expected.last().map_or(0, |last| last.2) + amount;
        expected.push((START_MS + number * 1_000, amount, balance));
    }
    let bench = bench.restart(|_| {});
    let told = |entries: Vec<engine::HistoryEntry>| -> Vec<(i64, i64, i64)> {
        entries.iter().map(|entry| (entry.booked_at.0, entry.amount_minor, entry.balance_minor)).collect()
    };
    for before in [None, Some(1), Some(2), Some(63), Some(64), Some(65), Some(66), Some(200), Some(301), Some(9_999)] {
        for limit in [1, 10, 400] {
            let end = before.map_or(expected.len(), |before| expected.len().min(before - 1));
            let page: Vec<_> = expected[..end].iter().rev().take(limit).copied().collect();
            let before = before.map(|before| before as u64);
            assert_eq!(told(wait(bench.engine.entries(ANNA, before, limit)).unwrap()), page, "{before:?} {limit}");
        }
    }
    for at in [-1, 0, 999, 1_000, 64_500, 128_000, 299_999, 300_000, 999_999].map(|ms| START_MS + ms) {
        let balance = expected.iter().rev().find(|(booked, ..)| *booked <= at).map_or(0, |(_, _, balance)| *balance);
        assert_eq!(wait(bench.engine.balance_at(ANNA, Timestamp(at))), Ok(balance), "{at}");
    }
    for (from, until) in
        [(0, 1), (0, 400_000), (1_000, 64_000), (63_500, 129_500), (299_000, 400_000), (500_000, 600_000)]
    {
        let (from, until) = (START_MS + from, START_MS + until);
        let within: Vec<_> = expected.iter().filter(|(at, ..)| (from..until).contains(at)).copied().collect();
        let opening = expected.iter().rev().find(|(at, ..)| *at < from).map_or(0, |(_, _, balance)| *balance);
        let period = wait(bench.engine.period(ANNA, Timestamp(from), Timestamp(until))).unwrap();
        assert_eq!(period.opening_minor, opening);
        assert_eq!(period.closing_minor, within.last().map_or(opening, |(_, _, balance)| *balance));
        assert_eq!(told(period.entries), within, "{from} {until}");
    }
    assert_eq!(wait(bench.engine.balance_at(AccountId(99), Timestamp(0))), Err(HistoryError::UnknownAccount));
}

/// The one thread that may wait for the disk is kept busy: what needs it can't be ready yet, and the rest is.
#[test]
fn what_is_not_at_hand_is_read_on_another_thread() {
    let bench = Bench::new();
    let paid = bench.pay(CASH, ANNA, 1);
    let bench = bench.restart(|_| {});
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for is_at_hand in [false, true] {
            let (release, held) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || held.recv());
            let mut finding = Box::pin(bench.engine.find_event(paid.event));
            let first_look =
                std::future::poll_fn(|context| std::task::Poll::Ready(finding.as_mut().poll(context))).await;
            assert_eq!(first_look.is_ready(), is_at_hand);
            drop(release);
            let found = match first_look {
                std::task::Poll::Ready(found) => found,
                std::task::Poll::Pending => finding.await,
            };
            assert_eq!(found.expect("readable").map(|found| found.event.what), Some(paid.what.clone()));
            assert!(busy.await.expect("it ended").is_err(), "it was held to the end");
        }
    });
}

#[test]
fn a_posting_with_several_entries_in_one_account_is_walked_whole() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    let leg = |credit, minor| Leg { debit: ANNA, credit, amount: Money { minor, currency: euro() } };
    let legs = [leg(BEN, 10), leg(CASH, 20), leg(BEN, 30)].into_iter().collect();
    bench.accepted(Body::Payments(PaymentCommand::Pay(Pay {
        legs,
        purpose: Purpose::Payment,
        text: None,
        metadata: None,
        value_date: None,
        booked_at: None,
        end_to_end_id: None,
        copies: None,
    })));
    let balances = |account, before, limit| -> Vec<(u64, i64)> {
        let entries = wait(bench.engine.entries(account, before, limit)).expect("entries");
        entries.iter().map(|entry| (entry.ordinal, entry.balance_minor)).collect()
    };
    assert_eq!(balances(ANNA, None, 10), [(4, 40), (3, 70), (2, 90), (1, 100)]);
    assert_eq!(balances(ANNA, Some(4), 2), [(3, 70), (2, 90)]);
    assert_eq!(balances(BEN, None, 10), [(2, 40), (1, 10)]);
}

#[test]
fn a_refund_finds_its_payment_however_old() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    let paid = bench.pay(ANNA, BEN, 40);
    let bench = bench.restart(|_| {});
    let of = PostingId::new(paid.event).expect("an event's number");
    let past = bench.engine.past_posting(of).expect("readable").expect("it is a posting");
    let refund = |minor| Submission {
        command: plain(Body::Payments(PaymentCommand::Refund {
            of,
            leg: 0,
            amount: Money { minor, currency: euro() },
            text: None,
        })),
        subject: None,
        past: Some(Box::new(past.clone())),
        rivals: None,
    };
    assert_eq!(bench.submit(refund(25)).map(is_accepted), Ok(true));
    let remaining = Money { minor: 15, currency: euro() };
    let too_much = Refusal::Ledger(ledger::Refusal::RefundExceedsPayment { remaining });
    assert_eq!(bench.submit(refund(16)), refused(too_much));
    assert_eq!(bench.submit(Submission { past: None, ..refund(15) }), refused(Refusal::UnknownPayment));
    assert_eq!(bench.submit(refund(15)).map(is_accepted), Ok(true));
    assert_eq!((bench.posted(ANNA), bench.posted(BEN)), (100, 0));
    assert_eq!(bench.engine.past_posting(PostingId::new(1).unwrap()), Ok(None), "event 1 is no posting");
}

#[test]
fn an_expired_hold_is_released_without_being_asked() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    bench.accepted(Body::Holds(HoldCommand::PlaceHold {
        leg: Leg { debit: ANNA, credit: BEN, amount: Money { minor: 70, currency: euro() } },
        expires_at: Timestamp(START_MS + 5_000),
        text: None,
        metadata: None,
    }));
    let held = || bench.engine.peek(|state| state.ledger().hold_pages().len()).unwrap();
    assert_eq!(held(), 1);
    bench.hands.pass(5_000);
    let mut stream = bench.engine.subscribe(bench.engine.measures().unwrap().last_event + 1);
    let events = wait(stream.next()).expect("an event comes by itself");
    assert!(matches!(events[0].event.what, What::Holds(HoldEvent::HoldReleased { .. })), "{events:?}");
    assert_eq!(held(), 0);
    bench.pay(ANNA, BEN, 100);
}

#[test]
fn what_became_of_a_hold_and_a_payment_is_found_however_old() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 1_000);
    let eur = |minor| Money { minor, currency: euro() };
    let placed = bench.accepted(Body::Holds(HoldCommand::PlaceHold {
        leg: Leg { debit: ANNA, credit: BEN, amount: eur(300) },
        expires_at: Timestamp(START_MS + 5_000_000),
        text: None,
        metadata: None,
    }));
    let hold = HoldId::new(placed.event).expect("an event's number");
    let capture = |minor| Body::Holds(HoldCommand::Capture { hold, amount: eur(minor), last: false });
    // More captures than are told one by one.
    let captures: Vec<u64> = (0..MAX_DEEDS + 20).map(|_| bench.accepted(capture(1)).event).collect();
    let voided = bench.accepted(Body::Holds(HoldCommand::Void { hold })).event;
    let other = bench.pay(ANNA, BEN, 40).event;
    let whole = Deeds { first: captures[..MAX_DEEDS].to_vec(), last: Some(voided), count: 121 };
    let earlier = Deeds { first: captures[..2].to_vec(), last: Some(captures[1]), count: 2 };
    let check = |bench: &Bench| {
        assert_eq!(bench.engine.deeds_on(hold.event(), u64::MAX), Ok(whole.clone()));
        assert!(!whole.are_whole());
        assert_eq!(bench.engine.deeds_on(hold.event(), captures[1]), Ok(earlier.clone()), "as of an earlier event");
        assert_eq!(bench.engine.deeds_on(other, u64::MAX), Ok(Deeds::default()));
        let report = verify(&bench.data, &bench.master, &mut |_| {}).expect("readable");
        assert_eq!(report.problems, []);
    };
    check(&bench);
    let bench = bench.restart(|_| {});
    check(&bench);
    // From here on it is on disk: much else has come after it.
    pay_under_keys(&bench, 0..6_000);
    pay_under_keys(&bench, 6_000..10_500);
    let bench = bench.restart(|data| assert!(!files_of(&data.join("history")).is_empty(), "a run of the stop"));
    check(&bench);
    let bench = bench.restart(|data| std::fs::remove_dir_all(data.join("history")).expect("removed"));
    check(&bench);
}

#[test]
fn a_clock_that_jumps_stops_the_writing_until_confirmed() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    bench.hands.jump(3_600_000);
    assert_eq!(bench.submit(plain(payment(ANNA, BEN, 1))), Err(Unavailable::ClockJumped { by_ms: 3_600_000 }));
    assert_eq!(bench.posted(ANNA), 100, "reads go on");
    wait(bench.engine.confirm_clock()).expect("an operator may confirm");
    assert_eq!(bench.pay(ANNA, BEN, 1).at, Timestamp(START_MS + 3_600_000));
    // Set back a year: time stands still, and nothing is refused.
    bench.hands.jump(-365 * 24 * 3_600_000);
    assert_eq!(bench.pay(ANNA, BEN, 1).at, Timestamp(START_MS + 3_600_000));
    let bench = bench.restart(|_| {});
    assert_eq!(bench.pay(ANNA, BEN, 1).at, Timestamp(START_MS + 3_600_000));
}

#[test]
fn a_full_queue_says_busy_at_once() {
    let bench = Bench::new();
    let stopped = bench.hands.stopped.lock().expect("the clock can be stopped");
    let one = || -> Submission { plain(payment(CASH, ANNA, 1)).into() };
    let mut senders = Vec::new();
    // The writer takes some off the queue before it looks at the clock, and no more than a run.
    let busy = (0..=engine::MAX_QUEUED + engine::MAX_RUN_COMMANDS).find_map(|_| {
        let engine = bench.engine.clone();
        let mut sending = Box::pin(async move { engine.submit(one()).await });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match sending.as_mut().poll(&mut context) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => {
                senders.push(sending);
                None
            }
        }
    });
    assert_eq!(busy, Some(Err(Unavailable::Busy)));
    assert!(senders.len() >= engine::MAX_QUEUED);
    drop(stopped);
    let sent = senders.len() as i64;
    for sending in senders {
        assert_eq!(wait(sending).map(is_accepted), Ok(true));
    }
    assert_eq!(bench.posted(ANNA), sent, "each that was taken was carried out once");
}

#[test]
fn callers_on_several_runtimes_and_on_none_are_all_answered() {
    let bench = Bench::new();
    let one = || plain(payment(CASH, ANNA, 1));
    let many = async || {
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let engine = bench.engine.clone();
            callers.spawn(async move {
                for _ in 0..20 {
                    assert_eq!(engine.submit(one()).await.map(is_accepted), Ok(true));
                }
            });
        }
        callers.join_all().await;
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| wait(many()));
        }
        scope.spawn(|| {
            for _ in 0..100 {
                assert_eq!(bench.engine.submit_blocking(one()).map(is_accepted), Ok(true));
            }
        });
    });
    assert_eq!(bench.posted(ANNA), 3 * 20 * 20 + 100);
}

#[test]
fn a_runtime_that_has_ended_keeps_nobody_waiting() {
    let bench = Bench::new();
    let stopped = bench.hands.stopped.lock().expect("the clock can be stopped");
    let both = async |engine: &Engine| {
        let pay = || engine.submit(plain(payment(CASH, ANNA, 1)));
        tokio::join!(pay(), pay())
    };
    wait(async {
        let gone = tokio::time::timeout(Duration::from_millis(50), both(&bench.engine)).await;
        assert!(gone.is_err(), "nothing is decided while the clock stands still");
    });
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| wait(both(&bench.engine)));
        drop(stopped);
        let (first, second) = answered.join().expect("both are answered");
        assert_eq!([first, second].map(|answer| answer.map(is_accepted)), [Ok(true), Ok(true)]);
    });
    assert_eq!(bench.posted(ANNA), 4, "what was taken is carried out, whoever has gone");
}

#[test]
fn a_batch_has_a_largest_size() {
    let bench = Bench::new();
    let batch = |count| vec![Submission::from(plain(payment(CASH, ANNA, 1))); count];
    assert_eq!(wait(bench.engine.submit_batch(batch(engine::MAX_BATCH + 1))), Err(Unavailable::BatchTooLarge));
    let outcomes = wait(bench.engine.submit_batch(batch(engine::MAX_BATCH))).expect("a batch");
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok_and(is_accepted)));
    assert_eq!(wait(bench.engine.submit_batch(Vec::new())), Ok(Vec::new()));
}

#[test]
fn every_event_comes_once_and_in_order() {
    let bench = Bench::new();
    for _ in 0..500 {
        bench.pay(CASH, ANNA, 1);
    }
    let last = bench.engine.measures().unwrap().last_event;
    for from in [0, 1, 2, 100, last] {
        let mut stream = bench.engine.subscribe(from);
        let mut next = from.max(1);
        while next <= last {
            for recorded in wait(stream.next()).expect("events") {
                assert_eq!(recorded.number, next);
                next += 1;
            }
        }
        assert_eq!(next, last + 1);
    }
}

#[test]
fn personal_fields_open_until_their_key_is_gone() {
    let bench = Bench::new();
    let subject = NewSubject::generate();
    let name = subject.seal(Field::CustomerName, "Anna Příkopová");
    let submission = Submission {
        command: plain(Body::Access(AccessCommand::AddCustomer { name: name.clone() })),
        subject: Some(subject.clone()),
        past: None,
        rivals: None,
    };
    assert_eq!(bench.submit(submission).map(is_accepted), Ok(true));
    let bench = bench.restart(|_| {});
    assert_eq!(bench.engine.open_sealed(Field::CustomerName, &name), Ok(Some("Anna Příkopová".into())));
    assert_eq!(bench.engine.open_sealed(Field::Text, &name), Ok(None), "no field can be put in another's place");
    let more = bench.engine.seal(subject.id(), Field::Text, "rent").unwrap().expect("the key is there");
    assert_eq!(bench.engine.open_sealed(Field::Text, &more), Ok(Some("rent".into())));
    // Of somebody whose command was refused, no key is kept.
    let stranger = NewSubject::generate();
    let user = Body::Access(AccessCommand::AddUser {
        name_index: bench.engine.name_index("x"),
        name: stranger.seal(Field::UserName, "x"),
        password: stranger.seal(Field::Password, "x"),
        role: Role::Customer,
        customer: None,
    });
    let submission = Submission { command: plain(user), subject: Some(stranger.clone()), past: None, rivals: None };
    assert_eq!(bench.submit(submission), refused(Refusal::RoleAndCustomerDisagree));
    assert_eq!(bench.engine.seal(stranger.id(), Field::Text, "x"), Ok(None));
    // The text lies nowhere in the files.
    bench.engine.stop();
    for file in std::fs::read_dir(&bench.data).expect("a folder").flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        assert!(!bytes.windows(4).any(|window| window == b"Anna"), "{:?} tells the name", file.path());
    }
}

fn known(bench: &Bench, subject: &NewSubject) -> CustomerId {
    let name = subject.seal(Field::CustomerName, "somebody");
    let command = plain(Body::Access(AccessCommand::AddCustomer { name }));
    let submission = Submission { command, subject: Some(subject.clone()), past: None, rivals: None };
    match bench.submit(submission) {
        Ok(Outcome::Accepted(Receipt { what: What::Access(AccessEvent::CustomerAdded { id, .. }), .. })) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sealed_bytes_open_in_their_own_place_alone() {
    let bench = Bench::new();
    let (anna, ben) = (NewSubject::generate(), NewSubject::generate());
    known(&bench, &anna);
    known(&bench, &ben);
    let sealed = anna.seal(Field::Text, "rent");
    assert_eq!(sealed.category, Some(Category::Texts));
    let open = |field, sealed: &Sealed| bench.engine.open_sealed(field, sealed).expect("the bank is open");
    assert_eq!(open(Field::Text, &sealed), Some("rent".into()));
    for field in [Field::Metadata, Field::EndToEndId, Field::Copy, Field::AccountName] {
        assert_eq!(open(field, &sealed), None, "{field:?}");
    }
    assert_eq!(open(Field::Text, &Sealed { subject: ben.id(), ..sealed.clone() }), None);
    assert_eq!(open(Field::Text, &Sealed { subject: SubjectId::BANK, ..sealed.clone() }), None);
    for category in [None, Some(Category::Identity), Some(Category::Contact)] {
        assert_eq!(open(Field::Text, &Sealed { category, ..sealed.clone() }), None, "{category:?}");
    }
    let mut damaged = sealed.clone();
    damaged.bytes[14] ^= 1;
    assert_eq!(open(Field::Text, &damaged), None);
    // What is sealed for a person that the bank knows is of the same category as what was sealed before.
    let again = bench.engine.seal(anna.id(), Field::Password, "hash").expect("open").expect("a key");
    assert_eq!((again.category, open(Field::Password, &again)), (Some(Category::Identity), Some("hash".into())));
    assert_eq!(bench.engine.seal_as_bank(Field::AccountName, "Cash").category, None);
}

#[test]
fn what_is_said_is_sealed_once_for_each_reader() {
    let bench = Bench::new();
    let people: Vec<NewSubject> = (0..3).map(|_| NewSubject::generate()).collect();
    let customers: Vec<CustomerId> = people.iter().map(|person| known(&bench, person)).collect();
    // Anna's account is hers and her husband's; Ben's is his own; the cash is the bank's.
    for (place, account) in [(0, ANNA), (1, ANNA), (2, BEN)] {
        let (customer, right) = (customers[place], Right::Owner);
        bench.accepted(Body::Access(AccessCommand::Grant { customer, account, right }));
    }
    let plain = Plain { text: Some("Lunch"), end_to_end_id: Some("E2E-1") };
    let seal = |writer, other, plain| {
        let readers = bench.engine.peek(|state| state.readers(writer, [other])).expect("the bank is open");
        bench.engine.seal_said(&readers, plain).expect("the bank is open").expect("somebody has a key")
    };
    let readers_of = |said: &Said| -> Vec<SubjectId> {
        let own = said.text.iter().chain(&said.end_to_end_id).map(|own| own.subject);
        own.chain(said.copies.iter().flat_map(|copies| copies.all()).map(|copy| copy.subject)).collect()
    };
    let [anna, husband, ben] = [0, 1, 2].map(|place: usize| people[place].id());
    let said = seal(ANNA, BEN, plain);
    assert_eq!(readers_of(&said), [anna, anna, husband, ben]);
    // Each copy says all.
    let all = Spoken { text: Some("Lunch".into()), end_to_end_id: Some("E2E-1".into()) };
    let open = |said: &Said, people: &[SubjectId]| bench.engine.open_said(said, people).expect("the bank is open");
    for people in [&[anna][..], &[husband], &[ben], &[], &[SubjectId(9)], &[anna, ben]] {
        assert_eq!(open(&said, people), all, "{people:?}");
    }
    // A text alone, an id alone, and nothing at all.
    let text = Plain { text: Some("Lunch"), end_to_end_id: None };
    let said = seal(BEN, ANNA, text);
    assert_eq!(readers_of(&said), [ben, anna, husband]);
    assert_eq!(open(&said, &[anna]), Spoken { text: Some("Lunch".into()), end_to_end_id: None });
    let said = seal(BEN, ANNA, Plain { text: None, end_to_end_id: Some("E2E-1") });
    assert_eq!(open(&said, &[husband]), Spoken { text: None, end_to_end_id: Some("E2E-1".into()) });
    assert_eq!(seal(ANNA, BEN, Plain::default()), Said::default());
    // Nothing for the bank, which reads what is there, nor for oneself.
    assert_eq!(readers_of(&seal(BEN, CASH, text)), [ben]);
    assert_eq!(readers_of(&seal(BEN, BEN, text)), [ben]);
    assert_eq!(readers_of(&seal(CASH, BEN, text)), [SubjectId::BANK, ben]);
    assert!(seal(BEN, CASH, text).copies.is_none());
    // Copies in another's place say nothing.
    let mut swapped = seal(ANNA, BEN, text);
    let copies = swapped.copies.take().expect("copies").all().to_vec();
    let [mut first, mut second] = <[Sealed; 2]>::try_from(copies).expect("two");
    std::mem::swap(&mut first.bytes, &mut second.bytes);
    swapped.copies = Copies::of(vec![first, second]);
    assert_eq!(open(&swapped, &[ben]), Spoken::default());
    assert_eq!(open(&swapped, &[anna]).text, Some("Lunch".into()));
    bench.engine.stop();
}

#[test]
fn after_a_failed_append_nothing_is_answered() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    // Somebody else writes into the journal: this writer is stale from here on.
    let other = rusqlite::Connection::open(bench.data.join("journal.db")).expect("the file");
    other
        .execute("DELETE FROM frames WHERE first_event = (SELECT max(first_event) FROM frames)", [])
        .expect("a frame less");
    let refused = bench.submit(plain(payment(ANNA, BEN, 1)));
    assert!(matches!(refused, Err(Unavailable::Failed(_))), "{refused:?}");
    assert!(matches!(wait(bench.engine.failed()), Unavailable::Failed(_)));
    assert!(matches!(wait(bench.engine.read(bank::State::last_event)), Err(Unavailable::Failed(_))));
    assert!(matches!(bench.submit(plain(payment(ANNA, BEN, 1))), Err(Unavailable::Failed(_))));
    bench.engine.stop();
    let lost = Engine::open(&bench.data, &bench.master, Options::default(), bench.hands.clone(), &mut |_| {});
    assert!(lost.is_err(), "what was durable is missing, and that is noticed");
}

#[test]
fn what_was_read_is_told_once_it_is_durable_and_never_if_it_is_lost() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    let posted = || bench.engine.peek(|state| state.ledger().account(ANNA).map_or(0, |account| account.posted_minor));
    let look = || bench.engine.read(|state| state.ledger().account(ANNA).map_or(0, |account| account.posted_minor));
    // While somebody else holds the journal's lock, what is decided can be seen and is not durable.
    let other = rusqlite::Connection::open(bench.data.join("journal.db")).expect("the file");
    let while_it_waits = |instead: &str, minor| {
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        std::thread::scope(|scope| {
            let paying = scope.spawn(|| bench.submit(plain(payment(ANNA, BEN, 1))));
            while posted() != Ok(minor) {
                std::thread::yield_now();
            }
            let readers =
                [(); 2].map(|()| scope.spawn(|| wait(async { <[_; 2]>::from(tokio::join!(look(), look())) })));
            std::thread::sleep(Duration::from_millis(100));
            assert!(readers.iter().all(|reader| !reader.is_finished()), "told before it was durable");
            other.execute_batch(instead).expect("done");
            let told = readers.map(|reader| reader.join().expect("told"));
            (paying.join().expect("answered").map(is_accepted), told.concat())
        })
    };
    assert_eq!(while_it_waits("ROLLBACK", 99), (Ok(true), vec![Ok(99); 4]));
    let lost = "DELETE FROM frames WHERE first_event = (SELECT max(first_event) FROM frames); COMMIT";
    let (paid, told) = while_it_waits(lost, 98);
    assert!(matches!(paid, Err(Unavailable::Failed(_))), "{paid:?}");
    assert!(told.iter().all(|told| matches!(told, Err(Unavailable::Failed(_)))), "{told:?}");
}

#[test]
fn no_reader_is_forgotten_however_it_meets_the_writer() {
    let bench = Bench::new();
    let paid = std::sync::atomic::AtomicBool::new(false);
    let read = async || {
        while !paid.load(Ordering::Relaxed) {
            let read = tokio::time::timeout(Duration::from_secs(20), bench.engine.read(bank::State::last_event));
            read.await.expect("told in time").expect("the bank is open");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                bench.pay(CASH, ANNA, 1);
            }
            paid.store(true, Ordering::Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| wait(async { tokio::join!(read(), read(), read()) }));
        }
    });
}

#[test]
fn a_stopped_bank_says_so_and_lets_the_folder_go() {
    let bench = Bench::new();
    let second = Engine::open(&bench.data, &bench.master, Options::default(), bench.hands.clone(), &mut |_| {});
    let told = second.err().expect("one process at a time").to_string();
    assert!(told.contains("another"), "{told}");
    bench.engine.stop();
    assert_eq!(bench.submit(plain(payment(CASH, ANNA, 1))), Err(Unavailable::Stopping));
    bench.engine.stop();
    bench.restart(|_| {});
}

#[test]
fn at_the_ceiling_of_memory_nothing_is_written_and_reading_goes_on() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 5);
    bench.engine.stop();
    let Bench { _folder, data, master, hands, .. } = bench;
    let open = |memory_ceiling| {
        let options = Options { memory_ceiling, ..Options::default() };
        let engine = Engine::open(&data, &master, options, hands.clone(), &mut |_| {}).expect("opens");
        Bench {
            _folder: tempfile::tempdir().expect("a folder"),
            data: data.clone(),
            master: master.clone(),
            hands: hands.clone(),
            engine,
        }
    };
    // Below what any process has in use, and above what this one ever has.
    let (low, high) = (1 << 20, 1 << 40);
    let full = open(Some(low));
    let refused = Err(Unavailable::MemoryFull { ceiling_bytes: low });
    assert_eq!(full.keyed("key", payment(CASH, ANNA, 7)), refused);
    assert_eq!(full.engine.writable(), refused.map(drop));
    assert_eq!(full.posted(ANNA), 5);
    full.engine.stop();
    // Nothing was written, so the same key serves when there is memory.
    let roomy = open(Some(high));
    let outcome = roomy.keyed("key", payment(CASH, ANNA, 7));
    assert!(matches!(outcome, Ok(Outcome::Accepted(Receipt { repeated: false, .. }))), "{outcome:?}");
    assert_eq!((roomy.posted(ANNA), roomy.engine.writable()), (12, Ok(())));
}

#[test]
fn verify_sees_what_a_running_bank_has_made_durable() {
    let bench = Bench::new();
    for _ in 0..100 {
        bench.pay(CASH, ANNA, 1);
    }
    let report = verify(&bench.data, &bench.master, &mut |_| {}).expect("beside a running bank");
    assert_eq!((report.problems.as_slice(), report.postings, report.digest), (&[][..], 100, bench.digest()));
    bench.engine.stop();
    let file = rusqlite::Connection::open(bench.data.join("journal.db")).expect("the file");
    file.execute("UPDATE frames SET body = zeroblob(length(body)) WHERE first_event = 50", []).expect("damage");
    drop(file);
    let report = verify(&bench.data, &bench.master, &mut |_| {}).expect("can be read");
    assert!(!report.problems.is_empty());
    assert!(report.problems.iter().all(|problem| problem.frame > 0 && !problem.kind.is_empty()), "{report:?}");
}

#[test]
fn a_right_is_looked_at_when_the_command_is_decided() {
    let bench = Bench::new();
    let subject = NewSubject::generate();
    let submission = Submission {
        command: plain(Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, "Anna") })),
        subject: Some(subject.clone()),
        past: None,
        rivals: None,
    };
    let Ok(Outcome::Accepted(Receipt { what: What::Access(AccessEvent::CustomerAdded { id: customer, .. }), .. })) =
        bench.submit(submission)
    else {
        panic!("a customer")
    };
    let user = Body::Access(AccessCommand::AddUser {
        name_index: bench.engine.name_index("anna"),
        name: subject.seal(Field::UserName, "anna"),
        password: subject.seal(Field::Password, ""),
        role: Role::Customer,
        customer: Some(customer),
    });
    let What::Access(AccessEvent::UserAdded { id: user, .. }) = bench.accepted(user).what else { panic!("a user") };
    let token = bench.engine.token_hash("token");
    bench.accepted(Body::Access(AccessCommand::SignIn {
        user,
        token,
        expires_at: Timestamp(START_MS + 10_000),
        from: None,
    }));
    bench.pay(CASH, ANNA, 100);
    let caller = Caller { user, session: Some(token) };
    let pay = || Command { origin: Origin::default(), caller, request: None, body: payment(ANNA, BEN, 1) };
    assert_eq!(bench.submit(pay()), refused(Refusal::NoRight));
    bench.accepted(Body::Access(AccessCommand::Grant { customer, account: ANNA, right: Right::Owner }));
    assert_eq!(bench.submit(pay()).map(is_accepted), Ok(true));
    bench.hands.pass(10_000);
    assert_eq!(bench.submit(pay()), refused(Refusal::NotSignedIn));
}

/// How many bytes are flipped. `KASSA_FLIPS` asks for more.
const FLIPS: u64 = 600;

/// Random places by a seed (SplitMix64), so that a failure can be had again.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % below
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in std::fs::read_dir(from).expect("a folder").flatten() {
        if file.path().is_dir() {
            copy_folder(&file.path(), &to.join(file.file_name()));
        } else if !file.file_name().to_string_lossy().ends_with("-shm") {
            // The index of the log is made anew by whoever opens a copy.
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    }
}

/// Pays a cent from cash to Ben for each number, under a key of its own.
fn pay_under_keys(bench: &Bench, numbers: std::ops::Range<u64>) {
    let payment = |number: u64| {
        let request = bench.engine.request(UserId::SYSTEM, &number.to_be_bytes(), b"");
        let command = Command {
            origin: Origin::default(),
            caller: Caller::SYSTEM,
            request: Some(request),
            body: payment(CASH, BEN, 1),
        };
        Submission::from(command)
    };
    let outcomes = wait(bench.engine.submit_batch(numbers.map(payment).collect())).expect("a batch");
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok_and(is_accepted)));
}

/// All files of a data folder, by their paths within it, in the same order always.
fn files_of(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = std::path::PathBuf::from(file.file_name());
        if file.path().is_dir() {
            files.extend(files_of(&file.path()).into_iter().map(|within| name.join(within)));
        } else if !name.to_string_lossy().ends_with("-shm") {
            files.push(name);
        }
    }
    files.sort();
    files
}

/// Any byte of the data folder, flipped: it is found and named, or it is harmless because all reads the same. Never a
/// wrong balance, never a panic.
#[test]
fn any_flipped_byte_is_found_or_harmless() {
    let bench = Bench::new();
    for cents in 1..=150 {
        bench.pay(CASH, ANNA, cents);
        bench.hands.pass(7);
    }
    // So many that an orderly stop writes a run of the index.
    for batch in 0..2 {
        pay_under_keys(&bench, batch * 6_000..(batch + 1) * 6_000);
    }
    let outside = bench.data.parent().expect("the test's folder").to_owned();
    // As after a crash, with a log; and as after an orderly stop, with a checkpoint.
    let (crashed, stopped) = (outside.join("crashed"), outside.join("stopped"));
    copy_folder(&bench.data, &crashed);
    let bench = bench.restart(|data| copy_folder(data, &stopped));
    let balances = |engine: &Engine| {
        engine.peek(|state| [CASH, ANNA, BEN].map(|id| state.ledger().account(id).map(|account| account.posted_minor)))
    };
    let expected_balances = balances(&bench.engine);
    let flips = std::env::var("KASSA_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(FLIPS);
    let (mut found, mut harmless) = (0, 0);
    for whole in [crashed, stopped] {
        let expected = verify(&whole, &bench.master, &mut |_| {}).expect("in order");
        assert_eq!(expected.problems, []);
        let files = files_of(&whole);
        let size = |file| std::fs::metadata(whole.join(file)).map_or(0, |found| found.len());
        let sizes: Vec<u64> = files.iter().map(size).collect();
        for flip in 0..flips / 2 {
            let mut seed = flip;
            let mut place = draw(&mut seed, sizes.iter().sum());
            let file = sizes.iter().position(|size| {
                let here = place < *size;
                place -= if here { 0 } else { *size };
                here
            });
            let file = &files[file.expect("a place in a file")];
            let bit = 1 << draw(&mut seed, 8);
            let copy = outside.join("copy");
            copy_folder(&whole, &copy);
            let flipped = copy.join(file);
            let mut bytes = std::fs::read(&flipped).expect("a file");
            bytes[usize::try_from(place).expect("a small file")] ^= bit;
            std::fs::write(&flipped, bytes).expect("a flipped bit");
            let which = format!("flip {flip}: bit {bit} of byte {place} of {}", flipped.display());

            let noticed = match verify(&copy, &bench.master, &mut |_| {}) {
                Ok(report) if report.problems.is_empty() => {
                    assert_eq!((report.digest, report.events), (expected.digest, expected.events), "{which}");
                    false
                }
                Ok(report) => {
                    assert!(report.problems.iter().all(|problem| !problem.detail.is_empty()), "{which}");
                    true
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty(), "{which}");
                    true
                }
            };
            if let Ok(engine) = Engine::open(&copy, &bench.master, Options::default(), bench.hands.clone(), &mut |_| {})
            {
                assert_eq!(balances(&engine), expected_balances, "{which}");
                engine.stop();
            }
            std::fs::remove_dir_all(&copy).expect("the copy is removed");
            if noticed { found += 1 } else { harmless += 1 }
        }
    }
    assert!(found > flips / 3, "{found} of {flips} were found, {harmless} were harmless");
}

/// While its folder can't be written, what should be in the index stays in memory; and the bank stops when it is told to.
#[test]
fn an_index_that_can_not_be_written_loses_nothing() {
    let bench = Bench::new();
    let folder = bench.data.join("history");
    std::fs::remove_dir(&folder).expect("it is empty");
    std::fs::write(&folder, "in its place").expect("a file");
    // More than are kept in memory by choice.
    for batch in 0..118 {
        pay_under_keys(&bench, batch * 8_000..(batch + 1) * 8_000);
    }
    let repeated = |bench: &Bench, number: u64| {
        let request = bench.engine.request(UserId::SYSTEM, &number.to_be_bytes(), b"");
        let command = Command {
            origin: Origin::default(),
            caller: Caller::SYSTEM,
            request: Some(request),
            body: payment(CASH, BEN, 1),
        };
        matches!(bench.submit(command), Ok(Outcome::Accepted(Receipt { repeated: true, .. })))
    };
    assert!(repeated(&bench, 0) && repeated(&bench, 943_999));
    let bench = bench.restart(|data| std::fs::remove_file(data.join("history")).expect("the file"));
    assert!(repeated(&bench, 0) && repeated(&bench, 943_999));
    assert_eq!(bench.posted(BEN), 944_000);
    assert_eq!(verify(&bench.data, &bench.master, &mut |_| {}).expect("readable").problems, []);
}

/// Neither checkpoint nor index need be the newer one.
#[test]
fn a_checkpoint_older_than_the_index_serves() {
    let bench = Bench::new();
    pay_under_keys(&bench, 0..3_000);
    let bench = bench.restart(|data| {
        std::fs::copy(data.join("checkpoint.db"), data.join("older")).expect("a copy");
    });
    pay_under_keys(&bench, 3_000..10_000);
    pay_under_keys(&bench, 10_000..16_000);
    let digest = bench.digest();
    let bench = bench.restart(|data| {
        std::fs::rename(data.join("older"), data.join("checkpoint.db")).expect("put back");
    });
    assert_eq!(bench.posted(BEN), 16_000);
    // And what comes next is not taken for what the index has.
    pay_under_keys(&bench, 16_000..24_000);
    pay_under_keys(&bench, 24_000..32_000);
    let bench = bench.restart(|_| {});
    assert_ne!(bench.digest(), digest);
    for number in (0..32_000_u64).step_by(101) {
        let request = bench.engine.request(UserId::SYSTEM, &number.to_be_bytes(), b"");
        let command = Command {
            origin: Origin::default(),
            caller: Caller::SYSTEM,
            request: Some(request),
            body: payment(CASH, BEN, 1),
        };
        let outcome = bench.submit(command);
        assert!(matches!(outcome, Ok(Outcome::Accepted(Receipt { repeated: true, .. }))), "{number}: {outcome:?}");
    }
    assert_eq!(bench.posted(BEN), 32_000);
    assert_eq!(files_of(&bench.data.join("history")).len(), 2, "a run of each stop");
    assert_eq!(verify(&bench.data, &bench.master, &mut |_| {}).expect("readable").problems, []);
}

#[test]
fn a_key_is_remembered_after_a_million_others_and_a_restart() {
    let bench = Bench::new();
    let Ok(Outcome::Accepted(first)) = bench.keyed("the first", payment(CASH, ANNA, 77)) else { panic!("accepted") };
    for batch in 0..125 {
        pay_under_keys(&bench, batch * 8_000..(batch + 1) * 8_000);
    }
    let check = |bench: &Bench, when: &str| {
        let again = bench.keyed("the first", payment(CASH, ANNA, 77));
        assert_eq!(again, Ok(Outcome::Accepted(Receipt { repeated: true, ..first.clone() })), "{when}");
        let other = bench.keyed("the first", payment(CASH, ANNA, 78));
        assert_eq!(other, refused(Refusal::KeyReused), "{when}");
        assert_eq!(bench.posted(ANNA), 77, "{when}");
        // Each of Ben's entries adds a cent, so its balance is its number. Most of his past is on disk.
        for before in [2, 64, 65, 66, 1_000, 63_999, 500_000, 917_504, 917_600, 999_999] {
            let entries = wait(bench.engine.entries(BEN, Some(before), 50)).expect("entries");
            let numbers: Vec<_> = entries.iter().map(|entry| (entry.ordinal, entry.balance_minor)).collect();
            let expected = (1..before).rev().take(50).map(|number| (number, i64::try_from(number).expect("small")));
            assert_eq!(numbers, expected.collect::<Vec<_>>(), "{when}, before {before}");
        }
        let report = verify(&bench.data, &bench.master, &mut |_| {}).expect("readable");
        assert_eq!(report.problems, [], "{when}");
    };
    check(&bench, "while it runs");
    let bench = bench.restart(|_| {});
    check(&bench, "after an orderly stop");
    let bench = bench.restart(|data| std::fs::remove_dir_all(data.join("history")).expect("removed"));
    check(&bench, "after the index was removed");
    let bench = bench.restart(|data| {
        std::fs::remove_dir_all(data.join("history")).expect("removed");
        std::fs::remove_file(data.join("checkpoint.db")).expect("removed");
    });
    check(&bench, "after everything derived was removed");
    let bench = bench.restart(|data| {
        for file in std::fs::read_dir(data.join("history")).expect("the index").flatten() {
            let mut bytes = std::fs::read(file.path()).expect("a run");
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(file.path(), bytes).expect("damaged");
        }
    });
    check(&bench, "after the index was damaged");
}

/// A rehearsal tells what would become of a command, and leaves the bank as it is, its key included.
#[test]
fn a_rehearsal_does_nothing() {
    let bench = Bench::new();
    bench.pay(CASH, ANNA, 100);
    let before = bench.digest();
    let keyed = |key: &str, body: Body| {
        let request = bench.engine.request(UserId::SYSTEM, key.as_bytes(), format!("{body:?}").as_bytes());
        Command { origin: Origin::default(), caller: Caller::SYSTEM, request: Some(request), body }
    };
    let rehearse = |command: &Command| wait(bench.engine.rehearse(command.clone()));
    let (small, large) = (keyed("small", payment(ANNA, BEN, 30)), keyed("large", payment(ANNA, BEN, 101)));
    let available = Money { minor: 100, currency: euro() };
    let poor = Refusal::Ledger(ledger::Refusal::InsufficientFunds { available });
    for _ in 0..2 {
        assert!(matches!(rehearse(&small), Ok(Outcome::Accepted(Receipt { event: 0, repeated: false, .. }))));
        assert_eq!(rehearse(&large), refused(poor));
    }
    assert_eq!(bench.digest(), before);
    assert_eq!(wait(bench.engine.outcome_of(small.request.unwrap())), Ok(None));
    let done = bench.submit(small.clone()).unwrap();
    let Outcome::Accepted(receipt) = done else { panic!("{done:?}") };
    assert_eq!(bench.submit(large.clone()), refused(poor_after(70)));
    // From now on the key's first outcome is what would be told.
    assert_eq!(rehearse(&small), Ok(Outcome::Accepted(Receipt { repeated: true, ..receipt.clone() })));
    assert_eq!(rehearse(&large), Ok(Outcome::Refused { refusal: poor_after(70), place: None, repeated: true }));
    let other = Command { body: payment(ANNA, BEN, 31), ..keyed("small", payment(ANNA, BEN, 31)) };
    assert_eq!(rehearse(&other), refused(Refusal::KeyReused));
    let recorded = wait(bench.engine.outcome_of(small.request.unwrap())).unwrap().unwrap();
    assert_eq!((recorded.number, recorded.event.what), (receipt.event, receipt.what));
}

fn poor_after(minor: i64) -> Refusal {
    Refusal::Ledger(ledger::Refusal::InsufficientFunds { available: Money { minor, currency: euro() } })
}

/// Lists of postings, of some accounts and of all, in pages, against what the stream of all events tells.
#[test]
fn lists_of_postings_leave_nothing_out() {
    let bench = Bench::new();
    let more: Vec<AccountId> = (0..3).map(|_| bench.open()).collect();
    let accounts = [CASH, ANNA, BEN, more[0], more[1]];
    // Some hundred entries in each, so that marks take part, and refusals in between.
    for round in 0..400_usize {
        let (debit, credit) = (accounts[round * 7 % 5], accounts[(round * 3 + 1) % 5]);
        let _ = bench.submit(plain(payment(debit, credit, 1)));
        bench.pay(CASH, accounts[1 + round % 4], 2);
    }
    let last = bench.pay(CASH, ANNA, 1).event;
    let recorded = |number| bench.engine.event(number).unwrap().unwrap();
    let postings: Vec<Recorded> = (1..=last)
        .rev()
        .map(recorded)
        .filter(|it| matches!(it.event.what, What::Payments(PaymentEvent::Posted { .. })))
        .collect();
    let touches = |it: &Recorded, wanted: &[AccountId]| match &it.event.what {
        What::Payments(PaymentEvent::Posted { posting, .. }) => posting
            .legs()
            .iter()
            .any(|booked| wanted.contains(&booked.leg.debit) || wanted.contains(&booked.leg.credit)),
        _ => false,
    };
    for wanted in [None, Some(vec![ANNA]), Some(vec![ANNA, BEN]), Some(more.clone()), Some(vec![more[2]]), Some(vec![])]
    {
        let expected: Vec<u64> = postings
            .iter()
            .filter(|it| wanted.as_ref().is_none_or(|wanted| touches(it, wanted)))
            .map(|it| it.number)
            .collect();
        for limit in [1, 7, 1_000] {
            let (mut told, mut before) = (Vec::new(), None);
            loop {
                let listed = bench.engine.postings(wanted.clone(), before, limit, |_| Ok(Wanted::Yes));
                let listed = wait(listed).expect("a list");
                assert!(listed.postings.len() <= limit);
                told.extend(listed.postings.iter().map(|it| it.number));
                before = listed.before;
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(told, expected, "{wanted:?} by {limit}");
        }
    }
    let middle = postings[postings.len() / 2].number;
    let older = move |it: &Recorded| Ok(if it.number < middle { Wanted::NothingOlder } else { Wanted::Yes });
    let listed = wait(bench.engine.postings(None, None, 5_000, older)).expect("a list");
    assert_eq!((listed.postings.last().map(|it| it.number), listed.before), (Some(middle), None));
}

/// Value date of what is booked now.
fn day_of_a_payment(bench: &Bench) -> i32 {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = bench.pay(CASH, ANNA, 1).what else { panic!("posted") };
    posting.value_date().0
}

/// A writer that stays in one day for hours finds the next when it begins, in whatever zone, before and after a restart
/// from a checkpoint; and the readers' calendar is the same.
#[test]
fn the_day_turns_at_the_banks_midnight() {
    let mut bench = Bench::new();
    let (monday, day_ms, hour_ms) = (20_255, 86_400_000, 3_600_000);
    let at = |day: i32| i64::from(day) * day_ms;
    let set = |from: i32, time_zone: &str| {
        let (from, time_zone) = (ledger::ValueDate(from), time_zone.to_owned());
        Body::System(SystemCommand::SetTimeZone { from, time_zone })
    };
    assert_eq!(bench.submit(plain(set(monday + 1, "Mars/Olympus"))), refused(Refusal::UnknownTimeZone));
    assert_eq!(bench.submit(plain(set(monday + 1, "europe/vienna"))), refused(Refusal::UnknownTimeZone), "as spelled");
    bench.accepted(set(monday + 1, "Europe/Vienna"));
    for (moment, day) in [
        (at(monday) - 1, monday - 1),
        (at(monday), monday),
        (at(monday + 1) - 2 * hour_ms - 1, monday),
        (at(monday + 1) - 2 * hour_ms, monday + 1), // midnight of a summer's day in Vienna
        (at(monday + 1), monday + 1),
        (at(monday + 2) - 2 * hour_ms - 1, monday + 1),
        (at(monday + 2) - 2 * hour_ms, monday + 2),
    ] {
        bench.hands.pass(moment - bench.hands.wall_ms());
        assert_eq!(day_of_a_payment(&bench), day, "{moment}");
        let calendar = bench.engine.calendar().expect("the bank is open");
        assert_eq!(calendar.day_of(Timestamp(moment)).0, day, "{moment}, for readers");
        let dry = wait(bench.engine.rehearse(plain(payment(CASH, ANNA, 1)))).expect("the bank is open");
        let Outcome::Accepted(Receipt { what: What::Payments(PaymentEvent::Posted { posting, .. }), .. }) = dry else {
            panic!("{dry:?}")
        };
        assert_eq!(posting.value_date().0, day, "{moment}, in a dry run");
        bench = bench.restart(|data| assert!(data.join("checkpoint.db").exists()));
        assert_eq!(day_of_a_payment(&bench), day, "{moment}, again");
    }
    // A zone that is set in the middle of a day moves its end.
    bench.accepted(set(monday + 3, "Asia/Tokyo"));
    bench.hands.pass(at(monday + 3) - 9 * hour_ms - 1 - bench.hands.wall_ms());
    assert_eq!(day_of_a_payment(&bench), monday + 2);
    bench.hands.pass(1);
    assert_eq!(day_of_a_payment(&bench), monday + 3);
    let before = bench.engine.peek(|state| state.time_zones().to_vec()).expect("open");
    let bench = bench.restart(|data| std::fs::remove_file(data.join("checkpoint.db")).expect("there is one"));
    assert_eq!(bench.engine.peek(|state| state.time_zones().to_vec()).expect("open"), before);
    bench.engine.stop();
}

/// A journal of a later time zone database names a zone that this program doesn't know: it says which, and changes
/// nothing.
#[test]
fn a_zone_that_nobody_knows_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, master) = (folder.path().join("bank"), MasterKey::generate());
    let mut journal = journal::Journal::create(&data, &master).expect("a new journal");
    let what = What::System(SystemEvent::Founded {
        name: "Olympus Bank".into(),
        country: "AT".into(),
        bank_code: "99999".into(),
        scheme: None,
        time_zone: Some("Mars/Olympus".into()),
        digits: None,
        modulus: None,
    });
    let mut body = Vec::new();
    bank::Event { by: UserId::SYSTEM, what, request: None, origin: None }.encode_to(&mut body);
    let run = journal.seal(START_MS, vec![journal::PlainFrame { first_event: 1, count: 1, body }], Vec::new());
    journal.append(&run).expect("written");
    journal.close().expect("closed");
    for _ in 0..2 {
        let hands =
            Hands { wall_ms: AtomicI64::new(START_MS), monotonic_ms: AtomicI64::new(0), stopped: Mutex::new(()) };
        let opened = Engine::open(&data, &master, Options::default(), Arc::new(hands), &mut |_| {});
        let told = opened.err().expect("it can't be opened").to_string();
        assert!(told.contains("\"Mars/Olympus\" is none that this version of Kassa knows"), "{told}");
    }
    assert_eq!(verify(&data, &master, &mut |_| {}).expect("can be checked").events, 1, "nothing was written");
}
