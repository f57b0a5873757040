//! Wires adapters into ports.

use crate::config::Settings;

/// What to do with the schema of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrateCommand {
    /// Apply every step that is missing.
    Up,
    /// Take back the newest steps.
    Down {
        /// How many, at least 1.
        steps: u32,
    },
    /// Print which steps are applied.
    Status,
}

/// Runs the service until it is told to stop.
pub fn serve(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("not wired")
}

/// Changes or shows the schema of the database.
pub fn migrate(_settings: Settings, _command: MigrateCommand) -> anyhow::Result<()> {
    anyhow::bail!("not wired")
}
