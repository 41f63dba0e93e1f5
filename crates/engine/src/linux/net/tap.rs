//! A machine's port, opened inside its namespace for QEMU, which stays outside.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::net::if_::if_nametoindex;

use super::place::Place;
use crate::error::Result;

/// The kernel's `struct ifreq`, as far as the request reads it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(
    /// Binds an open `/dev/net/tun` to a device of the thread's namespace.
    tun_set_iff,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    Request
);

/// Opens the port of that name, which must be there: the kernel would make a passing one otherwise.
pub(super) async fn open(place: &Place, port: String) -> Result<OwnedFd> {
    let act = format!("open the port {port}");
    place.enter(act, move || bind(&port)).await
}

fn bind(port: &str) -> std::io::Result<OwnedFd> {
    if_nametoindex(port)?;
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    let flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags, rest: [0; 22] };
    let length = port.len().min(libc::IFNAMSIZ - 1);
    request.name[..length].copy_from_slice(&port.as_bytes()[..length]);
    // Needed: the kernel offers this request only as an ioctl, and no crate at hand wraps it.
    // SAFETY: the descriptor is open for the whole call, and `Request` has the size and the layout of the
    // `struct ifreq` that the kernel copies; it keeps no pointer to it.
    unsafe { tun_set_iff(tun.as_raw_fd(), &request) }?;
    Ok(tun.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_size_of_the_kernels() {
        assert_eq!(size_of::<Request>(), size_of::<libc::ifreq>());
    }
}
