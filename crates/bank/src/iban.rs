//! Account numbers that people can type and check: International Bank Account Numbers (ISO 13616).
//!
//! An account has a number within the bank. Its IBAN is the country, two check digits (ISO 7064 MOD 97-10), the bank
//! code, and the number padded with zeros to the length that the country's registry entry asks for, with the check digits
//! that some countries keep inside the domestic part (`national`). A bank that was founded before these were computed has
//! its IBANs without them, for ever: the event of its founding says which.

use std::fmt::Write;

use iban::{Iban, IbanLike, ParseIbanError};

use crate::national::{self, Layout};

/// Scheme of this bank's account numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    country: String,
    bank_code: String,
    digits: u32,
    /// Layout of the domestic part, where it has check digits.
    national: Option<&'static Layout>,
    /// Remainder modulo 97 of the IBAN of account number 0, with the country and two zeros at its end.
    remainder: u64,
}

/// Fault of a country and bank code that can't make account numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberingError {
    /// No length of account number makes a valid IBAN.
    #[error(
        "country {country} with bank code {bank_code} makes no IBAN that ISO 13616 allows: give the two capital letters \
         of a country in the IBAN registry, and the bank's code (with the branch code where the country has one) as \
         that country writes it"
    )]
    NoSuchForm {
        /// The country given.
        country: String,
        /// The bank code given.
        bank_code: String,
    },
    /// The country's check digits can't be computed, or it has no IBANs.
    #[error(
        "no bank can be founded in country {country}: its account numbers have check digits of which Kassa doesn't know \
         the rule, or no IBAN that ISO 13616 allows. Possible are: {}",
        national::possible().join(" ")
    )]
    NoCheckDigits {
        /// The country given.
        country: String,
    },
    /// The journal says that account numbers are made in a way that this version doesn't know.
    #[error("account numbers are made in way {0}, which a later version of Kassa brought")]
    LaterScheme(u8),
}

/// The scheme of a bank whose account numbers have national check digits, as the event of its founding tells it. Those
/// without have none: there is nothing to tell them by.
const NATIONAL: u8 = 1;

/// Fault of a text that is not an account of this bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// Not a valid IBAN: a typing error, most likely.
    #[error("this is not a valid IBAN; check it for a typing error")]
    Invalid,
    /// A valid IBAN, of another bank.
    #[error("this IBAN belongs to another bank")]
    OtherBank,
}

/// The longest domestic part of an IBAN (ISO 13616).
const MAX_BBAN: usize = 30;

/// Account numbers are kept in 64 bits, which hold 18 digits of any value.
const MAX_NUMBER_DIGITS: usize = 18;

impl Numbering {
    /// Makes the numbering of a new bank of a country and bank code, such as `AT` and `99999`.
    ///
    /// # Errors
    ///
    /// Refuses with [`NumberingError::NoSuchForm`] if the bank code does not have the country's form, and with
    /// [`NumberingError::NoCheckDigits`] if the country has no IBANs, or check digits that can't be computed: others
    /// would refuse the IBANs.
    pub fn new(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        let no_such_form =
            || NumberingError::NoSuchForm { country: country.to_owned(), bank_code: bank_code.to_owned() };
        if national::layout_of(country).is_some() {
            return Self::recorded(country, bank_code, Some(NATIONAL));
        }
        if !national::is_plain(country) {
            return Err(NumberingError::NoCheckDigits { country: country.to_owned() });
        }
        let plain = Self::plain(country, bank_code)?;
        // Where the code has a check digit of its own, that says how long it is.
        let is_of_its_length = national::has_check_digit(country) || plain.is_of_the_banks_length();
        let is_right = is_of_its_length && national::is_bank_code_right(country, bank_code);
        if is_right { Ok(plain) } else { Err(no_such_form()) }
    }

    /// Makes the numbering of a bank that was founded with a country, bank code and [`Numbering::scheme`].
    ///
    /// # Errors
    ///
    /// Fails with [`NumberingError::LaterScheme`] if this version does not know the scheme, and with
    /// [`NumberingError::NoSuchForm`] if the bank code does not have the country's form.
    pub fn recorded(country: &str, bank_code: &str, scheme: Option<u8>) -> Result<Self, NumberingError> {
        match scheme {
            None => Self::plain(country, bank_code),
            Some(NATIONAL) => Self::national(country, bank_code),
            Some(later) => Err(NumberingError::LaterScheme(later)),
        }
    }

