#!/usr/bin/env bash
# Builds the handler: build.sh OUT.wasm. Needs rustc with the target wasm32-unknown-unknown, by either
#
#	rustup target add wasm32-unknown-unknown
#	apt-get install rustc libstd-rust-dev-wasm32 lld; export RUSTC=/usr/bin/rustc WASM_LD=wasm-ld
set -euo pipefail
"${RUSTC:-rustc}" --target wasm32-unknown-unknown --crate-type cdylib --edition 2021 -O \
	-C panic=abort -C "linker=${WASM_LD:-rust-lld}" -C link-arg=--strip-all -D warnings \
	-o "$1" "$(dirname "$0")/count.rs"
