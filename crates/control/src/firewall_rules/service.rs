//! The rules of firewall rules.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use deckle_api::firewall_rules::{
    CreateFirewallRule, FirewallProtocol, FirewallRule, FirewallRuleOrder, ListFirewallRules,
};
use deckle_api::ids::{FirewallRuleId, MachineId, PrivateNetworkId, TeamId};
use deckle_api::paging::Page;
use deckle_engine::specs;
use ipnet::Ipv4Net;
use sea_orm::ConnectionTrait;

use super::store::{self, Model};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::store::{Cursors, Text, Tx};
use crate::{machines, names, private_networks};

/// What a rule is for.
enum Target {
    Network(PrivateNetworkId),
    Machine(MachineId),
}

/// The page of a team's rules that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListFirewallRules) -> Result<Page<FirewallRule>> {
    let FirewallRuleOrder::DtCreated = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let (network, machine) = (query.network_id.as_ref(), query.machine_id.as_ref());
    let list = ("firewall-rules", &caller.team, order, network, machine);
    let cursors = Cursors::of(&app.sealer, list);
    let mut listing = store::listing(&caller.team, network, machine);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
}

/// A team's rule, as it is told.
pub async fn get(app: &App, caller: &Caller, id: &FirewallRuleId) -> Result<FirewallRule> {
    Ok(shown(find(app.store.read(), caller, id).await?))
}

async fn find(store: &impl ConnectionTrait, caller: &Caller, id: &FirewallRuleId) -> Result<Model> {
    let row = store::find(store, id).await?.filter(|row| row.team_id.0 == caller.team);
    row.ok_or_else(|| Error::no_such("firewall rule", id))
}

/// Makes a rule.
pub async fn create(app: &App, caller: &Caller, wanted: CreateFirewallRule) -> Result<FirewallRule> {
    caller.must_be_admin("create firewall rules")?;
    let ports = ports(&wanted)?;
    let cidr = cidr(wanted.cidr.as_deref().unwrap_or("0.0.0.0/0"))?;
    let target = target(&wanted)?;
    let description = wanted.description.map(|words| names::checked("description", &words)).transpose()?;
    let mut tx = app.store.begin().await?;
    let there = of_target(&tx, caller, &target).await?;
    let (network_id, machine_id) = match target {
        Target::Network(id) => (Some(Text(id)), None),
        Target::Machine(id) => (None, Some(Text(id))),
    };
    let row = Model {
        id: Text(FirewallRuleId::mint(app.clock.random())),
        team_id: Text(caller.team.clone()),
        network_id,
        machine_id,
        direction: Text(wanted.direction),
        protocol: Text(wanted.protocol.unwrap_or_default()),
        port_from: ports.map(|(from, _)| from.into()),
        port_to: ports.map(|(_, to)| to.into()),
        cidr: Text(cidr),
        description,
        dt_created: app.clock.now().into(),
    };
    if let Some(same) = there.iter().find(|other| allows(other) == allows(&row)) {
        return Err(Error::Conflict(format!("the firewall rule {} allows the same already", same.id.0)));
    }
    let most = app.config.limits.firewall_rules;
    if there.len() as u64 >= most {
        let of = row.machine_id.as_ref().map(|id| id.0.to_string());
        let of = of.or(row.network_id.as_ref().map(|id| id.0.to_string())).unwrap_or_default();
        let told = format!("{of} has {most} firewall rules, and may have no more; delete one first");
        return Err(Error::Precondition(told));
    }
    let row = store::insert(&*tx, row).await?;
    bring_into_force(&mut tx, caller, &row).await?;
    let rule = shown(row);
    commit_once(app, tx, caller, &rule).await?;
    Ok(rule)
}

/// The first and the last port, where there are any.
fn ports(wanted: &CreateFirewallRule) -> Result<Option<(u16, u16)>> {
    let protocol = wanted.protocol.unwrap_or_default();
    let has_ports = matches!(protocol, FirewallProtocol::Tcp | FirewallProtocol::Udp);
    for (field, port) in [("portFrom", wanted.port_from), ("portTo", wanted.port_to)] {
        match port {
            Some(_) if !has_ports => {
                return Err(Error::field(field, "only the protocols tcp and udp have ports; leave it out"));
            }
            Some(0) => return Err(Error::field(field, "expected a port from 1 to 65535")),
            _ => {}
        }
    }
    match (wanted.port_from, wanted.port_to) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::field("portTo", "send portFrom too, or leave both out")),
        (Some(from), to) if to.is_some_and(|to| to < from) => {
            Err(Error::field("portTo", format!("expected a port from {from}, which is portFrom, to 65535")))
        }
        (Some(from), to) => Ok(Some((from, to.unwrap_or(from)))),
    }
}

/// A range of addresses, by its first address and its length; an address is the range of itself.
fn cidr(text: &str) -> Result<Ipv4Net> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.into());
    }
    let wrong = |_| Error::field("cidr", "expected an IPv4 range such as 203.0.113.0/24, or an address");
    let range = text.parse::<Ipv4Net>().map_err(wrong)?;
    if range != range.trunc() {
        let told = format!("{range} is an address inside a range; the range is {}", range.trunc());
        return Err(Error::field("cidr", told));
    }
    Ok(range)
}

fn target(wanted: &CreateFirewallRule) -> Result<Target> {
    match (&wanted.network_id, &wanted.machine_id) {
        (Some(network), None) => Ok(Target::Network(network.clone())),
        (None, Some(machine)) => Ok(Target::Machine(machine.clone())),
        (None, None) => Err(Error::field("networkId, machineId", "one of them is required")),
        (Some(_), Some(_)) => {
            Err(Error::field("networkId, machineId", "a rule is for one of them; leave the other out"))
        }
    }
}

