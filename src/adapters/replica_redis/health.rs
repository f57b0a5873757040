//! Whether the server answers, and whether its configuration may lose what it holds.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Pipeline, Value};
use runcast_actors::ports::LogError;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::condition::Condition;
use super::connections::Connections;
use super::meta::text;

/// How often the server is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How often its configuration is looked at.
const INSPECT_EVERY: Duration = Duration::from_secs(60);

/// Watches the server, for ever.
pub(super) async fn watch(connections: Arc<Connections>, condition: Arc<Condition>) {
    let mut pinging = interval(PING_EVERY);
    pinging.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut inspected: Option<Instant> = None;
    loop {
        pinging.tick().await;
        let mut ping = Pipeline::with_capacity(1);
        ping.cmd("PING");
        if connections.read(&ping).await.is_err() {
            // When it is back it may be another one.
            inspected = None;
            continue;
        }
        if inspected.is_none_or(|inspected| inspected.elapsed() >= INSPECT_EVERY)
            && let Ok(inspected_now) = inspect(&connections).await
        {
            let Inspected { warning, has_room } = inspected_now;
            condition.set_warning(warning);
            if has_room {
                condition.set_full(false);
            }
            inspected = Some(Instant::now());
        }
    }
}

/// What a look at the server told; nothing if it does not let us look.
struct Inspected {
    /// What may be lost.
    warning: Option<String>,
    /// Its memory is not used up.
    has_room: bool,
}

async fn inspect(connections: &Connections) -> Result<Inspected, LogError> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("INFO").arg("memory");
    pipeline.cmd("INFO").arg("persistence");
    pipeline.cmd("CONFIG").arg("GET").arg("save");
    let answers = connections.read(&pipeline).await?;
    let mut told = answers.iter();
    let mut info = || told.next().and_then(|answer| text(answer).ok()).unwrap_or_default();
    let (memory, persistence) = (info(), info());
    Ok(Inspected {
        warning: warning(memory, persistence, answers.get(2).and_then(saves)),
        has_room: has_room(memory),
    })
}

/// True if it says so; `maxmemory` 0 has no limit.
fn has_room(memory: &str) -> bool {
    let bytes = |name| value_of(memory, name)?.parse::<u64>().ok();
    let (used, most) = (bytes("used_memory"), bytes("maxmemory"));
    used.zip(most).is_some_and(|(used, most)| most == 0 || used < most)
}

/// Whether snapshots are written; none if that is not told.
fn saves(answer: &Value) -> Option<bool> {
    let Value::Array(words) = answer else { return None };
    let rule = text(words.get(1)?).ok()?;
    Some(!rule.is_empty())
}

fn warning(memory: &str, persistence: &str, saves: Option<bool>) -> Option<String> {
    let policy = value_of(memory, "maxmemory_policy");
    if let Some(policy) = policy.filter(|policy| *policy != "noeviction") {
        return Some(format!(
            "maxmemory-policy is {policy}; noeviction keeps what is not recorded"
        ));
    }
    let has_aof = value_of(persistence, "aof_enabled")? == "1";
    (!has_aof && saves == Some(false))
        .then(|| "it has no persistence: appendonly is no and save is empty".to_owned())
}

/// The value of a line `name:value`.
fn value_of<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_warned_of() {
        let memory = "# Memory\r\nmaxmemory_policy:allkeys-lru\r\n";
        let told = warning(memory, "", None).expect("a warning");
        assert!(told.contains("allkeys-lru") && told.contains("noeviction"), "{told}");
        let memory = "maxmemory_policy:noeviction\r\n";
        let (with_aof, without) = ("aof_enabled:1\r\n", "aof_enabled:0\r\n");
        assert_eq!(warning(memory, with_aof, Some(false)), None);
        assert_eq!(warning(memory, without, Some(true)), None);
        assert!(warning(memory, without, Some(false)).is_some_and(|told| told.contains("persist")));
        assert_eq!(warning(memory, without, None), None, "it does not let us look");
        assert_eq!(warning("", "", None), None);
        assert!(
            has_room("used_memory:9\r\nmaxmemory:0\r\n")
                && has_room("used_memory:9\r\nmaxmemory:10")
        );
        assert!(!has_room("used_memory:10\r\nmaxmemory:10\r\n") && !has_room("maxmemory:10"));
    }
}
