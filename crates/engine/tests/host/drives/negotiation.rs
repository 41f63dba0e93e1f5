//! What the server says before anybody has come in, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::world::{DriveWorld, address};
use crate::net::world::{SOON, within};

/// Answers to requests without a signature are errors where this bit is told.
const SIGNING_REQUIRED: u16 = 0x0002;
const SMB_3_1_1: u16 = 0x0311;

#[tokio::test]
async fn the_server_requires_signatures_of_everybody() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let to = SocketAddr::from((address(&share), deckle_engine::linux::net::PORT));
    let answer = within(&guest.namespace, move || {
        let mut stream = TcpStream::connect_timeout(&to, SOON).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(&negotiate()).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    let word = |at: usize| u16::from_le_bytes([answer[at], answer[at + 1]]);
    assert_eq!(&answer[..4], b"\xfeSMB");
    assert_eq!(word(8), 0, "the status of {answer:x?}");
    assert_eq!(word(HEADER + 4), SMB_3_1_1);
    assert_eq!(word(HEADER + 2) & SIGNING_REQUIRED, SIGNING_REQUIRED);
}

const HEADER: usize = 64;

/// The first request of a client that would rather not sign, and speaks SMB 3.1.1.
fn negotiate() -> Vec<u8> {
    let mut header = vec![0; HEADER];
    header[..4].copy_from_slice(b"\xfeSMB");
    header[4] = HEADER as u8;
    header[14] = 1;
    let mut body = Vec::new();
    let mut put = |bytes: &[u8]| body.extend_from_slice(bytes);
    put(&36u16.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&[0; 2 + 2 + 4 + 16]);
    // One context, behind the dialect, aligned to eight bytes: the hash of what is negotiated, SHA-512.
    let contexts = (HEADER + 36 + 2usize).next_multiple_of(8);
    put(&(contexts as u32).to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&[0; 2]);
    put(&SMB_3_1_1.to_le_bytes());
    put(&[0; 2]);
    put(&1u16.to_le_bytes());
    put(&38u16.to_le_bytes());
    put(&[0; 4]);
    put(&1u16.to_le_bytes());
    put(&32u16.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&[7; 32]);
    let length = (header.len() + body.len()) as u32;
    [&length.to_be_bytes()[..], &header, &body].concat()
}
