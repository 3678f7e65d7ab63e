//! Account numbers: what is accepted is the one IBAN of its account, and passes MOD 97-10 by our own reckoning.

use bank::{IbanError, Numbering};

/// Banks whose account numbers are tried: plain ones, ones with check digits within, and ones of before these were computed.
const BANKS: [(&str, &str, bool); 8] = [
    ("AT", "19043", true),
    ("DE", "37040044", true),
    ("GB", "NWBK601613", false),
    ("BE", "539", true),
    ("BE", "539", false),
    ("ES", "21000418", true),
    ("IT", "0542811101", true),
    ("NO", "8601", true),
];

/// Tries the bank's own reading of account numbers.
///
/// # Panics
///
/// If a text is accepted that isn't the IBAN of its number, or another writing of one that is accepted is not.
pub fn ibans(data: &[u8]) {
    ibans_by(&Numbering::number, data);
}

/// Tries a reading of account numbers. The bytes are a text as somebody typed it; where they have more lines, the first is a
/// country and a bank's code.
///
/// # Panics
///
/// If a text is accepted that isn't the IBAN of its number, or another writing of one that is accepted is not.
pub fn ibans_by(number: &dyn Fn(&Numbering, &str) -> Result<u64, IbanError>, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (bank, typed) = text.split_once('\n').unwrap_or(("", &text));
    let (country, code) = bank.split_once(' ').unwrap_or(("AT", bank));
    let given = [Numbering::new(country, code), Numbering::recorded(country, code, None)];
    let listed = BANKS.map(|(country, code, is_new)| match is_new {
        true => Numbering::new(country, code),
        false => Numbering::recorded(country, code, None),
    });
    assert!(listed.iter().all(Result::is_ok), "the listed banks can be founded");
    for numbering in given.into_iter().chain(listed).flatten() {
        let any = data.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        for own in [0, 1, any % numbering.largest().saturating_add(1), numbering.largest()] {
            let iban = numbering.iban(own);
            assert_eq!(number(&numbering, &iban), Ok(own), "{iban} is of this bank");
            passes(&numbering, number, &iban, own);
        }
        let Ok(found) = number(&numbering, typed) else { continue };
        let compact: String = typed.chars().filter(|letter| *letter != ' ').collect();
        assert_eq!(numbering.iban(found), compact.to_ascii_uppercase(), "{typed:?} is another account's");
        assert!(
            found <= numbering.largest(),
            "{typed:?} is account {found}, and {} is the largest",
            numbering.largest()
        );
        passes(&numbering, number, typed, found);
    }
}

/// Looks at a text that is accepted: its remainder, and the other ways in which it may be written.
fn passes(numbering: &Numbering, number: &dyn Fn(&Numbering, &str) -> Result<u64, IbanError>, text: &str, found: u64) {
    let compact: String = text.chars().filter(|letter| *letter != ' ').collect();
    assert_eq!(remainder(&compact), Some(1), "{text:?} has the remainder of an IBAN");
    let spaced: String = compact.chars().flat_map(|letter| [' ', letter, ' ']).collect();
    for other in [compact.to_ascii_lowercase(), compact.to_ascii_uppercase(), spaced] {
        assert_eq!(number(numbering, &other), Ok(found), "{other:?} is another writing of {text:?}");
    }
    // Two neighbours that differ, exchanged: the commonest slip, which the check digits were made to find.
    let exchanged =
        compact.as_bytes().windows(2).position(|pair| pair[0] != pair[1] && pair.iter().all(u8::is_ascii_digit));
    if let Some(place) = exchanged.filter(|place| *place >= 4) {
        let mut letters = compact.into_bytes();
        letters.swap(place, place + 1);
        let slipped = String::from_utf8_lossy(&letters).into_owned();
        assert!(number(numbering, &slipped).is_err(), "{slipped:?} is {text:?} with two digits exchanged");
    }
}

/// The remainder of an IBAN modulo 97, letter by letter (ISO 7064); none where something else than letters and digits is
/// in it.
fn remainder(iban: &str) -> Option<u32> {
    let (head, tail) = iban.split_at_checked(4)?;
    tail.chars().chain(head.chars()).try_fold(0, |sum: u32, letter| {
        let value = letter.to_digit(36)?;
        Some(if value < 10 { (sum * 10 + value) % 97 } else { (sum * 100 + value) % 97 })
    })
}
