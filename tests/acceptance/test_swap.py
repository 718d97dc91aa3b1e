"""Every plugin that comes along takes its place in a server, and one conversation goes through it.

Services are stood in for by servers on this machine that speak their protocols; the SDKs are real.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from websockets.sync.client import connect

from jackfield.contracts.session import Records, Shared, Signals, Windows
from jackfield.contracts.tts import IncrementalTTS
from jackfield.loader import Loader
from jackfield.plugin import KINDS, Kind, Role, Site
from tests.clamav_server import ClamavServer
from tests.plugins.azure_speech_senses import spoken
from tests.plugins.azure_speech_server import speech_server
from tests.plugins.extension.mcp_trial import Notes
from tests.plugins.http_service import Asked, Reply, serving
from tests.plugins.llm.openai_chat import said
from tests.plugins.realtime.openai_realtime_server import DEPLOYMENT, KEY as REALTIME_KEY, realtime_server
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.server_process import ServerProcess
from tests.transports.browser import Browser
from tests.wallets import DOMAIN, Wallet

ROOT: Final = Path(__file__).parents[2]
QUESTION: Final = ROOT / "examples" / "question.wav"
SENTENCE: Final = "What is the capital of Japan?"
ANSWER_PCM: Final = bytes(range(256)) * 200
KEY: Final = "a-key-that-opens-nothing"
SIGNING_KEY: Final = "Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6JgKe4"

BASE: Final[Mapping[str, Mapping[str, Any]]] = {
    "llm": {"use": "echo"},
    "stt": {"use": "scripted", "options": {"transcripts": [SENTENCE]}},
    "tts": {"use": "tone"},
    "session": {"use": "memory"},
}
ROLES: Final[Mapping[Role, type]] = {
    "windows": Windows,
    "records": Records,
    "signals": Signals,
    "shared": Shared,
}


@dataclass
class Services:
    """Addresses of what stands in for the services."""

    openai: str
    realtime: str
    azure_speech: str
    users: str
    redis: str
    postgresql: str
    folder: Path
    clamd: ClamavServer


@dataclass(frozen=True)
class Swap:
    """A plugin, and how it is set."""

    kind: Kind
    use: str
    options: Callable[[Services], Mapping[str, Any]] = field(default=lambda services: {})
    clip: Callable[[], bytes] = QUESTION.read_bytes
    sign_in: Callable[[httpx.Client], tuple[str, str]] = field(default=lambda client: ("default", KEY))
    """Gives a user's id, and the token that proves it."""
    talk: Callable[[ServerProcess], str] | None = None
    """Says the sentence through a door that is mounted at /door, and gives the answer."""

    def __str__(self) -> str:
        return f"{self.kind}-{self.use}"


def scanner(services: Services) -> Mapping[str, Any]:
    """Start clamd when it is needed: where there is none, only its own tests are skipped."""
    if not services.clamd.is_running:
        services.clamd.start()
    return {"address": services.clamd.unix}


def azure_words() -> bytes:
    return as_wav(spoken("what", "is", "the", "capital", "of", "japan"))


def with_account(client: httpx.Client) -> tuple[str, str]:
    account = {"email": "user@example.com", "password": "secure_password"}
    user: str = client.post("/register", json=account).raise_for_status().json()["id"]
    form = {"username": account["email"], "password": account["password"]}
    return user, client.post("/token", data=form).raise_for_status().json()["access_token"]


def with_wallet(client: httpx.Client) -> tuple[str, str]:
    wallet = Wallet()
    return wallet.address, wallet.sign_in(client)


def through_chat_app(server: ServerProcess) -> str:
    with connect(f"{server.url.replace('http', 'ws')}/door/ws/chat") as socket:
        socket.send(json.dumps({"message": SENTENCE}))
        answer: str = json.loads(socket.recv(10))["message"]
        return answer


