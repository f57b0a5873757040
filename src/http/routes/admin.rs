//! What an operator asks of one instance, and the list of all. The scope is `admin`.

pub mod actors;
pub mod instances;
pub mod memory;
pub mod sessions;
pub mod stats;
pub mod streams;

use actix_web::http::Method;
use actix_web::web;

use crate::http::endpoint::Endpoint;

/// Rows of a page.
const MAX_ROWS: u32 = 1000;
const DEFAULT_ROWS: u32 = 100;

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/admin/memory").on(Method::GET, web::to(memory::get_memory)),
        Endpoint::at("/admin/sessions").on(Method::GET, web::to(sessions::get_sessions)),
        Endpoint::at("/admin/actors").on(Method::GET, web::to(actors::get_actors)),
        Endpoint::at("/admin/streams").on(Method::GET, web::to(streams::get_streams)),
        Endpoint::at("/admin/stats").on(Method::GET, web::to(stats::get_stats)),
        Endpoint::at("/admin/instances").on(Method::GET, web::to(instances::get_instances)),
        Endpoint::at("/admin/cleanup").on(Method::POST, web::to(memory::clean_up)),
    ]
}
