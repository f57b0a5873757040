//! The one table from an error to status, code and body. Every refusal of the service leaves through here.
//!
//! `INTERNAL` tells nothing of the inside: its cause goes to the log, under the id of the request.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use runcast_actors::history::HistoryError;
use runcast_actors::ids::InvalidName;
use runcast_actors::messages::run_control::ControlError;
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{LogError, ObjectError, StoreError};
use runcast_actors::run_spec::InvalidSpec;
use runcast_actors::seek::SeekError;
use serde_json::{Map, Value, json};

/// What kind of refusal it is, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; docs/execution-contract.md has a line for each")]
pub enum ErrorCode {
    ValidationFailed,
    Unauthenticated,
    Forbidden,
    NotFound,
    Gone,
    MethodNotAllowed,
    UnsupportedMediaType,
    Conflict,
    PayloadTooLarge,
    LimitExceeded,
    Unavailable,
    Internal,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ValidationFailed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Gone,
        Self::MethodNotAllowed,
        Self::UnsupportedMediaType,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::LimitExceeded,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The name as it stands in bodies, and the status it is sent with.
    pub fn name_and_status(self) -> (&'static str, StatusCode) {
        match self {
            Self::ValidationFailed => ("VALIDATION_FAILED", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("FORBIDDEN", StatusCode::FORBIDDEN),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::Gone => ("GONE", StatusCode::GONE),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
            Self::UnsupportedMediaType => {
                ("UNSUPPORTED_MEDIA_TYPE", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
            Self::LimitExceeded => ("LIMIT_EXCEEDED", StatusCode::TOO_MANY_REQUESTS),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    // After how many seconds the same request may be taken.
    fn retry_after_secs(self) -> Option<u32> {
        match self {
            Self::LimitExceeded => Some(5),
            Self::Unavailable => Some(2),
            _ => None,
        }
    }
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    details: Map<String, Value>,
    allow: Option<String>,
    cause: Option<String>,
}

impl ApiError {
    /// With a sentence for people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Map::new(), allow: None, cause: None }
    }

    /// A malformed part of the request; `field` names it: a query key, a path parameter, a path into the body.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationFailed, message).detail("field", field)
    }

    /// Something that is not there, or not for this caller.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// A fault of the service. The cause goes to the log, never to the caller.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Internal, "the service failed; its log has the request id")
            .caused_by(cause)
    }

    /// A condition that passes. The cause goes to the log, never to the caller.
    pub fn unavailable(message: &str, cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Unavailable, message).caused_by(cause)
    }

    /// A method that the path does not know; `allowed` are those it knows, separated by commas.
    pub fn method_not_allowed(method: &str, allowed: &str) -> Self {
        let mut error = Self::new(
            ErrorCode::MethodNotAllowed,
            format!("`{method}` is not allowed here; allowed: {allowed}"),
        );
        error.allow = Some(allowed.to_owned());
        error
    }

    /// The same with one more detail for machines.
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// True if the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self.code, ErrorCode::Unavailable | ErrorCode::LimitExceeded)
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The whole answer, as every refusal looks.
    pub fn respond(&self, request_id: &str) -> HttpResponse {
        let (name, status) = self.code.name_and_status();
        let mut response = HttpResponse::build(status);
        if let Some(secs) = self.code.retry_after_secs() {
            response.insert_header((RETRY_AFTER, secs.to_string()));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if self.code == ErrorCode::Unauthenticated {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"runcast\""));
        }
        response.json(json!({
            "success": false,
            "error": {
                "code": name,
                "message": self.message,
                "details": self.details,
                "timestamp": Timestamp::now(),
            },
            "requestId": request_id,
        }))
    }

    /// Tells the log what the caller is not told. Called once, where the answer is made.
    pub(crate) fn log(&self) {
        let Some(cause) = &self.cause else { return };
        if self.code == ErrorCode::Internal {
            tracing::error!(cause, "request failed");
        } else {
            tracing::warn!(cause, code = self.code.name_and_status().0, "request refused");
        }
    }

    /// What an error of the framework means, judged by the status it asks for.
    pub(crate) fn of_framework(error: &actix_web::Error) -> Self {
        let status = error.as_response_error().status_code();
        let code = ErrorCode::ALL
            .into_iter()
            .find(|code| code.name_and_status().1 == status)
            .unwrap_or(if status.is_client_error() {
                ErrorCode::ValidationFailed
            } else {
                ErrorCode::Internal
            });
        match code {
            ErrorCode::Internal => Self::internal(error),
            code => Self::new(code, error.to_string()),
        }
    }

    fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.name_and_status().1
    }

    // The middleware around every route makes the answer again, with the id of the request.
    fn error_response(&self) -> HttpResponse {
        self.respond("")
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable("the database is away", error),
            StoreError::Fenced(_) => Self::unavailable("the run is changing hands", error),
            StoreError::Broken(_) => Self::internal(error),
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(_) => Self::unavailable("the log is away", error),
            LogError::Fenced { .. } | LogError::Behind { .. } => {
                Self::unavailable("the run is changing hands", error)
            }
            LogError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<ObjectError> for ApiError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Unavailable(_) => Self::unavailable("the archive is away", error),
            error => Self::internal(error),
        }
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Log(error) => error.into(),
            HistoryError::Store(error) => error.into(),
            HistoryError::Archive(error) => error.into(),
        }
    }
}

