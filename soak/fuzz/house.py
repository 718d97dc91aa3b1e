"""The server that is fuzzed: every door with every kind of authentication, in a process of its own.

Behind its proxy stands a second server, beside it the service that `http_verify` asks.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
import psutil

from jackfield.models import is_fetched
from soak.server import Census, Holding
from tests.redis_server import free_port
from tests.server_process import ServerProcess
from tests.wallets import DOMAIN, Wallet

PREFIX: Final = "You said: "
HEARD: Final = "one two three"
DEVICE_TOKEN: Final = secrets.token_urlsafe(24)
SERVICE_TOKEN: Final = secrets.token_urlsafe(24)
_KEY: Final = secrets.token_urlsafe(48)
_EMAIL: Final = "fuzzer@example.com"
_PASSWORD: Final = "correct horse battery staple"
_ADDRESS: Final = 'public_url = "https://fuzz.example"'
_ROOT: Final = Path(__file__).parents[2]
_DOORS: Final = _ROOT / "soak" / "doors"
_TROUBLE: Final = re.compile(
    r"Traceback|never retrieved|never awaited|was destroyed but| - (ERROR|CRITICAL) - |Fatal|Segmentation"
)
_ENTRY: Final = re.compile(r"\n(?=\d{4}-\d\d-\d\d )")
_STAMP: Final = re.compile(r"^\d{4}-[-\d :,]+|\[req_\w+\]$")
_MOST_LINES: Final = 40
_PATIENCE_S: Final = 20.0
_LOOK_S: Final = 0.25
_PLACE_S: Final = 30.0

_COMMON: Final = """
[server]
port = 0
log_level = "WARNING"
{address}
[stt]
use = "scripted"
options.transcripts = ["{heard}"]
[tts]
use = "tone"
options.character_ms = 5
[limits]
user_per_minute = 100000000
session_per_minute = 100000000
address_per_minute = 100000000
[timeouts]
request_seconds = {request_s}
"""

_BACKEND: Final = """
[llm]
use = "echo"
options.prefix = "{prefix}"
[session]
use = "memory"
[audio]
directory = "clips"
[[transport]]
use = "relay_chat"
"""

_HOUSE: Final = """
[llm]
use = "echo"
options.prefix = "{prefix}"
[llm.named.small]
use = "echo"
[vad]
use = "{vad}"
[session]
use = "sql"
options = {{ url = "{database}", pool_size = 2 }}
[scenarios.quiz]
instructions = "You host a quiz."
[audio]
directory = "clips"
max_total_bytes = 20000000

[auth.people]
use = "accounts"
options = {{ secret_key = "{key}", {cheap}, registrations_per_hour = 1000000, failures = 1000000 }}
[auth.devices]
use = "api_token"
options.token = "{device_token}"
[auth.wallets]
use = "wallet"
options = {{ secret_key = "{key}", domain = "{domain}" }}
[auth.service]
use = "http_verify"
options = {{ url = "{service}", cache_s = 3600 }}

[[extension]]
use = "soak_scanner"
[[extension]]
use = "cache"
options.faq = [{{ questions = ["Who are you?"], answer = "A server." }}]

