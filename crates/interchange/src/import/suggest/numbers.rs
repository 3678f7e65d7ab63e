//! Notation of a column's amounts, as far as they tell.

use std::collections::BTreeSet;

/// Marks that stand with amounts and say the currency, if they do so without doubt.
pub(super) const MARKS: [(&str, Option<&str>); 12] = [
    ("R$", Some("BRL")),
    ("€", Some("EUR")),
    ("£", Some("GBP")),
    ("₹", Some("INR")),
    ("zł", Some("PLN")),
    ("Kč", Some("CZK")),
    ("₺", Some("TRY")),
    ("$", None),
    ("¥", None),
    ("￥", Some("JPY")),
    ("円", Some("JPY")),
    ("kr", None),
];

/// Parts of a field that may be an amount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The digits and what stands between them.
    pub(super) digits: String,
    /// A mark of a currency.
    pub(super) mark: Option<String>,
    /// CR or DR as written.
    pub(super) side: Option<String>,
    pub(super) is_negative: bool,
    pub(super) has_sign: bool,
}

/// Takes a field apart; none if it can't be an amount.
pub(super) fn shape(field: &str) -> Option<Shape> {
    let mut shape = Shape { digits: String::new(), mark: None, side: None, is_negative: false, has_sign: false };
    let mut rest = field.trim();
    if let Some(inner) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        (shape.is_negative, shape.has_sign, rest) = (true, true, inner.trim());
    }
    loop {
        let before = rest;
        let signs = ['+', '-', '\u{2212}', '\u{2013}', '\u{ff0d}'];
        if let Some(inner) = rest.strip_prefix(signs).or_else(|| rest.strip_suffix(signs)).filter(|_| !shape.has_sign) {
            let is_plus = rest.starts_with('+') || rest.ends_with('+');
            (shape.is_negative, shape.has_sign, rest) = (!is_plus, true, inner.trim());
        }
        if shape.side.is_none()
            && let Some((inner, side)) = rest.len().checked_sub(2).and_then(|place| rest.split_at_checked(place))
            && ["cr", "dr"].contains(&side.to_ascii_lowercase().as_str())
        {
            shape.is_negative = side.eq_ignore_ascii_case("dr");
            (shape.side, rest) = (Some(side.to_owned()), inner.trim());
        }
        if shape.mark.is_none()
            && let Some((mark, inner)) = mark_of(rest)
        {
            (shape.mark, rest) = (Some(mark), inner);
        }
        if rest == before {
            break;
        }
    }
    let is_part = |c: char| c.is_ascii_digit() || is_separator(c);
    let is_number = rest.contains(|c: char| c.is_ascii_digit()) && rest.chars().all(is_part);
    let ends_well = rest.ends_with(|c: char| c.is_ascii_digit()) && !rest.starts_with([',', '\'', ' ']);
    shape.digits = rest.to_owned();
    (is_number && ends_well && is_grouped_well(rest)).then_some(shape)
}

/// Groups set apart by one separator have three digits, or two before the last; 01.02.2024 is a date.
fn is_grouped_well(digits: &str) -> bool {
    let separators: Vec<char> = digits.chars().filter(|c| is_separator(*c)).map(plain).collect();
    let Some(first) = separators.first().filter(|first| separators.len() > 1 && separators.iter().all(|c| c == *first))
    else {
        return true;
    };
    let groups: Vec<usize> = digits.split(|c| is_separator(c) && plain(c) == *first).map(str::len).collect();
    let (last, others) = (groups[groups.len() - 1], &groups[1..groups.len() - 1]);
    last == 3 && (others.iter().all(|len| *len == 3) || others.iter().all(|len| *len == 2))
}

