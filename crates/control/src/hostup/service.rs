//! What the second dialect asks of private networks.

use deckle_api::hostup::{
    ListNetworks, NAME_CHARS_MAX, PnetId, PrivateNetworkCreate, PrivateNetworkDetail, PrivateNetworkPage,
    ProblemCode,
};
use deckle_api::ids::PrivateNetworkId;
use deckle_api::paging::Limit;
use deckle_api::regions::Region;
use sea_orm::ConnectionTrait;

use super::views;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Caller, Refusal};
use crate::idempotency::commit_once;
use crate::private_networks::{self, NetworkSeen};
use crate::quotas::Noun;
use crate::store::Cursors;
use crate::{machines, names, quotas, regions};

/// The page of a team's networks that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListNetworks) -> Result<PrivateNetworkPage, Refusal> {
    let region = query.region.as_deref();
    let cursors = Cursors::of(&app.sealer, ("v2/private-networks", &caller.team, region));
    let after = query.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose();
    let after = after.map_err(|_| wrong_cursor())?;
    let limit = Limit::new(query.limit.into()).unwrap_or_default();
    let moment = app.store.snapshot().await.map_err(Error::from)?;
    let rows = private_networks::service::page_seen(&moment, &caller.team, region, limit, after).await?;
    let full = quotas::service::is_full(app, &moment, &caller.team, &Noun::PrivateNetworks).await?;
    let next_cursor = rows.next.as_ref().map(|next| cursors.write(next));
    let data = rows.rows.iter().map(|seen| views::item(seen, full)).collect::<Result<_>>()?;
    Ok(PrivateNetworkPage { data, has_more: next_cursor.is_some(), next_cursor })
}

fn wrong_cursor() -> Refusal {
    let told = "expected the `nextCursor` of a page of the same team and region";
    Refusal::of(ProblemCode::InvalidCursor, Error::field("cursor", told))
}

/// Makes a network.
pub async fn create(
    app: &App,
    caller: &Caller,
    wanted: PrivateNetworkCreate,
) -> Result<PrivateNetworkDetail, Refusal> {
    caller.must_be_admin("create private networks")?;
    let wanted = checked(app, &wanted)?;
    let mut tx = app.store.begin().await.map_err(Error::from)?;
    let made = private_networks::service::make(app, &mut tx, caller, wanted).await;
    let network = made.map_err(|error| match error {
        Error::Conflict(_) => Refusal::of(ProblemCode::PrivateNetworkOverlap, error),
        error => error.into(),
    })?;
    let detail = detail(app, &*tx, caller, &NetworkSeen { network, machines: 0, drives: 0 }).await?;
    commit_once(app, tx, caller, &detail).await?;
    Ok(detail)
}

fn checked(app: &App, wanted: &PrivateNetworkCreate) -> Result<private_networks::service::Wanted> {
    let name = names::checked("name", &wanted.name)?;
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(Error::field(
            "name",
            format!("expected 1 to {NAME_CHARS_MAX} characters, found {chars}"),
        ));
    }
    let first = || app.config.regions.first().cloned().unwrap_or_default();
    let region = regions::checked(app, &Region(wanted.region.clone().unwrap_or_else(first)))?;
    let range = wanted.parent_cidr.as_deref();
    let range = range.map(|text| private_networks::service::checked_range(app, "parentCidr", text));
    Ok(private_networks::service::Wanted { name, region, range: range.transpose()? })
}

/// A team's network with what is in it.
pub async fn get(app: &App, caller: &Caller, id: Option<PnetId>) -> Result<PrivateNetworkDetail, Refusal> {
    let moment = app.store.snapshot().await.map_err(Error::from)?;
    let seen = find(&moment, caller, id).await?;
    Ok(detail(app, &moment, caller, &seen).await?)
}

/// Deletes a network that nothing is attached to.
pub async fn delete(app: &App, caller: &Caller, id: Option<PnetId>) -> Result<(), Refusal> {
    caller.must_be_admin("delete private networks")?;
    let seen = find(app.store.read(), caller, id).await?;
    let id = &seen.network.id.0;
    let deleted = private_networks::service::delete(app, caller, id).await;
    deleted.map_err(|error| match error {
        Error::Precondition(_) => Refusal::of(ProblemCode::NetworkInUse, error),
        Error::NotFound(_) => unknown(),
        error => error.into(),
    })
}

async fn detail(
    app: &App,
    store: &impl ConnectionTrait,
    caller: &Caller,
    seen: &NetworkSeen,
) -> Result<PrivateNetworkDetail> {
    let attached = machines::service::attached_to(store, &seen.network.id.0).await?;
    let full = quotas::service::is_full(app, store, &caller.team, &Noun::PrivateNetworks).await?;
    views::detail(seen, attached, full)
}

/// The team's network that an id leads to, if the id is one that was told.
async fn find(
    store: &impl ConnectionTrait,
    caller: &Caller,
    id: Option<PnetId>,
) -> Result<NetworkSeen, Refusal> {
    let named: Option<(PnetId, PrivateNetworkId)> = id.and_then(|id| Some((id, id.network()?)));
    let Some((id, network)) = named else { return Err(unknown()) };
    match private_networks::service::find_seen(store, &caller.team, &network).await {
        Ok(seen) if views::id(&seen.network)? == id => Ok(seen),
        Ok(_) | Err(Error::NotFound(_)) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

/// The same for each id that leads nowhere: nothing is told of another team's networks.
fn unknown() -> Refusal {
    let told = Error::NotFound("the team has no private network with this id".to_owned());
    Refusal::of(ProblemCode::PrivateNetworkNotFound, told)
}
