//! Which devices a machine gets, and what is told when it gets none: plain functions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use deckle_api::ids::TeamId;
use deckle_engine::pci::PciAddress;

use crate::catalogue::Type;

/// A device, as rows and the look of this moment show it together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where it is.
    pub address: PciAddress,
    /// Its model.
    pub model: String,
    /// The NUMA node that it is near.
    pub numa_node: Option<i64>,
    /// Who has it.
    pub standing: Standing,
}

/// Who has a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody.
    Free,
    /// The machine that asks: it runs with it, and no row said so.
    Own,
    /// A machine; its team's, where a row says so.
    Used(Option<TeamId>),
    /// Nobody gets it: quarantined, blocked, or not seen.
    Out,
}

/// The devices that a machine gets: so many of a model, near one NUMA node if that can be, and there where
/// the fewest are left over. None if there are not enough.
pub fn choose(devices: &[Device], model: &str, count: usize) -> Option<Vec<PciAddress>> {
    let of_model = devices.iter().filter(|device| device.model.eq_ignore_ascii_case(model));
    let own: Vec<_> = of_model.clone().filter(|device| device.standing == Standing::Own).collect();
    if own.len() == count {
        return Some(addresses(own));
    }
    let mut nodes: BTreeMap<Option<i64>, Vec<&Device>> = BTreeMap::new();
    for device in of_model.filter(|device| matches!(device.standing, Standing::Free | Standing::Own)) {
        nodes.entry(device.numa_node).or_default().push(device);
    }
    let fitting = nodes.values().filter(|free| free.len() >= count).min_by_key(|free| free.len());
    if let Some(free) = fitting {
        return Some(addresses(free.iter().take(count).copied()));
    }
    // Over as few nodes as can be.
    let mut nodes: Vec<_> = nodes.into_values().collect();
    nodes.sort_by_key(|free| Reverse(free.len()));
    let spread: Vec<_> = nodes.into_iter().flatten().take(count).collect();
    (spread.len() == count).then(|| addresses(spread))
}

fn addresses<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Vec<PciAddress> {
    let mut addresses: Vec<_> = devices.into_iter().map(|device| device.address.clone()).collect();
    addresses.sort();
    addresses
}

