//! Amounts: whole minor units with their ISO 4217 currency, and their one written form.

use std::fmt;

/// Codes of currencies that are withdrawn: of list three of ISO 4217, as of November 2026, those that the library still
/// knows. Bulgaria and Croatia have the euro (since 2026 and 2023), Cuba the peso (2021), Sierra Leone the new leone
/// (2024), Zimbabwe the gold (2024). VES is not among them: it and VED stand in list one side by side.
const WITHDRAWN: [&str; 5] = ["BGN", "CUC", "HRK", "SLL", "ZWL"];

/// Currencies of list three that the library doesn't know: code, numeric code, and the decimals that ISO 4217 gave them.
/// History and old files have them. Those are left out whose numeric code another has (ANG, HRD, YUM): a journal holds
/// nothing else of a currency. A place in this list is not kept anywhere, so that more can come between.
#[rustfmt::skip]
const HISTORIC: [(&str, u16, u8); 49] = [
    ("ADP", 20, 0),
    ("AFA", 4, 2),
    ("ATS", 40, 2),
    ("AZM", 31, 2),
    ("BEF", 56, 0),
    ("BGL", 100, 2),
    ("BYB", 112, 0),
    ("BYR", 974, 0),
    ("CSD", 891, 2),
    ("CSK", 200, 2),
    ("CYP", 196, 2),
    ("DEM", 276, 2),
    ("ECS", 218, 2),
    ("EEK", 233, 2),
    ("ESP", 724, 0),
    ("FIM", 246, 2),
    ("FRF", 250, 2),
    ("GHC", 288, 2),
    ("GRD", 300, 0),
    ("GWP", 624, 2),
    ("IEP", 372, 2),
    ("ITL", 380, 0),
    ("LTL", 440, 2),
    ("LUF", 442, 0),
    ("LVL", 428, 2),
    ("MGF", 450, 0),
    ("MRO", 478, 2),
    ("MTL", 470, 2),
    ("MZM", 508, 2),
    ("NLG", 528, 2),
    ("PLZ", 616, 2),
    ("PTE", 620, 0),
    ("ROL", 642, 2),
    ("RUR", 810, 2),
    ("SDD", 736, 2),
    ("SIT", 705, 2),
    ("SKK", 703, 2),
    ("SRG", 740, 2),
    ("STD", 678, 2),
    ("TMM", 795, 2),
    ("TPE", 626, 0),
    ("TRL", 792, 0),
    ("UAK", 804, 2),
    ("VEB", 862, 2),
    ("VEF", 937, 2),
    ("ZMK", 894, 2),
    ("ZWD", 716, 2),
    ("ZWN", 942, 2),
    ("ZWR", 935, 2),
];

/// Codes with minor units in which nobody holds money in hand: the funds of ISO 4217's list two and units of account, in
/// which contracts are reckoned (BOV, CLF, COU, MXV, UYI, UYW), entries of one payment system (CHE, CHW), the dollar of the
/// next day (USN), and the accounting dinar of the Arab Monetary Fund (XAD).
const UNITS_OF_ACCOUNT: [&str; 10] = ["BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD"];

/// A currency of ISO 4217 that has minor units (the metals, test codes and drawing rights, which have none, can't be
/// held in an account).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    listed: Listed,
    decimals: u8,
}

/// List in which a currency is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Library(iso_currency::Currency),
    /// A place in [`HISTORIC`].
    Historic(u8),
}

impl Currency {
    /// The currency of an alphabetic code such as `EUR`, in capitals.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let known = iso_currency::Currency::from_code(code).and_then(Self::with_minor_units);
        known.or_else(|| Self::historic(|entry| entry.0 == code))
    }

    /// The currency of a numeric code such as 978.
    #[must_use]
    pub fn from_numeric(numeric: u16) -> Option<Self> {
        let known = iso_currency::Currency::from_numeric(numeric).and_then(Self::with_minor_units);
        known.or_else(|| Self::historic(|entry| entry.1 == numeric))
    }

    fn with_minor_units(iso: iso_currency::Currency) -> Option<Self> {
        let decimals = u8::try_from(iso.exponent()?).ok()?;
        Some(Self { listed: Listed::Library(iso), decimals })
    }

    fn historic(is_it: impl Fn(&(&str, u16, u8)) -> bool) -> Option<Self> {
        let (place, entry) = (0..).zip(&HISTORIC).find(|(_, entry)| is_it(entry))?;
        Some(Self { listed: Listed::Historic(place), decimals: entry.2 })
    }

    /// Returns `true` if people hold and pay in the currency today, so that new accounts can be had in it. Others can
    /// be read, because journals and the history of other banks have them.
    #[must_use]
    pub fn is_in_use(self) -> bool {
        let is_of_the_library = matches!(self.listed, Listed::Library(_));
        is_of_the_library && !WITHDRAWN.contains(&self.code()) && !UNITS_OF_ACCOUNT.contains(&self.code())
    }

    /// The alphabetic code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self.listed {
            Listed::Library(iso) => iso.code(),
            Listed::Historic(place) => HISTORIC[usize::from(place)].0,
        }
    }

    /// The numeric code.
    #[must_use]
    pub fn numeric(self) -> u16 {
        match self.listed {
            Listed::Library(iso) => iso.numeric(),
            Listed::Historic(place) => HISTORIC[usize::from(place)].1,
        }
    }

    /// Returns the number of decimals of an amount: 2 for EUR, 0 for JPY, 3 for KWD, 4 for UYW.
    #[must_use]
    pub fn decimals(self) -> u32 {
        u32::from(self.decimals)
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.numeric().cmp(&other.numeric())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// An amount of money in whole minor units (cents, öre, fils; whole yen) of its currency. It may be negative: a
/// balance can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Whole minor units.
    pub minor: i64,
    /// Currency of the minor units.
    pub currency: Currency,
}

