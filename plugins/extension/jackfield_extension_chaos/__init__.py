"""Chaos: makes configured providers fail on purpose, so that you see what your users would.

For trials and tests, never for a server that people rely on: it says so in the log when the server starts.
It needs no network. Each rule names sections, a kind of trouble and how often it strikes.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from jackfield import PluginInfo, Site, hookimpl
from jackfield.contracts.extension import Event, ServerStarted
from jackfield.contracts.llm import LLM
from jackfield.contracts.stt import STT
from jackfield.contracts.tts import TTS
from jackfield_extension_chaos.dice import Dice
from jackfield_extension_chaos.options import ChaosOptions
from jackfield_extension_chaos.providers import Chaos, ChaosLLM, ChaosSTT, ChaosTTS, disturbed

T = TypeVar("T")
NAME = "chaos"


class Warner:
    """Says at the start that chaos is on."""

    def __init__(self, options: ChaosOptions, site: Site) -> None:
        self._options = options
        self._site = site

    async def observe(self, event: Event) -> None:
        if isinstance(event, ServerStarted):
            rules = ", ".join(f"{rule.section} {rule.do}" for rule in self._options.rules)
            self._site.logger.warning(
                "[%s] chaos is on: providers fail on purpose: %s", self._site.section, rules
            )


def _wrapped(kind: type[Chaos[T]], inner: T, site: Site) -> T:
    options = site.extensions.get(NAME)
    dice = Dice(options, site.section) if isinstance(options, ChaosOptions) else None
    return disturbed(kind, inner, dice) if dice else inner


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension",
        name=NAME,
        summary="Makes configured providers fail on purpose, for trials.",
        options=ChaosOptions,
    )


@hookimpl(wrapper=True)
def make_llm(site: Site) -> Generator[None, LLM, LLM]:
    return _wrapped(ChaosLLM, (yield), site)


@hookimpl(wrapper=True)
def make_stt(site: Site) -> Generator[None, STT, STT]:
    return _wrapped(ChaosSTT, (yield), site)


@hookimpl(wrapper=True)
def make_tts(site: Site) -> Generator[None, TTS, TTS]:
    return _wrapped(ChaosTTS, (yield), site)


@hookimpl
def make_observer(options: ChaosOptions, site: Site) -> Warner:
    return Warner(options, site)