fn mark_of(text: &str) -> Option<(String, &str)> {
    let known = MARKS.iter().map(|(mark, _)| *mark);
    for mark in known {
        if let Some(inner) = text.strip_prefix(mark).or_else(|| text.strip_suffix(mark)) {
            return Some((mark.to_owned(), inner.trim()));
        }
    }
    let is_code = |code: &str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let (first, last) = (text.get(..3), text.len().checked_sub(3).and_then(|place| text.get(place..)));
    match (first.filter(|code| is_code(code)), last.filter(|code| is_code(code))) {
        (Some(code), _) => Some((code.to_owned(), text[3..].trim())),
        (None, Some(code)) => Some((code.to_owned(), text[..text.len() - 3].trim())),
        (None, None) => None,
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | ',' | '\'' | '\u{2019}' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// Returns `true` if a field may be an amount: a number with decimals, a sign or a mark, or not too many digits.
pub(super) fn is_like_an_amount(field: &str) -> bool {
    shape(field).is_some_and(|shape| {
        let digits = shape.digits.chars().filter(char::is_ascii_digit).count();
        digits <= 15 && (shape.has_sign || shape.mark.is_some() || shape.digits.contains(is_separator) || digits <= 9)
    })
}

/// Notation of amounts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// None if the amounts don't tell, or say different things.
    pub(super) decimal: Option<char>,
    pub(super) thousands: Option<char>,
    /// Separator that may set apart thousands or decimals, where nothing tells which.
    either: Option<char>,
    pub(super) is_indian: bool,
    /// Reason why the decimal separator is what it is, or can't be told.
    pub(super) reason: String,
    pub(super) marks: BTreeSet<String>,
    pub(super) plus_marks: BTreeSet<String>,
    pub(super) minus_marks: BTreeSet<String>,
}

/// Clue of one amount to its separators.
enum Told {
    Nothing,
    Decimal(char),
    Thousands(char),
    Both {
        thousands: char,
        decimal: char,
    },
    /// One separator before three digits.
    Either(char),
}

impl Numbers {
    /// Looks at the fields of the columns with amounts.
    pub(super) fn of<'f>(fields: impl Iterator<Item = &'f str>) -> Self {
        let mut found = Self::default();
        let (mut decimals, mut thousands) = (BTreeSet::new(), BTreeSet::new());
        let mut either: Option<(char, String)> = None;
        let mut example = String::new();
        for field in fields {
            let Some(shape) = shape(field) else { continue };
            found.marks.extend(shape.mark.clone());
            if let Some(side) = shape.side {
                let marks =
                    if side.eq_ignore_ascii_case("dr") { &mut found.minus_marks } else { &mut found.plus_marks };
                marks.insert(side);
            }
            found.is_indian |= is_indian(&shape.digits);
            match told(&shape.digits) {
                Told::Nothing => {}
                Told::Decimal(decimal) => {
                    if decimals.insert(decimal) {
                        example = field.to_owned();
                    }
                }
                Told::Thousands(separator) => {
                    thousands.insert(separator);
                }
                Told::Both { thousands: separator, decimal } => {
                    thousands.insert(separator);
                    if decimals.insert(decimal) {
                        example = field.to_owned();
                    }
                }
                Told::Either(separator) => either = either.or(Some((separator, field.to_owned()))),
            }
        }
        found.conclude(&decimals, &mut thousands, either, &example);
        found
    }

    /// Concludes again, knowing that the currency has no decimals: what stands before three digits sets groups apart.
    pub(super) fn without_decimals(&mut self) {
        if let (None, Some(separator)) = (self.decimal, self.either) {
            self.thousands = Some(separator);
            self.decimal = Some(if separator == '.' { ',' } else { '.' });
            self.reason = "The currency has no decimals, so that this doesn't matter.".to_owned();
        }
    }

    fn conclude(
        &mut self,
        decimals: &BTreeSet<char>,
        thousands: &mut BTreeSet<char>,
        either: Option<(char, String)>,
        example: &str,
    ) {
        let mut those = decimals.iter();
        match (those.next(), those.next()) {
            (Some(decimal), None) => {
                self.decimal = Some(*decimal);
                self.reason = format!("As in {example}.");
                thousands.extend(either.map(|(separator, _)| separator).filter(|separator| separator != decimal));
            }
            (Some(_), Some(_)) => {
                self.reason = format!(
                    "Can't be told: some amounts have decimals after a point, others after a comma ({example})."
                );
            }
            (None, _) => match (either, thousands.first()) {
                (Some((separator, field)), None) => {
                    self.either = Some(separator);
                    self.reason =
                        format!("Can't be told: in {field}, {separator:?} may set apart thousands or decimals.");
                }
                (_, Some(',')) | (None, None) => {
                    self.decimal = Some('.');
                    self.reason = "No amount has decimals, so that this doesn't matter yet.".to_owned();
                }
                (_, Some(_)) => {
                    self.decimal = Some(',');
                    self.reason = "No amount has decimals, so that this doesn't matter yet.".to_owned();
                }
            },
        }
        self.thousands = thousands.iter().copied().find(|separator| Some(*separator) != self.decimal);
    }
}

