//! Account numbers that people can type and check: International Bank Account Numbers (ISO 13616), or where a country has
//! none, its own form.
//!
//! An account has a number within the bank. Its IBAN is the country, two check digits (ISO 7064 MOD 97-10), the bank
//! code, and the number padded with zeros to the length that the country's registry entry asks for, with the check digits
//! that some countries keep inside the domestic part (`national`). A country without IBANs has a form of its own
//! (`domestic`), and a bank may choose one for itself (`own`). The event of its founding says which, for ever: a bank that
//! was founded before check digits inside were computed has its IBANs without them.

use std::fmt::Write;

use iban::{Iban, IbanLike, ParseIbanError};

use crate::domestic;
use crate::modulus::{ModulusError, ModulusRule};
use crate::national::{self, Layout};
use crate::own::{self, OwnCheck};

/// Scheme of this bank's account numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    country: String,
    bank_code: String,
    digits: u32,
    form: Form,
    /// Rules by which the account numbers of a British bank are checked, if it was founded with any.
    modulus: Vec<ModulusRule>,
}

/// Form of a bank's account numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// An IBAN in which the number follows the bank's code. `remainder` is that of the IBAN of account number 0 modulo 97,
    /// with the country and two zeros at its end.
    Plain { remainder: u64 },
    /// An IBAN with check digits within.
    National(&'static Layout),
    /// The country's own form, which is no IBAN.
    Domestic(&'static domestic::Form),
    /// The bank's own form.
    Own(OwnCheck),
}

/// Wishes for the account numbers of a new bank. Without any they are its country's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumbersAsked {
    /// Number of digits of an account, where the country leaves a choice.
    pub digits: Option<u32>,
    /// Rule of numbers of the bank's own form, in place of its country's.
    pub own: Option<OwnCheck>,
}

impl NumbersAsked {
    /// Returns `true` if a bank's account numbers are as is wished for here, as far as anything is.
    #[must_use]
    pub fn are_of(&self, numbering: &Numbering) -> bool {
        self.digits.is_none_or(|digits| numbering.own_digits().map(u32::from) == Some(digits))
            && self.own.is_none_or(|own| numbering.own_check() == Some(own))
    }
}

/// Fault of a country, bank code and wishes that can't make account numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberingError {
    /// No length of account number makes a valid IBAN.
    #[error(
        "country {country} with bank code {bank_code} makes no IBAN that ISO 13616 allows: give the two capital letters \
         of a country in the IBAN registry, and the bank's code (with the branch code where the country has one) as \
         that country writes it{}",
        example_of(country)
    )]
    NoSuchForm {
        /// The country given.
        country: String,
        /// The bank code given.
        bank_code: String,
    },
    /// The bank code is not as the country's own form, or the bank's, asks for.
    #[error("{0}")]
    WrongBankCode(String),
    /// The country's form has another number of digits.
    #[error("an account number in {country} has {} digits of the account, not {asked}", from_to(*least, *most))]
    WrongDigits {
        /// The country given.
        country: String,
        /// The number of digits that was asked for.
        asked: u32,
        /// The fewest that it may have.
        least: u32,
        /// The most that it may have.
        most: u32,
    },
    /// An IBAN's length is its country's.
    #[error(
        "account numbers in {country} are IBANs, and how many digits they have the country says: leave the number of digits \
         out, or choose numbers of the bank's own (--own-numbers)"
    )]
    DigitsOfIban {
        /// The country given.
        country: String,
    },
    /// The table of modulus checks is none, or says nothing that can be used of the bank's sort code.
    #[error(transparent)]
    Modulus(#[from] ModulusError),
    /// Only British account numbers are checked by a table of sort codes.
    #[error(
        "a table of modulus checks is for IBANs of British banks alone (GB), with bank and sort code, e.g. NWBK601613"
    )]
    ModulusElsewhere,
    /// The rules let hardly any account number pass, or a later version brought them.
    #[error("the modulus check of the bank's sort code lets no account number pass, or is of a later version of Kassa")]
    ModulusOfNone,
    /// Neither IBANs of the country can be computed, nor is another form of its account numbers known.
    #[error(
        "Kassa knows no form of account numbers for country {country}: it has no IBANs that can be computed, and no other \
         form is built in. A bank there can have account numbers of its own: a code, digits and check digits, chosen with \
         --own-numbers mod97 (or luhn), in a map with own_numbers. Forms are known, by two capital letters, for: {}",
        known_countries().join(" ")
    )]
    NoKnownForm {
        /// The country given.
        country: String,
    },
    /// The journal says that account numbers are made in a way that this version doesn't know.
    #[error("account numbers are made in way {0}, which a later version of Kassa brought")]
    LaterScheme(u8),
}

