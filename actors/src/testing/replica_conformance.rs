//! What every replica has to do, as one suite that a replica's tests run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::entry::{Body, Entry, TerminalSize};
use crate::ids::{Epoch, RunKey, Seq, StreamKey, StreamName};
use crate::ports::{
    Annotation, LogError, OwnerCommand, Page, Replica, ReplicaBatch, ReplicaScreens, Tail,
};
use crate::testing::arbitrary::any_entry;
use crate::testing::log_memory::{chunk_entry, run_key};
use crate::testing::store_conformance::{ended, stored_run};

const FOLLOWED_ENTRIES: u32 = 10_000;
const DEADLINE: Duration = Duration::from_secs(60);
const SHORT_LIFE: Duration = Duration::from_secs(2);
const NO_LIMIT: usize = usize::MAX;
const OWNER: Epoch = Epoch(0);

/// Runs the whole suite, each part on a replica of its own, or on runs of its own of the same. Panics with
/// what is wrong.
pub async fn conformance<Made>(make: impl Fn() -> Made)
where
    Made: Future<Output = Arc<dyn Replica>>,
{
    keeps_order_and_skips_repeats(&*make().await).await;
    keeps_every_member(&*make().await).await;
    says_where_it_ends(&*make().await).await;
    goes_on_after_what_is_recorded(&*make().await).await;
    knows_nothing_of_what_it_has_lost(&*make().await).await;
    fences(&*make().await).await;
    takes_out_what_the_log_has_not(&*make().await).await;
    pages_by_bytes(&*make().await).await;
    trims(&*make().await).await;
    expires(&*make().await).await;
    keeps_runs_apart(&*make().await).await;
    wakes_followers(make().await).await;
    keeps_screens(&*make().await).await;
    gives_commands_once(&*make().await).await;
    tells_of_queued_runs(&*make().await).await;
}

/// The chunks `numbers` of an epoch, each of 100 bytes, on one stream.
pub fn chunks(epoch: u32, numbers: std::ops::RangeInclusive<u32>) -> Vec<Arc<Entry>> {
    numbers.map(|n| chunk_entry(Seq::new(Epoch(epoch), n), u64::from(n) - 1, 100)).collect()
}

/// Entries that follow `after`, of which nothing is recorded.
pub fn batch(after: Seq, entries: Vec<Arc<Entry>>) -> ReplicaBatch {
    ReplicaBatch { after, recorded: Seq::START, entries }
}

fn first_chunks(numbers: std::ops::RangeInclusive<u32>) -> ReplicaBatch {
    batch(Seq(u64::from(numbers.start() - 1)), chunks(0, numbers))
}

async fn page(replica: &dyn Replica, run: &RunKey, after: Seq) -> Page {
    replica.read(run, after, NO_LIMIT).await.expect("the replica can be read")
}

async fn seqs(replica: &dyn Replica, run: &RunKey, after: Seq) -> Vec<u64> {
    page(replica, run, after).await.entries.iter().map(|entry| entry.seq.0).collect()
}

async fn owned(replica: &dyn Replica, name: &str) -> RunKey {
    let run = run_key(name);
    assert_eq!(replica.fence(&run, OWNER).await, Ok(Tail::default()), "nothing is known of it");
    run
}

async fn keeps_order_and_skips_repeats(replica: &dyn Replica) {
    let unknown = page(replica, &run_key("order"), Seq::START).await;
    assert_eq!((unknown.entries.len(), unknown.tail, unknown.trimmed), (0, Seq(0), Seq(0)));
    let run = owned(replica, "order").await;
    replica.append(&run, OWNER, first_chunks(1..=3)).await.expect("appended");
    replica.append(&run, OWNER, first_chunks(1..=3)).await.expect("a repeat changes nothing");
    replica.append(&run, OWNER, first_chunks(2..=5)).await.expect("an overlap is skipped");
    let all = page(replica, &run, Seq::START).await;
    assert_eq!(all.entries, chunks(0, 1..=5), "in order, once");
    assert_eq!((all.tail, all.trimmed), (Seq(5), Seq(0)));
    for after in 0..=6 {
        let expected: Vec<u64> = (after + 1..=5).collect();
        assert_eq!(seqs(replica, &run, Seq(after)).await, expected, "after {after}");
    }
    assert_eq!(seqs(replica, &run, Seq::MAX).await, [0; 0]);
}

