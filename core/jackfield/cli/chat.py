"""`jackfield chat`: talk to the configured language model in a terminal, without a server."""

from __future__ import annotations

import contextlib
import logging
import sys
from concurrent.futures import CancelledError
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from anyio.from_thread import BlockingPortal, start_blocking_portal

from jackfield.assembly import Built
from jackfield.cli.commands import tell
from jackfield.cli.configuration import file_argument, loaded
from jackfield.cli.own_providers import opened
from jackfield.contracts.llm import LLM, GenerationRequest
from jackfield.contracts.session import StoredMessage, Window
from jackfield.dialogue.prompt import PromptWriter
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.errors import ConfigError, Problem, ProviderError
from jackfield.loader import Loader
from jackfield.plugin import Site

if TYPE_CHECKING:
    from jackfield.config import Config

_CONVERSATION = "terminal"


@click.command("chat", help="Talk to the language model of FILE. Ctrl-C stops an answer, Ctrl-D leaves.")
@file_argument
def command(file: Path | None, env_file: Path | None) -> None:
    """Read lines, stream answers."""
    config = loaded(file, env_file)
    llm = _built_llm(config)
    click.echo(f"Loading {llm.plugin} ...", err=True)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened([llm])):
        click.echo(f"Talking to {llm.plugin}. Ctrl-C stops an answer, Ctrl-D leaves.", err=True)
        _talk(portal, _Conversation(config, llm))


def _built_llm(config: Config) -> Built[LLM]:
    """Build the language model alone: no door, no voice.

    :raises PluginError: when it cannot be built.
    """
    wanted = config.llm
    if wanted is None:
        raise ConfigError([Problem("llm", "No language model is configured.", "Add [llm] with `use`.")])
    loader = Loader()
    plugin = loader.load("llm", wanted.use, "llm")
    options = loader.validate(plugin, wanted.options, "llm")
    site = Site("llm", wanted.use, logging.getLogger(f"jackfield.llm.{wanted.use}"))
    built = loader.build(plugin, options, site)
    assert isinstance(built, LLM)  # the loader saw to it
    return Built("llm", wanted.use, loader.capabilities(plugin, options, "llm"), built)


class _Conversation:
    """What was said so far, and the model that it is said to."""

    def __init__(self, config: Config, llm: Built[LLM]) -> None:
        self._part = ScenarioTable(config).part(None)
        self._prompts = PromptWriter(config.session.max_messages, config.assistant.max_tokens)
        self._max_tokens = config.assistant.max_tokens
        self._llm = llm
        self._window = Window()

    async def answer(self, text: str) -> None:
        """Print the answer to `text` while it comes; it is remembered once it is complete."""
        messages = self._prompts.write(_CONVERSATION, self._window, self._part, self._llm, text, "")
        request = GenerationRequest(
            tuple(messages),
            temperature=self._part.temperature,
            max_tokens=self._max_tokens,
            conversation=_CONVERSATION,
        )
        pieces: list[str] = []
        async with aclosing(self._llm.object.generate(request)) as outputs:
            async for output in outputs:
                if isinstance(output, str):
                    click.echo(output, nl=False)
                    pieces.append(output)
        self._remember(text, "".join(pieces))

    def _remember(self, question: str, answer: str) -> None:
        now = datetime.now(UTC)
        pair = (StoredMessage(question, "text", now, True), StoredMessage(answer, "text", now, False))
        self._window = Window((*self._window.messages, *pair))


def _talk(portal: BlockingPortal, conversation: _Conversation) -> None:
    """Ask and answer until the input ends or is interrupted."""
    while True:
        try:
            text = _read().strip()
        except (EOFError, KeyboardInterrupt):
            click.echo(err=True)
            return
        if text:
            _answer(portal, conversation, text)


def _read() -> str:
    """Give the next line, with a prompt where somebody sits at a terminal.

    :raises EOFError: at the end of the input.
    """
    if sys.stdin.isatty():
        return input("> ")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _answer(portal: BlockingPortal, conversation: _Conversation, text: str) -> None:
    """Stream one answer; Ctrl-C ends it."""
    running = portal.start_task_soon(conversation.answer, text)
    try:
        running.result()
    except KeyboardInterrupt:
        running.cancel()
        with contextlib.suppress(CancelledError):
            running.result()
        click.echo(" [stopped]", nl=False, err=True)
    except ProviderError as error:
        tell(error)
    click.echo()
