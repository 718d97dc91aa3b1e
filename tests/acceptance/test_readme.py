"""The commands of the README, run as they stand there but for the address, and the answers it promises."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from tests.acceptance.offline import OfflineServer

README = Path(__file__).parents[2] / "README.md"
CURLS = [
    block for block in re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.M | re.S) if "curl" in block
]


@pytest.mark.parametrize("command", CURLS, ids=["text", "voice"])
def test_a_curl_of_the_readme_is_answered(command: str, offline: OfflineServer) -> None:
    if shutil.which("curl") is None:
        pytest.skip("Needs curl: apt-get install curl")
    script = command.replace("http://127.0.0.1:8000", offline.url).replace("curl ", "curl -sS ")
    ran = subprocess.run(["sh", "-ec", script], check=True, capture_output=True, cwd=README.parent)
    answer = json.loads(ran.stdout)
    assert f'"message":"{answer["message"]}"' in README.read_text()
    assert ("audioUrl" in answer) == (answer["type"] == "voice")
    assert ("transcript" in answer) == (answer["type"] == "voice")
    assert answer.get("transcript", "") in README.read_text()
    assert answer["type"] == ("voice" if "type=voice" in command else "text")


def test_the_live_conversation_of_the_readme_goes_as_shown(offline: OfflineServer, tmp_path: Path) -> None:
    shown = re.search(
        r"^```sh\n\S+/python (.*voice_client.*)\n```\n\n```text\n(.*?)```", README.read_text(), re.M | re.S
    )
    assert shown is not None
    arguments = shown[1].replace("answer.wav", str(tmp_path / "answer.wav")).split()
    url = offline.url.replace("http", "ws", 1) + "/voice"
    command = [sys.executable, *arguments, "--url", url]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=README.parent)
    assert ran.stdout == shown[2]
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert answer.readframes(answer.getnframes()).strip(b"\0")
