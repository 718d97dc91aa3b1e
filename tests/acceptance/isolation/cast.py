"""The users of one run: two with accounts, two with wallets, and whoever comes to the doors open to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jackfield.text import normalise
from tests.acceptance.isolation.people import (
    CHAT_ALONE,
    CLAIMED,
    PEOPLE,
    PICHAT_ALONE,
    WALLETS,
    Actor,
    Marks,
)
from tests.contracts.harness import TrialServer
from tests.contracts.sign_in import PASSWORD, bearer

_EMAILS: Final = "{0}@example.com"

ODD_IDS: Final = (
    "{0}",
    " {0} ",
    "{1}",
    "{0}\u200b",
    "{2}",
    "people/{0}",
    "p/default",
    "c/",
    "../p/default",
    "p%2Fdefault",
    "claimed:/o/{0}",
    "people",
    "{0}\\s0",
    "caf\u00e9 {0}",
    "cafe\u0301 {0}",
    "{0}/s0",
    "*",
    "{{}}",
)
"""Ids that somebody may claim where nobody signs in; 0 is that of a user with an account, 1 the same in
upper case, 2 the same in full-width digits and letters."""

_WIDE: Final = {ord(char): ord(char) + 0xFEE0 for char in "0123456789abcdef"}


class Cast:
    """Makes users when they are wanted."""

    def __init__(self, run: str, marks: Marks, everyone: Sequence[Actor]) -> None:
        """`everyone` are the users of doors that have only one."""
        self._run = run
        self._marks = marks
        self._people: list[Actor] = []
        self._wallets: list[Actor] = []
        self._claimed: dict[str, Actor] = {}
        self._everyone = everyone

    @property
    def visible(self) -> list[Actor]:
        """Those whose lasting conversations are shown by a door."""
        return [*self._people, *self._wallets, *self._everyone]

    @property
    def people(self) -> list[Actor]:
        """Those with an account."""
        return self._people

    def register(self, server: TrialServer) -> Actor:
        """Open an account, at the root's door, and sign in at another's."""
        email = _EMAILS.format(f"{self._run}-{len(self._people)}")
        body = {"email": email, "password": PASSWORD}
        user_id = server.client.post("/register", json=body).raise_for_status().json()["id"]
        actor = Actor("", user_id, PEOPLE)
        self._marks.name(actor)
        self._people.append(actor)
        self.sign_in(server, actor)
        return actor

    def sign_in(self, server: TrialServer, actor: Actor) -> None:
        """Take a new token."""
        email = _EMAILS.format(f"{self._run}-{self._people.index(actor)}")
        answer = server.client.post("/c/token", data={"username": email, "password": PASSWORD})
        actor.headers = bearer(answer.raise_for_status().json()["access_token"])

    def gather(self, server: TrialServer) -> None:
        """Have the first of every kind: one wallet is called as the first account is."""
        first, second = self.register(server), self.register(server)
        for subject in (first.user_id, f"{second.user_id}-w"):
            wallet = Actor("", subject, WALLETS, bearer(f"token-of-{subject}"))
            self._marks.name(wallet)
            self._wallets.append(wallet)

    def claiming(self, number: int) -> Actor:
        """Somebody who claims an odd id; two spellings of one id are one user."""
        account = self._people[0].user_id
        user_id = ODD_IDS[number].format(account, account.upper(), account.translate(_WIDE))
        actor = self._claimed.get(normalise(user_id))
        if actor is None:
            actor = self._claimed[normalise(user_id)] = Actor("", user_id, CLAIMED)
            self._marks.name(actor)
        actor.user_id = user_id
        return actor

    def of(self, number: int) -> Actor:
        """One of those."""
        return self.visible[number % len(self.visible)]


def everyone() -> list[Actor]:
    """The one user of the open chat app, and the one of the open pichat, as long as a store lasts."""
    return [Actor("everyone", "", CHAT_ALONE), Actor("default", "default", PICHAT_ALONE)]
