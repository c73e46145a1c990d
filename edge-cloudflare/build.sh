#!/usr/bin/env bash
# Builds the Worker into build/. A toolchain that has the wasm32 standard library is used as it is
# (rustup target add wasm32-unknown-unknown); otherwise Debian's builds it from source. `./setup` first.
set -euo pipefail
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
work=${CARGO_TARGET_DIR:-$PWD/../target}/worker
mkdir -p "$work"

export PATH="$PWD/.tools/bin:$PATH"
# worker-build would download these if it were not told where they are.
export WASM_BINDGEN_BIN="$PWD/.tools/bin/wasm-bindgen"
export WASM_OPT_BIN="$PWD/node_modules/.bin/wasm-opt"
export ESBUILD_BIN="$PWD/node_modules/.bin/esbuild"
for program in "$PWD/.tools/bin/worker-build" "$WASM_BINDGEN_BIN" "$WASM_OPT_BIN" "$ESBUILD_BIN"; do
  [ -x "$program" ] || { echo "$program is missing: run ./setup first" >&2; exit 1; }
done
export CARGO_TARGET_DIR=$work
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=z
export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_PANIC=abort

if ! ls "$(rustc --print target-libdir --target $target 2>/dev/null)"/libcore-*.rlib >/dev/null 2>&1; then
  [ -d /usr/lib/rustlib/src/rust/library ] || { echo "no wasm32 standard library: run ./setup first" >&2; exit 1; }
  # worker-build runs `rustup target add` unless `rustc --print target-libdir` names a directory that exists. With a
  # standard library built from source there is none; this rustc names one.
  shim=$work/rustc-shim
  mkdir -p "$shim/lib"
  printf '#!/bin/sh\n[ "$*" = "--target %s --print target-libdir" ] && exec echo "%s"\nexec /usr/bin/rustc "$@"\n' \
    "$target" "$shim/lib" >"$shim/rustc"
  chmod +x "$shim/rustc"
  unset RUSTUP_TOOLCHAIN
  # /usr/bin before rustup's proxies, which would download.
  export PATH="$shim:/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
  export CARGO_UNSTABLE_BUILD_STD_FEATURES=optimize_for_size
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
fi

"$PWD/.tools/bin/worker-build" --release --locked >&2
ls -l build/index_bg.wasm >&2
