#!/bin/bash
# Boots a small guest under TCG and checks what README.md promises: test.sh IMAGE.qcow2
# Needs qemu-system-x86_64, genisoimage and ssh. Touches nothing but a folder of its own and loopback.
set -euo pipefail

# A boot takes 5 s on a quiet machine; the limit leaves room for a busy one.
READY_LIMIT_S=${READY_LIMIT_S:-120}
DOWN_LIMIT_S=30
MACHINE=${MACHINE:-q35}

main() {
    [ $# -eq 1 ] || { echo "usage: test.sh IMAGE.qcow2" >&2; exit 2; }
    IMAGE=$(realpath "$1")
    FOLDER=$(mktemp -d)
    QEMU=
    trap clean_up EXIT
    cd "$FOLDER"
    ssh-keygen -q -t ed25519 -N '' -f key
    ssh-keygen -q -t ed25519 -N '' -f other
    qemu-img create -q -f qcow2 -F qcow2 -b "$IMAGE" disk.qcow2 50G
    mkfifo monitor.in monitor.out agent.in agent.out

    first_boot
    second_boot
    echo "small guest: all checks passed"
}

first_boot() {
    make_seed key once-a1
    power_on first
    says 'script output' 'startup-script: each-boot ran as root'
    says 'once script output' 'startup-script: once-script ran'
    says 'exit status of a script without shebang' 'startup-script: exit status 0'
    says 'exit status of a script with shebang' 'startup-script: exit status 7'
    ssh_as paperspace 'id -u; sudo -n id -u; hostname' > who
    is 'paperspace, sudo, host name' "$(cat who)" $'1000\n0\nguest-a'
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
    make_seed other once-a1
    power_on second
    says 'each-boot at the second boot' 'startup-script: each-boot ran as root'
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
    cp "$1.pub" seed/deckle/authorized-keys
    # shellcheck disable=SC2016
    echo 'echo each-boot ran as $(id -un)' > seed/deckle/scripts/each-boot
    printf '#!/bin/sh\necho once-script ran\nexit 7\n' > "seed/deckle/scripts/$2"
    genisoimage -quiet -V cidata -J -R -o seed.iso seed
}

power_on() {
    local began=$EPOCHREALTIME
    : > serial
    # Read and write, so that opening a pipe waits for nobody.
    exec 5<> monitor.in 6<> monitor.out 7<> agent.in 8<> agent.out
    qemu-system-x86_64 -accel tcg -cpu Nehalem -machine "$MACHINE" -m 512 -smp 1 \
        -nodefaults -display none -no-reboot -boot strict=on \
        -drive if=none,id=disk,file=disk.qcow2,format=qcow2,discard=unmap \
        -device virtio-blk-pci,drive=disk,bootindex=1 \
        -drive if=none,id=seed,file=seed.iso,format=raw,readonly=on \
        -device virtio-blk-pci,drive=seed \
        -netdev user,id=net,hostfwd=tcp:127.0.0.1:0-:22 \
        -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-serial-pci -chardev pipe,id=agent,path=agent \
        -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 \
        -chardev pipe,id=monitor,path=monitor -mon chardev=monitor \
        -serial file:serial < /dev/null > qemu.log 2>&1 &
    QEMU=$!
    wait_for "$READY_LIMIT_S" grep -q '^deckle: ready' serial || fail 'no ready line'
    echo "$1 boot: ready after $(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s"
    find_ssh_port
    agent_sends '{"execute":"guest-sync","arguments":{"id":4711}}'
    wait_for_line 8 4711 > /dev/null || fail 'the agent does not answer'
}

# The host chose a free port; the monitor knows it.
find_ssh_port() {
    local line
    echo 'info usernet' >&5
    line=$(wait_for_line 6 HOST_FORWARD) || fail 'no forwarded port'
    SSH_PORT=$(awk '{ print $4 }' <<< "$line")
}

press_power_button() {
    echo 'system_powerdown' >&5
    wait_until_down 'power button'
}

wait_until_down() {
    local began=$EPOCHREALTIME
    wait_for "$DOWN_LIMIT_S" is_down || fail "still up after: $1"
    wait "$QEMU" || fail "QEMU ended badly: $(cat qemu.log)"
    QEMU=
    says 'clean end' 'deckle: down'
    echo "ok: $1: down after $(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s"
}

is_down() { ! kill -0 "$QEMU" 2> /dev/null; }

ssh_as() { ssh_with key "$@"; }

ssh_with() {
    local key=$1 user=$2
    shift 2
    timeout 60 ssh -F none -i "$key" -p "$SSH_PORT" -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20 \
        "$user@127.0.0.1" "$@"
}

agent_sends() { echo "$1" >&7; }

agent_answers() {
    local line
    agent_sends "$1"
    read -r -t 20 -u 8 line || fail "no answer to $1"
    case $line in
        *"$2"*) echo "ok: agent: $1" ;;
        *) fail "agent: $1 answered $line" ;;
    esac
}

# wait_for SECONDS COMMAND...: until it succeeds, no longer.
wait_for() {
    local tries=$(($1 * 10))
    shift
    until "$@"; do
        [ "$tries" -gt 0 ] || return 1
        tries=$((tries - 1))
        [ -z "$QEMU" ] || [ "$1" = is_down ] || kill -0 "$QEMU" 2> /dev/null || fail "QEMU has ended: $(cat qemu.log)"
        sleep 0.1
    done
}

# wait_for_line DESCRIPTOR TEXT: the next line with TEXT in it.
wait_for_line() {
    local line
    while read -r -t 20 -u "$1" line; do
        case $line in *"$2"*) echo "$line"; return ;; esac
    done
    return 1
}

# What the serial console says may come a moment later than what caused it.
says() {
    wait_for 20 grep -qF "$2" serial || fail "$1: the serial console never said: $2"
    echo "ok: $1"
}

is() {
    [ "$2" = "$3" ] || fail "$1: $2, should be: $3"
    echo "ok: $1"
}

fail() {
    echo "FAILED: $1" >&2
    tail -n 30 serial >&2
    exit 1
}

clean_up() {
    if [ -n "$QEMU" ] && kill "$QEMU" 2> /dev/null; then wait "$QEMU" || true; fi
    rm -rf "$FOLDER"
}

main "$@"
