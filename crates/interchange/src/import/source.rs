//! Delimited files as rows of checked fields: decoding, rows with their lines, dates, exact amounts, templates.
//!
//! It knows how the source writes, not what it means. [`Rows`] walks one file and notes each mistake with the line on
//! which its row begins; whatever can't be read leaves a stand-in, which nobody sees, because a source with mistakes
//! never becomes a plan.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord};
use encoding_rs::{DecoderResult, Encoding};
use jiff::civil::Date;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{Offset, TimeZone};

use super::Mistake;
use super::amount::AmountFormat;
use super::map::Condition;
use super::pattern::Pattern;

/// The longest row key: they become idempotency keys, which are stored for ever.
pub(super) const KEY_CHARS_MAX: usize = 64;

/// The longest name or text, as ISO 20022 has it for names and unstructured remittance information (Max140Text).
pub(super) const TEXT_CHARS_MAX: usize = 140;

/// Number of columns told where one is missing: as many as most tables have.
const COLUMNS_TOLD_MAX: usize = 40;

/// Number of characters of a field that are told: enough to see another separator in it.
const FIELD_CHARS_TOLD: usize = 60;

/// Format of the source's files.
#[derive(Debug)]
pub(super) struct SourceFormat {
    pub(super) encoding: &'static Encoding,
    pub(super) separator: u8,
    pub(super) quote: Option<u8>,
    /// Within quotes, what takes from the next character its meaning.
    pub(super) escape: Option<u8>,
    /// Format of dates, as of strptime.
    pub(super) date: String,
    /// The zone whose days count, where dates are written with a time and its offset.
    pub(super) zone: Option<TimeZone>,
    pub(super) amount: AmountFormat,
}

impl SourceFormat {
    /// A date written exactly as the format writes it: what the format reads leniently could be another date. It is the
    /// day as written, whatever the time's offset, unless the map names a zone.
    pub(super) fn date(&self, text: &str) -> Result<Date, String> {
        let refusal = || {
            let sample = sample(&self.date).unwrap_or_default();
            format!("{text:?} is not a date written as {}, such as {sample:?}", self.date)
        };
        let mut time = strtime::parse(&self.date, text).map_err(|_| refusal())?;
        let date = time.to_date().map_err(|_| refusal())?;
        let written = time.to_string(&self.date).map_err(|_| refusal())?;
        // Some write a month as JAN.
        if !written.eq_ignore_ascii_case(text) {
            return Err(refusal());
        }
        match &self.zone {
            None => Ok(date),
            Some(zone) => day_in(&mut time, &self.date, zone).ok_or_else(refusal),
        }
    }
}

/// The last day of 1993, written as the format says.
pub(super) fn sample(format: &str) -> Option<String> {
    let sample = jiff::civil::date(1993, 12, 31).at(13, 45, 59, 0).to_zoned(TimeZone::UTC).ok()?;
    strtime::format(format, &sample).ok()
}

/// Returns `true` if a format writes the time of day with its offset, so that a zone's day can be told.
pub(super) fn has_offset(format: &str) -> bool {
    let has_hours = ["%H", "%T", "%R", "%I"].iter().any(|hours| format.contains(hours));
    has_hours && (ends_with_z(format) || ["%z", "%:z", "%Q", "%:Q"].iter().any(|offset| format.contains(offset)))
}

/// A Z at the end says UTC (ISO 8601).
fn ends_with_z(format: &str) -> bool {
    format.ends_with('Z') && !format.ends_with("%Z")
}

fn day_in(time: &mut BrokenDownTime, format: &str, zone: &TimeZone) -> Option<Date> {
    if ends_with_z(format) {
        time.set_offset(Some(Offset::UTC));
    }
    Some(time.to_timestamp().ok()?.to_zoned(zone.clone()).date())
}

/// Text with columns in it. `C` is a column: its name in the map, its place when reading a file.
#[derive(Debug, Default, Clone)]
pub(super) struct Template<C> {
    parts: Vec<Part<C>>,
}

#[derive(Debug, Clone)]
enum Part<C> {
    Text(String),
    Column(C),
}

