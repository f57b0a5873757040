//! What an entry is charged, beside the memory that the server needs for it.

use std::sync::Arc;

use runcast_actors::entry::{Body, Entry};
use runcast_actors::ids::Seq;
use runcast_actors::ports::Replica as _;
use runcast_actors::testing::log_memory::{chunk_entry, run_key};
use runcast_actors::testing::replica_conformance::batch;

use super::server::{OWNER, Server};

/// Bytes of a run, in chunks of one length.
const RUN_BYTES: usize = 1024 * 1024;

/// A chunk as an instance with a name of the usual length makes it.
fn chunk(number: u64, len: usize) -> Arc<Entry> {
    let mut entry = Entry::clone(&chunk_entry(Seq(number), number - 1, len));
    if let Body::Terminal(chunk) = &mut entry.body {
        chunk.origin = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".into();
    }
    Arc::new(entry)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_charged_is_no_less_than_what_the_server_needs() {
    let server = Server::start();
    let owner = server.replica();
    for len in [1, 8, 100, 1000, 2100, 4000, 4097, 9000, 16_500, 20_600, 32_768, 300_000] {
        let run = run_key(&format!("of-{len}"));
        owner.fence(&run, OWNER).await.expect("fenced");
        let count = (RUN_BYTES / len).clamp(1, 4096) as u64;
        let entries: Vec<Arc<Entry>> = (1..=count).map(|number| chunk(number, len)).collect();
        let charged: u64 = entries.iter().map(|entry| owner.cost(entry)).sum();
        owner.append(&run, OWNER, batch(Seq::START, entries)).await.expect("appended");
        let key = format!("terminal:{{default/of-{len}}}:n:pty");
        let needed = server.cli(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]);
        let needed: u64 = needed.parse().expect("a number");
        assert!(needed <= charged, "{count} of {len} bytes: {needed} bytes, {charged} are charged");
        // The allowance for what stands beside the payload is too much for small ones.
        let is_near = len < 4000 || charged <= needed + needed / 3;
        assert!(is_near, "{count} of {len} bytes: {needed} bytes, {charged} are charged");
    }
}
