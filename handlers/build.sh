#!/usr/bin/env bash
# Builds the handlers whose modules are committed, into the folders of their sources or, with an argument, into that folder.
#
#	npm install --prefix /tmp/wabt wabt@1.0.39
#	PATH=/tmp/wabt/node_modules/.bin:$PATH handlers/build.sh
#
# Debian's wabt package serves as well: the output is the same.
set -euo pipefail
handlers=$(cd "$(dirname "$0")" && pwd)

wat2wasm "$handlers/stats-wat/stats.wat" -o "${1:-$handlers/stats-wat}/stats.wasm"
