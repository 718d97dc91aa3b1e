"""What `pip install jackfield` alone brings: the core, which serves, and names what each plugin lacks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.timeout(90)

BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
"""Without `site` nothing of the environment that runs the tests can be imported."""

SERVE = BOOT + "from jackfield.cli import main; main()"

BUILD = (
    BOOT
    + """
import json, logging
from jackfield.errors import PluginError
from jackfield.installed import installed
from jackfield.loader import Loader
from jackfield.plugin import KINDS, Site

GIVEN = {
    "api_key": "a-key", "deployment": "d", "endpoint": "http://127.0.0.1:9", "key": "a-key", "region": "r",
    "secret_key": "Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6JgKe4", "domain": "example.org",
}
NEEDED = {"url": "http://127.0.0.1:9", "servers": {"one": {"url": "http://127.0.0.1:9"}}}

def filled(options):
    given = {**GIVEN, "model": "m"} if "base_url" in options.model_fields else GIVEN
    needed = {name for name, field in options.model_fields.items() if field.is_required()}
    given = given | {name: value for name, value in NEEDED.items() if name in needed}
    return {name: value for name, value in given.items() if name in options.model_fields}

told = {}
for kind in KINDS:
    for found in installed(kind):
        loader = Loader()
        plugin = loader.load(kind, found.name, kind)
        options = loader.validate(plugin, filled(plugin.info.options), kind)
        try:
            if kind == "extension":
                loader.build_extension(plugin, options, Site(kind, found.name, logging.getLogger()))
            else:
                loader.build(plugin, options, Site(kind, found.name, logging.getLogger()))
            problem = None
        except PluginError as error:
            problem = str(error)
        told[f"{kind} {found.name}"] = [plugin.info.extra, problem]
print(json.dumps(told))
"""
)

CONFIG = """
[server]
port = 0
[llm]
use = "echo"
[[transport]]
use = "relay_chat"
"""


def requirements(name: str) -> list[str]:
    """Names of what a distribution needs here, without extras."""
    found = (Requirement(text) for text in distribution(name).requires or [])
    return [each.name for each in found if each.marker is None or each.marker.evaluate({"extra": ""})]


@pytest.fixture(scope="module")
def packages(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: the wheel, and links to what it needs without extras."""
    folder = tmp_path_factory.mktemp("packages")
    wheel.extractall(folder)
    waiting, seen = requirements("jackfield"), {"jackfield"}
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        waiting += requirements(name)
        for part in parts(name):
            (folder / part).parent.mkdir(exist_ok=True)
            (folder / part).symlink_to(str(distribution(name).locate_file(part)))
    return folder


def parts(name: str) -> set[Path]:
    """What a distribution installed: its files and folders at the top, and those in a folder it shares."""
    files = [file for file in distribution(name).files or [] if file.parts[0] not in ("..", "__pycache__")]
    own = {file.parts[0] for file in files if file.parts[1:] in ((), ("__init__.py",), ("METADATA",))}
    return {Path(*file.parts[: 1 if file.parts[0] in own else 2]) for file in files}


def bare(packages: Path, script: str, *arguments: str) -> list[str]:
    """The command that runs a script with those packages alone."""
    return [sys.executable, "-I", "-S", "-c", script, str(packages), *arguments]


@pytest.fixture(scope="module")
def told(packages: Path) -> dict[str, Any]:
    """For each plugin its extra, and what is said when it is built."""
    run = subprocess.run(bare(packages, BUILD), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_every_plugin_whose_sdk_is_missing_names_its_extra(told: dict[str, Any]) -> None:
    lacking = {name: (extra, problem) for name, (extra, problem) in told.items() if extra}

    assert len(lacking) > 5
    for name, (extra, problem) in lacking.items():
        assert problem is not None, f"{name} was built without its SDK"
        assert f"pip install '{extra}'" in problem, f"{name}: {problem}"


def test_every_plugin_without_an_extra_can_be_built(told: dict[str, Any]) -> None:
    assert {name: problem for name, (extra, problem) in told.items() if not extra and problem} == {}


@pytest.fixture
def server(packages: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server that has no extra."""
    config = tmp_path / "jackfield.toml"
    config.write_text(CONFIG)
    command = bare(packages, SERVE, "serve", str(config))
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            pytest.fail("".join(lines))
        run.terminate()
        run.stdout.read()


def test_it_serves_a_conversation_in_text(server: str) -> None:
    form = {"message": "Is anybody there?", "type": "text", "sessionId": "s", "userId": "u", "username": "U"}

    answer = httpx.post(f"{server}/chat", data=form).raise_for_status().json()

    assert "Is anybody there?" in json.dumps(answer)
