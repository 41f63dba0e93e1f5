//! What an operator asks of the running server, over `STATE/admin.sock`: who can open it is the operator.
//!
//! **Invariant**: these routes are served on that socket only, never on the API's listener.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, post};
use deckle_api::admin::{
    ApiKey, CreateApiKey, CreateTeam, Gpu, ImportTemplate, Leak, Member, SetLimits, SetMember, SetSpendCap,
    Team, Template,
};
use deckle_api::ids::{ApiKeyId, TeamId, TemplateId, TransferId, UserId};
use deckle_api::transfers::{Export, Import, Transfer};
use deckle_engine::pci::PciAddress;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Answer, Body, Pair, Path, show};
use crate::{
    custom_templates, gpus, machines, os_templates, private_networks, shared_drives, teams, transfers,
};

/// The operator's paths.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/teams", get(list_teams).post(create_team))
        .route("/admin/teams/{id}/limits", post(set_limits))
        .route("/admin/teams/{id}/cap", post(set_cap))
        .route("/admin/teams/{id}/members", post(set_member))
        .route("/admin/teams/{id}/members/{user_id}", delete(remove_member))
        .route("/admin/keys", get(list_keys).post(create_key))
        .route("/admin/keys/{id}", delete(delete_key))
        .route("/admin/templates", get(list_templates).post(import_template))
        .route("/admin/templates/{id}", delete(delete_template))
        .route("/admin/gpus", get(list_gpus))
        .route("/admin/gpus/{address}/release", post(release_gpu))
        .route("/admin/exports", post(export))
        .route("/admin/imports", post(import))
        .route("/admin/transfers", get(list_transfers))
        .route("/admin/transfers/{id}", get(get_transfer))
        .route("/admin/leaks", get(leaks))
}

async fn list_teams(State(app): State<App>) -> Answer<Vec<Team>> {
    show(teams::service::list(&app).await?)
}

async fn create_team(State(app): State<App>, Body(wanted): Body<CreateTeam>) -> Answer<Team> {
    show(teams::service::create(&app, wanted).await?)
}

async fn set_limits(
    State(app): State<App>,
    Path(team): Path<TeamId>,
    Body(wanted): Body<SetLimits>,
) -> Answer<Team> {
    show(teams::service::set_limits(&app, &team, wanted).await?)
}

async fn set_cap(
    State(app): State<App>,
    Path(team): Path<TeamId>,
    Body(wanted): Body<SetSpendCap>,
) -> Answer<Team> {
    show(teams::service::set_cap(&app, &team, wanted).await?)
}

async fn set_member(
    State(app): State<App>,
    Path(team): Path<TeamId>,
    Body(wanted): Body<SetMember>,
) -> Answer<Member> {
    show(teams::service::set_member(&app, &team, wanted).await?)
}

async fn remove_member(State(app): State<App>, Pair(team, user): Pair<TeamId, UserId>) -> Answer<Team> {
    show(teams::service::remove_member(&app, &team, &user).await?)
}

async fn list_keys(State(app): State<App>) -> Answer<Vec<ApiKey>> {
    show(teams::service::list_keys(&app).await?)
}

async fn create_key(State(app): State<App>, Body(wanted): Body<CreateApiKey>) -> Answer<ApiKey> {
    show(teams::service::create_key(&app, wanted).await?)
}

async fn delete_key(State(app): State<App>, Path(id): Path<ApiKeyId>) -> Answer<()> {
    teams::service::delete_key(&app, &id).await?;
    show(())
}

async fn list_templates(State(app): State<App>) -> Answer<Vec<Template>> {
    show(os_templates::service::all(&app).await?)
}

async fn import_template(State(app): State<App>, Body(wanted): Body<ImportTemplate>) -> Answer<Template> {
    show(os_templates::service::import(&app, wanted).await?)
}

async fn delete_template(State(app): State<App>, Path(id): Path<TemplateId>) -> Answer<()> {
    os_templates::service::delete(&app, &id).await?;
    show(())
}

async fn list_gpus(State(app): State<App>) -> Answer<Vec<Gpu>> {
    show(gpus::service::list(&app).await?)
}

async fn release_gpu(State(app): State<App>, Path(address): Path<PciAddress>) -> Answer<Gpu> {
    show(gpus::service::release(&app, &address).await?)
}

async fn export(State(app): State<App>, Body(wanted): Body<Export>) -> Answer<Transfer> {
    show(transfers::service::export(&app, wanted).await?)
}

async fn import(State(app): State<App>, Body(wanted): Body<Import>) -> Answer<Transfer> {
    show(transfers::service::import(&app, wanted).await?)
}

async fn list_transfers(State(app): State<App>) -> Answer<Vec<Transfer>> {
    show(transfers::service::list(&app).await)
}

async fn get_transfer(State(app): State<App>, Path(id): Path<TransferId>) -> Answer<Transfer> {
    show(transfers::service::get(&app, &id).await?)
}

async fn leaks(State(app): State<App>) -> Answer<Vec<Leak>> {
    show(find_leaks(&app).await?)
}

/// What this installation has on its hosts and no row explains.
pub async fn find_leaks(app: &App) -> Result<Vec<Leak>> {
    let mut things = Vec::new();
    for engine in app.engines() {
        let seen = engine.look_things().await;
        things.extend(seen.map_err(|fault| Error::ours("look at what a host has", fault))?);
    }
    let machines = machines::service::to_visit(app).await?.into_iter().map(|id| id.to_string());
    let networks = private_networks::service::to_visit(app).await?.into_iter().map(|id| id.to_string());
    let templates = os_templates::service::all(app).await?.into_iter().map(|row| row.template.id.to_string());
    let custom = custom_templates::service::on_hosts(app).await?.into_iter().map(|id| id.to_string());
    let drives = shared_drives::service::to_visit(app).await?.into_iter().map(|id| id.to_string());
    let explained: BTreeSet<_> =
        machines.chain(networks).chain(drives).chain(templates).chain(custom).collect();
    let unexplained = things.into_iter().filter(|thing| !explained.contains(&thing.of));
    Ok(unexplained.map(|thing| Leak { kind: thing.kind, name: thing.name, of: thing.of }).collect())
}
