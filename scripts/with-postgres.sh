#!/usr/bin/env bash
# Runs a command with DECKLE_TEST_DATABASE naming a PostgreSQL of its own, on loopback, ended afterwards.
set -euo pipefail

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
folder=$(mktemp -d)
chmod 0755 "$folder"
as_postgres() {
    # PostgreSQL refuses to run as root.
    if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi
}
finish() {
    as_postgres "$bin/pg_ctl" --pgdata "$folder/data" --silent --mode immediate stop || true
    rm -rf "$folder"
}
trap finish EXIT
[ "$(id -u)" != 0 ] || chown postgres "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_postgres "$bin/initdb" --pgdata "$folder/data" --username deckle --auth trust --encoding UTF8 >/dev/null
as_postgres "$bin/pg_ctl" --pgdata "$folder/data" --silent --wait --log "$folder/log" start --options \
    "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=500 -c fsync=off"
export DECKLE_TEST_DATABASE=postgres://deckle@127.0.0.1:$port/postgres
"$@"
