//! What is missing between a cursor and the entries that come next.

use crate::entry::{Body, Entry, TraceKind};
use crate::ids::Seq;
use crate::ports::Page;

/// True if nothing is missing between the cursor and the page, nor within it.
pub(super) fn follows(after: Seq, page: &Page) -> bool {
    let mut cursor = after;
    for entry in &page.entries {
        if missing_before(cursor, entry).is_some() {
            return false;
        }
        cursor = entry.seq;
    }
    // An empty page below the tail or behind the trim mark hides something.
    !page.entries.is_empty() || (after >= page.tail && after >= page.trimmed)
}

/// The first and the last of what is missing between a cursor and the entry that comes next.
pub(super) fn missing_before(cursor: Seq, next: &Entry) -> Option<(Seq, Seq)> {
    let before_next = Seq(next.seq.0 - 1);
    if cursor.epoch() == next.seq.epoch() {
        return (next.seq != cursor.next()).then(|| (cursor.next(), before_next));
    }
    // A new epoch says itself how far the one before was kept.
    match continued_from(next) {
        Some(continues) if continues > cursor => Some((cursor.next(), continues)),
        Some(continues) if continues < cursor => Some((continues.next(), cursor)),
        Some(_) => None,
        None if cursor == Seq::START && next.seq.number() == 1 => None,
        None => Some((cursor.next(), before_next)),
    }
}

fn continued_from(entry: &Entry) -> Option<Seq> {
    let Body::Trace(trace) = &entry.body else { return None };
    if trace.kind != TraceKind::RunTakenOver {
        return None;
    }
    trace.data.as_ref()?.get("continuesSeq")?.as_u64().map(Seq)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::sync::Arc;

    use super::*;
    use crate::entry::{Level, TraceEvent};
    use crate::ids::Epoch;
    use crate::moment::Timestamp;

    fn entry(epoch: u32, number: u32, continues: Option<Seq>) -> Arc<Entry> {
        let kind =
            if continues.is_some() { TraceKind::RunTakenOver } else { TraceKind::NodeProgress };
        let trace = TraceEvent {
            node_ref: None,
            kind,
            level: Level::Info,
            message: String::new(),
            error: None,
            output_summary: None,
            data: continues.map(|seq| json!({ "continuesSeq": seq })),
            timestamp: Timestamp(0),
        };
        Arc::new(Entry { seq: Seq::new(Epoch(epoch), number), body: Body::Trace(Box::new(trace)) })
    }

    #[test]
    fn a_gap_has_exact_bounds() {
        let at = |epoch, number| Seq::new(Epoch(epoch), number);
        let takeover = entry(1, 1, Some(at(0, 5)));
        let cases = [
            (at(0, 0), entry(0, 1, None), None),
            (at(0, 3), entry(0, 4, None), None),
            (at(0, 3), entry(0, 7, None), Some((at(0, 4), at(0, 6)))),
            (at(0, 5), takeover.clone(), None),
            (at(0, 3), takeover.clone(), Some((at(0, 4), at(0, 5)))),
            (at(0, 8), takeover, Some((at(0, 6), at(0, 8)))),
        ];
        for (cursor, next, expected) in cases {
            let missing = missing_before(cursor, &next);
            assert_eq!(missing, expected, "cursor {cursor}, next {}", next.seq);
        }
    }
}
