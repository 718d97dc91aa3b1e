"""pichat, sections 3 and 3.6: frames that cannot be, and errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.harness import ServerFactory, TrialServer
from tests.contracts.pichat_device import Device, started


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture
def device(server: TrialServer) -> Iterator[Device]:
    with Device(server) as device:
        yield device


@pytest.mark.contract("PI-14", "PI-13")
def test_an_unknown_action_is_an_error_and_the_socket_stays(device: Device) -> None:
    device.send("fly")
    frame = device.next()
    request_id = frame["payload"].pop("request_id")
    assert request_id.startswith("req_")
    assert frame == {
        "action": "error",
        "payload": {"code": "unknown_action", "message": "Unknown action 'fly'.", "action": "fly"},
    }
    assert device.nothing_came()


@pytest.mark.contract("PI-13", "PI-01")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("not JSON", "invalid_json"),
        ("[1]", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        (b'{"action": "ping"}', "invalid_json"),
        ("{}", "invalid_frame"),
        ('{"action": 5}', "invalid_frame"),
        ('{"action": ""}', "invalid_frame"),
        ('{"action": "' + "x" * 65 + '"}', "invalid_frame"),
        ('{"action": "ping", "request_id": 5}', "invalid_frame"),
        ('{"action": "ping", "request_id": "' + "x" * 65 + '"}', "invalid_frame"),
        ('{"action": "ping", "payload": [1]}', "invalid_payload"),
    ],
)
def test_what_is_no_frame_is_an_error_and_the_socket_stays(
    device: Device, raw: str | bytes, code: str
) -> None:
    device.send_raw(raw)
    frame = device.next()
    assert (frame["action"], frame["payload"]["code"]) == ("error", code)
    assert frame["payload"]["message"]
    assert device.nothing_came()


@pytest.mark.contract("PI-41")
def test_a_request_id_is_given_back_with_answers_and_errors(device: Device) -> None:
    conversation = device.conversation()
    payload = {"conversation_id": conversation, "content": "hello", "is_audio": True}
    device.send("send_message", payload, request_id="x" * 64)
    actions = ["message_created", "assistant_message", "speech_audio"]
    assert [(frame["action"], frame["request_id"]) for frame in (device.next() for _ in range(3))] == [
        (action, "x" * 64) for action in actions
    ]
    device.send("get_conversation", {"id": "nope"}, request_id="")
    frame = device.next()
    assert (frame["request_id"], frame["payload"]["code"]) == ("", "conversation_not_found")


@pytest.mark.contract("PI-13")
def test_a_client_that_sends_nothing_but_nonsense_is_closed_with_1008(server: TrialServer) -> None:
    with Device(server) as device:
        for _ in range(20):
            device.send_raw("nonsense")
        assert device.close_code() == 1008


@pytest.mark.contract("PI-13")
def test_a_frame_beyond_the_limit_closes_with_1009(start: ServerFactory) -> None:
    options = {"max_frame_bytes": 1024}
    server = started(start, "brief", transport=[{"use": "pichat", "auth": "devices", "options": options}])
    with Device(server) as device:
        device.ask("ping", {"padding": "x" * 900})
        device.send("ping", {"padding": "x" * 1100})
        assert device.next()["payload"]["code"] == "message_too_large"
        assert device.close_code() == 1009


@pytest.mark.contract("PI-13")
def test_too_many_requests_are_refused_with_the_time_to_wait(start: ServerFactory) -> None:
    with Device(started(start, "limited", limits={"user_per_minute": 3})) as device:
        for _ in range(3):
            device.ask("get_settings")
        error = device.refused("get_settings")
        assert error["code"] == "rate_limited"
        assert 0 < error["retry_after"] <= 60
        assert device.ask("ping") == {}


@pytest.mark.contract("PI-13")
def test_requests_of_one_socket_do_not_pile_up(start: ServerFactory) -> None:
    options = {"max_requests": 2}
    server = started(start, "narrow", transport=[{"use": "pichat", "auth": "devices", "options": options}])
    with Device(server) as device, server.told(llm="hold"):
        conversation = device.conversation()
        for number in range(3):
            payload = {"conversation_id": conversation, "content": "x"}
            device.send("send_message", payload, request_id=str(number))
        frames = [device.next() for _ in range(3)]
    (refused,) = (frame for frame in frames if frame["action"] == "error")
    assert (refused["request_id"], refused["payload"]["code"]) == ("2", "rate_limited")


@pytest.mark.contract("PI-36", "PI-13")
@pytest.mark.parametrize(
    ("action", "payload", "field"),
    [
        ("get_conversation", {}, "id"),
        ("update_conversation", {"id": "x"}, "title"),
        ("delete_conversation", {"id": 7}, "id"),
        ("send_message", {"content": "x"}, "conversation_id"),
        ("get_messages", None, "conversation_id"),
        ("update_settings", {"selected_model": []}, "selected_model"),
        ("text_to_speech", {"text": ""}, "text"),
        ("text_to_speech", {"text": "x" * 4001}, "text"),
        ("speech_to_text", {}, "audio_data"),
        ("speech_to_text", {"audio_data": "AAAA", "language": "no language"}, "language"),
    ],
)
def test_every_payload_is_checked_and_the_field_named(
    device: Device, action: str, payload: object, field: str
) -> None:
    error = device.refused(action, payload)
    assert (error["code"], error["action"]) == ("invalid_payload", action)
    assert [item["field"] for item in error["errors"]] == [field]
    assert all(item["message"] and item["code"] for item in error["errors"])


@pytest.mark.contract("PI-36")
def test_unknown_fields_are_ignored(device: Device) -> None:
    device.send("ping", {"colour": "green"}, colour="green")
    assert device.next() == {"action": "pong", "payload": {}}
