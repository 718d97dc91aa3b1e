"""Which sequence holds what: bookkeeping, without a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from jackfield_llm_llama_cpp.slots import Slot, SlotTable, common_length, shares


@dataclass
class Cells:
    """A cache that notes what it is told."""

    divisible: bool = True
    shared: list[tuple[int, int, int]] = field(default_factory=list)

    def trim(self, sequence: int, length: int) -> bool:
        """Forget."""
        return self.divisible or length == 0

    def share(self, source: int, target: int, length: int) -> None:
        """Share."""
        self.shared.append((source, target, length))


def use(table: SlotTable, prompt: list[int], conversation: str | None = None) -> Slot:
    """Have a prompt read whole, and end."""
    slot = table.acquire(prompt, conversation)
    assert slot is not None
    slot.tokens = list(prompt)
    table.release(slot)
    return slot


def test_the_next_turn_of_a_conversation_goes_on_in_its_own_slot() -> None:
    table = SlotTable(Cells(), running=2, kept=2)
    first = use(table, [1, 2, 3], "a")
    use(table, [9, 9], "b")
    second = table.acquire([1, 2, 3, 4, 5], "a")
    assert second is first
    assert second.tokens == [1, 2, 3]


def test_a_changed_history_is_cut_back_to_what_is_the_same() -> None:
    table = SlotTable(Cells(), running=1, kept=0)
    use(table, [1, 2, 3, 4], "a")
    slot = table.acquire([1, 2, 8, 9], "a")
    assert slot is not None
    assert slot.tokens == [1, 2]


def test_a_new_conversation_shares_the_longest_beginning_of_any() -> None:
    cells = Cells()
    table = SlotTable(cells, running=2, kept=2)
    use(table, [1, 2, 7], "a")
    source = use(table, [1, 2, 3, 7], "b")
    slot = table.acquire([1, 2, 3, 8], "c")
    assert slot is not None
    assert slot.tokens == [1, 2, 3]
    assert cells.shared[-1] == (source.sequence, slot.sequence, 3)
    assert source.tokens == [1, 2, 3, 7]


def test_the_last_token_of_a_prompt_is_always_read_anew() -> None:
    table = SlotTable(Cells(), running=1, kept=1)
    use(table, [1, 2, 3], "a")
    slot = table.acquire([1, 2, 3], "a")
    assert slot is not None
    assert slot.tokens == [1, 2]


def test_the_conversation_idle_for_longest_gives_way() -> None:
    table = SlotTable(Cells(), running=1, kept=1)
    oldest = use(table, [1], "a")
    use(table, [2], "b")
    slot = table.acquire([3, 4], "c")
    assert slot is oldest
    assert slot.tokens == []


def test_no_more_run_at_once_than_allowed() -> None:
    table = SlotTable(Cells(), running=1, kept=3)
    running = table.acquire([1, 2], "a")
    assert running is not None
    assert table.acquire([3, 4], "b") is None
    table.release(running)
    assert table.acquire([3, 4], "b") is not None


def test_two_answers_of_one_conversation_at_once_have_a_slot_each() -> None:
    table = SlotTable(Cells(), running=2, kept=0)
    assert table.acquire([1, 2], "a") is not table.acquire([1, 2], "a")


def test_only_idle_slots_are_emptied_for_room() -> None:
    table = SlotTable(Cells(), running=2, kept=1)
    running = table.acquire([1, 2], "a")
    assert running is not None
    running.tokens = [1]
    use(table, [5, 6], "b")
    assert table.evict()
    assert not table.evict()
    assert running.tokens == [1]


def test_a_memory_that_cannot_be_cut_is_used_only_for_what_goes_on_exactly() -> None:
    cells = Cells(divisible=False)
    table = SlotTable(cells, running=1, kept=0)
    use(table, [1, 2, 3], "a")
    going_on = table.acquire([1, 2, 3, 4], "a")
    assert going_on is not None
    assert going_on.tokens == [1, 2, 3]
    table.release(going_on)
    changed = table.acquire([1, 2, 9], "a")
    assert changed is not None
    assert changed.tokens == []
    assert cells.shared == []


@pytest.mark.parametrize(
    ("one", "other", "length"), [([], [1], 0), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 9, 3], 1)]
)
def test_a_common_beginning_ends_at_the_first_difference(
    one: list[int], other: list[int], length: int
) -> None:
    assert common_length(one, other) == length


@pytest.mark.parametrize(
    ("wanted", "room", "given"),
    [
        ([1, 1, 500], 32, [1, 1, 30]),
        ([500, 1, 20], 32, [16, 1, 15]),
        ([4, 4], 32, [4, 4]),
        ([0, 90], 32, [0, 32]),
        ([], 32, []),
    ],
)
def test_a_step_is_shared_evenly_and_nobody_gets_more_than_wanted(
    wanted: list[int], room: int, given: list[int]
) -> None:
    assert shares(wanted, room) == given
