//! The image of `deploy/Dockerfile`, built and run by a real Docker Engine.
//!
//! Nothing is pulled: the base is made of this machine's own packages, and the binary is the one under test.
//! `make image` builds all of it, from the sources on.

use std::time::Duration;

use serde_json::json;

use crate::support::api::{Api, node_of};
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::programs::{pipe, pty, run_of};
use crate::support::servers::engine::Engine;
use crate::support::servers::{free_ports, root};

const LIMIT: Duration = Duration::from_secs(60);
/// What programs leave behind: they end when nobody who started them is left.
const ORPHANS: &str = "for i in 1 2 3 4 5; do (sleep 0.2 &); done; sleep 0.5; id -u";
/// Ends in order when it is asked to, and says so.
const POLITE: &str =
    "trap 'echo bye; exit 3' TERM; trap '' HUP; echo begun; while :; do sleep 0.1; done";

/// Builds the image around the binary under test.
async fn build(engine: &Engine) -> String {
    let (base, image) = (engine.import_debian().await, engine.name("image"));
    let context = tempfile::tempdir().expect("a folder");
    std::fs::copy(env!("CARGO_BIN_EXE_runcast"), context.path().join("runcast")).expect("a copy");
    let file = root().join("deploy/Dockerfile").display().to_string();
    let (base, folder) = (format!("BASE_IMAGE={base}"), context.path().display().to_string());
    let line =
        ["build", "--network", "none", "--build-arg", "BINARY=prebuilt", "--build-arg", &base];
    let line = [&line[..], &["--file", &file, "--tag", &image, &folder]].concat();
    engine.docker(&line).await;
    image
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_runs_as_nobody_special_tells_its_health_and_ends_in_order() {
    let engine = Engine::start().await;
    let image = build(&engine).await;
    let told = engine.docker(&["image", "inspect", "--format", "{{.Config.StopSignal}}", &image]);
    assert_eq!(told.await, "SIGTERM");

    // As closed as compose.yaml has it.
    let (container, [port]) = (engine.name("service"), free_ports());
    let listen = format!("RUNCAST__SERVER__LISTEN=127.0.0.1:{port}");
    let server = format!("RUNCAST_SERVER=http://127.0.0.1:{port}");
    let line = "run --detach --network host --read-only --tmpfs /tmp --cap-drop ALL \
                --security-opt no-new-privileges --health-interval 500ms \
                --env RUNCAST__SERVER__DRAIN_SECS=1";
    let mut line: Vec<&str> = line.split_whitespace().collect();
    line.extend(["--name", &container, "--env", &listen, "--env", &server, &image]);
    engine.docker(&line).await;
    wait_for("the container is healthy", LIMIT, async || {
        let format = "{{.State.Health.Status}}";
        let state = engine.docker(&["inspect", "--format", format, &container]).await;
        (state == "healthy").then_some(())
    })
    .await;
    assert_eq!(engine.docker(&["exec", &container, "runcast", "healthcheck"]).await, "ready");

    let api = Api::new(&format!("http://127.0.0.1:{port}"));
    let run = api.submit(&run_of([pipe("orphans", ORPHANS)])).await;
    assert_eq!(api.wait_ended(&run).await["status"], "COMPLETED");
    let mut seen = Collected::new();
    seen.read(&mut api.stream(&run).open().await).await;
    assert_eq!(seen.stream("orphans", "stdout").output, b"7420\n");
    wait_for("what programs left behind is reaped", LIMIT, async || {
        let states = engine.docker(&["exec", &container, "ps", "-eo", "stat="]).await;
        (!states.lines().any(|state| state.starts_with('Z'))).then_some(())
    })
    .await;

    let run = api.submit(&run_of([pty("polite", POLITE)])).await;
    let mut client = api.stream(&run).open().await;
    client.find("terminal").await;
    let stopping = engine.docker(&["stop", "--time", "60", &container]);
    let (mut seen, _) = tokio::join!(
        async {
            let mut seen = Collected::partial();
            seen.read(&mut client).await;
            seen
        },
        stopping
    );
    let done = seen.done.take().expect("the end of the run came before that of the stream");
    assert_eq!(done["status"], "CANCELLED");
    let logs = engine.logs(&container).await;
    let code = engine.docker(&["inspect", "--format", "{{.State.ExitCode}}", &container]).await;
    assert_eq!(code, "0", "{logs}");
    assert!(logs.contains("stopping"), "{logs}");

    // The volume has everything.
    engine.docker(&["start", &container]).await;
    wait_for("the service is back", LIMIT, async || {
        (api.try_get("/readyz").await.ok()?.status == 200).then_some(())
    })
    .await;
    let view = api.run(&run).await;
    assert_eq!(view["status"], "CANCELLED", "{view}");
    assert_eq!(node_of(&view, "polite")["exitCode"], json!(3), "{view}");
    assert_eq!(view["recordings"], json!({"live": 0, "complete": 1, "incomplete": 0}), "{view}");
    engine.docker(&["stop", "--time", "60", &container]).await;
}
