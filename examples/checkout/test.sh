#!/usr/bin/env bash
# The shop in a real browser, over a bad network, against Pay Once and its sandbox. Loopback only; stops by itself.
# PAY_ONCE_BIN: the pay-once binary or its directory (default: ../../target/debug). CHECKOUT_SEED repeats a run's chances;
# CHECKOUT_SCREENSHOTS names a directory for pictures of the pages. Arguments go to `node --test`.
set -euo pipefail
cd "$(dirname "$0")"

bin=${PAY_ONCE_BIN:-../../target/debug}
if [ ! -x "$bin" ] || { [ -d "$bin" ] && [ ! -x "$bin/pay-once" ]; }; then
  echo "no pay-once at $bin: cargo build -p pay-once, or set PAY_ONCE_BIN" >&2
  exit 1
fi

if ! [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
  if [ -z "${CHROMIUM:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium
  else
    echo "no browser: apt-get install chromium, or set CHROMIUM" >&2
    exit 1
  fi
fi

../../clients/typescript/setup
# npm leaves a copy of the lock file beside what it installed.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --silent
fi

# A guard, not a plan: the cases have time limits of their own.
exec timeout --kill-after=10 240 node --test --test-concurrency=2 --test-reporter=spec "$@" test/*.test.js
