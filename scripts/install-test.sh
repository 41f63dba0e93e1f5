#!/bin/bash
# Installs what Deckle's tests need, on Debian 12: the host's packages and some more.
# May be run again at any time.
set -euo pipefail

# A second database, and what reads the first; the tools that talk to a running guest, its screen and its networks; clients for conformance tests;
# what makes their certificates.
exec "$(dirname "$0")/install-host.sh" \
    postgresql postgresql-client sqlite3 \
    genisoimage jq curl openssl python3 python3-venv \
    libnet-vnc-perl netcat-openbsd smbclient iputils-ping iputils-arping procps util-linux
