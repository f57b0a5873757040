//! `deploy/haproxy.cfg` with a real proxy in front of two instances.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::api::Api;
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::programs::{pty, run_of, wait_for_file};
use crate::support::servers::process::{ServerProcess, folder};
use crate::support::servers::redis::Redis;
use crate::support::servers::{Postgres, SeaweedFs, free_ports, program, root};
use crate::support::service::{Service, ServiceBuilder};

const LIMIT: Duration = Duration::from_secs(60);

fn of_role(role: &str) -> ServiceBuilder {
    Service::builder().config(&format!("[server]\nrole = \"{role}\"\ndrain_secs = 1"))
}

/// A proxy as in production, on a port of its own.
struct Proxy {
    port: u16,
    process: ServerProcess,
}

impl Proxy {
    async fn start(instances: &[Service]) -> Self {
        let (folder, [port]) = (folder("haproxy"), free_ports());
        let mut config =
            std::fs::read_to_string(root().join("deploy/haproxy.cfg")).expect("it is there");
        let mut replace = |what: &str, with: &str| {
            assert_eq!(config.matches(what).count(), 1, "{what}");
            config = config.replace(what, with);
        };
        replace("bind :7420\n", &format!("bind 127.0.0.1:{port}\n"));
        for (place, instance) in instances.iter().enumerate() {
            replace(&format!(" api-{}:7420", place + 1), &format!(" {}", instance.address()));
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, config).expect("a file");
        let daemon = program("haproxy", &[PathBuf::from("/usr/sbin")]);
        let command = [daemon.display().to_string(), "-f".to_owned(), file.display().to_string()];
        let process = ServerProcess::start(&folder, "KILL", &command);
        let proxy = Self { port, process };
        let answers =
            async || proxy.api().try_get("/readyz").await.ok().filter(|told| told.status == 200);
        proxy.process.wait_ready("HAProxy", answers).await;
        proxy
    }

    fn api(&self) -> Api {
        Api::new(&format!("http://127.0.0.1:{}", self.port))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the proxy:\n{}", self.process.log());
        }
    }
}

/// Viewers of an instance, as it says itself.
async fn viewers(instance: &Service) -> u64 {
    let told = instance.api().try_get("/metrics").await.expect("an answer").expect(200).body;
    let told = String::from_utf8(told).expect("text");
    let name = "runcast_stream_subscribers_active ";
    told.lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("the metric")
        .parse()
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_a_viewer_behind_the_proxy_sees_each_event_at_once_and_goes_on_when_an_instance_stops() {
    let redis = Redis::start().await;
    let (postgres, s3) = (Postgres::shared().await, SeaweedFs::shared().await);
    let worker = of_role("worker").postgres(postgres).await.s3(s3).redis(&redis).start().await;
    let mut instances = Vec::new();
    for _ in 0..2 {
        instances.push(of_role("api").beside(&worker).start().await);
    }
    let proxy = Proxy::start(&instances).await;
    let api = proxy.api();

    // The program waits for us, so what a proxy held back would never come.
    let gate = worker.data_dir().join("gate");
    let script = format!("echo before; {}; echo after", wait_for_file(&gate));
    let run = api.submit(&run_of([pty("a", &script)])).await;
    let mut client = api.stream(&run).open().await;
    let mut seen = Collected::new();
    while seen.streams.values().all(|stream| !stream.output.starts_with(b"before")) {
        seen.push(client.next().await.expect("what was written comes before the end"));
    }

    // Whoever serves it stops: the stream ends, and the cursor is good at the other one.
    let mut serves = 0;
    for (place, instance) in instances.iter().enumerate() {
        if viewers(instance).await > 0 {
            serves = place;
        }
    }
    assert!(instances[serves].stop().await.success());
    seen.read(&mut client).await;
    assert!(seen.done.is_none());
    let mut client = api.stream(&run).last_event_id(seen.cursor).open().await;
    std::fs::write(&gate, "").expect("the gate opens");
    seen.read(&mut client).await;
    seen.assert_complete();
    assert_eq!(seen.stream("a", "pty").output, b"before\r\nafter\r\n");

    // A viewer that goes away is not kept by the proxy.
    let left = &instances[1 - serves];
    let waiting = worker.data_dir().join("never");
    let run = api.submit(&run_of([pty("b", &wait_for_file(&waiting))])).await;
    let mut client = api.stream(&run).open().await;
    client.find("live").await;
    assert_eq!(viewers(left).await, 1);
    drop(client);
    wait_for("the viewer is gone", LIMIT, async || (viewers(left).await == 0).then_some(())).await;
    api.cancel(&run).await;
    api.wait_ended(&run).await;
}
