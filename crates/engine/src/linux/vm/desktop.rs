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
use crate::seen::{Check, Verdict};
use crate::specs::DesktopSpec;

/// How many ports from the first on are for desktops.
const PORTS: u16 = Settings::DESKTOP_PORTS;

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

/// What `deckle doctor` says of where desktops are to listen. Each port is taken for a moment.
pub fn check(settings: &Settings) -> Check {
    let first = settings.desktop_first_port;
    check_ports(settings.desktop_address, first, first.saturating_add(PORTS - 1))
}

fn check_ports(address: IpAddr, first: u16, last: u16) -> Check {
    let name = "desktops";
    let mut free = 0;
    for port in first..=last {
        match TcpListener::bind((address, port)) {
            Ok(_) => free += 1,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                let found = format!("Desktops cannot listen on {address}, port {port}: {error}.");
                let cure =
                    "set desktop_address to an address of this host, and desktop_first_port to 1024 or more";
                return Check::new(name, Verdict::Bad, found, cure);
            }
        }
    }
    if free == 0 {
        let found = format!("The ports from {first} to {last} on {address}, for desktops, are all taken.");
        return Check::new(name, Verdict::Bad, found, "set desktop_first_port to another range");
    }
    let found = format!("{free} of the ports from {first} to {last} on {address} are free for desktops.");
    if address.is_loopback() {
        return Check::good(name, found);
    }
    let found = format!("{found} VNC is in clear: who is on the way reads along.");
    let cure = "leave desktop_address out and use SSH tunnels, unless the network there is trusted";
    Check::new(name, Verdict::Weak, found, cure)
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
    fn a_doctor_says_when_ports_are_taken() {
        let look = || check_ports(Ipv4Addr::LOCALHOST.into(), 23_000, 23_001);
        assert_eq!((look().verdict, look().cure.as_str()), (Verdict::Good, ""), "{:?}", look());
        let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 23_000)).unwrap();
        assert_eq!((look().verdict, &look().found[..2]), (Verdict::Good, "1 "), "{:?}", look());
        let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 23_001)).unwrap();
        let none = look();
        assert_eq!(none.verdict, Verdict::Bad);
        assert!(
            none.found.contains("23000 to 23001") && none.cure.contains("desktop_first_port"),
            "{none:?}"
        );
        drop((one, other));
        assert_eq!((look().verdict, &look().found[..2]), (Verdict::Good, "2 "), "{:?}", look());
    }

    #[test]
    fn a_doctor_says_that_an_address_is_elsewhere_or_open() {
        let at = |address: [u8; 4], desktop_first_port| {
            let desktop_address = Ipv4Addr::from(address).into();
            check(&Settings { desktop_address, desktop_first_port, ..Settings::default() })
        };
        let elsewhere = at([192, 0, 2, 1], 22_900);
        assert_eq!(elsewhere.verdict, Verdict::Bad);
        assert!(elsewhere.found.contains("192.0.2.1") && elsewhere.cure.contains("desktop_address"));
        let open = at([0, 0, 0, 0], 24_000);
        assert_eq!(open.verdict, Verdict::Weak);
        assert!(open.found.contains("in clear"), "{open:?}");
    }

    #[test]
    fn an_address_that_is_not_here_is_named() {
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1).into();
        let doors = Doors::new(&Settings { desktop_address: elsewhere, ..Settings::default() });
        let refused = doors.listen(2_000_001).unwrap_err().to_string();
        assert!(refused.contains("192.0.2.1") && refused.contains("desktop_address"), "{refused}");
    }
}
