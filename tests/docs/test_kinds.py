"""The plugins of docs/kinds hold a live call together. All but the intercom are what `new-plugin` writes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Final

import pytest
from websockets.sync.client import connect

from tests.server_process import ServerProcess

KINDS: Final = Path(__file__).parents[2] / "docs" / "kinds"
CONFIGURATION: Final = """
[server]
port = 0

[llm]
use = "echo"

[stt]
use = "beeps"
options.live = {live}

[tts]
use = "morse"

[vad]
use = "loudness"

[[extension]]
use = "parts"

[[transport]]
use = "intercom"
"""
RATE_HZ: Final = 16_000
BEEP: Final = array("h", (round(9_000 * math.sin(at / 4)) for at in range(RATE_HZ // 5))).tobytes()
FRAME_BYTES: Final = 640
PAUSE_BYTES: Final = RATE_HZ // 5 * 2


def environment(folder: Path) -> dict[str, str]:
    """An environment in which all of them are installed."""
    metadata = folder / "site" / "kinds-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kinds\nVersion: 1\n")
    modules = sorted(path.stem for path in KINDS.glob("jackfield_*.py"))
    lines = []
    for module in modules:
        _, kind, name = module.split("_", 2)
        lines.append(f"[jackfield.{kind}]\n{name} = {module}\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return {**os.environ, "PYTHONPATH": f"{KINDS}{os.pathsep}{folder / 'site'}"}


@pytest.mark.timeout(120)
def test_the_intercom_passes_the_suite_of_its_kind() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(KINDS)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "no:schemathesis", str(KINDS / "test_intercom.py")],
        cwd=KINDS,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(60)
@pytest.mark.parametrize("live", ["true", "false"])
def test_together_they_hold_a_call(live: str, tmp_path: Path) -> None:
    file = tmp_path / "jackfield.toml"
    file.write_text(CONFIGURATION.format(live=live))
    with ServerProcess(tmp_path / "run", [str(file)], environment(tmp_path)) as server:
        address = server.url.replace("http", "ws", 1) + "/intercom"
        with connect(address, proxy=None) as client:
            said = (BEEP + bytes(PAUSE_BYTES)) * 2 + bytes(RATE_HZ)
            for at in range(0, len(said), FRAME_BYTES):
                client.send(said[at : at + FRAME_BYTES])
                time.sleep(FRAME_BYTES / 2 / RATE_HZ)
            text, sound = "", b""
            while "beep beep" not in text or not sound.strip(b"\0"):
                message = client.recv(timeout=20)
                if isinstance(message, bytes):
                    sound += message
                else:
                    text += json.loads(message).get("text", "")
