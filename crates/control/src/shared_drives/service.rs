//! The rules of shared drives.

use std::collections::BTreeMap;

use deckle_api::details::Detail;
use deckle_api::ids::{PrivateNetworkId, SharedDriveId, TeamId};
use deckle_api::paging::Page;
use deckle_api::regions::Region;
use deckle_api::shared_drives::{
    CreateSharedDrive, ListSharedDrives, ResizeSharedDrive, SharedDrive, SharedDriveOrder, UpdateSharedDrive,
};
use deckle_api::sizes::{GB, SizeGb};
use deckle_api::usage::UsageKind;
use deckle_engine::specs::drives_address;
use ipnet::Ipv4Net;
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::policy::Intent;
use super::store::{self, Column, Model};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::progress::{self, Standing};
use crate::quotas::Noun;
use crate::reconciler::Object;
use crate::store::{Cursors, Text};
use crate::usage::meter::{self, Billed};
use crate::{names, private_networks, protections, quotas, regions, usage};

mod copies;
mod passwords;
mod room;

pub use copies::{exportable, replaceable};
pub(super) use passwords::opened;
use room::Room;

/// The page of a team's drives that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListSharedDrives) -> Result<Page<SharedDrive>> {
    let region = query.region.as_ref().map(Region::code);
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = ("shared-drives", &caller.team, order_by.word(), order, &query.name, &region);
    let cursors = Cursors::of(&app.sealer, list);
    let sort = match order_by {
        SharedDriveOrder::DtCreated => Column::DtCreated,
        SharedDriveOrder::Name => Column::Name,
    };
    let mut listing = store::listing(&caller.team, region.as_deref(), sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    listing.name = query.name.map(|part| (Column::NameFolded, part));
    let page = listing.page(app.store.read()).await?.page(|next| cursors.write(next), |row| row);
    let networks: Vec<_> = page.items.iter().map(|row| row.network_id.0.clone()).collect();
    let cidrs = private_networks::service::cidrs(app.store.read(), &networks).await?;
    let shown = page.items.into_iter().map(|row| shown(app, row, &cidrs));
    let items = shown.collect::<Result<Vec<_>>>()?;
    Ok(Page { has_more: page.has_more, next_page: page.next_page, items })
}

/// A team's drive, as it is told.
pub async fn get(app: &App, caller: &Caller, id: &SharedDriveId) -> Result<SharedDrive> {
    let row = find(app.store.read(), caller, id).await?;
    shown_alone(app, app.store.read(), row).await
}

async fn find(store: &impl ConnectionTrait, caller: &Caller, id: &SharedDriveId) -> Result<Model> {
    let row = store::find(store, id).await?;
    let row = row.filter(|row| row.team_id.0 == caller.team && row.dt_deleted.is_none());
    row.ok_or_else(|| Error::no_such("shared drive", id))
}

/// Makes a drive.
pub async fn create(app: &App, caller: &Caller, wanted: CreateSharedDrive) -> Result<SharedDrive> {
    caller.must_be_admin("create shared drives")?;
    let name = names::checked("name", &wanted.name)?;
    let region = regions::checked(app, &wanted.region)?;
    let size_gib = size_gib(app, wanted.size)?;
    let room = Room::look(app, &region).await?;
    let mut tx = app.store.begin().await?;
    let network = private_networks::service::find(&*tx, &caller.team, &wanted.network_id).await;
    let network = network.map_err(|error| error.of_field("networkId"))?;
    if network.region != region {
        let wrong = format!("{} is in the region {}, the drive in {region}", network.id.0, network.region);
        return Err(Error::field("networkId", wrong));
    }
    usage::service::admit(app, &tx, &caller.team, &caller.user).await?;
    quotas::service::admit(app, &tx, &caller.team, &Noun::SharedDrives, 1).await?;
    quotas::service::admit(app, &tx, &caller.team, &Noun::SharedDrivesGb, size_gib.unsigned_abs()).await?;
    room.must_hold(app, &*tx, size_gib).await?;
    let id = SharedDriveId::mint(app.clock.random());
    let row = Model {
        id: Text(id.clone()),
        team_id: Text(caller.team.clone()),
        network_id: network.id,
        name_folded: names::folded(&name),
        name,
        region,
        size_gib,
        username: id.to_string(),
        password: passwords::sealed(app, &id),
        password_number: 1,
        protected: false,
        intent: Text(Intent::Present),
        settled: false,
        orders: 1,
        made_gib: 0,
        trouble: None,
        trouble_lasts: false,
        dt_trouble: None,
        dt_created: app.clock.now().into(),
        dt_deleted: None,
        forgotten: false,
    };
    let row = store::insert(&*tx, row).await?;
    meter::begin(&*tx, &caller.team, &caller.user, &billed(&row)).await?;
    let drive = shown_alone(app, &*tx, row).await?;
    tx.wake(Object::SharedDrive(id));
    commit_once(app, tx, caller, &drive).await?;
    Ok(drive)
}

