"""`jackfield serve`."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from click.testing import CliRunner

from jackfield.cli.secret_key import SecretKeyFile
from jackfield.cli.serve import _announce as announce, command
from jackfield.config import read_config
from tests.postgres_server import PostgresServer
from tests.redis_server import DURABLE, RedisServer
from tests.s3_server import S3Server
from tests.stand_ins import STAND_INS

ROOT = Path(__file__).parents[3]
URL = "http://127.0.0.1:8000"


@contextmanager
def database_of(example: Path, folder: Path) -> Iterator[dict[str, str]]:
    """The store that an example needs, started for it; gives the variables that say where it is."""
    if example.stem == "postgresql":
        with PostgresServer() as postgres:
            yield {"DATABASE_URL": postgres.url()}
    elif example.stem == "redis":
        with RedisServer(folder / "redis", DURABLE) as redis:
            yield {"REDIS_URL": redis.url}
    elif example.stem == "compose":
        with PostgresServer() as postgres, RedisServer(folder / "redis", DURABLE) as redis:
            yield {"DATABASE_URL": postgres.url(), "REDIS_URL": redis.url, "REDIS_PERSISTENT": "true"}
    elif example.stem == "object-store":
        with S3Server(folder / "s3") as s3:
            s3.make(STAND_INS["CLIPS_BUCKET"])
            yield dict(s3.environment)
    else:
        yield {}


@contextmanager
def served(
    file: Path, folder: Path, environment: Mapping[str, str] = STAND_INS
) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """A server, and what it said once it listened."""
    where = ["--host", "127.0.0.1", "--port", "0"]
    command = [sys.executable, "-m", "jackfield", "serve", str(file), *where]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            yield said, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(8)


def test_the_address_and_a_request_to_try_are_printed(tmp_path: Path) -> None:
    with served(ROOT / "examples" / "echo.toml", tmp_path) as (said, _):
        url = said[1].split()[2]
        assert httpx.get(f"{url}/health").json() == {"status": "healthy", "service": "chat-api"}
        assert said[2].startswith(f"Try: curl {url}/chat ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing: apt-get install curl")
def test_the_request_to_try_works_as_it_is_printed(tmp_path: Path) -> None:
    with served(ROOT / "examples" / "echo.toml", tmp_path) as (said, _):
        command = said[2].removeprefix("Try: ").strip().replace("curl ", "curl -s ", 1)
        answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    assert answer == '{"message":"You said: What is the capital of France?","type":"text"}'


def test_a_stopped_server_exits_with_0(tmp_path: Path) -> None:
    with served(ROOT / "examples" / "echo.toml", tmp_path) as (_, process):
        pass
    assert process.returncode == 0


STARTED_ELSEWHERE: Final = {
    "mcp": "contracts/test_chat_app_tools.py",
    "pichat": "contracts/test_pichat_examples.py",
    "pichat-offline": "contracts/test_pichat_examples.py",
    "postgresql": "plugins/session/sql/test_server.py",
    "speech-assistant-realtime": "contracts/test_speech_assistant_realtime.py",
    "speech-assistant-telephone": "acceptance/test_telephone.py",
    "sql": "plugins/session/sql/test_server.py",
    "voice-socket": "acceptance/test_voice_socket.py",
}
"""Examples whose own tests start them, with a use to go with it."""
EXAMPLES: Final = sorted((ROOT / "examples").glob("*.toml"))


@pytest.mark.parametrize("example", STARTED_ELSEWHERE)
def test_an_example_that_is_not_started_here_is_started_there(example: str) -> None:
    assert f"{example}.toml" in (ROOT / "tests" / STARTED_ELSEWHERE[example]).read_text()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem not in STARTED_ELSEWHERE], ids=lambda path: path.stem
)
def test_every_example_starts(tmp_path: Path, path: Path) -> None:
    with (
        database_of(path, tmp_path) as database,
        served(path, tmp_path, STAND_INS | database) as (said, _),
    ):
        assert said[1].startswith("Listening on http://127.0.0.1:"), (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("doors", "said"),
    [
        ('[[transport]]\nuse = "console"\nmount = "/console"', f"Talk to it: {URL}/console/\n"),
        ('[[transport]]\nuse = "console"', f"Talk to it: {URL}/\n"),
        ('[[transport]]\nuse = "voice_socket"', ""),
    ],
)
def test_the_address_of_the_page_is_printed_where_there_is_one(
    capsys: pytest.CaptureFixture[str], doors: str, said: str
) -> None:
    announce(URL, read_config(doors, {}), SecretKeyFile(Path()))
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines(keepends=True) if "Talk" in line] == [said] * bool(said)


def test_garbage_is_collected_again_once_it_listens() -> None:
    gc.disable()
    try:
        announce(URL, read_config((ROOT / "examples" / "echo.toml").read_text(), {}), SecretKeyFile(Path()))
        assert gc.isenabled()
    finally:
        gc.enable()


def test_garbage_is_collected_again_after_a_start_that_fails(tmp_path: Path) -> None:
    (tmp_path / "jackfield.toml").write_text('llm = "echo"')
    assert CliRunner().invoke(command, [str(tmp_path / "jackfield.toml")]).exit_code != 0
    assert gc.isenabled()