/// The rules that there are for a team's network or machine.
async fn of_target(tx: &Tx, caller: &Caller, target: &Target) -> Result<Vec<Model>> {
    Ok(match target {
        Target::Network(id) => {
            let network = private_networks::service::find(&**tx, &caller.team, id).await;
            network.map_err(|error| error.of_field("networkId"))?;
            store::of_network(&**tx, &caller.team, id).await?
        }
        Target::Machine(id) => {
            let machine = machines::service::get(&**tx, caller, id).await;
            machine.map_err(|error| error.of_field("machineId"))?;
            store::of_machines(&**tx, &caller.team, &[id]).await?
        }
    })
}

/// What a rule allows, for comparing it with another one of the same target.
fn allows(row: &Model) -> impl PartialEq {
    (row.direction, row.protocol, row.port_from, row.port_to, row.cidr)
}

/// Removes a rule.
pub async fn delete(app: &App, caller: &Caller, id: &FirewallRuleId) -> Result<()> {
    caller.must_be_admin("delete firewall rules")?;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, caller, id).await?;
    store::delete(&*tx, id).await?;
    bring_into_force(&mut tx, caller, &row).await?;
    tx.commit().await?;
    Ok(())
}

/// Has the network visited that a rule is part of.
async fn bring_into_force(tx: &mut Tx, caller: &Caller, row: &Model) -> Result<()> {
    if let Some(network) = &row.network_id {
        private_networks::service::unsettle(tx, &network.0).await?;
    }
    if let Some(machine) = &row.machine_id {
        match machines::service::get(&**tx, caller, &machine.0).await?.network_id {
            Some(network) => private_networks::service::unsettle(tx, &network.0).await?,
            None => machines::service::unsettle(tx, &machine.0).await?,
        }
    }
    Ok(())
}

/// The rules of a network go with it.
pub async fn forget_network(
    store: &impl ConnectionTrait,
    team: &TeamId,
    network: &PrivateNetworkId,
) -> Result<()> {
    Ok(store::delete_of_network(store, team, network).await?)
}

/// The rules of a machine go with it, from the network that it was in too.
pub async fn forget_machine(
    tx: &mut Tx,
    team: &TeamId,
    machine: &MachineId,
    network: Option<&PrivateNetworkId>,
) -> Result<()> {
    let had_any = store::delete_of_machine(&**tx, team, machine).await? > 0;
    if let Some(network) = network.filter(|_| had_any) {
        private_networks::service::unsettle(tx, network).await?;
    }
    Ok(())
}

/// The rules of a machine leave a network with it.
pub async fn leave(
    tx: &mut Tx,
    team: &TeamId,
    machine: &MachineId,
    network: &PrivateNetworkId,
) -> Result<()> {
    if store::of_machines(&**tx, team, &[machine]).await?.is_empty() {
        return Ok(());
    }
    private_networks::service::unsettle(tx, network).await
}

/// All that may pass in a private network: by its own rules, and by those of the machines that are in it.
pub async fn of_network(
    store: &impl ConnectionTrait,
    team: &TeamId,
    network: &PrivateNetworkId,
    cidr: Ipv4Net,
) -> Result<Vec<specs::FirewallRule>> {
    let rules = store::of_network(store, team, network).await?.into_iter();
    let rules = rules.map(|row| told_to_host(&row, cidr));
    let places: BTreeMap<_, _> =
        machines::service::places_in_network(store, network).await?.into_iter().collect();
    let machines: Vec<_> = places.keys().collect();
    let of_machines = store::of_machines(store, team, &machines).await?;
    let of_machines = of_machines.iter().filter_map(|row| {
        let place = places.get(&row.machine_id.as_ref()?.0)?;
        Some(told_to_host(row, Ipv4Net::from(*place)))
    });
    Ok(in_order(rules.chain(of_machines)))
}

/// All that may pass in the network that a machine has to itself.
pub async fn of_machine(
    store: &impl ConnectionTrait,
    team: &TeamId,
    machine: &MachineId,
    address: Ipv4Addr,
) -> Result<Vec<specs::FirewallRule>> {
    let rules = store::of_machines(store, team, &[machine]).await?;
    Ok(in_order(rules.iter().map(|row| told_to_host(row, Ipv4Net::from(address)))))
}

/// One order for one set: what a host has is compared with it.
fn in_order(rules: impl Iterator<Item = specs::FirewallRule>) -> Vec<specs::FirewallRule> {
    let mut rules: Vec<_> = rules.collect();
    rules.sort();
    rules.dedup();
    rules
}

fn told_to_host(row: &Model, machines: Ipv4Net) -> specs::FirewallRule {
    specs::FirewallRule {
        machines,
        direction: row.direction.0,
        protocol: row.protocol.0,
        ports: port(row.port_from).zip(port(row.port_to)),
        peers: row.cidr.0,
    }
}

fn port(number: Option<i64>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok())
}

fn shown(row: Model) -> FirewallRule {
    FirewallRule {
        id: row.id.0,
        network_id: row.network_id.map(|id| id.0),
        machine_id: row.machine_id.map(|id| id.0),
        direction: row.direction.0,
        protocol: row.protocol.0,
        port_from: port(row.port_from),
        port_to: port(row.port_to),
        cidr: row.cidr.0.to_string(),
        description: row.description,
        dt_created: row.dt_created.into(),
    }
}
