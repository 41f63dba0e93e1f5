//! Networks, and machines' places in them.

use std::net::Ipv4Addr;

use deckle_api::ids::MachineId;

use super::world::{Network, Nic, Thing, World};
use crate::error::{Error, Result};
use crate::seen::NetworkSeen;
use crate::specs::{HostNetwork, NetworkSpec, NicSpec, PublicIpSpec};

impl World {
    pub fn look_network(&self, spec: &NetworkSpec) -> NetworkSeen {
        match self.networks.get(&spec.network) {
            None => NetworkSeen::Absent,
            Some(network) if network.broken || network.spec != *spec => NetworkSeen::Broken,
            Some(_) => NetworkSeen::Whole,
        }
    }

    pub fn ensure_network(&mut self, spec: &NetworkSpec) -> Result<()> {
        let fresh = || Network {
            spec: spec.clone(),
            broken: true,
            nics: Default::default(),
            shares: Default::default(),
        };
        let network = self.networks.entry(spec.network.clone()).or_insert_with(fresh);
        if network.spec.cidr != spec.cidr {
            let why = format!("it is there with {}", network.spec.cidr);
            return Err(Error::lasting(format!("make {} with {}", spec.network, spec.cidr), why));
        }
        let differs = network.spec.firewall != spec.firewall;
        network.spec.firewall.clone_from(&spec.firewall);
        if std::mem::take(&mut network.broken) || differs {
            self.changed.insert(Thing::Network(spec.network.clone()));
        }
        Ok(())
    }

    pub fn remove_network(&mut self, id: &HostNetwork) {
        let Some(network) = self.networks.remove(id) else { return };
        for public_ip in network.nics.values().filter_map(|nic| nic.public_ip) {
            self.public_ips.remove(&public_ip);
        }
        self.changed.insert(Thing::Network(id.clone()));
    }

    pub fn ensure_nic(&mut self, spec: &NicSpec) -> Result<()> {
        let NicSpec { machine, network: id, mac, ip, names } = spec;
        let act = || format!("plug {machine} into {id}");
        let Some(network) = self.networks.get_mut(id) else {
            return Err(Error::passing(act(), "the network is not there"));
        };
        if !network.spec.is_for_machines(*ip) {
            let why = format!("{ip} is no address for a machine in {}", network.spec.cidr);
            return Err(Error::lasting(act(), why));
        }
        let mut others = network.nics.iter().filter(|(other, _)| *other != machine);
        if let Some((other, _)) = others.find(|(_, nic)| nic.ip == *ip || nic.mac == *mac) {
            return Err(Error::lasting(act(), format!("{other} has the address {ip} or {mac}")));
        }
        let before = network.nics.get(machine);
        let public_ip = before.and_then(|nic| nic.public_ip);
        let nic = Nic { mac: *mac, ip: *ip, names: names.clone(), public_ip, unguarded: false };
        if before != Some(&nic) {
            network.nics.insert(machine.clone(), nic);
            self.changed.insert(Thing::Network(id.clone()));
        }
        Ok(())
    }

    pub fn remove_nic(&mut self, machine: &MachineId, id: &HostNetwork) {
        let Some(nic) = self.networks.get_mut(id).and_then(|network| network.nics.remove(machine)) else {
            return;
        };
        if let Some(public_ip) = nic.public_ip {
            self.public_ips.remove(&public_ip);
        }
        self.changed.insert(Thing::Network(id.clone()));
    }

    pub fn ensure_public_ip(&mut self, spec: &PublicIpSpec) -> Result<()> {
        let PublicIpSpec { machine, network: id, public_ip, ip } = spec;
        let act = || format!("lead {public_ip} to {machine}");
        let nic = self.networks.get_mut(id).and_then(|network| network.nics.get_mut(machine));
        let Some(nic) = nic.filter(|nic| nic.ip == *ip) else {
            return Err(Error::passing(act(), format!("it is not plugged into {id} with {ip}")));
        };
        let before = nic.public_ip.replace(*public_ip);
        if before == Some(*public_ip) {
            return Ok(());
        }
        if let Some(before) = before {
            self.public_ips.remove(&before);
        }
        if let Some((elsewhere, other)) = self.public_ips.insert(*public_ip, (id.clone(), machine.clone())) {
            self.forget_public_ip(&other, &elsewhere);
        }
        self.changed.insert(Thing::Network(id.clone()));
        Ok(())
    }

    pub fn remove_public_ip(&mut self, machine: &MachineId, id: &HostNetwork) {
        if let Some(public_ip) = self.forget_public_ip(machine, id) {
            self.public_ips.remove(&public_ip);
        }
    }

    pub fn nic(&self, machine: &MachineId, network: &HostNetwork) -> Option<&Nic> {
        self.networks.get(network)?.nics.get(machine)
    }

    pub fn public_ip(&self, machine: &MachineId, network: &HostNetwork) -> Option<Ipv4Addr> {
        self.nic(machine, network)?.public_ip
    }

    fn forget_public_ip(&mut self, machine: &MachineId, id: &HostNetwork) -> Option<Ipv4Addr> {
        let public_ip = self.networks.get_mut(id)?.nics.get_mut(machine)?.public_ip.take()?;
        self.changed.insert(Thing::Network(id.clone()));
        Some(public_ip)
    }
}

impl NetworkSpec {
    /// Whether a machine may have the address: it is neither the gateway's nor an end of the range.
    fn is_for_machines(&self, ip: Ipv4Addr) -> bool {
        let taken = [self.cidr.network(), self.cidr.broadcast(), self.gateway()];
        self.cidr.contains(&ip) && !taken.contains(&ip)
    }
}
