"""The voice socket's page says what the code does, message by message."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from jackfield.contracts.call import EndReason
from jackfield.errors import ProtocolError
from jackfield.sockets import CLOSE_CODES, CODES_OF_REASONS, POLICY
from jackfield.web.call_messages import TROUBLES
from jackfield_transport_voice_socket import VoiceSocketOptions, commands, conversation, door
from jackfield_transport_voice_socket.commands import ClientMessage, read_command
from jackfield_transport_voice_socket.events import ServerMessage
from tests.transports.switchboard import MESSAGES

PAGE: Final = (Path(__file__).parents[2] / "docs" / "voice-socket.md").read_text()
SECTIONS: Final = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CLIENT: Final = SECTIONS["What the client sends"]
SERVER: Final = SECTIONS["What the server sends"]


def entries(section: str) -> dict[str, str]:
    """Headings with what stands below them."""
    return dict(re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", section, re.MULTILINE | re.DOTALL))


def example(entry: str) -> str:
    (found,) = re.findall(r"^```json\n(.*?)^```$", entry, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def types_of(messages: Any) -> Iterator[str]:
    for message in get_args(messages):
        yield from get_args(get_type_hints(message)["type"])


def refusals(module: ModuleType) -> set[str]:
    return {value.code for value in vars(module).values() if isinstance(value, ProtocolError)}


def test_every_message_of_the_client_has_a_heading_and_no_other_has() -> None:
    assert list(entries(CLIENT)) == list(types_of(ClientMessage))


def test_every_message_of_the_server_has_a_heading_and_no_other_has() -> None:
    assert sorted(entries(SERVER)) == sorted(types_of(ServerMessage))


@pytest.mark.parametrize("name", entries(CLIENT))
def test_a_clients_example_is_accepted_and_shows_every_field(name: str) -> None:
    text = example(entries(CLIENT)[name])
    message = read_command(text)

    assert message.type == name
    assert set(json.loads(text)) == set(type(message).model_fields)


@pytest.mark.parametrize("name", entries(SERVER))
def test_a_servers_example_is_one_of_its_messages(name: str) -> None:
    message = json.loads(example(entries(SERVER)[name]))

    assert message["type"] == name
    MESSAGES.validate_python(message, strict=True)


def test_every_field_of_start_is_explained() -> None:
    table = entries(CLIENT)["start"].split("| Field |")[1]
    shown = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in _names(row)}
    assert shown == set(commands.Start.model_fields) - {"type"}


def test_the_least_client_gets_what_the_page_promises() -> None:
    start = read_command('{"type": "start"}')
    assert isinstance(start, commands.Start)
    formats = [start.audio_in, start.audio_out]
    assert [each.model_dump() if isinstance(each, BaseModel) else None for each in formats] == [
        {"format": "pcm_s16le", "rate_hz": 16_000},
        {"format": "pcm_s16le", "rate_hz": 24_000},
    ]
    assert start.turns == "auto"


def test_the_example_of_an_error_is_what_the_server_says() -> None:
    shown = json.loads(example(entries(SERVER)["error"]))
    with pytest.raises(ProtocolError) as refused:
        read_command('{"type": "start", "audio_in": {"format": "pcm_s16le", "rate_hz": 1}}')

    assert (refused.value.code, refused.value.detail) == (shown["code"], shown["detail"])


def test_every_error_of_the_door_is_in_the_table() -> None:
    ours = refusals(door) | refusals(conversation) | set(TROUBLES) | {"invalid_message", "bad_audio"}
    assert ours - set(_first_column("`code`")) == set()


def test_every_close_code_is_in_the_table_and_no_other_is() -> None:
    refused = {code for status, code in CLOSE_CODES.items() if status != 409}  # nothing in it can conflict
    used = {*refused, *CODES_OF_REASONS.values(), POLICY}
    assert {int(code) for code in _first_column("Close code")} == used


def test_every_reason_for_an_end_is_told() -> None:
    assert set(get_args(EndReason)) <= set(_names(entries(SERVER)["ended"]))
    assert set(CODES_OF_REASONS) == set(get_args(EndReason))


def test_every_option_is_shown_with_its_default() -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    shown = tomllib.loads(re.sub(r"^# (options)", r"\1", block, flags=re.MULTILINE))
    options = shown["transport"][0]["options"]

    assert options == VoiceSocketOptions().model_dump()


def _first_column(heading: str) -> list[str]:
    table = SECTIONS["Errors"].split(f"| {heading} |")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    return [name for cell in cells for name in (_names(cell) or [cell])]


def _names(text: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", text)
