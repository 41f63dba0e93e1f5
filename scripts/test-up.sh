#!/usr/bin/env bash
# The newcomer's commands, on a state folder and a port of their own: up, up again, down, and up again.
set -euo pipefail
cd "$(dirname "$0")/.."

DECKLE_STATE=$(mktemp -d /var/tmp/deckle-up.XXXX)
export DECKLE_STATE LISTEN=127.0.0.1:8494 PROFILE=${PROFILE:-dev}
# Ranges of its own: another installation on this host keeps its own.
export DECKLE_CONFIG=$DECKLE_STATE/config.toml
printf 'public_pools = ["198.18.94.0/28"]\n[linux]\nuplinks = "100.94.0.0/24"\n' >"$DECKLE_CONFIG"
finish() {
    local rc=$?
    make --silent down || rc=1
    rm -rf "$DECKLE_STATE"
    exit "$rc"
}
trap finish EXIT

up() {
    make --silent up | tee "$DECKLE_STATE/up.log"
    grep -q 'SSH to it worked' "$DECKLE_STATE/up.log"
}

first_machine() { sed -n 's/.*HostKeyAlias=\(ps[a-z0-9]*\) .*/\1/p' "$DECKLE_STATE/up.log"; }

up
first=$(first_machine)
up
[ "$(first_machine)" = "$first" ] || { echo 'the second make up made another machine' >&2 && exit 1; }
make --silent down
tag=$(cat "$DECKLE_STATE/tag")
for left in "$(ip netns list | grep "deckle-$tag-" || true)" "$(ip -o link | grep "dk$tag" || true)" \
    "$(nft list tables | grep "deckle_$tag" || true)" "$(grep -lsF "$DECKLE_STATE" /proc/[0-9]*/cmdline || true)"; do
    [ -z "$left" ] || { echo "make down left: $left" >&2 && exit 1; }
done
up
[ "$(first_machine)" = "$first" ] || { echo 'the machine did not come back' >&2 && exit 1; }
