"""pichat, section 3.3: messages and answers over the WebSocket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.harness import ServerFactory, TrialServer, until
from tests.contracts.pichat_device import TIME, UUID, Device, started


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture
def device(server: TrialServer) -> Iterator[Device]:
    with Device(server) as device:
        yield device


def contents(device: Device, conversation: str) -> list[str]:
    """What a conversation holds."""
    page = device.ask("get_messages", {"conversation_id": conversation, "limit": 500})
    return [message["content"] for message in page["messages"]]


@pytest.mark.contract("PI-07")
def test_a_message_is_stored_then_answered(device: Device) -> None:
    conversation = device.conversation()
    question, answer = device.say(conversation, "Message content")
    for message in (question, answer):
        assert set(message) == {"id", "conversation_id", "role", "content", "is_audio", "created_at"}
        assert UUID.fullmatch(message["id"])
        assert TIME.fullmatch(message["created_at"])
        assert (message["conversation_id"], message["is_audio"]) == (conversation, False)
    assert (question["role"], question["content"]) == ("user", "Message content")
    assert (answer["role"], answer["content"]) == ("assistant", "You said: Message content")
    assert device.ask("get_messages", {"conversation_id": conversation}) == {
        "conversation_id": conversation,
        "messages": [question, answer],
        "has_more": False,
    }


@pytest.mark.contract("PI-07")
def test_the_stored_message_is_told_before_the_model_is_done(server: TrialServer, device: Device) -> None:
    conversation = device.conversation()
    with server.told(llm="hold"):
        device.send("send_message", {"conversation_id": conversation, "content": "wait"})
        assert device.next()["action"] == "message_created"
        with Device(server) as other:
            assert contents(other, conversation) == ["wait"]
    assert device.next()["action"] == "assistant_message"


@pytest.mark.contract("PI-07")
def test_the_model_is_told_the_newest_twenty_messages(server: TrialServer, device: Device) -> None:
    conversation = device.conversation()
    for number in range(11):
        device.say(conversation, f"number {number}")
    with server.noting("llm") as asked:
        device.say(conversation, "the last")
    seen = [content for role, content in asked[0]["messages"] if role != "system"]
    assert len(seen) <= 20
    assert seen[-3:] == ["number 10", "You said: number 10", "the last"]
    assert len(contents(device, conversation)) == 24


@pytest.mark.contract("PI-08")
def test_messages_come_oldest_first_in_pages_before_a_message(device: Device) -> None:
    conversation = device.conversation()
    sent = [message for number in range(3) for message in device.say(conversation, f"number {number}")]
    newest = device.ask("get_messages", {"conversation_id": conversation, "limit": 4})
    assert (newest["messages"], newest["has_more"]) == (sent[2:], True)
    before = newest["messages"][0]["id"]
    oldest = device.ask("get_messages", {"conversation_id": conversation, "limit": 4, "before": before})
    assert (oldest["messages"], oldest["has_more"]) == (sent[:2], False)


@pytest.mark.contract("PI-08", "PI-36")
@pytest.mark.parametrize(
    ("wrong", "field"), [({"limit": 501}, "limit"), ({"limit": True}, "limit"), ({"before": "x"}, "before")]
)
def test_a_page_that_cannot_be_is_refused_by_name(device: Device, wrong: object, field: str) -> None:
    assert isinstance(wrong, dict)
    error = device.refused("get_messages", {"conversation_id": device.conversation(), **wrong})
    assert (error["code"], [item["field"] for item in error["errors"]]) == ("invalid_payload", [field])


@pytest.mark.contract("PI-07")
def test_a_streamed_answer_comes_in_pieces_first(device: Device) -> None:
    conversation = device.conversation()
    payload = {"conversation_id": conversation, "content": "two words", "stream": True}
    device.send("send_message", payload, request_id="s")
    frames = [device.next()]
    while frames[-1]["action"] != "assistant_message":
        frames.append(device.next())
    assert {frame["request_id"] for frame in frames} == {"s"}
    deltas = [frame["payload"] for frame in frames[1:-1]]
    assert {delta["conversation_id"] for delta in deltas} == {conversation}
    assert "".join(delta["delta"] for delta in deltas) == "You said: two words"
    assert frames[-1]["payload"]["message"]["content"] == "You said: two words"


@pytest.mark.contract("PI-13", "PI-07")
@pytest.mark.parametrize(
    ("mode", "code"), [("fail", "llm_failed"), ("raise", "internal_error"), ("time out", "llm_timeout")]
)
def test_a_message_without_an_answer_stays_and_is_marked(
    server: TrialServer, device: Device, mode: str, code: str
) -> None:
    conversation = device.conversation()
    with server.told(llm=mode):
        device.send("send_message", {"conversation_id": conversation, "content": "during"})
        question = device.next()["payload"]["message"]
        error = device.next()
    assert (error["action"], error["payload"]["code"]) == ("error", code)
    assert "secret-123" not in str(error)
    page = device.ask("get_messages", {"conversation_id": conversation})
    assert page["messages"] == [{**question, "status": "unanswered"}]
    with server.noting("llm") as asked:
        device.say(conversation, "after")
    assert "during" not in str(asked)


@pytest.mark.contract("PI-07")
def test_who_leaves_ends_the_answer_and_the_message_stays(server: TrialServer) -> None:
    with server.told(llm="hang"):
        with Device(server) as device, server.noting("llm") as happened:
            conversation = device.conversation()
            device.send("send_message", {"conversation_id": conversation, "content": "bye"})
            device.next()
            until(lambda: server.journal("llm")[-1]["event"] == "asked", "the model is asked")
        until(lambda: server.journal("llm")[-1]["event"] == "closed", "the model's work is ended")
    assert [note["event"] for note in happened] == ["asked"]
    with Device(server) as device:
        until(
            lambda: (
                device.ask("get_messages", {"conversation_id": conversation})["messages"][0].get("status")
                == "unanswered"
            ),
            "the message is marked",
        )


@pytest.mark.contract("PI-13", "PI-41")
def test_eight_messages_wait_and_a_tenth_is_refused(server: TrialServer, device: Device) -> None:
    conversation = device.conversation()
    with server.told(llm="hold"):
        for number in range(10):
            payload = {"conversation_id": conversation, "content": f"number {number}"}
            device.send("send_message", payload, request_id=str(number))
        frames = [device.next() for _ in range(10)]
    created = [frame for frame in frames if frame["action"] == "message_created"]
    assert [frame["request_id"] for frame in created] == [str(number) for number in range(9)]
    (refused,) = (frame for frame in frames if frame["action"] == "error")
    assert (refused["request_id"], refused["payload"]["code"]) == ("9", "conversation_busy")
    answers = [device.next()["payload"]["message"]["content"] for _ in range(9)]
    assert answers == [f"You said: number {number}" for number in range(9)]


@pytest.mark.contract("PI-41")
def test_without_request_ids_answers_come_in_the_order_of_requests(
    server: TrialServer, device: Device
) -> None:
    conversation = device.conversation()
    with server.told(llm="hold"):
        device.send("send_message", {"conversation_id": conversation, "content": "slow"})
        assert device.next()["action"] == "message_created"
        device.send("get_settings")
        device.send("fly")
        assert device.nothing_came()  # a request with an id overtakes them
    assert [device.next()["action"] for _ in range(3)] == ["assistant_message", "settings", "error"]


@pytest.mark.contract("PI-36")
@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"content": "x" * 16_001}, [("content", "too_long")]),
        ({"content": " \n"}, [("content", "required")]),
        (
            {"content": None, "conversation_id": 5},
            [("conversation_id", "invalid_type"), ("content", "invalid_type")],
        ),
        ({"is_audio": "true"}, [("is_audio", "invalid_type")]),
    ],
)
def test_a_message_that_breaks_a_rule_names_its_fields(
    device: Device, changes: dict[str, object], fields: list[tuple[str, str]]
) -> None:
    payload = {"conversation_id": device.conversation(), "content": "x", **changes}
    error = device.refused("send_message", payload)
    assert error["code"] == "invalid_payload"
    assert [(item["field"], item["code"]) for item in error["errors"]] == fields


@pytest.mark.contract("PI-07")
def test_the_longest_message_is_taken(device: Device) -> None:
    question, _ = device.say(device.conversation(), "x" * 16_000)
    assert len(question["content"]) == 16_000
