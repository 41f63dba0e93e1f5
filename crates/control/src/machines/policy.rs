//! Which one step leads from what is seen to what is wanted.

use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::MachineState;
use serde::{Deserialize, Serialize};

/// What is wanted of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// That it runs.
    On,
    /// That it is off, its disk ready.
    Off,
    /// That it is off, with nothing of it on its host: where a failed create ends.
    Blank,
    /// That nothing of it is left.
    Gone,
}

/// What is seen of a machine, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Whether the machine has its network to itself.
    pub own_network: bool,
    /// Its network.
    pub network: Network,
    /// Its disk.
    pub disk: Disk,
    /// What is to be done to the disk next.
    pub work: Work,
    /// Whether it is plugged in.
    pub nic: bool,
    /// Whether its port is there, plugged in or not.
    pub port: bool,
    /// Whether its network knows the names that it is to have there.
    pub names: bool,
    /// Whether it is to be in another network than the one that it is looked for in.
    pub moving: bool,
    /// Its public address.
    pub public_ip: PublicIp,
    /// Whether the public address that it holds is claimed: it is kept while the machine is off.
    pub claimed: bool,
    /// Whether its memory and processors are taken on its host.
    pub placed: bool,
    /// Its power.
    pub power: Power,
    /// Its guest.
    pub guest: Guest,
    /// Its power button.
    pub button: Button,
    /// What it is to do of its own accord.
    pub due: Due,
}

/// A machine's network on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing of it is there.
    Absent,
    /// Some of it is missing.
    Broken,
    /// It is whole.
    Whole,
}

/// A machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// There is none, and none was made.
    NotMade,
    /// It is there, and no row says so yet: nothing was ever written to it.
    Unrecorded,
    /// It is there.
    There,
    /// It was made, and is not there.
    Lost,
}

/// What is to be done to a disk that is there, one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    None,
    /// A snapshot is to be taken, in any state of the power.
    Take,
    /// A snapshot is to be removed, in any state of the power.
    Remove,
    /// It is to go back to a snapshot, without power.
    Restore,
    /// It is to grow, without power.
    Grow,
    /// A template that was to be made of it is to be removed. The disk takes no part.
    Discard,
    /// A template is to be made of it, of a machine that is to be off.
    Capture,
}

/// A machine's public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicIp {
    /// None is held, and none leads to the machine.
    Free,
    /// One is wanted while the machine is on; none is held.
    Wanted,
    /// One is held; it does not lead to the machine.
    Held,
    /// The one that is held leads to the machine.
    Routed,
    /// One leads to the machine that it does not hold.
    Stray,
}

/// A machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Off.
    Off,
    /// On, in the boot that is wanted.
    On,
    /// On, in a boot before the wanted one.
    OnBefore,
    /// The guest has shut down; the power is to be cut.
    Halted,
    /// The guest has shut down in a boot before the wanted one.
    HaltedBefore,
}

/// A guest that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// It boots.
    Booting,
    /// It has its address; its agent is not ready.
    Leased,
    /// It can be used.
    Ready,
    /// It has had longer than a guest may take.
    Overdue,
}

/// A machine's power button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// It has not been pressed.
    Untouched,
    /// It was pressed a moment ago.
    Pressed,
    /// It was pressed a while ago, and the guest may not have heard it.
    PressAgain,
    /// The guest has had all the time that a clean stop may take.
    Overdue,
}

/// What a machine is to do of its own accord, while no order is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// It has run for as long as it may.
    Shutdown,
    /// A slot of its auto-snapshots has come.
    Snapshot,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make or mend the network that the machine has to itself.
    MakeNetwork,
    /// Wait for the private network's own visit to make or mend it.
    AwaitNetwork,
    /// Make the disk.
    MakeDisk,
    /// Write down that the disk was made.
    RecordDisk,
    /// Take a snapshot of the disk.
    TakeSnapshot,
    /// Remove a snapshot from the disk.
    RemoveSnapshot,
    /// Take the disk back to a snapshot.
    Restore,
    /// Grow the disk.
    GrowDisk,
    /// Remove a template that was to be made of the disk.
    DiscardTemplate,
    /// Make a template of the disk.
    MakeTemplate,
    /// Plug the machine in.
    PlugNic,
    /// Take a public address from the pool.
    HoldPublicIp,
    /// Lead the held address to the machine.
    RoutePublicIp,
    /// Take memory and processors on the host.
    Place,
    /// Start it.
    PowerOn,
    /// Wait for the guest.
    AwaitGuest,
    /// Accept that the guest has switched itself off.
    HonourGuest,
    /// Want the machine off, because it has run for as long as it may.
    ShutDown,
    /// Order the auto-snapshot of a slot, or let the slot pass.
    KeepSlot,
    /// Press the power button.
    PressPowerButton,
    /// Wait for the guest to shut down.
    AwaitHalt,
    /// Cut the power.
    CutPower,
    /// Take the public address from the machine.
    UnroutePublicIp,
    /// Give the held address back to the pool.
    DropPublicIp,
    /// Give memory and processors back.
    Displace,
    /// Unplug the machine.
    UnplugNic,
    /// Remove the network that the machine had to itself.
    RemoveNetwork,
    /// Say that the machine is in its other network from now on.
    Move,
    /// Remove the disk.
    DeleteDisk,
    /// Say that the machine is as it should be.
    Settle,
    /// Say that nothing of it is left.
    Forget,
    /// Say what cannot be mended.
    Tell(Trouble),
}

