//! Pages of lines, and search.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::reader::LineReader;
use super::{SeekError, Seeker, room};
use crate::ids::{RunKey, Seq, StreamKey, StreamName};
use crate::screen::KeyframeList;

/// The text of one page, about, in bytes.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// How long the last lines wait for the end of the stream to be known.
const TAIL_PATIENCE: Duration = Duration::from_secs(20);
/// A search says that it goes on after so much silence.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);
/// A compiled pattern, and what its search may remember, in bytes.
const PATTERN_BYTES: usize = 1024 * 1024;

/// A line of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineAt {
    /// Its number, from 0.
    pub line: u64,
    /// Where it was written.
    pub stream: StreamName,
    /// What it says.
    pub text: String,
    /// The chunk that ended it.
    pub seq: Seq,
    /// The place of that chunk on the time axis, in microseconds.
    pub at_us: u64,
}

/// Some lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinePage {
    /// The lines.
    pub lines: Vec<LineAt>,
    /// From where to go on.
    pub next_from: u64,
    /// How many lines there are; none while that is being computed.
    pub total: Option<u64>,
}

/// What a search looks for.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// A text as it is.
    pub fn text(text: &str) -> Result<Self, regex::Error> {
        Self::regex(&regex::escape(text))
    }

    /// A regular expression; the error says what is wrong with it.
    pub fn regex(pattern: &str) -> Result<Self, regex::Error> {
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().map(Self)
    }
}

/// The beginning of a page of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesFrom {
    /// From this line on.
    Line(u64),
    /// The last lines.
    Tail,
}

impl Seeker {
    /// At most `limit` lines of these streams, interleaved, about 4 MiB of text.
    pub async fn lines(
        &self,
        run: &RunKey,
        streams: &[StreamKey],
        from: LinesFrom,
        limit: usize,
    ) -> Result<LinePage, SeekError> {
        let lists = self.lists(run, streams, from == LinesFrom::Tail).await?;
        let _room = room(&self.seeks).await?;
        let known = self.known_total(run, &lists);
        let first = match from {
            LinesFrom::Line(line) => line,
            LinesFrom::Tail => known.ok_or(SeekError::Computing)?.saturating_sub(limit as u64),
        };
        let history = self.history.clone();
        let mut reader = LineReader::new(history, run.clone(), lists, first).await?;
        let mut page = VecDeque::new();
        let mut bytes = 0;
        let mut is_full = false;
        while !is_full && let Some(lines) = reader.next(move |line, _| line >= first).await? {
            for line in lines {
                let cost = line.text.len();
                let is_over = !page.is_empty() && bytes + cost > PAGE_BYTES;
                if is_over && from != LinesFrom::Tail {
                    is_full = true;
                    break;
                }
                bytes += cost;
                page.push_back(line);
                // Whether there are more is known without computing them.
                is_full = page.len() == limit && from != LinesFrom::Tail;
                if is_full {
                    break;
                }
                while page.len() > limit || (page.len() > 1 && bytes > PAGE_BYTES) {
                    bytes -= page.pop_front().map_or(0, |oldest: LineAt| oldest.text.len());
                }
            }
        }
        let next_from = page.back().map_or(first, |last: &LineAt| last.line + 1);
        let total = if is_full {
            known.map(|known| known.max(next_from))
        } else {
            Some(reader.next_line())
        };
        Ok(LinePage { lines: page.into(), next_from, total })
    }

    /// Looks through the lines of these streams, interleaved, from some line on, for at most `limit` hits. A
    /// search has a turn only while it computes: one whose client does not read keeps no other waiting.
    pub async fn search(
        &self,
        run: &RunKey,
        streams: &[StreamKey],
        pattern: Pattern,
        from: u64,
        limit: usize,
    ) -> Result<Search, SeekError> {
        let _place = self.beginning_searches.try_acquire().map_err(|_| SeekError::Busy)?;
        drop(room(&self.searches).await?);
        let lists = self.lists(run, streams, false).await?;
        let known_total = self.known_total(run, &lists);
        let history = self.history.clone();
        let reader = LineReader::new(history, run.clone(), lists, from).await?;
        Ok(Search {
            reader,
            searches: Arc::clone(&self.searches),
            pattern,
            from,
            left: limit,
            is_over: false,
            known_total,
        })
    }

    async fn lists(
        &self,
        run: &RunKey,
        streams: &[StreamKey],
        whole: bool,
    ) -> Result<Vec<(StreamKey, KeyframeList)>, SeekError> {
        let mut lists = Vec::new();
        for key in streams {
            let list = if whole {
                self.library.whole_list(run, key, TAIL_PATIENCE).await?
            } else {
                self.library.list(run, key).await?
            };
            lists.extend(list.map(|list| (key.clone(), list)));
        }
        Ok(lists)
    }

    /// How many lines there are, as far as is known without computing.
    fn known_total(&self, run: &RunKey, lists: &[(StreamKey, KeyframeList)]) -> Option<u64> {
        let is_known = |(key, list): &(StreamKey, KeyframeList)| {
            list.extent().has_ended || !self.library.is_computing(run, key)
        };
        lists.iter().all(is_known).then(|| lists.iter().map(|(_, list)| list.extent().lines).sum())
    }
}

/// A search under way. Dropped, it stops.
pub struct Search {
    reader: LineReader,
    searches: Arc<Semaphore>,
    pattern: Pattern,
    from: u64,
    left: usize,
    is_over: bool,
    known_total: Option<u64>,
}

impl Search {
    /// The next hits, none of them if there was none for a while; at the end none at all.
    pub async fn next(&mut self) -> Result<Option<Vec<LineAt>>, SeekError> {
        let pause = Instant::now() + SEARCH_PAUSE;
        while !self.is_over {
            let _turn = self.searches.acquire().await.map_err(|_| SeekError::Busy)?;
            let (from, pattern) = (self.from, self.pattern.0.clone());
            let wanted = move |line: u64, text: &str| line >= from && pattern.is_match(text);
            let Some(mut hits) = self.reader.next(wanted).await? else {
                self.is_over = true;
                self.known_total = Some(self.reader.next_line());
                self.from = self.from.max(self.reader.next_line());
                break;
            };
            if hits.len() >= self.left {
                hits.truncate(self.left);
                self.is_over = true;
                self.from = hits.last().map_or(self.from, |last| last.line + 1);
            }
            self.left -= hits.len();
            if !hits.is_empty() || Instant::now() >= pause {
                return Ok(Some(hits));
            }
        }
        Ok(None)
    }

    /// From where to go on, and how many lines there are as far as that is known. After the end.
    pub fn end(&self) -> (u64, Option<u64>) {
        (self.from, self.known_total.map(|total| total.max(self.from)))
    }
}
