"""The image: its Dockerfile's own steps in a clean folder, and its default command there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest

from jackfield.config import read_config
from tests.azure_resource import azure_openai
from tests.contracts.pichat_device import DEFAULT_TOKEN, Device
from tests.deployment.clean_folder import PACKAGES, ROOT, Container, Image, built
from tests.stand_ins import STAND_INS

pytestmark = pytest.mark.timeout(1200 if PACKAGES == "downloaded" else 120)

GIVEN: Final = {**STAND_INS, "API_TOKEN": DEFAULT_TOKEN, "ENVIRONMENT": "production", "SERVER_PORT": "0"}
"""What stands in the file of `--env-file`; port 0 is any that is free."""
ECHO: Final = {"JACKFIELD_CONFIG": str(ROOT / "examples" / "echo.toml")}


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """One for all processes of the test run."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return built(shared / "image")


def files_of(root: Path) -> dict[str, int]:
    """Every file of the image with the time of its last change."""
    paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return {str(path): path.lstat().st_mtime_ns for path in paths}


@pytest.mark.contract("PI-32")
def test_the_default_command_serves_pichat_and_writes_into_its_volume_alone(
    image: Image, tmp_path: Path
) -> None:
    before = files_of(image.root)
    asked: list[tuple[str, str | None]] = []
    with (
        azure_openai(asked) as endpoint,
        Container(image, tmp_path / "volume", {**GIVEN, "AZURE_OPENAI_ENDPOINT": endpoint}) as server,
    ):
        assert server.client.get("/health").json() == {"status": "healthy"}
        assert server.client.get("/docs").status_code == 404
        with Device(server) as device:
            said = device.say(device.conversation(), "hello")
        health = image.run(image.command("HEALTHCHECK"), tmp_path, {**GIVEN, "SERVER_PORT": port_of(server)})
    assert said[1]["content"] == STAND_INS["AZURE_OPENAI_DEPLOYMENT_GPT4"]
    assert (health.returncode, health.stdout) == (0, "healthy\n")
    assert files_of(image.root) == before
    assert (tmp_path / "volume" / "stand-in.db").exists()


def port_of(server: Container) -> str:
    return server.url.rpartition(":")[2]


@pytest.mark.contract("PI-32")
def test_without_a_variable_it_listens_on_8080_which_is_exposed(image: Image) -> None:
    given = {name: value for name, value in GIVEN.items() if name != "SERVER_PORT"}
    server = read_config(Path(image.environment["JACKFIELD_CONFIG"]).read_text(), given).server
    assert (server.host, server.port) == ("0.0.0.0", 8080)
    assert image.stage.last("EXPOSE").words == ["8080"]


def test_the_signal_of_docker_stop_ends_it_in_order(image: Image, tmp_path: Path) -> None:
    name = image.stage.last("STOPSIGNAL").text
    container = Container(image, tmp_path / "volume", {**ECHO, "PORT": "0"})
    with container as server:
        os.kill(server.pid, getattr(signal, name))
    assert container.exit_code == 0
    assert "Traceback" not in container.output()


def test_the_check_of_health_fails_where_nobody_answers(image: Image, tmp_path: Path) -> None:
    done = image.run(image.command("HEALTHCHECK"), tmp_path, {**ECHO, "PORT": "9"})
    assert done.returncode == 1
    assert "No answer from 127.0.0.1:9" in done.stderr


@pytest.mark.contract("PI-32")
def test_jackfield_config_names_another_file(image: Image, tmp_path: Path) -> None:
    named = image.environment["JACKFIELD_CONFIG"].replace("pichat.toml", "echo.toml")
    shown = image.run(["jackfield", "check"], tmp_path, {"JACKFIELD_CONFIG": named})
    assert shown.stdout.startswith(f"{named}\n")


def test_the_configuration_of_the_compose_file_has_all_its_parts(image: Image, tmp_path: Path) -> None:
    named = image.environment["JACKFIELD_CONFIG"].replace("pichat.toml", "compose.toml")
    shown = image.run(["jackfield", "check"], tmp_path, {**GIVEN, "JACKFIELD_CONFIG": named})
    assert shown.returncode == 0, shown.stderr


def test_it_holds_what_the_requirement_file_pins_and_ourselves(image: Image) -> None:
    (packages,) = image.root.glob("opt/jackfield/lib/python*/site-packages")
    found = {each.name.lower().replace("_", "-") for each in distributions(path=[str(packages)])}
    pinned = re.findall(
        r"^([a-z0-9-]+)==[^;]*? \\$", (ROOT / "requirements" / "image.txt").read_text(), re.MULTILINE
    )
    assert set(pinned) | {"jackfield"} <= found
    assert found & {"pip", "pytest", "hatchling", "piper-tts", "espeakng-loader"} == set()


def test_the_user_is_made_and_owns_the_working_folder(image: Image) -> None:
    user, _, group = image.stage.last("USER").text.partition(":")
    assert user == group
    assert int(user) > 999
    notes = (image.folder / "notes").read_text()
    assert re.search(rf"^useradd .*--uid {user} ", notes, re.MULTILINE)
    where = image.moved(image.stage.last("WORKDIR").text)
    assert re.search(rf"^install --directory --owner {user} --group {user} .*{where}$", notes, re.MULTILINE)
    assert image.stage.last("VOLUME").words == [image.stage.last("WORKDIR").text]


@pytest.mark.contract("PI-32")
def test_the_command_is_no_shell_that_would_keep_signals_to_itself(image: Image) -> None:
    assert image.stage.last("CMD").text.startswith("[")
    assert not [each for each in image.stage.instructions if each.name in {"ENTRYPOINT", "SHELL"}]


def test_the_file_is_written_as_the_linter_asks() -> None:
    program = Path(sysconfig.get_path("scripts"), "hadolint")
    done = subprocess.run([program, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
