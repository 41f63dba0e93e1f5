//! Templates, disks and machines, with real `qemu-img` and real QEMU.

mod acceleration;
mod copies;
mod desktop;
mod disks;
mod gpus;
mod inside;
mod place;
mod power;
pub mod small_guest;
mod snapshots;
mod viewer;
