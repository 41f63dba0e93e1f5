#!/bin/bash
# Boots a small guest under TCG and checks what README.md promises: test.sh IMAGE.qcow2
set -euo pipefail

# A boot takes 5 s on a quiet machine; the limit leaves room for a busy one.
READY_LIMIT_S=${READY_LIMIT_S:-120}
DOWN_LIMIT_S=30

# shellcheck source=../try-guest.sh
. "$(dirname "${BASH_SOURCE[0]}")/../try-guest.sh"

main() {
    [ $# -eq 1 ] || { echo "usage: test.sh IMAGE.qcow2" >&2; exit 2; }
    open_folder "$1"
    first_boot
    second_boot
    echo "small guest: all checks passed"
}

first_boot() {
    make_seed key once-a1 1
    power_on first
    says 'script output' 'startup-script: each-boot ran as root'
    says 'once script output' 'startup-script: once-script ran'
    says 'exit status of a script without shebang' 'startup-script: exit status 0'
    says 'exit status of a script with shebang' 'startup-script: exit status 7'
    says 'beginning of a run' 'deckle: startup script sc1 of boot 1 begins'
    says 'end of a run' 'deckle: startup script sc1 of boot 1 ended with status 7'
    ssh_as paperspace 'id -u; sudo -n id -u; hostname' > answer
    is 'paperspace, sudo, host name' "$(cat answer)" $'1000\n0\nguest-a'
    ssh_as paperspace 'sudo cat /var/log/startup-script-output.log' > log
    is 'startup script log' "$(cat log)" $'once-script ran\nexit status 7\neach-boot ran as root\nexit status 0'
    is 'root file system in GiB' "$(ssh_as root 'df -m /' | awk 'END { print int($2 / 1024 + 0.9) }')" 50
    ssh_as root 'echo kept > /root/state; cat /etc/dropbear/host_ed25519 | md5sum' > host_key
    if ssh_with other root true 2> /dev/null; then fail 'an unknown key is let in'; fi
    is 'cifs' "$(ssh_as root 'modprobe cifs && grep -cw cifs /proc/filesystems')" 1
    agent_answers '{"execute":"guest-ping"}' '{"return": {}}'
    agent_answers '{"execute":"guest-get-osinfo"}' 'Deckle small guest'
    agent_answers '{"execute":"guest-fsfreeze-freeze"}' '{"return": 1}'
    agent_answers '{"execute":"guest-fsfreeze-thaw"}' '{"return": 1}'
    agent_answers '{"execute":"guest-exec","arguments":{"path":"/bin/true"}}' '"pid"'
    press_power_button
    says 'power button' 'deckle: power button pressed'
}

# Another key in the seed, the same once-script: it must not run again.
second_boot() {
    make_seed other once-a1 2
    power_on second
    says 'each-boot at the second boot' 'startup-script: each-boot ran as root'
    says 'end of a run whose last line has no end' 'deckle: startup script sc1 of boot 2 ended with status 0'
    if grep -q 'once-script ran' serial; then fail 'the once-script ran again'; fi
    ssh_with other root 'cat /root/state; cat /etc/dropbear/host_ed25519 | md5sum' > second
    is 'state on the disk' "$(head -n 1 second)" kept
    is 'host key' "$(tail -n 1 second)" "$(cat host_key)"
    if ssh_with key root true 2> /dev/null; then fail 'the replaced key is still let in'; fi
    agent_sends '{"execute":"guest-shutdown"}'
    wait_until_down 'guest-shutdown'
}

make_seed() {
    rm -rf seed
    mkdir -p seed/deckle/scripts
    echo guest-a > seed/deckle/hostname
    echo "sc1 of boot $3" > seed/deckle/run
    cp "$1.pub" seed/deckle/authorized-keys
    # shellcheck disable=SC2016
    echo 'printf "each-boot ran as $(id -un)"' > seed/deckle/scripts/each-boot
    printf '#!/bin/sh\necho once-script ran\nexit 7\n' > "seed/deckle/scripts/$2"
    genisoimage -quiet -V cidata -J -R -o seed.iso seed
}

main "$@"
