//! A journal of two frames: written, read, and checked from the first byte to the last.
//!
//! Run it with `cargo run -p journal --example append`.

#![allow(clippy::print_stdout, reason = "it is an example, and tells what it does")]

use journal::{Journal, MasterKey, PlainFrame, Reader, verify};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("bank");
    let master = MasterKey::generate();

    let mut journal = Journal::create(&data, &master)?;
    for (first_event, body) in [(1, &b"two events"[..]), (3, &b"and two more"[..])] {
        let frame = PlainFrame { first_event, count: 2, body: body.to_vec() };
        let run = journal.seal(1_750_000_000_000, vec![frame], Vec::new());
        // From here on it is durable.
        let head = journal.append(&run)?;
        println!("durable up to event {}", head.last_event);
    }
    journal.close()?;

    let mut reader = Reader::open(&data, &master)?;
    let bodies: Vec<Vec<u8>> = reader.frames_from(1, 10)?.into_iter().map(|frame| frame.body).collect();
    assert_eq!(bodies, [b"two events".to_vec(), b"and two more".to_vec()]);

    let verified = verify(&data, &master, &mut |frame| println!("frame from event {}", frame.first_event))?;
    assert!(verified.problems.is_empty());
    Ok(())
}
