#!/usr/bin/env bash
# Builds the component and prints its path.
# A toolchain that has wasm32-wasip2 is used as it is (rustup target add wasm32-wasip2). Otherwise Debian's rustc-web,
# cargo-web and rust-web-src build a core module with the standard library from source, wasm-opt makes it smaller, and
# host/src/bin/componentize.rs makes a component of it; as root they are installed first.
# CRATE: another crate of this workspace (the benchmark's). FEATURES: another flavour (postgres).
set -euo pipefail
cd "$(dirname "$0")/.."
. core/wasm32.sh
crate=${CRATE:-pay-once-spin} features=${FEATURES:-}
built=${crate//-/_}.wasm name=${crate//-/_}${features:+.$features}.wasm
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")

if wasm32_has wasm32-wasip2; then
  export CARGO_PROFILE_COMPONENT_DEBUG=false
  cargo build --locked -p "$crate" --features "$features" --lib --target wasm32-wasip2 --profile component >&2
  # The flavours of a crate have one name.
  [ "$name" = "$built" ] || cp "$target_dir/wasm32-wasip2/component/$built" "$target_dir/wasm32-wasip2/component/$name"
  echo "$target_dir/wasm32-wasip2/component/$name"
  exit
fi

# The host's own toolchain, before PATH names Debian's.
CARGO_TARGET_DIR=$target_dir/spin-host cargo build --locked --manifest-path edge-spin/host/Cargo.toml --bin componentize >&2
# wasm-opt: the Worker's, if it has been set up, as it is of the same version; otherwise our own.
wasm_opt=edge-cloudflare/node_modules/.bin/wasm-opt
if ! [ -x $wasm_opt ]; then
  wasm_opt=edge-spin/node_modules/.bin/wasm-opt
  if ! cmp -s edge-spin/package-lock.json edge-spin/node_modules/.pay-once-lock.json; then
    command -v npm >/dev/null || wasm32_need "no npm: install Node.js, or" nodejs npm
    (cd edge-spin && npm ci --no-progress --loglevel=error >&2 && cp package-lock.json node_modules/.pay-once-lock.json)
  fi
fi

wasm32_ready wasm32-unknown-unknown
module=$wasm32_dir/wasm32-unknown-unknown/release/$built out=$wasm32_dir/components
wasm32_cargo build --locked -p "$crate" --features "$features" --lib --target wasm32-unknown-unknown --release >&2

# A minute's work, so only for another module.
mkdir -p "$out"
key=$(cat "$module" edge-spin/component.sh | sha256sum | cut -c1-16)
if [ "$(cat "$out/$name.of" 2>/dev/null)" != "$key" ]; then
  # Without reordering functions: neighbours are alike, and gzip sees 32 KB at a time. Flattened first, and optimized
  # thrice: one part in seventy smaller.
  "$wasm_opt" --flatten --rereloop --merge-similar-functions -Oz -Oz -Oz --skip-pass=reorder-functions --strip-debug --strip-producers --strip-target-features \
    "$module" -o "$out/$name.module" >&2
  "$target_dir/spin-host/debug/componentize" "$out/$name.module" "$out/$name"
  echo "$key" >"$out/$name.of"
fi
echo "$out/$name"
