"""The providers of a kind, each with those that stand in for it behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from jackfield.config.sections import ChainedSection, ChainSection, Config, ProviderSection
from jackfield.errors import Problem
from jackfield.plugin import Kind
from jackfield.resilience.abilities import of_chain
from jackfield.resilience.chains import Chains

if TYPE_CHECKING:
    from jackfield.assembly import Built

BuildPart = Callable[[Kind, ProviderSection, str], "Built[Any] | None"]


def late_deadlines(config: Config) -> Iterator[Problem]:
    """Find limits that give a chain up before it could leave its first provider for the next."""
    for section, limits in (("timeouts", config.timeouts), ("call", config.call)):
        names = {"llm": "llm_first_seconds", "stt": "stt_seconds", "tts": "tts_seconds"}
        for kind, name in names.items():
            chain: ChainSection | None = getattr(config, kind)
            if chain is None or not any(wanted.fallback for wanted in (chain, *chain.named.values())):
                continue
            limit_s: float = getattr(limits, name)
            if limits.failover_seconds >= limit_s:
                message = f"No fallback of [{kind}] is asked in time: {section}.{name} is {limit_s:g}."
                yield Problem(
                    f"{section}.failover_seconds", message, "Make it smaller, or the other greater."
                )


class Chaining:
    """Builds the sections of one kind with `build`; what is wrong is added to `problems`.

    A fallback that some other section of the kind has word for word is the same object: nobody wants a
    model in memory twice.
    """

    def __init__(self, kind: Kind, build: BuildPart, chains: Chains, problems: list[Problem]) -> None:
        self._kind: Final[Kind] = kind
        self._build = build
        self._chains = chains
        self._problems = problems
        self._known: list[tuple[ProviderSection, Built[Any] | None]] = []

    def providers(self, chain: ChainSection) -> tuple[Built[Any] | None, dict[str, Built[Any]]]:
        """Give the default provider, and the named ones by every name and alias."""
        sections = dict(self._sections(chain))
        heads = {place: self._part(wanted, place) for place, wanted in sections.items()}
        whole = {place: self._whole(heads[place], wanted, place) for place, wanted in sections.items()}
        named: dict[str, Built[Any] | None] = {}
        for name, section in chain.named.items():
            place = f"{self._kind}.named.{name}"
            for key in (name, *section.aliases):
                if key in named:
                    message = f'The name "{key}" is used twice.'
                    self._problems.append(Problem(place, message, "Give another."))
                named[key] = whole[place]
        return whole[self._kind], {name: built for name, built in named.items() if built}

    def one(self, place: str, wanted: ChainedSection) -> Built[Any] | None:
        """Give one provider alone with its fallbacks; None when it cannot be built."""
        return self._whole(self._part(wanted, place), wanted, place)

    def _sections(self, chain: ChainSection) -> Iterator[tuple[str, ChainedSection]]:
        yield self._kind, chain
        for name, wanted in chain.named.items():
            yield f"{self._kind}.named.{name}", wanted

    def _part(self, wanted: ProviderSection, place: str) -> Built[Any] | None:
        built = self._build(self._kind, wanted, place)
        self._known.append((wanted, built))
        return built

    def _whole(self, head: Built[Any] | None, wanted: ChainedSection, place: str) -> Built[Any] | None:
        """A provider with its fallbacks, as one."""
        rest = [
            self._fallback(section, f"{place}.fallback.{number}")
            for number, section in enumerate(wanted.stand_ins(self._kind), 1)
        ]
        members = [built for built in (head, *rest) if built is not None]
        if head is None or len(members) < 2:
            return head
        return self._joined(head, members)

    def _fallback(self, wanted: ProviderSection, place: str) -> Built[Any] | None:
        for section, built in self._known:
            if (section.use, section.options) == (wanted.use, wanted.options):
                return built
        return self._part(wanted, place)

    def _joined(self, head: Built[Any], members: Sequence[Built[Any]]) -> Built[Any]:
        once = list({id(built.object): built for built in members}.values())
        if len(once) < 2:
            return head
        whole = [((built.section, built.plugin), built.capabilities, built.object) for built in once]
        return replace(
            head,
            plugin=" > ".join(built.plugin for built in once),
            capabilities=of_chain(self._kind, [built.capabilities for built in once]),
            object=self._chains.join(self._kind, whole),
            members=tuple(once),
        )
