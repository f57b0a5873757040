//! Small disks that tests fill.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small disk of its own.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of this size.
    pub(crate) fn mount(mib: u64) -> Self {
        let place = TempDir::with_prefix("runcast-disk-").expect("a directory");
        let size = format!("size={mib}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(place.path())
            .output();
        let mounted = mounted.expect("mount(8) is there");
        assert!(
            mounted.status.success(),
            "this test mounts a small tmpfs and needs the right to: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self(place)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes it read-only or writable; false while a file on it is open for writing.
    pub(crate) fn remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(self.path()).output();
        mounted.expect("mount(8) is there").status.success()
    }

    fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.0.path()).expect("the state of the disk");
        stat.f_bavail * stat.f_frsize
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes room until only so much is free.
    pub(crate) fn leave_free(&self, bytes: u64) {
        let file = std::fs::File::create(self.ballast()).expect("the ballast");
        let mut take = self.free_bytes().saturating_sub(bytes);
        let all = rustix::fs::FallocateFlags::empty();
        // Others write too, so there may be less room than there was a moment before.
        while let Err(error) = rustix::fs::fallocate(&file, all, 0, take) {
            assert_eq!(error, rustix::io::Errno::NOSPC, "the ballast");
            take = take.saturating_sub(16 * 1024);
        }
    }

    /// Gives the room back.
    pub(crate) fn give_back(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast was there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
