"""The requirement files: pinned, hashed, without addresses, and in step with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
COMPILED = [path for path in FILES if path.name != "apt.txt"]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PYPROJECT["dependency-groups"]


def pinned(name: str) -> dict[str, Requirement]:
    """Requirements of a compiled file by name."""
    lines = re.findall(r"^(\S+==.*?) \\$", (ROOT / "requirements" / name).read_text(), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def of_extra(name: str) -> list[Requirement]:
    """What an extra asks for, extras that it names included."""
    found = []
    for requirement in map(Requirement, EXTRAS[name]):
        if requirement.name == "jackfield":
            found += [nested for extra in requirement.extras for nested in of_extra(extra)]
        else:
            found.append(requirement)
    return found


def of_group(name: str) -> list[Requirement]:
    """What a dependency group asks for, groups that it includes included."""
    found = []
    for entry in GROUPS[name]:
        found += of_group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path: Path) -> None:
    requirements = re.split(r"\n(?=[a-z])", path.read_text().split("\n", 2)[2])
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9._-]+==[^ ]+( ; .+?)? \\\n", requirement)
        assert "--hash=sha256:" in requirement


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_holds_an_address_or_a_path(path: Path) -> None:
    assert (
        re.findall(r"://|^\s*(?:-i|--index|--extra-index|--find-links|-f)\b|/[a-z]+/", path.read_text()) == []
    )


def test_what_is_run_is_what_is_tested() -> None:
    run, test = pinned("run.txt"), pinned("test.txt")
    assert {name: str(run[name]) for name in run} == {name: str(test[name]) for name in run if name in test}


@pytest.mark.parametrize("name", ["image.txt", "build.txt"])
def test_what_is_in_the_image_is_what_is_tested(name: str) -> None:
    image, test = pinned(name), pinned("test.txt")
    assert {each: str(image[each]) for each in image} == {each: str(test[each]) for each in image}


def test_the_image_satisfies_the_extras_that_it_is_compiled_for() -> None:
    found = re.search(r"^IMAGE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    extras = [requirement for name in found[1].split() for requirement in of_extra(name)]
    satisfied([*map(Requirement, PYPROJECT["project"]["dependencies"]), *extras], pinned("image.txt"))
    satisfied(of_group("setup"), pinned("build.txt"))


def test_what_runs_satisfies_what_the_project_asks_for() -> None:
    asked = [*map(Requirement, PYPROJECT["project"]["dependencies"]), *of_extra("local"), *of_group("setup")]
    satisfied(asked, pinned("run.txt"))


def test_what_tests_satisfies_what_the_project_asks_for() -> None:
    asked = [
        *map(Requirement, PYPROJECT["project"]["dependencies"]),
        *of_extra("llama-cpp"),
        *of_group("test"),
    ]
    satisfied(asked, pinned("test.txt") | pinned("compiled.txt"))


def satisfied(asked: list[Requirement], pins: dict[str, Requirement]) -> None:
    """Fail for the first requirement that no pin satisfies."""
    for requirement in asked:
        pin = pins[canonicalize_name(requirement.name)]
        (version,) = (specifier.version for specifier in pin.specifier)
        assert requirement.specifier.contains(version), f"{requirement}: run make requirements"


def test_nothing_that_runs_has_to_be_compiled() -> None:
    assert "llama-cpp-python" not in pinned("run.txt")
    assert set(pinned("compiled.txt")) == {"llama-cpp-python"}
