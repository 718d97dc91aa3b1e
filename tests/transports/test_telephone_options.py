"""What is missing or wrong about telephones is told before anything starts."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import ValidationError

from jackfield import ConfigError, Site
from jackfield_transport_speech_assistant import make_transport, plugin_info
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions
from jackfield_transport_speech_assistant.telephone import options as options_module
from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions, check_telephone

GOOD = {"account_sid": "AC1", "auth_token": "secret-123"}


def problems(
    options: dict[str, Any], *, url: str = "https://a.example", production: bool = False, auth: bool = True
) -> list[str]:
    """The sections of everything that is wrong."""
    site = Site("transport.1", "speech_assistant", logging.getLogger("trial"), production=production)
    found = TelephoneOptions.model_validate(options)
    told, sections = "", []
    try:
        check_telephone(found, site, url, authenticates=auth)
    except ConfigError as error:
        told, sections = str(error), [problem.section for problem in error.problems]
    assert "secret-123" not in told
    return [section.removeprefix("transport.1.options.telephone.") for section in sections]


def test_a_token_and_an_address_are_enough_to_be_called() -> None:
    assert problems({"auth_token": "secret-123"}, production=True, auth=False) == []


def test_signatures_need_the_token_and_are_left_out_at_home_only() -> None:
    assert problems({}) == ["auth_token"]
    assert problems({"verify_signatures": False}) == []
    assert problems({"verify_signatures": False}, production=True) == ["verify_signatures"]


def test_twilio_has_to_know_the_address() -> None:
    assert problems(GOOD, url="") == ["server.public_url"]


def test_calling_needs_every_credential_and_users_who_sign_in() -> None:
    calls = {"enabled": True}
    assert problems({"calls": calls}) == ["account_sid", "auth_token", "phone_number"]
    assert problems({**GOOD, "phone_number": "+18005551212", "calls": calls}) == []
    assert problems({**GOOD, "phone_number": "+18005551212", "calls": calls}, auth=False) == ["calls.enabled"]


@pytest.mark.parametrize(
    ("missing", "extras"),
    [({"twilio"}, "twilio"), ({"twilio", "aiortc"}, "twilio,webrtc")],
    ids=["one", "two"],
)
def test_what_telephones_lack_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: set[str], extras: str
) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: None if name in missing else name)
    site = Site("transport.1", "speech_assistant", logging.getLogger("trial"))
    with pytest.raises(ConfigError) as caught:
        make_transport(SpeechAssistantOptions(telephone=TelephoneOptions()), site)
    (problem,) = caught.value.problems
    assert (problem.section, problem.fix) == (
        "transport.1.options.telephone",
        f"pip install 'jackfield[{extras}]'",
    )

    make_transport(SpeechAssistantOptions(), site)  # browsers need nothing of it


def test_only_calling_needs_the_network() -> None:
    info = plugin_info()
    for enabled in (False, True):
        options = SpeechAssistantOptions.model_validate({"telephone": {"calls": {"enabled": enabled}}})
        assert info.capabilities(options).network is enabled


@pytest.mark.parametrize("value", ["", "  ", "your_twilio_auth_token"])
def test_a_placeholder_is_no_credential(value: str) -> None:
    with pytest.raises(ValidationError, match="still what stood in the example"):
        TelephoneOptions.model_validate({"auth_token": value})
