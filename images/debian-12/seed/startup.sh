#!/bin/sh
# Deckle's end of each boot: says that the machine is ready, then runs the startup scripts that lie on the
# seed (deckle/scripts) as root: once-ID unless it has run here, then each-boot.
# What they print goes to the log, and to the serial console, between two lines that say which script of which
# boot it is (deckle/run), and how it ended.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root USER=root LOGNAME=root SHELL=/bin/sh
LOG=/var/log/startup-script-output.log
STATE=/var/lib/deckle
SEED=/run/deckle-seed
RUN=

# Not into /run: programs may not be started there.
take_scripts() {
    rm -rf "$STATE/scripts"
    mkdir -p "$STATE/scripts" "$STATE/once" "$SEED"
    chmod 700 "$STATE" "$STATE/scripts"
    mount -o ro LABEL=cidata "$SEED" || return
    for script in "$SEED"/deckle/scripts/*; do
        [ ! -f "$script" ] || cp "$script" "$STATE/scripts/"
    done
    [ ! -f "$SEED/deckle/run" ] || read -r RUN < "$SEED/deckle/run"
    umount "$SEED"
}

# The status goes the way of the output, so that it comes last, after a word that no script knows; what a
# script leaves behind in the background may go on printing, and keeps nobody waiting.
run() {
    mkfifo -m 600 "$STATE/output"
    secret=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    echo "deckle: startup script $RUN begins" > /dev/console
    tell < "$STATE/output" > /dev/null 2>&1 &
    (
        cd /root || exit 1
        interpret "$1"
        echo "$secret $?"
    ) > "$STATE/output" 2>&1 < /dev/null
    rm "$STATE/output" "$1"
}

tell() {
    exec 3>> "$LOG" 4> /dev/console
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            *"$secret "*)
                # A last line without an end stands before it.
                [ -z "${line%%"$secret "*}" ] || tell_line "${line%%"$secret "*}"
                tell_line "exit status ${line##* }"
                echo "deckle: startup script $RUN ended with status ${line##* }" >&4
                ;;
            *) tell_line "$line" ;;
        esac
    done
}

tell_line() {
    printf '%s\n' "$1" >&3
    printf 'startup-script: %s\n' "$1" >&4
}

interpret() {
    chmod 700 "$1"
    if [ "$(head -c 2 "$1")" = "#!" ]; then
        "$1"
    elif [ -x /bin/bash ]; then
        bash "$1"
    else
        sh "$1"
    fi
}

take_scripts
echo "deckle: ready" > /dev/console
rm -f "$STATE/output"
: > "$LOG"
chmod 600 "$LOG"
for script in "$STATE"/scripts/once-*; do
    [ -f "$script" ] || continue
    mark=$STATE/once/${script##*/once-}
    [ ! -e "$mark" ] || continue
    # Marked before it runs: one that ends in a reboot must not run again after it.
    : > "$mark"
    sync
    run "$script"
done
[ ! -f "$STATE/scripts/each-boot" ] || run "$STATE/scripts/each-boot"
