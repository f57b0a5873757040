//! A stream of events that goes on after cuts.
//!
//! After a cut, or an `error` event that may pass, it asks again with the `id` of the last event it
//! gave out, after the delay that the server named in `retry:`, doubled with each failure in a row
//! and jittered. It ends after `done`, or when the server says that nothing is left (204).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStream};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use rand::RngExt as _;
use reqwest::StatusCode;
use serde_json::Value;

use super::client::{ApiClient, ClientError};
use super::text::clean;

/// Failures in a row, without an event between them, after which it gives up: about ten minutes.
const MAX_FAILURES: u32 = 25;
const MAX_DELAY: Duration = Duration::from_secs(30);
const DEFAULT_RETRY_MS: u64 = 1000;

/// What a feed gives.
#[derive(Debug)]
pub(super) enum FeedItem {
    /// An event.
    Event(FeedEvent),
    /// The connection was lost and comes back; the reason, for people.
    Interrupted(String),
}

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FeedEvent {
    /// Its name.
    pub(super) name: String,
    /// Its data: JSON.
    pub(super) data: String,
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, String>> + Send>>;

/// A stream of events that goes on after cuts.
pub(super) struct EventFeed {
    client: ApiClient,
    path: String,
    query: Vec<(&'static str, String)>,
    events: Option<Events>,
    last_event_id: Option<String>,
    retry_ms: Arc<AtomicU64>,
    failures: u32,
    was_connected: bool,
    is_over: bool,
}

impl EventFeed {
    pub(super) fn new(client: ApiClient, path: String, query: Vec<(&'static str, String)>) -> Self {
        Self {
            client,
            path,
            query,
            events: None,
            last_event_id: None,
            retry_ms: Arc::new(AtomicU64::new(DEFAULT_RETRY_MS)),
            failures: 0,
            was_connected: false,
            is_over: false,
        }
    }

    /// The next item; none after the end. Dropping the future loses no event.
    pub(super) async fn next(&mut self) -> Result<Option<FeedItem>, ClientError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let Some(events) = &mut self.events else {
                match self.connect().await {
                    Ok(()) => continue,
                    Err(error) => return self.interrupted(error).map(Some),
                }
            };
            match events.next().await {
                Some(Ok(event)) => return self.accept(event).map(Some),
                Some(Err(message)) => {
                    let url = self.client.base().to_owned();
                    return self.interrupted(ClientError::Transport { url, message }).map(Some);
                }
                // The server ends long streams in good order, so this is not worth a word.
                None => {
                    self.events = None;
                    self.count_failure()?;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if self.failures > 0 {
            tokio::time::sleep(self.delay()).await;
        }
        let id = self.last_event_id.as_deref();
        let response = self.client.open_stream(&self.path, &self.query, id).await?;
        if response.status() == StatusCode::NO_CONTENT {
            self.is_over = true;
            return Ok(());
        }
        self.was_connected = true;
        let client = self.client.clone();
        let mut watcher = RetryWatcher::new(Arc::clone(&self.retry_ms));
        let bytes = response
            .bytes_stream()
            .map_err(move |error| client.transport(&error).to_string())
            .inspect_ok(move |piece: &Bytes| watcher.read(piece));
        let events = EventStream::new(bytes).map_err(|error| error.to_string());
        self.events = Some(Box::pin(events));
        Ok(())
    }

    fn accept(&mut self, event: Event) -> Result<FeedItem, ClientError> {
        if event.event == "error" {
            let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
            let is_passing = data["retryable"].as_bool().unwrap_or(false);
            let error = ClientError::Refused {
                status: if is_passing { 503 } else { 200 },
                code: data["code"].as_str().map_or_else(|| "INTERNAL".to_owned(), clean),
                message: data["message"].as_str().map(clean).unwrap_or_default(),
                request_id: None,
            };
            return self.interrupted(error);
        }
        self.failures = 0;
        if !event.id.is_empty() {
            self.last_event_id = Some(event.id);
        }
        self.is_over = event.event == "done";
        Ok(FeedItem::Event(FeedEvent { name: event.event, data: event.data }))
    }

    /// Prepares the next attempt; the error itself if there is no sense in one.
    fn interrupted(&mut self, error: ClientError) -> Result<FeedItem, ClientError> {
        self.events = None;
        let may_return = error.is_passing() && (self.was_connected || !is_absent(&error));
        if !may_return || self.failures >= MAX_FAILURES {
            self.is_over = true;
            return Err(error);
        }
        self.failures += 1;
        Ok(FeedItem::Interrupted(error.to_string()))
    }

    fn count_failure(&mut self) -> Result<(), ClientError> {
        self.failures += 1;
        if self.failures <= MAX_FAILURES {
            return Ok(());
        }
        self.is_over = true;
        let message = "the stream ends again and again without an event".to_owned();
        Err(ClientError::Transport { url: self.client.base().to_owned(), message })
    }

    fn delay(&self) -> Duration {
        let base = Duration::from_millis(self.retry_ms.load(Ordering::Relaxed));
        let doublings = self.failures.saturating_sub(1).min(10);
        let grown = base.saturating_mul(1 << doublings).min(MAX_DELAY.max(base));
        grown.mul_f64(rand::rng().random_range(0.75..1.25))
    }
}

fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::NoService(_) | ClientError::Transport { .. })
}

/// Finds `retry:` in the bytes: the parser of events forgets one that stands without an event.
struct RetryWatcher {
    retry_ms: Arc<AtomicU64>,
    /// The line so far; longer ones are none of ours.
    line: Vec<u8>,
    is_too_long: bool,
}

impl RetryWatcher {
    const MAX_LINE_BYTES: usize = 24;
    const MAX_RETRY_MS: u64 = 300_000;

    fn new(retry_ms: Arc<AtomicU64>) -> Self {
        Self { retry_ms, line: Vec::new(), is_too_long: false }
    }

    fn read(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = Self::MAX_LINE_BYTES - self.line.len();
            self.is_too_long |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let value = (!self.is_too_long)
            .then(|| self.line.strip_prefix(b"retry:"))
            .flatten()
            .and_then(|rest| std::str::from_utf8(rest).ok())
            .and_then(|rest| rest.trim().parse::<u64>().ok());
        if let Some(millis) = value {
            self.retry_ms.store(millis.min(Self::MAX_RETRY_MS), Ordering::Relaxed);
        }
        self.line.clear();
        self.is_too_long = false;
    }
}

#[cfg(test)]
mod tests;
