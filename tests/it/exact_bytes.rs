//! Every byte that a program writes arrives, over streams and over pages, and `final` agrees.

use std::path::{Path, PathBuf};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::collect::{Chunk, Collected, StreamBytes, sha256_hex};
use crate::support::deadline::wait_for;
use crate::support::programs::{as_terminal_passes, cat_raw, log_lines, perl, pipe, pty, run_of};
use crate::support::service::{Keeping, Service, hot_and_cold, is_elsewhere};

hot_and_cold!(
    all_byte_values_and_all_pairs_of_them,
    utf8_that_is_split_at_every_offset,
    a_flood_of_log_lines,
    a_million_empty_lines,
    pipes_keep_both_streams_apart,
    programs_that_draw,
);

/// The terminal of nodes that do not say otherwise.
const COLS: u16 = 120;
const ROWS: u16 = 30;

fn written(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).expect("the file is written");
    path
}

/// Reads the run by stream, to its end, and from a cold service once more when its log is empty.
async fn by_stream(service: &Service, run: &str) -> Collected {
    let api = service.api();
    let mut seen = Collected::sums_only();
    seen.read(&mut api.stream(run).open().await).await;
    seen.assert_complete();
    if service.is_cold() {
        service.wait_log_empty().await;
        let mut again = Collected::sums_only();
        again.read(&mut api.stream(run).open().await).await;
        again.assert_same(&seen);
    }
    seen
}

/// Reads one console by pages.
async fn by_pages(api: &Api, run: &str, node: &str, stream: &str, limit: usize) -> StreamBytes {
    let mut seen = StreamBytes::default();
    api.each_chunk(run, node, stream, limit, |data| seen.push(&Chunk::of(data), false)).await;
    assert!(seen.exit.is_some(), "the pages end with exit");
    seen
}

/// Panics unless stream, pages and `final` have exactly these bytes.
async fn assert_exact(
    service: &Service,
    run: &str,
    seen: &Collected,
    node: &str,
    stream: &str,
    expected: &[u8],
) {
    let api = service.api();
    let sha256 = sha256_hex(expected);
    let streamed = seen.stream(node, stream);
    assert_eq!(streamed.bytes, expected.len() as u64, "{node}/{stream}: bytes");
    assert_eq!(streamed.sha256(), sha256, "{node}/{stream}");
    let paged = by_pages(&api, run, node, stream, 500).await;
    assert_eq!(paged.sha256(), sha256, "{node}/{stream} by pages");
    let expected = if service.is_cold() { "archive" } else { "hot" };
    wait_for("it is read from where it should be", RUN_LIMIT, async || {
        (api.chunk_page(run, node, stream, "").await.source == expected).then_some(())
    })
    .await;
    for exit in [&streamed.exit, &paged.exit] {
        let exit = exit.as_ref().expect("exit");
        assert_eq!(exit["sha256"], sha256, "{node}/{stream}: final");
        assert_eq!(exit["complete"], true, "{node}/{stream}: {exit}");
        assert!(exit.get("truncated").is_none_or(|truncated| truncated == false), "{exit}");
    }
}

async fn all_byte_values_and_all_pairs_of_them(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let files = TempDir::new().expect("a directory");
    let pairs: Vec<u8> = (0..=255_u8)
        .flat_map(|first| (0..=255_u8).flat_map(move |second| [first, second]))
        .collect();
    let file = written(&files, "pairs", &pairs);
    let cat = format!("exec cat '{}'", file.display());
    let run = run_of([pty("raw", &cat_raw(&file)), pty("cooked", &cat), pipe("pipe", &cat)]);
    let api = service.api();
    let run = api.submit(&run).await;
    let seen = by_stream(&service, &run).await;
    assert_exact(&service, &run, &seen, "raw", "pty", &pairs).await;
    assert_exact(&service, &run, &seen, "cooked", "pty", &as_terminal_passes(&pairs)).await;
    assert_exact(&service, &run, &seen, "pipe", "stdout", &pairs).await;
    assert_exact(&service, &run, &seen, "pipe", "stderr", b"").await;
}

