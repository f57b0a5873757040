//! The files of a run: where its nodes work, what they are given, and where they report.
//!
//! `<work>/<tenant>/<run>/` is where nodes start; `.runcast/<node>/` below it holds `inputs.json` and
//! `events`, a FIFO. We hold the FIFO open for reading and writing, so a program that opens it never
//! waits for a reader, and the last one to close it does not end it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use runcast_actors::ids::{RunKey, TenantId};
use runcast_actors::ports::{NodeCommand, StartError};
use rustix::fs::{CWD, Mode, OFlags};

/// What was prepared for one attempt of a node.
pub(super) struct NodeFiles {
    /// Where it starts.
    pub(super) cwd: PathBuf,
    /// Its inputs, a JSON document.
    pub(super) inputs: PathBuf,
    /// The FIFO for its events.
    pub(super) events: PathBuf,
    /// The FIFO, open.
    pub(super) events_fd: OwnedFd,
}

/// The directory of a run below the work directory.
pub(super) fn run_dir(work_dir: &Path, run: &RunKey) -> PathBuf {
    work_dir.join(run.tenant.as_str()).join(run.run.as_str())
}

/// The runs that have a directory below the work directory.
pub(super) fn runs(work_dir: &Path) -> io::Result<Vec<RunKey>> {
    let mut runs = Vec::new();
    for tenant in names(work_dir)? {
        let Ok(id) = tenant.parse() else { continue };
        // One that has just gone has none.
        let of_tenant = names(&work_dir.join(&tenant)).unwrap_or_default();
        let runs_of_tenant = of_tenant.iter().filter_map(|run| run.parse().ok());
        runs.extend(runs_of_tenant.map(|run| RunKey { tenant: TenantId::clone(&id), run }));
    }
    Ok(runs)
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(path)?;
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string());
    let names = entries.map(name).collect::<Result<Vec<_>, _>>()?;
    Ok(names.into_iter().flatten().collect())
}

/// Makes everything an attempt needs.
pub(super) fn prepare(work_dir: &Path, command: &NodeCommand) -> Result<NodeFiles, StartError> {
    let run_dir = run_dir(work_dir, &command.run);
    let cwd = working_dir(&run_dir, command.cwd.as_deref())?;
    let node_dir = run_dir.join(".runcast").join(command.node_ref.as_str());
    let (inputs, events) = (node_dir.join("inputs.json"), node_dir.join("events"));
    let failed = |path: &Path, error: io::Error| {
        StartError(format!("cannot prepare `{}`: {error}", path.display()))
    };
    fs::create_dir_all(&node_dir).map_err(|error| failed(&node_dir, error))?;
    write_inputs(&inputs, command).map_err(|error| failed(&inputs, error))?;
    let events_fd = make_fifo(&events).map_err(|error| failed(&events, error))?;
    Ok(NodeFiles { cwd, inputs, events, events_fd })
}

fn working_dir(run_dir: &Path, cwd: Option<&str>) -> Result<PathBuf, StartError> {
    let path = Path::new(cwd.unwrap_or_default());
    let failed = |path: &Path, reason: &dyn std::fmt::Display| {
        StartError(format!("cannot work in `{}`: {reason}", path.display()))
    };
    if path.is_absolute() {
        let metadata = fs::metadata(path).map_err(|error| failed(path, &error))?;
        if !metadata.is_dir() {
            return Err(failed(path, &"it is no directory"));
        }
        return Ok(path.to_owned());
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(failed(path, &"it leads out of the run's directory"));
    }
    let path = run_dir.join(path);
    fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?;
    Ok(path)
}

fn write_inputs(path: &Path, command: &NodeCommand) -> io::Result<()> {
    fs::write(path, serde_json::to_vec(&command.inputs)?)
}

/// A new FIFO for every attempt: nothing of an earlier one is left in it.
fn make_fifo(path: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
