//! Runs of startup scripts: what came of a script at a start of a machine.
//!
//! A run is written down before the machine is started with the script. The guest tells its beginning, its
//! output and its exit status on its serial console, and the machine's visits read them there until the
//! status is known. What a guest's own root writes there can only be wrong about that machine.
//!
//! **Invariants**
//! - The run of a boot names the script that the boot's seed carries.
//! - Output is sealed at rest, as scripts are: they print what they carry.

pub mod service;
mod store;