async fn utf8_that_is_split_at_every_offset(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let text = "aé€😀漢字👩‍👩‍👧e\u{301}\u{fe0f}";
    let writes = r"
        use bytes; $| = 1; my $text = $ENV{TEXT};
        for my $split (0 .. length($text)) {
            for my $part (substr($text, 0, $split), substr($text, $split)) {
                next unless length $part;
                syswrite(STDOUT, $part);
                select(undef, undef, undef, 0.015);
            }
        }";
    let mut node = perl("split", writes);
    node["env"] = serde_json::json!({ "TEXT": text });
    let api = service.api();
    let run = api.submit(&run_of([node])).await;
    let seen = by_stream(&service, &run).await;
    assert_exact(&service, &run, &seen, "split", "pty", text.repeat(text.len() + 1).as_bytes())
        .await;

    let mut cut_characters = 0;
    api.each_chunk(&run, "split", "pty", 3, |data| {
        let payload = Chunk::of(data).payload.map(|text| STANDARD.decode(text).expect("base64"));
        cut_characters +=
            usize::from(payload.is_some_and(|bytes| std::str::from_utf8(&bytes).is_err()));
    })
    .await;
    assert!(cut_characters > text.len() / 2, "chunks end within characters: {cut_characters}");
}

/// The archive is written by a build that is not optimised, so less goes through it.
fn size_of_flood(keeping: Keeping) -> usize {
    match keeping {
        // As much as a replica may have of it.
        Keeping::Hot if is_elsewhere() => 40_000_000,
        Keeping::Hot => 200_000_000,
        Keeping::Cold => 10_000_000,
    }
}

async fn a_flood_of_log_lines(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let files = TempDir::new().expect("a directory");
    let lines = log_lines(size_of_flood(keeping), 1);
    let file = written(&files, "lines", &lines);
    let api = service.api();
    let began = Instant::now();
    let run = api.submit(&run_of([pty("flood", &format!("exec cat '{}'", file.display()))])).await;
    let seen = by_stream(&service, &run).await;
    println!("{} MB in {:?}", lines.len() / 1_000_000, began.elapsed());
    assert_exact(&service, &run, &seen, "flood", "pty", &as_terminal_passes(&lines)).await;
}

