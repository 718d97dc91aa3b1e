"""`jackfield config`, and the files that come along."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from jackfield.cli.configuration import STARTER
from jackfield.cli.reference import reference_page
from jackfield.cli.schema import schema_of
from jackfield.config import Config, read_config
from tests.stand_ins import STAND_INS

Run = Callable[..., subprocess.CompletedProcess[str]]
Invoke = Callable[..., Result]

ROOT = Path(__file__).parents[3]


def example(name: str) -> Config:
    return read_config((ROOT / "examples" / name).read_text(), {})


def test_the_starter_file_is_printed_as_it_is(run: Run) -> None:
    assert run("config").stdout == STARTER.read_text()


def test_the_offline_example_is_the_starter_file() -> None:
    assert (ROOT / "examples" / "offline.toml").read_text() == STARTER.read_text()


def test_the_starter_file_can_be_saved_and_checked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "jackfield.toml").write_text(run("config").stdout)
    shown = run("check", PORT="8765")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "http://127.0.0.1:8765" in shown.stdout


def test_the_starter_file_listens_on_loopback_alone() -> None:
    assert example("offline.toml").server.host == "127.0.0.1"


def test_variables_beside_the_command_count_for_the_starter_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8766\n")
    assert "http://127.0.0.1:8766" in run("check").stdout


def test_the_relay_chat_example_listens_as_the_contract_says() -> None:
    server = example("relay-chat.toml").server
    assert (server.host, server.port, server.allow_anonymous) == ("0.0.0.0", 8000, True)
    assert server.cors_origins == ("http://localhost:3000", "http://localhost:3001")


def test_the_relay_chat_example_has_the_voice_of_the_starter_file() -> None:
    starter, relay = example("offline.toml"), example("relay-chat.toml")
    assert (starter.llm, starter.stt, starter.tts, starter.assistant) == (
        relay.llm,
        relay.stt,
        relay.tts,
        relay.assistant,
    )


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_assembles(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    for name, value in STAND_INS.items():
        monkeypatch.setenv(name, value)
    shown = invoke("check", path)
    assert (shown.exit_code, shown.stderr) == (0, "")


def test_the_schema_has_the_options_of_the_plugins_that_are_used(run: Run) -> None:
    schema: dict[str, Any] = json.loads(run("config", "--schema", ROOT / "examples" / "echo.toml").stdout)
    rule = schema["properties"]["llm"]["allOf"][0]
    assert rule["if"]["properties"]["use"] == {"const": "echo"}
    assert rule["then"]["properties"]["options"] == {"$ref": "#/$defs/llm.echo"}
    assert set(schema["$defs"]["llm.echo"]["properties"]) == {"delay_s", "prefix", "tool"}
    assert "llm.xllamacpp" not in schema["$defs"]


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    schema = schema_of(example("offline.toml"))
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert references - set(schema["$defs"]) == set()


def test_the_reference_names_every_key_of_the_file() -> None:
    page = reference_page()
    for name in (*tomllib.loads(STARTER.read_text()), "trusted_proxies", "named"):
        assert name in page


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == reference_page(), "run: make reference"
