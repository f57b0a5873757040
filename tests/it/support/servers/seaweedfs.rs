//! SeaweedFS: a real S3, in one process.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use runcast::adapters::objects_s3::{S3Credentials, S3Settings};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::process::{ServerProcess, folder};
use super::{free_ports, program, root};

/// The bucket of all tests; each has a prefix of its own.
pub(crate) const BUCKET: &str = "recordings";
const ACCESS_KEY: &str = "runcast";
const SECRET_KEY: &str = "only-for-tests";
/// One try of a question at the start.
const ASK_LIMIT: Duration = Duration::from_secs(5);

static SHARED: OnceCell<SeaweedFs> = OnceCell::const_new();

/// A server of SeaweedFS.
pub(crate) struct SeaweedFs {
    folder: PathBuf,
    /// Of master, volumes, filer and S3, each with one for gRPC.
    ports: [u16; 8],
    process: Option<ServerProcess>,
}

impl SeaweedFs {
    /// The one that tests share.
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// One of its own with the empty bucket [`BUCKET`].
    pub(crate) async fn start() -> Self {
        let folder = folder("seaweedfs");
        let identity = format!(
            r#"{{"identities":[{{"name":"runcast","actions":["Admin","Read","Write","List"],
            "credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}]}}]}}"#
        );
        std::fs::write(folder.join("s3.json"), identity).expect("a file");
        std::fs::create_dir(folder.join("data")).expect("a folder");
        let mut server = Self { folder, ports: free_ports(), process: None };
        server.restart().await;
        server
    }

    /// Starts it again on the same ports, with what it had.
    pub(crate) async fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = self.ports;
        let options = format!(
            "server -ip=127.0.0.1 -dir=data -master.telemetry=false -master.volumeSizeLimitMB=64 \
             -volume.max=200 -master.port={master} -master.port.grpc={master_grpc} \
             -volume.port={volume} -volume.port.grpc={volume_grpc} -filer.port={filer} \
             -filer.port.grpc={filer_grpc} -s3 -s3.port={s3} -s3.port.grpc={s3_grpc} \
             -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.config=s3.json \
             -s3.autoCreateBucket=false"
        );
        let mut command = vec![program("weed", &[root().join("target/servers/bin")])];
        command.extend(options.split_whitespace().map(PathBuf::from));
        let command: Vec<String> = command.iter().map(|part| part.display().to_string()).collect();
        let process = ServerProcess::start(&self.folder, "KILL", &command);
        // Its first answers after the start are failures.
        let client = self.client();
        let answers = async || {
            tokio::time::timeout(ASK_LIMIT, takes_an_object(&client)).await.ok().filter(|did| *did)
        };
        process.wait_ready("SeaweedFS", answers).await;
        self.process = Some(process);
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.process.take().expect("it runs").stop("KILL").await;
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[6])
    }

    /// Where its S3 listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.ports[6]
    }

    /// A new place in the bucket, and who may write there.
    pub(crate) fn settings(&self) -> S3Settings {
        S3Settings {
            bucket: BUCKET.to_owned(),
            endpoint: Some(self.url()),
            region: None,
            force_path_style: true,
            prefix: format!("{}/", Uuid::new_v4().simple()),
            credentials: Some(S3Credentials {
                access_key_id: ACCESS_KEY.to_owned(),
                secret_access_key: SECRET_KEY.to_owned(),
                session_token: None,
            }),
        }
    }

    /// What a service is told in its environment to keep its archive at a new place in the bucket.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let settings = self.settings();
        let key = settings.credentials.expect("with a key");
        let variables = [
            ("RUNCAST__ARCHIVE__BACKEND", "s3".to_owned()),
            ("RUNCAST__ARCHIVE__S3__BUCKET", settings.bucket),
            ("RUNCAST__ARCHIVE__S3__FORCE_PATH_STYLE", "true".to_owned()),
            ("RUNCAST__ARCHIVE__S3__PREFIX", settings.prefix),
            ("AWS_ENDPOINT_URL_S3", self.url()),
            ("AWS_ACCESS_KEY_ID", key.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// A client that knows nothing of ours.
    pub(crate) fn client(&self) -> Client {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.url())
            .force_path_style(true)
            .credentials_provider(credentials)
            .build();
        Client::from_conf(config)
    }
}

async fn takes_an_object(client: &Client) -> bool {
    // It is there already after a restart.
    let _ = client.create_bucket().bucket(BUCKET).send().await;
    let body = ByteStream::from_static(b"ready");
    let put = client.put_object().bucket(BUCKET).key("ready").body(body).send().await;
    let deleted = client.delete_object().bucket(BUCKET).key("ready").send().await;
    put.is_ok() && deleted.is_ok()
}
