//! Machine types on the wire.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::machines::Accelerator;
use crate::regions::Region;

/// Whether a machine of a type could be started in a region now.
#[wire]
pub struct MachineAvailability {
    /// Whether there is room for one.
    pub available: bool,
}

/// Which type, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct MachineAvailabilityQuery {
    /// The label of the type.
    pub machine_type: String,
    /// The region.
    pub region: Region,
}

/// A type of the catalogue.
#[wire]
pub struct MachineType {
    /// Its label: `C5`, `A100-80G`.
    pub label: String,
    /// The family within which a machine may change its type.
    pub family: String,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in bytes.
    #[schema(value_type = i64)]
    pub ram: u64,
    /// Its GPUs; left out for a type without.
    pub accelerators: Optional<Vec<Accelerator>>,
    /// The codes of the regions that have it.
    pub regions: Vec<Region>,
    /// Its price, in currency units per hour.
    pub usage_rate: f64,
}

/// The catalogue of machine types.
#[wire]
pub struct MachineTypes {
    /// All of them, the smallest first.
    pub items: Vec<MachineType>,
}