impl Template<String> {
    /// Reads `"Client {client_id}"`; `{{` and `}}` are braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braces) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = braces.strip_prefix("{{").or_else(|| braces.strip_prefix("}}")) {
                literal.push_str(&braces[..1]);
                rest = after;
                continue;
            }
            let inner = braces.strip_prefix('{').ok_or("has a brace that was never opened")?;
            let (column, after) = inner.split_once('}').ok_or("has a brace that is never closed")?;
            parts.push(Part::Text(std::mem::take(&mut literal)));
            parts.push(Part::Column(column.to_owned()));
            rest = after;
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        Ok(Self { parts })
    }

    /// Replaces each column's name by its place.
    pub(super) fn resolve(&self, place: &mut impl FnMut(&str) -> usize) -> Template<usize> {
        let resolve = |part: &Part<String>| match part {
            Part::Text(text) => Part::Text(text.clone()),
            Part::Column(name) => Part::Column(place(name)),
        };
        Template { parts: self.parts.iter().map(resolve).collect() }
    }
}

impl Template<usize> {
    /// The text with each column replaced by its `value`, line breaks and tabs by spaces, and runs of spaces made one.
    pub(super) fn fill_long<'v>(&self, value: impl Fn(usize) -> Result<&'v str, String>) -> Result<String, String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Column(column) => filled.push_str(value(*column)?),
            }
        }
        let words = filled.split([' ', '\r', '\n', '\t']).filter(|word| !word.is_empty());
        let filled = words.collect::<Vec<_>>().join(" ");
        if filled.chars().any(bank::is_control) {
            return Err(format!("{filled:?} has a control character"));
        }
        Ok(filled)
    }

    /// Does as [`Self::fill_long`], for a text that must not be longer than [`TEXT_CHARS_MAX`].
    pub(super) fn fill<'v>(&self, value: impl Fn(usize) -> Result<&'v str, String>) -> Result<String, String> {
        let filled = self.fill_long(value)?;
        if filled.chars().count() > TEXT_CHARS_MAX {
            return Err(format!("{filled:?} is longer than {TEXT_CHARS_MAX} characters"));
        }
        Ok(filled)
    }
}

/// The file's text. Each line with bytes that the encoding doesn't have is a mistake.
pub(super) fn decode(encoding: &'static Encoding, file: &str, bytes: &[u8], mistakes: &mut Vec<Mistake>) -> String {
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut text = String::new();
    let mut lines = LineCounter::default();
    let mut noted = 0;
    let mut rest = bytes;
    loop {
        text.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len()));
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        rest = &rest[read..];
        match result {
            DecoderResult::InputEmpty => return text,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                let line = lines.line_at(&text, text.len());
                if noted != line {
                    let reason = format!("has bytes that are not {}", encoding.name());
                    mistakes.push(Mistake { file: file.to_owned(), line: Some(line), reason });
                    noted = line;
                }
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

/// Counts lines from where it last stood, so that a whole file is counted once.
#[derive(Default)]
struct LineCounter {
    newlines: u64,
    counted_to: usize,
}

impl LineCounter {
    /// The line of the byte at `place`, from 1. Places never go back.
    fn line_at(&mut self, text: &str, place: usize) -> u64 {
        let between = &text.as_bytes()[self.counted_to..place];
        self.newlines += between.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.counted_to = place;
        self.newlines + 1
    }
}

/// Place of a table in its file.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The columns' names, if no header line gives them.
    pub(super) columns: Vec<String>,
    /// Lines to pass over before the table is looked for.
    pub(super) lines_before: u64,
    /// The header line is the first that is so; those before it are passed over.
    pub(super) header: Option<Pattern>,
    /// The table ends before the first line that is so.
    pub(super) ends_before: Option<Pattern>,
    /// A row with fewer fields than columns has empty ones for those that it lacks.
    pub(super) fills_short_rows: bool,
}

/// Reasons why lines or rows were passed over, each with its count.
pub(super) type Skipped = BTreeMap<String, u64>;

