//! How stores that refuse for a moment are asked again, without end: the log is the queue.

use std::time::Duration;

use super::Archivist;
use crate::archive::ArchiveError;
use crate::kernel::ExitStatus;
use crate::ports::StoreError;
use crate::roles::retry::Retry;

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
        let mut retry = Retry::new(RETRY_FIRST, RETRY_MAX);
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
                Err(error @ StoreError::Unavailable(_)) => {
                    metrics::counter!("runcast_rows_failures_total").increment(1);
                    retry.wait(&self.run, "the archive waits", &error).await;
                }
            }
        }
    }

    /// Asks the object store until it answers.
    pub(super) async fn stored<Answer, Error: Into<ArchiveError>>(
        &self,
        ask: impl AsyncFn() -> Result<Answer, Error>,
    ) -> Result<Answer, ExitStatus> {
        let mut retry = Retry::new(RETRY_FIRST, RETRY_MAX);
        loop {
            match ask().await.map_err(Into::into) {
                Ok(answer) => return Ok(answer),
                Err(ArchiveError::Objects(error)) => {
                    if !error.is_passing() {
                        return Err(ExitStatus::failed(error));
                    }
                    metrics::counter!("runcast_archive_failures_total").increment(1);
                    retry.wait(&self.run, "the archive waits", &error).await;
                }
                Err(ArchiveError::Store(StoreError::Broken(error))) => {
                    return Err(ExitStatus::failed(error));
                }
                Err(ArchiveError::Store(error)) => {
                    retry.wait(&self.run, "the archive waits", &error).await;
                }
            }
        }
    }
}