def through_pichat(server: ServerProcess) -> str:
    with connect(f"{server.url.replace('http', 'ws')}/door/ws") as socket:
        socket.send('{"action": "create_conversation"}')
        conversation = json.loads(socket.recv(10))["payload"]["conversation"]["id"]
        message = {"conversation_id": conversation, "content": SENTENCE}
        socket.send(json.dumps({"action": "send_message", "payload": message}))
        while (frame := json.loads(socket.recv(10)))["action"] != "assistant_message":
            assert frame["action"] == "message_created"
        answer: str = frame["payload"]["message"]["content"]
        return answer


def through_smart_proxy(server: ServerProcess) -> str:
    form = {"message": SENTENCE, "type": "text", "sessionId": "s", "userId": "u", "username": "U"}
    answer: str = server.client.post("/door/chat", data=form).raise_for_status().json()["message"]
    return answer


def through_console(server: ServerProcess) -> str:
    settings = server.client.get("/door/settings.json").raise_for_status().json()
    form = {"message": SENTENCE, "type": "text", "sessionId": "s", "userId": "u", "username": "U"}
    response = server.client.post(f"{settings['chat']['mount']}/chat", data=form)
    answer: str = response.raise_for_status().json()["message"]
    return answer


def through_speech_assistant(server: ServerProcess) -> str:
    return anyio.run(hold_a_call, server.url)


async def hold_a_call(url: str) -> str:
    async with httpx.AsyncClient(base_url=f"{url}/door/realtime") as client, Browser(channel=True) as browser:
        session = (await client.get("/session")).raise_for_status().json()
        names = ("session_id", "client_secret")
        offer = {**{name: session[name] for name in names}, "sdp": await browser.offer()}
        answer = (await client.post("/signal", json=offer)).raise_for_status().json()
        await browser.accept(answer["sdp_answer"])
        await browser.say("text", text=SENTENCE)
        await browser.until_loud(0.2)
        said: str = (await browser.event("reply.finished"))["text"]
        return said


def in_a_call(server: ServerProcess) -> str:
    with connect(f"{server.url.replace('http', 'ws')}/voice") as socket:
        socket.send('{"type": "start"}')
        socket.send(json.dumps({"type": "text", "text": SENTENCE}))
        while True:
            message = socket.recv(10)
            if isinstance(message, str) and (told := json.loads(message))["type"] == "reply.finished":
                answer: str = told["text"]
                return answer.removeprefix("You said: ")