fn told(digits: &str) -> Told {
    let separators: Vec<char> = digits.chars().filter(|c| is_separator(*c)).collect();
    let (Some(first), Some(last)) = (separators.first().copied(), separators.last().copied()) else {
        return Told::Nothing;
    };
    let after = digits.rsplit(last).next().unwrap_or_default().len();
    let before = digits.split(first).next().unwrap_or_default();
    let is_space = |c: char| !matches!(c, '.' | ',');
    match separators.len() {
        _ if first != last => Told::Both { thousands: plain(first), decimal: last },
        1 if is_space(first) => Told::Thousands(plain(first)),
        1 if after == 3 && (1..=3).contains(&before.len()) && !before.starts_with('0') => Told::Either(first),
        1 => Told::Decimal(first),
        _ => Told::Thousands(plain(first)),
    }
}

/// Every kind of space is written as one in the map, and so are the apostrophes.
fn plain(separator: char) -> char {
    match separator {
        '\u{2019}' => '\'',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

/// Groups of two before the last one of three.
fn is_indian(digits: &str) -> bool {
    let whole = digits.split('.').next().unwrap_or_default();
    let groups: Vec<usize> = whole.split(',').map(str::len).collect();
    groups.len() > 2 && groups[1..groups.len() - 1].iter().all(|len| *len == 2) && groups[groups.len() - 1] == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_told_or_not() {
        for (fields, decimal, thousands) in [
            (&["1.00", "-2.50"][..], Some('.'), None),
            (&["1,00", "1.234"], Some(','), Some('.')),
            (&["1.234"], None, None),
            (&["1,234", "5,678"], None, None),
            (&["1,234", "0,678"], Some(','), None),
            (&["1.00", "2,00"], None, None),
            (&["1.234.567"], Some(','), Some('.')),
            (&["1,234,567"], Some('.'), Some(',')),
            (&["1 234,50"], Some(','), Some(' ')),
            (&["1\u{2019}234.50"], Some('.'), Some('\'')),
            (&["12", "500"], Some('.'), None),
            (&[".50"], Some('.'), None),
        ] {
            let numbers = Numbers::of(fields.iter().copied());
            assert_eq!((numbers.decimal, numbers.thousands), (decimal, thousands), "{fields:?}: {}", numbers.reason);
        }
        assert!(Numbers::of(["1,00,000.00"].into_iter()).is_indian);
        assert!(!Numbers::of(["100,000.00", "1,000,000.00"].into_iter()).is_indian);
    }

    #[test]
    fn marks_and_signs_are_taken_off() {
        for (field, digits, mark, is_negative) in [
            ("£1,183.23", "1,183.23", Some("£"), false),
            ("-110.7 €", "110.7", Some("€"), true),
            ("(33.52)", "33.52", None, true),
            ("50.00-", "50.00", None, true),
            ("EUR \u{2212}5", "5", Some("EUR"), true),
            ("R$ 1.000,00", "1.000,00", Some("R$"), false),
            ("1,00,000.00 Dr", "1,00,000.00", None, true),
        ] {
            let shape = shape(field).unwrap_or_else(|| panic!("{field}"));
            assert_eq!(
                (shape.digits.as_str(), shape.mark.as_deref(), shape.is_negative),
                (digits, mark, is_negative),
                "{field}"
            );
        }
        for bad in ["", "-", "abc", "12a", "1.", "a 5.00", "12/05"] {
            assert_eq!(shape(bad), None, "{bad}");
        }
    }
}
