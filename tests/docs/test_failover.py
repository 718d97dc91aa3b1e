"""The table of docs/failover.md is true, row by row, for each kind of provider."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from jackfield import errors
from jackfield.contracts.extension import ProviderTookOver
from jackfield.contracts.llm import GenerationRequest
from jackfield.contracts.stt import TranscriptionSettings
from jackfield.contracts.tts import SpeechSettings
from jackfield.errors import ProviderError
from jackfield.resilience.circuit import LONGEST_S
from jackfield.resilience.guard import Patience, guard
from jackfield.resilience.retry import BACKOFF_S, LONGEST_WAIT_S, RETRIES, retrying
from jackfield.testing import FakeLLM, FakeSTT, FakeTTS, VirtualClock
from jackfield_extension_chaos.dice import Dice
from jackfield_extension_chaos.options import ChaosOptions
from jackfield_extension_chaos.providers import ChaosLLM, ChaosSTT, ChaosTTS, disturbed
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

PAGE: Final = (Path(__file__).parents[2] / "docs" / "failover.md").read_text()
ROWS: Final = [
    tuple(cell.strip(" `") for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if re.match(r"\| (`(Provider|Con)|any other)", line)
]
KINDS: Final = ("llm", "stt", "tts")
DO: Final = {
    "ProviderUnavailable": "unavailable",
    "ProviderRateLimited": "rate_limited",
    "ProviderUnauthorized": "unauthorized",
    "ProviderTimedOut": "timed_out",
    "ProviderBadReply": "bad_reply",
    "ProviderRefused": "refused",
    "ContextTooLong": "context_too_long",
    "ContentFiltered": "content_filtered",
    "any other exception": "crash",
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def failing(kind: str, error: str) -> Any:
    rules = {"rules": [{"section": kind, "do": DO[error]}]}
    dice = Dice(ChaosOptions.model_validate(rules), kind)
    if kind == "llm":
        return disturbed(ChaosLLM, FakeLLM(), dice)
    return disturbed(ChaosSTT, FakeSTT(), dice) if kind == "stt" else disturbed(ChaosTTS, FakeTTS(), dice)


def working(kind: str) -> Any:
    return {"llm": FakeLLM, "stt": FakeSTT, "tts": FakeTTS}[kind]()


async def ask(kind: str, provider: Any) -> None:
    """Ask as the core does, repetitions included."""
    if kind == "stt":
        await retrying(lambda: _hear(provider))
        return

    def start() -> AsyncGenerator[object, None]:
        outputs: AsyncGenerator[object, None]
        if kind == "llm":
            outputs = provider.generate(GenerationRequest(()))
        else:
            outputs = provider.synthesize("Hello.", SpeechSettings())
        return outputs

    async with aclosing(guard(start, first_s=30, patience=Patience(60), useful=bool)) as outputs:
        async for _ in outputs:
            pass


async def _hear(provider: Any) -> None:
    async with provider.stream(TranscriptionSettings()) as stream:
        stream.push(bytes(320))
        stream.end_utterance()
        async for _ in stream:
            return


def asked(kind: str, provider: Any) -> int:
    """How often a provider was asked."""
    kept: list[object] = getattr(provider, {"llm": "requests", "stt": "utterances", "tts": "texts"}[kind])
    return len(kept)


def counted(provider: Any) -> Callable[[], int]:
    """Count how often the dice of a failing provider are rolled."""
    rolls = 0
    roll = provider.dice.roll

    def count(*, connecting: bool = False) -> object:
        nonlocal rolls
        rolls += not connecting
        return roll(connecting=connecting)

    provider.dice.roll = count
    return lambda: rolls


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("error", "repeated"), [(row[0], row[2]) for row in ROWS])
async def test_what_is_repeated_is_repeated(kind: str, error: str, repeated: str) -> None:
    provider = failing(kind, error)
    times = counted(provider)
    with suppress(Exception):
        await ask(kind, provider)
    assert times() == (1 + RETRIES if repeated == "yes" else 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("error", "left"), [(row[0], row[3]) for row in ROWS])
async def test_the_next_provider_takes_over_where_it_says_so(kind: str, error: str, left: str) -> None:
    witness, first, second = Witness(), failing(kind, error), working(kind)
    times = counted(first)
    with suppress(ProviderError):
        await ask(kind, witness.join(kind, first, second))  # type: ignore[arg-type]  # it is one of the kinds
    assert asked(kind, second) == (left == "yes")
    assert any(isinstance(event, ProviderTookOver) for event in witness.events) == (left == "yes")
    assert times() == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("error", "cools"), [(row[0], row[4]) for row in ROWS])
async def test_the_provider_cools_down_where_it_says_so(kind: str, error: str, cools: str) -> None:
    witness = Witness()
    with suppress(ProviderError):
        await ask(kind, witness.join(kind, failing(kind, error), working(kind)))  # type: ignore[arg-type]  # so
    assert witness.is_open("first") == (cools == "yes")


def test_every_category_has_a_row() -> None:
    found = {name for name, value in vars(errors).items() if isinstance(value, type)}
    categories = {name for name in found if issubclass(getattr(errors, name), ProviderError)}
    assert {row[0] for row in ROWS} == (categories - {"ProviderError"}) | {"any other exception"}
    assert all(cell in ("yes", "no") for row in ROWS for cell in row[2:5])


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    from jackfield.config.sections import CallSection, TimeoutsSection

    timeouts, call = TimeoutsSection(), CallSection()
    assert f"{timeouts.failover_seconds:g} seconds in\n`[timeouts]`" in PAGE
    assert f"{call.failover_seconds:g} seconds in `[call]`" in PAGE
    assert f"`timeouts.cooldown_seconds` ({timeouts.cooldown_seconds:g})" in PAGE
    assert f"up to {LONGEST_S / 60:g} minutes" in PAGE
    assert f"after {BACKOFF_S:g} and {2 * BACKOFF_S:g} seconds" in PAGE
    assert f"up to {LONGEST_WAIT_S:g} seconds" in PAGE


def test_every_kind_of_trouble_is_named() -> None:
    from jackfield_extension_chaos.options import Rule

    schema = Rule.model_json_schema()["properties"]
    assert [name for name in schema["do"]["enum"] if f"`{name}`" not in PAGE] == []
