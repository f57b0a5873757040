//! Brings what only the replica has of a run into the own log: the first step of a takeover from another
//! instance.

use std::sync::Arc;

use crate::entry::Entry;
use crate::ids::{InstanceId, Seq};
use crate::ports::{Claim, LogError, Replica, RunLog};

/// Bytes of the replica that are read at once.
const READ_BYTES: usize = 1024 * 1024;
/// As many as give one entry.
const ONE_ENTRY: usize = 1;

/// Makes the own log hold everything of the claimed run that is not recorded and that anyone still has. Both
/// are fenced then. `previous` is who owned the run before, if that is known. Where the replica has a hole or an
/// entry that cannot be read, it ends: the rest is lost.
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
    let mut limit = READ_BYTES;
    loop {
        let mut page = match replica.read(run, tail, limit).await {
            // What stands before the damage is still brought, entry by entry.
            Err(LogError::Corrupt(_)) if limit > ONE_ENTRY => {
                limit = ONE_ENTRY;
                continue;
            }
            Err(error @ LogError::Corrupt(_)) => {
                tracing::error!(%run, %tail, %error, "the replica is damaged: what stands behind is lost");
                return Ok(());
            }
            read => read?,
        };
        if page.trimmed > tail {
            // It was trimmed behind what is recorded, so there is nothing in between; what nobody has any
            // more is a gap.
            log.trim(run, page.trimmed).await?;
            tail = page.trimmed;
            continue;
        }
        let (there, is_last) = (page.entries.len(), page.entries.is_empty());
        page.entries.truncate(dense(tail, &page.entries));
        let is_whole = page.entries.len() == there && (!is_last || tail >= page.tail);
        if let Some(last) = page.entries.last() {
            tail = last.seq;
            log.append(run, epoch, page.entries).await?;
        }
        if !is_whole {
            tracing::error!(%run, %tail, "the replica has a hole: what stands behind is lost");
        }
        if is_last || !is_whole {
            return Ok(());
        }
    }
}

/// How many of the entries stand right after `tail` and after each other.
fn dense(mut tail: Seq, entries: &[Arc<Entry>]) -> usize {
    let follows = |entry: &&Arc<Entry>| {
        let follows = entry.seq.follows(tail);
        tail = entry.seq;
        follows
    };
    entries.iter().take_while(follows).count()
}
