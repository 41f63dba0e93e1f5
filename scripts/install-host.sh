#!/bin/bash
# Installs what a Deckle host needs, on Debian 12: scripts/install-host.sh
# May be run again at any time: when everything is there, it changes nothing and asks apt nothing.
# With names of further packages as arguments it installs those as well (install-test.sh does so).
set -euo pipefail

# Running machines and their networks; then, on the last line, building the images.
PACKAGES=(
    qemu-system-x86 qemu-utils
    dnsmasq-base nftables conntrack iproute2 openssh-client e2fsprogs ca-certificates
    samba samba-common-bin util-linux mount
    mtools syslinux syslinux-common fdisk mmdebstrap
)
BACKPORTS=/etc/apt/sources.list.d/deckle-backports.list
POLICY=/usr/sbin/policy-rc.d

main() {
    local began=$EPOCHREALTIME missing
    PACKAGES+=("$@")
    mapfile -t missing < <(missing_packages)
    if [ ${#missing[@]} -eq 0 ]; then
        echo "install: all ${#PACKAGES[@]} packages are here ($(seconds_since "$began") s)"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "install: missing: ${missing[*]}" >&2
        echo "install: run as root: sudo $0${1:+ $*}" >&2
        exit 1
    fi

    echo "install: ${missing[*]}"
    local from=()
    if qemu_is_newer_than_the_release; then
        have_backports
        from=(-t bookworm-backports)
    fi
    update
    hold_services
    install "${from[@]}"
    keep_samba_off
    echo "install: done in $(seconds_since "$began") s"
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

missing_packages() {
    local package
    for package in "${PACKAGES[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2> /dev/null)" = 'ii ' ] || echo "$package"
    done
}

# Debian 12 has QEMU 7.2. A newer qemu-utils or qemu-system-common breaks its qemu-system-x86,
# so that one has to come from where they came: bookworm-backports.
qemu_is_newer_than_the_release() {
    grep -q '^VERSION_CODENAME=bookworm' /etc/os-release || return 1
    local package version
    for package in qemu-utils qemu-system-common; do
        version=$(dpkg-query -W -f '${Version}' "$package" 2> /dev/null) || continue
        if [ -n "$version" ] && dpkg --compare-versions "$version" ge 1:8; then return 0; fi
    done
    return 1
}

have_backports() {
    if apt-cache policy | grep -q 'n=bookworm-backports'; then return; fi
    echo "install: adding $BACKPORTS, because QEMU on this host is newer than Debian 12's"
    echo 'deb http://deb.debian.org/debian bookworm-backports main' > "$BACKPORTS"
}

# Once more after a pause: a mirror that is just being renewed refuses for a moment.
update() {
    apt-get update -qq && return
    echo "install: apt-get update failed; trying once more"
    sleep 5
    apt-get update -qq
}

# Deckle starts what it needs itself, so no package may start a service by being installed.
# What forbids it is there only for the duration; one that somebody else put there stays.
hold_services() {
    [ ! -e "$POLICY" ] || return 0
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$POLICY"
    chmod 755 "$POLICY"
}

# Deckle starts an smbd for each network itself. Where Samba was not there before, the services of the host's own
# do not start at the next boot either.
keep_samba_off() {
    case " ${missing[*]} " in *' samba '*) ;; *) return 0 ;; esac
    local unit
    for unit in smbd nmbd samba-ad-dc; do
        [ ! -e "/lib/systemd/system/$unit.service" ] || systemctl --quiet disable "$unit.service" 2> /dev/null || true
    done
}

# From backports come only QEMU's own packages; the others stay with the release.
install() {
    local package release=() qemu=()
    for package in "${missing[@]}"; do
        case $package in
            qemu-*) qemu+=("$package") ;;
            *) release+=("$package") ;;
        esac
    done
    [ ${#qemu[@]} -eq 0 ] || quiet_install "$@" "${qemu[@]}"
    [ ${#release[@]} -eq 0 ] || quiet_install "${release[@]}"
}

quiet_install() {
    local log
    log=$(mktemp)
    # Another apt may be at work on this host: wait for it, but not for ever.
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -o Acquire::Retries=5 --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" > "$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
}

main "$@"
