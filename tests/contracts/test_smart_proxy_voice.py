"""smart-proxy, section 6: the backend's spoken answers under names of our own."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.contracts.backend import Backend, Reply, before
from tests.contracts.harness import ServerFactory, TrialServer, refusal, until

NAME = re.compile(r"/api/voice/([A-Za-z0-9_-]{22,64}\.(mp3|ogg|wav|webm))")


@pytest.fixture(scope="module")
def backend(recordings: dict[str, bytes]) -> Iterator[Backend]:
    with Backend() as backend:
        backend.files = {f"/sounds/answer.{name}": data for name, data in recordings.items()}
        backend.files["/page.mp3"] = b"<html><script>secret-123</script>"
        yield backend


@pytest.fixture(scope="module")
def proxy(backend: Backend, start: ServerFactory) -> TrialServer:
    return before(backend, start, "proxy")


def spoken(url: str, backend: Backend, proxy: TrialServer, webm: bytes) -> str:
    """What becomes of an address of a spoken answer."""
    with backend.answering(Reply(body={"message": "said", "type": "voice", "audioUrl": url})):
        body = proxy.say(webm).json()
    assert set(body) == {"message", "type", "audioUrl"}
    assert (body["message"], body["type"]) == ("said", "voice")
    told: str = body["audioUrl"]
    return told


def files(proxy: TrialServer) -> list[Path]:
    return sorted((proxy.folder / "static" / "proxy").iterdir())


TYPES = {"mp3": "audio/mpeg", "ogg": "audio/ogg", "wav": "audio/wav", "webm": "audio/webm"}


@pytest.mark.contract("SP-10", "SP-11")
@pytest.mark.parametrize("container", TYPES)
def test_a_spoken_answer_is_served_under_a_new_name_with_its_type(
    backend: Backend, proxy: TrialServer, webm: bytes, recordings: dict[str, bytes], container: str
) -> None:
    url = spoken(f"/sounds/answer.{container}", backend, proxy, webm)

    found = NAME.fullmatch(url)
    assert found
    assert found[2] == container
    answer = proxy.client.get(url)
    assert answer.status_code == 200
    assert answer.content == recordings[container]
    assert answer.headers["content-type"] == TYPES[container]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.contract("SP-11")
def test_the_type_is_that_of_the_content_whatever_the_name_says(
    backend: Backend, proxy: TrialServer, webm: bytes, recordings: dict[str, bytes]
) -> None:
    backend.files["/mislabelled.mp3"] = recordings["ogg"]
    answer = proxy.client.get(spoken("/mislabelled.mp3", backend, proxy, webm))
    assert answer.headers["content-type"] == "audio/ogg"


@pytest.mark.contract("SP-10", "SP-30")
@pytest.mark.parametrize(
    "form", ["{origin}/sounds/answer.mp3", "sounds/answer.mp3", "//{host}/sounds/answer.mp3"]
)
def test_every_way_to_write_an_address_of_the_backend_is_rewritten(
    backend: Backend, proxy: TrialServer, webm: bytes, form: str
) -> None:
    host = backend.url.removeprefix("http://")
    url = spoken(form.format(origin=backend.url, host=host), backend, proxy, webm)
    assert NAME.fullmatch(url)
    assert proxy.client.get(url).status_code == 200


@pytest.mark.contract("SP-10", "SP-30")
@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.org/a.mp3?x=1",
        "http://127.0.0.1:1/a.mp3",
        "http://localhost.example/a.mp3",
        "//cdn.example.org/a.mp3",
    ],
)
def test_an_address_elsewhere_is_passed_on_and_never_visited(
    backend: Backend, proxy: TrialServer, webm: bytes, url: str
) -> None:
    assert spoken(url, backend, proxy, webm) == url
    assert proxy.calls_out() == []


@pytest.mark.contract("SP-30")
@pytest.mark.parametrize("trick", ["@", "@user:pass@", "\\@"])
def test_an_address_that_only_looks_like_the_backends_does_not_lead_elsewhere(
    backend: Backend, proxy: TrialServer, webm: bytes, trick: str
) -> None:
    with Backend() as elsewhere:
        host = elsewhere.url.removeprefix("http://")
        written = f"{backend.url}{trick}{host}/sounds/answer.mp3"
        with backend.answering(Reply(body={"message": "said", "type": "voice", "audioUrl": written})):
            answer = proxy.say(webm)
        if answer.status_code == 200 and NAME.fullmatch(answer.json()["audioUrl"]):
            proxy.client.get(answer.json()["audioUrl"])
        assert elsewhere.got == []


@pytest.mark.contract("SP-30")
def test_a_spoken_answer_that_redirects_is_not_followed(
    backend: Backend, proxy: TrialServer, webm: bytes
) -> None:
    with Backend() as elsewhere:
        backend.health, before_it = Reply(302, b"", {"Location": f"{elsewhere.url}/a.mp3"}), backend.health
        url = spoken("/any/health", backend, proxy, webm)
        refusal(proxy.client.get(url), 404, "not_found")
        backend.health = before_it
        assert elsewhere.got == []


@pytest.mark.contract("SP-11")
def test_what_is_no_sound_is_not_served(backend: Backend, proxy: TrialServer, webm: bytes) -> None:
    url = spoken("/page.mp3", backend, proxy, webm)
    kept = files(proxy)
    refusal(proxy.client.get(url), 404, "not_found")
    assert files(proxy) == kept


@pytest.mark.contract("SP-11")
def test_parts_heads_and_known_answers_work_as_for_any_file(
    backend: Backend, proxy: TrialServer, webm: bytes, recordings: dict[str, bytes]
) -> None:
    url = spoken("/sounds/answer.mp3", backend, proxy, webm)
    whole = recordings["mp3"]

    head = proxy.client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(whole)
    part = proxy.client.get(url, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, whole[5:10])
    assert proxy.client.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416
    known = proxy.client.get(url, headers={"If-None-Match": head.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.contract("SP-11")
def test_a_spoken_answer_is_fetched_once(backend: Backend, proxy: TrialServer, webm: bytes) -> None:
    url = spoken("/sounds/answer.wav", backend, proxy, webm)
    backend.got.clear()
    for _ in range(3):
        assert proxy.client.get(url).status_code == 200
    assert backend.got.count("/sounds/answer.wav") == 1
    for path in files(proxy):
        assert path.stat().st_mode & 0o777 == 0o600
    assert files(proxy)[0].parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.contract("SP-12")
@pytest.mark.parametrize(
    "name",
    [
        "x",
        "a" * 22 + ".mp4",
        "a" * 65 + ".mp3",
        "a" * 22 + ".MP3",
        "a" * 22 + ".mp3%00",
        "a" * 22 + ".mp3%0a",
        "..%2f..%2f..%2fjackfield.toml",
        "%2e%2e/%2e%2e/jackfield.toml",
        "aaaaaaaaaaaaaaaaaaaaaa%2f.mp3",
        "/etc/passwd",
        "",
    ],
)
def test_a_malformed_name_is_answered_like_an_unknown_one(proxy: TrialServer, name: str) -> None:
    unknown = proxy.client.get("/api/voice/" + "a" * 22 + ".mp3")
    malformed = httpx.get(f"{proxy.url}/api/voice/{name}")
    told = [refusal(answer, 404, "not_found")["detail"] for answer in (unknown, malformed)]
    assert told[0] == told[1]


@pytest.mark.contract("SP-12")
def test_a_file_beside_the_clips_is_not_served(proxy: TrialServer, recordings: dict[str, bytes]) -> None:
    beside = proxy.folder / "static" / "proxy" / "notes.mp3"
    beside.write_bytes(recordings["mp3"])
    try:
        refusal(proxy.client.get("/api/voice/notes.mp3"), 404, "not_found")
    finally:
        beside.unlink()


def test_names_are_not_to_be_guessed(backend: Backend, proxy: TrialServer, webm: bytes) -> None:
    names = {spoken("/sounds/answer.mp3", backend, proxy, webm) for _ in range(5)}
    assert len(names) == 5
    assert len(secrets.token_urlsafe(16)) == len(Path(names.pop()).stem)


@pytest.mark.contract("SP-10")
def test_a_spoken_answer_of_a_backend_that_is_gone_is_not_found(start: ServerFactory, webm: bytes) -> None:
    with Backend() as backend:
        backend.files["/a.mp3"] = b"ID3 and more of it"
        proxy = before(backend, start, "left")
        fetched, unfetched = (spoken("/a.mp3", backend, proxy, webm) for _ in range(2))
        assert proxy.client.get(fetched).status_code == 200
    assert proxy.client.get(fetched).status_code == 200
    refusal(proxy.client.get(unfetched), 404, "not_found")


@pytest.mark.contract("SP-10")
def test_addresses_are_whole_where_the_server_knows_its_own(
    backend: Backend, start: ServerFactory, webm: bytes
) -> None:
    proxy = before(backend, start, "public", config={"server": {"public_url": "https://chat.example.org/"}})
    url = spoken("/sounds/answer.mp3", backend, proxy, webm)
    assert NAME.fullmatch(url.removeprefix("https://chat.example.org"))


def test_kept_answers_are_deleted_by_age_and_by_total_size(
    backend: Backend, start: ServerFactory, webm: bytes, recordings: dict[str, bytes]
) -> None:
    size_bytes = len(recordings["wav"])
    limits = {"ttl_s": 3.0, "max_total_bytes": 3 * size_bytes, "max_bytes": size_bytes}
    proxy = before(backend, start, "small", clips=limits)
    backend.files["/large.wav"] = recordings["wav"] + b"\0"

    for _ in range(6):
        assert proxy.client.get(spoken("/sounds/answer.wav", backend, proxy, webm)).status_code == 200
    refusal(proxy.client.get(spoken("/large.wav", backend, proxy, webm)), 404, "not_found")

    assert sum(path.stat().st_size for path in files(proxy)) <= 4 * size_bytes
    until(lambda: files(proxy) == [], "the files are deleted")