/// A reason why lines were passed over: they stand before the table.
pub(super) const BEFORE_THE_TABLE: &str = "lines before the header";

/// A reason why lines were passed over: they stand after the table.
pub(super) const AFTER_THE_TABLE: &str = "lines after the data";

/// A reason why rows were joined to the one before.
pub(super) const CONTINUED: &str = "continuation lines, joined to the row before";

/// Rows to be passed over, and counted.
#[derive(Debug)]
pub(super) struct Skip {
    /// Reason that they are counted under.
    pub(super) reason: String,
    /// Condition on their fields, if there is anything in it.
    pub(super) when: Condition<usize>,
    /// Patterns of the lines as they are written: one must fit, if there are any.
    pub(super) lines: Vec<Pattern>,
}

impl Skip {
    fn is_about(&self, raw: &str, record: &StringRecord) -> bool {
        let by_fields = self.when.is_empty() || self.when.holds(|column| field(record, column));
        let by_line = self.lines.is_empty() || self.lines.iter().any(|pattern| pattern.matches(raw));
        by_fields && by_line
    }
}

/// A row as it was read.
struct Row {
    record: StringRecord,
    line: u64,
    /// `true` if it has as many fields as there are columns. If not, that is its one mistake.
    is_whole: bool,
}

/// The rows of one file, one at a time. Before the first come its columns.
pub(super) struct Rows<'t> {
    file: &'t str,
    text: &'t str,
    /// Place in the text where the table begins.
    start: usize,
    quote: Option<char>,
    escape: Option<char>,
    reader: csv::Reader<&'t [u8]>,
    names: Vec<String>,
    row: Row,
    /// A row that was read to see whether it goes on with the one before.
    following: Option<Row>,
    /// The column that is empty in rows which go on with the one before.
    continuation: Option<usize>,
    skips: Vec<Skip>,
    lines: LineCounter,
    separator: char,
    fills_short_rows: bool,
    lacks_columns: bool,
    skipped: Skipped,
    mistakes: &'t mut Vec<Mistake>,
}

/// The part of the text that holds the table, as a range, and the mistake if there is none.
fn table_range(layout: &Layout, text: &str, skipped: &mut Skipped) -> Result<(usize, usize), String> {
    let mut start = 0;
    let mut is_found = layout.header.is_none();
    for (number, line) in (0_u64..).zip(text.split_inclusive('\n')) {
        let is_passed = number < layout.lines_before;
        is_found |= !is_passed && layout.header.as_ref().is_some_and(|header| header.matches(line.trim()));
        if !is_passed && is_found {
            break;
        }
        start += line.len();
        count_line(skipped, BEFORE_THE_TABLE, line);
    }
    if let (false, Some(header)) = (is_found, &layout.header) {
        return Err(format!("no line is like {:?}, as the map's `header` says", header.as_str()));
    }
    let Some(ends_before) = &layout.ends_before else { return Ok((start, text.len())) };
    let mut end = start;
    for line in text[start..].split_inclusive('\n').take_while(|line| !ends_before.matches(line.trim())) {
        end += line.len();
    }
    for line in text[end..].split_inclusive('\n') {
        count_line(skipped, AFTER_THE_TABLE, line);
    }
    Ok((start, end))
}

fn count_line(skipped: &mut Skipped, reason: &str, line: &str) {
    if !line.trim().is_empty() {
        *skipped.entry(reason.to_owned()).or_default() += 1;
    }
}

