//! A client of an interactive terminal: what it was told, and the screen it would show.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use runcast_actors::entry::TerminalSize;
use runcast_actors::screen::VirtualTerminal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::api::Api;

/// How long a program may take to show something.
const LIMIT: Duration = Duration::from_secs(30);

/// A client that is attached.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) terminal: VirtualTerminal,
    /// Output without the screens that came before it.
    pub(crate) output: Vec<u8>,
    /// Where the next output must begin.
    pub(crate) offset: u64,
    /// The text messages, in order.
    pub(crate) told: Vec<Value>,
    /// The code with which the service closed.
    pub(crate) closed: Option<u16>,
}

impl Socket {
    /// Attaches to a session; an error is the status of the refusal and its document.
    pub(crate) async fn open(api: &Api, id: &str, query: &str) -> Result<Self, (u16, Value)> {
        Self::open_from(api, id, query, None).await
    }

    /// The same as a page of this origin.
    pub(crate) async fn open_from(
        api: &Api,
        id: &str,
        query: &str,
        origin: Option<&str>,
    ) -> Result<Self, (u16, Value)> {
        let base = api.base().replacen("http", "ws", 1);
        let url = format!("{base}/api/v1/terminals/{id}/ws?{query}");
        let mut request = url.into_client_request().expect("a request");
        let mut header = |name: &'static str, value: &str| {
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        };
        if let Some(token) = api.token() {
            header("authorization", &format!("Bearer {token}"));
        }
        if let Some(origin) = origin {
            header("origin", origin);
        }
        let stream = match connect_async(request).await {
            Ok((stream, _)) => stream,
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let document = serde_json::from_slice(&body).unwrap_or(Value::Null);
                return Err((response.status().as_u16(), document));
            }
            Err(error) => panic!("{error}"),
        };
        let mut socket = Self {
            stream,
            terminal: VirtualTerminal::new(TerminalSize { cols: 80, rows: 24 }),
            output: Vec::new(),
            offset: 0,
            told: Vec::new(),
            closed: None,
        };
        assert!(socket.next().await, "it says that it is ready");
        let ready = &socket.told[0];
        assert_eq!(ready["type"], "ready", "{ready}");
        socket.offset = ready["offset"].as_u64().expect("an offset");
        Ok(socket)
    }

    /// Takes the next message; false if there are no more.
    pub(crate) async fn next(&mut self) -> bool {
        let received = tokio::time::timeout(LIMIT, self.stream.next()).await;
        let Some(message) = received.unwrap_or_else(|_| panic!("silence; {}", self.shown())) else {
            return false;
        };
        match message {
            Ok(Message::Binary(bytes)) => {
                let (offset, output) = bytes.split_at(8);
                let offset = u64::from_be_bytes(offset.try_into().expect("8 bytes"));
                assert_eq!(offset, self.offset, "no byte is missing or doubled");
                assert!(!output.is_empty());
                self.offset += output.len() as u64;
                self.output.extend_from_slice(output);
                self.terminal.feed(output);
            }
            Ok(Message::Text(text)) => self.hear(serde_json::from_str(&text).expect("JSON")),
            Ok(Message::Close(frame)) => {
                self.closed = frame.map(|frame| u16::from(frame.code));
            }
            Ok(_) => {}
            Err(_) => return false,
        }
        true
    }

    fn hear(&mut self, told: Value) {
        let size = || TerminalSize {
            cols: u16::try_from(told["cols"].as_u64().expect("columns")).expect("few"),
            rows: u16::try_from(told["rows"].as_u64().expect("rows")).expect("few"),
        };
        match told["type"].as_str().expect("a type") {
            "snapshot" => {
                self.terminal = VirtualTerminal::new(size());
                let payload = told["payload"].as_str().expect("a payload");
                self.terminal.feed(&STANDARD.decode(payload).expect("base64"));
                self.offset = told["offset"].as_u64().expect("an offset");
            }
            "resize" => {
                assert_eq!(told["offset"], self.offset, "{told}");
                self.terminal.resize(size());
            }
            _ => {}
        }
        self.told.push(told);
    }

    /// Reads until this holds.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begin = tokio::time::Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < LIMIT, "{what}: {}", self.shown());
            assert!(self.next().await, "{what}: it was closed; {}", self.shown());
        }
    }

    /// Reads until the screen shows this.
    pub(crate) async fn shows(&mut self, text: &str) {
        self.until(text, |socket| socket.terminal.text().contains(text)).await;
    }

    /// Reads until it is closed, and gives the last message of this type.
    pub(crate) async fn last(&mut self, kind: &str) -> Value {
        while self.next().await {}
        let found = self.told.iter().rfind(|told| told["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}; {}", self.shown())).clone()
    }

    /// The first message of this type; reads until it comes.
    pub(crate) async fn told(&mut self, kind: &str) -> Value {
        self.until(kind, |socket| socket.told.iter().any(|told| told["type"] == kind)).await;
        self.told.iter().find(|told| told["type"] == kind).expect("it was told").clone()
    }

    /// Types.
    pub(crate) async fn type_in(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(Message::Binary(bytes.as_ref().to_vec().into())).await;
    }

    /// Says that its window has another size.
    pub(crate) async fn resize(&mut self, cols: u16, rows: u16) {
        self.say(&json!({ "type": "resize", "cols": cols, "rows": rows })).await;
    }

    /// Sends a text message.
    pub(crate) async fn say(&mut self, document: &Value) {
        self.send(Message::Text(document.to_string().into())).await;
    }

    /// Sends any message.
    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.expect("it is sent");
    }

    /// The connection itself.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match self.stream.get_mut() {
            MaybeTlsStream::Plain(stream) => stream,
            _ => panic!("there is no encryption here"),
        }
    }

    fn shown(&self) -> String {
        format!("{:?}\n{}", self.told, self.terminal.text())
    }
}
