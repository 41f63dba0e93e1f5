#!/bin/bash
# Boots the Debian 12 template twice under TCG with the seed that Deckle writes, and checks what README.md
# promises: test.sh IMAGE.qcow2. Takes minutes.
set -euo pipefail

READY_LIMIT_S=${READY_LIMIT_S:-600}
# The smallest machine type has no more.
MEMORY_MIB=${MEMORY_MIB:-512}

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../try-guest.sh
. "$HERE/../try-guest.sh"

main() {
    [ $# -eq 1 ] || { echo "usage: test.sh IMAGE.qcow2" >&2; exit 2; }
    open_folder "$1"
    first_boot
    second_boot
    echo "debian-12: all checks passed"
}

first_boot() {
    make_seed 1 key
    power_on first
    says 'each-boot script' 'startup-script: each-boot 1 ran as root'
    says 'once script' 'startup-script: once-script ran'
    says 'exit status of the once script' 'startup-script: exit status 7'
    says 'beginning of a run' 'deckle: startup script sc1 of boot 1 begins'
    says 'end of a run' 'deckle: startup script sc1 of boot 1 ended with status 7'
    ssh_as paperspace 'id -u; sudo -n id -u; hostname; sudo cat /var/log/startup-script-output.log' > answer
    is 'paperspace, sudo, host name, log' "$(cat answer)" \
        $'1000\n0\ndebian-a\nonce-script ran\nexit status 7\neach-boot 1 ran as root\nexit status 0'
    is 'root file system in GiB' "$(ssh_as paperspace 'df -m /' | awk 'END { print int($2 / 1024 + 0.9) }')" 50
    ssh_as paperspace 'systemd-analyze; systemd-analyze blame | head -n 15; systemctl --failed --no-legend; free -m; df -h / /boot/syslinux; cat /etc/resolv.conf | tail -n 3; cloud-init status --long' || true
    # shellcheck disable=SC2016  # The guest's kernel is meant.
    # A kernel's initramfs made anew ends up where the boot loader reads it.
    ssh_as paperspace 'sudo update-initramfs -u > /dev/null && sudo cmp "/boot/initrd.img-$(uname -r)" /boot/syslinux/initrd.img && echo same' > answer
    is 'boot partition follows' "$(cat answer)" same
    ssh_as paperspace 'cat /etc/ssh/ssh_host_ed25519_key.pub; echo kept > state' > host_key
    agent_answers '{"execute":"guest-ping"}' '{"return": {}}'
    agent_answers '{"execute":"guest-get-osinfo"}' 'Debian GNU/Linux 12'
    press_power_button
}

# As after a power-on by Deckle: a new instance-id, another key, another script.
second_boot() {
    make_seed 2 other
    power_on second
    says 'each-boot script, newer text' 'startup-script: each-boot 2 ran as root'
    if grep -q 'once-script ran' serial; then fail 'the once-script ran again'; fi
    ssh_with other paperspace 'cat /etc/ssh/ssh_host_ed25519_key.pub; cat state' > second
    is 'host key and state' "$(cat second)" "$(cat host_key)"$'\nkept'
    if ssh_with key paperspace true 2> /dev/null; then fail 'the replaced key is still let in'; fi
    agent_sends '{"execute":"guest-shutdown"}'
    wait_until_down guest-shutdown
}

# make_seed BOOT KEY
make_seed() {
    local key
    key=$(cat "$2.pub")
    rm -rf seed
    mkdir -p seed/deckle/scripts
    echo "sc1 of boot $1" > seed/deckle/run
    # shellcheck disable=SC2016
    echo "echo each-boot $1 "'ran as $(id -un)' > seed/deckle/scripts/each-boot
    printf '#!/bin/sh\necho once-script ran\nexit 7\n' > seed/deckle/scripts/once-a1
    echo debian-a > seed/deckle/hostname
    echo "$key" > seed/deckle/authorized-keys
    printf '{"instance-id": "ps1a2b3c-%s", "local-hostname": "debian-a"}\n' "$1" > seed/meta-data
    user_data "$key" > seed/user-data
    genisoimage -quiet -V cidata -J -R -o seed.iso seed
}

# A text as a JSON string, which is also a YAML one.
quoted() { jq -Rs . ; }

# What Deckle writes, byte for byte, but for names and keys.
user_data() {
    cat <<MIME
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="==deckle=="

--==deckle==
Content-Type: text/cloud-config; charset="utf-8"

#cloud-config
hostname: "debian-a"
preserve_hostname: false
manage_etc_hosts: true
ssh_deletekeys: false
users:
  - name: paperspace
    gecos: paperspace
    shell: /bin/bash
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    lock_passwd: true
    ssh_authorized_keys: ["$1"]
bootcmd:
  - ["sh", "-c", $(quoted < "$HERE/seed/forget-keys.sh"), "deckle", "$1"]

--==deckle==
Content-Type: text/x-shellscript-per-boot; charset="utf-8"
Content-Disposition: attachment; filename="deckle-startup"

$(cat "$HERE/seed/startup.sh")

--==deckle==--
MIME
}

main "$@"
