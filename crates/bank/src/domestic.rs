//! Account numbers of countries that have no IBANs, in the country's own form: the bank's code, then the account.
//!
//! A row of [`FORMS`] says what a bank's code is, which parts the number has, how many digits an account may have, and by
//! which rule it has a check digit. Sources: ABA routing numbers, and the rule of the CBU, as python-stdnum checks them
//! too; CLABE: Banco de México's and ABM's rule; NUBAN: Central Bank of Nigeria, *Revised Standards* of March 2020; New
//! Zealand: Inland Revenue's specification of RWT and NRWT, *Bank account number validation*. The forms without check
//! digits are those of the national clearing houses: where one has rules for single banks (South Africa's CDV), these are
//! the bank's to agree on.

use crate::national::{digits, is_digits, ten_less, weighted};

/// Name of a part of an account number, and its length; 0 is whatever is left.
type Part = (&'static str, usize);

/// Form of a country's account numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) country: &'static str,
    code: Code,
    /// Words on what the bank's code is.
    code_in_words: &'static str,
    /// A bank's code that is right.
    pub(crate) example: &'static str,
    bank: &'static [Part],
    account: &'static [Part],
    /// The numbers of digits of an account that are the bank's to give: the fewest, the most, and without a choice.
    digits: [u32; 3],
    rule: Rule,
}

/// Rule of a bank's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// As many digits as its parts have.
    Digits,
    /// The same, and the last is a check digit: weights 3, 7, 1 (ABA).
    Aba,
    /// The same, and the last is a check digit: weights 7, 1, 3, 9 (CBU).
    Cbu,
    /// Four letters, a zero, and six letters or digits.
    Ifsc,
    /// Three digits of a deposit money bank, or five of another institution.
    Nigerian,
}

/// Rule and place of the account's check digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    None,
    /// One at the end, over the bank's code of six digits and the account: weights 3, 7, 3.
    Nuban,
    /// One at the end, over the whole: weights 3, 7, 1. Written as one number.
    Clabe,
    /// One at the end, over the account: weights 3, 9, 7, 1. Written as one number.
    Cbu,
    /// Over bank, branch, base and suffix, by the bank's own weights: one number in ten or eleven passes.
    NewZealand,
}

