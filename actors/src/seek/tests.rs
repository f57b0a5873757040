//! Seeks against one who was there from the beginning.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::archive::Archive;
use crate::entry::{Chunk, ChunkKind, Exit, ProcessEnd, RunnerKind, StreamTotals, TerminalSize};
use crate::ids::{Epoch, StreamName};
use crate::kernel::ArbiterPool;
use crate::moment::Timestamp;
use crate::ports::{ObjectKey, RunLog as _};
use crate::screen::{KeyframeList, LineCollector, Painting};
use crate::testing::log_memory::{MemoryLog, run_key};
use crate::testing::objects_memory::MemoryObjects;
use crate::testing::store_memory::MemoryStore;

const SIZE: TerminalSize = TerminalSize { cols: 80, rows: 24 };
const LONG: Duration = Duration::from_secs(120);

struct World {
    run: RunKey,
    log: Arc<MemoryLog>,
    objects: Arc<MemoryObjects>,
    history: History,
    arbiters: Arc<ArbiterPool>,
    entries: Vec<Arc<Entry>>,
}

impl World {
    async fn new() -> Self {
        let (run, log) = (run_key("run-1"), Arc::new(MemoryLog::new()));
        let (store, objects) = (Arc::new(MemoryStore::new()), Arc::new(MemoryObjects::new()));
        log.fence(&run, Epoch(0)).await.expect("a new run");
        let archive = Archive::new(objects.clone(), store.clone(), 1024 * 1024);
        let history = History::new(log.clone(), None, store, Arc::new(archive));
        let arbiters = Arc::new(ArbiterPool::new(1, "test").expect("a thread"));
        Self { run, log, objects, history, arbiters, entries: Vec::new() }
    }

    /// A chunk every 40 ms.
    async fn tell(&mut self, stream: &StreamKey, kind: ChunkKind) {
        let index = self.chunks(stream).count() as u64;
        let number = self.entries.len() as u64 + 1;
        let chunk = Chunk {
            node_ref: stream.node_ref.clone(),
            stream: stream.stream,
            index: ChunkIndex(index),
            kind,
            recorded_at: Timestamp(0),
            delta_us: 40_001,
            at_us: number * 40_001,
            origin: "here".into(),
            runner_kind: RunnerKind::Local,
        };
        let entry = Arc::new(Entry { seq: Seq(number), body: Body::Terminal(chunk) });
        self.log.append(&self.run, Epoch(0), vec![entry.clone()]).await.expect("the log is up");
        self.entries.push(entry);
    }

    fn chunks<'a>(&'a self, stream: &'a StreamKey) -> impl Iterator<Item = (Seq, &'a Chunk)> {
        self.entries.iter().filter_map(move |entry| match &entry.body {
            Body::Terminal(chunk) if chunk.stream_key() == *stream => Some((entry.seq, chunk)),
            _ => None,
        })
    }

    fn library(&self) -> Arc<KeyframeLibrary> {
        KeyframeLibrary::new(self.history.clone(), self.arbiters.clone())
    }

    fn seeker(&self, library: &Arc<KeyframeLibrary>) -> Arc<Seeker> {
        Seeker::new(self.history.clone(), library.clone())
    }

    /// What the terminal repainted after each chunk that is asked for; none before the first chunk.
    fn repaints(&self, stream: &StreamKey, wanted: &[u64]) -> Vec<(Vec<u8>, Seq, u64)> {
        let mut terminal = VirtualTerminal::new(SIZE);
        let mut repaints = Vec::new();
        for (seq, chunk) in self.chunks(stream) {
            match &chunk.kind {
                ChunkKind::Output(bytes) => terminal.feed(bytes),
                ChunkKind::Resize(size) => terminal.resize(*size),
                _ => {}
            }
            if wanted.contains(&chunk.index.0) {
                repaints.push((terminal.repaint(), seq, chunk.at_us));
            }
        }
        repaints
    }

    /// The lines of streams in the order in which they end, with the chunk that ends each.
    fn lines(&self, streams: &[StreamKey]) -> Vec<(StreamName, String, Seq)> {
        let mut collectors: Vec<LineCollector> = streams
            .iter()
            .map(|key| match key.stream {
                StreamName::Pty => LineCollector::terminal(SIZE),
                _ => LineCollector::pipe(),
            })
            .collect();
        let mut all = Vec::new();
        for entry in &self.entries {
            let Body::Terminal(chunk) = &entry.body else { continue };
            let Some(place) = streams.iter().position(|key| *key == chunk.stream_key()) else {
                continue;
            };
            let each = |line: &str| all.push((chunk.stream, line.to_owned(), entry.seq));
            match &chunk.kind {
                ChunkKind::Output(bytes) => collectors[place].feed_each(bytes, each),
                ChunkKind::Resize(size) => collectors[place].resize_each(*size, each),
                ChunkKind::Exit(_) => {
                    collectors[place].rest_each(each);
                }
                _ => {}
            }
        }
        all
    }
}

