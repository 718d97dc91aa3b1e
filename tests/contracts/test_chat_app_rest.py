"""chat-app, section 4: the routes for clients without a WebSocket."""

from __future__ import annotations

import json
import time
from datetime import datetime

import httpx
import pytest

from tests.contracts.chat_app import METER, contents, generate, page
from tests.contracts.harness import ServerFactory, Tree, TrialServer, refusal, until


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return start("meter", METER)


def create(server: TrialServer, title: str | None = None) -> Tree:
    """A new chat."""
    body = {} if title is None else {"title": title}
    chat: Tree = server.client.post("/chat", json=body).raise_for_status().json()
    return chat


def chats(server: TrialServer, **query: object) -> Tree:
    """The list."""
    params = {name: str(value) for name, value in query.items()}
    listed: Tree = server.client.get("/chats", params=params).raise_for_status().json()
    return listed


def chat(server: TrialServer, chat_id: str, **query: object) -> Tree:
    """One chat."""
    params = {name: str(value) for name, value in query.items()}
    found: Tree = server.client.get(f"/chat/{chat_id}", params=params).raise_for_status().json()
    return found


def streamed(response: httpx.Response) -> list[Tree | str]:
    """What an event stream holds."""
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.split("\n\n")
    assert lines.pop() == ""
    data = [line.removeprefix("data: ") for line in lines]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


# POST /chat


@pytest.mark.contract("CA-08")
def test_a_new_chat_is_empty_and_listed(server: TrialServer) -> None:
    response = server.client.post("/chat", json={"title": "  Trip\nto Rome "})
    found = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"/chat/{found['id']}"
    assert set(found) == {"id", "title", "created_at", "updated_at", "messages"}
    assert (found["title"], found["messages"]) == ("Trip to Rome", [])
    assert datetime.fromisoformat(found["created_at"]).utcoffset() is not None
    assert found["created_at"].endswith("Z")
    listed = chats(server)["chats"][0]
    assert listed == {
        **{name: found[name] for name in ("id", "title", "created_at", "updated_at")},
        "message_count": 0,
        "last_message": None,
    }
    assert server.client.get(response.headers["location"]).json()["messages"] == []


@pytest.mark.contract("CA-08")
@pytest.mark.parametrize("body", [b"", b"{}", b'{"title": null}'])
def test_a_chat_needs_no_title(server: TrialServer, body: bytes) -> None:
    response = server.client.post("/chat", content=body, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["title"]) == (201, "New chat")


@pytest.mark.contract("CA-08")
@pytest.mark.parametrize("title", ["", " \n", "x" * 201, 3, ["x"]])
def test_a_title_has_1_to_200_characters(server: TrialServer, title: object) -> None:
    body = refusal(server.client.post("/chat", json={"title": title}), 422, "invalid_request")

    assert body["errors"][0]["field"] == "title"


@pytest.mark.contract("CA-08")
def test_a_form_is_refused_with_a_hint(server: TrialServer) -> None:
    for sent in ({"data": {"message": "hi"}}, {"files": {"message": (None, "hi")}}):
        body = refusal(server.client.post("/chat", **sent), 415, "unsupported_media_type")
        assert "relay-chat" in body["detail"]


# GET /chats


@pytest.mark.contract("CA-06", "CA-23")
def test_chats_are_listed_newest_first_and_in_parts(start: ServerFactory) -> None:
    server = start("listed", METER)
    ids = [generate(server, f"message {number}")["chat_id"] for number in range(5)]
    generate(server, "again", chat_id=ids[1])
    expected = [ids[1], ids[4], ids[3], ids[2], ids[0]]

    assert [found["id"] for found in chats(server)["chats"]] == expected
    parts, cursor = [], None
    for _ in range(3):
        part = chats(server, limit=2, **({"cursor": cursor} if cursor else {}))
        parts.append([found["id"] for found in part["chats"]])
        cursor = part["next_cursor"]
    assert parts == [expected[:2], expected[2:4], expected[4:]]
    assert cursor is None


