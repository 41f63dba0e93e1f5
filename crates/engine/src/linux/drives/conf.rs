//! The texts that the server of a network's drives reads, made from what it is to serve.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use deckle_api::ids::SharedDriveId;

use crate::error::{Error, Result};
use crate::specs::ShareSpec;

/// How many processes a server has at most: one for each client, and three of its own. A network has 252
/// machines at most, and who comes in by more connections than there is room for is refused.
pub const PROCESSES_MAX: u32 = 256;
/// What it keeps of its log, twice.
const LOG_KIB: u32 = 256;
/// The parameter by which a share says which password it has. The server itself does not know it.
const NUMBER: &str = "deckle:password number";

/// The configuration of a network's server, whose files lie in `folder`. Shares are in files of their own.
///
/// A client asks for a lease by a key that it keeps for a file's life. After a pause the drive may be another
/// device, which makes it another file to the server, and the same key for another file is refused for ever:
/// clients get oplocks, which have no key.
pub fn server(folder: &Path, address: Ipv4Addr) -> String {
    let folder = folder.display();
    let mut text = format!(
        "\
[global]
server role = standalone server
netbios name = deckle
workgroup = deckle
server string =
disable netbios = yes
smb ports = 445
interfaces = {address}/32
bind interfaces only = yes
server min protocol = SMB3_11
server signing = mandatory
restrict anonymous = 2
map to guest = never
ntlm auth = ntlmv2-only
passdb backend = tdbsam
usershare max shares = 0
registry shares = no
load printers = no
printcap name = /dev/null
disable spoolss = yes
rpc start on demand helpers = no
dns proxy = no
max smbd processes = {PROCESSES_MAX}
socket options = TCP_NODELAY SO_KEEPALIVE TCP_KEEPIDLE=60 TCP_KEEPINTVL=20 TCP_KEEPCNT=3
logging = file
log file = {folder}/smbd/log/smbd
log level = 0
max log size = {LOG_KIB}
read only = no
guest ok = no
follow symlinks = no
wide links = no
strict sync = yes
store dos attributes = no
ea support = no
kernel oplocks = no
smb2 leases = no
kernel share modes = no
posix locking = no
create mask = 0777
directory mask = 0777
force create mode = 0777
force directory mode = 0777
private dir = {folder}/smbd/private
lock directory = {folder}/smbd/lock
state directory = {folder}/smbd/state
cache directory = {folder}/smbd/cache
pid directory = {folder}/smbd/pid
ncalrpc dir = {folder}/smbd/ncalrpc
"
    );
    let _ = writeln!(text, "include = {folder}/shares.conf");
    text
}

/// The folders that the server has to itself.
pub const FOLDERS: [&str; 7] = ["private", "lock", "state", "cache", "pid", "ncalrpc", "log"];

/// The configuration of a share.
pub fn share(spec: &ShareSpec, mounted: &Path) -> String {
    let ShareSpec { drive, username, password_number, .. } = spec;
    format!(
        "[{drive}]\npath = {}\nvalid users = {username}\n{NUMBER} = {password_number}\n",
        mounted.display()
    )
}

/// The list of shares that are served.
pub fn index<'a>(folder: &Path, shares: impl IntoIterator<Item = &'a SharedDriveId>) -> String {
    let line = |share| format!("include = {}/shares/{share}.conf\n", folder.display());
    shares.into_iter().map(line).collect()
}

/// Whether a list of shares has this one.
pub fn is_indexed(index: &str, drive: &SharedDriveId) -> bool {
    index.lines().any(|line| line.ends_with(&format!("/shares/{drive}.conf")))
}

/// The number of the password that a share's configuration has.
pub fn number_in(share: &str) -> Option<u64> {
    value_in(share, NUMBER)?.parse().ok()
}

/// The user who may mount the share of a configuration.
pub fn user_in(share: &str) -> Option<&str> {
    value_in(share, "valid users")
}

fn value_in<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
}

/// The accounts that the server sees: each drive's user is the one that it runs as.
pub fn passwd<'a>(users: impl IntoIterator<Item = &'a str>, uid: u32) -> String {
    let mut text = "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n".to_owned();
    for user in users {
        let _ = writeln!(text, "{user}:x:{uid}:{uid}::/:/");
    }
    text
}

/// The groups that the server sees.
pub fn group(gid: u32) -> String {
    format!("root:x:0:\nnogroup:x:65534:\ndrives:x:{gid}:\n")
}

/// Where the server finds accounts: in those files alone.
pub const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files\n";

/// Refuses what could be read as another line or another word of one of these texts.
pub fn require_plain(spec: &ShareSpec) -> Result<()> {
    const LENGTH_MAX: usize = 32;
    let act = || format!("share {}", spec.drive);
    let name = &spec.username;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let known = ["root", "nobody"].contains(&name.as_str());
    if known || name.is_empty() || name.len() > LENGTH_MAX || !name.bytes().all(plain) {
        return Err(Error::lasting(
            act(),
            "a user's name is 1 to 32 lower-case letters, digits, `-` and `_`",
        ));
    }
    if spec.password.is_empty() || spec.password.chars().any(char::is_control) {
        return Err(Error::lasting(act(), "a password is one line and not empty"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ShareSpec {
        ShareSpec {
            drive: "sda".parse().unwrap(),
            network: "na".parse().unwrap(),
            cidr: "10.64.8.0/24".parse().unwrap(),
            username: "ann".to_owned(),
            password: "secret".to_owned(),
            password_number: 3,
        }
    }

    #[test]
    fn a_share_tells_what_it_was_made_from_but_its_password() {
        let text = share(&spec(), Path::new("/run/d/drives/sda"));
        assert_eq!(number_in(&text), Some(3));
        assert_eq!(user_in(&text), Some("ann"));
        assert!(!text.contains("secret"));
    }

    #[test]
    fn an_index_has_what_was_put_in() {
        let ids = ["sda", "sdb"].map(|id| id.parse::<SharedDriveId>().unwrap());
        let text = index(Path::new("/run/d"), &ids);
        assert_eq!(text, "include = /run/d/shares/sda.conf\ninclude = /run/d/shares/sdb.conf\n");
        assert!(is_indexed(&text, &ids[1]));
        assert!(!is_indexed(&text, &"sd".parse().unwrap_or_else(|_| "sdc".parse().unwrap())));
    }

    #[test]
    fn what_could_be_another_line_is_refused() {
        assert!(require_plain(&spec()).is_ok());
        for name in ["", "root", "a b", "a\nb", "a:b", "Ann", "%U"] {
            let spec = ShareSpec { username: name.to_owned(), ..spec() };
            assert!(require_plain(&spec).is_err_and(|error| error.is_final()), "{name:?}");
        }
        let spec = ShareSpec { password: "a\nb".to_owned(), ..spec() };
        assert!(require_plain(&spec).is_err());
    }
}
