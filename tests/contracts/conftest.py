"""Servers to talk to, each started once for all contract tests, and recordings to send."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from jackfield.audio.sniff import CONTAINERS
from jackfield.testing.recordings import record
from tests.contracts.harness import CLIP_NAME, ServerFactory, Tree, TrialServer
from tests.contracts.sign_in import accounts, signed_in
from tests.contracts.speech import SIZES, Replicas, alone, replicas
from tests.plugins.realtime.speech_model import house, model
from tests.redis_server import RedisServer

__all__ = ["house", "model"]

RATE_HZ = 48_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starting a server takes longer than a unit test may."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(90))


@contextmanager
def servers(folders: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Starts servers, each once, and stops all of them at the end."""
    started: dict[str, TrialServer] = {}
    with ExitStack() as stack:

        def start(name: str, config: Tree | None = None) -> TrialServer:
            if name not in started:
                server = TrialServer(folders.mktemp(name) / "server", config)
                started[name] = stack.enter_context(server)
            return started[name]

        yield start
        for server in started.values():
            server.terminate()  # all of them first, so that they stop at the same time


@pytest.fixture(scope="session")
def start_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Start a server that lives until the last test."""
    with servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Start a server that lives until the module's last test; the same name gives the same server."""
    with servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def server(start_for_all: ServerFactory) -> TrialServer:
    """The server that most tests talk to: every part a trial plugin, no rate limited."""
    return start_for_all("trial")


@pytest.fixture(scope="session")
def plain(start_for_all: ServerFactory) -> TrialServer:
    """A server of built-in parts that need no model: echo, scripted, tone and memory."""
    parts: Tree = {name: {"use": use, "options": None} for name, use in PLAIN.items()}
    return start_for_all("plain", {**parts, "extension": None, "transport": [{"use": "relay_chat"}]})


@pytest.fixture(scope="session")
def guarded(start_for_all: ServerFactory) -> TrialServer:
    """A server that believes the bearer token `token-of-WALLET`."""
    doors = [{"use": "relay_chat", "auth": "wallets"}, {"use": "trial_desk", "auth": "wallets"}]
    return start_for_all("guarded", {"auth": {"wallets": {"use": "trial"}}, "transport": doors})


@pytest.fixture(scope="session")
def people(start_for_all: ServerFactory) -> TrialServer:
    """A server with accounts, where everybody may register as often as they like."""
    return start_for_all("people", accounts())


@pytest.fixture(scope="session")
def ann(people: TrialServer) -> tuple[str, dict[str, str]]:
    """The id of a user with an account there, and the header that proves it."""
    return signed_in(people, "ann@example.com")


@pytest.fixture(scope="session", params=SIZES)
def speech(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """A speech assistant: one server, and then two of which each gets every other request."""
    options = {
        "connect_s": 5,
        "turn_server": "stun:stun.example.org:3478, turn.example.org",
        "turn_username": "everybody",
        "turn_credential": "known-to-all",
    }
    folder = tmp_path_factory.mktemp("speech")
    with ExitStack() as stack:
        if request.param == SIZES[0]:
            yield stack.enter_context(alone(folder, **options))
        else:
            redis = stack.enter_context(RedisServer(folder / "redis"))
            yield stack.enter_context(replicas(folder, redis, **options))


@pytest.fixture(scope="module", params=SIZES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Where replicas keep their files; None when there is to be one server."""
    return tmp_path_factory.mktemp("replicas") if request.param == SIZES[1] else None


PLAIN = {"llm": "echo", "stt": "scripted", "tts": "tone", "session": "memory"}


@pytest.fixture(scope="session")
def recordings() -> dict[str, bytes]:
    """Two seconds of noise in every container that clients record in."""
    pcm = random.Random(1).randbytes(2 * RATE_HZ * 2)
    return {container: record(pcm, container, rate_hz=RATE_HZ) for container in CONTAINERS}


@pytest.fixture(scope="session")
def webm(recordings: dict[str, bytes]) -> bytes:
    """What a browser records."""
    return recordings["webm"]


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test sent to a server, afterwards there is no file but finished clips."""
    yield
    for name in ("server", "plain"):
        if name in request.fixturenames:
            server: TrialServer = request.getfixturevalue(name)
            assert server.leftovers() == []
            assert [path.name for path in server.clips() if not CLIP_NAME.fullmatch(path.name)] == []
