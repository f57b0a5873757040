//! How stores that refuse for a moment are asked again, without end: the log is the queue.

use std::time::Duration;

use super::Archivist;
use crate::archive::ArchiveError;
use crate::ids::RunKey;
use crate::kernel::ExitStatus;
use crate::ports::StoreError;

/// The first wait after a failed write; it doubles …
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(200);
/// … up to this.
const RETRY_MAX: Duration = Duration::from_secs(10);

impl Archivist {
    /// Asks the rows until they answer.
    pub(super) async fn retried<Answer>(
        &self,
        ask: impl AsyncFn() -> Result<Answer, StoreError>,
    ) -> Result<Answer, ExitStatus> {
        let mut retry = Retry::default();
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(StoreError::Fenced(epoch)) => {
                    // No restart can mend this: the group goes, and its processes with it.
                    let error = format!("epoch {epoch} of the run is fenced");
                    self.group.kill(ExitStatus::failed(error));
                    return Err(ExitStatus::Killed);
                }
                Err(StoreError::Broken(error)) => return Err(ExitStatus::failed(error)),
                Err(error @ StoreError::Unavailable(_)) => retry.wait(&self.run, &error).await,
            }
        }
    }

    /// Asks the object store until it answers.
    pub(super) async fn stored<Answer, Error: Into<ArchiveError>>(
        &self,
        ask: impl AsyncFn() -> Result<Answer, Error>,
    ) -> Result<Answer, ExitStatus> {
        let mut retry = Retry::default();
        loop {
            match ask().await.map_err(Into::into) {
                Ok(answer) => return Ok(answer),
                Err(ArchiveError::Objects(error)) => {
                    if !error.is_passing() {
                        return Err(ExitStatus::failed(error));
                    }
                    metrics::counter!("runcast_archive_failures_total").increment(1);
                    retry.wait(&self.run, &error).await;
                }
                Err(ArchiveError::Store(StoreError::Broken(error))) => {
                    return Err(ExitStatus::failed(error));
                }
                Err(ArchiveError::Store(error)) => retry.wait(&self.run, &error).await,
            }
        }
    }
}

/// The wait between tries.
struct Retry(Duration);

impl Default for Retry {
    fn default() -> Self {
        Self(RETRY_FIRST)
    }
}

impl Retry {
    async fn wait(&mut self, run: &RunKey, error: &dyn std::fmt::Display) {
        let wait_ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(%run, %error, wait_ms, "the archive waits");
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_MAX);
    }
}
