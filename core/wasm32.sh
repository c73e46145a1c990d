# Sourced by what builds for wasm32: core's proof that it imports nothing, the Worker, the Spin component. All of them build in
# one directory by one profile and one set of flags, so that the standard library and core's dependencies are compiled once.
#
#   wasm32_install TARGET   a standard library for the target is there: that of the toolchain (rustup target add TARGET), or the
#                           source and the compiler of Debian's packages, which build it; as root they are installed first
#   wasm32_ready TARGET     the same, and from here on this shell's cargo builds with it
#   wasm32_cargo ARGS       cargo, with the toolchain that wasm32_ready found
#
# The results are small, since each instance of an edge is compiled and held in memory by its host.

wasm32_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")/wasm32
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=z
# Names stay for wasm-opt, which drops them.
export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_PANIC=abort
wasm32_source=/usr/lib/rustlib/src/rust/library

# What to say, then Debian's packages.
wasm32_need() {
  local why=$1
  shift
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >&2
  else
    echo "$why: apt-get install $*" >&2
    exit 1
  fi
}

wasm32_has() {
  ls "$(rustc --print target-libdir --target "$1" 2>/dev/null)"/libcore-*.rlib >/dev/null 2>&1
}

wasm32_install() {
  if wasm32_has "$1"; then
    wasm32_from_source=
    return
  fi
  wasm32_from_source=1
  if ! [ -d $wasm32_source ] || ! command -v wasm-ld-22 >/dev/null || ! [ -x /usr/bin/cargo ]; then
    wasm32_need "no standard library for wasm32: rustup target add $1, or" rustc-web cargo-web rust-web-src lld-22
  fi
}

wasm32_ready() {
  wasm32_install "$1"
  [ -n "$wasm32_from_source" ] || return 0
  # /usr/bin first, so that cargo finds Debian's rustc and not a rustup proxy, which would download.
  unset RUSTUP_TOOLCHAIN
  export PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
  export CARGO_UNSTABLE_BUILD_STD=std,panic_abort CARGO_UNSTABLE_BUILD_STD_FEATURES=optimize_for_size
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
  # A panic is a trap without words: its words would be a tenth of the module; derived Debug is printed by its names only.
  export RUSTFLAGS="-Zlocation-detail=none -Zfmt-debug=shallow -Zunstable-options -Cpanic=immediate-abort"
}

wasm32_cargo() {
  CARGO_TARGET_DIR=$wasm32_dir cargo "$@"
}
