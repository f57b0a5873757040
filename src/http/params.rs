//! What a request says besides its body: ids in the path and the query, checked before any store is asked.
//!
//! A key the route does not know, a key given twice and a broken percent-encoding are refused, never guessed at.

use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use runcast_actors::ids::{InvalidName, NodeRef, RunId};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::RunCursor;

use crate::http::error::ApiError;

/// The `runId` of the path.
pub fn run_id(request: &HttpRequest) -> Result<RunId, ApiError> {
    path_name(request, "runId")
}

/// The `nodeRef` of the path.
pub fn node_ref(request: &HttpRequest) -> Result<NodeRef, ApiError> {
    path_name(request, "nodeRef")
}

/// A name of the path.
pub(crate) fn path_name<T: FromStr<Err = InvalidName>>(
    request: &HttpRequest,
    field: &str,
) -> Result<T, ApiError> {
    let text = request.match_info().get(field).unwrap_or_default();
    text.parse().map_err(|error: InvalidName| ApiError::invalid(field, error.to_string()))
}

/// The query of a request.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes the query apart. Only `allowed` keys may stand in it, each once, but `repeatable` ones as often
    /// as the caller likes; `access_token` belongs to authentication and may always stand there.
    pub fn of(
        request: &HttpRequest,
        allowed: &[&str],
        repeatable: &[&str],
    ) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in request.query_string().split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let key = decode(key).ok_or_else(|| ApiError::invalid("query", BAD_ENCODING))?;
            if key == "access_token" {
                continue;
            }
            let is_repeatable = repeatable.contains(&key.as_str());
            if !is_repeatable && !allowed.contains(&key.as_str()) {
                let known: Vec<&str> = allowed.iter().chain(repeatable).copied().collect();
                let message = match known.as_slice() {
                    [] => format!("`{key}` is not known; this path takes no query"),
                    known => format!("`{key}` is not known; allowed: {}", known.join(", ")),
                };
                return Err(ApiError::invalid(&key, message));
            }
            if !is_repeatable && pairs.iter().any(|(known, _)| *known == key) {
                return Err(ApiError::invalid(&key, format!("`{key}` stands there twice")));
            }
            let value = decode(value).ok_or_else(|| ApiError::invalid(&key, BAD_ENCODING))?;
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    /// Refuses a query on a path that takes none.
    pub fn none(request: &HttpRequest) -> Result<(), ApiError> {
        Self::of(request, &[], &[]).map(|_| ())
    }

    /// The query again, without a key and without the token.
    pub fn without(&self, key: &str) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let kept = self.pairs.iter().filter(|(name, _)| name != key);
        let parts: Vec<String> =
            kept.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        parts.join("&")
    }

    /// The value of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All values of a key, in order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A value of a type that knows its own rule.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| ApiError::invalid(key, error.to_string()))
    }

    /// A value that is one of a closed set of words, as serde names them.
    pub fn word<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        allowed: &str,
    ) -> Result<Option<T>, ApiError> {
        self.text(key).map(|text| word(key, text, allowed)).transpose()
    }

    /// A whole number in a range.
    pub fn number(
        &self,
        key: &str,
        allowed: &RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => {
                let (low, high) = (allowed.start(), allowed.end());
                let shown: String = text.chars().take(64).collect();
                Err(ApiError::invalid(key, format!("`{shown}`; allowed: {low} to {high}")))
            }
        }
    }

    /// `limit`, from 1 to `most`.
    pub fn limit(&self, most: u32, default: u32) -> Result<u32, ApiError> {
        let limit = self.number("limit", &(1..=i64::from(most)))?;
        Ok(limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(default))
    }
}

/// A text that must be one of a closed set of words, as serde names them.
pub fn word<T: serde::de::DeserializeOwned>(
    field: &str,
    text: &str,
    allowed: &str,
) -> Result<T, ApiError> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        ApiError::invalid(field, format!("`{shown}`; allowed: {allowed}"))
    })
}

/// The place in the list of runs as an opaque text.
pub fn encode_cursor(cursor: &RunCursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", cursor.created_at.0, cursor.run_id))
}

/// The place in the list of runs that such a text tells.
pub fn decode_cursor(text: &str) -> Result<RunCursor, ApiError> {
    let malformed =
        || ApiError::invalid("cursor", "the cursor is none that this service has given");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
    let plain = String::from_utf8(bytes).map_err(|_| malformed())?;
    let (micros, run_id) = plain.split_once(':').ok_or_else(malformed)?;
    Ok(RunCursor {
        created_at: Timestamp(micros.parse().map_err(|_| malformed())?),
        run_id: run_id.parse().map_err(|_| malformed())?,
    })
}

const BAD_ENCODING: &str = "the percent-encoding is broken or not UTF-8";

/// Undoes the percent-encoding of a form; none if it is broken.
pub(crate) fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_escape = |place: usize| {
        bytes.get(place + 1).is_some_and(u8::is_ascii_hexdigit)
            && bytes.get(place + 2).is_some_and(u8::is_ascii_hexdigit)
    };
    let is_whole = (0..bytes.len()).all(|place| bytes[place] != b'%' || is_escape(place));
    if !is_whole {
        return None;
    }
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn query(text: &str) -> Result<Query, ApiError> {
        let request = TestRequest::with_uri(&format!("/x?{text}")).to_http_request();
        Query::of(&request, &["limit", "after"], &["label"])
    }

    #[test]
    fn a_query_is_read_or_refused() {
        let good = query("limit=5&label=a%3Ab&label=c+d&access_token=secret&&").expect("allowed");
        assert_eq!(good.limit(10, 3).expect("in range"), 5);
        assert_eq!(good.all("label").collect::<Vec<_>>(), ["a:b", "c d"]);
        assert_eq!(good.text("access_token"), None);
        assert_eq!(query("").expect("empty").limit(10, 3).expect("default"), 3);
        for bad in ["what=1", "limit=1&limit=2", "after=%zz", "after=%f", "after=%ff", "%=1"] {
            assert!(query(bad).is_err(), "{bad}");
        }
        for bad in ["limit=0", "limit=11", "limit=-1", "limit=x", "limit=", "limit=1.0"] {
            assert!(query(bad).expect("a known key").limit(10, 3).is_err(), "{bad}");
        }
    }

    #[test]
    fn cursors_come_back_and_others_are_refused() {
        let cursor =
            RunCursor { created_at: Timestamp(-17), run_id: "run-1".parse().expect("valid") };
        let text = encode_cursor(&cursor);
        assert_eq!(decode_cursor(&text).expect("own cursor"), cursor);
        let foreign = ["", "x", "!!", "MTI", "OmE", "MTphL2I"];
        for bad in foreign {
            assert!(decode_cursor(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_decoded_or_refused(text in ".*") {
            let _ = decode(&text);
        }
    }
}
