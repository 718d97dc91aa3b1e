"""pichat, section 6: the same as routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.harness import ServerFactory, TrialServer, refusal
from tests.contracts.pichat_device import ANN_TOKEN, TIME, Device, api, started


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture
def device(server: TrialServer) -> Iterator[Device]:
    with Device(server) as device:
        yield device


@pytest.mark.contract("PI-28")
def test_a_conversation_by_route_from_its_beginning_to_its_end(server: TrialServer, device: Device) -> None:
    response = api(server, "POST", "/conversations", json={"title": "By route"})
    created = response.json()
    assert response.status_code == 201
    conversation = created["conversation"]["id"]
    assert device.next() == {"action": "conversation_created", "payload": created}

    details = api(server, "GET", f"/conversations/{conversation}")
    assert (details.status_code, details.json()) == (200, {**created, "message_count": 0})

    renamed = api(server, "PATCH", f"/conversations/{conversation}", json={"title": "Renamed"})
    expected = {"conversation": {**created["conversation"], "title": "Renamed"}}
    assert (renamed.status_code, renamed.json()) == (200, expected)
    assert device.next() == {"action": "conversation_updated", "payload": expected}

    listed = api(server, "GET", "/conversations", params={"limit": 1}).json()
    assert [item["title"] for item in listed["conversations"]] == ["Renamed"]

    deleted = api(server, "DELETE", f"/conversations/{conversation}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert device.next() == {"action": "conversation_deleted", "payload": {"id": conversation}}
    refusal(api(server, "GET", f"/conversations/{conversation}"), 404, "conversation_not_found")


@pytest.mark.contract("PI-28", "PI-42")
def test_a_conversation_needs_no_body(server: TrialServer) -> None:
    response = api(server, "POST", "/conversations")
    assert response.status_code == 201
    assert response.json()["conversation"]["title"] == "New Conversation"


@pytest.mark.contract("PI-28", "PI-02")
def test_lists_come_in_pages(server: TrialServer) -> None:
    made = [api(server, "POST", "/conversations").json()["conversation"]["id"] for _ in range(3)]
    first = api(server, "GET", "/conversations", params={"limit": 2}).json()
    more = {"limit": 1, "cursor": first["next_cursor"]}
    second = api(server, "GET", "/conversations", params=more).json()
    ids = [item["id"] for item in (*first["conversations"], *second["conversations"])]
    assert ids == made[::-1]


@pytest.mark.contract("PI-29", "PI-34")
def test_a_message_by_route_is_answered_and_told_on_the_sockets(server: TrialServer, device: Device) -> None:
    conversation = device.conversation()
    path = f"/conversations/{conversation}/messages"
    response = api(server, "POST", path, json={"content": "hello", "is_audio": True})
    body = response.json()
    assert (response.status_code, set(body)) == (201, {"message", "reply"})
    assert (body["message"]["content"], body["reply"]["content"]) == ("hello", "You said: hello")
    assert device.next() == {"action": "message_created", "payload": {"message": body["message"]}}
    assert device.next() == {"action": "assistant_message", "payload": {"message": body["reply"]}}
    assert device.nothing_came()

    page = api(server, "GET", path, params={"limit": 1}).json()
    assert page == {"conversation_id": conversation, "messages": [body["reply"]], "has_more": True}
    page = api(server, "GET", path, params={"before": body["reply"]["id"]}).json()
    assert (page["messages"], page["has_more"]) == ([body["message"]], False)


@pytest.mark.contract("PI-29", "PI-13")
def test_a_message_by_route_without_an_answer_stays_and_is_marked(
    server: TrialServer, device: Device
) -> None:
    path = f"/conversations/{device.conversation()}/messages"
    with server.told(llm="fail"):
        refusal(api(server, "POST", path, json={"content": "during"}), 502, "llm_failed")
    (message,) = api(server, "GET", path).json()["messages"]
    assert (message["content"], message["status"]) == ("during", "unanswered")


@pytest.mark.contract("PI-30")
def test_a_user_sees_who_it_is(server: TrialServer) -> None:
    for token, name in ((ANN_TOKEN, "ann"), (None, "default")):
        answers = [api(server, "GET", "/users/me", *([token] if token else [])).json() for _ in range(2)]
        assert answers[0] == answers[1]
        assert set(answers[0]) == {"id", "created_at"}
        assert answers[0]["id"] == name
        assert TIME.fullmatch(answers[0]["created_at"])


@pytest.mark.contract("PI-31", "PI-10")
def test_settings_by_route_are_seen_on_the_socket(server: TrialServer, device: Device) -> None:
    before = api(server, "GET", "/settings").json()
    assert device.ask("get_settings") == before
    response = api(server, "PATCH", "/settings", json={"voice_settings": {"gender": "male"}})
    changed = {**before, "voice_settings": {**before["voice_settings"], "gender": "male"}}
    assert (response.status_code, response.json()) == (200, changed)
    assert device.next() == {"action": "settings_updated", "payload": changed}
    assert device.ask("get_settings") == changed
    body = refusal(api(server, "PATCH", "/settings", json={"selected_model": "gpt-9"}), 422, "invalid_model")
    assert [item["field"] for item in body["errors"]] == ["selected_model"]


@pytest.mark.contract("PI-13", "PI-36")
def test_bodies_that_cannot_be_are_refused(server: TrialServer) -> None:
    sent = {"Content-Type": "application/json"}
    path = "/conversations"
    refusal(api(server, "POST", path, content=b"{", headers=sent), 400, "malformed_body")
    refusal(api(server, "POST", path, content=b"[1]", headers=sent), 422, "invalid_request")
    refusal(api(server, "POST", path, data={"title": "x"}), 415, "unsupported_media_type")
    body = refusal(api(server, "POST", path, json={"title": 5}), 422, "invalid_request")
    assert [item["field"] for item in body["errors"]] == ["title"]
    body = refusal(api(server, "GET", path, params={"limit": "many"}), 422, "invalid_request")
    assert [item["field"] for item in body["errors"]] == ["limit"]
    refusal(
        api(server, "POST", "/conversations/nope/messages", json={"content": "x"}),
        404,
        "conversation_not_found",
    )


@pytest.mark.contract("PI-27")
def test_the_routes_are_described_at_docs(server: TrialServer) -> None:
    assert server.client.get("/docs").status_code == 200
    paths = server.client.get("/openapi.json").json()["paths"]
    found = {(method, path) for path, item in paths.items() for method in item}
    assert found == {
        ("get", "/api/conversations"),
        ("post", "/api/conversations"),
        ("get", "/api/conversations/{id}"),
        ("patch", "/api/conversations/{id}"),
        ("delete", "/api/conversations/{id}"),
        ("get", "/api/conversations/{id}/messages"),
        ("post", "/api/conversations/{id}/messages"),
        ("get", "/api/users/me"),
        ("get", "/api/settings"),
        ("patch", "/api/settings"),
    }
    sent = paths["/api/conversations/{id}/messages"]["post"]
    assert "requestBody" in sent
    assert {"201", "404", "422", "429", "502"} <= set(sent["responses"])