/// Entries of every kind, of many nodes, in one order.
fn entries_of_every_kind(count: u64) -> Vec<Arc<Entry>> {
    let mut runner = TestRunner::deterministic();
    let stored = stored_run("members");
    let entry = |number: u64| {
        let seq = Seq(number);
        if number % 10 == 3 {
            return ended(seq, &stored);
        }
        let tree = any_entry().new_tree(&mut runner).expect("the strategy refuses nothing");
        let mut body = tree.current().body;
        if let Body::Terminal(chunk) = &mut body {
            let streams = [StreamName::Pty, StreamName::Stdout, StreamName::Stderr];
            chunk.stream = streams[(number % 3) as usize];
        }
        Arc::new(Entry { seq, body })
    };
    (1..=count).map(entry).collect()
}

async fn keeps_every_member(replica: &dyn Replica) {
    let run = owned(replica, "members").await;
    let entries = entries_of_every_kind(300);
    replica.append(&run, OWNER, batch(Seq(0), entries.clone())).await.expect("appended");
    for limit in [0, 5000, NO_LIMIT] {
        let mut read = Vec::new();
        while let Some(more) = next_page(replica, &run, read.last(), limit).await {
            read.extend(more);
        }
        assert_eq!(read, entries, "member for member, with pages of {limit} bytes");
    }
}

async fn next_page(
    replica: &dyn Replica,
    run: &RunKey,
    last: Option<&Arc<Entry>>,
    limit: usize,
) -> Option<Vec<Arc<Entry>>> {
    let after = last.map_or(Seq::START, |entry| entry.seq);
    let page = replica.read(run, after, limit).await.expect("the replica can be read");
    (!page.entries.is_empty()).then_some(page.entries)
}

async fn says_where_it_ends(replica: &dyn Replica) {
    let run = owned(replica, "holes").await;
    let behind = replica.append(&run, OWNER, first_chunks(2..=2)).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(0), first: Seq(2) }));
    replica.append(&run, OWNER, first_chunks(1..=2)).await.expect("appended");
    let behind = replica.append(&run, OWNER, first_chunks(4..=5)).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(2), first: Seq(4) }));
    let recorded = ReplicaBatch { recorded: Seq(2), ..first_chunks(4..=5) };
    let behind = replica.append(&run, OWNER, recorded).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(2), first: Seq(4) }), "3 is not recorded");
    let (fourth, second) = (Seq(4), Seq::new(Epoch(1), 1));
    let behind = replica.append(&run, Epoch(1), batch(fourth, chunks(1, 1..=1))).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(2), first: second }));
    assert_eq!(seqs(replica, &run, Seq(0)).await, [1, 2], "what was refused has changed nothing");
    replica.append(&run, OWNER, first_chunks(3..=4)).await.expect("what was missing");
    replica.append(&run, Epoch(1), batch(fourth, chunks(1, 1..=2))).await.expect("goes on");
    assert_eq!(seqs(replica, &run, Seq(3)).await, [4, second.0, second.0 + 1]);
    assert_eq!(seqs(replica, &run, Seq(9)).await, [second.0, second.0 + 1]);
}

async fn goes_on_after_what_is_recorded(replica: &dyn Replica) {
    let run = owned(replica, "recorded").await;
    let of = |recorded, batch| ReplicaBatch { recorded: Seq(recorded), ..batch };
    replica.append(&run, OWNER, of(7, first_chunks(6..=8))).await.expect("1 to 5 are recorded");
    let held = page(replica, &run, Seq(0)).await;
    assert_eq!((held.trimmed, held.tail, held.entries), (Seq(5), Seq(8), chunks(0, 6..=8)));
    replica.append(&run, OWNER, of(20, first_chunks(15..=16))).await.expect("9 to 14 are, too");
    let held = page(replica, &run, Seq(0)).await;
    assert_eq!((held.trimmed, held.tail, held.entries), (Seq(14), Seq(16), chunks(0, 15..=16)));
    let later = Seq::new(Epoch(2), 1);
    let batch = of(30, batch(Seq(30), chunks(2, 1..=1)));
    replica.append(&run, Epoch(2), batch).await.expect("the epochs between are recorded");
    let held = page(replica, &run, Seq(0)).await;
    assert_eq!((held.trimmed, held.tail), (Seq(30), later));
    assert_eq!(seqs(replica, &run, Seq(0)).await, [later.0]);
}