fn example_of(country: &str) -> String {
    let example = national::possible().into_iter().find(|(possible, _)| *possible == country);
    example.map_or_else(String::new, |(_, code)| format!(", e.g. {code}"))
}

fn from_to(least: u32, most: u32) -> String {
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

fn known_countries() -> Vec<&'static str> {
    let mut known: Vec<_> = Numbering::examples().into_iter().map(|(country, _)| country).collect();
    known.sort_unstable();
    known
}

/// The scheme of a bank whose account numbers have national check digits, as the event of its founding tells it. Those
/// without have none: there is nothing to tell them by.
const NATIONAL: u8 = 1;

/// The scheme of a bank with its country's own form, which is no IBAN.
const DOMESTIC: u8 = 2;

/// The scheme of a bank with a form of its own, checked by MOD 97-10.
const OWN_MOD_97: u8 = 3;

/// The scheme of a bank with a form of its own, checked by Luhn's rule.
const OWN_LUHN: u8 = 4;

/// Fault of a text that is not an account of this bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// Not a valid IBAN: a typing error, most likely.
    #[error("this is not a valid IBAN; check it for a typing error")]
    Invalid,
    /// A valid IBAN, of another bank.
    #[error("this IBAN belongs to another bank")]
    OtherBank,
    /// Not a number of the form that the bank has in place of IBANs.
    #[error("this is not a valid account number; check it for a typing error")]
    InvalidNumber,
    /// A number of that form or an IBAN, of another bank.
    #[error("this account number belongs to another bank")]
    OtherBanksNumber,
}

/// The longest domestic part of an IBAN (ISO 13616).
const MAX_BBAN: usize = 30;

/// Account numbers are kept in 64 bits, which hold 18 digits of any value.
const MAX_NUMBER_DIGITS: usize = 18;

/// The most numbers that are looked at for one that makes an account number. Where not all do, one in eleven does, or of a
/// British bank with two rules about one in a hundred.
const MAX_TRIED: usize = 20_000;

impl Numbering {
    /// Makes the numbering of a new bank of a country and bank code, such as `AT` and `99999`, in the country's form.
    ///
    /// # Errors
    ///
    /// Refuses as [`Numbering::asked`] does.
    pub fn new(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        Self::asked(country, bank_code, NumbersAsked::default())
    }

    /// Makes the numbering of a new bank of a country and bank code: IBANs where the country has some that can be
    /// computed, else the country's own form, or in place of both one that is asked for.
    ///
    /// # Errors
    ///
    /// Refuses with [`NumberingError::NoSuchForm`] or [`NumberingError::WrongBankCode`] if the bank code does not have the
    /// form that is expected, with [`NumberingError::WrongDigits`] or [`NumberingError::DigitsOfIban`] if the account
    /// can't have as many digits as are asked for, and with [`NumberingError::NoKnownForm`] if none is known of the
    /// country: others would refuse its IBANs, if it has any.
    pub fn asked(country: &str, bank_code: &str, asked: NumbersAsked) -> Result<Self, NumberingError> {
        if let Some(rule) = asked.own {
            return Self::own(country, bank_code, rule, asked.digits.unwrap_or(own::USUAL_DIGITS));
        }
        if let Some(form) = domestic::form_of(country) {
            let [_, _, usual] = form.digits();
            return Self::domestic(form, bank_code, asked.digits.unwrap_or(usual));
        }
        let has_ibans = national::layout_of(country).is_some() || national::is_plain(country);
        match asked.digits {
            _ if !has_ibans => Err(NumberingError::NoKnownForm { country: country.to_owned() }),
            Some(_) => Err(NumberingError::DigitsOfIban { country: country.to_owned() }),
            None => Self::with_ibans(country, bank_code),
        }
    }

