//! Objects as files below a directory: the port [`ObjectStore`].
//!
//! An object is written to a file in `.tmp`, synced, renamed to its name, and its folder is synced: after a
//! power cut it is there whole or not at all. A file in `.tmp` is locked while its writer lives; what is not
//! locked was left by a dead process and is removed when the store is opened. `.tmp` is also the mark of the
//! archive: while it is missing, for example because a disk is not mounted, every call is `Unavailable`, and
//! nothing is said to be lost. It is made only where an archive begins, never in one that has objects.
//!
//! The work blocks, so it is done by at most eight blocking threads.

mod files;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use runcast_actors::ports::{ObjectError, ObjectKey, ObjectStore, ObjectWriter, StoredObject};
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::files::{Files, TemporaryFile};

/// Calls that use the disk at the same time.
const PARALLEL_CALLS: usize = 8;
/// The folder of what health checks write.
const PROBE_FOLDER: &str = "probe/";

/// An [`ObjectStore`] on a directory. Clones share it.
#[derive(Debug, Clone)]
pub struct DirectoryObjects {
    files: Arc<Files>,
    calls: Arc<Semaphore>,
}

impl DirectoryObjects {
    /// Opens the archive below `root`, which is made if it is not there, and removes what dead processes were
    /// writing. Blocks for a few accesses to the disk.
    pub fn open(root: PathBuf) -> Result<Self, ObjectError> {
        let files = Files::at(root);
        files.begin_archive()?;
        Self::clean(files)
    }

    /// Opens an archive that has objects. If it is not there it is not made, as an empty one would say that all
    /// of them were deleted: it can be used as soon as it is there.
    pub fn open_existing(root: PathBuf) -> Result<Self, ObjectError> {
        let files = Files::at(root);
        match files.is_there() {
            Ok(true) => Self::clean(files),
            Ok(false) => {
                tracing::error!(
                    error = %files.not_there(),
                    "recordings can be neither read nor written"
                );
                Ok(Self::of(files))
            }
            Err(error) => Err(error),
        }
    }

    fn clean(files: Files) -> Result<Self, ObjectError> {
        files.remove_abandoned()?;
        files.remove_all(PROBE_FOLDER)?;
        Ok(Self::of(files))
    }

    fn of(files: Files) -> Self {
        Self { files: Arc::new(files), calls: Arc::new(Semaphore::new(PARALLEL_CALLS)) }
    }

    /// Runs a call on a blocking thread. A caller that goes away does not stop it.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Files) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let given_up = |reason: String| ObjectError::Unavailable(format!("a call ended: {reason}"));
        let permit = self.calls.clone().acquire_owned().await;
        let permit = permit.map_err(|closed| given_up(closed.to_string()))?;
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || {
            let result = call(&files);
            drop(permit);
            result
        });
        done.await.unwrap_or_else(|error| Err(given_up(error.to_string())))
    }
}

#[async_trait]
impl ObjectStore for DirectoryObjects {
    async fn put(&self, key: &ObjectKey, body: Bytes) -> Result<(), ObjectError> {
        let key = key.clone();
        self.blocking(move |files| {
            let mut file = files.begin()?;
            file.append(&body)?;
            files.keep(&file, &key, true)
        })
        .await
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError> {
        let file = self.blocking(Files::begin).await?;
        Ok(Box::new(DirectoryWriter { store: self.clone(), key: key.clone(), file: Some(file) }))
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let key = key.clone();
        self.blocking(move |files| files.read(&key, &range)).await
    }

    async fn length(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        let key = key.clone();
        self.blocking(move |files| files.length(&key)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let key = key.clone();
        self.blocking(move |files| files.delete(&key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, ObjectError> {
        let prefix = prefix.to_owned();
        self.blocking(move |files| files.list(&prefix)).await
    }

    async fn remove_all(&self, prefix: &str) -> Result<(), ObjectError> {
        let prefix = prefix.to_owned();
        self.blocking(move |files| {
            files.remove_abandoned()?;
            files.remove_all(&prefix)
        })
        .await
    }

    async fn probe(&self) -> Result<(), ObjectError> {
        let name = format!("{PROBE_FOLDER}{}", Uuid::new_v4().simple());
        let key = ObjectKey::stored(&name).expect("hexadecimal digits are a name");
        let written = b"probe";
        // In one call, which a caller that goes away does not stop: so the object never stays.
        self.blocking(move |files| {
            let mut file = files.begin()?;
            file.append(written)?;
            files.keep(&file, &key, true)?;
            let found = files.read(&key, &(0..written.len() as u64));
            files.delete(&key)?;
            match found? {
                bytes if bytes[..] == written[..] => Ok(()),
                _ => Err(ObjectError::Damaged(key, "it is not what was written".to_owned())),
            }
        })
        .await
    }
}

struct DirectoryWriter {
    store: DirectoryObjects,
    key: ObjectKey,
    /// None after a write that failed or was given up: what is missing then cannot be known.
    file: Option<TemporaryFile>,
}

impl DirectoryWriter {
    fn take(&mut self) -> Result<TemporaryFile, ObjectError> {
        let broken = || format!("an earlier write of {} did not succeed", self.key);
        self.file.take().ok_or_else(|| ObjectError::Unavailable(broken()))
    }
}

#[async_trait]
impl ObjectWriter for DirectoryWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        let mut file = self.take()?;
        let append = move |_: &Files| file.append(&bytes).map(|()| file);
        self.file = Some(self.store.blocking(append).await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), ObjectError> {
        let file = self.take()?;
        let key = self.key.clone();
        self.store.blocking(move |files| files.keep(&file, &key, false)).await
    }
}
