//! A page of chunks, put together from the history of its run. Pure: entries in, JSON out.
//!
//! A page ends at its limit, at about 4 MiB of JSON, or where the history ends. Only pages before a chunk
//! drop their oldest chunks to stay below 4 MiB, so that they join what the caller has.

use std::collections::VecDeque;

use runcast_actors::entry::{Body, Chunk, ChunkKind, Entry};
use runcast_actors::event_json::event_data;
use runcast_actors::history::{Item, Source, Stretch};
use runcast_actors::ids::{RunKey, Seq, StreamKey};
use serde_json::{Value, json};

use crate::http::position_cache::Position;

/// About how many bytes of JSON a page has at most.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// How many gaps a page tells of at most.
const MAX_GAPS: usize = 100;

/// Which chunks a page shall have.
#[derive(Debug, Clone)]
pub(super) struct PageRequest {
    /// Of this run.
    pub(super) run: RunKey,
    /// Of this stream.
    pub(super) stream: StreamKey,
    /// Only later ones; −1 is the beginning.
    pub(super) after: i64,
    /// Only earlier ones.
    pub(super) before: Option<i64>,
    /// The page is to join `before`, so the oldest chunks may be left out.
    pub(super) backward: bool,
    /// Only of these kinds, if any are given.
    pub(super) kinds: Vec<&'static str>,
    /// At most this many.
    pub(super) limit: usize,
}

/// A page that is being put together.
pub(super) struct ChunkPage {
    request: PageRequest,
    chunks: VecDeque<(i64, Vec<u8>)>,
    bytes: usize,
    gaps: Vec<Value>,
    examined: i64,
    position: Position,
    /// Where the chunks were kept; none before the first.
    source: Option<&'static str>,
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Log => "hot",
        Source::Archive => "archive",
    }
}

impl ChunkPage {
    /// An empty page, with what is known of the place where it begins.
    pub(super) fn new(request: PageRequest, start: Position) -> Self {
        let examined = request.after;
        Self {
            request,
            chunks: VecDeque::new(),
            bytes: 0,
            gaps: Vec::new(),
            examined,
            position: start,
            source: None,
        }
    }

    /// Where to read next.
    pub(super) fn cursor(&self) -> Seq {
        self.position.through
    }

    /// The last chunk that was looked at, and what is known of the place after it.
    pub(super) fn end(&self) -> (i64, Position) {
        (self.examined, self.position)
    }

    /// Takes what fits of a stretch; true if the page is full.
    pub(super) fn push_stretch(&mut self, stretch: &Stretch) -> bool {
        let source = source_name(stretch.source);
        if !stretch.items.is_empty() {
            let is_same = self.source.is_none_or(|before| before == source);
            self.source = Some(if is_same { source } else { "mixed" });
        }
        for item in &stretch.items {
            match item {
                Item::Entry(entry) => {
                    if !self.push(entry) {
                        return true;
                    }
                    self.position.through = entry.seq;
                    if self.chunks.len() >= self.request.limit {
                        return true;
                    }
                }
                Item::Gap(gap) => {
                    if self.gaps.len() < MAX_GAPS {
                        let (from, to) = (gap.from, gap.to);
                        self.gaps
                            .push(json!({ "fromSeq": from, "toSeq": to, "reason": gap.reason }));
                    }
                    self.position.through = gap.to;
                }
            }
        }
        self.position.through = self.position.through.max(stretch.through);
        false
    }

