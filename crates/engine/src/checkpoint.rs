//! The checkpoint: the state at one event, so that a start need not read the whole journal. It is written when the
//! bank stops in order and after a long recovery, as a whole, into a new file that takes the old one's place. It may
//! be deleted at any time; a damaged one is left aside.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use bank::State;
use journal::{Head, Journal, Reader};

use crate::handle::{Shared, digest_of};

/// The file's name in the data folder.
const FILE: &str = "checkpoint";

/// What the file is sealed as, with the version of its form.
const CONTEXT: &[u8] = b"kassa checkpoint 2";

/// A record of the state is at most this large; a larger length means a file that is not what it says.
const MAX_RECORD_BYTES: u64 = 16 * 1024 * 1024;

/// What a checkpoint says of itself.
pub(crate) struct Checkpoint {
    pub(crate) head: Head,
    pub(crate) digest: [u8; 32],
    pub(crate) state: State,
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Takes the checkpoint out of the way, under a name of its own that is returned.
pub(crate) fn leave_aside(folder: &Path) -> io::Result<PathBuf> {
    let aside = path(folder).with_extension("lost");
    std::fs::rename(path(folder), &aside)?;
    File::open(folder)?.sync_all()?;
    Ok(aside)
}

/// Writes the state as it is now; the journal's head must be at its last event.
pub(crate) fn write(shared: &Shared, journal: &Journal) -> io::Result<()> {
    let books = shared.books.read().map_err(|_| io::Error::other("the state is not to be trusted"))?;
    let head = journal.head();
    if head.last_event != books.state.last_event() {
        return Err(io::Error::other("the state is ahead of the journal"));
    }
    let target = path(&shared.folder);
    let next = target.with_extension("next");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    let file = BufWriter::new(file);
    let mut out = journal.blob_writer(file, CONTEXT)?;
    out.write_all(&head.seq.to_be_bytes())?;
    out.write_all(&head.last_event.to_be_bytes())?;
    out.write_all(&head.hash)?;
    out.write_all(&digest_of(&books.state))?;
    books.state.write_records(|record| {
        out.write_all(&(record.len() as u64).to_be_bytes())?;
        out.write_all(record)
    })?;
    out.write_all(&0_u64.to_be_bytes())?;
    let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&next, &target)?;
    File::open(&shared.folder)?.sync_all()
}

/// Reads the checkpoint of a folder; none where there is none.
pub(crate) fn read(folder: &Path, reader: &Reader) -> io::Result<Option<Checkpoint>> {
    let file = match File::open(path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut input = reader.blob_reader(BufReader::new(file), CONTEXT)?;
    let head = Head { seq: number(&mut input)?, last_event: number(&mut input)?, hash: bytes(&mut input)? };
    let digest = bytes(&mut input)?;
    let mut state = State::default();
    let mut context = digest::Context::new(&digest::SHA256);
    let mut record = Vec::new();
    loop {
        let length = number(&mut input)?;
        if length == 0 {
            break;
        }
        if length > MAX_RECORD_BYTES {
            return Err(damaged("a record is too long"));
        }
        record.resize(usize::try_from(length).map_err(|_| damaged("a record is too long"))?, 0);
        input.read_exact(&mut record)?;
        context.update(&record);
        state.restore_bytes(&record).map_err(|error| damaged(&error.to_string()))?;
    }
    if context.finish().as_ref() != digest || state.last_event() != head.last_event {
        return Err(damaged("its digest is not that of its records"));
    }
    // The last chunk is marked as such, so reading to the end shows that nothing was cut off.
    if input.read(&mut [0])? != 0 {
        return Err(damaged("something follows its end"));
    }
    Ok(Some(Checkpoint { head, digest, state }))
}

fn number(input: &mut impl Read) -> io::Result<u64> {
    Ok(u64::from_be_bytes(bytes(input)?))
}

fn bytes<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the checkpoint is damaged: {what}"))
}
