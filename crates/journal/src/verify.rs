//! The check of a whole journal, frame by frame, as an auditor would make it: beside a running server, changing nothing.

use std::path::Path;

use crate::error::{OpenError, Problem, ProblemKind, ReadError, StorageError};
use crate::frame::{Expected, Flaw, Frame, Head, Header, StoredFrame};
use crate::keys::MasterKey;
use crate::sqlite::{KeyTable, Reader, not_given};

/// The frames read in one transaction: about a megabyte, so that no read holds up the writer's log.
const FRAMES_PER_READ: usize = 64;

/// The subjects' keys read in one transaction.
const KEYS_PER_READ: usize = 1_024;

/// Findings of [`verify`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Number of intact frames.
    pub frames: u64,
    /// Number of events in these.
    pub events: u64,
    /// The last intact frame: the journal's head at the start, if there is no problem.
    pub head: Head,
    /// The problems found, in the order of the frames; empty if the journal is whole.
    pub problems: Vec<Problem>,
}

/// Checks a journal up to the head that was durable at the start: sequence, numbering of events, chain, hashes,
/// decryption, end mark, head mark; and the subjects' keys. Goes on after a problem, but not if the database gives
/// frames out of order or not at all, so that no frame is checked twice. Shows `visit` each frame in order, up to the
/// first problem.
///
/// # Errors
///
/// Fails if the journal can't be opened for reading, or if the head mark, the last row or a data key can't be read. A
/// damaged frame is no failure, but a problem in the report.
pub fn verify(dir: &Path, master: &MasterKey, visit: &mut dyn FnMut(&Frame)) -> Result<Verified, OpenError> {
    let mut reader = Reader::open(dir, master)?;
    // The mark first: a running server then can't have moved it past the last row.
    let mark = reader.head_mark(dir).map_err(StorageError::from)?;
    let last_row = reader.last_row()?;
    let mut audit = Audit::new(reader.empty_head(), mark);
    let mut next_row = i64::MIN;
    let mut limit = FRAMES_PER_READ;
    while next_row <= last_row {
        let frames = match reader.stored_frames(next_row, last_row, limit) {
            Ok(frames) => frames,
            // A frame after it can't be known to be the one written after it.
            Err(ReadError::Damaged(problem)) => {
                audit.found.problems.push(problem);
                return Ok(audit.found);
            }
            // One by one then, to tell which frame it is.
            Err(_) if limit > 1 => {
                limit = 1;
                continue;
            }
            Err(error) => {
                audit.unreadable(&error);
                return Ok(audit.found);
            }
        };
        let Some(last) = frames.last() else {
            if last_row > 0 {
                audit.found.problems.push(not_given(last_row, audit.expected.seq));
            }
            break;
        };
        next_row = last.first_event.cast_signed().saturating_add(1);
        for frame in frames {
            audit.frame(&mut reader, frame, visit)?;
        }
    }
    audit.finish();
    audit.subject_keys(&reader, KeyTable::Subjects);
    audit.subject_keys(&reader, KeyTable::Categories);
    Ok(audit.found)
}

/// State of the check so far.
struct Audit {
    found: Verified,
    mark: Option<Head>,
    expected: Expected,
    /// `true` if the last frame ended its run, and after a damaged one, of which nothing is known.
    ended: bool,
}

impl Audit {
    fn new(empty: Head, mark: Option<Head>) -> Self {
        let found = Verified { frames: 0, events: 0, head: empty, problems: Vec::new() };
        Self { found, mark, expected: Expected::after(&empty), ended: true }
    }

    fn frame(
        &mut self,
        reader: &mut Reader,
        stored: StoredFrame,
        visit: &mut dyn FnMut(&Frame),
    ) -> Result<(), ReadError> {
        let place = self.expected.seq;
        let (header, head, frame) = match open(reader, stored)? {
            Ok(opened) => opened,
            Err(flaw) => {
                self.found.problems.push(flaw.at(place));
                self.expected = Expected::after_damaged(place);
                self.ended = true;
                return Ok(());
            }
        };
        if let Err(flaw) = self.expected.check(&header) {
            self.found.problems.push(flaw.at(header.seq));
        }
        if self.mark.is_some_and(|mark| mark.seq == head.seq && mark != head) {
            self.problem(ProblemKind::LostTail, head.seq, "the head mark names another frame in its place");
        }
        if self.found.problems.is_empty() {
            visit(&frame);
        }
        self.found.frames += 1;
        self.found.events += u64::from(frame.count);
        self.found.head = head;
        self.expected = Expected::after(&head);
        self.ended = frame.end_mark;
        Ok(())
    }

    fn finish(&mut self) {
        let last = self.expected.seq - 1;
        if !self.ended {
            self.problem(ProblemKind::MissingEndMark, last, "the journal ends within a run");
        }
        match self.mark {
            None if last > 0 => {
                self.problem(ProblemKind::NoHeadMark, last, "the file `head` is missing or damaged");
            }
            Some(mark) if mark.seq > last => {
                let detail = format!("frame {} was durable, and the journal ends at frame {last}", mark.seq);
                self.problem(ProblemKind::LostTail, last, detail);
            }
            _ => {}
        }
    }

    /// Checks the keys of all subjects in a table, as far as they can be walked along.
    fn subject_keys(&mut self, reader: &Reader, table: KeyTable) {
        let mut last = None;
        loop {
            match reader.check_subject_keys(table, last, KEYS_PER_READ) {
                Ok(None) => return,
                Ok(next) => last = next,
                Err(ReadError::Damaged(problem)) => return self.found.problems.push(problem),
                Err(error) => {
                    let detail = format!("a subject's key can't be read: {error}");
                    return self.problem(ProblemKind::BadSubjectKey, 0, detail);
                }
            }
        }
    }

    fn unreadable(&mut self, error: &ReadError) {
        let detail = match error {
            ReadError::Damaged(problem) => problem.to_string(),
            ReadError::Storage(error) => error.to_string(),
        };
        self.problem(ProblemKind::Unreadable, self.expected.seq, detail);
    }

    fn problem(&mut self, kind: ProblemKind, frame: u64, detail: impl Into<String>) {
        self.found.problems.push(kind.at(frame, detail));
    }
}

fn open(reader: &mut Reader, stored: StoredFrame) -> Result<Result<(Header, Head, Frame), Flaw>, ReadError> {
    let (header, head) = match reader.check(&stored) {
        Ok(checked) => checked,
        Err(flaw) => return Ok(Err(flaw)),
    };
    Ok(reader.decrypt(stored, &header)?.map(|frame| (header, head, frame)))
}
