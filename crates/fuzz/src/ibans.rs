//! Account numbers: what is accepted is the one number of its account, and an IBAN passes MOD 97-10 by our own reckoning.

use bank::{IbanError, Numbering, NumbersAsked, OwnCheck};

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

/// Banks of countries without IBANs, without a check digit, with one over bank and account, and with one over the account.
const WITHOUT_IBANS: [(&str, &str); 6] =
    [("US", "123456780"), ("IN", "KASA0000001"), ("NG", "044"), ("NG", "50547"), ("MX", "999180"), ("AR", "99900018")];

/// Banks with numbers of their own form.
const OWN: [(&str, &str, OwnCheck); 2] = [("XX", "KASSA01", OwnCheck::Mod97), ("BR", "900001", OwnCheck::Luhn)];

/// Tries the bank's own reading of account numbers.
///
/// # Panics
///
/// If a text is accepted that isn't the number of its account, or another writing of one that is accepted is not.
pub fn ibans(data: &[u8]) {
    ibans_by(&Numbering::number, data);
}

/// Tries a reading of account numbers. The bytes are a text as somebody typed it; where they have more lines, the first is a
/// country and a bank's code.
///
/// # Panics
///
/// If a text is accepted that isn't the number of its account, or another writing of one that is accepted is not.
pub fn ibans_by(number: &dyn Fn(&Numbering, &str) -> Result<u64, IbanError>, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (bank, typed) = text.split_once('\n').unwrap_or(("", &text));
    let (country, code) = bank.split_once(' ').unwrap_or(("AT", bank));
    let own = |country: &str, code: &str, rule| {
        Numbering::asked(country, code, NumbersAsked { digits: None, own: Some(rule) })
    };
    let given = [
        Numbering::new(country, code),
        Numbering::recorded(country, code, None, None),
        own(country, code, OwnCheck::Mod97),
        own(country, code, OwnCheck::Luhn),
    ];
    let listed = BANKS.map(|(country, code, is_new)| match is_new {
        true => Numbering::new(country, code),
        false => Numbering::recorded(country, code, None, None),
    });
    let others = WITHOUT_IBANS.map(|(country, code)| Numbering::new(country, code)).into_iter();
    let others: Vec<_> = others.chain(OWN.map(|(country, code, rule)| own(country, code, rule))).collect();
    assert!(listed.iter().chain(&others).all(Result::is_ok), "the listed banks can be founded");
    for numbering in given.into_iter().chain(listed).chain(others).flatten() {
        let any = data.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let some = [0, 1, any % numbering.largest().saturating_add(1), numbering.largest()];
        // In New Zealand not every number makes an account number.
        for own in some.into_iter().filter(|own| *own == 0 && numbering.country() != "NZ" || numbering.has(*own)) {
            let iban = numbering.iban(own);
            assert_eq!(number(&numbering, &iban), Ok(own), "{iban} is of this bank");
            passes(&numbering, number, &iban, own);
        }
        let Ok(found) = number(&numbering, typed) else { continue };
        let shown = compact(&numbering, &numbering.iban(found));
        let is_same = shown == compact(&numbering, typed).to_ascii_uppercase();
        assert!(is_same || numbering.country() == "NZ", "{typed:?} is another account's");
        assert!(
            found <= numbering.largest(),
            "{typed:?} is account {found}, and {} is the largest",
            numbering.largest()
        );
        passes(&numbering, number, typed, found);
    }
}

/// A text without what only sets it apart.
fn compact(numbering: &Numbering, text: &str) -> String {
    let has_hyphens = numbering.own_digits().is_some();
    text.chars().filter(|letter| *letter != ' ' && !(has_hyphens && *letter == '-')).collect()
}

/// Looks at a text that is accepted: its remainder, and the other ways in which it may be written.
fn passes(numbering: &Numbering, number: &dyn Fn(&Numbering, &str) -> Result<u64, IbanError>, text: &str, found: u64) {
    let compact = compact(numbering, text);
    let is_iban = numbering.own_digits().is_none();
    assert!(!is_iban || remainder(&compact) == Some(1), "{text:?} has the remainder of an IBAN");
    let spaced: String = compact.chars().flat_map(|letter| [' ', letter, ' ']).collect();
    for other in [compact.to_ascii_lowercase(), compact.to_ascii_uppercase(), spaced] {
        assert_eq!(number(numbering, &other), Ok(found), "{other:?} is another writing of {text:?}");
    }
    // Two neighbours that differ, exchanged: the commonest slip, which an IBAN's check digits were made to find.
    let exchanged =
        compact.as_bytes().windows(2).position(|pair| pair[0] != pair[1] && pair.iter().all(u8::is_ascii_digit));
    if let Some(place) = exchanged.filter(|place| is_iban && *place >= 4) {
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
