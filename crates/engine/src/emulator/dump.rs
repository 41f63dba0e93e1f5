//! The whole world as text, for snapshots.

use std::fmt::Write;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;

use super::Emulator;
use super::guest::Pace;
use super::levers::Levers;
use super::world::{Disk, Drive, Machine, Network, Nic, Snapshot, World};
use crate::seen::{AgentSeen, GuestSeen, Power, TemplateSeen};

const GIB: u64 = 1 << 30;

impl Emulator {
    /// All that is on the host, in order, a line a thing. Moments, the bytes that disks take and the words
    /// on consoles are left out, so that the text stays the same from run to run. Of the levers it shows
    /// what they do, not that they are pulled.
    pub fn dump(&self) -> String {
        let now = self.now();
        let inside = self.inside();
        world(&inside.world, &inside.levers, now, self.pace)
    }
}

fn world(world: &World, levers: &Levers, now: Timestamp, pace: Pace) -> String {
    let World {
        templates,
        networks,
        machines,
        drives,
        public_ips: _,
        gpus: _,
        taken: _,
        capacity: _,
        changed: _,
    } = world;
    let templates = templates.iter().map(|(id, TemplateSeen { size_bytes, used_bytes: _ })| {
        let size = size(*size_bytes);
        format!("{id}: {size}")
    });
    let networks = networks.values().map(network);
    let machines = machines.values().map(|one| machine(one, levers, now, pace));
    let drives = drives.values().map(|Drive { id, size_bytes, written }| {
        let holds = if written.is_empty() { String::new() } else { format!(", holds {written}") };
        format!("{id}: {}{holds}", size(*size_bytes))
    });
    let mut parts = vec![
        part("templates", templates.collect()),
        part("networks", networks.collect()),
        part("machines", machines.collect()),
    ];
    if !world.drives.is_empty() {
        parts.push(part("drives", drives.collect()));
    }
    parts.join("\n")
}

fn part(name: &str, lines: Vec<String>) -> String {
    if lines.is_empty() {
        return format!("{name}: none");
    }
    let mut text = format!("{name}:");
    for line in lines {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n  {line}");
    }
    text
}

fn network(network: &Network) -> String {
    let Network { spec, broken, nics, shares } = network;
    let mut line = format!("{}: {}", spec.network, spec.cidr);
    if !spec.firewall.is_empty() {
        let _ = write!(line, ", {} firewall rules", spec.firewall.len());
    }
    if *broken {
        line.push_str(", broken");
    }
    for (machine, nic) in nics {
        line.push_str("; ");
        line.push_str(&plugged(machine, nic));
    }
    for (drive, password_number) in shares {
        let _ = write!(line, "; {drive} with password {password_number}");
    }
    line
}

fn plugged(machine: &MachineId, nic: &Nic) -> String {
    let Nic { mac, ip, names, public_ip, unguarded } = nic;
    let public = public_ip.map(|public_ip| format!(", public {public_ip}")).unwrap_or_default();
    let unguarded = if *unguarded { ", unguarded" } else { "" };
    format!("{machine} at {ip} ({mac}) as {}{public}{unguarded}", names.join(" "))
}

fn machine(machine: &Machine, levers: &Levers, now: Timestamp, pace: Pace) -> String {
    let Machine { id, disk, boot, console: _, last_run: _, last_start: _ } = machine;
    let nature = levers.nature(id);
    let disk = disk.as_ref().map_or_else(|| "no disk".to_owned(), told_disk);
    let power = boot.as_ref().map_or(Power::Off, |boot| boot.power(now, &nature));
    let guest = boot.as_ref().map(|boot| boot.guest(now, pace, &nature)).unwrap_or_default();
    let takes = boot.as_ref().map(|boot| format!(", {} vCPUs, {}", boot.vcpus, size(boot.ram_bytes)));
    let gpus: String = boot.iter().flat_map(|boot| &boot.gpus).map(|gpu| format!(", GPU {gpu}")).collect();
    let desktop = boot.as_ref().and_then(|boot| boot.desktop(now, &nature)).map_or("", |_| ", desktop");
    let (power, takes) = (told_power(&power), takes.unwrap_or_default());
    format!("{id}: {disk}; {power}{takes}{gpus}{desktop}{}", told_guest(&guest))
}

fn told_disk(disk: &Disk) -> String {
    let Disk { template, size_bytes, used_bytes: _, ran, generation, snapshots } = disk;
    let mut line = format!("{} on {template}", size(*size_bytes));
    for script in ran {
        let _ = write!(line, ", ran {script}");
    }
    for Snapshot { id, size_bytes, taken: _, ran: _ } in snapshots {
        let _ = write!(line, ", snapshot {id} of {}", size(*size_bytes));
    }
    if *generation > 0 {
        let _ = write!(line, ", restore {generation}");
    }
    line
}

fn told_power(power: &Power) -> String {
    match power {
        Power::Off => "off".to_owned(),
        Power::On { boot, since: _ } => format!("on, boot {boot}"),
        Power::Halted { boot } => format!("halted, boot {boot}"),
        Power::Stalled { boot } => format!("stalled, boot {boot}"),
    }
}

fn told_guest(guest: &GuestSeen) -> String {
    let GuestSeen { leased, agent } = guest;
    let leased = leased.map_or("", |_| ", leased");
    let agent = match agent {
        AgentSeen::Absent => String::new(),
        AgentSeen::Opened => ", agent opened".to_owned(),
        AgentSeen::Answers { os: None } => ", agent answers".to_owned(),
        AgentSeen::Answers { os: Some(os) } => format!(", agent answers {os}"),
    };
    format!("{leased}{agent}")
}

fn size(bytes: u64) -> String {
    match bytes % GIB {
        0 => format!("{} GiB", bytes / GIB),
        _ => format!("{bytes} bytes"),
    }
}