    fn with_ibans(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        if national::layout_of(country).is_some() {
            return Self::national(country, bank_code);
        }
        let plain = Self::plain(country, bank_code)?;
        // Where the code has a check digit of its own, that says how long it is.
        let is_of_its_length = national::has_check_digit(country) || plain.is_of_the_banks_length();
        let is_right = is_of_its_length && national::is_bank_code_right(country, bank_code);
        if is_right { Ok(plain) } else { Err(no_such_form(country, bank_code)) }
    }

    /// Makes the numbering of a bank that was founded with a country, bank code, [`Numbering::scheme`] and
    /// [`Numbering::own_digits`].
    ///
    /// # Errors
    ///
    /// Fails with [`NumberingError::LaterScheme`] if this version does not know the scheme, and as [`Numbering::asked`]
    /// does.
    pub fn recorded(
        country: &str,
        bank_code: &str,
        scheme: Option<u8>,
        digits: Option<u8>,
    ) -> Result<Self, NumberingError> {
        let digits = digits.map_or(0, u32::from);
        match scheme {
            None => Self::plain(country, bank_code),
            Some(NATIONAL) => Self::national(country, bank_code),
            Some(DOMESTIC) => {
                let form = domestic::form_of(country);
                let form = form.ok_or_else(|| NumberingError::NoKnownForm { country: country.to_owned() })?;
                Self::domestic(form, bank_code, digits)
            }
            Some(OWN_MOD_97) => Self::own(country, bank_code, OwnCheck::Mod97, digits),
            Some(OWN_LUHN) => Self::own(country, bank_code, OwnCheck::Luhn, digits),
            Some(later) => Err(NumberingError::LaterScheme(later)),
        }
    }

    /// The way in which account numbers are made, for the event of the founding; none where they are IBANs in which the
    /// number follows the bank code.
    #[must_use]
    pub fn scheme(&self) -> Option<u8> {
        match self.form {
            Form::Plain { .. } => None,
            Form::National(_) => Some(NATIONAL),
            Form::Domestic(_) => Some(DOMESTIC),
            Form::Own(OwnCheck::Mod97) => Some(OWN_MOD_97),
            Form::Own(OwnCheck::Luhn) => Some(OWN_LUHN),
        }
    }

    /// Number of digits of an account that are the bank's to give, for the event of the founding; none of an IBAN, where
    /// the country says it.
    #[must_use]
    pub fn own_digits(&self) -> Option<u8> {
        match self.form {
            Form::Plain { .. } | Form::National(_) => None,
            Form::Domestic(_) | Form::Own(_) => u8::try_from(self.digits).ok(),
        }
    }

    /// Rule of the bank's own form, if it has one.
    #[must_use]
    pub fn own_check(&self) -> Option<OwnCheck> {
        match self.form {
            Form::Own(rule) => Some(rule),
            Form::Plain { .. } | Form::National(_) | Form::Domestic(_) => None,
        }
    }

    /// A bank code of each country whose form is known, the countries with IBANs first.
    #[must_use]
    pub fn examples() -> Vec<(&'static str, &'static str)> {
        national::possible().into_iter().chain(domestic::possible()).collect()
    }

    fn national(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        let layout = national::layout_of(country)
            .filter(|layout| layout.takes(bank_code) && national::is_bank_code_right(country, bank_code))
            .ok_or_else(|| no_such_form(country, bank_code))?;
        Ok(Self::of(country, bank_code, layout.digits, Form::National(layout)))
    }

