#!/bin/sh
# Fuzzes the filter's readers, guided by coverage:  operator/turnout/filter/fuzz.sh SECONDS [WORK_FOLDER]
# Debian 12's rustc instruments, clang's libFuzzer drives; nothing else is needed. What it learns stays in WORK_FOLDER.
set -eu
seconds=${1:?usage: fuzz.sh SECONDS [WORK_FOLDER]}
work=$(realpath -m "${2:-/tmp/turnout-fuzz}")
cd "$(dirname "$0")"
mkdir -p "$work/corpus"
instrument="-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters
  -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
  -C opt-level=2 -C debug-assertions=on -C overflow-checks=on -C codegen-units=1 --edition 2021"
# shellcheck disable=SC2086
/usr/bin/rustc $instrument --crate-name turnout_filter --crate-type rlib src/lib.rs -o "$work/libturnout_filter.rlib"
# shellcheck disable=SC2086
/usr/bin/rustc $instrument --extern turnout_filter="$work/libturnout_filter.rlib" -C linker=clang-14 \
  -C link-arg=-fsanitize=fuzzer fuzz/fuzz.rs -o "$work/fuzz"
exec "$work/fuzz" "$work/corpus" fuzz/seeds -dict=fuzz/words.dict -max_total_time="$seconds" -max_len=2048 -timeout=5 \
  -print_final_stats=1 -artifact_prefix="$work/"
