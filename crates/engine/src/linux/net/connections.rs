//! The kernel's memory of connections: each is led the way that its first packet was, whatever the rules say
//! since.

use std::net::Ipv4Addr;

use super::place::Place;
use crate::error::{Error, Result};
use crate::linux::command::Failure;

/// Forgets every connection of a namespace that was made to `public_ip`, or that goes out by it.
pub(super) async fn forget(place: &Place, public_ip: Ipv4Addr) -> Result<()> {
    for side in ["--orig-dst", "--reply-dst"] {
        let run = place.run("conntrack").args(["--delete", side, &public_ip.to_string()]);
        match run.output().await {
            Err(failure) if !is_nothing(&failure) => {
                return Err(Error::passing(format!("forget the connections of {public_ip}"), failure));
            }
            _ => {}
        }
    }
    Ok(())
}

/// It fails where there was nothing to delete.
fn is_nothing(failure: &Failure) -> bool {
    matches!(failure, Failure::Said { said, .. } if said.contains(" 0 flow entries have been deleted"))
}
