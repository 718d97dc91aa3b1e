"""Sound on its way to the service, as the event loop writes and the SDK reads it."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from jackfield_stt_azure.sound import Sound


def read(sound: Sound) -> bytes:
    """Read once, as the SDK does."""
    buffer = bytearray(100)
    return bytes(buffer[: sound.read(memoryview(buffer))])


def test_a_part_of_the_sound_ends_with_a_read_of_nothing() -> None:
    sound = Sound()
    sound.push(b"one")
    sound.cut()
    sound.push(b"two")
    sound.allow_end()
    assert [read(sound) for _ in range(3)] == [b"one", b"", b"two"]


def test_a_cut_can_be_taken_back_until_it_was_met() -> None:
    sound = Sound()
    sound.push(b"one")
    sound.cut()
    sound.push(b"two")
    assert sound.join()
    sound.cut()
    sound.allow_end()
    assert [read(sound), read(sound)] == [b"onetwo", b""]
    assert not sound.join()


@pytest.mark.anyio
async def test_a_part_does_not_end_while_the_sdk_still_begins_it() -> None:
    sound, happened = Sound(), []
    sound.push(b"one")
    sound.cut()
    sound.begin()

    def read_to_the_end() -> None:
        while read(sound):
            pass
        happened.append("ended")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, read_to_the_end)
        await anyio.sleep(0.05)  # long enough to end too early
        happened.append("allowed")
        sound.allow_end()
    assert happened == ["allowed", "ended"]
