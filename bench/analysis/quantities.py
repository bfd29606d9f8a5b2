"""Quantities of a study: one number a record, from a measurement or derived of one.

A number is what was seen; an infinity what was never reached, or the worst that there is of a training that diverged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.records.record import Measurement, Record
from bench.stats.samples import median
from bench.units import Better


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is asked of records.

    Attributes:
        value: the number of a record; None where it has none.
        unit: of the number; empty for the measurement's.
        better: which direction is an improvement; None for the measurement's.
        source: the measurement that it comes from.
        censored: whether it may never be reached, so that only ranks can tell.
    """

    value: Callable[[Record], float | None]
    source: str
    unit: str = ""
    better: Better | None = None
    censored: bool = False


def quantity(name: str, arguments: tuple[str, ...] = ()) -> Quantity:
    """Return the quantity of a name and its arguments, see `bench.plan.study`."""
    made = _DERIVED.get(name)
    return made(*arguments) if made else _measured(name)


def _measured(name: str) -> Quantity:
    return Quantity(lambda r: _number(r.measurement(name)), name, censored=name == "time_to_accuracy")


def _number(measurement: Measurement | None) -> float | None:
    if measurement is None:
        return None
    if "missed" in measurement.flags:
        return -math.inf if measurement.better == "higher" else math.inf
    value = median(measurement.samples)
    return None if math.isnan(value) else value


def _epochs_to(name: str, goal: str) -> Quantity:
    def value(record: Record) -> float | None:
        measurement = record.measurement(name)
        return None if measurement is None else epochs_to(measurement, float(goal))

    return Quantity(value, name, "epochs", "lower", censored=True)


def epochs_to(measurement: Measurement, goal: float) -> float | None:
    """Return the number (from 1) of the first epoch at whose end a goal was reached; infinite where none was."""
    by_epoch = measurement.detail.get("by_epoch")
    if not by_epoch:
        return None
    sign = 1 if measurement.better == "higher" else -1
    reached = (i for i, v in enumerate(by_epoch, start=1) if v is not None and sign * v >= sign * goal)
    return float(next(reached, math.inf))


def _gradient_first(when: str = "start") -> Quantity:
    return _gradient(when, lambda first, _last: first)


def _gradient_ratio(when: str = "start") -> Quantity:
    return _gradient(when, lambda first, last: first / last if last > 0 else math.nan)


def _gradient_imbalance(when: str = "start") -> Quantity:
    """Return by what factor the first layer's gradient differs from the last's, whichever is larger: at least 1."""
    return _gradient(
        when, lambda first, last: max(first, last) / low if (low := min(first, last)) > 0 else math.inf
    )


def _gradient(when: str, of: Callable[[float, float], float]) -> Quantity:
    name = f"gradient_norm_{when}"

    def value(record: Record) -> float | None:
        measurement = record.measurement(name)
        layers = [] if measurement is None else measurement.detail.get("by_layer") or []
        if not layers or layers[0][1] is None or layers[-1][1] is None:
            return None
        found = of(layers[0][1], layers[-1][1])
        return None if math.isnan(found) else found

    return Quantity(value, name, "1", "neither")


def _throughput() -> Quantity:
    def value(record: Record) -> float | None:
        step, found = record.measurement("step_time"), record.measurement("max_batch")
        batch = found.samples[-1] if found else record.job.settings.given.get("batch_size")
        if step is None or not isinstance(batch, int | float):
            return None
        return batch / median(step.samples)

    return Quantity(value, "step_time", "1/s", "higher")


_DERIVED: Mapping[str, Callable[..., Quantity]] = {
    "epochs_to": _epochs_to,
    "gradient_first": _gradient_first,
    "gradient_imbalance": _gradient_imbalance,
    "gradient_ratio": _gradient_ratio,
    "throughput": _throughput,
}
