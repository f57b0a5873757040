//! What the configuration means to each part.

use std::time::Duration;

use anyhow::Context as _;
use runcast_actors::roles::memory_governor::MemoryLimits;
use runcast_actors::roles::node::CaptureSettings;
use runcast_actors::roles::reaper::Retention;
use runcast_actors::roles::session_manager::{Profile, SessionLimits, SessionSettings};
use runcast_actors::sessions::{Redaction, RingLimits};

use crate::adapters::log_fjall::FjallLogSettings;
use crate::adapters::objects_s3::{S3Credentials, S3Settings};
use crate::adapters::store_sql::SqlStoreSettings;
use crate::adapters::terminal_host_local::login_shell;
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::http::access::{Access, AccessMode, AccessSettings, TokenEntry};

/// How long a connection of the database is waited for.
const DATABASE_ACQUIRE: Duration = Duration::from_secs(5);
/// How long one statement may take.
const DATABASE_STATEMENT: Duration = Duration::from_secs(10);

pub(super) fn store_settings(settings: &Settings) -> SqlStoreSettings {
    SqlStoreSettings {
        url: settings.database_url(),
        max_connections: settings.database.max_connections,
        acquire_timeout: DATABASE_ACQUIRE,
        statement_timeout: DATABASE_STATEMENT,
    }
}

pub(super) fn s3_settings(settings: &crate::config::S3Settings) -> anyhow::Result<S3Settings> {
    let credentials = match (&settings.access_key_id, &settings.secret_access_key) {
        (Some(id), Some(secret)) => Some(S3Credentials {
            access_key_id: id.clone(),
            secret_access_key: secret.expose().to_owned(),
            session_token: settings.session_token.as_ref().map(|token| token.expose().to_owned()),
        }),
        _ => None,
    };
    Ok(S3Settings {
        bucket: settings.bucket.clone().context("archive.s3.bucket is missing")?,
        endpoint: settings.endpoint.clone(),
        region: settings.region.clone(),
        force_path_style: settings.force_path_style,
        prefix: settings.key_prefix(),
        credentials,
    })
}

pub(super) fn log_settings(settings: &Settings) -> anyhow::Result<FjallLogSettings> {
    Ok(FjallLogSettings {
        directory: settings.log_dir(),
        tail_bytes: bytes(settings.log.tail_bytes)?,
        sync_ms: settings.log.sync_ms,
        min_free_bytes: settings.log.min_free_bytes,
    })
}

pub(super) fn retention(settings: &Settings) -> Retention {
    const DAY: u64 = 24 * 60 * 60;
    let days = |days: u64| (days > 0).then(|| Duration::from_secs(days * DAY));
    Retention {
        hot_min: Duration::from_secs(settings.retention.hot_min_secs),
        superseded: Duration::from_secs(settings.archive.delete_after_secs),
        recordings: days(settings.retention.recordings_days),
        work: days(settings.retention.work_days),
    }
}

pub(super) fn capture_settings(settings: &Settings) -> anyhow::Result<CaptureSettings> {
    Ok(CaptureSettings {
        in_flight_bytes: bytes(settings.capture.in_flight_bytes)?,
        max_chunk_bytes: bytes(settings.capture.max_chunk_bytes)?,
        flush_after: Duration::from_millis(settings.capture.flush_ms),
        drain: Duration::from_millis(settings.runners.local.drain_ms),
        kill_grace: Duration::from_secs(settings.runners.local.kill_grace_secs),
    })
}

pub(super) fn session_settings(settings: &Settings) -> anyhow::Result<SessionSettings> {
    const ABSENT_LEASES: u32 = 3;
    let sessions = &settings.sessions;
    let login_shell = || vec![login_shell(), "-l".to_owned()];
    let profiles = sessions.profiles.iter().map(|(name, profile)| {
        let command =
            if profile.command.is_empty() { login_shell() } else { profile.command.clone() };
        let (env, directory) = (profile.env.clone(), profile.directory.clone());
        (name.clone(), Profile { command, env, directory, record: profile.record })
    });
    Ok(SessionSettings {
        limits: SessionLimits {
            max_per_project: sessions.max_per_project as usize,
            max_per_user: sessions.max_per_user as usize,
            max_total: sessions.max_total as usize,
        },
        ring: RingLimits {
            max_bytes: bytes(sessions.buffer_bytes)?,
            max_lines: bytes(sessions.buffer_lines)?,
        },
        inactive_after: Duration::from_secs(sessions.inactive_after_secs),
        idle_timeout: Duration::from_secs(sessions.idle_timeout_secs),
        keep: Duration::from_secs(sessions.keep_secs),
        absent_for: Duration::from_secs(settings.lease.ttl_secs) * ABSENT_LEASES,
        kill_grace: Duration::from_secs(settings.runners.local.kill_grace_secs),
        size: settings.terminal.view().size(),
        roots: sessions.roots.clone(),
        redaction: Redaction::new(&sessions.redact_patterns)?,
        profiles: profiles.collect(),
    })
}

pub(super) fn access(settings: &Settings, data_dir: &DataDir) -> anyhow::Result<Access> {
    let auth = &settings.auth;
    let tokens = auth
        .tokens
        .iter()
        .map(|token| {
            Ok(TokenEntry {
                sha256: decode_sha256(token.sha256.expose())?,
                tenant: token.tenant.parse()?,
                scopes: token.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?,
                user: token.user.clone(),
                projects: token.projects.clone(),
            })
        })
        .collect::<anyhow::Result<Vec<TokenEntry>>>()?;
    let signing_key = match &auth.signing_key {
        Some(key) => key.expose().as_bytes().to_vec(),
        None => data_dir.signing_key()?,
    };
    Ok(Access::new(AccessSettings {
        mode: match auth.mode {
            crate::config::AuthMode::None => AccessMode::None,
            crate::config::AuthMode::Token => AccessMode::Token,
        },
        tokens,
        signing_key,
        cors_origins: settings.server.cors_origins.clone(),
        public_url: settings.server.public_url.clone(),
    }))
}

fn decode_sha256(hex: &str) -> anyhow::Result<[u8; 32]> {
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().enumerate() {
        let pair = hex.get(place * 2..place * 2 + 2).context("a SHA-256 has 64 digits")?;
        *byte = u8::from_str_radix(pair, 16).context("a SHA-256 is hexadecimal")?;
    }
    Ok(digest)
}

pub(super) fn bytes(count: u64) -> anyhow::Result<usize> {
    usize::try_from(count).context("a size does not fit this machine")
}

pub(super) fn memory_limits(settings: &Settings) -> MemoryLimits {
    let memory = &settings.memory;
    MemoryLimits {
        soft_bytes: memory.soft_limit_bytes,
        hard_bytes: memory.hard_limit_bytes,
        check_every: Duration::from_secs(memory.check_interval_secs),
    }
}
