"""The report of `make contracts` finds what is wrong."""

from __future__ import annotations

from tests.contracts.report import Census, later, problems, requirements, table

KNOWN = {"RC-01": "One.", "RC-02": "Two.", "RC-03": "Three.", "RC-04": "Four."}


def test_nothing_is_wrong_when_every_requirement_has_a_test_or_waits() -> None:
    assert problems(KNOWN, {"RC-04": "x"}, {"a": ("RC-01", "RC-02"), "b": ("RC-03",)}) == []


def test_a_requirement_without_a_test_is_a_problem() -> None:
    names = {"a": ("RC-01", "RC-02", "RC-03")}

    assert problems(KNOWN, {}, names) == ["RC-04 has no test and is not in later.toml"]


def test_a_test_that_names_more_than_three_is_a_problem() -> None:
    assert problems(KNOWN, {}, {"a": tuple(KNOWN)}) == ["a names 4 requirements; 3 are the most"]


def test_a_name_that_nobody_knows_is_a_problem() -> None:
    names = {"a": ("RC-01", "RC-02", "RC-03"), "b": ("RC-04", "RC-99")}

    assert problems(KNOWN, {}, names) == ["b names RC-99, which is not in requirements.toml"]


def test_the_table_says_what_holds_fails_waits_and_is_missing() -> None:
    census = Census({"a": ("RC-01",), "b": ("RC-01", "RC-02")}, failed={"b"})
    census.names["c"] = ("RC-03",)

    lines = table({**KNOWN, "RC-05": "Five."}, {"RC-04": "a thing"}, census)

    assert [line.split()[:2] for line in lines if line.startswith("RC")] == [
        ["RC-01", "failing"],
        ["RC-02", "failing"],
        ["RC-03", "held"],
        ["RC-04", "later"],
        ["RC-05", "missing"],
    ]
    assert any(line.endswith("Waits for a thing.") for line in lines)


def test_every_id_that_waits_is_one_of_the_requirements() -> None:
    assert set(later()) <= set(requirements())
