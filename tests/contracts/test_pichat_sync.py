"""pichat: the devices of a user stay in step, on one server and on several."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.contracts.harness import ServerFactory, Tree, TrialServer, until
from tests.contracts.pichat_device import ANN_TOKEN, DEFAULT_TOKEN, Device, api, pichat, started
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture(scope="module")
def redis_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield {"use": "redis", "options": {"folder": None, "url": redis.url}}


@pytest.fixture(scope="module")
def postgresql_options() -> Iterator[Tree]:
    with PostgresServer() as postgres, postgres.database() as url:
        yield {"use": "sql", "options": {"folder": None, "url": url}}


@pytest.fixture(scope="module", params=["redis", "postgresql"])
def replicas(request: pytest.FixtureRequest, start: ServerFactory) -> tuple[TrialServer, TrialServer]:
    """Two servers over one store."""
    session: Tree = request.getfixturevalue(f"{request.param}_options")
    first, second = (started(start, f"{request.param}-{number}", session=session) for number in (1, 2))
    return first, second


def seen(one: Device, other: Device) -> str:
    """Do a little of everything on one device, and check that the other is told just that; gives an id."""
    created = one.ask("create_conversation", {"title": "Shared"})
    conversation: str = created["conversation"]["id"]
    renamed = one.ask("update_conversation", {"id": conversation, "title": "Renamed"})
    question, answer = one.say(conversation, "hello", is_audio=True)
    assert one.next()["action"] == "speech_audio"
    settings = one.ask("update_settings", {"voice_settings": {"accent": "british"}})
    deleted = one.ask("delete_conversation", {"id": conversation})
    told = [
        {"action": "conversation_created", "payload": created},
        {"action": "conversation_updated", "payload": renamed},
        {"action": "message_created", "payload": {"message": question}},
        {"action": "assistant_message", "payload": {"message": answer}},
        {"action": "settings_updated", "payload": settings},
        {"action": "conversation_deleted", "payload": deleted},
    ]
    assert [other.next() for _ in told] == told
    return conversation


@pytest.mark.contract("PI-16", "PI-37")
def test_another_socket_of_the_user_is_told_of_every_change(server: TrialServer) -> None:
    with Device(server) as one, Device(server) as other, Device(server, ANN_TOKEN) as stranger:
        seen(one, other)
        assert one.nothing_came()
        assert other.nothing_came()
        assert stranger.nothing_came()
        seen(other, one)


@pytest.mark.contract("PI-16")
def test_only_the_sender_gets_pieces_sound_and_request_ids(server: TrialServer) -> None:
    with Device(server) as one, Device(server) as other:
        conversation = one.ask("create_conversation", request_id="1")["conversation"]["id"]
        payload = {"conversation_id": conversation, "content": "hello", "stream": True, "is_audio": True}
        one.send("send_message", payload, request_id="2")
        while one.next()["action"] != "speech_audio":
            pass
        frames = [other.next() for _ in range(3)]
        actions = ["conversation_created", "message_created", "assistant_message"]
        assert [frame["action"] for frame in frames] == actions
        assert all(set(frame) == {"action", "payload"} for frame in frames)
        assert other.nothing_came()


@pytest.mark.contract("PI-16", "PI-37")
@pytest.mark.timeout(120)
def test_a_socket_at_another_server_is_told_of_every_change(
    replicas: tuple[TrialServer, TrialServer],
) -> None:
    first, second = replicas
    with Device(first) as one, Device(second) as other, Device(second, ANN_TOKEN) as stranger:
        for asking, told in ((one, other), (other, one)):
            created = asking.ask("create_conversation", {"title": "Shared"})
            conversation = created["conversation"]["id"]
            assert told.next() == {"action": "conversation_created", "payload": created}
            renamed = asking.ask("update_conversation", {"id": conversation, "title": "Renamed"})
            assert told.next() == {"action": "conversation_updated", "payload": renamed}
            question, answer = asking.say(conversation, "hello")
            assert told.next() == {"action": "message_created", "payload": {"message": question}}
            assert told.next() == {"action": "assistant_message", "payload": {"message": answer}}
            assert told.say(conversation, "and back")[1]["content"] == "You said: and back"
            assert [asking.next()["action"] for _ in range(2)] == ["message_created", "assistant_message"]
            settings = asking.ask("update_settings", {"selected_model": "gpt-3.5-turbo"})
            assert told.next() == {"action": "settings_updated", "payload": settings}
            asking.ask("update_settings", {"selected_model": "gpt-4"})
            assert told.next()["action"] == "settings_updated"
            asking.ask("delete_conversation", {"id": conversation})
            assert told.next() == {"action": "conversation_deleted", "payload": {"id": conversation}}
        assert one.nothing_came()
        assert other.nothing_came()
        assert stranger.nothing_came()


@pytest.mark.contract("PI-16", "PI-31")
@pytest.mark.timeout(120)
def test_what_a_route_changes_is_told_at_another_server(replicas: tuple[TrialServer, TrialServer]) -> None:
    first, second = replicas
    with Device(second) as device:
        created = api(first, "POST", "/conversations", json={"title": "By route"}).json()
        assert device.next() == {"action": "conversation_created", "payload": created}
        wanted = {"voice_settings": {"gender": "male"}}
        settings = api(first, "PATCH", "/settings", json=wanted).json()
        assert device.next() == {"action": "settings_updated", "payload": settings}
        api(first, "DELETE", f"/conversations/{created['conversation']['id']}")
        assert device.next()["action"] == "conversation_deleted"


@pytest.mark.contract("PI-07", "PI-41")
@pytest.mark.timeout(120)
def test_messages_that_are_sent_at_once_keep_their_order(replicas: tuple[TrialServer, TrialServer]) -> None:
    with Device(replicas[0]) as device:
        conversation = device.conversation()
        for number in range(9):
            payload = {"conversation_id": conversation, "content": str(number)}
            device.send("send_message", payload, request_id=str(number))
        frames = [device.next() for _ in range(18)]
    for action in ("message_created", "assistant_message"):
        order = [frame["request_id"] for frame in frames if frame["action"] == action]
        assert order == [str(number) for number in range(9)]


@pytest.mark.contract("PI-16")
@pytest.mark.timeout(120)
def test_after_a_time_without_the_store_sockets_are_told_everything_anew(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", ("--appendonly", "yes", "--appendfsync", "always")) as redis:
        session = {"use": "redis", "options": {"folder": None, "url": redis.url}}
        with (
            TrialServer(tmp_path / "one", pichat(session=session)) as first,
            TrialServer(tmp_path / "two", pichat(session=session)) as second,
            Device(first) as one,
            Device(second) as other,
        ):
            conversation = one.conversation("before")
            assert other.next()["action"] == "conversation_created"
            redis.kill()
            assert one.refused("get_conversations")["code"] == "store_unavailable"
            redis.start()
            until(lambda: second.client.get("/health").status_code == 200, "the store is back")
            until(lambda: first.client.get("/health").status_code == 200, "the store is back")
            for number in range(3):
                one.ask("update_conversation", {"id": conversation, "title": f"after {number}"})
            titles: list[str] = []
            while "after 2" not in titles:
                frame = other.next()
                found = frame["payload"].get("conversations") or [frame["payload"].get("conversation")]
                titles += [item["title"] for item in found if item]


@pytest.mark.contract("PI-37")
def test_a_dead_socket_never_holds_up_the_others_and_is_removed(server: TrialServer) -> None:
    """It does not read, with buffers so small that the first answers fill them."""
    gauge = 'jackfield_sockets{transport="pichat"}'
    with Device(server) as one, Device(server) as other:
        raw = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        headers = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}
        url = server.url.replace("http", "ws", 1) + "/ws"
        with connect(
            url, sock=raw, additional_headers=headers, proxy=None, max_queue=1, close_timeout=0.1
        ) as dead:
            dead.send(json.dumps({"action": "ping"}))
            dead.recv()
            until(lambda: server.figures()[gauge] == 3, "three sockets are open")
            conversation = one.conversation()
            assert other.next()["action"] == "conversation_created"
            for _ in range(300):
                one.say(conversation, "x" * 16_000)
                assert [other.next()["action"] for _ in range(2)] == ["message_created", "assistant_message"]
            until(lambda: server.figures()[gauge] == 2, "the dead socket is removed")


@pytest.mark.contract("PI-37")
def test_a_socket_that_closes_is_removed(start: ServerFactory) -> None:
    server = started(start, "counted")
    gauge = 'jackfield_sockets{transport="pichat"}'
    with Device(server), Device(server):
        until(lambda: server.figures()[gauge] == 2, "both are counted")
    until(lambda: server.figures()[gauge] == 0, "none is left")


@pytest.mark.contract("PI-39", "PI-16")
def test_another_users_conversations_can_neither_be_read_nor_changed(server: TrialServer) -> None:
    with Device(server) as owner, Device(server, ANN_TOKEN) as stranger:
        conversation = owner.conversation("Private")
        question, answer = owner.say(conversation, "private words")
        for action, payload in (
            ("get_conversation", {"id": conversation}),
            ("update_conversation", {"id": conversation, "title": "Mine"}),
            ("delete_conversation", {"id": conversation}),
            ("get_messages", {"conversation_id": conversation}),
            ("get_messages", {"conversation_id": conversation, "before": answer["id"]}),
            ("send_message", {"conversation_id": conversation, "content": "hello"}),
        ):
            assert stranger.refused(action, payload)["code"] == "conversation_not_found"
        mine = stranger.conversation()
        payload = {"conversation_id": mine, "before": question["id"]}
        assert stranger.refused("get_messages", payload)["code"] == "invalid_payload"
        listed = stranger.ask("get_conversations")["conversations"]
        assert conversation not in [item["id"] for item in listed]
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"title": "Mine"}),
            ("DELETE", "", None),
            ("GET", "/messages", None),
            ("POST", "/messages", {"content": "hello"}),
        ):
            response = api(server, method, f"/conversations/{conversation}{path}", ANN_TOKEN, json=body)
            assert (response.status_code, response.json()["code"]) == (404, "conversation_not_found")
        details = owner.ask("get_conversation", {"id": conversation})
        assert (details["conversation"]["title"], details["message_count"]) == ("Private", 2)
