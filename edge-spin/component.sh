#!/usr/bin/env bash
# Builds the component and prints its path.
# A toolchain that has wasm32-wasip2 is used as it is (rustup target add wasm32-wasip2). Otherwise Debian's rustc-web,
# cargo-web and rust-web-src build a core module with the standard library from source, and host/src/bin/componentize.rs
# makes a component of it; as root they are installed first.
# CRATE and PROFILE: another crate of this workspace (the benchmark's), another profile.
set -euo pipefail
cd "$(dirname "$0")/.."
crate=${CRATE:-pay-once-spin} profile=${PROFILE:-component}
name=${crate//-/_}.wasm
target_dir=${CARGO_TARGET_DIR:-target}
export CARGO_PROFILE_COMPONENT_DEBUG=false

if ls "$(rustc --print target-libdir --target wasm32-wasip2 2>/dev/null)"/libcore-*.rlib >/dev/null 2>&1; then
  cargo build --locked -p "$crate" --lib --target wasm32-wasip2 --profile "$profile" >&2
  echo "$(realpath "$target_dir")/wasm32-wasip2/$profile/$name"
  exit
fi

packages="rustc-web cargo-web rust-web-src lld-22"
if ! [ -d /usr/lib/rustlib/src/rust/library ] || ! command -v wasm-ld-22 >/dev/null || ! [ -x /usr/bin/cargo ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >&2
  else
    echo "no target wasm32-wasip2: rustup target add wasm32-wasip2, or apt-get install $packages" >&2
    exit 1
  fi
fi
out=$target_dir/fallback
# /usr/bin first, so that cargo finds Debian's rustc and not a rustup proxy, which would download.
env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$out" \
  CARGO_UNSTABLE_BUILD_STD=std,panic_abort CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 \
  /usr/bin/cargo build --locked -p "$crate" --lib --target wasm32-unknown-unknown --profile "$profile" >&2
CARGO_TARGET_DIR=$target_dir/spin-host cargo build --locked --manifest-path edge-spin/host/Cargo.toml --bin componentize >&2
"$target_dir/spin-host/debug/componentize" "$out/wasm32-unknown-unknown/$profile/$name" "$out/$name"
realpath "$out/$name"
