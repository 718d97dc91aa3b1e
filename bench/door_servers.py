"""The servers whose doors are asked: Jackfield's and the floor's, each a process of its own, and one behind.

The proxies of both pass messages on to the same server, which is another floor: what it takes is the same.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.process import Server, running, serving

FLOOR: Final = "floor"
JACKFIELD: Final = "jackfield"
MOST_CLIENTS: Final = 64
TOKENS: Final[Sequence[str]] = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(MOST_CLIENTS)]
"""Of a user each, so that nobody is told of another's messages."""

_ROOT: Final = Path(__file__).parents[1]
_CONFIG: Final = """
[server]
log_level = "WARNING"
[llm]
use = "echo"
[limits]
enabled = false
[auth.users]
use = "api_token"
[auth.users.options.tokens]
{tokens}
[[transport]]
use = "relay_chat"
mount = "/relay"
[[transport]]
use = "smart_proxy"
mount = "/proxy"
options.backend.url = "http://127.0.0.1:{upstream}/relay"
[[transport]]
use = "chat_app"
mount = "/app"
auth = "users"
[[transport]]
use = "pichat"
mount = "/pi"
auth = "users"
[session]
"""
_MEMORY: Final = """
use = "memory"
options.max_records_bytes = 4000000000
"""


@contextmanager
def _redis() -> Iterator[str]:
    from tests.redis_server import RedisServer

    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        yield f'use = "redis"\noptions.url = "{server.url}"\n'


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f'use = "sql"\noptions.url = "sqlite:///{folder}/bench.db"\n'


@contextmanager
def _postgresql() -> Iterator[str]:
    from tests.postgres_server import PostgresServer

    with PostgresServer() as server:
        yield f'use = "sql"\noptions.url = "{server.url()}"\n'


@contextmanager
def _memory() -> Iterator[str]:
    yield _MEMORY


STORES: Final = {"memory": _memory, "sqlite": _sqlite, "redis": _redis, "postgresql": _postgresql}
"""How to have each session store; gives the lines of `[session]`."""


@contextmanager
def serve(stores: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Start the floor, and Jackfield once for each store: `jackfield` on memory, else `jackfield STORE`."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream = stack.enter_context(running(partial(_floor, 0), folder, _ROOT))
        found = {FLOOR: stack.enter_context(running(partial(_floor, upstream.port), folder, _ROOT))}
        for store in stores:
            session = stack.enter_context(STORES[store]())
            config = Path(folder, f"{store}.toml")
            config.write_text(_config(upstream.port) + session)
            name = JACKFIELD if store == "memory" else f"{JACKFIELD} {store}"
            found[name] = stack.enter_context(running(serving(config), folder, _ROOT))
        yield found


def _config(upstream: int) -> str:
    tokens = "\n".join(f'user-{number} = "{token}"' for number, token in enumerate(TOKENS))
    return _CONFIG.format(tokens=tokens, upstream=upstream)


def _floor(upstream: int, port: int) -> list[str]:
    sockets = "websockets-sansio"  # what Jackfield's own is made of
    return ["-m", "bench.door_floor", str(port), str(upstream), sockets, *TOKENS]
