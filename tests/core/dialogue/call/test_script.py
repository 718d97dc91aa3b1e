"""Text between who writes it and who speaks it."""

from __future__ import annotations

import anyio
import pytest

from jackfield.dialogue.call.script import Script

pytestmark = pytest.mark.anyio


async def test_pieces_are_read_in_their_order_and_what_was_written_before_the_end_too() -> None:
    script = Script()
    for piece in ("One. ", "Two. ", "Three."):
        await script.write(piece)
    script.end()

    assert [await script.read() for _ in range(4)] == ["One. ", "Two. ", "Three.", None]


async def test_who_reads_waits_for_a_piece_or_the_end() -> None:
    script = Script()
    read: list[str | None] = []

    async def reader() -> None:
        read.append(await script.read())
        read.append(await script.read())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        assert read == []
        await script.write("One.")
        await anyio.wait_all_tasks_blocked()
        assert read == ["One."]
        script.end()

    assert read == ["One.", None]


async def test_who_is_too_far_ahead_waits() -> None:
    script = Script(max_pieces=2)
    written: list[str] = []

    async def writer() -> None:
        for piece in ("One.", "Two.", "Three.", "Four."):
            await script.write(piece)
            written.append(piece)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer)
        await anyio.wait_all_tasks_blocked()
        assert written == ["One.", "Two."]
        assert await script.read() == "One."
        await anyio.wait_all_tasks_blocked()
        assert written == ["One.", "Two.", "Three."]
        script.end()

    assert [await script.read() for _ in range(3)] == ["Two.", "Three.", None]


async def test_what_is_written_after_the_end_is_dropped() -> None:
    script = Script()
    script.end()

    await script.write("One.")

    assert await script.read() is None
