"""What a trial prints."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Printing:
    """Prints, and keeps it."""

    lines: list[str] = field(default_factory=list)
    """What was printed."""

    def say(self, line: str) -> None:
        """Print a line, and keep it."""
        self.lines.append(line)
        print(line, flush=True)
