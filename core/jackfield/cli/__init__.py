"""The `jackfield` command. Each subcommand is a module here, imported when it is called."""

from __future__ import annotations

from jackfield.cli.commands import main

__all__ = ["main"]