SWAPS: Final = (
    Swap("llm", "echo"),
    Swap("llm", "xllamacpp"),
    Swap("llm", "llama_cpp"),
    Swap(
        "llm", "openai", lambda services: {"base_url": f"{services.openai}/v1", "model": "m", "api_key": KEY}
    ),
    Swap(
        "llm",
        "azure_openai",
        lambda services: {"endpoint": services.openai, "deployment": "d", "api_key": KEY},
    ),
    Swap("stt", "scripted", lambda services: {"transcripts": [SENTENCE]}),
    Swap("stt", "faster_whisper"),
    Swap("stt", "speech_recognition", lambda services: {"engine": "sphinx"}),
    Swap("stt", "openai", lambda services: {"base_url": f"{services.openai}/v1", "api_key": KEY}),
    Swap(
        "stt",
        "azure",
        lambda services: {"host": services.azure_speech, "key": KEY, "language": "en-US"},
        azure_words,
    ),
    Swap("tts", "tone"),
    Swap("tts", "piper"),
    Swap("tts", "pyttsx3"),
    Swap("tts", "openai", lambda services: {"base_url": f"{services.openai}/v1", "api_key": KEY}),
    Swap("tts", "azure", lambda services: {"host": services.azure_speech, "key": KEY}),
    Swap(
        "realtime",
        "openai",
        lambda services: {"base_url": services.realtime, "api_key": REALTIME_KEY},
        talk=in_a_call,
    ),
    Swap(
        "realtime",
        "azure_openai",
        lambda services: {
            "endpoint": services.realtime.removesuffix("/v1"),
            "deployment": DEPLOYMENT,
            "api_key": REALTIME_KEY,
        },
        talk=in_a_call,
    ),
    Swap("session", "memory"),
    Swap("session", "redis", lambda services: {"url": services.redis}),
    Swap("session", "sql", lambda services: {"url": f"sqlite+aiosqlite:///{services.folder}/talk.db"}),
    Swap("session", "sql", lambda services: {"url": services.postgresql}),
    Swap("auth", "accounts", lambda services: {"secret_key": SIGNING_KEY}, sign_in=with_account),
    Swap("auth", "api_token", lambda services: {"token": KEY}),
    Swap("auth", "http_verify", lambda services: {"url": f"{services.users}/whoami"}),
    Swap(
        "auth",
        "wallet",
        lambda services: {"secret_key": SIGNING_KEY, "domain": DOMAIN},
        sign_in=with_wallet,
    ),
    Swap("extension", "cache"),
    Swap("extension", "chaos"),
    Swap("extension", "clamav", scanner),
    Swap("extension", "mcp", lambda services: {"servers": {"a": Notes(services.folder / "mcp").command()}}),
    Swap(
        "extension",
        "opentelemetry",
        lambda services: {"environment": {"OTEL_EXPORTER_OTLP_ENDPOINT": services.users}},
    ),
    Swap("vad", "silero"),
    Swap("transport", "chat_app", talk=through_chat_app),
    Swap("transport", "console", talk=through_console),
    Swap("transport", "pichat", talk=through_pichat),
    Swap("transport", "relay_chat"),
    Swap(
        "transport",
        "smart_proxy",
        lambda services: {"backend": {"url": "http://127.0.0.1:9"}, "fallback": {"use": "assistant"}},
        talk=through_smart_proxy,
    ),
    Swap("transport", "speech_assistant", talk=through_speech_assistant),
    Swap("transport", "voice_socket"),
)


async def openai_service(asked: Asked, reply: Reply) -> None:
    """Answer as OpenAI does, and Azure OpenAI."""
    if asked.path.endswith("/chat/completions"):
        await reply.begin()
        for piece in said("Tokyo", " is the capital."):
            await reply.send(piece)
        await reply.end()
    elif asked.path.endswith("/audio/transcriptions"):
        await reply.whole(200, {"text": SENTENCE})
    else:
        await reply.whole(200, ANSWER_PCM, content_type="audio/pcm")


async def users_service(asked: Asked, reply: Reply) -> None:
    """Know the user of a token."""
    if asked.headers.get("authorization") == f"Bearer {KEY}":
        await reply.whole(200, {"user_id": "default"})
    else:
        await reply.whole(401, {})


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        openai = stack.enter_context(portal.wrap_async_context_manager(serving(openai_service)))
        users = stack.enter_context(portal.wrap_async_context_manager(serving(users_service)))
        azure = stack.enter_context(speech_server())
        realtime = stack.enter_context(realtime_server())
        redis = stack.enter_context(RedisServer(folder / "redis"))
        postgres = stack.enter_context(stack.enter_context(PostgresServer()).database())
        clamd = ClamavServer(folder / "clamd")
        stack.callback(clamd.kill)
        yield Services(openai.url, realtime.url, azure.host, users.url, redis.url, postgres, folder, clamd)


def as_wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(pcm)
    return file.getvalue()


