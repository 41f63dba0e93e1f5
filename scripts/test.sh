#!/usr/bin/env bash
# Installs what the tests need and runs them all, the real ones too. Each group prints its time, and has a
# budget in seconds that it must not exceed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

readonly FACTOR=${BUDGET_FACTOR:-1}
readonly BUILD=$PWD/build
export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
REPORT=''

main() {
    group 'install' 600 bash scripts/install-test.sh
    group 'format, lints, tidy' 900 cargo xtask ci
    group 'build' 1200 cargo test --quiet --locked --workspace --no-run
    group 'unit and story tests' 400 cargo test --quiet --locked --workspace
    group 'story tests on PostgreSQL' 300 bash scripts/with-postgres.sh \
        cargo test --quiet --locked --package deckle-control --test it
    group 'small guest' 300 bash images/small/build.sh "$BUILD/small.qcow2"
    group 'Debian template' 600 bash images/debian-12/build.sh "$BUILD/debian-12.qcow2"
    export DECKLE_SMALL_GUEST=$BUILD/small.qcow2 DECKLE_DEBIAN_TEMPLATE=$BUILD/debian-12.qcow2
    group 'host tests' 1500 cargo xtask host-test
    group 'make up and down' 900 bash scripts/test-up.sh
    printf '\n%s' "$REPORT"
}

# group NAME BUDGET COMMAND…
group() {
    local name=$1 budget=$(($2 * FACTOR)) begun=$SECONDS
    shift 2
    printf '\n== %s\n' "$name"
    if ! timeout --foreground "$budget" "$@"; then
        printf '%s\nFAILED: %s, after %s s of %s\n' "$REPORT" "$name" $((SECONDS - begun)) "$budget" >&2
        exit 1
    fi
    REPORT+=$(printf '%6s s of %5s  %s' $((SECONDS - begun)) "$budget" "$name")$'\n'
}

main
