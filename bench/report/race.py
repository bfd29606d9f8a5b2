"""The answer of a race: sentences, a table, and of each network why it was not chosen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence

from bench.analysis.choosing import COSTS, Choice, missed
from bench.analysis.raced import RACED, Raced
from bench.analysis.racing import CONFIDENCE, LEAST, MOST, Standing
from bench.errors import listed, unknown_name
from bench.facts.candidates import called
from bench.facts.entrants import Known
from bench.io import JsonObject, finite_json
from bench.report._choice import (
    MOST_NAMED,
    Row,
    answer_document,
    answer_json,
    answer_view,
    at_most,
    dearer_sentences,
    described,
    may_be_better,
    nearest_sentence,
    rivals_sentences,
)
from bench.report.document import Document
from bench.report.tables.cells import Fields, Head, View
from bench.units import percent, show, significant

_OPEN = 0.5  # a chance from which its number says no more


def race_document(raced: Raced, known: Known, explain: Sequence[str]) -> Document:
    """Return the answer: sentences, the table, what is to be known of it, and why a network was not chosen."""
    explained = _explained(raced, known, explain)
    answer, remarks = race_sentences(raced, known), _remarks(raced, known)
    return answer_document(_table(raced, known), answer, _json(raced), remarks, explained)


def _json(raced: Raced) -> JsonObject:
    """Return the answer as plain values; what is not known is None."""
    choice, standing = raced.choice, raced.standing
    table = choice.candidates
    return {
        "end": raced.end,
        "cost": choice.cost,
        **answer_json(choice, _columns()),
        "decided": {"budget": raced.budget_decided, "front": raced.front_decided},
        "never_measured": {
            "networks": raced.never,
            "budget_chance": None if standing is None else standing.budget_chance,
            "front_expected": None if standing is None else standing.expected,
        },
        "failed": finite_json(
            table.loc[table["state"] == "failed", ["network", "reason"]].to_dict("records")
        ),
    }


def _columns() -> list[str]:
    ends = [f"{cost}_{end}" for cost in RACED for end in ("low", "high")]
    return ["network", "accuracy", "input_size", *COSTS, *ends, "processes", "holds", "on_front", "certain"]


def race_sentences(raced: Raced, known: Known) -> list[str]:
    """Return the answer: what to take, what is undecided, what was never measured, and what would change it."""
    if raced.standing is None:
        return [_nothing(raced, known)]
    return [
        *_taken(raced, known),
        *may_be_better(raced.choice, known, _why_open),
        *_front(raced, raced.standing),
        *_unmeasured(raced, raced.standing),
        *_more(raced, raced.standing),
    ]


def _nothing(raced: Raced, known: Known) -> str:
    choice, every = raced.choice, len(raced.choice.candidates)
    over = int((choice.candidates["state"] == "over").sum())
    if every and over == every and choice.nearest is not None:
        budget = " and ".join(b.text for b in choice.budgets)
        return f"None of {every:,} has {budget}, by what is counted. {nearest_sentence(choice, known)}"
    reasons = choice.candidates.loc[choice.candidates["state"] == "failed", "reason"]
    if raced.end in _OVER:
        return _OVER[raced.end]
    if raced.end == "cancelled" and reasons.empty:
        return "It was cancelled before anything was measured. The same command goes on from here."
    return f"Nothing was measured{': ' + reasons.iloc[0] if len(reasons) else ''}."


_OVER: Mapping[str, str] = {
    "unbegun": "The time was over before the first process began: importing, looking up and planning took all of it. "
    "Grant more: --minutes.",
    "time": "The time was over before anything was measured. The same command goes on; --minutes grants more.",
}


def _taken(raced: Raced, known: Known) -> list[str]:
    choice, every = raced.choice, len(raced.choice.candidates)
    if not choice.budgets:
        return []
    budget = " and ".join(b.text for b in choice.budgets)
    if choice.best is None:
        if choice.nearest is None:
            return [f"None of those measured has {budget}."]
        tried = int((choice.candidates["state"] == "measured").sum())
        of = f"the {tried:,} that were measured" if raced.never else f"{every:,}"
        return [f"None of {of} has {budget} for certain. {nearest_sentence(choice, known)}"]
    best = described(choice.best, choice, known)
    held = int((choice.candidates["holds"] == "yes").sum())
    how = "" if raced.budget_decided else ", as far as is known"
    return [
        f"Take {best}{_interval(choice.best, choice.cost)}: the most accurate that has {budget}{how}; "
        f"{held:,} {'has' if held == 1 else 'have'} it for certain.",
        *rivals_sentences(choice, known),
        *dearer_sentences(choice, known),
    ]


def _interval(row: Row, cost: str) -> str:
    low, high, unit = row[f"{cost}_low"], row[f"{cost}_high"], COSTS[cost][0]
    return f", between {show(low, unit)} and {show(high, unit)}" if low < high else ""


def _why_open(row: Row) -> str:
    n = int(row["processes"])
    if n < LEAST:
        return f"{n} process{'es are' if n > 1 else ' is'} not enough to tell"
    return f"after {n} processes the interval of its cost lies on both sides of the budget"


def _front(raced: Raced, standing: Standing) -> list[str]:
    certain, possible = int(standing.certain.sum()), int(standing.possible.sum())
    what = f"the front of accuracy and {raced.choice.cost}"
    open_ = possible - certain
    few = int((standing.costs[0].processes[standing.possible & ~standing.certain] < LEAST).sum())
    why = f"of fewer than {LEAST} processes each it cannot be told" if few else "their intervals overlap"
    if 0 < few < open_:
        have = "have" if few > 1 else "has"
        why = f"their intervals overlap, and {few:,} of them {have} fewer than {LEAST} processes"
    more = f", and {open_:,} more may be: {why}" if open_ else ""
    if not certain:
        return [f"On {what} is none for certain; {open_:,} may be: {why}."] if open_ else []
    return [f"On {what} {'is' if certain == 1 else 'are'} {certain:,} for certain{more}."]


def _unmeasured(raced: Raced, standing: Standing) -> list[str]:
    if not raced.never:
        return ["Every network was measured, or its counts are over the budget, or it failed."]
    if not standing.enough:
        return [
            f"Never measured: {raced.never:,} of {len(raced.choice.candidates):,}. Too few were measured to say more."
        ]
    expected = standing.expected
    few = "under 0.01" if expected < 0.01 else f"at most {significant(expected)}"
    budget = f" {_chance(standing)}" if raced.choice.budgets else ""
    said = f"Never measured: {raced.never:,} of {len(raced.choice.candidates):,}.{budget} "
    said += f"Of members of the front, {few} are expected among them."
    if raced.uncounted:
        were = "was" if raced.uncounted == 1 else "were"
        said += f" {raced.uncounted:,} of them {were} not counted in that time either, so that the less is known of "
        said += "their costs."
    return [said]


def _chance(standing: Standing) -> str:
    if standing.budget_chance >= _OPEN:
        return "One of them may well be the better choice."
    return f"The chance that one of them is the better choice is {at_most(standing.budget_chance)}."


def _more(raced: Raced, standing: Standing) -> list[str]:
    """Return what would change the answer."""
    if raced.end == "decided":
        stays = f"More time changes nothing: what is open was measured in {MOST} processes each."
        return [stays] if (standing.possible & ~standing.certain).any() else []
    why = "It was cancelled" if raced.end == "cancelled" else "The time is over"
    table = raced.choice.candidates
    likely = table[(table["state"] == "never") & (table["budget_chance"] > 0.01)]
    open_ = raced.choice.open[raced.choice.open["processes"] < MOST]
    if likely.empty and (raced.budget_decided or open_.empty):
        what = "is decided" if raced.budget_decided else f"is as open after {MOST} processes each as it stays"
        return [f"{why}, and the choice {what}; with more minutes the rest of the front would be measured."]
    least = 0.0 if raced.choice.best is None else raced.choice.best["accuracy"]
    worth = likely["budget_chance"] * (likely["accuracy"] - least)
    likely = likely.loc[worth.sort_values(ascending=False, kind="stable").index]
    named = [_named(row) for rows in (open_, likely) for _, row in rows.iloc[:MOST_NAMED].iterrows()]
    what = f": {', '.join(named)}" if named else ""
    return [f"{why}; more minutes may change the answer{what}. The same command goes on from here."]


def _remarks(raced: Raced, known: Known) -> list[str]:
    """Return what is to be known of the numbers."""
    said = [known.remark]
    if known.without:
        said.append(f"Left out, as no accuracy of theirs is known: {listed(known.without, MOST_NAMED)}.")
    failed = raced.choice.candidates[raced.choice.candidates["state"] == "failed"]
    if len(failed):
        named = (f"{_named(row)} ({row['reason']})" for _, row in failed.iterrows())
        said.append(f"Not measured, as they failed: {listed(named, MOST_NAMED, '; ')}.")
    if raced.standing is None:
        return said
    cost = raced.standing.costs[0]
    between = (
        f"none was measured twice, so that {percent(cost.spread)} is assumed from one process to the next"
    )
    if (cost.processes > 1).any():
        between = f"from one process to the next they are taken to differ by {percent(cost.spread)}"
    how = f"Costs are measured here, the median over fresh processes, with {percent(CONFIDENCE, 0)} intervals"
    said.append(f"{how}; {between}.")
    if raced.disturbed:
        times = "1 time was" if raced.disturbed == 1 else f"{raced.disturbed:,} times were"
        said.append(
            f"{times} disturbed by other work on this machine, and too long if anything: they count where a network "
            f"has fewer than {LEAST} others."
        )
    if raced.standing.enough and raced.never:
        posterior = raced.standing.posteriors[0]
        said.append(
            "What was never measured is expected from counts, published speeds and the likeness of names: where whole "
            f"families are left out, half of the errors are below {percent(posterior.error - 1)}, and "
            f"{percent(posterior.coverage, 0)} of the costs lie in their 95 % interval."
        )
    return said


def _table(raced: Raced, known: Known) -> View:
    """Return the networks that matter, the most accurate first, with what is said of each."""
    choice = raced.choice
    table = choice.candidates
    front = table[table["on_front"]]
    words: dict[Hashable, str] = {
        row: "on the front" if sure else "on the front, not for certain"
        for row, sure in front["certain"].items()
    }
    processes: Fields[Row] = [(Head("Processes", numeric=True, keep=0), lambda row: str(row["processes"]))]
    return answer_view(choice, known, words, processes, takes=bool(choice.budgets))


def check_explained(known: Known, patterns: Sequence[str]) -> None:
    """Refuse patterns, of networks that are to be explained, which none of those named matches.

    Raises:
        UnknownNameError: for the first of them.
    """
    for pattern in patterns:
        names = [*known.table["network"], *known.without]
        if not any(called(names, pattern)):
            raise unknown_name("candidate", pattern, names, "none of the networks that race is called so")


def _explained(raced: Raced, known: Known, patterns: Sequence[str]) -> list[str]:
    """Return a line for each network that a pattern names: why it was not chosen."""
    networks, why = [_named(row) for _, row in raced.choice.candidates.iterrows()], why_not(raced)
    lines = [f"{network}: {reason}" for network, reason in zip(networks, why, strict=True)]
    lines += [f"{name}: left out, as no accuracy of it is known" for name in known.without]
    names = [*raced.choice.candidates["network"], *known.without]
    return [line for pattern in patterns for line in itertools.compress(lines, called(names, pattern))]


def why_not(raced: Raced) -> list[str]:
    """Return of each network of the race why it was not chosen."""
    return [_why(row, raced) for _, row in raced.choice.candidates.iterrows()]


def _named(row: Row) -> str:
    """Return a network with the size of its images: one may race at several."""
    return f"{row['network']} at {row['input_size']} px"


def _why(row: Row, raced: Raced) -> str:
    if row["state"] == "failed":
        return str(row["reason"] or "it failed")
    if row["state"] == "over":
        return f"{_over(row, raced.choice)}, by what is counted, and so not timed"
    said = _expected(row, raced) if row["state"] == "never" else _measured(row, raced.choice)
    return "; ".join(said) or "less accurate"


def _over(row: Row, choice: Choice) -> str:
    """Return which budgets of counts a network is over."""
    unknown = [b.quantity for b in choice.budgets if b.quantity not in RACED and math.isnan(row[b.quantity])]
    words = [f"{quantity.replace('_', ' ')} are not known" for quantity in unknown]
    return " and ".join(filter(None, [*words, missed(row, choice.budgets)]))


def _measured(row: Row, choice: Choice) -> list[str]:
    """Return how a network that was measured stands to the budget, the choice and the front."""
    best = choice.best if choice.budgets else None
    if best is not None and row.name == best.name:
        return ["the choice"]
    n = int(row["processes"])
    said = []
    if row["holds"] == "no":
        said.append(f"{missed(row, choice.budgets)}, measured in {n} process{'es' if n != 1 else ''}")
    elif row["holds"] == "open" and (best is None or row["accuracy"] > best["accuracy"]):
        said.append(_why_open(row))
    elif best is not None:
        said.append("less accurate than the choice")
    if row["on_front"]:
        said.append("on the front" if row["certain"] else "on the front, not for certain")
    return [*said, *_ahead(row, choice, row[choice.cost])]


def _expected(row: Row, raced: Raced) -> list[str]:
    """Return what is expected of a network that was never measured, and the chances that follow from it."""
    choice, unit = raced.choice, COSTS[raced.choice.cost][0]
    if raced.standing is None or not raced.standing.enough:
        return ["never measured, and too few were to say what it may be"]
    low, high = (row[f"{choice.cost}_expected_{end}"] for end in ("low", "high"))
    said = [f"never measured: {choice.cost} expected between {show(low, unit)} and {show(high, unit)} (95 %)"]
    if not row["counted"]:
        said.append("its MACs were not counted in the time, and are guessed")
    if choice.budgets and choice.best is not None and row["accuracy"] <= choice.best["accuracy"]:
        said.append("not more accurate than the choice")
    elif choice.budgets:
        said.append(f"the chance that it holds the budget is {at_most(row['budget_chance'])}")
    said += _ahead(row, choice, math.sqrt(low * high))
    return [*said, f"the chance that it belongs on the front is {at_most(row['front_chance'])}"]


def _ahead(row: Row, choice: Choice, cost: float) -> list[str]:
    """Return which network on the front is as accurate or more at no more cost, where one is."""
    if row["on_front"]:
        return []
    table, key = choice.candidates, choice.cost
    front = table[table["on_front"] & (table["accuracy"] >= row["accuracy"])]
    cheaper = front[key].le if COSTS[key][1] == "lower" else front[key].ge
    others = front[cheaper(cost)].sort_values("accuracy", kind="stable")
    return [
        f"{_named(other)} ({show(other[key], COSTS[key][0])}) is as accurate or more"
        for _, other in others.iloc[:1].iterrows()
    ]
