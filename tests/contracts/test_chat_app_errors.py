"""chat-app, section 3.6: the errors of the WebSocket, and the limits."""

from __future__ import annotations

import json

import pytest

from tests.contracts.chat_app import METER, generate, page, stats
from tests.contracts.harness import ServerFactory, Tree, TrialServer, refusal, until


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return start("meter", METER)


@pytest.mark.contract("CA-18", "CA-31")
@pytest.mark.parametrize("frame", ["not json", "[1]", '"text"', "null", "", b'{"message": "x"}'])
def test_a_frame_that_is_no_object_is_told_and_the_socket_stays(
    server: TrialServer, frame: str | bytes
) -> None:
    with page(server) as one:
        one.socket.send(frame)
        one.error("invalid_json")
        one.say("Hello")


@pytest.mark.contract("CA-18", "CA-31")
@pytest.mark.parametrize("frame", [{"event": "dance"}, {"event": 3}, {"event": None, "message": "x"}, {}])
def test_an_unknown_event_is_told_and_the_socket_stays(server: TrialServer, frame: dict[str, object]) -> None:
    with page(server) as one:
        assert one.send(**frame, id="m1").error("unknown_event")["id"] == "m1"
        one.say("Hello")


@pytest.mark.contract("CA-18", "CA-25", "CA-31")
@pytest.mark.parametrize(
    "frame",
    [
        {"event": "user_message"},
        {"message": ""},
        {"message": " \n\x00"},
        {"message": 3},
        {"message": None},
        {"message": "x" * 16_001},
        {"message": "x", "stream": "yes"},
        {"message": "x", "chat_id": 3},
        {"event": "get_history", "chat_id": []},
    ],
)
def test_a_message_that_is_not_valid_is_told_and_the_socket_stays(
    server: TrialServer, frame: dict[str, object]
) -> None:
    with page(server) as one, server.noting("llm") as asked:
        assert one.send(**frame, id="m1").error("invalid_message")["id"] == "m1"
        assert one.quiet()
    assert asked == []


@pytest.mark.contract("CA-18")
@pytest.mark.parametrize("frame_id", [3, "x" * 65])
def test_an_id_that_is_not_valid_is_not_given_back(server: TrialServer, frame_id: object) -> None:
    with page(server) as one:
        assert "id" not in one.send(message="x", id=frame_id).error("invalid_message")


@pytest.mark.contract("CA-25")
def test_a_message_may_have_16000_characters_of_any_kind(server: TrialServer) -> None:
    with page(server) as one:
        for message in ("x" * 16_000, "\u20ac" * 16_000, "\U0001f600" * 16_000):
            one.socket.send(json.dumps({"message": message}, ensure_ascii=False))
            answer, _, _ = one.events("ai_response", "backend_status", "chat_history")
            assert answer["message"] == f"You said: {message}"


@pytest.mark.contract("CA-31")
@pytest.mark.parametrize("chat_id", ["unknown", "4b1c0d3e-8a57-4c55-9f0e-1d2b3c4d5e6f", "", "\x00"])
def test_a_chat_that_is_not_there_is_told_and_the_socket_stays(server: TrialServer, chat_id: str) -> None:
    with page(server, chat_id.replace("\x00", "%00")) as one:
        one.error("chat_not_found")
        assert one.send(message="x", chat_id=chat_id, id="m1").error("chat_not_found")["id"] == "m1"
        one.send(event="get_history", chat_id=chat_id).error("chat_not_found")
        one.send(event="get_history").error("chat_not_found")
        one.say("Hello")


@pytest.mark.contract("CA-31")
@pytest.mark.parametrize(
    ("message", "code"), [("fail", "llm_failed"), ("time out", "llm_timeout"), ("raise", "internal_error")]
)
def test_a_message_that_fails_is_told_and_stored_nowhere(
    server: TrialServer, message: str, code: str
) -> None:
    before = server.client.get("/chats").json()
    errors = stats(server)["errors_total"]
    with page(server) as one:
        assert one.send(message=message, id="m1").error(code)["id"] == "m1"
        assert server.client.get("/chats").json() == before, "no chat has begun"
        one.say("Hello")
        assert stats(server)["errors_total"] == errors + 1


@pytest.mark.contract("CA-31", "CA-18")
def test_more_than_4_unanswered_messages_are_too_many(server: TrialServer) -> None:
    with page(server) as one:
        for number in range(6):
            one.send(message=f"hold busy {number}", id=str(number))
        assert [one.error("busy")["id"] for _ in range(2)] == ["4", "5"]
        for number in range(4):
            (server.desk / f"busy {number}").touch()
            answer, _, _ = one.events("ai_response", "backend_status", "chat_history")
            assert answer["id"] == str(number)
        one.say("Hello")


