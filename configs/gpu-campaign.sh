#!/usr/bin/env bash
# Everything there is to measure on one NVIDIA GPU, into results/ and reports/ of this folder, under one name:
#
#     configs/gpu-campaign.sh h100
#
# Each line goes on where it was stopped when the same command is given again; a step that fails leaves the others
# alone, and its name is told at the end. The data sets are looked for in BENCH_DATA.
set -uo pipefail

card=${1:?"give a name for the card, such as h100"}
failed=()

step() { # NAME COMMAND...: run it, and remember if it failed
  local name=$1
  shift
  echo "== $name: $*"
  "$@" || failed+=("$name")
}

step gpu-tests python -m pytest -m gpu -q -n 0 # one after the other: they time and fill the card
step line-up bench run --config gpu --name "$card"
step loops python tests/benchmarks/timm_loop.py
step selftest bench selftest --set device=cuda
step again bench run --config gpu --name "$card-again" --task infer --set batch_size=256 --set precision=bf16
step accuracy bench run --config gpu-accuracy --name "$card-accuracy"
step diff bench diff "results/$card" "results/$card-again"
step report bench report "results/$card" -o "reports/$card"
step report-accuracy bench report "results/$card-accuracy" -o "reports/$card-accuracy"

if [ "${#failed[@]}" -gt 0 ]; then
  echo "did not end well: ${failed[*]}" >&2
  exit 1
fi
