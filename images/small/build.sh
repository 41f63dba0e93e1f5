#!/bin/bash
# Builds the small guest: build.sh OUT.qcow2
# From Debian packages only, as any user; see README.md beside this file.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${DECKLE_IMAGE_CACHE:-$HERE/../../build/cache/small}
BOOT_MIB=32
ROOT_MIB=256

# shellcheck source=../boot-disk.sh
. "$HERE/../boot-disk.sh"

main() {
    [ $# -eq 1 ] || { echo "usage: build.sh OUT.qcow2" >&2; exit 2; }
    local out=$1 began=$EPOCHREALTIME
    mkdir -p "$CACHE" "$(dirname "$out")"
    out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")

    # One build at a time in a cache.
    exec 9>"$CACHE/lock"
    flock 9

    local inputs
    inputs=$(inputs_of)
    if [ -s "$out" ] && [ "$(cat "$out.stamp" 2>/dev/null)" = "$inputs" ]; then
        echo "small guest: up to date ($out)"
        return
    fi

    WORK=$(mktemp -d "$CACHE/work.XXXXXX")
    trap 'rm -rf "$WORK"' EXIT
    fetch_packages
    unpack_packages
    make_root_tree
    make_initramfs
    make_root_image
    make_disk "$out"
    echo "$inputs" > "$out.stamp"
    echo "small guest: built in $(seconds_since "$began") s ($(du -m "$out" | cut -f1) MiB, $out)"
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# Everything the image depends on, as one hash: the recipe, and the packages' names and checksums.
inputs_of() {
    kernel_package > "$CACHE/kernel"
    package_uris > "$CACHE/uris"
    {
        (cd "$HERE/.." && find boot-disk.sh small -type f ! -name README.md ! -name test.sh -print0 |
            sort -z | xargs -0 sha256sum)
        cat "$CACHE/uris"
    } | sha256sum | cut -d' ' -f1
}

# The newest cloud kernel of this Debian release: what the metapackage points to.
kernel_package() {
    local name
    name=$(apt-cache show --no-all-versions linux-image-cloud-amd64 2>/dev/null |
        sed -n 's/^Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
    if [ -z "$name" ]; then
        echo "small guest: apt knows no packages; run: apt-get update" >&2
        exit 1
    fi
    echo "$name"
}

package_uris() {
    # shellcheck disable=SC2046
    apt-get download --print-uris $(sed 's/#.*//; s/ .*//' "$HERE/packages") "$(cat "$CACHE/kernel")" | sort
}

# Only what is not in the cache yet is downloaded; a name carries the version.
fetch_packages() {
    local missing=() file size
    while read -r _ file size _; do
        [ "$(stat -c %s "$CACHE/$file" 2>/dev/null)" = "$size" ] || missing+=("${file%%_*}")
    done < "$CACHE/uris"
    [ ${#missing[@]} -eq 0 ] && return
    # apt drops its rights to another user where it can, who may not write here: say that this is fine.
    (cd "$CACHE" && apt-get download -qq -o Acquire::Retries=5 -o APT::Sandbox::User=root "${missing[@]}")
}

# Each package into a folder of its own: its paths can then be taken by name.
unpack_packages() {
    local file sum
    while read -r _ file _ sum; do
        mkdir -p "$WORK/packages/${file%%_*}"
        check_sum "$CACHE/$file" "$sum"
        dpkg-deb -x "$CACHE/$file" "$WORK/packages/${file%%_*}"
    done < "$CACHE/uris"
    KERNEL=$(cat "$CACHE/kernel")
    VERSION=${KERNEL#linux-image-}
}

check_sum() {
    case $2 in
        SHA256:*) echo "${2#SHA256:}  $1" | sha256sum --quiet -c ;;
        SHA512:*) echo "${2#SHA512:}  $1" | sha512sum --quiet -c ;;
        MD5Sum:*) echo "${2#MD5Sum:}  $1" | md5sum --quiet -c ;;
        *) echo "small guest: no checksum for $1" >&2; exit 1 ;;
    esac
}

make_root_tree() {
    TREE=$WORK/tree
    BUSYBOX=$WORK/packages/busybox-static/bin/busybox
    mkdir -p "$TREE"/{boot,dev,etc,home,mnt,proc,root,run,sys,tmp} \
        "$TREE"/usr/{bin,lib/x86_64-linux-gnu/security,lib/modules,libexec} \
        "$TREE"/var/{cache,lib/deckle/once,log,spool,tmp}
    ln -s usr/bin "$TREE/bin"
    ln -s usr/bin "$TREE/sbin"
    ln -s bin "$TREE/usr/sbin"
    ln -s usr/lib "$TREE/lib"
    ln -s usr/lib "$TREE/lib64"
    ln -s ../run "$TREE/var/run"
    ln -s x86_64-linux-gnu/ld-linux-x86-64.so.2 "$TREE/usr/lib/ld-linux-x86-64.so.2"

    take_programs
    take_libraries
    link_applets
    take_modules
    cp -r "$HERE/guest/." "$TREE/"
    ln -sf ../lib/deckle/stop "$TREE/usr/bin/shutdown"
    ln -sf ../lib/deckle/stop "$TREE/usr/bin/poweroff"
    ln -sf ../lib/deckle/stop "$TREE/usr/bin/reboot"
    ln -sf ../lib/deckle/stop "$TREE/usr/bin/halt"
    set_modes
    check_libraries
}

take_programs() {
    local name paths path
    while read -r name paths; do
        for path in $paths; do
            case $path in
                */security/*) cp -L "$WORK/packages/$name/$path" "$TREE/usr/lib/x86_64-linux-gnu/security/" ;;
                lib/*) cp -L "$WORK/packages/$name/$path" "$TREE/usr/lib/x86_64-linux-gnu/" ;;
                *) cp -L "$WORK/packages/$name/$path" "$TREE/usr/bin/" ;;
            esac
        done
    done < <(sed 's/#.*//; /^$/d' "$HERE/packages")
    # Where their callers look for them.
    ln -s ../bin/sftp-server "$TREE/usr/lib/sftp-server"
    cp -r "$WORK/packages/sudo/usr/libexec/sudo" "$TREE/usr/libexec/"
}

take_libraries() {
    local folder
    for folder in "$WORK"/packages/*/{,usr/}lib/x86_64-linux-gnu; do
        case $folder in */libc6/*|*/linux-image-*) continue ;; esac
        [ -d "$folder" ] || continue
        find "$folder" -maxdepth 1 -name '*.so*' -exec cp -P {} "$TREE/usr/lib/x86_64-linux-gnu/" \;
    done
}

link_applets() {
    local applet
    for applet in $("$BUSYBOX" --list); do
        case $applet in busybox|dpkg|dpkg-deb|rpm|rpm2cpio|linuxrc|run-init) continue ;; esac
        [ -e "$TREE/usr/bin/$applet" ] || ln -s busybox "$TREE/usr/bin/$applet"
    done
}