impl Step {
    /// Whether it is done on the host, so that the next look shows it.
    pub fn is_act(self) -> bool {
        match self {
            Self::MakeNetwork
            | Self::MakeDisk
            | Self::Restore
            | Self::GrowDisk
            | Self::PlugNic
            | Self::RoutePublicIp
            | Self::PowerOn
            | Self::CutPower
            | Self::UnroutePublicIp
            | Self::UnplugNic
            | Self::RemoveNetwork
            | Self::DeleteDisk => true,
            Self::AwaitNetwork
            | Self::RecordDisk
            | Self::TakeSnapshot
            | Self::RemoveSnapshot
            | Self::DiscardTemplate
            | Self::MakeTemplate
            | Self::HoldPublicIp
            | Self::Place
            | Self::AwaitGuest
            | Self::HonourGuest
            | Self::ShutDown
            | Self::KeepSlot
            | Self::PressPowerButton
            | Self::AwaitHalt
            | Self::DropPublicIp
            | Self::Displace
            | Self::Move
            | Self::Settle
            | Self::Forget
            | Self::Tell(_) => false,
        }
    }

    /// Whether the machine is as it should be where this is its next step.
    pub fn finds_it_well(self) -> bool {
        matches!(self, Self::Settle | Self::ShutDown | Self::KeepSlot)
    }
}

/// What no step mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The disk was made and is not there.
    DiskLost,
    /// The guest has had longer than a guest may take.
    NeverReady,
}

/// The whole policy, as a pure function: no clock, no database, no host.
pub fn next(intent: Intent, sight: &Sight) -> Step {
    match towards(intent, sight) {
        // What stays as it is, well or not, keeps no slot waiting.
        Step::Settle | Step::Tell(Trouble::DiskLost) if sight.due == Due::Snapshot => Step::KeepSlot,
        step => step,
    }
}

fn towards(intent: Intent, sight: &Sight) -> Step {
    match intent {
        Intent::Blank | Intent::Gone if sight.power != Power::Off => Step::CutPower,
        Intent::On | Intent::Off | Intent::Blank if sight.moving => away(sight).unwrap_or(Step::Move),
        Intent::On => on(sight),
        Intent::Off => down(sight).unwrap_or_else(|| rest(sight)),
        Intent::Blank | Intent::Gone => down(sight).unwrap_or_else(|| clear(intent, sight)),
    }
}

fn on(sight: &Sight) -> Step {
    match sight.power {
        Power::Halted if sight.button == Button::Untouched => return Step::HonourGuest,
        Power::Halted | Power::HaltedBefore => return Step::CutPower,
        // A guest that has lost its port cannot be given another one: it starts again.
        Power::OnBefore => return stop(sight),
        // Its guest has the only copy open: it runs on until somebody says otherwise.
        Power::On if sight.disk == Disk::Lost => return Step::Tell(Trouble::DiskLost),
        Power::On if sight.due == Due::Shutdown => return Step::ShutDown,
        Power::On if !sight.port => return stop(sight),
        Power::On if matches!(sight.work, Work::Restore | Work::Grow) => return stop(sight),
        Power::On | Power::Off => {}
    }
    if let Some(step) = with_disk(sight) {
        return step;
    }
    if sight.network != Network::Whole {
        return if sight.own_network { Step::MakeNetwork } else { Step::AwaitNetwork };
    }
    if !sight.placed {
        return Step::Place;
    }
    if !sight.nic || !sight.names {
        return Step::PlugNic;
    }
    match sight.public_ip {
        PublicIp::Wanted => return Step::HoldPublicIp,
        PublicIp::Held => return Step::RoutePublicIp,
        PublicIp::Stray => return Step::UnroutePublicIp,
        PublicIp::Free | PublicIp::Routed => {}
    }
    match (sight.power, sight.guest) {
        (Power::Off, _) => Step::PowerOn,
        (_, Guest::Ready) => Step::Settle,
        (_, Guest::Booting | Guest::Leased) => Step::AwaitGuest,
        (_, Guest::Overdue) => Step::Tell(Trouble::NeverReady),
    }
}

