//! A path with its methods, so that what is mounted can be told: to `Allow`, and to whoever checks the documentation.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};

use crate::http::error::ApiError;

/// A path and what it answers to.
pub struct Endpoint {
    path: &'static str,
    routes: Vec<(Method, Route)>,
}

impl Endpoint {
    /// At this path, below the base path.
    pub fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new() }
    }

    /// Also answers to this method: `web::to(handler)`.
    pub fn on(mut self, method: Method, route: Route) -> Self {
        self.routes.push((method.clone(), route.method(method)));
        self
    }

    /// The path, with parameters in braces.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The methods.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.routes.iter().map(|(method, _)| method)
    }

    /// To be mounted; other methods are told which ones are allowed.
    pub fn into_resource(self) -> Resource {
        let names: Vec<&str> = self.routes.iter().map(|(method, _)| method.as_str()).collect();
        let allowed = names.join(", ");
        let refuse = move |request: HttpRequest| {
            let error = ApiError::method_not_allowed(request.method().as_str(), &allowed);
            async move { Err::<HttpResponse, ApiError>(error) }
        };
        let mut resource = web::resource(self.path).default_service(web::to(refuse));
        for (_, route) in self.routes {
            resource = resource.route(route);
        }
        resource
    }
}
