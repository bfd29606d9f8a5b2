"""The layers of a network with their times; and of two networks."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from bench.analysis.layer_differences import (
    Difference,
    foremost,
    is_certain,
    layer_differences,
    place_of_difference,
    whole_difference,
)
from bench.analysis.layers import ABOVE, Layer, LayerTable
from bench.errors import listed
from bench.io import JsonObject, finite_json
from bench.records.flags import explain
from bench.report.document import Document
from bench.report.tables._view import interval
from bench.report.tables.cells import EMPTY, Cell, Fields, Head, View, csv_rows, view_of
from bench.report.text import plain
from bench.stats.effects import Effect
from bench.stats.intervals import Interval
from bench.stats.verdicts import show_p
from bench.units import DASH, Scale, percent, show, significant, with_ends

_BETWEEN = "between layers"
_DIRECT = "functions of"  # before the class of a module that runs operators itself


def _type(layer: Layer) -> str:
    return f"{_DIRECT} {layer.type}" if layer.kind == "functions" else layer.type


def _time(time: Interval, scale: Scale) -> Cell:
    """Show a time in the scale of the column, with its interval as a note."""
    return Cell(*with_ends(time.estimate, time.low, time.high, scale.factor), time.estimate)


def _shape(output: Sequence[int]) -> str:
    return "×".join(map(str, output[1:])) or DASH


def layer_times_document(table: LayerTable) -> Document:
    """Return the layers of a network with their times, and what is to be said of the whole."""
    return Document(_view(table), _title(table), notes=_notes(table), values=_json(table), csv=_csv(table))


def _view(table: LayerTable) -> View:
    """Return a row a layer, what lies between them, and the whole as the last row."""
    network, scale = table.network, Scale.of(table.network.estimate / 10, "s")
    backward: Fields[Layer] = (
        (Head("Backward", scale.symbol, numeric=True), lambda x: significant(x.backward / scale.factor)),
    )
    fields: Fields[Layer] = (
        (Head("Layer"), lambda x: plain(x.name)),
        (Head("Type"), lambda x: plain(_type(x))),
        (Head("Output"), lambda x: _shape(x.output)),
        (Head("Time", scale.symbol, numeric=True, keep=2), lambda x: _time(x.time, scale)),
        *(backward if any(math.isfinite(layer.backward) for layer in table.layers) else ()),
        (
            Head("Of the whole", "%", numeric=True, keep=2),
            lambda x: _percent(x.time.estimate / network.estimate),
        ),
        (Head("MACs", numeric=True), lambda x: show(x.macs, "MAC") if x.macs else DASH),
        (Head("Bytes moved", numeric=True, keep=0), lambda x: show(x.bytes, "B") if x.bytes else DASH),
        (Head("MAC/s", numeric=True), lambda x: show(x.rate, "MAC/s")),
        (Head("B/s", numeric=True, keep=0), lambda x: show(x.bandwidth, "B/s")),
        (Head("Bound by", keep=2), lambda x: x.bound or DASH),
        (Head("Of the roofline", "%", numeric=True), lambda x: _percent(x.roofline_share)),
    )
    between = {"Layer": _BETWEEN, "Time": significant(table.between_s / scale.factor)}
    total: dict[str, str | Cell] = {
        "Layer": "Total",
        "Time": _time(network, scale),
        "Of the whole": "100.0",
        "MACs": show(table.macs, "MAC"),
        "Bytes moved": show(sum(layer.bytes for layer in table.layers), "B"),
        "MAC/s": show(table.macs / network.estimate, "MAC/s"),
    }
    shown = view_of(table.layers, fields).with_row({**between, "Of the whole": _percent(1 - table.explained)})
    return shown.with_row(total)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if math.isfinite(share) else DASH


def _title(table: LayerTable) -> str:
    """Return what was timed, and how."""
    how = [str(table.how[key]) for key in ("precision", "device")]
    if table.how["device"] == "cpu" and isinstance(table.how["threads"], float) and table.how["threads"] > 0:
        how.append(f"{table.how['threads']:.0f} thread{'s' * (table.how['threads'] > 1)}")
    how += [str(table.how["backend"])] if table.how["backend"] != _EAGER else []
    batch = f"batch {table.how['batch_size']:.0f} at {table.input_size} px"
    return f"{plain(table.arch)}: {_what(table)} layer by layer, {batch}, {', '.join(how)}"


_EAGER = "eager"


def _what(table: LayerTable) -> str:
    return "a training step" if table.training else "the forward pass"


def _notes(table: LayerTable) -> list[str]:
    """Return sentences about the whole: what the layers explain, what bounds it, and what is in doubt."""
    lines = [
        f"The layers come to {percent(table.explained)} of the whole, which was timed in passes of its own, "
        f"interleaved with theirs: {table.time} over {_processes(table)}.",
        _between(table),
    ]
    bounds = [
        (words, [x.time.estimate for x in table.layers if x.bound == b]) for b, words in _BOUNDS.items()
    ]
    parts = [
        f"{words} {percent(s / table.network.estimate)}" for words, own in bounds if (s := math.fsum(own))
    ]
    if parts:
        lines.append(f"Of the time, in layers bounded by {', '.join(parts)}.")
    if math.isfinite(table.utilisation):
        macs = show(table.again_macs, "MAC")
        again = f", {macs} of them again and left out here" if table.again_macs else ""
        lines.append(
            f"{_what(table).capitalize()} does {show(table.macs, 'MAC')}{again}, {percent(table.utilisation)} of what "
            f"this machine's matrix products would do in its time ({show(table.ceilings.rate, 'MAC/s')}; copies "
            f"{show(table.ceilings.bandwidth, 'B/s')}): {_of_use(table)}."
        )
    else:
        lines.append(
            "What bounds a layer is not known: this machine's ceilings were not measured in its precision with as many "
            "threads (settings without the task's name, such as -s threads=1, hold for them too)."
        )
    lines += _levelled_words(table)
    lines += [f"In doubt: {flag}: {explain(flag)}." for flag in table.flags]
    if doubts := ", ".join(table.ceilings.doubts):
        lines.append(f"In doubt, of the machine's ceilings: {doubts}; `bench explain` has what each means.")
    return lines


def _between(table: LayerTable) -> str:
    """Return a sentence on what lies between the layers."""
    if table.partial:
        called = listed(f"{plain(name)} in {percent(share)}" for name, share in table.partial)
        return (
            f"Some passes alone call {called} of them: their times are what they take then, times that share, and the "
            "whole is the median pass. What lies between layers is not known."
        )
    seconds, ends = show(abs(table.between_s), "s"), [table.network.low, table.network.high]
    if abs(table.between_s) <= max(abs(end - table.network.estimate) for end in ends):
        within = f"within the doubt of the whole itself ({show(ends[0], 's')} to {show(ends[1], 's')})"
        return f"Between layers, {show(table.between_s, 's')}, {within}: nothing is certain of it."
    if table.between_s >= 0:
        return f"Between layers, {seconds}: Python's calls, views, and waits for launching."
    if table.how["backend"] == _EAGER:
        return f"With stamps between them, the layers take {seconds} longer than alone."
    return f"The layers are timed in eager: fusing and launching them together saves {seconds}."


def _levelled_words(table: LayerTable, *, named: bool = False) -> list[str]:
    """Return a sentence for each process that was slow or quick as a whole, with the network's name where asked for."""
    of = f" of {plain(table.arch)}" if named else ""
    return [
        f"Process {number}{of} took {significant(level)} times as long as the others as a whole: its times are divided "
        "by that."
        for number, level in table.levelled
    ]


