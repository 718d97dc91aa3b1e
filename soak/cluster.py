"""Clusters: replicas behind a balancer are killed at random while clients talk, for minutes.

Whatever was acknowledged must be in the history in the end, once and in order, and after each kill every
client must be served again. What was under way is in doubt: its client looks before it sends it again.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import httpx
from anyio import to_thread

from soak.journal import Journal
from soak.messengers import MESSENGERS, Messenger, User
from soak.printing import Printing
from tests.cluster_process import REPLICAS, TOKENS, ClusterProcess
from tests.postgres_server import PostgresServer
from tests.redis_server import DURABLE, RedisServer

SERVED_S: Final = 60.0
"""Within which every client must be served again; much more than a conversation waits for a dead replica."""
USERS: Final = ("default", "ann")
_PACE_S: Final = 0.15
_PAUSE_S: Final = (2.0, 8.0)
"""Between two kills, while all is well."""
_PAGE: Final = 500
_MOST_SHOWN: Final = 20


@dataclass
class Kill:
    """A replica that was ended: at once, or asked to stop."""

    replica: str
    by: signal.Signals
    at_s: float
    waits_s: Mapping[str, float] = field(default_factory=dict)
    """The longest wait of a message, by kind of client."""


@asynccontextmanager
async def messengers(
    url: str, each: int, names: Sequence[str], *, pace_s: float
) -> AsyncIterator[list[Messenger]]:
    """Clients, so many of each kind, that talk inside of the block, and finish their messages at its end."""
    users = [User(url, name, TOKENS[name]) for name in names]
    clients: list[Messenger] = []
    for kind in MESSENGERS:
        for number in range(each):
            user = users[number % len(users)]
            clients.append(kind(user, f"{kind.kind}-{user.name}-{number}", pace_s))
    stopping = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for client in clients:
            tasks.start_soon(client.run, stopping)
        yield clients
        stopping.set()


async def all_served(clients: Sequence[Messenger], since_s: float) -> None:
    """Wait until every client has sent a message since, and got its acknowledgement.

    :raises TimeoutError: when that takes too long.
    """
    with anyio.fail_after(SERVED_S):
        while not all(client.journal.served_since(since_s) for client in clients):
            await anyio.sleep(0.02)


def waits_s(clients: Sequence[Messenger], since_s: float) -> dict[str, float]:
    """The longest wait of a message since, by kind of client."""
    waits: dict[str, float] = {}
    for client in clients:
        longest = max(waits.get(client.kind, 0.0), client.journal.longest_wait_s(since_s))
        waits[client.kind] = round(longest, 3)
    return waits


async def differences(clients: Sequence[Messenger]) -> list[str]:
    """Everything that is wrong with what the cluster has of what it acknowledged."""
    wrong: list[str] = []
    for user in {client.user for client in clients}:
        talks = await stored(user)
        for client in clients:
            if client.user == user:
                first = client.journal.asked[0]
                id_ = client.conversation or next(
                    (key for key, said in talks.items() if _begins(said, first)), ""
                )
                wrong += client.journal.differences(talks.pop(id_, []))
        wrong += [
            f"{user.name} has a conversation of {len(said)} messages that nobody led"
            for said in talks.values()
        ]
    return wrong


def _begins(messages: Sequence[Mapping[str, Any]], text: str) -> bool:
    return bool(messages) and messages[0]["content"] == text


async def stored(user: User) -> dict[str, list[dict[str, Any]]]:
    """The messages of every conversation of a user, oldest first, by its id, as the cluster gives them."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with httpx.AsyncClient(base_url=f"{user.url}/pi/api", headers=user.headers, timeout=60) as http:
        listed = (await http.get("/conversations", params={"limit": 200})).raise_for_status().json()
        for conversation in listed["conversations"]:
            path = f"/conversations/{conversation['id']}/messages"
            messages: list[dict[str, Any]] = []
            before: dict[str, str] = {}
            while True:
                page = (await http.get(path, params={"limit": _PAGE, **before})).raise_for_status().json()
                messages[:0] = page["messages"]
                if not page["has_more"]:
                    break
                before = {"before": messages[0]["id"]}
            found[conversation["id"]] = messages
    return found


