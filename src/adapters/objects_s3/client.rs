//! The client: where the store is, who we are, and how long a request may take.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};

/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Until the answer to a request that was sent begins.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// One try of a request, with what it sends.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries of a request.
const TRIES: u32 = 3;
/// The longest wait between two of them.
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// What S3-compatible stores take when nobody says otherwise.
const CUSTOMARY_REGION: &str = "us-east-1";

/// Where objects are kept, and as whom.
pub struct S3Settings {
    /// The bucket; it exists.
    pub bucket: String,
    /// `http(s)://HOST[:PORT]` of an S3-compatible store; none: Amazon's, by region.
    pub endpoint: Option<String>,
    /// The region; else what the environment says, or `us-east-1` where there is an endpoint.
    pub region: Option<String>,
    /// The bucket stands in the path, not in the name of the host.
    pub force_path_style: bool,
    /// Before every key; empty, or it ends with `/`.
    pub prefix: String,
    /// Else the SDK's chain: environment, profile, web identity, container, machine.
    pub credentials: Option<S3Credentials>,
}

/// A key of the store.
pub struct S3Credentials {
    /// Its public half.
    pub access_key_id: String,
    /// Its secret half.
    pub secret_access_key: String,
    /// What belongs to it, if it is temporary.
    pub session_token: Option<String>,
}

pub(super) async fn connect(settings: &S3Settings) -> Client {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(ANSWER_TIMEOUT)
                .operation_attempt_timeout(TRY_TIMEOUT)
                .operation_timeout(super::CALL_TIMEOUT)
                .build(),
        )
        .retry_config(
            RetryConfig::standard().with_max_attempts(TRIES).with_max_backoff(MAX_BACKOFF),
        )
        // S3-compatible stores know neither the newer checksums nor bodies that end with one.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    let customary = settings.endpoint.as_ref().map(|_| CUSTOMARY_REGION.to_owned());
    if let Some(region) = settings.region.clone().or(customary) {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(key) = &settings.credentials {
        let (id, secret) = (&key.access_key_id, &key.secret_access_key);
        let source = "configuration";
        let credentials = Credentials::new(id, secret, key.session_token.clone(), None, source);
        loader = loader.credentials_provider(credentials);
    }
    let shared = loader.load().await;
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(settings.force_path_style)
        .build();
    Client::from_conf(config)
}
