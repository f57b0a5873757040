//! Pages of a run: windows of `seq` over all its streams, put in one order.
//!
//! Numbers are dense within an epoch, so a window that lacks some was written to, trimmed or emptied
//! meanwhile: then `meta` is read again. What is missing even so is left out, and never in the middle of a
//! page: a page is without holes behind its first entry.

use std::sync::Arc;

use deadpool_redis::redis::{Pipeline, Value};
use runcast_actors::entry::Entry;
use runcast_actors::ids::{RunKey, Seq};
use runcast_actors::ports::{LogError, Page};

use super::connections::Connections;
use super::fields::{Field, decode_chunk, decode_event};
use super::keys::RunKeys;
use super::meta::{KnownStream, Meta, array, bytes, corrupt, number, text};

/// Entries of one window, at most.
const MAX_WINDOW: u64 = 4096;
/// How much wider than the last a window may be; entries may be larger from there on.
const WINDOW_GROWTH: u64 = 4;
/// How many times the limit a window may cost, if entries become as large as the largest there was.
const MAX_EXCESS: usize = 4;
/// How often `meta` is read again while it changes under a page that begins with a hole.
const MAX_TRIES: u32 = 5;

/// The hash `meta` of a run; none if the server holds nothing of it.
pub(super) async fn meta(
    connections: &Connections,
    keys: &RunKeys,
) -> Result<Option<Meta>, LogError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("HGETALL").arg(keys.meta());
    let answer = connections.read(&pipeline).await?.pop().unwrap_or_default();
    Meta::parse(&array(answer)?)
}

/// A page as [`runcast_actors::ports::RunReader::read`] gives it.
pub(super) async fn read(
    connections: &Connections,
    run: &RunKey,
    after: Seq,
    limit: usize,
) -> Result<Page, LogError> {
    let keys = RunKeys::new(run);
    if after >= Seq::MAX {
        return ends(connections, &keys).await;
    }
    let Some(mut known) = meta(connections, &keys).await? else { return Ok(Page::default()) };
    let mut tries = 1;
    loop {
        let mut page = PageReader::new(connections, &keys, &known, after, limit);
        let hole = page.fill().await?;
        if hole.is_none() || tries == MAX_TRIES {
            return Ok(page.page);
        }
        let Some(newer) = meta(connections, &keys).await? else { return Ok(Page::default()) };
        if newer == known {
            return Ok(page.page);
        }
        known = newer;
        tries += 1;
    }
}

/// The page that holds no entries.
async fn ends(connections: &Connections, keys: &RunKeys) -> Result<Page, LogError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("HMGET").arg(keys.meta()).arg(&["seq", "trimmed"]);
    let ends = array(connections.read(&pipeline).await?.pop().unwrap_or_default())?;
    match ends.as_slice() {
        [Value::Nil, _] => Ok(Page::default()),
        [tail, trimmed] => Ok(Page {
            entries: Vec::new(),
            trimmed: Seq(number("trimmed", text(trimmed)?)?),
            tail: Seq(number("seq", text(tail)?)?),
        }),
        _ => Err(corrupt("meta", "two fields were asked for")),
    }
}

struct PageReader<'a> {
    connections: &'a Connections,
    keys: &'a RunKeys,
    meta: &'a Meta,
    page: Page,
    cursor: Seq,
    cost: usize,
    limit: usize,
}

/// Something is missing at the beginning of the page.
struct Hole;

impl<'a> PageReader<'a> {
    fn new(
        connections: &'a Connections,
        keys: &'a RunKeys,
        meta: &'a Meta,
        after: Seq,
        limit: usize,
    ) -> Self {
        let page = Page { entries: Vec::new(), trimmed: meta.trimmed, tail: meta.seq };
        let cursor = after.max(meta.trimmed);
        Self { connections, keys, meta, page, cursor, cost: 0, limit }
    }