fn stream(name: &str, stream: StreamName) -> StreamKey {
    StreamKey { node_ref: name.parse().expect("a name"), stream }
}

fn exit() -> ChunkKind {
    let totals = StreamTotals {
        chunks: 0,
        bytes: 0,
        sha256: String::new(),
        complete: true,
        truncated: false,
    };
    ChunkKind::Exit(Exit { end: ProcessEnd::Code(0), totals })
}

fn output(bytes: Vec<u8>) -> ChunkKind {
    ChunkKind::Output(Bytes::from(bytes))
}

/// Real full-screen programs between log lines, cut anywhere.
fn show(random: &mut StdRng, bytes: usize) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/casts");
    let casts: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("the folder of casts")
        .map(|file| std::fs::read(file.expect("a file").path()).expect("a cast"))
        .collect();
    let mut shown = Vec::new();
    while shown.len() < bytes {
        shown.extend(&casts[random.random_range(0..casts.len())]);
        for _ in 0..random.random_range(0..400) {
            let (number, level) = (random.random_range(0..1_000_000), random.random_range(31..37));
            shown.extend(format!("\x1b[{level}mstep\x1b[0m {number} is done, 世界\r\n").bytes());
        }
    }
    shown
}

/// A terminal with a few MiB, resized now and then, and a second, quieter one beside it.
async fn two_terminals(world: &mut World, has_ended: bool) -> (StreamKey, StreamKey) {
    let mut random = StdRng::seed_from_u64(7);
    let (loud, quiet) = (stream("loud", StreamName::Pty), stream("quiet", StreamName::Pty));
    world.tell(&loud, ChunkKind::Resize(SIZE)).await;
    world.tell(&quiet, ChunkKind::Resize(SIZE)).await;
    let shown = show(&mut random, 2 * 1024 * 1024 + 300_000);
    let mut rest = &shown[..];
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(random.random_range(1..24_000)));
        rest = after;
        world.tell(&loud, output(chunk.to_vec())).await;
        match random.random_range(0..20) {
            0 => {
                let (cols, rows) = (random.random_range(20..160), random.random_range(5..50));
                world.tell(&loud, ChunkKind::Resize(TerminalSize { cols, rows })).await;
            }
            1 => world.tell(&loud, ChunkKind::Marker("here".into())).await,
            2 => world.tell(&quiet, output(b"a quiet line\r\nand half".to_vec())).await,
            _ => {}
        }
    }
    if has_ended {
        world.tell(&loud, exit()).await;
        world.tell(&quiet, exit()).await;
    }
    (loud, quiet)
}

async fn assert_seeks(world: &World, seeker: &Seeker, stream: &StreamKey, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let count = world.chunks(stream).count() as u64;
    let mut wanted: Vec<u64> = (0..12).map(|_| random.random_range(0..count)).collect();
    wanted.extend([0, count - 1]);
    wanted.sort_unstable();
    wanted.dedup();
    let repaints = world.repaints(stream, &wanted);
    for (index, (repaint, seq, at_us)) in wanted.iter().zip(&repaints) {
        let by_chunk = At::Chunk(ChunkIndex(*index));
        for at in [by_chunk, At::Time(*at_us), At::Time(at_us + 5)] {
            let found = seeker.screen_at(&world.run, stream, at).await.expect("it answers");
            let found = found.expect("a terminal");
            assert_eq!((found.seq, found.at_us), (*seq, *at_us), "{at:?}");
            assert_eq!(found.chunk_index, Some(ChunkIndex(*index)));
            assert!(found.terminal.repaint() == *repaint, "another screen at chunk {index}");
        }
    }
    let last = repaints.last().expect("the last chunk");
    for at in [At::Now, At::Chunk(ChunkIndex(u64::MAX)), At::Time(u64::MAX)] {
        let now = seeker.screen_at(&world.run, stream, at).await.expect("it answers");
        let now = now.expect("a terminal");
        assert_eq!((now.seq, now.at_us), (last.1, last.2));
        assert!(now.terminal.repaint() == last.0);
    }
    let first = seeker.screen_at(&world.run, stream, At::Time(1)).await.expect("it answers");
    let first = first.expect("a terminal");
    assert_eq!((first.chunk_index, first.terminal.size()), (None, SIZE));
    assert_eq!(first.terminal.text(), "");
}

