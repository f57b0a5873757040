//! One client of an interactive terminal.
//!
//! To the client: text `ready` first, then binary messages, 8 bytes big-endian offset of the first byte and the
//! output itself, and text messages (`snapshot`, `resize`, `truncated`, `state`, `pong`, `exit`, `error`). From the
//! client: binary messages are typed; text messages are `resize` and `ping`. Both ways go on beside each other, so
//! that Ctrl-C passes while output waits for a slow client.

use std::time::Duration;

use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, MessageStream,
    ProtocolError, Session,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use runcast_actors::moment::Timestamp;
use runcast_actors::roles::session::{Attachment, Told, TypeError, Typist};
use runcast_actors::sessions::{Repaint, SessionView};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::http::routes::terminals::TerminalSizeBody;

/// Output of one message: a client that does not read holds some 60 of them in memory.
const OUTPUT_BYTES: usize = 8 * 1024;
/// The largest message of a client, also in frames.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// How often a client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(15);
/// One that says nothing for so long, not even that it is there, is gone or does not read.
const SILENT_LIMIT: Duration = Duration::from_secs(45);
/// How long a client may take to read why it is left.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What a connection needs of the service.
pub(crate) struct Connection {
    /// The client's place in the session.
    pub(crate) attachment: Attachment,
    /// When its credential ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// True once the service ends its streams.
    pub(crate) closing: watch::Receiver<bool>,
    /// Its part of `sessions.max_connections`.
    pub(crate) room: OwnedSemaphorePermit,
}

/// Why a connection ends.
enum Ending {
    /// The client has gone.
    Gone,
    /// The session has ended, and the client was told everything.
    Exited(Box<SessionView>),
    /// The client is told why.
    Told { code: &'static str, message: String, close: CloseCode },
}

/// Serves the client until it goes, the session ends, or it may not stay.
pub(crate) async fn serve(connection: Connection, session: Session, messages: MessageStream) {
    let Connection { attachment, expires_at, mut closing, room } = connection;
    let messages = messages
        .max_frame_size(MAX_MESSAGE_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MAX_MESSAGE_BYTES);
    let typist = attachment.typist();
    let ending = tokio::select! {
        ending = send(attachment, session.clone()) => ending,
        ending = receive(typist, session.clone(), messages) => ending,
        () = until(expires_at) => Ending::Told {
            code: "UNAUTHENTICATED",
            message: "the token has expired".to_owned(),
            close: CloseCode::Policy,
        },
        _ = closing.wait_for(|closing| *closing) => Ending::Told {
            code: "UNAVAILABLE",
            message: "the service is stopping".to_owned(),
            close: CloseCode::Away,
        },
    };
    // One that does not read is not waited for.
    let _ = tokio::time::timeout(CLOSE_LIMIT, close(session, ending)).await;
    drop(room);
}

/// Tells the client what is new.
async fn send(mut attachment: Attachment, mut session: Session) -> Ending {
    let view = attachment.session().view();
    let ready = json!({ "type": "ready", "session": view, "offset": attachment.offset() });
    if session.text(ready.to_string()).await.is_err() {
        return Ending::Gone;
    }
    let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let sent = tokio::select! {
            told = attachment.next(OUTPUT_BYTES) => match told {
                Told::Ended(view) => return Ending::Exited(view),
                Told::Output { offset, bytes } => session.binary(framed(offset, &bytes)).await,
                other => session.text(message(&other).to_string()).await,
            },
            _ = pings.tick() => session.ping(b"").await,
        };
        if sent.is_err() {
            return Ending::Gone;
        }
    }
}

/// Output with its offset before it.
fn framed(offset: u64, bytes: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u64(offset);
    frame.extend_from_slice(bytes);
    frame.freeze()
}

/// What is not output, as text.
fn message(told: &Told) -> Value {
    match told {
        Told::Truncated { from } => json!({ "type": "truncated", "fromOffset": from }),
        Told::Screen(Repaint { offset, size, payload }) => json!({
            "type": "snapshot", "offset": offset, "cols": size.cols, "rows": size.rows,
            "payload": STANDARD.encode(payload),
        }),
        Told::Resized { offset, size } => {
            json!({ "type": "resize", "offset": offset, "cols": size.cols, "rows": size.rows })
        }
        Told::State(view) | Told::Ended(view) => {
            json!({ "type": "state", "state": view.state, "session": view })
        }
        Told::Output { .. } => Value::Null,
    }
}

