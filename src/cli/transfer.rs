//! A download on its way: its progress on a terminal, and a file that is there whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar (a spinner, if the length is not known) on standard error, if that is a terminal.
pub(super) fn progress(label: &str, length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = match length {
        Some(_) => "{prefix} {bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
        None => "{spinner} {prefix} {binary_bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(label.to_owned())
}

/// Where a download goes.
pub(super) enum Sink {
    /// Standard output, or a file that cannot be replaced, such as a pipe or a device.
    Direct(Box<dyn Write>),
    /// A file beside its final place until it is whole.
    Replacing(PartFile),
}

impl Sink {
    /// A file, whatever it is.
    pub(super) fn file(path: &Path) -> anyhow::Result<Self> {
        let is_special = path.metadata().is_ok_and(|known| !known.is_file());
        if is_special {
            let file = File::options().write(true).open(path);
            let file = file.with_context(|| format!("writing {}", path.display()))?;
            return Ok(Self::Direct(Box::new(file)));
        }
        PartFile::create(path).map(Self::Replacing)
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Direct(output) => {
                output.write_all(bytes)?;
                Ok(output.flush()?)
            }
            Self::Replacing(part) => part.write(bytes),
        }
    }

    /// Everything is there.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Direct(mut output) => Ok(output.flush()?),
            Self::Replacing(part) => part.finish(),
        }
    }
}

/// A file beside its final place. Dropped before it is finished, it is removed.
pub(super) struct PartFile {
    place: PathBuf,
    part: PathBuf,
    output: BufWriter<File>,
    is_finished: bool,
}

impl PartFile {
    fn create(place: &Path) -> anyhow::Result<Self> {
        let name = place.file_name().with_context(|| format!("{} is no file", place.display()))?;
        let name = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        let part = place.with_file_name(name);
        let file = File::create(&part).with_context(|| format!("writing {}", part.display()))?;
        let output = BufWriter::new(file);
        Ok(Self { place: place.to_owned(), part, output, is_finished: false })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.output.write_all(bytes).with_context(|| format!("writing {}", self.part.display()))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.output.flush().with_context(|| format!("writing {}", self.part.display()))?;
        std::fs::rename(&self.part, &self.place)
            .with_context(|| format!("writing {}", self.place.display()))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // It may be gone already; there is nobody to tell.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.cast");
        let mut sink = Sink::file(&place).unwrap();
        sink.write(b"half").unwrap();
        assert!(!place.exists());
        drop(sink);
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));

        std::fs::write(&place, "before").unwrap();
        let mut sink = Sink::file(&place).unwrap();
        sink.write(b"whole").unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"before");
        sink.finish().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.cast"]);
    }

    #[test]
    fn a_device_stays_one() {
        let mut sink = Sink::file(Path::new("/dev/null")).unwrap();
        assert!(matches!(sink, Sink::Direct(_)));
        sink.write(b"nothing").unwrap();
        sink.finish().unwrap();
    }
}