async fn a_million_empty_lines(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let count = 1_000_000;
    let run = run_of([
        perl("pty", &format!(r#"print "\n" for 1 .. {count}"#)),
        pipe("pipe", &format!(r#"exec perl -e 'print "\n" for 1 .. {count}'"#)),
    ]);
    let run = api.submit(&run).await;
    let seen = by_stream(&service, &run).await;
    assert_exact(&service, &run, &seen, "pty", "pty", &b"\r\n".repeat(count)).await;
    assert_exact(&service, &run, &seen, "pipe", "stdout", &b"\n".repeat(count)).await;
}

async fn pipes_keep_both_streams_apart(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let files = TempDir::new().expect("a directory");
    let (out, err) = (log_lines(3_000_000, 2), log_lines(2_000_000, 3));
    let (out_file, err_file) = (written(&files, "out", &out), written(&files, "err", &err));
    let (out_path, err_path) = (out_file.display(), err_file.display());
    let both =
        format!("cat '{err_path}' >&2 & cat '{out_path}'; wait; test -t 1 || test -t 2 || exit 3");
    let api = service.api();
    let run = api.submit(&run_of([pipe("both", &both)])).await;
    let seen = by_stream(&service, &run).await;
    assert_exact(&service, &run, &seen, "both", "stdout", &out).await;
    assert_exact(&service, &run, &seen, "both", "stderr", &err).await;
    let view = api.run(&run).await;
    assert_eq!(view["nodes"][0]["exitCode"], 3, "the program sees no terminal: {view}");
}

/// A program that draws, and what it draws with.
struct Drawing {
    name: &'static str,
    program: &'static str,
    script: &'static str,
    /// Something of what it must have drawn.
    mark: &'static [u8],
}

const DRAWINGS: [Drawing; 4] = [
    Drawing {
        name: "vim",
        program: "vim",
        script: "vim -u NONE -N -n -c 'set number hlsearch' -c 'syntax on' -c '/int' -c 'redraw' \
                 -c 'normal G' -c 'redraw' -c 'split' -c 'redraw' -c 'qa!' sample.c",
        mark: b"\x1b[?1049h",
    },
    Drawing {
        name: "less",
        program: "less",
        script: "timeout --foreground 1 less -R -N sample.txt; true",
        mark: b"line 7",
    },
    Drawing { name: "top", program: "top", script: "top -p $$ -d 0.2 -n 4", mark: b"PID" },
    Drawing {
        name: "gcc",
        program: "gcc",
        script: "gcc -fdiagnostics-color=always -Wall -c -o /dev/null sample.c; true",
        mark: b"\x1b[01;31m",
    },
];

const SAMPLE_C: &str = "int main(void) {\n    int unused = \"text\";\n    return missing;\n}\n";

fn sample_files(directory: &Path) {
    std::fs::write(directory.join("sample.c"), SAMPLE_C).expect("a file");
    let line = |n: u32| format!("\x1b[3{}mline {n}\x1b[0m\n", n % 8);
    let lines = (1..200).map(line).collect::<Vec<_>>().concat();
    std::fs::write(directory.join("sample.txt"), lines).expect("a file");
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(program).is_file())
}

fn stored(drawing: &Drawing) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/casts/{}.raw", drawing.name))
}

/// What the program writes to a terminal of our own, as the terminal passes it on; where it is not
/// installed, what it wrote elsewhere.
async fn raw_capture(drawing: &Drawing, directory: &Path) -> Vec<u8> {
    if !is_installed(drawing.program) {
        return std::fs::read(stored(drawing)).expect("a stored capture");
    }
    let (mut pty, pts) = pty_process::open().expect("a terminal");
    pty.resize(pty_process::Size::new(ROWS, COLS)).expect("its size");
    let command = pty_process::Command::new("/bin/sh").args(["-c", drawing.script]);
    let command = command.current_dir(directory).env("TERM", "xterm-256color");
    let mut child = command.spawn(pts).expect("the program starts");
    let mut bytes = Vec::new();
    // The end of a terminal is an error.
    let _ = pty.read_to_end(&mut bytes).await;
    child.wait().await.expect("its end");
    if std::env::var_os("RUNCAST_TEST_STORE_CASTS").is_some() {
        std::fs::write(stored(drawing), &bytes).expect("the capture is stored");
    }
    bytes
}

async fn programs_that_draw(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let files = TempDir::new().expect("a directory");
    sample_files(files.path());
    let contains =
        |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    let mut nodes = Vec::new();
    let mut captures = Vec::new();
    for drawing in &DRAWINGS {
        let capture = raw_capture(drawing, files.path()).await;
        assert!(
            contains(&capture, drawing.mark),
            "{}: {:?}",
            drawing.name,
            String::from_utf8_lossy(&capture)
        );
        let file = written(&files, &format!("{}.raw", drawing.name), &capture);
        nodes.push(pty(&format!("replayed-{}", drawing.name), &cat_raw(&file)));
        captures.push(capture);
        let script = if is_installed(drawing.program) {
            drawing.script.to_owned()
        } else {
            cat_raw(&stored(drawing))
        };
        let mut node = pty(drawing.name, &format!("cd '{}'; {script}", files.path().display()));
        node["env"] = serde_json::json!({ "TERM": "xterm-256color" });
        nodes.push(node);
    }
    let api = service.api();
    let run = api.submit(&run_of(nodes)).await;
    let mut seen = Collected::new();
    seen.read(&mut api.stream(&run).open().await).await;
    seen.assert_complete();
    service.wait_log_empty().await;
    for (drawing, capture) in DRAWINGS.iter().zip(&captures) {
        assert_exact(&service, &run, &seen, &format!("replayed-{}", drawing.name), "pty", capture)
            .await;
        let drawn = seen.stream(drawing.name, "pty");
        assert!(
            contains(&drawn.output, drawing.mark),
            "{}: {:?}",
            drawing.name,
            String::from_utf8_lossy(&drawn.output)
        );
        assert_exact(&service, &run, &seen, drawing.name, "pty", &drawn.output).await;
    }
}
