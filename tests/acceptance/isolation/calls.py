"""Sessions for calls: each user has some, and nobody notices or touches another's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx
from websockets.sync.client import connect

from tests.acceptance.isolation.doors import Doors
from tests.acceptance.isolation.people import PEOPLE, WALLETS, Actor, json_of
from tests.contracts.harness import Tree, TrialServer

SCENARIOS: Final = ("default", "customer_service", "gameshow_host")
MOST: Final = 2
"""Sessions of a user."""
_WAIT_S: Final = 20.0
_NO_OFFER: Final = "v=0\r\n"


@dataclass(frozen=True)
class Session:
    """A session for a call that has not begun."""

    id: str
    secret: str


class Sessions:
    """The sessions that users have, in the order in which they were made."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._held: dict[Actor, list[Session]] = {}

    def of(self, actor: Actor) -> Sequence[Session]:
        """Those that a user has now."""
        return tuple(self._held.get(actor, ()))

    def make(self, server: TrialServer, actor: Actor, scenario: str) -> Session | None:
        """Make one, which is refused to whoever has as many as there may be."""
        path = f"{_mount(actor)}/realtime/session?scenario_id={scenario}"
        response = self._doors.ask(server, actor, "GET", path)
        held = self._held.setdefault(actor, [])
        if len(held) == MOST:
            _refused(response, 429, "too_many_sessions")
            return None
        found = json_of(response, 200)
        assert found["scenario_id"] == scenario
        session = Session(found["session_id"], found["client_secret"])
        assert session.id not in [each.id for others in self._held.values() for each in others]
        held.append(session)
        return session

    def end(self, server: TrialServer, actor: Actor, session: Session) -> None:
        """End one."""
        assert self._delete(server, actor, session).status_code == 204
        self._held[actor].remove(session)

    def switch(self, server: TrialServer, actor: Actor, session: Session | None, scenario: str) -> None:
        """Play another scenario in a session, by default in the newest."""
        chosen = session or self._held[actor][-1]
        told = {"type": "scenario.updated", "session_id": chosen.id, "scenario_id": scenario}
        assert self._told(server, actor, scenario, session) == told

    def check(self, server: TrialServer, actor: Actor, gone: Session | None = None) -> None:
        """A user's sessions are there, with their own secrets; one that is gone is not."""
        for session in self.of(actor):
            _refused(self._offer(server, actor, session), 422, "invalid_sdp")
        if gone is not None:
            _refused(self._offer(server, actor, gone), 404, "session_not_found")

    def trespass(self, server: TrialServer, actor: Actor, victim: Actor, session: Session) -> None:
        """Do to another user's session whatever may be done to one's own, knowing its secret."""
        if _mount(actor) != _mount(victim):  # a session of another door is none
            _refused(self._offer(server, actor, session), 404, "session_not_found")
            _refused(self._delete(server, actor, session), 404, "session_not_found")
            code = "session_not_found"
        else:
            _refused(self._offer(server, actor, session), 403, "not_your_session")
            _refused(self._delete(server, actor, session), 403, "not_your_session")
            code = "not_your_session"
        assert self._told(server, actor, "gameshow_host", session)["code"] == code
        own = self.of(actor)
        newest = own[-1].id if own else None
        assert self._told(server, actor, "default", None).get("session_id") == newest
        for mine in own:
            swapped = Session(mine.id, session.secret)
            _refused(self._offer(server, actor, swapped), 422, "invalid_client_secret")

    def _offer(self, server: TrialServer, actor: Actor, session: Session) -> httpx.Response:
        body = {"session_id": session.id, "client_secret": session.secret, "sdp": _NO_OFFER}
        return self._doors.ask(server, actor, "POST", f"{_mount(actor)}/realtime/signal", body)

    def _told(self, server: TrialServer, actor: Actor, scenario: str, session: Session | None) -> Tree:
        """What is said first on the socket that changes a scenario, by default of the newest session."""
        query = f"?session_id={session.id}" if session else ""
        url = f"{server.url.replace('http', 'ws', 1)}{_mount(actor)}/update-scenario/{scenario}{query}"
        with connect(url, additional_headers=actor.headers, proxy=None, open_timeout=_WAIT_S) as socket:
            text = socket.recv(timeout=_WAIT_S)
        assert isinstance(text, str)
        found: Tree = json.loads(self._doors.marks.check(actor, text))
        return found

    def _delete(self, server: TrialServer, actor: Actor, session: Session) -> httpx.Response:
        return self._doors.ask(server, actor, "DELETE", f"{_mount(actor)}/realtime/session/{session.id}")


def may_call(actor: Actor) -> bool:
    """Whether a user has a door for calls."""
    return actor.doors is PEOPLE or actor.doors is WALLETS


def _mount(actor: Actor) -> str:
    return "/s" if actor.doors is PEOPLE else "/w/s"


def _refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