/// The countries with a form of their own.
static FORMS: [Form; 13] = [
    Form {
        country: "AR",
        code: Code::Cbu,
        code_in_words: "its number, its branch's, and their check digit: three, four and one digits, the first block of a CBU",
        example: "99900018",
        bank: &[("bank", 3), ("branch", 4), ("check_digit", 1)],
        account: &[("account", 0)],
        digits: [13, 13, 13],
        rule: Rule::Cbu,
    },
    Form {
        country: "AU",
        code: Code::Digits,
        code_in_words: "its BSB (bank, state, branch): six digits",
        example: "987654",
        bank: &[("bsb", 6)],
        account: &[("account", 0)],
        digits: [6, 9, 9],
        rule: Rule::None,
    },
    Form {
        country: "CA",
        code: Code::Digits,
        code_in_words: "its institution number and its transit number: three and five digits, without the 0 that payment \
                        files have before them",
        example: "99912345",
        bank: &[("institution", 3), ("transit", 5)],
        account: &[("account", 0)],
        digits: [7, 12, 7],
        rule: Rule::None,
    },
    Form {
        country: "HK",
        code: Code::Digits,
        code_in_words: "its clearing code and its branch code: three digits each",
        example: "999001",
        bank: &[("bank", 3), ("branch", 3)],
        account: &[("account", 0)],
        digits: [6, 9, 9],
        rule: Rule::None,
    },
    Form {
        country: "IN",
        code: Code::Ifsc,
        code_in_words: "its IFSC: four capital letters, a zero, and six capital letters or digits",
        example: "KASA0000001",
        bank: &[("ifsc", 11)],
        account: &[("account", 0)],
        digits: [9, 18, 11],
        rule: Rule::None,
    },
    Form {
        country: "JP",
        code: Code::Digits,
        code_in_words: "its bank code and its branch code: four and three digits",
        example: "9999001",
        bank: &[("bank", 4), ("branch", 3)],
        account: &[("account", 0)],
        digits: [7, 7, 7],
        rule: Rule::None,
    },
    Form {
        country: "KE",
        code: Code::Digits,
        code_in_words: "its bank code and its branch code: two and three digits",
        example: "99001",
        bank: &[("bank", 2), ("branch", 3)],
        account: &[("account", 0)],
        digits: [6, 14, 10],
        rule: Rule::None,
    },
    Form {
        country: "MX",
        code: Code::Digits,
        code_in_words: "its bank code and its plaza, as a CLABE begins: three digits each",
        example: "999180",
        bank: &[("bank", 3), ("plaza", 3)],
        account: &[("account", 0)],
        digits: [11, 11, 11],
        rule: Rule::Clabe,
    },
    Form {
        country: "NG",
        code: Code::Nigerian,
        code_in_words: "its code of the Central Bank of Nigeria: three digits of a deposit money bank or five of another \
                        institution, without 000 or 9 before them",
        example: "999",
        bank: &[("bank", 0)],
        account: &[("account", 0)],
        digits: [9, 9, 9],
        rule: Rule::Nuban,
    },
    Form {
        country: "NZ",
        code: Code::Digits,
        code_in_words: "its bank number and its branch number: two and four digits",
        example: "020001",
        bank: &[("bank", 2), ("branch", 4)],
        account: &[("account", 7), ("suffix", 3)],
        digits: [10, 10, 10],
        rule: Rule::NewZealand,
    },
    Form {
        country: "SG",
        code: Code::Digits,
        code_in_words: "its bank code and its branch code: four and three digits",
        example: "9999001",
        bank: &[("bank", 4), ("branch", 3)],
        account: &[("account", 0)],
        digits: [6, 11, 10],
        rule: Rule::None,
    },
    Form {
        country: "US",
        code: Code::Aba,
        code_in_words: "its ABA routing number: nine digits",
        example: "123456780",
        bank: &[("routing_number", 9)],
        account: &[("account", 0)],
        digits: [4, 17, 10],
        rule: Rule::None,
    },
    Form {
        country: "ZA",
        code: Code::Digits,
        code_in_words: "its branch code: six digits",
        example: "999001",
        bank: &[("branch", 6)],
        account: &[("account", 0)],
        digits: [7, 11, 10],
        rule: Rule::None,
    },
];

/// The form of a country without IBANs.
pub(crate) fn form_of(country: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.country == country)
}

/// All countries with a form of their own and a bank's code of each, in their order.
pub(crate) fn possible() -> impl Iterator<Item = (&'static str, &'static str)> {
    FORMS.iter().map(|form| (form.country, form.example))
}

impl Form {
    /// Says in words why a bank's code is not as the country has them; none where it is.
    pub(crate) fn fault_of(&self, code: &str) -> Option<String> {
        let expected =
            || format!("the bank code of a bank in {} is {}, e.g. {}", self.country, self.code_in_words, self.example);
        if !self.has_form(code) {
            return Some(format!("{code:?} is none: {}", expected()));
        }
        let weights: &[u64] = match self.code {
            Code::Aba => &[3, 7, 1],
            Code::Cbu => &[7, 1, 3, 9],
            Code::Digits | Code::Ifsc | Code::Nigerian => return None,
        };
        let (before, last) = code.split_at_checked(code.len().saturating_sub(1))?;
        let check = ten_less(weighted(before, weights));
        (last != check.to_string()).then(|| {
            format!(
                "{code} has a typing error: with the check digit {check} it would be {before}{check}; {}",
                expected()
            )
        })
    }

    fn has_form(&self, code: &str) -> bool {
        match self.code {
            Code::Digits | Code::Aba | Code::Cbu => {
                let length = self.bank.iter().fold(0_usize, |sum, (_, length)| sum.saturating_add(*length));
                code.len() == length && is_digits(code)
            }
            Code::Nigerian => matches!(code.len(), 3 | 5) && is_digits(code),
            Code::Ifsc => {
                let bytes = code.as_bytes();
                let (letters, rest) = bytes.split_at(bytes.len().min(4));
                let is_capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
                bytes.len() == 11
                    && letters.iter().all(u8::is_ascii_uppercase)
                    && rest.first() == Some(&b'0')
                    && rest.iter().all(is_capital)
            }
        }
    }

