"""The steps of our Dockerfile, run in a clean folder: the nearest to an image that there is without Docker.

The folder stands for the image's root: absolute paths are moved into it. What makes users is noted, not done.
The base image is an environment of the Python that runs this.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.deployment.dockerfile import Instruction, Stage, expanded, sent, stages
from tests.server_process import ServerProcess

ROOT: Final = Path(__file__).parents[2]
DOWNLOADED: Final = "downloaded"
PACKAGES: Final = os.environ.get("IMAGE_PACKAGES", "linked")
"""`linked`: packages are those of the tests' own environment. `downloaded`: pip installs them."""

_ABSOLUTE: Final = re.compile(r"(?<![\w./-])/(?=(?:build|etc|opt|usr|var)\b)")
_LINKING: Final = Path(__file__).with_name("linking_pip.py")
_STAND_INS: Final = {
    "groupadd": 'echo "groupadd $*" >> "$NOTES"',
    "useradd": 'echo "useradd $*" >> "$NOTES"',
    "install": 'echo "install $*" >> "$NOTES"\n'
    'exec /usr/bin/install $(echo "$*" | sed -E "s/--(owner|group) [^ ]+//g")',
}
"""Commands that only root may use."""


@dataclass
class Image:
    """What the Dockerfile makes: a folder, and what Docker would start in it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    stage: Stage = field(default_factory=lambda: Stage("", "", []))

    @property
    def root(self) -> Path:
        """What would be `/`."""
        return self.folder / "machine"

    def moved(self, text: str) -> str:
        """Move the absolute paths in a text into the folder."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def command(self, name: str = "CMD") -> list[str]:
        """The words of CMD, or of HEALTHCHECK."""
        text = self.stage.last(name).text
        return Instruction(name, text[text.index("[") :]).words

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment of whatever runs in it, with the one that `docker run` is given."""
        return {"LANG": "C.UTF-8", "HOME": "/nonexistent", **self.environment, **given}

    def run(
        self, command: list[str], where: Path, given: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it to its end."""
        variables = self.variables(given)
        program = shutil.which(command[0], path=variables["PATH"])
        assert program is not None, command
        return subprocess.run(
            [program, *command[1:]], cwd=where, env=variables, capture_output=True, text=True, check=False
        )


def built(folder: Path) -> Image:
    """Run the Dockerfile's steps in a folder, or find that another process of the test run has."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        builder = _Builder(folder, done=(folder / "done").exists())
        image = builder.build((ROOT / "Dockerfile").read_text())
        (folder / "done").touch()
    return image


class _Builder:
    """Goes through the stages; without doing anything when all is `done`."""

    def __init__(self, folder: Path, *, done: bool) -> None:
        self._folder = folder
        self._done = done
        self._where = "/"
        self._arguments: dict[str, str] = {}

    def build(self, dockerfile: str) -> Image:
        image = Image(self._folder)
        context = self._folder / "context"
        if not self._done:
            for path in sent(ROOT):
                (context / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, context / path)
        made: dict[str, Image] = {}
        for stage in stages(dockerfile):
            image = self._begun(stage, made.get(stage.base))
            for each in stage.instructions:
                self._step(each, image, context)
            made[stage.name] = image
            if not self._done:
                self._keep(image, stage.name)
        return image

    def _begun(self, stage: Stage, base: Image | None) -> Image:
        image = Image(self._folder, {}, stage)
        if base is not None:
            image.environment |= base.environment
        else:
            path = [self._folder / "stand-ins", image.root / "usr/local/bin", "/usr/bin", "/bin"]
            image.environment["PATH"] = os.pathsep.join(map(str, path))
            self._where, self._arguments = "/", {}
        if not self._done:
            shutil.rmtree(image.root, ignore_errors=True)
            if base is not None:
                _link_tree(self._folder / "stages" / stage.base, image.root)
            else:
                self._lay_base(image)
        return image

    def _lay_base(self, image: Image) -> None:
        """Put down what the official image of Python would bring."""
        local = image.root / "usr/local"
        linked = PACKAGES != DOWNLOADED
        bare = ["--without-pip"] if linked else []
        subprocess.run([sys.executable, "-m", "venv", *bare, str(local)], check=True)
        scripts = {self._folder / "stand-ins" / name: script for name, script in _STAND_INS.items()}
        if linked:
            scripts[local / "bin" / "pip"] = f'exec "{sys.executable}" "{_LINKING}" "$@"'
        for file, script in scripts.items():
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(0o755)

    def _keep(self, image: Image, name: str) -> None:
        """Keep what a stage made for those that copy from it."""
        if name:
            (self._folder / "stages").mkdir(exist_ok=True)
            image.root.rename(self._folder / "stages" / name)

    def _step(self, each: Instruction, image: Image, context: Path) -> None:
        if each.name == "ENV":
            known = dict(image.environment)
            image.environment |= {
                name: expanded(image.moved(value), known) for name, value in each.pairs.items()
            }
        elif each.name == "ARG":
            self._arguments |= each.pairs
        elif each.name == "WORKDIR":
            self._where = each.text
        if self._done:
            return
        if each.name == "WORKDIR":
            (image.root / self._where.strip("/")).mkdir(parents=True, exist_ok=True)
        elif each.name == "COPY":
            self._copy(expanded(each.text, self._arguments).split(), image, context)
        elif each.name == "RUN":
            self._run(each.text, image)

    def _copy(self, words: list[str], image: Image, context: Path) -> None:
        source_root = context
        if words[0].startswith("--from="):
            source_root = self._folder / "stages" / words.pop(0).removeprefix("--from=")
        *sources, target = words
        into = (image.root / self._where.strip("/")) / (
            image.root / target.strip("/") if target.startswith("/") else target
        )
        for pattern in sources:
            found = sorted(source_root.glob(pattern.strip("/")))
            assert found, f"COPY {pattern}: there is no such file"
            for path in found:
                if path.is_dir():
                    _link_tree(path, into)
                else:
                    to = into / path.name if target.endswith("/") else into
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, to)

    def _run(self, command: str, image: Image) -> None:
        inherited = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        environment = {
            **(
                inherited | {"HOME": os.environ["HOME"]}
                if PACKAGES == DOWNLOADED
                else {"HOME": "/nonexistent"}
            ),
            **image.environment,
            **self._arguments,
            "NOTES": str(self._folder / "notes"),
            "BASE_PYTHON": str(image.root / "usr/local/bin/python"),
        }
        if PACKAGES == DOWNLOADED:
            environment.pop("PIP_NO_CACHE_DIR", None)
        done = subprocess.run(
            ["/bin/sh", "-ec", image.moved(command)],
            cwd=image.root / self._where.strip("/"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}:\n{done.stdout}"


def _link_tree(source: Path, target: Path) -> None:
    """Lay a folder over another; files that nobody changes in place need no copies."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=os.link)


class Container(ServerProcess):
    """The default command of an image. `volume` is its working folder; `given`, what Docker is given."""

    def __init__(self, image: Image, volume: Path, given: Mapping[str, str]) -> None:
        super().__init__(volume.with_name(f"{volume.name}-output"), [], image.variables(given))
        self._image = image
        self._volume = volume

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the command."""
        for folder in (self.folder, self._volume):
            folder.mkdir(parents=True, exist_ok=True)
        command = self._image.command()
        program = shutil.which(command[0], path=self._environment["PATH"])
        assert program is not None
        with (self.folder / "output").open("wb") as output:
            return subprocess.Popen(
                [program, *command[1:]],
                cwd=self._volume,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
