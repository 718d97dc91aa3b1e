"""chat-app, sections 6 and 7: where chats are kept, restarts, and several servers over one store."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.chat_app import METER, contents, generate, page, stats
from tests.contracts.harness import ServerFactory, Tree, TrialServer, merged
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Tree]:
    """The configuration of a chat app over a database of its own."""
    with postgres.database() as url:
        yield merged(METER, {"session": {"use": "sql", "options": {"folder": None, "url": url}}})


@pytest.fixture(scope="module")
def pair_on_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TrialServer, TrialServer]]:
    """Two servers over one Redis."""
    folder = tmp_path_factory.mktemp("pair")
    with RedisServer(folder / "redis") as redis:
        options = {"folder": None, "url": redis.url, "accept_loss": True}
        config = merged(METER, {"session": {"use": "redis", "options": options}})
        with TrialServer(folder / "one", config) as one, TrialServer(folder / "two", config) as two:
            yield one, two


@pytest.mark.contract("CA-14", "CA-31")
@pytest.mark.timeout(120)
def test_chats_in_postgresql_survive_a_restart(database: Tree, tmp_path: Path) -> None:
    with TrialServer(tmp_path / "one", database) as server:
        with page(server) as one:
            chat_id = one.say("My name is Ann")[0]["chat_id"]
            one.say("slow")
        chats = server.client.get("/chats").json()
        chat = server.client.get(f"/chat/{chat_id}").json()
        os.kill(server.pid, signal.SIGKILL)

    with TrialServer(tmp_path / "two", database) as server:
        assert server.client.get("/chats").json() == chats
        assert server.client.get(f"/chat/{chat_id}").json() == chat
        assert contents(chat) == ["My name is Ann", "You said: My name is Ann", "slow", "You said: slow"]
        assert stats(server)["tokens_used"] == 0, "figures are of the process"
        with page(server, chat_id) as one, server.noting("llm") as asked:
            assert contents(one.events("chat_history")[0]) == contents(chat)
            status = one.say("What is my name?")[1]
        assert [text for _, text in asked[0]["messages"][1:]] == [*contents(chat), "What is my name?"]
        assert status["tokens_total"] == 3 * 42, "the tokens of a chat are of the chat"


@pytest.mark.contract("CA-15", "CA-30")
def test_any_store_with_lasting_chats_fits(start: ServerFactory) -> None:
    server = start("documents", {**METER, "session": {"use": "trial_documents", "options": None}})
    with page(server) as one:
        chat_id = one.say("Hello")[0]["chat_id"]
        with page(server, chat_id) as two:
            two.events("chat_history")
            status = one.say("and again")[1]
            assert contents(two.events("chat_history")[0]) == ["and again", "You said: and again"]
    assert status["tokens_total"] == 84
    assert generate(server, "alone", store=False)["message"] == "You said: alone"
    assert server.client.get("/chats").json()["chats"][0]["message_count"] == 4


@pytest.mark.contract("CA-14", "CA-30")
def test_a_store_without_lasting_chats_stops_the_start(tmp_path: Path) -> None:
    config = {**METER, "session": {"use": "trial"}}

    with pytest.raises(RuntimeError, match="records"):
        TrialServer(tmp_path / "server", config).__enter__()


def keeps_in_step(first: TrialServer, second: TrialServer) -> None:
    """Two servers over one store, pages on both, one chat."""
    with page(first) as one:
        chat_id = one.say("Hello")[0]["chat_id"]
        with page(second, chat_id) as two, page(second, chat_id) as three, page(second) as elsewhere:
            for other in (two, three):
                assert contents(other.events("chat_history")[0]) == ["Hello", "You said: Hello"]
            own = one.say("from one")[2]
            assert two.events("chat_history") == three.events("chat_history") == [own]
            back = two.say("from two")[2]
            assert one.events("chat_history") == three.events("chat_history") == [back]
            generate(first, "by post", chat_id=chat_id)
            told = [other.events("chat_history")[0] for other in (one, two, three)]
            assert [contents(event) for event in told] == [["by post", "You said: by post"]] * 3
            assert {event["append"] for event in told} == {True}
            assert one.quiet()
            assert two.quiet()
            assert elsewhere.quiet()
            assert one.say("last")[1]["tokens_total"] == 5 * 42, "both servers count together"


@pytest.mark.contract("CA-28")
@pytest.mark.timeout(120)
def test_sockets_of_two_servers_over_redis_stay_in_step(
    pair_on_redis: tuple[TrialServer, TrialServer],
) -> None:
    keeps_in_step(*pair_on_redis)


@pytest.mark.contract("CA-28", "CA-14")
@pytest.mark.timeout(120)
def test_sockets_of_two_servers_over_postgresql_stay_in_step(database: Tree, tmp_path: Path) -> None:
    with TrialServer(tmp_path / "one", database) as one, TrialServer(tmp_path / "two", database) as two:
        keeps_in_step(one, two)


@pytest.mark.contract("CA-28")
@pytest.mark.timeout(120)
def test_messages_sent_at_once_to_two_servers_are_told_to_each_whole_and_once(
    pair_on_redis: tuple[TrialServer, TrialServer],
) -> None:
    first, second = pair_on_redis
    with page(first) as one:
        chat_id = one.say("Hello")[0]["chat_id"]
        with page(second, chat_id) as two, page(second, chat_id) as watcher:
            two.events("chat_history")
            watcher.events("chat_history")
            for number in range(3):
                one.send(message=f"one {number}")
                two.send(message=f"two {number}")
            told = [contents(watcher.events("chat_history")[0]) for _ in range(6)]
            assert watcher.quiet()
    expected = [f"{name} {number}" for name in ("one", "two") for number in range(3)]
    assert sorted(question for question, _ in told) == sorted(expected)
    assert all(answer == f"You said: {question}" for question, answer in told)
