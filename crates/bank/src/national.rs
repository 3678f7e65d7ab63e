//! Check digits that countries keep inside their account numbers, beside the two that every IBAN has.
//!
//! The structure of each country's domestic number (BBAN) is that of the IBAN registry (ISO 13616, release 101); the
//! rules of the check digits are those of the national schemes, as python-stdnum and ibantools check them too, or as
//! the registry's examples show. In the Czech, Slovak and Norwegian schemes one number in eleven has no check digit.
//! There one digit of the account number is kept free: it is 0, or the least with which there is a check digit.

/// Layout of a country's account numbers, where they have check digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    country: &'static str,
    /// A bank's code that is right.
    example: &'static str,
    /// Number of digits of the bank's code, with the branch's where the country has one.
    bank: usize,
    /// Number of digits of the account number that are the bank's to give.
    pub(crate) digits: u32,
    rule: Rule,
}

/// Rule and place of the check digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Two at the end, so that the whole leaves 1 when divided by 97 (ISO 7064 MOD 97-10).
    Mod97,
    /// Two at the end, so that the whole is divisible by 97: the French key (clé RIB).
    Rib,
    /// Two at the end: what the rest leaves when divided by 97, or 97.
    Belgian,
    /// One at the end, over the account number with the weights 7, 1, 3.
    Estonian,
    /// One at the end, over the whole by Luhn's rule (ISO/IEC 7812-1).
    Finnish,
    /// Two between bank and account: one for each, modulo 11 with powers of two.
    Spanish,
    /// One at the end, over the account (ISO 7064 MOD 11,10); the bank's code has its own.
    Croatian,
    /// One for the bank's code, behind it, and one for the account, at the end: weights 9, 7, 3, 1. A number of which the
    /// last eight digits were zeros would be taken for one of the short form, so one digit is kept free.
    Hungarian,
    /// One at the end, over the whole, modulo 11; one digit is kept free.
    Norwegian,
    /// One at the end, over the account, modulo 11, after a prefix of zeros; one digit is kept free.
    Czech,
    /// A letter before the bank's code (CIN).
    Italian,
}

impl Rule {
    /// Returns the number of characters before the bank's code, and between it and the account number.
    fn gaps(self) -> (usize, usize) {
        match self {
            Self::Italian => (1, 0),
            Self::Norwegian => (0, 1),
            Self::Spanish | Self::Hungarian => (0, 2),
            Self::Czech => (0, 7),
            Self::Mod97 | Self::Rib | Self::Belgian | Self::Estonian | Self::Finnish | Self::Croatian => (0, 0),
        }
    }
}

const fn layout(country: &'static str, example: &'static str, bank: usize, digits: u32, rule: Rule) -> Layout {
    Layout { country, example, bank, digits, rule }
}

/// The countries with check digits that can be computed.
static LAYOUTS: [Layout; 23] = [
    layout("BA", "129007", 6, 8, Rule::Mod97),
    layout("BE", "320", 3, 7, Rule::Belgian),
    layout("CZ", "0800", 4, 8, Rule::Czech),
    layout("EE", "22", 2, 13, Rule::Estonian),
    layout("ES", "21000418", 8, 10, Rule::Spanish),
    layout("FI", "123", 3, 10, Rule::Finnish),
    layout("FR", "2004101005", 10, 11, Rule::Rib),
    layout("HR", "1001005", 7, 9, Rule::Croatian),
    layout("HU", "1177301", 7, 14, Rule::Hungarian),
    layout("IT", "0542811101", 10, 12, Rule::Italian),
    layout("MC", "1122200001", 10, 11, Rule::Rib),
    layout("ME", "505", 3, 13, Rule::Mod97),
    layout("MK", "250", 3, 10, Rule::Mod97),
    layout("MR", "0002000101", 10, 11, Rule::Rib),
    layout("NO", "8601", 4, 5, Rule::Norwegian),
    layout("PT", "00020123", 8, 11, Rule::Mod97),
    layout("RS", "260", 3, 13, Rule::Mod97),
    layout("SI", "26330", 5, 8, Rule::Mod97),
    layout("SK", "1200", 4, 8, Rule::Czech),
    layout("SM", "0322509800", 10, 12, Rule::Italian),
    layout("TL", "008", 3, 14, Rule::Mod97),
    layout("TN", "10006", 5, 13, Rule::Rib),
    layout("XK", "1212", 4, 10, Rule::Mod97),
];

