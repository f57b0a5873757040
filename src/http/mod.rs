//! The service through HTTP: routes, who may use them, and how every answer looks.

pub mod access;
pub mod api;
pub mod body;
mod cors;
pub mod endpoint;
pub mod error;
pub mod export;
pub mod page;
#[cfg(test)]
mod page_tests;
pub mod params;
pub mod peers;
mod performance;
mod position_cache;
pub mod request_id;
pub mod routes;
pub mod schema;
#[cfg(test)]
mod service_tests;
pub mod sse;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
mod websocket;
