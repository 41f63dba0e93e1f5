//! The rules of public addresses: who may have one, and where it leads.

use std::net::Ipv4Addr;

use deckle_api::ids::{MachineId, TeamId, UserId};
use deckle_api::paging::Page;
use deckle_api::public_ips::{ClaimPublicIp, ListPublicIps, PublicIp, PublicIpOrder};
use deckle_api::regions::Region;
use deckle_api::usage::UsageKind;
use sea_orm::ConnectionTrait;

use super::pools::{self, Range};
use super::store::{self, Model};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::quotas::{self, Noun};
use crate::store::{Cursors, Text, Tx, ip as ip_of, number};
use crate::usage::meter::{self, Billed};
use crate::{machines, protections, regions, usage};

/// The page of a team's claimed addresses that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListPublicIps) -> Result<Page<PublicIp>> {
    let PublicIpOrder::DtCreated = query.order_by.unwrap_or_default();
    let region = query.region.as_ref().map(Region::code);
    let order = query.order.unwrap_or_default();
    let cursors = Cursors::of(&app.sealer, ("public-ips", &caller.team, order, &region));
    let mut listing = store::listing(&caller.team, region.as_deref());
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
}

/// Claims an address for the team. It leads nowhere yet.
pub async fn claim(app: &App, caller: &Caller, wanted: &ClaimPublicIp) -> Result<PublicIp> {
    caller.must_be_admin("claim public addresses")?;
    let region = regions::checked(app, &wanted.region)?;
    let tx = app.store.begin().await?;
    let row = take(app, &tx, (&caller.team, &caller.user), &region, None).await?;
    let claimed = shown(row);
    commit_once(app, tx, caller, &claimed).await?;
    Ok(claimed)
}

/// Claims an address for a machine of a team and a user in it, in the machine's own transaction. The machine
/// holds none.
pub async fn claim_for(
    app: &App,
    tx: &Tx,
    owner: (&TeamId, &UserId),
    region: &str,
    machine: &MachineId,
) -> Result<Ipv4Addr> {
    Ok(ip_of(take(app, tx, owner, region, Some(machine)).await?.ip))
}

async fn take(
    app: &App,
    tx: &Tx,
    (team, user): (&TeamId, &UserId),
    region: &str,
    machine: Option<&MachineId>,
) -> Result<Model> {
    usage::service::admit(app, tx, team, user).await?;
    quotas::service::admit(app, tx, team, &Noun::PublicIps, 1).await?;
    let Some(ip) = free(app, &**tx, region, machine).await? else {
        return Err(Error::Precondition(format!(
            "all public addresses of the region {region} are in use; release one, or ask the operator for more"
        )));
    };
    let row = store::given(ip, machine, Some((team, region, app.clock.now())));
    store::put(&**tx, row.clone()).await?;
    // Claimed, it is billed until it is released, whatever it leads to.
    let billed = Billed {
        kind: UsageKind::Address,
        object: ip_of(ip).to_string(),
        machine: None,
        machine_type: None,
        size_gib: 0,
    };
    meter::begin(&**tx, team, user, &billed).await?;
    Ok(row)
}

/// Holds a free address for a machine while that is on, if one is left.
pub async fn hold(app: &App, tx: &Tx, region: &str, machine: &MachineId) -> Result<Option<Ipv4Addr>> {
    let Some(ip) = free(app, &**tx, region, Some(machine)).await? else { return Ok(None) };
    store::put(&**tx, store::given(ip, Some(machine), None)).await?;
    Ok(Some(ip_of(ip)))
}

/// A free address of a region, for a machine or for none: one that was given back, else one that was never
/// given out. Where the ranges have not changed since the first was, both are found at the ends of an index.
async fn free(
    app: &App,
    store: &impl ConnectionTrait,
    region: &str,
    machine: Option<&MachineId>,
) -> Result<Option<i64>> {
    let ranges: Vec<_> = app.config.public_pools_of(region).iter().map(Range::of).collect();
    for range in &ranges {
        if let Some(free) = store::lowest_free(store, *range, machine).await? {
            return Ok(Some(free));
        }
        let next = store::highest(store, *range).await?.map_or(range.first, |highest| highest + 1);
        if next <= range.last {
            return Ok(Some(next));
        }
    }
    for range in &ranges {
        // One that is used up is not walked through.
        if store::count_known(store, *range).await? >= range.size() {
            continue;
        }
        if let Some(gap) = pools::gap(*range, &store::known(store, *range).await?) {
            return Ok(Some(gap));
        }
    }
    Ok(None)
}

