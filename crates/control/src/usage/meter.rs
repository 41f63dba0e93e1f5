//! What other nouns say as their rows change: what is billed of an object from now on, or no longer.

use std::fmt;
use std::sync::Arc;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TeamId, UserId};
use deckle_api::usage::UsageKind;
use sea_orm::DbErr;

use super::amounts::{Rate, by_month};
use super::store::{self, Model, months};
use crate::catalogue::{Catalogue, nano};
use crate::clock::Clock;
use crate::store::{Metered, Text};

/// What is metered with: the clock, and the prices.
pub struct Meter {
    clock: Arc<dyn Clock>,
    catalogue: Catalogue,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}

/// Something that is billed: what a usage record says of it, but for its price and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billed {
    /// What it is.
    pub kind: UsageKind,
    /// The id of the object.
    pub object: String,
    /// The machine that it is a part of.
    pub machine: Option<MachineId>,
    /// The type of a machine.
    pub machine_type: Option<String>,
    /// Its size in GB; 0 for what has none.
    pub size_gib: i64,
}

impl Meter {
    /// A meter with these prices.
    pub fn new(clock: Arc<dyn Clock>, catalogue: Catalogue) -> Self {
        Self { clock, catalogue }
    }

    /// The price of today, in nano-units, and how many GPUs it is for. Nothing for a machine type that has left
    /// the catalogue.
    pub(super) fn price(&self, kind: UsageKind, machine_type: Option<&str>) -> Option<(i64, i64)> {
        match kind {
            UsageKind::Machine => {
                let found = self.catalogue.find(machine_type?)?;
                Some((nano(found.hour), found.gpu.as_ref().map_or(0, |gpu| gpu.count.into())))
            }
            UsageKind::Storage => Some((nano(self.catalogue.disk_gb_month), 0)),
            UsageKind::Drive => Some((nano(self.catalogue.drive_gb_month), 0)),
            UsageKind::Address => Some((nano(self.catalogue.address_month), 0)),
        }
    }
}

/// Bills of a machine and its parts exactly this from now on. What is billed so already goes on.
pub async fn follow(
    tx: &impl Metered,
    team: &TeamId,
    user: &UserId,
    machine: &MachineId,
    wanted: Vec<Billed>,
) -> Result<(), DbErr> {
    let open = store::open_of_machine(tx, machine).await?;
    let goes_on = |record: &Model| wanted.iter().any(|billed| record.is_of(billed));
    for record in open.iter().filter(|record| !goes_on(record)) {
        close(tx, record, tx.meter().clock.now()).await?;
    }
    for billed in &wanted {
        if !open.iter().any(|record| record.is_of(billed)) {
            begin(tx, team, user, billed).await?;
        }
    }
    Ok(())
}

/// Bills something from now on. What was billed of that object so far ends.
pub async fn begin(tx: &impl Metered, team: &TeamId, user: &UserId, billed: &Billed) -> Result<(), DbErr> {
    end(tx, billed.kind, &billed.object).await?;
    let meter = tx.meter();
    let price = meter.price(billed.kind, billed.machine_type.as_deref());
    let (price_nano, gpus) = price.unwrap_or_default();
    let record = Model {
        number: 0,
        team_id: Text(team.clone()),
        user_id: Text(user.clone()),
        kind: Text(billed.kind),
        object_id: billed.object.clone(),
        machine_id: billed.machine.clone().map(Text),
        machine_type: billed.machine_type.clone(),
        gpus,
        size_gib: billed.size_gib,
        price_nano,
        dt_from: meter.clock.now().into(),
        dt_to: None,
    };
    store::insert(tx, record).await
}

/// Bills an object no longer.
pub async fn end(tx: &impl Metered, kind: UsageKind, object: &str) -> Result<(), DbErr> {
    match store::open_of(tx, kind, object).await? {
        Some(record) => close(tx, &record, tx.meter().clock.now()).await,
        None => Ok(()),
    }
}

/// Bills an object by another size from now on.
pub async fn resize(tx: &impl Metered, kind: UsageKind, object: &str, size_gib: i64) -> Result<(), DbErr> {
    match store::open_of(tx, kind, object).await? {
        Some(record) => renew(tx, &record, record.price_nano, record.gpus, size_gib).await,
        None => Ok(()),
    }
}

/// Ends an interval and begins another one with the same object where it ended.
pub(super) async fn renew(
    tx: &impl Metered,
    record: &Model,
    price_nano: i64,
    gpus: i64,
    size_gib: i64,
) -> Result<(), DbErr> {
    let meter = tx.meter();
    let now = meter.clock.now().max(record.dt_from.into());
    close(tx, record, now).await?;
    let renewed = Model { price_nano, gpus, size_gib, dt_from: now.into(), dt_to: None, ..record.clone() };
    store::insert(tx, renewed).await
}

/// A clock that was set back ends an interval where it began.
async fn close(tx: &impl Metered, record: &Model, now: Timestamp) -> Result<(), DbErr> {
    let to = now.max(record.dt_from.into());
    store::close(tx, record, to).await?;
    for (month, from_s, to_s) in by_month(record.dt_from.into(), to) {
        let amount = record.rate().between(from_s, to_s);
        if amount.0 > 0 {
            months::add(tx, record, month, amount).await?;
        }
    }
    Ok(())
}

impl Model {
    /// What it costs.
    pub(super) fn rate(&self) -> Rate {
        Rate { kind: self.kind.0, price_nano: self.price_nano, size_gib: self.size_gib }
    }

    fn is_of(&self, billed: &Billed) -> bool {
        self.kind.0 == billed.kind
            && self.object_id == billed.object
            && self.machine_type == billed.machine_type
            && self.size_gib == billed.size_gib
    }
}