    /// The way in which account numbers are made, for the event of the founding; none where the number follows the bank
    /// code.
    #[must_use]
    pub fn scheme(&self) -> Option<u8> {
        self.national.map(|_| NATIONAL)
    }

    fn national(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        let layout = national::layout_of(country)
            .filter(|layout| layout.takes(bank_code) && national::is_bank_code_right(country, bank_code))
            .ok_or_else(|| NumberingError::NoSuchForm {
                country: country.to_owned(),
                bank_code: bank_code.to_owned(),
            })?;
        Ok(Self {
            country: country.to_owned(),
            bank_code: bank_code.to_owned(),
            digits: layout.digits,
            national: Some(layout),
            remainder: 0,
        })
    }

    fn plain(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        let no_such_form =
            || NumberingError::NoSuchForm { country: country.to_owned(), bank_code: bank_code.to_owned() };
        let proper = country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && bank_code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !proper {
            return Err(no_such_form());
        }
        // A country fixes the whole length, so at most one length of account number is valid.
        (1..=MAX_BBAN.saturating_sub(bank_code.len()))
            .filter_map(|digits| u32::try_from(digits).ok())
            .map(|digits| Self {
                country: country.to_owned(),
                bank_code: bank_code.to_owned(),
                digits,
                national: None,
                remainder: remainder(bank_code, digits, country),
            })
            .find(Self::names_the_bank)
            .ok_or_else(no_such_form)
    }

    /// Returns `true` if the IBANs are valid, and their bank and branch the same whatever the account: the whole code
    /// was given.
    fn names_the_bank(&self) -> bool {
        let (Ok(first), Ok(last)) = (self.iban(0).parse::<Iban>(), self.iban(self.largest()).parse::<Iban>()) else {
            return false;
        };
        first.bank_identifier() == last.bank_identifier() && first.branch_identifier() == last.branch_identifier()
    }

    /// Returns `true` if the code ends where the country's codes of bank and branch do: a longer one would take its
    /// accounts' first digits from another bank.
    fn is_of_the_banks_length(&self) -> bool {
        let Ok(iban) = self.iban(0).parse::<Iban>() else { return false };
        let bank = iban.bank_identifier().map_or(self.bank_code.len(), str::len);
        self.bank_code.len() <= bank.saturating_add(iban.branch_identifier().map_or(0, str::len))
    }

    /// The country's two letters.
    #[must_use]
    pub fn country(&self) -> &str {
        &self.country
    }

    /// The bank's code.
    #[must_use]
    pub fn bank_code(&self) -> &str {
        &self.bank_code
    }

    /// The largest account number that has an IBAN.
    #[must_use]
    pub fn largest(&self) -> u64 {
        let digits = self.digits.min(u32::try_from(MAX_NUMBER_DIGITS).unwrap_or(u32::MAX));
        10_u64.saturating_pow(digits).saturating_sub(1)
    }

    /// The IBAN of an account number, without spaces.
    #[must_use]
    pub fn iban(&self, number: u64) -> String {
        if let Some(layout) = self.national {
            let bban = layout.domestic(&self.bank_code, number);
            let check = 98_u64.saturating_sub(remainder(&bban, 0, &self.country));
            return format!("{}{check:02}{bban}", self.country);
        }
        let [tens, units] = self.check_digits(number).map(char::from);
        let width = usize::try_from(self.digits).unwrap_or(MAX_BBAN);
        let mut iban = String::with_capacity(34);
        // Writing to a String can't fail.
        let _ = write!(iban, "{}{tens}{units}{}{number:0width$}", self.country, self.bank_code);
        iban
    }

    fn check_digits(&self, number: u64) -> [u8; 2] {
        // The number is followed by six digits: the country's two letters, and two zeros.
        let remainder = number.rem_euclid(97).wrapping_mul(1_000_000).wrapping_add(self.remainder).rem_euclid(97);
        let check = 98_u64.wrapping_sub(remainder);
        [check.div_euclid(10), check.rem_euclid(10)].map(|digit| b'0'.wrapping_add(u8::try_from(digit).unwrap_or(0)))
    }

