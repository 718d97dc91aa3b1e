"""`jackfield models`: the files that local providers work with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from jackfield.cli.commands import PROBLEM
from jackfield.cli.configuration import located
from jackfield.cli.table import table
from jackfield.models import catalogue, fetch, is_fetched, models_folder, verify

_MB = 1e6


@click.group("models", help="List, fetch and verify model files. JACKFIELD_MODELS names their folder.")
def command() -> None:
    """Hold the commands about model files."""


@command.command("list")
def list_models() -> None:
    """List the models that can be fetched, and which are."""
    rows = [
        (model.name, model.kind, f"{model.download_bytes / _MB:.0f} MB", _state(model.name), model.summary)
        for model in catalogue().values()
    ]
    click.echo(table(("MODEL", "KIND", "DOWNLOAD", "STATE", "SUMMARY"), rows))
    click.echo(f"\nFolder: {models_folder()}")


def _state(name: str) -> str:
    return "fetched" if is_fetched(name) else "-"


@command.command("fetch")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file whose models to fetch.",
)
def fetch_models(names: tuple[str, ...], file: Path | None) -> None:
    """Fetch models by NAME, or those that the configuration file needs. A damaged one is replaced by NAME."""
    if names:
        wanted = list(names)
    else:
        from jackfield.cli.needs import needed_models

        wanted = needed_models(located(file))
    for name in wanted:
        # `make run` asks at every start; computing all checksums would take seconds.
        if not verify(name) if names else is_fetched(name):
            click.echo(f"{name}: already fetched")
            continue
        with _Progress(name, catalogue()[name].download_bytes) as report:
            path = fetch(name, report)
        click.echo(f"{name}: fetched into {path}")


class _Progress:
    """Shows how far a download is: a bar on a terminal, else one line."""

    def __init__(self, name: str, total_bytes: int) -> None:
        self._name = name
        self._done_bytes = 0
        self._bar = click.progressbar(length=total_bytes, label=name) if sys.stdout.isatty() else None
        self._total_bytes = total_bytes

    def __enter__(self) -> Callable[[int, int], None]:
        if self._bar is not None:
            self._bar.__enter__()
        else:
            click.echo(f"{self._name}: fetching {self._total_bytes / _MB:.0f} MB")
        return self._report

    def _report(self, done_bytes: int, total_bytes: int) -> None:
        if self._bar is not None:
            self._bar.length = total_bytes
            self._bar.update(done_bytes - self._done_bytes)
            self._done_bytes = done_bytes

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()


@command.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify_models(names: tuple[str, ...]) -> None:
    """Compare fetched models (or those NAMEd) with their checksums."""
    whole = [_is_whole(name) for name in names or _fetched()]
    if not all(whole):
        raise SystemExit(PROBLEM)


def _fetched() -> Iterator[str]:
    return (name for name in catalogue() if (models_folder() / name).exists())


def _is_whole(name: str) -> bool:
    problems = verify(name)
    for problem in problems:
        click.echo(f"jackfield: {problem} Fetch it again: jackfield models fetch {name}", err=True)
    if not problems:
        click.echo(f"{name}: whole")
    return not problems
