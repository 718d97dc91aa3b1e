"""What `jackfield new-plugin` writes for each kind is installed, tested, configured, built and judged."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from jackfield.cli.commands import root
from jackfield.plugin import KINDS, Kind
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(90)

NAME: Final = "my_first_one"
PYTEST: Final = ("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:schemathesis")
PIP: Final = ("-m", "pip", "-q", "install", "--no-deps", "--no-index", "--target")
PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class New:
    """A new plugin."""

    kind: Kind
    folder: Path
    site: Path
    """Where it is installed."""

    @property
    def module(self) -> str:
        return f"jackfield_{self.kind}_{NAME}"

    def built(self, pattern: str) -> Path:
        """Give the one file that was built and is called so."""
        (path,) = (self.folder / "dist").glob(pattern)
        return path

    def run(self, *arguments: str | Path) -> str:
        """Run Python in its folder with it installed; gives what it prints, once it has succeeded."""
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.site), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def make(kind: Kind, name: str, folder: Path) -> None:
    """Write one by the command."""
    done = CliRunner().invoke(root, ["new-plugin", kind, name, "--folder", str(folder)])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module", params=KINDS)
def new(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> New:
    """One of each kind, built and installed from its wheel."""
    made = New(request.param, tmp_path_factory.mktemp("new"), tmp_path_factory.mktemp("site"))
    make(made.kind, NAME, made.folder)
    made.run("-m", "hatchling", "build")
    made.run(*PIP, made.site, made.built("*.whl"))
    return made


def test_it_passes_its_own_tests_and_the_suite_of_its_kind(new: New) -> None:
    assert " passed" in new.run(*PYTEST)


def test_its_configuration_opens_with_it(new: New) -> None:
    shown = new.run("-m", "jackfield", "check", "--start")
    assert "Everything opens." in shown
    assert NAME in shown.split()


def test_its_wheel_holds_the_module_alone_and_says_what_it_is(new: New) -> None:
    with zipfile.ZipFile(new.built("*.whl")) as wheel:
        information = f"{new.module}-0.1.0.dist-info"
        modules = [name for name in wheel.namelist() if not name.startswith(information)]
        points = wheel.read(f"{information}/entry_points.txt").decode()
        metadata = Parser().parsestr(wheel.read(f"{information}/METADATA").decode())
        licence = wheel.read(f"{information}/licenses/LICENSE").decode()
    assert modules == [f"{new.module}.py"]
    assert points.split() == [f"[jackfield.{new.kind}]", NAME, "=", new.module]
    assert (metadata["License-Expression"], metadata["Requires-Dist"]) == ("Apache-2.0", "jackfield")
    assert str(metadata.get_payload()).startswith(f"# {new.module.replace('_', '-')}")
    assert "Apache License" in licence


def test_its_source_distribution_can_be_tested_and_holds_no_secret(new: New) -> None:
    with tarfile.open(new.built("*.tar.gz")) as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {f"{new.module}.py", f"test_{NAME}.py", "jackfield.toml", "README.md", "LICENSE"} <= names
    assert ".env" not in names


def test_the_lines_to_configure_it_are_those_of_its_example(new: New) -> None:
    page = (new.folder / "README.md").read_text()
    shown = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    example = tomllib.loads((new.folder / "jackfield.toml").read_text())
    (section,) = shown.keys() - {"transport"} or shown.keys()
    assert shown.keys() <= example.keys()
    assert NAME in str(shown[section])
    assert "$" not in page.replace("$ADA_KEY", "").replace("${ADA_KEY}", "")


def test_a_key_that_was_made_is_for_its_owner_alone_and_made_anew_each_time(tmp_path: Path) -> None:
    texts = set()
    for name in ("one", "other"):
        make("auth", name, tmp_path / name)
        path = tmp_path / name / ".env"
        assert stat.S_IMODE(path.stat().st_mode) == PRIVATE
        texts.add(path.read_text())
    assert len(texts) == 2


@pytest.mark.parametrize("name", [NAME, "x", "abcdefghijklmnopqrstuvwx"], ids=["usual", "short", "long"])
def test_linters_and_formatters_find_nothing(name: str, tmp_path: Path) -> None:
    for kind in KINDS:
        make(kind, name, tmp_path / kind)
    ruff = Path(sys.executable).with_name("ruff")
    for judge in (("check", "--no-cache"), ("format", "--check", "--no-cache")):
        done = subprocess.run([ruff, *judge, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_a_strict_type_checker_finds_nothing(tmp_path: Path) -> None:
    for kind in KINDS:
        make(kind, f"my_{kind}", tmp_path / kind)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", *KINDS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"no issues found in {2 * len(KINDS)} source files" in done.stdout


@pytest.mark.parametrize("new", ["transport"], indirect=True)
def test_the_door_that_is_written_answers(new: New, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(new.site)}
    file = str(new.folder / "jackfield.toml")
    with ServerProcess(tmp_path, ["--port", "0", file], environment) as server:
        answer = server.client.post("/ask", content="Ist jemand da, Zoë?")
        refused = server.client.post("/ask", content=" ")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "Ist jemand da, Zoë?" in answer.text
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_text")


@pytest.mark.parametrize("new", ["realtime"], indirect=True)
def test_calls_of_its_configuration_are_the_models(new: New, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(new.site)}
    file = str(new.folder / "jackfield.toml")
    with (
        ServerProcess(tmp_path, ["--port", "0", file], environment) as server,
        connect(f"{server.url.replace('http', 'ws')}/voice", proxy=None) as socket,
    ):
        socket.send(json.dumps({"type": "start"}))
        socket.send(json.dumps({"type": "text", "text": "Hello"}))
        messages = (json.loads(each) for each in socket if isinstance(each, str))
        finished = next(message for message in messages if message["type"] == "reply.finished")
    assert finished["providers"] == {"realtime": NAME}
