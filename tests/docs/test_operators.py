"""The operator's guide names every figure, every key of calls and every reason for an end; and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

from jackfield.config.sections import CallSection, Config
from jackfield.contracts.call import EndReason
from jackfield.dialogue.waterfall import Stage
from jackfield.server.connections import HEAD_S

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "operators.md").read_text()
CALLS: Final = PAGE.split("## Live calls")[1].split("\n## ")[0]
METRIC: Final = re.compile(r"(?<!-m )\bjackfield_[a-z]+_[a-z_]+\b|\bjackfield_calls\b")
MADE: Final = re.compile(
    r'\.(?:counter|gauge|histogram)\(\s*"(\w+)",\s*"[^"]*",?\s*(?:\[([^\]]*)\]|(labels))?'
)


def made() -> dict[str, list[str]]:
    """Every metric of the core, of our transports and of our plugins, with its labels."""
    found: dict[str, list[str]] = {}
    for file in (file for room in ("core", "transports", "plugins") for file in (ROOT / room).rglob("*.py")):
        text = file.read_text()
        for name, labels, by_name in MADE.findall(text):
            given = re.findall(r"labels = \((.*)\)", text)[0] if by_name else labels
            found[name] = re.findall(r'"(\w+)"', given)
    return found


def test_every_metric_is_in_the_table_with_its_labels_and_no_other_is() -> None:
    rows = re.findall(r"^  \| `(jackfield_\w+)` \| (.*?) ?\| ", PAGE, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in rows} == made()


def test_every_metric_that_is_spoken_of_exists() -> None:
    spoken_of = {name.removesuffix("_bucket") for name in METRIC.findall(PAGE)}
    assert spoken_of <= set(made())


def test_every_key_of_calls_is_in_the_table() -> None:
    table = CALLS.split("| What you notice")[1].split("\n\n")[0]
    named = {word for row in table.splitlines()[2:] for word in re.findall(r"`([a-z_]+)", row)}
    assert set(CallSection.model_fields) - named == set()


def test_every_key_that_is_spoken_of_exists() -> None:
    for section, key in re.findall(r"`(\w+)\.(\w+)`", PAGE):
        if section in Config.model_fields:
            annotation = Config.model_fields[section].annotation
            fields = getattr(annotation, "model_fields", None)
            assert fields is None or key in fields, f"{section}.{key}"


def test_the_stages_of_a_call_are_stages() -> None:
    table = CALLS.split("| Stage |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named <= set(get_args(Stage))
    assert "first_audio" in named


def test_every_reason_for_an_end_is_told() -> None:
    told = PAGE.split("A call ends by")[1].split("\n")[0]
    assert re.findall(r"`(\w+)`", told) == list(get_args(EndReason))


def test_the_time_for_the_head_of_a_request_is_told() -> None:
    (limits,) = re.findall(r"\n## Limits\n(.*?)\n## ", PAGE, re.DOTALL)
    assert f"A client has {HEAD_S:g} seconds for the head of a request" in limits
    assert " gets 408 " in limits
