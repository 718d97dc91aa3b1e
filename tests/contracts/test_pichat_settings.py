"""pichat, section 3.4: settings, and what they choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.harness import ServerFactory, TrialServer
from tests.contracts.pichat_device import ANN_TOKEN, Device, pichat, started

DEFAULTS = {"selected_model": "gpt-4", "voice_settings": {"gender": "female", "accent": "polish"}}


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture
def device(server: TrialServer) -> Iterator[Device]:
    with Device(server) as device:
        yield device
        device.ask("update_settings", DEFAULTS)


@pytest.mark.contract("PI-09")
def test_a_new_user_has_the_defaults(start: ServerFactory) -> None:
    with Device(started(start, "fresh")) as device:
        device.send("get_settings")
        assert device.next() == {"action": "settings", "payload": DEFAULTS}


@pytest.mark.contract("PI-10")
def test_settings_that_are_absent_keep_their_values(device: Device) -> None:
    device.send("update_settings", {"selected_model": "gpt-3.5-turbo"})
    changed = {**DEFAULTS, "selected_model": "gpt-3.5-turbo"}
    assert device.next() == {"action": "settings_updated", "payload": changed}
    assert device.ask("update_settings", {"voice_settings": {"gender": "male"}}) == {
        "selected_model": "gpt-3.5-turbo",
        "voice_settings": {"gender": "male", "accent": "polish"},
    }
    assert device.ask("get_settings")["voice_settings"] == {"gender": "male", "accent": "polish"}


@pytest.mark.contract("PI-10", "PI-36")
@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"selected_model": "gpt-9"}, "invalid_model", "selected_model"),
        ({"voice_settings": {"accent": "martian"}}, "invalid_voice", "voice_settings.accent"),
        ({"voice_settings": {"gender": "robot"}}, "invalid_voice", "voice_settings.gender"),
        ({"voice_settings": {"gender": 5}}, "invalid_payload", "voice_settings.gender"),
        ({"voice_settings": "polish"}, "invalid_payload", "voice_settings"),
    ],
)
def test_nothing_is_changed_when_one_setting_is_not_valid(
    device: Device, wrong: dict[str, object], code: str, field: str
) -> None:
    right = {"selected_model": "gpt-35", "voice_settings": {"gender": "male", "accent": "british"}}
    error = device.refused("update_settings", {**right, **wrong})
    assert (error["code"], [item["field"] for item in error["errors"]]) == (code, [field])
    assert device.ask("get_settings") == DEFAULTS


@pytest.mark.contract("PI-10", "PI-09")
def test_settings_outlive_the_server_and_are_each_users_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'pichat.db'}"
    config = pichat(session={"use": "sql", "options": {"url": url}})
    with TrialServer(tmp_path / "one", config) as server, Device(server) as device:
        device.ask("update_settings", {"voice_settings": {"accent": "british"}})
    with TrialServer(tmp_path / "two", config) as server:
        with Device(server) as device:
            assert device.ask("get_settings")["voice_settings"]["accent"] == "british"
        with Device(server, ANN_TOKEN) as device:
            assert device.ask("get_settings") == DEFAULTS


@pytest.mark.contract("PI-17")
@pytest.mark.parametrize("name", ["gpt-3.5-turbo", "gpt-35", "gpt-35-turbo", "gpt-3.5"])
def test_the_chosen_model_answers_the_next_message(device: Device, name: str) -> None:
    conversation = device.conversation()
    assert device.say(conversation, "first")[1]["content"] == "You said: first"
    assert device.ask("update_settings", {"selected_model": name})["selected_model"] == "gpt-3.5-turbo"
    assert device.say(conversation, "second")[1]["content"] == "The small one says: second"
    device.ask("update_settings", {"selected_model": "gpt-4"})
    assert device.say(conversation, "third")[1]["content"] == "You said: third"


@pytest.mark.contract("PI-18")
def test_the_chosen_voice_speaks_answers_and_texts(server: TrialServer, device: Device) -> None:
    conversation = device.conversation()
    device.ask("update_settings", {"voice_settings": {"gender": "male", "accent": "british"}})
    with server.noting("tts") as spoken:
        device.say(conversation, "hello", is_audio=True)
        answer = device.next()["payload"]
        device.ask("text_to_speech", {"text": "hello"})
    assert (answer["voice_gender"], answer["voice_accent"]) == ("male", "british")
    voice = {"name": None, "language": "en-GB", "gender": "male", "accent": "british"}
    assert [note["voice"] for note in spoken] == [voice, voice]


@pytest.mark.contract("PI-18")
def test_a_request_may_ask_for_another_voice(server: TrialServer, device: Device) -> None:
    with server.noting("tts") as spoken:
        payload = {"text": "hello", "voice_gender": "male", "voice_accent": "american"}
        answer = device.ask("text_to_speech", payload)
        device.ask("text_to_speech", {"text": "hello", "voice_accent": "british"})
    assert (answer["voice_gender"], answer["voice_accent"]) == ("male", "american")
    wanted = [(note["voice"]["gender"], note["voice"]["language"]) for note in spoken]
    assert wanted == [("male", "en-US"), ("female", "en-GB")]
    assert device.ask("get_settings") == DEFAULTS
    assert device.refused("text_to_speech", {"text": "x", "voice_gender": "x"})["code"] == "invalid_voice"


@pytest.mark.contract("PI-17", "PI-18")
def test_the_tables_are_options(tmp_path: Path) -> None:
    options = {
        "models": {"small": {"llm": "gpt-3.5-turbo", "aliases": ["tiny"]}, "large": {}},
        "accents": {"welsh": {"language": "cy-GB", "female": "Nia"}},
    }
    door = {"use": "pichat", "auth": "devices", "options": options}
    with (
        TrialServer(tmp_path / "server", pichat(transport=[door])) as server,
        Device(server) as device,
        server.noting("tts") as spoken,
    ):
        settings = {"selected_model": "small", "voice_settings": {"gender": "female", "accent": "welsh"}}
        assert device.ask("get_settings") == settings
        assert device.refused("update_settings", {"selected_model": "gpt-4"})["code"] == "invalid_model"
        device.say(device.conversation(), "hello", is_audio=True)
        device.next()
    assert [(note["text"], note["voice"]["name"]) for note in spoken] == [
        ("The small one says: hello", "Nia")
    ]


@pytest.mark.contract("PI-17")
def test_a_model_that_asks_for_one_which_is_not_there_stops_the_start(tmp_path: Path) -> None:
    door = {"use": "pichat", "auth": "devices", "options": {"models": {"big": {"llm": "gpt-9"}}}}
    with pytest.raises(RuntimeError) as failure:
        TrialServer(tmp_path / "server", pichat(transport=[door])).__enter__()
    assert '.options.models] There is no [llm.named."gpt-9"]' in str(failure.value)
