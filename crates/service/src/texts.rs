//! Texts that people write: trimmed, of a bounded length, and without characters that control how others are shown.

use crate::fault::Fault;

/// The most characters of a name or a text on a statement: ISO 20022's Max140Text, which other banks can take too.
pub const MAX_TEXT_CHARACTERS: usize = 140;

/// Returns a name or text that was sent, without the space around it.
///
/// # Errors
///
/// Fails in its field if it is empty, has more than [`MAX_TEXT_CHARACTERS`] or a control character.
pub fn text<'a>(field: &str, text: &'a str) -> Result<&'a str, Fault> {
    text_of(field, text, MAX_TEXT_CHARACTERS)
}

/// Returns a text that was sent, as [`text`] does, with a limit of its own.
///
/// # Errors
///
/// Fails in its field if it is empty, has more than so many characters or a control character.
pub fn text_of<'a>(field: &str, text: &'a str, max_characters: usize) -> Result<&'a str, Fault> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Fault::field(field, "it must not be empty"));
    }
    if text.chars().count() > max_characters {
        return Err(Fault::field(field, format!("it has at most {max_characters} characters")));
    }
    if text.chars().any(bank::is_control) {
        return Err(Fault::field(
            field,
            "it must not hold control characters, nor those that turn the text's direction",
        ));
    }
    Ok(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_hold_no_control_characters() {
        for refused in ["a\nb", "a\0", "a\u{85}b", "\u{202a}a", "a\u{202e}b", "a\u{2066}b", "a\u{2069}b"] {
            assert!(text("text", refused).is_err(), "{refused:?}");
        }
        // The characters beside them, and marks that Arabic and Hebrew are written with.
        for taken in [
            "a\u{2029}b",
            "a\u{202f}b",
            "a\u{2065}b",
            "a\u{206a}b",
            "\u{200f}\u{5d0}",
            "\u{645}\u{64e}",
            "👩\u{200d}👧",
        ] {
            assert_eq!(text("text", taken).ok(), Some(taken), "{taken:?}");
        }
    }
}