    /// Reads windows until the page is full, or the run has no more.
    async fn fill(&mut self) -> Result<Option<Hole>, LogError> {
        let mut hole = None;
        // The first window costs at most the limit, whatever the entries are.
        let mut window = self.fitting(self.meta.largest.max(1)).clamp(1, MAX_WINDOW);
        while self.cursor < self.page.tail {
            let end = Seq(self.cursor.0 + window).min(self.page.tail);
            let entries = self.range(end, window).await?;
            if self.push_dense(entries) {
                return Ok(hole);
            }
            if self.cursor < end {
                // The epoch has ended, or something is missing.
                let Some(next) = self.next_there_is().await? else {
                    return Ok(hole.or_else(|| self.page.entries.is_empty().then_some(Hole)));
                };
                let is_next_epoch = next.number() == 1 && next.epoch() > self.cursor.epoch();
                if !is_next_epoch && next != self.cursor.next() {
                    if !self.page.entries.is_empty() {
                        return Ok(None);
                    }
                    hole = Some(Hole);
                }
                self.cursor = Seq(next.0 - 1);
            }
            if self.cost >= self.limit && !self.page.entries.is_empty() {
                return Ok(hole);
            }
            let average = self.cost.checked_div(self.page.entries.len()).unwrap_or(1).max(1);
            let expected = self.fitting(average).clamp(1, window * WINDOW_GROWTH);
            window = expected.min(self.most()).min(MAX_WINDOW);
        }
        Ok(hole)
    }

    /// How many entries cost at most a few times the limit, if all that come are like the largest there was.
    fn most(&self) -> u64 {
        (self.limit.saturating_mul(MAX_EXCESS) / self.meta.largest.max(1)).max(1) as u64
    }

    /// How many entries of this cost there is still room for.
    fn fitting(&self, cost: usize) -> u64 {
        (self.limit.saturating_sub(self.cost) / cost) as u64
    }

    /// Adds what follows without a hole; true when the page is full.
    fn push_dense(&mut self, entries: Vec<Entry>) -> bool {
        for entry in entries {
            if entry.seq != self.cursor.next() {
                return false;
            }
            self.cost += entry.memory_cost();
            if self.cost > self.limit && !self.page.entries.is_empty() {
                return true;
            }
            self.cursor = entry.seq;
            self.page.entries.push(Arc::new(entry));
        }
        false
    }

    /// The streams that may hold entries after the cursor.
    fn streams(&self) -> impl Iterator<Item = &'a KnownStream> + use<'a> {
        let cursor = self.cursor;
        self.meta.streams.iter().filter(move |known| known.last_seq > cursor)
    }

    async fn ask(&self, end: Seq, count: u64) -> Result<Vec<Value>, LogError> {
        let mut pipeline = Pipeline::new();
        for known in self.streams() {
            pipeline.cmd("XRANGE").arg(self.keys.stream(&known.field));
            pipeline.arg(format!("{}-0", self.cursor.next())).arg(format!("{end}-0"));
            pipeline.arg("COUNT").arg(count);
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        self.connections.read(&pipeline).await
    }

    /// The entries after the cursor through `end`, in order.
    async fn range(&self, end: Seq, count: u64) -> Result<Vec<Entry>, LogError> {
        let answers = self.ask(end, count).await?;
        let mut entries = Vec::new();
        for (known, answer) in self.streams().zip(answers) {
            for value in array(answer)? {
                entries.push(entry(known, value)?);
            }
        }
        entries.sort_unstable_by_key(|entry| entry.seq);
        Ok(entries)
    }

    /// The first entry that the server has after the cursor.
    async fn next_there_is(&self) -> Result<Option<Seq>, LogError> {
        let answers = self.ask(self.page.tail, 1).await?;
        let mut next: Option<Seq> = None;
        for answer in answers {
            if let Some(value) = array(answer)?.pop() {
                let (seq, _) = seq_and_fields(value)?;
                next = Some(next.map_or(seq, |next| next.min(seq)));
            }
        }
        Ok(next)
    }
}

fn seq_and_fields(value: Value) -> Result<(Seq, Value), LogError> {
    let mut parts = array(value)?.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else {
        return Err(corrupt("a stream", "an entry has an id and fields"));
    };
    let id = text(&id)?;
    let seq = id.split_once('-').map_or(id, |(seq, _)| seq);
    Ok((Seq(number("the id of an entry", seq)?), fields))
}

fn entry(known: &KnownStream, value: Value) -> Result<Entry, LogError> {
    let (seq, fields) = seq_and_fields(value)?;
    let mut words = array(fields)?.into_iter();
    let mut fields: Vec<Field> = Vec::with_capacity(words.len() / 2);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    let decoded = match &known.stream {
        Some(stream) => decode_chunk(seq, stream, &fields),
        None => decode_event(seq, &fields),
    };
    decoded.map_err(|error| corrupt(&format!("entry {seq} of {}", known.field), error))
}