async fn knows_nothing_of_what_it_has_lost(replica: &dyn Replica) {
    let run = run_key("lost");
    let behind = |first| Err(LogError::Behind { tail: Seq(0), first: Seq(first) });
    assert_eq!(replica.append(&run, OWNER, first_chunks(1..=2)).await, behind(1), "no fence");
    replica.trim(&run, Seq(1)).await.expect("nothing to trim");
    replica.expire(&run, SHORT_LIFE).await.expect("nothing to expire");
    assert_eq!(page(replica, &run, Seq(0)).await.tail, Seq(0), "that has not made it known");

    replica.fence(&run, OWNER).await.expect("fenced");
    replica.append(&run, OWNER, first_chunks(1..=3000)).await.expect("appended");
    replica.remove(&run).await.expect("removed");
    replica.remove(&run).await.expect("what is not there is removed too");
    let held = page(replica, &run, Seq(0)).await;
    assert_eq!((held.entries.len(), held.tail, held.trimmed), (0, Seq(0), Seq(0)));
    let recorded = ReplicaBatch { recorded: Seq(3000), ..first_chunks(3001..=3001) };
    assert_eq!(replica.append(&run, OWNER, recorded.clone()).await, behind(3001));
    assert_eq!(replica.fence(&run, OWNER).await, Ok(Tail::default()), "as if it had never been");
    replica.append(&run, OWNER, recorded).await.expect("filled again with what is not recorded");
    assert_eq!(seqs(replica, &run, Seq(0)).await, [3001]);
}

async fn fences(replica: &dyn Replica) {
    let run = owned(replica, "fence").await;
    replica.append(&run, OWNER, first_chunks(1..=4)).await.expect("appended");
    let tail = replica.fence(&run, Epoch(2)).await.expect("fenced");
    assert_eq!((tail.seq, tail.trimmed), (Seq(4), Seq(0)));
    assert_eq!(replica.fence(&run, Epoch(2)).await, Ok(tail), "the same epoch again is fine");
    let mine = Epoch(1);
    let fenced = Err(LogError::Fenced { mine, current: Epoch(2) });
    assert_eq!(replica.append(&run, mine, batch(Seq(4), chunks(1, 1..=1))).await, fenced);
    assert_eq!(replica.fence(&run, mine).await.map(|_| ()), fenced);
    assert_eq!(replica.put_screens(&run, mine, Seq::START, one_screen()).await, fenced);
    assert_eq!(seqs(replica, &run, Seq(0)).await, [1, 2, 3, 4]);
    replica.append(&run, Epoch(3), batch(Seq(4), chunks(3, 1..=1))).await.expect("a later one");
    let fenced = Err(LogError::Fenced { mine: Epoch(2), current: Epoch(3) });
    assert_eq!(replica.append(&run, Epoch(2), batch(Seq(4), chunks(2, 1..=1))).await, fenced);
}

/// A machine that has crashed may have replicated what its disk has lost; the log goes on before that.
async fn takes_out_what_the_log_has_not(replica: &dyn Replica) {
    let run = owned(replica, "ahead").await;
    let mut entries = chunks(0, 1..=20);
    entries[18] = entries_of_every_kind(19)[18].clone();
    replica.append(&run, OWNER, batch(Seq(0), entries)).await.expect("appended");
    let first = Seq::new(Epoch(1), 1);
    let mut entries = chunks(0, 16..=17);
    entries.extend(chunks(1, 1..=2));
    replica.append(&run, Epoch(1), batch(Seq(15), entries)).await.expect("appended");
    assert_eq!(seqs(replica, &run, Seq(15)).await, [16, 17, first.0, first.0 + 1]);
    assert_eq!(seqs(replica, &run, Seq(19)).await, [first.0, first.0 + 1]);
    let second = Seq::new(Epoch(2), 1);
    replica.append(&run, Epoch(2), batch(first, chunks(2, 1..=1))).await.expect("appended");
    assert_eq!(seqs(replica, &run, Seq(16)).await, [17, first.0, second.0]);
}

async fn pages_by_bytes(replica: &dyn Replica) {
    let run = owned(replica, "pages").await;
    replica.append(&run, OWNER, first_chunks(1..=10)).await.expect("appended");
    let cost = chunks(0, 1..=1)[0].memory_cost();
    for (limit, expected) in [(0, 1), (cost, 1), (cost * 3, 3), (cost * 4 - 1, 3), (NO_LIMIT, 8)] {
        let page = replica.read(&run, Seq(2), limit).await.expect("read");
        assert_eq!((page.entries.len(), page.tail), (expected, Seq(10)), "limit {limit}");
        assert_eq!(page.entries[0].seq, Seq(3));
    }
}

