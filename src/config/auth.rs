//! Who may do what.

use runcast_actors::ids::TenantId;
use serde::{Deserialize, Serialize};

use super::Secret;
use super::problems::Rules;
use crate::http::access::Scope;

const MIN_SIGNING_KEY_BYTES: usize = 32;
const SCOPES: &str = "runs:read, runs:write, terminals:read, terminals:write, metrics, admin";

/// `auth.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// How callers are told apart.
    pub mode: AuthMode,
    /// What signs narrowed tokens, at least 32 bytes; else one is made and kept in `data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<Secret>,
    /// The tokens of the mode `token`.
    pub tokens: Vec<AuthToken>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self { mode: AuthMode::None, signing_key: None, tokens: Vec::new() }
    }
}

/// How callers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Not at all; only on loopback.
    None,
    /// By the tokens of the configuration.
    Token,
}

/// One entry of `auth.tokens`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthToken {
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub sha256: Secret,
    /// The tenant whose runs it reaches; `*` for the service itself, with the scope `admin`.
    pub tenant: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The user it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Patterns of the projects it reaches; none: all of its tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<String>,
}

impl AuthSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        if let Some(key) = &self.signing_key
            && key.expose().len() < MIN_SIGNING_KEY_BYTES
        {
            let length = key.expose().len();
            rules.broken(
                "auth.signing_key",
                format!("has {length} bytes; allowed: at least {MIN_SIGNING_KEY_BYTES}"),
            );
        }
        if self.mode == AuthMode::Token && self.tokens.is_empty() {
            rules.broken(
                "auth.mode",
                "`token` without a token lets nobody in; allowed: none, or token with auth.tokens",
            );
        }
        for (index, token) in self.tokens.iter().enumerate() {
            token.check(index, rules);
        }
    }
}

impl AuthToken {
    fn check(&self, index: usize, rules: &mut Rules) {
        let key = |name: &str| format!("auth.tokens[{index}].{name}");
        let digest = self.sha256.expose();
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = "is no SHA-256; allowed: 64 hexadecimal digits \
                           (`printf %s TOKEN | sha256sum`)";
            rules.broken(key("sha256"), message);
        }
        let is_admin = self.scopes.iter().any(|scope| scope == Scope::Admin.as_str());
        if self.tenant == "*" && !is_admin {
            rules.broken(
                key("tenant"),
                "`*` needs the scope admin; allowed: the slug of a tenant, or * with admin",
            );
        }
        if self.tenant != "*" && is_admin {
            let message = format!(
                "admin is a scope of the whole service, not of tenant `{}`; \
                 allowed: admin with tenant = \"*\"",
                self.tenant
            );
            rules.broken(key("scopes"), message);
        }
        if self.tenant != "*"
            && let Err(error) = self.tenant.parse::<TenantId>()
        {
            rules.broken(key("tenant"), format!("{error}; allowed: such a slug, or * with admin"));
        }
        if self.scopes.is_empty() {
            rules.broken(key("scopes"), format!("is empty; allowed: {SCOPES}"));
        }
        for scope in self.scopes.iter().filter(|scope| scope.parse::<Scope>().is_err()) {
            rules.broken(key("scopes"), format!("`{scope}` is no scope; allowed: {SCOPES}"));
        }
    }
}