@pytest.mark.contract("CA-06")
def test_a_listed_chat_has_a_preview(server: TrialServer) -> None:
    message = "0123456789 " * 20
    chat_id = generate(server, message)["chat_id"]
    listed = chats(server, limit=1)["chats"][0]

    assert listed["id"] == chat_id
    assert listed["title"] == message[:60].rstrip()
    assert listed["last_message"] == f"You said: {message}"[:120]
    assert listed["message_count"] == 2
    assert listed["updated_at"] >= listed["created_at"]


@pytest.mark.contract("CA-06", "CA-23")
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=", "cursor=forged", "cursor=%00", "cursor="]
)
def test_a_bad_limit_or_cursor_of_the_list_is_refused(server: TrialServer, query: str) -> None:
    refusal(server.client.get(f"/chats?{query}"), 422, "invalid_request")


# GET /chat/{id}


@pytest.mark.contract("CA-07", "CA-23")
def test_a_chat_has_its_messages_oldest_first_and_pages_backwards(server: TrialServer) -> None:
    chat_id = generate(server, "0")["chat_id"]
    for number in range(1, 3):
        generate(server, str(number), chat_id=chat_id)
    whole = chat(server, chat_id)

    assert set(whole) == {"id", "title", "created_at", "updated_at", "messages", "next_cursor"}
    assert contents(whole)[::2] == ["0", "1", "2"]
    assert whole["next_cursor"] is None
    newest = chat(server, chat_id, limit=4)
    assert contents(newest)[::2] == ["1", "2"]
    oldest = chat(server, chat_id, limit=4, cursor=newest["next_cursor"])
    assert contents(oldest) == ["0", "You said: 0"]
    assert oldest["next_cursor"] is None


@pytest.mark.contract("CA-07")
@pytest.mark.parametrize(
    "chat_id", ["unknown", "4b1c0d3e-8a57-4c55-9f0e-1d2b3c4d5e6f", "%00", "a%20b", "x" * 500]
)
def test_a_chat_that_is_unknown_or_malformed_is_not_found(server: TrialServer, chat_id: str) -> None:
    refusal(server.client.get(f"/chat/{chat_id}"), 404, "chat_not_found")


@pytest.mark.contract("CA-07", "CA-23")
@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=-1", "cursor=forged"])
def test_a_bad_limit_or_cursor_of_a_chat_is_refused(server: TrialServer, query: str) -> None:
    chat_id = create(server)["id"]

    refusal(server.client.get(f"/chat/{chat_id}?{query}"), 422, "invalid_request")


# POST /generate


@pytest.mark.contract("CA-09")
def test_a_message_is_answered_measured_and_stored(server: TrialServer) -> None:
    found = generate(server, "slow")

    assert set(found) == {
        "message",
        "chat_id",
        "tokens_used",
        "latency",
        "prompt_tokens",
        "completion_tokens",
        "latency_ms",
        "tokens_per_second",
        "tools",
        "model",
    }
    assert (found["message"], found["tokens_used"], found["model"]) == ("You said: slow", 42, "meter-1")
    assert found["latency_ms"] >= 95
    assert contents(chat(server, found["chat_id"])) == ["slow", "You said: slow"]


@pytest.mark.contract("CA-09")
def test_a_chat_goes_on_over_http_and_over_the_socket(server: TrialServer) -> None:
    chat_id = create(server, "Trip")["id"]
    generate(server, "one", chat_id=chat_id)
    with page(server, chat_id) as one:
        one.events("chat_history")
        one.say("two")
    with server.noting("llm") as notes:
        generate(server, "three", chat_id=chat_id)

    told = [text for _, text in notes[0]["messages"][1:]]
    assert told == ["one", "You said: one", "two", "You said: two", "three"]
    assert chat(server, chat_id)["title"] == "Trip"


@pytest.mark.contract("CA-09")
def test_nothing_is_stored_if_nothing_is_to_be(server: TrialServer) -> None:
    before = chats(server)
    found = generate(server, "secret", store=False)

    assert found["message"] == "You said: secret"
    assert "chat_id" not in found
    assert chats(server) == before
    body = {"message": "x", "store": False, "chat_id": create(server)["id"]}
    refused = refusal(server.client.post("/generate", json=body), 422, "invalid_request")
    assert refused["errors"][0]["field"] == "chat_id"


