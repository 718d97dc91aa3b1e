"""chat-app, section 3: the events of the WebSocket."""

from __future__ import annotations

import httpx
import pytest
from websockets.sync.client import connect

from tests.contracts.chat_app import METER, Page, contents, page, stats
from tests.contracts.harness import ServerFactory, Tree, TrialServer, until


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return start("meter", METER)


def release(server: TrialServer, name: str) -> None:
    """Let the messages `hold NAME` be answered."""
    (server.desk / name).touch()


def asked(server: TrialServer, message: str) -> bool:
    """Whether the model was asked this."""
    told = [note["messages"] for note in server.journal("llm") if note["event"] == "asked"]
    return any(messages[-1] == ["user", message] for messages in told)


@pytest.mark.contract("CA-01", "CA-19")
def test_a_connection_is_registered_as_long_as_it_lasts(server: TrialServer) -> None:
    before = stats(server)["active_connections"]
    with page(server) as one, page(server) as two:
        assert one.quiet()
        assert two.quiet()
        assert stats(server)["active_connections"] == before + 2
        assert server.figures()['jackfield_sockets{transport="chat_app"}'] == before + 2
    until(lambda: stats(server)["active_connections"] == before, "both are gone")


@pytest.mark.contract("CA-19")
def test_a_client_that_vanishes_is_unregistered_and_its_turn_ends(server: TrialServer) -> None:
    before = stats(server)["active_connections"]
    with server.noting("llm") as notes, page(server) as one:
        one.send(event="user_message", message="hold for ever")
        until(lambda: asked(server, "hold for ever"), "the model is asked")
        one.socket.socket.close()
        until(lambda: stats(server)["active_connections"] == before, "it is gone")
        until(lambda: {"event": "closed", "message": "hold for ever"} in server.journal("llm"), "it ended")
    assert "answered" not in [note["event"] for note in notes]
    assert "hold for ever" not in server.client.get("/chats").text, "nothing of the turn is stored"


@pytest.mark.contract("CA-02", "CA-03")
def test_a_message_reaches_the_model_and_its_whole_answer_comes_back(server: TrialServer) -> None:
    with page(server) as one, server.noting("llm") as notes:
        answer, _, _ = one.say("Hello\r\n there ", id="m1")

    assert answer == {
        "event": "ai_response",
        "message": "You said: Hello\n there",
        "chat_id": answer["chat_id"],
        "id": "m1",
    }
    assert notes[0]["messages"][1:] == [["user", "Hello\n there"]]


@pytest.mark.contract("CA-02")
def test_the_model_is_told_what_was_said_before(server: TrialServer) -> None:
    with page(server) as one:
        first, _, _ = one.say("one")
        with server.noting("llm") as notes:
            second, _, _ = one.say("two")

    assert first["chat_id"] == second["chat_id"]
    assert [text for _, text in notes[0]["messages"][1:]] == ["one", "You said: one", "two"]


@pytest.mark.contract("CA-22")
def test_a_frame_without_event_but_with_message_is_a_message(server: TrialServer) -> None:
    with page(server) as one:
        one.send(message="Hello")
        answer, _, _ = one.events("ai_response", "backend_status", "chat_history")

    assert answer["message"] == "You said: Hello"
    assert "id" not in answer


@pytest.mark.contract("CA-27")
def test_an_answer_comes_in_pieces_only_when_asked_for(server: TrialServer) -> None:
    with page(server) as one:
        one.send(event="user_message", message="Hello", stream=True, id="m1")
        *deltas, answer, status, _ = one.events(
            "ai_response_delta", "ai_response_delta", "ai_response", "backend_status", "chat_history"
        )
        one.say("plain")

    assert [event["delta"] for event in deltas] == ["You said: ", "Hello"]
    assert answer["message"] == "You said: Hello"
    assert {event["id"] for event in (*deltas, answer, status)} == {"m1"}
    assert {event["chat_id"] for event in (*deltas, answer, status)} == {answer["chat_id"]}


@pytest.mark.contract("CA-21")
def test_answers_come_in_the_order_of_the_questions(server: TrialServer) -> None:
    with page(server) as one:
        for message in ("hold order", "slow", "quick"):
            one.send(event="user_message", message=message)
        until(lambda: asked(server, "hold order"), "the model is asked")
        release(server, "order")
        triples = [one.events("ai_response", "backend_status", "chat_history") for _ in range(3)]

    said = [triple[0]["message"] for triple in triples]
    assert said == [f"You said: {message}" for message in ("hold order", "slow", "quick")]
    assert len({triple[0]["chat_id"] for triple in triples}) == 1


@pytest.mark.contract("CA-20")
def test_a_slow_model_on_one_socket_delays_no_other(server: TrialServer) -> None:
    with page(server) as slow, page(server) as quick:
        slow.send(event="user_message", message="hold other")
        until(lambda: asked(server, "hold other"), "the model is asked")
        quick.say("Hello")
        assert slow.quiet()
        release(server, "other")
        slow.events("ai_response", "backend_status", "chat_history")


