//! What a file looks like before anybody knows what it means: its encoding, its separator, and the table in it.

use csv::ReaderBuilder;
use encoding_rs::Encoding;

use super::dates;
use super::numbers;

/// Separators that banks use. Of two that fit as well, the first counts.
const SEPARATORS: [u8; 4] = [b';', b',', b'\t', b'|'];

/// The most records between a header and the first dated row: a line of asterisks, an opening balance, a blank.
const RECORDS_AFTER_HEADER_MAX: usize = 4;

/// A record of the file.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Without the spaces around them.
    pub(super) fields: Vec<String>,
    /// As written, without the line's end.
    pub(super) raw: String,
    /// How many lines stand before it.
    pub(super) lines_before: usize,
}

impl Record {
    pub(super) fn field(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", String::as_str)
    }
}

/// The table in a file.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) encoding: &'static Encoding,
    pub(super) encoding_reason: &'static str,
    pub(super) separator: u8,
    pub(super) quotes: bool,
    pub(super) escapes: bool,
    /// The records before the table.
    pub(super) before: Vec<Record>,
    /// The header, if there is one.
    pub(super) header: Option<Record>,
    /// The columns' names, each once: made up where the file gives none, or one twice.
    pub(super) names: Vec<String>,
    /// From the first row to the last that has a date.
    pub(super) rows: Vec<Record>,
    /// The records after the last row that has a date.
    pub(super) after: Vec<Record>,
}

impl Look {
    /// Looks at a file.
    pub(super) fn at(bytes: &[u8]) -> Result<Self, String> {
        let (encoding, encoding_reason) = encoding(bytes);
        let (text, _, _) = encoding.decode(bytes);
        let escapes = text.contains("\\\"");
        let (separator, quotes, records, width) = best_separator(&text, escapes)
            .ok_or("has no table: nothing in it is separated by semicolons, commas, tabs or bars")?;
        let is_row = |record: &Record| {
            record.fields.len() == width
                && record.fields.iter().any(|field| dates::is_like_a_date(field))
                && record.fields.iter().any(|field| numbers::is_like_an_amount(field))
        };
        let first = records.iter().position(is_row).ok_or("has no row with a date and an amount")?;
        let last = records.iter().rposition(is_row).unwrap_or(first);
        let header = (first.saturating_sub(RECORDS_AFTER_HEADER_MAX)..first)
            .rev()
            .find(|place| is_header(&records[*place], width));
        let begin = header.map_or(first, |place| place + 1);
        let end = end_of_table(&records, last, width);
        let header = header.map(|place| records[place].clone());
        Ok(Self {
            encoding,
            encoding_reason,
            separator,
            quotes,
            escapes,
            before: records[..begin - usize::from(header.is_some())].to_vec(),
            names: names(header.as_ref(), width),
            header,
            rows: records[begin..end].to_vec(),
            after: records[end..].to_vec(),
        })
    }

    /// Whether the header can't be used as it is, because it has a name twice.
    pub(super) fn renames(&self) -> bool {
        let Some(header) = &self.header else { return false };
        header.fields.iter().zip(&self.names).any(|(field, name)| !field.is_empty() && field != name)
    }
}

/// A text may go on after the last dated row; such a row has as many fields, and nothing that is an amount.
fn end_of_table(records: &[Record], last: usize, width: usize) -> usize {
    let goes_on = |record: &&Record| {
        record.fields.len() == width
            && record.field(0).is_empty()
            && record.fields.iter().any(|field| !field.is_empty())
            && !record.fields.iter().any(|field| numbers::is_like_an_amount(field))
    };
    last + 1 + records[last + 1..].iter().take_while(goes_on).count()
}

fn encoding(bytes: &[u8]) -> (&'static Encoding, &'static str) {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return (encoding, "The file says so itself, by a byte order mark.");
    }
    if std::str::from_utf8(bytes).is_ok() {
        let reason =
            if bytes.is_ascii() { "Nothing in the file is beyond ASCII." } else { "All of the file is valid UTF-8." };
        return (encoding_rs::UTF_8, reason);
    }
    let (text, _, has_errors) = encoding_rs::SHIFT_JIS.decode(bytes);
    // Full-width kana begin with bytes that other encodings have no letters for.
    if !has_errors && text.chars().any(|c| ('\u{3041}'..='\u{30ff}').contains(&c)) {
        return (encoding_rs::SHIFT_JIS, "The file is no UTF-8, and has Japanese syllables when read so.");
    }
    (encoding_rs::WINDOWS_1252, "A guess, as the file is no UTF-8: look whether letters with accents read right.")
}

