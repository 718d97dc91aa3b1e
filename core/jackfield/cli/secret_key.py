"""The SECRET_KEY of a server that only this machine reaches, for whoever has set none."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from jackfield.errors import ConfigError, Problem

_BYTES: Final = 48
_LEAST_CHARS: Final = 32
_ITS_OWNER_ALONE: Final = 0o700
_OTHERS: Final = 0o077


class SecretKeyFile:
    """A key in a private file, `.jackfield/secret_key` in a folder.

    A callable: gives the key. With `make` one that is missing is made and kept; without, it is another one
    each time, good for looking at a configuration. Several processes may call it at once.
    """

    def __init__(self, folder: Path, *, make: bool = False) -> None:
        self.path = folder.absolute() / ".jackfield" / "secret_key"
        self.asked = False
        """Whether the configuration needed it."""
        self._make = make
        self._made = False

    def __call__(self) -> str:
        """Give the key.

        :raises ConfigError: when the file cannot be read or written, when others may read it, or when it
            holds no key.
        """
        self.asked = True
        try:
            if self._make and not self.path.exists():
                self._made = self._keep(secrets.token_urlsafe(_BYTES))
            return self._kept() if self.path.exists() else secrets.token_urlsafe(_BYTES)
        except OSError as error:
            message = f"SECRET_KEY is not set, and {self.path} cannot be used: {error.strerror}."
            raise _problem(message, "Set SECRET_KEY, or let the server write there.") from error

    def said(self) -> str:
        """Say where the key comes from, in one sentence without it."""
        if self._made:
            return f"SECRET_KEY is not set: one was made, and is kept in {self.path}."
        if self.path.exists():
            return f"SECRET_KEY is not set: the one in {self.path} is used."
        return f"SECRET_KEY is not set: `jackfield serve` makes one, and keeps it in {self.path}."

    def _kept(self) -> str:
        with self.path.open(encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & _OTHERS or status.st_uid != os.geteuid():
                message = f"{self.path} is to be the server's alone, and others may read or write it."
                raise _problem(message, f"chmod 600 {self.path}, as its owner, or set SECRET_KEY.")
            key = file.read().strip()
        if len(key) < _LEAST_CHARS:
            raise _problem(f"{self.path} holds no key.", "Remove the file, or set SECRET_KEY.")
        return key

    def _keep(self, key: str) -> bool:
        """Write the file as a whole or not at all; gives whether no other process was quicker."""
        folder = self.path.parent
        folder.mkdir(_ITS_OWNER_ALONE, exist_ok=True)
        mark = folder / ".gitignore"
        if not mark.exists():
            mark.write_text("*\n", encoding="utf-8")  # nobody is to publish a key by accident
        draft = folder / f"secret_key.{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{key}\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, self.path)
        except FileExistsError:
            return False
        else:
            return True
        finally:
            draft.unlink(missing_ok=True)


def _problem(message: str, fix: str) -> ConfigError:
    return ConfigError([Problem("file", message, fix)])
