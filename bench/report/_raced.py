"""What a run keeps of its race, as the figure and the page have it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.analysis.choosing import COSTS
from bench.analysis.flags import Row
from bench.analysis.frame import RACES
from bench.io import JsonObject
from bench.report._choice import at_most
from bench.report._short_names import is_own
from bench.report.text import plain
from bench.units import show

NUMBERS = ("cost", "cost_low", "cost_high", "cost_expected_low", "cost_expected_high", "accuracy")
_NEEDED = {"network", "state", "on_front", "certain", *NUMBERS}
_FEW = 60  # spans of what was never measured; hundreds are one grey field
_CHANCES = ("front_chance", "budget_chance")
_LONGEST = 1000  # letters of a sentence, whose names come from outside
_LIBRARIES = ("timm:", "torchvision:")


def races_of(frame: pd.DataFrame) -> list[tuple[str, JsonObject]]:
    """Return the name of each run that keeps a race with something to draw, and its race."""
    return [(name, race) for name, race in frame.attrs.get(RACES, {}).items() if _is_whole(race)]


def _is_whole(race: object) -> bool:
    """Return whether a race is as bench writes it, and has something to draw."""
    if (
        not isinstance(race, dict)
        or race.get("cost") not in COSTS
        or not isinstance(race.get("networks"), list)
    ):
        return False
    rows = race["networks"]
    whole = all(isinstance(row, dict) and row.keys() >= _NEEDED for row in rows)
    return whole and any(row["state"] == "measured" for row in rows)


def race_answers(frame: pd.DataFrame) -> list[str]:
    """Return the sentences in which the races answered, as their runs keep them; also where nothing is to be drawn."""
    races = [race for race in frame.attrs.get(RACES, {}).values() if has_race_answer(race)]
    return [plain(line, _LONGEST) for race in races for line in race["answer"]]


def has_race_answer(race: object) -> bool:
    """Return whether what a run keeps of a race has its answer in sentences."""
    return isinstance(race, dict) and isinstance(race.get("answer"), list) and bool(race["answer"])


def race_table(race: JsonObject) -> pd.DataFrame:
    """Return one row a network, its name safe to show, and what is not known NaN.

    Beside what the race has of it: `label`, short and of no other row, whether it is one's `own`, whether it is the
    `best`, and whether its `span` is drawn, where it was never measured: of very many, the likeliest to matter.
    A network may have several rows, each for another size of images.
    """
    rows = pd.DataFrame([{**row, "network": plain(row["network"])} for row in race["networks"]])
    rows["own"] = rows["network"].map(is_own)
    rows[list(NUMBERS)] = rows[list(NUMBERS)].apply(pd.to_numeric, errors="coerce").astype(float)
    rows["label"] = _labels(rows)
    rows["best"] = rows["network"] == plain(race.get("best") or "")
    if "input_size" in rows and race.get("best_input_size") is not None:
        rows["best"] &= rows["input_size"] == race["best_input_size"]
    rows["span"] = _spans(rows)
    return rows


def _spans(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return of which rows what is expected is drawn as a span."""
    never = rows["state"] == "never"
    if never.sum() <= _FEW:
        return never
    chance = rows.reindex(columns=_CHANCES).apply(pd.to_numeric, errors="coerce").max(axis=1).where(never)
    likeliest: pd.Series[bool] = chance.rank(ascending=False, method="first").le(_FEW) & (chance > 0)
    return likeliest


def _labels(rows: pd.DataFrame) -> pd.Series[str]:
    """Return short names of rows: with the size of images, or the whole name, where a shorter one is not alone."""
    bare = rows["network"].map(bare_name)
    if "input_size" not in rows:
        return bare
    size = " " + rows["input_size"].map(plain) + " px"
    whole = rows["network"] + size.where(rows["network"].duplicated(keep=False), "")
    sized = bare + size
    shorter = sized.mask(sized.duplicated(keep=False), whole)
    return shorter.where(bare.duplicated(keep=False), bare)


def bare_name(network: str) -> str:
    """Return ``resnet50`` of ``timm:resnet50.a1_in1k``."""
    bare = network.rpartition(":")[2].partition(".")[0]
    return bare if network.startswith(_LIBRARIES) else network


def reasons(race: JsonObject, table: pd.DataFrame) -> list[str]:
    """Return of each row of `race_table` why it is the choice, or why it is not."""
    front = table[(table["state"] == "measured") & table["on_front"].astype(bool)]
    return ["the choice" if row["best"] else _reason(row, race, front) for row in table.to_dict("records")]


def _reason(row: Row, race: JsonObject, front: pd.DataFrame) -> str:
    if row["state"] == "failed":
        return plain(row.get("reason") or "it failed")
    if row["state"] == "over":
        return plain(f"{row.get('missed') or 'over a budget'}, by what is counted, and so not timed")
    said = _never(row, race) if row["state"] == "never" else _measured(row)
    ahead = "" if row["on_front"] else _ahead(row, race["cost"], front)
    return "; ".join(filter(None, [*said, ahead])) or "less accurate"


def _never(row: Row, race: JsonObject) -> Sequence[str]:
    """Return what is expected of a network that was never measured."""
    cost, ends = race["cost"], [row["cost_expected_low"], row["cost_expected_high"]]
    if not all(map(math.isfinite, ends)):
        return ["never measured"]
    low, high = (show(end, COSTS[cost][0]) for end in ends)
    said = [f"never measured: {cost} expected between {low} and {high} (95 %)"]
    if row.get("counted") is False:
        said.append("its MACs were not counted in the time, and are guessed")
    for key, what in (("budget_chance", "holds the budget"), ("front_chance", "belongs on the front")):
        chance = row.get(key)
        if (
            isinstance(chance, int | float)
            and math.isfinite(chance)
            and (key == "front_chance" or race.get("limit"))
        ):
            said.append(f"the chance that it {what} is {at_most(chance)}")
    return said


def _measured(row: Row) -> Sequence[str]:
    """Return how a network that was measured stands to the budget and the front."""
    said = []
    if row.get("holds") == "no":
        excess = row.get("excess")
        known = isinstance(excess, int | float) and 1 < excess < math.inf
        by = f"{excess:.2f} times the budget" if known else "over the budget"
        said.append(plain(row.get("missed") or by))
    elif row.get("holds") == "open":
        said.append("the interval of its cost lies on both sides of the budget")
    if row["on_front"]:
        said.append("on the front" if row["certain"] else "on the front, not for certain")
    return said


def _ahead(row: Row, cost: str, front: pd.DataFrame) -> str:
    """Return which network on the front is as accurate or more at no more cost; empty where none is."""
    lower = COSTS[cost][1] == "lower"
    ends = [row["cost_expected_low"], row["cost_expected_high"]]
    at = math.sqrt(ends[0] * ends[1]) if row["state"] == "never" else row["cost"]
    others = front[front["accuracy"] >= row["accuracy"]]
    others = others[others["cost"] <= at if lower else others["cost"] >= at]
    if others.empty:
        return ""
    other = others.sort_values("accuracy", kind="stable").iloc[0]
    return f"{other['label']} is as accurate or more, at {show(other['cost'], COSTS[cost][0])}"
