#!/usr/bin/env bash
# Prints measured figures and ratios. Needs what the tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

bash scripts/install-test.sh
bash images/small/build.sh build/small.qcow2
DECKLE_SMALL_GUEST=$PWD/build/small.qcow2 cargo xtask bench
