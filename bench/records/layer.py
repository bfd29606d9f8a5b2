"""A layer of a network as plain values: what is counted of it in one process, and read in another."""

from __future__ import annotations

from typing import Literal, TypedDict


class LayerRow(TypedDict):
    """A layer, or a function called between layers; what two sides of a window share is one number.

    Attributes:
        name: of the module, or of the function.
        type: its class.
        depth: how deep it stands within other modules.
        input: shape of the first tensor that goes in.
        output: shape of the first tensor that comes out.
        kernel: [rows, columns] px, as are stride, padding and dilation; None where there is no window.
        stride: as kernel.
        padding: as kernel.
        dilation: as kernel.
        groups: in how many groups its channels are convolved.
        in_channels: of its input.
        out_channels: of its output.
        parameters: counted where they are used first.
        macs: multiply-accumulates for one image.
        activations: elements written.
        activation_bytes: what these take in memory.
        receptive_field: px; [rows, columns] where they differ; "global"; None where it is not known.
        receptive_field_stride: px; [rows, columns] where they differ; None where there is no size.
        receptive_field_padding: px; [rows, columns] where they differ; None where there is no size.
    """

    name: str
    type: str
    depth: int
    input: list[int]
    output: list[int]
    kernel: list[int] | None
    stride: list[int] | None
    padding: list[int] | None
    dilation: list[int] | None
    groups: int | None
    in_channels: int | None
    out_channels: int | None
    parameters: int
    macs: int
    activations: int
    activation_bytes: int
    receptive_field: int | list[int] | Literal["global"] | None
    receptive_field_stride: float | list[float] | None
    receptive_field_padding: int | list[int] | None
