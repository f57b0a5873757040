//! The WebSocket of a session, as its client.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use runcast_actors::entry::TerminalSize;
use runcast_actors::sessions::SessionView;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::cli::client::{ApiClient, ClientError};
use crate::cli::follow::TERMINAL_RESET;

/// A service that is there pings every 15 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Goes to the beginning of the screen and clears it; what scrolled away before stays.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
const OFFSET_BYTES: usize = 8;

/// Messages that wait to be sent; while there are so many, nothing more is read from the keyboard.
const WAITING: usize = 256;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One connection. What is typed is sent by a task of its own, so that a program that takes no input stops neither
/// what is shown nor the key that leaves.
pub(super) struct SessionSocket {
    stream: SplitStream<Stream>,
    outgoing: mpsc::Sender<Message>,
    sending: JoinHandle<()>,
    heard_at: Instant,
    /// There may be something on the screen of the session, and so it needs a clear one.
    is_old: bool,
    /// The next byte.
    offset: u64,
}

/// What the service said.
pub(super) enum Heard {
    /// To be shown.
    Output(Vec<u8>),
    /// The session has ended.
    Ended(Box<SessionView>),
    /// Nothing for people.
    Nothing,
    /// The connection is gone.
    Broken,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Told {
    Ready {
        offset: u64,
    },
    Snapshot {
        offset: u64,
        payload: String,
    },
    Exit {
        session: Box<SessionView>,
    },
    #[serde(other)]
    Other,
}

impl SessionSocket {
    /// Attaches; with an offset it goes on there. `is_old`: something was written before.
    pub(super) async fn open(
        client: &ApiClient,
        url: &str,
        readonly: bool,
        is_old: bool,
        offset: Option<u64>,
    ) -> Result<Self, ClientError> {
        let failed = |message: String| ClientError::Transport { url: url.to_owned(), message };
        let mut address = reqwest::Url::parse(url).map_err(|error| failed(error.to_string()))?;
        if readonly {
            address.query_pairs_mut().append_pair("readonly", "true");
        }
        if let Some(offset) = offset {
            address.query_pairs_mut().append_pair("offset", &offset.to_string());
        }
        let mut request =
            address.as_str().into_client_request().map_err(|error| failed(error.to_string()))?;
        if let Some(token) = client.token() {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let value = value.map_err(|error| failed(error.to_string()))?;
            request.headers_mut().insert("authorization", value);
        }
        let connecting = tokio::time::timeout(CONNECT_LIMIT, connect_async(request)).await;
        let (stream, _) = match connecting {
            Ok(Ok(connected)) => connected,
            Ok(Err(Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                return Err(ClientError::refused(response.status().as_u16(), &body));
            }
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("no answer within {CONNECT_LIMIT:?}"))),
        };
        let (mut sink, stream) = stream.split();
        let (outgoing, mut messages) = mpsc::channel(WAITING);
        let sending = tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                // That it broke is heard by whoever listens.
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        let offset = offset.unwrap_or_default();
        Ok(Self { stream, outgoing, sending, heard_at: Instant::now(), is_old, offset })
    }

    /// Where to go on, if bytes have come.
    pub(super) fn offset(&self) -> Option<u64> {
        (self.offset > 0).then_some(self.offset)
    }

    /// The next message. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        let silent_at = self.heard_at + SILENCE_LIMIT;
        let Ok(Some(Ok(message))) = timeout_at(silent_at, self.stream.next()).await else {
            return Heard::Broken;
        };
        self.heard_at = Instant::now();
        match message {
            Message::Binary(bytes) if bytes.len() > OFFSET_BYTES => self.paint(&bytes),
            Message::Text(text) => {
                serde_json::from_str(&text).map_or(Heard::Nothing, |told| self.hear(told))
            }
            Message::Close(_) => Heard::Broken,
            _ => Heard::Nothing,
        }
    }

    /// True if what is typed can be sent, or soon.
    pub(super) fn has_room(&self) -> bool {
        self.outgoing.capacity() > 0
    }

    /// Sends what was typed; nothing without room.
    pub(super) fn type_in(&self, bytes: Vec<u8>) {
        let _ = self.outgoing.try_send(Message::Binary(bytes.into()));
    }

    /// Tells the size of the window.
    pub(super) fn resize(&self, size: Option<TerminalSize>) {
        let Some(TerminalSize { cols, rows }) = size else { return };
        let text = json!({ "type": "resize", "cols": cols, "rows": rows }).to_string();
        let _ = self.outgoing.try_send(Message::Text(text.into()));
    }

    fn paint(&mut self, message: &[u8]) -> Heard {
        let (head, output) = message.split_at(OFFSET_BYTES);
        let first = head.iter().fold(0_u64, |offset, byte| (offset << 8) | u64::from(*byte));
        if first > self.offset {
            return Heard::Broken;
        }
        // What was sent again changes nothing.
        let known = usize::try_from(self.offset - first).unwrap_or(usize::MAX).min(output.len());
        let fresh = &output[known..];
        self.offset += fresh.len() as u64;
        if fresh.is_empty() { Heard::Nothing } else { Heard::Output(fresh.to_vec()) }
    }

    fn hear(&mut self, told: Told) -> Heard {
        match told {
            Told::Ready { offset } if offset == self.offset && offset > 0 => Heard::Nothing,
            Told::Ready { offset } => {
                self.offset = offset;
                if self.is_old { Heard::Output(cleared(&[])) } else { Heard::Nothing }
            }
            Told::Snapshot { offset, payload } => {
                let Ok(screen) = STANDARD.decode(payload) else { return Heard::Broken };
                self.offset = offset;
                Heard::Output(cleared(&screen))
            }
            Told::Exit { session } => Heard::Ended(session),
            Told::Other => Heard::Nothing,
        }
    }
}

impl Drop for SessionSocket {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

/// A screen on a terminal on which something else may have left its modes.
fn cleared(screen: &[u8]) -> Vec<u8> {
    [TERMINAL_RESET, CLEAR, screen].concat()
}