/// The countries whose account numbers have no check digits, or have them within the bank's code alone (AL, PL),
/// and a bank's code of each.
///
/// Left out are those of which the registry tells of check digits by a rule that is the bank's own or that nobody
/// publishes (BI, DJ, DK, FO, GL, RU, SE, ST), whose numbers hold the owner's (IS), or that end with letters (BR, MU, SC).
static PLAIN: [(&str, &str); 52] = [
    ("AD", "00012030"),
    ("AE", "033"),
    ("AL", "21211009"),
    ("AT", "19043"),
    ("AZ", "NABZ"),
    ("BG", "BNBG9661"),
    ("BH", "BMAG"),
    ("BY", "NBRB"),
    ("CH", "00762"),
    ("CR", "0152"),
    ("CY", "00200128"),
    ("DE", "37040044"),
    ("DO", "BAGR"),
    ("EG", "00190005"),
    ("FK", "SC"),
    ("GB", "NWBK601613"),
    ("GE", "NB"),
    ("GI", "NWBK"),
    ("GR", "0110125"),
    ("GT", "TRAJ"),
    ("IE", "AIBK931152"),
    ("IL", "010800"),
    ("IQ", "NBIQ850"),
    ("JO", "CBJO0010"),
    ("KW", "CBKU"),
    ("KZ", "125"),
    ("LB", "0999"),
    ("LC", "HEMM"),
    ("LI", "08810"),
    ("LT", "10000"),
    ("LU", "001"),
    ("LV", "BANK"),
    ("LY", "002048"),
    ("MD", "AG"),
    ("MN", "1234"),
    ("MT", "MALT01100"),
    ("NI", "BAPR"),
    ("NL", "ABNA"),
    ("OM", "018"),
    ("PL", "10901014"),
    ("PS", "PALS"),
    ("QA", "DOHB"),
    ("RO", "AAAA"),
    ("SA", "80"),
    ("SD", "29"),
    ("SO", "1000001"),
    ("SV", "CENR"),
    ("TR", "00061"),
    ("UA", "322313"),
    ("VA", "001"),
    ("VG", "VPVG"),
    ("YE", "CBYE0001"),
];

/// The layout of a country with check digits.
pub(crate) fn layout_of(country: &str) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.country == country)
}

/// Returns `true` if a country's account numbers have no check digits that would have to be computed.
pub(crate) fn is_plain(country: &str) -> bool {
    layout_of(country).is_none() && PLAIN.iter().any(|(plain, _)| *plain == country)
}

/// All countries whose IBANs can be computed and a bank's code of each, in their order.
pub(crate) fn possible() -> Vec<(&'static str, &'static str)> {
    let mut possible: Vec<_> =
        LAYOUTS.iter().map(|layout| (layout.country, layout.example)).chain(PLAIN.iter().copied()).collect();
    possible.sort_unstable();
    possible.dedup();
    possible
}

/// Returns `true` if a country's bank codes end with a check digit of their own.
pub(crate) fn has_check_digit(country: &str) -> bool {
    matches!(country, "HR" | "PL" | "AL")
}

/// Returns `true` if a bank's code has the check digit that its country asks for, at its end, where it has one of its
/// own.
pub(crate) fn is_bank_code_right(country: &str, bank_code: &str) -> bool {
    let (length, check): (usize, fn(&str) -> u64) = match country {
        "HR" => (7, mod_11_10),
        "PL" => (8, |code| ten_less(weighted(code, &[3, 9, 7, 1]))),
        "AL" => (8, |code| ten_less(weighted(code, &[9, 7, 3, 1]))),
        _ => return true,
    };
    let Some((before, last)) = bank_code.split_at_checked(length.saturating_sub(1)) else { return false };
    is_digits(bank_code) && last == check(before).to_string()
}

impl Layout {
    /// Returns `true` if a bank's code has the country's form.
    pub(crate) fn takes(&self, bank_code: &str) -> bool {
        bank_code.len() == self.bank && is_digits(bank_code)
    }

