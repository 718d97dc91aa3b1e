"""Files that several plugins hold, because plugins do not import one another, are the same in all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.mark.parametrize("name", ["account.py", "sdk.py"])
def test_a_file_that_several_plugins_hold_is_the_same_in_all(name: str) -> None:
    texts = [
        (PLUGINS / kind / f"jackfield_{kind}_openai" / name).read_text() for kind in ("llm", "stt", "tts")
    ]
    assert texts.count(texts[0]) == len(texts)