/// A way of cutting a file into fields: the separator, whether quotes count, the records, and how many fields most have.
type Cut = (u8, bool, Vec<Record>, usize);

/// The separator by which most of the file falls into rows of equally many fields, the more fields the better.
fn best_separator(text: &str, escapes: bool) -> Option<Cut> {
    let mut best: Option<(usize, Cut)> = None;
    for separator in SEPARATORS {
        let mut quotes = true;
        let mut all = records(text, separator, quotes, escapes);
        if all.iter().any(has_open_quote) {
            quotes = false;
            all = records(text, separator, quotes, escapes);
        }
        let widths = all.iter().map(|record| record.fields.len()).filter(|width| *width > 1);
        let mut counts = std::collections::BTreeMap::<usize, usize>::new();
        for width in widths {
            *counts.entry(width).or_default() += 1;
        }
        let Some((width, count)) = counts.into_iter().max_by_key(|(width, count)| (count * (width - 1), *width)) else {
            continue;
        };
        let score = count * (width - 1);
        if best.as_ref().is_none_or(|(other, _)| score > *other) {
            best = Some((score, (separator, quotes, all, width)));
        }
    }
    best.map(|(_, found)| found)
}

fn has_open_quote(record: &Record) -> bool {
    let quotes = record.raw.replace("\\\"", "").matches('"').count();
    record.raw.contains('\n') && quotes % 2 == 1
}

fn records(text: &str, separator: u8, quotes: bool, escapes: bool) -> Vec<Record> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .quoting(quotes)
        .escape(escapes.then_some(b'\\'))
        .from_reader(text.as_bytes());
    let mut all = Vec::new();
    let mut record = csv::StringRecord::new();
    let mut before = 0;
    while reader.read_record(&mut record).unwrap_or(false) {
        let after = usize::try_from(reader.position().byte()).unwrap_or(text.len()).min(text.len());
        let written = &text[before..after];
        let start = before + written.len() - written.trim_start_matches(['\r', '\n']).len();
        all.push(Record {
            fields: record.iter().map(|field| field.trim().to_owned()).collect(),
            raw: text[start..after].trim().to_owned(),
            lines_before: text[..start].matches('\n').count(),
        });
        before = after;
    }
    all
}

/// A header names at least three columns, and holds no date and no amount.
fn is_header(record: &Record, width: usize) -> bool {
    let named = record.fields.iter().filter(|field| field.chars().any(char::is_alphabetic)).count();
    let is_data = |field: &String| dates::is_like_a_date(field) || numbers::is_like_an_amount(field);
    (width.saturating_sub(1)..=width).contains(&record.fields.len())
        && named >= width.min(3)
        && named * 2 > width
        && !record.fields.iter().any(is_data)
}

fn names(header: Option<&Record>, width: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in 0..width {
        let given = header.map_or("", |header| header.field(column));
        let is_empty = given.is_empty();
        let mut name = if is_empty { format!("column {}", column + 1) } else { given.to_owned() };
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{given} {number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        for (bytes, expected) in [
            (&b"plain"[..], "UTF-8"),
            ("Übung".as_bytes(), "UTF-8"),
            (b"\xef\xbb\xbfa", "UTF-8"),
            (b"\xff\xfea\0", "UTF-16LE"),
            (b"\xdcbung, Stra\xdfe", "windows-1252"),
            (b"G\xe4te, \xe4t", "windows-1252"),
            (b"\x82\xa8\x88\xf8\x82\xab", "Shift_JIS"),
        ] {
            assert_eq!(encoding(bytes).0.name(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_table_is_found_between_other_lines() {
        let text = "Konto;\"1\"\n\nDatum;Text;Text;Betrag\n****;****;****;****\n01.02.2024;\"a;b\";c;-1,00\n\
            02.02.2024;d;e;2,00\n;f;;\nSumme;1,00\n";
        let look = Look::at(text.as_bytes()).unwrap();
        assert_eq!((look.separator, look.before.len(), look.rows.len(), look.after.len()), (b';', 1, 4, 1));
        assert_eq!(look.header.as_ref().map(|header| header.lines_before), Some(2));
        assert_eq!(look.names, ["Datum", "Text", "Text 2", "Betrag"]);
        assert!(look.renames());
        assert_eq!(look.rows[1].fields[1], "a;b");
        assert!(Look::at(b"no table here").is_err());
        assert!(Look::at(b"a;b;c\n1;2;3\n").is_err());
    }
}
