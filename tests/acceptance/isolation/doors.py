"""What clients do at each door over HTTP, with everything that comes back checked for other users' texts."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import Final

import httpx

from tests.acceptance.isolation.ledger import Exchange, Talk, Told, check_answer, numbers
from tests.acceptance.isolation.people import Actor, Door, Marks, json_of
from tests.contracts.harness import Tree, TrialServer

SOURCE: Final = "x-jackfield-source"
ALOUD: Final = "aloud"
_MOST: Final = 200
_RATE_HZ: Final = 16_000
_SAMPLES: Final = 3200


class Doors:
    """The doors of one server or another, which each call names."""

    def __init__(self, marks: Marks, run: str) -> None:
        self.marks = marks
        self._run = run

    def session(self, which: int) -> str:
        """The id of a session, the same for everybody: users of one run have sessions of equal names."""
        return f"{self._run}-{which}"

    def ask(
        self, server: TrialServer, actor: Actor, method: str, path: str, body: Tree | None = None
    ) -> httpx.Response:
        """Send a request of a user's."""
        response = server.client.request(method, path, json=body, headers=actor.headers)
        return self.marks.whole(actor, response)

    def post(self, server: TrialServer, actor: Actor, door: Door, session: str, text: str) -> httpx.Response:
        """Send a message as a form: as a recording if its last word is `aloud`."""
        spoken = text.endswith(ALOUD)
        message = {"type": "voice"} if spoken else {"type": "text", "message": text}
        form = {**actor.form, **message, "sessionId": session}
        files: Tree = {name: (None, value) for name, value in form.items()}
        if spoken:
            files["audio"] = ("voice.wav", recording(numbers(text)[0]), "audio/wav")
        response = server.client.post(f"{actor.doors[door]}/chat", files=files, headers=actor.headers)
        return self.marks.whole(actor, response)

    # Messages that are answered

    def send(self, server: TrialServer, actor: Actor, door: Door, which: int) -> Talk | None:
        """Send a message over HTTP and check its answer; gives the lasting conversation, if there is one."""
        if door in ("relay", "proxy"):
            return self.send_form(server, actor, door, self.session(which), "hello")
        talk = self.chosen(server, actor, door, which)
        self.send_to(server, actor, door, talk)
        return talk

    def chosen(self, server: TrialServer, actor: Actor, door: Door, which: int) -> Talk:
        """A conversation that is there, or a new one."""
        there = [talk for talk in actor.talks if not talk.frozen]
        at = which % (len(there) + 1)
        return there[at] if at < len(there) else self.begin(server, actor, door)

    def begin(self, server: TrialServer, actor: Actor, door: Door) -> Talk:
        """Begin a conversation with a title."""
        title = self.marks.text(actor, "title")
        if door == "chat":
            answer = self.ask(server, actor, "POST", f"{actor.doors['chat']}/chat", {"title": title})
            talk = Talk(json_of(answer, 201)["id"], title)
        else:
            path = f"{actor.doors['pichat']}/api/conversations"
            answer = self.ask(server, actor, "POST", path, {"title": title})
            talk = Talk(json_of(answer, 201)["conversation"]["id"], title)
        actor.talks.append(talk)
        return talk

    def send_form(
        self, server: TrialServer, actor: Actor, door: Door, session: str, words: str
    ) -> Talk | None:
        """Send a message in a session."""
        exchange = self.marks.exchange(actor, words)
        response = self.post(server, actor, door, session, exchange.text)
        answer = json_of(response, 200)["message"]
        return self.acknowledge_form(actor, door, session, exchange, answer, response.headers.get(SOURCE))

    def acknowledge_form(
        self, actor: Actor, door: Door, session: str, exchange: Exchange, answer: str, source: str | None
    ) -> Talk | None:
        """Note an answer in a session. The fallback of a proxy remembers by itself, and for a while only."""
        forwarded = source != "fallback" and door == "proxy"
        place = actor.doors["relay"] if forwarded else actor.doors[door]
        memory = actor.memory(place, session)
        self.told(exchange, answer, [*memory.exchanges, exchange], memory.recent())
        memory.exchanges.append(exchange)
        if source == "fallback":
            return None
        talk = actor.talk_of(place, session)
        talk.title = talk.title or exchange.text
        talk.exchanges.append(exchange)
        return talk

    def doubt(self, server: TrialServer, actor: Actor, session: str, exchange: Exchange) -> None:
        """Note a message to a proxy that its backend, its fallback or both may have stored."""
        place = actor.doors["relay"]
        for mount in (place, actor.doors["proxy"]):
            actor.memory(mount, session).exchanges.append(exchange)
        titles = [item["title"] for item in self.listed(server, actor, "pichat")]
        if (place, session) in actor.sessions or exchange.text in titles:
            talk = actor.talk_of(place, session)
            talk.title = talk.title or exchange.text
            talk.exchanges.append(exchange)

    def send_to(
        self, server: TrialServer, actor: Actor, door: Door, talk: Talk, words: str = "hello"
    ) -> None:
        """Send a message to a conversation."""
        exchange = self.marks.exchange(actor, words)
        recent = talk.recent()
        talk.exchanges.append(exchange)
        self.told(exchange, self.answer_of(server, actor, door, talk, exchange), talk.exchanges, recent)

    def answer_of(self, server: TrialServer, actor: Actor, door: Door, talk: Talk, exchange: Exchange) -> str:
        """Send a message to a conversation and give the answer."""
        talk_id = self.id_of(server, actor, talk)
        if door == "chat":
            body = {"message": exchange.text, "chat_id": talk_id}
            response = self.ask(server, actor, "POST", f"{actor.doors['chat']}/generate", body)
            return str(json_of(response, 200)["message"])
        path = f"{actor.doors['pichat']}/api/conversations/{talk_id}/messages"
        found = json_of(self.ask(server, actor, "POST", path, {"content": exchange.text}), 201)
        assert found["message"]["content"] == exchange.text
        return str(found["reply"]["content"])

    def told(self, exchange: Exchange, answer: str, known: Sequence[Exchange], recent: Sequence[int]) -> None:
        """Check an answer, and note that it was acknowledged."""
        check_answer(exchange, answer, known, recent)
        exchange.asked, exchange.answer, exchange.ended = True, answer, self.marks.tick()
        self.marks.acknowledged += 1

    # What is stored

    def rename(self, server: TrialServer, actor: Actor, talk: Talk) -> None:
        """Give a conversation another title."""
        path = f"{actor.doors['pichat']}/api/conversations/{self.id_of(server, actor, talk)}"
        talk.title = self.marks.text(actor, "another title")
        json_of(self.ask(server, actor, "PATCH", path, {"title": talk.title}), 200)

    def id_of(self, server: TrialServer, actor: Actor, talk: Talk) -> str:
        """The id of a conversation, which a list tells of those that relay-chat keeps."""
        if talk.id is None:
            self.check_list(server, actor)
        assert talk.id is not None, f"no list shows {talk.title}"
        return talk.id

    def listed(self, server: TrialServer, actor: Actor, door: Door) -> list[Tree]:
        """The list of a user's conversations at a door."""
        mount = actor.doors[door]
        path, key = (
            (f"{mount}/chats", "chats") if door == "chat" else (f"{mount}/api/conversations", "conversations")
        )
        found = json_of(self.ask(server, actor, "GET", f"{path}?limit={_MOST}"), 200)
        items: list[Tree] = found[key]
        assert len(items) < _MOST
        return items

    def check_list(self, server: TrialServer, actor: Actor, door: Door | None = None) -> None:
        """Compare a list with what there must be; learns ids by it."""
        found = self.listed(server, actor, door or ("chat" if "chat" in actor.doors else "pichat"))
        by_title = {talk.title: talk for talk in actor.talks if talk.id is None}
        for item in found:
            talk = by_title.get(item["title"])
            if talk is not None:
                talk.id = item["id"]
                actor.gone.discard(item["id"])
        titles = {item["id"]: item["title"] for item in found}
        assert len(titles) == len(found), f"a conversation is listed twice: {found}"
        assert not actor.gone & titles.keys(), "a deleted conversation is listed"
        expected = {talk.id: talk.title for talk in actor.talks}
        assert titles == expected, f"listed are {titles}, there must be {expected}"

    def history(self, server: TrialServer, actor: Actor, door: Door, talk_id: str) -> list[Told]:
        """The messages of a conversation at a door."""
        mount = actor.doors[door]
        path = (
            f"{mount}/chat/{talk_id}?limit={_MOST}"
            if door == "chat"
            else f"{mount}/api/conversations/{talk_id}/messages?limit={_MOST}"
        )
        found = json_of(self.ask(server, actor, "GET", path), 200)
        return [(message["role"], message["content"]) for message in found["messages"]]

    def check_talk(self, server: TrialServer, actor: Actor, door: Door, talk: Talk) -> None:
        """Compare a conversation with what it must hold."""
        talk.check(self.history(server, actor, door, self.id_of(server, actor, talk)))

    def check_gone(self, server: TrialServer, actor: Actor, talk_id: str) -> None:
        """A deleted conversation is nowhere."""
        for door in actor.doors:
            paths = {"chat": f"chat/{talk_id}", "pichat": f"api/conversations/{talk_id}"}
            if door in paths:
                response = self.ask(server, actor, "GET", f"{actor.doors[door]}/{paths[door]}")
                assert response.status_code == 404, response.text
                assert talk_id not in [item["id"] for item in self.listed(server, actor, door)]


def recording(number: int) -> bytes:
    """A short recording in which the trial witness hears this number."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE_HZ)
        sound.writeframes(number.to_bytes(2, "little", signed=True) * _SAMPLES)
    return file.getvalue()


def marks_before(answer: str) -> list[int]:
    """The messages that the model was told before the last one."""
    return numbers(answer.partition("\nBefore: ")[2].partition("\nTold: ")[0])
