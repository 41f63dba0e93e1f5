//! What each step of a visit is in words for people who wait for its machine.

use super::policy::{Guest, Sight, Step, Trouble};
use super::store::Model;
use crate::progress::Words;

/// What is told while a machine cannot be looked at.
pub const LOOKS: &str = "looks at the machine on its host";

/// A step in words. What people wait for as one thing has the same words: since when is told of them.
pub fn of(step: Step, row: &Model, sight: &Sight) -> Words {
    let told = match step {
        Step::MakeNetwork => "makes the machine's own network",
        Step::AwaitNetwork => match &row.network_id {
            Some(network) => return Words::of_network(&network.0),
            None => "waits for its network",
        },
        Step::MakeDisk | Step::RecordDisk => "makes the disk",
        Step::TakeSnapshot => "takes a snapshot",
        Step::RemoveSnapshot => "removes a snapshot",
        Step::Restore => "takes the disk back to a snapshot",
        Step::GrowDisk => "grows the disk",
        Step::MakeTemplate => "makes a template of the disk",
        Step::DiscardTemplate => "discards a template that was not finished",
        Step::ShutDown => "shuts the machine down, as it was set to",
        Step::KeepSlot => "takes a snapshot, as the machine was set to",
        Step::PlugNic => "plugs the machine into its network",
        Step::HoldPublicIp => "takes a public address from the pool",
        Step::RoutePublicIp => "leads the public address to the machine",
        Step::Place => "takes room on the host",
        Step::PowerOn => "starts the virtual machine",
        Step::AwaitGuest if sight.guest == Guest::Leased => "waits for the guest's agent",
        Step::AwaitGuest => "waits for the guest to boot",
        Step::HonourGuest => "switches off, as the guest did",
        Step::PressPowerButton | Step::AwaitHalt => "waits for the guest to shut down",
        Step::CutPower => "cuts the power",
        Step::UnroutePublicIp => "takes the public address from the machine",
        Step::DropPublicIp => "gives the public address back to the pool",
        Step::Displace => "gives its room on the host back",
        Step::UnplugNic => "unplugs the machine from its network",
        Step::RemoveNetwork => "removes the machine's own network",
        Step::Move => "moves the machine to its other network",
        Step::DeleteDisk => "deletes the disk",
        Step::Settle => "finds the machine as it should be",
        Step::Forget => "forgets the machine",
        Step::Tell(Trouble::DiskLost) => "misses the machine's disk",
        Step::Tell(Trouble::NeverReady) => "gives the guest up",
    };
    told.into()
}
