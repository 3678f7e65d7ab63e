//! The check of British account numbers (Vocalink's *Validating account numbers*), by the rules of one sort code.
//!
//! The table of all sort codes is not part of this program: whoever has it may found a bank with it, and the founding keeps
//! the one or two rules of the bank's own sort code. A rule multiplies the fourteen digits of sort code and account number by
//! weights. Of the table's exceptions 1, 4 and 7 are built in. The others are about accounts of several banks under one sort
//! code, or need a second table; a sort code with one is refused.

use minicbor::{Decode, Encode};

use crate::national::{digits, is_digits};

/// Number of digits of a sort code and an account number.
const DIGITS: usize = 14;

/// Rule by which the account numbers of a sort code are checked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ModulusRule {
    /// Use of the products of digits and weights.
    #[n(0)]
    method: Method,
    /// The weights, of the sort code's digits first.
    #[n(1)]
    weights: [u8; DIGITS],
    /// Number of an exception.
    #[n(2)]
    exception: Option<u8>,
}

/// Method of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum Method {
    /// The sum of the products is divisible by 10.
    #[n(0)]
    Mod10,
    /// The sum of the products is divisible by 11.
    #[n(1)]
    Mod11,
    /// The sum of the digits of the products is divisible by 10 (DBLAL).
    #[n(2)]
    DoubleAlternate,
}

/// Fault of a table of rules, or of what it says of a sort code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModulusError {
    /// A line is not as it must be.
    #[error(
        "line {line} of the table is not two sort codes, MOD10, MOD11 or DBLAL, 14 weights from 0 to 255, and maybe an \
         exception"
    )]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// No rule is there.
    #[error(
        "the table has no rule for the sort code {0}, so that every account number passes: found the bank without the \
         table, or with the one that has its sort code"
    )]
    NoRule(String),
    /// There are more rules than a sort code can have.
    #[error("the table has more than two rules for the sort code {0}")]
    TooManyRules(String),
    /// The rule has an exception that isn't built in.
    #[error(
        "the sort code {sort_code} is checked with exception {exception} of the table, which is not built in; found the \
         bank without the table: then its account numbers are not checked"
    )]
    Exception {
        /// The sort code.
        sort_code: String,
        /// The exception.
        exception: u8,
    },
}

impl ModulusRule {
    /// Reads the rules of a sort code from a table: a line for each range of sort codes, as Vocalink publishes them.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the table, or why the account numbers of the sort code can't be checked by it.
    pub fn of(table: &str, sort_code: &str) -> Result<Vec<Self>, ModulusError> {
        let mut rules = Vec::new();
        for (line, text) in (1..).zip(table.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let (from, to, rule) = Self::read(text).ok_or(ModulusError::Line { line })?;
            if (from..=to).contains(&sort_code) {
                rules.push(rule);
            }
        }
        let exception = rules.iter().filter(|rule| !rule.is_known()).find_map(|rule| rule.exception);
        match (exception, rules.len()) {
            (_, 0) => Err(ModulusError::NoRule(sort_code.to_owned())),
            (Some(exception), _) => Err(ModulusError::Exception { sort_code: sort_code.to_owned(), exception }),
            (None, 1 | 2) => Ok(rules),
            (None, _) => Err(ModulusError::TooManyRules(sort_code.to_owned())),
        }
    }

    /// Reads a line: the first and the last sort code of a range, and their rule.
    fn read(line: &str) -> Option<(&str, &str, Self)> {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [from, to, method, rest @ ..] = columns.as_slice() else { return None };
        let method = match *method {
            "MOD10" => Method::Mod10,
            "MOD11" => Method::Mod11,
            "DBLAL" => Method::DoubleAlternate,
            _ => return None,
        };
        let (weights, exception) = rest.split_at_checked(DIGITS)?;
        let weights = weights.iter().map(|weight| weight.parse().ok()).collect::<Option<Vec<u8>>>()?;
        let exception = match exception {
            [] => None,
            [exception] => Some(exception.parse().ok()?),
            [_, _, ..] => return None,
        };
        let is_a_range = [from, to].iter().all(|code| code.len() == 6 && is_digits(code)) && from <= to;
        is_a_range.then_some((*from, *to, Self { method, weights: weights.try_into().ok()?, exception }))
    }

    /// Returns `true` if its exception is built in.
    pub(crate) fn is_known(&self) -> bool {
        match (self.exception, self.method) {
            (None | Some(7), _) | (Some(1), Method::DoubleAlternate) | (Some(4), Method::Mod11) => true,
            (Some(_), _) => false,
        }
    }

    /// Returns `true` if a sort code and account number, fourteen digits, pass.
    pub(crate) fn passes(&self, whole: &str) -> bool {
        let digit = |place: usize| digits(whole).nth(place).unwrap_or(0);
        // Of an account number that ends with 9 and any digit, exception 7 passes over the sort code and two digits.
        let passed_over = if self.exception == Some(7) && digit(12) == 9 { 8 } else { 0 };
        let products = digits(whole).zip(self.weights).skip(passed_over).map(|(digit, weight)| {
            let product = digit.wrapping_mul(weight.into());
            match self.method {
                Method::Mod10 | Method::Mod11 => product,
                Method::DoubleAlternate => sum_of_digits(product),
            }
        });
        let added = if self.exception == Some(1) { 27 } else { 0 };
        let sum = products.fold(added, u64::wrapping_add);
        match self.method {
            Method::Mod10 | Method::DoubleAlternate => sum.rem_euclid(10) == 0,
            // With exception 4 the last two digits are what is left.
            Method::Mod11 if self.exception == Some(4) => {
                sum.rem_euclid(11) == digit(12).wrapping_mul(10).wrapping_add(digit(13))
            }
            Method::Mod11 => sum.rem_euclid(11) == 0,
        }
    }
}

