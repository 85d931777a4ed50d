#!/usr/bin/env bash
# Builds the handler: build.sh OUT.wasm. Needs clang with its WebAssembly linker (Debian: clang-19 lld-19, the default here).
set -euo pipefail
${CLANG:-clang-19} --target=wasm32 -O2 -nostdlib -Wall -Wextra -Werror \
	-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 \
	-o "$1" "$(dirname "$0")/count.c"