    /// Returns the account number of an IBAN of this bank. Spaces and small letters are accepted, as people type them.
    ///
    /// # Errors
    ///
    /// Refuses with [`IbanError::Invalid`] if the text is not a valid IBAN, and with [`IbanError::OtherBank`] if it is
    /// another bank's.
    pub fn number(&self, text: &str) -> Result<u64, IbanError> {
        if let Some(number) = self.own(text) {
            return Ok(number);
        }
        let typed: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()).collect();
        if let Some(number) = self.own(&typed) {
            return Ok(number);
        }
        let iban: Iban = match typed.parse() {
            Ok(iban) => iban,
            // The registry grows: of a country that this program doesn't know yet, the check digits must do.
            Err(ParseIbanError::UnknownCountry(base)) if base.country_code() != self.country => {
                return Err(IbanError::OtherBank);
            }
            Err(_) => return Err(IbanError::Invalid),
        };
        let own = iban.country_code() == self.country;
        if let Some(layout) = self.national {
            let same_bank = layout.parts(iban.bban()).is_some_and(|(bank, _)| bank == self.bank_code);
            // One of this bank that has no account number has wrong check digits within.
            return Err(if own && same_bank { IbanError::Invalid } else { IbanError::OtherBank });
        }
        let number = iban.bban().strip_prefix(self.bank_code.as_str()).filter(|_| own).ok_or(IbanError::OtherBank)?;
        let number = number.parse().map_err(|_| IbanError::OtherBank)?;
        // Check digits are 02 to 98; 00, 01 and 99 leave the same remainder and would be a second way to write it.
        if self.iban(number) == typed { Ok(number) } else { Err(IbanError::Invalid) }
    }

    /// The account number of an IBAN of this bank that is written just as it is shown: the ordinary case.
    fn own(&self, text: &str) -> Option<u64> {
        let (check, bban) = text.strip_prefix(self.country.as_str())?.split_at_checked(2)?;
        if let Some(layout) = self.national {
            let number = layout.parts(bban)?.1.parse().ok()?;
            return (self.iban(number) == text).then_some(number);
        }
        let digits = bban.strip_prefix(self.bank_code.as_str())?;
        let whole = digits.len() == usize::try_from(self.digits).ok()?;
        let number = digits.parse().ok()?;
        let same = check.as_bytes() == self.check_digits(number) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (whole && same).then_some(number)
    }
}