def toml(value: object) -> str:
    """Write a value of a configuration."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def configuration(swap: Swap, services: Services) -> str:
    """A configuration with the plugin in its place."""
    options = dict(swap.options(services))
    sections = {kind: dict(section) for kind, section in BASE.items()}
    doors: list[Mapping[str, Any]] = [{"use": "relay_chat"}]
    if swap.kind in BASE:
        sections[swap.kind] = {"use": swap.use, "options": options}
    elif swap.kind == "auth":
        sections["auth"] = {"users": {"use": swap.use, "options": options}}
        doors = [{"use": "relay_chat", "auth": "users"}]
    elif swap.kind in ("vad", "realtime"):
        sections[swap.kind] = {"use": swap.use, "options": options}
    if swap.kind == "realtime":
        sections["call"] = {"pipeline": "realtime"}
    if swap.kind in ("vad", "realtime") or swap.use == "voice_socket":
        doors = [{"use": "voice_socket"}, {"use": "relay_chat"}]
    elif swap.talk:
        doors = [{"use": swap.use, "mount": "/door", "options": options}, {"use": "relay_chat"}]
    lines = [f"{name} = {toml(section)}" for name, section in sections.items()]
    lines.append(f"transport = [{', '.join(toml(door) for door in doors)}]")
    if swap.kind == "extension":
        lines.append(f"extension = [{toml({'use': swap.use, 'options': options})}]")
    return "\n".join([*lines, "[server]", "port = 0"])


@pytest.mark.parametrize("swap", SWAPS, ids=str)
def test_a_conversation_goes_through_it(swap: Swap, services: Services, tmp_path: Path) -> None:
    config = tmp_path / "jackfield.toml"
    config.write_text(configuration(swap, services))
    with ServerProcess(tmp_path / "server", [str(config)], os.environ) as server:
        user, token = swap.sign_in(server.client) if swap.kind == "auth" else ("default", KEY)
        server.client.headers["Authorization"] = f"Bearer {token}"
        for kind, files in (("text", None), ("voice", {"audio": ("clip.wav", swap.clip(), "audio/wav")})):
            form = {"message": SENTENCE, "type": kind, "sessionId": "s", "userId": user, "username": "U"}
            answer = server.client.post("/chat", data=form, files=files)
            assert answer.status_code == 200, f"{answer.text}\n{server.output()}"
            assert answer.json()["message"].strip()
        clip: httpx.Response = server.client.get(answer.json()["audioUrl"])
        assert len(clip.content) > 500
        if swap.talk:
            assert swap.talk(server) == SENTENCE
        elif swap.kind in ("vad", "transport") and swap.use != "relay_chat":
            assert_it_talks(server)


def assert_it_talks(server: ServerProcess) -> None:
    """Hold a call through the client that comes along."""
    url = server.url.replace("http", "ws") + "/voice"
    client = ROOT / "examples" / "voice_client.py"
    command = [sys.executable, "-u", str(client), "--url", url, str(QUESTION)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=server.folder)
    assert f"Server: {SENTENCE}" in run.stdout, f"{run.stdout}{run.stderr}\n{server.output()}"


def test_no_plugin_that_comes_along_is_left_out() -> None:
    ours = {
        f"{kind}-{point.name}"
        for kind in KINDS
        for point in entry_points(group=f"jackfield.{kind}")
        if point.dist and point.dist.name == "jackfield"
    }
    assert {str(swap) for swap in SWAPS} == ours


@pytest.mark.parametrize("swap", SWAPS, ids=str)
def test_it_can_do_what_it_declares(swap: Swap, services: Services) -> None:
    loader = Loader()
    plugin = loader.load(swap.kind, swap.use, swap.kind)
    options = loader.validate(plugin, dict(swap.options(services)), swap.kind)
    capabilities = loader.capabilities(plugin, options, swap.kind)
    site = Site(swap.kind, swap.use, logging.getLogger(__name__))
    if swap.kind == "session":
        built = loader.build(plugin, options, site)
        assert {role for role, contract in ROLES.items() if isinstance(built, contract)} == {
            *capabilities.roles
        }
    elif swap.kind == "tts":
        assert capabilities.streaming == isinstance(loader.build(plugin, options, site), IncrementalTTS)
    assert not capabilities.network, "everything that it talks to here is on this machine"
    assert re.fullmatch(r"[^\n]{10,110}", plugin.info.summary)
