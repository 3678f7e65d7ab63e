//! Amounts as banks write them, read exactly: signs on either side, parentheses, a currency's mark, groups of digits.
//!
//! Nothing is guessed. The map says which character stands before the decimals and which between groups; a mark must be
//! listed in the map; and what could be read in two ways is refused.

/// Characters that mean minus before or after a number: those of typewriters, of typography (U+2212, U+2013) and of
/// Japanese files (U+FF0D).
const MINUS_SIGNS: [char; 4] = ['-', '\u{2212}', '\u{2013}', '\u{ff0d}'];

/// Grouping of the digits before the decimal separator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    /// 1,000,000
    Thousands,
    /// 10,00,000: three digits, then twos.
    Indian,
}

/// Notation of the source's amounts.
#[derive(Debug, Clone)]
pub(super) struct AmountFormat {
    pub(super) decimal: char,
    pub(super) thousands: Option<char>,
    pub(super) grouping: Grouping,
    /// Text that may stand on either side of a number and says nothing: the currency's sign or code.
    pub(super) marks: Vec<String>,
    /// Text that may stand there and means plus, such as CR.
    pub(super) plus_marks: Vec<String>,
    /// Text that may stand there and means minus, such as DR.
    pub(super) minus_marks: Vec<String>,
}

/// An amount as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) minor: i64,
    /// `true` if a sign, or a mark that means one, stands with it.
    pub(super) has_sign: bool,
}

impl AmountFormat {
    /// Makes a format without groups of two, and without marks.
    pub(super) fn plain(decimal: char, thousands: Option<char>) -> Self {
        let (marks, plus_marks, minus_marks) = Default::default();
        Self { decimal, thousands, grouping: Grouping::Thousands, marks, plus_marks, minus_marks }
    }

    /// The amount in minor units, exactly, of a currency with so many `decimals`.
    pub(super) fn signed_minor(&self, text: &str, decimals: u32) -> Result<i64, String> {
        Ok(self.written(text, decimals)?.minor)
    }

    /// The amount in minor units, exactly, without a sign and above zero.
    pub(super) fn positive_minor(&self, text: &str, decimals: u32) -> Result<u64, String> {
        let written = self.written(text, decimals)?;
        match u64::try_from(written.minor) {
            Ok(0) => Err("the amount is zero".to_owned()),
            Ok(minor) if !written.has_sign => Ok(minor),
            _ => Err(format!("{text:?} has a sign, which is not allowed here")),
        }
    }

    /// The amount as written.
    pub(super) fn written(&self, text: &str, decimals: u32) -> Result<Written, String> {
        let refusal = || format!("{text:?} is not an amount such as {}", self.example(decimals));
        let (sign, digits) = self.strip(text)?;
        let (whole, fraction) = match digits.split_once(self.decimal) {
            Some((_, "")) => return Err(refusal()),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let whole = if whole.is_empty() && !fraction.is_empty() { "0" } else { whole };
        let whole = self.without_groups(whole).ok_or_else(refusal)?;
        if !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
            return Err(self.why_not(text, digits).unwrap_or_else(refusal));
        }
        let width = usize::try_from(decimals).map_err(|_| refusal())?;
        let fraction = self.kept_decimals(text, fraction, width)?;
        let minus = if sign == Some(Sign::Minus) { "-" } else { "" };
        let minor = format!("{minus}{whole}{fraction:0<width$}").parse();
        let minor = minor.map_err(|_| format!("{text:?} is too large an amount"))?;
        Ok(Written { minor, has_sign: sign.is_some() })
    }

