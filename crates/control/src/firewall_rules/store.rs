//! The rows of firewall rules.

use deckle_api::firewall_rules::{FirewallDirection, FirewallProtocol};
use deckle_api::ids::{FirewallRuleId, MachineId, PrivateNetworkId, TeamId};
use ipnet::Ipv4Net;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder};

use crate::store::{Listing, Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "firewall_rules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<FirewallRuleId>,
    pub team_id: Text<TeamId>,
    pub network_id: Option<Text<PrivateNetworkId>>,
    pub machine_id: Option<Text<MachineId>>,
    pub direction: Text<FirewallDirection>,
    pub protocol: Text<FirewallProtocol>,
    pub port_from: Option<i64>,
    pub port_to: Option<i64>,
    pub cidr: Text<Ipv4Net>,
    pub description: Option<String>,
    pub dt_created: Micros,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A team's rules, to be ordered and cut.
pub fn listing(
    team: &TeamId,
    network: Option<&PrivateNetworkId>,
    machine: Option<&MachineId>,
) -> Listing<Entity> {
    let mut rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    if let Some(network) = network {
        rows = rows.filter(Column::NetworkId.eq(network.as_str()));
    }
    if let Some(machine) = machine {
        rows = rows.filter(Column::MachineId.eq(machine.as_str()));
    }
    Listing::of(rows, Column::DtCreated, Column::Id)
}

/// A rule, whoever's it is.
pub async fn find(store: &impl ConnectionTrait, id: &FirewallRuleId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(id.clone())).one(store).await
}

/// The rules for a network, the oldest first.
pub async fn of_network(
    store: &impl ConnectionTrait,
    team: &TeamId,
    network: &PrivateNetworkId,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    let rows = rows.filter(Column::NetworkId.eq(network.as_str()));
    rows.order_by(Column::DtCreated, Order::Asc).order_by(Column::Id, Order::Asc).all(store).await
}

/// The rules for some machines of a team, in no set order.
pub async fn of_machines(
    store: &impl ConnectionTrait,
    team: &TeamId,
    machines: &[&MachineId],
) -> Result<Vec<Model>, DbErr> {
    if machines.is_empty() {
        return Ok(Vec::new());
    }
    let ids = machines.iter().map(|machine| machine.as_str());
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows.filter(Column::MachineId.is_in(ids)).all(store).await
}

/// Adds a rule.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// Removes a rule.
pub async fn delete(store: &impl ConnectionTrait, id: &FirewallRuleId) -> Result<(), DbErr> {
    Entity::delete_by_id(Text(id.clone())).exec(store).await.map(drop)
}

/// Removes the rules for a network.
pub async fn delete_of_network(
    store: &impl ConnectionTrait,
    team: &TeamId,
    network: &PrivateNetworkId,
) -> Result<(), DbErr> {
    let rows = Entity::delete_many().filter(Column::TeamId.eq(team.as_str()));
    rows.filter(Column::NetworkId.eq(network.as_str())).exec(store).await.map(drop)
}

/// Removes the rules for a machine: how many there were.
pub async fn delete_of_machine(
    store: &impl ConnectionTrait,
    team: &TeamId,
    machine: &MachineId,
) -> Result<u64, DbErr> {
    let rows = Entity::delete_many().filter(Column::TeamId.eq(team.as_str()));
    Ok(rows.filter(Column::MachineId.eq(machine.as_str())).exec(store).await?.rows_affected)
}