    /// The fewest and the most digits that an account may have, and how many it has without a choice.
    pub(crate) fn digits(&self) -> [u32; 3] {
        self.digits
    }

    /// Number of check digits at the end of the account.
    fn check_digits(&self) -> usize {
        match self.rule {
            Rule::None | Rule::NewZealand => 0,
            Rule::Nuban | Rule::Clabe | Rule::Cbu => 1,
        }
    }

    /// The account within the number, with its check digit, of a bank's code that is right.
    fn account(&self, code: &str, width: u32, number: u64) -> String {
        let width = usize::try_from(width).unwrap_or(0);
        let plain = format!("{number:0width$}");
        let check = match self.rule {
            Rule::None | Rule::NewZealand => return plain,
            Rule::Nuban => weighted(&format!("{}{code}{plain}", nigerian_prefix(code)), &[3, 7, 3]),
            Rule::Clabe => weighted(&format!("{code}{plain}"), &[3, 7, 1]),
            Rule::Cbu => weighted(&plain, &[3, 9, 7, 1]),
        };
        format!("{plain}{}", ten_less(check))
    }

    /// Returns the parts of a number by their names, in their order.
    pub(crate) fn parts(&self, code: &str, width: u32, number: u64) -> Vec<(&'static str, String)> {
        let account = self.account(code, width, number);
        match self.rule {
            Rule::Clabe => vec![("clabe", format!("{code}{account}"))],
            Rule::Cbu => vec![("cbu", format!("{code}{account}"))],
            Rule::None | Rule::Nuban | Rule::NewZealand => {
                let parts = pieces(self.bank, code).chain(pieces(self.account, &account));
                parts.map(|(name, part)| (name, part.to_owned())).collect()
            }
        }
    }

    /// The number as it is written: its parts, with hyphens between them.
    pub(crate) fn text(&self, code: &str, width: u32, number: u64) -> String {
        let account = self.account(code, width, number);
        let mut text = String::with_capacity(MAX_TEXT);
        match self.rule {
            Rule::Clabe | Rule::Cbu => {
                text.push_str(code);
                text.push_str(&account);
            }
            Rule::None | Rule::Nuban | Rule::NewZealand => {
                for (_, part) in pieces(self.bank, code).chain(pieces(self.account, &account)) {
                    if !text.is_empty() {
                        text.push('-');
                    }
                    text.push_str(part);
                }
            }
        }
        text
    }

    /// Returns `true` if a number makes an account number: in New Zealand one in ten or eleven does.
    pub(crate) fn has(&self, code: &str, number: u64) -> bool {
        self.rule != Rule::NewZealand || new_zealand_check(&format!("{code}{number:010}"))
    }

    /// Returns the number that the bank gives to a new account in place of this one. A New Zealander's accounts differ by
    /// their suffixes, so that a new account has the first.
    pub(crate) fn first_of_owner(&self, number: u64) -> u64 {
        if self.rule == Rule::NewZealand { number.wrapping_sub(number.rem_euclid(SUFFIXES)) } else { number }
    }

    /// The number by which accounts of two owners differ at least.
    pub(crate) fn step(&self) -> u64 {
        if self.rule == Rule::NewZealand { SUFFIXES } else { 1 }
    }

    /// Returns a typed text without the characters that only set it apart.
    pub(crate) fn compact(&self, typed: &str) -> String {
        let mut compact: String =
            typed.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect();
        // A New Zealand suffix is written with two digits or three.
        if self.rule == Rule::NewZealand && compact.len() == 15 && is_digits(&compact) {
            compact.insert(13, '0');
        }
        compact
    }

    /// The number of an account of a bank, of a text without spaces and hyphens.
    pub(crate) fn number(&self, code: &str, width: u32, compact: &str) -> Option<u64> {
        let account = compact.strip_prefix(code).filter(|account| is_digits(account))?;
        let number = account.get(..usize::try_from(width).ok()?)?.parse().ok()?;
        (self.account(code, width, number) == account && self.has(code, number)).then_some(number)
    }

