//! Objects in memory, for tests and for nothing else: everything of the port, nothing survives, and it
//! fails when a test asks for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::ports::{ObjectError, ObjectKey, ObjectStore, ObjectWriter, StoredObject};

/// An [`ObjectStore`] in memory. Clones share their objects.
#[derive(Debug, Clone, Default)]
pub struct MemoryObjects {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    objects: BTreeMap<ObjectKey, Bytes>,
    failing_puts: usize,
    failing_reads: usize,
    failing_deletes: usize,
    unavailable: bool,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Put,
    Read,
    Delete,
}

impl MemoryObjects {
    /// Without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `count` objects that are put, or finished by a writer, are refused as `Unavailable`.
    pub fn fail_puts(&self, count: usize) {
        self.kept().failing_puts = count;
    }

    /// The next `count` questions (`read`, `length`, `list`) are answered with `Unavailable`.
    pub fn fail_reads(&self, count: usize) {
        self.kept().failing_reads = count;
    }

    /// The next `count` calls of `delete` and `remove_all` answer `Unavailable`.
    pub fn fail_deletes(&self, count: usize) {
        self.kept().failing_deletes = count;
    }

    /// While true, every call answers `Unavailable` and changes nothing.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.kept().unavailable = unavailable;
    }

    /// Cuts an object to at most `length` bytes, as a damaged disk would; false if it is not there.
    pub fn truncate(&self, key: &ObjectKey, length: usize) -> bool {
        let mut kept = self.kept();
        let Some(body) = kept.objects.get_mut(key) else { return false };
        body.truncate(length);
        true
    }

    /// Loses an object; false if it is not there.
    pub fn lose(&self, key: &ObjectKey) -> bool {
        self.kept().objects.remove(key).is_some()
    }

    /// The names of all objects, sorted.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.kept().objects.keys().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, call: Call) -> Result<MutexGuard<'_, Kept>, ObjectError> {
        let mut kept = self.kept();
        let failing = match call {
            Call::Put => &mut kept.failing_puts,
            Call::Read => &mut kept.failing_reads,
            Call::Delete => &mut kept.failing_deletes,
        };
        let fails = *failing > 0;
        *failing = failing.saturating_sub(1);
        if fails || kept.unavailable {
            return Err(ObjectError::Unavailable(format!("told to fail ({call:?})")));
        }
        Ok(kept)
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, key: &ObjectKey, body: Bytes) -> Result<(), ObjectError> {
        self.serve(Call::Put)?.objects.insert(key.clone(), body);
        Ok(())
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError> {
        let writer = MemoryWriter { store: self.clone(), key: key.clone(), body: BytesMut::new() };
        Ok(Box::new(writer))
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let kept = self.serve(Call::Read)?;
        let body = kept.objects.get(key).ok_or_else(|| ObjectError::NotFound(key.clone()))?;
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let (start, end) = (place(range.start), place(range.end));
        if start > end || end > body.len() {
            let message = format!("{} bytes, but {start}..{end} was asked for", body.len());
            return Err(ObjectError::Damaged(key.clone(), message));
        }
        Ok(body.slice(start..end))
    }

    async fn length(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        let kept = self.serve(Call::Read)?;
        let body = kept.objects.get(key).ok_or_else(|| ObjectError::NotFound(key.clone()))?;
        Ok(body.len() as u64)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        self.serve(Call::Delete)?.objects.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, ObjectError> {
        let kept = self.serve(Call::Read)?;
        let found = kept.objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        let object = |(key, body): (&ObjectKey, &Bytes)| StoredObject {
            key: key.clone(),
            length: body.len() as u64,
        };
        Ok(found.map(object).collect())
    }

    async fn remove_all(&self, prefix: &str) -> Result<(), ObjectError> {
        self.serve(Call::Delete)?.objects.retain(|key, _| !key.as_str().starts_with(prefix));
        Ok(())
    }

    async fn probe(&self) -> Result<(), ObjectError> {
        if self.kept().unavailable {
            return Err(ObjectError::Unavailable("told to be away".into()));
        }
        Ok(())
    }
}

struct MemoryWriter {
    store: MemoryObjects,
    key: ObjectKey,
    body: BytesMut,
}

#[async_trait]
impl ObjectWriter for MemoryWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.body.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), ObjectError> {
        let mut kept = self.store.serve(Call::Put)?;
        if kept.objects.contains_key(&self.key) {
            return Err(ObjectError::Exists(self.key));
        }
        kept.objects.insert(self.key, self.body.freeze());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::objects_conformance;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_keeps_the_contract_of_the_port() {
        objects_conformance::check(Arc::new(MemoryObjects::new())).await;
    }

    #[tokio::test]
    async fn it_fails_as_often_as_told() {
        let objects = MemoryObjects::new();
        let key = ObjectKey::stored("a/b").expect("a key");
        let body = Bytes::from_static(b"12345");
        objects.fail_puts(2);
        for _ in 0..2 {
            let refused = objects.put(&key, body.clone()).await;
            assert!(matches!(refused, Err(ObjectError::Unavailable(_))), "{refused:?}");
        }
        assert!(objects.keys().is_empty(), "what was refused is not there");
        objects.put(&key, body).await.expect("the faults are over");
        objects.fail_reads(1);
        assert!(objects.read(&key, 0..5).await.is_err_and(|error| error.is_passing()));
        objects.fail_deletes(1);
        assert!(objects.delete(&key).await.is_err_and(|error| error.is_passing()));
        assert!(objects.truncate(&key, 3));
        let short = objects.read(&key, 0..5).await;
        assert!(matches!(short, Err(ObjectError::Damaged(_, _))), "{short:?}");
        assert!(objects.lose(&key) && !objects.lose(&key));
        objects.set_unavailable(true);
        assert!(objects.probe().await.is_err());
    }
}
