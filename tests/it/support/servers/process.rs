//! A server as a process that never outlives the tests.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::super::deadline::wait_for;

/// How long a server may take until it answers on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of its log that a failed start shows.
const SHOWN_LOG_BYTES: usize = 4000;

/// Runs the server until a line names a signal for it. When its input ends, because the test binary has ended
/// in whatever way, it ends the server and removes its folder.
const KEEPER: &str = r#"
folder=$1 last=$2; shift 2
"$@" < /dev/null >> "$folder/server.log" 2>&1 &
server=$!
if read -r signal; then
  kill -s "$signal" "$server"; wait "$server"
else
  kill -s "$last" "$server"; wait "$server"; rm -rf "$folder"
fi
"#;

/// A folder for the files of a server; it is removed with its last process.
pub(crate) fn folder(name: &str) -> PathBuf {
    let prefix = format!("runcast-{name}-");
    TempDir::with_prefix(prefix).expect("a temporary directory").keep()
}

/// A running server.
pub(crate) struct ServerProcess {
    keeper: Option<Child>,
    folder: PathBuf,
}

impl ServerProcess {
    /// Starts it in a folder; `last_signal` ends it when nobody has said otherwise.
    pub(crate) fn start(folder: &Path, last_signal: &str, command: &[String]) -> Self {
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg("keeper").arg(folder).arg(last_signal).args(command);
        keeper
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = keeper.spawn().expect("a shell");
        Self { keeper: Some(keeper), folder: folder.to_owned() }
    }

    /// Ends the server with this signal, and waits until it is gone. Its folder stays.
    pub(crate) async fn stop(mut self, signal: &str) {
        let mut keeper = self.keeper.take().expect("it runs");
        let mut input = keeper.stdin.take().expect("its input is ours");
        writeln!(input, "{signal}").expect("the keeper listens");
        drop(input);
        wait_for("the server ends", STOP_LIMIT, async || keeper.try_wait().expect("its state"))
            .await;
    }

    /// Waits until the server answers; panics with its log if it does not.
    pub(crate) async fn wait_ready<T>(&self, name: &str, answer: impl AsyncFnMut() -> Option<T>) {
        let answers = wait_for(name, 2 * START_LIMIT, answer);
        let is_ready = tokio::time::timeout(START_LIMIT, answers).await.is_ok();
        assert!(is_ready, "{name} does not start: {}", self.log());
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(SHOWN_LOG_BYTES)..]).into_owned()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}
