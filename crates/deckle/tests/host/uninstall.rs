//! `deckle admin uninstall-host`, on a host of its own within this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// All that a program may change of a host, the server's life on it, and all of it again.
const SCRIPT: &str = r#"
mount --make-rprivate /
# This machine's namespaces and drives come and go meanwhile.
awk '$2 ~ "^/run/" { print $2 }' /proc/self/mounts | tac | xargs -r umount --lazy || true
mount -t tmpfs tmpfs /run
ip link set lo up
echo 0 > /proc/sys/net/ipv4/ip_forward
ip netns add first
ip netns delete first
everything() {
    ip netns list; nft list tables; ip -o link show; ip -o address show; ip route show table all; ip rule show
    cat /proc/self/mounts; find /run -not -type d
    sysctl --all --pattern '^net\.' | grep -v nf_conntrack_count
}
everything > "$FOLDER/before"
"$DECKLE" serve --state "$STATE" --listen 127.0.0.1:0 > "$FOLDER/said" 2> "$FOLDER/log" &
server=$!
for _ in $(seq 600); do grep -q '^listening' "$FOLDER/said" && break; sleep 0.1; done
grep '^listening' "$FOLDER/said"
nft list table inet "deckle_$(cat "$STATE/tag")" > /dev/null
cat /proc/sys/net/ipv4/ip_forward
"$DECKLE" admin uninstall-host --state "$STATE" --yes 2>&1 && exit 9
kill "$server"
wait "$server" || true
"$DECKLE" admin uninstall-host --state "$STATE"
cat /proc/sys/net/ipv4/ip_forward
for _ in 1 2; do
    "$DECKLE" admin uninstall-host --state "$STATE" --yes 2>&1
    everything > "$FOLDER/after"
    diff "$FOLDER/before" "$FOLDER/after"
done
ls "$STATE/deckle.db"
"$DECKLE" admin uninstall-host --state "$FOLDER/nowhere" --yes 2>&1 && exit 9
[ ! -e "$FOLDER/nowhere" ]
"#;

#[test]
fn an_uninstalled_server_leaves_its_host_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    let (config, state) = (folder.path().join("config.toml"), folder.path().join("state"));
    fs::write(&config, "[linux]\nacceleration = \"tcg\"\nname_servers = [\"192.0.2.1\"]\n").unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--mount", "bash", "-euo", "pipefail", "-c", SCRIPT])
        .env("DECKLE", env!("CARGO_BIN_EXE_deckle"))
        .env("DECKLE_CONFIG", &config)
        .env("FOLDER", folder.path())
        .env("STATE", &state)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).replace(&state.display().to_string(), "STATE");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}\n{errors}", output.status);
    for wanted in [
        "another server has the state folder",
        "--yes would take off this host what STATE has on it:\n  rule table inet deckle_",
        "to destroy them for good: rm -r STATE",
        "nothing of STATE is on this host any more but the folder itself",
        "there is no installation in that folder",
    ] {
        assert!(said.contains(wanted), "no {wanted:?} in: {said}");
    }
    assert_eq!(
        said.lines().filter(|line| *line == "1").count(),
        2,
        "forwarding is on until the uninstall: {said}"
    );
}
