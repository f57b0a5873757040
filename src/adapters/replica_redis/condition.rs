//! Whether the server can be reached, and when to try again if not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};
use rand::RngExt as _;
use runcast_actors::ports::{LogError, ReplicaHealth};

/// The first wait after a failure; it doubles …
const RETRY: Duration = Duration::from_millis(50);
/// … up to this. Half of each wait is chance, so that instances do not return together.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How much of what the server says is told on.
const MAX_REASON_CHARS: usize = 200;

/// What is known of the server. One for all connections of the process.
#[derive(Debug, Default)]
pub(super) struct Condition {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    failure: Option<Failure>,
    /// The last batch was refused because the memory of the server is used up.
    is_full: bool,
    /// What its configuration may lose.
    warning: Option<String>,
}

#[derive(Debug)]
struct Failure {
    reason: String,
    count: u32,
    retry_at: Instant,
    /// Somebody tries again for all others.
    is_tried: bool,
}

impl Condition {
    /// Refuses at once while the next try is not due; so nobody waits for a server that is away, and it is
    /// not stormed when it returns.
    pub(super) fn admit(&self) -> Result<(), LogError> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Result<(), LogError> {
        let mut inner = self.lock();
        let Some(failure) = &mut inner.failure else { return Ok(()) };
        if now < failure.retry_at {
            return Err(LogError::Unavailable(failure.reason.clone()));
        }
        // This caller tries for all others.
        failure.retry_at = now + wait(failure.count);
        failure.is_tried = true;
        Ok(())
    }

    /// The server has answered.
    pub(super) fn reached(&self) {
        if self.lock().failure.take().is_some() {
            tracing::info!("the replica is back");
        }
    }

    /// The call has failed; gives what to tell the caller.
    pub(super) fn failed(&self, error: &RedisError) -> LogError {
        self.away(describe(error))
    }

    /// The server cannot be used, for a reason without secrets.
    pub(super) fn away(&self, reason: String) -> LogError {
        self.away_at(reason, Instant::now())
    }

    fn away_at(&self, reason: String, now: Instant) -> LogError {
        let mut inner = self.lock();
        let count = match &inner.failure {
            // Calls that were under way when it went say nothing new.
            Some(failure) if !failure.is_tried => return LogError::Unavailable(reason),
            Some(failure) => failure.count.saturating_add(1),
            None => {
                tracing::warn!(%reason, "the replica is away");
                1
            }
        };
        let retry_at = now + wait(count);
        inner.failure = Some(Failure { reason: reason.clone(), count, retry_at, is_tried: false });
        LogError::Unavailable(reason)
    }

    pub(super) fn set_full(&self, is_full: bool) {
        let mut inner = self.lock();
        if inner.is_full != is_full {
            tracing::warn!(is_full, "the memory of the replica");
            inner.is_full = is_full;
        }
    }

    pub(super) fn set_warning(&self, warning: Option<String>) {
        let mut inner = self.lock();
        if inner.warning == warning {
            return;
        }
        if let Some(warning) = &warning {
            tracing::warn!(%warning, "the configuration of the replica");
        }
        inner.warning = warning;
    }

    pub(super) fn health(&self) -> ReplicaHealth {
        let inner = self.lock();
        if let Some(failure) = &inner.failure {
            return ReplicaHealth::Down(failure.reason.clone());
        }
        if inner.is_full {
            return ReplicaHealth::Degraded("its memory is used up".to_owned());
        }
        inner.warning.clone().map_or(ReplicaHealth::Up, ReplicaHealth::Degraded)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait after this many failures in a row.
pub(super) fn wait(count: u32) -> Duration {
    let longest =
        RETRY.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1))).min(RETRY_MAX);
    longest.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// True if the connection or the server is of no use: not a refusal of this one call.
pub(super) fn is_away(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
        ),
        ErrorKind::Extension => {
            matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOREPLICAS" | "MISCONF"))
        }
        _ => true,
    }
}

/// True if the memory of the server is used up.
pub(super) fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM") || error.detail().is_some_and(|detail| detail.contains("OOM"))
}

/// The error for people. What servers and connections say holds neither passwords nor output.
pub(super) fn describe(error: &RedisError) -> String {
    error.to_string().chars().take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_for_all_and_waits_grow() {
        let condition = Condition::default();
        let mut now = Instant::now();
        let is_refused = |now| condition.admit_at(now).is_err();
        assert!(!is_refused(now), "nothing is known yet");
        for _ in 0..1000 {
            condition.away_at("gone".to_owned(), now);
        }
        assert_eq!(condition.health(), ReplicaHealth::Down("gone".to_owned()));
        assert!(is_refused(now));
        now += RETRY;
        assert!(!is_refused(now), "a thousand calls that fail at once are one failure");
        assert!(is_refused(now), "one tries for all");
        for _ in 0..20 {
            condition.away_at("gone".to_owned(), now);
            assert!(is_refused(now));
            now += RETRY_MAX;
            assert!(!is_refused(now), "no wait is longer");
        }
        condition.away_at("gone".to_owned(), now);
        assert!(is_refused(now + RETRY_MAX / 3), "but in the end they are long");
        condition.reached();
        assert!(!is_refused(now));
        assert_eq!(condition.health(), ReplicaHealth::Up);
    }
}
