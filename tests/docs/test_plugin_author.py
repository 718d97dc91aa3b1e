"""The plugin author's page: every hook has a heading, and its code is the tutorial's."""

from __future__ import annotations

import inspect
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import jackfield
from jackfield import errors, hookspecs, testing
from jackfield.cli.new_plugin.distribution import files_of
from jackfield.cli.new_plugin.names import Names
from jackfield.config import Config
from jackfield.plugin import KINDS, PROJECT, Capabilities

INTERCOM = "jackfield_transport_intercom.py"
"""The one example that no command writes."""
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "plugin-author.md").read_text()
TUTORIAL = DOCS / "tutorial"
EXAMPLES = DOCS / "kinds"
WRITTEN = sorted({*TUTORIAL.glob("jackfield_*.py"), *EXAMPLES.glob("jackfield_*.py")} - {EXAMPLES / INTERCOM})
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def hooks() -> dict[str, str]:
    found = {}
    for name, function in vars(hookspecs).items():
        if hasattr(function, f"{PROJECT}_spec"):
            found[name] = ", ".join(inspect.signature(function).parameters)
    return found


def test_every_hook_has_a_heading_with_its_arguments_and_no_other_has() -> None:
    headings = re.findall(r"^### (\w+)\((.*)\)$", PAGE, re.MULTILINE)
    assert dict(headings) == hooks()
    assert len(headings) == len(hooks())


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "jackfield_llm_reverse.py", "jackfield.toml", "test_reverse.py"]
)
def test_the_code_shown_is_the_tutorials(name: str) -> None:
    assert (TUTORIAL / name).read_text() in [code for _language, code in BLOCKS]


def test_every_file_of_the_tutorial_is_shown() -> None:
    shown = {code for _language, code in BLOCKS}
    files = [path for path in TUTORIAL.iterdir() if path.is_file()]
    assert [path.name for path in files if path.read_text() not in shown] == []


def test_python_is_shown_only_from_files_that_tests_run() -> None:
    files = [path.read_text() for folder in (TUTORIAL, EXAMPLES) for path in folder.glob("*.py")]
    shown = [code for language, code in BLOCKS if language == "python"]
    assert [code for code in shown if not any(code in file for file in files)] == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("jackfield_*.py")), ids=lambda path: path.stem)
def test_something_of_every_example_is_shown(path: Path) -> None:
    file = path.read_text()
    assert any(code in file for _language, code in BLOCKS)


@pytest.mark.parametrize("field", [field.name for field in fields(Capabilities)])
def test_every_capability_is_told_of(field: str) -> None:
    assert f"`{field}`" in PAGE


def test_the_configuration_shown_is_one() -> None:
    shown = [code for language, code in BLOCKS if language == "toml" and "use =" in code]
    assert shown
    for code in shown:
        Config.model_validate(tomllib.loads(code))


def test_our_own_plugins_import_nothing_that_the_page_does_not_offer() -> None:
    root = DOCS.parent
    sources = [path for room in ("plugins", "transports") for path in (root / room).rglob("*.py")]
    imported = {
        name
        for path in sources
        for name in re.findall(r"^ *(?:from|import) (jackfield(?:\.\w+)?)\b", path.read_text(), re.MULTILINE)
    }
    offered = set(re.findall(r"`(jackfield(?:\.\w+)?)`", PAGE.partition("\n## ")[0]))
    assert {"jackfield", "jackfield.contracts"} < imported <= offered


@pytest.mark.parametrize("suite", [name for name in testing.__all__ if name.endswith("Suite")])
def test_every_suite_is_in_the_table(suite: str) -> None:
    assert f"`{suite}`" in PAGE


@pytest.mark.parametrize(
    "error",
    [
        name
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.ProviderError | errors.StoreUnavailable)
    ],
)
def test_every_error_that_a_plugin_raises_is_importable_and_told_of(error: str) -> None:
    assert hasattr(jackfield, error)
    assert error == "ProviderError" or f"| `{error}` |" in PAGE


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_the_examples_are_what_the_command_writes_whose_own_tests_run_what_it_wrote(path: Path) -> None:
    _, kind, name = path.stem.split("_", 2)
    assert kind in KINDS
    files = files_of(Names(kind, name))
    beside = [file for file in path.parent.iterdir() if file.name in files]
    assert {path.name, f"test_{name}.py"} <= {file.name for file in beside}
    assert [file.name for file in beside if file.read_text() != files[file.name]] == []


def test_there_is_an_example_of_every_kind() -> None:
    assert {path.stem.split("_")[1] for path in WRITTEN} == set(KINDS)
