//! The blocking side: files, folders and what their failures mean.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use runcast_actors::ports::{ObjectError, ObjectKey, StoredObject};
use rustix::fs::FlockOperation;
use uuid::Uuid;

/// Where objects are written before they have their name.
const TEMPORARY_FOLDER: &str = ".tmp";
/// How often a rename begins again because somebody else took the empty folder away.
const RENAME_ATTEMPTS: usize = 16;

/// The files below the root of an archive.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    temporary: PathBuf,
    /// Held while folders are made and synced, so that a folder which is there is also durable.
    making_folders: Mutex<()>,
}

/// A file without a name of its own yet. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    file: File,
    path: PathBuf,
}

impl TemporaryFile {
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.file.write_all(bytes).map_err(|error| unavailable(&self.path, &error))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // After a rename nothing has this path; and what cannot be removed now, the next start removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Renames where nothing has that name.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    // A second name is refused where there is one; the first one goes with the temporary file.
    match fs::hard_link(from, to) {
        Err(error)
            if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) =>
        {
            // A file system without such names.
            if to.try_exists()? {
                Err(ErrorKind::AlreadyExists.into())
            } else {
                fs::rename(from, to)
            }
        }
        linked => linked,
    }
}

impl Files {
    pub(super) fn at(root: PathBuf) -> Self {
        let temporary = root.join(TEMPORARY_FOLDER);
        Self { root, temporary, making_folders: Mutex::new(()) }
    }

    /// Makes the mark, and the folders above it, if they are not there.
    pub(super) fn begin_archive(&self) -> Result<(), ObjectError> {
        // Like the data directory: what programs printed is nobody else's.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.temporary);
        made.and_then(|()| sync_folder(&self.root))
            .map_err(|error| unavailable(&self.temporary, &error))
    }