impl<'t> Rows<'t> {
    /// Opens a file whose columns' names are in the first row of its table, or in the layout.
    pub(super) fn open(
        format: &SourceFormat,
        layout: &Layout,
        file: &'t str,
        text: &'t str,
        mistakes: &'t mut Vec<Mistake>,
    ) -> Self {
        let mut skipped = Skipped::new();
        let (start, end) = table_range(layout, text, &mut skipped).unwrap_or_else(|reason| {
            mistakes.push(Mistake { file: file.to_owned(), line: None, reason });
            (text.len(), text.len())
        });
        let has_table = start < text.len() || layout.header.is_none();
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(format.separator)
            .quoting(format.quote.is_some())
            .quote(format.quote.unwrap_or(b'"'))
            .escape(format.escape)
            .from_reader(&text.as_bytes()[start..end]);
        let mut rows = Self {
            file,
            text: &text[..end],
            start,
            quote: format.quote.map(char::from),
            escape: format.escape.map(char::from),
            reader,
            names: Vec::new(),
            row: Row { record: StringRecord::new(), line: 1, is_whole: true },
            following: None,
            continuation: None,
            skips: Vec::new(),
            lines: LineCounter::default(),
            separator: char::from(format.separator),
            fills_short_rows: layout.fills_short_rows,
            lacks_columns: !has_table,
            skipped,
            mistakes,
        };
        if has_table {
            rows.names = if layout.columns.is_empty() { rows.read_header() } else { layout.columns.clone() };
        }
        rows
    }

    fn read_header(&mut self) -> Vec<String> {
        match self.read() {
            Some(row) => self.row = row,
            None => self.refuse("is empty; its first line must name the columns".to_owned()),
        }
        self.row.record.iter().map(|name| name.trim().to_owned()).collect()
    }

    /// Passes over the rows that a rule is about, before they are joined to others.
    pub(super) fn skip(&mut self, skip: Skip) {
        self.skips.push(skip);
    }

    /// Joins rows whose field in this column is empty to the row before.
    pub(super) fn join_where_empty(&mut self, column: usize) {
        self.continuation = Some(column);
    }

