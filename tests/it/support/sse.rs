//! Server-Sent Events, parsed here byte by byte, over a client that can be cut at any moment.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How long a client of a test waits for the next bytes: keep-alives come more often.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// One block of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// An event with data.
    Event(Event),
    /// Only a cursor.
    BareId(u64),
    /// Only a comment.
    Comment,
    /// The wait before coming back, in milliseconds.
    Retry(u64),
}

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    /// The data as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// Bytes to messages; what is not finished by an empty line is kept back, as the standard says.
#[derive(Default)]
pub(crate) struct Parser {
    pending: Vec<u8>,
    scanned: usize,
}

impl Parser {
    /// Takes bytes in any cuts; each finished message is given to `each`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Message)) {
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        let mut from = self.scanned;
        while let Some(place) = find_line_break(&self.pending[from..]) {
            let end = from + place;
            if self.pending.get(end + 1) == Some(&b'\n') {
                parse_block(&self.pending[start..=end], &mut each);
                start = end + 2;
                from = start;
            } else if end + 1 == self.pending.len() {
                break;
            } else {
                from = end + 1;
            }
        }
        self.pending.drain(..start);
        let last_is_break = self.pending.last() == Some(&b'\n');
        self.scanned = self.pending.len() - usize::from(last_is_break);
    }

    /// Bytes of a message that has not ended.
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.pending
    }
}

fn find_line_break(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

fn parse_block(block: &[u8], each: &mut impl FnMut(Message)) {
    let text = std::str::from_utf8(block).expect("the stream is UTF-8");
    assert!(!text.contains('\r'), "a stray CR: {text:?}");
    let mut event = Event { id: None, name: String::new(), data: String::new() };
    let mut has_data = false;
    let mut retry = None;
    for line in text.trim_end_matches('\n').split('\n') {
        if line.starts_with(':') {
            continue;
        }
        let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("a line {line:?}"));
        match field {
            "id" => event.id = Some(value.parse().expect("ids are decimal numbers")),
            "event" => value.clone_into(&mut event.name),
            "data" => {
                assert!(!has_data, "data of two lines: {text:?}");
                has_data = true;
                value.clone_into(&mut event.data);
            }
            "retry" => retry = Some(value.parse().expect("a number")),
            other => panic!("an unknown field {other:?}"),
        }
    }
    if let Some(retry) = retry {
        each(Message::Retry(retry));
    }
    match (has_data, event.id) {
        (true, _) => {
            assert!(!event.name.is_empty(), "an event without a name: {text:?}");
            each(Message::Event(event));
        }
        (false, Some(id)) => each(Message::BareId(id)),
        (false, None) if retry.is_none() => each(Message::Comment),
        (false, None) => {}
    }
}

/// A stream that is going to be opened.
#[derive(Clone)]
pub(crate) struct SseRequest {
    url: String,
    token: Option<String>,
    query: Vec<(String, String)>,
    last_event_id: Option<u64>,
}

impl SseRequest {
    /// Of this address.
    pub(crate) fn new(url: String, token: Option<String>) -> Self {
        Self { url, token, query: Vec::new(), last_event_id: None }
    }

    /// Adds to the query.
    #[expect(clippy::needless_pass_by_value, reason = "callers give numbers and texts")]
    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sends the cursor as a browser does; nothing without one.
    pub(crate) fn last_event_id(mut self, seq: Option<u64>) -> Self {
        self.last_event_id = seq;
        self
    }

