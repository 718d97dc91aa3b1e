"""`python -m jackfield` is the command `jackfield`."""

from __future__ import annotations

from jackfield.cli import main

main()