/// Fault in a text that should be an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not of the form `-?digits(.digits)?`.
    #[error("an amount is written as digits with a point before the decimals, like 12.50")]
    Malformed,
    /// More decimals than the currency has. Nothing is ever rounded.
    #[error("{currency} has {decimals} decimals, and no more can be given")]
    TooPrecise {
        /// The currency asked for.
        currency: Currency,
        /// The decimals it has.
        decimals: u32,
    },
    /// More than 9,223,372,036,854,775,807 minor units, or one more than that below zero.
    #[error("the amount is larger than can be held")]
    TooLarge,
}

/// The longest text that is looked at as an amount: a sign, 19 digits, a point, and zeros to spare.
const MAX_AMOUNT_TEXT: usize = 32;

impl Money {
    /// Reads the written form: digits, optionally a point and at most the currency's decimals (fewer are allowed:
    /// `12.5` is `12.50`). No plus sign, no spaces, no thousands separators, no exponent.
    ///
    /// # Errors
    ///
    /// Fails with [`AmountError::Malformed`] if the text is not of that form, with [`AmountError::TooPrecise`] if it
    /// has more decimals than the currency, and with [`AmountError::TooLarge`] if the amount can't be held.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(AmountError::Malformed),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || text.len() > MAX_AMOUNT_TEXT || !all_digits(whole) || !all_digits(fraction) {
            return Err(AmountError::Malformed);
        }
        let decimals = currency.decimals();
        let padding = usize::try_from(decimals).ok().and_then(|places| places.checked_sub(fraction.len()));
        let padding = padding.ok_or(AmountError::TooPrecise { currency, decimals })?;
        // Counted downwards, because the smallest amount is one further from zero than the largest.
        let mut minor: i64 = 0;
        for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding)) {
            let digit = i64::from(digit.wrapping_sub(b'0'));
            minor = minor.checked_mul(10).and_then(|m| m.checked_sub(digit)).ok_or(AmountError::TooLarge)?;
        }
        let minor = if negative { minor } else { minor.checked_neg().ok_or(AmountError::TooLarge)? };
        Ok(Self { minor, currency })
    }
}

/// Writes the amount with all its currency's decimals and without the currency: `-12.50`, `1200`, `0.001`.
impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.saturating_pow(self.currency.decimals());
        let magnitude = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = (magnitude.div_euclid(scale), magnitude.rem_euclid(scale));
        match self.currency.decimals {
            0 => write!(out, "{sign}{whole}"),
            places => write!(out, "{sign}{whole}.{fraction:0width$}", width = usize::from(places)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use() {
        let is_in_use = |code: &&str| Currency::from_code(code).map(Currency::is_in_use);
        for code in WITHDRAWN.iter().chain(&UNITS_OF_ACCOUNT) {
            assert_eq!(is_in_use(code), Some(false), "{code} can be read, and no longer be had");
        }
        for code in
            ["EUR", "JPY", "KWD", "USD", "VES", "VED", "XAF", "XCD", "XCG", "XOF", "XPF", "SLE", "ZWG", "CUP", "CHF"]
        {
            assert_eq!(is_in_use(&code), Some(true), "{code}");
        }
        for (code, numeric, decimals) in HISTORIC {
            let found = Currency::from_code(code).expect("a currency of list three");
            assert_eq!((found.code(), found.numeric(), found.decimals()), (code, numeric, u32::from(decimals)));
            assert_eq!((Currency::from_numeric(numeric), found.is_in_use()), (Some(found), false), "{code}");
            assert!(iso_currency::Currency::from_code(code).is_none(), "{code}: the library knows it now");
        }
        // A currency that has no minor units can't be written as an amount at all.
        for code in ["XAU", "XDR", "XTS", "XXX", "XSU", "XUA", "XBA"] {
            assert_eq!(is_in_use(&code), None, "{code}");
        }
        // All that the library knows: a code that it brings is looked at before it is in use here.
        let all = (0..1_000).filter_map(Currency::from_numeric);
        assert_eq!(all.filter(|currency| currency.is_in_use()).count(), IN_USE);
    }

    /// The currencies of ISO 4217's list one that people hold, as of November 2026.
    const IN_USE: usize = 155;
}
