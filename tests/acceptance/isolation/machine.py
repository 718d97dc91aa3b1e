"""The state machine: whatever users do, in any order, at any door and replica."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import invariant

from tests.acceptance.isolation import talking, twins
from tests.acceptance.isolation.calls import SCENARIOS, Sessions, may_call
from tests.acceptance.isolation.cast import ODD_IDS, Cast
from tests.acceptance.isolation.doors import ALOUD, Doors
from tests.acceptance.isolation.ledger import Talk
from tests.acceptance.isolation.moves import ToldMachine, move
from tests.acceptance.isolation.pages import Page
from tests.acceptance.isolation.people import Actor, Door, Marks, json_of
from tests.acceptance.isolation.replicas import Replicas
from tests.acceptance.isolation.trespass import CLAIMING, LISTENING, READING, Attempt
from tests.contracts.harness import TrialServer

_ACTORS: Final = st.sampled_from(range(6))
_PAIRS: Final = st.tuples(_ACTORS, _ACTORS)
_PLACES: Final = st.sampled_from(range(4))
_SERVERS: Final = st.sampled_from(range(2))
_DOORS: Final[st.SearchStrategy[Door]] = st.sampled_from(("relay", "proxy", "chat", "pichat"))
_FORMS: Final[st.SearchStrategy[Door]] = st.sampled_from(("relay", "proxy"))
_SOCKETS: Final[st.SearchStrategy[Door]] = st.sampled_from(("proxy", "chat", "pichat"))
_LASTING: Final[st.SearchStrategy[Door]] = st.sampled_from(("chat", "pichat"))
_ODD: Final = st.sampled_from(range(len(ODD_IDS)))
_DROPS: Final = st.sampled_from(("leave", "vanish", "stream"))
_DEEDS: Final = st.sampled_from(("make", "switch", "end"))
_VOICES: Final = st.sampled_from(
    [
        {"gender": gender, "accent": accent}
        for gender in ("female", "male")
        for accent in ("polish", "british")
    ]
)


class Isolation(ToldMachine):
    """Users who must not notice one another. Everything of the class is set before it runs."""

    replicas: ClassVar[Replicas]
    marks: ClassVar[Marks]
    everyone: ClassVar[Sequence[Actor]]
    """Users of doors that have only one."""
    kills: ClassVar[int] = 0
    """How often a replica may still be killed."""
    runs: ClassVar[itertools.count[int]] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        run = f"run{next(self.runs)}"
        self.doors = Doors(self.marks, run)
        self.cast = Cast(run, self.marks, self.everyone)
        self.sessions = Sessions(self.doors)
        self.pages: dict[tuple[Actor, Door, TrialServer], Page] = {}
        self.cast.gather(self.replicas.server(0))
        for at, actor in enumerate(self.cast.visible):
            for step, door in enumerate(actor.doors):
                if door != "relay":
                    self._page(self.replicas.server(at + step), actor, door)
            if may_call(actor):
                self.sessions.make(self.replicas.server(at), actor, "default")

    # What users do

    @move(at=_SERVERS, number=_ACTORS)
    def register_or_sign_in(self, at: int, number: int) -> None:
        people = self.cast.people
        if len(people) < 3:
            self.cast.register(self.replicas.server(at))
        else:
            self.cast.sign_in(self.replicas.server(at), people[number % len(people)])

    @move(at=_SERVERS, number=_ACTORS, door=_DOORS, which=_PLACES)
    def send(self, at: int, number: int, door: Door, which: int) -> None:
        actor = self.cast.of(number)
        talk = self.doors.send(self.replicas.server(at), actor, actor.door(door), which)
        self._look(at + 1, actor, talk)

    @move(at=_SERVERS, number=_ACTORS, door=_FORMS, which=_PLACES)
    def say_aloud(self, at: int, number: int, door: Door, which: int) -> None:
        actor, session = self.cast.of(number), self.doors.session(which)
        if "relay" in actor.doors:
            server = self.replicas.server(at)
            talk = self.doors.send_form(server, actor, actor.door(door), session, ALOUD)
            self._look(at + 1, actor, talk)

    @move(at=_SERVERS, number=_ACTORS, door=_SOCKETS, which=_PLACES)
    def send_on_a_page(self, at: int, number: int, door: Door, which: int) -> None:
        actor, server = self.cast.of(number), self.replicas.server(at)
        page = self._page(server, actor, door)
        if page.door == "proxy":
            talk = talking.say_by_proxy(self.doors, server, page, self.doors.session(which))
        else:
            talk = self.doors.chosen(server, actor, page.door, which)
            talking.say(self.doors, server, page, talk)
        self._look(at + 1, actor, talk)

    @move(at=_SERVERS, number=_ACTORS, door=_LASTING, which=_PLACES, how=_DROPS)
    def drop_in_mid_answer(self, at: int, number: int, door: Door, which: int, how: str) -> None:
        actor, server = self.cast.of(number), self.replicas.server(at)
        door = actor.door(door)
        talk = self.doors.chosen(server, actor, door, which)
        if how == "stream" and door == "chat":
            talking.cut_off_stream(self.doors, server, actor, talk)
        else:
            page = Page(server, actor, door, self.marks)
            talking.cut_off(self.doors, server, page, talk)
            (page.vanish if how == "vanish" else page.close)()
        self.doors.send_to(server, actor, door, talk, "after all")  # which waits for the turn to end
        self._look(at + 1, actor, talk)

    @move(number=_ACTORS, pair=st.tuples(_DOORS, _DOORS), which=_PLACES)
    def send_at_once(self, number: int, pair: twins.Pair, which: int) -> None:
        actor = self.cast.of(number)
        first, second = (actor.door(door) for door in pair)
        talk: Talk | None
        if {first, second} <= {"relay", "proxy"}:
            session = self.doors.session(which)
            talk = twins.send_in_a_session(self.doors, self.replicas, actor, (first, second), session)
        else:
            lasting = actor.page_door(first), actor.page_door(second)
            talk = twins.send_in_a_conversation(self.doors, self.replicas, actor, lasting, which)
        self._look(0, actor, talk)

    @move(at=_SERVERS, number=_ACTORS, which=_PLACES)
    def rename(self, at: int, number: int, which: int) -> None:
        actor, server = self.cast.of(number), self.replicas.server(at)
        if "pichat" in actor.doors and actor.talks:
            talk = actor.talks[which % len(actor.talks)]
            self.doors.rename(server, actor, talk)
            self._look(at + 1, actor, talk)

    @move(at=_SERVERS, number=_ACTORS, which=_PLACES, on_a_page=st.booleans())
    def delete(self, at: int, number: int, which: int, on_a_page: bool) -> None:
        actor, server = self.cast.of(number), self.replicas.server(at)
        talks = [talk for talk in actor.talks if not talk.frozen]
        if "pichat" not in actor.doors or not talks:
            return
        talk = talks[which % len(talks)]
        talk_id = self.doors.id_of(server, actor, talk)
        if on_a_page:
            page = self._page(server, actor, "pichat")
            asked = page.send(action="delete_conversation", payload={"id": talk_id})
            page.answer(asked, "conversation_deleted")
        else:
            path = f"{actor.doors['pichat']}/api/conversations/{talk_id}"
            assert self.doors.ask(server, actor, "DELETE", path).status_code == 204
        actor.forget(talk)
        for each in self.replicas.others(at):
            self.doors.check_gone(each, actor, talk_id)

    @move(at=_SERVERS, number=_ACTORS, voice=_VOICES)
    def change_settings(self, at: int, number: int, voice: dict[str, str]) -> None:
        actor = self.cast.of(number)
        if "pichat" in actor.doors:
            path = f"{actor.doors['pichat']}/api/settings"
            body = {"voice_settings": voice}
            json_of(self.doors.ask(self.replicas.server(at), actor, "PATCH", path, body), 200)
            actor.voice = voice
            self._look_at_settings(at + 1, actor)

    @move(at=_SERVERS, number=_ACTORS, door=_SOCKETS)
    def open_a_page(self, at: int, number: int, door: Door) -> None:
        self._page(self.replicas.server(at), self.cast.of(number), door)

    @move(at=_SERVERS, number=_ACTORS, which=_PLACES, deed=_DEEDS, scenario=st.sampled_from(SCENARIOS))
    def prepare_a_call(self, at: int, number: int, which: int, deed: str, scenario: str) -> None:
        callers = [actor for actor in self.cast.visible if may_call(actor)]
        actor, server, gone = callers[number % len(callers)], self.replicas.server(at), None
        held = self.sessions.of(actor)
        if deed == "make" or not held:
            self.sessions.make(server, actor, scenario)
        elif deed == "switch":
            self.sessions.switch(server, actor, [*held, None][which % (len(held) + 1)], scenario)
        else:
            gone = held[which % len(held)]
            self.sessions.end(server, actor, gone)
        self.sessions.check(self.replicas.server(at + 1), actor, gone)

    # What they should not do

    @move(at=_SERVERS, numbers=_PAIRS, which=_PLACES)
    def read_what_is_anothers(self, at: int, numbers: tuple[int, int], which: int) -> None:
        self._trespass(at, numbers, which, READING)

    @move(at=_SERVERS, numbers=_PAIRS, which=_PLACES)
    def listen_to_another(self, at: int, numbers: tuple[int, int], which: int) -> None:
        self._trespass(at, numbers, which, LISTENING)

    @move(at=_SERVERS, numbers=_PAIRS, which=_PLACES)
    def claim_to_be_another(self, at: int, numbers: tuple[int, int], which: int) -> None:
        self._trespass(at, numbers, which, CLAIMING)

    @move(at=_SERVERS, odd=_ODD, which=_PLACES)
    def claim_an_id(self, at: int, odd: int, which: int) -> None:
        actor, session = self.cast.claiming(odd), self.doors.session(which)
        self.doors.send_form(self.replicas.server(at), actor, "relay", session, "hello")

    @move(at=_SERVERS, odd=_ODD)
    def ask_what_others_ask(self, at: int, odd: int) -> None:
        actor = self.cast.claiming(odd)
        server, session = self.replicas.server(at), f"new-{self.marks.tick()}"
        answer = json_of(self.doors.post(server, actor, "relay", session, "Who am I?"), 200)["message"]
        assert actor.name in answer

    @move(at=_SERVERS)
    def look_at_what_all_may_see(self, at: int) -> None:
        server = self.replicas.server(at)
        for path in ("/metrics", "/health", "/o/c/stats", "/k/settings.json"):
            self.marks.whole(None, server.client.get(path))
        for actor in (self.cast.of(0), self.cast.visible[-3]):
            stats = server.client.get(f"{actor.doors['chat']}/stats", headers=actor.headers)
            assert self.marks.whole(None, stats).status_code == 200
        for actor in self.cast.people:
            found = json_of(self.doors.ask(server, actor, "GET", "/k/user.json"), 200)
            assert found == {"id": actor.user_id}

    @move(at=_SERVERS, number=_ACTORS)
    def kill_a_replica(self, at: int, number: int) -> None:
        if self.replicas.count < 2 or Isolation.kills < 1:
            return
        Isolation.kills -= 1
        actor, server = self.cast.of(number), self.replicas.server(at)
        door = actor.door("chat")
        talk = self.doors.begin(server, actor, door)
        self.doors.send_to(server, actor, door, talk)
        page = Page(server, actor, door, self.marks)
        talking.cut_off(self.doors, server, page, talk)
        talk.frozen = True
        self.replicas.kill(at)
        page.close()
        for key in [key for key in self.pages if key[2] is server]:
            self.pages.pop(key).close()
        self._look(at + 1, actor, talk)
        self.doors.send(self.replicas.server(at + 1), self.cast.of(0), "proxy", 0)  # its backend is gone
        self.replicas.restart(at)
        self._look(at, actor, talk)

    def _trespass(self, at: int, numbers: tuple[int, int], which: int, attempts: Sequence[Attempt]) -> None:
        server, people = self.replicas.server(at), self.cast.people
        victim = people[numbers[0] % len(people)]
        others = [actor for actor in self.cast.visible if actor is not victim]
        intruder = others[numbers[1] % len(others)]
        talk = victim.talks[which % len(victim.talks)] if victim.talks else None
        talk = talk or self.doors.send(server, victim, "pichat", 0)
        assert talk is not None
        for attempt in attempts:
            attempt(self.doors, server, intruder, victim, self.doors.id_of(server, victim, talk))
        if may_call(intruder):
            self._take_sessions(at, intruder, victim)
        self._look(at + 1, victim, talk)

    def _take_sessions(self, at: int, intruder: Actor, victim: Actor) -> None:
        for session in self.sessions.of(victim):
            self.sessions.trespass(self.replicas.server(at), intruder, victim, session)
        self.sessions.check(self.replicas.server(at + 1), victim)

    # What must hold

    @invariant()
    def pages_show_nothing_of_others(self) -> None:
        with self.told():
            for (actor, door, _), page in list(self.pages.items()):
                assert page.drain(), f"a server closed the page of {actor.name} at {door}"

    def teardown(self) -> None:
        """Try once more to take sessions, and read everything of everybody at every door of every replica."""
        try:
            if self.failure is None:
                with self.told():
                    first, second, *others = filter(may_call, self.cast.visible)
                    self._take_sessions(0, first, second)
                    self._take_sessions(1, others[-1], first)
                    for actor in self.cast.visible:
                        self._look_at_all(actor)
        finally:
            for page in self.pages.values():
                page.close()

    def _look_at_all(self, actor: Actor) -> None:
        for server in self.replicas.others(0):
            self.sessions.check(server, actor)
            for door in actor.lasting:
                self.doors.check_list(server, actor, door)
        for at, talk in enumerate(actor.talks):
            for step, door in enumerate(actor.lasting):
                self.doors.check_talk(self.replicas.server(at + step), actor, door, talk)
        if "pichat" in actor.doors:
            self._look_at_settings(0, actor)

    def _look(self, at: int, actor: Actor, talk: Talk | None) -> None:
        """Read a conversation that has changed."""
        if talk is not None:
            self.doors.check_talk(self.replicas.server(at), actor, actor.lasting[-1], talk)

    def _look_at_settings(self, at: int, actor: Actor) -> None:
        path = f"{actor.doors['pichat']}/api/settings"
        found = json_of(self.doors.ask(self.replicas.server(at), actor, "GET", path), 200)
        assert found["voice_settings"] == actor.voice, (actor.name, found)

    def _page(self, server: TrialServer, actor: Actor, wanted: Door) -> Page:
        """An open page of the user at that door, or at another of the user's."""
        door = wanted if wanted in actor.doors else actor.page_door(wanted)
        key = (actor, door, server)
        if key not in self.pages:
            self.pages[key] = Page(server, actor, door, self.marks)
        return self.pages[key]
