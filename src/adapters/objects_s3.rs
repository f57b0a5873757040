//! Objects in a bucket of an S3 store: the port [`ObjectStore`].
//!
//! Every request is at most [`PART_BYTES`] long: what is longer is uploaded in parts, of which one is in
//! memory. A bucket that is missing or refuses us is `Unavailable`: only `NoSuchKey` says that an object is
//! lost. Requests are repeated a few times by the SDK, with backoff, and end within [`CALL_TIMEOUT`].
//!
//! An upload that a process left when it died is aborted by the next one of the same object, by
//! [`ObjectStore::remove_all`], and by any start a day later.

mod client;
mod failure;
mod uploads;
mod writer;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use runcast_actors::ports::{ObjectError, ObjectKey, ObjectStore, ObjectWriter, StoredObject};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use self::client::{S3Credentials, S3Settings};
use self::failure::Failures;
use self::writer::{S3Writer, condition};
use super::client_runtime::within;

/// The largest request, and the size of the parts of longer objects, in bytes. Parts of one size: some stores
/// ask for that; 10,000 of them, the most that S3 allows, are 80 GiB.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// How long a call may take with all its repeats; the upload of a long object is several calls.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Objects of unknown size that are written at the same time; each holds at most one part.
const WRITERS: usize = 8;
/// How often a body that breaks off is asked for.
const READS: u32 = 3;
/// The wait before a body is asked for again, times the number of reads that failed.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// No object is larger; the number also fits the header of every client and server.
const MAX_OBJECT_BYTES: u64 = 1 << 53;
/// An upload or probe that is older was left by a dead process.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The folder of everything that is uploaded in parts: a bucket may hold more than ours.
const RECORDINGS_FOLDER: &str = "recordings/";
/// The folder of what health checks write.
const PROBE_FOLDER: &str = "probe/";

/// An [`ObjectStore`] in a bucket. Clones share it.
#[derive(Clone)]
pub struct S3Objects {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    bucket: String,
    /// Before every key in the bucket; empty, or it ends with `/`.
    prefix: String,
    failures: Failures,
    runtime: Handle,
    writers: Arc<Semaphore>,
    /// The one object of health checks of this process, so that at most one is left when it dies.
    probe: ObjectKey,
    probing: tokio::sync::Mutex<()>,
}

impl S3Objects {
    /// Makes the client, whose connections live in the runtime that this is called in. It asks the store
    /// nothing; a first look in the background logs an error if the bucket cannot be used, and aborts what
    /// dead processes were uploading.
    pub async fn open(settings: S3Settings) -> Self {
        let client = client::connect(&settings).await;
        let name = format!("{PROBE_FOLDER}{}", Uuid::new_v4().simple());
        let store = Self {
            inner: Arc::new(Inner {
                client,
                failures: Failures::of(&settings),
                bucket: settings.bucket,
                prefix: settings.prefix,
                runtime: Handle::current(),
                writers: Arc::new(Semaphore::new(WRITERS)),
                probe: ObjectKey::stored(&name).expect("hexadecimal digits are a name"),
                probing: tokio::sync::Mutex::default(),
            }),
        };
        let looking = store.clone();
        tokio::spawn(async move { looking.first_look().await });
        store
    }

    async fn first_look(&self) {
        if let Err(error) = self.probe().await {
            tracing::error!(%error, "recordings can be neither read nor written");
        }
        let before = SystemTime::now() - ABANDONED_AFTER;
        if let Err(error) = self.remove_abandoned(before).await {
            tracing::warn!(%error, "what dead processes were uploading was not looked for");
        }
    }

    /// Forgets uploads and probes that began before `before` and were left by dead processes.
    pub async fn remove_abandoned(&self, before: SystemTime) -> Result<(), ObjectError> {
        self.abort_uploads(RECORDINGS_FOLDER, Some(before)).await?;
        let mut pages = self.pages(PROBE_FOLDER);
        while let Some(page) = pages.next(self).await? {
            let is_old = |object: &&aws_sdk_s3::types::Object| {
                let changed = object.last_modified().and_then(|time| (*time).try_into().ok());
                changed.is_some_and(|changed: SystemTime| changed < before)
            };
            let old = page.iter().filter(is_old).filter_map(|object| object.key());
            self.delete_batch(old.map(str::to_owned).collect()).await?;
        }
        Ok(())
    }

    /// Runs a call with its connections in the store's runtime, and ends it in time.
    async fn limited<T>(
        &self,
        call: impl Future<Output = Result<T, ObjectError>> + Send,
    ) -> Result<T, ObjectError> {
        let call = async {
            tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| {
                Err(self.inner.failures.away(&format!("no answer within {CALL_TIMEOUT:?}")))
            })
        };
        within(&self.inner.runtime, call).await
    }

    /// The key in the bucket.
    fn name(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.inner.prefix)
    }

    /// The key of an object in the bucket, if it is one of ours.
    fn key(&self, name: &str) -> Option<ObjectKey> {
        ObjectKey::stored(name.strip_prefix(&self.inner.prefix)?)
    }

    async fn put_one(
        &self,
        key: &ObjectKey,
        body: Bytes,
        replaces: bool,
    ) -> Result<(), ObjectError> {
        let request = self.inner.client.put_object().bucket(&self.inner.bucket);
        let request = request.set_if_none_match(condition(replaces));
        // The largest of the SDK's futures: where it is awaited there is no room for it.
        let put = Box::pin(request.key(self.name(key)).body(ByteStream::from(body)).send());
        self.limited(async {
            put.await.map(drop).map_err(|error| self.inner.failures.of_object(key, &error))
        })
        .await
    }

    async fn writer(
        &self,
        key: &ObjectKey,
        replaces: bool,
    ) -> Result<Box<dyn ObjectWriter>, ObjectError> {
        let turn = self.inner.writers.clone().acquire_owned().await;
        let turn = turn.map_err(|closed| self.inner.failures.away(&closed.to_string()))?;
        Ok(Box::new(S3Writer::new(self.clone(), key.clone(), replaces, turn)))
    }

    /// What the store says of the length of an object.
    async fn head(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        let request = self.inner.client.head_object().bucket(&self.inner.bucket);
        match request.key(self.name(key)).send().await {
            Ok(head) => Ok(length_of(head.content_length())),
            Err(error) if failure::status(&error) == Some(404) => {
                // The answer to this question has no body, so it does not say what is missing.
                Err(match self.get(key, &(0..1)).await {
                    Err(error) => error,
                    Ok(_) => self.inner.failures.away(&format!("{key} was written meanwhile")),
                })
            }
            Err(error) => Err(self.inner.failures.of_object(key, &error)),
        }
    }

    /// Exactly the bytes of a range that is not empty.
    async fn get(&self, key: &ObjectKey, range: &Range<u64>) -> Result<Bytes, ObjectError> {
        let wanted = range.end - range.start;
        let mut failed = 0;
        loop {
            let request = self.inner.client.get_object().bucket(&self.inner.bucket);
            let request = request.key(self.name(key));
            let request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
            let found = request.send().await;
            let found = found.map_err(|error| self.inner.failures.of_object(key, &error))?;
            let length = length_of(found.content_length());
            if length < wanted {
                return Err(short(key, range.start + length, range));
            }
            if length > wanted {
                return Err(self.inner.failures.away("the store takes no notice of ranges"));
            }
            match found.body.collect().await {
                Ok(body) => {
                    let bytes = body.into_bytes();
                    if bytes.len() as u64 == wanted {
                        return Ok(bytes);
                    }
                    return Err(short(key, range.start + bytes.len() as u64, range));
                }
                Err(error) if failed + 1 >= READS => {
                    return Err(self.inner.failures.away(&failure::chain(&error)));
                }
                Err(_) => {
                    failed += 1;
                    tokio::time::sleep(READ_AGAIN_AFTER * failed).await;
                }
            }
        }
    }

    /// Pages of objects whose key begins with `prefix`.
    fn pages(&self, prefix: &str) -> Pages {
        Pages { prefix: format!("{}{prefix}", self.inner.prefix), token: None, is_ended: false }
    }

    /// Deletes at most a page of objects, by their names in the bucket.
    async fn delete_batch(&self, names: Vec<String>) -> Result<(), ObjectError> {
        let failed = |error: &dyn std::fmt::Display| self.inner.failures.away(&error.to_string());
        let identify = |name| ObjectIdentifier::builder().key(name).build();
        let objects: Vec<_> =
            names.into_iter().map(identify).collect::<Result<_, _>>().map_err(|e| failed(&e))?;
        if objects.is_empty() {
            return Ok(());
        }
        let batch = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let batch = batch.map_err(|error| failed(&error))?;
        let request = self.inner.client.delete_objects().bucket(&self.inner.bucket).delete(batch);
        let deleted = self.limited(async {
            request.send().await.map_err(|error| self.inner.failures.of_bucket(&error))
        });
        match deleted.await?.errors().first() {
            None => Ok(()),
            Some(error) => Err(failed(&format!(
                "{} was not deleted: {}",
                error.key().unwrap_or_default(),
                error.message().or(error.code()).unwrap_or("no reason given")
            ))),
        }
    }

    async fn write_and_read_probe(&self) -> Result<(), ObjectError> {
        // While one is under way, the store is as good as away.
        let Ok(_probing) = self.inner.probing.try_lock() else {
            return Err(self.inner.failures.away("the last health check has not ended"));
        };
        let (key, written) = (&self.inner.probe, Bytes::from_static(b"probe"));
        self.put(key, written.clone()).await?;
        let found = self.read(key, 0..written.len() as u64).await;
        self.delete(key).await?;
        match found? {
            bytes if bytes == written => Ok(()),
            _ => Err(ObjectError::Damaged(key.clone(), "it is not what was written".to_owned())),
        }
    }
}

