#!/usr/bin/env bash
# Builds core's example `one_payment` for wasm32-unknown-unknown and prints the path of the module.
# A toolchain that has the target is used as it is (rustup target add wasm32-unknown-unknown). Otherwise Debian's
# rustc-web, cargo-web and rust-web-src build the standard library from source; as root they are installed first.
set -euo pipefail
cd "$(dirname "$0")/.."
target=wasm32-unknown-unknown
out=target/wasm
export CARGO_TARGET_DIR=$out CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false

if ls "$(rustc --print target-libdir --target $target 2>/dev/null)"/libcore-*.rlib >/dev/null 2>&1; then
  cargo build --locked --quiet -p pay-once-core --example one_payment --target $target --release >&2
else
  packages="rustc-web cargo-web rust-web-src lld-22"
  if ! [ -d /usr/lib/rustlib/src/rust/library ] || ! command -v wasm-ld-22 >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >&2
    else
      echo "no wasm32 standard library: rustup target add $target, or apt-get install $packages" >&2
      exit 1
    fi
  fi
  # /usr/bin first, so that cargo finds Debian's rustc and not a rustup proxy, which would download.
  env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
    CARGO_UNSTABLE_BUILD_STD=std,panic_abort CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 \
    /usr/bin/cargo build --locked --quiet -p pay-once-core --example one_payment --target $target --release >&2
fi
echo "$PWD/$out/$target/release/examples/one_payment.wasm"
