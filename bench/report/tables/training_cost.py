"""What a training step of a network costs and holds."""

from __future__ import annotations

from bench.io import JsonObject
from bench.report.document import Document
from bench.report.tables.cells import Cell, Head, View, csv_rows
from bench.report.text import plain
from bench.units import DASH, show


def training_document(table: JsonObject) -> Document:
    """Return the table of `bench.api.inspecting.training_cost`, with what is to be said of the whole."""
    size = "×".join(map(str, table["input"][1:]))
    title = f"{plain(table['arch'])}: a training step, batch {table['input'][0]} of {size}"
    return Document(_view(table), title, notes=_notes(table), values=table, csv=_csv(table))


def _view(table: JsonObject) -> View:
    """Return a row a layer that multiplies, the optimiser, and the sums as the last row."""
    heads = [
        *(Head("Layer"), Head("Type"), Head("Forward", numeric=True), Head("Backward", numeric=True)),
        *(Head("Backward over forward", numeric=True), Head("Of the step", "%", numeric=True)),
    ]
    totals = table["totals"]
    update, forward, backward = (totals[f"{name}_macs"] for name in ("optimizer", "forward", "backward"))
    whole = update + forward + backward
    rows = [_row(r["name"], r["type"], r["forward_macs"], r["backward_macs"], whole) for r in table["layers"]]
    rows.append(
        [Cell("optimiser"), Cell("momentum SGD"), Cell(DASH), Cell(DASH), Cell(DASH), _share(update, whole)]
    )
    rows.append([*_row("Total", "", forward, backward, whole)[:-1], Cell("100.0")])
    return View(heads, rows)


def _row(name: str, kind: str, forward: int, backward: int, whole: int) -> list[Cell]:
    ratio = f"{backward / forward:.2f}" if forward else DASH
    counts = [Cell(show(n, "MAC"), sort=float(n)) for n in (forward, backward)]
    return [Cell(plain(name)), Cell(plain(kind)), *counts, Cell(ratio), _share(forward + backward, whole)]


def _share(part: int, whole: int) -> Cell:
    return Cell(f"{100 * part / whole:.1f}" if whole else DASH)


_PARTS = {
    "parameters": "parameters and buffers",
    "gradients": "gradients",
    "optimiser": "the optimiser's momentum (Adam's state would be twice that)",
    "images": "images",
    "saved": "activations saved for the backward pass",
    "working": "working tensors",
}


def _notes(table: JsonObject) -> list[str]:
    """Return sentences about the whole: multiply-accumulates, and the forecast of memory with its parts."""
    totals, memory = table["totals"], table["memory"]
    step = sum(totals[f"{name}_macs"] for name in ("forward", "backward", "optimizer"))
    frozen, again = totals["frozen_parameters"], totals["again_macs"]
    lines = [
        f"A step does {show(step, 'MAC')}: {show(totals['forward_macs'], 'MAC')} forward, "
        f"{show(totals['backward_macs'], 'MAC')} backward"
        + (f" (of which {show(again, 'MAC')} compute activations again)" if again else "")
        + f", {show(totals['optimizer_macs'], 'MAC')} of the optimiser"
        + (f"; {show(frozen, '1')} parameters are frozen" if frozen else "")
        + "."
    ]
    if aside := totals["parameters_without_gradient"]:
        lines.append(
            f"{show(aside, '1')} parameters get no gradient in such a step, so that nothing trains them: the loss does "
            "not depend on them, or a reentrant checkpoint gets no input that has a gradient."
        )
    parts = ", ".join(f"{words} {show(memory[key], 'B')}" for key, words in _PARTS.items() if memory[key] > 0)
    least = "at least " if memory["unknown"] else ""
    lines.append(
        f"Tensors alive at once, at most: {least}{show(memory['peak'], 'B')}, in {_WORDS[memory['fullest']]}. "
        f"In all: {parts}."
    )
    if least:
        lines.append(
            f"It is open what {', '.join(memory['unknown'])} holds or saves, of another library than torch's or with "
            "sparse results: all memory here is without it. Measure it: bench run NAME --task train_step"
        )
    lines.append(
        f"A process on a CPU needs {least or 'about '}{show(memory['process'], 'B')} for it, with the libraries' "
        "memory and the holes of its heap: an estimate, within a tenth of what 16 to 18 of 20 networks took at batch "
        "8; of others, small ones above all, it was 0.7 to 1.4 times that."
    )
    if workspaces := memory["workspaces"]:
        lines.append(
            f"Of that, {show(workspaces, 'B')} are workspaces of oneDNN's recurrent layers (mkldnn_rnn_layer), which "
            "do not write all of it: a process may hold less."
        )
    others = ", ".join(f"{batch}: {show(one['peak'], 'B')}" for batch, one in table["batches"].items())
    lines.append(f"Tensors by batch size: {others}.")
    return lines


_WORDS = {"forward": "the forward pass", "backward": "the backward pass", "optimizer": "the optimiser"}

_RAW = ("name", "type", "forward_macs", "backward_macs")


def _csv(table: JsonObject) -> str:
    """Return all rows with raw numbers, the optimiser and the sums last."""
    totals = table["totals"]
    optimiser = ["optimiser", "momentum SGD", totals["optimizer_macs"], ""]
    total = ["Total", "", totals["forward_macs"], totals["backward_macs"]]
    return csv_rows(_RAW, [*([row[key] for key in _RAW] for row in table["layers"]), optimiser, total])
