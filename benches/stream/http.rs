//! One request over plain HTTP/1.1, whose body is given away as it comes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::chunked::Chunked;

/// Silence after which a client gives up; the service sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// What one read takes.
const READ_BYTES: usize = 256 * 1024;

/// An answer behind its head.
pub(crate) struct Answer {
    /// Where the rest of the body comes from.
    pub(crate) connection: TcpStream,
    /// What came with the head.
    pub(crate) received: Vec<u8>,
    /// How many bytes the body has; none if it comes in chunks.
    pub(crate) length: Option<u64>,
}

/// How long a body took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Downloaded {
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// From the first byte of the request to the last of the body.
    pub(crate) took: Duration,
}

/// Asks for a path below `/api/v1`; the answer must be a 200.
pub(crate) fn ask(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(SILENCE))?;
    connection
        .write_all(format!("GET /api/v1{path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
    let mut received = Vec::new();
    let mut part = [0; 4096];
    let end = loop {
        let count = connection.read(&mut part)?;
        ensure!(count > 0, "the answer to {path} ends in its head");
        received.extend_from_slice(&part[..count]);
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 200"), "{path} was answered with {head}");
    let length = match head.split("\r\ncontent-length:").nth(1) {
        Some(rest) => Some(rest.lines().next().unwrap_or_default().trim().parse()?),
        None => None,
    };
    ensure!(
        length.is_some() || head.contains("transfer-encoding: chunked"),
        "the answer has no length and no chunks: {head}"
    );
    received.drain(..end + 4);
    Ok(Answer { connection, received, length })
}

/// Asks, and gives the body to `seen`; a body that is cut off is an error.
pub(crate) fn download(
    address: SocketAddr,
    path: &str,
    mut seen: impl FnMut(&[u8]),
) -> anyhow::Result<Downloaded> {
    let began = Instant::now();
    let Answer { mut connection, mut received, length } = ask(address, path)?;
    let mut chunked = Chunked::default();
    let mut bytes = 0;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut count_and_see = |part: &[u8]| {
            bytes += part.len() as u64;
            seen(part);
        };
        match length {
            Some(_) => count_and_see(&received),
            None => chunked.feed(&received, count_and_see)?,
        }
        if length.map_or(chunked.has_ended(), |length| bytes >= length) {
            return Ok(Downloaded { bytes, took: began.elapsed() });
        }
        let count = connection.read(&mut buffer).context("the download is silent")?;
        ensure!(count > 0, "the answer to {path} was cut after {bytes} bytes");
        received.clear();
        received.extend_from_slice(&buffer[..count]);
    }
}

/// Asks for a JSON document, and how long it took.
pub(crate) fn json(
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<(serde_json::Value, Duration)> {
    let mut body = Vec::new();
    let downloaded = download(address, path, |part| body.extend_from_slice(part))?;
    let value = serde_json::from_slice(&body).with_context(|| format!("{path} is no JSON"))?;
    Ok((value, downloaded.took))
}
