#!/usr/bin/env bash
# What there is to measure on one NVIDIA GPU, into results/ and reports/ of the working folder, under one name:
#
#     configs/gpu-campaign.sh h100              all pieces, those of most worth first
#     configs/gpu-campaign.sh h100 line-up ways these pieces
#
# A piece is cut off after nine minutes (PIECE_S), for machines that are lent for ten, and goes on where it was when it
# is asked for again. What fails leaves the rest alone, and is told at the end. With PACK=results.tgz all records are
# packed into that file every 20 seconds and at the end. It needs no network, no git and no installed `bench`: only
# this tree, and its dependencies for python3. Data sets are looked for in BENCH_DATA.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # for scripts that import bench from this tree

card=${1:?"give a name for the card, such as h100"}
shift
all=(check line-up graph ways training-step accuracy selftest again more accuracy-more imagenette reports)
[ "$#" -gt 0 ] || set -- "${all[@]}"
end=0
failed=()

step() { # COMMAND...: run it for as long as the piece lasts, and remember if it failed
  local left=$((end - SECONDS))
  echo "== $*"
  if [ "$left" -lt 5 ] || ! timeout --signal INT --kill-after 20 "$left" "$@"; then
    failed+=("$*")
  fi
}

bench() { # WORDS...: a bench command
  step python3 -m bench "$@"
}

measure() { # CONFIG RUN [WORDS...]
  bench run --config "$1" --name "$card-$2" --no-report "${@:3}"
}

pack() { # under a name of its own: one may be under way when the last one begins
  tar czf "$PACK.$BASHPID" results 2>/dev/null # it may say that a file grew meanwhile
  mv "$PACK.$BASHPID" "$PACK"
}

piece() {
  case $1 in
    check) # one after the other: they time and fill the card
      bench env
      step python3 tests/benchmarks/fidelity.py
      step python3 -m pytest -m gpu -q -n 0 -p no:cacheprovider --durations 10
      ;;
    line-up) measure gpu line-up ;;
    graph | ways | training-step | accuracy | more | accuracy-more | imagenette) measure "gpu-$1" "$1" ;;
    selftest) bench selftest --set device=cuda --set energy_s=0 ;;
    again) # the throughputs of the line-up once more, by the same jobs
      measure gpu again --task infer --set batch_size=256 --set energy_s=1.0
      bench diff "results/$card-line-up" "results/$card-again"
      ;;
    reports) # one for each run
      for run in "results/$card-"*; do
        bench report "$run" -o "reports/${run##*/}"
      done
      ;;
    *)
      echo "there is no piece $1: ${all[*]}" >&2
      exit 2
      ;;
  esac
}

if [ -n "${PACK:-}" ]; then
  while sleep 20; do pack; done >/dev/null 2>&1 &
  packer=$!
  trap 'kill "$packer" 2>/dev/null; pack' EXIT
fi
for name in "$@"; do
  end=$((SECONDS + ${PIECE_S:-540}))
  piece "$name"
done
if [ "${#failed[@]}" -gt 0 ]; then
  printf 'did not end well: %s\n' "${failed[@]}" >&2
  exit 1
fi
