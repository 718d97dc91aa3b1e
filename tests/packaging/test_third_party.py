"""THIRD_PARTY.md against what is installed and what is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from jackfield.cli.configuration import STARTER
from jackfield.cli.needs import needed_models
from jackfield.models import catalogue

PAGE = Path(__file__).parents[2] / "THIRD_PARTY.md"


@pytest.fixture
def third_party(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("third_party")


def test_the_page_is_up_to_date(third_party: ModuleType) -> None:
    assert PAGE.read_text() == third_party.page(), "run: make reference"


def test_every_part_names_its_licence(third_party: ModuleType) -> None:
    assert [name for name, _ in third_party.requirements() if not third_party.licence_of(name)] == []


def test_only_the_voice_is_under_the_gpl(third_party: ModuleType) -> None:
    licences = {name: third_party.licence_of(name) for name, _ in third_party.requirements()}
    assert [name for name, licence in licences.items() if licence.startswith("GPL")] == ["piper-tts"]


def test_every_model_of_the_default_configuration_has_licence_source_and_checksums() -> None:
    page = PAGE.read_text()
    for name in needed_models(STARTER):
        model = catalogue()[name]
        assert f"Licence: {model.licence}. Source: {model.source}." in page
        assert all(f"`{member.sha256}`" in page for member in model.members)
