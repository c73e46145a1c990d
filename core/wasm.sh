#!/usr/bin/env bash
# Builds core's example `one_payment` for wasm32-unknown-unknown and prints the path of the module.
set -euo pipefail
cd "$(dirname "$0")/.."
. core/wasm32.sh

wasm32_ready wasm32-unknown-unknown
wasm32_cargo build --locked --quiet -p pay-once-core --example one_payment --target wasm32-unknown-unknown --release >&2
echo "$wasm32_dir/wasm32-unknown-unknown/release/examples/one_payment.wasm"
