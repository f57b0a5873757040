//! Why a session cannot be had, as callers are told.

use runcast_actors::roles::session_manager::{OpenError, RowsError};

use crate::http::error::{ApiError, ErrorCode};

/// The database is away, and it alone knows the session.
pub(super) fn away(error: &RowsError) -> ApiError {
    ApiError::unavailable("the database is away, and the session is not of this instance", error)
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::UnknownProfile { .. } => Self::invalid("type", message),
            OpenError::BadPath { .. } => Self::invalid("projectPath", message),
            OpenError::NotInstalled { .. } | OpenError::Stopping => {
                Self::new(ErrorCode::Unavailable, message)
            }
            OpenError::Limit { scope, max } => Self::new(ErrorCode::LimitExceeded, message)
                .detail("scope", scope)
                .detail("max", max),
            OpenError::Memory => Self::new(ErrorCode::LimitExceeded, message),
            OpenError::Failed(_) => Self::new(ErrorCode::Unavailable, message),
        }
    }
}
