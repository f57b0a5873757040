//! What is in `deploy/` and `compose.yaml`, judged by the tools that take it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::support::collect::sha256_hex;
use crate::support::servers::{program, root};

/// What the service may take to end beside its drain and the grace of its nodes, as `src/shutdown.rs` and the
/// runtimes add up: 10 s to record, 3 for viewers, 5 for connections, 5 for actors, 2 for clients.
const END: Duration = Duration::from_secs(25);

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn runcast(arguments: &[&str], environment: &[(String, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcast"));
    command.args(arguments).env_clear().envs(environment.iter().cloned());
    command.output().expect("the binary runs")
}

#[track_caller]
fn succeeds(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// The environment that `deploy/new-env.sh` makes, and what it has printed.
fn new_env(folder: &Path) -> (Vec<(String, String)>, String) {
    let file = folder.join("env");
    let script = root().join("deploy/new-env.sh");
    let told = succeeds(Command::new(&script).arg(&file).output().expect("the script runs"));
    let made = std::fs::read_to_string(&file).expect("a file");
    let lines = made.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (pairs, told)
}

/// `compose.yaml` as compose understands it.
fn composed(folder: &Path) -> Value {
    let _ = new_env(folder);
    let with_plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut command = if with_plugin.is_ok_and(|told| told.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    } else {
        Command::new(program("docker-compose", &[]))
    };
    command
        .arg("--env-file")
        .arg(folder.join("env"))
        .arg("--file")
        .arg(root().join("compose.yaml"));
    let read = succeeds(command.arg("config").output().expect("compose runs"));
    serde_saphyr::from_str(&read).expect("YAML")
}

fn environment_of(service: &Value) -> Vec<(String, String)> {
    let environment = service["environment"].as_object().expect("variables");
    let as_text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    environment.iter().map(|(name, value)| (name.clone(), as_text(value))).collect()
}

/// A duration of compose: `1m10s`, `70s`.
fn seconds(text: &str) -> u64 {
    let (minutes, rest) = text.split_once('m').unwrap_or(("0", text));
    let seconds = rest.trim_end_matches('s');
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(minutes) * 60 + number(seconds)
}

/// `drain_secs` and `kill_grace_secs` of the sample, and how long an end may take with them.
fn longest_end() -> Duration {
    let sample: toml::Table = text("deploy/runcast.toml").parse().expect("TOML");
    let drain = sample["server"]["drain_secs"].as_integer().expect("a number");
    let defaults = runcast::config::Settings::default();
    let drain = Duration::from_secs(u64::try_from(drain).expect("positive"));
    drain + Duration::from_secs(defaults.runners.local.kill_grace_secs) + END
}

#[test]
fn compose_takes_the_stack_and_the_service_takes_its_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let stack = composed(folder.path());
    let services = stack["services"].as_object().expect("services");
    let ours: Vec<_> = services.iter().filter(|(_, one)| one["build"].is_object()).collect();
    let roles = |role: &str| {
        let has = |one: &Value| one["command"].as_array().is_some_and(|c| c.contains(&role.into()));
        ours.iter().filter(|(_, one)| has(one)).count()
    };
    assert_eq!((ours.len(), roles("api"), roles("worker")), (4, 2, 2));
    let mut directories = BTreeSet::new();
    for (name, service) in ours {
        let volumes = service["volumes"].to_string();
        let own = format!("{name}:");
        assert!(volumes.contains(&own) || volumes.contains(&format!("\"source\":\"{name}\"")));
        assert!(volumes.contains("/var/lib/runcast") && volumes.contains("runcast.toml"));
        assert!(directories.insert(volumes), "{name} shares a data directory");
        let grace = service["stop_grace_period"].as_str().expect("a time");
        assert!(Duration::from_secs(seconds(grace)) > longest_end(), "{name}: {grace}");
        assert_eq!(
            service["healthcheck"]["test"].to_string(),
            r#"["CMD","runcast","healthcheck"]"#
        );
        let sample = root().join("deploy/runcast.toml").display().to_string();
        let checked = runcast(&["config", "check", "--config", &sample], &environment_of(service));
        assert_eq!(succeeds(checked), "ok\n", "{name}");
    }
    let redis = services["redis"]["command"].to_string();
    for option in ["--aclfile", "--maxmemory ", "--maxmemory-policy noeviction", "--appendonly yes"]
    {
        assert!(redis.contains(option), "{redis} lacks {option}");
    }
    assert!(services["s3"]["command"].to_string().contains("-s3.autoCreateBucket=false"));
}

#[test]
fn secrets_are_made_once_and_only_hashes_of_tokens_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pairs, told) = new_env(folder.path());
    let empty: Vec<_> = pairs.iter().filter(|(_, value)| value.is_empty()).collect();
    assert!(empty.is_empty(), "{empty:?}");
    let value = |name: &str| {
        let found = pairs.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.clone()
    };
    let secrets = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "S3_SECRET_KEY", "SIGNING_KEY"];
    let different: BTreeSet<String> = secrets.iter().map(|name| value(name)).collect();
    assert_eq!(different.len(), secrets.len());
    for (printed, kept) in
        [("RUNCAST_TOKEN=", "TOKEN_SHA256"), ("METRICS_TOKEN=", "METRICS_TOKEN_SHA256")]
    {
        let token = told.lines().find_map(|line| line.strip_prefix(printed)).expect("a token");
        let token = token.split(' ').next().expect("a word");
        assert_eq!(sha256_hex(token.as_bytes()), value(kept));
        assert!(pairs.iter().all(|(_, value)| value != token));
    }
    let file = folder.path().join("env");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&file).expect("a file");
    let again = Command::new(root().join("deploy/new-env.sh")).arg(&file).output();
    assert!(!again.expect("the script runs").status.success());
    assert_eq!(std::fs::read(&file).expect("a file"), before, "what is in use stays");
}

#[test]
fn the_user_of_redis_is_the_documented_one() {
    let rules = |text: &str, head: &str| -> BTreeSet<String> {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(head));
        line.expect("the user").split_whitespace().map(str::to_owned).collect()
    };
    let documented = rules(&text("docs/operations.md"), "ACL SETUSER runcast ");
    let mut file = rules(&text("deploy/redis-users.acl"), "user runcast ");
    assert!(file.remove("#SHA256_OF_PASSWORD") && file.insert(">PASSWORD".to_owned()));
    // So that a server which may lose what it holds is told of.
    assert!(file.remove("+info"));
    assert_eq!(file, documented);
    assert!(text("deploy/redis-users.acl").lines().any(|line| line == "user default off"));
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = text("deploy/runcast.service");
    let here = unit.replace("/usr/local/bin/runcast", env!("CARGO_BIN_EXE_runcast"));
    assert_ne!(unit, here);
    let file = folder.path().join("runcast.service");
    let verify = |unit: &str| {
        std::fs::write(&file, unit).expect("a file");
        let mut command = Command::new(program("systemd-analyze", &[]));
        command.args(["verify", "--man=no"]).arg(&file).output().expect("systemd-analyze runs")
    };
    // What it does not know it only tells of.
    let told = verify(&here);
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    let told = verify(&here.replace("KillMode=", "KillMod="));
    assert!(String::from_utf8_lossy(&told.stderr).contains("KillMod"), "{told:?}");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let stop = value("TimeoutStopSec").and_then(|secs| secs.parse().ok()).expect("seconds");
    assert!(Duration::from_secs(stop) > longest_end());
    assert_eq!(value("KillMode"), Some("mixed"));
    assert_eq!(value("OOMPolicy"), Some("continue"));
}