async fn trims(replica: &dyn Replica) {
    let run = owned(replica, "trim").await;
    replica.append(&run, OWNER, first_chunks(1..=6)).await.expect("appended");
    replica.trim(&run, Seq(4)).await.expect("trimmed");
    replica.trim(&run, Seq(2)).await.expect("a lower mark changes nothing");
    let held = page(replica, &run, Seq(1)).await;
    assert_eq!((held.trimmed, held.tail), (Seq(4), Seq(6)));
    assert_eq!(seqs(replica, &run, Seq(1)).await, [5, 6], "begins at the trim mark");
    replica.append(&run, OWNER, first_chunks(1..=6)).await.expect("a repeat");
    assert_eq!(seqs(replica, &run, Seq(0)).await, [5, 6], "what was trimmed stays so");
    replica.trim(&run, Seq(6)).await.expect("trimmed to the tail");
    replica.append(&run, OWNER, first_chunks(7..=7)).await.expect("goes on after the tail");
    let held = page(replica, &run, Seq(0)).await;
    assert_eq!((held.entries.len(), held.trimmed, held.tail), (1, Seq(6), Seq(7)));
    replica.trim(&run, Seq(9)).await.expect("more is recorded than was replicated");
    replica.append(&run, OWNER, first_chunks(8..=10)).await.expect("appended");
    let held = page(replica, &run, Seq(0)).await;
    assert_eq!((held.entries, held.trimmed, held.tail), (chunks(0, 10..=10), Seq(9), Seq(10)));
    let tail = replica.fence(&run, Epoch(1)).await.expect("fenced");
    assert_eq!((tail.trimmed, tail.seq), (Seq(9), Seq(10)));
}

async fn expires(replica: &dyn Replica) {
    let (kept, gone) = (owned(replica, "kept").await, owned(replica, "gone").await);
    for run in [&gone, &kept] {
        replica.append(run, OWNER, first_chunks(1..=2)).await.expect("appended");
        replica.put_screens(run, OWNER, Seq::START, one_screen()).await.expect("put");
        replica.expire(run, SHORT_LIFE).await.expect("told");
    }
    replica.append(&kept, OWNER, first_chunks(3..=3)).await.expect("it is not over yet");
    let is_gone = async {
        while page(replica, &gone, Seq(0)).await.tail > Seq(0) {
            tokio::time::sleep(SHORT_LIFE / 40).await;
        }
    };
    tokio::time::timeout(DEADLINE, is_gone).await.expect("it is forgotten");
    assert_eq!(seqs(replica, &gone, Seq(0)).await, [0; 0]);
    assert_eq!(replica.screens(&gone).await, Ok(ReplicaScreens::default()));
    assert_eq!(seqs(replica, &kept, Seq(0)).await, [1, 2, 3], "appending keeps all of it");
    assert_eq!(replica.screens(&kept).await, Ok(one_screen()));
}

async fn keeps_runs_apart(replica: &dyn Replica) {
    let names = ["a", "a.b", "ab", "a-", "A"];
    for name in names {
        let run = owned(replica, name).await;
        replica.append(&run, OWNER, first_chunks(1..=3)).await.expect("appended");
    }
    replica.trim(&run_key("a"), Seq(2)).await.expect("trimmed");
    replica.remove(&run_key("ab")).await.expect("removed");
    let left: [&[u64]; 5] = [&[3], &[1, 2, 3], &[], &[1, 2, 3], &[1, 2, 3]];
    for (name, expected) in names.into_iter().zip(left) {
        assert_eq!(seqs(replica, &run_key(name), Seq(0)).await, expected, "run {name}");
    }
}

