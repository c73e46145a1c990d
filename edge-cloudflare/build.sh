#!/usr/bin/env bash
# Builds the Worker into build/. A toolchain that has the wasm32 standard library is used as it is
# (rustup target add wasm32-unknown-unknown); otherwise Debian's builds it from source. `./setup` first.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../target}
. ../core/wasm32.sh

export PATH="$PWD/.tools/bin:$PATH"
# worker-build would download these if it were not told where they are.
export WASM_BINDGEN_BIN="$PWD/.tools/bin/wasm-bindgen"
export WASM_OPT_BIN="$PWD/node_modules/.bin/wasm-opt"
export ESBUILD_BIN="$PWD/node_modules/.bin/esbuild"
for program in "$PWD/.tools/bin/worker-build" "$WASM_BINDGEN_BIN" "$WASM_OPT_BIN" "$ESBUILD_BIN"; do
  [ -x "$program" ] || { echo "$program is missing: run ./setup first" >&2; exit 1; }
done

wasm32_ready wasm32-unknown-unknown
if [ -n "$wasm32_from_source" ]; then
  # worker-build runs `rustup target add` unless `rustc --print target-libdir` names a directory that exists. With a
  # standard library built from source there is none; this rustc names one.
  shim=$wasm32_dir/rustc-shim
  mkdir -p "$shim/lib"
  printf '#!/bin/sh\n[ "$*" = "--target %s --print target-libdir" ] && exec echo "%s"\nexec /usr/bin/rustc "$@"\n' \
    wasm32-unknown-unknown "$shim/lib" >"$shim/rustc"
  chmod +x "$shim/rustc"
  export PATH="$shim:$PATH"
fi

CARGO_TARGET_DIR=$wasm32_dir "$PWD/.tools/bin/worker-build" --release --locked >&2
# worker-build keeps the names of functions, and optimizes once.
"$WASM_OPT_BIN" -Oz -Oz --strip-debug --strip-producers build/index_bg.wasm -o build/index_bg.wasm.small
mv build/index_bg.wasm.small build/index_bg.wasm
ls -l build/index_bg.wasm >&2
