"""Weights out of an ONNX file: of the whole format, arrays of 32-bit floats that have a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
_GRAPH: Final = 7
"""Field of a model."""
_INITIALIZER: Final = 5
"""Field of a graph."""
_NAME: Final = 8
"""Field of a tensor."""
_RAW_DATA: Final = 9
"""Field of a tensor."""


def read_weights(file: Path, shapes: Mapping[str, Shape]) -> dict[str, NDArray[np.float32]]:
    """Read the arrays that `shapes` names. Blocks.

    :raises ValueError: when the file is not ONNX, or an array is missing or of another size.
    :raises OSError: when the file cannot be read.
    """
    found = dict(_initializers(memoryview(file.read_bytes())))
    weights = {}
    for name, shape in shapes.items():
        raw = found.get(name)
        if raw is None or len(raw) != prod(shape) * 4:
            raise ValueError(f"it has no array {name!r} of {prod(shape)} 32-bit floats")
        weights[name] = np.frombuffer(raw, "<f4").reshape(shape)
    return weights


def _initializers(model: memoryview) -> Iterator[tuple[str, memoryview]]:
    for number, graph in _fields(model):
        if number == _GRAPH:
            for inner, tensor in _fields(graph):
                if inner == _INITIALIZER:
                    parts = dict(_fields(tensor))
                    yield bytes(parts.get(_NAME, b"")).decode(), parts.get(_RAW_DATA, tensor[:0])


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Give number and content of a protobuf message's fields, but not of those that are plain numbers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire_type = key & 7
        if wire_type == _VARINT:
            _, at = _varint(message, at)
        elif wire_type == _LENGTH_DELIMITED:
            size_bytes, at = _varint(message, at)
            if at + size_bytes > len(message):
                raise ValueError("it is not a whole ONNX file")
            yield key >> 3, message[at : at + size_bytes]
            at += size_bytes
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        else:
            raise ValueError("it is not an ONNX file")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Give the number that begins at `at`, and where the next thing begins."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("it is not a whole ONNX file")