    /// Opens the stream, whatever the status.
    pub(crate) async fn try_open(&self) -> reqwest::Result<SseClient> {
        // A client of its own: a connection that was cut must not be met again in a pool.
        let http = Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let mut request = http.get(&self.url).query(&self.query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(seq) = self.last_event_id {
            request = request.header("Last-Event-ID", seq.to_string());
        }
        let response = request.send().await?;
        Ok(SseClient { response, parser: Parser::default(), ready: Vec::new().into_iter() })
    }

    /// Opens the stream; panics unless it is one.
    pub(crate) async fn open(&self) -> SseClient {
        let client = self.try_open().await.expect("an answer");
        assert_eq!(client.status(), 200, "{}", self.url);
        client
    }

    /// Opens the stream on a socket whose receive buffer has this size; the client reads when it likes.
    pub(crate) async fn open_raw(&self, receive_buffer: u32) -> RawClient {
        let mut url = reqwest::Url::parse(&self.url).expect("a valid address");
        url.query_pairs_mut().extend_pairs(&self.query);
        let host = url.host_str().expect("a host");
        let authority = format!("{host}:{}", url.port().expect("a port"));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(receive_buffer).expect("the buffer has a size");
        let mut stream =
            socket.connect(authority.parse().expect("an address")).await.expect("a connection");
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let cursor = self.last_event_id.map(|seq| format!("Last-Event-ID: {seq}\r\n"));
        let head = format!(
            "GET {}{query} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            url.path(),
            cursor.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).await.expect("the request is sent");
        RawClient {
            stream,
            parser: Parser::default(),
            head: Some(Vec::new()),
            body: Chunked::default(),
        }
    }
}

/// An open stream. Dropping it cuts the connection.
pub(crate) struct SseClient {
    response: Response,
    parser: Parser,
    ready: std::vec::IntoIter<Message>,
}

impl SseClient {
    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The next message; none when the stream has ended or was cut.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.next() {
                return Some(message);
            }
            let bytes = self.next_bytes().await?;
            let mut messages = Vec::new();
            self.parser.push(&bytes, |message| messages.push(message));
            self.ready = messages.into_iter();
        }
    }

    /// Reads about so many bytes, not one more is parsed, and gives what was finished in them; true
    /// if the stream has ended before.
    pub(crate) async fn read_bytes(&mut self, most: usize) -> (Vec<Message>, bool) {
        let mut messages = Vec::new();
        let mut left = most;
        while left > 0 {
            let Some(bytes) = self.next_bytes().await else { return (messages, true) };
            let taken = bytes.len().min(left);
            self.parser.push(&bytes[..taken], |message| messages.push(message));
            left -= taken;
        }
        (messages, false)
    }

    /// The next event, past comments and cursors.
    pub(crate) async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Message::Event(event) = self.next().await? {
                return Some(event);
            }
        }
    }

    /// The next event of a name.
    pub(crate) async fn find(&mut self, name: &str) -> Event {
        loop {
            let event = self.next_event().await;
            let event = event.unwrap_or_else(|| panic!("the stream ended before `{name}`"));
            if event.name == name {
                return event;
            }
        }
    }

    /// The next bytes as they came; none at the end, clean or not.
    pub(crate) async fn next_bytes(&mut self) -> Option<Bytes> {
        let next = tokio::time::timeout(SILENCE_LIMIT, self.response.chunk()).await;
        next.unwrap_or_else(|_| panic!("silence for {SILENCE_LIMIT:?}")).ok().flatten()
    }

    /// The rest of the body as it came.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next_bytes().await {
            all.extend_from_slice(&bytes);
        }
        all
    }
}

/// A stream on a plain socket that is read only when the test says so.
pub(crate) struct RawClient {
    stream: TcpStream,
    parser: Parser,
    head: Option<Vec<u8>>,
    body: Chunked,
}

/// Takes the chunks of HTTP/1.1 (RFC 9112, 7.1) apart, in any cuts.
#[derive(Default)]
struct Chunked {
    size_line: Vec<u8>,
    left: usize,
    skip: usize,
}

impl Chunked {
    fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
            } else if self.left > 0 {
                let taken = self.left.min(bytes.len());
                each(&bytes[..taken]);
                self.left -= taken;
                bytes = &bytes[taken..];
                self.skip = if self.left == 0 { 2 } else { 0 };
            } else {
                self.size_line.push(bytes[0]);
                bytes = &bytes[1..];
                if self.size_line.ends_with(b"\r\n") {
                    let line = std::str::from_utf8(&self.size_line).expect("a size").trim();
                    // An empty line ends the body.
                    if !line.is_empty() {
                        self.left = usize::from_str_radix(line, 16).expect("a hexadecimal size");
                    }
                    self.size_line.clear();
                    // The last one is empty, and an empty line ends the body.
                    self.skip = if self.left == 0 { 2 } else { 0 };
                }
            }
        }
    }
}

impl RawClient {
    /// Reads at most `most` bytes; false at the end of the stream.
    pub(crate) async fn read_some(&mut self, most: usize, each: impl FnMut(Message)) -> bool {
        let mut buffer = vec![0; most];
        let count = self.stream.read(&mut buffer).await.expect("the connection stays");
        if count == 0 {
            return false;
        }
        self.take(&buffer[..count], each);
        true
    }

    /// True if the connection has not been closed by the service; reads nothing.
    pub(crate) async fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let peeked = tokio::time::timeout(Duration::from_millis(100), self.stream.peek(&mut byte));
        !matches!(peeked.await, Ok(Ok(0) | Err(_)))
    }

    fn take(&mut self, bytes: &[u8], mut each: impl FnMut(Message)) {
        let Self { parser, body, .. } = self;
        let mut parse = |bytes: &[u8]| body.take(bytes, |part| parser.push(part, &mut each));
        let Some(head) = &mut self.head else { return parse(bytes) };
        head.extend_from_slice(bytes);
        let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { return };
        let head = self.head.take().expect("it was there");
        let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200 "), "{text}");
        assert!(text.contains("transfer-encoding: chunked"), "{text}");
        parse(&head[end + 4..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_in_any_cuts() {
        let text = b"retry: 3000\n: runcast\n\nevent: status\ndata: {\"a\":1}\n\n: \n\nid: 7\n\n\
            id: 8\nevent: terminal\ndata: {}\n\nid: 9\nevent: ter";
        let event = |id, name: &str, data: &str| {
            Message::Event(Event { id, name: name.to_owned(), data: data.to_owned() })
        };
        let expected = [
            Message::Retry(3000),
            event(None, "status", "{\"a\":1}"),
            Message::Comment,
            Message::BareId(7),
            event(Some(8), "terminal", "{}"),
        ];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let mut messages = Vec::new();
            for piece in text.chunks(size) {
                parser.push(piece, |message| messages.push(message));
            }
            assert_eq!(messages, expected, "cuts of {size}");
            assert_eq!(parser.unfinished(), b"id: 9\nevent: ter");
        }
    }
}
