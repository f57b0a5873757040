//! Rules, precedence and the documented defaults.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("runcast.toml");
    std::fs::write(&path, text).expect("a file");
    (folder, Sources { file: Some(path), ..Sources::default() })
}

fn load_text(text: &str) -> Result<Settings, ConfigError> {
    let (_folder, sources) = file(text);
    Settings::load(&sources)
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn the_documented_file_is_the_defaults() {
    let documented = load_text(include_str!("../../config.toml")).expect("it is valid");
    assert_eq!(documented, Settings::default());
    assert_eq!(Settings::load(&Sources::default()).expect("valid"), Settings::default());
}

#[test]
fn the_documented_file_names_every_key() {
    let mut settings = Settings::default();
    settings.server.public_url = Some("x".to_owned());
    settings.server.name = Some("x".to_owned());
    settings.server.tls_cert = Some("x".into());
    settings.server.tls_key = Some("x".into());
    settings.database.url = Some(serde_json::from_str("\"x\"").expect("a text"));
    settings.redis.url = Some(serde_json::from_str("\"x\"").expect("a text"));
    settings.archive.directory = Some("x".into());
    settings.archive.s3 = S3Settings {
        bucket: Some("x".to_owned()),
        endpoint: Some("x".to_owned()),
        region: Some("x".to_owned()),
        force_path_style: true,
        prefix: Some("x".to_owned()),
        access_key_id: Some("x".to_owned()),
        secret_access_key: Some(Secret::from("x".to_owned())),
        session_token: Some(Secret::from("x".to_owned())),
    };
    settings.auth.signing_key = Some(Secret::from("x".to_owned()));
    let text = include_str!("../../config.toml");
    for line in settings.to_toml().lines().filter(|line| line.contains(" = ")) {
        let key = line.split(' ').next().expect("a key");
        let documented = text
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
            .any(|(name, _)| name == key);
        assert!(documented, "config.toml does not name {key}");
    }
}

fn redis_mistakes() -> [(String, &'static str, &'static str); 7] {
    [
        ("[redis]\nurl = \"http://x\"".into(), "redis.url", "redis://["),
        ("[redis]\nurl = \"redis:///1\"".into(), "redis.url", "redis://["),
        ("[redis]\nurl = \"redis://x/one\"".into(), "redis.url", "redis://["),
        ("[redis]\nurl = \"rediss://x/#insecure\"".into(), "redis.url", "rediss://"),
        ("[redis]\nwhen_full = \"drop\"".into(), "redis.when_full", "pause, spill"),
        ("[redis]\nmax_lag_bytes = 5".into(), "redis.max_lag_bytes", "1048576 to"),
        ("[redis]\nmax_bytes_per_run = 5".into(), "redis.max_bytes_per_run", "1048576 to"),
    ]
}

#[test]
fn each_rule_names_its_key_and_what_is_allowed() {
    let token = |rest: &str| format!("[[auth.tokens]]\n{rest}");
    let cases: Vec<(String, &str, &str)> = vec![
        ("[log]\nsync_ms = 0".into(), "log.sync_ms", "1 to 60000"),
        ("[log]\nmax_bytes_per_run = 0".into(), "log.max_bytes_per_run", "1048576 to"),
        ("[log]\ntail_bytes = 5".into(), "log.tail_bytes", "1048576 to"),
        ("[log]\nmin_free_bytes = 5".into(), "log.min_free_bytes", "1048576 to"),
        ("[archive]\nbackend = \"tape\"".into(), "archive.backend", "directory, s3"),
        ("[archive]\nsegment_bytes = 65535".into(), "archive.segment_bytes", "65536 to 268435456"),
        ("[archive]\nflush_interval_ms = 99".into(), "archive.flush_interval_ms", "100 to 600000"),
        ("[archive]\ndelete_after_secs = 86401".into(), "archive.delete_after_secs", "0 to 86400"),
        ("[archive]\ncache_bytes = 0".into(), "archive.cache_bytes", "4194304 to"),
        (
            "[archive]\nsegment_bytes = 33554432\n[redis]\nurl = \"redis://r\"\n\
             max_bytes_per_run = 67108864"
                .into(),
            "redis.max_bytes_per_run",
            "at least 134217728 (4 * archive.segment_bytes)",
        ),
        (
            "[archive]\nsegment_bytes = 2097152\n[log]\nmax_bytes_per_run = 8388607".into(),
            "archive.segment_bytes",
            "at most 2097151 (log.max_bytes_per_run / 4)",
        ),
        ("[retention]\nhot_min_secs = 2592001".into(), "retention.hot_min_secs", "0 to 2592000"),
        ("[retention]\nrecordings_days = 36501".into(), "retention.recordings_days", "0 to 36500"),
        ("[retention]\nhot_ttl_secs = 2592001".into(), "retention.hot_ttl_secs", "0 to 2592000"),
        ("[server]\ndrain_secs = 0".into(), "server.drain_secs", "1 to 86400"),
        ("[server]\ndata_dir = \"\"".into(), "server.data_dir", "a directory"),
        ("[server]\nname = \"a b\"".into(), "server.name", "1 to 128 characters"),
        ("[server]\npublic_url = \"ftp://x\"".into(), "server.public_url", "https://"),
        ("[server]\nrole = \"worker\"".into(), "server.role", "redis.url and a database.url"),
        (
            "[server]\nrole = \"api\"\n[redis]\nurl = \"redis://x\"".into(),
            "server.role",
            "redis.url and a database.url",
        ),
        ("[server]\nrole = \"chief\"".into(), "server.role", "all, api, worker"),
        ("[server]\ncors_origins = [\"*\"]".into(), "server.cors_origins", "https://host"),
        ("[server]\ntls_cert = \"a\"".into(), "server.tls_cert", "both or neither"),
        ("[server]\ntls_key = \"a\"".into(), "server.tls_key", "both or neither"),
        ("[server]\nlisten = \"0.0.0.0:80\"".into(), "server.listen", "127.0.0.1"),
        ("[server]\nlisten = \"nowhere\"".into(), "server.listen", "socket address"),
        ("[database]\nmax_connections = 2".into(), "database.max_connections", "3 to 1000"),
        ("[database]\nurl = \"mysql://x\"".into(), "database.url", "sqlite://FILE"),
        ("[terminal]\ncols = 1001".into(), "terminal.cols", "1 to 1000"),
        ("[terminal]\nrows = 0".into(), "terminal.rows", "1 to 500"),
        ("[terminal]\nmode = \"tty\"".into(), "terminal.mode", "pty, pipe"),
        ("[capture]\nflush_ms = 0".into(), "capture.flush_ms", "1 to 1000"),
        (
            "[capture]\nmax_chunk_bytes = 65536\nin_flight_bytes = 8192".into(),
            "capture.max_chunk_bytes",
            "in_flight_bytes",
        ),
        (
            "[capture]\nin_flight_bytes = 268435456".into(),
            "capture.in_flight_bytes",
            "memory.capture_bytes",
        ),
        ("[runners.local]\nmax_parallel = 0".into(), "runners.local.max_parallel", "1 to 100000"),
        ("[runners.local]\ndrain_ms = 0".into(), "runners.local.drain_ms", "1 to 60000"),
        ("[runners.local]\nkill_grace_secs = 0".into(), "runners.local.kill_grace_secs", "1 to"),
        ("[lease]\nttl_secs = 0".into(), "lease.ttl_secs", "1 to 3600"),
        ("[sse]\nkeep_alive_secs = 31".into(), "sse.keep_alive_secs", "1 to 30"),
        ("[archive]\nmax_downloads = 0".into(), "archive.max_downloads", "1 to 100000"),
        ("[sse]\nmax_viewers = 0".into(), "sse.max_viewers", "1 to 1000000"),
        ("[sse]\nmax_duration_secs = -1".into(), "sse.max_duration_secs", "allowed"),
        ("[memory]\ncapture_bytes = 99999999999".into(), "memory.capture_bytes", "1048576 to"),
        ("[auth]\nmode = \"token\"".into(), "auth.mode", "with auth.tokens"),
        ("[auth]\nsigning_key = \"short\"".into(), "auth.signing_key", "at least 32"),
        (
            token("sha256 = \"abc\"\ntenant = \"a\"\nscopes = [\"metrics\"]"),
            "auth.tokens[0].sha256",
            "64 hexadecimal digits",
        ),
        (
            token(&format!("sha256 = \"{SHA}\"\ntenant = \"a\"\nscopes = [\"fly\"]")),
            "auth.tokens[0].scopes",
            "runs:read",
        ),
        (
            token(&format!("sha256 = \"{SHA}\"\ntenant = \"*\"\nscopes = [\"metrics\"]")),
            "auth.tokens[0].tenant",
            "* with admin",
        ),
        (
            token(&format!("sha256 = \"{SHA}\"\ntenant = \"a\"\nscopes = [\"admin\"]")),
            "auth.tokens[0].scopes",
            "tenant = \"*\"",
        ),
        (
            token(&format!("sha256 = \"{SHA}\"\ntenant = \"A_B\"\nscopes = [\"metrics\"]")),
            "auth.tokens[0].tenant",
            "1 to 63 characters",
        ),
        (token(&format!("sha256 = \"{SHA}\"\ntenant = \"a\"")), "auth.tokens[0]", "scopes"),
        ("[telemetry]\nlog_level = \"loud\"".into(), "telemetry.log_level", "error, warn, info"),
    ];
    assert_told(cases.into_iter().chain(redis_mistakes()).collect());
}

#[test]
fn what_is_unknown_or_of_another_type_is_named() {
    assert_told(vec![
        ("[log]\nsync_ms = \"often\"".into(), "log.sync_ms", "u64"),
        ("[kafka]\nurl = \"x\"".into(), "kafka", "server, database"),
        ("[log]\nsinc_ms = 1".into(), "log.sinc_ms", "sync_ms"),
        ("[runners.docker]\nimage = \"x\"".into(), "runners.docker", "local"),
    ]);
}

#[test]
fn each_rule_of_s3_names_its_key_and_what_is_allowed() {
    let s3 = |rest: &str| format!("[archive]\nbackend = \"s3\"\n[archive.s3]\n{rest}");
    assert_told(vec![
        ("[archive]\nbackend = \"s3\"".into(), "archive.backend", "with archive.s3.bucket"),
        (s3("bucket = \"a b\""), "archive.s3.bucket", "3 to 255 characters"),
        (s3("bucket = \"abc\"\nendpoint = \"db:9000\""), "archive.s3.endpoint", "https://"),
        (s3("bucket = \"abc\"\nendpoint = \"http://a/b\""), "archive.s3.endpoint", "https://"),
        (s3("bucket = \"abc\"\nprefix = \"a//b\""), "archive.s3.prefix", "joined by /"),
        (s3("bucket = \"abc\"\nregion = \"\""), "archive.s3.region", "such as"),
        (
            s3("bucket = \"abc\"\naccess_key_id = \"a\""),
            "archive.s3.access_key_id",
            "both or neither",
        ),
        (
            s3("bucket = \"abc\"\nsession_token = \"a\""),
            "archive.s3.session_token",
            "with access_key_id",
        ),
        ("[archive.s3]\nbuckets = \"x\"".into(), "archive.s3.buckets", "bucket"),
    ]);
}

/// Panics unless each text has one problem, of this key, that tells what is allowed.
fn assert_told(cases: Vec<(String, &str, &str)>) {
    for (text, key, allowed) in cases {
        let error = load_text(&text).expect_err(&text);
        let problem = error.problems.iter().find(|problem| problem.key == key);
        let problem = problem.unwrap_or_else(|| panic!("{text}: no {key} in {error}"));
        assert!(problem.message.contains(allowed), "{text}: {problem}");
        assert!(problem.message.contains("allowed") || key == "server.listen", "{problem}");
        assert!(problem.source.starts_with("file "), "{text}: {problem}");
        assert_eq!(error.problems.len(), 1, "{text}: {error}");
    }
}

#[test]
fn every_problem_is_listed_with_its_source() {
    let text = "[log]\nsinc_ms = 1\nsync_ms = 0\n[server]\ndrain_secs = \"long\"\n[wrong]\na = 1\n";
    let (_folder, mut sources) = file(text);
    sources.env = env(&[("RUNCAST__LEASE__TTL_SECS", "0"), ("RUNCAST__LOG__SPEED", "9")]);
    let error = Settings::load(&sources).expect_err("five mistakes");
    let mut found: Vec<(&str, &str)> = error
        .problems
        .iter()
        .map(|problem| (problem.key.as_str(), problem.source.split(' ').next_back().unwrap_or("")))
        .collect();
    found.sort_unstable();
    let path = sources.file.as_ref().and_then(|path| path.to_str()).expect("a path");
    assert_eq!(
        found,
        [
            ("lease.ttl_secs", "RUNCAST__LEASE__TTL_SECS"),
            ("log.sinc_ms", path),
            ("log.speed", "RUNCAST__LOG__SPEED"),
            ("log.sync_ms", path),
            ("server.drain_secs", path),
            ("wrong", path),
        ]
    );
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let (_folder, mut sources) = file(
        "[server]\nlisten = \"127.0.0.1:1\"\ndata_dir = \"file\"\nname = \"file\"\n\
         [database]\nurl = \"sqlite://file\"\n",
    );
    let of = |sources: &Sources| Settings::load(sources).expect("valid");
    assert_eq!(of(&sources).database_url(), "sqlite://file");
    sources.env = env(&[
        ("RUNCAST__SERVER__LISTEN", "127.0.0.1:2"),
        ("RUNCAST__SERVER__NAME", "0012"),
        ("RUNCAST__CAPTURE__FLUSH_MS", "9"),
        ("RUNCAST__SERVER__CORS_ORIGINS", "[\"https://a.example\"]"),
        ("DATABASE_URL", "sqlite://customary"),
        ("REDIS_URL", "redis://customary/1"),
        ("RUNCAST_TOKEN", "not ours"),
    ]);
    let settings = of(&sources);
    assert_eq!(settings.server.listen.port(), 2);
    assert_eq!(settings.server.name.as_deref(), Some("0012"));
    assert_eq!(settings.server.data_dir, PathBuf::from("file"));
    assert_eq!(settings.server.cors_origins, ["https://a.example"]);
    assert_eq!(settings.capture.flush_ms, 9);
    assert_eq!(settings.server.drain_secs, 30);
    assert_eq!(settings.database_url(), "sqlite://customary");
    let redis = settings.redis.url.as_ref().map(DatabaseUrl::expose);
    assert_eq!(redis, Some("redis://customary/1"));
    sources.env.extend(env(&[("RUNCAST__DATABASE__URL", "sqlite://own")]));
    sources.flags = Flags {
        listen: Some("127.0.0.1:3".parse().expect("an address")),
        data_dir: Some(PathBuf::from("flag")),
        role: None,
    };
    let settings = of(&sources);
    assert_eq!(settings.server.listen.port(), 3);
    assert_eq!(settings.server.data_dir, PathBuf::from("flag"));
    assert_eq!(settings.database_url(), "sqlite://own");
}

#[test]
fn the_archive_is_in_the_data_directory_unless_it_is_elsewhere() {
    let of = |text: &str| load_text(text).expect("valid").archive_dir();
    assert_eq!(of(""), PathBuf::from("data/archive"));
    assert_eq!(of("[server]\ndata_dir = \"/srv\""), PathBuf::from("/srv/archive"));
    assert_eq!(of("[archive]\ndirectory = \"\""), PathBuf::from("data/archive"));
    assert_eq!(of("[archive]\ndirectory = \"/mnt/a\""), PathBuf::from("/mnt/a"));
    let env = env(&[("RUNCAST__ARCHIVE__DIRECTORY", "/mnt/b")]);
    let settings = Settings::load(&Sources { env, ..Sources::default() }).expect("valid");
    assert_eq!(settings.archive_dir(), PathBuf::from("/mnt/b"));
}

#[test]
fn the_customary_variables_of_s3_count_less_than_our_own_and_more_than_the_file() {
    let (_folder, mut sources) = file(
        "[archive]\nbackend = \"s3\"\n[archive.s3]\nbucket = \"abc\"\nregion = \"file\"\nprefix = \"a/b\"\n",
    );
    sources.env = env(&[
        ("AWS_DEFAULT_REGION", "default"),
        ("AWS_REGION", "customary"),
        ("AWS_ENDPOINT_URL", "http://general"),
        ("AWS_ENDPOINT_URL_S3", "http://of-s3:9000"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("RUNCAST__ARCHIVE__S3__FORCE_PATH_STYLE", "true"),
    ]);
    let s3 = Settings::load(&sources).expect("valid").archive.s3;
    assert_eq!(s3.region.as_deref(), Some("customary"));
    assert_eq!(s3.endpoint.as_deref(), Some("http://of-s3:9000"));
    assert_eq!(s3.access_key_id.as_deref(), Some("key"));
    assert_eq!(s3.secret_access_key.as_ref().map(Secret::expose), Some("secret"));
    assert_eq!(s3.session_token.as_ref().map(Secret::expose), Some("session"));
    assert!(s3.force_path_style);
    assert_eq!(s3.key_prefix(), "a/b/");
    sources.env.extend(env(&[("RUNCAST__ARCHIVE__S3__REGION", "own")]));
    let s3 = Settings::load(&sources).expect("valid").archive.s3;
    assert_eq!(s3.region.as_deref(), Some("own"));
    // Who keeps recordings in a directory may have half a key in the environment.
    let env = env(&[("AWS_ACCESS_KEY_ID", "key")]);
    Settings::load(&Sources { env, ..Sources::default() }).expect("valid");
}

#[test]
fn segments_may_be_as_large_as_a_quarter_of_the_log_of_a_run() {
    let text = "[archive]\nsegment_bytes = 262144\n[log]\nmax_bytes_per_run = 1048576";
    let settings = load_text(text).expect("exactly a quarter");
    assert_eq!(settings.archive.segment_bytes * 4, settings.log.max_bytes_per_run);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_line() {
    let error = load_text("[log]\nsync_ms = = 1").expect_err("no TOML");
    assert!(error.to_string().contains("line 2"), "{error}");
    let missing = Sources { file: Some("/nowhere/at/all.toml".into()), ..Sources::default() };
    let error = Settings::load(&missing).expect_err("no file");
    assert!(error.to_string().contains("/nowhere/at/all.toml"), "{error}");
}

#[test]
fn secrets_are_not_printed() {
    let text = format!(
        "[auth]\nmode = \"token\"\nsigning_key = \"{}\"\n[database]\nurl = \"postgres://a:hunter2@h/d\"\n\
         [redis]\nurl = \"rediss://:hunter3@h:7000/2\"\n\
         [archive.s3]\naccess_key_id = \"a\"\nsecret_access_key = \"shh1\"\nsession_token = \"shh2\"\n\
         [[auth.tokens]]\nsha256 = \"{SHA}\"\ntenant = \"*\"\nscopes = [\"admin\"]\n",
        "k".repeat(32)
    );
    let settings = load_text(&text).expect("valid");
    let printed = format!("{}{settings:?}", settings.to_toml());
    for secret in [SHA, "kkkkkkkk", "hunter2", "hunter3", "shh1", "shh2"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(settings.to_toml().contains("signing_key = \"***\""), "{}", settings.to_toml());
    assert_eq!(settings.auth.signing_key.as_ref().map(|key| key.expose().len()), Some(32));
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let settings = load_text(&Settings::default().to_toml()).expect("valid");
    assert_eq!(settings, Settings::default());
}
