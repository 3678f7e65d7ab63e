//! Delimited files as rows of checked fields: decoding, rows with their lines, dates, exact amounts, templates.
//!
//! It knows how the source writes, not what it means. [`Rows`] walks one file and notes each mistake with the line on
//! which its row begins; whatever can't be read leaves a stand-in, which nobody sees, because a source with mistakes
//! never becomes a plan.

use csv::{ReaderBuilder, StringRecord};
use encoding_rs::{DecoderResult, Encoding};
use jiff::civil::Date;
use jiff::fmt::strtime;

use super::Mistake;

/// The longest row key: they become idempotency keys, which are stored for ever.
pub(super) const KEY_CHARS_MAX: usize = 64;

/// The longest name or text, as ISO 20022 has it for names and unstructured remittance information (Max140Text).
pub(super) const TEXT_CHARS_MAX: usize = 140;

/// How the source writes its files.
#[derive(Debug)]
pub(super) struct SourceFormat {
    pub(super) encoding: &'static Encoding,
    pub(super) separator: u8,
    pub(super) quote: Option<u8>,
    /// As strptime.
    pub(super) date: String,
    pub(super) amount: AmountFormat,
}

impl SourceFormat {
    /// A date written exactly as the format writes it: what the format reads leniently could be another date.
    pub(super) fn date(&self, text: &str) -> Result<Date, String> {
        let refusal = || format!("{text:?} is not a date written as {}", self.date);
        let time = strtime::parse(&self.date, text).map_err(|_| refusal())?;
        let date = time.to_date().map_err(|_| refusal())?;
        if time.to_string(&self.date).is_ok_and(|written| written == text) { Ok(date) } else { Err(refusal()) }
    }
}

/// How the source writes amounts.
#[derive(Debug)]
pub(super) struct AmountFormat {
    pub(super) decimal: char,
    pub(super) thousands: Option<char>,
    /// How many decimals the currency has.
    pub(super) decimals: u32,
}

impl AmountFormat {
    /// The amount in minor units, exactly; a minus sign may come before it.
    pub(super) fn signed_minor(&self, text: &str) -> Result<i64, String> {
        let refusal = || format!("{text:?} is not an amount");
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = match digits.split_once(self.decimal) {
            Some((_, "")) => return Err(refusal()),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let whole = self.without_thousands(whole).ok_or_else(refusal)?;
        if !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
            return Err(refusal());
        }
        let width = usize::try_from(self.decimals).map_err(|_| refusal())?;
        if fraction.len() > width {
            return Err(format!("{text:?} has more than {width} decimals"));
        }
        let sign = if digits.len() < text.len() { "-" } else { "" };
        format!("{sign}{whole}{fraction:0<width$}").parse().map_err(|_| format!("{text:?} is too large an amount"))
    }

    /// The amount in minor units, exactly, without a sign and above zero.
    pub(super) fn positive_minor(&self, text: &str) -> Result<u64, String> {
        let minor = self.signed_minor(text)?;
        match u64::try_from(minor) {
            Ok(0) => Err("the amount is zero".to_owned()),
            Ok(minor) if !text.starts_with('-') => Ok(minor),
            _ => Err(format!("{text:?} has a sign, which is not allowed here")),
        }
    }

    /// The digits before the decimal separator, or none if there are none or they are grouped wrongly.
    fn without_thousands(&self, whole: &str) -> Option<String> {
        let groups: Vec<&str> = match self.thousands {
            Some(separator) => whole.split(separator).collect(),
            None => vec![whole],
        };
        let (first, others) = groups.split_first()?;
        let first_is_good = !first.is_empty() && (others.is_empty() || first.len() <= 3);
        (first_is_good && others.iter().all(|group| group.len() == 3)).then(|| groups.concat())
    }
}

/// Text with columns in it. `C` is a column: its name in the map, its place when reading a file.
#[derive(Debug, Default)]
pub(super) struct Template<C> {
    parts: Vec<Part<C>>,
}