[[transport]]
use = "relay_chat"
mount = "/relay"
options = {{ history = true, include_transcript = true }}
[[transport]]
use = "relay_chat"
mount = "/relay-people"
auth = "people"
[[transport]]
use = "relay_chat"
mount = "/relay-wallets"
auth = "wallets"
[[transport]]
use = "chat_app"
mount = "/chat"
[[transport]]
use = "chat_app"
mount = "/chat-service"
auth = "service"
[[transport]]
use = "pichat"
mount = "/pi"
[[transport]]
use = "pichat"
mount = "/pi-devices"
auth = "devices"
[[transport]]
use = "voice_socket"
mount = "/voice"
[[transport]]
use = "voice_socket"
mount = "/voice-people"
auth = "people"
[[transport]]
use = "smart_proxy"
mount = "/proxy"
options.backend.url = "{backend}"
[[transport]]
use = "smart_proxy"
mount = "/proxy-devices"
auth = "devices"
[transport.options]
backend.url = "http://127.0.0.1:{nobody}"
fallback.use = "assistant"
clips.directory = "proxied"
push_replies = true
[[transport]]
use = "speech_assistant"
mount = "/speech"
[transport.options]
connect_s = 2
offer_s = 20
sessions_per_user = 20
telephone.verify_signatures = false
[[transport]]
use = "speech_assistant"
mount = "/speech-people"
auth = "people"
[transport.options]
connect_s = 2
offer_s = 20
sessions_per_user = 20
[[transport]]
use = "console"
mount = "/console"
[[transport]]
use = "soak_census"
"""
_CHEAP: Final = "hash_memory_kib = 8192, hash_rounds = 1, hash_lanes = 1"


class House:
    """The servers; a context manager, inside which they listen. `folder` is theirs alone.

    `database` is the address of the database, `request_s` the time that a request may take.
    """

    def __init__(
        self, folder: Path, *, database: str = "sqlite:///house.db", request_s: float = 20.0
    ) -> None:
        self.authorization: Mapping[str, str] = {}
        """The header of somebody who has signed in, by the beginning of the paths where that is asked for."""
        self.subjects: Mapping[str, str] = {}
        """Who that is, as the doors call them, by the same."""
        self._folder = folder
        self._database = database
        self._request_s = request_s
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._backend = stack.enter_context(self._started("backend", _BACKEND.format(prefix=PREFIX)))
            service = stack.enter_context(_verifier())
            config = _HOUSE.format(
                prefix=PREFIX,
                database=self._database,
                key=_KEY,
                cheap=_CHEAP,
                device_token=DEVICE_TOKEN,
                domain=DOMAIN,
                service=service,
                backend=self._backend.url,
                nobody=free_port(),
                vad="silero" if is_fetched("silero-vad") else "trial",
            )
            self._server = stack.enter_context(self._started("house", config, _ADDRESS))
            self.authorization = self._signed_in()
            self._stack = stack.pop_all()
        self._process = psutil.Process(self._server.pid)
        self._greeted = {server: len(server.output()) for server in (self._server, self._backend)}
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    @property
    def port(self) -> int:
        """The port of that."""
        return urlsplit(self.url).port or 0

    @property
    def client(self) -> httpx.Client:
        """A well-behaved client."""
        return self._server.client

    def headers(self, mount: str) -> Mapping[str, str]:
        """What says at a mount who somebody is."""
        token = self.authorization.get(mount)
        return {"Authorization": token} if token else {}

    def session(self, mount: str) -> Mapping[str, str]:
        """Make a session at a mount, once there is place for one: what others made expires."""
        until_s = time.monotonic() + _PLACE_S
        while (answer := self._asked_for_session(mount)).status_code == 429 and time.monotonic() < until_s:
            time.sleep(_LOOK_S)
        made: dict[str, str] = answer.raise_for_status().json()
        return {name: made[name] for name in ("session_id", "client_secret")}

    def _asked_for_session(self, mount: str) -> httpx.Response:
        return self.client.get(f"{mount}/realtime/session", headers=self.headers(mount))

    def troubles(self) -> list[str]:
        """What is in the logs and should not be, each kind once, and whether a server is gone."""
        found = [] if self._process.is_running() else ["the server is gone"]
        kinds: dict[str, list[str]] = {}
        for server, greeted in self._greeted.items():
            for entry in _ENTRY.split(server.output()[greeted:]):
                if _TROUBLE.search(entry):
                    kinds.setdefault(_kind(entry), []).append(entry)
        return found + [f"{len(entries)} times in the log: {_told(entries[0])}" for entries in kinds.values()]

    def warnings(self) -> int:
        """Count what the servers have written, trouble or not."""
        return sum(server.output().count(" - WARNING - ") for server in self._greeted)

    def holding(self, *, objects: bool = True) -> Holding:
        """Count what the server with the doors holds."""
        census = Census(**self.client.get("/census", params={"objects": objects}).raise_for_status().json())
        return Holding.of(self._process, census)

    def left(self, idle: Holding) -> Mapping[str, int]:
        """What is held beyond what was held when idle, once everything had time to end; nothing, ever."""
        until_s = time.monotonic() + _PATIENCE_S
        while (left := _beyond(self.holding(), idle)) and time.monotonic() < until_s:
            time.sleep(_LOOK_S)
        return left

    def _started(self, name: str, config: str, address: str = "") -> ServerProcess:
        folder = self._folder / name
        folder.mkdir(parents=True)
        common = _COMMON.format(heard=HEARD, request_s=self._request_s, address=address)
        (folder / "jackfield.toml").write_text(common + config)
        paths = filter(None, (str(_DOORS), str(_ROOT), os.environ.get("PYTHONPATH")))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return ServerProcess(folder, ["jackfield.toml"], environment)

    def _signed_in(self) -> Mapping[str, str]:
        client = self._server.client
        account = {"email": _EMAIL, "password": _PASSWORD}
        person_id = client.post("/relay-people/register", json=account).raise_for_status().json()["id"]
        form = {"username": _EMAIL, "password": _PASSWORD}
        answer = client.post("/relay-people/token", data=form).raise_for_status().json()
        person = str(answer["access_token"])
        with httpx.Client(base_url=f"{self.url}/relay-wallets") as page:
            owner = Wallet().sign_in(page)
        self.subjects = {"/relay-people": person_id, "/proxy-devices": "default"}
        tokens = {
            "/relay-people": person,
            "/voice-people": person,
            "/speech-people": person,
            "/relay-wallets": owner,
            "/chat-service": SERVICE_TOKEN,
            "/pi-devices": DEVICE_TOKEN,
            "/proxy-devices": DEVICE_TOKEN,
        }
        return {mount: f"Bearer {token}" for mount, token in tokens.items()}


def _beyond(now: Holding, idle: Holding) -> Mapping[str, int]:
    """Without the threads that the event loop keeps for the next that needs one."""
    pooled = ("threads", "thread AnyIO worker thread")
    return {name: count for name, count in now.beyond(idle).items() if name not in pooled}


def _kind(entry: str) -> str:
    """What entries of one cause have in common: where they come from, and the error's class."""
    lines = entry.rstrip().splitlines()
    places = [line for line in lines if line.lstrip(" |").startswith("File ") and "site-packages" not in line]
    said = _STAMP.sub("", lines[-1]).strip()
    return f"{places[-1] if places else ''} {said.partition(':')[0]}"


def _told(entry: str) -> str:
    lines = entry.splitlines()
    return "\n".join(lines if len(lines) <= _MOST_LINES else [lines[0], *lines[-_MOST_LINES:]])


class _Verify(BaseHTTPRequestHandler):
    """Knows one token."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == f"Bearer {SERVICE_TOKEN}"
        body = json.dumps({"user_id": "fuzzer", "name": "Fuzzer"} if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library names it
        """Say nothing."""


@contextmanager
def _verifier() -> Iterator[str]:
    """The service; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Verify) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/whoami"
        finally:
            server.shutdown()
