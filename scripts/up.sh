#!/usr/bin/env bash
# Sets this host up, serves Deckle, and boots a first machine. May be run again: what is there stays.
#
# ENGINE=emulator (or no root) serves pretended machines. DECKLE_STATE, LISTEN and PROFILE (release or dev)
# may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

readonly GUEST=build/small.qcow2
readonly TEMPLATE=tsmall
readonly MACHINE=first

main() {
    choose_engine
    [ "$ENGINE" = emulator ] || bash scripts/install-host.sh
    build
    [ "$ENGINE" = emulator ] || bash images/small/build.sh "$GUEST"
    serve
    DECKLE_URL="http://$LISTEN"
    DECKLE_API_KEY=$(cat "$DECKLE_STATE/owner.key")
    export DECKLE_URL DECKLE_API_KEY
    if [ "$ENGINE" = linux ]; then
        take_in_template
        add_ssh_key
    fi
    boot_machine
    [ "$ENGINE" = emulator ] || try_ssh
    tell
}

choose_engine() {
    ENGINE=${ENGINE:-linux}
    if [ "$ENGINE" = linux ] && [ "$(id -u)" != 0 ]; then
        say 'without root there are pretended machines only: run "sudo make up" for real ones'
        ENGINE=emulator
    fi
}

build() {
    say 'building deckle (minutes, the first time)'
    cargo build --quiet --locked --profile "$PROFILE" --package deckle
}

serve() {
    mkdir -p "$DECKLE_STATE"
    # A first start may write a key there.
    (umask 077 && touch "$DECKLE_STATE/serve.log" && chmod 600 "$DECKLE_STATE/serve.log")
    if server_runs; then
        say "the server runs already: process $(cat "$PID_FILE")"
        return
    fi
    setsid "$DECKLE" serve --state "$DECKLE_STATE" --listen "$LISTEN" --engine "$ENGINE" \
        >"$DECKLE_STATE/serve.log" 2>&1 </dev/null &
    echo $! >"$PID_FILE"
    for _ in $(seq 600); do
        grep -q '^listening on' "$DECKLE_STATE/serve.log" && return
        server_runs || break
        sleep 0.1
    done
    tail -n 20 "$DECKLE_STATE/serve.log" >&2
    fail "the server did not start; its log is $DECKLE_STATE/serve.log"
}

take_in_template() {
    "$DECKLE" admin template list -o json | grep -q "\"$TEMPLATE\"" && return
    "$DECKLE" admin template import "$GUEST" --name 'Deckle small guest' --id "$TEMPLATE" >/dev/null
}

add_ssh_key() {
    [ -f "$SSH_KEY" ] || ssh-keygen -q -t ed25519 -N '' -C 'deckle make up' -f "$SSH_KEY"
    "$DECKLE" ssh-key list -o json | grep -qF "$(cut -d' ' -f2 "$SSH_KEY.pub")" && return
    "$DECKLE" ssh-key add --file "$SSH_KEY.pub" --name 'make up' >/dev/null
}

boot_machine() {
    local template=$TEMPLATE disk=10
    [ "$ENGINE" = linux ] || { template=t0nspur5 && disk=50; }
    ID=$(machine_field id)
    if [ -z "$ID" ]; then
        "$DECKLE" machine create --name "$MACHINE" --machine-type C1 --template "$template" \
            --disk-size "$disk" --public-ip-type dynamic >/dev/null
        ID=$(machine_field id)
    else
        "$DECKLE" machine start "$ID" >/dev/null
    fi
    ADDRESS=$(machine_field publicIp)
}

# A field of the first machine with the name.
machine_field() {
    "$DECKLE" machine list --name "$MACHINE" -o json | sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" | head -n 1
}

try_ssh() {
    SSH="ssh -i $SSH_KEY -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$DECKLE_STATE/known_hosts"
    SSH="$SSH -o HostKeyAlias=$ID paperspace@$ADDRESS"
    for _ in $(seq 30); do
        # shellcheck disable=SC2086 # The words of the command line are meant.
        timeout 20 $SSH -o BatchMode=yes -o ConnectTimeout=5 true 2>/dev/null && return
        sleep 1
    done
    fail "$ID does not answer on SSH; \"$DECKLE machine console $ID\" shows what it said"
}

tell() {
    echo
    if [ "$ENGINE" = linux ]; then
        echo "A machine runs, and SSH to it worked:"
        echo "  $SSH"
    else
        echo "A pretended machine runs: $ID, $ADDRESS"
    fi
    echo
    echo 'To go on with deckle, pspace or curl:'
    echo "  export DECKLE_URL=$DECKLE_URL DECKLE_API_KEY=\$(cat $DECKLE_STATE/owner.key)"
    echo "  export PAPERSPACE_API_URL=$DECKLE_URL/v1 PAPERSPACE_API_KEY=\$DECKLE_API_KEY"
    echo "  export PATH=\$PATH:$(dirname "$DECKLE")"
    echo '  deckle machine list'
}

main
