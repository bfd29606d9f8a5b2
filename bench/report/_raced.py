"""What a run keeps of its race, as the figure and the page have it."""

from __future__ import annotations

import pandas as pd

from bench.analysis.choosing import COSTS
from bench.analysis.frame import RACES
from bench.io import JsonObject
from bench.report._short_names import is_own
from bench.report.text import plain

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

    Beside what the race has of it, in `why` also why it was not chosen: `label`, short and of no other row, whether it
    is one's `own`, whether it is the `best`, and whether its `span` is drawn, where it was never measured: of very
    many, the likeliest to matter.
    A network may have several rows, each for another size of images.
    """
    rows = pd.DataFrame(
        [
            {**row, "network": plain(row["network"]), "why": plain(row.get("why") or "", _LONGEST)}
            for row in race["networks"]
        ]
    )
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
