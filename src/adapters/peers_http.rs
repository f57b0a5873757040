//! The way to other instances over HTTP.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::http::peers::{
    MAX_PEER_ANSWER, PEER_LIMIT, PeerAnswer, PeerRequest, Peers, X_RUNCAST_INSTANCE,
};

/// One client for all of them.
pub struct HttpPeers {
    client: reqwest::Client,
}

impl HttpPeers {
    /// Without connections yet.
    pub fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(PEER_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            // Instances reach each other without the way out of the network.
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Peers for HttpPeers {
    async fn ask(&self, request: PeerRequest) -> Result<PeerAnswer, String> {
        let asking = self.client.request(method(&request)?, &request.url);
        let mut asking = asking.header(X_RUNCAST_INSTANCE.as_str(), request.instance.as_str());
        if let Some(token) = &request.token {
            asking = asking.bearer_auth(token);
        }
        if let Some(id) = &request.request_id {
            asking = asking.header("x-request-id", id);
        }
        let mut response = asking.send().await.map_err(innermost)?;
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(innermost)? {
            if body.len() + piece.len() > MAX_PEER_ANSWER {
                return Err(format!("the answer has more than {MAX_PEER_ANSWER} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(PeerAnswer { status, body: Bytes::from(body) })
    }
}

// The framework of the server and the client each have a type of their own for it.
fn method(request: &PeerRequest) -> Result<reqwest::Method, String> {
    reqwest::Method::from_bytes(request.method.as_str().as_bytes())
        .map_err(|error| error.to_string())
}

fn innermost(error: reqwest::Error) -> String {
    anyhow::Error::from(error).root_cause().to_string()
}
