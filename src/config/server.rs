//! Where an instance listens, what it is called and where it keeps its data.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use runcast_actors::ids::InstanceId;
use serde::{Deserialize, Serialize};

use super::problems::{Rules, is_web_origin};

/// `server.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Under which address clients reach this instance, http or https; else what they asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// The directory of log, embedded database and identity; one instance a directory.
    pub data_dir: PathBuf,
    /// Which parts of the service run here.
    pub role: Role,
    /// The name of the instance in events and answers; else the id kept in `data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long running nodes may go on after the order to stop, in seconds, 1 to 86,400.
    pub drain_secs: u64,
    /// Pages of other origins that may use the API: `https://host[:port]`.
    pub cors_origins: Vec<String>,
    /// The certificate chain in PEM; with `tls_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The private key in PEM; with `tls_cert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7420)),
            public_url: None,
            data_dir: PathBuf::from("data"),
            role: Role::All,
            name: None,
            drain_secs: 30,
            cors_origins: Vec::new(),
            tls_cert: None,
            tls_key: None,
        }
    }
}

/// Which parts of the service an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It serves clients and runs nodes.
    All,
    /// It serves clients.
    Api,
    /// It runs nodes.
    Worker,
}

impl Role {
    /// The name as it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

impl ServerSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("server.drain_secs", self.drain_secs, 1, 86_400);
        if self.data_dir.as_os_str().is_empty() {
            rules.broken("server.data_dir", "is empty; allowed: the path of a directory");
        }
        if let Some(url) = &self.public_url
            && !is_web_url(url)
        {
            rules.broken(
                "server.public_url",
                format!("`{url}` is no web address; allowed: http://… or https://…"),
            );
        }
        if let Some(name) = &self.name
            && let Err(error) = name.parse::<InstanceId>()
        {
            rules.broken("server.name", format!("{error}; allowed: a name such as `node-1`"));
        }
        for origin in &self.cors_origins {
            if !is_web_origin(origin) {
                rules.broken(
                    "server.cors_origins",
                    format!("`{origin}` is no origin; allowed: https://host[:port], no path, no *"),
                );
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => rules.broken(
                "server.tls_cert",
                "stands without server.tls_key; allowed: both or neither",
            ),
            (None, Some(_)) => rules.broken(
                "server.tls_key",
                "stands without server.tls_cert; allowed: both or neither",
            ),
            _ => {}
        }
    }
}

fn is_web_url(url: &str) -> bool {
    reqwest::Url::parse(url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
