# A bootable disk put together from files alone: no mount, no loop device, no root.
# Sourced by the recipes; needs mtools, syslinux, fdisk and e2fsprogs.
# shellcheck shell=bash

SECTORS_PER_MIB=2048
BOOT_START_MIB=1

# boot_disk RAW BOOT_MIB ROOT_IMAGE FILE...
# MBR; partition 1: FAT with syslinux and FILEs; partition 2: ROOT_IMAGE, an ext4 file system.
boot_disk() {
    local raw=$1 boot_mib=$2 root_image=$3
    shift 3
    local fat="$raw.fat" root_start_mib=$((BOOT_START_MIB + boot_mib)) root_mib
    root_mib=$(($(stat -c %s "$root_image") / 1048576))

    rm -f "$raw"
    truncate -s "$((root_start_mib + root_mib))M" "$raw"
    sfdisk --quiet --no-reread --no-tell-kernel "$raw" <<-TABLE
	label: dos
	start=$((BOOT_START_MIB * SECTORS_PER_MIB)), size=$((boot_mib * SECTORS_PER_MIB)), type=e, bootable
	start=$((root_start_mib * SECTORS_PER_MIB)), size=$((root_mib * SECTORS_PER_MIB)), type=83
	TABLE

    boot_file_system "$fat" "$boot_mib" "$@"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" bs=440 count=1 conv=notrunc status=none
    dd if="$fat" of="$raw" bs=1M seek="$BOOT_START_MIB" conv=notrunc,sparse status=none
    dd if="$root_image" of="$raw" bs=1M seek="$root_start_mib" conv=notrunc,sparse status=none
    rm -f "$fat"
}

# The hidden-sectors field (-H) is where the partition starts on the disk: syslinux reads by it.
boot_file_system() {
    local fat=$1 mib=$2
    shift 2
    rm -f "$fat"
    truncate -s "${mib}M" "$fat"
    mformat -i "$fat" -h 255 -s 63 -H "$((BOOT_START_MIB * SECTORS_PER_MIB))" \
        -T "$((mib * SECTORS_PER_MIB))" -v DECKLEBOOT ::
    mcopy -i "$fat" "$@" ::
    syslinux --install "$fat"
}

# compressed_qcow2 RAW OUT: appears under its name only when whole.
compressed_qcow2() {
    qemu-img convert -q -c -f raw -O qcow2 -o compat=1.1,compression_type=zstd "$1" "$2.part"
    mv "$2.part" "$2"
}