@pytest.mark.contract("CA-20", "CA-19")
def test_a_socket_is_read_while_its_message_is_answered(server: TrialServer) -> None:
    with page(server) as one:
        one.send(event="user_message", message="hold reading")
        one.send(event="ping", id="p1")
        assert one.receive() == {"event": "pong", "id": "p1"}
        release(server, "reading")
        one.events("ai_response", "backend_status", "chat_history")


# The history


def messages_of(event: Tree) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in event["messages"]]


@pytest.mark.contract("CA-05")
def test_a_history_has_the_shape_of_the_contract(server: TrialServer) -> None:
    with page(server) as one:
        answer, _, history = one.say("Hello")

    assert history == {
        "event": "chat_history",
        "chat_id": answer["chat_id"],
        "append": True,
        "messages": history["messages"],
    }
    assert messages_of(history) == [("user", "Hello"), ("assistant", "You said: Hello")]
    assert all(set(message) == {"id", "role", "content", "created_at"} for message in history["messages"])
    assert all(message["created_at"].endswith("Z") for message in history["messages"])


@pytest.mark.contract("CA-05")
def test_a_history_comes_after_connecting_to_a_chat_and_on_request(server: TrialServer) -> None:
    with page(server) as one:
        chat_id = one.say("Hello")[0]["chat_id"]
    with page(server, chat_id) as again:
        (first,) = again.events("chat_history")
        again.send(event="get_history", chat_id=chat_id, id="h1")
        (asked_for,) = again.events("chat_history")
        again.send(event="get_history")
        (own,) = again.events("chat_history")
        assert again.quiet()

    assert (first["append"], messages_of(first)[0]) == (False, ("user", "Hello"))
    assert first == asked_for == own


@pytest.mark.contract("CA-05")
def test_a_history_comes_at_no_other_moment(server: TrialServer) -> None:
    with page(server) as one, page(server) as elsewhere:
        assert one.quiet(), "connected without a chat"
        one.say("Hello")
        assert one.quiet(), "one history for each exchange"
        assert elsewhere.quiet(), "another chat"


@pytest.mark.contract("CA-05", "CA-30")
def test_the_sender_is_spared_the_history_if_it_is_so_configured(start: ServerFactory) -> None:
    options = {"history_after_turn": False}
    server = start("quiet", {**METER, "transport": [{"use": "chat_app", "options": options}]})
    with page(server) as one:
        one.send(message="Hello")
        one.events("ai_response", "backend_status")
        assert one.quiet()


@pytest.mark.contract("CA-28", "CA-05")
def test_two_sockets_on_one_chat_stay_in_step(server: TrialServer) -> None:
    with page(server) as one:
        chat_id = one.say("Hello")[0]["chat_id"]
        with page(server, chat_id) as two:
            two.events("chat_history")
            own = one.say("from one")[2]
            (told,) = two.events("chat_history")
            assert told == own
            two.say("from two")
            (back,) = one.events("chat_history")
            assert (back["append"], contents(back)) == (True, ["from two", "You said: from two"])
            assert one.quiet()
            assert two.quiet()


@pytest.mark.contract("CA-28")
def test_a_message_over_http_is_told_to_the_sockets_on_its_chat(server: TrialServer) -> None:
    with page(server) as one:
        chat_id = one.say("Hello")[0]["chat_id"]
        server.client.post("/generate", json={"message": "by post", "chat_id": chat_id}).raise_for_status()
        (told,) = one.events("chat_history")
        server.client.post("/generate", json={"message": "elsewhere"}).raise_for_status()
        assert one.quiet()

    assert contents(told) == ["by post", "You said: by post"]


@pytest.mark.contract("CA-28")
def test_a_message_may_move_its_socket_to_another_chat(server: TrialServer) -> None:
    with page(server) as one, page(server) as two:
        first, second = (each.say("Hello")[0]["chat_id"] for each in (one, two))
        assert two.say("over here", chat_id=first)[0]["chat_id"] == first
        assert contents(one.events("chat_history")[0])[0] == "over here"
        assert two.say("still here")[0]["chat_id"] == first
        one.events("chat_history")
        server.client.post("/generate", json={"message": "left", "chat_id": second})
        assert two.quiet(), "it has left its first chat"


@pytest.mark.contract("CA-26")
def test_it_is_a_plain_websocket_and_no_socket_io(server: TrialServer) -> None:
    assert server.client.get("/socket.io/?EIO=4&transport=polling").status_code == 404
    url = httpx.URL(server.url).copy_with(scheme="ws", path="/ws/chat")
    with connect(str(url)) as socket:
        socket.send('{"event": "ping"}')
        assert socket.recv(5) == '{"event":"pong"}'
        assert Page(socket).quiet()
