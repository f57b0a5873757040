//! Uploads in parts: one of our own, and those that were left.

use std::time::SystemTime;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MultipartUpload};
use bytes::Bytes;
use runcast_actors::ports::{ObjectError, ObjectKey};

use super::S3Objects;
use super::writer::condition;

/// An object that is uploaded in parts. Dropped before it is completed, it is aborted.
pub(super) struct Upload {
    store: S3Objects,
    key: ObjectKey,
    id: String,
    parts: Vec<CompletedPart>,
    is_completed: bool,
}

impl Upload {
    /// Begins it. What others were uploading of the same object is aborted: they are dead, or not its owner
    /// any more.
    pub(super) async fn begin(store: &S3Objects, key: &ObjectKey) -> Result<Self, ObjectError> {
        store.abort_uploads(key.as_str(), None).await?;
        let inner = &store.inner;
        let request = inner.client.create_multipart_upload().bucket(&inner.bucket);
        let request = request.key(store.name(key));
        let begun = store.limited(async {
            request.send().await.map_err(|error| inner.failures.of_object(key, &error))
        });
        let id = begun.await?.upload_id;
        let id = id.ok_or_else(|| inner.failures.away("an upload has no id"))?;
        let (store, key) = (store.clone(), key.clone());
        Ok(Self { store, key, id, parts: Vec::new(), is_completed: false })
    }

    /// Uploads the next part.
    pub(super) async fn part(&mut self, body: Bytes) -> Result<(), ObjectError> {
        let inner = &self.store.inner;
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let request = inner.client.upload_part().bucket(&inner.bucket).upload_id(&self.id);
        let request = request.key(self.store.name(&self.key)).part_number(number);
        let request = request.body(ByteStream::from(body));
        let uploaded = self.store.limited(async {
            request.send().await.map_err(|error| inner.failures.of_object(&self.key, &error))
        });
        let tag = uploaded.await?.e_tag;
        let part = CompletedPart::builder().part_number(number).set_e_tag(tag).build();
        self.parts.push(part);
        Ok(())
    }

    /// Makes the parts one object, also in the place of another one if it `replaces`.
    pub(super) async fn complete(mut self, replaces: bool) -> Result<(), ObjectError> {
        let inner = &self.store.inner;
        let parts = std::mem::take(&mut self.parts);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = inner.client.complete_multipart_upload().bucket(&inner.bucket);
        let request = request.key(self.store.name(&self.key)).upload_id(&self.id);
        let request = request.multipart_upload(parts);
        let request = request.set_if_none_match(condition(replaces));
        let completed = self.store.limited(async {
            request.send().await.map_err(|error| inner.failures.of_object(&self.key, &error))
        });
        completed.await?;
        self.is_completed = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_completed {
            return;
        }
        let (store, key) = (self.store.clone(), self.key.clone());
        let id = std::mem::take(&mut self.id);
        let abort = async move {
            if let Err(error) = store.abort(&store.name(&key), &id).await {
                tracing::warn!(object = %key, %error, "an upload was given up and not aborted");
            }
        };
        self.store.inner.runtime.spawn(abort);
    }
}

impl S3Objects {
    /// Aborts every upload of an object whose key begins with `prefix`; with `before`, only those that began
    /// earlier.
    pub(super) async fn abort_uploads(
        &self,
        prefix: &str,
        before: Option<SystemTime>,
    ) -> Result<(), ObjectError> {
        let inner = &self.inner;
        let prefix = format!("{}{prefix}", inner.prefix);
        let is_meant = |upload: &&MultipartUpload| {
            let began = upload.initiated().and_then(|time| (*time).try_into().ok());
            let is_old =
                before.is_none_or(|before| began.is_some_and(|at: SystemTime| at < before));
            is_old && upload.key().is_some_and(|name| name.starts_with(&prefix))
        };
        let (mut after_key, mut after_id) = (None, None);
        loop {
            let request = inner.client.list_multipart_uploads().bucket(&inner.bucket);
            let request = request.prefix(&prefix);
            let request = request.set_key_marker(after_key).set_upload_id_marker(after_id);
            let listed = self.limited(async {
                match request.send().await {
                    Ok(listed) => Ok(Some(listed)),
                    // Who cannot list uploads lets them end by a rule of the bucket.
                    Err(error) if error.code() == Some("NotImplemented") => Ok(None),
                    Err(error) => Err(inner.failures.of_bucket(&error)),
                }
            });
            let Some(listed) = listed.await? else { return Ok(()) };
            for upload in listed.uploads().iter().filter(is_meant) {
                let (Some(name), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                self.abort(name, id).await?;
                tracing::info!(object = name, "an upload that was left was aborted");
            }
            if listed.is_truncated() != Some(true) || listed.next_key_marker().is_none() {
                return Ok(());
            }
            (after_key, after_id) = (listed.next_key_marker, listed.next_upload_id_marker);
        }
    }

    async fn abort(&self, name: &str, id: &str) -> Result<(), ObjectError> {
        let inner = &self.inner;
        let request = inner.client.abort_multipart_upload().bucket(&inner.bucket);
        let request = request.key(name).upload_id(id);
        self.limited(async {
            match request.send().await {
                Ok(_) => Ok(()),
                Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
                Err(error) => Err(inner.failures.of_bucket(&error)),
            }
        })
        .await
    }
}
