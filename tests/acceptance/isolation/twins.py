"""Two messages of one user's, sent at the same time to two servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.acceptance.isolation.doors import SOURCE, Doors, marks_before
from tests.acceptance.isolation.ledger import Exchange, Talk
from tests.acceptance.isolation.people import Actor, Door, json_of
from tests.acceptance.isolation.replicas import Replicas

T = TypeVar("T")

Pair = tuple[Door, Door]


def send_in_a_session(
    doors: Doors, replicas: Replicas, actor: Actor, pair: Pair, session: str
) -> Talk | None:
    """Send both as forms; gives the lasting conversation, if there is one."""
    exchanges = [doors.marks.exchange(actor, "at once") for _ in pair]

    def post(at: int) -> tuple[str, str | None]:
        response = doors.post(replicas.server(at), actor, pair[at], session, exchanges[at].text)
        return json_of(response, 200)["message"], response.headers.get(SOURCE)

    answers = both(post)
    sources = [source for _, source in answers]
    own = [actor.doors[door] for door in pair]
    places = ["" if source == "upstream" else mount for source, mount in zip(sources, own, strict=True)]
    if places[0] == places[1]:
        check_one_after_the_other(exchanges, [answer for answer, _ in answers])
    later = exchanges[1].number in marks_before(answers[0][0])
    talk = None
    for at in (1, 0) if later else (0, 1):
        answer, source = answers[at]
        found = doors.acknowledge_form(actor, pair[at], session, exchanges[at], answer, source)
        talk = found or talk
    return talk


def send_in_a_conversation(doors: Doors, replicas: Replicas, actor: Actor, pair: Pair, which: int) -> Talk:
    """Send both to a lasting conversation, which is given back."""
    first = replicas.server(0)
    talk = doors.chosen(first, actor, pair[0], which)
    doors.id_of(first, actor, talk)
    recent, exchanges = talk.recent(), [doors.marks.exchange(actor, "at once") for _ in pair]
    talk.exchanges += exchanges

    def post(at: int) -> str:
        return doors.answer_of(replicas.server(at), actor, pair[at], talk, exchanges[at])

    answers = both(post)
    if pair == ("chat", "chat"):  # pichat stores a message before its turn has come
        check_one_after_the_other(exchanges, answers)
    for exchange, answer in zip(exchanges, answers, strict=True):
        doors.told(exchange, answer, talk.exchanges, recent)
    return talk


def check_one_after_the_other(exchanges: Sequence[Exchange], answers: Sequence[str]) -> None:
    """Of two turns of one conversation, the model was told of one before the other."""
    told = [exchanges[1 - at].number in marks_before(answers[at]) for at in range(2)]
    assert told.count(True) == 1, f"two turns of one conversation ran at once: {answers}"


def both(act: Callable[[int], T]) -> list[T]:
    """Do something for 0 and 1 at the same time."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(act, range(2)))