    fn domestic(form: &'static domestic::Form, bank_code: &str, digits: u32) -> Result<Self, NumberingError> {
        if let Some(fault) = form.fault_of(bank_code) {
            return Err(NumberingError::WrongBankCode(fault));
        }
        let [least, most, _] = form.digits();
        must_be_between(form.country, digits, least, most)?;
        Ok(Self::of(form.country, bank_code, digits, Form::Domestic(form)))
    }

    fn own(country: &str, bank_code: &str, rule: OwnCheck, digits: u32) -> Result<Self, NumberingError> {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let fault = format!("{country:?} is no country: give two capital letters (ISO 3166-1), e.g. AT");
            return Err(NumberingError::WrongBankCode(fault));
        }
        if let Some(fault) = rule.fault_of(bank_code) {
            return Err(NumberingError::WrongBankCode(fault));
        }
        let [least, most] = own::DIGITS;
        must_be_between(country, digits, least, most)?;
        Ok(Self::of(country, bank_code, digits, Form::Own(rule)))
    }

    fn of(country: &str, bank_code: &str, digits: u32, form: Form) -> Self {
        Self { country: country.to_owned(), bank_code: bank_code.to_owned(), digits, form, modulus: Vec::new() }
    }

    /// Has the account numbers of a British bank checked by the rules that a table has for its sort code.
    ///
    /// # Errors
    ///
    /// Fails with [`NumberingError::Modulus`] if the table can't be used, and as [`Numbering::with_modulus`] does.
    pub fn checked_by(self, table: &str) -> Result<Self, NumberingError> {
        let rules = ModulusRule::of(table, self.sort_code().ok_or(NumberingError::ModulusElsewhere)?)?;
        self.with_modulus(rules)
    }

    /// Has the account numbers of a British bank checked by rules: those that its founding tells.
    ///
    /// # Errors
    ///
    /// Fails with [`NumberingError::ModulusElsewhere`] if the bank has no sort code, and with
    /// [`NumberingError::ModulusOfNone`] if the rules leave it without account numbers.
    pub fn with_modulus(self, modulus: Vec<ModulusRule>) -> Result<Self, NumberingError> {
        if self.sort_code().is_none() {
            return Err(NumberingError::ModulusElsewhere);
        }
        let is_known = modulus.iter().all(ModulusRule::is_known);
        let checked = Self { modulus, ..self };
        let has_some = checked.next_from(1).is_some() && checked.next_down_from(checked.largest()).is_some();
        if is_known && has_some { Ok(checked) } else { Err(NumberingError::ModulusOfNone) }
    }

    /// The rules by which the account numbers are checked, for the event of the founding; none where there are none.
    #[must_use]
    pub fn modulus(&self) -> Option<&[ModulusRule]> {
        Some(self.modulus.as_slice()).filter(|rules| !rules.is_empty())
    }

    /// The sort code of a British bank; none where the code is one of a time in which its length was not looked at.
    fn sort_code(&self) -> Option<&str> {
        match self.form {
            Form::Plain { .. } if self.country == "GB" => self.bank_code.get(4..).filter(|code| code.len() == 6),
            Form::Plain { .. } | Form::National(_) | Form::Domestic(_) | Form::Own(_) => None,
        }
    }

    /// Returns `true` if a number passes the check of the bank's sort code, if it has one.
    fn passes(&self, number: u64) -> bool {
        if self.modulus.is_empty() {
            return true;
        }
        let whole = format!("{}{number:08}", self.sort_code().unwrap_or_default());
        self.modulus.iter().all(|rule| rule.passes(&whole))
    }

    fn plain(country: &str, bank_code: &str) -> Result<Self, NumberingError> {
        let proper = country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && bank_code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !proper {
            return Err(no_such_form(country, bank_code));
        }
        // A country fixes the whole length, so at most one length of account number is valid.
        (1..=MAX_BBAN.saturating_sub(bank_code.len()))
            .filter_map(|digits| u32::try_from(digits).ok())
            .map(|digits| {
                Self::of(country, bank_code, digits, Form::Plain { remainder: remainder(bank_code, digits, country) })
            })
            .find(Self::names_the_bank)
            .ok_or_else(|| no_such_form(country, bank_code))
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

    /// The largest number that an account may have.
    #[must_use]
    pub fn largest(&self) -> u64 {
        let digits = self.digits.min(u32::try_from(MAX_NUMBER_DIGITS).unwrap_or(u32::MAX));
        10_u64.saturating_pow(digits).saturating_sub(1)
    }

    /// Returns `true` if an account may have a number.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        let is_right = match self.form {
            Form::Domestic(form) => form.has(&self.bank_code, number),
            Form::Plain { .. } => self.passes(number),
            Form::National(_) | Form::Own(_) => true,
        };
        number > 0 && number <= self.largest() && is_right
    }

    /// The least number from one on that the bank gives by itself.
    pub(crate) fn next_from(&self, number: u64) -> Option<u64> {
        let (step, first) = self.steps(number);
        let up = std::iter::successors(Some(first), |number| number.checked_add(step));
        up.take(MAX_TRIED).find(|candidate| *candidate >= number && self.has(*candidate))
    }

    /// The largest number up to one that the bank gives by itself.
    pub(crate) fn next_down_from(&self, number: u64) -> Option<u64> {
        let (step, first) = self.steps(number);
        let down = std::iter::successors(Some(first), |number| number.checked_sub(step));
        down.take(MAX_TRIED).find(|candidate| self.has(*candidate))
    }

    /// The distance between numbers that the bank gives by itself, and the last that may be one up to a number.
    fn steps(&self, number: u64) -> (u64, u64) {
        match self.form {
            Form::Domestic(form) => (form.step(), form.first_of_owner(number)),
            Form::Plain { .. } | Form::National(_) | Form::Own(_) => (1, number),
        }
    }

    /// The account number in the form in which it is shown and sent: the IBAN without spaces; or where the bank has none,
    /// the number in its country's form, with hyphens between its parts, or in the bank's own form.
    #[must_use]
    pub fn iban(&self, number: u64) -> String {
        let remainder = match self.form {
            Form::Plain { remainder } => remainder,
            Form::National(layout) => return self.national_iban(layout, number),
            Form::Domestic(form) => return form.text(&self.bank_code, self.digits, number),
            Form::Own(rule) => return rule.text(&self.bank_code, self.digits, number),
        };
        let [tens, units] = check_digits(remainder, number).map(char::from);
        let width = usize::try_from(self.digits).unwrap_or(MAX_BBAN);
        let mut iban = String::with_capacity(34);
        // Writing to a String can't fail.
        let _ = write!(iban, "{}{tens}{units}{}{number:0width$}", self.country, self.bank_code);
        iban
    }

    fn national_iban(&self, layout: &Layout, number: u64) -> String {
        let bban = layout.domestic(&self.bank_code, number);
        let check = 98_u64.saturating_sub(remainder(&bban, 0, &self.country));
        format!("{}{check:02}{bban}", self.country)
    }

    /// The parts of an account number as its country's people name them, in their order; empty where the number is an IBAN
    /// that nobody takes apart, and where its form is the bank's own.
    #[must_use]
    pub fn parts(&self, number: u64) -> Vec<(&'static str, String)> {
        match self.form {
            Form::Domestic(form) => form.parts(&self.bank_code, self.digits, number),
            // In the United Kingdom the sort code and the account number are what people know.
            Form::Plain { .. } => self.sort_code().map_or_else(Vec::new, |sort_code| {
                vec![("sort_code", sort_code.to_owned()), ("account", format!("{number:08}"))]
            }),
            Form::National(_) | Form::Own(_) => Vec::new(),
        }
    }

    /// Returns the account number of a text that names an account of this bank. Spaces and small letters are accepted, as
    /// people type them, and hyphens where it is no IBAN.
    ///
    /// # Errors
    ///
    /// Refuses with [`IbanError::Invalid`] if the text is not a valid IBAN, and with [`IbanError::OtherBank`] if it is
    /// another bank's; where the bank has no IBANs, with [`IbanError::InvalidNumber`] and
    /// [`IbanError::OtherBanksNumber`].
    pub fn number(&self, text: &str) -> Result<u64, IbanError> {
        if let Some(number) = self.own_iban(text) {
            return Ok(number);
        }
        match self.form {
            Form::Domestic(form) => {
                let compact = form.compact(text);
                let number = form.number(&self.bank_code, self.digits, &compact);
                number.ok_or_else(|| not_here(form.is_anothers(&self.bank_code, &compact), &compact))
            }
            Form::Own(rule) => {
                let compact = compact(text, &[' ', '-']);
                let number = rule.number(&self.bank_code, self.digits, &compact);
                number.ok_or_else(|| not_here(false, &compact))
            }
            Form::Plain { .. } | Form::National(_) => self.number_of_iban(text),
        }
    }

    fn number_of_iban(&self, text: &str) -> Result<u64, IbanError> {
        let typed = compact(text, &[' ']);
        if let Some(number) = self.own_iban(&typed) {
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
        if let Form::National(layout) = self.form {
            let same_bank = layout.parts(iban.bban()).is_some_and(|(bank, _)| bank == self.bank_code);
            // One of this bank that has no account number has wrong check digits within.
            return Err(if own && same_bank { IbanError::Invalid } else { IbanError::OtherBank });
        }
        let number = iban.bban().strip_prefix(self.bank_code.as_str()).filter(|_| own).ok_or(IbanError::OtherBank)?;
        let number = number.parse().map_err(|_| IbanError::OtherBank)?;
        // Check digits are 02 to 98; 00, 01 and 99 leave the same remainder and would be a second way to write it.
        if self.iban(number) == typed && self.passes(number) { Ok(number) } else { Err(IbanError::Invalid) }
    }

    /// The account number of an IBAN of this bank that is written just as it is shown: the ordinary case.
    fn own_iban(&self, text: &str) -> Option<u64> {
        let remainder = match self.form {
            Form::Plain { remainder } => Some(remainder),
            Form::National(_) => None,
            Form::Domestic(_) | Form::Own(_) => return None,
        };
        let (check, bban) = text.strip_prefix(self.country.as_str())?.split_at_checked(2)?;
        if let Form::National(layout) = self.form {
            let number = layout.parts(bban)?.1.parse().ok()?;
            return (self.iban(number) == text).then_some(number);
        }
        let digits = bban.strip_prefix(self.bank_code.as_str())?;
        let whole = digits.len() == usize::try_from(self.digits).ok()?;
        let number = digits.parse().ok()?;
        let same =
            check.as_bytes() == check_digits(remainder?, number) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (whole && same && self.passes(number)).then_some(number)
    }
}