/// What is billed of a drive until it is deleted.
fn billed(row: &Model) -> Billed {
    Billed {
        kind: UsageKind::Drive,
        object: row.id.0.to_string(),
        machine: None,
        machine_type: None,
        size_gib: row.size_gib,
    }
}

fn size_gib(app: &App, size: SizeGb) -> Result<i64> {
    let largest = app.config.limits.drive_gb;
    let whole = size.whole().filter(|size| (1..=largest).contains(size));
    let whole = whole.and_then(|size| i64::try_from(size).ok());
    whole.ok_or_else(|| Error::field("size", format!("expected a whole number of GB from 1 to {largest}")))
}

/// Changes a drive's name.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &SharedDriveId,
    wanted: UpdateSharedDrive,
) -> Result<SharedDrive> {
    caller.must_be_admin("change shared drives")?;
    let name = wanted.name.map(|name| names::checked("name", &name)).transpose()?;
    let tx = app.store.begin().await?;
    let mut row = find(&*tx, caller, id).await?;
    if let Some(name) = name {
        let mut changes = store::changes(&row);
        changes.name_folded = Set(names::folded(&name));
        changes.name = Set(name);
        row = store::update(&*tx, changes).await?;
    }
    let drive = shown_alone(app, &*tx, row).await?;
    tx.commit().await?;
    Ok(drive)
}

/// Wants a drive larger.
pub async fn resize(
    app: &App,
    caller: &Caller,
    id: &SharedDriveId,
    wanted: ResizeSharedDrive,
) -> Result<SharedDrive> {
    caller.must_be_admin("resize shared drives")?;
    let region = find(app.store.read(), caller, id).await?.region;
    let size_gib = size_gib(app, wanted.size)?;
    let room = Room::look(app, &region).await?;
    let mut tx = app.store.begin().await?;
    let mut row = find(&*tx, caller, id).await?;
    if size_gib < row.size_gib {
        return Err(Error::Precondition(format!(
            "size: {id} has {} GB and cannot shrink to {size_gib} GB; ask for more, or copy what is needed to a smaller drive",
            row.size_gib
        )));
    }
    if size_gib > row.size_gib {
        let more = (size_gib - row.size_gib).unsigned_abs();
        quotas::service::admit(app, &tx, &caller.team, &Noun::SharedDrivesGb, more).await?;
        room.must_hold(app, &*tx, size_gib - row.size_gib).await?;
        let mut changes = store::changes(&row);
        changes.size_gib = Set(size_gib);
        row = store::order(&*tx, &row, changes).await?;
        meter::resize(&*tx, UsageKind::Drive, id.as_str(), size_gib).await?;
        tx.wake(Object::SharedDrive(id.clone()));
    }
    let drive = shown_alone(app, &*tx, row).await?;
    commit_once(app, tx, caller, &drive).await?;
    Ok(drive)
}

/// Gives a drive a new password. The old one stops working.
pub async fn rotate_password(app: &App, caller: &Caller, id: &SharedDriveId) -> Result<SharedDrive> {
    caller.must_be_admin("rotate the passwords of shared drives")?;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, caller, id).await?;
    let mut changes = store::changes(&row);
    changes.password = Set(passwords::sealed(app, id));
    changes.password_number = Set(row.password_number + 1);
    let row = store::order(&*tx, &row, changes).await?;
    tx.wake(Object::SharedDrive(id.clone()));
    let drive = shown_alone(app, &*tx, row).await?;
    commit_once(app, tx, caller, &drive).await?;
    Ok(drive)
}

