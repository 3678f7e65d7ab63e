//! Account numbers of a form that a bank chose for itself, in any country: its code, the account's digits, check digits.

use crate::national::{is_digits, luhn, ten_less};

/// Rule of the check digits at the end of such a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnCheck {
    /// Two digits, ISO 7064 MOD 97-10, over the whole; letters count as in an IBAN, A as 10 and Z as 35.
    Mod97,
    /// One digit by Luhn's rule (ISO/IEC 7812-1), over the whole; the bank's code has no letters.
    Luhn,
}

/// The longest code of a bank: as much as any country's, and little enough to type.
const MAX_CODE: usize = 12;

/// The fewest digits of an account, with room for a million, and the most, which 64 bits hold.
pub(crate) const DIGITS: [u32; 2] = [6, 18];

/// The digits of an account without a choice.
pub(crate) const USUAL_DIGITS: u32 = 10;

impl OwnCheck {
    /// All rules.
    pub const ALL: [Self; 2] = [Self::Mod97, Self::Luhn];

    /// Its name in commands, maps and exports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mod97 => "mod97",
            Self::Luhn => "luhn",
        }
    }

    /// Finds a rule by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Says in words why a code is none for numbers of this rule; none where it is one.
    pub(crate) fn fault_of(self, code: &str) -> Option<String> {
        let is_short = (1..=MAX_CODE).contains(&code.len());
        let (right, expected) = match self {
            Self::Mod97 => (
                is_short && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()),
                "1 to 12 capital letters and digits, e.g. KASSA01",
            ),
            Self::Luhn => (is_short && is_digits(code), "1 to 12 digits, e.g. 900001"),
        };
        (!right).then(|| {
            format!(
                "{code:?} is none: the bank code of account numbers of the bank's own, checked by {}, is {expected}",
                self.name()
            )
        })
    }

    /// The number of an account, of a code that is right.
    pub(crate) fn text(self, code: &str, width: u32, number: u64) -> String {
        let width = usize::try_from(width).unwrap_or(0);
        let plain = format!("{code}{number:0width$}");
        match self {
            Self::Mod97 => {
                let check = 98_u64.saturating_sub(mod_97(&format!("{plain}00")));
                format!("{plain}{check:02}")
            }
            Self::Luhn => format!("{plain}{}", ten_less(luhn(&plain))),
        }
    }

    /// The number of an account of a bank, of a text without spaces and hyphens.
    pub(crate) fn number(self, code: &str, width: u32, compact: &str) -> Option<u64> {
        let rest = compact.strip_prefix(code).filter(|rest| is_digits(rest))?;
        let number = rest.get(..usize::try_from(width).ok()?)?.parse().ok()?;
        (self.text(code, width, number) == compact).then_some(number)
    }
}

/// Remainder that a text of capital letters and digits leaves when divided by 97.
fn mod_97(text: &str) -> u64 {
    text.bytes().fold(0_u64, |rest, byte| {
        let (value, shift) = match byte {
            b'0'..=b'9' => (byte.wrapping_sub(b'0'), 10),
            _ => (byte.wrapping_sub(b'A').wrapping_add(10), 100),
        };
        rest.wrapping_mul(shift).wrapping_add(value.into()).rem_euclid(97)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IbanError, Numbering, NumberingError, NumbersAsked};

    fn asked(country: &str, code: &str, digits: Option<u32>, rule: OwnCheck) -> Result<Numbering, NumberingError> {
        Numbering::asked(country, code, NumbersAsked { digits, own: Some(rule) })
    }

    #[test]
    fn known_numbers() {
        for (country, code, digits, rule, number, expected) in [
            // 700009425 leaves 1 when divided by 97, and so does 2010282810010000000001 with 71 after it.
            ("XX", "7", 6, OwnCheck::Mod97, 94, "700009425"),
            ("BR", "KASSA01", 10, OwnCheck::Mod97, 1, "KASSA01000000000171"),
            // The number of ISO/IEC 7812-1's example, 7992739871 with the check digit 3.
            ("BR", "7992", 6, OwnCheck::Luhn, 739_871, "79927398713"),
            ("US", "900001", 10, OwnCheck::Luhn, 1, "90000100000000017"),
        ] {
            let numbering = asked(country, code, Some(digits), rule).unwrap();
            assert_eq!(numbering.iban(number), expected);
            for typed in
                [expected, &expected.to_lowercase(), &expected.replace("00", "0-0"), &expected.replace("0", "0 ")]
            {
                assert_eq!(numbering.number(typed), Ok(number), "{typed}");
            }
            let (scheme, width) = (numbering.scheme(), numbering.own_digits());
            assert_eq!((width, numbering.own_check()), (u8::try_from(digits).ok(), Some(rule)));
            assert_eq!(Numbering::recorded(country, code, scheme, width), Ok(numbering.clone()));
            assert!(numbering.parts(number).is_empty());
            for place in 0..expected.len() {
                let mut wrong = expected.to_owned().into_bytes();
                wrong[place] = if wrong[place] == b'9' { b'0' } else { wrong[place] + 1 };
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(numbering.number(&wrong), Err(IbanError::InvalidNumber), "{wrong}");
            }
            assert_eq!(numbering.number("AT611904300234573201"), Err(IbanError::OtherBanksNumber));
        }
    }

    #[test]
    fn codes_countries_and_digits_that_are_none() {
        let long = "A".repeat(13);
        for (country, code, digits, rule, part) in [
            ("BR", "", 10, OwnCheck::Mod97, "1 to 12 capital letters and digits"),
            ("BR", "kassa", 10, OwnCheck::Mod97, "1 to 12 capital letters and digits"),
            ("BR", "KA-SA", 10, OwnCheck::Mod97, "1 to 12 capital letters and digits"),
            ("BR", "K\u{c4}SA", 10, OwnCheck::Mod97, "1 to 12 capital letters and digits"),
            ("BR", long.as_str(), 10, OwnCheck::Mod97, "1 to 12 capital letters and digits"),
            ("BR", "KASSA", 10, OwnCheck::Luhn, "1 to 12 digits"),
            ("BR", "90\u{0660}", 10, OwnCheck::Luhn, "1 to 12 digits"),
            ("br", "1", 10, OwnCheck::Luhn, "two capital letters"),
            ("BRA", "1", 10, OwnCheck::Luhn, "two capital letters"),
            ("\u{c4}", "1", 10, OwnCheck::Luhn, "two capital letters"),
            ("BR", "1", 5, OwnCheck::Luhn, "6 to 18 digits of the account, not 5"),
            ("BR", "1", 19, OwnCheck::Mod97, "6 to 18 digits of the account, not 19"),
        ] {
            let told = asked(country, code, Some(digits), rule).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
        assert!(asked("BR", &"A".repeat(12), Some(18), OwnCheck::Mod97).unwrap().iban(1).len() <= 34);
        assert!(asked("AT", "9", None, OwnCheck::Luhn).is_ok(), "a country with IBANs may do without");
        assert_eq!(OwnCheck::ALL.map(|rule| OwnCheck::from_name(rule.name())), OwnCheck::ALL.map(Some));
        assert_eq!(OwnCheck::from_name("MOD97"), None);
    }
}
