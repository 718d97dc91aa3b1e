"""Users, what each of them was told is stored, and the check that nothing they are sent is another's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx

from tests.acceptance.isolation.ledger import Exchange, Memory, Talk, numbers
from tests.contracts.harness import Tree

Door = Literal["relay", "proxy", "chat", "pichat"]

PEOPLE: Final[Mapping[Door, str]] = {"relay": "", "proxy": "/x", "chat": "/c", "pichat": "/p"}
WALLETS: Final[Mapping[Door, str]] = {"relay": "/w", "chat": "/w/c", "pichat": "/w/p"}
CLAIMED: Final[Mapping[Door, str]] = {"relay": "/o"}
CHAT_ALONE: Final[Mapping[Door, str]] = {"chat": "/o/c"}
PICHAT_ALONE: Final[Mapping[Door, str]] = {"pichat": "/o/p"}

PLAIN: Final[Mapping[str, str]] = {"gender": "female", "accent": "polish"}


@dataclass(eq=False)
class Actor:
    """A user of some doors. `user_id` is what forms name, `doors` the mounts of the doors."""

    name: str
    user_id: str
    doors: Mapping[Door, str]
    headers: dict[str, str] = field(default_factory=dict)
    talks: list[Talk] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Ids of conversations that were deleted."""
    sessions: dict[tuple[str, str], Talk] = field(default_factory=dict)
    memories: dict[tuple[str, str], Memory] = field(default_factory=dict)
    voice: dict[str, str] = field(default_factory=lambda: dict(PLAIN))

    def memory(self, mount: str, session: str) -> Memory:
        """The expiring conversation in a session."""
        return self.memories.setdefault((mount, session), Memory())

    def talk_of(self, mount: str, session: str) -> Talk:
        """The lasting conversation of a session, which begins if there is none."""
        talk = self.sessions.get((mount, session))
        if talk is None:
            talk = self.sessions[mount, session] = Talk(place=(mount, session))
            self.talks.append(talk)
        return talk

    def forget(self, talk: Talk) -> None:
        """Note that a conversation was deleted."""
        self.talks.remove(talk)
        if talk.place is not None:
            del self.sessions[talk.place]
        assert talk.id is not None
        self.gone.add(talk.id)

    def door(self, wanted: Door) -> Door:
        """That door, or the first of those that the user has."""
        return wanted if wanted in self.doors else next(iter(self.doors))

    @property
    def lasting(self) -> list[Door]:
        """Those doors that show lasting conversations."""
        return [door for door in self.doors if door in ("chat", "pichat")]

    def page_door(self, wanted: Door) -> Door:
        """That door if it shows lasting conversations, or the first that does."""
        return wanted if wanted in self.lasting else self.lasting[0]

    @property
    def form(self) -> dict[str, str]:
        """The fields that name the user."""
        return {"userId": self.user_id, "username": self.name}


class Marks:
    """Gives every text its own mark, and knows whose it is."""

    def __init__(self) -> None:
        self._owners: dict[int, Actor] = {}
        self.now = 0
        self.acknowledged = 0
        """Messages that were answered."""

    def tick(self) -> int:
        """The next step of the clock."""
        self.now += 1
        return self.now

    def text(self, actor: Actor, words: str) -> str:
        """A text that is this user's alone."""
        number = len(self._owners) + 1
        self._owners[number] = actor
        return f"mark-{number}- {words}"

    def name(self, actor: Actor) -> None:
        """Give the user a name with a mark."""
        actor.name = self.text(actor, "name")

    def exchange(self, actor: Actor, words: str) -> Exchange:
        """A message that is about to be sent."""
        text = self.text(actor, words)
        return Exchange(numbers(text)[0], text, self.tick())

    def check(self, actor: Actor | None, text: str) -> str:
        """Give back a text that somebody was sent; it holds nothing of another user's.

        Without an actor it may hold nothing of anybody's.
        """
        foreign = {number for number in numbers(text) if self._owners[number] is not actor}
        assert not foreign, f"{actor.name if actor else 'the public'} was shown {foreign}: {text}"
        return text

    def whole(self, actor: Actor | None, response: httpx.Response) -> httpx.Response:
        """Give back a response, headers and all, after the same check."""
        self.check(actor, f"{response.headers} {response.text}")
        return response


def json_of(response: httpx.Response, *wanted: int) -> Tree:
    """The body of a response that must have one of these statuses."""
    assert response.status_code in wanted, f"{response.status_code}: {response.text}"
    found: Any = response.json()
    assert isinstance(found, dict)
    return found