    /// Returns `true` if a text without spaces and hyphens has the form of another bank's account number.
    pub(crate) fn is_anothers(&self, own: &str, compact: &str) -> bool {
        let [least, most, _] = self.digits;
        let is_an_account = |account: &str| {
            let digits = account.len().checked_sub(self.check_digits()).and_then(|digits| u32::try_from(digits).ok());
            is_digits(account) && digits.is_some_and(|digits| (least..=most).contains(&digits))
        };
        [3, 5, self.example.len()].iter().any(|length| {
            let parts = compact.split_at_checked(*length);
            parts.is_some_and(|(code, account)| code != own && self.fault_of(code).is_none() && is_an_account(account))
        })
    }
}

/// Room for any number with its hyphens: India's have 30 characters.
const MAX_TEXT: usize = 32;

/// Accounts of one base number in New Zealand.
const SUFFIXES: u64 = 1_000;

/// The parts of a text by their names.
fn pieces<'a>(parts: &'static [Part], text: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
    let mut rest = text;
    parts.iter().map(move |(name, length)| {
        let end = if *length == 0 { rest.len() } else { *length };
        let (piece, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = after;
        (*name, piece)
    })
}

/// The digits before a bank's code that make it one of six (CBN, 2020).
fn nigerian_prefix(code: &str) -> &'static str {
    if code.len() == 3 { "000" } else { "9" }
}

/// Returns `true` if bank, branch, account and suffix, of 2, 4, 7 and 3 digits, pass the check of their bank. Of banks
/// without a published one all pass.
fn new_zealand_check(whole: &str) -> bool {
    let bank = whole.get(..2).unwrap_or_default();
    let is_small = whole.get(6..13).is_some_and(|base| base < "0990000");
    let (weights, modulus, sums_digits): ([u64; 16], u64, bool) = match bank {
        "01" | "02" | "03" | "04" | "06" | "10" | "11" | "12" | "13" | "14" | "15" | "16" | "17" | "18" | "19"
        | "20" | "21" | "22" | "23" | "24" | "27" | "30" | "35" | "38" => {
            let branch = if is_small { [6, 3, 7, 9] } else { [0; 4] };
            let [a, b, c, d] = branch;
            ([0, 0, a, b, c, d, 0, 10, 5, 8, 4, 2, 1, 0, 0, 0], 11, false)
        }
        "08" => ([0, 0, 0, 0, 0, 0, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0], 11, false),
        "09" => ([0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 4, 3, 2, 0, 0, 1], 11, true),
        "25" | "33" => ([0, 0, 0, 0, 0, 0, 1, 7, 3, 1, 7, 3, 1, 0, 0, 0], 10, false),
        "26" | "28" | "29" => ([0, 0, 0, 0, 0, 0, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1], 10, true),
        _ => return true,
    };
    let products = digits(whole).zip(weights).map(|(digit, weight)| {
        let product = digit.wrapping_mul(weight);
        if sums_digits { sum_of_digits(sum_of_digits(product)) } else { product }
    });
    products.fold(0_u64, u64::wrapping_add).rem_euclid(modulus) == 0
}

/// The sum of the digits of a number below 100.
fn sum_of_digits(number: u64) -> u64 {
    number.div_euclid(10).wrapping_add(number.rem_euclid(10))
}

#[cfg(test)]
mod tests {
    use crate::{IbanError, Numbering, NumberingError, NumbersAsked};

    fn bank(country: &str, code: &str) -> Numbering {
        Numbering::new(country, code).unwrap_or_else(|error| panic!("{country} {code}: {error}"))
    }