    /// The domestic number (BBAN) of an account, of a bank code that it takes.
    pub(crate) fn domestic(&self, bank: &str, number: u64) -> String {
        let width = usize::try_from(self.digits).unwrap_or(0);
        let account = format!("{number:0width$}");
        let whole = format!("{bank}{account}");
        match self.rule {
            Rule::Mod97 => format!("{whole}{:02}", 98_u64.saturating_sub(mod_97(&format!("{whole}00")))),
            Rule::Rib => format!("{whole}{:02}", 97_u64.saturating_sub(mod_97(&format!("{whole}00")))),
            Rule::Belgian => format!("{whole}{:02}", Some(mod_97(&whole)).filter(|rest| *rest != 0).unwrap_or(97)),
            Rule::Estonian => format!("{whole}{}", ten_less(weighted(&account, &[7, 1, 3]))),
            Rule::Finnish => format!("{whole}{}", ten_less(luhn(&whole))),
            Rule::Spanish => format!("{bank}{}{}{account}", spanish(&format!("00{bank}")), spanish(&account)),
            Rule::Croatian => format!("{whole}{}", mod_11_10(&account)),
            Rule::Hungarian => {
                let bank_check = ten_less(weighted(bank, &[9, 7, 3, 1]));
                let mut numbers = (0..10).map(|free| {
                    let account = format!("{free}{account}");
                    format!("{account}{}", ten_less(weighted(&account, &[9, 7, 3, 1])))
                });
                let long = numbers.find(|account| !account.ends_with("00000000")).unwrap_or_default();
                format!("{bank}{bank_check}{long}")
            }
            Rule::Norwegian => with_free_digit(bank, &account, |whole| eleven_less(whole, &[5, 4, 3, 2, 7, 6])),
            Rule::Czech => {
                let weights = [6, 3, 7, 9, 10, 5, 8, 4, 2];
                format!("{bank}000000{}", with_free_digit("", &account, |account| eleven_less(account, &weights)))
            }
            Rule::Italian => format!("{}{whole}", cin(&whole)),
        }
    }

    /// The bank's code and the account number within a domestic number, wherever its check digits are.
    pub(crate) fn parts<'a>(&self, bban: &'a str) -> Option<(&'a str, &'a str)> {
        let (before, between) = self.rule.gaps();
        let account = before.checked_add(self.bank)?.checked_add(between)?;
        let end = account.checked_add(usize::try_from(self.digits).ok()?)?;
        Some((bban.get(before..before.checked_add(self.bank)?)?, bban.get(account..end)?))
    }
}

/// A number with its check digit, and before it the least digit with which there is one.
fn with_free_digit(before: &str, account: &str, check: impl Fn(&str) -> Option<u64>) -> String {
    let mut numbers = (0..10).filter_map(|free| {
        let whole = format!("{before}{free}{account}");
        check(&whole).map(|check| format!("{whole}{check}"))
    });
    // Each other digit changes what is left when divided by 11, so the second at the latest has a check digit.
    numbers.next().unwrap_or_default()
}

/// The values of a text's digits.
pub(crate) fn digits(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.bytes().map(|byte| u64::from(byte.wrapping_sub(b'0')))
}

/// Returns `true` if a text is made of the digits 0 to 9 alone.
pub(crate) fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn mod_97(text: &str) -> u64 {
    digits(text).fold(0_u64, |rest, digit| rest.wrapping_mul(10).wrapping_add(digit).rem_euclid(97))
}

/// The sum of the digits, each times its weight; the weights begin anew where there are fewer.
pub(crate) fn weighted(text: &str, weights: &[u64]) -> u64 {
    digits(text)
        .zip(weights.iter().cycle())
        .fold(0_u64, |sum, (digit, weight)| sum.wrapping_add(digit.wrapping_mul(*weight)))
}

/// The digit that brings a sum to a multiple of ten.
pub(crate) fn ten_less(sum: u64) -> u64 {
    10_u64.wrapping_sub(sum.rem_euclid(10)).rem_euclid(10)
}

/// The digit of weight 1 that brings a sum to a multiple of eleven; none where it would be ten.
fn eleven_less(text: &str, weights: &[u64]) -> Option<u64> {
    let check = 11_u64.wrapping_sub(weighted(text, weights).rem_euclid(11)).rem_euclid(11);
    (check < 10).then_some(check)
}

/// The sum of Luhn's rule, for a check digit that is still to come: every other digit counts twice, from the last on.
pub(crate) fn luhn(text: &str) -> u64 {
    let from_the_end = digits(text).collect::<Vec<_>>().into_iter().rev();
    from_the_end.enumerate().fold(0, |sum: u64, (place, digit)| {
        let twice = digit.wrapping_mul(2);
        let counted = if place.rem_euclid(2) == 1 { digit } else { twice.wrapping_sub(if twice > 9 { 9 } else { 0 }) };
        sum.wrapping_add(counted)
    })
}

/// The Spanish check digit of ten digits: weights are the powers of two modulo 11, and 10 is written as 1.
fn spanish(text: &str) -> u64 {
    match weighted(text, &[1, 2, 4, 8, 5, 10, 9, 7, 3, 6]).rem_euclid(11) {
        rest @ (0 | 1) => rest,
        rest => 11_u64.wrapping_sub(rest),
    }
}

