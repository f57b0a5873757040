//! A batch as calls of the script that appends it.

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_redis::redis::Cmd;
use runcast_actors::entry::{Body, Entry};
use runcast_actors::ids::{Epoch, Seq};
use runcast_actors::ports::ReplicaBatch;

use super::fields::encode;
use super::keys::{EVENTS_FIELD, RunKeys, stream_field};
use super::scripts::{APPEND, call};

/// The memory cost of the entries of one call; while it runs, the server does nothing else.
const CALL_BYTES: usize = 256 * 1024;
/// Entries of one call, which bounds the words that Lua has to hold at once.
const CALL_ENTRIES: usize = 512;

/// What the server needs for an entry, in bytes, at most: the allocation that holds it, which jemalloc rounds by up
/// to a quarter, and its place in the stream.
pub(super) fn cost(entry: &Entry) -> u64 {
    const PLACE_BYTES: u64 = 512;
    let bytes = entry.memory_cost() as u64;
    // Small ones share an allocation and a place.
    bytes + bytes / 4 + PLACE_BYTES.min(bytes / 4)
}

/// The calls for a batch, in order; each begins where the one before ends. A batch without entries is one
/// call: it asks whether the copy is still there.
pub(super) fn calls(keys: &RunKeys, epoch: Epoch, life_ms: u64, batch: &ReplicaBatch) -> Vec<Cmd> {
    let mut calls = Vec::new();
    let mut after = batch.after;
    for entries in pieces(&batch.entries) {
        let piece = Piece { after, recorded: batch.recorded, entries };
        calls.push(piece.call(keys, epoch, life_ms));
        after = entries.last().map_or(after, |entry| entry.seq);
    }
    calls
}

fn pieces(entries: &[Arc<Entry>]) -> Vec<&[Arc<Entry>]> {
    let mut pieces = Vec::new();
    let (mut start, mut cost) = (0, 0);
    for (place, entry) in entries.iter().enumerate() {
        cost += entry.memory_cost();
        if place > start && (cost > CALL_BYTES || place - start >= CALL_ENTRIES) {
            pieces.push(&entries[start..place]);
            (start, cost) = (place, entry.memory_cost());
        }
    }
    pieces.push(&entries[start..]);
    pieces
}

struct Piece<'a> {
    after: Seq,
    recorded: Seq,
    entries: &'a [Arc<Entry>],
}

/// The streams of a piece, each with its field in `meta` and what that says after the piece.
#[derive(Default)]
struct Streams {
    places: HashMap<String, usize>,
    told: Vec<(String, String)>,
}

impl Streams {
    /// Notes an entry; gives the place of its stream, from 1.
    fn note(&mut self, entry: &Entry) -> usize {
        let (field, value) = match &entry.body {
            Body::Terminal(chunk) => {
                (stream_field(&chunk.stream_key()), format!("{} {}", chunk.index, entry.seq))
            }
            Body::Status(_) | Body::Trace(_) => (EVENTS_FIELD.to_owned(), entry.seq.to_string()),
        };
        if let Some(place) = self.places.get(&field) {
            self.told[place - 1].1 = value;
            return *place;
        }
        self.told.push((field.clone(), value));
        self.places.insert(field, self.told.len());
        self.told.len()
    }
}

impl Piece<'_> {
    fn call(&self, keys: &RunKeys, epoch: Epoch, life_ms: u64) -> Cmd {
        let mut streams = Streams::default();
        let places: Vec<usize> = self.entries.iter().map(|entry| streams.note(entry)).collect();
        let largest = self.entries.iter().map(|entry| entry.memory_cost()).max().unwrap_or(0);
        let mut names = vec![keys.meta()];
        names.extend(streams.told.iter().map(|(field, _)| keys.stream(field)));
        let mut call = call(&APPEND, &names);
        call.arg(keys.tag()).arg(keys.tail_channel()).arg(life_ms);
        call.arg(epoch.0).arg(self.after.0).arg(self.recorded.0).arg(largest);
        for (field, value) in streams.told {
            call.arg(field).arg(value);
        }
        for (entry, place) in self.entries.iter().zip(places) {
            let words = encode(entry);
            call.arg(place).arg(entry.seq.0).arg(words.len());
            for word in &words {
                call.arg(word.as_ref());
            }
        }
        call
    }
}