/// Where a listing goes on.
struct Pages {
    prefix: String,
    /// Where the next page begins; none before the first.
    token: Option<String>,
    is_ended: bool,
}

impl Pages {
    /// At most 1,000 objects; none after the last page.
    async fn next(
        &mut self,
        store: &S3Objects,
    ) -> Result<Option<Vec<aws_sdk_s3::types::Object>>, ObjectError> {
        if self.is_ended {
            return Ok(None);
        }
        let request = store.inner.client.list_objects_v2().bucket(&store.inner.bucket);
        let request = request.prefix(&self.prefix).set_continuation_token(self.token.take());
        let listed = store.limited(async {
            request.send().await.map_err(|error| store.inner.failures.of_bucket(&error))
        });
        let mut page = listed.await?;
        self.token = page.next_continuation_token.take();
        self.is_ended = self.token.is_none();
        Ok(Some(page.contents.unwrap_or_default()))
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &ObjectKey, body: Bytes) -> Result<(), ObjectError> {
        if body.len() <= PART_BYTES {
            return self.put_one(key, body, true).await;
        }
        let mut writer = self.writer(key, true).await?;
        writer.write(body).await?;
        writer.finish().await
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError> {
        self.writer(key, false).await
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.limited(async {
            // S3 has no empty ranges.
            if range.start >= range.end || range.end > MAX_OBJECT_BYTES {
                let length = self.head(key).await?;
                let is_within = range.start == range.end && range.end <= length;
                return if is_within { Ok(Bytes::new()) } else { Err(short(key, length, &range)) };
            }
            self.get(key, &range).await
        })
        .await
    }

    async fn length(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        self.limited(self.head(key)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let request = self.inner.client.delete_object().bucket(&self.inner.bucket);
        let deleted = request.key(self.name(key)).send();
        self.limited(async {
            match deleted.await.map_err(|error| self.inner.failures.of_object(key, &error)) {
                // Some stores tell, most do not.
                Ok(_) | Err(ObjectError::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, ObjectError> {
        let mut found = Vec::new();
        if !is_folder(prefix) {
            return Ok(found);
        }
        let mut pages = self.pages(prefix);
        while let Some(page) = pages.next(self).await? {
            found.extend(page.iter().filter_map(|object| {
                // What has no allowed name was not put here by us.
                let key = self.key(object.key()?)?;
                Some(StoredObject { key, length: length_of(object.size()) })
            }));
        }
        found.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(found)
    }

    async fn remove_all(&self, prefix: &str) -> Result<(), ObjectError> {
        // An empty prefix would be the whole bucket.
        if !is_folder(prefix) {
            return Ok(());
        }
        self.abort_uploads(prefix, None).await?;
        let mut pages = self.pages(prefix);
        while let Some(page) = pages.next(self).await? {
            let is_ours = |name: &String| self.key(name).is_some();
            let names = page.into_iter().filter_map(|object| object.key).filter(is_ours);
            self.delete_batch(names.collect()).await?;
        }
        Ok(())
    }

    async fn probe(&self) -> Result<(), ObjectError> {
        let store = self.clone();
        // A task of its own, which a caller that goes away does not stop: so the object never stays.
        let probe = async move { store.write_and_read_probe().await };
        let done = self.inner.runtime.spawn(probe).await;
        done.unwrap_or_else(|error| Err(self.inner.failures.away(&error.to_string())))
    }
}

fn is_folder(prefix: &str) -> bool {
    prefix.strip_suffix('/').is_some_and(|folder| ObjectKey::stored(folder).is_some())
}

fn length_of(told: Option<i64>) -> u64 {
    told.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn short(key: &ObjectKey, length: u64, range: &Range<u64>) -> ObjectError {
    let Range { start, end } = range;
    let told = format!("{length} bytes, but {start}..{end} was asked for");
    ObjectError::Damaged(key.clone(), told)
}
