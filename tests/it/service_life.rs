//! The harness itself: a service starts, runs, is killed, starts again and stops.

use std::time::{Duration, Instant};

use crate::support::collect::Collected;
use crate::support::programs::{pty, run_of};
use crate::support::service::Service;

#[tokio::test]
async fn a_service_starts_runs_is_killed_starts_again_and_stops() {
    let mut service = Service::start().await;
    let run = service.api().submit(&run_of([pty("hello", "printf 'a\\nb\\n'")])).await;
    let mut seen = Collected::new();
    seen.read(&mut service.api().stream(&run).open().await).await;
    seen.assert_complete();
    assert_eq!(seen.stream("hello", "pty").output, b"a\r\nb\r\n");
    assert!(service.rss_bytes() > 1024 * 1024);

    let address = service.address();
    service.kill9();
    service.restart().await;
    assert_eq!(service.address(), address, "it comes back where clients look for it");
    let mut again = Collected::new();
    again.read(&mut service.api().stream(&run).open().await).await;
    again.assert_same(&seen);

    let asked = Instant::now();
    assert!(service.stop().await.success());
    assert!(asked.elapsed() < Duration::from_secs(3), "nothing runs, so nothing is waited for");
}