    /// Published examples, and how people type them.
    #[test]
    fn published_examples() {
        for (country, code, number, expected, typed) in [
            // Wikipedia, CLABE; FedACH's calculator.
            ("MX", "032180", 11_835_971, "032180000118359719", "032 180 00011835971 9"),
            ("MX", "012180", 2_605_078_385, "012180026050783858", "012180026050783858"),
            // python-stdnum, ar.cbu.
            ("AR", "28505909", 4_009_041_813_520, "2850590940090418135201", "28505909 40090418135201"),
            // Central Bank of Nigeria, 2010, two examples; and its rule of 2020 for another institution.
            ("NG", "011", 1_457, "011-0000014579", "011 0000014579"),
            ("NG", "011", 22, "011-0000000220", "0110000000220"),
            ("NG", "50547", 1_457, "50547-0000014573", "50547-0000014573"),
            // Inland Revenue, of algorithms A, D and G; and python-stdnum.
            ("NZ", "010902", 68_389_000, "01-0902-0068389-000", "01-0902-0068389-00"),
            ("NZ", "086523", 1_954_512_001, "08-6523-1954512-001", "08 6523 1954512 001"),
            ("NZ", "262600", 320_871_032, "26-2600-0320871-032", "26-2600-0320871-032"),
            ("NZ", "010242", 100_194_000, "01-0242-0100194-000", "010242010019400"),
            // Forms without a check digit of the account.
            ("US", "111000025", 12, "111000025-0000000012", "111000025 0000000012"),
            ("CA", "00100002", 1_234_567, "001-00002-1234567", "00100002-1234567"),
            ("AU", "062000", 12_345_678, "062000-012345678", "062-000 012345678"),
            ("IN", "SBIN0000300", 12, "SBIN0000300-00000000012", "sbin0000300 0000 0000 012"),
            ("SG", "7171081", 1_234_567_890, "7171-081-1234567890", "7171 081 1234567890"),
            ("KE", "01001", 12, "01-001-0000000012", "01001 0000000012"),
            ("ZA", "250655", 12, "250655-0000000012", "250-655 0000000012"),
            ("HK", "004001", 12, "004-001-000000012", "004001000000012"),
            ("JP", "0001001", 1_234_567, "0001-001-1234567", "0001 001 1234567"),
        ] {
            let numbering = bank(country, code);
            assert_eq!(numbering.iban(number), expected);
            for text in [expected, typed, &expected.to_lowercase(), &expected.replace('-', "")] {
                assert_eq!(numbering.number(text), Ok(number), "{country} {text}");
            }
            let (scheme, digits) = (numbering.scheme(), numbering.own_digits());
            assert_eq!(Numbering::recorded(country, code, scheme, digits), Ok(numbering));
        }
    }

    /// One digit of the account that is wrong is found wherever there is a check digit, and a missing one everywhere.
    #[test]
    fn typing_errors() {
        for (country, code, number) in [
            ("MX", "032180", 11_835_971),
            ("AR", "28505909", 4_009_041_813_520),
            ("NG", "011", 1_457),
            ("NG", "50547", 3),
        ] {
            let numbering = bank(country, code);
            let right = numbering.iban(number).replace('-', "");
            for place in code.len()..right.len() {
                for other in (b'0'..=b'9').filter(|digit| *digit != right.as_bytes()[place]) {
                    let mut wrong = right.clone().into_bytes();
                    wrong[place] = other;
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(numbering.number(&wrong), Err(IbanError::InvalidNumber), "{country} {wrong}");
                }
            }
        }
        for (country, code) in
            Numbering::examples().into_iter().filter(|(country, _)| super::form_of(country).is_some())
        {
            let numbering = bank(country, code);
            let number = numbering.next_from(1).unwrap();
            let text = numbering.iban(number);
            assert_eq!(numbering.number(&text), Ok(number));
            let longer = format!("{text}0");
            let foreign = text.replace('0', "\u{0660}");
            for wrong in ["", " ", "-", &text[..text.len() - 2], &longer, &foreign, &text.replace('0', "O"), code] {
                assert!(numbering.number(wrong).is_err(), "{country} {wrong:?}");
            }
            for elsewhere in ["AT611904300234573201", "HN88CABF00000000000250005469"] {
                assert_eq!(numbering.number(elsewhere), Err(IbanError::OtherBanksNumber), "{country} {elsewhere}");
            }
            assert_eq!(numbering.number("AT611904300234573202"), Err(IbanError::InvalidNumber), "{country}");
        }
    }

