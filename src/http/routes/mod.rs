//! One file a resource. What is listed here is mounted, and must be documented.

pub mod admin;
pub mod cast;
pub mod health;
pub mod lines;
pub mod openapi;
pub(crate) mod page;
pub mod recordings;
pub mod runs;
pub mod screen;
pub mod session;
pub mod stream;
pub mod telemetry;
pub mod terminal;
mod terminal_page;
pub mod terminal_socket;
pub mod terminals;
pub mod tokens;
pub mod trace;

use crate::http::endpoint::Endpoint;

/// Where the API begins.
pub const BASE_PATH: &str = "/api/v1";

/// Everything below the base path.
pub(crate) fn api_endpoints() -> Vec<Endpoint> {
    [
        admin::endpoints(),
        cast::endpoints(),
        lines::endpoints(),
        openapi::endpoints(),
        recordings::endpoints(),
        runs::endpoints(),
        screen::endpoints(),
        session::endpoints(),
        stream::endpoints(),
        telemetry::endpoints(),
        terminal::endpoints(),
        terminal_socket::endpoints(),
        terminals::endpoints(),
        tokens::endpoints(),
        trace::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Everything beside the base path.
pub(crate) fn root_endpoints() -> Vec<Endpoint> {
    health::endpoints()
}
