//! The Linux engine on a real kernel, with real programs. Needs root.

mod vm;
