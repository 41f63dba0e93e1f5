//! The world as text: every field of every object that clients see, a line an object.

use std::collections::BTreeMap;

use deckle_api::custom_templates::CustomTemplate;
use deckle_api::firewall_rules::FirewallRule;
use deckle_api::machine_events::MachineEvent;
use deckle_api::machines::Machine;
use deckle_api::private_networks::PrivateNetwork;
use deckle_api::public_ips::PublicIp;
use deckle_api::shared_drives::SharedDrive;
use deckle_api::snapshots::Snapshot;
use serde_json::{Value, json};

pub fn lines<T>(items: Vec<T>, line: impl Fn(T) -> String) -> String {
    if items.is_empty() {
        " none".to_owned()
    } else {
        items.into_iter().map(|item| format!("\n  {}", line(item))).collect()
    }
}

pub fn machine_line(machine: Machine) -> String {
    let Machine {
        id,
        name,
        state,
        os,
        machine_type,
        agent_type,
        cpus,
        ram,
        storage_total,
        storage_used: _,
        accelerators,
        region,
        private_ip,
        network_id,
        public_ip,
        public_ip_type,
        auto_shutdown_enabled,
        auto_shutdown_timeout,
        auto_shutdown_force,
        auto_snapshot_enabled,
        auto_snapshot_frequency,
        auto_snapshot_save_count,
        updates_pending,
        restore_point_enabled,
        restore_point_frequency,
        restore_point_snapshot_id,
        usage_rate,
        storage_rate,
        dt_created: _,
        dt_modified: _,
        dt_deleted,
        reservation,
    } = machine;
    let mut policies = String::new();
    if auto_shutdown_enabled {
        let force = if auto_shutdown_force.unwrap() { " by force" } else { "" };
        policies = format!(", off after {} h{force}", auto_shutdown_timeout.unwrap());
    }
    if auto_snapshot_enabled {
        let often = serde_json::to_value(auto_snapshot_frequency.unwrap()).unwrap();
        let kept = auto_snapshot_save_count.unwrap();
        policies.push_str(&format!(", {} snapshots, {kept} kept", often.as_str().unwrap()));
    }
    assert_eq!(restore_point_frequency.is_some(), restore_point_enabled);
    assert_eq!(restore_point_snapshot_id.is_some(), restore_point_enabled);
    if let Some(point) = restore_point_snapshot_id {
        policies.push_str(&format!(", goes back to {point}"));
    }
    assert_eq!((updates_pending, reservation, accelerators, dt_deleted), (false, None, None, None));
    assert_eq!((os.as_str(), agent_type.as_str()), ("Ubuntu 22.04", "LinuxHeadless"));
    let of_type = match machine_type.as_str() {
        "C2" => (1, 1 << 30, 0.009),
        "C3" => (2, 2 << 30, 0.018),
        other => panic!("a {other}: say here what it has"),
    };
    assert_eq!((cpus, ram, usage_rate), of_type);
    let gib = storage_total >> 30;
    assert_eq!((storage_total, (storage_rate * 100.0).round() as u64), (gib << 30, gib * 7));
    let network = network_id.map_or("alone".to_owned(), |id| format!("in {id}"));
    let private_ip = private_ip.unwrap_or("no address".to_owned());
    let public_ip = public_ip.map_or(String::new(), |ip| format!(" {ip}"));
    let kind = serde_json::to_value(public_ip_type).unwrap();
    let kind = kind.as_str().unwrap();
    format!(
        "{id} {name} {} {machine_type} {} {network} {private_ip} {kind}{public_ip}{policies}",
        state.word(),
        region.0
    )
}

pub fn network_line(network: PrivateNetwork) -> String {
    let PrivateNetwork { id, name, region, network, netmask, dt_created: _, dt_deleted } = network;
    assert_eq!(dt_deleted, None);
    format!("{id} {name} {} {network}/{netmask}", region.0)
}

