//! The suite of every replica, in each way in which a server is reached.

use std::process::Command;
use std::sync::Arc;

use runcast_actors::ports::Replica;
use runcast_actors::testing::replica_conformance::conformance;

use super::server::{Server, replica_at};

async fn conforms(url: &str) {
    conformance(|| async { Arc::new(replica_at(url)) as Arc<dyn Replica> }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_in_plain() {
    let server = Server::start();
    conforms(&server.url()).await;
}

/// What `docs/operations.md` tells people to set.
fn documented_rules() -> String {
    let text = include_str!("../../../../docs/operations.md");
    let line = text.lines().find(|line| line.trim_start().starts_with("ACL SETUSER runcast"));
    line.expect("the line of the service's user").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_as_the_documented_user() {
    let server = Server::with(&["--save", "", "--requirepass", "other"]);
    let rules = documented_rules().replace("PASSWORD", "s3cret");
    let mut words = vec!["-a", "other"];
    words.extend(rules.split(' '));
    assert_eq!(server.cli(&words), "OK", "{rules}");
    let url = |password| format!("redis://runcast:{password}@127.0.0.1:{}/3", server.port);
    conforms(&url("s3cret")).await;
    assert!(server.cli(&["-a", "other", "-n", "3", "DBSIZE"]).parse::<u32>().is_ok_and(|n| n > 0));
    assert_eq!(server.cli(&["-a", "other", "-n", "0", "DBSIZE"]), "0");

    let run = runcast_actors::testing::log_memory::run_key("refused");
    let wrong = replica_at(&url("wr0ng"));
    let refused = wrong.screens(&run).await.expect_err("a wrong password");
    let told = format!("{refused} {:?} {:?}", wrong.health(), replica_at(&url("s3cret")).health());
    assert!(!told.contains("wr0ng") && !told.contains("s3cret"), "{told}");
}

/// Where the child process of the test below finds the server.
const TLS_URL: &str = "RUNCAST_TEST_REDIS_TLS_URL";

fn openssl(server: &std::path::Path, line: &str) {
    let made = Command::new("openssl").args(line.split(' ')).current_dir(server).output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&made.stderr));
}

/// Trusted certificates come from the environment, which a process has only one of: the suite runs in a child.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_over_tls() {
    if let Ok(url) = std::env::var(TLS_URL) {
        return conforms(&url).await;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(folder.path().join("san"), "subjectAltName=IP:127.0.0.1").expect("a file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder.path(), &format!("req -x509 {key} -subj /CN=ca -keyout ca.key -out ca.crt"));
    openssl(folder.path(), &format!("req {key} -subj /CN=redis -keyout redis.key -out redis.csr"));
    let signed = "x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile san";
    openssl(folder.path(), &format!("{signed} -out redis.crt"));
    let file = |name: &str| folder.path().join(name).display().to_string();
    let plain = Server::start();
    // The port of a server that has just gone is free.
    let port = plain.port;
    drop(plain);
    let tls = port.to_string();
    let server = Server::with(&[
        "--save",
        "",
        "--tls-port",
        &tls,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &file("redis.crt"),
        "--tls-key-file",
        &file("redis.key"),
        "--tls-ca-cert-file",
        &file("ca.crt"),
    ]);
    let name = "adapters::replica_redis::tests::conforming::conforms_over_tls";
    let child = |certificates: String| {
        let mut child = Command::new(std::env::current_exe().expect("a path"));
        child.args(["--exact", name]).env("SSL_CERT_FILE", certificates);
        child.env(TLS_URL, format!("rediss://127.0.0.1:{port}"));
        child.output().expect("it runs")
    };
    let trusting = child(file("ca.crt"));
    let told = String::from_utf8_lossy(&trusting.stdout).into_owned();
    assert!(trusting.status.success() && told.contains("1 passed"), "{told}");
    openssl(folder.path(), &format!("req -x509 {key} -subj /CN=no -keyout no.key -out no.crt"));
    assert!(!child(file("no.crt")).status.success(), "a server that nobody vouches for");
    drop(server);
}
