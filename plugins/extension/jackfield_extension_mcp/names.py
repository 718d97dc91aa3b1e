"""Names of tools that every model takes, each once, whatever the servers call them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Final

_MAX_CHARS: Final = 64
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


def unique_names(offers: Sequence[tuple[str, str]]) -> list[str]:
    """Give a name for each (server, tool), in their order.

    A tool keeps its name unless another server has the same: then both get their server's before it.
    """
    plain = [_safe(tool) for _, tool in offers]
    common = {name for name, times in Counter(plain).items() if times > 1}
    names: list[str] = []
    for (server, _), name in zip(offers, plain, strict=True):
        names.append(_free(_safe(f"{server}_{name}") if name in common else name, names))
    return names


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name)[:_MAX_CHARS] or "_"


def _free(name: str, taken: Sequence[str]) -> str:
    for number in count(2):
        if name not in taken:
            break
        ending = f"_{number}"
        name = name[: _MAX_CHARS - len(ending)] + ending
    return name