def _of_use(table: LayerTable) -> str:
    """Return what the share of the ceiling is called; nothing does more than all."""
    if table.utilisation <= 1:
        return "model FLOPs utilisation"
    return "more than all, so that this ceiling is too low, and what bounds a layer is not known by it"


_BOUNDS = {"compute": "computing", "memory": "memory", "launching": "launching"}


def _processes(table: LayerTable) -> str:
    count = len(table.times)
    return "one process, whose intervals say nothing of the next one" if count == 1 else f"{count} processes"


def _json(table: LayerTable) -> dict[str, object]:
    """Return plain values; what is not a number is None."""
    own = {
        "arch": table.arch,
        "run": table.run,
        "input_size": table.input_size,
        "training": table.training,
        **{key: _raw(value) for key, value in table.how.items()},
        "processes": len(table.times),
        "partial": [{"name": name, "share": share} for name, share in table.partial],
        "levelled": [{"process": number, "times": level} for number, level in table.levelled],
        "network_time": _plain(table.network),
        "explained_share": table.explained,
        "between_s": table.between_s,
        "macs": table.macs,
        "again_macs": table.again_macs,
        "parameters": _parameters(table),
        "unused_parameters": table.unused_parameters,
        "utilisation": table.utilisation,
        "ceilings": {
            "matmul_rate": table.ceilings.rate,
            "copy_bandwidth": table.ceilings.bandwidth,
            "flags": list(table.ceilings.doubts),
        },
        "flags": list(table.flags),
        "layers": [_layer_json(layer, table) for layer in table.layers],
    }
    return finite_json(own)


