//! Events of the bank: what is read is written so that it reads as itself, and what the state agrees to it can apply.

use bank::{Event, State};
use ledger::Timestamp;

/// A reader of all events of a frame's body.
pub type ReadEvents<'a> = &'a dyn Fn(&[u8]) -> Vec<Result<Event, String>>;

/// A checker of the event that follows, by its number; it says why one doesn't.
pub type CheckEvent<'a> = &'a dyn Fn(&State, u64, &Event) -> Result<(), String>;

/// A reader and a checker of events.
pub struct Events<'a> {
    /// The reader.
    pub read: ReadEvents<'a>,
    /// The checker.
    pub check: CheckEvent<'a>,
}

/// Tries the bank's own events.
///
/// # Panics
///
/// If an event is written otherwise than it reads, or the state can't apply one that it agreed to, or breaks a law by it.
pub fn events(data: &[u8]) {
    let read = |body: &[u8]| Event::decode_all(body).collect();
    events_by(&Events { read: &read, check: &State::check }, data);
}

/// Tries a reader and a checker of events.
///
/// # Panics
///
/// If an event is written otherwise than it reads, or the state can't apply one that it agreed to, or breaks a law by it.
pub fn events_by(tried: &Events<'_>, data: &[u8]) {
    let read = (tried.read)(data);
    let broken = read.iter().position(Result::is_err);
    assert!(broken.is_none_or(|place| place + 1 == read.len()), "nothing follows what can't be read");
    let mut state = State::default();
    let (mut written, mut known) = (Vec::new(), 0_u64);
    for event in read.iter().flatten() {
        let from = written.len();
        event.encode_to(&mut written);
        assert_eq!((tried.read)(&written[from..]), [Ok(event.clone())], "an event reads as it was written");
        assert_eq!(Event::decode_nth(&written, known).as_ref(), Ok(event), "an event is found in its place");
        known += 1;
        // One that is refused is left out, so that those after it are tried all the same.
        let number = state.last_event() + 1;
        if (tried.check)(&state, number, event).is_ok() {
            state.apply(number, Timestamp(known.cast_signed() * 1_000), event);
            assert_eq!(state.last_event(), number);
        }
    }
    assert_eq!(state.ledger().check_laws(), Ok(()), "a law holds whatever was applied");
    let _ = state.ledger().trial_balance();
    let stored = records(&state);
    let mut again = State::default();
    for record in &stored {
        again.restore_bytes(record).expect("what was stored of a state can be taken back");
    }
    assert!(records(&again) == stored, "a state that was taken back is the one that was stored");
}

fn records(state: &State) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let taken: Result<(), ()> = state.write_records(|record| {
        records.push(record.to_vec());
        Ok(())
    });
    taken.expect("taking a record can't fail");
    records
}
