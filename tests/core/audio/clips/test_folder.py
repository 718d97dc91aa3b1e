"""Clips in a folder: found by name only, and gone when too old or too many."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from jackfield.audio.clips import ClipFolder, ClipLimits, ClipStore, store as store_module
from jackfield.audio.encode import ClipFormat
from jackfield.audio.sniff import sniff
from jackfield.errors import ConfigError, StoreUnavailable

pytestmark = pytest.mark.anyio

SECOND = bytes(2 * 22_050)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "static" / "audio"
    yield directory
    unfinished = list(directory.glob(".*")) if directory.is_dir() else []
    assert unfinished == [], "a test left an unfinished file"


def _store(
    directory: Path, clock: Clock, *, container: ClipFormat = "wav", max_total_bytes: int = 1 << 30
) -> ClipStore:
    files = ClipFolder(directory, ClipLimits(3_600, max_total_bytes), clock=clock)
    return ClipStore(files, container=container)


@pytest.mark.parametrize("container", ["mp3", "ogg", "wav"])
async def test_a_clip_is_what_its_name_says(directory: Path, clock: Clock, container: ClipFormat) -> None:
    async with _store(directory, clock, container=container) as store:
        name = await store.save(SECOND, 22_050)
        clip = await store.find(name)
    assert clip is not None
    assert name.endswith(f".{container}")
    assert sniff(clip.path.read_bytes()) == container
    assert clip.media_type == {"mp3": "audio/mpeg", "ogg": "audio/ogg", "wav": "audio/wav"}[container]


async def test_only_the_owner_can_read_directory_and_clips(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as store:
        name = await store.save(SECOND, 22_050)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / name).stat().st_mode & 0o777 == 0o600


async def test_names_are_long_and_never_the_same(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as store:
        names = {await store.save(b"\0\0", 22_050) for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) == len("response_.wav") + 22 for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "secret.txt",
        "../secret.txt",
        "response_../../../../../../secret.mp3",
        "response_" + "a" * 21 + ".mp3",
        "response_" + "a" * 65 + ".mp3",
        "response_" + "a" * 22 + ".exe",
        "response_" + "a" * 22 + ".mp3\n",
        "." + "response_" + "a" * 22 + ".mp3.part",
    ],
)
async def test_a_malformed_name_finds_nothing_even_if_it_is_there(
    directory: Path, clock: Clock, name: str
) -> None:
    async with _store(directory, clock) as store:
        if name and "/" not in name:
            (directory / name).write_bytes(b"x")
        assert await store.find(name) is None
        if name and "/" not in name:
            (directory / name).unlink()


async def test_an_unknown_name_finds_nothing(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as store:
        assert await store.find("response_" + "a" * 22 + ".mp3") is None


async def test_a_clip_expires_even_before_it_is_cleaned_up(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as store:
        name = await store.save(SECOND, 22_050)
        clock.now += 3_599
        clip = await store.find(name)
        assert clip is not None
        assert clip.expires_in_s == 1
        clock.now += 1
        assert await store.find(name) is None


async def test_cleaning_up_deletes_what_is_too_old_and_nothing_else(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as store:
        old = await store.save(SECOND, 22_050)
        clock.now += 3_000
        new = await store.save(SECOND, 22_050)
        foreign = directory / "notes.txt"
        foreign.write_text("mine")
        os.utime(foreign, (0, 0))
        clock.now += 600
        await store.clean()
    assert not (directory / old).exists()
    assert (directory / new).exists()
    assert foreign.exists()
    assert store.total_bytes == (directory / new).stat().st_size


async def test_a_folder_that_is_gone_cannot_be_reached(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as store:
        await store.ping()
        directory.rmdir()
        with pytest.raises(StoreUnavailable, match="audio: No such file"):
            await store.ping()


async def test_the_oldest_clips_make_room_for_new_ones(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock, max_total_bytes=3 * 44_144) as store:
        names = []
        for _ in range(5):
            names.append(await store.save(SECOND, 22_050))
            clock.now += 1
        await store.clean()
    assert [name for name in names if (directory / name).exists()] == names[2:]
    assert store.total_bytes <= 3 * 44_144


async def test_saving_over_the_limit_does_not_wait_for_the_next_clean_up(
    directory: Path, clock: Clock
) -> None:
    async with _store(directory, clock, max_total_bytes=3 * 44_144) as store:
        for _ in range(9):
            await store.save(SECOND, 22_050)
            clock.now += 1
        assert len(list(directory.iterdir())) <= 4


async def test_clips_of_an_earlier_run_are_served_and_cleaned_up(directory: Path, clock: Clock) -> None:
    async with _store(directory, clock) as first:
        old = await first.save(SECOND, 22_050)
        clock.now += 1_800
        new = await first.save(SECOND, 22_050)
    (directory / (".response_" + "a" * 22 + ".mp3.part")).write_bytes(b"died")
    os.utime(directory / (".response_" + "a" * 22 + ".mp3.part"), (clock.now, clock.now))
    clock.now += 1_800
    async with _store(directory, clock) as second:
        assert await second.find(new) is not None
    assert sorted(path.name for path in directory.iterdir()) == [new]
    assert old != new


async def test_the_background_task_cleans_up(directory: Path) -> None:
    store = ClipStore(ClipFolder(directory, ClipLimits(0.01, 1 << 30)), container="wav")
    async with store, anyio.create_task_group() as group:
        name = await store.save(SECOND, 22_050)
        group.start_soon(store.run_cleanup)
        with anyio.fail_after(5):
            while (directory / name).exists():
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()


async def test_a_save_that_is_cancelled_while_it_compresses_is_left_at_once_and_leaves_no_file(
    directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, go_on, encoded = threading.Event(), threading.Event(), threading.Event()

    def slow(pcm: bytes, rate_hz: int, container: ClipFormat) -> bytes:
        encoding.set()
        go_on.wait(5)
        encoded.set()
        return b"sound"

    monkeypatch.setattr(store_module, "encode", slow)
    async with _store(directory, clock) as store:
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, SECOND, 22_050)
            await anyio.to_thread.run_sync(encoding.wait, 5)
            group.cancel_scope.cancel()
        go_on.set()
        await anyio.to_thread.run_sync(encoded.wait, 5)
    assert list(directory.iterdir()) == []


async def test_a_save_that_is_cancelled_while_it_writes_is_left_at_once_and_leaves_no_file(
    directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slow(path: Path, times: tuple[float, float]) -> None:
        writing.set()
        go_on.wait(5)

    async with _store(directory, clock) as store:
        monkeypatch.setattr(os, "utime", slow)
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, SECOND, 22_050)
            await anyio.to_thread.run_sync(writing.wait, 5)
            group.cancel_scope.cancel()
        go_on.set()
        with anyio.fail_after(5):
            while list(directory.iterdir()):
                await anyio.sleep(0.01)


async def test_a_failed_write_leaves_no_file(
    directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, times: tuple[float, float]) -> None:
        raise OSError(28, "No space left on device")

    async with _store(directory, clock) as store:
        monkeypatch.setattr(os, "utime", full)
        with pytest.raises(StoreUnavailable, match="audio: No space left on device"):
            await store.save(SECOND, 22_050)
    assert list(directory.iterdir()) == []


async def test_a_directory_that_cannot_be_made_names_the_setting(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"audio\.directory"):
        async with _store(tmp_path / "file" / "audio", clock):
            pass


async def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "diary.txt").write_text("private")
    with pytest.raises(ConfigError, match=r"diary\.txt"):
        async with _store(tmp_path, clock):
            pass
    assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_an_empty_folder_that_others_may_read_is_closed_to_them(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "audio").mkdir(mode=0o755)
    async with _store(tmp_path / "audio", clock):
        assert (tmp_path / "audio").stat().st_mode & 0o777 == 0o700


async def test_without_an_encoder_a_clip_is_stored_as_wav(
    directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "can_encode", lambda container: False)
    async with _store(directory, clock, container="mp3") as store:
        name = await store.save(SECOND, 22_050)
    assert name.endswith(".wav")
    assert sniff((directory / name).read_bytes()) == "wav"


@pytest.mark.parametrize(
    ("public_base_url", "public_url", "expected"),
    [
        (None, None, "/pi/audio/NAME"),
        (None, "https://chat.example.org/", "https://chat.example.org/pi/audio/NAME"),
        ("https://cdn.example.org/clips/", "https://chat.example.org", "https://cdn.example.org/clips/NAME"),
    ],
)
def test_the_address_of_a_clip(
    directory: Path, public_base_url: str | None, public_url: str | None, expected: str
) -> None:
    store = ClipStore(
        ClipFolder(directory, ClipLimits(1, 1)),
        container="mp3",
        public_base_url=public_base_url,
        public_url=public_url,
    )
    assert store.url("NAME", "/pi/audio") == expected