#[derive(Debug)]
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

    /// The same template with each column's name replaced by its place.
    pub(super) fn resolve(&self, place: &mut impl FnMut(&str) -> usize) -> Template<usize> {
        let resolve = |part: &Part<String>| match part {
            Part::Text(text) => Part::Text(text.clone()),
            Part::Column(name) => Part::Column(place(name)),
        };
        Template { parts: self.parts.iter().map(resolve).collect() }
    }
}

impl Template<usize> {
    /// The text with each column replaced by its `value`, and runs of spaces made one. It must fit on a line.
    pub(super) fn fill<'v>(&self, value: impl Fn(usize) -> Result<&'v str, String>) -> Result<String, String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Column(column) => filled.push_str(value(*column)?),
            }
        }
        let filled = filled.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if filled.chars().any(server::is_control) {
            return Err(format!("{filled:?} has a control character"));
        }
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

/// The rows of one file, one at a time. Before the first come its columns.
pub(super) struct Rows<'t> {
    file: &'t str,
    text: &'t str,
    quote: Option<char>,
    reader: csv::Reader<&'t [u8]>,
    names: Vec<String>,
    record: StringRecord,
    lines: LineCounter,
    line: u64,
    /// Whether the current row has as many fields as there are columns. If not, that is its one mistake.
    is_whole: bool,
    lacks_columns: bool,
    mistakes: &'t mut Vec<Mistake>,
}