@pytest.mark.contract("CA-18", "CA-31")
def test_20_bad_frames_within_a_minute_close_the_socket(server: TrialServer) -> None:
    with page(server) as one:
        for number in range(20):
            one.socket.send("x" if number % 2 else '{"event": "dance"}')
        codes, code = one.end()

    assert codes == ["unknown_event", "invalid_json"] * 10 + ["too_many_bad_frames"]
    assert code == 1008


@pytest.mark.contract("CA-25", "CA-31")
def test_a_frame_of_more_than_64_kib_closes_the_socket(server: TrialServer) -> None:
    with page(server) as one:
        one.socket.send(json.dumps({"event": "ping", "more": "x" * 65_000}))
        one.events("pong")
        one.socket.send(json.dumps({"event": "ping", "more": "x" * 65_536}))
        assert one.end() == (["message_too_large"], 1009)


@pytest.mark.contract("CA-25", "CA-31")
def test_30_messages_a_minute_are_the_default(start: ServerFactory) -> None:
    server = start("limited", {**METER, "limits": None})
    with page(server) as one, page(server) as two:
        for number in range(30):
            (one, two)[number % 2].say("Hello")
        told = one.send(message="x", id="m1").error("rate_limited")
        assert told["id"] == "m1"
        assert 1 <= told["retry_after"] <= 60
        response = server.client.post("/generate", json={"message": "x"})
        refusal(response, 429, "rate_limited")
        assert int(response.headers["retry-after"]) >= 1
        assert one.quiet(), "the socket stays open"


@pytest.mark.contract("CA-25")
def test_requests_of_an_address_are_limited(start: ServerFactory) -> None:
    server = start("addressed", {**METER, "limits": {"address_per_minute": 5}})
    for _ in range(5):
        assert server.client.get("/stats").status_code == 200

    for path in ("/stats", "/chats", "/chat/x"):
        refusal(server.client.get(path), 429, "rate_limited")
    refusal(server.client.post("/chat"), 429, "rate_limited")
    with page(server) as one:
        assert one.end() == (["rate_limited"], 4429)


@pytest.mark.contract("CA-31", "CA-18")
def test_a_store_that_is_out_of_reach_is_told_and_the_socket_stays(start: ServerFactory) -> None:
    options = {"folder": None, "max_records_bytes": 2_000}
    server = start("full", {**METER, "session": {"use": "memory", "options": options}})
    with page(server) as one:
        one.send(message="x" * 4_000).error("store_unavailable")
        assert one.quiet()
    refusal(server.client.post("/generate", json={"message": "x" * 4_000}), 503, "store_unavailable")
    assert server.client.get("/chats").json()["chats"] == []


CONFIGURED: Tree = {
    **METER,
    "timeouts": {"request_seconds": 3},
    "transport": [
        {
            "use": "chat_app",
            "options": {
                "max_message_chars": 12,
                "max_frame_bytes": 2_000,
                "max_bad_frames": 2,
                "max_unanswered": 1,
                "context_messages": 3,
                "history_messages": 2,
            },
        }
    ],
}


@pytest.mark.contract("CA-31", "CA-25")
def test_a_message_that_takes_too_long_is_told_and_stored_nowhere(start: ServerFactory) -> None:
    server = start("configured", CONFIGURED)
    with page(server) as one:
        assert one.send(message="hold forever", id="m1").error("llm_timeout")["id"] == "m1"
        one.say("Hello")
    assert "hold forever" not in server.client.get("/chats").text


@pytest.mark.contract("CA-30")
def test_every_bound_can_be_configured(start: ServerFactory) -> None:
    server = start("configured", CONFIGURED)
    with page(server) as one:
        one.say("one")
        one.say("two")
        with server.noting("llm") as asked:
            chat_id = one.say("three")[0]["chat_id"]
        assert [text for _, text in asked[0]["messages"][1:]] == ["two", "You said: two", "three"]
        (shown,) = one.send(event="get_history").events("chat_history")
        assert [message["content"] for message in shown["messages"]] == ["three", "You said: three"]
        one.send(message="hold one").send(message="Hello").error("busy")
        (server.desk / "one").touch()
        one.events("ai_response", "backend_status", "chat_history")
        one.send(message="x" * 13).error("invalid_message")
        one.socket.send("x")
        assert one.end() == (["invalid_json", "too_many_bad_frames"], 1008)
    with page(server, chat_id) as one:
        one.events("chat_history")
        one.socket.send(json.dumps({"event": "ping", "more": "x" * 2_000}))
        assert one.end() == (["message_too_large"], 1009)
    refusal(server.client.post("/generate", json={"message": "x" * 13}), 422, "invalid_request")


@pytest.mark.contract("CA-18")
def test_nothing_that_was_said_is_in_the_log_and_what_went_wrong_is(server: TrialServer) -> None:
    with page(server) as one:
        one.say("tell-nobody")
        one.send(message="raise tell-nobody").error("internal_error")
        one.socket.send("tell-nobody")
        one.error("invalid_json")
    generate(server, "tell-nobody")
    until(lambda: "Traceback" in server.output(), "the reason is logged")

    assert "tell-nobody" not in server.output()
