//! The written rules of this repository, held by its own sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Vendors and frameworks that the domain does not know.
const VENDORS: &[&str] = &[
    "fjall",
    "sea_orm",
    "sqlx",
    "redis",
    "deadpool_redis",
    "aws_sdk_s3",
    "aws_config",
    "actix_web",
    "actix_web_lab",
    "actix_http",
    "reqwest",
    "hyper",
    "pty_process",
    "rustix",
    "nix",
    "libc",
    "bollard",
    "clap",
    "figment",
    "jsonwebtoken",
    "metrics_exporter_prometheus",
    "utoipa",
];

/// What may name a vendor: one adapter each, and what belongs to it.
const HOMES: &[(&str, &[&str])] = &[
    ("fjall", &["src/adapters/log_fjall"]),
    ("sea_orm", &["src/adapters/store_sql", "src/entities/"]),
    ("sea_orm_migration", &["migrations/"]),
    ("deadpool_redis", &["src/adapters/replica_redis"]),
    ("aws_sdk_s3", &["src/adapters/objects_s3"]),
    ("aws_config", &["src/adapters/objects_s3"]),
    ("pty_process", &["src/adapters/runner_pty.rs"]),
    ("libc", &["src/adapters/process_"]),
    ("actix_web_lab", &["src/http/sse.rs"]),
    ("jsonwebtoken", &["src/http/access/signed.rs"]),
    ("figment", &["src/config/"]),
    ("clap", &["src/cli/", "src/config/server.rs"]),
    // Its `Url` checks addresses of the configuration.
    ("reqwest", &["src/cli/", "src/config/", "src/adapters/peers_http.rs"]),
    ("indicatif", &["src/cli/"]),
    ("console", &["src/cli/"]),
    ("serde_saphyr", &["src/cli/"]),
    ("metrics_exporter_prometheus", &["src/telemetry.rs"]),
    // One test looks at what the log would hold.
    ("tracing_subscriber", &["src/telemetry.rs", "src/http/service_tests.rs"]),
    ("rust_embed", &["src/http/page.rs"]),
    ("mime_guess", &["src/http/page.rs"]),
    ("avt", &["actors/src/screen/"]),
    ("actix", &["actors/src/"]),
];

/// Files that are longer than a file should be. Each has one subject that reads worse in pieces.
const LONG_FILES: &[&str] = &[
    "actors/src/roles/node.rs",
    "actors/src/roles/run.rs",
    "actors/src/roles/tests/world.rs",
    "actors/src/run_spec.rs",
    "actors/src/seek/tests.rs",
    "actors/src/testing/recordings_conformance.rs",
    "actors/src/testing/replica_conformance.rs",
    "actors/src/testing/store_conformance.rs",
    "actors/src/testing/runner_scripted.rs",
    "src/adapters/log_fjall/writer.rs",
    "src/boot.rs",
    "src/http/access.rs",
    "src/http/schema.rs",
    "src/http/service_tests.rs",
    "src/http/stream/source.rs",
    "src/http/testing.rs",
];
const MAX_LINES: usize = 400;
const MAX_LINES_OF_LONG_FILES: usize = 600;

struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
}

fn files(folder: &str, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    files_below(&root().join(folder), ending, &mut found);
    assert!(!found.is_empty(), "nothing is below {folder}");
    let source = |path: PathBuf| Source {
        path: path.strip_prefix(root()).expect("below the root").display().to_string(),
        text: std::fs::read_to_string(&path).expect("a text"),
    };
    found.into_iter().map(source).collect()
}

fn sources() -> Vec<Source> {
    ["src", "actors/src", "migrations/src"].iter().flat_map(|folder| files(folder, "rs")).collect()
}

/// True if the code, comments and texts left out, uses the crate.
fn names(text: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let import = format!("use {name};");
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        line.starts_with(&import)
            || line.match_indices(&path).any(|(place, _)| {
                let before = line[..place].chars().next_back();
                // A longer name, a module of ours, or a text is another thing.
                !before.is_some_and(|before| before.is_alphanumeric() || "_:\"".contains(before))
            })
    })
}

#[test]
fn the_rules_see_what_breaks_them() {
    assert!(names("use fjall::Keyspace;", "fjall"));
    assert!(names("    let a: actix::Addr<Run> = b;", "actix"));
    assert!(names("fn f(a: Vec<redis::Client>) {}", "redis"));
    assert!(!names("// fjall::Keyspace is a word in a comment", "fjall"));
    assert!(!names("use actix_web::App;", "actix"));
    assert!(!names("use crate::redis::x;", "redis"));
}

#[test]
fn the_domain_names_no_vendor() {
    for source in files("actors/src", "rs") {
        for vendor in VENDORS {
            assert!(!names(&source.text, vendor), "{} names {vendor}", source.path);
        }
    }
    let manifest = std::fs::read_to_string(root().join("actors/Cargo.toml")).expect("a manifest");
    for vendor in VENDORS {
        let dashed = vendor.replace('_', "-");
        let is_dependency = manifest.lines().any(|line| {
            line.split([' ', '=', '.']).next().is_some_and(|name| name == *vendor || name == dashed)
        });
        assert!(!is_dependency, "actors/Cargo.toml names {vendor}");
    }
}

#[test]
fn every_vendor_has_one_home() {
    let sources = sources();
    for (vendor, homes) in HOMES {
        let mut is_used = false;
        for source in sources.iter().filter(|source| names(&source.text, vendor)) {
            is_used = true;
            let is_home = homes.iter().any(|home| source.path.starts_with(home));
            assert!(is_home, "{} names {vendor}, which belongs to {homes:?}", source.path);
        }
        assert!(is_used, "nothing uses {vendor}: the rule is out of date");
    }
}

