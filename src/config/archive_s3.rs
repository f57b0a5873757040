//! The object store that keeps recordings.

use serde::{Deserialize, Serialize};

use super::Secret;
use super::problems::{Rules, is_web_origin};

/// `archive.s3.*`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// The bucket, which must exist. Needed with the backend `s3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// `http(s)://HOST[:PORT]` of the store, unless it is Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region; else that of the machine, or `us-east-1` where there is an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// True if the bucket stands in the path of the address and not in the name of the host.
    pub force_path_style: bool,
    /// What all keys begin with: components of `[A-Za-z0-9._-]` joined by `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The public half of the service's key; else profile, web identity, container or machine say who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// The secret half of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// What belongs to the key, if it is temporary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
}

impl S3Settings {
    /// What stands before every key: empty, or it ends with `/`.
    pub fn key_prefix(&self) -> String {
        match self.prefix.as_deref().map(|prefix| prefix.trim_end_matches('/')) {
            None | Some("") => String::new(),
            Some(prefix) => format!("{prefix}/"),
        }
    }

    pub(super) fn check(&self, rules: &mut Rules) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match &self.bucket {
            None => rules.broken(
                "archive.backend",
                "`s3` has no bucket; allowed: with archive.s3.bucket, or directory",
            ),
            Some(bucket) if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(is_plain) => {
                rules.broken(
                    "archive.s3.bucket",
                    format!(
                        "`{bucket}` is no bucket; allowed: 3 to 255 characters of A-Za-z0-9._-"
                    ),
                );
            }
            Some(_) => {}
        }
        if let Some(endpoint) = &self.endpoint
            && !is_web_origin(endpoint.trim_end_matches('/'))
        {
            rules.broken(
                "archive.s3.endpoint",
                format!(
                    "`{endpoint}` is no address; allowed: http://host[:port], https://host[:port]"
                ),
            );
        }
        if let Some(region) = &self.region
            && (region.is_empty() || !region.bytes().all(is_plain))
        {
            rules.broken(
                "archive.s3.region",
                format!("`{region}` is no region; allowed: a name such as eu-central-1"),
            );
        }
        let is_part = |part: &str| !["", ".", ".."].contains(&part) && part.bytes().all(is_plain);
        let prefix = self.key_prefix();
        if !prefix.is_empty() && !prefix.trim_end_matches('/').split('/').all(is_part) {
            rules.broken(
                "archive.s3.prefix",
                format!("`{prefix}` is no prefix; allowed: components of A-Za-z0-9._- joined by /"),
            );
        }
        self.check_key(rules);
    }

    fn check_key(&self, rules: &mut Rules) {
        let half = match (&self.access_key_id, &self.secret_access_key) {
            (Some(_), None) => Some("access_key_id"),
            (None, Some(_)) => Some("secret_access_key"),
            _ => None,
        };
        if let Some(half) = half {
            rules.broken(
                format!("archive.s3.{half}"),
                "it is half a key; allowed: access_key_id and secret_access_key, both or neither",
            );
        }
        if half.is_none() && self.access_key_id.is_none() && self.session_token.is_some() {
            rules.broken(
                "archive.s3.session_token",
                "it belongs to a key; allowed: only with access_key_id and secret_access_key",
            );
        }
    }
}
