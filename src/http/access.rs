//! Who may do what. Every credential becomes a [`Caller`] here, and nowhere else.
//!
//! Static tokens are known by their SHA-256 and compared in constant time over all entries; signed tokens
//! (HS256) are what a backend hands to its browsers and what the session cookie holds.

mod caller;
mod signed;

use std::collections::BTreeSet;
use std::str::FromStr;

use rand::Rng as _;
use runcast_actors::ids::{InvalidName, RunId, TenantId};
use runcast_actors::moment::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

pub use caller::{Caller, SESSION_COOKIE};
pub(crate) use caller::{require_own_origin, session_cookie, shows_token, token_of};

use crate::http::error::{ApiError, ErrorCode};
use signed::Signer;

/// The longest life of a signed token, in seconds.
pub const MAX_TOKEN_TTL_SECS: u64 = 86_400;
/// The life of a session of the page, in seconds.
pub const SESSION_TTL_SECS: u64 = 43_200;

/// What a caller may do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Scope {
    #[serde(rename = "runs:read")]
    RunsRead,
    #[serde(rename = "runs:write")]
    RunsWrite,
    #[serde(rename = "terminals:read")]
    TerminalsRead,
    #[serde(rename = "terminals:write")]
    TerminalsWrite,
    #[serde(rename = "metrics")]
    Metrics,
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RunsRead,
        Self::RunsWrite,
        Self::TerminalsRead,
        Self::TerminalsWrite,
        Self::Metrics,
        Self::Admin,
    ];

    /// The name as it stands in tokens and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::TerminalsRead => "terminals:read",
            Self::TerminalsWrite => "terminals:write",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}

/// A text that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no scope; allowed: runs:read runs:write terminals:read terminals:write metrics admin"
)]
pub struct InvalidScope(String);

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| InvalidScope(text.chars().take(64).collect()))
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// They need not: everyone is the default tenant and may do everything. Only for loopback.
    None,
    /// By a token.
    Token,
}

/// Whose data a static token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenTenant {
    /// One tenant's.
    One(TenantId),
    /// The service's own: `*` in the configuration. Only such a token may have the scope `admin`;
    /// what it asks of runs it asks of the default tenant.
    Service,
}

impl FromStr for TokenTenant {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "*" {
            return Ok(Self::Service);
        }
        text.parse().map(Self::One)
    }
}

/// A static token of the configuration.
#[derive(Debug, Clone)]
pub struct TokenEntry {
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Whose data it opens.
    pub tenant: TokenTenant,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// Who uses it.
    pub user: Option<String>,
    /// Patterns of the projects whose interactive terminals it opens; none: all of the tenant.
    pub projects: Vec<String>,
}

/// What the configuration says of access.
#[derive(Clone)]
pub struct AccessSettings {
    /// How callers prove who they are.
    pub mode: AccessMode,
    /// The static tokens.
    pub tokens: Vec<TokenEntry>,
    /// Signs tokens. Empty: a random one, so signed tokens end with the process.
    pub signing_key: Vec<u8>,
    /// Origins (`https://host:port`) whose pages may call the service.
    pub cors_origins: Vec<String>,
    /// Where browsers reach the service, without a path; decides on `Secure` and the own origin.
    pub public_url: Option<String>,
}

/// Decides who a caller is.
pub struct Access {
    mode: AccessMode,
    tokens: Vec<TokenEntry>,
    signer: Signer,
    cors_origins: Vec<String>,
    public_origin: Option<String>,
}

impl Access {
    /// By these settings.
    pub fn new(settings: AccessSettings) -> Self {
        let key = if settings.signing_key.is_empty() {
            let mut random = [0_u8; 32];
            rand::rng().fill_bytes(&mut random);
            random.to_vec()
        } else {
            settings.signing_key
        };
        Self {
            mode: settings.mode,
            tokens: settings.tokens,
            signer: Signer::new(&key),
            cors_origins: settings.cors_origins.iter().map(|origin| origin_of(origin)).collect(),
            public_origin: settings.public_url.as_deref().map(origin_of),
        }
    }

    /// How callers prove who they are.
    pub fn mode(&self) -> AccessMode {
        self.mode
    }

    /// True if pages of any other origin may call the service.
    pub fn has_cors(&self) -> bool {
        !self.cors_origins.is_empty()
    }