@dataclass
class Result(Printing):
    """What came of a trial."""

    minutes: float
    seed: int
    each: int
    kills: list[Kill] = field(default_factory=list)
    journals: list[Journal] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Why the trial failed; nothing when it did not."""
        unhurt = any(kill.by == signal.SIGKILL for kill in self.kills) and not any(
            journal.failures for journal in self.journals
        )
        return [*self.wrong, *(["nothing was lost on its way: was it killed under load?"] if unhurt else [])]

    def figures(self) -> dict[str, object]:
        """Everything measured, as JSON has it."""
        failures = Counter(how for journal in self.journals for _, how in journal.failures)
        killed = [kill for kill in self.kills if kill.by == signal.SIGKILL]
        stopped = [kill for kill in self.kills if kill.by == signal.SIGTERM]
        return {
            "verdict": "failed" if self.problems() else "passed",
            "problems": self.problems()[:_MOST_SHOWN],
            "minutes": self.minutes,
            "seed": self.seed,
            "clients": len(self.journals),
            "replicas killed": len(killed),
            "replicas stopped by SIGTERM": len(stopped),
            "messages acknowledged": sum(len(journal.asked) for journal in self.journals),
            "in doubt that were stored": sum(journal.found for journal in self.journals),
            "in doubt that were not": sum(journal.repeated for journal in self.journals),
            "ways in which they were lost": dict(failures.most_common()),
            "sockets opened": sum(journal.connections for journal in self.journals),
            "longest wait after a kill, s": _longest(killed),
            "median of those": _median(killed),
            "longest wait around a SIGTERM, s": _longest(stopped),
        }


async def endanger(minutes: float, seed: int, each: int) -> Result:
    """Hold the trial with so many clients of each of three kinds; says how it went."""
    result = Result(minutes, seed, each)
    result.say(f"cluster: {3 * each} clients, {minutes:g} minutes, replicas die at random, seed {seed}")
    postgres = await to_thread.run_sync(PostgresServer)
    with TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder) / "redis", DURABLE)
        try:
            await to_thread.run_sync(postgres.start)
            await to_thread.run_sync(redis.start)
            cluster = ClusterProcess(Path(folder), database_url=postgres.url(), redis_url=redis.url)
            with cluster:
                await _hold(cluster, result)
            result.wrong += [f"process {process.pid} was left" for process in cluster.left()]
        finally:
            redis.kill()
            await to_thread.run_sync(postgres.close)
    for key, value in result.figures().items():
        result.say(f"  {key}: {value}")
    result.say("FAILED" if result.problems() else "PASSED")
    return result


async def _hold(cluster: ClusterProcess, result: Result) -> None:
    dice = random.Random(result.seed)
    until_s = time.monotonic() + 60 * result.minutes
    async with messengers(cluster.url, result.each, USERS, pace_s=_PACE_S) as clients:
        result.journals += [client.journal for client in clients]
        await all_served(clients, time.monotonic())
        while time.monotonic() < until_s:
            await anyio.sleep(dice.uniform(*_PAUSE_S))
            by = dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            try:
                result.kills.append(await _kill(cluster, clients, dice.choice(REPLICAS), by))
            except TimeoutError:
                result.wrong.append(
                    f"kill {len(result.kills)}: some client was not served for {SERVED_S:g} s"
                )
                break
            kill = result.kills[-1]
            result.say(f"  {kill.replica} {kill.by.name}: longest waits {dict(kill.waits_s)}")
    result.wrong += await differences(clients)


async def _kill(
    cluster: ClusterProcess, clients: Sequence[Messenger], replica: str, by: signal.Signals
) -> Kill:
    """End a replica, and wait until every client is served and the replica is back."""
    ready = cluster.output().count(f"| {replica} is ready")
    kill = Kill(replica, by, time.monotonic())
    cluster.tell(replica, by)
    await to_thread.run_sync(cluster.wait_for, f"| {replica} is ready", ready + 1)
    await all_served(clients, time.monotonic())
    kill.waits_s = waits_s(clients, kill.at_s)
    return kill


def _longest(kills: Sequence[Kill]) -> float:
    return max((wait_s for kill in kills for wait_s in kill.waits_s.values()), default=0.0)


def _median(kills: Sequence[Kill]) -> float:
    longest = sorted(max(kill.waits_s.values(), default=0.0) for kill in kills)
    return longest[len(longest) // 2] if longest else 0.0
