"""pichat, sections 3.1 and 3.2: the frames, and conversations over the WebSocket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.harness import ServerFactory, TrialServer
from tests.contracts.pichat_device import TIME, UUID, Device, started


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture
def device(server: TrialServer) -> Iterator[Device]:
    with Device(server) as device:
        yield device


@pytest.mark.contract("PI-01", "PI-02")
def test_a_new_user_has_no_conversations_and_needs_no_payload_to_see_it(start: ServerFactory) -> None:
    with Device(started(start, "new")) as device:
        for frame in ({"action": "get_conversations"}, {"action": "get_conversations", "payload": None}):
            device.send(**frame)
            assert device.next() == {"action": "conversations_list", "payload": {"conversations": []}}


@pytest.mark.contract("PI-01", "PI-03")
def test_a_created_conversation_is_answered_with_its_id_and_listed(device: Device) -> None:
    device.send("create_conversation", {"title": "New Conversation"})
    frame = device.next()
    assert set(frame) == {"action", "payload"}
    assert frame["action"] == "conversation_created"
    created = frame["payload"]["conversation"]
    assert set(created) == {"id", "title", "created_at", "last_message_at"}
    assert UUID.fullmatch(created["id"])
    assert TIME.fullmatch(created["created_at"])
    assert (created["title"], created["last_message_at"]) == ("New Conversation", None)

    listed = device.ask("get_conversations")["conversations"]
    assert {"id": created["id"], "title": "New Conversation", "last_message_at": None} in listed


@pytest.mark.contract("PI-42")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, "New Conversation"),
        ({"title": None}, "New Conversation"),
        ({"title": " \t "}, "New Conversation"),
        ({"title": "  Zoe\u0308\r\n "}, "Zo\u00eb"),
        ({"title": "x" * 200}, "x" * 200),
    ],
)
def test_a_title_is_normalised_and_has_a_default(device: Device, given: object, kept: str) -> None:
    assert device.ask("create_conversation", given)["conversation"]["title"] == kept


@pytest.mark.contract("PI-42", "PI-36")
def test_a_title_of_more_than_200_characters_is_refused_by_name(device: Device) -> None:
    conversation = device.conversation()
    for action, more in (("create_conversation", {}), ("update_conversation", {"id": conversation})):
        error = device.refused(action, {"title": "x" * 201, **more})
        assert error["code"] == "invalid_payload"
        assert [(item["field"], item["code"]) for item in error["errors"]] == [("title", "too_long")]


@pytest.mark.contract("PI-04")
def test_details_have_the_conversation_and_its_number_of_messages(device: Device) -> None:
    conversation = device.conversation("Details")
    device.say(conversation, "hello")
    details = device.ask("get_conversation", {"id": conversation})
    assert set(details) == {"conversation", "message_count"}
    assert details["message_count"] == 2
    assert details["conversation"]["title"] == "Details"


@pytest.mark.contract("PI-04", "PI-13")
@pytest.mark.parametrize("unknown", ["00000000-0000-4000-8000-000000000000", "nope", "\x00' OR 1=1"])
def test_what_is_unknown_is_not_found_whatever_is_done_with_it(device: Device, unknown: str) -> None:
    for action, payload in (
        ("get_conversation", {"id": unknown}),
        ("update_conversation", {"id": unknown, "title": "x"}),
        ("delete_conversation", {"id": unknown}),
        ("get_messages", {"conversation_id": unknown}),
        ("send_message", {"conversation_id": unknown, "content": "x"}),
    ):
        error = device.refused(action, payload)
        assert (error["code"], error["action"]) == ("conversation_not_found", action)


@pytest.mark.contract("PI-05")
def test_renaming_changes_the_title_and_nothing_else(device: Device) -> None:
    conversation = device.conversation("Old")
    device.say(conversation, "hello")
    before = device.ask("get_conversation", {"id": conversation})
    changed = device.ask("update_conversation", {"id": conversation, "title": "New Title"})
    assert changed == {"conversation": {**before["conversation"], "title": "New Title"}}
    assert device.ask("get_conversation", {"id": conversation}) == {**before, **changed}


@pytest.mark.contract("PI-06")
def test_deleting_takes_the_messages_along(device: Device) -> None:
    conversation = device.conversation()
    device.say(conversation, "hello")
    assert device.ask("delete_conversation", {"id": conversation}) == {"id": conversation}
    for action, field in (("get_messages", "conversation_id"), ("get_conversation", "id")):
        assert device.refused(action, {field: conversation})["code"] == "conversation_not_found"
    listed = device.ask("get_conversations")["conversations"]
    assert conversation not in [item["id"] for item in listed]


@pytest.mark.contract("PI-43", "PI-02")
def test_the_conversation_that_was_used_last_comes_first(start: ServerFactory) -> None:
    with Device(started(start, "sorted")) as device:
        first, second = device.conversation("first"), device.conversation("second")
        never = device.conversation("never")
        question, answer = device.say(first, "hello")
        listed = device.ask("get_conversations")["conversations"]
        assert [item["id"] for item in listed] == [first, never, second]
        assert [item["last_message_at"] for item in listed] == [answer["created_at"], None, None]
        assert question["created_at"] <= answer["created_at"]
        with started(start, "sorted").told(llm="fail"):
            device.send("send_message", {"conversation_id": second, "content": "hello"})
            question = device.next()["payload"]["message"]
            assert device.next()["payload"]["code"] == "llm_failed"
        listed = device.ask("get_conversations")["conversations"]
        assert listed[0] == {"id": second, "title": "second", "last_message_at": question["created_at"]}


@pytest.mark.contract("PI-02", "PI-36")
def test_a_long_list_comes_in_pages(start: ServerFactory) -> None:
    with Device(started(start, "paged")) as device:
        made = [device.conversation(str(number)) for number in range(5)]
        seen: list[str] = []
        asked: dict[str, object] = {"limit": 2}
        while True:
            page = device.ask("get_conversations", asked)
            seen += [item["id"] for item in page["conversations"]]
            if "next_cursor" not in page:
                break
            assert len(page["conversations"]) == 2
            asked["cursor"] = page["next_cursor"]
        assert seen == made[::-1]
        for wrong, field in (({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"cursor": "x"}, "cursor")):
            assert [item["field"] for item in device.refused("get_conversations", wrong)["errors"]] == [field]
