//! A machine's desktop: QEMU's VNC server behind a socket of ours.
//!
//! QEMU has no network, so it cannot listen by itself: it is given a socket that listens on the configured
//! address, and a password, before its guest begins. Neither is on its command line.
//!
//! **Invariant**: nothing listens before the password is set, and without one nobody is let in.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use serde_json::json;

use super::lines::Broken;
use super::qmp::Qmp;
use crate::linux::Settings;
use crate::specs::DesktopSpec;

/// How many ports from the first on are for desktops.
const PORTS: u16 = 1000;

/// Where desktops listen.
#[derive(Debug, Clone)]
pub struct Doors {
    address: IpAddr,
    first_port: u16,
    first_uid: u32,
}

impl Doors {
    /// As the operator has set them.
    pub fn new(settings: &Settings) -> Self {
        let Settings { desktop_address: address, desktop_first_port: first_port, first_uid, .. } = *settings;
        Self { address, first_port, first_uid }
    }

    /// A socket for the machine of that user: always on the same port, or on the next one that is free.
    pub fn listen(&self, uid: u32) -> io::Result<OwnedFd> {
        let own = (uid.saturating_sub(self.first_uid) % u32::from(PORTS)) as u16;
        for step in 0..PORTS {
            let port = self.first_port.saturating_add((own + step) % PORTS);
            match TcpListener::bind((self.address, port)) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    return Ok(listener.into());
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    let why = format!("listen on {}: {error}; see desktop_address", self.address);
                    return Err(io::Error::new(error.kind(), why));
                }
            }
        }
        let why = format!("{PORTS} ports from {} on are taken; set desktop_first_port", self.first_port);
        Err(io::Error::new(io::ErrorKind::AddrInUse, why))
    }
}

/// The part of QEMU's command line: a screen, a pointer that viewers can aim, and no listener yet.
pub fn arguments() -> Vec<String> {
    let words =
        ["-vnc", "none,password=on", "-device", "VGA", "-device", "qemu-xhci", "-device", "usb-tablet"];
    // The guest begins when the rest is handed over.
    words.into_iter().chain(["-S"]).map(str::to_owned).collect()
}

/// Hands QEMU the password and the socket.
pub async fn open(qmp: &mut Qmp, spec: &DesktopSpec, socket: &OwnedFd) -> Result<(), Broken> {
    qmp.ask("set_password", json!({ "protocol": "vnc", "password": spec.password })).await?;
    qmp.hand("desktop", socket.as_fd()).await?;
    let address = json!({ "type": "fd", "str": "desktop" });
    qmp.ask("display-update", json!({ "type": "vnc", "addresses": [address] })).await?;
    Ok(())
}

/// Where a live QEMU listens, if it has a desktop.
pub async fn look(qmp: &mut Qmp) -> Result<Option<SocketAddr>, Broken> {
    let said = qmp.ask("query-vnc", json!({})).await?;
    if said["enabled"] != true {
        return Ok(None);
    }
    let host = said["host"].as_str().and_then(|host| host.parse::<IpAddr>().ok());
    let port = said["service"].as_str().and_then(|port| port.parse().ok());
    match (host, port) {
        (Some(host), Some(port)) => Ok(Some((host, port).into())),
        _ => Err(Broken::Garbage("the desktop has no address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn port(socket: &OwnedFd) -> u16 {
        TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap().port()
    }

    #[test]
    fn each_machine_has_its_own_port_and_the_next_free_one_where_that_is_taken() {
        let settings = Settings { desktop_first_port: 21_900, first_uid: 70_000, ..Settings::default() };
        let doors = Doors::new(&settings);
        let first = doors.listen(70_003).unwrap();
        let second = doors.listen(70_003).unwrap();
        let own = port(&first);
        assert!(own >= 21_903 && port(&second) > own, "{own}");
        drop((first, second));
        assert_eq!(port(&doors.listen(70_003).unwrap()), own);
    }

    #[test]
    fn an_address_that_is_not_here_is_named() {
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1).into();
        let doors = Doors::new(&Settings { desktop_address: elsewhere, ..Settings::default() });
        let refused = doors.listen(2_000_001).unwrap_err().to_string();
        assert!(refused.contains("192.0.2.1") && refused.contains("desktop_address"), "{refused}");
    }
}
