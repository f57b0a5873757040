//! The first step of an owner: its log holds what is not recorded, and nobody else writes there.

use std::time::Duration;

use tokio::time::Instant;

use super::{Owner, RETRY, Replication};
use crate::bring_over::{bring_over, wrote_last};
use crate::ids::Epoch;
use crate::kernel::ExitStatus;
use crate::ports::LogError;

/// How long a run whose log is here waits for a replica that is away; where the log is not here, it waits without
/// end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Owner {
    /// Fences the log and makes it hold what is not recorded.
    pub(super) async fn begin_log(&self) -> Result<(), ExitStatus> {
        let (log, claim) = (&*self.service.log, &self.claim);
        let alone = async || log.fence(&claim.run, claim.epoch).await.map(drop);
        let written = self.patiently(async || log.epoch(&claim.run).await).await?;
        let (is_ours, asked) = (wrote_last(claim, written), Instant::now());
        self.patiently(async || {
            let replica = match &self.service.replication {
                // Nobody had a run of the first epoch before, so a replica that is away keeps none waiting.
                Some(Replication { replica, .. }) if claim.epoch > Epoch(0) => replica,
                _ => return alone().await,
            };
            match bring_over(claim, written, log, &**replica).await {
                // Ours has more than the replica ever had, unless a power cut took its end.
                Err(LogError::Unavailable(error)) if is_ours && asked.elapsed() >= PATIENCE => {
                    tracing::warn!(run = %claim.run, %error, "the run goes on without its replica");
                    alone().await
                }
                brought => brought,
            }
        })
        .await
    }

    /// Tries until log and replica are not away any more.
    async fn patiently<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, LogError>,
    ) -> Result<T, ExitStatus> {
        loop {
            match attempt().await {
                Err(error @ LogError::Unavailable(_)) => {
                    tracing::warn!(run = %self.claim.run, %error, "the run waits for its log");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(ExitStatus::failed(error)),
                Ok(done) => return Ok(done),
            }
        }
    }
}
