#!/bin/bash
# Builds the Debian 12 template: build.sh OUT.qcow2
# By mmdebstrap, as root; see README.md beside this file.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${DECKLE_IMAGE_CACHE:-$HERE/../../build/cache/debian-12}
MIRROR=http://deb.debian.org
BOOT_MIB=192
ROOT_MIB=2048

# shellcheck source=../boot-disk.sh
. "$HERE/../boot-disk.sh"

main() {
    [ $# -eq 1 ] || { echo "usage: build.sh OUT.qcow2" >&2; exit 2; }
    [ "$(id -u)" = 0 ] || { echo "debian-12: run as root: sudo $0 $1" >&2; exit 1; }
    local out=$1 began=$EPOCHREALTIME
    mkdir -p "$CACHE/archives" "$(dirname "$out")"
    CACHE=$(cd "$CACHE" && pwd)
    out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")

    # One build at a time in a cache.
    exec 9>"$CACHE/lock"
    flock 9

    local inputs
    inputs=$(inputs_of)
    if [ -s "$out" ] && [ "$(cat "$out.stamp" 2>/dev/null)" = "$inputs" ]; then
        echo "debian-12: up to date ($out)"
        return
    fi

    WORK=$(mktemp -d "$CACHE/work.XXXXXX")
    trap 'rm -rf "$WORK"' EXIT
    make_tree > "$WORK/log" 2>&1 || { tail -n 30 "$WORK/log" >&2; exit 1; }
    make_disk "$out"
    echo "$inputs" > "$out.stamp"
    echo "debian-12: built in $(seconds_since "$began") s ($(du -m "$out" | cut -f1) MiB, $out)"
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", b - a }'; }

package_names() { sed 's/#.*//; /^$/d' "$HERE/packages"; }

# The recipe, and the versions of the packages it names as this host's apt knows them.
inputs_of() {
    local names
    mapfile -t names < <(package_names)
    {
        (cd "$HERE/.." && find boot-disk.sh debian-12 -type f ! -path '*/seed/*' ! -name '*.md' ! -name test.sh -print0 |
            sort -z | xargs -0 sha256sum)
        apt-get download --print-uris "${names[@]}" | cut -d' ' -f2-4 | sort
    } | sha256sum | cut -d' ' -f1
}

# The cache keeps what was downloaded; what is not needed any more leaves it by sync-out.
make_tree() {
    TREE=$WORK/tree
    # shellcheck disable=SC2016  # "$1" in a hook is mmdebstrap's.
    mmdebstrap --mode=root --variant=minbase --architectures=amd64 \
        --include="$(package_names | paste -sd,)" \
        --aptopt='Acquire::Retries "5"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --skip=download/empty --skip=essential/unlink \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="sync-in '$CACHE/archives' /var/cache/apt/archives" \
        --essential-hook="copy-in '$HERE'/guest/etc /" \
        --customize-hook="sync-out /var/cache/apt/archives '$CACHE/archives'" \
        --customize-hook="$HERE/customize \"\$1\"" \
        bookworm "$TREE" \
        "deb $MIRROR/debian bookworm main" \
        "deb $MIRROR/debian bookworm-updates main" \
        "deb $MIRROR/debian-security bookworm-security main"
}

# Kernel and initramfs lie on the boot partition, put there by the hook that also serves later kernels.
make_disk() {
    mkdir "$WORK/boot"
    mv "$TREE"/boot/syslinux/* "$WORK/boot/"
    cp "$HERE/syslinux.cfg" "$WORK/boot/"
    truncate -s "${ROOT_MIB}M" "$WORK/root.img"
    mke2fs -q -t ext4 -b 4096 -i 32768 -L deckle-root -J size=64 -m 1 \
        -E "resize=536870912,root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1" -d "$TREE" "$WORK/root.img"
    boot_disk "$WORK/disk.raw" "$BOOT_MIB" "$WORK/root.img" "$WORK"/boot/*
    compressed_qcow2 "$WORK/disk.raw" "$1"
}

main "$@"