    /// Counts something that was passed over.
    pub(super) fn count_skipped(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Hands out the counts of what was passed over.
    pub(super) fn into_skipped(self) -> Skipped {
        self.skipped
    }

    /// The place of the column called `name`. If there is none, or more than one, that is a mistake.
    pub(super) fn column(&mut self, name: &str) -> usize {
        let places: Vec<usize> = (0..self.names.len()).filter(|place| self.names[*place] == name).collect();
        let reason = match places[..] {
            [place] => return place,
            [] => self.why_no_column(name),
            _ => format!("there is more than one column {name:?}"),
        };
        self.lacks_columns = true;
        let mistake = Mistake { file: self.file.to_owned(), line: Some(self.row.line), reason };
        // An empty file was told already, and several fields may ask for one column.
        if !self.names.is_empty() && !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
        usize::MAX
    }

    /// Tells what there is instead, once. A line of one field lacks all columns for one reason.
    fn why_no_column(&self, name: &str) -> String {
        if let [field] = &self.names[..] {
            let start: String = field.chars().take(FIELD_CHARS_TOLD).collect();
            return format!(
                "the line that names the columns has one field, {start:?}: {:?}, the map's `separator`, isn't in it",
                self.separator
            );
        }
        if self.lacks_columns {
            return format!("there is no column {name:?}");
        }
        let told: Vec<String> = self.names.iter().take(COLUMNS_TOLD_MAX).map(|name| format!("{name:?}")).collect();
        let more = match self.names.len().saturating_sub(COLUMNS_TOLD_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("there is no column {name:?}; there are {}{more}", told.join(", "))
    }

    /// Returns `true` if a column that was asked for isn't there. There are then no rows: each would lack the same.
    pub(super) fn lacks_columns(&self) -> bool {
        self.lacks_columns
    }

    /// Goes to the next row, and says whether there is one.
    pub(super) fn next(&mut self) -> bool {
        if self.lacks_columns {
            return false;
        }
        let Some(row) = self.following.take().or_else(|| self.read_row()) else { return false };
        self.row = row;
        let Some(column) = self.continuation else { return true };
        while let Some(row) = self.read_row() {
            if !row.is_whole || !self.row.is_whole || !field(&row.record, column).is_empty() {
                self.following = Some(row);
                break;
            }
            self.row.record = joined(&self.row.record, &row.record);
            self.count_skipped(CONTINUED);
        }
        true
    }

    /// Reads the next row that isn't passed over, and checks the number of its fields.
    fn read_row(&mut self) -> Option<Row> {
        loop {
            let before = self.place();
            let mut row = self.read()?;
            let raw = self.text[before..self.place()].trim();
            if let Some(skip) = self.skips.iter().find(|skip| skip.is_about(raw, &row.record)) {
                let reason = skip.reason.clone();
                self.count_skipped(&reason);
                continue;
            }
            self.check_quotes(raw, row.line);
            let (fields, columns) = (row.record.len(), self.names.len());
            // A separator at the end of each row, but not of the header, makes a field that says nothing.
            let is_short = fields < columns && !self.fills_short_rows;
            if is_short || row.record.iter().skip(columns).any(|field| !field.trim().is_empty()) {
                self.note(row.line, format!("has {fields} fields where there are {columns} columns"));
                row.is_whole = false;
            }
            return Some(row);
        }
    }

    /// Reads a record and finds its line. The reader's own count is of where the record before ended, which with CRLF
    /// and with blank lines is not where this one begins.
    fn read(&mut self) -> Option<Row> {
        let before = self.place();
        let mut record = StringRecord::new();
        let found = match self.reader.read_record(&mut record) {
            Ok(found) => found,
            Err(error) => {
                self.refuse(format!("cannot be read: {error}"));
                false
            }
        };
        let skipped = self.text[before..].bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        found.then(|| Row { record, line: self.lines.line_at(self.text, before + skipped), is_whole: true })
    }

    /// A quote that is never closed swallows the rows after it, so a row of many lines must have its quotes in pairs.
    fn check_quotes(&mut self, raw: &str, line: u64) {
        let Some(quote) = self.quote.filter(|_| raw.contains('\n')) else { return };
        let mut quotes = 0;
        let mut chars = raw.chars();
        while let Some(char) = chars.next() {
            if Some(char) == self.escape {
                chars.next();
            }
            quotes += usize::from(char == quote);
        }
        if quotes % 2 == 1 {
            self.note(line, "has a quote that is never closed".to_owned());
        }
    }

    fn place(&self) -> usize {
        let read = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        self.start.saturating_add(read).min(self.text.len())
    }

    /// The line on which the current row begins.
    pub(super) fn line(&self) -> u64 {
        self.row.line
    }

    /// The column's name.
    pub(super) fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("", String::as_str)
    }

    /// The current row's field in a column, without the spaces around it.
    pub(super) fn get(&self, column: usize) -> &str {
        field(&self.row.record, column)
    }

    /// The field, which must not be empty.
    pub(super) fn filled(&self, column: usize) -> Result<&str, String> {
        match self.get(column) {
            "" => Err(format!("the column {:?} is empty", self.name(column))),
            field => Ok(field),
        }
    }

    /// The row's key, which must be short and on one line.
    pub(super) fn key(&self, column: usize) -> Result<String, String> {
        let key = self.filled(column)?;
        if key.chars().count() > KEY_CHARS_MAX || key.chars().any(bank::is_control) {
            return Err(format!("the key {key:?} is longer than {KEY_CHARS_MAX} characters or has control characters"));
        }
        Ok(key.to_owned())
    }

    /// The field as `parse` reads it; why it can't be read names the column.
    pub(super) fn parse<T>(&self, column: usize, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
        parse(self.get(column)).map_err(|reason| format!("column {:?}: {reason}", self.name(column)))
    }

    /// Notes a mistake in the current row.
    pub(super) fn refuse(&mut self, reason: String) {
        if self.row.is_whole {
            self.note(self.row.line, reason);
        }
    }

    fn note(&mut self, line: u64, reason: String) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), line: Some(line), reason });
    }

    /// The value, or none after noting why.
    pub(super) fn check<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|reason| self.refuse(reason)).ok()
    }

    /// Counts the mistakes so far, in all files.
    pub(super) fn mistakes_so_far(&self) -> usize {
        self.mistakes.len()
    }
}

fn field(record: &StringRecord, column: usize) -> &str {
    record.get(column).unwrap_or_default().trim()
}

