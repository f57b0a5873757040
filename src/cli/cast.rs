//! `runcast cast`: downloads a recording.

use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use runcast_actors::ids::{NodeRef, RunId};

use super::client::{ApiClient, Connection};
use super::text::clean;
use super::transfer::{Sink, progress};
use super::watch::INTERRUPTED;

#[derive(Debug, Args)]
pub(super) struct CastArgs {
    /// The run
    run: RunId,
    /// The node
    node: NodeRef,
    /// The file, `-` for standard output. Without it: standard output, or RUN-NODE.cast in this directory
    /// if that is a terminal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The version of the asciicast
    #[arg(long, value_name = "N", default_value = "3", value_parser = ["2", "3"])]
    version: String,
    /// An asciicast, lines, or the exact bytes; if not given, as the ending of FILE says
    #[arg(long)]
    format: Option<Format>,
    /// Only this stream of a node without a terminal
    #[arg(long, value_parser = ["pty", "stdout", "stderr", "all"])]
    stream: Option<String>,
    /// Go on until the node has ended
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Cast,
    Txt,
    Raw,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::Txt => "txt",
            Self::Raw => "raw",
        }
    }

    /// The one that a file of this name holds.
    fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("txt") => Self::Txt,
            Some("raw" | "log") => Self::Raw,
            _ => Self::Cast,
        }
    }
}

pub(super) async fn execute(args: CastArgs) -> anyhow::Result<ExitCode> {
    let connection = &args.connection;
    let client =
        if args.follow { ApiClient::patient(connection)? } else { ApiClient::new(connection)? };
    let format =
        args.format.unwrap_or_else(|| args.output.as_deref().map_or(Format::Cast, Format::of_name));
    let mut query = vec![("format", format.as_str().to_owned()), ("version", args.version.clone())];
    query.extend(args.stream.clone().map(|stream| ("stream", stream)));
    if args.follow {
        query.push(("follow", "true".to_owned()));
    }
    let path = format!("/runs/{}/terminal/{}/cast", args.run, args.node);
    let mut response = client.download(&path, &query).await?;

    let (mut sink, place) = destination(&args, format)?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let state = header("x-runcast-state").map(clean).unwrap_or_default();
    // A bar in the middle of lines that are shown would be neither.
    let bar = match &place {
        Some(place) => progress(&place.display().to_string(), response.content_length()),
        None if stdout().is_terminal() => indicatif::ProgressBar::hidden(),
        None => progress("standard output", response.content_length()),
    };
    let interrupt = tokio::signal::ctrl_c();
    let mut interrupt = std::pin::pin!(interrupt);
    loop {
        let piece = tokio::select! {
            piece = client.piece(&mut response) => piece?,
            signal = &mut interrupt => {
                signal?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        let Some(piece) = piece else { break };
        sink.write(&piece)?;
        bar.inc(piece.len() as u64);
    }
    sink.finish()?;
    let count = bar.position();
    bar.finish_and_clear();
    if let Some(place) = place {
        eprintln!("{}  {}", place.display(), super::text::bytes(count));
    }
    match state.as_str() {
        "live" if !args.follow => {
            eprintln!("the recording is not archived to its end yet: this is what there is so far");
        }
        "incomplete" => {
            let (run, node) = (&args.run, &args.node);
            eprintln!("the recording is incomplete: `runcast verify {run} {node}` says why");
        }
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it goes, and the name if that is a file.
fn destination(args: &CastArgs, format: Format) -> anyhow::Result<(Sink, Option<PathBuf>)> {
    let standard_output = || (Sink::Direct(Box::new(stdout())), None);
    match &args.output {
        Some(path) if path.as_os_str() == "-" => Ok(standard_output()),
        Some(path) => Ok((Sink::file(path)?, Some(path.clone()))),
        // Lines can do a terminal no harm; what a program wrote can.
        None if !stdout().is_terminal() || format == Format::Txt => Ok(standard_output()),
        None => {
            let path = PathBuf::from(format!("{}-{}.{}", args.run, args.node, format.as_str()));
            if path.exists() {
                anyhow::bail!("{0} is there already; -o {0} replaces it", path.display());
            }
            Ok((Sink::file(&path)?, Some(path)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_the_file_names_the_format() {
        for (name, format) in [
            ("a.cast", Format::Cast),
            ("a.txt", Format::Txt),
            ("a.raw", Format::Raw),
            ("b/a.log", Format::Raw),
            ("a", Format::Cast),
        ] {
            assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
        }
    }
}
