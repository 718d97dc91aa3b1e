"""What a measurement leaves behind: its figures, and the machine, the commit and the day they belong to."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

RESULTS: Final = Path(__file__).parent / "results"


def circumstances() -> dict[str, object]:
    """Commit, day, machine, and how busy the machine is with other work."""
    model = Path("/proc/cpuinfo")
    names = model.read_text().splitlines() if model.exists() else []
    processor = next((line.partition(":")[2].strip() for line in names if line.startswith("model name")), "")
    return {
        "commit": _git("describe", "--always", "--dirty", "--abbrev=12"),
        "day": datetime.now(UTC).date().isoformat(),
        "machine": f"{processor or platform.machine()}, {os.cpu_count()} processors, "
        f"{psutil.virtual_memory().total >> 30} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load average": [round(load, 2) for load in os.getloadavg()],
        "priority": _priority(),
    }


def write(file: Path, title: str, figures: Mapping[str, object], text: str) -> None:
    """Write `figures` as JSON into `file`, and `text`, Markdown, beside it; both say where they come from."""
    about = circumstances()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"title": title, **about, "figures": figures}, indent=1) + "\n")
    lines = [f"# {title}", "", *(f"- {name}: {value}" for name, value in about.items()), "", text.strip()]
    file.with_suffix(".md").write_text("\n".join(lines) + "\n")


def _priority() -> str:
    """Whether the measurement came before other work of the machine."""
    group = Path("/proc/self/autogroup")
    grouped = group.read_text().partition("nice")[2].strip() if group.exists() else "0"
    return f"nice {os.getpriority(os.PRIO_PROCESS, 0)}, as a group {grouped or 0}"


def _git(*arguments: str) -> str:
    ran = subprocess.run(
        ["git", *arguments], check=False, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return ran.stdout.strip() or "unknown"
