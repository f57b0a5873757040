//! What every log has to do, as one suite that a log's tests run.

use std::sync::Arc;
use std::time::Duration;

use crate::entry::Entry;
use crate::ids::{ChunkIndex, Epoch, RunKey, Seq};
use crate::ports::{LogError, RunLog};
use crate::testing::log_memory::{chunk_entry, run_key};

const FOLLOWED_ENTRIES: u32 = 10_000;
const DEADLINE: Duration = Duration::from_secs(60);
const NO_LIMIT: usize = usize::MAX;

/// Runs the whole suite, each part on a log of its own. Panics with what is wrong.
pub async fn conformance<Made>(make: impl Fn() -> Made)
where
    Made: Future<Output = Arc<dyn RunLog>>,
{
    keeps_order_and_skips_repeats(&*make().await).await;
    refuses_holes(&*make().await).await;
    fences(&*make().await).await;
    pages_by_bytes(&*make().await).await;
    trims(&*make().await).await;
    removes(&*make().await).await;
    keeps_runs_apart(&*make().await).await;
    wakes_followers(make().await).await;
}

fn batch(epoch: u32, numbers: std::ops::RangeInclusive<u32>) -> Vec<Arc<Entry>> {
    numbers.map(|n| chunk_entry(Seq::new(Epoch(epoch), n), u64::from(n) - 1, 100)).collect()
}

async fn seqs(log: &dyn RunLog, run: &RunKey, after: Seq) -> Vec<u64> {
    let page = log.read(run, after, NO_LIMIT).await.expect("the log can be read");
    page.entries.iter().map(|entry| entry.seq.0).collect()
}

async fn keeps_order_and_skips_repeats(log: &dyn RunLog) {
    let run = run_key("order");
    let empty = log.read(&run, Seq::START, NO_LIMIT).await.expect("an unknown run is empty");
    assert_eq!((empty.entries.len(), empty.tail, empty.trimmed), (0, Seq(0), Seq(0)));
    log.append(&run, Epoch(0), batch(0, 1..=3)).await.expect("appended");
    log.append(&run, Epoch(0), batch(0, 1..=3)).await.expect("a repeat changes nothing");
    log.append(&run, Epoch(0), batch(0, 2..=5)).await.expect("an overlap is skipped");
    let page = log.read(&run, Seq::START, NO_LIMIT).await.expect("read");
    assert_eq!(page.entries, batch(0, 1..=5), "byte for byte, in order, once");
    assert_eq!(page.tail, Seq(5));
    for after in 0..=6 {
        let expected: Vec<u64> = (after + 1..=5).collect();
        assert_eq!(seqs(log, &run, Seq(after)).await, expected, "after {after}");
    }
}

async fn refuses_holes(log: &dyn RunLog) {
    let run = run_key("holes");
    let behind = log.append(&run, Epoch(0), batch(0, 2..=2)).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(0), first: Seq(2) }));
    log.append(&run, Epoch(0), batch(0, 1..=2)).await.expect("appended");
    let behind = log.append(&run, Epoch(0), batch(0, 4..=5)).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(2), first: Seq(4) }));
    log.fence(&run, Epoch(1)).await.expect("fenced");
    let second = Seq::new(Epoch(1), 2);
    let behind = log.append(&run, Epoch(1), batch(1, 2..=2)).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(2), first: second }));
    log.append(&run, Epoch(1), batch(1, 1..=2)).await.expect("a new epoch begins at 1");
    assert_eq!(seqs(log, &run, Seq(1)).await, [2, second.0 - 1, second.0]);
}

async fn fences(log: &dyn RunLog) {
    let run = run_key("fence");
    assert_eq!(log.epoch(&run).await, Ok(None), "it does not know the run");
    log.append(&run, Epoch(0), batch(0, 1..=4)).await.expect("appended");
    assert_eq!(log.epoch(&run).await, Ok(Some(Epoch(0))));
    let tail = log.fence(&run, Epoch(2)).await.expect("fenced");
    assert_eq!(tail.seq, Seq(4));
    let indices: Vec<ChunkIndex> = tail.streams.values().copied().collect();
    assert_eq!(indices, [ChunkIndex(3)], "the last chunk of the only stream");
    assert_eq!(log.fence(&run, Epoch(2)).await, Ok(tail), "the same epoch again is fine");
    let fenced = Err(LogError::Fenced { mine: Epoch(1), current: Epoch(2) });
    assert_eq!(log.append(&run, Epoch(1), batch(1, 1..=1)).await, fenced);
    assert_eq!(log.fence(&run, Epoch(1)).await.map(|_| ()), fenced);
    assert_eq!(seqs(log, &run, Seq(0)).await, [1, 2, 3, 4]);
    assert_eq!(log.epoch(&run).await, Ok(Some(Epoch(2))), "a refused one leaves no trace");
    log.remove(&run).await.expect("removed");
    assert_eq!(log.epoch(&run).await, Ok(None));
}

