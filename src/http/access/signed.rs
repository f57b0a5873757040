//! Signed tokens: JWT with HS256 and our own issuer. A token of another issuer, algorithm or key is none.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use runcast_actors::ids::{RunId, TenantId};
use runcast_actors::moment::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Caller, Scope, SignedToken};
use crate::http::error::ApiError;

const ISSUER: &str = "runcast";

/// What a signed token says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    iss: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
    tenant: TenantId,
    /// True for a token of the service itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    service: bool,
    scopes: BTreeSet<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    projects: Vec<String>,
}

/// Signs tokens and knows its own.
pub(super) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Signer {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
        }
    }

    /// A token that makes `caller` of its bearer for `ttl_secs`, but not beyond the caller's own expiry.
    pub(super) fn sign(&self, caller: Caller, ttl_secs: u64) -> Result<SignedToken, ApiError> {
        let issued_at = seconds(Timestamp::now());
        let wanted = issued_at.saturating_add(i64::try_from(ttl_secs).unwrap_or(i64::MAX));
        let exp = caller.expires_at.map_or(wanted, |own| wanted.min(seconds(own)));
        let expires_at = Timestamp(exp.saturating_mul(1_000_000));
        let claims = Claims {
            iss: ISSUER.to_owned(),
            iat: issued_at,
            exp,
            tenant: caller.tenant.clone(),
            service: caller.service,
            scopes: caller.scopes.clone(),
            run_id: caller.run.clone(),
            user: caller.user.clone(),
            projects: caller.projects.clone(),
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(ApiError::internal)?;
        Ok(SignedToken {
            token,
            caller: Caller { expires_at: Some(expires_at), ..caller },
            expires_at,
        })
    }

    /// The caller that an own, unexpired token tells of.
    pub(super) fn verify(&self, token: &str) -> Option<Caller> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        // The library lets the last second pass; streams end at its beginning, so requests do too.
        if claims.exp <= seconds(Timestamp::now()) {
            return None;
        }
        Some(Caller {
            tenant: claims.tenant,
            service: claims.service,
            scopes: claims.scopes,
            run: claims.run_id,
            user: claims.user,
            projects: claims.projects,
            expires_at: Some(Timestamp(claims.exp.saturating_mul(1_000_000))),
        })
    }
}

fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn token(claims: &serde_json::Value, algorithm: Algorithm, key: &[u8]) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key)).expect("signs")
    }

    #[test]
    fn only_own_unexpired_tokens_are_taken() {
        let now = seconds(Timestamp::now());
        let claims = |exp: i64, iss: &str| json!({ "iss": iss, "iat": now, "exp": exp, "tenant": "a", "scopes": ["runs:read"] });
        let signer = Signer::new(KEY);
        let good = claims(now + 60, "runcast");
        let caller = signer.verify(&token(&good, Algorithm::HS256, KEY)).expect("own token");
        assert_eq!(caller.expires_at, Some(Timestamp((now + 60) * 1_000_000)));
        assert!(!caller.service);
        let bad = [
            token(&good, Algorithm::HS512, KEY),
            token(&good, Algorithm::HS256, b"another key"),
            token(&claims(now - 2, "runcast"), Algorithm::HS256, KEY),
            token(&claims(now + 60, "other"), Algorithm::HS256, KEY),
            token(&json!({ "tenant": "a", "scopes": [], "iat": now }), Algorithm::HS256, KEY),
        ];
        for token in bad {
            assert!(signer.verify(&token).is_none(), "{token}");
        }
        let whole = token(&good, Algorithm::HS256, KEY);
        let unsigned = whole.rsplit_once('.').map(|(head, _)| format!("{head}.")).expect("dots");
        assert!(signer.verify(&unsigned).is_none());
    }
}
