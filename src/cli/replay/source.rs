//! Where a replay comes from: the service, or a file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runcast_actors::cast::{CastEvent, CastItem, CastReader};
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::{NodeRef, RunId, Seq, StreamName};
use runcast_actors::run_view::{NodeView, RunView, TerminalMode};
use runcast_actors::screen::VirtualTerminal;
use serde::Deserialize;

use crate::cli::cast_file::CastFile;
use crate::cli::client::ApiClient;
use crate::cli::event_feed::{EventFeed, FeedItem};
use crate::cli::follow::gap_text;

/// One thing of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Played {
    /// Its place on the time axis.
    pub(super) at: Duration,
    /// What it is.
    pub(super) what: What,
}

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Bytes for the terminal.
    Output(Vec<u8>),
    /// Something to tell beside them.
    Note(String),
}

/// A recording that is read as it is played.
pub(super) enum Source {
    Server(Box<ServerSource>),
    File(Box<FileSource>),
}

impl Source {
    /// The next thing; none after the last. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Played>> {
        match self {
            Self::Server(server) => server.next().await,
            Self::File(file) => file.next(),
        }
    }

    /// The size of the terminal at the beginning; none for what had no terminal.
    pub(super) fn size(&self) -> Option<TerminalSize> {
        match self {
            Self::Server(server) => {
                let terminal = server.node.terminal;
                (terminal.mode == TerminalMode::Pty).then(|| terminal.size())
            }
            Self::File(file) => Some(file.size),
        }
    }

    /// Goes to a time, and gives what shows the screen of that moment.
    pub(super) async fn seek(&mut self, at: Duration) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Server(server) => server.seek(at).await,
            Self::File(file) => file.seek(at),
        }
    }
}

/// The chunks of a node, as its stream sends them: exact bytes, and a lost connection is taken up again.
pub(super) struct ServerSource {
    client: ApiClient,
    run: RunId,
    node: NodeView,
    only: Option<StreamName>,
    feed: Option<EventFeed>,
    last_seq: Seq,
    /// Nothing before it is played.
    from: Duration,
    at: Duration,
    is_shown: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChunkData {
    seq: Seq,
    stream: StreamName,
    kind: String,
    #[serde(default)]
    payload: Option<String>,
    at_ms: f64,
}

#[derive(Deserialize)]
struct ScreenData {
    seq: Seq,
    payload: String,
}

impl ServerSource {
    /// A node of a run; without a name the only one it has. `is_shown`: on a terminal.
    pub(super) async fn open(
        client: ApiClient,
        run: RunId,
        node_ref: Option<NodeRef>,
        only: Option<StreamName>,
        is_shown: bool,
    ) -> anyhow::Result<Self> {
        let view: RunView = client.get(&format!("/runs/{run}"), &[]).await?;
        let nodes = view.nodes.unwrap_or_default();
        let names: Vec<&str> = nodes.iter().map(|node| node.node_ref.as_str()).collect();
        let names = names.join(", ");
        let node = match &node_ref {
            Some(node_ref) => nodes.into_iter().find(|node| node.node_ref == *node_ref),
            None if nodes.len() == 1 => nodes.into_iter().next(),
            None => bail!("{run} has several nodes; name one: {names}"),
        };
        let node = node.with_context(|| format!("{run} has no such node; it has {names}"))?;
        if let Some(only) = only
            && !node.terminal.mode.streams().contains(&only)
        {
            bail!("{only} is no stream of {}", node.node_ref);
        }
        Ok(Self {
            client,
            run,
            node,
            only,
            feed: None,
            last_seq: Seq::START,
            from: Duration::ZERO,
            at: Duration::ZERO,
            is_shown,
        })
    }