    #[test]
    fn numbers_of_other_banks() {
        for (country, code, text, expected) in [
            ("US", "123456780", "021000021-0000000012", IbanError::OtherBanksNumber),
            ("US", "123456780", "021000021-12345", IbanError::OtherBanksNumber),
            ("US", "123456780", "021000022-0000000012", IbanError::InvalidNumber),
            ("US", "123456780", "021000021-123", IbanError::InvalidNumber),
            ("US", "123456780", "123456780-12", IbanError::InvalidNumber),
            ("US", "123456780", "123456780-00000000000000000012", IbanError::InvalidNumber),
            ("IN", "KASA0000001", "HDFC0000123-12345678901234", IbanError::OtherBanksNumber),
            ("IN", "KASA0000001", "HDFC1000123-12345678901234", IbanError::InvalidNumber),
            ("NG", "011", "044-0000014579", IbanError::OtherBanksNumber),
            ("NG", "011", "01112-0000014579", IbanError::OtherBanksNumber),
            ("NG", "011", "0110000014578", IbanError::InvalidNumber),
            ("MX", "032180", "012180026050783858", IbanError::OtherBanksNumber),
            ("CA", "99912345", "003-00001-1234567", IbanError::OtherBanksNumber),
            ("NZ", "010902", "02-0001-0068389-00", IbanError::OtherBanksNumber),
        ] {
            assert_eq!(bank(country, code).number(text), Err(expected), "{country} {text}");
        }
    }

    #[test]
    fn bank_codes_that_are_none() {
        for (country, code, part) in [
            ("US", "12345678", "nine digits, e.g. 123456780"),
            ("US", "1234567800", "nine digits"),
            ("US", "12345678O", "nine digits"),
            ("US", "12345678\u{0660}", "nine digits"),
            ("US", "\u{ff11}23456780", "nine digits"),
            ("US", "+23456780", "nine digits"),
            ("US", "", "nine digits"),
            ("US", "021000022", "with the check digit 1 it would be 021000021"),
            ("AR", "99900017", "with the check digit 8 it would be 99900018"),
            ("IN", "kasa0000001", "four capital letters"),
            ("IN", "KASAO000001", "a zero"),
            ("IN", "KAS00000001", "four capital letters"),
            ("IN", "KASA000001", "four capital letters"),
            ("IN", "KAS\u{c4}000001", "four capital letters"),
            ("CA", "099912345", "without the 0"),
            ("AU", "062-000", "six digits"),
            ("NG", "000011", "three digits"),
            ("NG", "01", "three digits"),
            ("NG", "0111", "three digits"),
            ("NZ", "01024", "two and four digits"),
            ("JP", "\u{ff10}\u{ff10}1", "four and three digits"),
        ] {
            let Err(NumberingError::WrongBankCode(told)) = Numbering::new(country, code) else {
                panic!("{country} {code} is taken")
            };
            assert!(told.contains(part) && told.contains(&format!("a bank in {country} is its ")), "{told}");
            assert!(Numbering::recorded(country, code, Some(2), Some(10)).is_err());
        }
        for (country, example) in super::possible() {
            assert_eq!(super::form_of(country).unwrap().fault_of(example), None, "{country} {example}");
            let told = Numbering::new(country, "?").unwrap_err().to_string();
            assert!(told.ends_with(&format!("e.g. {example}")), "{told}");
        }
    }

