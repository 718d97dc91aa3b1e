"""pichat, sections 7 and 9: the example files, their environment, and the documented conversation."""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from jackfield.audio.encode import encode
from jackfield.config import read_config
from jackfield.errors import ConfigError
from jackfield.models import models_folder
from tests.azure_resource import azure_openai
from tests.contracts.harness import ROOT, ServerFactory, Tree, server_environment
from tests.contracts.pichat_device import DEFAULT_TOKEN, Device, started
from tests.postgres_server import PostgresServer
from tests.redis_server import free_port
from tests.server_process import ServerProcess
from tests.stand_ins import STAND_INS

EXAMPLE: Final = ROOT / "examples" / "pichat.toml"
OFFLINE: Final = ROOT / "examples" / "pichat-offline.toml"
PAGE: Final = ROOT / "docs" / "pichat.md"
CONTRACT: Final = {
    "PORT",  # SERVER_PORT is read as it
    "API_TOKEN",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_KEY",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_DEPLOYMENT_GPT4",
    "AZURE_OPENAI_DEPLOYMENT_GPT35",
    "AZURE_OPENAI_API_VERSION",
    "AZURE_SPEECH_KEY",
    "AZURE_SPEECH_REGION",
    "DATABASE_URL",
    "DB_HOST",
    "DB_NAME",
    "DB_USER",
    "DB_PASSWORD",
    "DB_PORT",
    "DB_DIALECT",
}
"""Variables of section 7 that the file names; the server itself reads ENVIRONMENT."""


@contextmanager
def served(folder: Path, example: Path = EXAMPLE, /, **environment: str) -> Iterator[ServerProcess]:
    """A server with an example, and the stand-ins as its environment."""
    given = {"SERVER_PORT": "0", **STAND_INS, "API_TOKEN": DEFAULT_TOKEN, **environment}
    variables = server_environment(folder, {name: value for name, value in given.items() if value})
    with ServerProcess(folder, [str(example)], variables) as server:
        yield server


def refused(folder: Path, **environment: str) -> str:
    """What is said when the example does not start."""
    with pytest.raises(RuntimeError) as failure, served(folder, **environment):
        pass
    return str(failure.value)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.mark.contract("PI-24")
def test_the_example_names_the_variables_of_the_contract_and_no_other() -> None:
    code = "".join(line.partition("# ")[0] for line in EXAMPLE.read_text().splitlines(keepends=True))
    assert set(re.findall(r"\$\{(\w+)", code)) == CONTRACT
    comments = EXAMPLE.read_text()
    assert all(name in comments for name in (*CONTRACT, "ENVIRONMENT", "SERVER_PORT"))


@pytest.mark.contract("PI-24", "PI-17")
def test_the_environment_chooses_resource_key_and_deployments(tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []
    with (
        azure_openai(asked) as endpoint,
        served(
            tmp_path,
            AZURE_OPENAI_ENDPOINT=endpoint,
            AZURE_OPENAI_KEY="the-seeds-own-name-wins",
            AZURE_OPENAI_API_KEY="the-name-of-the-sdk",
            AZURE_OPENAI_API_VERSION="2024-10-21",
            AZURE_OPENAI_DEPLOYMENT_GPT4="my-four",
            AZURE_OPENAI_DEPLOYMENT_GPT35="my-three",
        ) as server,
        Device(server) as device,
    ):
        conversation = device.conversation()
        assert device.say(conversation, "hello")[1]["content"] == "my-four"
        device.ask("update_settings", {"selected_model": "gpt-35"})
        assert device.say(conversation, "hello")[1]["content"] == "my-three"
    assert {key for _, key in asked} == {"the-seeds-own-name-wins"}
    assert all("api-version=2024-10-21" in path for path, _ in asked)


@pytest.mark.contract("PI-24", "PI-22")
def test_the_database_is_put_together_from_its_parts(postgres: PostgresServer, tmp_path: Path) -> None:
    with postgres.database() as url:
        database, folder = re.findall(r"@/(\w+)\?host=(.+)$", url)[0]
        parts = {"DB_HOST": folder, "DB_NAME": database, "DB_USER": "postgres", "DB_PASSWORD": "p@ss:/?#w%rd"}
        with served(tmp_path, DATABASE_URL="", **parts) as server, Device(server) as device:
            device.conversation("In PostgreSQL")
        assert postgres.sql("SELECT title FROM conversations", database) == "In PostgreSQL"


@pytest.mark.contract("PI-24")
def test_without_database_url_it_is_postgresql_on_this_machine() -> None:
    environment = {name: value for name, value in STAND_INS.items() if name != "DATABASE_URL"}
    options = read_config(EXAMPLE.read_text(), environment).session.options
    assert options["url"] == ""
    found = [options[name] for name in ("dialect", "host", "port", "database", "user")]
    assert found == ["postgresql", "localhost", "5432", "pichat", "pichat_admin"]


@pytest.mark.contract("PI-24")
def test_azure_sql_under_the_name_of_postgresql_stops_the_start(tmp_path: Path) -> None:
    said = refused(tmp_path, DATABASE_URL="", DB_HOST="mine.database.windows.net", DB_PASSWORD="secret-123")
    assert "which is Azure SQL" in said
    assert "secret-123" not in said


@pytest.mark.contract("PI-24")
@pytest.mark.parametrize("name", ["AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION", "AZURE_OPENAI_ENDPOINT"])
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"The environment variable {name} is not set"):
        read_config(EXAMPLE.read_text(), {**STAND_INS, name: ""})