async fn stored(world: &World, stream: &StreamKey) -> ObjectKey {
    let key = ObjectKey::keyframes(&world.run, stream);
    tokio::time::timeout(LONG, async {
        while !world.objects.keys().contains(&key) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the keyframes are stored");
    key
}

#[tokio::test]
async fn p5_a_seek_anywhere_shows_what_feeding_everything_shows() {
    let mut world = World::new().await;
    let (loud, quiet) = two_terminals(&mut world, true).await;
    let library = world.library();
    let seeker = world.seeker(&library);
    // Nothing is known yet; then all keyframes are; then they come from the archive.
    assert_seeks(&world, &seeker, &loud, 1).await;
    let list = library.whole_list(&world.run, &loud, LONG).await.expect("up").expect("chunks");
    assert!(list.frames().len() >= 4, "{} keyframes", list.frames().len());
    assert!(list.is_end(list.last()));
    assert_seeks(&world, &seeker, &loud, 2).await;
    assert_seeks(&world, &seeker, &quiet, 3).await;
    let key = stored(&world, &loud).await;
    let again = world.library();
    let loaded = again.list(&world.run, &loud).await.expect("up").expect("chunks");
    assert_eq!(loaded.frames(), list.frames());
    assert!(!again.is_computing(&world.run, &loud));
    assert_seeks(&world, &world.seeker(&again), &loud, 4).await;
    // Damaged ones are computed and stored again.
    assert!(world.objects.truncate(&key, 100));
    let damaged = world.library();
    assert_seeks(&world, &world.seeker(&damaged), &loud, 5).await;
    let list = damaged.whole_list(&world.run, &loud, LONG).await.expect("up").expect("chunks");
    assert_eq!(list.frames(), loaded.frames());
    tokio::time::timeout(LONG, async {
        while world.library().list(&world.run, &loud).await.expect("up").expect("chunks").frames()
            != list.frames()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("they are stored again");
    assert!(
        seeker
            .screen_at(&world.run, &stream("other", StreamName::Pty), At::Now)
            .await
            .expect("up")
            .is_none()
    );
}

async fn assert_lines(world: &World, seeker: &Seeker, streams: &[StreamKey], has_ended: bool) {
    let all = world.lines(streams);
    let mut random = StdRng::seed_from_u64(3);
    let count = all.len();
    let mut places: Vec<usize> = (0..10).map(|_| random.random_range(0..count)).collect();
    places.extend([0, count - 1, count, count + 7]);
    for first in places {
        let limit = random.random_range(1..300);
        let from = LinesFrom::Line(first as u64);
        let page = seeker.lines(&world.run, streams, from, limit).await.expect("it answers");
        let expected = &all[first.min(count)..(first + limit).min(count)];
        assert_eq!(page.lines.len(), expected.len(), "from {first}, {limit}");
        for (place, (found, expected)) in page.lines.iter().zip(expected).enumerate() {
            assert_eq!(found.line, (first + place) as u64);
            assert_eq!(
                (found.stream, &found.text, found.seq),
                (expected.0, &expected.1, expected.2)
            );
        }
        assert_eq!(page.next_from, (first + expected.len()) as u64);
        if has_ended {
            assert_eq!(page.total, Some(count as u64));
        }
    }
    let tail = seeker.lines(&world.run, streams, LinesFrom::Tail, 20).await.expect("it answers");
    let texts: Vec<&String> = tail.lines.iter().map(|line| &line.text).collect();
    let expected: Vec<&String> =
        all[count.saturating_sub(20)..].iter().map(|line| &line.1).collect();
    assert_eq!(texts, expected);
    assert_eq!((tail.next_from, tail.total), (count as u64, Some(count as u64)));
}

async fn hits(search: &mut Search) -> Vec<LineAt> {
    let mut found = Vec::new();
    while let Some(hits) = search.next().await.expect("it goes on") {
        found.extend(hits);
    }
    found
}

#[tokio::test]
async fn lines_of_a_terminal_are_found_by_number_from_the_end_and_by_their_text() {
    for has_ended in [true, false] {
        let mut world = World::new().await;
        let (loud, _) = two_terminals(&mut world, has_ended).await;
        let library = world.library();
        let seeker = world.seeker(&library);
        let streams = [loud];
        library.whole_list(&world.run, &streams[0], LONG).await.expect("up");
        assert_lines(&world, &seeker, &streams, has_ended).await;

        let all = world.lines(&streams);
        let is_hit = |text: &str| text.contains("7 is done") && text.starts_with("step 1");
        let expected: Vec<usize> = (0..all.len()).filter(|line| is_hit(&all[*line].1)).collect();
        assert!(expected.len() > 20);
        let pattern = Pattern::regex("^step 1.*7 is done").expect("a pattern");
        let (run, from) = (&world.run, 5);
        let mut search =
            seeker.search(run, &streams, pattern.clone(), from, 1000).await.expect("room");
        let found: Vec<usize> = hits(&mut search)
            .await
            .iter()
            .map(|hit| usize::try_from(hit.line).expect("small"))
            .collect();
        let later: Vec<usize> = expected.iter().copied().filter(|line| *line >= 5).collect();
        assert_eq!(found, later);
        assert_eq!(search.end(), (all.len() as u64, Some(all.len() as u64)));

        let mut search = seeker.search(run, &streams, pattern, 0, 3).await.expect("room");
        let found = hits(&mut search).await;
        assert_eq!(found.len(), 3);
        assert_eq!(search.end().0, found[2].line + 1);
        let text = Pattern::text("(世").expect("a text is no pattern");
        let mut search = seeker.search(run, &streams, text, 0, 3).await.expect("room");
        assert!(hits(&mut search).await.is_empty());
    }
    assert!(Pattern::regex("a{1000}{1000}").is_err(), "a pattern has a bound");
}

#[tokio::test]
async fn searches_whose_clients_do_not_read_keep_no_other_waiting() {
    let mut world = World::new().await;
    let streams = [stream("a", StreamName::Stdout)];
    for _ in 0..100 {
        world.tell(&streams[0], output(b"one\ntwo\n".repeat(1000))).await;
    }
    let seeker = world.seeker(&world.library());
    let begin = async |limit: usize| {
        let pattern = Pattern::text("two").expect("a text");
        seeker.search(&world.run, &streams, pattern, 0, limit).await.expect("there is room")
    };
    let mut open = Vec::new();
    for _ in 0..2 * BEGINNING_SEARCHES {
        let mut search = begin(1000).await;
        assert!(search.next().await.expect("it goes on").is_some());
        open.push(search);
    }
    assert_eq!(hits(&mut begin(5).await).await.len(), 5);
    assert_eq!(seeker.searches.available_permits(), SEARCHES);
}

#[tokio::test]
async fn lines_of_two_pipes_are_interleaved_as_they_ended() {
    for (has_ended, is_lonely) in [(true, false), (false, false), (true, true)] {
        let mut world = World::new().await;
        let mut random = StdRng::seed_from_u64(5);
        let streams = [stream("n", StreamName::Stdout), stream("n", StreamName::Stderr)];
        for number in 0..600 {
            let is_error = if is_lonely { number < 2 } else { random.random_range(0..4) == 0 };
            let mut text = Vec::new();
            for line in 0..random.random_range(1..120) {
                text.extend(format!("{number} {line} {}\n", "word ".repeat(10)).bytes());
            }
            text.extend(b"unfinished ");
            world.tell(&streams[usize::from(is_error)], output(text)).await;
        }
        if has_ended {
            world.tell(&streams[1], exit()).await;
            world.tell(&streams[0], exit()).await;
        }
        let library = world.library();
        let seeker = world.seeker(&library);
        assert_lines(&world, &seeker, &streams, false).await;
        for key in &streams {
            library.whole_list(&world.run, key, LONG).await.expect("up");
        }
        let list = library.list(&world.run, &streams[0]).await.expect("up").expect("chunks");
        assert!(list.frames().len() >= 2, "{}", list.frames().len());
        assert_lines(&world, &seeker, &streams, has_ended).await;
    }
}

#[tokio::test]
async fn screens_go_on_after_a_restart_from_their_last_keyframes() {
    let mut world = World::new().await;
    two_terminals(&mut world, true).await;
    let items: Vec<Item> = world.entries.iter().cloned().map(Item::Entry).collect();
    let mut whole = Painting::default();
    whole.absorb(&items, Seq(items.len() as u64));
    let shown = |painting: &Painting| {
        let streams = painting.streams().into_iter();
        streams
            .map(|stream| (stream.key, stream.screen, stream.keyframes.extent()))
            .collect::<Vec<_>>()
    };
    for cut in [1, 2, items.len() / 3, items.len() * 2 / 3, items.len() - 1, items.len()] {
        let mut before = Painting::default();
        before.absorb(&items[..cut], Seq(cut as u64));
        let followed = FollowedKeyframes::default();
        followed.note(before.seq(), before.changed());
        let (seq, keyframes) = followed.known();
        let mut resumed = Painting::resume(seq, &keyframes);
        let from = usize::try_from(resumed.seq().0).expect("small");
        assert!(from <= cut);
        let since: u64 = keyframes
            .values()
            .map(|list: &KeyframeList| list.extent().bytes - list.last().bytes)
            .sum();
        assert!(since <= 4 * 1024 * 1024, "it begins not far before");
        resumed.absorb(&items[from..], Seq(items.len() as u64));
        assert_eq!(shown(&resumed), shown(&whole), "cut at {cut}");
    }
}
