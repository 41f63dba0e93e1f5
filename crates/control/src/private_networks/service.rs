//! The rules of private networks.

mod ranges;

pub use ranges::checked as checked_range;

use std::collections::BTreeMap;

use deckle_api::Timestamp;
use deckle_api::details::Detail;
use deckle_api::ids::{PrivateNetworkId, TeamId};
use deckle_api::paging::{Limit, Page};
use deckle_api::private_networks::{
    CreatePrivateNetwork, ListPrivateNetworks, PrivateNetwork, PrivateNetworkOrder, UpdatePrivateNetwork,
};
use deckle_api::regions::Region;
use deckle_engine::specs::{HostNetwork, NetworkSpec};
use ipnet::Ipv4Net;
use sea_orm::ConnectionTrait;

use super::store::{self, Model, Seen, Trouble};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::progress::{self, Standing};
use crate::quotas::{self, Noun};
use crate::reconciler::Object;
use crate::store::{Cursors, Position, Rows, Tx};
use crate::{firewall_rules, machines, names, protections, regions, shared_drives};

/// What both dialects say of a network to make.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The code of its region.
    pub region: String,
    /// The /21 that it is to own, rather than one of the pool.
    pub range: Option<Ipv4Net>,
}

/// The page of a team's networks that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListPrivateNetworks) -> Result<Page<PrivateNetwork>> {
    let region = query.region.as_ref().map(Region::code);
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = ("private-networks", &caller.team, order_by.word(), order, &query.name, &region);
    let cursors = Cursors::of(&app.sealer, list);
    let sort = match order_by {
        PrivateNetworkOrder::DtCreated => store::Column::DtCreated,
        PrivateNetworkOrder::Name => store::Column::Name,
    };
    let mut listing = store::listing(&caller.team, region.as_deref(), sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    listing.name = query.name.map(|part| (store::Column::NameFolded, part));
    Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
}

/// Makes a network.
pub async fn create(app: &App, caller: &Caller, wanted: CreatePrivateNetwork) -> Result<PrivateNetwork> {
    caller.must_be_admin("create private networks")?;
    let name = names::checked("name", &wanted.name)?;
    let region = regions::checked(app, &wanted.region)?;
    let mut tx = app.store.begin().await?;
    let row = make(app, &mut tx, caller, Wanted { name, region, range: None }).await?;
    if wanted.migrate_machines.unwrap_or(false) {
        machines::service::move_all_into(app, &mut tx, &caller.team, &row).await?;
    }
    let network = shown(row);
    commit_once(app, tx, caller, &network).await?;
    Ok(network)
}

/// Makes a network in a transaction, for either dialect.
pub async fn make(app: &App, tx: &mut Tx, caller: &Caller, wanted: Wanted) -> Result<Model> {
    quotas::service::admit(app, tx, &caller.team, &Noun::PrivateNetworks, 1).await?;
    let id = PrivateNetworkId::mint(app.clock.random());
    let cidr = ranges::take(app, tx, caller, &id, wanted.range).await?;
    let Wanted { name, region, .. } = wanted;
    let row = store::insert(&**tx, &id, &caller.team, name, region, cidr, app.clock.now()).await?;
    tx.wake(Object::PrivateNetwork(id));
    Ok(row)
}

/// The page of a team's networks with what is attached to them, the newest first.
pub async fn page_seen(
    store: &impl ConnectionTrait,
    team: &TeamId,
    region: Option<&str>,
    limit: Limit,
    after: Option<Position>,
) -> Result<Rows<Seen>> {
    let mut listing = store::listing_seen(team, region);
    (listing.limit, listing.after) = (limit, after);
    listing.page_of(store, |seen: &Seen| &seen.network).await
}

/// A team's network with what is attached to it.
pub async fn find_seen(store: &impl ConnectionTrait, team: &TeamId, id: &PrivateNetworkId) -> Result<Seen> {
    let seen = store::find_seen(store, id).await?.filter(|seen| seen.network.team_id.0 == *team);
    seen.ok_or_else(|| Error::no_such("private network", id))
}

/// A team's network.
pub async fn get(app: &App, caller: &Caller, id: &PrivateNetworkId) -> Result<PrivateNetwork> {
    Ok(shown(find(app.store.read(), &caller.team, id).await?))
}

/// Changes a network's name.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &PrivateNetworkId,
    wanted: UpdatePrivateNetwork,
) -> Result<PrivateNetwork> {
    caller.must_be_admin("change private networks")?;
    let name = wanted.name.map(|name| names::checked("name", &name)).transpose()?;
    let tx = app.store.begin().await?;
    let mut row = find(&*tx, &caller.team, id).await?;
    if let Some(name) = name {
        row = store::rename(&*tx, &row, name).await?;
        tx.commit().await?;
    }
    Ok(shown(row))
}

/// Whether a network is protected against deletion.
pub async fn protection(app: &App, caller: &Caller, id: &PrivateNetworkId) -> Result<bool> {
    Ok(find(app.store.read(), &caller.team, id).await?.protected)
}

/// Protects a network against deletion, or no longer.
pub async fn protect(app: &App, caller: &Caller, id: &PrivateNetworkId, protected: bool) -> Result<()> {
    caller.must_be_admin("protect private networks")?;
    let tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    store::protect(&*tx, &row, protected).await?;
    tx.commit().await?;
    Ok(())
}