    /// The answer.
    pub(super) fn finish(self) -> Vec<u8> {
        let index_of = |chunk: Option<&(i64, Vec<u8>)>| chunk.map(|(index, _)| *index);
        let first = index_of(self.chunks.front());
        let last = index_of(self.chunks.back());
        let head = json!({
            "runId": self.request.run.run,
            "nodeRef": self.request.stream.node_ref,
            "stream": self.request.stream.stream,
            "nextAfterChunk": self.examined,
            "firstChunkIndex": first,
            "lastChunkIndex": last,
            "complete": self.position.ended.unwrap_or(false),
            "source": self.source.unwrap_or("hot"),
            "gaps": self.gaps,
        })
        .to_string();
        let mut body = Vec::with_capacity(self.bytes + head.len() + 32);
        body.extend_from_slice(head.trim_end_matches('}').as_bytes());
        body.extend_from_slice(b",\"chunks\":[");
        for (place, (_, data)) in self.chunks.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(data);
        }
        body.extend_from_slice(b"]}");
        body
    }

    // False if the entry belongs beyond this page.
    fn push(&mut self, entry: &Entry) -> bool {
        let Body::Terminal(chunk) = &entry.body else { return true };
        if chunk.node_ref != self.request.stream.node_ref
            || chunk.stream != self.request.stream.stream
        {
            return true;
        }
        let index = i64::try_from(chunk.index.0).unwrap_or(i64::MAX);
        if self.request.before.is_some_and(|before| index >= before) {
            return false;
        }
        if index > self.request.after {
            if self.is_wanted(chunk) && !self.add(index, event_data(&self.request.run.run, entry)) {
                return false;
            }
            self.examined = index;
        }
        if let ChunkKind::Exit(exit) = &chunk.kind {
            self.position.ended = Some(exit.totals.complete);
        }
        true
    }

    fn is_wanted(&self, chunk: &Chunk) -> bool {
        self.request.kinds.is_empty() || self.request.kinds.contains(&chunk.kind.name())
    }

    fn add(&mut self, index: i64, data: Vec<u8>) -> bool {
        let is_over = |bytes: usize| bytes + data.len() > MAX_PAGE_BYTES;
        if self.request.backward {
            while is_over(self.bytes) {
                let Some((_, oldest)) = self.chunks.pop_front() else { break };
                self.bytes -= oldest.len();
            }
        } else if is_over(self.bytes) && !self.chunks.is_empty() {
            return false;
        }
        self.bytes += data.len();
        self.chunks.push_back((index, data));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::http::testing::{exit_entry, output_entry, run_key, stream_key};

    fn request() -> PageRequest {
        PageRequest {
            run: run_key("r"),
            stream: stream_key("n"),
            after: -1,
            before: None,
            backward: false,
            kinds: Vec::new(),
            limit: 100,
        }
    }

    fn page(request: PageRequest, entries: Vec<Entry>) -> (Value, i64, Position, bool) {
        let through = entries.last().map_or(Seq(0), |entry| entry.seq);
        let items = entries.into_iter().map(|entry| Item::Entry(Arc::new(entry))).collect();
        let mut page = ChunkPage::new(request, Position::default());
        let full =
            page.push_stretch(&Stretch { items, through, tail: through, source: Source::Log });
        let (end, position) = page.end();
        (serde_json::from_slice(&page.finish()).expect("JSON"), end, position, full)
    }

    fn indices(page: &Value) -> Vec<i64> {
        let chunks = page["chunks"].as_array().expect("a list").iter();
        chunks.map(|chunk| chunk["chunkIndex"].as_i64().expect("a number")).collect()
    }

    // Chunks 0 to 3 of node n between those of another node, then the exit.
    fn history() -> Vec<Entry> {
        let mut entries = Vec::new();
        for index in 0..4 {
            entries.push(output_entry(index * 2 + 1, "other", index, b"y"));
            entries.push(output_entry(index * 2 + 2, "n", index, b"x"));
        }
        entries.push(exit_entry(9, "n", 4, true));
        entries
    }

    #[test]
    fn a_page_has_what_was_asked_for() {
        let (whole, end, position, full) = page(request(), history());
        assert_eq!(indices(&whole), [0, 1, 2, 3, 4]);
        assert_eq!((end, full), (4, false));
        assert_eq!(position, Position { through: Seq(9), ended: Some(true) });
        assert_eq!(whole["complete"], true);
        assert_eq!(whole["nextAfterChunk"], 4);
        assert_eq!((&whole["firstChunkIndex"], &whole["lastChunkIndex"]), (&json!(0), &json!(4)));
        assert_eq!(whole["chunks"][0]["payload"], "eA==");

        let (limited, end, position, full) = page(PageRequest { limit: 2, ..request() }, history());
        assert_eq!((indices(&limited), end, full), (vec![0, 1], 1, true));
        assert_eq!(position, Position { through: Seq(4), ended: None });
        assert_eq!(limited["complete"], false);

        let rest = PageRequest { after: 1, before: Some(3), ..request() };
        assert_eq!(indices(&page(rest, history()).0), [2]);
        let exits = PageRequest { kinds: vec!["exit"], ..request() };
        let (exits, end, ..) = page(exits, history());
        assert_eq!((indices(&exits), end), (vec![4], 4));
    }

    #[test]
    fn a_page_after_the_end_is_empty_and_complete() {
        let (empty, end, position, _) = page(PageRequest { after: 4, ..request() }, history());
        assert_eq!((indices(&empty), end, position.ended), (vec![], 4, Some(true)));
        assert_eq!(empty["complete"], true);
        assert!(empty["firstChunkIndex"].is_null());
    }

    #[test]
    fn a_lost_end_is_not_complete() {
        let entries = vec![output_entry(1, "n", 0, b"x"), exit_entry(2, "n", 1, false)];
        assert_eq!(page(request(), entries).0["complete"], false);
    }

    #[test]
    fn pages_stay_small_and_join_where_they_must() {
        let big = vec![b'x'; 900 * 1024];
        let entries =
            || (0..5).map(|index| output_entry(index + 1, "n", index, &big)).collect::<Vec<_>>();
        let (forward, end, _, full) = page(request(), entries());
        assert_eq!((indices(&forward), end, full), (vec![0, 1, 2], 2, true));
        let backward = PageRequest { before: Some(5), backward: true, ..request() };
        assert_eq!(indices(&page(backward, entries()).0), [2, 3, 4]);
        // One chunk that is larger than a page is still served.
        let huge = vec![b'x'; 5 * 1024 * 1024];
        assert_eq!(indices(&page(request(), vec![output_entry(1, "n", 0, &huge)]).0), [0]);
    }
}
