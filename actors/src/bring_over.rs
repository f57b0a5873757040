//! Brings what only the replica has of a run into the own log: the first step of a takeover from another
//! instance.

use crate::ids::{InstanceId, Seq};
use crate::ports::{Claim, LogError, Replica, RunLog};

/// Bytes of the replica that are read at once.
const READ_BYTES: usize = 1024 * 1024;

/// Makes the own log hold everything of the claimed run that is not recorded and that anyone still has. Both
/// are fenced then. `previous` is who owned the run before, if that is known.
///
/// The own log goes on where it ends if this instance wrote it last. Else it is of an older epoch, of which
/// others have seen another end, and begins anew behind what is recorded.
pub async fn bring_over(
    claim: &Claim,
    previous: Option<&InstanceId>,
    own: &InstanceId,
    log: &dyn RunLog,
    replica: &dyn Replica,
) -> Result<(), LogError> {
    let (run, epoch) = (&claim.run, claim.epoch);
    let mut tail = log.fence(run, epoch).await?.seq;
    let is_ours = previous == Some(own);
    match replica.fence(run, epoch).await {
        // Ours has more than the replica ever had.
        Err(LogError::Unavailable(_)) if is_ours => return Ok(()),
        fenced => fenced?,
    };
    if !is_ours {
        let recorded = claim.recorded_through.min(claim.archived_through);
        if tail > Seq::START {
            log.remove(run).await?;
            log.fence(run, epoch).await?;
        }
        log.trim(run, recorded).await?;
        tail = recorded;
    }
    loop {
        let page = replica.read(run, tail, READ_BYTES).await?;
        if page.trimmed > tail {
            // It was trimmed behind what is recorded, so there is nothing in between; what nobody has any
            // more is a gap.
            log.trim(run, page.trimmed).await?;
            tail = page.trimmed;
            continue;
        }
        let Some(last) = page.entries.last() else { return Ok(()) };
        tail = last.seq;
        log.append(run, epoch, page.entries).await?;
    }
}
