#!/bin/sh
# Builds the module:  operator/turnout/filter/build.sh OUT
# Needs Debian 12's rustc, libstd-rust-dev-wasm32 and lld-14. The same sources give the same bytes in any folder.
set -eu
out=$(realpath -m "${1:?usage: build.sh OUT}")
cd "$(dirname "$0")"
/usr/bin/rustc --edition 2021 --crate-name turnout --crate-type cdylib --target wasm32-unknown-unknown \
  -C opt-level=3 -C target-feature=+bulk-memory -C panic=abort -C lto -C codegen-units=1 -C strip=symbols \
  -C linker=wasm-ld-14 --remap-path-prefix "$PWD=." -D warnings src/lib.rs -o "$out.new"
chmod 644 "$out.new"
mv "$out.new" "$out"   # in one step: a router or a test may be reading it
