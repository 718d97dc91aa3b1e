"""How a test in another process tells the trial plugins what to do, and learns what they were given.

Both go through a folder: `LLM.mode` holds a word that the model obeys, `llm.jsonl` a line for each thing
that happened to it.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from jackfield import Options


class TrialOptions(Options):
    """Options of every trial plugin."""

    folder: Path = Field(description="Folder of modes and journals.")


class Desk:
    """One plugin's place in the folder."""

    def __init__(self, options: TrialOptions, part: str) -> None:
        self._mode = options.folder / f"{part}.mode"
        self._journal = options.folder / f"{part}.jsonl"

    @property
    def mode(self) -> str:
        """What the test wants now; `ok` unless it said otherwise."""
        try:
            return self._mode.read_text()
        except FileNotFoundError:
            return "ok"

    def note(self, **facts: object) -> None:
        """Add a line to the journal."""
        with self._journal.open("a") as journal:
            journal.write(json.dumps(facts) + "\n")
