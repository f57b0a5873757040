//! Where recordings are kept, and when output moves there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::archive_s3::S3Settings;
use super::problems::Rules;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// `archive.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveSettings {
    /// What keeps the objects.
    pub backend: ArchiveBackend,
    /// The directory of the objects; else, or if it is empty, `archive` in `server.data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A run is archived when this much of its output waits, in bytes, 64 KiB to 256 MiB.
    pub segment_bytes: u64,
    /// A run is archived at least this often while it has output, in milliseconds, 100 to 600,000.
    pub flush_interval_ms: u64,
    /// How long segments stay after one object has taken their place, in seconds, 0 to 86,400.
    pub delete_after_secs: u64,
    /// Decoded pieces of recordings that stay in memory, in bytes, 4 MiB to 16 GiB.
    pub cache_bytes: u64,
    /// Recordings that are downloaded at one time, 1 to 100,000.
    pub max_downloads: u32,
    /// The object store, with the backend `s3`.
    pub s3: S3Settings,
}

/// What keeps the objects of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveBackend {
    /// Files in a directory.
    Directory,
    /// An object store that speaks S3.
    S3,
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self {
            backend: ArchiveBackend::Directory,
            directory: None,
            segment_bytes: 4 * MIB,
            flush_interval_ms: 5000,
            delete_after_secs: 60,
            cache_bytes: 64 * MIB,
            max_downloads: 64,
            s3: S3Settings::default(),
        }
    }
}

impl ArchiveSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        if self.backend == ArchiveBackend::S3 {
            self.s3.check(rules);
        }
        rules.range("archive.segment_bytes", self.segment_bytes, 64 * KIB, 256 * MIB);
        rules.range("archive.flush_interval_ms", self.flush_interval_ms, 100, 600_000);
        rules.range("archive.delete_after_secs", self.delete_after_secs, 0, 86_400);
        rules.range("archive.cache_bytes", self.cache_bytes, 4 * MIB, 16 * GIB);
        rules.range("archive.max_downloads", u64::from(self.max_downloads), 1, 100_000);
    }
}
