"""Clips in an object store: a real server that speaks S3, on a socket of this machine."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path

import anyio
import pytest
from obstore.store import LocalStore
from pydantic import SecretStr

from jackfield.audio.clips import ClipBucket, ClipLimits, ClipStore
from jackfield.audio.clips.connection import connect
from jackfield.audio.clips.names import new_name
from jackfield.audio.sniff import sniff
from jackfield.contracts.panel import StoredClip
from jackfield.errors import ConfigError, StoreUnavailable
from tests.s3_server import PAGE_KEYS, SECRET, S3Server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SECOND = bytes(2 * 22_050)
SECOND_BYTES = 44_144
"""Of a second as a WAV file."""
NOTE = "clips/jackfield-clips.txt"
PLENTY = 1 << 30

Open = Callable[..., ClipStore]
_buckets = count()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, for which the environment has the credentials."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    name = f"bucket{next(_buckets)}"
    s3.make(name)
    return name


def files(bucket: str, *, limits: ClipLimits | None = None, ahead_s: float = 0.0) -> ClipBucket:
    """The clips of a server whose clock is ahead."""
    url = f"s3://{bucket}/clips"
    return ClipBucket(
        lambda: connect(url, {}, request_s=5),
        limits or ClipLimits(3600, PLENTY),
        url=url,
        request_s=5,
        clock=lambda: time.time() + ahead_s,
    )


def store(bucket: str, *, limits: ClipLimits | None = None, ahead_s: float = 0.0) -> ClipStore:
    return ClipStore(files(bucket, limits=limits, ahead_s=ahead_s), container="wav")


@pytest.fixture
async def clips(bucket: str) -> AsyncIterator[ClipStore]:
    async with store(bucket) as clips:
        yield clips


def stored(s3: S3Server, bucket: str) -> list[str]:
    """Names of the clips in a bucket."""
    return [key.removeprefix("clips/") for key in s3.keys(bucket) if key != NOTE]


async def content(clip: StoredClip, part: range | None = None) -> bytes:
    """The bytes of a clip."""
    assert clip.content is not None
    wanted = range(clip.content.size_bytes) if part is None else part
    async with aclosing(clip.content.read(wanted)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_clip_is_what_its_name_says(clips: ClipStore) -> None:
    name = await clips.save(SECOND, 22_050)

    clip = await clips.find(name)

    assert clip is not None
    assert clip.path == Path(name)
    assert clip.media_type == "audio/wav"
    assert 3500 <= clip.expires_in_s <= 3600
    assert clip.content is not None
    assert clip.content.size_bytes == SECOND_BYTES
    assert sniff(await content(clip)) == "wav"


async def test_a_part_of_a_clip_can_be_read(clips: ClipStore) -> None:
    clip = await clips.find(await clips.save(SECOND, 22_050))

    assert clip is not None
    whole = await content(clip)
    assert await content(clip, range(10, 20)) == whole[10:20]
    assert await content(clip, range(5, 5)) == b""


async def test_a_large_clip_comes_in_pieces(clips: ClipStore) -> None:
    clip = await clips.find(await clips.save(SECOND * 30, 22_050))

    assert clip is not None
    assert clip.content is not None
    async with aclosing(clip.content.read(range(clip.content.size_bytes))) as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert len(sizes) == 3
    assert sum(sizes) == clip.content.size_bytes


async def test_whoever_serves_the_bucket_itself_knows_type_and_age(
    s3: S3Server, bucket: str, clips: ClipStore
) -> None:
    name = await clips.save(SECOND, 22_050)

    headers = s3.object(bucket, f"clips/{name}").headers

    assert headers["content-type"] == "audio/wav"
    assert headers["cache-control"] == "public, max-age=3600"


async def test_what_one_server_has_stored_another_one_finds(bucket: str, clips: ClipStore) -> None:
    async with store(bucket) as other:
        clip = await other.find(await clips.save(SECOND, 22_050))
        assert clip is not None
        assert len(await content(clip)) == SECOND_BYTES


async def test_an_unknown_name_finds_nothing_and_for_a_malformed_one_nobody_is_asked(
    s3: S3Server, clips: ClipStore
) -> None:
    assert await clips.find(new_name("wav")) is None
    before = s3.requests()
    for name in ("../jackfield-clips.txt", "jackfield-clips.txt", "response_short.wav", ""):
        assert await clips.find(name) is None
    assert s3.requests() == before


async def test_a_clip_that_was_deleted_before_it_is_read_is_missed(bucket: str, clips: ClipStore) -> None:
    name = await clips.save(SECOND, 22_050)
    clip = await clips.find(name)
    await connect(f"s3://{bucket}/clips", {}, request_s=5).delete_async(name)

    assert clip is not None
    with pytest.raises(FileNotFoundError):
        await content(clip)


async def test_opening_leaves_nothing_but_the_note(s3: S3Server, bucket: str, clips: ClipStore) -> None:
    assert s3.keys(bucket) == [NOTE]


# What has to go.


async def test_what_an_earlier_run_left_goes_when_it_is_too_old_page_after_page_and_nothing_else(
    s3: S3Server, bucket: str
) -> None:
    s3.put(bucket, "clips/response_notes.txt", b"mine")
    s3.put(bucket, f"clips/deeper/{new_name('wav')}", b"mine")
    s3.put(bucket, f"elsewhere/{new_name('wav')}", b"mine")
    foreign = set(s3.keys(bucket))
    limits = ClipLimits(1, PLENTY)
    async with store(bucket, limits=limits) as first:
        old = [await first.save(SECOND, 22_050) for _ in range(2 * PAGE_KEYS)]
    await anyio.sleep(limits.ttl_s + 1.1)  # times of the store are whole seconds
    assert await first.find(old[0]) is None
    async with store(bucket, limits=limits) as second:
        assert set(s3.keys(bucket)) - {NOTE} == foreign
        assert second.total_bytes == 0


async def test_the_background_task_cleans_up(s3: S3Server, bucket: str) -> None:
    async with store(bucket, limits=ClipLimits(1, PLENTY)) as clips, anyio.create_task_group() as tasks:
        await clips.save(SECOND, 22_050)
        tasks.start_soon(clips.run_cleanup)
        with anyio.fail_after(20):
            while stored(s3, bucket):
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()


async def test_a_server_whose_clock_is_wrong_deletes_nothing_that_is_young(
    s3: S3Server, bucket: str, clips: ClipStore
) -> None:
    name = await clips.save(SECOND, 22_050)
    for ahead_s in (-86_400.0, 86_400.0):
        async with store(bucket, ahead_s=ahead_s) as wrong:
            await turned(wrong, s3, bucket)
            found = await wrong.find(name)
            assert found is not None
            assert 3500 <= found.expires_in_s <= 3601
    assert stored(s3, bucket) == [name]


async def turned(clips: ClipStore, s3: S3Server, bucket: str) -> None:
    """Clean up, whoever has done so just now."""
    await connect(f"s3://{bucket}/clips", {}, request_s=5).delete_async("jackfield-clips.txt")
    await clips.clean()
    assert NOTE in s3.keys(bucket)


async def test_servers_clean_up_by_turns_and_all_know_the_size(s3: S3Server, bucket: str) -> None:
    async with store(bucket) as first, store(bucket) as second:
        await first.save(SECOND, 22_050)
        await turned(first, s3, bucket)
        before = len(listings(s3, bucket))
        await second.clean()
        await first.clean()
        assert len(listings(s3, bucket)) == before
        assert first.total_bytes == second.total_bytes == SECOND_BYTES


def listings(s3: S3Server, bucket: str) -> list[str]:
    """Requests that listed a bucket."""
    return [request for request in s3.requests() if f"GET /{bucket}?list-type" in request]


async def test_young_clips_are_not_deleted_to_make_room(s3: S3Server, bucket: str) -> None:
    async with store(bucket, limits=ClipLimits(3600, 1)) as clips:
        name = await clips.save(SECOND, 22_050)
        await turned(clips, s3, bucket)
        assert stored(s3, bucket) == [name]


async def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch, s3: S3Server, bucket: str) -> None:
    monkeypatch.setattr("jackfield.audio.clips.bucket._SPARED_S", -60.0)
    async with store(bucket, limits=ClipLimits(3600, 2 * SECOND_BYTES)) as clips:
        old = [await clips.save(SECOND, 22_050) for _ in range(2)]
        await anyio.sleep(1.1)
        new = [await clips.save(SECOND, 22_050) for _ in range(2)]
        await turned(clips, s3, bucket)
    assert set(stored(s3, bucket)) == set(new), old
    assert clips.total_bytes == 2 * SECOND_BYTES


async def test_a_clip_that_another_server_deleted_first_keeps_no_other_one_alive(tmp_path: Path) -> None:
    one_by_one = LocalStore(tmp_path)  # deletes like Google's, and misses what is not there
    gone, there = [new_name("wav") for _ in range(60)], new_name("wav")
    async with ClipBucket(lambda: one_by_one, ClipLimits(3600, PLENTY), url="local", request_s=5) as place:
        one_by_one.put(there, b"sound")
        await place._delete([*gone, there])
        assert await place.find(there, "audio/wav") is None


# The store away.


@pytest.fixture
def frail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server of its own, to be treated badly."""
    with S3Server(tmp_path / "s3") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.make("frail")
        yield server


