//! The paths of custom templates.

use axum::extract::State;
use deckle_api::custom_templates::{
    CreateCustomTemplate, CustomTemplate, CustomTemplateOrdered, ListCustomTemplates, UpdateCustomTemplate,
};
use deckle_api::ids::TemplateId;
use deckle_api::paging::Page;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of custom templates.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// List custom templates
#[utoipa::path(get, path = "/custom-templates", operation_id = "customTemplates-list", tag = "Custom Templates",
    params(ListCustomTemplates), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<CustomTemplate>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListCustomTemplates>,
) -> Answer<Page<CustomTemplate>> {
    show(service::list(&app, &caller, query).await?)
}

/// Make a template of a machine
#[utoipa::path(post, path = "/custom-templates", operation_id = "customTemplates-create", tag = "Custom Templates",
    request_body = CreateCustomTemplate, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = CustomTemplateOrdered), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreateCustomTemplate>,
) -> Answer<CustomTemplateOrdered> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a custom template
#[utoipa::path(get, path = "/custom-templates/{id}", operation_id = "customTemplates-get", tag = "Custom Templates",
    params(("id" = TemplateId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = CustomTemplate), Failure))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<TemplateId>) -> Answer<CustomTemplate> {
    show(service::get(&app, &caller, &id).await?)
}

/// Rename a custom template
#[utoipa::path(put, path = "/custom-templates/{id}", operation_id = "customTemplates-update", tag = "Custom Templates",
    params(("id" = TemplateId, Path)), request_body = UpdateCustomTemplate, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = CustomTemplate), Failure))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TemplateId>,
    Body(wanted): Body<UpdateCustomTemplate>,
) -> Answer<CustomTemplate> {
    show(service::update(&app, &caller, &id, wanted).await?)
}

/// Delete a custom template
#[utoipa::path(delete, path = "/custom-templates/{id}", operation_id = "customTemplates-delete", tag = "Custom Templates",
    params(("id" = TemplateId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = CustomTemplate), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TemplateId>,
    _: Ignored,
) -> Answer<CustomTemplate> {
    show(service::delete(&app, &caller, &id).await?)
}
