//! The directory of an instance: its identity, its lock, its key. An instance is its data directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rand::Rng as _;
use runcast_actors::ids::InstanceId;
use rustix::fs::FlockOperation;

/// The locked directory of an instance.
pub struct DataDir {
    path: PathBuf,
    /// Held as long as the instance lives; the system gives it back if the process dies.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        // Logs and submissions in it may hold secrets, so a new one is its user's alone.
        let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
        created.with_context(|| format!("cannot make the directory {shown}"))?;
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write into the directory {shown}"))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "another runcast uses the data directory {shown}; stop it, or choose another one with --data-dir"
            );
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The id of this instance: made at the first start, with `name` in it if there is one.
    pub fn instance(&self, name: Option<&str>) -> anyhow::Result<InstanceId> {
        let path = self.path.join("instance");
        if let Ok(text) = fs::read_to_string(&path) {
            let shown = path.display();
            return text.trim().parse().with_context(|| format!("{shown} holds no instance id"));
        }
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let id = format!("{}-{}", name.unwrap_or("runcast"), &unique[20..]);
        let id: InstanceId = id.parse()?;
        write_new(&path, id.as_str().as_bytes())?;
        Ok(id)
    }

    /// The key that signs tokens, if the configuration gives none: made at the first start.
    pub fn signing_key(&self) -> anyhow::Result<Vec<u8>> {
        let path = self.path.join("signing.key");
        if let Ok(mut file) = File::open(&path) {
            let mut key = Vec::new();
            file.read_to_end(&mut key)?;
            if key.len() >= 32 {
                return Ok(key);
            }
        }
        let mut key = [0_u8; 32];
        rand::rng().fill_bytes(&mut key);
        write_new(&path, &key)?;
        Ok(key.to_vec())
    }

    /// Where nodes work.
    pub fn work_dir(&self) -> PathBuf {
        self.path.join("work")
    }
}

/// Written beside and renamed, so that a crash leaves the whole file or none.
fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("data");
        let _data_dir = DataDir::open(&path).expect("it opens");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn identity_and_key_survive_and_the_lock_excludes() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(directory.path()).expect("it opens");
        let id = first.instance(Some("ci-1")).expect("an id");
        let key = first.signing_key().expect("a key");
        assert!(id.as_str().starts_with("ci-1-"));
        let refused = DataDir::open(directory.path()).err().expect("it is locked").to_string();
        assert!(refused.contains("another runcast"), "{refused}");
        drop(first);
        let second = DataDir::open(directory.path()).expect("it opens again");
        assert_eq!(second.instance(None).expect("the id"), id);
        assert_eq!(second.signing_key().expect("the key"), key);
    }
}