    async fn seek(&mut self, at: Duration) -> anyhow::Result<Vec<u8>> {
        self.from = at;
        if self.node.terminal.mode == TerminalMode::Pipe {
            // It has no screen; what was written before is left out.
            return Ok(Vec::new());
        }
        let path = format!("/runs/{}/terminal/{}/screen", self.run, self.node.node_ref);
        let query = [("atMs", at.as_millis().to_string()), ("format", "json".to_owned())];
        let screen: ScreenData = self.client.get(&path, &query).await?;
        self.last_seq = screen.seq;
        STANDARD.decode(&screen.payload).context("the screen")
    }

    async fn next(&mut self) -> anyhow::Result<Option<Played>> {
        loop {
            let feed = self.feed.get_or_insert_with(|| {
                let path = format!("/runs/{}/terminal/{}/stream", self.run, self.node.node_ref);
                let query =
                    vec![("types", "terminal".to_owned()), ("after", self.last_seq.to_string())];
                EventFeed::new(self.client.clone(), path, query)
            });
            let event = match feed.next().await? {
                None => return Ok(None),
                Some(FeedItem::Interrupted(reason)) => {
                    return Ok(Some(self.note(format!("connection lost, trying again: {reason}"))));
                }
                Some(FeedItem::Event(event)) => event,
            };
            if event.name == "gap" {
                return Ok(Some(self.note(gap_text(&event.data))));
            }
            if event.name != "terminal" {
                continue;
            }
            let chunk: ChunkData =
                serde_json::from_str(&event.data).context("a `terminal` event")?;
            if let Some(played) = self.play(&chunk)? {
                return Ok(Some(played));
            }
        }
    }

    fn play(&mut self, chunk: &ChunkData) -> anyhow::Result<Option<Played>> {
        let is_known = chunk.seq <= self.last_seq;
        if is_known || self.only.is_some_and(|only| only != chunk.stream) {
            return Ok(None);
        }
        self.last_seq = chunk.seq;
        self.at = Duration::try_from_secs_f64(chunk.at_ms / 1000.0).context("a time")?;
        if self.at < self.from {
            return Ok(None);
        }
        match (chunk.kind.as_str(), &chunk.payload) {
            ("output", Some(payload)) => {
                let bytes = STANDARD.decode(payload).context("a `terminal` event")?;
                let bytes = if self.is_shown { shown(chunk.stream, bytes) } else { bytes };
                Ok(Some(Played { at: self.at, what: What::Output(bytes) }))
            }
            ("gap", _) => Ok(Some(self.note("output is missing here".to_owned()))),
            _ => Ok(None),
        }
    }

    fn note(&self, text: String) -> Played {
        Played { at: self.at, what: What::Note(text) }
    }
}

/// The bytes of a stream as a terminal shows them without a staircase; standard error is red.
fn shown(stream: StreamName, bytes: Vec<u8>) -> Vec<u8> {
    if stream == StreamName::Pty {
        return bytes;
    }
    let mut shown = Vec::with_capacity(bytes.len() + bytes.len() / 16 + 16);
    if stream == StreamName::Stderr {
        shown.extend_from_slice(b"\x1b[31m");
    }
    for byte in bytes {
        if byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(byte);
    }
    if stream == StreamName::Stderr {
        shown.extend_from_slice(b"\x1b[39m");
    }
    shown
}

/// An asciicast file, read line by line.
pub(super) struct FileSource {
    file: CastFile,
    reader: CastReader,
    size: TerminalSize,
    /// The first event after a seek.
    waiting: Option<Played>,
}

impl FileSource {
    /// Opens a file of version 2 or 3.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = CastFile::open(path)?;
        let mut reader = CastReader::new();
        loop {
            let Some(line) = file.next_line()? else {
                reader.finish().with_context(|| file.name().to_owned())?;
                bail!("{} is empty", file.name());
            };
            let item = reader.push_line(line);
            if let Some(CastItem::Header(header)) = item.with_context(|| file.name().to_owned())? {
                return Ok(Self { file, reader, size: header.size, waiting: None });
            }
        }
    }

