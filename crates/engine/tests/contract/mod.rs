//! The contract of [`Engine`] as tests: one promise a function, the same for every engine.
//!
//! An engine's tests include this folder with `#[macro_use]` and `#[path]`, write down their [`Host`], and
//! turn each promise into a test of its own with `contract_tests!(host)`, where `host` is an async function
//! that returns one, or what derefs to one.
//!
//! **Invariants**: a promise makes its own machines and networks, under fresh ids, and ends by seeing that
//! nothing of them is left, so that promises may run on one host together. It waits for a level with the
//! host's limits, never for a time.

#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked #[test] for tests")]

mod case;
mod consoles;
mod desktops;
mod disks;
mod drives;
mod networks;
mod power;
mod public_ips;
mod snapshots;
mod templates;
mod transfers;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deckle_api::ids::TemplateId;
use deckle_engine::Engine;

pub use case::Case;
pub use consoles::*;
pub use desktops::*;
pub use disks::*;
pub use drives::*;
pub use networks::*;
pub use power::*;
pub use public_ips::*;
pub use snapshots::*;
pub use templates::*;
pub use transfers::*;

pub const GIB: u64 = 1 << 30;

/// A host to try the contract on.
#[derive(Clone)]
pub struct Host {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// A template that is there, whose guest has an agent.
    pub template: TemplateId,
    /// An image file to take in, no larger than 64 GiB inside; its guest need not boot.
    pub image: PathBuf,
    /// Two public addresses that the engine may use and that nobody else does.
    pub public_ips: [Ipv4Addr; 2],
    /// The memory that the template's guest needs, in bytes.
    pub ram_bytes: u64,
    /// How long a guest may take from power-on to its agent's first answer.
    pub up_limit: Duration,
    /// How long a guest that is up may take from the power button to its halt.
    pub halt_limit: Duration,
    /// How long to wait between two looks.
    pub look_every: Duration,
}

macro_rules! promises {
    ($($promise:ident,)*) => {
        /// One test for each promise of the contract, on the host that an async function returns.
        macro_rules! contract_tests {
            ($host:path) => {
                $(
                    #[tokio::test]
                    async fn $promise() {
                        let host = $host().await;
                        $crate::contract::$promise(&host).await;
                    }
                )*
            };
        }
    };
}

promises! {
    a_template_is_taken_in_once_and_removed_whole,
    an_image_that_names_another_file_is_refused,
    an_image_that_is_too_large_is_refused,
    a_disk_outlives_its_template,
    a_template_of_a_disk_outlives_the_disk,
    a_template_is_made_of_a_machine_that_is_off,
    a_network_is_made_once_and_removed_whole,
    a_removed_network_takes_all_in_it_along,
    networks_with_the_same_range_share_nothing,
    a_drive_is_made_once_and_removed_whole,
    a_drive_grows_and_never_shrinks,
    a_shared_drive_grows_and_stays_shared,
    a_share_is_of_one_network_and_has_one_password,
    a_share_goes_and_its_neighbour_stays,
    a_share_needs_its_drive_and_its_network,
    a_machine_is_plugged_in_once_and_unplugged_whole,
    a_machine_is_plugged_into_a_network_that_is_there,
    a_public_address_leads_to_a_machine_until_it_is_taken,
    a_machine_has_one_public_address,
    a_public_address_moves_in_one_call,
    a_disk_is_made_once_and_removed_whole,
    a_disk_grows_and_never_shrinks,
    a_disk_needs_its_template,
    what_was_never_made_is_removed_in_peace,
    snapshots_are_taken_once_and_removed_one_by_one,
    a_snapshot_of_a_machine_that_is_on_leaves_it_on,
    a_restore_is_counted_and_later_snapshots_survive_it,
    a_restored_disk_keeps_its_larger_size,
    a_restore_needs_its_snapshot_and_a_machine_that_is_off,
    snapshots_go_with_the_disk,
    power_on_twice_is_one_boot,
    a_boot_after_a_cut_is_a_new_one,
    a_machine_without_a_disk_does_not_start,
    a_guest_comes_up_and_hears_the_button,
    a_desktop_listens_while_the_machine_is_on,
    a_desktop_without_a_password_is_refused,
    a_console_is_read_in_pieces,
    a_console_that_never_was_is_empty,
    a_run_of_a_script_is_told_and_goes_with_the_machine,
    a_disk_becomes_a_file_and_the_file_another_disk,
    a_machine_that_is_on_is_exported_and_not_replaced,
    a_file_that_cannot_be_a_disk_changes_nothing,
    a_drive_becomes_a_file_and_the_file_another_drive,
    a_file_that_cannot_be_a_drive_changes_nothing,
}
