"""The README's tables say what is shipped, what the default is, and what each part needs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest

from jackfield.cli.configuration import STARTER
from jackfield.plugin import PluginInfo

PAGE: Final = (Path(__file__).parents[2] / "README.md").read_text()
TABLE: Final = PAGE.split("| Kind | Plugin |")[1].split("\n\n")[0].splitlines()[2:]


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield kind, name, the cell of the name, and what it needs."""
    kind = ""
    for row in TABLE:
        of_kind, plugin, _summary, needs = (cell.strip() for cell in row.strip("|").split("|"))
        kind = of_kind.strip("`") or kind
        yield kind, plugin.split("`")[1], plugin, needs


def shipped() -> dict[tuple[str, str], str]:
    """Modules of the plugins that come along, by kind and name."""
    points = distribution("jackfield").entry_points
    prefix = "jackfield."
    return {
        (point.group.removeprefix(prefix), point.name): point.value
        for point in points
        if point.group.startswith(prefix)
    }


def test_every_shipped_plugin_is_in_the_table_and_no_other_is() -> None:
    assert sorted((kind, name) for kind, name, _, _ in rows()) == sorted(shipped())


def test_the_defaults_are_those_of_the_configuration_that_comes_along() -> None:
    starter = tomllib.loads(STARTER.read_text())
    used = {(kind, starter[kind]["use"]) for kind in ("llm", "stt", "tts", "vad", "session")}
    used |= {("transport", door["use"]) for door in starter["transport"]}
    assert {(kind, name) for kind, name, cell, _ in rows() if "(default)" in cell} == used


@pytest.mark.parametrize(("kind", "name", "needs"), [(kind, name, needs) for kind, name, _, needs in rows()])
def test_the_extra_that_a_plugin_needs_is_named(kind: str, name: str, needs: str) -> None:
    info: PluginInfo = import_module(shipped()[kind, name]).plugin_info()
    extras = re.findall(r"`(jackfield\[.*?\])`", needs)
    assert extras == ([info.extra] if info.extra else [])