/// Takes its address from a machine: a claimed one stays claimed, another one is free once its host leads it
/// there no longer. To be called with an order to the machine, in one transaction: its visits say so.
pub async fn take_from(tx: &Tx, machine: &MachineId) -> Result<()> {
    store::leaves(&**tx, machine).await?;
    Ok(store::let_go(&**tx, machine).await?)
}

/// Takes its address from a machine that it was seen not to lead to: a claimed one stays claimed, another one
/// is free again.
pub async fn let_go(tx: &Tx, machine: &MachineId) -> Result<()> {
    Ok(store::let_go(&**tx, machine).await?)
}

/// The addresses that were taken from a machine and not yet seen to have left it, other than the one that its
/// host was seen to lead there.
pub async fn gone_from(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    led: Option<Ipv4Addr>,
) -> Result<Vec<i64>> {
    let led = led.map(number);
    Ok(store::leaving(store, machine).await?.into_iter().filter(|ip| Some(*ip) != led).collect())
}

/// Says that addresses lead to a machine no longer: others may have them.
pub async fn has_left(tx: &Tx, machine: &MachineId, ips: &[i64]) -> Result<()> {
    Ok(store::has_left(&**tx, machine, ips).await?)
}

/// The machine that an address belongs to, whether or not it leads there.
pub async fn holder(store: &impl ConnectionTrait, ip: Ipv4Addr) -> Result<Option<MachineId>> {
    let row = store::find(store, number(ip)).await?;
    Ok(row.and_then(|row| row.machine_id).map(|id| id.0))
}

/// Leads a team's address to a machine, or to none. What had it has it no longer, and what the machine had
/// is free, or claimed and unassigned.
pub async fn assign(
    app: &App,
    caller: &Caller,
    ip: Ipv4Addr,
    machine: Option<&MachineId>,
) -> Result<PublicIp> {
    caller.must_be_admin("assign public addresses")?;
    let mut tx = app.store.begin().await?;
    let mut row = find(&*tx, &caller.team, ip).await?;
    let target = match machine {
        Some(id) => Some(machines::service::assignable(&*tx, caller, id, row.region.as_deref()).await?),
        None => None,
    };
    if row.machine_id.as_ref().map(|id| &id.0) != machine {
        take_away(app, &mut tx, &row).await?;
        row.machine_id = machine.cloned().map(Text);
        if let Some(target) = target {
            take_from(&tx, &target.id.0).await?;
            store::put(&*tx, row.clone()).await?;
            machines::service::gain_public_ip(app, &mut tx, &target, ip).await?;
        }
        tx.commit().await?;
    }
    Ok(shown(row))
}

/// Takes an address from the machine that it leads to, if it leads to one. It stays claimed.
async fn take_away(app: &App, tx: &mut Tx, row: &Model) -> Result<()> {
    let Some(machine) = &row.machine_id else { return Ok(()) };
    take_from(tx, &machine.0).await?;
    machines::service::lose_public_ip(app, tx, &machine.0).await
}

/// Gives a team's address back. Where it leads to a machine, it is taken from there before another may have it.
pub async fn release(app: &App, caller: &Caller, ip: Ipv4Addr) -> Result<()> {
    caller.must_be_admin("release public addresses")?;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, ip).await?;
    protections::refuse(row.protected, &format!("public-ips/{ip}"))?;
    take_away(app, &mut tx, &row).await?;
    store::put(&*tx, store::given(row.ip, None, None)).await?;
    meter::end(&*tx, UsageKind::Address, &ip.to_string()).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether an address is protected against release.
pub async fn protection(app: &App, caller: &Caller, ip: &Ipv4Addr) -> Result<bool> {
    Ok(find(app.store.read(), &caller.team, *ip).await?.protected)
}

/// Protects an address against release, or no longer.
pub async fn protect(app: &App, caller: &Caller, ip: &Ipv4Addr, protected: bool) -> Result<()> {
    caller.must_be_admin("protect public addresses")?;
    let tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, *ip).await?;
    store::put(&*tx, Model { protected, ..row }).await?;
    tx.commit().await?;
    Ok(())
}

/// How many addresses a team has claimed.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64> {
    Ok(store::count(store, team).await?)
}

async fn find(store: &impl ConnectionTrait, team: &TeamId, ip: Ipv4Addr) -> Result<Model> {
    let row = store::find(store, number(ip)).await?;
    let row = row.filter(|row| row.team_id.as_ref().is_some_and(|owner| owner.0 == *team));
    row.ok_or_else(|| Error::no_such("public address", ip))
}

fn shown(row: Model) -> PublicIp {
    PublicIp {
        ip: ip_of(row.ip),
        region: Region(row.region.unwrap_or_default()),
        assigned_machine_id: row.machine_id.map(|id| id.0),
        dt_created: row.dt_created.unwrap_or_default().into(),
    }
}
