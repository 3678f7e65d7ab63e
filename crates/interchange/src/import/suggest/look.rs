//! First look at a file, before anybody knows what it means: its encoding, its separator, and the table in it.
//!
//! A file may have millions of rows. All of it is cut into records once, and the first and the last of them are kept:
//! what is to be known of each row is asked for column by column, which goes through the text again.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use csv::ReaderBuilder;
use encoding_rs::Encoding;

use super::dates;
use super::numbers;

/// Separators that banks use. Of two that fit as well, the first counts.
const SEPARATORS: [u8; 4] = [b';', b',', b'\t', b'|'];

/// The most records between a header and the first dated row: a line of asterisks, an opening balance, a blank.
const RECORDS_AFTER_HEADER_MAX: usize = 4;

/// Number of records kept from each end of a file: the map is formed by them. So many rows hold some of each kind.
pub(super) const RECORDS_KEPT_AT_AN_END: usize = 2_000;

/// Number of bytes of a text that are cut in every way to find the separator: some hundreds of lines, or more.
const SEPARATOR_BYTES: usize = 256 * 1024;

/// The longest record of more than one line, when the separator is looked for: a quote never closed makes longer ones.
const RECORD_LINES_MAX: usize = 100;

/// Number of rows looked at to see in which columns dates and amounts stand.
const ROWS_COMPARED: usize = 200;

/// Number of bytes searched for ones that no text has.
const BINARY_BYTES: usize = 8 * 1024;

/// A record of the file.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Fields without the spaces around them.
    pub(super) fields: Vec<String>,
    /// Record as written, without the line's end.
    pub(super) raw: String,
    /// Number of lines before it.
    pub(super) lines_before: usize,
    /// Place in the text where it begins.
    start: usize,
}

impl Record {
    pub(super) fn field(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", String::as_str)
    }

    /// Counts its fields up to the last that says something.
    fn filled(&self) -> usize {
        self.fields.iter().rposition(|field| !field.is_empty()).map_or(0, |place| place + 1)
    }

    /// Returns `true` if one field may be a date and another an amount.
    fn has_date_and_amount(&self) -> bool {
        let date = self.fields.iter().position(|field| dates::is_like_a_date(field));
        let is_amount = |(place, field): (usize, &String)| Some(place) != date && numbers::is_like_an_amount(field);
        date.is_some() && self.fields.iter().enumerate().any(is_amount)
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
    /// Rows from the first to the last that has a date; of many, those at both ends.
    pub(super) rows: Vec<Record>,
    /// Number of rows.
    pub(super) row_count: usize,
    /// The records after the last row that has a date.
    pub(super) after: Vec<Record>,
    /// `true` if some rows that belong to the table have fewer fields than there are columns.
    pub(super) has_short_rows: bool,
    /// The rows as text.
    table: String,
}

impl Look {
    /// Looks at a file, in the encoding that is given or else in one that is guessed.
    pub(super) fn at(bytes: &[u8], given: Option<&'static Encoding>) -> Result<Self, String> {
        let (encoding, encoding_reason) = match given {
            Some(encoding) => (encoding, "As was said by --encoding."),
            None => guessed_encoding(bytes)?,
        };
        let (text, _, _) = encoding.decode(bytes);
        let escapes = text.contains("\\\"");
        let (separator, quotes, width) = best_separator(&text, escapes)
            .ok_or("has no table: nothing in it is separated by semicolons, commas, tabs or bars")?;
        let cutting = Cutting { text: &text, separator, quotes, escapes };
        let (kept, cutting) = match cutting.kept() {
            Some(kept) => (kept, cutting),
            None => {
                let without_quotes = Cutting { quotes: false, ..cutting };
                (without_quotes.kept_however(), without_quotes)
            }
        };
        let table = Table::find(&kept.records, width).ok_or_else(|| no_row(&kept.records, width))?;
        let Table { header, begin, end, width, has_short_rows } = table;
        let header = header.map(|place| kept.records[place].clone());
        let start_of = |place: usize| kept.records.get(place).map_or(text.len(), |record| record.start);
        Ok(Self {
            encoding,
            encoding_reason,
            separator,
            quotes: cutting.quotes,
            escapes,
            before: kept.records[..begin - usize::from(header.is_some())].to_vec(),
            names: names(header.as_ref(), width),
            header,
            rows: kept.records[begin..end].to_vec(),
            row_count: kept.place_in_file(end) - kept.place_in_file(begin),
            after: kept.records[end..].to_vec(),
            has_short_rows,
            table: text[start_of(begin)..start_of(end)].to_owned(),
        })
    }

