//! What failures of the store mean.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use runcast_actors::ports::{ObjectError, ObjectKey};

use super::S3Settings;

/// Tells failures with the place that they happened in.
pub(super) struct Failures {
    bucket: String,
    place: String,
}

impl Failures {
    pub(super) fn of(settings: &S3Settings) -> Self {
        let place = settings.endpoint.clone().unwrap_or_else(|| "Amazon S3".to_owned());
        Self { bucket: settings.bucket.clone(), place }
    }

    /// A failure that passes, or that somebody must mend: nothing is lost by it.
    pub(super) fn away(&self, reason: &str) -> ObjectError {
        let Self { bucket, place } = self;
        ObjectError::Unavailable(format!("bucket {bucket} at {place}: {reason}"))
    }

    /// A request for one object.
    pub(super) fn of_object<E>(&self, key: &ObjectKey, error: &SdkError<E>) -> ObjectError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match (error.code(), status(error)) {
            (Some("NoSuchKey"), _) => ObjectError::NotFound(key.clone()),
            (_, Some(412)) => ObjectError::Exists(key.clone()),
            (_, Some(416)) => {
                ObjectError::Damaged(key.clone(), "shorter than what was asked for".to_owned())
            }
            _ => self.of_bucket(error),
        }
    }

    /// A request that names no object, or whose failure says nothing of one.
    pub(super) fn of_bucket<E>(&self, error: &SdkError<E>) -> ObjectError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.code();
        let reason = match (code, status(error)) {
            (Some("NoSuchBucket"), _) => {
                "it is not there: create it, or correct archive.s3.bucket".to_owned()
            }
            (Some("PermanentRedirect" | "AuthorizationHeaderMalformed"), _) | (_, Some(301)) => {
                "it is in another region: correct archive.s3.region".to_owned()
            }
            (_, Some(401 | 403)) => format!(
                "access is refused ({}): check the credentials, and that they may get, put, delete \
                 and list objects",
                code.unwrap_or("no reason given")
            ),
            _ => chain(error),
        };
        self.away(&reason)
    }
}

/// The status of the answer, if there was one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// An error with everything that caused it. Unlike the SDK's own, without headers of the request.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !told.ends_with(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        cause = inner.source();
    }
    told
}
