//! The table that the page of routes fills: what each route is, and who may call it.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware::{from_fn_with_state, map_response},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};

use super::access::{self, Gate};
use crate::{limits::LimitedAction, web::Dialect};

/// Who may call a route. Whoever adds one has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Anybody, but an address only so often.
    Counted(LimitedAction),
    /// Whoever holds what the handler itself asks for: a token of a certain kind.
    Own(Option<LimitedAction>),
    /// Any credential.
    Any,
    /// A token of the Auth0 tenant.
    Tenant,
}

/// One route, as tests and documents see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with names in braces.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// Routes with their handlers.
pub(super) struct Table {
    gate: Gate,
    router: Router,
    listed: Vec<Route>,
}

impl Table {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, router: Router::new(), listed: Vec::new() }
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        access: Access,
        handler: MethodRouter,
    ) -> Self {
        let gate = self.gate.clone();
        let handler = match access {
            Access::Public | Access::Own(None) => handler,
            Access::Counted(action) | Access::Own(Some(action)) => {
                let state = (gate, action);
                handler.route_layer(from_fn_with_state(state, access::counted))
            }
            Access::Any => handler.route_layer(from_fn_with_state(gate, access::any)),
            Access::Tenant => handler.route_layer(from_fn_with_state(gate, access::tenant)),
        };
        self.router = self.router.route(path, handler);
        self.listed.push(Route { method, path, access });
        self
    }

    /// A route that acts for clients of another service, who read its errors.
    pub(super) fn door<H, T, S>(
        mut self,
        path: &'static str,
        dialect: Dialect,
        handler: H,
        state: S,
    ) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
        S: Clone + Send + Sync + 'static,
    {
        let told = move |mut response: Response| async move {
            response.extensions_mut().insert(dialect);
            response
        };
        let gate = from_fn_with_state(self.gate.clone(), access::any);
        let handler = on(MethodFilter::POST, handler).with_state(state);
        let handler = handler.route_layer(gate).route_layer(map_response(told));
        self.router = self.router.route(path, handler);
        self.listed.push(Route { method: Method::POST, path, access: Access::Any });
        self
    }

    /// The router, and what is in it.
    pub(super) fn finish(self) -> (Router, Vec<Route>) {
        (self.router, self.listed)
    }
}

/// One builder for each method that the service has.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $method:ident;)*) => {
        impl Table {
            $($(#[$doc])*
            pub(super) fn $name<H, T, S>(
                self,
                path: &'static str,
                access: Access,
                handler: H,
                state: S,
            ) -> Self
            where
                H: Handler<T, S>,
                T: 'static,
                S: Clone + Send + Sync + 'static,
            {
                let handler = on(MethodFilter::$method, handler).with_state(state);
                self.add(Method::$method, path, access, handler)
            })*
        }
    };
}

methods! {
    /// A route that is read.
    get = GET;
    /// A route that acts.
    post = POST;
    /// A route that removes.
    delete = DELETE;
}
