//! What a run's `meta` says: who writes, where the copy begins and ends, and which streams it has.

use std::collections::BTreeMap;

use bytes::Bytes;
use deadpool_redis::redis::Value;
use runcast_actors::ids::{ChunkIndex, Seq, StreamKey};
use runcast_actors::ports::{LogError, Tail};

use super::keys::{EVENTS_FIELD, stream_of};

/// The hash `meta` of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) seq: Seq,
    pub(super) trimmed: Seq,
    /// The highest memory cost of an entry so far, in bytes.
    pub(super) largest: usize,
    pub(super) streams: Vec<KnownStream>,
}

/// A stream that `meta` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KnownStream {
    /// Its field in `meta`.
    pub(super) field: String,
    /// Of which terminal it is; none if it holds the events.
    pub(super) stream: Option<StreamKey>,
    pub(super) last_seq: Seq,
    pub(super) last_index: ChunkIndex,
}

impl Meta {
    /// Reads names and values by turns; none if there are none.
    pub(super) fn parse(fields: &[Value]) -> Result<Option<Self>, LogError> {
        if fields.is_empty() {
            return Ok(None);
        }
        let mut meta = Self::default();
        for pair in fields.chunks(2) {
            let [name, value] = pair else { return Err(corrupt("meta", "an odd number of words")) };
            let (name, value) = (text(name)?, text(value)?);
            match name {
                "seq" => meta.seq = Seq(number(name, value)?),
                "trimmed" => meta.trimmed = Seq(number(name, value)?),
                "largest" => meta.largest = number(name, value)?,
                _ => meta.streams.extend(KnownStream::parse(name, value)?),
            }
        }
        Ok(Some(meta))
    }

    /// Where the copy ends, with the last chunk of each stream.
    pub(super) fn tail(&self) -> Tail {
        let chunks = self.streams.iter().filter_map(|known| {
            let stream = known.stream.clone()?;
            Some((stream, known.last_index))
        });
        Tail { seq: self.seq, trimmed: self.trimmed, streams: chunks.collect::<BTreeMap<_, _>>() }
    }
}

impl KnownStream {
    fn parse(field: &str, value: &str) -> Result<Option<Self>, LogError> {
        let stream = stream_of(field);
        if stream.is_none() && field != EVENTS_FIELD {
            return Ok(None);
        }
        let (index, seq) = value.split_once(' ').unwrap_or(("0", value));
        Ok(Some(Self {
            field: field.to_owned(),
            stream,
            last_seq: Seq(number(field, seq)?),
            last_index: ChunkIndex(number(field, index)?),
        }))
    }
}

/// What the server gave is not what was written.
pub(super) fn corrupt(what: &str, why: impl std::fmt::Display) -> LogError {
    LogError::Corrupt(format!("{what}: {why}"))
}

/// A word of an answer as text.
pub(super) fn text(value: &Value) -> Result<&str, LogError> {
    let text = match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text.as_str()),
        _ => None,
    };
    text.ok_or_else(|| corrupt("an answer", "no text where one should be"))
}

/// A number that travelled as text.
pub(super) fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, LogError> {
    text.parse().map_err(|_| corrupt(name, format_args!("`{text}` is no number")))
}

/// The members of an array; none for the answer that nothing is there.
pub(super) fn array(value: Value) -> Result<Vec<Value>, LogError> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        Value::ServerError(error) => {
            Err(LogError::Unavailable(super::condition::describe(&error.into())))
        }
        _ => Err(corrupt("an answer", "no array where one should be")),
    }
}

/// A word of an answer as it is.
pub(super) fn bytes(value: Value) -> Result<Bytes, LogError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        _ => Err(corrupt("an answer", "no bytes where some should be")),
    }
}
