# shellcheck shell=bash disable=SC2034 # What is set here is used by the scripts that source it.
# What up.sh and down.sh agree on.

PROFILE=${PROFILE:-release}
LISTEN=${LISTEN:-127.0.0.1:8484}
if [ -z "${DECKLE_STATE:-}" ]; then
    if [ "$(id -u)" = 0 ]; then DECKLE_STATE=/var/lib/deckle; else DECKLE_STATE=$HOME/.local/state/deckle; fi
fi
export DECKLE_STATE
PID_FILE=$DECKLE_STATE/serve.pid
SSH_KEY=$DECKLE_STATE/up_ed25519
TARGET=$PROFILE
[ "$PROFILE" = dev ] && TARGET=debug
DECKLE=${CARGO_TARGET_DIR:-$PWD/target}/$TARGET/deckle

# Under sudo the toolchain is usually the calling user's.
if ! command -v cargo >/dev/null && [ -n "${SUDO_USER:-}" ]; then
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
    export CARGO_HOME=${CARGO_HOME:-$home/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}
    export PATH=$PATH:$CARGO_HOME/bin
fi

say() { echo "make: $*"; }

fail() {
    echo "make: $*" >&2
    exit 1
}

# Whether the process of the pid file is the server of this state folder: pids are used again.
server_runs() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "serve --state $DECKLE_STATE "
}
