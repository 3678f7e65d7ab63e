//! Figures that Linux tells about this process, its files and the disk under them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use super::meter::Waits;
use crate::failure::Failure;

/// The journal's own files: the database, its log, the head mark and the lock. Whatever else is in a bank's folder is
/// derived from them.
const JOURNAL: [&str; 5] = ["journal.db", "journal.db-wal", "journal.db-shm", "head", "lock"];

/// Beginning of the name of a checkpoint's file or folder.
const CHECKPOINT: &str = "checkpoint";

/// Number of syncs tried to learn how long one takes.
const SYNCS: u64 = 500;

/// Size of what a sync is tried with: a page of the journal's database, the least that its log takes for a run.
const SYNC_BYTES: u64 = 8_192;

fn told(file: &str) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::new(format!("{file} can't be read: {error}")))
}

/// The number after a label at the beginning of a line.
fn labelled(text: &str, label: &str) -> u64 {
    let number = text.lines().find_map(|line| line.strip_prefix(label)?.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// The memory that this process has in use, in bytes.
pub(super) fn rss_bytes() -> Result<u64, Failure> {
    rss_bytes_of("self")
}

/// Reads the memory that a process of a number has in use, in bytes.
pub(super) fn rss_bytes_of(process: &str) -> Result<u64, Failure> {
    Ok(labelled(&told(&format!("/proc/{process}/status"))?, "VmRSS:") * 1024)
}

/// The bytes that this process has had written to disk since it began. Linux counts whole pages of memory when they
/// become dirty, so a page that is changed twice before it goes to disk counts once, and one byte in a page counts as
/// 4,096. What the file system writes for itself is not in it.
pub(super) fn written_bytes() -> Result<u64, Failure> {
    Ok(labelled(&told("/proc/self/io")?, "write_bytes:"))
}

/// The processor time that this process has used, in seconds: user and system time, in Linux's hundredths.
pub(super) fn cpu_s() -> Result<f64, Failure> {
    cpu_s_in("/proc/self/stat")
}

/// Reads the processor time that another process has used, in seconds.
pub(super) fn cpu_s_of(pid: u32) -> Result<f64, Failure> {
    cpu_s_in(&format!("/proc/{pid}/stat"))
}

fn cpu_s_in(file: &str) -> Result<f64, Failure> {
    let stat = told(file)?;
    // The program's name, in brackets, may hold spaces; the fields after it are counted from 3.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// The bytes in a bank's folder by kind of file.
pub(super) fn disk_bytes(folder: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let mut bytes = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = kind(&entry.file_name().to_string_lossy());
        *bytes.entry(kind).or_default() += bytes_below(&entry.path())?;
    }
    bytes.retain(|_, bytes| *bytes > 0);
    Ok(bytes)
}

/// Returns the kind that a file or folder counts as: the database and its log by their names, all else by the letters
/// its name begins with, so that `checkpoint` and `checkpoint.next` are one kind, and numbered files, too.
fn kind(name: &str) -> String {
    if JOURNAL.contains(&name) {
        return name.to_owned();
    }
    name.chars().take_while(char::is_ascii_alphabetic).collect()
}

/// The size of a file, or of all files in a folder. A file that has just gone has none.
fn bytes_below(path: &Path) -> Result<u64, Failure> {
    let there = |read: io::Result<u64>| match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        read => Ok(read?),
    };
    if !path.is_dir() {
        return there(path.symlink_metadata().map(|metadata| metadata.len()));
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += bytes_below(&entry?.path())?;
    }
    Ok(bytes)
}

/// Part of a bank's folder that is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Derived {
    /// All that is neither the journal nor the checkpoint.
    History,
    /// All that is not the journal.
    All,
}

/// Removes what is derived from the journal, while no process has the bank open. Tells whether there was any.
pub(super) fn remove_derived(folder: &Path, derived: Derived) -> Result<bool, Failure> {
    let mut removed = false;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kept = JOURNAL.contains(&&*name) || derived == Derived::History && name.starts_with(CHECKPOINT);
        if !kept {
            if path.is_dir() {
                fs::remove_dir_all(&path)?
            } else {
                fs::remove_file(&path)?
            }
            removed = true;
        }
    }
    Ok(removed)
}

/// Has Linux forget what of the disk's contents it keeps in memory, on the whole machine.
pub(super) fn drop_caches() -> Result<(), Failure> {
    fs::write("/proc/sys/vm/drop_caches", "1").map_err(|error| {
        Failure::new(format!(
            "the system's file caches can't be dropped ({error}): be root, or leave out --drop-caches"
        ))
    })
}

/// Notes how long writing one page into a file and syncing it takes in this folder: the least that a transfer by
/// itself can take. The file has its size and its blocks already, as the journal's log has after its first round; a
/// sync that makes a file grow takes longer.
pub(super) fn note_syncs(folder: &Path, waits: &mut Waits) -> Result<(), Failure> {
    let path = folder.join("sync");
    let file = File::create_new(&path)?;
    file.write_all_at(&vec![0; usize::try_from(SYNCS * SYNC_BYTES).unwrap_or(0)], 0)?;
    file.sync_all()?;
    let page = vec![1; usize::try_from(SYNC_BYTES).unwrap_or(0)];
    for place in 0..SYNCS {
        let began = Instant::now();
        file.write_all_at(&page, place * SYNC_BYTES)?;
        file.sync_data()?;
        waits.note(began.elapsed());
    }
    Ok(fs::remove_file(&path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_kind_and_only_what_is_derived_is_removed() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path();
        fs::create_dir_all(folder.join("history/runs")).expect("folders");
        let files = [
            ("journal.db", 100),
            ("journal.db-wal", 20),
            ("head", 3),
            ("lock", 0),
            ("checkpoint", 40),
            ("checkpoint.next", 5),
            ("keys-0001.run", 6),
            ("keys-0002.run", 7),
            ("history/marks", 8),
            ("history/runs/1", 9),
        ];
        for (name, bytes) in files {
            fs::write(folder.join(name), vec![0; bytes]).expect("a file");
        }
        let kinds = |expected: &[(&str, u64)]| {
            let expected = expected.iter().map(|(kind, bytes)| ((*kind).to_owned(), *bytes)).collect();
            assert_eq!(disk_bytes(folder).expect("a folder"), expected);
        };
        let journal = [("journal.db", 100), ("journal.db-wal", 20), ("head", 3)];
        kinds(&[&journal[..], &[("checkpoint", 45), ("keys", 13), ("history", 17)]].concat());
        assert!(remove_derived(folder, Derived::History).expect("removed"));
        kinds(&[&journal[..], &[("checkpoint", 45)]].concat());
        assert!(!remove_derived(folder, Derived::History).expect("nothing to remove"));
        assert!(remove_derived(folder, Derived::All).expect("removed"));
        kinds(&journal);
        assert!(folder.join("lock").exists());
    }
}
