//! Whether there is room for a machine on its host.

use deckle_api::sizes::GB;
use deckle_engine::seen::Capacity;

use crate::catalogue::{Catalogue, Type};
use crate::gpus;

/// What is taken of a host by the machines that have a place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Memory in bytes.
    pub ram_bytes: u64,
    /// Virtual processors.
    pub vcpus: u32,
}

impl Taken {
    /// The sum over so many machines of each type.
    pub fn by(catalogue: &Catalogue, machines: &[(String, i64)]) -> Self {
        let known =
            machines.iter().filter_map(|(label, count)| Some((catalogue.find(label)?, count.unsigned_abs())));
        known.fold(Self::default(), |taken, (machine_type, count)| Self {
            ram_bytes: taken.ram_bytes + machine_type.ram_bytes() * count,
            vcpus: taken
                .vcpus
                .saturating_add(machine_type.vcpus.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))),
        })
    }
}

/// What a host has, where that has bounds, and what is taken of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What it has.
    pub capacity: Option<Capacity>,
    /// What is taken.
    pub taken: Taken,
    /// Its GPUs, where it has a number of them.
    pub gpus: Option<Vec<gpus::Device>>,
}

impl Room {
    /// Why there is none for one more machine of a type, if there is none.
    pub fn short_of(&self, wanted: &Type) -> Option<String> {
        let short = self.capacity.and_then(|capacity| short_of(wanted, &capacity, self.taken));
        short.or_else(|| gpus::short_of(wanted, self.gpus.as_ref()?, None))
    }
}

/// Memory is never promised twice.
fn short_of(wanted: &Type, capacity: &Capacity, taken: Taken) -> Option<String> {
    let label = &wanted.label;
    let free_ram = capacity.ram_bytes.saturating_sub(taken.ram_bytes);
    if wanted.ram_bytes() > free_ram {
        let (needed, free, all) = (gib(wanted.ram_bytes()), gib(free_ram), gib(capacity.ram_bytes));
        return Some(format!(
            "{label} needs {needed} GiB of memory; {free} of {all} GiB are free: stop a machine, or choose a smaller type"
        ));
    }
    let free_vcpus = capacity.vcpus.saturating_sub(taken.vcpus);
    (wanted.vcpus > free_vcpus).then(|| {
        format!(
            "{label} needs {} vCPUs; {free_vcpus} of {} are free: stop a machine, or choose a smaller type",
            wanted.vcpus, capacity.vcpus
        )
    })
}

fn gib(bytes: u64) -> f64 {
    (bytes as f64 / GB as f64 * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(ram_gib: u64, vcpus: u32) -> Capacity {
        Capacity { ram_bytes: ram_gib * GB, vcpus, disk_free_bytes: 0 }
    }

    #[test]
    fn memory_is_never_promised_twice() {
        let catalogue = Catalogue::built_in();
        let c5 = catalogue.find("C5").unwrap();
        let room =
            |machines| short_of(c5, &host(24, 64), Taken::by(&catalogue, &[("C5".to_owned(), machines)]));
        assert_eq!(room(2), None);
        assert_eq!(
            room(3).as_deref(),
            Some("C5 needs 8 GiB of memory; 0 of 24 GiB are free: stop a machine, or choose a smaller type")
        );
    }

    #[test]
    fn processors_are_bounded_too() {
        let catalogue = Catalogue::built_in();
        let c5 = catalogue.find("C5").unwrap();
        let told = short_of(c5, &host(100, 7), Taken { ram_bytes: 0, vcpus: 4 }).unwrap();
        assert!(told.starts_with("C5 needs 4 vCPUs; 3 of 7 are free"), "{told}");
    }
}
