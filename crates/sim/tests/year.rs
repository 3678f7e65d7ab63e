//! A tiny bank lives through its year: every answer is audited, the folder that is left is in order, and the same seed
//! asks for the same.

use sim::year::{self, Figures, Order};

/// As small as it can be with some of everything in it.
const ACCOUNTS: u32 = 300;
const PAYMENTS: u64 = 6_000;

fn live(seed: u64) -> Figures {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let data = folder.path().join("bank");
    let order = Order { data: data.clone(), accounts: ACCOUNTS, payments: PAYMENTS, seed };
    let figures = year::live(&order, &mut |_| {}).unwrap_or_else(|stopped| panic!("seed {seed}: {stopped}"));
    let report = engine::verify(&data, &read_key(&data), &mut |_| {}).expect("the folder can be read");
    assert_eq!(report.problems, vec![]);
    assert_eq!(report.events, figures.events, "the auditor saw every one of them");
    figures
}

/// The master key where `kassa` looks for it.
fn read_key(data: &std::path::Path) -> journal::MasterKey {
    journal::MasterKey::read_file(&data.with_extension("key")).expect("the key lies beside the folder")
}

#[test]
fn a_year_of_a_tiny_bank() {
    let figures = live(1);
    let counts = &figures.counts;
    assert_eq!(figures.problems, 0);
    assert_eq!(counts.comparisons, 14, "when all is made, at each month's end, and after the last start");
    for (what, count) in [
        ("holds", counts.holds),
        ("captures", counts.captures),
        ("voided", counts.voided),
        ("expired", counts.expired),
        ("refunds", counts.refunds),
        ("retries", counts.retries),
        ("sign-ins", counts.sign_ins),
        ("shortages", counts.refusals.get("insufficient-funds").copied().unwrap_or(0)),
    ] {
        assert!(count > 0, "no {what}: {counts:#?}");
    }
    assert_eq!(format!("{:?}", live(1).counts), format!("{counts:?}"), "the same seed, the same year");
}
