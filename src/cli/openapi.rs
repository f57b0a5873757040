//! `runcast openapi`: prints the OpenAPI document, for programs that make types of it.

use std::io::Write as _;
use std::process::ExitCode;

use crate::http::routes::openapi::document;

pub(super) fn execute() -> anyhow::Result<ExitCode> {
    let text = serde_json::to_string_pretty(&document())?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
