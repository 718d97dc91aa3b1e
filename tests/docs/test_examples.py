"""Every piece of configuration in README and docs is a configuration that the reader accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jackfield.config import read_config
from tests.stand_ins import STAND_INS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
    if "[project" not in block and "[build-system" not in block  # a plugin's pyproject.toml
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_configuration_in_the_documentation_is_accepted(block: str) -> None:
    read_config(block, STAND_INS)


def test_there_is_something_to_check() -> None:
    assert len(BLOCKS) > 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