/// What a client asks for.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Wish {
    Resize { cols: u16, rows: u16 },
    Ping {},
}

/// Does what the client asks for.
async fn receive(
    typist: Typist,
    mut session: Session,
    mut messages: AggregatedMessageStream,
) -> Ending {
    let mut refused_typing = false;
    loop {
        let Ok(received) = tokio::time::timeout(SILENT_LIMIT, messages.recv()).await else {
            metrics::counter!("runcast_ws_failures_total").increment(1);
            return Ending::Told {
                code: "TIMEOUT",
                message: format!("nothing was heard for {} s", SILENT_LIMIT.as_secs()),
                close: CloseCode::Policy,
            };
        };
        let done = match received {
            None | Some(Ok(AggregatedMessage::Close(_))) => return Ending::Gone,
            Some(Err(error)) => return broken(&error),
            Some(Ok(AggregatedMessage::Binary(bytes))) => match typist.type_in(&bytes).await {
                Ok(()) | Err(TypeError::Ended) => Ok(()),
                // Once is enough.
                Err(TypeError::ReadOnly) if std::mem::replace(&mut refused_typing, true) => Ok(()),
                Err(error @ TypeError::ReadOnly) => {
                    session.text(refusal("FORBIDDEN", &error.to_string())).await
                }
            },
            Some(Ok(AggregatedMessage::Text(text))) => obey(&text, &typist, &mut session).await,
            Some(Ok(AggregatedMessage::Ping(bytes))) => session.pong(&bytes).await,
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
        };
        if done.is_err() {
            return Ending::Gone;
        }
    }
}

async fn obey(text: &str, typist: &Typist, session: &mut Session) -> Result<(), Closed> {
    const ALLOWED: &str =
        r#"allowed: {"type":"resize","cols":1-1000,"rows":1-500}, {"type":"ping"}"#;
    match serde_json::from_str(text) {
        Ok(Wish::Ping {}) => session.text(json!({ "type": "pong" }).to_string()).await,
        Ok(Wish::Resize { cols, rows }) => match (TerminalSizeBody { cols, rows }).checked() {
            Ok(size) => {
                typist.resize(size);
                Ok(())
            }
            Err(error) => session.text(refusal("VALIDATION_FAILED", error.message())).await,
        },
        Err(error) => {
            let message = format!("the message is not understood: {error}; {ALLOWED}");
            session.text(refusal("VALIDATION_FAILED", &message)).await
        }
    }
}

fn refusal(code: &str, message: &str) -> String {
    json!({ "type": "error", "code": code, "message": message }).to_string()
}

/// What a violation of the protocol means to the client.
fn broken(error: &ProtocolError) -> Ending {
    metrics::counter!("runcast_ws_failures_total").increment(1);
    match error {
        // One in frames that grows too large is told as another error.
        ProtocolError::Overflow => too_large(),
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::Other => too_large(),
        // Nobody is there any more.
        ProtocolError::Io(_) => Ending::Gone,
        error => Ending::Told {
            code: "VALIDATION_FAILED",
            message: format!("the frames are malformed: {error}"),
            close: CloseCode::Protocol,
        },
    }
}

fn too_large() -> Ending {
    Ending::Told {
        code: "PAYLOAD_TOO_LARGE",
        message: format!("a message has more than {MAX_MESSAGE_BYTES} bytes"),
        close: CloseCode::Size,
    }
}

async fn close(mut session: Session, ending: Ending) {
    let (text, close) = match ending {
        Ending::Gone => return,
        Ending::Exited(view) => {
            let mut exit = json!({ "type": "exit", "session": view });
            if let Some(code) = view.exit_code {
                exit["exitCode"] = code.into();
            }
            if let Some(signal) = view.signal {
                exit["signal"] = signal.into();
            }
            (exit.to_string(), CloseCode::Normal)
        }
        Ending::Told { code, message, close } => (refusal(code, &message), close),
    };
    if session.text(text).await.is_ok() {
        let _ = session.close(Some(CloseReason { code: close, description: None })).await;
    }
}

async fn until(at: Option<Timestamp>) {
    let Some(at) = at else { return std::future::pending().await };
    let left = at.0.saturating_sub(Timestamp::now().0).max(0);
    tokio::time::sleep(Duration::from_micros(left.unsigned_abs())).await;
}
