#!/usr/bin/env bash
# Builds the component and prints its path.
# A toolchain that has wasm32-wasip2 is used as it is (rustup target add wasm32-wasip2). Otherwise Debian's rustc-web,
# cargo-web and rust-web-src build a core module with the standard library from source, wasm-opt makes it smaller, and
# host/src/bin/componentize.rs makes a component of it; as root they are installed first.
# CRATE and PROFILE: another crate of this workspace (the benchmark's), another profile. FEATURES: another flavour (postgres).
set -euo pipefail
cd "$(dirname "$0")/.."
crate=${CRATE:-pay-once-spin} profile=${PROFILE:-component}
features=${FEATURES:-}
built=${crate//-/_}.wasm name=${crate//-/_}${features:+.$features}.wasm
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_PROFILE_COMPONENT_DEBUG=false

if ls "$(rustc --print target-libdir --target wasm32-wasip2 2>/dev/null)"/libcore-*.rlib >/dev/null 2>&1; then
  cargo build --locked -p "$crate" --features "$features" --lib --target wasm32-wasip2 --profile "$profile" >&2
  # The flavours of a crate have one name.
  [ "$name" = "$built" ] || cp "$target_dir/wasm32-wasip2/$profile/$built" "$target_dir/wasm32-wasip2/$profile/$name"
  echo "$target_dir/wasm32-wasip2/$profile/$name"
  exit
fi

need() { # what to say, then Debian's packages
  local why=$1
  shift
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >&2
  else
    echo "$why: apt-get install $*" >&2
    exit 1
  fi
}
if ! [ -d /usr/lib/rustlib/src/rust/library ] || ! command -v wasm-ld-22 >/dev/null || ! [ -x /usr/bin/cargo ]; then
  need "no target wasm32-wasip2: rustup target add wasm32-wasip2, or" rustc-web cargo-web rust-web-src lld-22
fi
# wasm-opt: the Worker's, if it has been set up, as it is of the same version; otherwise our own.
wasm_opt=edge-cloudflare/node_modules/.bin/wasm-opt
if ! [ -x $wasm_opt ]; then
  wasm_opt=edge-spin/node_modules/.bin/wasm-opt
  if ! cmp -s edge-spin/package-lock.json edge-spin/node_modules/.pay-once-lock.json; then
    command -v npm >/dev/null || need "no npm: install Node.js, or" nodejs npm
    (cd edge-spin && npm ci --no-progress --loglevel=error >&2 && cp package-lock.json node_modules/.pay-once-lock.json)
  fi
fi

out=$target_dir/fallback
module=$out/wasm32-unknown-unknown/$profile/$built
# /usr/bin first, so that cargo finds Debian's rustc and not a rustup proxy, which would download. A panic is a trap
# without words: its words would be a tenth of the component; derived Debug is printed by its names only. Names stay for
# wasm-opt, which drops them.
env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$out" \
  CARGO_UNSTABLE_BUILD_STD=std,panic_abort CARGO_UNSTABLE_BUILD_STD_FEATURES=optimize_for_size \
  RUSTFLAGS="-Zlocation-detail=none -Zfmt-debug=shallow -Zunstable-options -Cpanic=immediate-abort" CARGO_PROFILE_COMPONENT_STRIP=none \
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 \
  /usr/bin/cargo build --locked -p "$crate" --features "$features" --lib --target wasm32-unknown-unknown --profile "$profile" >&2
CARGO_TARGET_DIR=$target_dir/spin-host cargo build --locked --manifest-path edge-spin/host/Cargo.toml --bin componentize >&2

# A minute's work, so only for another module.
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