# Modules wanted and what they depend on; what is built into the kernel is no file and falls out.
take_modules() {
    local source=$WORK/packages/$KERNEL wanted module
    MODULES=$source/lib/modules/$VERSION
    # Not on the host's own modules: -b names the tree.
    "$BUSYBOX" depmod -b "$source" "$VERSION"
    wanted=$(sed -n 's/^\(boot\|all\) //p' "$HERE/modules")
    for module in $(with_dependencies "$wanted"); do
        install -D -m 644 "$MODULES/$module" "$TREE/usr/lib/modules/$VERSION/$module"
    done
    "$BUSYBOX" depmod -b "$TREE" "$VERSION"
}

# Paths in the order in which insmod must load them. Module names use - and _ as one.
with_dependencies() {
    local wanted=$1
    awk -v wanted="$wanted" '
        function name(path) { sub(/.*\//, "", path); sub(/\.ko$/, "", path); gsub(/-/, "_", path); return path }
        function load(path,    i, list, count) {
            if (path in loaded) return
            loaded[path] = 1
            count = split(needs[path], list, " ")
            for (i = count; i >= 1; i--) load(list[i])
            print path
        }
        { path = $1; sub(/:$/, "", path); $1 = ""; needs[path] = $0; path_of[name(path)] = path }
        END {
            count = split(wanted, names, "\n")
            for (n = 1; n <= count; n++) {
                gsub(/-/, "_", names[n])
                if (names[n] in path_of) load(path_of[names[n]])
            }
        }' "$MODULES/modules.dep"
}

set_modes() {
    chmod -R u=rwX,go=rX "$TREE"
    chmod 755 "$TREE"/usr/bin/* "$TREE"/usr/lib/deckle/* "$TREE/etc/acpi/PWRF/00000080"
    chmod 4755 "$TREE/usr/bin/sudo"
    chmod 440 "$TREE/etc/sudoers"
    chmod 600 "$TREE/etc/shadow"
    chmod 1777 "$TREE/tmp" "$TREE/var/tmp"
    chmod 700 "$TREE/root"
    mkdir -p "$TREE/home/paperspace"
}

# The guest's own loader says whether a library is missing.
check_libraries() {
    local libraries=$TREE/usr/lib/x86_64-linux-gnu program
    for program in bash sudo qemu-ga dropbear dropbearkey resize2fs sftp-server; do
        "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$TREE/usr/libexec/sudo" \
            --list "$TREE/usr/bin/$program" > "$WORK/list" || { cat "$WORK/list" >&2; exit 1; }
        if grep 'not found' "$WORK/list"; then
            echo "small guest: $program lacks a library; add its package to packages" >&2
            exit 1
        fi
    done
}

make_initramfs() {
    local tree=$WORK/initramfs module
    mkdir -p "$tree"/{bin,dev,modules,proc,root,sys}
    cp "$BUSYBOX" "$tree/bin/busybox"
    cp "$HERE/initramfs/init" "$tree/init"
    chmod 755 "$tree/init"
    for module in $(with_dependencies "$(sed -n 's/^boot //p' "$HERE/modules")"); do
        cp "$MODULES/$module" "$tree/modules/"
        basename "$module" >> "$tree/modules/order"
    done
    (cd "$tree" && find . | "$BUSYBOX" cpio -o -H newc -R 0:0 2>/dev/null | gzip -6 > "$WORK/initrd.img")
}

# Inode tables and reserved descriptors are sized for what the file system grows to, not for what it is:
# few inodes keep growing fast, and room for descriptors (up to 2 TiB) keeps it one pass.
make_root_image() {
    local image=$WORK/root.img
    truncate -s "${ROOT_MIB}M" "$image"
    mke2fs -q -t ext4 -b 4096 -i 32768 -L deckle-root -J size=16 -m 1 \
        -E "resize=536870912,root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1" -d "$TREE" "$image"
    own_by_root | debugfs -w -f /dev/stdin "$image" > "$WORK/debugfs.log" 2>&1
    if grep -E 'File not found|rror' "$WORK/debugfs.log"; then exit 1; fi
}

# mke2fs keeps the builder's uid on the files, and the builder need not be root.
own_by_root() {
    (cd "$TREE" && find . -mindepth 1 ! -path './home/paperspace*' -printf 'sif "/%P" uid 0\nsif "/%P" gid 0\n')
    printf 'sif /home/paperspace uid 1000\nsif /home/paperspace gid 1000\n'
}

make_disk() {
    cp "$WORK/packages/$KERNEL/boot/vmlinuz-$VERSION" "$WORK/vmlinuz"
    cp "$HERE/syslinux.cfg" "$WORK/syslinux.cfg"
    boot_disk "$WORK/disk.raw" "$BOOT_MIB" "$WORK/root.img" \
        "$WORK/vmlinuz" "$WORK/initrd.img" "$WORK/syslinux.cfg"
    compressed_qcow2 "$WORK/disk.raw" "$1"
}

main "$@"
