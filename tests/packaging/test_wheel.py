"""What the wheel holds and says."""

from __future__ import annotations

import configparser
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCE_ROOTS = PYPROJECT["tool"]["hatch"]["build"]["dev-mode-dirs"]


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(text_of(wheel, "METADATA"))


def text_of(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_every_module_of_every_source_root_is_in_it(wheel: zipfile.ZipFile) -> None:
    modules = {
        path.relative_to(ROOT / root).as_posix()
        for root in SOURCE_ROOTS
        for path in (ROOT / root).rglob("*.py")
    }
    assert len(modules) > 50
    assert modules - set(wheel.namelist()) == set()


def test_it_holds_nothing_but_our_packages(wheel: zipfile.ZipFile) -> None:
    tops = {path.split("/")[0].removesuffix(".py") for path in wheel.namelist()}
    others = {top for top in tops if not top.startswith("jackfield_") and not top.endswith(".dist-info")}
    assert others == {"jackfield"}


@pytest.mark.parametrize(
    "path", ["jackfield/py.typed", "jackfield/cli/starter.toml", "jackfield/models/catalogue.toml"]
)
def test_files_that_are_read_at_run_time_are_in_it(wheel: zipfile.ZipFile, path: str) -> None:
    assert path in wheel.namelist()


def test_every_template_of_a_new_plugin_is_in_it(wheel: zipfile.ZipFile) -> None:
    folder = ROOT / "core" / "jackfield" / "cli" / "new_plugin" / "templates"
    templates = {path.relative_to(ROOT / "core").as_posix() for path in folder.rglob("*.*")}
    assert len(templates) > 25
    assert templates - set(wheel.namelist()) == set()


def test_every_entry_point_is_in_it_and_its_module_too(wheel: zipfile.ZipFile) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(text_of(wheel, "entry_points.txt"))
    declared = {
        **PYPROJECT["project"]["entry-points"],
        "console_scripts": PYPROJECT["project"]["scripts"],
    }
    assert {group: dict(parser[group]) for group in parser.sections()} == declared
    names = wheel.namelist()
    for group in PYPROJECT["project"]["entry-points"].values():
        for module in group.values():
            path = module.replace(".", "/")
            assert f"{path}.py" in names or f"{path}/__init__.py" in names


def test_every_plugin_in_the_tree_has_an_entry_point() -> None:
    groups = PYPROJECT["project"]["entry-points"].values()
    declared = {module.partition(".")[0] for group in groups for module in group.values()}
    roots = [root for root in SOURCE_ROOTS if root != "plugins/accounts"]  # which plugins share
    present = {path.stem for root in roots for path in (ROOT / root).glob("jackfield_*")}
    assert present == declared


def test_the_licences_are_in_it(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "THIRD_PARTY.md"]
    assert "Apache License" in text_of(wheel, "licenses/LICENSE")


def test_no_sdk_comes_without_its_extra(metadata: Message) -> None:
    always = {
        requirement.name
        for requirement in map(Requirement, metadata.get_all("Requires-Dist") or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    sdks = {"av", "numpy", "piper-tts", "faster-whisper", "xllamacpp", "llama-cpp-python", "sentencex"}
    assert len(always) > 5
    assert always & sdks == set()


def test_the_local_extra_brings_the_offline_voice_server_and_compiles_nothing(metadata: Message) -> None:
    requirements = map(Requirement, metadata.get_all("Requires-Dist") or [])
    local = {
        requirement.name
        for requirement in requirements
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": "local"})
        and not requirement.marker.evaluate({"extra": ""})
    }
    assert {"av", "numpy", "faster-whisper", "piper-tts", "xllamacpp", "pip"} <= local
    assert "llama-cpp-python" not in local
