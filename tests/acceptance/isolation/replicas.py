"""Two servers over the same stores, each with every door, of which one may be killed and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.contracts.harness import Tree, TrialServer
from tests.contracts.sign_in import CHEAP, KEY
from tests.redis_server import free_port

INSTRUCTIONS: Final = "You speak with {username}."
_PLENTY: Final = 1_000_000_000


def config(session: Tree, port: int, backend_port: int) -> Tree:
    """Every door: with accounts, with wallets under `/w`, and open to all under `/o`."""
    people = {"registrations_per_hour": _PLENTY, "failures": _PLENTY, "token_ttl_s": 100_000}
    backend = {"url": f"http://127.0.0.1:{backend_port}", "probe_interval_s": 0.25}
    proxy = {"backend": backend, "fallback": {"use": "assistant"}, "push_replies": True}
    history = {"history": True}
    return {
        "server": {"port": port},
        "llm": {"use": "trial_witness", "options": None},
        "stt": {"use": "trial_witness", "options": None},
        "tts": None,
        "session": {"options": {"folder": None}, "max_messages": 40, **session},
        "assistant": {"instructions": INSTRUCTIONS},
        "extension": [{"use": "cache", "options": {"shared": True}}],
        "auth": {
            "people": {"use": "accounts", "options": {"secret_key": KEY, **CHEAP, **people}},
            "wallets": {"use": "trial"},
        },
        "transport": [
            {"use": "relay_chat", "auth": "people", "options": history},
            {"use": "smart_proxy", "mount": "/x", "auth": "people", "options": proxy},
            {"use": "chat_app", "mount": "/c", "auth": "people"},
            {"use": "pichat", "mount": "/p", "auth": "people"},
            {"use": "speech_assistant", "mount": "/s", "auth": "people"},
            {"use": "console", "mount": "/k", "auth": "people"},
            {"use": "relay_chat", "mount": "/w", "auth": "wallets", "options": history},
            {"use": "chat_app", "mount": "/w/c", "auth": "wallets"},
            {"use": "pichat", "mount": "/w/p", "auth": "wallets"},
            {"use": "speech_assistant", "mount": "/w/s", "auth": "wallets"},
            {"use": "relay_chat", "mount": "/o", "options": history},
            {"use": "chat_app", "mount": "/o/c"},
            {"use": "pichat", "mount": "/o/p"},
        ],
    }


class Replicas:
    """One server or two, each the proxies' backend of the other. A context manager."""

    def __init__(self, folder: Path, session: Tree, count: int = 2) -> None:
        ports = [free_port() for _ in range(count)]
        self._folders = [folder / f"replica-{number}" for number in range(count)]
        self._configs = [config(session, port, ports[(at + 1) % count]) for at, port in enumerate(ports)]
        self._servers: list[TrialServer] = []

    def __enter__(self) -> Self:
        try:
            for folder, each in zip(self._folders, self._configs, strict=True):
                self._servers.append(TrialServer(folder, each).__enter__())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for server in self._servers:
                stack.push(server)
                server.terminate()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._servers)

    def server(self, number: int) -> TrialServer:
        """One of them."""
        return self._servers[number % self.count]

    def others(self, number: int) -> Sequence[TrialServer]:
        """All, that one first."""
        return [self.server(number + step) for step in range(self.count)]

    def kill(self, number: int) -> None:
        """End one at once."""
        server = self.server(number)
        os.kill(server.pid, signal.SIGKILL)
        server.__exit__(None, None, None)

    def restart(self, number: int) -> None:
        """Start the one that was killed."""
        at = number % self.count
        self._servers[at] = TrialServer(self._folders[at], self._configs[at]).__enter__()