    #[test]
    fn digits_of_an_account() {
        let asked = |country: &str, code: &str, digits: u32| {
            Numbering::asked(country, code, NumbersAsked { digits: Some(digits), own: None })
        };
        for (country, code, least, most) in [
            ("US", "123456780", 4, 17),
            ("CA", "99912345", 7, 12),
            ("AU", "987654", 6, 9),
            ("IN", "KASA0000001", 9, 18),
            ("MX", "999180", 11, 11),
            ("NG", "999", 9, 9),
            ("NZ", "020001", 10, 10),
        ] {
            for digits in [0, least - 1, most + 1, u32::MAX] {
                let told = asked(country, code, digits).unwrap_err().to_string();
                assert!(told.contains(&format!("not {digits}")) && told.contains(&most.to_string()), "{told}");
            }
            for digits in [least, most] {
                let numbering = asked(country, code, digits).unwrap();
                assert_eq!(numbering.own_digits().map(u32::from), Some(digits));
                let largest = numbering.largest();
                assert_eq!(largest.to_string(), "9".repeat(digits.try_into().unwrap()));
                let last = numbering.next_down_from(largest).unwrap();
                assert_eq!(numbering.number(&numbering.iban(last)), Ok(last));
                assert!(!numbering.has(largest + 1) && !numbering.has(0) && !numbering.has(u64::MAX));
            }
        }
        assert!(matches!(asked("AT", "99999", 11), Err(NumberingError::DigitsOfIban { .. })));
        for digits in [None, Some(3), Some(18), Some(u8::MAX)] {
            assert!(Numbering::recorded("US", "123456780", Some(2), digits).is_err(), "{digits:?}");
        }
    }

    /// The next numbers are those whose base passes, with the first suffix.
    #[test]
    fn new_zealands_next_numbers() {
        let numbering = bank("NZ", "010902");
        let mut number = 0;
        let mut given = Vec::new();
        for _ in 0..50 {
            number = numbering.next_from(number + 1).unwrap();
            given.push(number);
        }
        assert!(given.iter().all(|number| number.is_multiple_of(1_000) && numbering.has(*number)));
        let all = (1..=given[49] / 1_000).filter(|base| numbering.has(base * 1_000)).count();
        assert_eq!(all, 50, "none is left out");
        assert!((440..=560).contains(&(given[49] / 1_000)), "one in eleven: {given:?}");
        let last = numbering.next_down_from(numbering.largest()).unwrap();
        assert!(last.is_multiple_of(1_000) && numbering.has(last) && last > 9_999_900_000);
        // Banks without a published check take any.
        assert!((1..100).all(|number| bank("NZ", "310001").has(number)));
        assert!(!bank("NZ", "010902").has(68_389_000 + 1_000));
        // Within a base every suffix passes where it is not in the check.
        assert!((0..1_000).all(|suffix| bank("NZ", "010902").has(68_389_000 + suffix)));
    }

    /// Products of two digits are summed digit by digit, so that a product of 18 counts 9 and not 0.
    #[test]
    fn new_zealand_sums_the_digits_of_products() {
        // 09-0000: weights 5, 4, 3, 2 on the last digits but three of the base, 1 on the last of the suffix; modulo 11.
        for (number, expected) in [(900_002, true), (900_000, false), (9_000_002, true), (9_900_004, true)] {
            assert_eq!(bank("NZ", "090000").has(number), expected, "{number}");
        }
    }

    #[test]
    fn parts_by_the_names_of_the_country() {
        for (country, code, number, expected) in [
            ("US", "123456780", 12, "routing_number=123456780 account=0000000012"),
            ("CA", "99912345", 12, "institution=999 transit=12345 account=0000012"),
            ("AU", "987654", 12, "bsb=987654 account=000000012"),
            ("NZ", "010902", 68_389_000, "bank=01 branch=0902 account=0068389 suffix=000"),
            ("IN", "KASA0000001", 12, "ifsc=KASA0000001 account=00000000012"),
            ("SG", "7171081", 12, "bank=7171 branch=081 account=0000000012"),
            ("KE", "01001", 12, "bank=01 branch=001 account=0000000012"),
            ("NG", "50547", 1_457, "bank=50547 account=0000014573"),
            ("MX", "032180", 11_835_971, "clabe=032180000118359719"),
            ("AR", "28505909", 4_009_041_813_520, "cbu=2850590940090418135201"),
            ("GB", "NWBK601613", 31_926_819, "sort_code=601613 account=31926819"),
            ("AT", "99999", 12, ""),
            ("BE", "539", 12, ""),
        ] {
            let parts = bank(country, code).parts(number);
            let told: Vec<_> = parts.iter().map(|(name, part)| format!("{name}={part}")).collect();
            assert_eq!(told.join(" "), expected);
        }
    }
}
