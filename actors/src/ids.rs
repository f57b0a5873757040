//! Names and positions: who a run is, and where in its log something stands.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name that is not allowed, with the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{value}` is not allowed: {rule}")]
pub struct InvalidName {
    kind: &'static str,
    value: String,
    rule: &'static str,
}

impl InvalidName {
    pub(crate) fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        Self { kind, value: value.chars().take(200).collect(), rule }
    }
}

const NAME_RULE: &str = "1 to 128 characters of A-Z a-z 0-9 . _ -, the first a letter or digit";
const TENANT_RULE: &str = "1 to 63 characters of a-z 0-9 -, the first a letter or digit";

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=128).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_tenant(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0] != b'-'
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path, $rule:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) {
                    return Ok(Self(Arc::from(text)));
                }
                Err(InvalidName::new($kind, text, $rule))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The slug of a tenant: `^[a-z0-9][a-z0-9-]{0,62}$`.
    TenantId, "tenant", is_tenant, TENANT_RULE
);
name!(
    /// The id of a run, unique in its tenant: `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`.
    RunId, "runId", is_name, NAME_RULE
);
name!(
    /// The name of a node in its run: `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`.
    NodeRef, "nodeRef", is_name, NAME_RULE
);
name!(
    /// What interactive terminals belong to: `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`.
    ProjectId, "projectId", is_name, NAME_RULE
);
name!(
    /// The id of an instance: of its data directory, so it survives a restart.
    InstanceId, "instance", is_name, NAME_RULE
);

impl TenantId {
    /// The tenant of a service without authentication.
    pub fn default_tenant() -> Self {
        Self(Arc::from("default"))
    }
}

impl RunId {
    /// A new id that sorts by its time of creation.
    pub fn generate() -> Self {
        Self(Arc::from(format!("run-{}", uuid::Uuid::now_v7()).as_str()))
    }
}

/// A run in the whole service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// Whose run it is.
    pub tenant: TenantId,
    /// Its id in the tenant.
    pub run: RunId,
}

impl fmt::Display for RunKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.tenant, self.run)
    }
}

impl FromStr for RunKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (tenant, run) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { tenant: tenant.parse()?, run: run.parse()? })
    }
}

/// The number by which a run is placed on a thread.
pub fn hash_of(run: &RunKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    hasher.finish()
}

/// How often the run has changed hands; the database raises it at each takeover. The first claim is 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The highest epoch whose `seq` stays below 2⁵³.
    pub const MAX: Self = Self((1 << 21) - 1);

    /// The epoch of the next owner.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The place of an entry in its run: `epoch · 2³² + n`, n = 1, 2, 3 … without holes inside an epoch.
/// As a cursor it means "everything up to here is known"; 0 is before the first entry.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The cursor of one who knows nothing.
    pub const START: Self = Self(0);
    /// The highest value a client may send: 2⁵³ − 1, the largest integer every JSON reader keeps exactly.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The `number`th entry (from 1) of an epoch; number 0 is the cursor before the first.
    pub fn new(epoch: Epoch, number: u32) -> Self {
        Self((u64::from(epoch.0) << 32) | u64::from(number))
    }

    /// The epoch in which the entry was numbered.
    pub fn epoch(self) -> Epoch {
        Epoch(u32::try_from(self.0 >> 32).unwrap_or(u32::MAX))
    }

    /// The place within its epoch, from 1.
    pub fn number(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// The following place in the same epoch.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// True if it may stand right after `before` in a log: the next of its epoch, or the first of a later one.
    pub fn follows(self, before: Self) -> bool {
        if self.epoch() == before.epoch() {
            return self == before.next();
        }
        self.epoch() > before.epoch() && self.number() == 1
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The place of a chunk in its stream, dense from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChunkIndex(pub u64);

impl ChunkIndex {
    /// The following place.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ChunkIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// The merged output of a terminal.
    Pty,
    /// Standard output of a node without a terminal.
    Stdout,
    /// Standard error of a node without a terminal.
    Stderr,
}

impl StreamName {
    /// The name as it stands in events and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pty => "pty",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for StreamName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text {
            "pty" => Ok(Self::Pty),
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            other => Err(InvalidName {
                kind: "stream",
                value: other.chars().take(200).collect(),
                rule: "one of pty, stdout, stderr",
            }),
        }
    }
}

/// One stream of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// The node.
    pub node_ref: NodeRef,
    /// Its stream.
    pub stream: StreamName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        for good in ["a", "A9", "nightly-42", "a.b_c-d", &"x".repeat(128)] {
            assert!(good.parse::<RunId>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
        assert!("team-1".parse::<TenantId>().is_ok());
        for bad in ["", "-a", "A", "a_b", &"x".repeat(64)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn seq_carries_its_epoch() {
        let seq = Seq::new(Epoch(3), 7);
        assert_eq!((seq.epoch(), seq.number()), (Epoch(3), 7));
        assert!(seq > Seq::new(Epoch(2), u32::MAX));
        assert!(Seq::new(Epoch::MAX, u32::MAX) <= Seq::MAX);
        assert_eq!(seq.next().number(), 8);
    }
}