async def test_without_the_store_everything_fails_at_once_and_goes_on_when_it_is_back(
    frail: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with store("frail", limits=ClipLimits(0.2, PLENTY)) as clips, anyio.create_task_group() as tasks:
        frail.kill()
        for attempt in (clips.save(SECOND, 22_050), clips.find(new_name("wav")), clips.ping(), clips.clean()):
            with (
                anyio.fail_after(20),
                pytest.raises(StoreUnavailable, match="s3://frail/clips: no connection"),
            ):
                await attempt
        tasks.start_soon(clips.run_cleanup)
        with anyio.fail_after(20):
            while "Cleaning up the stored clips failed" not in caplog.text:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
        frail.start()
        with pytest.raises(StoreUnavailable, match=re.escape("answered 404 (NoSuchBucket)")):
            await clips.save(SECOND, 22_050)
        frail.make("frail")
        await clips.save(SECOND, 22_050)
    assert all(record.levelno <= logging.WARNING for record in caplog.records)


async def test_a_store_that_hangs_is_waited_for_no_longer_than_allowed_and_not_when_cancelled(
    frail: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ClipBucket(
        lambda: connect("s3://frail", {}, request_s=60),
        ClipLimits(3600, PLENTY),
        url="s3://frail",
        request_s=60,
    )
    async with ClipStore(place, container="wav") as clips:
        frail.hang()
        with anyio.fail_after(20), anyio.move_on_after(0.1) as patience:
            await clips.save(SECOND, 22_050)
        assert patience.cancelled_caught
        monkeypatch.setattr(place, "_request_s", 0.2)
        with anyio.fail_after(20), pytest.raises(StoreUnavailable, match=r"no answer within 0\.2 s"):
            await clips.save(SECOND, 22_050)
        frail.wake()


# What stops the start.


async def problem(url: str, options: dict[str, str] | None = None) -> str:
    """Why a server with this setting does not start."""
    secrets = {name: SecretStr(value) for name, value in (options or {}).items()}
    place = ClipBucket(
        lambda: connect(url, secrets, request_s=20), ClipLimits(3600, 1), url=url, request_s=20
    )
    with pytest.raises(ConfigError) as caught:
        async with ClipStore(place, container="wav"):
            pass
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    assert await problem("s3://nowhere/clips") == (
        "[audio.url] Spoken answers cannot be stored in s3://nowhere/clips: it answered 404 (NoSuchBucket). "
        "Make it, or mend the name in audio.url."
    )


async def test_refused_credentials_are_told_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with S3Server(tmp_path, guarded=True) as guarded:
        for name, value in guarded.environment.items():
            monkeypatch.setenv(name, value)
        told = await problem("s3://private/clips")
    assert "it answered 403 (InvalidAccessKeyId). Give credentials that may read, write, list" in told
    assert "AWS_ACCESS_KEY_ID" in told
    assert SECRET not in told + caplog.text
    assert "tester" not in told


async def test_a_store_that_is_not_there_is_told_with_where_its_address_is_set(bucket: str) -> None:
    told = await problem("s3://bucket", {"endpoint": "http://127.0.0.1:9"})
    assert "no connection. See that the address is right (AWS_ENDPOINT_URL" in told
