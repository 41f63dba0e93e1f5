//! Usage on the wire: what was billed of each object, in a window of time.
//!
//! Everything is counted in whole seconds, and amounts to the billionth of a currency unit, so that the usage
//! of a window is exactly the sum of the usage of its parts, wherever it is cut.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Timestamp;
use crate::ids::{MachineId, UserId};
use crate::paging::Limit;

/// What is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageKind {
    /// A machine, while it is not off, by its type.
    Machine,
    /// A machine's disk, for its whole lifetime, by its size.
    Storage,
    /// A public address: a dynamic one while a machine holds it, a claimed one until it is released.
    Address,
    /// A shared drive, until it is deleted, by its size.
    Drive,
}

impl UsageKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Machine, Self::Storage, Self::Address, Self::Drive];

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Storage => "storage",
            Self::Address => "address",
            Self::Drive => "drive",
        }
    }
}

/// Which window of time, and whose usage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// The window's first moment; left out, the beginning of this calendar month in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The first moment after the window; left out, now. What is still to come is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Only this machine with its disk and its dynamic addresses, deleted or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// Only what this user has made. A plain member sees its own only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The `nextPage` of the page before, asked with the same window and filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most how many items: 1 to 120; 25 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub limit: Option<Limit>,
}

/// What was used in a window of time, object by object, and all together.
#[wire]
pub struct Usage {
    /// The window's first moment.
    pub from: Timestamp,
    /// The first moment after the window.
    pub to: Timestamp,
    /// What everything in the window came to, on whatever page it is, in currency units: a decimal number.
    pub amount: String,
    /// The same for each kind, on whatever page its items are.
    pub totals: Vec<UsageTotal>,
    /// Whether there are items after these.
    pub has_more: bool,
    /// What to send as `after` for the next page; there exactly when `hasMore` is true.
    pub next_page: Optional<String>,
    /// One for each object, type and user, by kind and id.
    pub items: Vec<UsageItem>,
}

/// What all objects of a kind came to.
#[wire]
pub struct UsageTotal {
    /// The kind.
    pub kind: UsageKind,
    /// Seconds in which objects were billed, each counted.
    #[schema(value_type = i64)]
    pub seconds: u64,
    /// Seconds, each times the GPUs of the machine.
    #[schema(value_type = i64)]
    pub gpu_seconds: u64,
    /// Seconds, each times the size in GB (2^30 bytes).
    #[schema(value_type = i64)]
    pub gb_seconds: u64,
    /// The seconds as hours, rounded.
    pub hours: f64,
    /// The GPU-seconds as hours, rounded.
    pub gpu_hours: f64,
    /// The GB-seconds as hours, rounded.
    pub gb_hours: f64,
    /// In currency units, at the prices of the time: a decimal number with at most nine digits after the point.
    pub amount: String,
}

/// What one object came to.
#[wire]
pub struct UsageItem {
    /// What it is.
    pub kind: UsageKind,
    /// The machine (also for its disk), the address, or the drive.
    pub id: String,
    /// The machine that it is a part of; left out for drives and claimed addresses.
    pub machine_id: Optional<MachineId>,
    /// Whose it was.
    pub user_id: UserId,
    /// The type of the machine; left out for everything else.
    pub machine_type: Optional<String>,
    /// Seconds in which it was billed.
    #[schema(value_type = i64)]
    pub seconds: u64,
    /// Seconds, each times the GPUs of the machine.
    #[schema(value_type = i64)]
    pub gpu_seconds: u64,
    /// Seconds, each times the size in GB (2^30 bytes).
    #[schema(value_type = i64)]
    pub gb_seconds: u64,
    /// The seconds as hours, rounded.
    pub hours: f64,
    /// The GPU-seconds as hours, rounded.
    pub gpu_hours: f64,
    /// The GB-seconds as hours, rounded.
    pub gb_hours: f64,
    /// In currency units, at the prices of the time: a decimal number with at most nine digits after the point.
    pub amount: String,
}
