//! The names of keys and channels. The braces make one hash slot of all keys of a run.

use runcast_actors::ids::{RunKey, StreamKey};

/// The field of `meta` that tells of `events:…`; those of terminals are [`stream_field`].
pub(super) const EVENTS_FIELD: &str = "events";
/// Where it is told that a run waits for an owner.
pub(super) const QUEUED_CHANNEL: &str = "runcast:queued";

/// The keys of one run.
#[derive(Debug, Clone)]
pub(super) struct RunKeys {
    tag: String,
}

impl RunKeys {
    pub(super) fn new(run: &RunKey) -> Self {
        Self { tag: format!("{{{run}}}") }
    }

    /// `{TENANT/RUN}`
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    pub(super) fn meta(&self) -> String {
        format!("meta:{}", self.tag)
    }

    /// The key of the stream that a field of `meta` tells of.
    pub(super) fn stream(&self, field: &str) -> String {
        if field == EVENTS_FIELD {
            return format!("events:{}", self.tag);
        }
        format!("terminal:{}:{field}", self.tag)
    }

    pub(super) fn screens(&self) -> String {
        format!("screen:{}", self.tag)
    }

    pub(super) fn inbox(&self) -> String {
        format!("inbox:{}", self.tag)
    }

    /// Where it is told that the run has grown, was trimmed or removed.
    pub(super) fn tail_channel(&self) -> String {
        format!("runcast:tail:{}", self.tag)
    }

    /// Where it is told that there is a command for the owner.
    pub(super) fn inbox_channel(&self) -> String {
        format!("runcast:inbox:{}", self.tag)
    }
}

/// `NODE:STREAM`, in keys and in the hashes `meta` and `screen`.
pub(super) fn stream_field(stream: &StreamKey) -> String {
    format!("{}:{}", stream.node_ref, stream.stream)
}

/// The stream of a `NODE:STREAM`; none if it is of something else.
pub(super) fn stream_of(field: &str) -> Option<StreamKey> {
    let (node, stream) = field.split_once(':')?;
    Some(StreamKey { node_ref: node.parse().ok()?, stream: stream.parse().ok()? })
}
