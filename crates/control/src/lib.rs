//! Deckle's mind: what may be asked, what is wanted, and how a host is led there.
//!
//! **Invariant**: nothing here touches a host. All that happens on one happens behind
//! [`Engine`](deckle_engine::Engine).

pub mod admin;
pub mod app;
pub mod catalogue;
pub mod clock;
pub mod config;
mod custom_templates;
pub mod error;
mod firewall_rules;
mod gpus;
mod hostup;
pub mod http;
mod idempotency;
mod machine_events;
mod machine_types;
mod machines;
pub mod meters;
mod names;
mod os_templates;
mod passwords;
mod patience;
mod private_networks;
mod progress;
mod protections;
mod public_ips;
mod quotas;
pub mod rates;
pub mod reconciler;
mod regions;
mod retention;
pub mod seal;
mod sessions;
mod shared_drives;
mod snapshots;
mod ssh_keys;
pub mod start;
mod startup_scripts;
pub mod store;
mod teams;
pub mod transfers;
mod usage;

use axum::routing::get;
use axum::{Json, Router};
use utoipa_axum::router::OpenApiRouter;

use app::App;

/// The table of contents of the v1 API: a line a noun.
fn v1() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(http::openapi::head())
        .merge(sessions::routes())
        .merge(machines::http::routes())
        .merge(machines::accessors::http::routes())
        .merge(machine_events::routes())
        .merge(machine_types::routes())
        .merge(os_templates::routes())
        .merge(custom_templates::http::routes())
        .merge(private_networks::http::routes())
        .merge(shared_drives::http::routes())
        .merge(firewall_rules::http::routes())
        .merge(public_ips::http::routes())
        .merge(snapshots::http::routes())
        .merge(startup_scripts::http::routes())
        .merge(ssh_keys::routes())
        .merge(usage::http::routes())
}

/// The table of contents of the v2 API, the second dialect.
fn v2() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(http::openapi::second_head()).merge(hostup::http::routes())
}

/// The description of the v2 API.
pub fn openapi_v2() -> serde_json::Value {
    http::openapi::document(v2().get_openapi())
}

/// The description of the v1 API.
pub fn openapi_v1() -> serde_json::Value {
    http::openapi::document(v1().get_openapi())
}

/// All that the API's listener serves.
pub fn router(app: App) -> Router {
    let (routes, api) = v1().split_for_parts();
    let document = http::openapi::document(&api);
    let routes = routes.route("/openapi.json", get(move || std::future::ready(Json(document.clone()))));
    let (second, api) = v2().split_for_parts();
    let document = http::openapi::document(&api);
    let second = second.route("/openapi.json", get(move || std::future::ready(Json(document.clone()))));
    let limit_s = app.config.limits.request_s;
    http::shell(Router::new().nest("/v1", routes).nest("/api/v2", second), app, http::Door::Api, limit_s)
}

/// All that the operator's socket serves.
pub fn admin_router(app: App) -> Router {
    let limit_s = app.config.limits.operator_s;
    http::shell(admin::routes(), app, http::Door::Operator, limit_s)
}
