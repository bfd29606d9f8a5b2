"""Speed-ups of all pairs of a comparison, from the rounds in which its networks ran in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.stats.samples import median_ratio
from bench.stats.verdicts import of_ratios

_QUANTITIES = ("latency", "step_time")
COLUMNS = ("run", "quantity", "batch_size", "network", "baseline", "speedup", "low", "high", "processes")


def speedups(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run of `bench compare`, quantity and ordered pair of its networks.

    Args:
        frame: of `bench.analysis.frame.to_frame`.

    Columns: run, `quantity` (`latency` or `step_time`), `batch_size`, `network`, `baseline`, `speedup` (time of the
        baseline over that of the network: 2 is twice as fast), `low` and `high` of its 95 % interval (NaN where there
        are too few processes), and `processes`. A process gives one number, the median ratio of its rounds; the
        intervals are each for one pair, not corrected for their number.
    """
    rows = frame[
        (frame["task"] == "versus") & (frame["status"] == "ok") & frame["measurement"].isin(_QUANTITIES)
    ]
    rows = rows.assign(network=[_text(detail.get("label")) for detail in rows["detail"]])
    found = [row for _, part in rows.groupby(["run", "measurement"], sort=False) for row in _pairs(part)]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _text(label: object) -> str:
    """Return a name without lone surrogates: no table can hold them."""
    return str(label or "").encode("utf-8", "replace").decode("utf-8")


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Yield the rows of one run and quantity; networks in the order of the first process."""
    first = rows.iloc[0]
    batch = 1.0 if first["measurement"] == "latency" else first["batch_size"]
    processes = [
        dict(zip(one["network"], one["samples"], strict=True))
        for _, one in rows.groupby("job_id", sort=False)
    ]
    networks = list(dict.fromkeys(rows["network"]))
    for network in networks:
        for baseline in networks:
            ratios = [
                median_ratio(process[baseline], process[network])
                for process in processes
                if network in process and baseline in process
            ]
            if ratios and network != baseline:
                effect = of_ratios(ratios, better="higher", unit="1/s")
                speedup = (effect.estimate, effect.low, effect.high, effect.n)
                yield first["run"], first["measurement"], batch, network, baseline, *speedup
