"""The page of troubles names errors that exist, keys that exist, and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from click import Context, Group

from jackfield.cli.commands import root
from jackfield.config.sections import Config

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "troubleshooting.md").read_text()
HEADINGS: Final = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
SOURCE: Final = "\n".join(
    file.read_text() for room in ("core", "transports", "plugins") for file in (ROOT / room).rglob("*.py")
)
SENTENCES: Final = [
    part
    for heading in HEADINGS
    for sentence in re.findall(r"`([A-Z].*?|\.\.\. .*?)`", heading)
    for part in re.split(r'"?\.\.\.\.?"?', sentence)
    if len(part.strip()) > 3
]
KEYS: Final = sorted(
    key for key in set(re.findall(r"`([a-z]+\.[a-z_]+)`", PAGE)) if key.split(".")[0] in Config.model_fields
)


def test_every_trouble_has_a_cause_a_check_and_a_fix() -> None:
    entries = re.findall(r"^### .+?\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert [re.findall(r"^\* (\w+):", entry, re.MULTILINE) for entry in entries] == [
        ["Cause", "Check", "Fix"]
    ] * len(HEADINGS)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_server_says_the_sentences_of_the_headings(sentence: str) -> None:
    assert re.search(_pattern(sentence), SOURCE)


@pytest.mark.parametrize("code", sorted(set(re.findall(r"`([a-z]+_[a-z_]+)`", "\n".join(HEADINGS)))))
def test_the_server_answers_the_codes_of_the_headings(code: str) -> None:
    stage, _, outcome = code.partition("_")
    assert f'"{code}"' in SOURCE or (stage == "llm" and f"_{outcome}" in SOURCE)


@pytest.mark.parametrize("key", KEYS)
def test_the_keys_exist(key: str) -> None:
    section, name = key.split(".")
    assert name in _keys(section)


def test_the_links_lead_somewhere() -> None:
    for page, anchor in re.findall(r"\]\(([a-z-]+\.md)(?:#([a-z-]+))?\)", PAGE):
        titles = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors


@pytest.mark.parametrize("command", sorted(set(re.findall(r"jackfield ([a-z]+(?: [a-z]+)?)(?= |`|$)", PAGE))))
def test_the_commands_exist(command: str) -> None:
    name, _, rest = command.partition(" ")
    found = root.get_command(Context(root), name)
    assert found is not None
    if isinstance(found, Group) and rest:
        assert found.get_command(Context(found), rest) is not None


def _pattern(sentence: str) -> str:
    """The words of a sentence, with anything that the source puts in their midst."""
    return r"[^\n]*?".join(re.escape(word) for word in sentence.strip(' "').split())


def _keys(section: str) -> set[str]:
    found = Config.model_fields[section].annotation
    return set(getattr(found, "model_fields", {}))
