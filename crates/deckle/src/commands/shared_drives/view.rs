//! Shared drives as they are printed.

use deckle_api::shared_drives::{SharedDrive, SharedDriveDeleted};

use crate::output::{Shown, size};

impl Shown for SharedDrive {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "REGION", "NETWORK", "SIZE", "MOUNT POINT", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.region.0.clone(),
            self.network_id.to_string(),
            size(self.size),
            self.mount_point.clone(),
            self.dt_created.to_string(),
        ]
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts: Vec<_> = Self::COLUMNS.iter().copied().zip(self.cells()).collect();
        facts.push(("USERNAME", self.username.clone()));
        facts.push(("PASSWORD", self.password.clone()));
        facts
    }
}

impl Shown for SharedDriveDeleted {
    const COLUMNS: &'static [&'static str] = &["DELETED"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

/// What is run as root on a Linux machine to mount a drive there. The password is in a file, not in the
/// list of processes; `hard` makes programs wait while the server is away, rather than fail.
pub fn mount_command(drive: &SharedDrive, at: &str) -> String {
    let share = drive.mount_point.replace('\\', "/");
    let secret = format!("/etc/deckle-{}", drive.id);
    format!(
        "apt-get install -y cifs-utils\n\
         install -m 600 /dev/null {secret}\n\
         printf 'username=%s\\npassword=%s\\n' '{}' '{}' > {secret}\n\
         mkdir -p {at}\n\
         mount -t cifs {share} {at} -o vers=3.1.1,hard,credentials={secret},uid=1000,gid=1000\n",
        drive.username, drive.password,
    )
}
