//! A viewer of a run: reads the stream, takes the events apart and checks them.
//!
//! It shares the machine with the service, so it does no more than a client must: it finds the events,
//! compares their ids, decodes the payloads and hashes them (inside the measured time).

use std::collections::HashMap;
use std::io::{BufRead as _, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::chunked::Chunked;
use crate::http;
use crate::text::hex;

/// The fastest decoder there is, as a browser has it.
static BASE64: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
/// What one read takes.
const READ_BYTES: usize = 256 * 1024;
/// The number of an entry within its epoch.
const NUMBER_MASK: u64 = 0xffff_ffff;
/// Everything but the payload of an event fits into this.
const HEAD_BYTES: usize = 600;

/// Opens a stream: the connection behind the head of the answer, and what came with it.
pub(crate) fn connect(address: SocketAddr, path: &str) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    let answer = http::ask(address, path)?;
    ensure!(answer.length.is_none(), "the stream is not chunked");
    Ok((answer.connection, answer.received))
}

/// A connected viewer.
pub(crate) struct Viewer {
    connection: TcpStream,
    buffer: Vec<u8>,
    chunked: Chunked,
    events: Events,
}

impl Viewer {
    /// Connects; `query` stands behind the path of the run's stream.
    pub(crate) fn connect(address: SocketAddr, run: &str, query: &str) -> anyhow::Result<Self> {
        let (connection, rest) = connect(address, &format!("/runs/{run}/stream{query}"))?;
        let mut viewer = Self {
            connection,
            buffer: vec![0; READ_BYTES],
            chunked: Chunked::default(),
            events: Events::default(),
        };
        viewer.take(&rest)?;
        Ok(viewer)
    }

    /// Gives each decoded payload to `tap` too.
    pub(crate) fn tap(&mut self, tap: impl FnMut(&[u8]) + Send + 'static) {
        self.events.tap = Some(Box::new(tap));
    }

    /// Reads until what was seen is as wanted; false if the stream ended before.
    pub(crate) fn read_until(&mut self, wanted: impl Fn(&Events) -> bool) -> anyhow::Result<bool> {
        loop {
            if wanted(&self.events) {
                return Ok(true);
            }
            let count = self.connection.read(&mut self.buffer).context("the stream is silent")?;
            if count == 0 || self.chunked.has_ended() {
                return Ok(wanted(&self.events));
            }
            let buffer = std::mem::take(&mut self.buffer);
            let taken = self.take(&buffer[..count]);
            self.buffer = buffer;
            taken?;
        }
    }

    /// Reads to the end of the stream, which must be `done`.
    pub(crate) fn read_to_done(mut self) -> anyhow::Result<Events> {
        ensure!(
            self.read_until(|events| events.done.is_some())?,
            "the stream ended without `done`"
        );
        Ok(self.events)
    }

    /// What was seen so far.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let events = &mut self.events;
        let mut result = Ok(());
        self.chunked.feed(bytes, |part| {
            if result.is_ok() {
                result = events.feed(part);
            }
        })?;
        result
    }
}

/// Is given every payload.
type Tap = Box<dyn FnMut(&[u8]) + Send>;

/// What a viewer has seen.
#[derive(Default)]
pub(crate) struct Events {
    /// Events with an id.
    pub(crate) count: u64,
    /// The id of the last event.
    pub(crate) last_id: Option<u64>,
    /// Gap events.
    pub(crate) gaps: u64,
    /// `live` has come.
    pub(crate) live: bool,
    /// When the first `snapshot` came.
    pub(crate) snapshot_at: Option<Instant>,
    /// When the last `exit` came: everything is here.
    pub(crate) exit_at: Option<Instant>,
    /// The data of `done`.
    pub(crate) done: Option<Value>,
    /// Bytes of the body without the events of this connection alone.
    pub(crate) shared_bytes: u64,
    /// Payload bytes of all streams.
    pub(crate) payload_bytes: u64,
    streams: HashMap<Vec<u8>, Stream>,
    tap: Option<Tap>,
    buffer: Vec<u8>,
    /// How much of the buffer was looked through for the end of a line.
    searched: usize,
    decoded: Vec<u8>,
}