/// Computes the remainder modulo 97 of an account number of so many zeros, with the bank code before it, and the
/// country and two zeros behind it. A letter counts as two digits: A as 10, Z as 35.
fn remainder(bank_code: &str, digits: u32, country: &str) -> u64 {
    let zeros = (0..digits).map(|_| b'0');
    let all = bank_code.bytes().chain(zeros).chain(country.bytes()).chain(*b"00");
    all.fold(0, |remainder: u64, byte| {
        let (value, shift) = match byte {
            b'0'..=b'9' => (byte.wrapping_sub(b'0'), 10),
            _ => (byte.wrapping_sub(b'A').wrapping_add(10), 100),
        };
        remainder.wrapping_mul(shift).wrapping_add(value.into()).rem_euclid(97)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ibans() {
        // The examples of the IBAN registry, taken apart into bank code and number; those with check digits within as a bank
        // has them that was founded before these were computed.
        for (country, bank_code, number, expected) in [
            ("AT", "19043", 234_573_201, "AT611904300234573201"),
            ("DE", "37040044", 532_013_000, "DE89370400440532013000"),
            ("CZ", "0800", 192_000_145_399, "CZ6508000000192000145399"),
            ("GB", "NWBK601613", 31_926_819, "GB29NWBK60161331926819"),
            ("NO", "8601", 1_117_947, "NO9386011117947"),
        ] {
            let numbering = Numbering::recorded(country, bank_code, None).unwrap();
            assert_eq!(numbering.scheme(), None);
            assert_eq!(numbering.iban(number), expected);
            assert_eq!(numbering.number(expected), Ok(number));
            assert_eq!(numbering.number(&numbering.iban(numbering.largest())), Ok(numbering.largest()));
        }
    }

    #[test]
    fn check_digits_within() {
        for (country, bank_code, number, expected) in [
            ("BE", "539", 75_470, "BE68539007547034"),
            ("ES", "21000418", 200_051_332, "ES9121000418450200051332"),
            ("IT", "0542811101", 123_456, "IT60X0542811101000000123456"),
            ("PT", "00020123", 12_345_678_901, "PT50000201231234567890154"),
        ] {
            let numbering = Numbering::new(country, bank_code).unwrap();
            assert_eq!(Numbering::recorded(country, bank_code, numbering.scheme()), Ok(numbering.clone()));
            assert_ne!(Numbering::recorded(country, bank_code, None).as_ref(), Ok(&numbering));
            assert_eq!(numbering.iban(number), expected);
            for number in [1, 2, 12_345, numbering.largest()] {
                let iban = numbering.iban(number);
                assert_eq!(numbering.number(&iban), Ok(number));
                assert_eq!(numbering.number(&iban.to_ascii_lowercase()), Ok(number));
                assert!(iban.parse::<Iban>().is_ok(), "{iban}");
            }
        }
        let belgian = Numbering::new("BE", "539").unwrap();
        // The last is an IBAN, and its check digits within are wrong.
        for text in ["BE68539007547035", "BE6853900754703", "BE41539007547035"] {
            assert_eq!(belgian.number(text), Err(IbanError::Invalid), "{text}");
        }
        assert_eq!(belgian.number("BE71096123456769"), Err(IbanError::OtherBank));
        assert_eq!(Numbering::recorded("BE", "539", Some(2)), Err(NumberingError::LaterScheme(2)));
    }

    /// Others are told apart from typing errors by their own form where it is known, and else by their check digits.
    #[test]
    fn of_countries_that_have_none_here() {
        let numbering = Numbering::new("AT", "19043").unwrap();
        for (text, expected) in [
            // Honduras and Pakistan are in the registry, and not in the library; Senegal and Angola only use the form.
            ("HN88CABF00000000000250005469", IbanError::OtherBank),
            ("PK36SCBL0000001123456702", IbanError::OtherBank),
            ("SN08SN0100152000048500003035", IbanError::OtherBank),
            ("AO06004400006729503010102", IbanError::OtherBank),
            ("MN121234123456789123", IbanError::OtherBank),
            ("hn88 cabf 0000 0000 0002 5000 5469", IbanError::OtherBank),
            ("HN88CABF00000000000250005468", IbanError::Invalid),
            ("PK36SCBL0000001123456703", IbanError::Invalid),
            ("MN12123412345678912", IbanError::Invalid),
        ] {
            assert_eq!(numbering.number(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn countries_whose_check_digits_are_not_known_are_refused() {
        for (country, bank_code) in [("SE", "500"), ("DK", "0040"), ("IS", "0159"), ("HN", "CABF"), ("XX", "1")] {
            let told = Numbering::new(country, bank_code).unwrap_err().to_string();
            assert!(told.contains(country) && told.contains(" AT ") && told.contains(" BE "), "{told}");
        }
        // A bank that was founded there keeps its numbers.
        assert!(Numbering::recorded("SE", "500", None).is_ok());
        for (country, bank_code) in
            [("BE", "53"), ("BE", "5390"), ("HR", "1001006"), ("PL", "10901015"), ("IT", "X0542811101")]
        {
            assert!(Numbering::new(country, bank_code).is_err(), "{country} {bank_code}");
        }
    }

    #[test]
    fn typed_with_spaces_and_small_letters() {
        let numbering = Numbering::new("AT", "19043").unwrap();
        assert_eq!(numbering.number("at61 1904 3002 3457 3201"), Ok(234_573_201));
    }

    #[test]
    fn not_an_account_here() {
        let numbering = Numbering::new("AT", "19043").unwrap();
        for (text, expected) in [
            ("", IbanError::Invalid),
            ("AT611904300234573202", IbanError::Invalid),
            ("AT61190430023457320", IbanError::Invalid),
            ("AT61é904300234573201", IbanError::Invalid),
            // A number that is too long, with the check digits that it would have; and one with a sign.
            ("AT271904310000000000", IbanError::Invalid),
            ("AT6119043+0234573201", IbanError::Invalid),
            ("DE89370400440532013000", IbanError::OtherBank),
        ] {
            assert_eq!(numbering.number(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn no_such_form() {
        for (country, bank_code) in [
            ("XX", "1"),
            ("at", "19043"),
            ("AT", "1904300234573201"),
            ("AT", "1904é"),
            ("", ""),
            ("AT", ""),
            ("AT", "1"),
            ("DE", "1"),
            ("GB", "NWBK"),
            ("AT", "123456"),
            ("AT", "123456789012345"),
            ("DE", "123456789"),
            ("NL", "ABNA1"),
            ("CH", "123456"),
        ] {
            assert!(Numbering::new(country, bank_code).is_err(), "{country} {bank_code}");
        }
        // A check digit after bank and branch is of the code as well.
        for (country, bank_code) in [("AL", "21211009"), ("HR", "1001005"), ("PL", "10901014"), ("GB", "NWBK601613")] {
            assert!(Numbering::new(country, bank_code).is_ok(), "{country} {bank_code}");
        }
        // A bank that was founded with more keeps its numbers.
        assert!(Numbering::recorded("AT", "123456", None).is_ok());
    }
}
