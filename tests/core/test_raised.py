"""Errors are made where they are raised.

One that is made once and raised again and again keeps the traceback of every time, and with it every frame
that it passed: memory that clients can fill, and that holds what they have said.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")


def raised_constants(source: str) -> Iterator[int]:
    """The lines that raise a constant."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise):
            raised = node.exc.attr if isinstance(node.exc, ast.Attribute) else getattr(node.exc, "id", "")
            if CONSTANT.fullmatch(raised):
                yield node.lineno


@pytest.mark.parametrize("room", ["core", "plugins", "transports", "examples"])
def test_no_error_is_raised_twice(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    found = [f"{file.name}:{line}" for file in files for line in raised_constants(file.read_text())]

    assert files
    assert found == []


def test_a_constant_that_is_raised_is_found_however_it_is_named() -> None:
    source = "raise _BUSY\nraise events.TOO_SLOW from None\nraise Busy\nraise busy()\nraise\n"
    assert list(raised_constants(source)) == [1, 2]