fn no_such_form(country: &str, bank_code: &str) -> NumberingError {
    NumberingError::NoSuchForm { country: country.to_owned(), bank_code: bank_code.to_owned() }
}

fn must_be_between(country: &str, asked: u32, least: u32, most: u32) -> Result<(), NumberingError> {
    if (least..=most).contains(&asked) {
        return Ok(());
    }
    Err(NumberingError::WrongDigits { country: country.to_owned(), asked, least, most })
}

/// A text without the characters that only set it apart, in capital letters.
fn compact(text: &str, apart: &[char]) -> String {
    text.chars().filter(|c| !apart.contains(c)).map(|c| c.to_ascii_uppercase()).collect()
}

/// Says why a text is no account of a bank without IBANs. A valid IBAN is surely another bank's.
fn not_here(is_anothers: bool, compact: &str) -> IbanError {
    let is_an_iban = matches!(compact.parse::<Iban>(), Ok(_) | Err(ParseIbanError::UnknownCountry(_)));
    if is_anothers || is_an_iban { IbanError::OtherBanksNumber } else { IbanError::InvalidNumber }
}

/// The check digits of an IBAN, of the remainder of that of account number 0.
fn check_digits(remainder: u64, number: u64) -> [u8; 2] {
    // The number is followed by six digits: the country's two letters, and two zeros.
    let remainder = number.rem_euclid(97).wrapping_mul(1_000_000).wrapping_add(remainder).rem_euclid(97);
    let check = 98_u64.wrapping_sub(remainder);
    [check.div_euclid(10), check.rem_euclid(10)].map(|digit| b'0'.wrapping_add(u8::try_from(digit).unwrap_or(0)))
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
            let numbering = Numbering::recorded(country, bank_code, None, None).unwrap();
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
            assert_eq!(Numbering::recorded(country, bank_code, numbering.scheme(), None), Ok(numbering.clone()));
            assert_ne!(Numbering::recorded(country, bank_code, None, None).as_ref(), Ok(&numbering));
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
        assert_eq!(Numbering::recorded("BE", "539", Some(5), None), Err(NumberingError::LaterScheme(5)));
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
            for part in [country, "--own-numbers", " AT ", " BE ", " US "] {
                assert!(told.contains(part), "{told}");
            }
        }
        // A bank that was founded there keeps its numbers.
        assert!(Numbering::recorded("SE", "500", None, None).is_ok());
        for (country, bank_code) in
            [("BE", "53"), ("BE", "5390"), ("HR", "1001006"), ("PL", "10901015"), ("IT", "X0542811101")]
        {
            assert!(Numbering::new(country, bank_code).is_err(), "{country} {bank_code}");
        }
    }

    /// With rules of its sort code a British bank gives, takes and reads only numbers that pass.
    #[test]
    fn british_numbers_that_are_checked() {
        let table = "601600 601699 MOD11 0 0 0 0 0 0 8 7 6 5 4 3 2 1";
        let plain = Numbering::new("GB", "NWBK601613").unwrap();
        let checked = plain.clone().checked_by(table).unwrap();
        assert_eq!((checked.next_from(1), checked.next_from(20)), (Some(19), Some(27)));
        assert_eq!(checked.next_down_from(checked.largest()), Some(99_999_994));
        for (number, passes) in [(12_345_679, true), (12_345_678, false), (19, true), (18, false)] {
            let iban = plain.iban(number);
            assert_eq!((checked.has(number), plain.has(number)), (passes, true));
            assert_eq!(checked.iban(number), iban);
            for typed in [&iban, &iban.to_lowercase()] {
                assert_eq!(checked.number(typed).is_ok(), passes, "{typed}");
                assert_eq!(plain.number(typed), Ok(number));
            }
        }
        let rules = checked.modulus().unwrap().to_vec();
        assert_eq!(plain.clone().with_modulus(rules.clone()), Ok(checked));
        for (country, code) in [("AT", "99999"), ("US", "123456780"), ("BE", "539")] {
            let other = Numbering::new(country, code).unwrap().with_modulus(rules.clone());
            assert_eq!(other, Err(NumberingError::ModulusElsewhere));
        }
        // The sum of the sort code's digits is 17 whatever the account.
        let none = "601613 601613 MOD10 1 1 1 1 1 1 0 0 0 0 0 0 0 0";
        assert_eq!(plain.clone().checked_by(none), Err(NumberingError::ModulusOfNone));
        let told = plain.checked_by(&table.replace(" 2 1", " 2 1 14")).unwrap_err().to_string();
        assert!(told.contains("601613 is checked with exception 14"), "{told}");
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
        assert!(Numbering::recorded("AT", "123456", None, None).is_ok());
        // With digits of the account in its code nobody can say where the sort code ends.
        let parts = |code| Numbering::recorded("GB", code, None, None).unwrap().parts(1);
        let right = vec![("sort_code", "601613".to_owned()), ("account", "00000001".to_owned())];
        assert_eq!((parts("NWBK601613"), parts("NWBK60161331")), (right, Vec::new()));
    }
}
