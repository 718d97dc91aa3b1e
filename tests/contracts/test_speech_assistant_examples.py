"""speech-assistant, section 7: the example files and their environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from jackfield.config import read_config
from jackfield.errors import ConfigError
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions
from tests.contracts.harness import ROOT, refusal, server_environment
from tests.contracts.sign_in import KEY, PASSWORD
from tests.server_process import ServerProcess
from tests.stand_ins import STAND_INS

EXAMPLE: Final = ROOT / "examples" / "speech-assistant.toml"
PAGE: Final = (ROOT / "docs" / "speech-assistant.md").read_text()
CONTRACT: Final = {
    "DATABASE_URL",
    "PORT",
    "PUBLIC_URL",
    "SECRET_KEY",
    "TURN_CREDENTIAL",
    "TURN_SECRET",
    "TURN_SERVER",
    "TURN_USERNAME",
}
"""Variables of section 7 that the file names; the server itself reads ENVIRONMENT."""
REALTIME: Final = ROOT / "examples" / "speech-assistant-realtime.toml"
PROVIDERS: Final = {"OPENAI_API_KEY", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER"}
WITH_TELEPHONES: Final = re.sub(r"^# (?=\[|\S+ += )", "", REALTIME.read_text(), flags=re.MULTILINE)
"""The same without the comment signs before what is no prose."""
SILENT: Final = {'use = "xllamacpp"': 'use = "echo"', 'use = "faster_whisper"': 'use = "scripted"'}
"""What a test does without: models."""


def options(**environment: str) -> SpeechAssistantOptions:
    """The door's options in this environment."""
    given = {**STAND_INS, **environment}
    found: dict[str, Any] = read_config(EXAMPLE.read_text(), given).transport[0].options
    return SpeechAssistantOptions(**found)


@pytest.mark.contract("SA-21")
def test_the_example_names_the_variables_of_the_contract() -> None:
    code = "".join(line.partition("# ")[0] for line in EXAMPLE.read_text().splitlines(keepends=True))
    assert set(re.findall(r"\$\{(\w+)", code)) == CONTRACT
    assert all(name in EXAMPLE.read_text() for name in (*CONTRACT, "ENVIRONMENT"))


@pytest.mark.contract("SA-21", "SA-07")
def test_turn_servers_come_from_the_environment() -> None:
    assert options().relays().ice_servers("ann", 0) == []
    given = {"TURN_SERVER": "turn.example.org", "TURN_USERNAME": "u", "TURN_CREDENTIAL": "c"}
    (server,) = options(**given).relays().ice_servers("ann", 0)
    assert (server.username, server.credential) == ("u", "c")
    (server,) = options(**given, TURN_SECRET="north").relays().ice_servers("ann", 0)
    assert server.credential != "c"


@pytest.mark.contract("SA-21")
def test_placeholders_count_as_missing() -> None:
    given = {"TURN_SERVER": "your_turn_server", "TURN_USERNAME": "your_name", "TURN_SECRET": "your_secret"}
    assert options(**given).relays().ice_servers("ann", 0) == []
    (server,) = options(**{**given, "TURN_SERVER": "turn.example.org"}).relays().ice_servers("ann", 0)
    assert (server.username, server.credential) == (None, None)


@pytest.mark.contract("SA-23")
def test_the_port_is_5050_unless_told_otherwise() -> None:
    assert read_config(EXAMPLE.read_text(), STAND_INS).server.port == 5050
    assert read_config(EXAMPLE.read_text(), {**STAND_INS, "PORT": "8123"}).server.port == 8123


@pytest.mark.contract("SA-43")
def test_python_is_3_11_or_newer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"


@pytest.mark.contract("SA-21")
def test_a_key_is_needed() -> None:
    with pytest.raises(ConfigError, match="The environment variable SECRET_KEY is not set"):
        read_config(EXAMPLE.read_text(), {**STAND_INS, "SECRET_KEY": ""})


@pytest.mark.contract("SA-21")
def test_the_example_with_telephones_names_every_variable() -> None:
    code = "".join(line.partition("  # ")[0] for line in WITH_TELEPHONES.splitlines(keepends=True))
    code = "".join(line for line in code.splitlines(keepends=True) if not line.startswith("#"))
    assert set(re.findall(r"\$\{(\w+)", code)) == CONTRACT | PROVIDERS
    assert all(name in REALTIME.read_text() for name in (*CONTRACT, *PROVIDERS, "ENVIRONMENT"))
    given = {**STAND_INS, "TWILIO_PHONE_NUMBER": "+18005551212"}
    found: dict[str, Any] = read_config(WITH_TELEPHONES, given).transport[0].options
    telephone = SpeechAssistantOptions(**found).telephone
    assert telephone is not None
    assert telephone.calls.enabled


@pytest.mark.contract("SA-21", "SA-22")
def test_the_documented_conversation_with_a_file_of_variables(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace('options.model = "smollm2-135m-instruct"', "")
    text = text.replace('use = "piper"', 'use = "tone"').replace('[vad]\nuse = "silero"', "")
    for model, part in SILENT.items():
        text = text.replace(model, part)
    (tmp_path / "speech-assistant.toml").write_text(text)
    (tmp_path / ".env").write_text(f"SECRET_KEY={KEY}\nPORT=0\nTURN_SERVER=turn.example.org\n")
    with ServerProcess(tmp_path, ["speech-assistant.toml"], server_environment(tmp_path, {})) as server:
        account = {"email": "user@example.com", "password": PASSWORD}
        assert server.client.post("/register", json=account).status_code == 201
        form = {"username": "user@example.com", "password": PASSWORD}
        token = server.client.post("/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert server.client.get("/users/me", headers=headers).json()["email"] == "user@example.com"
        session = server.client.get("/realtime/session", headers=headers).json()
        assert session["ice_servers"] == [{"urls": ["turn:turn.example.org"]}]
        refusal(server.client.get("/realtime/session"), 401, "not_authenticated")
    assert (tmp_path / "app.db").exists()


def test_the_page_describes_every_option() -> None:
    shown = set(re.findall(r"^# options\.(\w+)", PAGE, re.MULTILINE))
    told = set(re.findall(r"`options\.(\w+)", PAGE))
    flat = {name for name in SpeechAssistantOptions.model_fields if name != "telephone"}
    assert flat <= shown | told


def test_the_page_names_every_route_and_error() -> None:
    sources = ROOT / "transports" / "jackfield_transport_speech_assistant"
    parts = ("book", "cast", "live", "peer", "provider_errors", "signalling", "switching")
    text = "".join((sources / f"{part}.py").read_text() for part in parts)
    codes = set(re.findall(r'ProtocolError\(\s*\d+, "(\w+)"', text))
    assert codes
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
    for path in ("/realtime/session", "/realtime/signal", "/scenarios", "/update-scenario/"):
        assert path in PAGE
