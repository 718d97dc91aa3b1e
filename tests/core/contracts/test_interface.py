"""The plugin interface grows only by addition: what version 1 had, in tests/data/interface_1.txt, stays."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import jackfield
from jackfield import contracts, errors, hookspecs, plugin, testing

FIRST: Final = (Path(__file__).parents[2] / "data" / "interface_1.txt").read_text().splitlines()
SINCE: Final = "=..."
"""Stands for a default."""


def modules() -> list[ModuleType]:
    found = pkgutil.iter_modules(contracts.__path__, f"{contracts.__name__}.")
    return [*(importlib.import_module(module.name) for module in found), errors, hookspecs, plugin]


def parameters(function: object) -> list[str]:
    assert callable(function)
    return [
        name + (SINCE if parameter.default is not parameter.empty else "")
        for name, parameter in inspect.signature(function).parameters.items()
    ]


def interface() -> Iterator[str]:
    """Yield a line for each name, each method and each value with its fields."""
    yield from (f"jackfield.{name}" for name in jackfield.__all__)
    yield from (f"jackfield.testing.{name}" for name in testing.__all__)
    for module in modules():
        for name, member in vars(module).items():
            if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
                continue
            yield from described(f"{module.__name__}.{name}", member)


def described(path: str, member: object) -> Iterator[str]:
    if not inspect.isclass(member):
        if inspect.isfunction(member):
            yield f"{path}({', '.join(parameters(member))})"
        return
    if is_dataclass(member):
        yield f"{path}({', '.join(parameters(member))})"
    else:
        yield path
        yield from (f"{path}.{name}" for name in inspect.get_annotations(member) if not name.startswith("_"))
    for name, attribute in vars(member).items():
        if name.startswith("_") and name not in ("__aiter__", "__aenter__", "__aexit__"):
            continue
        if isinstance(attribute, property):
            yield f"{path}.{name}"
        elif inspect.isfunction(attribute):
            yield f"{path}.{name}({', '.join(parameters(attribute))})"


def members(line: str) -> tuple[str, list[str]]:
    name, _, rest = line.partition("(")
    return name, [part for part in rest.removesuffix(")").split(", ") if part]


def test_nothing_of_the_first_interface_is_gone() -> None:
    now = {members(line)[0] for line in interface()}
    assert [line for line in FIRST if members(line)[0] not in now] == []


def test_what_was_added_to_a_value_or_a_function_has_a_default() -> None:
    now = dict(map(members, interface()))
    for line in FIRST:
        name, before = members(line)
        kept, added = now[name][: len(before)], now[name][len(before) :]
        assert [part.removesuffix(SINCE) for part in kept] == [part.removesuffix(SINCE) for part in before]
        became_required = {part for part in before if part.endswith(SINCE)} - set(kept)
        assert not became_required, f"{name}: {became_required}"
        assert all(part.endswith(SINCE) for part in added), f"{name}: {added}"


def test_what_plugins_must_have_does_not_grow() -> None:
    known = {members(line)[0] for line in FIRST}
    provided = ("contracts.panel.", "contracts.call.Call.", "contracts.call.Calls.")
    added = [line for line in interface() if members(line)[0] not in known]
    methods = [line for line in added if members(line)[0].rpartition(".")[0] in known]
    of_plugins = [line for line in methods if not line.startswith(tuple(f"jackfield.{p}" for p in provided))]
    asked = [line for line in of_plugins if ".contracts." in line]
    assert not asked, "A new Protocol can ask for them of those that offer it."
