//! A network's lease file: who took which address until when, and how an address is given back.
//!
//! A machine's lease is freed before each of its boots, so that one that is there is of this boot. The file
//! tells only when it ends: the moment of its taking is that less [`LEASE`], or somewhat later where a guest
//! has asked for a shorter one or the clock was set.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use deckle_api::Timestamp;
use nix::sys::socket::{setsockopt, sockopt::BindToDevice};

use super::files;
use super::network_rules::BRIDGE;
use super::place::Place;
use crate::error::{Error, Result};
use crate::linux::folder::unless_absent;
use crate::specs::Mac;

/// How long a lease lasts.
pub(super) const LEASE: Duration = Duration::from_secs(3600);
/// How long the lease server may take to write that an address was given back.
const GIVEN_BACK: Duration = Duration::from_secs(2);

/// A line of the lease file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// When it ends, in seconds since 1970.
    ends: i64,
    pub mac: String,
    pub ip: Ipv4Addr,
}

impl Lease {
    /// When it was taken or renewed, as near as the file tells: not before its boot, and not later than now.
    pub(super) fn taken_between(&self, since: Timestamp, now: Timestamp) -> Timestamp {
        let taken = Timestamp(self.ends * 1_000_000).plus_seconds(-(LEASE.as_secs() as i64));
        taken.min(now).max(since)
    }
}

/// The leases in a file; none when it is not there.
pub(super) fn look(file: &Path) -> Result<Vec<Lease>> {
    Ok(read(file)?.lines().filter_map(parse).collect())
}

/// Takes a lease from a file that no lease server has open.
pub(super) fn strike(file: &Path, lease: &Lease) -> Result<()> {
    let text = read(file)?;
    let kept = text.lines().filter(|line| parse(line).as_ref() != Some(lease));
    files::ensure(file, &kept.map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(())
}

/// Gives an address back to the lease server in `place`, in its guest's stead, and waits until it is free.
pub(super) async fn give_back(place: &Place, file: &Path, lease: &Lease, server: Ipv4Addr) -> Result<()> {
    let act = format!("give back the lease of {}", lease.ip);
    let Some(packet) = release(lease, server) else { return Ok(()) };
    let send = move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        setsockopt(&socket, BindToDevice, &BRIDGE.into())?;
        socket.send_to(&packet, (server, 67)).map(|_| ())
    };
    place.enter(act.clone(), send).await?;
    let gone = async {
        while look(file)?.contains(lease) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    tokio::time::timeout(GIVEN_BACK, gone).await.map_err(|late| Error::passing(act, late))?
}

/// A DHCPRELEASE of RFC 2131.
fn release(lease: &Lease, server: Ipv4Addr) -> Option<Vec<u8>> {
    const TO_SERVER: u8 = 1;
    const ETHERNET: u8 = 1;
    const COOKIE: [u8; 4] = [99, 130, 83, 99];
    let mac = Mac::parse(&lease.mac)?;
    let mut packet = vec![0; 236];
    packet[..3].copy_from_slice(&[TO_SERVER, ETHERNET, 6]);
    packet[12..16].copy_from_slice(&lease.ip.octets());
    packet[28..34].copy_from_slice(&mac.0);
    packet.extend(COOKIE);
    packet.extend([53, 1, 7, 54, 4]);
    packet.extend(server.octets());
    packet.push(255);
    packet.resize(300, 0);
    Some(packet)
}

fn read(file: &Path) -> Result<String> {
    let read = unless_absent(fs::read_to_string(file));
    let told = |error| Error::passing(format!("read {}", file.display()), error);
    read.map(Option::unwrap_or_default).map_err(told)
}

fn parse(line: &str) -> Option<Lease> {
    let mut words = line.split(' ');
    let (ends, mac, ip) = (words.next()?, words.next()?, words.next()?);
    Some(Lease { ends: ends.parse().ok()?, mac: mac.to_owned(), ip: ip.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "1700003600 52:54:00:00:00:01 10.64.0.2 psaaaaaaaa 01:52:54:00:00:00:01";

    #[test]
    fn a_lease_was_taken_an_hour_before_its_end() {
        let lease = parse(LINE).unwrap();
        assert_eq!(lease.ip, Ipv4Addr::new(10, 64, 0, 2));
        let between = |since, now| lease.taken_between(Timestamp(since), Timestamp(now)).0;
        assert_eq!(between(1_699_999_000_000_000, 1_700_000_009_000_000), 1_700_000_000_000_000);
        assert_eq!(between(1_700_000_000_300_000, 1_700_000_009_000_000), 1_700_000_000_300_000);
        assert_eq!(between(1_699_999_000_000_000, 1_699_999_500_000_000), 1_699_999_500_000_000);
    }

    #[test]
    fn lines_of_other_kinds_are_passed_over() {
        assert_eq!(parse("duid 00:01:00:01"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_release_names_the_machine_and_the_server() {
        let packet = release(&parse(LINE).unwrap(), Ipv4Addr::new(10, 64, 0, 1)).unwrap();
        assert_eq!(packet[12..16], [10, 64, 0, 2]);
        assert_eq!(packet[28..34], [0x52, 0x54, 0, 0, 0, 1]);
        assert_eq!(packet[236..250], [99, 130, 83, 99, 53, 1, 7, 54, 4, 10, 64, 0, 1, 255]);
    }
}