#[derive(Default)]
struct Stream {
    chunks: u64,
    bytes: u64,
    hash: Sha256,
    totals: Option<Value>,
}

impl Events {
    fn feed(&mut self, part: &[u8]) -> anyhow::Result<()> {
        self.shared_bytes += part.len() as u64;
        if self.buffer.is_empty() {
            // Most events arrive whole, and are taken from where they were received.
            let taken = self.take_whole(part)?;
            self.buffer.extend_from_slice(&part[taken..]);
            return Ok(());
        }
        self.buffer.extend_from_slice(part);
        let mut buffer = std::mem::take(&mut self.buffer);
        let taken = self.take_whole(&buffer)?;
        buffer.drain(..taken);
        self.buffer = buffer;
        Ok(())
    }

    /// Takes every event that is whole; how many bytes they are.
    fn take_whole(&mut self, bytes: &[u8]) -> anyhow::Result<usize> {
        let mut start = 0;
        // Ends with an empty line; data is one line, so the search jumps over the payload.
        while let Some(end) = self.event_end(bytes, start) {
            self.event(&bytes[start..end])?;
            start = end;
        }
        self.searched = self.searched.saturating_sub(start);
        Ok(start)
    }

    /// The place behind the empty line that ends the event which begins at `start`.
    fn event_end(&mut self, buffer: &[u8], start: usize) -> Option<usize> {
        let mut place = self.searched.max(start);
        loop {
            let line_end = place + find(&buffer[place..], b'\n')?;
            match buffer.get(line_end + 1) {
                Some(b'\n') => {
                    self.searched = line_end + 2;
                    return Some(line_end + 2);
                }
                Some(_) => place = line_end + 1,
                None => return None,
            }
            self.searched = place;
        }
    }

    fn event(&mut self, text: &[u8]) -> anyhow::Result<()> {
        let mut id = None;
        let mut name: &[u8] = b"";
        let mut data: &[u8] = b"";
        let mut rest = text;
        while let Some(end) = find(rest, b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if let Some(value) = line.strip_prefix(b"id: ") {
                id = Some(std::str::from_utf8(value)?.parse().context("an id")?);
            } else if let Some(value) = line.strip_prefix(b"event: ") {
                name = value;
            } else if let Some(value) = line.strip_prefix(b"data: ") {
                data = value;
                break;
            }
        }
        if let Some(id) = id {
            self.follow(id, name)?;
        } else if !name.is_empty() {
            self.shared_bytes -= text.len() as u64;
        }
        match name {
            b"terminal" => self.terminal(data)?,
            b"live" => self.live = true,
            b"snapshot" => self.snapshot_at = self.snapshot_at.or(Some(Instant::now())),
            b"gap" => self.gaps += 1,
            b"done" => self.done = Some(serde_json::from_slice(data)?),
            b"error" => bail!("the stream says {}", String::from_utf8_lossy(data)),
            _ => {}
        }
        Ok(())
    }

    fn follow(&mut self, id: u64, name: &[u8]) -> anyhow::Result<()> {
        let is_next = match self.last_id {
            // `done` repeats the id of the last entry; so may what only moves the cursor.
            Some(last) if name == b"done" || name.is_empty() => id >= last,
            Some(last) if id & !NUMBER_MASK == last & !NUMBER_MASK => id == last + 1,
            // A later owner begins again; what went before is told as a gap if it is missing.
            Some(last) => id > last && (id & NUMBER_MASK == 1 || name == b"gap"),
            None => name.is_empty() || id & NUMBER_MASK == 1,
        };
        ensure!(is_next, "event {id} came after {:?}", self.last_id);
        self.last_id = Some(id);
        self.count += 1;
        Ok(())
    }

