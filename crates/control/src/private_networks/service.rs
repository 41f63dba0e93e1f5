//! The rules of private networks.

use std::collections::BTreeMap;

use deckle_api::Timestamp;
use deckle_api::details::Detail;
use deckle_api::ids::{PrivateNetworkId, TeamId};
use deckle_api::paging::Page;
use deckle_api::private_networks::{
    CreatePrivateNetwork, ListPrivateNetworks, PrivateNetwork, PrivateNetworkOrder,
};
use deckle_api::regions::Region;
use deckle_engine::specs::{HostNetwork, NetworkSpec};
use ipnet::Ipv4Net;
use sea_orm::ConnectionTrait;

use super::store::{self, Model, Trouble};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::reconciler::Object;
use crate::store::{Cursors, Tx};
use crate::{firewall_rules, machines, names, regions, shared_drives};

/// A network's addresses in all are a /21: this many bits of them.
const SLOT_BITS: u32 = 11;

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
    if wanted.migrate_machines.unwrap_or(false) {
        let message = "migrateMachines: moving machines into a network is not built yet; leave it out";
        return Err(Error::Precondition(message.to_owned()));
    }
    let id = PrivateNetworkId::mint(app.clock.random());
    let mut tx = app.store.begin().await?;
    let slots = i64::try_from(app.config.network_slots()).unwrap_or(i64::MAX);
    let slot = store::take_slot(&*tx, &id, slots).await?.ok_or_else(|| pool_is_full(app, slots))?;
    let row = store::insert(&*tx, &id, &caller.team, name, region, cidr(app, slot), app.clock.now()).await?;
    tx.wake(Object::PrivateNetwork(id));
    let network = shown(row);
    commit_once(app, tx, caller, &network).await?;
    Ok(network)
}

fn pool_is_full(app: &App, slots: i64) -> Error {
    let pool = app.config.private_pool;
    Error::Precondition(format!(
        "all {slots} networks of the pool {pool} are in use; delete one, or ask the operator for a larger pool"
    ))
}

/// The /24 in use of a slot's /21.
fn cidr(app: &App, slot: i64) -> Ipv4Net {
    let first = u32::from(app.config.private_pool.network()) + ((slot as u32) << SLOT_BITS);
    Ipv4Net::new_assert(first.into(), 24)
}

/// A team's network.
pub async fn get(app: &App, caller: &Caller, id: &PrivateNetworkId) -> Result<PrivateNetwork> {
    Ok(shown(find(app.store.read(), &caller.team, id).await?))
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

/// How a network fares on its host.
pub async fn detail(app: &App, caller: &Caller, id: &PrivateNetworkId) -> Result<Detail> {
    let row = find(app.store.read(), &caller.team, id).await?;
    Ok(Detail {
        is_ready: row.settled && row.trouble.is_none(),
        dt_trouble: row.dt_trouble.filter(|_| row.trouble.is_some()).map(Into::into),
        trouble: row.trouble,
    })
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
