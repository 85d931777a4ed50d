#!/usr/bin/env bash
# Builds the handler: build.sh OUT.wasm. Needs asc: npm install assemblyscript@0.28.20
set -euo pipefail
asc "$(dirname "$0")/count.ts" --outFile "$1" -O3 --runtime incremental