/// Why a machine of a type gets none, if it gets none: counts, and who could free some. Other teams are not
/// named. Without a team, the counts are of all.
pub fn short_of(wanted: &Type, devices: &[Device], team: Option<&TeamId>) -> Option<String> {
    let gpu = wanted.gpu.as_ref()?;
    if choose(devices, &gpu.model, gpu.count as usize).is_some() {
        return None;
    }
    let of_model: Vec<_> =
        devices.iter().filter(|device| device.model.eq_ignore_ascii_case(&gpu.model)).collect();
    let count =
        |is: &dyn Fn(&Standing) -> bool| of_model.iter().filter(|device| is(&device.standing)).count();
    let mine = count(&|standing| matches!(standing, Standing::Used(Some(of)) if Some(of) == team));
    let used = count(&|standing| matches!(standing, Standing::Used(_)));
    let out = count(&|standing| *standing == Standing::Out);
    let (label, model, plural) = (&wanted.label, &gpu.model, if gpu.count == 1 { "" } else { "s" });
    let needs = format!("{label} needs {} GPU{plural} of the model {model}", gpu.count);
    if of_model.is_empty() {
        return Some(format!("{needs}; this host has none to give: choose another machine type"));
    }
    let free = of_model.len() - used - out;
    let mut counts = vec![format!("{} {model} on this host", of_model.len())];
    counts.push(format!("{mine} used by your team"));
    counts.push(format!("{} by others", used - mine));
    counts.extend((out > 0).then(|| format!("{out} out of use")));
    counts.extend((free > 0).then(|| format!("{free} free")));
    let cures = [
        (mine > 0, "stop a machine of your team that has some"),
        (used > mine, "wait until another team stops one of its own"),
        (out > 0, "ask the operator, whom `deckle admin gpu list` tells why"),
        (used + out < gpu.count as usize, "choose another machine type"),
    ];
    let cures: Vec<_> = cures.into_iter().filter(|(holds, _)| *holds).map(|(_, cure)| cure).collect();
    Some(format!("{needs}; {}: {}", counts.join(", "), cures.join(", or ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn device(bus: u8, numa_node: Option<i64>, standing: Standing) -> Device {
        let address = format!("0000:{bus:02x}:00.0").parse().unwrap();
        Device { address, model: "A100".to_owned(), numa_node, standing }
    }

    /// Buses 1, 2, … over the nodes, all free.
    fn free(nodes: &[i64]) -> Vec<Device> {
        (1..).zip(nodes).map(|(bus, node)| device(bus, Some(*node), Standing::Free)).collect()
    }

    fn buses(devices: &[Device], count: usize) -> Option<Vec<u8>> {
        let bus = |address: &PciAddress| u8::from_str_radix(&address.as_str()[5..7], 16).unwrap();
        choose(devices, "a100", count).map(|chosen| chosen.iter().map(bus).collect())
    }

    #[test]
    fn devices_come_from_one_node_and_leave_the_fewest_over() {
        assert_eq!(buses(&free(&[0, 0, 0, 1, 1]), 2), Some(vec![4, 5]));
        assert_eq!(buses(&free(&[0, 0, 0, 1, 1]), 3), Some(vec![1, 2, 3]));
        assert_eq!(buses(&free(&[0, 0, 0, 0, 1]), 1), Some(vec![5]));
        assert_eq!(buses(&free(&[0, 1, 0, 1]), 2), Some(vec![1, 3]));
    }

    #[test]
    fn devices_of_several_nodes_are_better_than_none() {
        assert_eq!(buses(&free(&[0, 1, 1, 2, 2]), 4), Some(vec![2, 3, 4, 5]));
        assert_eq!(buses(&free(&[0, 1, 1]), 3), Some(vec![1, 2, 3]));
        assert_eq!(buses(&free(&[0, 1, 1]), 4), None);
        assert_eq!(choose(&free(&[0, 0]), "H100", 1), None);
    }

    #[test]
    fn a_machine_that_runs_keeps_what_it_runs_with() {
        let mut devices = free(&[0, 0, 1]);
        devices[2].standing = Standing::Own;
        devices[0].standing = Standing::Own;
        assert_eq!(buses(&devices, 2), Some(vec![1, 3]));
        assert_eq!(buses(&devices, 3), Some(vec![1, 2, 3]));
    }

    #[test]
    fn what_is_used_or_out_is_given_to_nobody() {
        let devices = vec![
            device(1, None, Standing::Used(None)),
            device(2, None, Standing::Out),
            device(3, None, Standing::Free),
        ];
        assert_eq!((buses(&devices, 1), buses(&devices, 2)), (Some(vec![3]), None));
    }

    #[test]
    fn what_is_short_is_told_in_counts() {
        let catalogue = Catalogue::built_in();
        let (one, eight) = (catalogue.find("A100").unwrap(), catalogue.find("A100x8").unwrap());
        let (mine, theirs): (TeamId, TeamId) = ("te1".parse().unwrap(), "te2".parse().unwrap());
        let used = |bus, team: &TeamId| device(bus, None, Standing::Used(Some(team.clone())));
        let told = |wanted, devices: &[Device]| short_of(wanted, devices, Some(&mine)).unwrap();
        assert_eq!(
            told(one, &[used(1, &mine), used(2, &theirs)]),
            "A100 needs 1 GPU of the model A100; 2 A100 on this host, 1 used by your team, 1 by others: \
             stop a machine of your team that has some, or wait until another team stops one of its own"
        );
        assert_eq!(
            told(eight, &[device(1, None, Standing::Out), device(2, None, Standing::Free)]),
            "A100x8 needs 8 GPUs of the model A100; 2 A100 on this host, 0 used by your team, 0 by others, \
             1 out of use, 1 free: ask the operator, whom `deckle admin gpu list` tells why, or choose \
             another machine type"
        );
        assert_eq!(
            told(one, &[]),
            "A100 needs 1 GPU of the model A100; this host has none to give: choose another machine type"
        );
        assert_eq!(short_of(one, &free(&[0]), Some(&mine)), None);
        assert_eq!(short_of(catalogue.find("C1").unwrap(), &[], None), None);
    }
}
