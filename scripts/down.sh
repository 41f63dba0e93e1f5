#!/usr/bin/env bash
# Stops what up.sh started: the server, its machines, their networks. Disks and the database stay.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

if server_runs; then
    pid=$(cat "$PID_FILE")
    kill "$pid"
    for _ in $(seq 200); do
        server_runs || break
        sleep 0.1
    done
    server_runs && fail "the server, process $pid, does not end"
fi
rm -f "$PID_FILE"
[ -x "$DECKLE" ] || fail "$DECKLE is not built: nothing of it can run"
if [ -f "$DECKLE_STATE/tag" ]; then
    "$DECKLE" admin host clear --yes
fi
say 'nothing of it runs any more; "make up" brings it back'
