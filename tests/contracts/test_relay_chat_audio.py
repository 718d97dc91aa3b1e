"""relay-chat, section 5: fetching a spoken answer, and where it is kept."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import httpx
import pytest

from tests.contracts.harness import CLIP_NAME, ServerFactory, TrialServer, refusal, until


@pytest.fixture(scope="module")
def url(server: TrialServer, webm: bytes) -> str:
    """Path of a spoken answer."""
    answer: str = server.say(webm).json()["audioUrl"]
    return answer


@pytest.mark.contract("RC-15")
def test_the_address_of_a_spoken_answer_gives_the_whole_file(server: TrialServer, url: str) -> None:
    response = server.client.get(url)

    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/mpeg"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.content == (server.audio / Path(url).name).read_bytes()


def test_it_may_be_kept_for_as_long_as_the_file_will_exist(server: TrialServer, url: str) -> None:
    header = server.client.get(url).headers["cache-control"]

    found = re.fullmatch(r"private, max-age=(\d+)", header)
    assert found
    assert 3500 < int(found[1]) <= 3600


def test_head_gives_the_headers_alone(server: TrialServer, url: str) -> None:
    whole, head = server.client.get(url), server.client.head(url, headers={"Range": "bytes=0-9"})

    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length", "accept-ranges", "x-content-type-options"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=5-5", slice(5, 6)),
        ("bytes=10-", slice(10, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=3-99999999", slice(3, None)),
        ("bytes=-99999999", slice(0, None)),
        ("Bytes = 1-2", slice(1, 3)),
    ],
)
def test_a_range_gives_its_part(server: TrialServer, url: str, wanted: str, part: slice) -> None:
    whole = server.client.get(url).content
    response = server.client.get(url, headers={"Range": wanted})

    assert response.status_code == 206
    assert response.content == whole[part]
    first, last, _ = part.indices(len(whole))
    assert response.headers["content-range"] == f"bytes {first}-{last - 1}/{len(whole)}"
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize(
    "wanted",
    ["bytes=9-3", "bytes=99999999-", "bytes=-0", "bytes=-", "bytes=", "bytes=a-b", "bytes=1", "bytes=1-2-3"],
)
def test_a_bad_range_is_refused(server: TrialServer, url: str, wanted: str) -> None:
    response = server.client.get(url, headers={"Range": wanted})

    refusal(response, 416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(server.client.get(url).content)}"


@pytest.mark.parametrize(
    "headers", [{"Range": "items=0-1"}, {"Range": "bytes=0-1,4-5"}, {"Range": "bytes=0-1", "If-Range": '"x"'}]
)
def test_what_is_not_one_plain_range_gives_the_whole_file(
    server: TrialServer, url: str, headers: dict[str, str]
) -> None:
    response = server.client.get(url, headers=headers)

    assert (response.status_code, len(response.content)) == (200, len(server.client.get(url).content))


@pytest.mark.contract("RC-20", "RC-24")
@pytest.mark.parametrize(
    "name",
    [
        "x",
        "response_short.mp3",
        "response_" + "a" * 65 + ".mp3",
        "response_" + "a" * 22 + ".exe",
        "response_" + "a" * 22 + ".mp3%00",
        "response_" + "a" * 22 + ".mp3%0a",
        "response_" + "a" * 22 + ".MP3",
        "response_aaaaaaaaaaaaaaaaaaaa%2f%2e.mp3",
        "..%2f..%2fjackfield.toml",
        "%2e%2e/jackfield.toml",
        "/etc/passwd",
        "",
    ],
)
def test_a_malformed_name_is_answered_like_an_unknown_one(server: TrialServer, name: str) -> None:
    unknown = server.client.get("/audio/response_" + "a" * 22 + ".mp3")
    malformed = httpx.get(f"{server.url}/audio/{name}")

    told = refusal(unknown, 404, "not_found"), refusal(malformed, 404, "not_found")
    assert {body["detail"] for body in told} == {"There is nothing here."}


@pytest.mark.contract("RC-24")
def test_a_malformed_name_never_reaches_the_disk(server: TrialServer) -> None:
    outside = server.audio / "notes.mp3"
    outside.write_bytes(b"not a clip")
    try:
        refusal(server.client.get("/audio/notes.mp3"), 404, "not_found")
    finally:
        outside.unlink()


@pytest.mark.contract("RC-24")
def test_clips_are_private_files_under_random_names(server: TrialServer, webm: bytes) -> None:
    names = {server.say(webm, username="findme").json()["audioUrl"] for _ in range(3)}

    assert len(names) == 3
    assert server.audio.stat().st_mode & 0o777 == 0o700
    for path in server.clips():
        assert CLIP_NAME.fullmatch(path.name)
        assert path.stat().st_mode & 0o777 == 0o600
    assert not any("findme" in name for name in names)


@pytest.mark.contract("RC-24")
def test_the_name_of_an_upload_is_never_used(server: TrialServer, webm: bytes) -> None:
    part = ("../../findme.webm", webm, "audio/webm")
    fields = {"type": "voice", "sessionId": "s", "userId": "u", "username": "n"}
    response = server.client.post("/chat", data=fields, files={"audio": part})

    assert response.json()["type"] == "voice"
    assert list(server.folder.parent.rglob("*findme*")) == []
    assert "findme" not in server.output()


@pytest.mark.contract("RC-24")
def test_the_folder_of_clips_is_not_served_by_any_other_route(server: TrialServer, url: str) -> None:
    for path in ("/static/audio/", "/static/", "/audio-files/", "/"):
        refusal(server.client.get(path + Path(url).name), 404, "not_found")


@pytest.mark.contract("RC-32")
def test_an_answer_is_deleted_when_its_time_is_over(start: ServerFactory, webm: bytes) -> None:
    server = start("forgetful", {"audio": {"ttl_seconds": 1}})
    url = server.say(webm).json()["audioUrl"]
    assert server.client.get(url).status_code == 200

    until(lambda: server.client.get(url).status_code == 404, "the answer expires")
    until(lambda: server.clips() == [], "its file is deleted without a request")


@pytest.mark.contract("RC-32")
def test_answers_of_an_earlier_run_are_cleaned_up_too(tmp_path: Path) -> None:
    server = TrialServer(tmp_path / "server")
    server.audio.mkdir(parents=True, mode=0o700)
    old, young = (server.audio / f"response_{letter * 22}.mp3" for letter in "oy")
    for path, age_s in ((old, 4000), (young, 100)):
        path.write_bytes(b"ID3")
        os.utime(path, (time.time() - age_s,) * 2)

    with server:
        assert server.clips() == [young]
        assert server.client.get(f"/audio/{young.name}").status_code == 200


@pytest.mark.contract("RC-32", "RC-49")
def test_the_oldest_answers_go_when_all_of_them_are_too_large(start: ServerFactory, webm: bytes) -> None:
    server = start("small-disk", {"audio": {"max_total_bytes": 20_000, "format": "wav"}})
    urls = [server.say(webm).json()["audioUrl"] for _ in range(8)]

    sizes = [path.stat().st_size for path in server.clips()]
    assert sum(sizes) <= 20_000 + sizes[0]  # room is made before the next one is stored
    assert server.client.get(urls[-1]).status_code == 200
    assert server.client.get(urls[0]).status_code == 404


@pytest.mark.contract("RC-33")
def test_answers_are_fetched_from_the_cdn_where_one_is_configured(start: ServerFactory, webm: bytes) -> None:
    server = start("cdn", {"audio": {"public_base_url": "https://cdn.example.org/clips/"}})

    url = server.say(webm).json()["audioUrl"]

    name = url.removeprefix("https://cdn.example.org/clips/")
    assert CLIP_NAME.fullmatch(name)
    assert (server.audio / name).exists()


def test_addresses_are_whole_where_the_server_knows_its_own(start: ServerFactory, webm: bytes) -> None:
    config = {
        "server": {"public_url": "https://chat.example.org"},
        "transport": [{"use": "relay_chat", "mount": "/relay"}],
    }
    server = start("public", config)
    response = server.client.post(
        "/relay/chat",
        data={"type": "voice", "sessionId": "s", "userId": "u", "username": "n"},
        files={"audio": ("a", webm)},
    )

    url = response.json()["audioUrl"]
    assert url.startswith("https://chat.example.org/relay/audio/response_")
    assert server.client.get(url.removeprefix("https://chat.example.org")).status_code == 200