impl<'t> Rows<'t> {
    /// Opens a file whose columns' names are in its first row, or `columns` if they aren't empty.
    pub(super) fn open(
        format: &SourceFormat,
        file: &'t str,
        text: &'t str,
        columns: &[String],
        mistakes: &'t mut Vec<Mistake>,
    ) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(format.separator)
            .quoting(format.quote.is_some())
            .quote(format.quote.unwrap_or(b'"'))
            .from_reader(text.as_bytes());
        let mut rows = Self {
            file,
            text,
            quote: format.quote.map(char::from),
            reader,
            names: Vec::new(),
            record: StringRecord::new(),
            lines: LineCounter::default(),
            line: 1,
            is_whole: true,
            lacks_columns: false,
            mistakes,
        };
        rows.names = if columns.is_empty() { rows.read_header() } else { columns.to_vec() };
        rows
    }

    fn read_header(&mut self) -> Vec<String> {
        if !self.read() {
            self.refuse("is empty; its first line must name the columns".to_owned());
        }
        self.record.iter().map(|name| name.trim().to_owned()).collect()
    }

    /// The place of the column called `name`. If there is none, or more than one, that is a mistake.
    pub(super) fn column(&mut self, name: &str) -> usize {
        let places: Vec<usize> = (0..self.names.len()).filter(|place| self.names[*place] == name).collect();
        let quantity = match places[..] {
            [place] => return place,
            [] => "no",
            _ => "more than one",
        };
        self.lacks_columns = true;
        let (file, line) = (self.file.to_owned(), Some(self.line));
        let mistake = Mistake { file, line, reason: format!("there is {quantity} column {name:?}") };
        // An empty file was told already, and several fields may ask for one column.
        if !self.names.is_empty() && !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
        usize::MAX
    }

    /// Whether a column that was asked for isn't there. There are then no rows: each would lack the same.
    pub(super) fn lacks_columns(&self) -> bool {
        self.lacks_columns
    }

    /// Goes to the next row, and says whether there is one.
    pub(super) fn next(&mut self) -> bool {
        self.is_whole = true;
        if self.lacks_columns || !self.read() {
            return false;
        }
        let (fields, columns) = (self.record.len(), self.names.len());
        if fields != columns {
            self.refuse(format!("has {fields} fields where there are {columns} columns"));
            self.is_whole = false;
        }
        true
    }

    /// Reads a record and finds its line. The reader's own count is of where the record before ended, which with CRLF
    /// and with blank lines is not where this one begins.
    fn read(&mut self) -> bool {
        let before = self.place();
        let found = match self.reader.read_record(&mut self.record) {
            Ok(found) => found,
            Err(error) => {
                self.refuse(format!("cannot be read: {error}"));
                false
            }
        };
        let skipped = self.text[before..].bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if found {
            self.line = self.lines.line_at(self.text, before + skipped);
            self.check_quotes(before + skipped);
        }
        found
    }

    /// A quote that is never closed swallows the rows after it, so a row of many lines must have its quotes in pairs.
    fn check_quotes(&mut self, start: usize) {
        let raw = self.text[start..self.place()].trim_end();
        if self.quote.is_some_and(|quote| raw.contains('\n') && raw.matches(quote).count() % 2 == 1) {
            self.refuse("has a quote that is never closed".to_owned());
        }
    }

    fn place(&self) -> usize {
        usize::try_from(self.reader.position().byte()).map_or(self.text.len(), |place| place.min(self.text.len()))
    }

    /// The line on which the current row begins.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The column's name.
    pub(super) fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("", String::as_str)
    }

    /// The current row's field in a column, without the spaces around it.
    pub(super) fn get(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default().trim()
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
        if key.chars().count() > KEY_CHARS_MAX || key.chars().any(server::is_control) {
            return Err(format!("the key {key:?} is longer than {KEY_CHARS_MAX} characters or has control characters"));
        }
        Ok(key.to_owned())
    }

    /// Notes a mistake in the current row.
    pub(super) fn refuse(&mut self, reason: String) {
        if self.is_whole {
            self.mistakes.push(Mistake { file: self.file.to_owned(), line: Some(self.line), reason });
        }
    }

    /// The value, or none after noting why.
    pub(super) fn check<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|reason| self.refuse(reason)).ok()
    }

    /// How many mistakes there are so far, in all files.
    pub(super) fn mistakes_so_far(&self) -> usize {
        self.mistakes.len()
    }
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
            date: "%y%m%d".to_owned(),
            amount: AmountFormat { decimal: '.', thousands: None, decimals: 2 },
        }
    }

    #[test]
    fn amounts_are_exact() {
        let plain = format().amount;
        let german = AmountFormat { decimal: ',', thousands: Some('.'), decimals: 2 };
        let yen = AmountFormat { decimal: '.', thousands: None, decimals: 0 };
        let check = |format: &AmountFormat, text: &str, minor: Option<i64>| {
            assert_eq!(format.signed_minor(text).ok(), minor, "{text}");
        };
        check(&plain, "700.00", Some(70_000));
        check(&plain, "12.6", Some(1_260));
        check(&plain, "96396", Some(9_639_600));
        check(&plain, "-0.05", Some(-5));
        check(&plain, "92233720368547758.07", Some(i64::MAX));
        check(&plain, "-92233720368547758.08", Some(i64::MIN));
        check(&plain, "92233720368547758.08", None);
        for bad in ["", "-", "+1", "1.", ".5", "1.005", "1.2.3", "1,00", "1e3", "--1", " 1", "1 000", "١"] {
            check(&plain, bad, None);
        }
        check(&german, "1.234.567,89", Some(123_456_789));
        check(&german, "1234567,89", Some(123_456_789));
        check(&german, "123,4", Some(12_340));
        for bad in ["1.23,00", "1234.567,00", ".123,00", "1.,00", "1..000,00"] {
            check(&german, bad, None);
        }
        check(&yen, "700", Some(700));
        check(&yen, "700.0", None);
    }

    #[test]
    fn signs_and_zero_are_refused_where_they_mean_nothing() {
        let amount = format().amount;
        assert_eq!(amount.positive_minor("0.01"), Ok(1));
        assert_eq!(amount.positive_minor("0.00"), Err("the amount is zero".to_owned()));
        assert_eq!(amount.positive_minor("-1.00"), Err("\"-1.00\" has a sign, which is not allowed here".to_owned()));
        assert_eq!(amount.positive_minor("1.001"), Err("\"1.001\" has more than 2 decimals".to_owned()));
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
        assert!(fill("a\tb").is_err());
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
            let mut rows = Rows::open(&format, "a.csv", &text, &[], &mut mistakes);
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
            let mut rows = Rows::open(&format, "a.csv", text, &[], &mut mistakes);
            while rows.next() {}
            assert_eq!(mistakes[0].to_string(), "a.csv:2: has a quote that is never closed", "{text}");
        }
    }
}
