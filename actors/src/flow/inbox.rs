//! The queue between the producers of a run and its log.
//!
//! Pushing never waits and never fails, because room is checked earlier: output needs a byte permit
//! before it is read (each permit at least [`MIN_PERMIT_BYTES`], which bounds their number too), and
//! what actors push is bounded by the graph of the run. The order of the pushes is the order of the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::flow::draft::{Draft, DraftBody, DraftChunkKind};

/// The least a chunk is charged.
pub const MIN_PERMIT_BYTES: u32 = 256;

/// The queue of one run.
#[derive(Debug, Default)]
pub struct Inbox {
    queue: Mutex<Queue>,
    pushed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    drafts: VecDeque<Draft>,
    ever_pushed: u64,
}

impl Inbox {
    /// Adds an entry behind all others.
    pub fn push(&self, draft: Draft) {
        {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.drafts.push_back(draft);
            queue.ever_pushed += 1;
        }
        self.pushed.notify_one();
    }

    /// Waits for entries and takes them in order, until their bytes reach `max_bytes`. One taker at a time.
    pub async fn take(&self, max_bytes: usize) -> Vec<Draft> {
        loop {
            let batch = self.take_now(max_bytes);
            if !batch.is_empty() {
                return batch;
            }
            self.pushed.notified().await;
        }
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).drafts.len()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries were ever pushed.
    pub fn ever_pushed(&self) -> u64 {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).ever_pushed
    }

    fn take_now(&self, max_bytes: usize) -> Vec<Draft> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < max_bytes {
            let Some(draft) = queue.drafts.pop_front() else { break };
            bytes += payload_len(&draft) + MIN_PERMIT_BYTES as usize;
            batch.push(draft);
        }
        if queue.drafts.is_empty() && queue.drafts.capacity() > 256 {
            queue.drafts.shrink_to(32);
        }
        batch
    }
}

fn payload_len(draft: &Draft) -> usize {
    match &draft.body {
        DraftBody::Chunk(chunk) => match &chunk.kind {
            DraftChunkKind::Output(bytes) | DraftChunkKind::Input(bytes) => bytes.len(),
            _ => 0,
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entry::{Level, TraceEvent, TraceKind};
    use crate::moment::Timestamp;

    fn trace(message: usize) -> Draft {
        Draft::trace(TraceEvent {
            node_ref: None,
            kind: TraceKind::NodeProgress,
            level: Level::Info,
            message: message.to_string(),
            error: None,
            output_summary: None,
            data: None,
            timestamp: Timestamp(0),
        })
    }

    fn message(draft: &Draft) -> usize {
        match &draft.body {
            DraftBody::Trace(trace) => trace.message.parse().expect("a number"),
            _ => unreachable!("only traces are pushed"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_lost_or_reordered_between_threads() {
        let inbox = Arc::new(Inbox::default());
        let producer = inbox.clone();
        let pushing = tokio::spawn(async move {
            for number in 0..10_000 {
                producer.push(trace(number));
                if number % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut expected = 0;
        while expected < 10_000 {
            for draft in inbox.take(1000).await {
                assert_eq!(message(&draft), expected);
                expected += 1;
            }
        }
        pushing.await.expect("the producer ends");
        assert_eq!(inbox.ever_pushed(), 10_000);
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_bytes() {
        let inbox = Inbox::default();
        (0..10).for_each(|number| inbox.push(trace(number)));
        assert_eq!(inbox.take(MIN_PERMIT_BYTES as usize * 3).await.len(), 3);
        assert_eq!(inbox.take(usize::MAX).await.len(), 7);
    }
}