/// How many networks a team has.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64> {
    Ok(store::count(store, team).await?)
}

/// A team's network, for another noun that refers to it.
pub async fn find(store: &impl ConnectionTrait, team: &TeamId, id: &PrivateNetworkId) -> Result<Model> {
    let row = store::find(store, id).await?.filter(|row| row.team_id.0 == *team && row.dt_deleted.is_none());
    row.ok_or_else(|| Error::no_such("private network", id))
}

/// What a network is to be on its host.
pub async fn spec(store: &impl ConnectionTrait, row: &Model) -> Result<NetworkSpec> {
    let network = HostNetwork::Private(row.id.0.clone());
    let firewall = firewall_rules::service::of_network(store, &row.team_id.0, &row.id.0, row.cidr.0).await?;
    Ok(NetworkSpec { network, cidr: row.cidr.0, firewall })
}

/// What the network with an id is to be on its host.
pub async fn spec_of(store: &impl ConnectionTrait, id: &PrivateNetworkId) -> Result<NetworkSpec> {
    let row = store::find(store, id).await?;
    let gone = || Error::ours(format!("find the network {id} of a machine"), "it has no row");
    spec(store, &row.ok_or_else(gone)?).await
}

/// The addresses in use of some networks.
pub async fn cidrs(
    store: &impl ConnectionTrait,
    networks: &[PrivateNetworkId],
) -> Result<BTreeMap<PrivateNetworkId, Ipv4Net>> {
    Ok(store::cidrs(store, networks).await?.into_iter().collect())
}

/// Says that a network is to be something else on its host: it is visited.
pub async fn unsettle(tx: &mut Tx, id: &PrivateNetworkId) -> Result<()> {
    store::unsettle(&**tx, id).await?;
    tx.wake(Object::PrivateNetwork(id.clone()));
    Ok(())
}

/// How a network fares on its host: a deleted one too, as long as its host has something of it.
pub async fn detail(app: &App, caller: &Caller, id: &PrivateNetworkId) -> Result<Detail> {
    let row = store::find(app.store.read(), id).await?;
    let row = row.filter(|row| row.team_id.0 == caller.team && !row.forgotten);
    let row = row.ok_or_else(|| Error::no_such("private network", id))?;
    let created = (!row.made).then_some(row.dt_created);
    let standing = Standing {
        settled: row.settled,
        trouble: row.trouble,
        dt_trouble: row.dt_trouble.map(Into::into),
        failures: None,
        ordered: row.dt_deleted.or(created).map(Into::into),
    };
    progress::detail(app, &Object::PrivateNetwork(id.clone()), standing).await
}

/// What has kept a network from its host since a moment, if anything has.
pub async fn trouble_since(
    store: &impl ConnectionTrait,
    id: &PrivateNetworkId,
    since: Timestamp,
) -> Result<Option<Trouble>> {
    let Some(row) = store::find(store, id).await? else { return Ok(None) };
    let recent = row.dt_trouble.is_some_and(|moment| Timestamp::from(moment) >= since);
    let lasts = row.trouble_lasts;
    Ok(row.trouble.filter(|_| recent).map(|told| Trouble { told, lasts }))
}

/// Deletes a network that nothing is in.
pub async fn delete(app: &App, caller: &Caller, id: &PrivateNetworkId) -> Result<()> {
    caller.must_be_admin("delete private networks")?;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    protections::refuse(row.protected, &format!("private-networks/{id}"))?;
    let machines = machines::service::in_network(&*tx, id).await?;
    let drives = shared_drives::service::in_network(&*tx, id).await?;
    must_be_empty(id, &machines, &drives)?;
    firewall_rules::service::forget_network(&*tx, &row.team_id.0, id).await?;
    store::aim_gone(&*tx, &row, app.clock.now()).await?;
    tx.wake(Object::PrivateNetwork(id.clone()));
    tx.commit().await?;
    Ok(())
}

/// What is in a network is named, with what can be done about it.
fn must_be_empty(id: &PrivateNetworkId, machines: &[String], drives: &[String]) -> Result<()> {
    let (machines, drives) = (machines.join(", "), drives.join(", "));
    let told = match (machines.as_str(), drives.as_str()) {
        ("", "") => return Ok(()),
        (machines, "") => format!("machines: {machines}; delete or move them first"),
        ("", drives) => format!("shared drives: {drives}; delete them first"),
        (machines, drives) => format!(
            "machines: {machines}, and shared drives: {drives}; delete or move the machines and delete the drives first"
        ),
    };
    Err(Error::Precondition(format!("{id} still has {told}")))
}

/// The networks that the host has, or is to have or to lose.
pub async fn to_visit(app: &App) -> Result<Vec<PrivateNetworkId>> {
    Ok(store::to_visit(app.store.read()).await?)
}

/// How many networks are not yet as they are wanted.
pub async fn count_unsettled(app: &App) -> Result<u64> {
    Ok(store::count_unsettled(app.store.read()).await?)
}

fn shown(row: Model) -> PrivateNetwork {
    PrivateNetwork {
        id: row.id.0,
        name: row.name,
        region: Region(row.region),
        network: row.cidr.0.network().to_string(),
        netmask: row.cidr.0.netmask().to_string(),
        dt_created: row.dt_created.into(),
        dt_deleted: row.dt_deleted.map(|moment| Some(moment.into())),
    }
}