/// The step that takes a machine away from its network, its power first, while it has anything there.
fn away(sight: &Sight) -> Option<Step> {
    match sight.power {
        Power::On | Power::OnBefore => return Some(stop(sight)),
        Power::Halted | Power::HaltedBefore => return Some(Step::CutPower),
        Power::Off => {}
    }
    if matches!(sight.public_ip, PublicIp::Routed | PublicIp::Stray) {
        return Some(Step::UnroutePublicIp);
    }
    if sight.nic || sight.port {
        return Some(Step::UnplugNic);
    }
    (sight.own_network && sight.network != Network::Absent).then_some(Step::RemoveNetwork)
}

/// The step that takes all that an off machine does not have, while it has any of it.
fn down(sight: &Sight) -> Option<Step> {
    if let Some(step) = away(sight) {
        return Some(step);
    }
    if sight.public_ip == PublicIp::Held && !sight.claimed {
        return Some(Step::DropPublicIp);
    }
    sight.placed.then_some(Step::Displace)
}

fn stop(sight: &Sight) -> Step {
    match sight.button {
        Button::Untouched | Button::PressAgain => Step::PressPowerButton,
        Button::Pressed => Step::AwaitHalt,
        Button::Overdue => Step::CutPower,
    }
}

fn rest(sight: &Sight) -> Step {
    let captured = || (sight.work == Work::Capture).then_some(Step::MakeTemplate);
    with_disk(sight).or_else(captured).unwrap_or(Step::Settle)
}

/// The step that the disk needs, while it needs one.
fn with_disk(sight: &Sight) -> Option<Step> {
    if sight.work == Work::Discard {
        return Some(Step::DiscardTemplate);
    }
    match sight.disk {
        Disk::NotMade => Some(Step::MakeDisk),
        Disk::Unrecorded => Some(Step::RecordDisk),
        Disk::Lost => Some(Step::Tell(Trouble::DiskLost)),
        Disk::There => match sight.work {
            Work::None | Work::Discard | Work::Capture => None,
            Work::Take => Some(Step::TakeSnapshot),
            Work::Remove => Some(Step::RemoveSnapshot),
            Work::Restore => Some(Step::Restore),
            Work::Grow => Some(Step::GrowDisk),
        },
    }
}

fn clear(intent: Intent, sight: &Sight) -> Step {
    match (sight.disk, intent) {
        (Disk::There | Disk::Unrecorded, _) => Step::DeleteDisk,
        _ if sight.work == Work::Discard => Step::DiscardTemplate,
        (Disk::NotMade | Disk::Lost, Intent::Gone) => Step::Forget,
        (Disk::NotMade | Disk::Lost, _) => Step::Settle,
    }
}

/// Whether a machine that was as it should be has to boot once more, though nobody ordered that: its guest has
/// gone down, or goes down with this step.
pub fn is_interrupted(intent: Intent, step: Step, sight: &Sight) -> bool {
    let goes_down = matches!(step, Step::PressPowerButton | Step::AwaitHalt | Step::CutPower);
    intent == Intent::On && (sight.power == Power::Off || goes_down)
}

/// What a machine is shown to be doing, given what is wanted, its open event, and what is seen.
pub fn shown(intent: Intent, event: Option<MachineEventName>, sight: &Sight) -> MachineState {
    let powered = sight.power != Power::Off;
    match intent {
        Intent::Off | Intent::Blank | Intent::Gone if powered => MachineState::Stopping,
        Intent::Off if event == Some(MachineEventName::Create) => MachineState::Provisioning,
        Intent::Off | Intent::Blank if event == Some(MachineEventName::VmUpgrade) => MachineState::Upgrading,
        Intent::Off | Intent::Blank | Intent::Gone => MachineState::Off,
        Intent::On if event.is_some_and(restarts) => MachineState::Restarting,
        Intent::On if event == Some(MachineEventName::Create) && !powered => MachineState::Provisioning,
        Intent::On => match (sight.power, sight.guest) {
            (Power::On, Guest::Leased) => MachineState::Serviceready,
            (Power::On, Guest::Ready) => MachineState::Ready,
            _ => MachineState::Starting,
        },
    }
}

/// Whether a machine that is on is stopped and started again for an order.
fn restarts(order: MachineEventName) -> bool {
    matches!(
        order,
        MachineEventName::Restart | MachineEventName::VmMigrate | MachineEventName::SnapshotRestore
    )
}

/// What a machine is shown to be doing right after an order, before the first look.
pub fn shown_when_ordered(order: MachineEventName, before: MachineState) -> MachineState {
    match order {
        MachineEventName::Create => MachineState::Provisioning,
        MachineEventName::Start => MachineState::Starting,
        MachineEventName::Restart => MachineState::Restarting,
        MachineEventName::VmMigrate | MachineEventName::SnapshotRestore if before != MachineState::Off => {
            MachineState::Restarting
        }
        MachineEventName::VmUpgrade => MachineState::Upgrading,
        MachineEventName::Stop | MachineEventName::Deactivate if before != MachineState::Off => {
            MachineState::Stopping
        }
        _ => before,
    }
}

#[cfg(test)]
mod tests;
