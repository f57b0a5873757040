//! An object whose size is not known when it is begun.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use runcast_actors::ports::{ObjectError, ObjectKey, ObjectWriter};
use tokio::sync::OwnedSemaphorePermit;

use super::uploads::Upload;
use super::{PART_BYTES, S3Objects};

/// `If-None-Match`, unless an object may take the place of another one.
pub(super) fn condition(replaces: bool) -> Option<String> {
    (!replaces).then(|| "*".to_owned())
}

/// Gathers one part. What fits into it is put at once; only more makes an upload.
pub(super) struct S3Writer {
    store: S3Objects,
    key: ObjectKey,
    replaces: bool,
    /// None after a write that failed or was given up: what is missing then cannot be known.
    state: Option<State>,
    _turn: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    part: BytesMut,
    upload: Option<Upload>,
}

impl S3Writer {
    /// What it writes takes the place of an object that is there if it `replaces`.
    pub(super) fn new(
        store: S3Objects,
        key: ObjectKey,
        replaces: bool,
        turn: OwnedSemaphorePermit,
    ) -> Self {
        Self { store, key, replaces, state: Some(State::default()), _turn: turn }
    }

    fn take(&mut self) -> Result<State, ObjectError> {
        let broken = || format!("an earlier write of {} did not succeed", self.key);
        self.state.take().ok_or_else(|| ObjectError::Unavailable(broken()))
    }

    async fn send_part(&self, state: &mut State) -> Result<(), ObjectError> {
        let part = std::mem::take(&mut state.part).freeze();
        let mut upload = match state.upload.take() {
            Some(upload) => upload,
            None => Upload::begin(&self.store, &self.key).await?,
        };
        upload.part(part).await?;
        state.upload = Some(upload);
        Ok(())
    }
}

#[async_trait]
impl ObjectWriter for S3Writer {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        let mut state = self.take()?;
        while !bytes.is_empty() {
            // A part that is full waits for more, so that the last one is never empty.
            if state.part.len() == PART_BYTES {
                self.send_part(&mut state).await?;
            }
            let room = PART_BYTES - state.part.len();
            let piece = bytes.split_to(room.min(bytes.len()));
            state.part.extend_from_slice(&piece);
        }
        self.state = Some(state);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), ObjectError> {
        let mut state = self.take()?;
        let Some(mut upload) = state.upload.take() else {
            return self.store.put_one(&self.key, state.part.freeze(), self.replaces).await;
        };
        upload.part(state.part.freeze()).await?;
        upload.complete(self.replaces).await
    }
}
