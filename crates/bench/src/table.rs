//! Figures for people: a line for each, with the numbers and their units below one another.

use crate::failure::Failure;
use crate::program::Program;

/// The lines.
#[derive(Default)]
pub(super) struct Table(Vec<(String, String, &'static str)>);

impl Table {
    /// Adds a figure with so many decimal places.
    pub(super) fn add(&mut self, name: impl Into<String>, figure: f64, places: usize, unit: &'static str) {
        self.0.push((name.into(), grouped(&format!("{figure:.places$}")), unit));
    }

    /// Adds a figure where there is one.
    pub(super) fn add_some(&mut self, name: &str, figure: Option<f64>, places: usize, unit: &'static str) {
        if let Some(figure) = figure {
            self.add(name, figure, places, unit);
        }
    }

    pub(super) fn print(&self, program: &Program) -> Result<(), Failure> {
        let width = |length: fn(&(String, String, &str)) -> usize| self.0.iter().map(length).max().unwrap_or(0);
        let (names, figures) = (width(|line| line.0.chars().count()), width(|line| line.1.len()));
        self.0.iter().try_for_each(|(name, figure, unit)| {
            program.line(format_args!("{name:names$}  {figure:>figures$} {unit}").to_string().trim_end())
        })
    }
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut grouped = String::new();
    for (place, character) in number.char_indices() {
        let digits_behind = whole.saturating_sub(place);
        if place > 0 && digits_behind > 0 && digits_behind % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_set_apart() {
        for (number, written) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-100000.25", "-100,000.25"), ("1234567", "1,234,567")]
        {
            assert_eq!(grouped(number), written);
        }
    }
}
