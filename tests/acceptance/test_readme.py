"""The commands of the README, run as they stand there but for the address."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from jackfield.testing.recordings import record
from tests.acceptance.offline import OfflineServer
from tests.voices import recording

README = Path(__file__).parents[2] / "README.md"
CURLS = [
    block for block in re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.M | re.S) if "curl" in block
]


@pytest.mark.parametrize("command", CURLS, ids=["text", "voice"])
def test_a_curl_of_the_readme_is_answered(command: str, offline: OfflineServer, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("Needs curl: apt-get install curl")
    tmp_path.joinpath("question.webm").write_bytes(
        record(recording("two_cities", 48_000)[: 48_000 * 2 * 5], "webm")
    )
    script = command.replace("http://127.0.0.1:8000", offline.url).replace("curl ", "curl -sS ")
    ran = subprocess.run(["sh", "-ec", script], check=True, capture_output=True, cwd=tmp_path)
    answer = json.loads(ran.stdout)
    assert answer["message"]
    assert ("audioUrl" in answer) == (answer["type"] == "voice")
    assert answer["type"] == ("voice" if "type=voice" in command else "text")
