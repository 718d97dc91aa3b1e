"""A plugin that somebody else published: built, installed, selected by configuration, talked to."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.timeout(120)

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial"
START_S = 30.0
CONFIGURATION = """
[server]
port = 0

[llm]
use = "{llm}"

[session]
use = "memory"

[[transport]]
use = "relay_chat"
"""

Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Environment variables under which the tutorial's distribution is installed."""
    folder = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(TUTORIAL, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "README.md").touch()  # which `jackfield new-plugin` writes, too, and the page does not show
    target = folder / "site-packages"
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        *options,
        "--target",
        str(target),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    # What else lies on the path of the tests (a checkout, say) must not be what makes the plugin work.
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(target)}


def jackfield(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jackfield", *arguments]
    return subprocess.run(command, env=dict(environment), check=False, capture_output=True, text=True)


@contextmanager
def serving(environment: Environment, folder: Path, llm: str) -> Iterator[str]:
    """Serve with that language model in a process of its own; gives the address."""
    file, output = folder / "jackfield.toml", folder / "output"
    file.write_text(CONFIGURATION.format(llm=llm))
    command = [sys.executable, "-m", "jackfield", "serve", str(file)]
    with output.open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=log, stderr=log)
    try:
        yield _address(server, output)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(15)


def _address(server: subprocess.Popen[bytes], output: Path) -> str:
    until = time.monotonic() + START_S
    while not (found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", output.read_text())):
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"The server did not start:\n{output.read_text()}")
        time.sleep(0.02)
    return found[0]


def say(address: str, message: str) -> str:
    fields = {"type": "text", "message": message, "sessionId": "s1", "userId": "u1", "username": "me"}
    response = httpx.post(f"{address}/chat", files={name: (None, value) for name, value in fields.items()})
    response.raise_for_status()
    answer: str = response.json()["message"]
    return answer.strip()


def test_a_conversation_can_be_held_with_it(environment: Environment, tmp_path: Path) -> None:
    with serving(environment, tmp_path, llm="reverse") as address:
        assert say(address, "Was it a rat I saw") == "was I tar a ti saW"
        assert say(address, "drawer") == "reward"


def test_it_is_listed_with_its_distribution(environment: Environment) -> None:
    listed = jackfield(environment, "plugins")
    assert listed.returncode == 0, listed.stderr
    assert re.search(r"reverse\b.*jackfield-llm-reverse +0\.1\.0", listed.stdout)


def test_its_options_are_shown(environment: Environment) -> None:
    shown = jackfield(environment, "plugins", "reverse")
    assert "pause_s" in shown.stdout
    assert "Seconds to think before each word." in shown.stdout


def test_a_misspelt_name_is_answered_with_the_right_one(environment: Environment, tmp_path: Path) -> None:
    file = tmp_path / "jackfield.toml"
    file.write_text(CONFIGURATION.format(llm="revers"))
    checked = jackfield(environment, "check", str(file))
    assert checked.returncode == 2
    assert 'Did you mean "reverse"?' in checked.stdout + checked.stderr


def test_without_its_distribution_it_is_not_found(environment: Environment, tmp_path: Path) -> None:
    file = tmp_path / "jackfield.toml"
    file.write_text(CONFIGURATION.format(llm="reverse"))
    alone = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    checked = jackfield(alone, "check", str(file))
    assert checked.returncode == 2
    assert 'No llm plugin "reverse" is installed.' in checked.stdout + checked.stderr