    /// The decimals that the currency has. Those beyond must be zeros, and not just as many as a group has: 1.000 may
    /// well mean a thousand.
    fn kept_decimals<'f>(&self, text: &str, fraction: &'f str, width: usize) -> Result<&'f str, String> {
        let Some((kept, beyond)) = fraction.split_at_checked(width) else { return Ok(fraction) };
        if !beyond.bytes().all(|byte| byte == b'0') {
            return Err(format!("{text:?} has more than {width} decimals"));
        }
        if fraction.len() == 3 && !beyond.is_empty() {
            let separator = self.decimal;
            return Err(format!(
                "{text:?} has more than {width} decimals, or {separator:?} is the map's `thousands_separator`"
            ));
        }
        Ok(kept)
    }

    /// Takes off at most one sign and one mark.
    fn strip<'t>(&self, text: &'t str) -> Result<(Option<Sign>, &'t str), String> {
        let mut rest = text.trim();
        let (mut sign, mut has_mark) = (None, false);
        while let Some((found, inner)) = self.affix(rest) {
            let is_second = match found {
                Affix::Sign(_) => sign.is_some(),
                Affix::Mark => std::mem::replace(&mut has_mark, true),
            };
            if is_second {
                return Err(format!("{text:?} has two signs or two marks around its digits"));
            }
            if let Affix::Sign(found) = found {
                sign = Some(found);
            }
            rest = inner.trim();
        }
        Ok((sign, rest))
    }

    /// The first thing around the digits, if any, and the text without it.
    fn affix<'t>(&self, text: &'t str) -> Option<(Affix, &'t str)> {
        if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            return Some((Affix::Sign(Sign::Minus), inner));
        }
        let of = |marks: &[String]| {
            marks.iter().find_map(|mark| text.strip_prefix(mark.as_str()).or_else(|| text.strip_suffix(mark.as_str())))
        };
        let chars = |signs: &[char]| text.strip_prefix(signs).or_else(|| text.strip_suffix(signs));
        let minus = chars(&MINUS_SIGNS).or_else(|| of(&self.minus_marks));
        let plus = || chars(&['+', '\u{ff0b}']).or_else(|| of(&self.plus_marks));
        let signed = minus.map(|rest| (Sign::Minus, rest)).or_else(|| plus().map(|rest| (Sign::Plus, rest)));
        match signed {
            Some((sign, rest)) => Some((Affix::Sign(sign), rest)),
            None => of(&self.marks).map(|rest| (Affix::Mark, rest)),
        }
    }

    /// Names a mark that the map doesn't list.
    fn why_not(&self, text: &str, digits: &str) -> Option<String> {
        let mark = digits.trim_matches(|c: char| c.is_ascii_digit() || c == self.decimal || Some(c) == self.thousands);
        let has_digits = digits.contains(|c: char| c.is_ascii_digit());
        // A single letter is rather a slip: O for 0, l for 1.
        let is_letter = mark.len() == 1 && mark != "$";
        let is_like_a_mark = mark.chars().all(|c| c.is_alphabetic() || c == '$' || !c.is_ascii());
        let is_mark = has_digits && !mark.is_empty() && !is_letter && is_like_a_mark;
        is_mark.then(|| {
            format!(
                "{text:?} is not an amount such as {}; if {mark:?} only says which currency it is, list it in the map's \
                 `currency_marks`",
                self.example(2)
            )
        })
    }

    /// An amount as the map describes it, for messages.
    fn example(&self, decimals: u32) -> String {
        let group = self.thousands.map(String::from).unwrap_or_default();
        let width = usize::try_from(decimals).unwrap_or_default();
        match width {
            0 => format!("1{group}234"),
            _ => format!("1{group}234{}{}", self.decimal, &"567890".repeat(4)[..width.min(24)]),
        }
    }

    /// The digits before the decimal separator, or none if there are none or they are grouped wrongly.
    fn without_groups(&self, whole: &str) -> Option<String> {
        let groups: Vec<&str> = match self.thousands {
            Some(separator) => whole.split(|c| is_separator(separator, c)).collect(),
            None => vec![whole],
        };
        let (first, others) = groups.split_first()?;
        let Some((last, middle)) = others.split_last() else { return (!first.is_empty()).then(|| (*first).to_owned()) };
        let width = match self.grouping {
            Grouping::Thousands => 3,
            Grouping::Indian => 2,
        };
        // The digits of U+0660 and the like have more bytes, and are none.
        let first_is_good = (1..=width).contains(&first.len());
        let is_good = first_is_good && middle.iter().all(|group| group.len() == width) && last.len() == 3;
        is_good.then(|| groups.concat())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

enum Affix {
    Sign(Sign),
    Mark,
}

/// A space stands for every kind of space that keeps a line together, and an apostrophe for the typographic one, since
/// programs write one for the other.
fn is_separator(separator: char, c: char) -> bool {
    match separator {
        ' ' => matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'),
        '\'' | '\u{2019}' => matches!(c, '\'' | '\u{2019}'),
        separator => c == separator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &AmountFormat, decimals: u32, text: &str, minor: Option<i64>) {
        assert_eq!(format.signed_minor(text, decimals).ok(), minor, "{text}");
    }

    #[test]
    fn amounts_are_exact() {
        let plain = AmountFormat::plain('.', None);
        let german = AmountFormat::plain(',', Some('.'));
        for (text, minor) in [
            ("700.00", 70_000),
            ("12.6", 1_260),
            ("96396", 9_639_600),
            ("-0.05", -5),
            (".50", 50),
            ("-.50", -50),
            ("12.5000", 1_250),
            ("92233720368547758.07", i64::MAX),
            ("-92233720368547758.08", i64::MIN),
        ] {
            check(&plain, 2, text, Some(minor));
        }
        for bad in [
            "",
            "-",
            "+",
            ".",
            "1.",
            "1.005",
            "1.000",
            "1.2.3",
            "1,00",
            "1,234",
            "1e3",
            "--1",
            "-1-",
            "+-1",
            "(-1)",
            "(1",
            "1)",
            "()",
            "1 000",
            "١",
            "- 1 -",
            "0x10",
            "NaN",
            "92233720368547758.08",
        ] {
            check(&plain, 2, bad, None);
        }
        for (text, minor) in [("1.234.567,89", 123_456_789), ("1234567,89", 123_456_789), ("123,4", 12_340)] {
            check(&german, 2, text, Some(minor));
        }
        for bad in ["1.23,00", "1234.567,00", ".123,00", "1.,00", "1..000,00", "1,234.00"] {
            check(&german, 2, bad, None);
        }
        check(&plain, 0, "700", Some(700));
        check(&plain, 0, "1000.00", Some(1_000));
        check(&plain, 0, "1000.01", None);
        check(&plain, 0, "1.000", None);
        check(&plain, 3, "1.000", Some(1_000));
    }

    #[test]
    fn signs_and_marks_may_stand_on_either_side() {
        let marked = |decimal, thousands, marks: &[&str]| AmountFormat {
            marks: marks.iter().map(|mark| (*mark).to_owned()).collect(),
            plus_marks: vec!["CR".to_owned()],
            minus_marks: vec!["DR".to_owned()],
            ..AmountFormat::plain(decimal, thousands)
        };
        let british = marked('.', Some(','), &["£", "GBP"]);
        let german = marked(',', Some('.'), &["€"]);
        let french = marked(',', Some(' '), &["€"]);
        let swiss = marked('.', Some('\''), &["CHF"]);
        for (format, text, minor) in [
            (&german, "+50,00", 5_000),
            (&british, "50.00-", -5_000),
            (&british, "50.00+", 5_000),
            (&british, "(33.52)", -3_352),
            (&british, "£1,183.23", 118_323),
            (&british, "-£1,183.23", -118_323),
            (&british, "£-1,183.23", -118_323),
            (&british, "(£1,183.23)", -118_323),
            (&british, "GBP 5.00", 500),
            (&british, "1,234.50 DR", -123_450),
            (&british, "1,234.50CR", 123_450),
            (&german, "-110,7 €", -11_070),
            (&french, "\u{2212}1\u{202f}100,00\u{a0}€", -110_000),
            (&french, "1 100,00", 110_000),
            (&swiss, "CHF 1\u{2019}000.50", 100_050),
            (&swiss, "1'000.50", 100_050),
        ] {
            check(format, 2, text, Some(minor));
        }
        check(&marked('.', None, &["€"]), 2, "-110.7 €", Some(-11_070));
        for bad in ["££5.00", "£5.00 GBP", "-5.00 DR", "(5.00-)", "5£00", "$5.00"] {
            check(&british, 2, bad, None);
        }
        let told = AmountFormat::plain('.', Some(',')).signed_minor("£1,183.23", 2).unwrap_err();
        assert_eq!(
            told,
            "\"£1,183.23\" is not an amount such as 1,234.56; if \"£\" only says which currency it is, list it in the \
             map's `currency_marks`"
        );
    }

    #[test]
    fn lakhs_and_crores_are_groups_of_two() {
        let indian = AmountFormat { grouping: Grouping::Indian, ..AmountFormat::plain('.', Some(',')) };
        for (text, minor) in [("1,00,000.00", 10_000_000), ("12,34,56,789.01", 12_345_678_901), ("1,000.00", 100_000)] {
            check(&indian, 2, text, Some(minor));
        }
        for bad in ["100,000.00", "1,00,00.00", "1,000,000.00"] {
            check(&indian, 2, bad, None);
        }
        check(&AmountFormat::plain('.', Some(',')), 2, "1,00,000.00", None);
    }

    #[test]
    fn signs_and_zero_are_refused_where_they_mean_nothing() {
        let amount = AmountFormat::plain('.', None);
        assert_eq!(amount.positive_minor("0.01", 2), Ok(1));
        assert_eq!(amount.positive_minor("0.00", 2), Err("the amount is zero".to_owned()));
        for signed in ["-1.00", "+1.00", "1.00-", "(1.00)"] {
            let told = format!("{signed:?} has a sign, which is not allowed here");
            assert_eq!(amount.positive_minor(signed, 2), Err(told));
        }
        assert_eq!(amount.positive_minor("1.001", 2), Err("\"1.001\" has more than 2 decimals".to_owned()));
        let could_be_a_thousand = "\"1.000\" has more than 2 decimals, or '.' is the map's `thousands_separator`";
        assert_eq!(amount.positive_minor("1.000", 2), Err(could_be_a_thousand.to_owned()));
    }
}
