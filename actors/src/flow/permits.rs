//! Byte permits: nothing is read from a terminal before there is room for it.
//!
//! A permit is taken before a read and dropped when the log has acknowledged what was read. So the
//! bytes that are read and not yet acknowledged are bounded, per node and for the process: no permit,
//! no read; the kernel's buffer fills; the child waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room of the whole process (`memory.capture_bytes`).
#[derive(Debug, Clone)]
pub struct CaptureBudget {
    process: Arc<Semaphore>,
    capacity: usize,
}

impl CaptureBudget {
    /// Room for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self { process: Arc::new(Semaphore::new(capacity)), capacity }
    }

    /// The room of one node (`capture.in_flight_bytes`) within the room of the process.
    pub fn node(&self, capacity: usize) -> NodeBudget {
        let capacity = capacity.min(self.capacity);
        NodeBudget {
            process: self.process.clone(),
            node: Arc::new(Semaphore::new(capacity)),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
        }
    }

    /// Bytes that are read and not acknowledged.
    pub fn in_use(&self) -> usize {
        self.capacity.saturating_sub(self.process.available_permits())
    }
}

/// The room of one node.
#[derive(Debug, Clone)]
pub struct NodeBudget {
    process: Arc<Semaphore>,
    node: Arc<Semaphore>,
    capacity: u32,
}

impl NodeBudget {
    /// Waits for room for `bytes`, at most the room of a node. Cancel-safe.
    pub async fn acquire(&self, bytes: u32) -> BytePermit {
        let bytes = bytes.min(self.capacity);
        let closed = "the semaphores of a budget are never closed";
        let node = self.node.clone().acquire_many_owned(bytes).await.expect(closed);
        let process = self.process.clone().acquire_many_owned(bytes).await.expect(closed);
        BytePermit { node, process }
    }

    /// Takes room for `bytes` if there is some now.
    pub fn try_acquire(&self, bytes: u32) -> Option<BytePermit> {
        let node = self.node.clone().try_acquire_many_owned(bytes).ok()?;
        let process = self.process.clone().try_acquire_many_owned(bytes).ok()?;
        Some(BytePermit { node, process })
    }
}

/// Room that is taken; given back when dropped.
#[derive(Debug)]
pub struct BytePermit {
    node: OwnedSemaphorePermit,
    process: OwnedSemaphorePermit,
}

impl BytePermit {
    /// Gives back what is more than `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let spare = self.node.num_permits().saturating_sub(bytes);
        drop(self.node.split(spare));
        drop(self.process.split(spare));
    }

    /// Joins another permit of the same node to this one.
    pub fn merge(&mut self, other: Self) {
        self.node.merge(other.node);
        self.process.merge(other.process);
    }

    /// The bytes it stands for.
    pub fn bytes(&self) -> usize {
        self.node.num_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_waits_at_its_own_bound_and_at_that_of_the_process() {
        let budget = CaptureBudget::new(100);
        let (first, second) = (budget.node(80), budget.node(80));
        let mut held = first.acquire(80).await;
        assert!(first.try_acquire(1).is_none(), "the node is full");
        assert!(second.try_acquire(21).is_none(), "the process is full");
        assert!(second.try_acquire(20).is_some());
        held.shrink_to(10);
        assert_eq!((held.bytes(), budget.in_use()), (10, 10));
        let more = first.acquire(70).await;
        held.merge(more);
        assert_eq!(budget.in_use(), 80);
        drop(held);
        assert_eq!(budget.in_use(), 0);
        assert!(first.try_acquire(80).is_some());
    }
}