async fn wakes_followers(replica: Arc<dyn Replica>) {
    let run = owned(&*replica, "follow").await;
    let writer = {
        let (replica, run) = (replica.clone(), run.clone());
        tokio::spawn(async move {
            let mut next = 1;
            while next <= FOLLOWED_ENTRIES {
                let last = (next + next % 7).min(FOLLOWED_ENTRIES);
                replica.append(&run, OWNER, first_chunks(next..=last)).await.expect("appended");
                next = last + 1;
            }
        })
    };
    let mut wake = replica.follow(&run);
    let mut cursor = Seq::START;
    while cursor < Seq(u64::from(FOLLOWED_ENTRIES)) {
        let page = replica.read(&run, cursor, 8 * 1024).await.expect("read");
        for entry in &page.entries {
            assert_eq!(entry.seq, cursor.next(), "no gap, no repeat");
            cursor = entry.seq;
        }
        if page.entries.is_empty() {
            let woken = tokio::time::timeout(DEADLINE, wake.changed()).await;
            assert!(woken.is_ok(), "a wake-up after {cursor} was lost");
        }
    }
    writer.await.expect("the writer ends");
}

fn one_screen() -> ReplicaScreens {
    ReplicaScreens { seq: Seq(1), streams: vec![screen("a", b"x")] }
}

fn screen(node: &str, keyframe: &'static [u8]) -> (StreamKey, Bytes) {
    let node_ref = node.parse().expect("a valid name");
    (StreamKey { node_ref, stream: StreamName::Pty }, Bytes::from_static(keyframe))
}

async fn keeps_screens(replica: &dyn Replica) {
    let none = || Ok(ReplicaScreens::default());
    assert_eq!(replica.screens(&run_key("unknown")).await, none());
    let run = owned(replica, "screens").await;
    let put = async |after, seq, streams: &[(StreamKey, Bytes)]| {
        let screens = ReplicaScreens { seq: Seq(seq), streams: streams.to_vec() };
        replica.put_screens(&run, OWNER, Seq(after), screens).await
    };
    let held = async || {
        let mut screens = replica.screens(&run).await.expect("they are there");
        screens.streams.sort();
        (screens.seq.0, screens.streams)
    };
    let (first, second) = (screen("a", b"\0\xff 1"), screen("b.c", b""));
    put(0, 5, &[first, second.clone()]).await.expect("put");
    let newer = screen("a", b"2\r\n");
    put(5, 9, std::slice::from_ref(&newer)).await.expect("put");
    assert_eq!(held().await, (9, vec![newer.clone(), second.clone()]));
    let behind = Err(LogError::Behind { tail: Seq(9), first: Seq(12) });
    assert_eq!(put(5, 12, std::slice::from_ref(&newer)).await, behind, "they build on others");
    assert_eq!(held().await, (9, vec![newer.clone(), second]));
    put(0, 20, std::slice::from_ref(&newer)).await.expect("put");
    assert_eq!(held().await, (20, vec![newer]), "these are all");
    replica.remove(&run).await.expect("removed");
    assert_eq!(replica.screens(&run).await, none());
}

async fn gives_commands_once(replica: &dyn Replica) {
    let (run, other) = (owned(replica, "commands").await, owned(replica, "commands.2").await);
    let marker = |number: u32| OwnerCommand::AddMarker {
        node_ref: "n".parse().expect("a valid name"),
        label: format!("{number} ü\"\0"),
    };
    let size = TerminalSize { cols: 100, rows: 50 };
    let node_ref = "n.1".parse().expect("a valid name");
    let sent = [
        OwnerCommand::Cancel,
        OwnerCommand::Resize { node_ref, size },
        marker(1),
        OwnerCommand::Annotated(Annotation { metadata: None, links: Some(Vec::new()) }),
    ];
    for command in &sent {
        replica.send(&run, command.clone()).await.expect("left");
    }
    let mut feed = replica.commands(&run);
    for command in sent {
        let next = tokio::time::timeout(DEADLINE, feed.next()).await.expect("it was left");
        assert_eq!(next, command, "in the order in which they were sent");
    }
    replica.send(&other, OwnerCommand::Cancel).await.expect("left");
    let mut second_feed = replica.commands(&run);
    for number in 0..50 {
        let mine = marker(number);
        replica.send(&run, mine.clone()).await.expect("left");
        let taken = async {
            tokio::select! {
                command = feed.next() => command,
                command = second_feed.next() => command,
            }
        };
        let next = tokio::time::timeout(DEADLINE, taken).await.expect("it wakes who waits");
        assert_eq!(next, mine, "each is given once");
    }
}

async fn tells_of_queued_runs(replica: &dyn Replica) {
    let mut queued = replica.queued();
    for _ in 0..3 {
        replica.announce_queued().await.expect("told");
        let woken = tokio::time::timeout(DEADLINE, queued.changed()).await;
        assert!(woken.is_ok(), "a wake-up was lost");
    }
}
