//! The paths of firewall rules.

use axum::extract::State;
use deckle_api::firewall_rules::{CreateFirewallRule, FirewallRule, FirewallRuleDeleted, ListFirewallRules};
use deckle_api::ids::FirewallRuleId;
use deckle_api::paging::Page;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of firewall rules.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, delete))
}

/// List firewall rules
#[utoipa::path(get, path = "/firewall-rules", operation_id = "firewallRules-list", tag = "Beyond the reference",
    params(ListFirewallRules), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<FirewallRule>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListFirewallRules>,
) -> Answer<Page<FirewallRule>> {
    show(service::list(&app, &caller, query).await?)
}

/// Create a firewall rule
#[utoipa::path(post, path = "/firewall-rules", operation_id = "firewallRules-create", tag = "Beyond the reference",
    request_body = CreateFirewallRule, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = FirewallRule), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreateFirewallRule>,
) -> Answer<FirewallRule> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a firewall rule
#[utoipa::path(get, path = "/firewall-rules/{id}", operation_id = "firewallRules-get", tag = "Beyond the reference",
    params(("id" = FirewallRuleId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = FirewallRule), Failure))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<FirewallRuleId>) -> Answer<FirewallRule> {
    show(service::get(&app, &caller, &id).await?)
}

/// Delete a firewall rule
#[utoipa::path(delete, path = "/firewall-rules/{id}", operation_id = "firewallRules-delete", tag = "Beyond the reference",
    params(("id" = FirewallRuleId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = FirewallRuleDeleted), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallRuleId>,
    _: Ignored,
) -> Answer<FirewallRuleDeleted> {
    service::delete(&app, &caller, &id).await?;
    show(FirewallRuleDeleted { id })
}
