//! Texts that people read: characters that none of them may hold.

/// Returns `true` if a character controls how others are shown instead of being one. Beside the control characters
/// these are the ones that turn the direction of what follows (Unicode's UAX #9): with them a text can be shown as
/// another than it is, such as an account number backwards.
#[must_use]
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
