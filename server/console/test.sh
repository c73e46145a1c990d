#!/usr/bin/env bash
# The operator's page in a real browser, against the real server and the sandbox PSP. Loopback only; stops by itself.
# PAY_ONCE_BIN: the directory of the binaries pay-once and pay-once-sandbox (default: ../../target/debug). CONSOLE_SCREENSHOTS names a
# directory for pictures of the pages. Arguments go to `node --test`.
set -euo pipefail
cd "$(dirname "$0")"

bin=${PAY_ONCE_BIN:-../../target/debug}
if [ ! -x "$bin/pay-once" ] || [ ! -x "$bin/pay-once-sandbox" ]; then
  if [ -n "${PAY_ONCE_BIN:-}" ]; then
    echo "no pay-once and pay-once-sandbox in $bin: see PAY_ONCE_BIN" >&2
    exit 1
  fi
  cargo build --locked --quiet --manifest-path ../../Cargo.toml -p pay-once -p pay-once-sandbox
fi

if ! [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
  if [ -z "${CHROMIUM:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium
  else
    echo "no browser: apt-get install chromium, or set CHROMIUM" >&2
    exit 1
  fi
fi

# npm leaves a copy of the lock file beside what it installed.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --silent
fi

# A guard, not a plan: the cases have time limits of their own.
exec timeout --kill-after=10 240 node --test --test-concurrency=1 --test-reporter=spec "$@" test/*.test.js
