//! Rows as the second dialect shows them: plain functions of what was read.

use deckle_api::hostup::{
    Actions, AttachedVps, Gate, PnetId, PrivateNetworkDetail, PrivateNetworkItem, Status, Subnet, VpsId,
};

use crate::error::{Error, Result};
use crate::machines::service::Attached;
use crate::private_networks::{NetworkIntent, NetworkRow, NetworkSeen};

/// How many /24s a network has: the first of its /21.
const SUBNETS: u32 = 1;

/// A network's id in this dialect.
pub fn id(network: &NetworkRow) -> Result<PnetId> {
    PnetId::of(&network.id.0, network.dt_created.into()).ok_or_else(|| no_id(&network.id.0))
}

fn no_id(id: impl std::fmt::Display) -> Error {
    Error::ours(format!("tell the id {id} in the second dialect"), "it is longer than minted ids are")
}

/// A network in a list.
pub fn item(seen: &NetworkSeen, quota_is_full: bool) -> Result<PrivateNetworkItem> {
    let network = &seen.network;
    Ok(PrivateNetworkItem {
        id: id(network)?,
        name: network.name.clone(),
        parent_cidr: network.parent_cidr.0.to_string(),
        region: Some(network.region.clone()),
        status: status(network),
        subnet_count: SUBNETS,
        attached_vps_count: u32::try_from(seen.machines).unwrap_or(u32::MAX),
        actions: actions(seen, quota_is_full),
        created_at: network.dt_created.into(),
    })
}

/// A network with what is in it. Its machines are counted from their list: the two say the same.
pub fn detail(
    seen: &NetworkSeen,
    attached: Vec<Attached>,
    quota_is_full: bool,
) -> Result<PrivateNetworkDetail> {
    let seen = NetworkSeen { machines: attached.len() as u64, ..seen.clone() };
    let subnets = vec![subnet(&seen.network)?];
    let attached_vps = attached.into_iter().map(vps).collect::<Result<_>>()?;
    let item = item(&seen, quota_is_full)?;
    Ok(PrivateNetworkDetail {
        id: item.id,
        name: item.name,
        parent_cidr: item.parent_cidr,
        region: item.region,
        status: item.status,
        subnet_count: item.subnet_count,
        attached_vps_count: item.attached_vps_count,
        actions: item.actions,
        created_at: item.created_at,
        subnets,
        attached_vps,
    })
}

fn subnet(network: &NetworkRow) -> Result<Subnet> {
    Ok(Subnet {
        id: id(network)?.first_subnet(),
        subnet_cidr: network.cidr.0.to_string(),
        vlan_tag: None,
        gateway: network.cidr.0.hosts().next().map(|gateway| gateway.to_string()),
        status: status(network),
    })
}

fn vps(machine: Attached) -> Result<AttachedVps> {
    Ok(AttachedVps {
        id: VpsId::of(&machine.id, machine.dt_created).ok_or_else(|| no_id(&machine.id))?,
        name: machine.name,
        primary_ip: Some(machine.private_ip.to_string()),
    })
}

fn status(network: &NetworkRow) -> Status {
    match (network.intent.0, network.settled) {
        (NetworkIntent::Present, true) => Status::Active,
        (NetworkIntent::Present, false) if network.trouble.is_some() && network.trouble_lasts => {
            Status::Unknown
        }
        // It is there, while a rule or what has drifted is mended.
        (NetworkIntent::Present, false) if network.made => Status::Active,
        (NetworkIntent::Present, false) => Status::Provisioning,
        (NetworkIntent::Gone, _) if network.forgotten => Status::Retired,
        (NetworkIntent::Gone, _) => Status::Deprovisioning,
    }
}

fn actions(seen: &NetworkSeen, quota_is_full: bool) -> Actions {
    let status = status(&seen.network);
    let can_delete = match blocks_delete(seen, status) {
        Some(reason) => Gate::closed(reason),
        None => Gate::open(),
    };
    let can_add_subnet = match status {
        Status::Active if quota_is_full => Gate::closed("Private network limit reached."),
        Status::Active => Gate::open(),
        _ => Gate::closed("The private network is not active."),
    };
    Actions { can_delete, can_add_subnet }
}

/// Why a network may not be deleted now, if it may not.
fn blocks_delete(seen: &NetworkSeen, status: Status) -> Option<String> {
    match status {
        Status::Provisioning | Status::Active | Status::Unknown => {}
        Status::Deprovisioning | Status::Retired => {
            return Some("The private network is already being deleted.".to_owned());
        }
    }
    let counted = |count: u64, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let attached = [
        counted(seen.machines, "VPS interface", "VPS interfaces"),
        counted(seen.drives, "shared drive", "shared drives"),
    ];
    let attached: Vec<String> = attached.into_iter().flatten().collect();
    match attached.as_slice() {
        [] if seen.network.protected => {
            Some("The private network is protected; end its protection before deleting it.".to_owned())
        }
        [] => None,
        attached => {
            let attached = attached.join(" and ");
            Some(format!("Detach or delete {attached} before deleting this private network."))
        }
    }
}
