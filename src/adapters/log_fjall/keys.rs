//! The keys of the store: `tenant NUL run NUL` and then, for an entry, its `seq` in big endian.
//!
//! Names never contain NUL, so no run's prefix is the beginning of another's.

use runcast_actors::ids::{ChunkIndex, Epoch, RunKey, Seq, StreamKey};
use runcast_actors::ports::Tail;

const STREAM_MARK: u8 = b's';
const HEAD_MARK: u8 = b'h';
const HEAD_LEN: usize = 20;

/// What all keys of a run begin with.
pub(super) fn prefix(run: &RunKey) -> Vec<u8> {
    let mut key = Vec::with_capacity(run.tenant.as_str().len() + run.run.as_str().len() + 10);
    key.extend_from_slice(run.tenant.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(run.run.as_str().as_bytes());
    key.push(0);
    key
}

/// The key of an entry.
pub(super) fn entry(run: &RunKey, seq: Seq) -> Vec<u8> {
    let mut key = prefix(run);
    key.extend_from_slice(&seq.0.to_be_bytes());
    key
}

/// The `seq` in the key of an entry.
pub(super) fn seq(key: &[u8]) -> Option<Seq> {
    key.last_chunk().map(|bytes| Seq(u64::from_be_bytes(*bytes)))
}

/// The key of a run's head.
pub(super) fn head(run: &RunKey) -> Vec<u8> {
    let mut key = prefix(run);
    key.push(HEAD_MARK);
    key
}

/// The run whose head this key names; none if it is another key.
pub(super) fn parse_head(key: &[u8]) -> Option<RunKey> {
    let text = std::str::from_utf8(key.strip_suffix(&[0, HEAD_MARK])?).ok()?;
    let (tenant, run) = text.split_once('\0')?;
    Some(RunKey { tenant: tenant.parse().ok()?, run: run.parse().ok()? })
}

/// The key of a stream's last index.
pub(super) fn stream(run: &RunKey, stream: &StreamKey) -> Vec<u8> {
    let mut key = prefix(run);
    key.push(STREAM_MARK);
    key.extend_from_slice(stream.stream.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(stream.node_ref.as_str().as_bytes());
    key
}

/// The stream in what follows the prefix of its key; none if it is the head or no such key.
pub(super) fn parse_stream(rest: &[u8]) -> Option<StreamKey> {
    let text = std::str::from_utf8(rest.strip_prefix(&[STREAM_MARK])?).ok()?;
    let (stream, node_ref) = text.split_once('\0')?;
    Some(StreamKey { node_ref: node_ref.parse().ok()?, stream: stream.parse().ok()? })
}

/// The value of a run's head: epoch, last entry, trim mark.
pub(super) fn encode_head(epoch: Epoch, tail: &Tail) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD_LEN);
    value.extend_from_slice(&epoch.0.to_be_bytes());
    value.extend_from_slice(&tail.seq.0.to_be_bytes());
    value.extend_from_slice(&tail.trimmed.0.to_be_bytes());
    value
}

/// What [`encode_head`] wrote: epoch, last entry, trim mark.
pub(super) fn decode_head(value: &[u8]) -> Option<(Epoch, Seq, Seq)> {
    let (epoch, rest) = value.split_first_chunk::<4>()?;
    let (seq, trimmed) = rest.split_first_chunk::<8>()?;
    let trimmed: [u8; 8] = trimmed.try_into().ok()?;
    Some((
        Epoch(u32::from_be_bytes(*epoch)),
        Seq(u64::from_be_bytes(*seq)),
        Seq(u64::from_be_bytes(trimmed)),
    ))
}

/// The value of a stream's last index.
pub(super) fn encode_index(index: ChunkIndex) -> [u8; 8] {
    index.0.to_be_bytes()
}

/// What [`encode_index`] wrote.
pub(super) fn decode_index(value: &[u8]) -> Option<ChunkIndex> {
    value.try_into().ok().map(|bytes| ChunkIndex(u64::from_be_bytes(bytes)))
}
