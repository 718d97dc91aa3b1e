"""A model file in ONNX format, cut in two at one of its weights, so that the second part can run piecewise.

Only as much of the format (onnx.proto, which is Protocol Buffers) is read as is needed to tell which nodes
a result depends on; all else is copied as it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

# Numbers of fields in ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and ValueInfoProto.
_GRAPH: Final = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS: Final = (6, 11)
_TENSOR_NAME: Final = 8
_VALUE_NAME: Final = 1
_FLOAT: Final = 1

# Kinds of fields in Protocol Buffers.
_NUMBER, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Halves:
    """Two models: what the first one computes is the input `seam` of the second."""

    first: bytes
    second: bytes
    seam: str


@dataclass(frozen=True, slots=True)
class _Node:
    inputs: Sequence[str]
    outputs: Sequence[str]
    branches: bool
    """Whether it holds graphs of its own, whose needs are not known here."""
    raw: memoryview


def cut(model: bytes, weight: str) -> Halves | None:
    """Cut before the node that multiplies its input by `weight`; None where that is not possible.

    The seam is a tensor of floats with three dimensions. Only the model's first output is kept.

    :raises ValueError: when the file is damaged.
    """
    fields = list(_fields(memoryview(model)))
    head = b"".join(raw for number, _, raw in fields if number != _GRAPH)
    graph = _Graph(next((value for number, value, _ in fields if number == _GRAPH), memoryview(b"")))
    seams = [node.inputs[0] for node in graph.nodes if weight in node.inputs[1:]]
    if len(seams) != 1 or not graph.outputs:
        return None
    (seam,) = seams
    first, second = graph.needed([seam], ()), graph.needed(list(graph.outputs)[:1], seams)
    if first is None or second is None:
        return None
    value = _three_dimensional(seam)
    output = next(iter(graph.outputs.values()))
    return Halves(
        head + _field(_GRAPH, graph.part(first, _field(_OUTPUT, value))),
        head + _field(_GRAPH, graph.part(second, output, _field(_INPUT, value))),
        seam,
    )


class _Graph:
    """The nodes of a model, and the names of what they work with."""

    def __init__(self, graph: memoryview) -> None:
        self.nodes: list[_Node] = []
        self.outputs: dict[str, memoryview] = {}
        self._named: dict[str, memoryview] = {}  # weights and inputs
        self._other: list[memoryview] = []
        for number, value, raw in _fields(graph):
            if number == _NODE:
                self.nodes.append(_node(value, raw))
            elif number == _OUTPUT:
                self.outputs[_texts(value, _VALUE_NAME)[0]] = raw
            elif number in (_INITIALIZER, _INPUT):
                name = _TENSOR_NAME if number == _INITIALIZER else _VALUE_NAME
                self._named[_texts(value, name)[0]] = raw
            elif number != _VALUE_INFO:  # shapes between the nodes, which the reader finds out itself
                self._other.append(raw)

    def needed(self, results: Sequence[str], given: Collection[str]) -> set[str] | None:
        """Names of all that `results` depend on beyond what is given; None when that cannot be told."""
        makers: Mapping[str, _Node] = {name: node for node in self.nodes for name in node.outputs}
        needed: set[str] = set()
        waiting = list(results)
        while waiting:
            name = waiting.pop()
            if name in needed or name in given:
                continue
            needed.add(name)
            if name in makers:
                if makers[name].branches:
                    return None
                waiting += makers[name].inputs
        return needed

    def part(self, needed: Set[str], *more: bytes | memoryview) -> bytes:
        """A graph of what is needed, in the order of this one, and of `more` fields."""
        nodes = [node.raw for node in self.nodes if not needed.isdisjoint(node.outputs)]
        named = [raw for name, raw in self._named.items() if name in needed]
        return b"".join([*self._other, *nodes, *named, *more])


def _node(node: memoryview, raw: memoryview) -> _Node:
    attributes = [value for number, value, _ in _fields(node) if number == _NODE_ATTRIBUTE]
    branches = any(number in _ATTRIBUTE_GRAPHS for each in attributes for number, _, _ in _fields(each))
    return _Node(_texts(node, _NODE_INPUT), _texts(node, _NODE_OUTPUT), branches, raw)


def _texts(message: memoryview, wanted: int) -> list[str]:
    return [bytes(value).decode() for number, value, _ in _fields(message) if number == wanted]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield number, content and the whole field, of every field; the content of numbers is empty."""
    at = 0
    while at < len(message):
        begin = at
        key, at = _number(message, at)
        kind, length = key & 7, 0
        if kind == _NUMBER:
            _, at = _number(message, at)
        elif kind == _BYTES:
            length, at = _number(message, at)
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            length = 4 if kind == _FOUR_BYTES else 8
        else:
            raise ValueError(f"a field of unknown kind {kind}")
        if at + length > len(message):
            raise ValueError("a field goes beyond the end")
        yield key >> 3, message[at : at + length], message[begin : at + length]
        at += length


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    number = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise ValueError("a number goes beyond the end")


def _written(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _field(number: int, content: bytes) -> bytes:
    return _written(number << 3 | _BYTES) + _written(len(content)) + content


def _three_dimensional(name: str) -> bytes:
    """ValueInfoProto of a tensor of floats whose three lengths are not known."""
    shape = b"".join(_field(1, _field(2, length)) for length in (b"batch", b"channels", b"frames"))
    tensor = _written(1 << 3 | _NUMBER) + _written(_FLOAT) + _field(2, shape)
    return _field(_VALUE_NAME, name.encode()) + _field(2, _field(1, tensor))
