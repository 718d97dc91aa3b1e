"""Stands in for pip where packages are to be laid into an environment without downloading them again.

What a requirement file pins is linked from the environment that runs this; a version that is
not the one there is an error. Other things, such as a wheel, pip itself installs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

COMMON = ("__pycache__",)
"""Folders into which modules that come later are compiled."""
WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"


def pinned(file: Path) -> Iterator[Requirement]:
    """Yield what a requirement file asks for on this platform."""
    for line in re.findall(r"^(\S+==.*?) \\$", file.read_text(), re.MULTILINE):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def installed(requirement: Requirement) -> PathDistribution:
    """Find what a requirement asks for in this environment."""
    found = distribution(requirement.name)
    if not requirement.specifier.contains(found.version):
        raise SystemExit(f"{found.version} is installed, and {requirement} asked for")
    assert isinstance(found, PathDistribution)
    return found


def link_all(distributions: list[PathDistribution], target: Path) -> None:
    """Link packages into a folder of packages: folders that are one distribution's alone, else files."""
    paths = {each: [str(file) for file in each.files or []] for each in distributions}
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for each, files in paths.items():
        for folder in {file.rpartition("/")[0] for file in files}:
            for parent in _upwards(folder):
                owners[parent].add(each.name)
    for each, files in paths.items():
        for part in {_largest(file, owners) for file in files if not file.startswith("../")}:
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # two distributions may bring the same file
                (target / part).symlink_to(str(each.locate_file(part)))


def _upwards(path: str) -> Iterator[str]:
    """Yield a path and all that it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _largest(file: str, owners: Mapping[str, set[str]]) -> str:
    """Give the uppermost folder round a file that is one distribution's, or the file."""
    folders = [folder for folder in _upwards(file.rpartition("/")[0]) if folder not in COMMON]
    alone = [folder for folder in folders if len(owners[folder]) == 1]
    return alone[-1] if alone else file


def main(arguments: list[str]) -> int:
    """Do what pip is asked to."""
    if "--requirement" not in arguments:
        return subprocess.run([sys.executable, "-m", "pip", *arguments], check=False).returncode
    if "--require-hashes" not in arguments:
        raise SystemExit("packages are installed without their hashes being checked")
    if "--python" in arguments:
        python = arguments[arguments.index("--python") + 1]
    else:
        python = os.environ["BASE_PYTHON"]
    told = subprocess.run([python, "-c", WHERE], check=True, capture_output=True, text=True).stdout
    file = Path(arguments[arguments.index("--requirement") + 1])
    link_all([installed(each) for each in pinned(file)], Path(told.strip()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
