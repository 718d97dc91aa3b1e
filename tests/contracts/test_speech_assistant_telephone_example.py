"""speech-assistant, sections 5 and 7: the example with telephones, and what the page says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from jackfield.config import read_config
from jackfield.errors import ConfigError
from jackfield.plugin import Options
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions
from jackfield_transport_speech_assistant.telephone.options import OutboundOptions, TelephoneOptions
from tests.contracts.harness import ROOT
from tests.stand_ins import STAND_INS

EXAMPLE: Final = (ROOT / "examples" / "speech-assistant-telephone.toml").read_text()
PAGE: Final = (ROOT / "docs" / "speech-assistant.md").read_text()
TELEPHONES: Final = PAGE.split("## Telephones")[1].split("\n## ")[0]
NEEDED: Final = {"PUBLIC_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER", "API_TOKEN"}


@pytest.mark.contract("SA-21", "SA-23")
def test_what_twilio_gives_comes_from_the_environment() -> None:
    code = "".join(line.partition("# ")[0] for line in EXAMPLE.splitlines(keepends=True))
    assert set(re.findall(r"\$\{(\w+)", code)) == NEEDED | {"PORT"}
    config = read_config(EXAMPLE, STAND_INS)
    options: dict[str, Any] = config.transport[0].options
    telephone = SpeechAssistantOptions(**options).telephone
    assert telephone is not None
    for key in ("account_sid", "auth_token", "phone_number"):
        secret = getattr(telephone, key)
        assert secret.get_secret_value() == STAND_INS[f"TWILIO_{key.upper()}"]
        assert secret.get_secret_value() not in repr(telephone)
    assert (config.server.public_url, config.server.port) == (STAND_INS["PUBLIC_URL"], 5050)


@pytest.mark.contract("SA-21")
@pytest.mark.parametrize("name", sorted(NEEDED))
def test_nothing_of_it_may_be_left_out(name: str) -> None:
    with pytest.raises(ConfigError, match=f"The environment variable {name} is not set"):
        read_config(EXAMPLE, {**STAND_INS, name: ""})


def test_the_page_names_every_option() -> None:
    def names(options: type[Options], prefix: str = "") -> Iterator[str]:
        return (prefix + name for name in options.model_fields)

    wanted = {*names(TelephoneOptions), *names(OutboundOptions, "calls.")} - {"calls"}
    assert {name for name in wanted if not re.search(rf"\b{re.escape(name)}\b", TELEPHONES)} == set()


def test_the_page_names_every_route_and_error() -> None:
    folder = ROOT / "transports" / "jackfield_transport_speech_assistant" / "telephone"
    text = "".join(file.read_text() for file in folder.glob("*.py"))
    told = set(re.findall(r'ProtocolError\(\s*\d+, "(\w+)"', text)) | {"scenario_not_found"}
    assert {code for code in told if f"`{code}`" not in PAGE} == set()
    for path in ("/incoming-call/", "/media-stream/", "POST /calls"):
        assert path in TELEPHONES
