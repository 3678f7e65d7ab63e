//! A TOML document read field by field, so that all its mistakes are told together and with their lines.
//!
//! Derived deserialization would stop at the first mistake. A [`Section`] hands out one field after another; whatever
//! is missing, of the wrong type or refused by its parser is noted in the [`Document`] and a stand-in returned, which
//! nobody sees, because a document with mistakes is never used. What no one asked for is unknown, and noted by
//! [`Section::finish`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// A TOML text and the mistakes found in it so far.
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: RefCell<Vec<Mistake>>,
}

/// One table of the document. An absent one (`table` none) has already been noted, so its fields aren't missed again.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    table: Option<&'d DeTable<'d>>,
    span: Range<usize>,
    asked_for: BTreeSet<String>,
}

impl<'t> Document<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, mistakes: RefCell::default() }
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    /// Parses the text and notes its syntax errors; the values borrow from it.
    pub(super) fn parse(&self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.note(error.span().unwrap_or_default(), error.message().to_owned());
        }
        table
    }

    fn line_of(&self, span: &Range<usize>) -> u64 {
        let newlines = self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        u64::try_from(newlines).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn mistake(&self, span: &Range<usize>, reason: String) -> Mistake {
        Mistake { file: self.file.to_owned(), line: Some(self.line_of(span)), reason }
    }

    fn note(&self, span: Range<usize>, reason: String) {
        self.mistakes.borrow_mut().push(self.mistake(&span, reason));
    }
}

impl<'d> Section<'d> {
    /// The document as a whole.
    pub(super) fn root(document: &'d Document<'d>, table: &'d Spanned<DeTable<'d>>) -> Self {
        Self::new(document, Some(table.get_ref()), 0..0)
    }

    fn new(document: &'d Document<'d>, table: Option<&'d DeTable<'d>>, span: Range<usize>) -> Self {
        Self { document, table, span, asked_for: BTreeSet::new() }
    }

    /// A table within this one; if it is missing, that is a mistake.
    pub(super) fn section(&mut self, name: &str) -> Section<'d> {
        let value = self.required(name);
        self.as_section(name, value)
    }

    /// A table within this one that may be missing.
    pub(super) fn optional_section(&mut self, name: &str) -> Section<'d> {
        let value = self.take(name);
        self.as_section(name, value)
    }

    /// A list of tables; if it is missing, that is a mistake.
    pub(super) fn sections(&mut self, name: &str) -> Vec<Section<'d>> {
        let value = self.required(name);
        self.as_sections(name, value)
    }

    /// A list of tables that may be missing.
    pub(super) fn optional_sections(&mut self, name: &str) -> Vec<Section<'d>> {
        let value = self.take(name);
        self.as_sections(name, value)
    }

    fn as_sections(&self, name: &str, value: Option<&'d Spanned<DeValue<'d>>>) -> Vec<Section<'d>> {
        let Some(value) = value else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.document.note(value.span(), format!("`{name}` must be a list of tables"));
            return Vec::new();
        };
        items.iter().map(|item| self.as_section(name, Some(item))).collect()
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> String {
        self.parsed(name, String::new(), |text| Ok(text.to_owned()))
    }

    /// A text that may be missing.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        self.optional(name, |text| Ok(text.to_owned()))
    }

    /// A text that must be there and satisfy `parse`; else a mistake, and `stand_in`.
    pub(super) fn parsed<T>(&mut self, name: &str, stand_in: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let value = self.required(name);
        self.parse_text(name, value, parse).unwrap_or(stand_in)
    }

    /// A text that may be missing but otherwise must satisfy `parse`.
    pub(super) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.take(name);
        self.parse_text(name, value, parse)
    }

    /// A whole number that may be missing, written as one or as a text of digits.
    pub(super) fn optional_number(&mut self, name: &str) -> Option<u64> {
        let value = self.take(name)?;
        let digits = match value.get_ref().as_integer() {
            Some(integer) if integer.radix() == 10 => Some(integer.as_str()),
            Some(_) => None,
            None => value.get_ref().as_str(),
        };
        let number = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        if number.is_none() {
            self.document.note(value.span(), format!("`{name}` must be a whole number"));
        }
        number
    }

    /// A list of texts, empty if it is missing.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let texts = value.get_ref().as_array().and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.unwrap_or_else(|| {
            self.document.note(value.span(), format!("`{name}` must be a list of texts"));
            Vec::new()
        })
    }

    /// The names of this table's fields, in order: for tables whose fields are the map's to choose.
    pub(super) fn names(&self) -> Vec<String> {
        self.table.into_iter().flat_map(DeTable::keys).map(|name| name.get_ref().to_string()).collect()
    }

    /// All fields of this table, which must be texts.
    pub(super) fn into_texts(mut self) -> BTreeMap<String, String> {
        self.names().into_iter().map(|name| (name.clone(), self.text(&name))).collect()
    }

    /// Returns `true` if the field is there. It still has to be asked for.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Returns `true` if the field is a list.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.table.and_then(|table| table.get(name)).is_some_and(|value| value.get_ref().as_array().is_some())
    }

    /// The line on which the table begins.
    pub(super) fn line(&self) -> u64 {
        self.document.line_of(&self.span)
    }

    /// Notes a mistake at the field `name`, or at the table if the field is missing.
    pub(super) fn refuse(&self, name: &str, reason: String) {
        self.document.note(self.span_of(name), reason);
    }

    /// A mistake at the field `name`, which is not noted: it may turn out to be none.
    pub(super) fn mistake(&self, name: &str, reason: String) -> Mistake {
        self.document.mistake(&self.span_of(name), reason)
    }

    fn span_of(&self, name: &str) -> Range<usize> {
        let value = self.table.and_then(|table| table.get(name));
        value.map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Notes every field that was never asked for.
    pub(super) fn finish(self) {
        for name in self.table.into_iter().flat_map(DeTable::keys) {
            if !self.asked_for.contains(name.get_ref().as_ref()) {
                self.document.note(name.span(), format!("unknown field `{}`", name.get_ref()));
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked_for.insert(name.to_owned());
        self.table?.get(name)
    }

    fn required(&mut self, name: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        let value = self.take(name);
        if value.is_none() && self.table.is_some() {
            self.document.note(self.span.clone(), format!("`{name}` is missing"));
        }
        value
    }

    fn as_section(&self, name: &str, value: Option<&'d Spanned<DeValue<'d>>>) -> Section<'d> {
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.document.note(value.span(), format!("`{name}` must be a table"));
        }
        Section::new(self.document, table, value.map_or_else(|| self.span.clone(), Spanned::span))
    }

    fn parse_text<T>(
        &self,
        name: &str,
        value: Option<&'d Spanned<DeValue<'d>>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value?;
        let parsed = match value.get_ref().as_str() {
            Some("") => Err("is empty".to_owned()),
            Some(text) => parse(text),
            None => Err("must be a text".to_owned()),
        };
        parsed.map_err(|reason| self.document.note(value.span(), format!("`{name}` {reason}"))).ok()
    }
}