@pytest.mark.contract("CA-09", "CA-27")
def test_an_answer_may_be_streamed(server: TrialServer) -> None:
    response = server.client.post("/generate", json={"message": "Hello", "stream": True})
    *deltas, answer, status, done = streamed(response)

    assert isinstance(answer, dict)
    assert isinstance(status, dict)
    assert [isinstance(each, dict) and each["event"] for each in deltas] == ["ai_response_delta"] * 2
    assert (answer["event"], answer["message"]) == ("ai_response", "You said: Hello")
    assert (status["event"], status["tokens_used"]) == ("backend_status", 42)
    assert done == "[DONE]"
    assert contents(chat(server, answer["chat_id"])) == ["Hello", "You said: Hello"]


@pytest.mark.contract("CA-09")
def test_a_client_that_leaves_a_stream_ends_its_turn(server: TrialServer) -> None:
    def ended() -> bool:
        return {"event": "closed", "message": "hold stream"} in server.journal("llm")

    body = {"message": "hold stream", "stream": True}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/generate", json=body, timeout=0.5)
    began_s = time.monotonic()
    until(ended, "the model was stopped")
    assert time.monotonic() - began_s < 2
    assert "hold stream" not in server.client.get("/chats").text


@pytest.mark.contract("CA-09", "CA-31")
@pytest.mark.parametrize(
    ("message", "status", "code"),
    [("fail", 502, "llm_failed"), ("time out", 504, "llm_timeout"), ("raise", 500, "internal_error")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_message_that_fails_is_stored_nowhere(
    server: TrialServer, message: str, status: int, code: str, stream: bool
) -> None:
    before = chats(server)

    response = server.client.post("/generate", json={"message": message, "stream": stream})

    refusal(response, status, code)
    assert chats(server) == before


@pytest.mark.contract("CA-09", "CA-31")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": " \x00"}, "message"),
        ({"message": 3}, "message"),
        ({"message": "x" * 16_001}, "message"),
        ({"message": "x", "store": "no"}, "store"),
        ({"message": "x", "stream": 1}, "stream"),
        ({"message": "x", "chat_id": 5}, "chat_id"),
        ([], "body"),
    ],
)
def test_a_field_that_is_not_valid_is_named(server: TrialServer, body: object, field: str) -> None:
    found = refusal(server.client.post("/generate", json=body), 422, "invalid_request")

    assert found["errors"][0]["field"] == field


@pytest.mark.contract("CA-31")
def test_other_errors_of_bodies_have_their_codes(server: TrialServer) -> None:
    post = server.client.post
    json_type = {"Content-Type": "application/json"}
    refusal(post("/generate", content=b"{", headers=json_type), 400, "malformed_body")
    refusal(post("/generate", content=b"[" * 60_000, headers=json_type), 400, "malformed_body")
    refusal(post("/generate", content=b" " * 2_000_000, headers=json_type), 413, "body_too_large")
    refusal(post("/generate", content=b'{"message":"x"}'), 415, "unsupported_media_type")
    refusal(post("/generate", json={"message": "x", "chat_id": "unknown"}), 404, "chat_not_found")
    refusal(server.client.get("/generate"), 405, "method_not_allowed")


@pytest.mark.contract("CA-31")
def test_every_route_and_its_errors_are_in_the_api_description(server: TrialServer) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]

    assert set(paths["/generate"]["post"]["responses"]) >= {"200", "404", "415", "422", "429", "502", "504"}
    fields = paths["/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(fields) == {"message", "chat_id", "store", "stream"}
    assert "201" in paths["/chat"]["post"]["responses"]
    assert "404" in paths["/chat/{id}"]["get"]["responses"]
    assert {"get"} == set(paths["/chats"]) == set(paths["/stats"])
    assert server.client.get("/docs").status_code == 200
