//! Objects that an owner wrote before it died, without the rows that would make them count.

use super::{Archive, ArchiveError};
use crate::ids::RunKey;
use crate::ports::ObjectKey;

/// Objects that are looked for at once.
const OBJECTS_AT_ONCE: usize = 500;

/// Deletes every segment of the run that no row names. Only its owner may ask, and only while it writes
/// nothing.
pub async fn delete(archive: &Archive, run: &RunKey) -> Result<(), ArchiveError> {
    let stored = archive.objects().list(&ObjectKey::run_prefix(run)).await?;
    let segments: Vec<ObjectKey> = stored
        .into_iter()
        .map(|object| object.key)
        .filter(|key| key.name().starts_with("seg-"))
        .collect();
    if segments.is_empty() {
        return Ok(());
    }
    for part in segments.chunks(OBJECTS_AT_ONCE) {
        for object in archive.recordings().unknown(part).await? {
            archive.objects().delete(&object).await?;
            tracing::info!(%run, %object, "a left-over of the archive was deleted");
        }
    }
    Ok(())
}