#[test]
fn dependencies_point_one_way() {
    for source in files("migrations/src", "rs") {
        for name in ["runcast", "runcast_actors"] {
            assert!(!names(&source.text, name), "{} names {name}", source.path);
        }
    }
    for source in files("actors/src", "rs") {
        for name in ["runcast", "runcast_migrations"] {
            assert!(!names(&source.text, name), "{} names {name}", source.path);
        }
    }
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a manifest");
    assert!(!read("migrations/Cargo.toml").contains("runcast-actors"));
    assert!(!read("actors/Cargo.toml").contains("runcast-migrations"));
}

#[test]
fn every_role_begins_with_its_six_words() {
    let words = ["Owns", "Takes", "Sends", "Queue", "Stops", "Restart"];
    let is_role = |source: &Source| {
        let below = source.path.strip_prefix("actors/src/roles/").expect("a role");
        // What several roles share is none.
        !["mod.rs", "retry.rs", "takeovers.rs"].contains(&below) && !below.contains('/')
    };
    let roles: Vec<Source> = files("actors/src/roles", "rs").into_iter().filter(is_role).collect();
    assert!(roles.len() >= 8, "{} roles", roles.len());
    for role in roles {
        let head = role.text.lines().take_while(|line| line.starts_with("//!"));
        let told: Vec<&str> = head
            .filter_map(|line| line.strip_prefix("//! ")?.split_once(':'))
            .map(|(word, _)| word)
            .filter(|word| words.contains(word))
            .collect();
        assert_eq!(told, words, "{}", role.path);
    }
}

#[test]
fn files_are_short() {
    let sources = sources();
    for path in LONG_FILES {
        assert!(sources.iter().any(|source| source.path == *path), "there is no {path}");
    }
    for source in &sources {
        let lines = source.text.lines().count();
        let is_known = LONG_FILES.contains(&source.path.as_str());
        let most = if is_known { MAX_LINES_OF_LONG_FILES } else { MAX_LINES };
        assert!(lines <= most, "{} has {lines} lines; at most {most}", source.path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    // In pieces, or this file would break its own rule.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["unimplemented", "!"], ["todo", "!"]];
    let words: Vec<String> = words.iter().map(|word| word.concat()).collect();
    for source in sources().iter().chain(&files("tests", "rs")) {
        for word in &words {
            assert!(!source.text.contains(word), "{} says {word}", source.path);
        }
    }
}

#[test]
fn nothing_is_left_of_a_merge() {
    let documents =
        [files("docs", "md"), files("src", "rs"), files("actors", "rs"), files("tests", "rs")];
    for document in documents.iter().flatten() {
        // In pieces, as above.
        for mark in ["<", ">"].map(|sign| format!("{} ", sign.repeat(7))) {
            assert!(
                !document.text.lines().any(|line| line.starts_with(&mark)),
                "{} holds both sides of a merge",
                document.path
            );
        }
    }
}

/// Names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    text.match_indices("runcast_")
        .filter(|(place, _)| !text[..*place].ends_with(is_letter))
        .map(|(place, _)| text[place..].chars().take_while(|letter| is_letter(*letter)).collect())
        .filter(|name: &String| !name.ends_with('_'))
        .collect()
}

#[test]
fn every_metric_of_the_documents_exists() {
    let exporting: String = sources()
        .into_iter()
        .filter(|source| source.text.contains("metrics::"))
        .map(|source| source.text)
        .collect();
    let exist = metrics_in(&exporting);
    // Crates of the workspace are called like metrics.
    let crates = ["runcast_actors", "runcast_migrations"];
    let mut told = 0;
    for document in files("docs", "md") {
        for name in metrics_in(&document.text) {
            let is_crate = crates.contains(&name.as_str());
            // What Prometheus adds to a histogram.
            let ends = ["_bucket", "_sum", "_count"];
            let base = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            assert!(
                is_crate || exist.contains(&name) || exist.contains(base),
                "{} names {name}, which nothing records",
                document.path
            );
            told += usize::from(!is_crate);
        }
    }
    assert!(told >= 10, "the documents tell of {told} metrics");
}

#[test]
fn what_the_runbooks_quote_from_the_log_is_said() {
    let text = std::fs::read_to_string(root().join("docs/runbooks.md")).expect("the runbooks");
    let words: Vec<&str> = text.split_whitespace().collect();
    let said: String = sources().into_iter().map(|source| source.text).collect();
    let is_sentence = |quoted: &&str| {
        let is_letter = |letter: char| letter.is_ascii_lowercase() || ": ".contains(letter);
        quoted.matches(' ').count() >= 2 && quoted.chars().all(is_letter)
    };
    let text = words.join(" ");
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_sentence).collect();
    assert!(quoted.len() >= 8, "{quoted:?}");
    for sentence in quoted {
        assert!(said.contains(sentence), "nothing says `{sentence}`");
    }
}

#[test]
fn config_toml_documents_every_key_with_its_default() {
    let text = std::fs::read_to_string(root().join("config.toml")).expect("the configuration");
    let defaults: toml::Table =
        toml::from_str(&runcast::config::Settings::default().to_toml()).expect("TOML");
    let documented: toml::Table = toml::from_str(&text).expect("TOML");
    assert_eq!(documented, defaults, "config.toml holds the built-in defaults");
    let commented: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "))
        .map(|(key, _)| key.trim())
        .collect();
    let optional = ["public_url", "name", "tls_cert", "tls_key", "url", "directory", "signing_key"];
    let of_s3 = ["bucket", "endpoint", "region", "prefix", "access_key_id", "secret_access_key"];
    for key in optional.into_iter().chain(of_s3) {
        assert!(commented.contains(key), "config.toml tells of `{key}`");
    }
}
