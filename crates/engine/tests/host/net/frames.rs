//! Frames made by hand, right ones and wrong ones.

use std::net::Ipv4Addr;

use deckle_engine::specs::Mac;

pub const EVERYONE: Mac = Mac([0xff; 6]);

pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to.0[..], &from.0, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A datagram to everyone in the network or to one address; its checksum is left out, as UDP allows.
pub fn udp(
    (to_mac, to): (Mac, Ipv4Addr),
    (from_mac, from): (Mac, Ipv4Addr),
    (from_port, to_port): (u16, u16),
    text: &[u8],
) -> Vec<u8> {
    let length = (8 + text.len()) as u16;
    let udp =
        [&from_port.to_be_bytes()[..], &to_port.to_be_bytes(), &length.to_be_bytes(), &[0, 0], text].concat();
    let mut header = vec![0x45, 0];
    header.extend((20 + length).to_be_bytes());
    header.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    ethernet(to_mac, from_mac, 0x0800, &[header, udp].concat())
}

/// What a guest says to a lease server: of RFC 2131's kinds the one of that number, about a card and an address.
pub fn dhcp(kind: u8, card: Mac, ip: Ipv4Addr, server: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut text = vec![0; 236];
    text[..3].copy_from_slice(&[1, 1, 6]);
    text[12..16].copy_from_slice(&ip.octets());
    text[28..34].copy_from_slice(&card.0);
    text.extend([99, 130, 83, 99, 53, 1, kind, 54, 4]);
    text.extend(server.octets());
    text.extend(options);
    text.push(255);
    text.resize(text.len().max(300), 0);
    text
}

/// The same frame with a VLAN's tag.
pub fn tagged(kind: u16, vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &kind.to_be_bytes(), &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// An ARP answer to everyone: `ip` is at `mac`.
pub fn arp_answer(frame_from: Mac, mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    arp(2, frame_from, (mac, ip), ip)
}

/// The same answer to one card alone.
pub fn arp_answer_to(to: Mac, mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let mut frame = arp(2, mac, (mac, ip), ip);
    frame[..6].copy_from_slice(&to.0);
    frame
}

/// What a card says that has come by an address: a question for itself, to everyone.
pub fn arp_news(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    arp(1, mac, (mac, ip), ip)
}

/// An ARP question: who has `wanted`? tell `ip` at `mac`.
pub fn arp_question(mac: Mac, ip: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    arp(1, mac, (mac, ip), wanted)
}

/// An ARP question by one that has no address yet: who has `ip`?
pub fn arp_probe(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    arp(1, mac, (mac, Ipv4Addr::UNSPECIFIED), ip)
}

/// A router advertisement of IPv6, to all.
pub fn router_advertisement(from: Mac) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 16, 58, 255];
    packet.extend("fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    packet.extend("ff02::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    packet.extend([134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    ethernet(Mac([0x33, 0x33, 0, 0, 0, 1]), from, 0x86dd, &packet)
}

fn arp(operation: u16, frame_from: Mac, (mac, ip): (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend(mac.0);
    packet.extend(ip.octets());
    packet.extend([0; 6]);
    packet.extend(target.octets());
    ethernet(EVERYONE, frame_from, 0x0806, &packet)
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}