/// The check digit of ISO 7064 MOD 11,10.
fn mod_11_10(text: &str) -> u64 {
    let product = digits(text).fold(10_u64, |product, digit| {
        let sum = product.wrapping_add(digit).rem_euclid(10);
        let sum = if sum == 0 { 10 } else { sum };
        sum.wrapping_mul(2).rem_euclid(11)
    });
    11_u64.wrapping_sub(product).rem_euclid(10)
}

/// The Italian check letter: digits at odd places, counted from 1, have values of a table.
fn cin(text: &str) -> char {
    static ODD: [u64; 10] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21];
    let values = digits(text).enumerate().map(|(place, digit)| {
        let odd = usize::try_from(digit).ok().and_then(|digit| ODD.get(digit));
        if place.rem_euclid(2) == 0 { odd.copied().unwrap_or(0) } else { digit }
    });
    let letter = values.fold(0_u64, u64::wrapping_add).rem_euclid(26);
    char::from(b'A'.wrapping_add(u8::try_from(letter).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The registry's examples, taken apart, as far as their numbers are of the form that is made here.
    #[test]
    fn the_examples_of_the_registry() {
        for (country, bank, number, expected) in [
            ("BA", "129007", 94_010_284, "1290079401028494"),
            ("BE", "539", 75_470, "539007547034"),
            ("EE", "22", 22_102_014_568, "2200221020145685"),
            ("ES", "21000418", 200_051_332, "21000418450200051332"),
            ("FI", "123", 4_560_000_078, "12345600000785"),
            ("HR", "1001005", 186_300_016, "10010051863000160"),
            ("IT", "0542811101", 123_456, "X0542811101000000123456"),
            ("MC", "1122200001", 1_234_567_890, "11222000010123456789030"),
            ("ME", "505", 123_456_789, "505000012345678951"),
            ("MK", "250", 1_200_000_589, "250120000058984"),
            ("MR", "0002000101", 1_234_567, "00020001010000123456753"),
            ("PT", "00020123", 12_345_678_901, "000201231234567890154"),
            ("RS", "260", 56_010_016_113, "260005601001611379"),
            ("SI", "26330", 120_390, "263300012039086"),
            ("SM", "0322509800", 270_100, "U0322509800000000270100"),
            ("TL", "008", 123_456_789_101, "0080012345678910157"),
            ("TN", "10006", 351_835_984_788, "10006035183598478831"),
            ("XK", "1212", 123_456_789, "1212012345678906"),
        ] {
            let layout = layout_of(country).unwrap();
            assert!(layout.takes(bank), "{country}");
            assert_eq!(layout.domestic(bank, number), expected, "{country}");
            let (found, account) = layout.parts(expected).unwrap();
            assert_eq!((found, account.parse()), (bank, Ok(number)), "{country}");
        }
        assert!(is_bank_code_right("AL", "21211009") && !is_bank_code_right("AL", "21211008"));
        assert!(is_bank_code_right("PL", "10901014") && !is_bank_code_right("PL", "10901015"));
        assert!(is_bank_code_right("HR", "1001005") && !is_bank_code_right("HR", "1001006"));
        assert!(!is_bank_code_right("PL", "0") && !is_bank_code_right("PL", "109010144"));
    }

    /// One number in eleven has no check digit without the free one: then that is 1.
    #[test]
    fn a_digit_is_kept_free() {
        for (country, bank, place) in [("NO", "8601", 4), ("CZ", "0800", 10), ("SK", "1200", 10)] {
            let layout = layout_of(country).unwrap();
            let free = |number| layout.domestic(bank, number).as_bytes()[place];
            let frees: Vec<u8> = (1..=1_000).map(free).collect();
            assert!(frees.iter().all(|free| b"01".contains(free)), "{country}");
            let ones = frees.iter().filter(|free| **free == b'1').count();
            assert!((80..=100).contains(&ones), "{country}: {ones} of 1000");
        }
        // A Hungarian number that would end with eight zeros has the short form's place for its check digit.
        let layout = layout_of("HU").unwrap();
        for millions in 0..100 {
            assert!(!layout.domestic("1177301", millions * 10_000_000).ends_with("00000000"));
        }
    }

    #[test]
    fn a_country_is_plain_or_has_a_layout() {
        let possible = possible();
        assert_eq!(possible.len(), 75);
        assert!(possible.iter().all(|(country, _)| is_plain(country) != layout_of(country).is_some()));
        assert!(
            ["BI", "BR", "DJ", "DK", "FO", "GL", "IS", "MU", "RU", "SC", "SE", "ST", "XX"]
                .iter()
                .all(|country| possible.iter().all(|(possible, _)| possible != country))
        );
    }
}