@pytest.mark.contract("PI-25", "PI-44")
def test_the_port_is_that_of_the_environment_on_every_address(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path, SERVER_PORT=str(port)) as server:
        assert server.url == f"http://127.0.0.1:{port}"
        connections = psutil.Process(server.pid).net_connections()
        listening = [one.laddr for one in connections if one.status == psutil.CONN_LISTEN]
        assert [(address.ip, address.port) for address in listening] == [("0.0.0.0", port)]


@pytest.mark.contract("PI-25")
@pytest.mark.parametrize("example", [EXAMPLE, OFFLINE], ids=lambda path: path.stem)
def test_without_a_variable_the_port_is_8080(example: Path) -> None:
    assert read_config(example.read_text(), STAND_INS).server.port == 8080
    assert read_config(example.read_text(), {**STAND_INS, "SERVER_PORT": "8081"}).server.port == 8081


@pytest.mark.contract("PI-26", "PI-15")
@pytest.mark.parametrize("token", ["your_secure_token_here", ""])
def test_production_refuses_a_token_that_is_none(tmp_path: Path, token: str) -> None:
    said = refused(tmp_path, ENVIRONMENT="production", API_TOKEN=token)
    assert "auth.devices" in said


@pytest.mark.contract("PI-26", "PI-27")
def test_production_shows_no_docs(tmp_path: Path) -> None:
    with served(tmp_path, ENVIRONMENT="production") as server:
        for path in ("/docs", "/openapi.json"):
            assert server.client.get(path).status_code == 404
        assert server.client.get("/api/settings").status_code == 401


@pytest.mark.contract("PI-15", "PI-26")
def test_development_without_a_token_lets_everybody_in_and_says_so(tmp_path: Path) -> None:
    with served(tmp_path, API_TOKEN="your_secure_token_here") as server:
        assert httpx.get(f"{server.url}/api/users/me").json()["id"] == "default"
        assert any("WARNING" in line and "auth" in line for line in server.output().splitlines())


@pytest.mark.contract("PI-33")
def test_the_file_env_beside_the_configuration_is_read(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path / "jackfield.toml")
    values = {**STAND_INS, "API_TOKEN": DEFAULT_TOKEN, "SERVER_PORT": "0"}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    file = [str(tmp_path / "jackfield.toml")]
    with (
        ServerProcess(tmp_path, file, server_environment(tmp_path, {})) as server,
        Device(server) as device,
    ):
        assert device.ask("get_settings")["selected_model"] == "gpt-4"


@pytest.mark.contract("PI-35")
def test_python_3_11_is_enough_and_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"


@pytest.mark.contract("PI-34", "PI-13")
def test_the_documented_conversation(start: ServerFactory) -> None:
    stt = {"use": "scripted", "options": {"folder": None, "transcripts": ["Jaka jest pogoda?"]}}
    server = started(start, "documented", stt=stt, assistant={"language": "pl-PL"})
    block = PAGE.read_text().split("<!-- example: conversation -->\n```json\n")[1].split("```")[0]
    sound = base64.b64encode(encode(random.Random(1).randbytes(48_000), 16_000, "wav")).decode()
    assert sound.startswith("UklGR")
    with Device(server) as device:
        conversation = device.conversation()
        for line in block.splitlines():
            frame = json.loads(line[2:].replace("UklGR…", sound).replace("6f1e…", conversation))
            if line[0] == "→":
                device.send_raw(json.dumps(frame))
            else:
                assert_like(device.next(), frame)


def assert_like(found: Tree, documented: Tree) -> None:
    """Whether a frame has everything that is documented, what varies aside."""
    varying = {"duration_ms", "message_id", "audio_data", "request_id"}
    for key, value in documented.items():
        if isinstance(value, dict):
            assert_like(found[key], value)
        elif key in varying and value not in ("1", "2"):
            assert type(found[key]) is type(value)
        else:
            assert found[key] == value
    assert found.get("payload", {}).get("duration_ms") != 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example is a curl command")
@pytest.mark.contract("PI-28", "PI-34")
def test_the_documented_command(start: ServerFactory) -> None:
    server = started(start, "documented-command")
    found = re.search(r"<!-- example: list -->\n```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    command = found[1].replace("http://localhost:8080", server.url)
    environment = {**server_environment(server.folder, {}), "API_TOKEN": DEFAULT_TOKEN}
    done = subprocess.run(
        ["bash", "-ec", command], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(done.stdout) == {"conversations": []}


@pytest.mark.timeout(120)
@pytest.mark.contract("PI-11", "PI-12")
def test_the_offline_example_speaks_polish_and_understands_what_it_said(tmp_path: Path) -> None:
    with (
        served(tmp_path, OFFLINE, **model_folder()) as server,
        Device(server) as device,
    ):
        sentence = "Jaka jest pogoda?"
        spoken = device.ask("text_to_speech", {"text": sentence, "voice_gender": "male"})
        heard = device.ask("speech_to_text", {"audio_data": spoken["audio_data"]})
        # Processors round differently; a letter may come out otherwise.
        alike = SequenceMatcher(None, heard["text"].strip(" .!?").lower(), "jaka jest pogoda").ratio()
        assert alike > 0.9, heard["text"]
        assert heard["language"] == "pl"
        assert heard["duration_ms"] == pytest.approx(spoken["duration_ms"], abs=200)
        payload = {"conversation_id": device.conversation(), "content": heard["text"], "is_audio": True}
        device.send("send_message", payload)
        actions = [device.next()["action"] for _ in range(3)]
        assert actions == ["message_created", "assistant_message", "speech_audio"]


def model_folder() -> dict[str, str]:
    """Where the models are, as the test run has it."""
    return {"JACKFIELD_MODELS": str(models_folder())}
