//! Brings what only the replica has of a run into the own log: the first step of a takeover.

use std::sync::Arc;

use crate::entry::Entry;
use crate::ids::{Epoch, Seq};
use crate::ports::{Claim, LogError, Replica, RunLog};

/// Bytes of the replica that are read at once.
const READ_BYTES: usize = 1024 * 1024;
/// As many as give one entry.
const ONE_ENTRY: usize = 1;

/// True if nobody can have written the run since the own log was written under `written`: that is the epoch
/// which the claim has replaced.
pub fn wrote_last(claim: &Claim, written: Option<Epoch>) -> bool {
    written.is_some_and(|written| written.next() == claim.epoch)
}

/// Makes the own log hold everything of the claimed run that is not recorded and that anyone still has. Both
/// are fenced then. `written` is the epoch of the own log before the first try, if it knew the run.
///
/// The own log goes on where it ends if nobody is known to have written the run after it. Else others have seen
/// another end, and it begins anew behind what is recorded; it is fenced with the epoch of the claim only when
/// it is whole, so that one which was left half-way is never taken for the log of an owner.
///
/// Where the replica has a hole or an entry that cannot be read, it ends: the rest is lost.
pub async fn bring_over(
    claim: &Claim,
    written: Option<Epoch>,
    log: &dyn RunLog,
    replica: &dyn Replica,
) -> Result<(), LogError> {
    let (run, epoch) = (&claim.run, claim.epoch);
    if wrote_last(claim, written) {
        log.fence(run, epoch).await?;
    }
    let copied = replica.fence(run, epoch).await?.seq;
    let known = claim.recorded_through.max(claim.archived_through).max(copied).epoch();
    let goes_on = written.is_some_and(|written| written >= known);
    let (tail, writing) = if goes_on {
        (log.fence(run, epoch).await?.seq, epoch)
    } else {
        let replaced = Epoch(epoch.0.saturating_sub(1));
        (begin_anew(claim, replaced, log).await?, replaced)
    };
    let end = copy(claim, tail, writing, log, replica).await?;
    if end == Seq::START && copied > Seq::START {
        // The run had begun, though nothing of it is left: else it would begin again.
        log.trim(run, copied).await?;
    }
    log.fence(run, epoch).await.map(drop)
}

/// Makes the own log end at what is recorded, and gives that.
async fn begin_anew(claim: &Claim, epoch: Epoch, log: &dyn RunLog) -> Result<Seq, LogError> {
    let recorded = claim.recorded_through.min(claim.archived_through);
    log.remove(&claim.run).await?;
    log.fence(&claim.run, epoch).await?;
    log.trim(&claim.run, recorded).await?;
    Ok(recorded)
}

/// Appends what the replica has after `tail`, in order, and gives the last that the log has then.
async fn copy(
    claim: &Claim,
    mut tail: Seq,
    epoch: Epoch,
    log: &dyn RunLog,
    replica: &dyn Replica,
) -> Result<Seq, LogError> {
    let run = &claim.run;
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
                return Ok(tail);
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
            return Ok(tail);
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