    /// True if the mark is there.
    pub(super) fn is_there(&self) -> Result<bool, ObjectError> {
        match fs::metadata(&self.temporary) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unavailable(&self.temporary, &error)),
        }
    }

    /// What is said while the mark is missing.
    pub(super) fn not_there(&self) -> ObjectError {
        ObjectError::Unavailable(format!(
            "{root} is not the archive: mount it, or make the folder {mark} to begin an empty one",
            root = self.root.display(),
            mark = self.temporary.display(),
        ))
    }

    /// Removes what processes were writing that are not there any more.
    pub(super) fn remove_abandoned(&self) -> Result<(), ObjectError> {
        self.check_mark()?;
        let failed = |error: io::Error| unavailable(&self.temporary, &error);
        for entry in fs::read_dir(&self.temporary).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let opened = File::open(&path);
            // A lock that cannot be asked for says nothing, so the file stays.
            let is_abandoned = opened.is_ok_and(|file| {
                rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            });
            if is_abandoned {
                ignore_missing(fs::remove_file(&path))
                    .map_err(|error| unavailable(&path, &error))?;
            }
        }
        Ok(())
    }

    /// Begins a file.
    pub(super) fn begin(&self) -> Result<TemporaryFile, ObjectError> {
        self.check_mark()?;
        let path = self.temporary.join(Uuid::new_v4().simple().to_string());
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| unavailable(&path, &error))?;
        let file = TemporaryFile { file, path };
        // Where locks do not exist, nobody takes the file for abandoned either.
        match rustix::fs::flock(&file.file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(ObjectError::Unavailable(format!(
                "{}: another process is removing it",
                file.path.display()
            ))),
            _ => Ok(file),
        }
    }

    /// Makes a file the object of this name; [`ObjectError::Exists`] where there is one that it does not replace.
    pub(super) fn keep(
        &self,
        file: &TemporaryFile,
        key: &ObjectKey,
        replaces: bool,
    ) -> Result<(), ObjectError> {
        file.file.sync_all().map_err(|error| unavailable(&file.path, &error))?;
        let path = self.path(key.as_str());
        let folder = path.parent().unwrap_or(&self.root);
        let mut attempts = 1;
        loop {
            self.make_folder(folder)?;
            let named = if replaces {
                fs::rename(&file.path, &path)
            } else {
                rename_to_new(&file.path, &path)
            };
            match named.and_then(|()| sync_folder(folder)) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(ObjectError::Exists(key.clone()));
                }
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < RENAME_ATTEMPTS => {
                    attempts += 1;
                }
                Err(error) => return Err(unavailable(&path, &error)),
            }
        }
    }

    pub(super) fn read(&self, key: &ObjectKey, range: &Range<u64>) -> Result<Bytes, ObjectError> {
        let path = self.path(key.as_str());
        let failed = |error: io::Error| self.failure(key, &path, &error);
        let file = File::open(&path).map_err(failed)?;
        let length = self.file_length(key, &file.metadata().map_err(failed)?)?;
        let Range { start, end } = *range;
        let short = || {
            ObjectError::Damaged(
                key.clone(),
                format!("{length} bytes, but {start}..{end} was asked for"),
            )
        };
        if start > end || end > length {
            return Err(short());
        }
        let mut bytes = vec![0; usize::try_from(end - start).map_err(|_| short())?];
        match file.read_exact_at(&mut bytes, start) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(short()),
            Err(error) => Err(failed(error)),
            Ok(()) => Ok(Bytes::from(bytes)),
        }
    }

    pub(super) fn length(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        let path = self.path(key.as_str());
        let found = fs::metadata(&path).map_err(|error| self.failure(key, &path, &error))?;
        self.file_length(key, &found)
    }

    pub(super) fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        self.check_mark()?;
        let path = self.path(key.as_str());
        let folder = path.parent().unwrap_or(&self.root);
        let deleted = fs::remove_file(&path).and_then(|()| sync_folder(folder));
        ignore_missing(deleted).map_err(|error| unavailable(&path, &error))?;
        self.remove_empty(folder);
        Ok(())
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, ObjectError> {
        self.check_mark()?;
        let mut found = Vec::new();
        let mut folders = vec![prefix.trim_end_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            // What has no allowed name was not put here by a store.
            if ObjectKey::stored(&folder).is_none() {
                continue;
            }
            self.list_folder(&folder, &mut found, &mut folders)
                .or_else(
                    |error| if error.0.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) },
                )
                .map_err(|(error, path)| unavailable(&path, &error))?;
        }
        found.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(found)
    }

    fn list_folder(
        &self,
        folder: &str,
        found: &mut Vec<StoredObject>,
        folders: &mut Vec<String>,
    ) -> Result<(), (io::Error, PathBuf)> {
        let path = self.path(folder);
        let failed = |error| (error, path.clone());
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{folder}/{name}");
            // It may be deleted by now, which is as if it had not been seen.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(name);
            } else if let Some(key) = ObjectKey::stored(&name) {
                found.push(StoredObject { key, length: metadata.len() });
            }
        }
        Ok(())
    }

    pub(super) fn remove_all(&self, prefix: &str) -> Result<(), ObjectError> {
        self.check_mark()?;
        let prefix = prefix.trim_end_matches('/');
        if ObjectKey::stored(prefix).is_none() {
            return Ok(());
        }
        let path = self.path(prefix);
        let folder = path.parent().unwrap_or(&self.root);
        let removed = fs::remove_dir_all(&path).and_then(|()| sync_folder(folder));
        ignore_missing(removed).map_err(|error| unavailable(&path, &error))?;
        self.remove_empty(folder);
        Ok(())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Makes a folder with those above it; when it returns, they survive a power cut.
    fn make_folder(&self, folder: &Path) -> Result<(), ObjectError> {
        self.check_mark()?;
        let _making = self.making_folders.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|above| *above != self.root && !above.is_dir()).collect();
        for new in missing.into_iter().rev() {
            let made = match fs::create_dir(new) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && new.is_dir() => Ok(()),
                // Somebody took the empty folder above away: the next attempt makes it again.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                made => made,
            };
            made.and_then(|()| ignore_missing(sync_folder(new.parent().unwrap_or(&self.root))))
                .map_err(|error| unavailable(new, &error))?;
        }
        Ok(())
    }

    /// Removes this folder and those above it as far as they are empty. Failing is no harm.
    fn remove_empty(&self, folder: &Path) {
        for above in folder.ancestors().take_while(|above| *above != self.root) {
            match fs::remove_dir(above) {
                Err(error) if error.kind() != ErrorKind::NotFound => return,
                _ => {}
            }
        }
    }

    /// What is said of an object that could not be read: it is lost only if its archive is there.
    fn failure(&self, key: &ObjectKey, path: &Path, error: &io::Error) -> ObjectError {
        if error.kind() != ErrorKind::NotFound {
            return unavailable(path, error);
        }
        self.check_mark().err().unwrap_or_else(|| ObjectError::NotFound(key.clone()))
    }

    fn check_mark(&self) -> Result<(), ObjectError> {
        if self.is_there()? { Ok(()) } else { Err(self.not_there()) }
    }

    fn file_length(&self, key: &ObjectKey, found: &fs::Metadata) -> Result<u64, ObjectError> {
        if found.is_file() {
            return Ok(found.len());
        }
        let path = self.path(key.as_str());
        Err(ObjectError::Damaged(key.clone(), format!("{} is not a file", path.display())))
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn unavailable(path: &Path, error: &io::Error) -> ObjectError {
    ObjectError::Unavailable(format!("{}: {error}", path.display()))
}
