"""Two servers over one bucket of a real S3 server: what one has stored, the other one serves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.s3_server import SECRET, S3Server
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(60)

EXAMPLES = Path(__file__).parents[3] / "examples"
QUESTION = EXAMPLES / "question.wav"
CONFIG = """
[server]
port = 0
[llm]
use = "echo"
[stt]
use = "scripted"
[tts]
use = "tone"
[audio]
url = "s3://shared/clips"
{more}
[timeouts]
store_seconds = 5
[[transport]]
use = "relay_chat"
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.make("shared")
        yield server


@pytest.fixture(scope="module")
def servers(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """The example, and one whose credentials are in the environment alone, with a CDN before the bucket."""
    folder = tmp_path_factory.mktemp("replicas")
    other = folder / "other.toml"
    other.write_text(CONFIG.format(more='public_base_url = "https://cdn.example.org/clips/"'))
    environment = {**os.environ, **s3.environment, "CLIPS_BUCKET": "shared", "PORT": "0"}
    with ExitStack() as stack:
        yield [
            stack.enter_context(ServerProcess(folder / file.stem, [str(file)], environment))
            for file in (EXAMPLES / "object-store.toml", other)
        ]


def said(server: ServerProcess) -> httpx.Response:
    """The answer to a spoken question."""
    fields = {"type": "voice", "sessionId": "s", "userId": "u", "username": "n"}
    files = {"audio": ("question.wav", QUESTION.read_bytes(), "audio/wav")}
    return server.client.post("/chat", data=fields, files=files).raise_for_status()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_clip_that_one_server_stored_the_other_one_serves(
    s3: S3Server, servers: list[ServerProcess]
) -> None:
    one, two = servers
    path = said(one).json()["audioUrl"]

    whole, same = one.client.get(path), two.client.get(path)

    name = path.removeprefix("/audio/")
    assert whole.content == same.content == s3.object("shared", f"clips/{name}").content
    assert len(whole.content) > 1000
    assert same.headers["content-type"] == "audio/mpeg"
    assert int(same.headers["content-length"]) == len(same.content)
    assert re.fullmatch(r"private, max-age=3[56]\d\d", same.headers["cache-control"])
    part = two.client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert two.client.head(path).headers["content-length"] == str(len(whole.content))
    assert two.client.get(path, headers={"If-None-Match": same.headers["etag"]}).status_code == 304
    assert two.client.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert two.client.get(path.replace(name, "response_" + "a" * 22 + ".mp3")).status_code == 404


def test_clients_of_a_cdn_are_given_its_address_and_every_server_serves_the_clip_too(
    s3: S3Server, servers: list[ServerProcess]
) -> None:
    one, two = servers

    url = said(two).json()["audioUrl"]

    name = url.removeprefix("https://cdn.example.org/clips/")
    headers = s3.object("shared", f"clips/{name}").headers
    assert (headers["content-type"], headers["cache-control"]) == ("audio/mpeg", "public, max-age=3600")
    assert one.client.get(f"/audio/{name}").status_code == 200


def test_no_folder_is_made_beside_the_bucket(servers: list[ServerProcess]) -> None:
    assert not (servers[0].folder / "static").exists()


def test_the_size_of_all_clips_is_a_figure(servers: list[ServerProcess]) -> None:
    said(servers[0])
    (figure,) = re.findall(
        r"^jackfield_audio_bytes (\S+)", servers[0].client.get("/metrics").text, re.MULTILINE
    )
    assert float(figure) > 0


def test_without_the_bucket_answers_are_text_and_the_server_says_that_it_is_degraded(
    s3: S3Server, servers: list[ServerProcess]
) -> None:
    server = servers[0]
    path = said(server).json()["audioUrl"]
    s3.kill()

    answer, fetched = said(server), server.client.get(path)

    assert answer.json().keys() == {"message", "type"}
    assert (answer.json()["type"], answer.headers["x-jackfield-degraded"]) == ("text", "tts")
    assert (fetched.status_code, fetched.json()["code"]) == (503, "store_unavailable")
    until(lambda: server.client.get("/health").json()["status"] == "degraded")
    assert server.client.get("/health").status_code == 200
    assert (
        "the spoken answer cannot be stored, and goes out as text: s3://shared/clips: no conn"
        in server.output()
    )
    assert (
        "[audio.url] s3://shared/clips is out of reach: s3://shared/clips: no connection" in server.output()
    )
    assert "Traceback" not in server.output()
    assert SECRET not in server.output()

    s3.start()
    s3.make("shared")
    assert said(server).json()["type"] == "voice"
    until(lambda: server.client.get("/health").json()["status"] == "healthy")


def test_check_start_says_what_is_wrong_with_the_bucket(s3: S3Server, tmp_path: Path) -> None:
    file = tmp_path / "jackfield.toml"
    file.write_text(CONFIG.format(more="").replace("s3://shared", "s3://no-such-bucket"))
    command = [sys.executable, "-m", "jackfield", "check", "--start", str(file)]
    shown = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **s3.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 2
    assert (
        "[audio.url] Spoken answers cannot be stored in s3://no-such-bucket/clips: it answered 404 "
        "(NoSuchBucket). Make it, or mend the name in audio.url."
    ) in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr
