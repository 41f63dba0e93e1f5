//! Desktops of machines on the wire.

use std::fmt;

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};

/// How a machine's desktop is reached: empty for a machine that has none.
#[wire]
pub struct Desktop {
    /// By a VNC viewer.
    pub vnc: Optional<VncDesktop>,
    /// By a viewer of Windows desktops: never there, because there is no Windows.
    pub windows: Optional<WindowsDesktop>,
}

/// A desktop that VNC viewers show.
#[wire]
pub struct VncDesktop {
    /// The name or the address to connect to.
    pub hostname: String,
    /// The TCP port there.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// What lets a viewer in: 8 letters and digits, others after each power-on.
    #[schema(value_type = String)]
    pub password: DesktopPassword,
}

/// A desktop of Windows.
#[wire]
pub struct WindowsDesktop {
    /// The name or the address to connect to.
    pub hostname: String,
    /// The TCP port there.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// The machine's public address, where it has one.
    pub public_ip: Optional<String>,
}

/// A password that is told to who may have it, and to no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DesktopPassword(pub String);

impl fmt::Debug for DesktopPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DesktopPassword")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_on_the_wire_and_in_no_log() {
        let vnc = VncDesktop {
            hostname: "127.0.0.1".to_owned(),
            port: 5900,
            password: DesktopPassword("s3cret_x".to_owned()),
        };
        let desktop = Desktop { vnc: Some(vnc), windows: None };
        let shown = serde_json::to_string(&desktop).unwrap();
        assert_eq!(shown, r#"{"vnc":{"hostname":"127.0.0.1","port":5900,"password":"s3cret_x"}}"#);
        assert_eq!(serde_json::from_str::<Desktop>(&shown).unwrap(), desktop);
        assert!(!format!("{desktop:?}").contains("s3cret_x"));
    }
}
