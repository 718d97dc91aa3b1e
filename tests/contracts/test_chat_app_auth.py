"""chat-app, section 5: with authentication on, and without."""

from __future__ import annotations

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.contracts.chat_app import METER, Page, contents, page
from tests.contracts.harness import ServerFactory, Tree, TrialServer, refusal

ANN, BOB = "token-of-ann", "token-of-bob"


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    doors = [
        {"use": "chat_app", "auth": "wallets"},
        {"use": "chat_app", "auth": "wallets", "mount": "/also"},
        {"use": "chat_app", "mount": "/open"},
        {"use": "relay_chat", "mount": "/relay", "auth": "wallets", "options": {"history": True}},
    ]
    return start("guarded", {**METER, "auth": {"wallets": {"use": "trial"}}, "transport": doors})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def listed(server: TrialServer, token: str, mount: str = "") -> list[str]:
    """Ids of a user's chats."""
    response = server.client.get(f"{mount}/chats", headers=bearer(token)).raise_for_status()
    return [chat["id"] for chat in response.json()["chats"]]


def begun(server: TrialServer, token: str) -> str:
    """A new chat of a user."""
    body: Tree = server.client.post("/generate", json={"message": "Hello"}, headers=bearer(token)).json()
    chat_id: str = body["chat_id"]
    return chat_id


@pytest.mark.contract("CA-24")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/chats"), ("GET", "/chat/x"), ("POST", "/chat"), ("POST", "/generate"), ("GET", "/stats")],
)
def test_every_route_asks_who_one_is(server: TrialServer, method: str, path: str) -> None:
    for headers in ({}, bearer("forged")):
        refusal(server.client.request(method, path, headers=headers), 401, "not_authenticated")


@pytest.mark.contract("CA-24")
def test_a_socket_that_has_not_signed_in_is_told_and_closed(server: TrialServer) -> None:
    for token in (None, "forged"):
        with page(server, token=token) as one:
            assert one.end() == (["not_authenticated"], 4401)


@pytest.mark.contract("CA-24")
def test_a_browser_signs_in_by_subprotocol_and_no_foreign_page_may(server: TrialServer) -> None:
    url = str(httpx.URL(server.url).copy_with(scheme="ws", path="/ws/chat"))
    offered = [Subprotocol("jackfield.bearer"), Subprotocol(ANN)]
    with connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "jackfield.bearer"
        Page(socket).say("Hello")
    with connect(url, subprotocols=offered, additional_headers={"Origin": "https://elsewhere.org"}) as socket:
        assert Page(socket).end() == (["origin_not_allowed"], 4403)


@pytest.mark.contract("CA-24", "CA-07")
def test_nobody_sees_or_reaches_the_chats_of_another(server: TrialServer) -> None:
    chat_id = begun(server, ANN)
    own = listed(server, BOB)

    assert chat_id in listed(server, ANN)
    assert chat_id not in own
    refusal(server.client.get(f"/chat/{chat_id}", headers=bearer(BOB)), 404, "chat_not_found")
    for stream in (False, True):
        body = {"message": "mine", "chat_id": chat_id, "stream": stream}
        refusal(server.client.post("/generate", json=body, headers=bearer(BOB)), 404, "chat_not_found")
    with page(server, chat_id, BOB) as bob:
        bob.error("chat_not_found")
        bob.send(message="x", chat_id=chat_id).error("chat_not_found")
        bob.send(event="get_history", chat_id=chat_id).error("chat_not_found")
        with page(server, chat_id, ANN) as ann:
            assert contents(ann.events("chat_history")[0]) == ["Hello", "You said: Hello"]
            ann.say("private")
            assert bob.quiet(), "nothing of another's chat arrives"
    assert listed(server, BOB) == own


@pytest.mark.contract("CA-24")
def test_doors_of_one_section_share_chats_and_others_do_not(server: TrialServer) -> None:
    chat_id = begun(server, ANN)

    assert chat_id in listed(server, ANN, "/also")
    assert chat_id not in listed(server, ANN, "/open")
    refusal(server.client.get(f"/open/chat/{chat_id}"), 404, "chat_not_found")


@pytest.mark.contract("CA-24", "CA-09")
def test_what_was_said_at_another_door_can_be_read_and_gone_on_with(server: TrialServer) -> None:
    form = {"message": "by form", "type": "text", "sessionId": "s1", "userId": "ann", "username": "Ann"}
    server.client.post("/relay/chat", data=form, headers=bearer(ANN)).raise_for_status()
    chat_id = listed(server, ANN)[0]

    found = server.client.get(f"/chat/{chat_id}", headers=bearer(ANN)).json()
    assert (found["title"], contents(found)) == ("by form", ["by form", "You said: by form"])
    with page(server, chat_id, ANN) as one, server.noting("llm") as asked:
        one.events("chat_history")
        one.say("by socket")
    assert [text for _, text in asked[0]["messages"][1:]] == ["by form", "You said: by form", "by socket"]


@pytest.mark.contract("CA-24", "CA-08")
def test_without_sign_in_all_chats_are_of_one_user(server: TrialServer) -> None:
    response = server.client.post("/open/chat")
    chat_id = response.json()["id"]

    assert response.headers["location"] == f"/open/chat/{chat_id}"
    assert httpx.get(f"{server.url}/open/chats").json()["chats"][0]["id"] == chat_id


@pytest.mark.contract("CA-25", "CA-24")
def test_each_user_has_an_allowance(start: ServerFactory) -> None:
    config = {
        **METER,
        "limits": {"user_per_minute": 2, "address_per_minute": 1},
        "auth": {"wallets": {"use": "trial"}},
        "transport": [{"use": "chat_app", "auth": "wallets"}],
    }
    server = start("allowance", config)
    with page(server, token=ANN) as ann, page(server, token=BOB) as bob:
        ann.say("one")
        ann.say("two")
        assert ann.send(message="three").error("rate_limited")["retry_after"] >= 1
        bob.say("one")
    refusal(server.client.get("/chats", headers=bearer(ANN)), 429, "rate_limited")