async fn pages_by_bytes(log: &dyn RunLog) {
    let run = run_key("pages");
    log.append(&run, Epoch(0), batch(0, 1..=10)).await.expect("appended");
    let cost = batch(0, 1..=1)[0].memory_cost();
    for (limit, expected) in [(0, 1), (cost, 1), (cost * 3, 3), (cost * 4 - 1, 3), (NO_LIMIT, 8)] {
        let page = log.read(&run, Seq(2), limit).await.expect("read");
        assert_eq!((page.entries.len(), page.tail), (expected, Seq(10)), "limit {limit}");
        assert_eq!(page.entries[0].seq, Seq(3));
    }
}

async fn trims(log: &dyn RunLog) {
    let run = run_key("trim");
    log.append(&run, Epoch(0), batch(0, 1..=6)).await.expect("appended");
    log.trim(&run, Seq(4)).await.expect("trimmed");
    log.trim(&run, Seq(2)).await.expect("a lower mark changes nothing");
    let page = log.read(&run, Seq(1), NO_LIMIT).await.expect("read");
    assert_eq!((page.trimmed, page.tail), (Seq(4), Seq(6)));
    assert_eq!(seqs(log, &run, Seq(1)).await, [5, 6], "begins at the trim mark");
    log.trim(&run, Seq(6)).await.expect("trimmed to the tail");
    log.append(&run, Epoch(0), batch(0, 7..=7)).await.expect("goes on after the tail");
    let page = log.read(&run, Seq(0), NO_LIMIT).await.expect("read");
    assert_eq!((page.entries.len(), page.trimmed, page.tail), (1, Seq(6), Seq(7)));
    let tail = log.fence(&run, Epoch(1)).await.expect("fenced");
    assert_eq!((tail.trimmed, tail.streams.len()), (Seq(6), 1), "trimming keeps the streams");
}

async fn removes(log: &dyn RunLog) {
    let run = run_key("remove");
    log.append(&run, Epoch(0), batch(0, 1..=3000)).await.expect("appended");
    log.remove(&run).await.expect("removed");
    log.remove(&run).await.expect("what is not there is removed too");
    let page = log.read(&run, Seq(0), NO_LIMIT).await.expect("read");
    assert_eq!((page.entries.len(), page.tail, page.trimmed), (0, Seq(0), Seq(0)));
    let tail = log.fence(&run, Epoch(0)).await.expect("as if it had never been");
    assert_eq!(tail, crate::ports::Tail::default());
}

async fn keeps_runs_apart(log: &dyn RunLog) {
    let names = ["a", "a.b", "ab", "a-", "A"];
    for name in names {
        log.append(&run_key(name), Epoch(0), batch(0, 1..=3)).await.expect("appended");
    }
    log.trim(&run_key("a"), Seq(2)).await.expect("trimmed");
    log.remove(&run_key("ab")).await.expect("removed");
    for (name, expected) in
        names.into_iter().zip([&[3][..], &[1, 2, 3], &[], &[1, 2, 3], &[1, 2, 3]])
    {
        assert_eq!(seqs(log, &run_key(name), Seq(0)).await, expected, "run {name}");
    }
    log.trim(&run_key("A"), Seq(3)).await.expect("trimmed");
    let held = log.runs().await.expect("listed");
    for (name, is_held) in names.into_iter().zip([true, true, false, true, false]) {
        assert_eq!(held.contains(&run_key(name)), is_held, "run {name} holds entries");
    }
}

async fn wakes_followers(log: Arc<dyn RunLog>) {
    let run = run_key("follow");
    let writer = {
        let (log, run) = (log.clone(), run.clone());
        tokio::spawn(async move {
            let mut next = 1;
            while next <= FOLLOWED_ENTRIES {
                let last = (next + next % 7).min(FOLLOWED_ENTRIES);
                log.append(&run, Epoch(0), batch(0, next..=last)).await.expect("appended");
                next = last + 1;
            }
        })
    };
    let mut wake = log.follow(&run);
    let mut cursor = Seq::START;
    while cursor < Seq(u64::from(FOLLOWED_ENTRIES)) {
        let page = log.read(&run, cursor, 8 * 1024).await.expect("read");
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
