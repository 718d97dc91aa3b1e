"""STUN and TURN servers, and credentials that expire."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jackfield_transport_speech_assistant.ice import Relays, relay_password
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions


@pytest.mark.contract("SA-07")
def test_a_password_is_the_hmac_of_the_name() -> None:
    assert relay_password("north", "1736078400:b0c2") == "u7jelY8bZHqGbVQvppTFvUz6+gM="


@pytest.mark.contract("SA-07")
def test_with_a_secret_each_user_gets_credentials_that_expire() -> None:
    relays = Relays("turn.example.org", "everybody", "known-to-all", secret="north", ttl_s=600)
    (ann,) = relays.ice_servers("people/ann@example.com", 1_000.5)
    (bob,) = relays.ice_servers("people/bob@example.com", 1_000.5)
    assert ann.username is not None
    assert ann.username.startswith("1600:")
    assert "ann" not in ann.username
    assert ann.username != bob.username
    assert ann.credential == relay_password("north", ann.username)


@pytest.mark.contract("SA-07")
def test_without_a_server_there_is_none() -> None:
    assert Relays("", "everybody", "known-to-all", "north").ice_servers("ann", 0) == []


@pytest.mark.contract("SA-07")
@pytest.mark.parametrize(
    ("servers", "urls"),
    [
        ("turn.example.org", ["turn:turn.example.org"]),
        ("turn.example.org:3479", ["turn:turn.example.org:3479"]),
        ("turns:a:443?transport=tcp, stun:b,,", ["turns:a:443?transport=tcp", "stun:b"]),
        ("[2001:db8::1]:3478", ["turn:[2001:db8::1]:3478"]),
    ],
)
def test_servers_are_written_as_urls_or_addresses(servers: str, urls: list[str]) -> None:
    assert [one.urls[0] for one in Relays(servers, "x", "y").ice_servers("ann", 0)] == urls


@pytest.mark.parametrize("server", ["http://a", "stun:a?transport=udp", "turn:", "a b"])
def test_what_is_no_server_is_refused(server: str) -> None:
    with pytest.raises(ValidationError):
        SpeechAssistantOptions(turn_server=server)