/// Deletes a drive, and all that is in it.
pub async fn delete(app: &App, caller: &Caller, id: &SharedDriveId) -> Result<()> {
    caller.must_be_admin("delete shared drives")?;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, caller, id).await?;
    protections::refuse(row.protected, &format!("shared-drives/{id}"))?;
    store::order_gone(&*tx, &row, app.clock.now()).await?;
    meter::end(&*tx, UsageKind::Drive, id.as_str()).await?;
    tx.wake(Object::SharedDrive(id.clone()));
    tx.commit().await?;
    Ok(())
}

/// How a drive fares on its host: a deleted one too, as long as its host has something of it.
pub async fn detail(app: &App, caller: &Caller, id: &SharedDriveId) -> Result<Detail> {
    let row = store::find(app.store.read(), id).await?;
    let row = row.filter(|row| row.team_id.0 == caller.team && !row.forgotten);
    let row = row.ok_or_else(|| Error::no_such("shared drive", id))?;
    let created = (row.made_gib == 0).then_some(row.dt_created);
    let standing = Standing {
        settled: row.settled,
        trouble: row.trouble,
        dt_trouble: row.dt_trouble.map(Into::into),
        failures: None,
        ordered: row.dt_deleted.or(created).map(Into::into),
    };
    progress::detail(app, &Object::SharedDrive(id.clone()), standing).await
}

/// Whether a drive is protected against deletion.
pub async fn protection(app: &App, caller: &Caller, id: &SharedDriveId) -> Result<bool> {
    Ok(find(app.store.read(), caller, id).await?.protected)
}

/// Protects a drive against deletion, or no longer.
pub async fn protect(app: &App, caller: &Caller, id: &SharedDriveId, protected: bool) -> Result<()> {
    caller.must_be_admin("protect shared drives")?;
    let tx = app.store.begin().await?;
    let row = find(&*tx, caller, id).await?;
    let mut changes = store::changes(&row);
    changes.protected = Set(protected);
    store::update(&*tx, changes).await?;
    tx.commit().await?;
    Ok(())
}

/// How many drives a team has, and their sizes together in GB.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<(u64, u64)> {
    Ok(store::count(store, team).await?)
}

/// The drives that are in a network, each by its id and its name.
pub async fn in_network(store: &impl ConnectionTrait, network: &PrivateNetworkId) -> Result<Vec<String>> {
    let drives = store::in_network(store, network).await?.into_iter();
    let drives = drives.filter(|row| row.dt_deleted.is_none());
    Ok(drives.map(|row| format!("{} ({})", row.id.0, row.name)).collect())
}

/// The drives that a network's host has something of, deleted ones too.
pub async fn left_in(store: &impl ConnectionTrait, network: &PrivateNetworkId) -> Result<Vec<SharedDriveId>> {
    let drives = store::in_network(store, network).await?;
    Ok(drives.into_iter().map(|row| row.id.0).collect())
}

/// The drives that a host has, or is to have or to lose.
pub async fn to_visit(app: &App) -> Result<Vec<SharedDriveId>> {
    Ok(store::to_visit(app.store.read()).await?)
}

/// How many drives are not yet as they are wanted.
pub async fn count_unsettled(app: &App) -> Result<u64> {
    Ok(store::count_unsettled(app.store.read()).await?)
}

async fn shown_alone(app: &App, store: &impl ConnectionTrait, row: Model) -> Result<SharedDrive> {
    let cidrs = private_networks::service::cidrs(store, std::slice::from_ref(&row.network_id.0)).await?;
    shown(app, row, &cidrs)
}

fn shown(app: &App, row: Model, cidrs: &BTreeMap<PrivateNetworkId, Ipv4Net>) -> Result<SharedDrive> {
    let password = opened(app, &row)?;
    let (id, network_id) = (row.id.0, row.network_id.0);
    let lost = || Error::ours(format!("show {id}"), format!("its network {network_id} has no row"));
    let cidr = cidrs.get(&network_id).copied().ok_or_else(lost)?;
    Ok(SharedDrive {
        mount_point: format!("\\\\{}\\{id}", drives_address(cidr)),
        id,
        name: row.name,
        region: Region(row.region),
        size: row.size_gib.unsigned_abs() * GB,
        username: row.username,
        password,
        network_id,
        dt_created: row.dt_created.into(),
        dt_deleted: row.dt_deleted.map(|moment| Some(moment.into())),
    })
}
