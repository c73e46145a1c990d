#!/usr/bin/env bash
# Fails if the component (its path is the argument) is larger than it may be: 1,000,000 bytes, and 400,000 gzipped.
# Another toolchain's build is told, and not held to it.
set -euo pipefail
raw=$(wc -c <"$1") gzipped=$(gzip -9 -c "$1" | wc -c)
echo "component: $raw bytes, $gzipped gzipped"
case $1 in */wasm32-wasip2/*) exit ;; esac
if [ "$raw" -gt 1000000 ] || [ "$gzipped" -gt 400000 ]; then
  echo "larger than 1000000 bytes, or 400000 gzipped" >&2
  exit 1
fi