impl From<SeekError> for ApiError {
    fn from(error: SeekError) -> Self {
        match error {
            SeekError::Busy | SeekError::Computing => {
                Self::new(ErrorCode::Unavailable, error.to_string())
            }
            SeekError::History(error) => error.into(),
            SeekError::Failed => Self::internal(error),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let code = match error {
            ControlError::UnknownRun | ControlError::UnknownNode => ErrorCode::NotFound,
            ControlError::Purged => ErrorCode::Gone,
            ControlError::Finished(_)
            | ControlError::StillRunning
            | ControlError::NodeNotRunning
            | ControlError::NoTerminal => ErrorCode::Conflict,
            ControlError::Draining | ControlError::Busy => ErrorCode::Unavailable,
            ControlError::Store(error) => return error.into(),
            ControlError::Log(error) => return error.into(),
            ControlError::Archive(error) => return error.into(),
        };
        match error {
            ControlError::Finished(status) => {
                Self::new(code, format!("the run has ended: {}", status.as_str()))
                    .detail("status", status.as_str())
            }
            error => Self::new(code, error.to_string()),
        }
    }
}

impl From<InvalidName> for ApiError {
    fn from(error: InvalidName) -> Self {
        let message = error.to_string();
        // The sentence opens with the kind of name, which is also the name of the field.
        let field = message.split(' ').next().unwrap_or_default().to_owned();
        Self::invalid(&field, message)
    }
}

impl From<InvalidSpec> for ApiError {
    fn from(error: InvalidSpec) -> Self {
        Self::invalid(&error.field.clone(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use runcast_actors::ids::{Epoch, RunId, Seq};
    use runcast_actors::run_view::RunStatus;

    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn every_error_has_its_place_in_the_table() {
        use ErrorCode::{Conflict, Gone, Internal, NotFound, Unavailable, ValidationFailed};
        let bad_id: Result<RunId, _> = "a/b".parse();
        let table: Vec<(ApiError, ErrorCode)> = vec![
            (StoreError::Unavailable("x".into()).into(), Unavailable),
            (StoreError::Fenced(Epoch(1)).into(), Unavailable),
            (StoreError::Broken("x".into()).into(), Internal),
            (LogError::Unavailable("x".into()).into(), Unavailable),
            (LogError::Fenced { mine: Epoch(0), current: Epoch(1) }.into(), Unavailable),
            (LogError::Behind { tail: Seq(1), first: Seq(3) }.into(), Unavailable),
            (LogError::Corrupt("x".into()).into(), Internal),
            (HistoryError::Log(LogError::Corrupt("x".into())).into(), Internal),
            (HistoryError::Store(StoreError::Unavailable("x".into())).into(), Unavailable),
            (HistoryError::Archive(ObjectError::Unavailable("x".into())).into(), Unavailable),
            (SeekError::Busy.into(), Unavailable),
            (SeekError::Computing.into(), Unavailable),
            (SeekError::History(StoreError::Broken("x".into()).into()).into(), Internal),
            (SeekError::Failed.into(), Internal),
            (ControlError::UnknownRun.into(), NotFound),
            (ControlError::UnknownNode.into(), NotFound),
            (ControlError::Purged.into(), Gone),
            (ControlError::Finished(RunStatus::Failed).into(), Conflict),
            (ControlError::StillRunning.into(), Conflict),
            (ControlError::NodeNotRunning.into(), Conflict),
            (ControlError::NoTerminal.into(), Conflict),
            (ControlError::Draining.into(), Unavailable),
            (ControlError::Busy.into(), Unavailable),
            (ControlError::Store(StoreError::Broken("x".into())).into(), Internal),
            (bad_id.expect_err("a slash is not allowed").into(), ValidationFailed),
            (
                InvalidSpec { field: "nodes".into(), message: "none".into() }.into(),
                ValidationFailed,
            ),
        ];
        for (error, code) in table {
            assert_eq!(error.code(), code, "{error}");
        }
    }

    #[actix_web::test]
    async fn the_body_is_as_promised_and_hides_the_inside() {
        let error: ApiError = StoreError::Broken("password=hunter2".into()).into();
        let response = error.respond("request-1");
        assert_eq!(response.status(), 500);
        let body = to_bytes(response.into_body()).await.expect("a body in memory");
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["success"], false);
        assert_eq!(body["requestId"], "request-1");
        assert_eq!(body["error"]["code"], "INTERNAL");
        assert!(body["error"]["details"].is_object());
        let timestamp = body["error"]["timestamp"].as_str().expect("a time");
        assert!(timestamp.parse::<Timestamp>().is_ok(), "{timestamp}");
    }

    #[test]
    fn passing_conditions_say_when_to_come_back() {
        for code in ErrorCode::ALL {
            let response = ApiError::new(code, "x").respond("");
            let expected = matches!(response.status().as_u16(), 429 | 503);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), expected, "{code:?}");
        }
        let error = ApiError::method_not_allowed("PUT", "GET, POST");
        assert_eq!(
            error.respond("").headers().get(ALLOW).map(HeaderValue::as_bytes),
            Some(b"GET, POST".as_slice())
        );
    }
}
