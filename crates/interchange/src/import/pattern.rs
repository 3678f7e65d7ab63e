//! Patterns in the map: text in which `*` stands for anything.

/// A pattern for a whole field or line, spaces around which don't count.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    written: String,
}

impl Pattern {
    /// Takes what the map says.
    pub(super) fn parse(written: &str) -> Result<Self, String> {
        if written.trim().is_empty() {
            return Err("is an empty pattern".to_owned());
        }
        Ok(Self { written: written.trim().to_owned() })
    }

    /// Returns the pattern as the map has it.
    pub(super) fn as_str(&self) -> &str {
        &self.written
    }

    /// Tells whether the whole text is like this.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut parts = self.written.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
        for part in middle {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("Total", "Total", true),
            ("Total", "Totals", false),
            ("Total*", "Total", true),
            ("Total*", "Total: 5", true),
            ("*balance", "Opening balance", true),
            ("*balance", "Opening balance ", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern::parse(" ").is_err());
    }
}