    /// True if pages of this origin may call the service. WebSockets ask it too.
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.cors_origins.contains(&origin_of(origin))
    }

    /// True if a page of `origin` that talks to `host` is the service's own.
    pub fn is_own_origin(&self, origin: &str, host: Option<&str>) -> bool {
        let origin = origin_of(origin);
        if let Some(public) = &self.public_origin {
            return *public == origin;
        }
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host.map(str::to_ascii_lowercase).as_deref()
    }

    /// True if `host`, with or without a port, names this machine's loopback or stands in `public_url`.
    pub(crate) fn is_own_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let is_public = self.public_origin.as_deref().is_some_and(|origin| {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        });
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let ip = name.parse::<std::net::IpAddr>();
        let is_loopback = ip.is_ok_and(|ip| ip.to_canonical().is_loopback());
        is_public || is_loopback || name == "localhost" || name.ends_with(".localhost")
    }

    /// True if the cookie may only travel encrypted.
    pub(crate) fn wants_secure_cookie(&self) -> bool {
        self.public_origin.as_deref().is_some_and(|origin| origin.starts_with("https://"))
    }

    /// The caller behind a token, static or signed.
    pub fn authenticate(&self, token: &str) -> Result<Caller, ApiError> {
        if let Some(entry) = self.find_entry(token) {
            return Ok(Caller::of_entry(entry));
        }
        self.signer.verify(token).ok_or_else(|| {
            ApiError::new(ErrorCode::Unauthenticated, "the token is unknown or has expired")
        })
    }

    /// A token for less than the caller may do: `scopes` of its own, one run at most, and never beyond its expiry.
    pub fn narrow(
        &self,
        caller: &Caller,
        scopes: BTreeSet<Scope>,
        run: Option<RunId>,
        ttl_secs: u64,
    ) -> Result<SignedToken, ApiError> {
        if scopes.is_empty() {
            return Err(ApiError::invalid("scopes", "at least one scope is needed"));
        }
        if !(1..=MAX_TOKEN_TTL_SECS).contains(&ttl_secs) {
            let message = format!("{ttl_secs}; allowed: 1 to {MAX_TOKEN_TTL_SECS}");
            return Err(ApiError::invalid("ttlSecs", message));
        }
        for scope in &scopes {
            caller.require(*scope)?;
        }
        let run = match (&caller.run, run) {
            (Some(own), Some(asked)) if *own != asked => {
                let message = format!("the caller's token is for run `{own}` only");
                return Err(ApiError::new(ErrorCode::Forbidden, message));
            }
            (own, asked) => asked.or_else(|| own.clone()),
        };
        self.signer.sign(Caller { scopes, run, ..caller.clone() }, ttl_secs)
    }

    /// A token with all rights of the caller, for the cookie of the page.
    pub(crate) fn open_session(&self, caller: &Caller) -> Result<SignedToken, ApiError> {
        self.signer.sign(caller.clone(), SESSION_TTL_SECS)
    }

    // Every entry is compared, so that the time tells neither whether nor which one fits.
    fn find_entry(&self, token: &str) -> Option<&TokenEntry> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = u64::MAX;
        for (place, entry) in (0_u64..).zip(&self.tokens) {
            let is_same = entry.sha256.ct_eq(&digest);
            found = u64::conditional_select(&found, &place, is_same);
        }
        usize::try_from(found).ok().and_then(|place| self.tokens.get(place))
    }
}

/// A token that was signed.
#[derive(Debug, Clone)]
pub struct SignedToken {
    /// The token.
    pub token: String,
    /// Whom it makes of its bearer.
    pub caller: Caller,
    /// Until when.
    pub expires_at: Timestamp,
}