def _parameters(table: LayerTable) -> int | None:
    """Return how many parameters the layers have, and those that none was seen to use; None where that is not known."""
    unused = table.unused_parameters
    return None if unused is None else unused + sum(layer.parameters for layer in table.layers)


def _plain(time: Interval) -> dict[str, float]:
    return {"estimate": time.estimate, "low": time.low, "high": time.high}


def _layer_json(layer: Layer, table: LayerTable) -> JsonObject:
    return {
        "name": layer.name,
        "type": layer.type,
        "kind": layer.kind,
        "depth": layer.depth,
        "output": list(layer.output),
        "parameters": layer.parameters,
        "macs": layer.macs,
        "bytes": layer.bytes,
        "time": _plain(layer.time),
        "backward_s": layer.backward,
        "share": layer.time.estimate / table.network.estimate,
        "rate": layer.rate,
        "bandwidth": layer.bandwidth,
        "bound": layer.bound or None,
        "roofline_share": layer.roofline_share,
        "processes_s": list(layer.times),
    }


_RAW = (
    *("name", "type", "kind", "depth", "output", "parameters", "macs", "bytes", "time_s", "time_low_s"),
    *("time_high_s", "backward_s", "share", "rate_MAC_per_s", "bandwidth_B_per_s", "bound", "roofline_share"),
)


def _csv(table: LayerTable) -> str:
    """Return all rows with raw numbers; what lies between the layers and the whole last."""
    between, share = {"estimate": table.between_s}, 1 - table.explained
    unused = {"name": "not used", "kind": "unused", "parameters": table.unused_parameters}
    total = {"name": "Total", "kind": "network", "parameters": _parameters(table), "macs": table.macs}
    rows: list[JsonObject] = [
        *(_layer_json(layer, table) for layer in table.layers),
        *([unused] if table.unused_parameters else []),
        {"name": _BETWEEN, "kind": "between", "time": between, "share": share},
        {**total, "time": _plain(table.network), "share": 1.0},
    ]
    return csv_rows(_RAW, map(_raw_row, rows))


def _raw_row(row: JsonObject) -> list[object]:
    """Return a row of `_layer_json`, of which keys may be missing, with the unit in the name and no lists."""
    time = row.get("time", {})
    ends = {"time_s": time.get("estimate"), "time_low_s": time.get("low"), "time_high_s": time.get("high")}
    rates = {"rate_MAC_per_s": row.get("rate"), "bandwidth_B_per_s": row.get("bandwidth")}
    flat = {**row, "output": "x".join(map(str, row.get("output", ()))), **ends, **rates}
    return [_raw(flat.get(key)) for key in _RAW]


def _raw(value: object) -> object:
    return "" if isinstance(value, float) and not math.isfinite(value) else value


# --- two networks ---

_MOST = 12  # layers that are told


def differences_document(of: LayerTable, against: LayerTable) -> Document:
    """Return the layers that make the difference of two networks, and where it is."""
    title = f"{plain(of.arch)} against {plain(against.arch)}, layer by layer"
    return Document(_differences_view(of, against), title, notes=_differences_notes(of, against))


def _differences_view(of: LayerTable, against: LayerTable) -> View:
    """Return a row a layer that makes the difference, the largest first, and the two wholes last.

    Where there is no room for all, those that are certain have it.
    """
    shown = foremost(layer_differences(of, against), _MOST)
    scale = Scale.of(max(of.network.estimate, against.network.estimate) / 10, "s")
    names = [plain(table.arch) for table in (of, against)]
    heads = [
        *(Head(names[0]), Head(names[1]), Head("Type"), Head("Output")),
        *(Head(f"Time of {name}", scale.symbol, numeric=True) for name in names),
        *(Head("Difference", scale.symbol, numeric=True, keep=2), Head("Certain", keep=2)),
    ]
    rows = [_difference(d, scale) for d in shown]
    total = [Cell("Total"), EMPTY, EMPTY, EMPTY, _time(of.network, scale), _time(against.network, scale)]
    return View(heads, [*rows, [*total, *_effect_cells(whole_difference(of, against), scale)]])


def _difference(difference: Difference, scale: Scale) -> list[Cell]:
    of, against, effect = difference.of, difference.against, difference.effect
    either = of or against
    assert either is not None
    outputs = dict.fromkeys(_shape(layer.output) for layer in (of, against) if layer)
    return [
        *(Cell(plain(layer.name) if layer else DASH) for layer in (of, against)),
        Cell(plain(_type(either))),
        Cell(" / ".join(outputs)),
        *(_time(layer.time, scale) if layer else EMPTY for layer in (of, against)),
        *_effect_cells(effect, scale),
    ]


