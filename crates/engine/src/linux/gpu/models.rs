//! Which GPU a device is, by its numbers.
//!
//! The numbers are those of the PCI ID Repository (<https://pci-ids.ucw.cz>, version of 2023-04-10) for the
//! devices whose names it gives; the names on the left are the ones that the catalogue of machine types
//! uses. A device that is not listed is shown by its numbers.

/// NVIDIA's number.
const NVIDIA: u16 = 0x10de;

/// A model: its maker's number, its devices' numbers, its name in the catalogue, and its memory in GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The maker's number.
    pub vendor: u16,
    /// The numbers of its devices: the same model as a card and as a module, for one.
    pub devices: &'static [u16],
    /// Its name in the catalogue.
    pub name: &'static str,
    /// Its memory in GiB.
    pub memory_gib: u64,
}

const fn nvidia(name: &'static str, memory_gib: u64, devices: &'static [u16]) -> Model {
    Model { vendor: NVIDIA, devices, name, memory_gib }
}

/// The models of the built-in catalogue.
pub const MODELS: &[Model] = &[
    nvidia("M4000", 8, &[0x13f1]),
    nvidia("P4000", 8, &[0x1bb1]),
    nvidia("P5000", 16, &[0x1bb0]),
    nvidia("P6000", 24, &[0x1b30]),
    nvidia("RTX4000", 8, &[0x1eb1]),
    nvidia("RTX5000", 16, &[0x1eb0]),
    nvidia("A4000", 16, &[0x24b0]),
    nvidia("A5000", 24, &[0x2231]),
    nvidia("A6000", 48, &[0x2230]),
    nvidia("V100", 16, &[0x1db1, 0x1db2, 0x1db3, 0x1db4]),
    nvidia("V100-32G", 32, &[0x1db5, 0x1db6, 0x1db7, 0x1db8]),
    nvidia("A100", 40, &[0x20b0, 0x20b1, 0x20f1]),
    nvidia("A100-80G", 80, &[0x20b2, 0x20b5]),
    nvidia("H100", 80, &[0x2330, 0x2331]),
];

/// The model of a device, if it is listed.
pub fn of(vendor: u16, device: u16) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.vendor == vendor && model.devices.contains(&device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_two_models() {
        let mut numbers: Vec<_> = MODELS.iter().flat_map(|model| model.devices).collect();
        let all = numbers.len();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
        assert_eq!(of(NVIDIA, 0x20b5).map(|model| (model.name, model.memory_gib)), Some(("A100-80G", 80)));
        assert_eq!(of(0x1002, 0x20b5), None, "a number means nothing without its maker");
    }
}
