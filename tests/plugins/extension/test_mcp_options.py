"""What the extension that offers tools of MCP servers needs to be told, and what it tells without them."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import jackfield_extension_mcp as plugin
from jackfield.errors import PluginCannotLoad
from jackfield.loader import Loader
from jackfield.plugin import Site
from jackfield_extension_mcp import McpOptions
from jackfield_extension_mcp.names import unique_names

CONFIG = """
[llm]
use = "echo"
[session]
use = "memory"
[[transport]]
use = "relay_chat"
[[extension]]
use = "mcp"
[extension.options.servers.clock]
command = "sh"
args = ["-c", "touch started"]
"""


@pytest.mark.parametrize(
    ("servers", "complaint"),
    [
        ({}, "at least 1 item"),
        ({"a": {}}, "give either `command`"),
        ({"a": {"command": "x", "url": "http://localhost:1/mcp"}}, "give either `command`"),
        ({"a": {"command": ""}}, "give either `command`"),
        ({"a": {"url": "localhost"}}, "give a whole URL"),
        ({"a": {"url": "http://localhost:1/x", "cwd": "/"}}, "only a server with `command` can have cwd"),
        ({"a": {"command": "x", "headers": {"a": "b"}}}, "only a server with `url` can have headers"),
        ({"a b": {"command": "x"}}, "should match pattern"),
        ({"a": {"command": "x", "connect_s": 0}}, "greater than 0"),
        ({"a": {"commando": "x"}}, "not permitted"),
    ],
    ids=range(10),
)
def test_options_that_do_not_fit_are_refused(servers: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        McpOptions.model_validate({"servers": servers})


def test_keys_are_not_shown() -> None:
    server = {"url": "http://localhost:1/mcp", "headers": {"Authorization": "secret-123"}}
    command = {"command": "x", "env": {"KEY": "secret-123"}}

    assert "secret-123" not in repr(McpOptions.model_validate({"servers": {"a": server, "b": command}}))


@pytest.mark.parametrize(
    ("address", "network"), [("http://127.0.0.1:1/mcp", False), ("https://tools.example.com/mcp", True)]
)
def test_only_a_server_elsewhere_needs_the_network(address: str, network: bool) -> None:
    options = McpOptions.model_validate({"servers": {"a": {"command": "x"}, "b": {"url": address}}})

    assert plugin.plugin_info().capabilities(options).network is network


@pytest.mark.parametrize(
    ("offers", "names"),
    [
        ([("a", "x"), ("a", "y"), ("b", "z")], ["x", "y", "z"]),
        ([("a", "x"), ("b", "x")], ["a_x", "b_x"]),
        ([("a", "x"), ("a", "x")], ["a_x", "a_x_2"]),
        ([("a", "x.y"), ("a", "x/y")], ["a_x_y", "a_x_y_2"]),
        ([("a", "b_x"), ("a", "x"), ("b", "x")], ["b_x", "a_x", "b_x_2"]),
        ([("a", "é"), ("a", "")], ["a__", "a___2"]),
        ([("a", "x" * 70), ("a", "x" * 71)], [f"a_{'x' * 62}", f"a_{'x' * 60}_2"]),
    ],
    ids=range(7),
)
def test_names_are_unique_and_such_as_models_take(offers: list[tuple[str, str]], names: list[str]) -> None:
    assert unique_names(offers) == names


@pytest.mark.timeout(60)
def test_a_check_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "jackfield.toml").write_text(CONFIG)

    command = [sys.executable, "-m", "jackfield", "check", "jackfield.toml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)

    assert checked.returncode == 0, checked.stderr
    assert "[extension.1]" in checked.stdout
    assert not (tmp_path / "started").exists()


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("jackfield_extension_mcp.")]:
        if name.rpartition(".")[2] not in ("options", "names"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    loader = Loader()
    found = loader.load("extension", "mcp", "extension.1")
    options = loader.validate(found, {"servers": {"a": {"command": "x"}}}, "extension.1")

    with pytest.raises(PluginCannotLoad, match=r"jackfield\[mcp\]"):
        loader.build_extension(found, options, Site("extension.1", "mcp", logging.getLogger(__name__)))