fn sum_of_digits(number: u64) -> u64 {
    std::iter::successors(Some(number), |rest| Some(rest.div_euclid(10)).filter(|rest| *rest > 0))
        .fold(0_u64, |sum, rest| sum.wrapping_add(rest.rem_euclid(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An invented table: its sort codes are nobody's.
    const TABLE: &str = "
        990000 990099 MOD11    0    0    0    0    0    0    8    7    6    5    4    3    2    1
        990100 990100 MOD10    0    0    0    0    0    0    7    1    3    7    1    3    7    1
        990200 990200 DBLAL    2    1    2    1    2    1    2    1    2    1    2    1    2    1
        990300 990300 DBLAL    2    1    2    1    2    1    2    1    2    1    2    1    2    1   1
        990400 990400 MOD11    0    0    0    0    0    0    8    7    6    5    4    3    0    0   4
        990500 990500 MOD11    1    1    1    1    1    1    8    7    6    5    4    3    2    1   7
        990600 990600 MOD11    0    0    0    0    0    0    8    7    6    5    4    3    2    1
        990600 990600 DBLAL    2    1    2    1    2    1    2    1    2    1    2    1    2    1
        990700 990700 MOD11    0    0    0    0    0    0    8    7    6    5    4    3    2    1   5
        990800 990800 MOD10    0    0    0    0    0    0    8    7    6    5    4    3    2    1   4
    ";

    #[test]
    fn rules_and_exceptions() {
        for (sort_code, account, expected) in [
            // 8+14+18+20+20+18+14 = 112, and 2 leaves 114; 9 makes 121.
            ("990000", "12345679", true),
            ("990099", "12345679", true),
            ("990000", "12345678", false),
            // 7+2+9+28+5+18+49 = 118, and 2.
            ("990100", "12345672", true),
            ("990100", "12345673", false),
            // The sort code counts 9+9+0+2+0+0 = 20, the account 2+2+6+4+1+6+5 = 26 and 4.
            ("990200", "12345674", true),
            ("990200", "12345675", false),
            // The sort code counts 21, and 27 are added: 74, and 6.
            ("990300", "12345676", true),
            ("990300", "12345674", false),
            // 8+14+18+20+20+18 = 98 leaves 10, which the last digits are.
            ("990400", "12345610", true),
            ("990400", "12345621", false),
            // The sort code's 23 and 112 with 8 are 143. With 9 before the last, only 18+20+20+18 and 18 count: 94, and 5.
            ("990500", "12345678", true),
            ("990500", "12345679", false),
            ("990500", "12345695", true),
            ("990500", "99345695", true),
            ("990500", "12345696", false),
        ] {
            let rules = ModulusRule::of(TABLE, sort_code).unwrap();
            let passes = rules.iter().all(|rule| rule.passes(&format!("{sort_code}{account}")));
            assert_eq!(passes, expected, "{sort_code} {account}");
        }
        let both = ModulusRule::of(TABLE, "990600").unwrap();
        let passing = |place: usize| {
            (0..100_000).filter(|number| both[place].passes(&format!("990600{number:08}"))).collect::<Vec<_>>()
        };
        let (first, second) = (passing(0), passing(1));
        assert!((9_000..9_200).contains(&first.len()) && second.len() == 10_000, "{} {}", first.len(), second.len());
    }

    #[test]
    fn tables_and_sort_codes_that_are_refused() {
        use ModulusError as E;
        let of = |sort_code: &str| ModulusRule::of(TABLE, sort_code).unwrap_err();
        assert_eq!(of("123456"), E::NoRule("123456".into()));
        for (sort_code, exception) in [("990700", 5), ("990800", 4)] {
            let error = of(sort_code);
            assert_eq!(error, E::Exception { sort_code: sort_code.into(), exception });
            assert!(error.to_string().contains(&format!("exception {exception}")), "{error}");
        }
        let good = "990000 990099 MOD11 0 0 0 0 0 0 8 7 6 5 4 3 2 1";
        assert!(ModulusRule::of(good, "990000").is_ok());
        for (from, to) in [
            ("990099", "98"),
            ("990099", "980000"),
            ("MOD11", "MOD12"),
            ("MOD11", "mod11"),
            ("8 7", "8"),
            ("8 7", "256 7"),
            ("8 7", "-8 7"),
            ("2 1", "2 1 4 5"),
            ("2 1", "2 1 x"),
            ("990000", "99000\u{0660}"),
        ] {
            let table = format!("\n{}\n", good.replace(from, to));
            assert_eq!(ModulusRule::of(&table, "990000"), Err(E::Line { line: 2 }), "{table}");
        }
        let thrice = [good; 3].join("\n");
        assert_eq!(ModulusRule::of(&thrice, "990000"), Err(E::TooManyRules("990000".into())));
    }
}
