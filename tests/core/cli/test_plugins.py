"""`jackfield plugins`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest
from pydantic import Field, SecretStr

from jackfield import Options
from jackfield.cli.fields import field_rows
from jackfield.cli.table import table

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_every_installed_plugin_is_listed_with_kind_distribution_and_version(run: Run) -> None:
    rows = [tuple(line.split()) for line in run("plugins").stdout.splitlines()]
    ours = ("jackfield", version("jackfield"))
    for plugin in (("llm", "echo"), ("stt", "scripted"), ("session", "memory"), ("transport", "relay_chat")):
        assert (*plugin, *ours) in rows


def test_listing_imports_no_plugin() -> None:
    program = (
        "import sys; from jackfield.cli.commands import root; root(['plugins'], standalone_mode=False);"
        "print('imported:', [name for name in sys.modules if name.startswith('jackfield_')])"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.endswith("imported: []\n")


def test_one_plugin_is_shown_with_its_options(run: Run) -> None:
    shown = run("plugins", "echo").stdout
    assert shown.startswith("echo (llm, jackfield ")
    assert "delay_s  float   0.0      Seconds to wait before each word." in shown


def test_a_plugin_says_what_to_install(run: Run) -> None:
    assert "pip install 'jackfield[piper]'" in run("plugins", "piper").stdout


def test_an_unknown_plugin_is_one_line_and_exit_code_2(run: Run) -> None:
    shown = run("plugins", "nothing")
    assert (shown.returncode, len(shown.stderr.splitlines())) == (2, 1)


def test_options_are_written_as_toml_has_them() -> None:
    class Everything(Options):
        required: int = Field(description="a")
        secret: SecretStr = Field(SecretStr("s3cret"), description="b")
        several: tuple[str, ...] = Field(("x", "y"), description="c")
        maybe: float | None = Field(None, description="d")
        flag: bool = Field(True, description="e")

    assert list(field_rows(Everything)) == [
        ("required", "integer", "required", "a"),
        ("secret", "string", "-", "b"),
        ("several", "list of string", '["x", "y"]', "c"),
        ("maybe", "float", "-", "d"),
        ("flag", "boolean", "true", "e"),
    ]


def test_options_within_options_have_rows_of_their_own() -> None:
    class Inner(Options):
        port: int = Field(1, description="a")

    class Outer(Options):
        inner: Inner = Field(Inner(), description="b")

    assert list(field_rows(Outer)) == [("inner.port", "integer", "1", "a")]


def test_options_under_names_have_rows_of_their_own() -> None:
    class Inner(Options):
        port: int = Field(1, description="a")

    class Outer(Options):
        inner: dict[str, Inner] = Field(description="b")
        plain: dict[str, int] = Field({}, description="c")

    assert [row[0] for row in field_rows(Outer)] == ["inner.NAME.port", "plain"]


def test_the_last_column_is_wrapped_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = table(("A", "B"), [("one", "word " * 10)]).splitlines()
    assert all(len(line) <= 40 for line in shown)
    assert shown[2].startswith("     word")
