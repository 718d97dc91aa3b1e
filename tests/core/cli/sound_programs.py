"""Programs that play and record, as the command finds them: they play into a file, and record from one."""

from __future__ import annotations

import os
from pathlib import Path


class SoundPrograms:
    """A folder of programs at the head of PATH; `path` is what PATH is to be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.played = folder / "played"
        self.arguments = folder / "arguments"
        self.path = f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"

    def add(self, name: str, script: str) -> None:
        """Install a program; its arguments are kept in the file `arguments`."""
        program = self.folder / name
        program.write_text(f'#!/bin/sh\necho "$@" > "{self.arguments}"\n{script}\n')
        program.chmod(0o755)

    def loudspeaker(self) -> None:
        """Install one that plays into `played`, which may be a named pipe."""
        self.add("aplay", f'exec cat > "{self.played}"')

    def microphone(self, pcm: bytes, *, goes_on: bool = False) -> None:
        """Install one that records this; then it ends, or goes on in perfect silence."""
        sound = self.folder / "sound"
        sound.write_bytes(pcm)
        self.add("arecord", f'cat "{sound}"' + ("\nexec sleep 60" if goes_on else ""))
