# Called with the keys of this seed: those that the last seed brought and this one lacks go.
# cloud-init itself only ever adds keys.
last=/var/lib/deckle/seeded-keys
mkdir -p "${last%/*}"
# No empty lines: as a pattern one would take every key with it.
printf '%s\n' "$@" | sed '/^$/d' > "$last.new"
for keys in /home/paperspace/.ssh/authorized_keys /root/.ssh/authorized_keys; do
    if [ ! -s "$last" ] || [ ! -f "$keys" ]; then continue; fi
    grep -vxFf "$last.new" "$last" | sed 's/^[^ ]* //' > "$last.gone"
    [ -s "$last.gone" ] || continue
    grep -vFf "$last.gone" "$keys" > "$last.left"
    cat "$last.left" > "$keys"
done
mv "$last.new" "$last"
rm -f "$last.gone" "$last.left"