    /// Returns `true` if the header can't be used as it is, because it has a name twice, or too few.
    pub(super) fn renames(&self) -> bool {
        let Some(header) = &self.header else { return false };
        let has_other = |(field, name): (&String, &String)| !field.is_empty() && field != name;
        header.fields.len() < self.names.len() || header.fields.iter().zip(&self.names).any(has_other)
    }

    /// Returns `true` if the file gives the column no name.
    pub(super) fn is_unnamed(&self, column: usize) -> bool {
        self.header.as_ref().is_some_and(|header| header.field(column).is_empty())
    }

    /// Lines above and below the table that have a date and an amount, and may be rows: their numbers, and how they are
    /// written.
    pub(super) fn doubtful_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.before.iter().chain(&self.after);
        all.filter(|record| record.has_date_and_amount()).map(|record| (record.lines_before + 1, record.raw.as_str()))
    }

    /// Shows a column's field in each row of the file to `see`, as long as it asks for more.
    pub(super) fn each_field(&self, column: usize, mut see: impl FnMut(&str) -> bool) {
        if self.rows.len() == self.row_count {
            let _ = self.rows.iter().all(|row| see(row.field(column)));
            return;
        }
        let mut reader = self.cutting().reader();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).unwrap_or(false) {
            if !see(record.get(column).unwrap_or_default().trim()) {
                return;
            }
        }
    }

    /// Returns `true` if every row has a value of its own in this column.
    pub(super) fn is_unique(&self, column: usize) -> bool {
        let mut seen = HashSet::new();
        let mut is_unique = true;
        self.each_field(column, |field| {
            is_unique = !field.is_empty() && seen.insert(field.to_owned());
            is_unique
        });
        is_unique
    }

    /// Counts how often each value is in a column, up to `most` different ones.
    pub(super) fn counts(&self, column: usize, most: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.each_field(column, |field| {
            match counts.get_mut(field) {
                Some(count) => *count += 1,
                None => _ = counts.insert(field.to_owned(), 1),
            }
            counts.len() < most
        });
        counts
    }

    fn cutting(&self) -> Cutting<'_> {
        Cutting { text: &self.table, separator: self.separator, quotes: self.quotes, escapes: self.escapes }
    }
}

/// Guesses a file's encoding, and says why; or why it is no text at all.
fn guessed_encoding(bytes: &[u8]) -> Result<(&'static Encoding, &'static str), String> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Ok((encoding, "The file says so itself, by a byte order mark."));
    }
    for (beginning, kind) in [
        (&b"PK\x03\x04"[..], "a spreadsheet, or another file packed as ZIP"),
        (b"\xd0\xcf\x11\xe0", "a spreadsheet of an older kind"),
        (b"%PDF", "a PDF file"),
    ] {
        if bytes.starts_with(beginning) {
            return Err(format!("is {kind}: right would be a text file, such as CSV"));
        }
    }
    if bytes.iter().take(BINARY_BYTES).any(|byte| *byte == 0) {
        return Err("has bytes of zero, so it is no text; or it is UTF-16, and then say --encoding utf-16le".to_owned());
    }
    if std::str::from_utf8(bytes).is_ok() {
        let reason =
            if bytes.is_ascii() { "Nothing in the file is beyond ASCII." } else { "All of the file is valid UTF-8." };
        return Ok((encoding_rs::UTF_8, reason));
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let reason = "A guess from the letters, as the file is no UTF-8: look whether names and words read right. If not, \
        suggest anew with another by `--encoding NAME`.";
    Ok((detector.guess(None, chardetng::Utf8Detection::Deny), reason))
}

