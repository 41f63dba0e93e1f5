//! Which call fails, when, and how.

use std::fmt;

macro_rules! calls {
    ($($name:ident = $method:literal,)*) => {
        /// A method of the engine's contract that can fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Call {
            $(#[doc = concat!("[`", $method, "`](crate::Engine::", $method, ").")] $name,)*
        }

        impl Call {
            /// Every such method, in the order of the trait.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The method's name.
            pub fn method(self) -> &'static str {
                match self {
                    $(Self::$name => $method,)*
                }
            }
        }
    };
}

calls! {
    LookHost = "look_host",
    LookCapacity = "look_capacity",
    LookGpus = "look_gpus",
    ResetGpu = "reset_gpu",
    LookThings = "look_things",
    LookTemplate = "look_template",
    EnsureTemplate = "ensure_template",
    EnsureTemplateFrom = "ensure_template_from",
    RemoveTemplate = "remove_template",
    LookNetwork = "look_network",
    EnsureNetwork = "ensure_network",
    RemoveNetwork = "remove_network",
    LookDrive = "look_drive",
    EnsureDrive = "ensure_drive",
    RemoveDrive = "remove_drive",
    EnsureShare = "ensure_share",
    RemoveShare = "remove_share",
    LookMachine = "look_machine",
    EnsureDisk = "ensure_disk",
    LookSnapshots = "look_snapshots",
    EnsureSnapshot = "ensure_snapshot",
    RemoveSnapshot = "remove_snapshot",
    RestoreSnapshot = "restore_snapshot",
    RemoveDisk = "remove_disk",
    EnsureNic = "ensure_nic",
    RemoveNic = "remove_nic",
    EnsurePublicIp = "ensure_public_ip",
    RemovePublicIp = "remove_public_ip",
    PowerOn = "power_on",
    PressPowerButton = "press_power_button",
    CutPower = "cut_power",
    ReadConsole = "read_console",
    ReadScriptRun = "read_script_run",
    Export = "export",
    Import = "import",
    LookTransfer = "look_transfer",
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

/// A break of one call, the next of its method, with an error that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuse {
    /// The call fails and has done nothing.
    Before(Call),
    /// The call has done its work and fails all the same, as when a crash swallows the answer.
    After(Call),
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// With an error that the next try may not meet.
    Passing,
    /// With an error that every try meets.
    Final,
}
