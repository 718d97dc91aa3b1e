"""Audits what the requirement files pin: `python requirements/audit.py`, or `make audit`.

pip-audit asks the package index for the advisories on each pin; further arguments go to it. Exits with 1 when
a pin has a known vulnerability that accepted.toml does not name, with 2 when the files cannot be audited.
Where the index is out of reach, or holds no advisories, that is said and nothing fails: such machines exist.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypedDict

HERE: Final = Path(__file__).parent
PROBES: Final = 3
TIMEOUT_S: Final = 5
# pip-audit asks for one pin after the other, and most of that time is waiting.
AT_ONCE: Final = 4

# How pip-audit ends where nobody answers: an error of its HTTP client or of its service, or its own words.
UNREACHABLE: Final = re.compile(
    r"^(?:requests\.exceptions\.|pip_audit\._service\.interface\.|.*network may be blocking)", re.MULTILINE
)


class Advisory(TypedDict):
    """One known vulnerability of a version."""

    id: str
    aliases: list[str]
    fix_versions: list[str]


class Pin(TypedDict, total=False):
    """What pip-audit tells of one requirement: its version and its advisories, or why it has none."""

    name: str
    version: str
    vulns: list[Advisory]
    skip_reason: str


class NotAuditedError(Exception):
    """The index cannot be asked."""


class BrokenAuditError(Exception):
    """The audit itself failed."""


def pinned_files() -> list[Path]:
    """Every requirement file that pins versions."""
    return sorted(path for path in HERE.glob("*.txt") if "--hash=" in path.read_text(encoding="utf-8"))


def requirements(files: Iterable[Path]) -> list[str]:
    """Give each requirement of the files once, with its hashes."""
    parts = (part for path in files for part in re.split(r"\n(?=\w)", path.read_text(encoding="utf-8")))
    return list(dict.fromkeys(part.strip() for part in parts if not part.startswith("#")))


def pip_audit(wanted: Sequence[str], options: Sequence[str]) -> list[Pin]:
    """Have pip-audit ask for every requirement; `NotAuditedError` where nobody answers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text("\n".join(wanted), encoding="utf-8")
        how = ["--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", str(TIMEOUT_S)]
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), *how, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stdout:
        pins: list[Pin] = json.loads(done.stdout)["dependencies"]
        return pins
    if UNREACHABLE.search(done.stderr):
        raise NotAuditedError(f"The package index cannot be asked: {done.stderr.strip().splitlines()[-1]}")
    raise BrokenAuditError(done.stderr)


def probe(wanted: Sequence[str], options: Sequence[str]) -> None:
    """Ask for a few first, so that an index without advisories is not asked for hundreds in vain."""
    everywhere = [each for each in wanted if ";" not in each]
    pins = pip_audit(everywhere[:PROBES], options)
    if pins and all("skip_reason" in pin for pin in pins):
        names = ", ".join(pin["name"] for pin in pins)
        raise NotAuditedError(f"The package index has no advisories: it answers for none of {names}.")


def lines_of(pin: Pin, accepted: Iterable[str]) -> list[str]:
    """Give one line for each advisory on a pin that was not accepted."""
    return [
        _line(pin, advisory)
        for advisory in pin.get("vulns", [])
        if {advisory["id"], *advisory["aliases"]}.isdisjoint(accepted)
    ]


def _line(pin: Pin, advisory: Advisory) -> str:
    names = ", ".join([advisory["id"], *advisory["aliases"]])
    mended = " or ".join(advisory["fix_versions"])
    remedy = f"mended in {mended}" if mended else "not mended yet"
    return f"{pin['name']} {pin['version']}: {names}; {remedy}"


def audit(wanted: Sequence[str], accepted: Sequence[str], options: Sequence[str]) -> int:
    """Ask for every requirement, print what is known, and give the exit status."""
    probe(wanted, options)
    shares = [share for start in range(AT_ONCE) if (share := wanted[start::AT_ONCE])]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        pins = [pin for part in threads.map(pip_audit, shares, [options] * AT_ONCE) for pin in part]
    if unknown := [pin["name"] for pin in pins if "skip_reason" in pin]:
        print(f"audit: the package index does not know {', '.join(unknown)}")
    if found := {pin["name"]: lines for pin in pins if (lines := lines_of(pin, accepted))}:
        for line in (line for lines in found.values() for line in lines):
            print(f"audit: {line}")
        print(f"audit: raise with: make upgrade PACKAGES='{' '.join(found)}'")
        print("audit: what can do no harm here may stand, with the reason, in requirements/accepted.toml")
        return 1
    print(f"audit: {len(pins) - len(unknown)} pinned requirements, no vulnerability known")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Audit the requirement files, or those that are named, and give the exit status."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--requirement", action="append", type=Path, help="file to audit instead of all")
    parser.add_argument("--accepted", type=Path, default=HERE / "accepted.toml", help="what to pass over")
    known, options = parser.parse_known_args(arguments)
    accepted = tomllib.loads(known.accepted.read_text(encoding="utf-8"))["accepted"]
    try:
        return audit(requirements(known.requirement or pinned_files()), list(accepted), options)
    except NotAuditedError as reason:
        print(f"audit: NOT DONE. {reason}")
        print("audit: make audit ARGS='--vulnerability-service osv' asks another source.")
        return 0
    except BrokenAuditError as reason:
        print(f"audit: pip-audit failed:\n{reason}")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