pub fn drive_line(drive: SharedDrive) -> String {
    let SharedDrive {
        id,
        name,
        region,
        size,
        mount_point,
        username,
        password,
        network_id,
        dt_created: _,
        dt_deleted,
    } = drive;
    assert_eq!((dt_deleted, size % (1 << 30), password.len()), (None, 0, 32));
    let size_gib = size >> 30;
    format!("{id} {name} {} {size_gib} GiB in {network_id} at {mount_point} as {username}", region.0)
}

pub fn snapshot_line(snapshot: Snapshot) -> String {
    let Snapshot { id, name, machine_id, is_auto_snapshot } = snapshot;
    let auto = if is_auto_snapshot { ", by itself" } else { "" };
    // What is taken before a restore says when.
    let name = name.split(", 20").next().unwrap_or_default();
    format!("{id} {name} of {machine_id}{auto}")
}

pub fn rule_line(rule: FirewallRule) -> String {
    let FirewallRule {
        id: _,
        network_id,
        machine_id,
        direction,
        protocol,
        port_from,
        port_to,
        cidr,
        description,
        dt_created: _,
    } = rule;
    let of = network_id.map(|id| id.to_string()).or(machine_id.map(|id| id.to_string())).unwrap();
    let ports = port_from.zip(port_to).map_or(String::new(), |(from, to)| format!(" {from}-{to}"));
    let why = description.map_or(String::new(), |why| format!(": {why}"));
    format!("{of} {direction:?} {protocol:?}{ports} {cidr}{why}")
}

pub fn address_line(address: PublicIp) -> String {
    let PublicIp { ip, region, assigned_machine_id, dt_created: _ } = address;
    let leads = assigned_machine_id.map_or("to nothing".to_owned(), |id| format!("to {id}"));
    format!("{ip} {} {leads}", region.0)
}

pub fn template_line(template: CustomTemplate) -> String {
    let CustomTemplate {
        id,
        name,
        agent_type,
        operating_system_label,
        region,
        default_size_gb,
        available_machine_types,
        parent_machine_id,
        dt_created: _,
        dt_deleted,
    } = template;
    assert_eq!((agent_type.as_str(), dt_deleted), ("LinuxHeadless", None));
    let types = available_machine_types.len();
    assert!(available_machine_types.iter().all(|one| one.is_available), "{available_machine_types:?}");
    let (region, size) = (region.0, default_size_gb.0);
    format!(
        "{id} {name} {operating_system_label} {region} {size} GB of {parent_machine_id} for {types} types"
    )
}

pub fn event_line(event: MachineEvent) -> String {
    let MachineEvent { id: _, name, state, machine_id, dt_created: _, dt_started, dt_finished, error } =
        event;
    let word = |value: Value| value.as_str().unwrap().to_owned();
    let (name, state) = (word(json!(name)), word(json!(state)));
    let ended = ["done", "error", "cancelled"].contains(&state.as_str());
    assert_eq!(dt_finished.is_some(), ended, "{name} {state}");
    assert_eq!(dt_started.is_some(), state != "new", "{name} {state}");
    let of = machine_id.map_or("nothing".to_owned(), |id| id.to_string());
    format!("{name} of {of}: {state}{}", error.map_or(String::new(), |error| format!(": {error}")))
}

/// Words that look like ids.
const ENGLISH: [&str; 3] = ["namespace", "neighbour", "templates"];

/// Ids are random: the first machine that the text names is `ps1`, and so on.
pub fn numbered(text: &str) -> String {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut result = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let minted = |prefix: &&str| {
            let tail = bare.strip_prefix(*prefix).unwrap_or_default();
            tail.len() == 8
                && tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && !ENGLISH.contains(&bare)
        };
        match ["ps", "sc", "sl", "ev", "te", "sd", "fw", "n", "t"].iter().find(|prefix| minted(prefix)) {
            Some(prefix) => {
                let count = counts.entry((*prefix).to_owned()).or_default();
                let name = names.entry(bare.to_owned()).or_insert_with(|| {
                    *count += 1;
                    format!("{prefix}{count}")
                });
                result.push_str(name);
                result.push_str(&word[bare.len()..]);
            }
            None => result.push_str(word),
        }
    }
    result
}
