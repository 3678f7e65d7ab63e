//! Lines of a batch: each is read or refused in our own words, and what is read has a form that reads as itself.

use service::Fault;

/// The canonical form of a line with what is wrong with its payment, or what is wrong with the line.
pub type Read = Result<(Vec<u8>, Option<Fault>), Fault>;

/// The most bytes of a line.
const MAX_LINE_BYTES: usize = 32 * 1024;

/// Words of the libraries that read JSON, none of which may reach a caller.
const THEIRS: [&str; 19] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "invalid digit",
    "invalid escape",
    "expected",
    "missing field",
    "unknown field",
    "unknown variant",
    "duplicate field",
    "at line",
    "EOF while",
    "trailing c",
    "surrogate",
    "recursion limit",
    "struct ",
    "eserialize",
    "untagged",
    "`",
];

/// Tries the interface's own reading of lines.
///
/// # Panics
///
/// If a library speaks, or the form in which a line is remembered depends on how it is written.
pub fn lines(data: &[u8]) {
    lines_by(&api::read_line, data);
    for line in data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        // However it is written, it means the same.
        if let Ok((older, _)) = api::read_line(line)
            && older.len() <= MAX_LINE_BYTES
        {
            assert!(api::line_form(line) == api::line_form(&older), "another writing has another meaning");
        }
    }
}

/// Tries a reading of lines.
///
/// # Panics
///
/// If a library speaks, or the form in which a line is remembered depends on how it is written.
pub fn lines_by(read: &dyn Fn(&[u8]) -> Read, data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        match read(line) {
            Ok((canonical, fault)) => {
                let said = fault.as_ref().map(looked_at);
                read_again(read, line, &canonical, said.as_deref());
            }
            Err(fault) => {
                let said = looked_at(&fault);
                let spaced = [b" \t".as_slice(), line, b" "].concat();
                let again = read(&spaced).err();
                // The place that is told moves with the spaces.
                let is_told_alike = said.contains("column") || line.len() + 3 > MAX_LINE_BYTES;
                assert!(
                    is_told_alike || again.map(|fault| looked_at(&fault)) == Some(said),
                    "spaces make a difference"
                );
            }
        }
    }
}

fn read_again(read: &dyn Fn(&[u8]) -> Read, line: &[u8], canonical: &[u8], said: Option<&str>) {
    assert!(line.len() <= MAX_LINE_BYTES, "a line of {} bytes is read", line.len());
    assert!(!canonical.contains(&b'\n'), "the canonical form is one line");
    let value: serde_json::Value = serde_json::from_slice(canonical).expect("the canonical form is JSON");
    assert_eq!(Some(value), serde_json::from_slice(line).ok().map(with_text), "it says what was sent");
    let spaced = [b" ".as_slice(), canonical, b"\t"].concat();
    for again in [canonical, &spaced].into_iter().filter(|again| again.len() <= MAX_LINE_BYTES) {
        let (form, fault) = read(again).expect("the canonical form of a line is a line");
        assert!(form == canonical, "the canonical form has another: {}", String::from_utf8_lossy(&form));
        assert_eq!(fault.as_ref().map(looked_at).as_deref(), said, "the canonical form says something else");
    }
}

/// A line as it is remembered: with its text, if that was left out, and without metadata, if there is none.
fn with_text(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.entry("text").or_insert(serde_json::Value::Null);
        if fields.get("metadata").is_some_and(serde_json::Value::is_null) {
            fields.remove("metadata");
        }
    }
    value
}

/// Returns a fault's words, in which no library may speak.
fn looked_at(fault: &Fault) -> String {
    let fields = fault.fields();
    let said = std::iter::once(fault.detail()).chain(fields.iter().map(|field| field.detail.as_str()));
    let said = said.collect::<Vec<_>>().join("; ");
    assert!(!said.trim().is_empty(), "a fault says something");
    let theirs = THEIRS.iter().find(|theirs| said.contains(**theirs));
    assert_eq!(theirs, None, "a library says: {said}");
    said
}
