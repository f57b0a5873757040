//! Interactive terminals under load: a hundred clients on fifty sessions who type, resize, look and open others, while
//! ten sessions write a megabyte a second and one writes ten at once. Beside them what a plain terminal takes to echo a
//! key.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use pty_process::Size;
use pty_process::blocking::Command;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target, quantile};
use crate::service::{Place, Service};
use crate::{Scale, mebibytes};

const NAME: &str = "terminals";
const SESSIONS: usize = 50;
const CLIENTS_PER_SESSION: usize = 2;
/// Sessions that write all the time.
const PACED: usize = 10;
const PACED_BYTES_PER_SEC: u64 = 1_000_000;
/// What one session writes at once.
const FLOOD_BYTES: u64 = 10_000_000;
/// Operations of all clients together in a minute.
const OPERATIONS_PER_MINUTE: u64 = 1020;
/// How long one operation may take before it counts as failed.
const LIMIT: Duration = Duration::from_secs(20);
/// Keys of the plain terminal.
const PLAIN_KEYS: usize = 200;

/// Measures the load, and a plain terminal at rest.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let mut plain = plain_echoes()?;
    plain.sort_by(f64::total_cmp);
    report.add(
        NAME,
        ("key to echo, plain terminal, p95", "ms"),
        Target::None,
        quantile(&plain, 0.95),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load(scale, report))
}

/// What each kind of operation took, in milliseconds.
#[derive(Default)]
struct Took {
    create: Vec<f64>,
    echo: Vec<f64>,
    rest: Vec<f64>,
}

struct Load {
    http: reqwest::Client,
    address: SocketAddr,
    took: Mutex<Took>,
}

