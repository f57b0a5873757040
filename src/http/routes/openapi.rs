//! The API as a document; the types of the player are made from it.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi as Document, PathItem, Ref, ResponseBuilder};

use crate::http::access::SESSION_COOKIE;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::Query;
use crate::http::routes::{
    BASE_PATH, admin, cast, health, lines, recordings, runs, screen, session, stream, telemetry,
    terminal, terminal_socket, terminals, tokens, trace,
};
use crate::http::schema;

// The schemas that stand in answers are found through the paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Runcast",
        description = "Streams the console of every step of a workflow run, live and byte-exact, keeps it, and plays it back."
    ),
    paths(
        get_openapi,
        admin::memory::get_memory,
        admin::sessions::get_sessions,
        admin::actors::get_actors,
        admin::streams::get_streams,
        admin::stats::get_stats,
        admin::instances::get_instances,
        admin::memory::clean_up,
        cast::get_cast,
        cast::head_cast,
        health::healthz,
        health::readyz,
        health::metrics,
        lines::get_lines,
        recordings::get_index,
        recordings::get_recordings,
        runs::submit_run,
        runs::list_runs,
        runs::get_run,
        runs::get_run_status,
        runs::change_run,
        runs::cancel_run,
        runs::purge_run,
        screen::get_screen,
        session::get_session,
        session::open_session,
        session::close_session,
        stream::stream_run,
        stream::stream_node,
        stream::get_events,
        telemetry::count_events,
        terminal::get_chunks,
        terminal::resize_terminal,
        terminal::add_marker,
        terminal_socket::attach,
        terminals::list_terminals,
        terminals::list_project_terminals,
        terminals::open_terminal,
        terminals::get_terminal,
        terminals::end_terminal,
        terminals::resize_session,
        terminals::get_session_screen,
        tokens::create_token,
        trace::get_trace,
    ),
    components(schemas(schema::ErrorBody))
)]
struct Annotations;

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::at("/openapi.json").on(Method::GET, web::to(get_openapi))]
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", security(()),
    responses((status = 200, description = "The OpenAPI document", body = Object)),
)]
pub(crate) async fn get_openapi(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Query::none(&request)?;
    Ok(HttpResponse::Ok().json(document()))
}

/// The whole document: what stands at the handlers, the refusals each of them can give, and how to prove who one is.
pub fn document() -> Document {
    let mut document = Annotations::openapi();
    let paths = std::mem::take(&mut document.paths.paths);
    for (path, mut item) in paths {
        for operation in operations_of(&mut item) {
            add_refusals(&path, operation);
        }
        let is_root = health::endpoints().iter().any(|endpoint| endpoint.path() == path);
        let whole = if is_root { path } else { format!("{BASE_PATH}{path}") };
        document.paths.paths.insert(whole, item);
    }
    let components = document.components.get_or_insert_default();
    let schemes = [
        ("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build())),
        ("query", SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::new("access_token")))),
        ("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE)))),
    ];
    let no_scopes: [&str; 0] = [];
    document.security =
        Some(schemes.iter().map(|(name, _)| SecurityRequirement::new(*name, no_scopes)).collect());
    for (name, scheme) in schemes {
        components.security_schemes.insert(name.to_owned(), scheme.into());
    }
    document
}

fn operations_of(item: &mut PathItem) -> Vec<&mut Operation> {
    let all = [
        &mut item.get,
        &mut item.head,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
        &mut item.put,
    ];
    all.into_iter().flatten().collect()
}

fn add_refusals(path: &str, operation: &mut Operation) {
    use ErrorCode::{
        Conflict, Forbidden, Gone, Internal, LimitExceeded, NotFound, PayloadTooLarge,
        Unauthenticated, Unavailable, UnsupportedMediaType, ValidationFailed,
    };
    let mut codes = vec![Internal];
    if path != "/healthz" && path != "/readyz" {
        codes.extend([ValidationFailed, Unauthenticated, Forbidden, LimitExceeded, Unavailable]);
    }
    if path.contains('{') {
        codes.extend([NotFound, Gone]);
    }
    if path.starts_with("/runs") || path.starts_with("/terminals/") {
        codes.extend([Conflict, Gone]);
    }
    if operation.request_body.is_some() {
        codes.extend([PayloadTooLarge, UnsupportedMediaType]);
    }
    for code in codes {
        let (name, status) = code.name_and_status();
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let response =
            ResponseBuilder::new().description(name).content("application/json", content).build();
        let responses = &mut operation.responses.responses;
        responses.entry(status.as_u16().to_string()).or_insert_with(|| response.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::http::routes::{api_endpoints, root_endpoints};

    fn json() -> Value {
        serde_json::to_value(document()).expect("a document")
    }

    #[test]
    fn every_route_is_documented_and_every_documented_route_exists() {
        let mut mounted = BTreeSet::new();
        for (prefix, endpoints) in [("", root_endpoints()), (BASE_PATH, api_endpoints())] {
            for endpoint in endpoints {
                for method in endpoint.methods() {
                    let method = method.as_str().to_ascii_lowercase();
                    mounted.insert((format!("{prefix}{}", endpoint.path()), method));
                }
            }
        }
        let document = json();
        let paths = document["paths"].as_object().expect("paths").iter();
        let documented: BTreeSet<(String, String)> = paths
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("an item").keys();
                methods.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(mounted, documented);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = json();
        let text = document.to_string();
        let mut found = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().expect("a text");
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            found += 1;
        }
        assert!(found > 50, "only {found} references");
    }

    #[test]
    fn mirrors_have_the_members_of_the_real_ones() {
        let document = json();
        let stored = crate::http::testing::full_run();
        let trace = crate::http::testing::full_trace_event();
        for (name, value) in [
            ("Run", serde_json::to_value(&stored).expect("JSON")),
            ("Node", serde_json::to_value(&stored).expect("JSON")["nodes"][0].clone()),
            ("RunSpec", crate::http::testing::full_spec()),
            ("NodeSpec", crate::http::testing::full_spec()["nodes"][0].clone()),
            ("TraceEvent", trace),
            ("TerminalSession", crate::http::testing::full_session()),
        ] {
            let members: BTreeSet<&String> = value.as_object().expect(name).keys().collect();
            let schema = &document["components"]["schemas"][name]["properties"];
            let mirrored: BTreeSet<&String> = schema.as_object().expect(name).keys().collect();
            assert_eq!(members, mirrored, "{name}");
        }
    }

    #[test]
    fn refusals_are_documented() {
        let document = json();
        let responses = &document["paths"]["/api/v1/runs"]["post"]["responses"];
        for status in
            ["200", "201", "400", "401", "403", "409", "410", "413", "415", "429", "500", "503"]
        {
            assert!(responses[status].is_object(), "{status}");
        }
    }
}
