"""Files of tensors that hold no code: 8 bytes of length, a header in JSON of that length, the bytes of the tensors.

Source: github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import StoreError
from bench.io import JsonObject, atomic_write

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_METADATA = "__metadata__"
_OURS = "bench"  # the key of what bench writes there, as JSON
_ALIGNED = 8  # bytes that the header's length is a multiple of


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file.

    Raises:
        Exception: of several kinds, where it is none.
    """
    data = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:start]))
    tensors = {}
    for key, entry in header.items():
        if key == _METADATA:
            continue
        dtype, shape = _DTYPES[entry["dtype"]], entry["shape"]
        begin, end = entry["data_offsets"]
        if end - begin != math.prod(shape) * dtype.itemsize or start + end > len(data):
            raise ValueError(f"{key} has another length than its shape")
        if end > begin:
            one = torch.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=start + begin)
            tensors[key] = one.reshape(shape)
        else:
            tensors[key] = torch.empty(shape, dtype=dtype)
    return tensors


def read_told(file: Path) -> JsonObject | None:
    """Return what bench has written into a file beside the tensors; None where that is nothing."""
    if file.suffix != ".safetensors":
        return None
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            if length > file.stat().st_size:
                return None
            told = json.loads(json.loads(content.read(length))[_METADATA][_OURS])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told if isinstance(told, dict) else None


def check_state(state: Mapping[str, object]) -> None:
    """Refuse the state of a network that no file of weights can hold.

    Raises:
        StoreError: if something of it is no tensor, or of a kind that the format lacks.
    """
    for key, value in state.items():
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        if kind not in _NAMES:
            raise StoreError(
                f"{key} is of {kind}, which no file of weights holds", "leave --keep-weights out"
            )


def write_safetensors(file: Path, tensors: Mapping[str, Tensor], told: JsonObject) -> str:
    """Write tensors, and what is to be told of them, and return the file's SHA-256; the old file or the new is there.

    Raises:
        StoreError: if it cannot be written, or a tensor is of a kind that the format lacks.
    """
    check_state(tensors)
    header: dict[str, object] = {_METADATA: {"format": "pt", _OURS: json.dumps(told)}}
    at = 0
    for key, tensor in tensors.items():
        end = at + tensor.numel() * tensor.itemsize
        header[key] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNED)
    digest = hashlib.sha256()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            for part in (len(text).to_bytes(8, "little"), text, *map(_bytes, tensors.values())):
                stream.write(part)
                digest.update(part)
    except OSError as error:
        tip = "what was measured is kept; free space, or choose another --results folder, then run again"
        raise StoreError(f"cannot write the weights {file}: {error.strerror or error}", tip) from error
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
