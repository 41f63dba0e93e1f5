//! Templates, disks and machines, with real `qemu-img` and real QEMU.

mod acceleration;
mod disks;
mod gpus;
mod place;
mod power;
pub mod small_guest;