    fn next(&mut self) -> anyhow::Result<Option<Played>> {
        if let Some(played) = self.waiting.take() {
            return Ok(Some(played));
        }
        while let Some(event) = self.event()? {
            if event.code == "o" {
                let at = Duration::from_micros(event.at_us);
                return Ok(Some(Played { at, what: What::Output(event.data.into_bytes()) }));
            }
        }
        Ok(None)
    }

    fn event(&mut self) -> anyhow::Result<Option<CastEvent>> {
        while let Some(line) = self.file.next_line()? {
            let item = self.reader.push_line(line);
            if let Some(CastItem::Event(event)) =
                item.with_context(|| self.file.name().to_owned())?
            {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn seek(&mut self, at: Duration) -> anyhow::Result<Vec<u8>> {
        let mut terminal = VirtualTerminal::new(self.size);
        while let Some(event) = self.event()? {
            let is_later = Duration::from_micros(event.at_us) > at;
            match event.code.as_str() {
                "o" if is_later => {
                    let at = Duration::from_micros(event.at_us);
                    let what = What::Output(event.data.into_bytes());
                    self.waiting = Some(Played { at, what });
                    break;
                }
                "o" => terminal.feed(event.data.as_bytes()),
                "r" => {
                    if let Some(size) = parse_size(&event.data) {
                        terminal.resize(size);
                    }
                }
                _ => {}
            }
        }
        Ok(terminal.repaint())
    }
}

/// A size as files tell it: `COLSxROWS`.
fn parse_size(text: &str) -> Option<TerminalSize> {
    let (cols, rows) = text.split_once('x')?;
    Some(TerminalSize { cols: cols.parse().ok()?, rows: rows.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, FileSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cast");
        std::fs::write(&path, text).unwrap();
        let source = FileSource::open(&path).unwrap();
        (folder, source)
    }

    const V2: &str = "{\"version\":2,\"width\":20,\"height\":3}\n[0.5,\"o\",\"one\\r\\n\"]\n\
        [1.0,\"r\",\"30x4\"]\n[1.5,\"o\",\"\\u001b[31mtwo\"]\n[9.0,\"o\",\"three\"]\n";

    #[test]
    fn a_file_gives_its_output_in_time() {
        let (_folder, mut source) = file(V2);
        let mut played = Vec::new();
        while let Some(Played { at, what: What::Output(bytes) }) = source.next().unwrap() {
            played.push((at.as_millis(), String::from_utf8(bytes).unwrap()));
        }
        let texts = ["one\r\n", "\u{1b}[31mtwo", "three"];
        let expected: Vec<(u128, String)> =
            [500, 1500, 9000].into_iter().zip(texts.map(str::to_owned)).collect();
        assert_eq!(played, expected);
    }

    #[test]
    fn a_seek_gives_the_screen_and_what_follows() {
        let (_folder, mut source) = file(V2);
        let repaint = source.seek(Duration::from_secs(2)).unwrap();
        let mut terminal = VirtualTerminal::new(TerminalSize { cols: 30, rows: 4 });
        terminal.feed(&repaint);
        assert_eq!(terminal.text(), "one\ntwo");
        let Some(Played { at, what: What::Output(bytes) }) = source.next().unwrap() else {
            panic!("output follows");
        };
        terminal.feed(&bytes);
        assert_eq!((at, terminal.text().as_str()), (Duration::from_secs(9), "one\ntwothree"));
        assert!(terminal.ansi_text().contains("31mtwothree"), "still red");
        assert_eq!(source.next().unwrap(), None);
    }

    #[test]
    fn pipes_draw_no_staircase() {
        assert_eq!(shown(StreamName::Stdout, b"a\nb".to_vec()), b"a\r\nb");
        assert_eq!(shown(StreamName::Stderr, b"a\n".to_vec()), b"\x1b[31ma\r\n\x1b[39m");
        assert_eq!(shown(StreamName::Pty, b"a\nb".to_vec()), b"a\nb");
    }
}
