"""The cluster of examples/cluster, started by its one command over a real PostgreSQL and a real Redis."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from websockets.asyncio.client import ClientConnection, connect

from soak.cluster import all_served, differences, messengers
from soak.messengers import FormMessenger, User
from tests.cluster_process import REPLICAS, TOKENS, ClusterProcess, needs_haproxy
from tests.postgres_server import PostgresServer
from tests.redis_server import DURABLE, RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

EACH = 2
"""Clients of each of three kinds."""
PACE_S = 0.3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcess]:
    needs_haproxy()
    folder = tmp_path_factory.mktemp("cluster")
    with (
        PostgresServer() as postgres,
        RedisServer(folder / "redis", DURABLE) as redis,
        ClusterProcess(folder, database_url=postgres.url(), redis_url=redis.url) as running,
    ):
        yield running
        assert running.stop() == 0  # by Ctrl-C
        assert not running.left()


def bob(cluster: ClusterProcess) -> User:
    """A user under no load."""
    return User(cluster.url, "bob", TOKENS["bob"])


async def device(user: User, besides: str = "") -> tuple[ClientConnection, str]:
    """Open a socket of PiChat at another replica than that one; gives it and its replica."""
    while True:
        socket = await connect(user.address("/pi/ws"), additional_headers=user.headers, proxy=None)
        assert socket.response is not None
        replica = socket.response.headers["X-Served-By"]
        if replica != besides:
            await asked(socket, "get_settings")  # once it is answered, the device hears of the others
            return socket, replica
        await socket.close()


async def asked(socket: ClientConnection, action: str, **payload: object) -> list[dict[str, Any]]:
    """Send a request and give the frames up to its last answer."""
    await socket.send(json.dumps({"action": action, "payload": payload, "request_id": action}))
    frames = [await following(socket)]
    while frames[-1]["action"] == "message_created":
        frames.append(await following(socket))
    return frames


async def following(socket: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    with anyio.fail_after(30):
        frame: dict[str, Any] = json.loads(await socket.recv())
    return frame


def plain(frames: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Frames without the ids of requests, which only the asking device sees."""
    return [(frame["action"], frame["payload"]) for frame in frames]


def answered_by(cluster: ClusterProcess, replica: str) -> float:
    """Messages that a replica has answered since it was started."""
    figures = httpx.get(f"http://127.0.0.1:{cluster.port(replica)}/metrics", trust_env=False).text
    return sum(map(float, re.findall(r"^jackfield_messages_total\{.*\} (\S+)$", figures, re.MULTILINE)))


def test_requests_go_to_all_replicas_under_an_id_of_their_own(cluster: ClusterProcess) -> None:
    answers: list[httpx.Response] = []
    with httpx.Client(trust_env=False) as client:
        while {answer.headers["X-Served-By"] for answer in answers} != set(REPLICAS):
            assert len(answers) < 300  # one may be taken for dead for a moment, on a machine that is busy
            answers.append(client.get(f"{cluster.url}/health").raise_for_status())
        mine = client.get(f"{cluster.url}/health", headers={"X-Request-Id": "of-the-client"})
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(answers)
    assert all(re.fullmatch(r"[0-9a-f-]{36}", found) for found in ids)
    assert mine.headers["X-Request-Id"] == "of-the-client"


def test_rates_count_over_all_replicas_by_the_clients_address(cluster: ClusterProcess) -> None:
    def guesses(address: str, times: int) -> list[int]:
        headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": "192.0.2.1"}
        with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
            found = [client.get(f"{cluster.url}/app/chats", headers=headers) for _ in range(times)]
        return [response.status_code for response in found]

    statuses = guesses("127.0.0.2", 100)
    assert 60 <= statuses.count(401) < 75  # 60 a minute; each of three replicas alone would let all in
    assert statuses[-1] == 429
    assert guesses("127.0.0.3", 1) == [401]


async def test_devices_of_a_user_at_different_replicas_stay_in_step(cluster: ClusterProcess) -> None:
    one, replica = await device(bob(cluster))
    other, _ = await device(bob(cluster), besides=replica)
    async with one, other:
        for asking, hearing in ((one, other), (other, one)):
            told = await asked(asking, "create_conversation", title="Shared")
            conversation = told[0]["payload"]["conversation"]["id"]
            told += await asked(asking, "send_message", conversation_id=conversation, content="hello")
            assert [frame["action"] for frame in told[1:]] == ["message_created", "assistant_message"]
            assert plain([await following(hearing) for _ in told]) == plain(told)


async def test_a_killed_replica_costs_no_acknowledged_message_and_comes_back(
    cluster: ClusterProcess,
) -> None:
    async with messengers(cluster.url, EACH, ["default"], pace_s=PACE_S) as clients:
        await all_served(clients, time.monotonic())
        ready = cluster.output().count("| two is ready")
        killed_s = time.monotonic()
        cluster.tell("two", signal.SIGKILL)
        await to_thread.run_sync(cluster.wait_for, "| two is ready", ready + 1)
        await all_served(clients, time.monotonic())
        with anyio.fail_after(30):
            while not await to_thread.run_sync(answered_by, cluster, "two"):
                await anyio.sleep(0.05)
        assert "two was ended by SIGKILL; it is started again" in cluster.output()

    waits_s = {client.name: round(client.journal.longest_wait_s(killed_s), 2) for client in clients}
    assert max(waits_s.values()) < 40, waits_s
    assert sum(client.journal.connections for client in clients) > 2 * EACH, "no socket was lost"
    assert await differences(clients) == []


async def test_restarting_all_replicas_one_after_the_other_loses_no_request(
    cluster: ClusterProcess,
) -> None:
    async with messengers(cluster.url, EACH, ["ann"], pace_s=PACE_S) as clients:
        await all_served(clients, time.monotonic())
        before = cluster.output().count("| all replicas have been restarted")
        pids = [cluster.pid(name) for name in REPLICAS]
        await to_thread.run_sync(cluster.roll)
        await to_thread.run_sync(cluster.wait_for, "| all replicas have been restarted", before + 1)
        await all_served(clients, time.monotonic())
        assert not set(pids) & {cluster.pid(name) for name in REPLICAS}
        for name in REPLICAS:  # each was taken out by its own word, before it stopped listening
            assert f"replicas/{name} is DOWN, reason: Layer7 wrong status, code: 503" in cluster.output()

    for client in clients:  # an answer that was under way on a socket is to be looked for
        allowed = set() if isinstance(client, FormMessenger) else {"socket closed 1001"}
        assert {how for _, how in client.journal.failures} <= allowed, client.name
    assert await differences(clients) == []


def test_a_cluster_without_its_stores_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    needs_haproxy()
    cluster = ClusterProcess(
        tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none", redis_url="redis://127.0.0.1:1/0"
    )
    with pytest.raises(RuntimeError, match="one ended with 2 before everything was ready"), cluster:
        pass
    assert "[session.records]" in cluster.output()
    assert "See --help" in cluster.output()
