//! Where runs and recordings are listed.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::problems::Rules;

/// `database.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `sqlite://FILE` or `postgres://…`; else `runcast.db` in `server.data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<DatabaseUrl>,
    /// Connections, 3 to 1,000; on PostgreSQL two of them are for the renewal of leases alone.
    pub max_connections: u32,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { url: None, max_connections: 10 }
    }
}

impl DatabaseSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("database.max_connections", u64::from(self.max_connections), 3, 1000);
        let Some(url) = &self.url else { return };
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if !known.iter().any(|scheme| url.expose().starts_with(scheme)) {
            rules.broken(
                "database.url",
                format!("`{url}` is no database known here; allowed: sqlite://FILE, postgres://…"),
            );
        }
    }
}

/// The address of a database; it prints without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The address with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(mut url) = reqwest::Url::parse(&self.0) {
            if url.cannot_be_a_base() && self.0.contains('@') {
                return formatter.write_str("***");
            }
            let has_password = url.password().is_some();
            if has_password && url.set_password(Some("***")).is_err() {
                return formatter.write_str("***");
            }
            // A password may also stand in the query, which nothing here needs to show.
            if url.query().is_some_and(|query| query.contains("password")) {
                url.set_query(Some("***"));
            }
            return formatter.write_str(url.as_str());
        }
        match self.0.split_once(':') {
            Some((scheme, _)) if !self.0.contains('@') && scheme.len() < 16 => {
                formatter.write_str(&self.0)
            }
            _ => formatter.write_str("***"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        for (url, shown) in [
            ("postgres://me:hunter2@db/x", "postgres://me:***@db/x"),
            ("postgres://db/x?user=me&password=hunter2", "postgres://db/x?***"),
            ("sqlite:///var/lib/runcast.db", "sqlite:///var/lib/runcast.db"),
            ("me:hunter2@db", "***"),
        ] {
            let url = DatabaseUrl(url.to_owned());
            let printed = format!("{url} {url:?}");
            assert!(!printed.contains("hunter2"), "{printed}");
            assert!(printed.contains(shown), "{printed}");
        }
    }
}