/// A row with another that goes on with it: the fields of each column, with a space between where both say something.
fn joined(row: &StringRecord, other: &StringRecord) -> StringRecord {
    let fields = (0..row.len().max(other.len())).map(|column| match (field(row, column), field(other, column)) {
        (first, "") => first.to_owned(),
        ("", second) => second.to_owned(),
        (first, second) => format!("{first} {second}"),
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn format() -> SourceFormat {
        SourceFormat {
            encoding: encoding_rs::UTF_8,
            separator: b';',
            quote: Some(b'"'),
            escape: None,
            date: "%y%m%d".to_owned(),
            zone: None,
            amount: AmountFormat::plain('.', None),
        }
    }

    #[test]
    fn dates_are_written_exactly_as_the_format_says() {
        let check = |text: &str, expected: Option<Date>| assert_eq!(format().date(text).ok(), expected, "{text}");
        check("930101", Some(date(1993, 1, 1)));
        check("690101", Some(date(1969, 1, 1)));
        check("680101", Some(date(2068, 1, 1)));
        for bad in ["", "930230", "93011", "9301011", "19930101", " 930101", "9301 1"] {
            check(bad, None);
        }
    }

    #[test]
    fn templates_fill_in_columns() {
        let columns = ["id", "name"];
        let values = ["7", ""];
        let fill = |template: &str| {
            let template = Template::parse(template)?;
            template
                .resolve(&mut |name| columns.iter().position(|column| *column == name).unwrap())
                .fill(|at| Ok(values[at]))
        };
        assert_eq!(fill("Client {id}"), Ok("Client 7".to_owned()));
        assert_eq!(fill(" {name} {{{id}}}  {name} end"), Ok("{7} end".to_owned()));
        assert_eq!(fill("{name}"), Ok(String::new()));
        assert_eq!(fill(" "), Err("is empty".to_owned()));
        assert_eq!(fill("a } b"), Err("has a brace that was never opened".to_owned()));
        assert_eq!(fill("a { b"), Err("has a brace that is never closed".to_owned()));
        assert_eq!(fill(&"é".repeat(140)), Ok("é".repeat(140)));
        assert!(fill(&"é".repeat(141)).is_err());
        assert_eq!(fill("a\r\nb\tc"), Ok("a b c".to_owned()));
        assert!(fill("a\u{7}b").is_err());
    }

    #[test]
    fn undecodable_bytes_are_told_by_line() {
        let mut mistakes = Vec::new();
        let text = decode(encoding_rs::UTF_8, "a.csv", b"ok\n\xff\xfe bad \xff\nok\n\xc3", &mut mistakes);
        assert_eq!(text.matches(char::REPLACEMENT_CHARACTER).count(), 4);
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["a.csv:2: has bytes that are not UTF-8", "a.csv:4: has bytes that are not UTF-8"]);

        let latin2 = Encoding::for_label(b"iso-8859-2").unwrap();
        assert_eq!(decode(latin2, "a.csv", b"\xe8\xe1st", &mut Vec::new()), "část");
    }

    #[test]
    fn lines_are_physical_lines() {
        for line_end in ["\n", "\r\n"] {
            let text = ["\"id\";b", "", "1;\"two", "", "lines\"", "", "2; x ", "3"].join(line_end);
            let (format, mut mistakes) = (format(), Vec::new());
            let mut rows = Rows::open(&format, &Layout::default(), "a.csv", &text, &mut mistakes);
            let (id, b) = (rows.column("id"), rows.column("b"));
            let mut seen = Vec::new();
            while rows.next() {
                seen.push((rows.line(), rows.get(id).to_owned(), rows.get(b).len()));
                rows.refuse("noted".to_owned());
            }
            let two_lines = "two".len() + 2 * line_end.len() + "lines".len();
            assert_eq!(seen, [(3, "1".to_owned(), two_lines), (7, "2".to_owned(), 1), (8, "3".to_owned(), 0)]);
            let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            assert_eq!(told, ["a.csv:3: noted", "a.csv:7: noted", "a.csv:8: has 1 fields where there are 2 columns"]);
        }
    }

    #[test]
    fn a_quote_never_closed_is_told_where_it_opens() {
        for text in ["id;b\n1;\"x\n2;y\n3;z\n", "id;b\n1;\"x\n2;\"y\"\n"] {
            let (format, mut mistakes) = (format(), Vec::new());
            let mut rows = Rows::open(&format, &Layout::default(), "a.csv", text, &mut mistakes);
            while rows.next() {}
            assert_eq!(mistakes[0].to_string(), "a.csv:2: has a quote that is never closed", "{text}");
        }
    }

    #[test]
    fn a_day_is_as_written_unless_the_map_names_a_zone() {
        let check = |format_text: &str, zone: Option<&str>, text: &str, expected: Option<Date>| {
            let zone = zone.map(|zone| TimeZone::get(zone).unwrap());
            let format = SourceFormat { date: format_text.to_owned(), zone, ..format() };
            assert_eq!(format.date(text).ok(), expected, "{text} as {format_text}");
        };
        let (sunday, monday) = (date(2024, 3, 31), date(2024, 4, 1));
        for (format, text) in [
            ("%Y-%m-%dT%H:%M:%S%:z", "2024-03-31T23:30:00-01:00"),
            ("%Y-%m-%d %H:%M:%S %z", "2024-03-31 23:30:00 +0000"),
            ("%Y-%m-%dT%H:%M:%S%.3fZ", "2024-03-31T22:30:00.000Z"),
        ] {
            check(format, None, text, Some(sunday));
            check(format, Some("UTC"), text, if text.contains("-01:00") { Some(monday) } else { Some(sunday) });
            check(format, Some("Europe/Berlin"), text, Some(monday));
        }
        check("%Y-%m-%dT%H:%M:%S%:z", None, "2024-03-31T23:30:00", None);
        check("%d-%b-%Y", None, "31-MAR-2024", Some(sunday));
        check("%d/%m/%Y", None, "31/3/2024", None);
        check("%-d/%-m/%Y", None, "31/3/2024", Some(sunday));
        assert!(has_offset("%FT%T%:z") && has_offset("%Y-%m-%dT%H:%MZ"));
        assert!(!has_offset("%FT%T") && !has_offset("%F%z") && !has_offset("%F %H:%M %Z"));
    }

    fn all(layout: &Layout, text: &str, prepare: impl Fn(&mut Rows<'_>)) -> (Vec<(u64, String)>, Skipped, Vec<String>) {
        let (format, mut mistakes) = (format(), Vec::new());
        let mut rows = Rows::open(&format, layout, "a.csv", text, &mut mistakes);
        prepare(&mut rows);
        let mut seen = Vec::new();
        while rows.next() {
            seen.push((rows.line(), rows.row.record.iter().collect::<Vec<_>>().join("|")));
        }
        let skipped = rows.into_skipped();
        (seen, skipped, mistakes.iter().map(ToString::to_string).collect())
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_table_may_stand_between_other_lines() {
        let text = "Account;\"1\"\n\nid;date\n1;930101\n2;930102\nTotal;2;\nDisclaimer: \"none\nid;date\n";
        let layout =
            Layout { header: Some(pattern("id;*")), ends_before: Some(pattern("Disclaimer*")), ..Layout::default() };
        let (seen, skipped, mistakes) = all(&layout, text, |rows| {
            let when = Condition { values: Vec::new(), patterns: Vec::new() };
            rows.skip(Skip { reason: "totals".to_owned(), when, lines: vec![pattern("Total*")] });
        });
        assert_eq!(seen, [(4, "1|930101".to_owned()), (5, "2|930102".to_owned())]);
        let counts: Vec<_> = skipped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        assert_eq!(counts, [(AFTER_THE_TABLE, 2), (BEFORE_THE_TABLE, 1), ("totals", 1)]);
        assert_eq!(mistakes, [""; 0]);

        let layout = Layout { lines_before: 3, columns: vec!["a".into(), "b".into()], ..Layout::default() };
        assert_eq!(all(&layout, text, |_| {}).0[0], (4, "1|930101".to_owned()));
        let layout = Layout { header: Some(pattern("nr;*")), ..Layout::default() };
        assert_eq!(all(&layout, text, |_| {}).2, ["a.csv: no line is like \"nr;*\", as the map's `header` says"]);
    }

    #[test]
    fn rows_that_go_on_are_joined() {
        let text = "id;a;b\n1;one;\n;two;x\n;three;\n;sum;9\n2;four;\n";
        let (seen, skipped, mistakes) = all(&Layout::default(), text, |rows| {
            let when = Condition { values: vec![(1, vec!["sum".to_owned()])], patterns: Vec::new() };
            rows.skip(Skip { reason: "totals".to_owned(), when, lines: Vec::new() });
            rows.join_where_empty(0);
        });
        assert_eq!(skipped["totals"], 1);
        assert_eq!(seen, [(2, "1|one two three|x".to_owned()), (6, "2|four|".to_owned())]);
        assert_eq!((skipped[CONTINUED], mistakes.len()), (2, 0));
    }

    #[test]
    fn fields_too_few_are_empty_where_the_layout_says_so() {
        let text = "a;b;c\n1;2\n;3;4\n5;6;7;8\n";
        let layout = Layout { fills_short_rows: true, ..Layout::default() };
        let (seen, _, mistakes) = all(&layout, text, |rows| rows.join_where_empty(0));
        assert_eq!(seen, [(2, "1|2 3|4".to_owned()), (4, "5|6|7|8".to_owned())]);
        assert_eq!(mistakes, ["a.csv:4: has 4 fields where there are 3 columns"]);
        assert_eq!(all(&Layout::default(), text, |_| {}).2[0], "a.csv:2: has 2 fields where there are 3 columns");
    }

    #[test]
    fn a_missing_column_is_told_with_those_that_there_are() {
        for (text, reason) in [
            ("a;b\n", "there is no column \"x\"; there are \"a\", \"b\""),
            (
                "a,b\n",
                "the line that names the columns has one field, \"a,b\": ';', the map's `separator`, isn't in it",
            ),
        ] {
            let told = all(&Layout::default(), text, |rows| _ = rows.column("x")).2;
            assert_eq!(told, [format!("a.csv:1: {reason}")]);
        }
        let ask = |rows: &mut Rows<'_>| _ = ["x", "y"].map(|name| rows.column(name));
        assert_eq!(all(&Layout::default(), "a,b\n", ask).2.len(), 1);
        assert_eq!(all(&Layout::default(), "a;b\n", ask).2[1], "a.csv:1: there is no column \"y\"");
        let names: Vec<String> = (0..=COLUMNS_TOLD_MAX).map(|number| number.to_string()).collect();
        let told = all(&Layout::default(), &names.join(";"), |rows| _ = rows.column("x")).2;
        assert!(told[0].ends_with(" and 1 more"), "{told:?}");
    }

    #[test]
    fn fields_too_many_may_only_be_empty() {
        let (seen, _, mistakes) = all(&Layout::default(), "a;b\n1;2;\n3;4; ;\n5;6;7\n", |_| {});
        assert_eq!(seen.len(), 3);
        assert_eq!(mistakes, ["a.csv:4: has 3 fields where there are 2 columns"]);
    }

    #[test]
    fn quotes_within_quotes_are_doubled_or_escaped() {
        let check = |escape: Option<u8>, text: &str, field: &str| {
            let (format, mut mistakes) = (SourceFormat { escape, ..format() }, Vec::new());
            let mut rows = Rows::open(&format, &Layout::default(), "a.csv", text, &mut mistakes);
            assert!(rows.next());
            assert_eq!((rows.get(0), rows.get(1)), (field, "2"), "{text}");
            assert!(!rows.next());
            assert_eq!(mistakes, []);
        };
        check(None, "a;b\n\"x \"\"y\"\"\";2\n", "x \"y\"");
        check(Some(b'\\'), "a;b\n\"x \\\"y\\\"\";2\n", "x \"y\"");
        check(Some(b'\\'), "a;b\n\"x \\\"\ny\";2\n", "x \"\ny");
    }
}
