"""The race on published speeds: those of one machine are the truth, those of another are known before, or none are.

python tests/benchmarks/race.py [--all] [--slow SHARE]

Promised, with the i9 as the truth and the 3090 known before: at most 30 % of the networks are measured, at least 99 % of
the front is found, each of 20 budgets is answered rightly or told as undecided, none is broken; the same for five draws of
noise. `--all` does it for all 30 pairs of machines, for each machine with all others known, and with none; `--slow 0.1` where
a tenth of the processes is slow as a whole, as on a machine that does other work.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from raced import MACHINES, Ended, published, run, true_front

from bench.analysis.expected_cost import Entrants
from bench.analysis.racing import MISSED, Race

BUDGETS = 20
HEAD = f"{'truth':>8} {'known':<9} {'networks':>8} {'measured':>8} {'front':>5} {'found':>5} {'at most':>7} {'lost':>4} "
HEAD += (
    f"{'wrong':>5} {'right':>5} {'open':>4} {'false':>5} {'broken':>6} {'error':>6} {'held':>5} {'CPU s':>6}"
)


@dataclass(frozen=True)
class Answers:
    """What a race says of some budgets.

    Attributes:
        right: decided, and the most accurate that truly holds.
        open: told as undecided.
        false: decided, and another one would have been better.
        broken: the choice does not hold the budget, decided or not.
    """

    right: int
    open: int
    false: int
    broken: int


def answers(ended: Ended, entrants: Entrants, times: np.ndarray) -> Answers:
    """Ask for budgets between the cheapest and the dearest member of the front."""
    front = np.log(times[true_front(entrants, times)])
    counts = dict.fromkeys(("right", "open", "false", "broken"), 0)
    for limit in np.linspace(front.min(), front.max(), BUDGETS + 2)[1:-1]:
        cost = replace(ended.race.costs[0], limit=float(limit))
        race = Race(entrants, [cost])
        standing = race.standing()
        holding = np.log(times) <= limit
        most = entrants.accuracy[holding].max()
        best = standing.best
        counts["broken"] += best is not None and not holding[best]
        better = standing.measured & (standing.holds == "open")
        better &= entrants.accuracy > (-1 if best is None else entrants.accuracy[best])
        if best is None or better.any() or standing.budget_chance > MISSED:
            counts["open"] += 1
        else:
            counts["right" if entrants.accuracy[best] == most else "false"] += 1
    return Answers(**counts)


def line(truth: str, priors: Sequence[str], seed: int, slow: float) -> tuple[str, Ended, Answers, int]:
    """Race once; return the line of the table, and what it is made of."""
    begin = time.process_time()
    entrants, times = published(truth, priors)
    ended = run(entrants, times, seed, slow=slow)
    spent = time.process_time() - begin
    front, standing = true_front(entrants, times), ended.standing
    missed = int((front & ~standing.measured).sum())
    lost = int((front & standing.measured & ~standing.possible).sum())
    wrong = int((standing.certain & ~front).sum())
    said = answers(ended, entrants, times)
    known = "+".join(priors) if len(priors) < 2 else f"{len(priors)} others"
    posterior = standing.posteriors[0]
    text = f"{truth:>8} {known or 'none':<9} {len(times):>8,} {ended.share:>8.1%} {front.sum():>5} "
    text += f"{front.sum() - missed:>5} {standing.expected:>7.2f} {lost:>4} {wrong:>5} {said.right:>5} {said.open:>4} "
    text += f"{said.false:>5} {said.broken:>6} {posterior.error - 1:>6.0%} {posterior.coverage:>5.0%} {spent:>6.1f}"
    return text, ended, said, missed


def pairs(every: bool) -> Iterator[tuple[str, list[str], int]]:
    """Yield truth, machines known before, and the draw of noise."""
    yield from (("i9", ["3090"], draw) for draw in range(5))
    yield from (("i9", [], draw) for draw in range(2))
    if every:
        for truth in MACHINES:
            yield from ((truth, [prior], 0) for prior in MACHINES if prior != truth)
            yield truth, [prior for prior in MACHINES if prior != truth], 0
            yield truth, [], 0


def one_budget_each(slow: float) -> None:
    """Print what races for one budget each measure, until it is decided; the i9 is the truth, the 3090 is known."""
    entrants, times = published("i9", ["3090"])
    front = np.log(times[true_front(entrants, times)])
    shares, processes, right, broken = [], [], 0, 0
    limits = np.linspace(front.min(), front.max(), BUDGETS + 2)[1:-1]
    for seed, limit in enumerate(np.exp(limits)):
        ended = run(entrants, times, seed, limit=float(limit), budget_alone=True, slow=slow)
        best = ended.standing.best
        shares.append(ended.share)
        processes.append(ended.processes)
        right += best is not None and entrants.accuracy[best] == entrants.accuracy[times <= limit].max()
        broken += best is not None and times[best] > limit
    print(
        f"one budget each, {BUDGETS} races: {np.mean(shares):.1%} measured in the mean, at most {max(shares):.1%}, in "
        f"{np.mean(processes):.0f} processes; {right} right, {broken} broken, the others told as undecided"
    )


def main() -> None:
    """Print a line a race, and the sums."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="all pairs of machines")
    parser.add_argument("--slow", type=float, default=0.0, help="share of processes that are slow as a whole")
    options = parser.parse_args()
    one_budget_each(options.slow)
    print(HEAD, flush=True)
    lines = []
    for truth, priors, seed in pairs(options.all):
        text, ended, said, missed = line(truth, priors, seed, options.slow)
        lines.append((ended, said, missed))
        print(text, flush=True)
    members = sum(int(ended.standing.front.sum()) for ended, _, _ in lines)
    missed, expected = sum(m for _, _, m in lines), sum(ended.standing.expected for ended, _, _ in lines)
    asked = BUDGETS * len(lines)
    print(
        f"\n{len(lines)} races: {missed} of about {members} members missed, at most {expected:.1f} expected; "
        f"of {asked} budgets {sum(s.right for _, s, _ in lines)} right, {sum(s.open for _, s, _ in lines)} told as "
        f"undecided, {sum(s.false for _, s, _ in lines)} wrong, {sum(s.broken for _, s, _ in lines)} broken"
    )


if __name__ == "__main__":
    main()
