//! The check of a whole bank, from its first frame to its durable head: each frame, the chain and the head mark by the
//! journal; here each event's meaning, the laws, people's keys, and the checkpoint's digest. It works beside a running
//! server.

use std::path::Path;

use bank::{PaymentEvent, State, What};
use journal::MasterKey;

use crate::handle::digest_of;
use crate::history::Comparison;
use crate::key_check::KeyCheck;
use crate::replay::events_of;
use crate::{OpenError, Recorded, checkpoint};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The frame; 0 where it is about the bank as a whole.
    pub frame: u64,
    /// Kind of the problem: a stable word.
    pub kind: String,
    /// The finding, in words.
    pub detail: String,
}

/// Report of what was checked, and of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Frames checked.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Postings among those.
    pub postings: u64,
    /// The hash of the last frame.
    pub head: [u8; 32],
    /// The digest of the state after the last event.
    pub digest: [u8; 32],
    /// The problems found. None, in a bank in order.
    pub problems: Vec<Problem>,
}

/// The state as it is replayed, until something doesn't fit.
struct Check {
    state: State,
    postings: u64,
    stored: Option<(u64, [u8; 32])>,
    index: Comparison,
    keys: KeyCheck,
    problems: Vec<Problem>,
    broken: bool,
}

/// Checks the bank in `folder`, telling each frame's last event to `progress`.
///
/// # Errors
///
/// Fails with [`OpenError`] if the journal or the folder of the index can't be read. Damage that can be read around is
/// a problem in the report.
pub fn verify(folder: &Path, master: &MasterKey, progress: &mut dyn FnMut(u64)) -> Result<Report, OpenError> {
    let reader = journal::Reader::open(folder, master)?;
    let mut state = State::default();
    // Keys are compared with the index, and need not be remembered.
    state.remember_outcomes_after(u64::MAX);
    let index = Comparison::open(folder, &reader.secrets()).map_err(OpenError::History)?;
    let keys = KeyCheck::new(folder, master)?;
    let mut check = Check { state, postings: 0, stored: None, index, keys, problems: Vec::new(), broken: false };
    match checkpoint::read(folder, &reader) {
        Ok(checkpoint) => check.stored = checkpoint.map(|found| (found.head.last_event, found.digest)),
        Err(error) => check.problem(0, "checkpoint-damaged", error.to_string()),
    }
    drop(reader);
    let verified = journal::verify(folder, master, &mut |frame| {
        check.frame(frame);
        progress(frame.first_event + u64::from(frame.count) - 1);
    })?;
    if let Err(law) = check.state.ledger().check_laws() {
        check.problem(0, "law-broken", law);
    }
    // A fault of the journal would only be told once more by the comparison with it.
    let comparable = check.problems.is_empty() && verified.problems.is_empty();
    for damage in std::mem::take(&mut check.index).finish(comparable) {
        check.problem(0, "history-damaged", damage);
    }
    let is_whole = !check.broken && check.state.last_event() == verified.head.last_event;
    let of_keys = check.keys.finish(is_whole);
    check.problems.extend(of_keys);
    let end = verified.head.last_event;
    if let Some((event, _)) = check.stored
        && event > end
    {
        check.problem(0, "lost-tail", format!("the checkpoint tells of event {event}; the journal ends at {end}"));
    }
    let from_journal = verified.problems.into_iter().map(|problem| Problem {
        frame: problem.frame,
        kind: problem.kind.as_str().to_owned(),
        detail: problem.detail,
    });
    Ok(Report {
        frames: verified.frames,
        events: verified.events,
        postings: check.postings,
        head: verified.head.hash,
        digest: digest_of(&check.state),
        problems: from_journal.chain(check.problems).collect(),
    })
}

impl Check {
    fn problem(&mut self, frame: u64, kind: &str, detail: String) {
        self.problems.push(Problem { frame, kind: kind.to_owned(), detail });
    }

    fn frame(&mut self, frame: &journal::Frame) {
        for recorded in events_of(frame) {
            if self.broken {
                return;
            }
            match recorded.and_then(|recorded| recorded.check(&self.state).map(|()| recorded)) {
                Ok(recorded) => self.event(frame.seq, &recorded),
                Err(misfit) => {
                    self.broken = true;
                    self.problem(
                        frame.seq,
                        "event-does-not-fit",
                        format!("event {}: {}", misfit.number, misfit.reason),
                    );
                }
            }
        }
    }

    fn event(&mut self, frame: u64, recorded: &Recorded) {
        let Recorded { number, at, event } = recorded;
        self.postings += u64::from(matches!(event.what, What::Payments(PaymentEvent::Posted { .. })));
        self.state.apply(*number, *at, event);
        self.index.note(*number, event);
        self.keys.event(frame, *number, &event.what);
        if let Some((at, digest)) = self.stored
            && at == *number
            && digest_of(&self.state) != digest
        {
            let detail = format!("the state after event {number} has another digest than the checkpoint says");
            self.problem(frame, "digest-differs", detail);
        }
    }
}