/// An origin as browsers write it: lower case, without a path or a port that goes without saying.
fn origin_of(url: &str) -> String {
    let lower = url.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else { return lower };
    let authority = rest.split('/').next().unwrap_or_default();
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    format!("{scheme}://{authority}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(tokens: Vec<TokenEntry>, public_url: Option<&str>) -> Access {
        Access::new(AccessSettings {
            mode: AccessMode::Token,
            tokens,
            signing_key: b"0123456789abcdef0123456789abcdef".to_vec(),
            cors_origins: vec!["https://Page.example:443/".into()],
            public_url: public_url.map(str::to_owned),
        })
    }

    fn entry(token: &str, tenant: &str, scopes: &[Scope]) -> TokenEntry {
        TokenEntry {
            sha256: Sha256::digest(token).into(),
            tenant: tenant.parse().expect("valid"),
            scopes: scopes.iter().copied().collect(),
            user: Some("ann".into()),
            projects: Vec::new(),
        }
    }

    fn run(text: &str) -> RunId {
        text.parse().expect("valid")
    }

    #[test]
    fn only_listed_tokens_open_and_each_its_own_tenant() {
        let read = [Scope::RunsRead];
        let access = access(vec![entry("one", "a", &read), entry("two", "b", &read)], None);
        for (token, tenant) in [("one", "a"), ("two", "b")] {
            let caller = access.authenticate(token).expect("listed");
            assert_eq!(caller.tenant.as_str(), tenant);
            assert!(caller.require(Scope::RunsRead).is_ok());
            let refused = caller.require(Scope::RunsWrite).expect_err("not among its scopes");
            assert_eq!(refused.code(), ErrorCode::Forbidden);
        }
        for token in ["", "One", "one ", "three", "a.b.c"] {
            let refused = access.authenticate(token).expect_err(token);
            assert_eq!(refused.code(), ErrorCode::Unauthenticated);
        }
    }

    #[test]
    fn admin_belongs_to_the_service_alone() {
        let tokens = vec![entry("one", "a", &Scope::ALL), entry("all", "*", &Scope::ALL)];
        let access = access(tokens, None);
        let tenant = access.authenticate("one").expect("listed");
        assert!(tenant.require(Scope::Admin).is_err());
        assert!(access.narrow(&tenant, [Scope::Admin].into(), None, 60).is_err());
        let service = access.authenticate("all").expect("listed");
        assert!(service.require(Scope::Admin).is_ok());
        let narrowed = access.narrow(&service, [Scope::Admin].into(), None, 60).expect("narrower");
        let again = access.authenticate(&narrowed.token).expect("signed");
        assert!(again.require(Scope::Admin).is_ok());
    }

    #[test]
    fn a_narrowed_token_is_never_wider() {
        let access = access(vec![entry("one", "a", &[Scope::RunsRead, Scope::RunsWrite])], None);
        let caller = access.authenticate("one").expect("listed");
        let read: BTreeSet<Scope> = [Scope::RunsRead].into();
        let token = access.narrow(&caller, read.clone(), Some(run("r1")), 60).expect("narrower");
        let narrow = access.authenticate(&token.token).expect("signed");
        assert_eq!((narrow.tenant.as_str(), &narrow.scopes), ("a", &read));
        assert_eq!(narrow.run_key(run("r1")).expect("its run").run, run("r1"));
        let other = narrow.run_key(run("r2")).expect_err("another run");
        assert_eq!(other.code(), ErrorCode::NotFound);

        let wider = access.narrow(&narrow, [Scope::RunsWrite].into(), None, 60);
        assert_eq!(wider.expect_err("not its scope").code(), ErrorCode::Forbidden);
        let elsewhere = access.narrow(&narrow, read.clone(), Some(run("r2")), 60);
        assert_eq!(elsewhere.expect_err("not its run").code(), ErrorCode::Forbidden);
        let longer = access.narrow(&narrow, read.clone(), None, 86_400).expect("clamped");
        assert_eq!(Some(longer.expires_at), narrow.expires_at);
        assert_eq!(longer.caller.run, Some(run("r1")));
        for ttl_secs in [0, MAX_TOKEN_TTL_SECS + 1] {
            assert!(access.narrow(&caller, read.clone(), None, ttl_secs).is_err());
        }
        assert!(access.narrow(&caller, BTreeSet::new(), None, 60).is_err());
    }

    #[test]
    fn without_authentication_only_loopback_and_the_public_name_are_own_hosts() {
        let plain = access(Vec::new(), None);
        for own in ["localhost", "LOCALHOST:7420", "127.0.0.1:1", "127.9.9.9", "[::1]:7420"] {
            assert!(plain.is_own_host(own), "{own}");
        }
        for other in ["evil.example:7420", "127.0.0.1.evil.example", "10.0.0.1", ""] {
            assert!(!plain.is_own_host(other), "{other}");
        }
        let public = access(Vec::new(), Some("https://runs.example/"));
        assert!(public.is_own_host("runs.example") && !public.is_own_host("runs.example.org"));
    }

    #[test]
    fn own_and_allowed_origins_are_exact() {
        let plain = access(Vec::new(), None);
        assert!(plain.allows_origin("https://page.example"));
        for other in ["http://page.example", "https://page.example.org", "null", "https://x"] {
            assert!(!plain.allows_origin(other), "{other}");
        }
        assert!(plain.is_own_origin("http://127.0.0.1:7420", Some("127.0.0.1:7420")));
        for (origin, host) in [
            ("http://evil.example", Some("127.0.0.1:7420")),
            ("null", Some("127.0.0.1:7420")),
            ("null", None),
        ] {
            assert!(!plain.is_own_origin(origin, host), "{origin}");
        }
        let public = access(Vec::new(), Some("https://runs.example/"));
        assert!(public.is_own_origin("https://runs.example", None));
        assert!(!public.is_own_origin("http://runs.example", Some("runs.example")));
        assert!(public.wants_secure_cookie() && !plain.wants_secure_cookie());
    }
}
