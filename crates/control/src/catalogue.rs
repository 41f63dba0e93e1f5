//! The catalogue of machine types: one commented file that operators edit.

use deckle_api::machine_types::MachineType;
use deckle_api::machines::Accelerator;
use deckle_api::regions::Region;
use deckle_api::sizes::GB;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};

/// The built-in catalogue.
const BUILT_IN: &str = include_str!("../machine-types.toml");

/// The highest price there may be, in currency units.
const PRICE_MAX: f64 = 1e6;

/// All machine types and prices.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The price of a disk, in currency units per GB and month of 730 hours.
    #[serde(deserialize_with = "price")]
    pub disk_gb_month: f64,
    /// The price of a shared drive, in currency units per GB and month of 730 hours; nothing when left out.
    #[serde(default, deserialize_with = "price")]
    pub drive_gb_month: f64,
    /// The price of a public address, in currency units per month of 730 hours; nothing when left out.
    #[serde(default, deserialize_with = "price")]
    pub address_month: f64,
    #[serde(rename = "type")]
    types: Vec<Type>,
}

/// A machine type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Type {
    /// Its label.
    pub label: String,
    /// The family within which a machine may change its type.
    pub family: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in GiB.
    pub ram_gib: f64,
    /// Its price in currency units per hour.
    #[serde(deserialize_with = "price")]
    pub hour: f64,
    /// The codes of its regions; every region when left out.
    pub regions: Option<Vec<String>>,
    /// Its GPUs.
    pub gpu: Option<Gpu>,
    /// Whether its GPUs are joined by NVLink.
    #[serde(default)]
    pub nvlink: bool,
}

/// GPUs of a type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// The model.
    pub model: String,
    /// The memory of one, in GiB.
    pub memory_gib: u64,
    /// How many.
    pub count: u32,
}

impl Type {
    /// Memory in bytes.
    pub fn ram_bytes(&self) -> u64 {
        (self.ram_gib * GB as f64) as u64
    }

    /// Whether a region has it.
    pub fn is_in(&self, region: &str) -> bool {
        self.regions.as_ref().is_none_or(|regions| regions.iter().any(|code| code == region))
    }

    /// Its GPUs as machines show them.
    pub fn accelerators(&self) -> Option<Vec<Accelerator>> {
        let gpu = self.gpu.as_ref()?;
        Some(vec![Accelerator {
            name: gpu.model.clone(),
            memory: Some(gpu.memory_gib * GB),
            count: gpu.count,
        }])
    }

    /// The type as it is told, where a server has these regions.
    pub fn show<'a>(&self, regions: impl Iterator<Item = &'a String>) -> MachineType {
        MachineType {
            label: self.label.clone(),
            family: self.family.clone(),
            cpus: self.vcpus,
            ram: self.ram_bytes(),
            accelerators: self.accelerators(),
            regions: regions.filter(|code| self.is_in(code)).map(|code| Region(code.clone())).collect(),
            usage_rate: self.hour,
        }
    }
}

impl Catalogue {
    /// The built-in catalogue.
    pub fn built_in() -> Self {
        Self::read(BUILT_IN).expect("the built-in catalogue is read by a test")
    }

    /// Reads a catalogue's text.
    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// All types, in the file's order.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// The type with that label, in any case.
    pub fn find(&self, label: &str) -> Option<&Type> {
        self.types.iter().find(|machine_type| machine_type.label.eq_ignore_ascii_case(label))
    }

    /// How many GPUs of a model each type has, of those that have some.
    pub fn with_gpu(&self, model: &str) -> impl Iterator<Item = (&str, u32)> {
        let gpus = self.types.iter().filter_map(|found| Some((found.label.as_str(), found.gpu.as_ref()?)));
        gpus.filter(move |(_, gpu)| gpu.model == model).map(|(label, gpu)| (label, gpu.count))
    }

    /// A model of GPUs, as the catalogue writes it.
    pub fn gpu_model(&self, model: &str) -> Option<&str> {
        let models = self.types.iter().filter_map(|found| Some(found.gpu.as_ref()?.model.as_str()));
        models.into_iter().find(|known| known.eq_ignore_ascii_case(model))
    }

    /// The type that a request names in `machineType`.
    pub fn wanted(&self, label: &str) -> Result<&Type> {
        let unknown = || {
            Error::field(
                "machineType",
                format!("there is no machine type `{label}`; `deckle machine-type list` shows them"),
            )
        };
        self.find(label).ok_or_else(unknown)
    }
}

/// A price in nano-units: billionths of a currency unit.
pub fn nano(price: f64) -> i64 {
    (price * 1e9).round() as i64
}

fn price<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    let price = f64::deserialize(from)?;
    if (0.0..=PRICE_MAX).contains(&price) {
        return Ok(price);
    }
    Err(serde::de::Error::custom(format!("expected a price from 0 to {PRICE_MAX}, found {price}")))
}

#[cfg(test)]
mod tests {
    use deckle_engine::linux::gpu::models;

    use super::*;

    #[test]
    fn the_built_in_catalogue_is_whole() {
        let catalogue = Catalogue::built_in();
        let mut labels: Vec<_> = catalogue.types().iter().map(|machine_type| &machine_type.label).collect();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), catalogue.types().len());
        assert_eq!(catalogue.find("c1").unwrap().ram_bytes(), 536_870_912);
        for gpu in catalogue.types().iter().filter_map(|machine_type| machine_type.gpu.as_ref()) {
            let known = models::MODELS.iter().find(|model| model.name == gpu.model);
            assert_eq!(known.map(|model| model.memory_gib), Some(gpu.memory_gib), "{}", gpu.model);
        }
        assert_eq!((catalogue.drive_gb_month, catalogue.address_month), (0.07, 3.0));
        let type_ = catalogue.find("a100-80g").unwrap();
        assert_eq!((type_.label.as_str(), type_.is_in("ny2"), type_.is_in("ca1")), ("A100-80G", true, false));
    }

    #[test]
    fn a_price_that_makes_no_sense_is_named() {
        let read = |prices: &str| Catalogue::read(&format!("{prices}\ntype = []"));
        let free = read("disk_gb_month = 0.1").unwrap();
        assert_eq!((free.drive_gb_month, free.address_month), (0.0, 0.0));
        for wrong in ["-1.0", "nan", "inf", "1e7"] {
            let told =
                read(&format!("disk_gb_month = 0.1\naddress_month = {wrong}")).unwrap_err().to_string();
            assert!(told.contains("address_month") && told.contains("expected a price"), "{told}");
        }
        assert_eq!(
            [0.0045, 0.07, 3.0, 1e6].map(nano),
            [4_500_000, 70_000_000, 3_000_000_000, 1_000_000_000_000_000]
        );
    }
}
