#!/usr/bin/env bash
# Fails if the component (its path is the argument) is larger than it may be: 800,000 bytes, and 300,000 gzipped.
# Another toolchain's build is told, and not held to it.
set -euo pipefail
raw=$(wc -c <"$1") gzipped=$(gzip -9 -c "$1" | wc -c)
echo "component: $raw bytes, $gzipped gzipped"
case $1 in */wasm32-wasip2/*) exit ;; esac
if [ "$raw" -gt 800000 ] || [ "$gzipped" -gt 300000 ]; then
  echo "larger than 800000 bytes, or 300000 gzipped" >&2
  exit 1
fi
