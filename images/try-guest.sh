# Boots a guest under TCG and talks to it, for the tests of the images. Sourced.
# Needs qemu-system-x86_64, genisoimage and ssh. Touches nothing but a folder of its own and loopback.
# shellcheck shell=bash

MACHINE=${MACHINE:-q35}
MEMORY_MIB=${MEMORY_MIB:-512}
DOWN_LIMIT_S=${DOWN_LIMIT_S:-120}

# open_folder IMAGE: a folder with an overlay of 50 GiB, two SSH keys and the pipes to QEMU; we go there.
open_folder() {
    local image
    image=$(realpath "$1")
    FOLDER=$(mktemp -d)
    QEMU=
    trap clean_up EXIT
    cd "$FOLDER" || exit 1
    ssh-keygen -q -t ed25519 -N '' -C first -f key
    ssh-keygen -q -t ed25519 -N '' -C second -f other
    qemu-img create -q -f qcow2 -F qcow2 -b "$image" disk.qcow2 50G
    mkfifo monitor.in monitor.out agent.in agent.out
}

# Waits for the ready line, READY_LIMIT_S at most.
power_on() {
    local began=$EPOCHREALTIME
    : > serial
    # Read and write, so that opening a pipe waits for nobody.
    exec 5<> monitor.in 6<> monitor.out 7<> agent.in 8<> agent.out
    qemu-system-x86_64 -accel tcg -cpu Nehalem -machine "$MACHINE" -m "$MEMORY_MIB" -smp 1 \
        -nodefaults -display none -no-reboot -boot strict=on \
        -drive if=none,id=disk,file=disk.qcow2,format=qcow2,discard=unmap \
        -device virtio-blk-pci,drive=disk,bootindex=1 \
        -drive if=none,id=seed,file=seed.iso,format=raw,readonly=on \
        -device virtio-blk-pci,drive=seed \
        -netdev user,id=net,hostfwd=tcp:127.0.0.1:0-:22 \
        -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-rng-pci \
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
    says 'clean end' 'EXT4-fs (vda2): re-mounted'
    says 'power off' 'reboot: Power down'
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
