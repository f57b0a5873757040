//! Text for people: nothing that a server says can move a cursor or change a colour.

use console::{Alignment, measure_text_width, pad_str, strip_ansi_codes};
use runcast_actors::moment::Timestamp;
use runcast_actors::run_view::{NodeStatus, RunStatus};

/// The text without escape sequences, control characters and marks that turn the direction.
pub(super) fn clean(text: &str) -> String {
    strip_ansi_codes(text)
        .chars()
        .filter_map(|character| match character {
            '\t' | '\n' => Some(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
            other if other.is_control() => None,
            other => Some(other),
        })
        .collect()
}

/// A duration in microseconds as `0.3s`, `12.4s`, `3m 05s`, `2h 07m`.
pub(super) fn duration(micros: i64) -> String {
    let tenths = micros.max(0) / 100_000;
    let secs = tenths / 10;
    match secs {
        0..60 => format!("{secs}.{}s", tenths % 10),
        60..3600 => format!("{}m {:02}s", secs / 60, secs % 60),
        _ => format!("{}h {:02}m", secs / 3600, secs % 3600 / 60),
    }
}

/// The time between two moments; until now if there is no end; empty without a start.
pub(super) fn span(start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    match start {
        Some(start) => duration(end.unwrap_or_else(Timestamp::now).0 - start.0),
        None => String::new(),
    }
}

/// Bytes as `812 B`, `3.2 MiB`.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// The sign of a node's status.
pub(super) fn node_sign(status: NodeStatus) -> console::StyledObject<&'static str> {
    match status {
        NodeStatus::Pending => console::style("○").dim(),
        NodeStatus::Running => console::style("●").cyan(),
        NodeStatus::Completed => console::style("✓").green(),
        NodeStatus::Failed | NodeStatus::TimedOut => console::style("✗").red(),
        NodeStatus::Skipped | NodeStatus::Cancelled => console::style("–").yellow(),
    }
}

/// A run's status in its colour.
pub(super) fn run_status(status: RunStatus) -> console::StyledObject<&'static str> {
    let text = console::style(status.as_str());
    match status {
        RunStatus::Queued => text.dim(),
        RunStatus::Running => text.cyan(),
        RunStatus::Completed => text.green(),
        RunStatus::Failed | RunStatus::TimedOut => text.red(),
        RunStatus::Cancelled => text.yellow(),
    }
}

/// Rows under each other, each column as wide as its widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad_str(cell, *width, Alignment::Left, None).into_owned())
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_server_controls_the_terminal() {
        let hostile = "a\u{1b}[2Jb\u{1b}]0;title\u{7}c\r\u{9b}31md\u{202e}e\u{0}\tf";
        let cleaned = clean(hostile);
        assert!(!cleaned.chars().any(char::is_control), "{cleaned:?}");
        assert!(cleaned.starts_with("ab") && cleaned.ends_with("e f"), "{cleaned:?}");
        assert_eq!(clean("größe │ ✓"), "größe │ ✓");
    }

    #[test]
    fn durations_are_short() {
        for (micros, text) in [
            (-5, "0.0s"),
            (340_000, "0.3s"),
            (59_990_000, "59.9s"),
            (185_000_000, "3m 05s"),
            (7_620_000_000, "2h 07m"),
        ] {
            assert_eq!(duration(micros), text);
        }
    }

    #[test]
    fn columns_stand_under_each_other() {
        let rows =
            vec![vec!["a".to_owned(), "b".to_owned()], vec!["größe".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), "a      b\ngröße  c\n");
    }
}
