"""The messages of a voice socket's client mean the same however they are written."""

from __future__ import annotations

import json

import pytest

from jackfield.web.call_commands import Interrupt, SpeechEnd, SpeechStart, Stop
from jackfield_transport_voice_socket.commands import read_command


@pytest.mark.parametrize("kind", [SpeechStart, SpeechEnd, Interrupt, Stop])
@pytest.mark.parametrize("separators", [(",", ":"), (",", ": "), (",", " : ")])
def test_a_message_without_fields_is_read_however_it_is_spaced(
    kind: type[SpeechStart] | type[SpeechEnd] | type[Interrupt] | type[Stop], separators: tuple[str, str]
) -> None:
    name = kind.model_fields["type"].annotation.__args__[0]  # type: ignore[union-attr]  # of a Literal

    assert type(read_command(json.dumps({"type": name}, separators=separators))) is kind
