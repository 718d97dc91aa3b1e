"""The commands of the README, run as they stand there but for the address, and the answers it promises."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
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
    assert answer["type"] == ("voice" if "type=voice" in command else "text")
