"""Chains of providers for tests, and a record of what was told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jackfield.contracts.extension import Event, ProviderFailed, ProviderTookOver
from jackfield.plugin import Capabilities, Kind
from jackfield.resilience.chains import Chains
from tests.core.dialogue.stage import Figures

Seat = tuple[tuple[str, str], Capabilities, Any]


@dataclass
class Witness:
    """Makes chains and remembers what they told."""

    chains: Chains = field(default_factory=Chains)
    events: list[Event] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)

    def join(self, kind: Kind, *providers: object, can: Sequence[Capabilities] = ()) -> Any:
        """A chain of these, called `first`, `second` and so on."""
        names = ("first", "second", "third")
        places = [
            (kind, names[0]),
            *((f"{kind}.fallback.{at}", name) for at, name in enumerate(names[1:], 1)),
        ]
        abilities = can or [Capabilities()] * len(providers)
        seats = list(zip(places, abilities, providers, strict=False))
        chain = self.chains.join(kind, seats)
        self.chains.connect(self.events.append, self.figures)
        return chain

    @property
    def failed(self) -> list[tuple[str, str]]:
        """Who failed how."""
        return [(event.provider, event.error) for event in self.events if isinstance(event, ProviderFailed)]

    @property
    def taken_over(self) -> list[tuple[str, str]]:
        """Which section was left, and who took over."""
        return [(event.left, event.provider) for event in self.events if isinstance(event, ProviderTookOver)]

    def is_open(self, provider: str) -> bool:
        """Whether the figures say that a provider cools down."""
        values = self.figures.named["jackfield_circuit_open"].values
        return next(bool(value) for (_, name), value in values.items() if name == provider)
