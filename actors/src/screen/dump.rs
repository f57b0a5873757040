//! avt's dump of a terminal, made right for terminals at large and for a state it misses.

use std::fmt::Write;

use avt::Terminal;

/// The bytes that show the terminal on a fresh one of the same size. The parser's part is empty, because
/// functions are executed, not fed.
pub(super) fn portable(terminal: &Terminal) -> Vec<u8> {
    with_semicolons(with_origin(terminal.dump(), terminal).into_bytes())
}

/// avt writes colours as `38:2:r:g:b`, which terminals read differently; all read semicolons alike.
fn with_semicolons(mut dump: Vec<u8>) -> Vec<u8> {
    let mut in_sequence = false;
    let mut previous = 0;
    for byte in &mut dump {
        match *byte {
            b'[' if previous == 0x1b => in_sequence = true,
            b':' if in_sequence => *byte = b';',
            0x40..=0x7e => in_sequence = false,
            _ => {}
        }
        previous = *byte;
    }
    dump
}

/// Origin mode with the cursor outside the margins is reached only through a saved cursor. avt takes the
/// one that is there, and with it loses origin mode and wrapping if that was saved without or with others.
/// Then the wanted cursor is saved in its place: the screen counts more than a cursor to be restored later.
fn with_origin(dump: String, terminal: &Terminal) -> String {
    const RESTORE: &str = "\x1b[u";
    let Some(at) = dump.rfind(RESTORE) else { return dump };
    let (cols, rows) = terminal.size();
    let Ok(mut again) = Terminal::new(cols, rows) else { return dump };
    again.feed(dump.as_str());
    if again.dump() == dump {
        return dump;
    }
    let before = &dump[..at];
    let margins = before.rfind("\x1b[").map_or("", |start| &before[start..]);
    let margins = if margins.ends_with('r') { margins } else { "" };
    let after = without_motion(without_motion(&dump[at + RESTORE.len()..], ['C', 'D']), ['A', 'B']);
    let cursor = terminal.cursor();
    let mut repaired = before.to_owned();
    // Writing into a string cannot fail.
    let _ = write!(
        repaired,
        "\x1b[r\x1b[{};{}H\x1b7{margins}\x1b8{after}",
        cursor.row + 1,
        cursor.col + 1
    );
    repaired
}

/// The text after a relative motion, if it begins with one.
fn without_motion(text: &str, ends: [char; 2]) -> &str {
    text.strip_prefix("\x1b[")
        .map(|rest| rest.trim_start_matches(|character: char| character.is_ascii_digit()))
        .and_then(|rest| rest.strip_prefix(ends))
        .unwrap_or(text)
}