def _effect_cells(effect: Effect, scale: Scale) -> list[Cell]:
    """Return a difference in the scale of the column, with its interval as a note, and whether it is certain."""
    ends = interval(effect.low, effect.high, lambda end: _signed(end / scale.factor))
    return [
        Cell(_signed(effect.estimate / scale.factor), "" if ends == DASH else ends),
        Cell(show_p(effect.p, effect.p_floor, named=True) if is_certain(effect) else "no"),
    ]


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + significant(value)


def _differences_notes(of: LayerTable, against: LayerTable) -> list[str]:
    """Return sentences: where the difference of two networks is, and how sure that is."""
    differences = layer_differences(of, against)
    whole = whole_difference(of, against)
    certain = sorted((d for d in differences if d.certain), key=lambda d: -abs(d.effect.estimate))
    names = [plain(table.arch) for table in (of, against)]
    last = [line for table in (of, against) for line in _levelled_words(table, named=True)]
    flags = _flags_of_both(of, against)
    last += [f"In doubt, of {listed(which)}: {flag}: {explain(flag)}." for flag, which in flags.items()]
    lines = [_whole_words(whole, names, flags)]
    if place := place_of_difference(of, against):
        lines.append(
            f"By layers, nearly all of the difference is within {plain(place.module)}, {place.layers} of them "
            f"together: {_sign_show(place.effect.estimate)} ({_ends(place.effect)})."
        )
    if not certain:
        count = min(len(table.times) for table in (of, against))
        lines.append(f"No layer differs for certain, of {len(differences)}, with {count} processes each.")
        return lines + last
    first = ", ".join(f"{_name(d)} {_sign_show(d.effect.estimate)}" for d in certain[:3])
    lines.append(
        f"{len(certain)} of {len(differences)} layers differ for certain (Holm); the largest: {first}."
    )
    if not differences[0].certain:  # one disturbed process is enough for that
        larger = f"{_name(differences[0])} {_sign_show(differences[0].effect.estimate)}"
        lines.append(f"Larger, and not certain: {larger}; more processes tell.")
    if alike := listed(_name(d) for d in certain if d.is_alike):
        lines.append(
            f"Alike in class, shape and work in both networks: {alike}. What runs before them, where their memory "
            "lies, or other code in a class of that name may make the difference."
        )
    return lines + last


def _flags_of_both(of: LayerTable, against: LayerTable) -> dict[str, list[str]]:
    """Return the doubts about times, and which of two networks they are of."""
    networks: dict[str, list[str]] = {}
    for table in (of, against):
        for flag in table.flags:
            if flag != ABOVE:  # of the machine's ceilings
                networks.setdefault(flag, []).append(plain(table.arch))
    return networks


def _whole_words(whole: Effect, names: Sequence[str], flags: Collection[str]) -> str:
    """Return a sentence on the difference of two networks as a whole."""
    (first, second), ends = names, _ends(whole)
    if is_certain(whole):
        doubt = f"; in doubt: {', '.join(flags)}" if flags else ""
        gap = f"{show(abs(whole.estimate), 's')} {'more' if whole.estimate > 0 else 'less'}"
        return f"{first} takes {gap} than {second} ({ends}{doubt})."
    return f"Whether {first} takes more time than {second} is not certain: {_sign_show(whole.estimate)} ({ends})."


def _ends(effect: Effect) -> str:
    """Return the interval of a difference, or why there is none."""
    known = math.isfinite(effect.low)
    return f"{_sign_show(effect.low)} to {_sign_show(effect.high)}" if known else effect.reason


def _name(difference: Difference) -> str:
    of, against = difference.of, difference.against
    if of and against and of.name != against.name:
        return f"{plain(of.name)} (there {plain(against.name)})"
    one = of or against
    assert one is not None
    return plain(one.name) + ("" if of else " (only there)") + ("" if against else " (only here)")


def _sign_show(seconds: float) -> str:
    return ("+" if seconds > 0 else "-") + show(abs(seconds), "s")


def differences_json(of: LayerTable, against: LayerTable) -> list[dict[str, object]]:
    """Return plain values, one a layer; what is not a number is None."""
    names = {"arch": of.arch, "baseline": against.arch, "quantity": "layer"}
    return [
        {
            **names,
            "of": d.of.name if d.of else None,
            "against": d.against.name if d.against else None,
            **finite_json(d.effect.to_json("difference_s")),
            "certain": d.certain,
        }
        for d in layer_differences(of, against)
    ]
