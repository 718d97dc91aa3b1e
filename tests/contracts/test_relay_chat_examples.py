"""relay-chat, section 11: the documented commands, run as they stand in docs/relay-chat.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contracts.harness import CLIP_NAME, ROOT, TrialServer

PAGE = ROOT / "docs" / "relay-chat.md"
COMMANDS = dict(re.findall(r"<!-- example: (\w+) -->\n```bash\n(.*?)```", PAGE.read_text(), re.DOTALL))

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are curl commands")


def run(name: str, server: TrialServer, folder: Path) -> str:
    """Run a documented command against a server, and give what it prints."""
    command = COMMANDS[name].replace("http://localhost:8000", server.url)
    shell = ["bash", "-ec", command]
    return subprocess.run(shell, cwd=folder, check=True, capture_output=True, text=True, timeout=30).stdout


@pytest.mark.contract("RC-01", "RC-02", "RC-44")
def test_the_text_command(plain: TrialServer, tmp_path: Path) -> None:
    answer = json.loads(run("text", plain, tmp_path))

    assert answer == {"message": "What are today's F1 predictions?", "type": "text"}


@pytest.mark.contract("RC-01", "RC-03", "RC-43")
def test_the_voice_command(plain: TrialServer, webm: bytes, tmp_path: Path) -> None:
    (tmp_path / "voice.webm").write_bytes(webm)
    answer = json.loads(run("voice", plain, tmp_path))

    assert set(answer) == {"message", "type", "audioUrl"}
    assert answer["type"] == "voice"
    assert CLIP_NAME.fullmatch(answer["audioUrl"].removeprefix("/audio/"))


@pytest.mark.contract("RC-05")
def test_the_command_without_sound(plain: TrialServer, tmp_path: Path) -> None:
    body, status = run("no_audio", plain, tmp_path).rsplit("\n", 1)

    assert status == "422"
    assert json.loads(body)["code"] == "audio_required"
    assert json.loads(body)["detail"] == "A voice message needs an audio file."


@pytest.mark.contract("RC-48")
def test_the_refresh_command(plain: TrialServer, tmp_path: Path) -> None:
    run("text", plain, tmp_path)

    assert run("refresh", plain, tmp_path) == "204"


@pytest.mark.contract("RC-14")
def test_the_health_command(plain: TrialServer, tmp_path: Path) -> None:
    assert json.loads(run("health", plain, tmp_path))["status"] == "healthy"
