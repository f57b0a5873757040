//! No other instances.

use async_trait::async_trait;

use crate::http::peers::{PeerAnswer, PeerRequest, Peers};

/// Nobody is there.
pub(super) struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn ask(&self, _: PeerRequest) -> Result<PeerAnswer, String> {
        Err("nobody listens there".to_owned())
    }
}
