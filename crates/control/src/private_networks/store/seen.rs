//! Networks together with what is attached to them, in one query.

use deckle_api::ids::{PrivateNetworkId, TeamId};
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryResult, QuerySelect, Select};

use super::{Column, Entity, Model};
use crate::store::{Listing, Text};

/// The machines in a network, and those on their way into it.
const MACHINES: &str = "(SELECT COUNT(*) FROM machines WHERE machines.network_id = private_networks.id \
     AND machines.dt_deleted IS NULL) \
     + (SELECT COUNT(*) FROM machines WHERE machines.moving_to = private_networks.id \
     AND machines.moving_to IS NOT NULL AND machines.dt_deleted IS NULL \
     AND (machines.network_id IS NULL OR machines.network_id <> private_networks.id))";
/// The shared drives in a network.
const DRIVES: &str = "(SELECT COUNT(*) FROM shared_drives WHERE shared_drives.network_id = private_networks.id \
     AND NOT shared_drives.forgotten AND shared_drives.dt_deleted IS NULL)";

/// A network, and how many things are attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The network.
    pub network: Model,
    /// How many machines.
    pub machines: u64,
    /// How many shared drives.
    pub drives: u64,
}

impl FromQueryResult for Seen {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let count = |column| row.try_get::<i64>(prefix, column).map(i64::unsigned_abs);
        Ok(Self {
            network: Model::from_query_result(row, prefix)?,
            machines: count("machines")?,
            drives: count("drives")?,
        })
    }
}

fn with_counts(rows: Select<Entity>) -> Select<Entity> {
    rows.column_as(Expr::cust(MACHINES), "machines").column_as(Expr::cust(DRIVES), "drives")
}

/// A team's networks with what is attached to them, to be cut; the newest first.
pub fn listing_seen(team: &TeamId, region: Option<&str>) -> Listing<Entity> {
    let mut listing = super::listing(team, region, Column::DtCreated);
    listing.rows = with_counts(listing.rows);
    listing
}

/// A network that is not deleted, with what is attached to it, whoever's it is.
pub async fn find_seen(store: &impl ConnectionTrait, id: &PrivateNetworkId) -> Result<Option<Seen>, DbErr> {
    let row = with_counts(Entity::find_by_id(Text(id.clone()))).filter(Column::DtDeleted.is_null());
    row.into_model::<Seen>().one(store).await
}

/// Which of some ranges a team's networks have.
pub async fn taken(
    store: &impl ConnectionTrait,
    team: &TeamId,
    ranges: impl IntoIterator<Item = String>,
) -> Result<Vec<String>, DbErr> {
    let rows = Entity::find().select_only().column(Column::ParentCidr);
    let rows = rows.filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    rows.filter(Column::ParentCidr.is_in(ranges)).into_tuple().all(store).await
}