    fn terminal(&mut self, data: &[u8]) -> anyhow::Result<()> {
        const PAYLOAD: &[u8] = br#""kind":"output","payload":""#;
        let head = &data[..data.len().min(HEAD_BYTES)];
        let Some(kind) = position(head, PAYLOAD) else { return self.rare(data) };
        let key = stream_key(head).context("an output without a stream")?;
        let index = member(head, br#""chunkIndex":"#).context("an output without an index")?;
        let payload = &data[kind + PAYLOAD.len()..];
        let end = find(payload, b'"').context("a payload without an end")?;
        self.decoded.clear();
        BASE64.decode_vec(&payload[..end], &mut self.decoded)?;
        if !self.streams.contains_key(key) {
            self.streams.insert(key.to_vec(), Stream::default());
        }
        let stream = self.streams.get_mut(key).context("the stream")?;
        // Those who join late see an index above 0 first.
        let expected = if stream.chunks == 0 { index } else { stream.chunks };
        ensure!(index == expected, "chunk {index} came where {expected} was next");
        stream.chunks = index + 1;
        stream.bytes += self.decoded.len() as u64;
        stream.hash.update(&self.decoded);
        self.payload_bytes += self.decoded.len() as u64;
        if let Some(tap) = &mut self.tap {
            tap(&self.decoded);
        }
        Ok(())
    }

    /// A terminal event without output: a size, a marker, the end.
    fn rare(&mut self, data: &[u8]) -> anyhow::Result<()> {
        let key = stream_key(data).context("an event without a stream")?.to_vec();
        let event: Value = serde_json::from_slice(data)?;
        let stream = self.streams.entry(key).or_default();
        stream.chunks = event["chunkIndex"].as_u64().context("an event without an index")? + 1;
        if event["kind"] == "exit" {
            stream.totals = Some(event["final"].clone());
            self.exit_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Compares every stream with its `final` and with `done`; how many streams there were.
    pub(crate) fn check(&self) -> anyhow::Result<usize> {
        ensure!(self.gaps == 0, "{} gaps", self.gaps);
        let done = self.done.as_ref().context("no `done`")?;
        ensure!(done["finalSeq"].as_u64() == self.last_id, "`done` is not the end: {done}");
        for stream in self.streams.values() {
            let totals = stream.totals.as_ref().context("a stream without an end")?;
            let sha256 = hex(&stream.hash.clone().finalize());
            ensure!(
                totals["sha256"] == sha256
                    && totals["bytes"] == stream.bytes
                    && totals["chunks"] == stream.chunks,
                "{} chunks, {} bytes, {sha256} were seen; `final` says {totals}",
                stream.chunks,
                stream.bytes,
            );
            let streams = done["streams"].as_array().context("`done` without streams")?;
            ensure!(
                streams.iter().any(|told| told["sha256"] == sha256),
                "`done` does not know a stream: {done}"
            );
        }
        Ok(self.streams.len())
    }

    /// Bytes and SHA-256 of the only stream, after [`Events::check`].
    pub(crate) fn only_stream(&self) -> anyhow::Result<(u64, String)> {
        let mut streams = self.streams.values();
        let stream = streams.next().context("no stream")?;
        ensure!(streams.next().is_none(), "more than one stream");
        Ok((stream.bytes, hex(&stream.hash.clone().finalize())))
    }
}

/// The first place of a byte; with the search of the C library, which looks at 32 bytes at once.
fn find(mut bytes: &[u8], wanted: u8) -> Option<usize> {
    let whole = bytes;
    let skipped = bytes.skip_until(wanted).ok()?;
    (skipped > 0 && whole[skipped - 1] == wanted).then(|| skipped - 1)
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The members `nodeRef` and `stream`, as they stand there side by side.
fn stream_key(head: &[u8]) -> Option<&[u8]> {
    let start = position(head, br#""nodeRef":"#)?;
    let end = start + position(&head[start..], br#","chunkIndex""#)?;
    Some(&head[start..end])
}

fn member(head: &[u8], name: &[u8]) -> Option<u64> {
    let digits = &head[position(head, name)? + name.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Raises the limit of open files of this process.
pub(crate) fn allow_open_files(wanted: u64) -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let limit = Rlimit { current: Some(wanted), maximum: limit.maximum };
        setrlimit(Resource::Nofile, limit).context("there may not be enough open files")?;
    }
    Ok(())
}