async fn load(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::new()?;
    let limits = [
        ("RUNCAST__SESSIONS__MAX_PER_PROJECT", "200"),
        ("RUNCAST__SESSIONS__MAX_PER_USER", "200"),
        ("RUNCAST__SESSIONS__MAX_TOTAL", "200"),
    ];
    let service = Service::start_with(&place, &limits)?;
    let load = Arc::new(Load {
        http: reqwest::Client::builder().no_proxy().build()?,
        address: service.address(),
        took: Mutex::default(),
    });
    let mut clients = Vec::new();
    for number in 0..SESSIONS {
        let id = load.create(&format!("tab {number}")).await?;
        for _ in 0..CLIENTS_PER_SESSION {
            clients.push(Client::attach(load.address, &id).await?);
        }
    }
    ensure!(clients.len() == SESSIONS * CLIENTS_PER_SESSION, "clients are missing");
    // Shells say what they have to say first.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let lasting = Duration::from_secs(scale.terminals_secs);
    let gate = place.gate()?;
    let bytes = PACED_BYTES_PER_SEC * scale.terminals_secs;
    let paced = Kind::Paced { bytes, bytes_per_sec: PACED_BYTES_PER_SEC }.command(&gate, None)?;
    for session in 0..PACED {
        let line = format!("exec {}\r", paced.join(" "));
        clients[session * CLIENTS_PER_SESSION].type_in(line.as_bytes()).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before: Vec<u64> = clients.iter().map(Client::received).collect();
    let held = tokio::task::spawn_blocking(move || open_gate(&gate)).await??;
    let flooded = PACED * CLIENTS_PER_SESSION;
    let line = format!("head -c {FLOOD_BYTES} /dev/zero | tr '\\0' x; echo\r");
    clients[flooded].type_in(line.as_bytes()).await?;

    let (cpu, began) = (service.process().cpu("")?, Instant::now());
    let typing = clients.split_off((PACED + 1) * CLIENTS_PER_SESSION);
    let operations = operate(&load, typing, lasting).await?;
    let elapsed = began.elapsed();
    let cpu = service.process().cpu("")?.saturating_sub(cpu);
    drop(held);

    // Everything that was written has come, to both clients of a session.
    let deadline = Instant::now() + LIMIT;
    for (place, client) in clients.iter().enumerate() {
        let wanted = if place < flooded { bytes } else { FLOOD_BYTES };
        while client.received() - before[place] < wanted {
            let (has, is) = (client.received() - before[place], place / CLIENTS_PER_SESSION);
            ensure!(Instant::now() < deadline, "a client of session {is} has {has} of {wanted}");
            ensure!(!client.is_closed(), "a client of session {is} was closed at {has}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let took = std::mem::take(&mut *load.took.lock().await);
    let per_minute = operations as f64 * 60.0 / elapsed.as_secs_f64();
    report.add(NAME, ("operations a minute", "1"), Target::AtLeast(1000.0), per_minute);
    for (name, mut samples, target) in [
        ("creation", took.create, 2000.0),
        ("key to echo", took.echo, 50.0),
        ("other requests", took.rest, 500.0),
    ] {
        samples.sort_by(f64::total_cmp);
        let figure = |part: f64| quantile(&samples, part);
        report.add(NAME, (&format!("{name}, p50"), "ms"), Target::None, figure(0.5));
        report.add(NAME, (&format!("{name}, p95"), "ms"), Target::AtMost(target), figure(0.95));
        report.add(NAME, (&format!("{name}, longest"), "ms"), Target::None, figure(1.0));
    }
    let (now, peak) = service.memory_kib()?;
    report.add(NAME, ("memory", "MiB"), Target::None, mebibytes(now));
    report.add(NAME, ("memory at its peak", "MiB"), Target::AtMost(476.8), mebibytes(peak));
    let cores = std::thread::available_parallelism()?.get() as f64;
    let share = 100.0 * cpu.as_secs_f64() / (elapsed.as_secs_f64() * cores);
    report.add(NAME, ("processor, of all cores", "%"), Target::AtMost(80.0), share);
    Ok(())
}

/// Operations at their rate, each by the next client that types. Returns how many there were.
async fn operate(load: &Arc<Load>, clients: Vec<Client>, lasting: Duration) -> anyhow::Result<u64> {
    let mut ticks = tokio::time::interval(Duration::from_secs(60) / OPERATIONS_PER_MINUTE as u32);
    let end = Instant::now() + lasting;
    let clients: Vec<Arc<Mutex<Client>>> =
        clients.into_iter().map(|client| Arc::new(Mutex::new(client))).collect();
    let mut under_way = tokio::task::JoinSet::new();
    let mut count = 0;
    while Instant::now() < end {
        ticks.tick().await;
        let (load, number) = (load.clone(), count);
        // Two clients of one session answer for each other: only the first of them measures.
        let place = usize::try_from(number)? * CLIENTS_PER_SESSION % clients.len();
        let client = clients[place].clone();
        under_way.spawn(async move { load.operate(number, &mut *client.lock().await).await });
        count += 1;
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(count)
}

impl Load {
    /// Most are keys; the others are looks, sizes, and sessions that come and go.
    async fn operate(&self, number: u64, client: &mut Client) -> anyhow::Result<()> {
        match number % 20 {
            0 => {
                let id = self.create(&format!("short {number}")).await?;
                self.ask(reqwest::Method::DELETE, &format!("/terminals/{id}"), None).await?;
            }
            1 | 2 => drop(self.ask(reqwest::Method::GET, "/terminals", None).await?),
            3 => {
                let path = format!("/terminals/{}/screen?format=json", client.id);
                self.ask(reqwest::Method::GET, &path, None).await?;
            }
            4 => drop(self.ask(reqwest::Method::GET, "/admin/sessions", None).await?),
            5 => {
                let cols = 80 + number % 40;
                client.say(&json!({ "type": "resize", "cols": cols, "rows": 30 })).await?;
            }
            6 => {
                let path = format!("/terminals/{}", client.id);
                self.ask(reqwest::Method::GET, &path, None).await?;
            }
            _ => {
                let took = client.echo().await?;
                self.took.lock().await.echo.push(took);
            }
        }
        Ok(())
    }

    async fn create(&self, tab: &str) -> anyhow::Result<String> {
        let wanted = json!({ "projectId": "bench", "type": "system", "tabName": tab });
        let began = Instant::now();
        let answer = self.send(reqwest::Method::POST, "/terminals", Some(&wanted)).await?;
        self.took.lock().await.create.push(milliseconds(began.elapsed()));
        Ok(answer["session"]["id"].as_str().context("a session without an id")?.to_owned())
    }

    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let began = Instant::now();
        let answer = self.send(method, path, body).await?;
        self.took.lock().await.rest.push(milliseconds(began.elapsed()));
        Ok(answer)
    }

    async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("http://{}/api/v1{path}", self.address);
        let mut request = self.http.request(method, url).timeout(LIMIT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{path} was answered with {}", answer.status());
        Ok(answer.json().await?)
    }
}

/// One client: what it receives is counted by a task of its own.
struct Client {
    id: String,
    outgoing: mpsc::Sender<Message>,
    /// When output came, for those who wait for it.
    arrived: mpsc::Receiver<Instant>,
    received: Arc<AtomicU64>,
    reader: tokio::task::JoinHandle<()>,
    typed: usize,
}

impl Client {
    async fn attach(address: SocketAddr, id: &str) -> anyhow::Result<Self> {
        let url = format!("ws://{address}/api/v1/terminals/{id}/ws");
        let (socket, _) = connect_async(url).await?;
        let (mut sink, mut stream) = socket.split();
        let (outgoing, mut to_send) = mpsc::channel::<Message>(16);
        tokio::spawn(async move {
            while let Some(message) = to_send.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        let (told, arrived) = mpsc::channel(1);
        let received = Arc::new(AtomicU64::new(0));
        let counted = received.clone();
        let pongs = outgoing.clone();
        let reader = tokio::spawn(async move {
            let mut offset = None;
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Binary(bytes) if bytes.len() > 8 => {
                        let at = u64::from_be_bytes(bytes[..8].try_into().unwrap_or_default());
                        // A byte that is missing ends the client, and that is noticed.
                        if offset.is_some_and(|offset| offset != at) {
                            return;
                        }
                        let count = bytes.len() as u64 - 8;
                        offset = Some(at + count);
                        counted.fetch_add(count, Ordering::Relaxed);
                        let _ = told.try_send(Instant::now());
                    }
                    Message::Ping(payload) => drop(pongs.try_send(Message::Pong(payload))),
                    _ => {}
                }
            }
        });
        Ok(Self { id: id.to_owned(), outgoing, arrived, received, reader, typed: 0 })
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.reader.is_finished()
    }

    async fn type_in(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let message = Message::binary(bytes.to_vec());
        self.outgoing.send(message).await.context("the connection is gone")
    }

    async fn say(&self, document: &Value) -> anyhow::Result<()> {
        let message = Message::text(document.to_string());
        self.outgoing.send(message).await.context("the connection is gone")
    }

    /// Types a key and waits until it is shown: milliseconds.
    async fn echo(&mut self) -> anyhow::Result<f64> {
        while self.arrived.try_recv().is_ok() {}
        self.typed += 1;
        // A line that grows too long is given up: that is shown, too.
        let key: &[u8] = if self.typed.is_multiple_of(40) { b"\x15" } else { b"k" };
        let began = Instant::now();
        self.type_in(key).await?;
        match tokio::time::timeout(LIMIT, self.arrived.recv()).await {
            Ok(Some(at)) => Ok(milliseconds(at.saturating_duration_since(began))),
            Ok(None) => bail!("a client was closed"),
            Err(_) => bail!("a key was not shown within {LIMIT:?}"),
        }
    }
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// What a terminal of this program takes to echo a key of the same shell, in milliseconds.
fn plain_echoes() -> anyhow::Result<Vec<f64>> {
    let (mut terminal, slave) = pty_process::blocking::open()?;
    terminal.resize(Size::new(30, 120))?;
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let mut child = Command::new(shell).arg("-l").spawn(slave)?;
    std::thread::sleep(Duration::from_secs(1));
    let mut buffer = [0; 4096];
    // The prompt.
    let _ = terminal.read(&mut buffer)?;
    let mut took = Vec::with_capacity(PLAIN_KEYS);
    for number in 1..=PLAIN_KEYS {
        let key: &[u8] = if number % 40 == 0 { b"\x15" } else { b"k" };
        let began = Instant::now();
        terminal.write_all(key)?;
        ensure!(terminal.read(&mut buffer)? > 0, "the plain terminal has ended");
        took.push(milliseconds(began.elapsed()));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(took)
}