/// A way of cutting a text into fields.
#[derive(Clone, Copy)]
struct Cutting<'t> {
    text: &'t str,
    separator: u8,
    quotes: bool,
    escapes: bool,
}

/// The records at both ends of a file.
struct Kept {
    records: Vec<Record>,
    /// Number of them that are from the beginning.
    at_the_beginning: usize,
    /// Number of records between, which are left out.
    left_out: usize,
}

impl Kept {
    /// The place in the file of the record in a place here.
    fn place_in_file(&self, place: usize) -> usize {
        if place < self.at_the_beginning { place } else { place + self.left_out }
    }
}

impl<'t> Cutting<'t> {
    fn reader(self) -> csv::Reader<&'t [u8]> {
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.separator)
            .quoting(self.quotes)
            .escape(self.escapes.then_some(b'\\'))
            .from_reader(self.text.as_bytes())
    }

    fn records(self) -> impl Iterator<Item = Record> {
        let mut reader = self.reader();
        let mut record = csv::StringRecord::new();
        let (text, mut before, mut lines) = (self.text, 0, 0);
        std::iter::from_fn(move || {
            if !reader.read_record(&mut record).unwrap_or(false) {
                return None;
            }
            let after = usize::try_from(reader.position().byte()).unwrap_or(text.len()).min(text.len());
            let written = &text[before..after];
            let blank = written.len() - written.trim_start_matches(['\r', '\n']).len();
            let lines_before = lines + newlines(&written[..blank]);
            let start = before + blank;
            lines += newlines(written);
            before = after;
            Some(Record {
                fields: record.iter().map(|field| field.trim().to_owned()).collect(),
                raw: text[start..after].trim().to_owned(),
                lines_before,
                start,
            })
        })
    }

    /// Cuts all of the text, and keeps both ends. None if a quote is never closed.
    fn kept(self) -> Option<Kept> {
        let mut is_open = false;
        let kept = self.keep(|record| {
            is_open |= self.quotes && has_open_quote(record);
            !is_open
        });
        (!is_open).then_some(kept)
    }

    fn kept_however(self) -> Kept {
        self.keep(|_| true)
    }

    fn keep(self, mut goes_on: impl FnMut(&Record) -> bool) -> Kept {
        let mut records = Vec::new();
        let mut last = VecDeque::new();
        let mut left_out = 0;
        for record in self.records().take_while(|record| goes_on(record)) {
            if records.len() < RECORDS_KEPT_AT_AN_END {
                records.push(record);
                continue;
            }
            if last.len() == RECORDS_KEPT_AT_AN_END {
                last.pop_front();
                left_out += 1;
            }
            last.push_back(record);
        }
        let at_the_beginning = records.len();
        records.extend(last);
        Kept { records, at_the_beginning, left_out }
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The separator by which most of the file falls into rows of equally many fields, the more fields the better; whether
/// quotes count; and how many fields most rows have.
fn best_separator(text: &str, escapes: bool) -> Option<(u8, bool, usize)> {
    let mut beginning = &text[..text.floor_char_boundary(SEPARATOR_BYTES)];
    if beginning.len() < text.len() {
        beginning = &beginning[..beginning.rfind('\n').unwrap_or(beginning.len())];
    }
    let mut best: Option<(usize, (u8, bool, usize))> = None;
    for separator in SEPARATORS {
        let cutting = Cutting { text: beginning, separator, quotes: true, escapes };
        let mut all: Vec<Record> = cutting.records().collect();
        // The part left out of the text may close the last quote.
        let is_cut = beginning.len() < text.len();
        let last = all.len().saturating_sub(1);
        let is_open = |(place, record): (usize, &Record)| {
            has_open_quote(record) && (!is_cut || place < last || newlines(&record.raw) > RECORD_LINES_MAX)
        };
        let quotes = !all.iter().enumerate().any(is_open);
        if !quotes {
            all = Cutting { quotes, ..cutting }.records().collect();
        }
        let mut counts = BTreeMap::<usize, usize>::new();
        for width in all.iter().map(|record| record.fields.len()).filter(|width| *width > 1) {
            *counts.entry(width).or_default() += 1;
        }
        let Some((width, count)) = counts.into_iter().max_by_key(|(width, count)| (count * (width - 1), *width)) else {
            continue;
        };
        let score = count * (width - 1);
        if best.is_none_or(|(other, _)| score > other) {
            best = Some((score, (separator, quotes, width)));
        }
    }
    best.map(|(_, found)| found)
}

fn has_open_quote(record: &Record) -> bool {
    if !record.raw.contains('\n') {
        return false;
    }
    let quotes = record.raw.replace("\\\"", "").matches('"').count();
    quotes % 2 == 1
}

/// Place of the table among a file's records.
struct Table {
    header: Option<usize>,
    begin: usize,
    end: usize,
    /// Number of columns.
    width: usize,
    has_short_rows: bool,
}

/// Columns in which the rows have what makes them rows.
struct Shape {
    dates: Vec<usize>,
    amounts: Vec<usize>,
}

impl Shape {
    fn of(rows: &[&Record], width: usize) -> Self {
        let are_mostly = |column: usize, is_so: &dyn Fn(&str) -> bool| {
            let filled: Vec<&str> =
                rows.iter().map(|row| row.field(column)).filter(|field| !field.is_empty()).collect();
            !filled.is_empty() && filled.iter().filter(|field| is_so(field)).count() * 2 > filled.len()
        };
        let dates: Vec<usize> = (0..width).filter(|column| are_mostly(*column, &dates::is_like_a_date)).collect();
        let is_amount = |column: &usize| !dates.contains(column) && are_mostly(*column, &numbers::is_like_an_amount);
        Self { amounts: (0..width).filter(is_amount).collect(), dates }
    }

    /// Returns `true` if a record is a row, whatever else it has: it has a date and an amount where rows have them.
    fn fits(&self, record: &Record) -> bool {
        self.dates.iter().any(|column| dates::is_like_a_date(record.field(*column)))
            && self.amounts.iter().any(|column| numbers::is_like_an_amount(record.field(*column)))
    }

    /// Returns `true` if a record has nothing else where rows have dates and amounts. A separator within a text moves
    /// them.
    fn is_in_place(&self, record: &Record) -> bool {
        let is_all = |columns: &[usize], is_so: &dyn Fn(&str) -> bool| {
            columns.iter().map(|column| record.field(*column)).all(|field| field.is_empty() || is_so(field))
        };
        is_all(&self.dates, &dates::is_like_a_date) && is_all(&self.amounts, &numbers::is_like_an_amount)
    }

    /// Returns `true` if a record goes on with the text of the row before: no date, no amount, but words.
    fn goes_on(&self, record: &Record) -> bool {
        self.dates.iter().all(|column| record.field(*column).is_empty())
            && record.fields.iter().any(|field| !field.is_empty())
            && !record.fields.iter().any(|field| numbers::is_like_an_amount(field))
    }

    /// The columns that a header must name at least.
    fn width(&self) -> usize {
        self.dates.iter().chain(&self.amounts).max().map_or(0, |column| column + 1)
    }
}

impl Table {
    /// Finds it by the rows of `width` fields, which most have.
    fn find(records: &[Record], width: usize) -> Option<Self> {
        let is_model = |record: &&Record| record.fields.len() == width && record.has_date_and_amount();
        let models: Vec<&Record> = records.iter().filter(is_model).take(ROWS_COMPARED).collect();
        let shape = Shape::of(&models, width);
        let is_row = |record: &Record| shape.fits(record) || is_model(&record);
        let first = records.iter().position(|record| is_model(&record))?;
        let last = records.iter().rposition(is_row)?;
        let (header, begin) = header_before(records, first, &shape, width);
        let header = header.filter(|header| *header < begin);
        let is_whole = |record: &&Record| is_row(record) && shape.is_in_place(record);
        let widest = records[begin..=last].iter().filter(is_whole).map(Record::filled).max().unwrap_or(width);
        let named = header.map_or(width, |header| records[header].fields.len());
        let width = widest.max(named);
        let is_short = |record: &Record| record.fields.len() < width && (shape.fits(record) || shape.goes_on(record));
        let has_short_rows = records[begin..=last].iter().any(is_short);
        let end = end_of_table(records, last, width, &shape, has_short_rows);
        Some(Self { header, begin, end, width, has_short_rows })
    }
}

/// The header above a row, and the first record of the table. Rows between them may have other numbers of fields.
fn header_before(records: &[Record], first: usize, shape: &Shape, width: usize) -> (Option<usize>, usize) {
    let (mut begin, mut others) = (first, 0);
    for place in (0..first).rev() {
        if is_header(&records[place], shape, width) {
            return (Some(place), place + 1);
        }
        if shape.fits(&records[place]) {
            (begin, others) = (place, 0);
            continue;
        }
        others += 1;
        if others > RECORDS_AFTER_HEADER_MAX {
            break;
        }
    }
    (None, begin)
}

/// A text may go on after the last dated row; such a row begins with an empty field, and has nothing that is an amount.
/// If it has fewer fields than there are columns, others must have, too.
fn end_of_table(records: &[Record], last: usize, width: usize, shape: &Shape, has_short_rows: bool) -> usize {
    let goes_on = |record: &&Record| {
        let is_long_enough = record.fields.len() == width || (has_short_rows && record.fields.len() > 1);
        is_long_enough && record.field(0).is_empty() && shape.goes_on(record)
    };
    last + 1 + records[last + 1..].iter().take_while(goes_on).count()
}

/// A header names at least three columns, and holds no date and no amount.
fn is_header(record: &Record, shape: &Shape, width: usize) -> bool {
    let named = record.fields.iter().filter(|field| field.chars().any(char::is_alphabetic)).count();
    let is_data = |field: &String| dates::is_like_a_date(field) || numbers::is_like_an_amount(field);
    let needed = (width.saturating_sub(1)).min(shape.width().max(2));
    record.fields.len() >= needed
        && named >= width.min(3)
        && named * 2 > record.filled()
        && !record.fields.iter().any(is_data)
}

/// Says what was looked for in vain, and what there is instead.
fn no_row(records: &[Record], width: usize) -> String {
    let rows = || records.iter().filter(|record| record.fields.len() == width);
    let find = |is_so: &dyn Fn(&str) -> bool| rows().any(|row| row.fields.iter().any(|field| is_so(field)));
    let (has_dates, has_amounts) = (find(&dates::is_like_a_date), find(&numbers::is_like_an_amount));
    let missing = match (has_dates, has_amounts) {
        (true, true) => "dates and amounts, but in no row both",
        (true, false) => "dates, but no amounts",
        (false, true) => "amounts, but no dates",
        (false, false) => "neither dates nor amounts",
    };
    let digits = |row: &&Record| row.raw.bytes().filter(u8::is_ascii_digit).count();
    let example = rows().take(ROWS_COMPARED).max_by_key(digits).map_or_else(String::new, |row| {
        let fields: Vec<String> =
            row.fields.iter().filter(|field| !field.is_empty()).map(|f| format!("{f:?}")).collect();
        format!(", such as line {}: {}", row.lines_before + 1, fields.join(", "))
    });
    format!(
        "has no row with a date and an amount. Looked for: dates of 1970 to 2069 written such as {}, and amounts such as \
         1,234.56 or -5,00 €. Found: {missing} in the rows of {width} fields{example}",
        dates::examples()
    )
}

fn names(header: Option<&Record>, width: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut taken = BTreeSet::new();
    for column in 0..width {
        let given = header.map_or("", |header| header.field(column));
        let made = format!("column {}", column + 1);
        let base = if given.is_empty() { &made } else { given };
        let mut name = base.to_owned();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base} {number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Look {
        Look::at(text.as_bytes(), None).unwrap_or_else(|reason| panic!("{reason}:\n{text}"))
    }

    #[test]
    fn encodings_are_told_apart() {
        let encoded = |encoding: &'static Encoding, text: &str| encoding.encode(text).0.into_owned();
        for (bytes, expected) in [
            (b"plain".to_vec(), "UTF-8"),
            ("Übung".into(), "UTF-8"),
            (b"\xef\xbb\xbfa".to_vec(), "UTF-8"),
            (b"\xff\xfea\0".to_vec(), "UTF-16LE"),
            (b"\xdcbung, Stra\xdfe".to_vec(), "windows-1252"),
            (b"G\xe4te, \xe4t".to_vec(), "windows-1252"),
            (encoded(encoding_rs::SHIFT_JIS, "お引出し;お預入れ;残高"), "Shift_JIS"),
            (encoded(encoding_rs::WINDOWS_1251, "Дата;Описание операции;Приход;Расход"), "windows-1251"),
            (encoded(encoding_rs::KOI8_U, "Дата;Описание операции;Приход;Расход"), "KOI8-U"),
            (encoded(encoding_rs::WINDOWS_1250, "Příliš žluťoučký kůň úpěl ďábelské ódy"), "windows-1250"),
            (encoded(encoding_rs::ISO_8859_2, "Částka;Měna;Šárka Žižková, Příbram"), "ISO-8859-2"),
        ] {
            let (found, _) = guessed_encoding(&bytes).unwrap();
            assert_eq!(found.name(), expected, "{}", found.decode(&bytes).0);
        }
    }

    #[test]
    fn what_is_no_text_is_told_at_once() {
        for (bytes, reason) in [
            (&b"\x7fELF\x02\x01\x01\0\0"[..], "has bytes of zero, so it is no text"),
            (b"PK\x03\x04\x14", "is a spreadsheet, or another file packed as ZIP"),
            (b"%PDF-1.7", "is a PDF file"),
        ] {
            assert!(Look::at(bytes, None).unwrap_err().starts_with(reason), "{reason}");
        }
        let utf16: Vec<u8> = "a;b;c\n2024-01-02;x;1.00\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(Look::at(&utf16, None).is_err());
        assert_eq!(Look::at(&utf16, Some(encoding_rs::UTF_16LE)).unwrap().row_count, 1);
    }

    #[test]
    fn a_table_is_found_between_other_lines() {
        let text = "Konto;\"1\"\n\nDatum;Text;Text;Betrag\n****;****;****;****\n01.02.2024;\"a;b\";c;-1,00\n\
            02.02.2024;d;e;2,00\n;f;;\nSumme;1,00\n";
        let look = look(text);
        assert_eq!((look.separator, look.before.len(), look.rows.len(), look.after.len()), (b';', 1, 4, 1));
        assert_eq!(look.header.as_ref().map(|header| header.lines_before), Some(2));
        assert_eq!(look.names, ["Datum", "Text", "Text 2", "Betrag"]);
        assert!(look.renames() && !look.has_short_rows);
        assert_eq!(look.rows[1].fields[1], "a;b");
        assert!(Look::at(b"no table here", None).is_err());
        assert!(Look::at(b"a;b;c\n1;2;3\n", None).is_err());
    }

    #[test]
    fn of_many_rows_only_those_at_the_ends_are_kept() {
        let rows = 3 * RECORDS_KEPT_AT_AN_END;
        let middle = rows / 2;
        let of = |number: usize| {
            let id = if number == middle { 7 } else { number };
            format!("2024-01-02;{id};-1.00;{}\n", if number == middle { "x" } else { "" })
        };
        let text = format!("Date;Id;Amount;State\n{}Total;1\n", (0..rows).map(of).collect::<String>());
        let look = look(&text);
        assert_eq!((look.rows.len(), look.row_count), (2 * RECORDS_KEPT_AT_AN_END - 2, rows));
        assert_eq!((look.after.len(), look.after[0].lines_before), (1, rows + 1));
        assert!(!look.is_unique(0) && !look.is_unique(1));
        assert_eq!(look.counts(3, 9), BTreeMap::from([(String::new(), rows - 1), ("x".to_owned(), 1)]));
        assert_eq!(look.counts(1, 9).len(), 9);
    }

    #[test]
    fn rows_may_have_fewer_or_more_fields_than_others() {
        // The first row has fewer than most, and the header fewer than any.
        let wide =
            look("Date;Amount;Text\n2024-01-05;150.00;a;b\n2024-01-04;-1.00;a;b;c;d\n2024-01-03;-2.00;a;b;c;e\n");
        assert_eq!((wide.rows.len(), wide.before.len(), wide.has_short_rows), (3, 0, true));
        assert_eq!(wide.names, ["Date", "Amount", "Text", "column 4", "column 5", "column 6"]);
        assert!(wide.renames());
        // Texts go on in rows that end after the text, the last one too.
        let short = look("Date,Value,Text,Out,In\n2024-01-02,x,A,1.00,\n,,more\n2024-01-01,x,B,2.00,\n,,the end\n");
        assert_eq!((short.rows.len(), short.after.len(), short.has_short_rows), (4, 0, true));
        assert!(!short.renames());
        // Nor does a separator within a text make the table wider.
        let moved = look("Date;Text;Out;In\n2024-01-02;a;1.00;\n2024-01-03;b;and more;2.00;\n2024-01-04;c;3.00;\n");
        assert_eq!((moved.names.len(), moved.has_short_rows), (4, false));
        // A sum in a short row is none of that.
        let sum = look("Date,Value,Text,Out,In\n2024-01-02,x,A,1.00,\n,5.00\n2024-01-01,x,B,2.00,\n,6.00\n");
        assert_eq!((sum.rows.len(), sum.after.len(), sum.has_short_rows), (3, 1, false));
    }

    #[test]
    fn lines_that_may_be_rows_are_told() {
        let look = look("2024-01-01;5.00\n\nDate;Text;Amount\n2024-01-02;a;1.00\n2024-01-03;b;2.00\n");
        assert_eq!(look.doubtful_lines().collect::<Vec<_>>(), [(1, "2024-01-01;5.00")]);
    }

    #[test]
    fn what_was_not_found_is_told() {
        for (text, found) in [
            (
                "a;b;c\n2024|01|05;x;1.00\n",
                "amounts, but no dates in the rows of 3 fields, such as line 2: \"2024|01|05\", \"x\", \"1.00\"",
            ),
            ("a;b;c\n2024-01-05;x;one\n", "dates, but no amounts"),
            ("a;b;c\nd;e;f\n", "neither dates nor amounts"),
            ("a;b\n2024-01-05;x\ny;1.00\n", "dates and amounts, but in no row both"),
        ] {
            let told = Look::at(text.as_bytes(), None).unwrap_err();
            assert!(told.starts_with("has no row with a date and an amount") && told.contains(found), "{told}");
        }
    }
}
